//! How a probe begins: with both servers as they must be, or with an observation of a probe that ended.

use super::clock::Clock;
use super::hand::{problem, run_of};
use super::keep::Shelf;
use super::{ProbeOptions, Watched};
use crate::error::problem_of;
use crate::failover::is_gone;
use paritas_connect::{Context, Error, FailureKind, HeartbeatRow, Heartbeats, Result, Standing};
use paritas_model::{Ancestry, Known};
use paritas_probe::Observation;
use paritas_report::Problem;
use std::time::Duration;

/// A row that another probe wrote so recently is in use.
const IN_USE_MIN: Duration = Duration::from_secs(30);
/// The same in intervals.
const IN_USE_INTERVALS: u32 = 10;
/// Numbers that are left out when a probe is started again: those of writes that were not noted any more.
const SKIPPED: u64 = 1_000;
/// Starts of the machine that one observation can span.
const CLOCKS_MAX: usize = 64;
/// Time for what is asked once, in time-outs of an attempt.
const START_TIMEOUTS: u32 = 5;
/// And no less than this where nothing goes on: several connections are made.
const START_MIN: Duration = Duration::from_secs(10);

/// How a probe begins.
pub(super) struct Start {
    pub(super) observation: Observation,
    pub(super) resumed: bool,
    pub(super) notes: Vec<String>,
}

/// Begins, or goes on.
pub(super) async fn start(
    cx: &Context,
    watched: &Watched,
    probe: &ProbeOptions,
    shelf: &Shelf,
    clock: &Clock,
) -> Result<Start, Problem> {
    let stored = shelf.newest();
    // During an outage a probe that goes on must not wait for long.
    let least = if stored.is_some() { Duration::ZERO } else { START_MIN };
    let cx = cx.clone().with_timeout((probe.timeout * START_TIMEOUTS).max(least));
    let standing = |opened: &crate::registry::Opened| {
        let (store, cx) = (std::sync::Arc::clone(&opened.store), cx.clone());
        async move {
            let lineages = store.lineages().ok_or_else(|| Error::unsupported("lineage"))?;
            cx.bound(lineages.standing(&cx)).await
        }
    };
    let (source, replica) = tokio::join!(standing(&watched.source), standing(&watched.replica));
    let stored = stored.filter(|stored| goes_on(stored, probe, source.as_ref(), replica.as_ref()));
    if let Some(mut observation) = stored {
        observation.resume(clock.name());
        observation.next_sequence = observation.next_sequence.saturating_add(SKIPPED);
        (observation.every_ms, observation.timeout_ms) = (millis(probe.every), millis(probe.timeout));
        return Ok(Start { observation, resumed: true, notes: Vec::new() });
    }
    let source = source.map_err(|error| side("source", problem_of(&error)))?;
    let (lineage, notes) = fitting(&source, replica.as_ref())?;
    let begun = clock.now();
    let instance = run_of(&source.instance).to_owned();
    let mut observation = Observation::begin(shelf.id().to_string(), lineage, instance, begun, clock.name().to_owned());
    observation.writes = probe.heartbeat.is_some();
    observation.table.clone_from(&probe.heartbeat);
    (observation.every_ms, observation.timeout_ms) = (millis(probe.every), millis(probe.timeout));
    if let Some(table) = &probe.heartbeat {
        let heartbeats = watched.source.store.heartbeats();
        let heartbeats = heartbeats.ok_or_else(|| problem_of(&Error::unsupported("heartbeats")))?;
        let row = first_look(&cx, heartbeats, table, &watched.name, &mut observation)
            .await
            .map_err(|error| side("source", problem_of(&error)))?;
        if let Some(row) = row {
            take_over(&row, probe, shelf)?;
            observation.next_sequence = row.sequence.saturating_add(1);
            observation.predecessor = Some(row.owner);
        }
    }
    Ok(Start { observation, resumed: false, notes })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn side(name: &str, mut problem: Problem) -> Problem {
    problem.message = format!("{name}: {}", problem.message);
    problem
}

/// Whether the table is fit, what its row holds, and what an acknowledgement is worth.
async fn first_look(
    cx: &Context,
    heartbeats: &dyn Heartbeats,
    table: &str,
    key: &str,
    observation: &mut Observation,
) -> Result<Option<HeartbeatRow>> {
    heartbeats.check_table(cx, table).await?;
    let mut pen = heartbeats.pen(Some(table))?;
    let look = pen.look(cx).await?;
    observation.synchronous_commit = Some(look.commit);
    pen.read(cx, key).await
}

/// A row of another probe is written over only when that is at rest, or was one of ours.
fn take_over(row: &HeartbeatRow, probe: &ProbeOptions, shelf: &Shelf) -> Result<(), Problem> {
    let rest = (probe.every * IN_USE_INTERVALS).max(IN_USE_MIN).as_secs_f64();
    if row.age_seconds > rest || shelf.owns(&row.owner) {
        return Ok(());
    }
    let message = format!("another probe wrote the row of this link {:.0} s ago", row.age_seconds.max(0.0));
    let hint =
        format!("stop it, or wait until it has been at rest for {rest:.0} s, or give this probe a table of its own");
    Err(problem("probe.taken", &message, &hint))
}

/// Whether an observation is one of what the servers are now.
fn goes_on(
    stored: &Observation,
    probe: &ProbeOptions,
    source: Result<&Standing, &Error>,
    replica: Result<&Standing, &Error>,
) -> bool {
    if stored.writes != probe.heartbeat.is_some() || stored.table != probe.heartbeat {
        return false;
    }
    if stored.clocks.len() >= CLOCKS_MAX {
        return false;
    }
    let old = &stored.lineage;
    let related = |ancestry: &Ancestry| {
        ancestry == old
            || old
                .fork(ancestry)
                .is_some_and(|fork| fork.timeline == old.timeline && ancestry.left(old.timeline) == Some(fork.at))
    };
    let known = |side: Result<&Standing, &Error>| side.ok().and_then(|standing| standing.ancestry.value().cloned());
    let fits = |side: Result<&Standing, &Error>| match side {
        Ok(_) => known(side).is_some_and(|ancestry| related(&ancestry)),
        Err(error) => silent(error),
    };
    // A new pair: the source was promoted since, and the replica follows it.
    let new_pair = match (source, replica) {
        (Ok(source), Ok(replica)) => {
            !source.in_recovery && replica.in_recovery && source.ancestry.value().is_some_and(|own| own != old)
        }
        _ => false,
    };
    fits(source) && fits(replica) && !new_pair
}

/// Whether nobody answered, or not in time.
fn silent(error: &Error) -> bool {
    is_gone(error) || error.kind() == FailureKind::Deadline
}

/// The history of the source, if both servers are what the two sides of a link must be.
fn fitting(source: &Standing, replica: Result<&Standing, &Error>) -> Result<(Ancestry, Vec<String>), Problem> {
    if source.in_recovery {
        let hint = "name the server that takes writes first: paritas probe PRIMARY STANDBY";
        return Err(problem("usage.direction", "the source is a standby", hint));
    }
    let ours = match &source.ancestry {
        Known::Known(ancestry) => ancestry.clone(),
        Known::Unknown { why } => {
            let hint = "without its history, a failover cannot be told from another server that takes writes";
            return Err(problem("lineage.unknown", &format!("source: {why}"), hint));
        }
    };
    let replica = match replica {
        Ok(replica) => replica,
        Err(error) if silent(error) => {
            return Ok((ours, vec!["the replica did not answer when the probe began".to_owned()]));
        }
        Err(error) => return Err(side("replica", problem_of(error))),
    };
    if replica.instance == source.instance {
        let hint = "name the primary and its standby";
        return Err(problem("usage.same", "source and replica are the same server", hint));
    }
    if !replica.in_recovery {
        let message = "the replica is no standby: it was promoted already, or never was one";
        return Err(problem("probe.promoted", message, "ask `paritas failover` what it cost"));
    }
    match &replica.ancestry {
        Known::Known(theirs) if theirs.system != ours.system => {
            let message =
                format!("the replica is a standby of another cluster, {} and not {}", theirs.system, ours.system);
            Err(problem("lineage.forked", &message, "name the two servers of one cluster"))
        }
        Known::Known(_) => Ok((ours, Vec::new())),
        Known::Unknown { why } => {
            let hint = "without its history, its promotion cannot be proven";
            Err(problem("lineage.unknown", &format!("replica: {why}"), hint))
        }
    }
}
