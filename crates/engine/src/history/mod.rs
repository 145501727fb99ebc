//! The history of runs: recording each, and taking in again what it lacks.

mod ask;
mod entry;

pub use ask::{HistoryQuery, history};
pub(crate) use ask::{bounds, from_state, opened, seconds, text};

use jiff::Timestamp;
use paritas_config::RetentionConfig;
use paritas_report::Report;
use paritas_state::history::{History, Retention, RunEntry};
use paritas_state::{RunRecord, State, StateError, Which};
use std::time::Duration;

/// Reports that are taken in at a time.
const BATCH_MAX: usize = 500;

/// How long what is kept: what a configuration says, and the usual where it is silent. What is made of something is kept
/// at least as long.
pub(crate) fn retention(configured: RetentionConfig) -> Retention {
    let usual = Retention::default();
    let or = |own: Option<Duration>, usual: Duration| own.unwrap_or(usual);
    let raw = or(configured.raw, usual.raw);
    let minutes = or(configured.minutes, usual.minutes).max(raw);
    let lag_runs = or(configured.lag_runs, usual.lag_runs);
    let runs = or(configured.runs, usual.runs).max(lag_runs);
    Retention {
        raw,
        minutes,
        hours: or(configured.hours, usual.hours).max(minutes),
        lag_runs,
        runs,
        recoveries: or(configured.recoveries, usual.recoveries).max(runs),
    }
}

/// Now, in microseconds since 1970.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Records a run whose report was just kept.
///
/// # Errors
/// Those of the history. The report is kept all the same, and the next time the history is asked it takes it in.
pub(crate) fn record(state: &State, retention: Retention, run: &RunRecord, report: &Report) -> Result<(), StateError> {
    match entry::entry(run.id, report) {
        Ok(entry) => state.history(retention)?.record(state, &entry, now()),
        // A report that cannot be understood is told of whenever the history is asked.
        Err(why) => {
            tracing::error!("the history cannot take in the run {}: {why}", run.id);
            Ok(())
        }
    }
}

/// A stored report that the history could not take in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotTaken {
    pub(crate) run: String,
    pub(crate) why: String,
}

/// Opens the history and takes in the reports that it lacks: all of them where there was none.
///
/// # Errors
/// Those of the history.
pub(crate) fn open(state: &State, retention: Retention) -> Result<(History, Vec<NotTaken>), StateError> {
    let mut history = state.history(retention)?;
    let there = history.run_ids()?;
    let missing: Vec<_> = state.list_runs()?.into_iter().filter(|id| !there.contains(id)).collect();
    let mut not_taken = Vec::new();
    let mut taken = 0;
    for batch in missing.chunks(BATCH_MAX) {
        let mut entries: Vec<RunEntry> = Vec::with_capacity(batch.len());
        for id in batch {
            let entry = match state.load_run(Which::Id(*id)) {
                Ok(run) => entry::stored(*id, &run.json),
                // Another program may have removed it, as it was old.
                Err(error) if error.code() == "state.missing" => continue,
                Err(error) => Err(error.to_string()),
            };
            match entry {
                Ok(entry) => entries.push(entry),
                Err(why) => not_taken.push(NotTaken { run: id.to_string(), why }),
            }
        }
        taken += entries.len();
        history.record_all(&entries)?;
    }
    if taken > 0 {
        tracing::info!(runs = taken, "taken into the history");
        history.maintain(state, now())?;
    }
    Ok((history, not_taken))
}
