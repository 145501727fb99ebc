//! A limit on what a run may read.

use paritas_connect::{Error, FailureKind, Result};
use std::sync::atomic::{AtomicU64, Ordering};

/// A limit on what both sides together may read. Shared by all sinks of a run.
#[derive(Debug, Default)]
pub struct Budget {
    rows_max: Option<u64>,
    bytes_max: Option<u64>,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Budget {
    /// A budget of that many rows and bytes; `None` is unlimited.
    pub fn new(rows_max: Option<u64>, bytes_max: Option<u64>) -> Self {
        Self { rows_max, bytes_max, ..Self::default() }
    }

    /// Counts what was read, and fails once more was read than allowed.
    pub(crate) fn charge(&self, rows: u64, bytes: u64) -> Result<()> {
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed).saturating_add(rows);
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let over = |used: u64, max: Option<u64>| max.is_some_and(|max| used > max);
        if over(rows, self.rows_max) || over(bytes, self.bytes_max) {
            return Err(Error::new(FailureKind::Deadline, "run.budget", "the budget is spent")
                .hint("raise --budget, or verify fewer datasets at a time"));
        }
        Ok(())
    }
}
