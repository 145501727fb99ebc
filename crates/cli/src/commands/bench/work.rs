//! What is measured: the same calls that a verification makes.

use super::Error;
use super::measure::Amount;
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use paritas_digest::{
    Block, Canon, CanonColumn, CanonKind, Capacity, DigestKey, Digester, Policies, RowBlock, Slot, Spec,
};
use paritas_model::TimeUnit;
use std::hint::black_box;
use std::sync::Arc;

/// Rows of a block, as connectors hand them out.
const BLOCK_ROWS: usize = 4_096;
/// Bytes hashed as a file: larger than the caches.
const FILE_BYTES: usize = 64 << 20;
/// Words read to measure memory.
const MEMORY_WORDS: usize = 16 << 20;
/// Capacity of the sketch: the default of a run.
const DIFFERENCES: u64 = 9_000;
/// Bytes that the Arrow columns of one row take.
const ARROW_ROW_BYTES: u64 = 8 + 4 + 16 + 8 + 8 + 12 + 14;

/// A spec and a block of rows of one length in wire form: an 8-byte key and text.
pub fn wire(row_bytes: usize) -> Result<(Arc<Spec>, Block), Error> {
    let column = |name: &str, type_name: &str, fixed_width| CanonColumn {
        name: name.to_owned(),
        slot: Slot::Wire { type_name: type_name.to_owned(), fixed_width, nullable: false },
    };
    let canon = Canon {
        kind: CanonKind::Wire { engine: "postgres".to_owned() },
        columns: vec![column("id", "bigint", Some(8)), column("body", "text", None)],
        key_columns: 1,
        policies: Policies::default(),
    };
    let spec = Spec::new(&DigestKey::unkeyed(), "bench", canon)?;
    let mut block = RowBlock::with_capacity(BLOCK_ROWS, BLOCK_ROWS * row_bytes);
    let images = images(row_bytes);
    for (id, image) in (0_u64..).zip(images.chunks_exact(row_bytes)) {
        block.push(image, &id.to_be_bytes());
    }
    Ok((spec, Block::Wire(block)))
}

/// Rows of one length, one behind the other, in wire form.
pub fn images(row_bytes: usize) -> Vec<u8> {
    let mut images = Vec::with_capacity(BLOCK_ROWS * row_bytes);
    let body = row_bytes.saturating_sub(16);
    for id in (0_u64..).take(BLOCK_ROWS) {
        images.extend(8_u32.to_be_bytes());
        images.extend(id.to_be_bytes());
        images.extend((body as u32).to_be_bytes());
        images.extend((0..body).map(|i| b'a' + ((id as usize * 31 + i * 7) % 26) as u8));
    }
    images
}

/// The digest over a block, again and again.
pub fn digesting<'a>(spec: &Arc<Spec>, block: &'a Block) -> impl FnMut() -> Amount + use<'a> {
    let bytes = match block {
        Block::Wire(rows) => (0..rows.len()).filter_map(|row| rows.image(row)).map(<[u8]>::len).sum::<usize>() as u64,
        Block::Arrow(batch) => batch.num_rows() as u64 * ARROW_ROW_BYTES,
    };
    let mut digester = Digester::new(Arc::clone(spec), Capacity::for_differences(DIFFERENCES));
    move || match digester.add(block) {
        Ok(()) => Amount { rows: block.rows() as u64, bytes },
        Err(_) => Amount::default(),
    }
}

/// Keyed BLAKE3 of one row after the other.
pub fn hashing<'a>(images: &'a [u8], row_bytes: usize) -> impl FnMut() -> Amount + use<'a> {
    move || {
        for row in images.chunks_exact(row_bytes) {
            black_box(blake3::keyed_hash(&[7; 32], black_box(row)));
        }
        Amount { rows: (images.len() / row_bytes) as u64, bytes: images.len() as u64 }
    }
}

/// A spec and a batch of seven columns, about 70 bytes a row.
pub fn arrow() -> Result<(Arc<Spec>, Block), Error> {
    let slots = [
        ("id", Slot::Int),
        ("amount", Slot::Decimal { scale: 4 }),
        ("at", Slot::Timestamp { unit: TimeUnit::Micro, zoned: true }),
        ("open", Slot::Bool),
        ("price", Slot::Float),
        ("symbol", Slot::Text),
        ("venue", Slot::Int),
    ];
    let columns = slots.map(|(name, slot)| CanonColumn { name: name.to_owned(), slot });
    let names = columns.clone().map(|column| column.name);
    let canon =
        Canon { kind: CanonKind::Logical, columns: columns.into(), key_columns: 1, policies: Policies::default() };
    let ids = || (0_i64..).take(BLOCK_ROWS);
    let amounts = Decimal128Array::from_iter_values(ids().map(|id| i128::from(id) * 10_001));
    let times = TimestampMicrosecondArray::from_iter_values(ids().map(|id| 1_767_225_600_000_000 + id));
    let arrays: [ArrayRef; 7] = [
        Arc::new(Int64Array::from_iter_values(ids())),
        Arc::new(amounts.with_precision_and_scale(18, 4)?),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(ids().map(|id| Some(id % 3 == 0)).collect::<BooleanArray>()),
        Arc::new(Float64Array::from_iter_values(ids().map(|id| id as f64 / 7.0))),
        Arc::new(StringArray::from_iter_values(ids().map(|id| format!("SYM-{id:08}")))),
        Arc::new(Int32Array::from_iter_values((0_i32..).take(BLOCK_ROWS).map(|id| id % 17))),
    ];
    let batch = RecordBatch::try_from_iter(names.into_iter().zip(arrays))?;
    Ok((Spec::new(&DigestKey::unkeyed(), "bench", canon)?, Block::Arrow(batch)))
}

/// Bytes of a file in the page cache.
pub fn file_bytes() -> Vec<u8> {
    (0..FILE_BYTES).map(|i| (i * 31 % 251) as u8).collect()
}

/// The checksum of one file per thread.
pub fn file_hashing(bytes: &[u8]) -> impl FnMut() -> Amount {
    // One MiB a call, so that a slow machine stops in time.
    let mut chunks = bytes.chunks_exact(1 << 20).cycle();
    move || {
        let chunk = chunks.next().unwrap_or_default();
        black_box(blake3::hash(black_box(chunk)));
        Amount { rows: 0, bytes: chunk.len() as u64 }
    }
}

/// Words to read.
pub fn memory_words() -> Vec<u64> {
    (0..MEMORY_WORDS as u64).collect()
}

/// Reads memory and does next to nothing with it.
pub fn summing(words: &[u64]) -> impl FnMut() -> Amount {
    move || {
        black_box(black_box(words).iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)));
        Amount { rows: 0, bytes: size_of_val(words) as u64 }
    }
}
