//! What was lost, from abandoned timelines to the report: transactions, durations, the verdict on the objective.

use super::Evidence;
use super::observed::Seen;
use jiff::Timestamp;
use paritas_connect::Standing;
use paritas_model::{Known, Verdict};
use paritas_pgwal::{Abandoned, Commit, Origin, Running};
use paritas_report::{Bounds, LeftTimeline, LostTransaction, Rpo, UndecidedTransaction};
use std::collections::BTreeMap;
use std::time::Duration;

/// One timeline that was left behind, for the report.
pub(crate) fn timeline(abandoned: &Abandoned, replica: &Standing, max: usize) -> LeftTimeline {
    let names = &replica.databases;
    let times = Times::of(abandoned);
    let transactions = abandoned.commits().count();
    let survivor = abandoned.survivor.map(|survivor| survivor.time);
    LeftTimeline {
        timeline: abandoned.switch.timeline,
        switchpoint: abandoned.switch.at.to_string(),
        end: abandoned.stretches.last().map(|stretch| stretch.end.lsn.to_string()),
        read_from: read_from(abandoned),
        exact: abandoned.is_proven(),
        doubts: abandoned.doubts.clone(),
        transactions: transactions as u64,
        bytes: abandoned.bytes(),
        rolled_back: abandoned.aborts(),
        last_surviving: survivor.map(|time| time.to_string()),
        surviving_to_failure: failure(abandoned, replica, survivor),
        surviving_to_last_lost: times.since_survivor,
        first_to_last_lost: times.between,
        lost: abandoned.commits().take(max).map(|commit| lost(commit, names)).collect(),
        lost_truncated: transactions > max,
        undecided: abandoned
            .undecided()
            .iter()
            .map(|(prepare, _)| UndecidedTransaction {
                xid: prepare.xid,
                gid: prepare.gid.clone(),
                prepared_at: prepare.time.to_string(),
                database: Some(database(prepare.database, names)),
            })
            .collect(),
        rows: None,
    }
}

fn read_from(abandoned: &Abandoned) -> String {
    let beside = abandoned.beside.iter().map(|path| format!(", and {}", path.display())).collect::<String>();
    let first = match &abandoned.origin {
        Origin::Directory { path, control, running } => {
            let process = match running {
                Running::No => String::new(),
                Running::Stale(process) => format!(", process {process} is gone"),
                Running::Yes(process) => format!(", process {process} runs"),
            };
            format!("{} ({}{process})", path.display(), control.state)
        }
        Origin::Archives => "archived segments".to_owned(),
        Origin::Nothing => "nothing".to_owned(),
    };
    first + &beside
}

fn lost(commit: &Commit, names: &BTreeMap<u32, String>) -> LostTransaction {
    LostTransaction {
        xid: commit.xid,
        lsn: commit.lsn.to_string(),
        committed_at: commit.time.to_string(),
        database: commit.database.map(|oid| database(oid, names)),
        bytes: commit.bytes,
        subtransactions: commit.subxacts.clone(),
        prepared: commit.prepared,
        gid: commit.gid.clone(),
        touched: Vec::new(),
    }
}

/// The name on the new primary; one that was created after the switchpoint has none there.
fn database(oid: u32, names: &BTreeMap<u32, String>) -> String {
    names.get(&oid).cloned().unwrap_or_else(|| format!("oid {oid}"))
}

/// Commits may be in the log in another order than that of their times, by so much.
const DISORDER_SECONDS_MAX: f64 = 1.0;

/// Seconds between commits. Times are taken before records are written, so their order is nearly that of the log.
struct Times {
    /// From the first lost commit to the last one.
    between: Option<f64>,
    /// From the last surviving commit to the last lost one.
    since_survivor: Option<f64>,
}

impl Times {
    fn of(abandoned: &Abandoned) -> Self {
        let times = || abandoned.commits().map(|commit| commit.time);
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Self { between: None, since_survivor: None };
        };
        let mut latest = first;
        for time in times() {
            // In the order of the log: a clock that was set back in between makes every duration meaningless.
            if latest.duration_since(time).as_secs_f64() > DISORDER_SECONDS_MAX {
                return Self { between: None, since_survivor: None };
            }
            latest = latest.max(time);
        }
        let between = seconds(first, last);
        // A clock that was set back must not make the loss look smaller than what is lost.
        let since_survivor = abandoned.survivor.and_then(|survivor| {
            // Nothing follows from a survivor that is later than everything after it.
            let jumped = survivor.time.duration_since(last).as_secs_f64() > DISORDER_SECONDS_MAX;
            (!jumped).then(|| seconds(survivor.time, last).max(between))
        });
        Self { between: Some(between), since_survivor }
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// The failure lies between the last sign of life in the log and the promotion, where that followed this timeline.
fn failure(abandoned: &Abandoned, replica: &Standing, survivor: Option<Timestamp>) -> Bounds {
    let Some(survivor) = survivor else { return Bounds::default() };
    let seen = abandoned.stretches.iter().filter_map(|stretch| stretch.last_seen).max();
    let control = match &abandoned.origin {
        Origin::Directory { control, .. } => Some(control.time),
        Origin::Archives | Origin::Nothing => None,
    };
    let low = seen.into_iter().chain(control).max().map(|alive| seconds(survivor, alive));
    let newest = replica.ancestry.value().and_then(|ancestry| ancestry.switches.last());
    let promoted = match replica.promoted_at {
        Known::Known(at) if newest == Some(&abandoned.switch) => Timestamp::from_microsecond(at).ok(),
        _ => None,
    };
    // Two clocks: an upper bound below the lower one says nothing.
    let high = promoted.map(|promoted| seconds(survivor, promoted)).filter(|high| low.is_none_or(|low| *high >= low));
    Bounds { low, high }
}

/// The recovery point over all timelines that were left behind.
pub(super) fn rpo(evidence: &Evidence, objective: Option<Duration>) -> Rpo {
    let (found, seen) = (evidence.abandoned.as_slice(), &evidence.seen);
    let objective = objective.map(|limit| limit.as_secs_f64());
    let listed: usize = found.iter().map(|abandoned| abandoned.commits().count()).sum();
    let observed = match seen {
        Seen::This(observed) => Some(observed),
        Seen::Other(_) | Seen::Nothing => None,
    };
    let losses = observed.and_then(|observed| observed.losses());
    let heartbeats = losses.map_or(0, |losses| usize::try_from(losses.least).unwrap_or(usize::MAX));
    let least = listed.max(heartbeats);
    // Heartbeats are commits: the log must hold those that were acknowledged and are gone.
    let unlogged = heartbeats > listed;
    let exact = !found.is_empty() && found.iter().all(Abandoned::is_proven) && !unlogged;
    let read = found.iter().any(|abandoned| !abandoned.stretches.is_empty());
    let doubt = found.iter().find_map(|abandoned| abandoned.doubts.first().cloned());
    let why = match (found, doubt) {
        (found, None) if unlogged && !found.is_empty() => Some(UNLOGGED.to_owned()),
        ([], _) => Some("no timeline was left behind that could be read".to_owned()),
        (_, doubt) => doubt,
    };
    let times: Vec<Times> = found.iter().map(Times::of).collect();
    let proven = losses.map(|losses| losses.low.as_secs_f64());
    let low = times.iter().filter_map(|times| times.between).chain(proven).reduce(f64::max);
    let high = if exact && least == 0 {
        Some(0.0)
    } else if exact {
        let bounds = found.iter().zip(&times).filter(|(abandoned, _)| abandoned.commits().next().is_some());
        bounds
            .map(|(_, times)| times.since_survivor)
            .collect::<Option<Vec<f64>>>()
            .and_then(|all| all.into_iter().reduce(f64::max))
    } else {
        None
    };
    let low = low.unwrap_or(0.0);
    // A clock that contradicts what was read bounds nothing.
    let window = evidence.window.filter(|window| high.is_none() && *window >= low);
    let seconds = Bounds { low: Some(low), high: high.or(window) };
    let within = window.zip(objective).is_some_and(|(window, limit)| window <= limit);
    let why = match window {
        Some(_) if !exact => Some(format!(
            "{}; all that is lost was committed after the last snapshot was begun, and before the time of the failure",
            why.as_deref().unwrap_or("the log has no proven end")
        )),
        _ => why,
    };
    Rpo {
        verdict: if within { Verdict::Pass } else { verdict(exact, least, seconds, objective) },
        objective,
        seconds,
        transactions: exact.then_some(least as u64),
        transactions_at_least: least as u64,
        records: None,
        records_at_least: 0,
        bytes: exact.then(|| found.iter().map(Abandoned::bytes).sum()),
        bytes_at_least: bytes_at_least(evidence),
        seconds_if_down: losses
            .and_then(|losses| losses.if_down)
            .filter(|_| high.is_none())
            .map(|time| time.as_secs_f64()),
        method: match (read, window) {
            (true, _) => "wal",
            (false, Some(_)) => "snapshot",
            (false, None) => "interval",
        }
        .to_owned(),
        why: if exact { high.is_none().then(|| SURVIVOR_UNKNOWN.to_owned()) } else { why },
    }
}

/// Bytes of the old primary's log behind the switchpoint: read, or seen by a probe or a sample while it ran.
fn bytes_at_least(evidence: &Evidence) -> u64 {
    let read: u64 = evidence.abandoned.iter().map(Abandoned::bytes).sum();
    let seen = match &evidence.seen {
        Seen::This(observed) => observed.failover.left_bytes,
        Seen::Other(_) | Seen::Nothing => 0,
    };
    read.max(seen).max(evidence.sampled_bytes)
}

const UNLOGGED: &str = "heartbeats that were acknowledged are gone and not in the log that was read: commits were acknowledged \
                        before they reached it (synchronous_commit = off), or it is not the old primary's log";
const SURVIVOR_UNKNOWN: &str = "the last surviving commit lies too far back in the log, or its segment is gone, or a clock was set \
                                back between it and what is lost";

fn verdict(exact: bool, lost: usize, seconds: Bounds, objective: Option<f64>) -> Verdict {
    match (objective, seconds.low, seconds.high) {
        // Nobody said that anything may be lost.
        (None, ..) | (Some(0.0), ..) if lost > 0 => Verdict::Fail,
        (Some(limit), Some(low), _) if low > limit => Verdict::Fail,
        _ if !exact => Verdict::Unknown,
        _ if lost == 0 => Verdict::Pass,
        (Some(limit), _, Some(high)) if high <= limit => Verdict::Pass,
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing_lost(true, 0, 0.0, Some(0.0), None, Verdict::Pass)]
    #[case::nothing_lost_and_none_allowed(true, 0, 0.0, Some(0.0), Some(0.0), Verdict::Pass)]
    #[case::nothing_found(false, 0, 0.0, None, None, Verdict::Unknown)]
    #[case::nothing_found_with_an_objective(false, 0, 0.0, None, Some(60.0), Verdict::Unknown)]
    #[case::lost_and_nobody_allows_it(true, 1, 0.0, Some(0.5), None, Verdict::Fail)]
    #[case::at_least_one_and_nobody_allows_it(false, 1, 0.0, None, None, Verdict::Fail)]
    #[case::one_lost_and_none_allowed(true, 1, 0.0, Some(0.5), Some(0.0), Verdict::Fail)]
    #[case::within(true, 9, 0.1, Some(60.0), Some(60.0), Verdict::Pass)]
    #[case::between_the_bounds(true, 9, 0.1, Some(60.1), Some(60.0), Verdict::Unknown)]
    #[case::beyond(true, 9, 60.1, Some(70.0), Some(60.0), Verdict::Fail)]
    #[case::found_beyond(false, 9, 60.1, None, Some(60.0), Verdict::Fail)]
    #[case::found_within(false, 9, 0.1, None, Some(60.0), Verdict::Unknown)]
    #[case::no_survivor(true, 9, 0.1, None, Some(60.0), Verdict::Unknown)]
    fn an_objective_is_kept_only_by_what_is_proven(
        #[case] exact: bool,
        #[case] lost: usize,
        #[case] low: f64,
        #[case] high: Option<f64>,
        #[case] objective: Option<f64>,
        #[case] expected: Verdict,
    ) {
        assert_eq!(verdict(exact, lost, Bounds { low: Some(low), high }, objective), expected);
    }
}
