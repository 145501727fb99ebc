//! Files and lakes: hashing files, and digesting Parquet beside only reading it.
//!
//! Without arguments this measures a small data set and prints ratios. The figures of
//! `docs/benchmarks/lake.md` come from single modes on large data:
//!
//! ```text
//! lake generate FOLDER ROWS        two files with the same rows in another order, codec and row-group size
//! lake verify FOLDER THREADS       compare both and keep nothing: equality is decided by row hashes
//! lake digest FOLDER THREADS       compare both and keep the digest
//! lake read FOLDER                 read both with the parquet crate and compute nothing
//! lake hash PATH THREADS           checksums of all files below a path
//! ```
//!
//! Each mode prints wall and CPU seconds (user and system) and the peak of resident memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use arrow_array::builder::{
    BooleanBuilder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use paritas_connect::{Context, Store};
use paritas_connect_lake::{FilesStore, LakeOptions, Location, ParquetStore};
use paritas_digest::{DigestKey, schema_fingerprint};
use paritas_model::Verdict;
use paritas_verify::rows::{self, Outcome, Request};
use paritas_verify::{Choice, Plan, Side};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of the data set that is measured without arguments.
const SMALL_ROWS: u64 = 1_000_000;
const BATCH_ROWS: u64 = 64 << 10;
const FILES: [&str; 2] = ["a.parquet", "b.parquet"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate", folder, rows] => generate(Path::new(folder), rows.parse().unwrap()),
        ["verify", folder, threads] => {
            measured("verify", || verify(Path::new(folder), threads.parse().unwrap(), false));
        }
        ["digest", folder, threads] => {
            measured("digest", || verify(Path::new(folder), threads.parse().unwrap(), true));
        }
        ["read", folder] => drop(measured("read", || read(Path::new(folder)))),
        ["hash", path, threads] => drop(measured("hash", || hash(path, threads.parse().unwrap()))),
        _ => small(),
    }
}

/// One thread each, in turns, on a small data set.
fn small() {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), SMALL_ROWS);
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        let only_read = measured("read", || read(folder.path()));
        for (ratios, (name, keep_digest)) in ratios.iter_mut().zip([("verify", false), ("digest", true)]) {
            ratios.push(measured(name, || verify(folder.path(), 1, keep_digest)) / only_read);
        }
    }
    for (ratios, name) in ratios.iter_mut().zip(["verify", "digest"]) {
        ratios.sort_by(f64::total_cmp);
        println!("{name} / read, CPU, median of 5: {:.2}", ratios[2]);
    }
}

/// Runs something and prints what it took; returns its CPU seconds.
fn measured<T>(name: &str, work: impl FnOnce() -> T) -> f64 {
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let _kept = work();
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or(" unknown").trim().to_owned();
    println!("{name}: wall {wall:.2} s, CPU {cpu:.2} s, peak {peak}");
    cpu
}

/// User and system time of this process, from the kernel's ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Rows by their numbers: the same number is the same row in both files.
fn batch(numbers: impl Iterator<Item = u64>) -> RecordBatch {
    let venues = ["XNYS", "XLON", "XETR", "XTKS", "XPAR", "XHKG", "XASX", "XSWX"];
    let (mut id, mut size, mut price) = (Int64Builder::new(), Int32Builder::new(), Float64Builder::new());
    let mut amount = Decimal128Builder::new().with_precision_and_scale(18, 4).unwrap();
    let mut at = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let (mut account, mut venue, mut active) = (StringBuilder::new(), StringBuilder::new(), BooleanBuilder::new());
    for number in numbers {
        let noise = mix(number);
        id.append_value(number.cast_signed());
        size.append_value((noise % 10_000) as i32);
        amount.append_value(i128::from(noise % 1_000_000_000_000));
        price.append_value((noise >> 12) as f64 / 1e6);
        at.append_value(1_700_000_000_000_000 + (noise % 31_536_000_000_000).cast_signed());
        account.append_value(format!("ACC-{:08}", noise % 50_000_000));
        venue.append_value(venues[(noise % 8) as usize]);
        active.append_value(noise.is_multiple_of(3));
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(id.finish())),
        ("size", Arc::new(size.finish())),
        ("amount", Arc::new(amount.finish())),
        ("price", Arc::new(price.finish())),
        ("at", Arc::new(at.finish())),
        ("account", Arc::new(account.finish())),
        ("venue", Arc::new(venue.finish())),
        ("active", Arc::new(active.finish())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn generate(folder: &Path, rows: u64) {
    fs::create_dir_all(folder).unwrap();
    // A step without common factor with the number of rows visits every row once.
    let step = (rows / 2 + 1..).find(|step| gcd(*step, rows) == 1).unwrap();
    let layouts = [(Compression::SNAPPY, 1 << 20, 1), (Compression::ZSTD(ZstdLevel::default()), 256 << 10, step)];
    for (name, (codec, group, step)) in FILES.iter().zip(layouts) {
        let properties =
            WriterProperties::builder().set_compression(codec).set_max_row_group_row_count(Some(group)).build();
        let file = File::create(folder.join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch(std::iter::empty()).schema(), Some(properties)).unwrap();
        let mut start = 0;
        while start < rows {
            let end = (start + BATCH_ROWS).min(rows);
            let number = |n: u64| (u128::from(n) * u128::from(step) % u128::from(rows)) as u64;
            writer.write(&batch((start..end).map(number))).unwrap();
            start = end;
        }
        writer.close().unwrap();
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What anybody gets from the parquet crate without asking for anything.
fn read(folder: &Path) -> usize {
    let mut rows = 0;
    for name in FILES {
        let file = File::open(folder.join(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(8192).build().unwrap();
        rows += reader.map(|batch| std::hint::black_box(batch.unwrap()).num_rows()).sum::<usize>();
    }
    rows
}

/// Compares both as `paritas verify` does: equality first, or with digests that are kept.
fn verify(folder: &Path, threads: usize, keep_digest: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let side = |name: &str| {
        let location = Location::parse(folder.join(name).to_str().unwrap()).unwrap();
        let store = ParquetStore::new(location, LakeOptions::default()).unwrap();
        Side::new(Arc::new(store), Context::default().with_parallel(threads))
    };
    let [source, replica] = FILES.map(side);
    let outcome = runtime.block_on(compare(&source, &replica, keep_digest));
    assert_eq!((outcome.verdict(), outcome.digest.is_some()), (Verdict::Pass, keep_digest), "{:?}", outcome.problem);
}

async fn compare(source: &Side, replica: &Side, keep_digest: bool) -> Outcome {
    let described = [source, replica].map(|side| async move {
        let datasets = side.store.datasets().unwrap();
        let dataset = datasets.list(&side.cx).await.unwrap().remove(0);
        datasets.describe(&side.cx, &dataset).await.unwrap()
    });
    let [ours, theirs] = described;
    let (ours, theirs) = (ours.await, theirs.await);
    let choice = Choice { key: vec!["id".to_owned()], ..Choice::default() };
    let sides = (source.store.datasets().unwrap(), replica.store.datasets().unwrap());
    let plan = Plan::new((sides.0, &ours), (sides.1, &theirs), &choice).unwrap();
    rows::verify(&Request {
        dataset: "bench",
        source,
        replica,
        plan: &plan,
        schema: schema_fingerprint(&ours.schema),
        live: false,
        keep_digest,
        key: &DigestKey::unkeyed(),
        capacity: 9_000,
        items_max: 100,
        settle: Duration::ZERO,
        parting: rows::Parting::whole(),
        watch: &|_| (),
    })
    .await
}

fn hash(path: &str, threads: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = FilesStore::new(Location::parse(path).unwrap(), LakeOptions::default()).unwrap();
    let cx = Context::default().with_parallel(threads);
    let manifest = runtime.block_on(store.files().unwrap().manifest(&cx)).unwrap();
    assert!(manifest.files.iter().all(|file| file.blake3.value().is_some()));
}
