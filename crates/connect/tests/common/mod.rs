//! Tables in memory for the tests of this crate.

use arrow_array::{
    ArrayRef, Decimal128Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, types,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use paritas_connect::{MemoryStore, MemoryTable};
use std::sync::Arc;

/// `id`, `amount`, `venue`, `note` (with NULLs) and `xmin`, a version that is not compared by tests
/// that name columns.
pub fn schema() -> SchemaRef {
    let venue = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("amount", DataType::Decimal128(18, 4), false),
        Field::new("venue", venue, false),
        Field::new("note", DataType::Utf8, true),
        Field::new("xmin", DataType::Int32, false),
    ]))
}

/// Rows with these ids.
pub fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let amount = Decimal128Array::from_iter_values(ids.clone().map(|id| i128::from(id) * 10_001));
    let venue: DictionaryArray<types::Int32Type> =
        ids.clone().map(|id| ["XNYS", "XLON", "XTKS"][(id % 3) as usize]).collect();
    let note: StringArray =
        ids.clone().map(|id| (id % 5 != 0).then(|| format!("note number {id} of a longer kind"))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(amount.with_precision_and_scale(18, 4).unwrap()),
        Arc::new(venue),
        Arc::new(note),
        Arc::new(Int32Array::from_iter_values(ids.map(|id| 1_000 + id as i32))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// A table of several batches, some empty.
pub fn table(key: &[&str], count: i64) -> MemoryTable {
    let third = count / 3;
    let batches = vec![rows(0..third), rows(0..0), rows(third..count)];
    MemoryTable::new(schema(), key, batches).with_version_column("xmin")
}

/// A store with one table `fills`.
pub fn store(key: &[&str], count: i64) -> MemoryStore {
    let store = MemoryStore::new("east").with_split_rows(400);
    store.put("fills", table(key, count));
    store
}
