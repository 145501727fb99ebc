//! A dataset in memory and how a test changes it.

use crate::{ColumnPair, Error, FailureKind, Result, ScanRequest, schema_of};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use paritas_model::Schema;

/// A dataset in memory.
#[derive(Debug, Clone)]
pub struct MemoryTable {
    /// What [`Datasets::describe`] says. Tests may change it, to lie about facts or nullability.
    pub schema: Schema,
    arrow: SchemaRef,
    batches: Vec<RecordBatch>,
    version_column: Option<String>,
}

impl MemoryTable {
    /// A table of these batches, which all have the schema `arrow`. `key` names its key columns.
    pub fn new(arrow: SchemaRef, key: &[&str], batches: Vec<RecordBatch>) -> Self {
        Self { schema: schema_of(&arrow, key), arrow, batches, version_column: None }
    }

    /// Takes the versions of rows from this integer column, which need not be a compared one.
    #[must_use]
    pub fn with_version_column(mut self, name: &str) -> Self {
        self.version_column = Some(name.to_owned());
        self
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        self.batches.iter().map(batch_bytes).sum()
    }

    /// Appends rows; they have this table's schema.
    pub fn append(&mut self, batch: RecordBatch) {
        self.batches.push(batch);
    }

    /// Removes the row at `index`, counted over all batches, and returns it as a batch of one row;
    /// `None` where there is no such row.
    pub fn remove(&mut self, index: usize) -> Option<RecordBatch> {
        let mut before = 0;
        for position in 0..self.batches.len() {
            let batch = self.batches.get(position)?.clone();
            let rows = batch.num_rows();
            if index < before + rows {
                let row = index - before;
                let halves = [batch.slice(0, row), batch.slice(row + 1, rows - row - 1)];
                self.batches.splice(position..=position, halves.into_iter().filter(|half| half.num_rows() > 0));
                return Some(batch.slice(row, 1));
            }
            before += rows;
        }
        None
    }

    /// The batches with all columns.
    pub(super) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The column that holds versions, of a batch of this table.
    pub(super) fn versions<'a>(&self, batch: &'a RecordBatch) -> Option<&'a ArrayRef> {
        batch.column_by_name(self.version_column.as_ref()?)
    }

    /// The batches with the columns of a request, in its order.
    pub(super) fn project(&self, request: &ScanRequest) -> Result<Vec<RecordBatch>> {
        let index = |pair: &ColumnPair| {
            self.arrow.index_of(&pair.own).map_err(|error| {
                Error::new(
                    FailureKind::Permanent,
                    "dataset.column",
                    format!("no column {} in {}", pair.own, request.dataset),
                )
                .because(error)
            })
        };
        let indices = request.columns.iter().map(index).collect::<Result<Vec<_>>>()?;
        let project = |batch: &RecordBatch| {
            batch.project(&indices).map_err(|error| {
                Error::new(FailureKind::Permanent, "data.unreadable", "columns in memory cannot be read").because(error)
            })
        };
        self.batches.iter().map(project).collect()
    }
}

/// Bytes of a batch; of a slice only its own part.
pub(super) fn batch_bytes(batch: &RecordBatch) -> u64 {
    let column = |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or(0) as u64;
    batch.columns().iter().map(column).sum()
}
