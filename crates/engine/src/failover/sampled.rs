//! How far the old primary's log had come when `paritas lag` looked last: a lower bound of what was left behind.
//!
//! A sample says nothing about what was written after it, so it never limits a loss from above.

use paritas_model::{Ancestry, Lsn};
use paritas_report::{Check, LagStream, Report};
use paritas_state::{State, Which};
use serde::Deserialize;

/// So many of the newest stored runs are looked at.
const RUNS_MAX: usize = 500;
/// So many of those that measured lag are read whole.
const SAMPLES_MAX: usize = 50;

/// The part of a stored run that says what it is.
#[derive(Deserialize)]
struct Stored {
    run: StoredRun,
}

#[derive(Deserialize)]
struct StoredRun {
    command: String,
}

/// Bytes of log that the old primary had written behind the position where this history left it, as far as stored
/// samples of the link show; 0 when they show none.
pub(crate) fn left_behind(state: Option<&State>, link: &str, history: &Ancestry) -> u64 {
    let Some(state) = state else { return 0 };
    let ids = state.list_runs().unwrap_or_default();
    let read = |id| state.load_run(Which::Id(id)).ok();
    let is_lag = |json: &[u8]| {
        serde_json::from_slice::<Stored>(json).is_ok_and(|stored| stored.run.command == "lag")
    };
    let runs = ids.into_iter().rev().take(RUNS_MAX).filter_map(read).filter(|run| is_lag(&run.json)).take(SAMPLES_MAX);
    let reports = runs.filter_map(|run| serde_json::from_slice::<Report>(&run.json).ok());
    reports.map(|report| behind(&report, link, history)).max().unwrap_or(0)
}

fn behind(report: &Report, link: &str, history: &Ancestry) -> u64 {
    let links = report.links.iter().filter(|one| one.name == link);
    let streams = links.flat_map(|link| &link.checks).flat_map(|check| match check {
        Check::Lag(check) => check.streams.as_slice(),
        _ => &[],
    });
    streams.filter_map(|stream| beyond(stream, history)).max().unwrap_or(0)
}

fn beyond(stream: &LagStream, history: &Ancestry) -> Option<u64> {
    let (system, timeline) = stream.source_lineage.as_deref()?.split_once('/')?;
    let timeline: u32 = timeline.parse().ok()?;
    if system != history.system.to_string() {
        return None;
    }
    // Only of the promotion that is looked at: earlier ones were losses of their own.
    let left = history.switches.last().filter(|switch| switch.timeline == timeline)?;
    let (_, position) = stream.source_position.as_deref()?.split_once('/')?;
    let Lsn(position) = position.parse().ok()?;
    Some(position.saturating_sub(left.at.0))
}
