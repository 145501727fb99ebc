//! Damaged and hostile Parquet files: rows or a finding, never a panic, never without end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{canon, digest, fixtures, parquet, schema};
use paritas_connect::{Context, FailureKind};
use paritas_digest::{Canon, Policies, Sums};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// Mutations of each file.
const ROUNDS: u64 = 60;
/// One reading takes at most this long.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) -> String {
    let length = bytes.len();
    // Half of them hit the footer, where the structure is.
    let footer = 8 + u32::from_le_bytes(bytes[length - 8..length - 4].try_into().unwrap()) as usize;
    let at = if dice.next().is_multiple_of(2) { length - 1 - dice.below(footer) } else { dice.below(length) };
    match dice.next() % 5 {
        0 => {
            let bit = dice.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        1 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        2 => {
            let end = (at + 1 + dice.below(32)).min(length);
            bytes[at..end].iter_mut().for_each(|byte| *byte = dice.next() as u8);
            format!("noise in {at}..{end}")
        }
        3 => {
            let end = (at + 1 + dice.below(8)).min(length);
            bytes[at..end].fill(0xFF);
            format!("ones in {at}..{end}")
        }
        _ => {
            let from = dice.below(length);
            let size = (1 + dice.below(64)).min(length - from).min(length - at);
            bytes.copy_within(from..from + size, at);
            format!("{size} bytes of {from} at {at}")
        }
    }
}

async fn read(path: &Path, canon: &Canon) -> Result<Sums, paritas_connect::Error> {
    // The schema may be another one now; what matters is that every column is decoded.
    schema(&parquet(path)).await?;
    digest(&parquet(path), canon).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_files_give_rows_or_a_finding() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("victim.parquet");
    let mut dice = Dice(0x1234_5678_9ABC_DEF1);
    let (mut damaged, mut other, mut rows) = (0, 0, 0);
    let files = [
        "codec/none",
        "codec/snappy",
        "codec/lz4",
        "layout/delta",
        "layout/pages-v2",
        "types/pyarrow",
        "layout/duckdb",
    ];
    for file in files {
        let original = fs::read(fixtures().join(format!("{file}.parquet"))).unwrap();
        let whole = schema(&parquet(fixtures().join(format!("{file}.parquet")))).await.unwrap();
        let canon = canon(&whole, &whole, &[], Policies::default());
        for round in 0..ROUNDS {
            let mut bytes = original.clone();
            let what = mutate(&mut bytes, &mut dice);
            fs::write(&path, &bytes).unwrap();
            let started = Instant::now();
            match read(&path, &canon).await {
                Ok(_) => rows += 1,
                Err(error) if error.kind() == FailureKind::Damaged => {
                    assert!(error.message().contains("victim.parquet"), "{what}: {error}");
                    damaged += 1;
                }
                // A renamed column, or a value that does not fit its slot.
                Err(error) => {
                    let codes = ["column.missing", "data.unreadable", "schema.mismatch"];
                    assert!(codes.contains(&error.code()), "{file} round {round}, {what}: {error:?}");
                    other += 1;
                }
            }
            assert!(started.elapsed() < TIME_MAX, "{file} round {round}, {what}: {:?}", started.elapsed());
        }
    }
    assert!(damaged > 100, "{damaged} damaged, {other} other, {rows} read");
}

/// With page checksums, no flipped bit of the data passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_checksums_are_verified_where_a_file_has_them() {
    let original = fs::read(fixtures().join("layout/checksums.parquet")).unwrap();
    let store = parquet(fixtures().join("layout/checksums.parquet"));
    let whole = schema(&store).await.unwrap();
    let canon = canon(&whole, &whole, &["id"], Policies::default());
    let expected = digest(&store, &canon).await.unwrap();
    let folder = tempdir().unwrap();
    let path = folder.path().join("victim.parquet");
    let footer = 8 + u32::from_le_bytes(original[original.len() - 8..original.len() - 4].try_into().unwrap()) as usize;
    let mut dice = Dice(77);
    let mut caught = 0;
    for _ in 0..100 {
        let mut bytes = original.clone();
        let at = 4 + dice.below(original.len() - footer - 4);
        bytes[at] ^= 1 << dice.below(8);
        fs::write(&path, &bytes).unwrap();
        match digest(&parquet(&path), &canon).await {
            // A page header has parts that mean nothing to a reader, such as statistics.
            Ok(sums) => assert!(sums == expected, "byte {at}"),
            Err(error) => {
                assert_eq!(error.kind(), FailureKind::Damaged, "{error}");
                assert!(error.message().contains("row group") && error.message().contains("column"), "{error}");
                caught += 1;
            }
        }
    }
    assert!(caught > 80, "{caught}");
}

#[tokio::test]
async fn a_footer_that_lies_about_rows_is_a_finding() {
    // The number of rows stands in the footer as a zigzag number: 600 is 1200, the bytes B0 09.
    let original = fs::read(fixtures().join("codec/none.parquet")).unwrap();
    let folder = tempdir().unwrap();
    let path = folder.path().join("liar.parquet");
    let at = original.windows(2).rposition(|w| w == [0xB0, 0x09]).unwrap();
    let mut bytes = original.clone();
    bytes[at] = 0xB2;
    fs::write(&path, bytes).unwrap();
    let error = schema(&parquet(&path)).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("data.damaged", FailureKind::Damaged));
    assert!(error.message().contains("601"), "{error}");
}

#[tokio::test]
async fn files_that_are_no_parquet_are_a_finding() {
    let folder = tempdir().unwrap();
    let nested = [b"PAR1".to_vec(), vec![0xFF; 64], vec![0xFF, 0xFF, 0xFF, 0x7F], b"PAR1".to_vec()].concat();
    for bytes in [b"".to_vec(), b"PAR1".to_vec(), b"PAR1PAR1".to_vec(), b"hello world, this is text".to_vec(), nested] {
        let path = folder.path().join("x.parquet");
        fs::write(&path, &bytes).unwrap();
        let error = schema(&parquet(&path)).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Damaged, "{error}");
        assert!(error.message().contains("x.parquet"));
    }
    let _ = Context::default();
}
