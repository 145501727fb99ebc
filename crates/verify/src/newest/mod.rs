//! The newest time of a dataset: as its store finds it, from its rows, or from the records of a log.

mod records;
mod scan;

use crate::Side;
use paritas_connect::{Error, FailureKind, NewestRequest, NewestSeen, Result};
use paritas_model::Known;

/// Looks for the newest time. Everything that was not read to its end is an error.
///
/// # Errors
/// `freshness.column` and `freshness.type` for a column that is not there or holds no times, `freshness.records` where
/// times of records are in such disorder that the newest one is not found cheaply, and those of the store.
pub async fn newest(side: &Side, request: &NewestRequest) -> Result<NewestSeen> {
    match (side.store.datasets(), side.store.logs(), &request.column) {
        (_, Some(logs), None) => records::newest(side, logs, request).await,
        (Some(datasets), _, _) => {
            let own = side.again("look for the newest time", || datasets.newest(&side.cx, request)).await?;
            match (own, &request.column) {
                (Known::Known(seen), _) => Ok(seen),
                (Known::Unknown { .. }, Some(column)) => scan::newest(side, datasets, request, column).await,
                (Known::Unknown { .. }, None) => Err(missing("rows have no time of their own", "name a column")),
            }
        }
        (None, Some(_), Some(column)) => {
            let hint = "leave the column out to look at the times of records, or say how records become rows (format=)";
            Err(missing(&format!("records have no column {column:?}"), hint))
        }
        (None, None, _) => {
            Err(missing("files have no time of their own", "name the kind of the files: parquet or csv"))
        }
    }
}

fn missing(message: &str, hint: &str) -> Error {
    Error::new(FailureKind::Permanent, "freshness.column", message).hint(hint)
}

/// What was seen so far.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    rows: u64,
    newest: Option<(i64, i64)>,
    beyond: u64,
}

impl Found {
    /// One row, with its time if it has one.
    fn add(&mut self, time: Option<(i64, i64)>, limit_us: i64) {
        self.rows += 1;
        match time {
            Some((low_us, _)) if low_us > limit_us => self.beyond += 1,
            Some(time) => self.newest = self.newest.max(Some(time)),
            None => {}
        }
    }

    fn absorb(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.beyond = self.beyond.saturating_add(other.beyond);
        self.newest = self.newest.max(other.newest);
    }
}
