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
    let is_lag = |json: &[u8]| serde_json::from_slice::<Stored>(json).is_ok_and(|stored| stored.run.command == "lag");
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_model::Switch;
    use paritas_state::RunRecord;
    use rstest::rstest;
    use serde_json::json;
    use ulid::Ulid;

    fn keep(state: &State, id: u64, command: &str, lineage: Option<&str>, position: &str) {
        let id = Ulid::from_parts(id, 1);
        let store = json!({"store": "east", "kind": "postgres", "region": null});
        let stream = json!({
            "stream": "wal/1", "state": "behind", "bytes": 1, "records": null, "versions": null, "seconds": null,
            "method": null, "source_lineage": lineage, "source_position": position, "replica_position": null,
            "observed_at": null, "details": {}
        });
        let report = json!({
            "schema_version": 1, "message_type": "report", "verdict": "pass", "exit_code": 0,
            "run": {"id": id.to_string(), "command": command, "started_at": "", "ended_at": "", "version": "", "config": null},
            "links": [{
                "name": "trading", "tier": null, "verdict": "pass", "source": store, "replica": store, "not_checked": [],
                "checks": [{"check": "lag", "verdict": "pass", "objective": null, "streams": [stream], "samples": 1,
                            "seconds": 0.1}]
            }]
        });
        // What is kept is what a report reads back.
        serde_json::from_value::<Report>(report.clone()).unwrap();
        state.save_run(&RunRecord { id, json: serde_json::to_vec(&report).unwrap() }).unwrap();
    }

    #[rstest]
    #[case::behind_the_switchpoint("lag", Some("7/1"), "1/0/58", 8)]
    #[case::at_it("lag", Some("7/1"), "1/0/50", 0)]
    #[case::before_it("lag", Some("7/1"), "1/0/40", 0)]
    #[case::another_cluster("lag", Some("8/1"), "1/0/58", 0)]
    #[case::another_timeline("lag", Some("7/2"), "2/0/58", 0)]
    #[case::of_no_history("lag", None, "1/0/58", 0)]
    #[case::of_another_command("verify", Some("7/1"), "1/0/58", 0)]
    #[case::garbage("lag", Some("7/1"), "1/0/x", 0)]
    fn a_sample_counts_where_it_belongs(
        #[case] command: &str,
        #[case] lineage: Option<&str>,
        #[case] position: &str,
        #[case] expected: u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let history = Ancestry { system: 7, timeline: 2, switches: vec![Switch { timeline: 1, at: Lsn(0x50) }] };
        assert_eq!(left_behind(Some(&state), "trading", &history), 0);
        keep(&state, 1, command, lineage, position);
        assert_eq!(left_behind(Some(&state), "trading", &history), expected);
        assert_eq!(left_behind(Some(&state), "other", &history), 0);
        // The one that came farthest counts.
        keep(&state, 2, "lag", Some("7/1"), "1/0/51");
        assert_eq!(left_behind(Some(&state), "trading", &history), expected.max(1));
    }
}
