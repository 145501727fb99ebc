//! The digest beside what it is made of and what it is measured against.
//!
//! `cargo bench -p paritas-benches --bench digest` ; ratios count, absolute figures depend on the machine.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use arrow_array::{
    ArrayRef, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{Field, Schema};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use paritas_digest::{
    Block, Canon, CanonColumn, CanonKind, Capacity, DigestKey, Digester, Policies, RowBlock, Slot, Spec, Sums, bench,
    decode,
};
use paritas_model::TimeUnit;
use std::hint::black_box;
use std::sync::Arc;

const ROWS: usize = 8_192;

fn wire_spec() -> Arc<Spec> {
    let slot = Slot::Wire { type_name: "bigint".into(), fixed_width: Some(8), nullable: false };
    let columns = vec![CanonColumn { name: "id".into(), slot }];
    let kind = CanonKind::Wire { engine: "bench".into() };
    let canon = Canon { kind, columns, key_columns: 1, policies: Policies::default() };
    Spec::new(&DigestKey::unkeyed(), "bench", canon).unwrap()
}

fn wire_block(first: u64, rows: usize, width: usize) -> Block {
    let mut block = RowBlock::with_capacity(rows, rows * width);
    let mut image = vec![0x5A; width];
    for key in first..first + rows as u64 {
        image[..8].copy_from_slice(&key.to_be_bytes());
        block.push(&image, &key.to_be_bytes());
    }
    Block::Wire(block)
}

fn hashing(c: &mut Criterion) {
    for width in [32_usize, 100, 300, 1_000] {
        let mut group = c.benchmark_group(format!("row hash {width} B"));
        let padded = width.next_multiple_of(64);
        let rows: Vec<u8> = (0..ROWS * padded).map(|i| if i % padded < width { i as u8 } else { 0 }).collect();
        group.throughput(Throughput::Elements(ROWS as u64));
        group.bench_function("one by one, unpadded", |b| {
            b.iter(|| {
                for row in rows.chunks_exact(padded) {
                    black_box(blake3::keyed_hash(&[7; 32], &row[..width]));
                }
            });
        });
        group.bench_function("batched, padded", |b| {
            b.iter(|| bench::hash_rows(&[7; 32], &rows, padded, |_, hash| _ = black_box(hash)));
        });
        group.finish();
    }
}

fn seven_columns() -> RecordBatch {
    let ids = 0..ROWS as i64;
    let word = |id: i64| ["buy", "sell", "cancel", "amend"][id as usize % 4];
    let amounts = Decimal128Array::from_iter_values(ids.clone().map(|id| i128::from(id) * 1_234_567));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone().map(|id| id * 7919))),
        Arc::new(Int32Array::from_iter_values(ids.clone().map(|id| id as i32 % 1_000))),
        Arc::new(amounts.with_precision_and_scale(18, 4).unwrap()),
        Arc::new(Float64Array::from_iter_values(ids.clone().map(|id| id as f64 / 97.0))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(ids.clone().map(|id| 1_700_000_000_000_000 + id * 37))),
        Arc::new(StringArray::from_iter_values(ids.clone().map(|id| format!("account {id:05}")))),
        Arc::new(StringArray::from_iter_values(ids.map(word))),
    ];
    let names = ["id", "account", "amount", "price", "at", "label", "side"];
    let fields: Vec<Field> =
        names.iter().zip(&columns).map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn arrow_spec(key_columns: usize) -> Arc<Spec> {
    let at = Slot::Timestamp { unit: TimeUnit::Micro, zoned: false };
    let slots = [Slot::Int, Slot::Int, Slot::Decimal { scale: 4 }, Slot::Float, at, Slot::Text, Slot::Text];
    let columns = slots.into_iter().enumerate().map(|(i, slot)| CanonColumn { name: format!("c{i}"), slot }).collect();
    let canon = Canon { kind: CanonKind::Logical, columns, key_columns, policies: Policies::default() };
    Spec::new(&DigestKey::unkeyed(), "bench", canon).unwrap()
}

fn arrow(c: &mut Criterion) {
    let batch = seven_columns();
    let mut group = c.benchmark_group("arrow 7 columns");
    group.throughput(Throughput::Elements(ROWS as u64));
    let fields = batch.schema().fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let converter = RowConverter::new(fields).unwrap();
    group.bench_function("arrow-row and keyed_hash alone", |b| {
        b.iter(|| {
            let rows = converter.convert_columns(batch.columns()).unwrap();
            for row in &rows {
                black_box(blake3::keyed_hash(&[7; 32], row.as_ref()));
            }
        });
    });
    for (name, key_columns) in [("full digest", 1), ("full digest, no key", 0)] {
        let mut digester = Digester::new(arrow_spec(key_columns), Capacity::default());
        let block = Block::Arrow(batch.clone());
        group.bench_function(name, |b| b.iter(|| digester.add(&block).unwrap()));
    }
    let block = Block::Arrow(batch.clone());
    for threads in [1, 2] {
        group.throughput(Throughput::Elements((8 * threads * ROWS) as u64));
        group.bench_function(format!("{threads} threads"), |b| {
            let mut digesters: Vec<_> =
                (0..threads).map(|_| Digester::new(arrow_spec(1), Capacity::default())).collect();
            b.iter(|| {
                std::thread::scope(|scope| {
                    for digester in &mut digesters {
                        let block = &block;
                        scope.spawn(move || (0..8).for_each(|_| digester.add(block).unwrap()));
                    }
                });
            });
        });
    }
    group.finish();
}

fn wire(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire to full digest");
    group.throughput(Throughput::Elements(ROWS as u64));
    for width in [100, 300] {
        let block = wire_block(0, ROWS, width);
        let mut digester = Digester::new(wire_spec(), Capacity::default());
        group.bench_function(format!("{width} B"), |b| b.iter(|| digester.add(&block).unwrap()));
    }
    group.finish();
}

fn sketch(c: &mut Criterion) {
    let mut group = c.benchmark_group("buckets and sketch");
    // Enough rows to touch most cells, so that large tables really miss the caches.
    const ROWS: usize = 1 << 18;
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(20);
    for slots in [64, 4_096, 65_536, 524_288] {
        let spec = wire_spec();
        let mut sums = Sums::new(spec.key_form(), Capacity::from_slots(slots).unwrap());
        let rows = bench::hashed_rows(&spec, &wire_block(0, ROWS, 100)).unwrap();
        group.bench_function(format!("{slots} slots"), |b| b.iter(|| bench::add(&mut sums, &rows)));
    }
    group.finish();
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.sample_size(10);
    for (slots, differences) in [(4_096, 8_960), (524_288, 1_000_000)] {
        let spec = wire_spec();
        let mut digester = Digester::new(Arc::clone(&spec), Capacity::from_slots(slots).unwrap());
        digester.add(&wire_block(1, differences, 8)).unwrap();
        let sums = digester.finish();
        group.throughput(Throughput::Elements(differences as u64));
        group.bench_function(format!("{differences} differences"), |b| {
            b.iter_batched(|| (), |()| assert!(decode(&spec, &sums).complete), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, hashing, arrow, wire, sketch, decoding);
criterion_main!(benches);
