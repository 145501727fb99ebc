//! Figures of groups that a store makes by itself, where its arithmetic is exact.

use crate::{Error, FailureKind, Result, ScanRequest};
use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use arrow_schema::{DataType, Field};
use paritas_ledger::{Figures, Rule};
use std::sync::Arc;

/// What to group, and what to add up.
#[derive(Debug, Clone)]
pub struct GroupRequest {
    /// The columns to group by, all of them key, in the logical canon. None makes one group of everything.
    pub scan: ScanRequest,
    /// Names on this store of the columns of the rule, in its order.
    pub amounts: Vec<String>,
    /// What is asked of them.
    pub rule: Arc<Rule>,
}

/// Figures of some groups as they are now, in one consistent view.
#[derive(Debug, Clone)]
pub struct GroupsNow {
    /// A row for each group: its columns, then its figures ([`figures_field`]).
    pub batch: RecordBatch,
    /// For each group what changes whenever a row of it is written, comes or goes; comparable on the same
    /// store only. `None` where a row is being written, or the store has no such thing.
    pub versions: Vec<Option<String>>,
}

/// The last column of a batch of groups: figures as bytes ([`Figures::encode`]).
pub fn figures_field() -> Field {
    Field::new("paritas.figures", DataType::Binary, false)
}

/// The figures of one group of such a batch. Several rows may belong to one group: their figures add up.
///
/// # Errors
/// `internal.figures` for a batch that is not of this kind.
pub fn figures_of(batch: &RecordBatch, row: usize, rule: &Rule) -> Result<Figures> {
    let column = batch.columns().last().and_then(|column| column.as_binary_opt::<i32>());
    let bytes = column.filter(|column| row < column.len()).map(|column| column.value(row));
    let mut rest = bytes.ok_or_else(malformed)?;
    let figures = Figures::decode(rule.columns.len(), &mut rest).map_err(|error| malformed().because(error))?;
    if rest.is_empty() { Ok(figures) } else { Err(malformed()) }
}

fn malformed() -> Error {
    Error::new(FailureKind::Permanent, "internal.figures", "a batch of groups has no figures")
}
