//! Telling drift from replication in flight, by reading suspects again around a fence.
//!
//! One round for a set of keys: read them on the source (before); take the source's position as a
//! fence and wait until the replica has applied it; read them on the replica; read them on the
//! source again (after). What that says about a key is decided in [`crate::judge`]. What was written
//! meanwhile goes into the next round, up to a limit; then it is unproven.

use crate::Side;
use crate::fence::{Fence, fence, held};
use crate::judge::{Judgement, Readings, judge};
use crate::locate::fetch;
use crate::matching::{Groups, Mismatch, group};
use crate::rows::{Failure, Origin};
use paritas_connect::Scan;
use paritas_model::{Class, Proof};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Rounds after which a key that never settles is left unproven.
const ROUNDS_MAX: u32 = 12;
/// Rounds that are made even when the time to settle is over: a row that only the replica has is
/// proven by two readings of it.
const ROUNDS_MIN: u32 = 3;
/// Pause before the second round; doubled each time up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What confirming came to. Every key that was handed in has either arrived or is in `differing`.
#[derive(Debug, Default)]
pub(crate) struct Confirmed {
    /// Differing keys with their mismatches and the proof of each. The list is empty where the key
    /// was never read, or its rows were equal but in motion: such a key is unproven.
    pub(crate) differing: BTreeMap<Vec<u8>, Vec<(Mismatch, Proof)>>,
    /// Keys that turned out equal: their change was in flight.
    pub(crate) arrived: u64,
    /// Why keys are left unproven, if any are.
    pub(crate) why: Option<String>,
    /// What ended it early. What is known by then is in `differing`.
    pub(crate) failure: Option<Failure>,
}

/// Both sides with the views whose lookups are used.
pub(crate) struct Pair<'a> {
    pub(crate) source: (&'a Side, &'a dyn Scan),
    pub(crate) replica: (&'a Side, &'a dyn Scan),
}

/// A key that is not settled yet.
#[derive(Debug, Default)]
struct Open {
    found: Vec<(Mismatch, Proof)>,
    on_replica: Option<Vec<paritas_connect::FetchedRow>>,
}

/// Confirms the suspects `keys` (canonical key bytes), for about `settle`. Never fails as a whole.
pub(crate) async fn confirm(pair: &Pair<'_>, keys: Vec<Vec<u8>>, settle: Duration) -> Confirmed {
    let mut confirmed = Confirmed::default();
    let mut open: BTreeMap<Vec<u8>, Open> = keys.into_iter().map(|key| (key, Open::default())).collect();
    if let Err(failure) = rounds(pair, &mut open, &mut confirmed, settle).await {
        confirmed.why = Some(failure.1.to_string());
        confirmed.failure = Some(failure);
    }
    for (key, left) in open {
        confirmed.differing.insert(key, left.found);
    }
    confirmed
}

async fn rounds(
    pair: &Pair<'_>,
    open: &mut BTreeMap<Vec<u8>, Open>,
    confirmed: &mut Confirmed,
    settle: Duration,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut pause = PAUSE;
    let mut held_back = None;
    for round in 1..=ROUNDS_MAX {
        let keys: Vec<Vec<u8>> = open.keys().cloned().collect();
        match read_round(pair, &keys, settle).await? {
            Round::Read(readings) => {
                let held = match readings.replica_only() {
                    true => held(pair.source.0).await.map_err(|error| (Origin::Source, error))?,
                    false => None,
                };
                judge_round(&keys, readings, held.is_some(), open, confirmed);
                held_back = held;
            }
            // The replica does not get there: what is open stays open, and that is the answer.
            Round::Missed(why) => {
                confirmed.why = Some(why);
                return Ok(());
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        tracing::debug!(round, open = open.len(), "suspects still open");
        if round == ROUNDS_MAX || (started.elapsed() >= settle && round >= ROUNDS_MIN) {
            break;
        }
        pair.source.0.pause(pause).await.map_err(|error| (Origin::Comparison, error))?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    confirmed.why = held_back.or_else(|| Some("rows kept changing while they were read again".to_owned()));
    Ok(())
}

fn judge_round(
    keys: &[Vec<u8>],
    mut readings: GroupReadings,
    held: bool,
    open: &mut BTreeMap<Vec<u8>, Open>,
    confirmed: &mut Confirmed,
) {
    for key in keys {
        let mut take = |groups: fn(&mut GroupReadings) -> &mut Groups| groups(&mut readings).remove(key);
        let before = take(|r| &mut r.before).unwrap_or_default();
        let replica = take(|r| &mut r.replica).unwrap_or_default();
        let after = take(|r| &mut r.after).unwrap_or_default();
        let Some(state) = open.get_mut(key) else { continue };
        let last = state.on_replica.as_deref();
        match judge(&Readings { before: &before, replica: &replica, after: &after, last }) {
            Judgement::Arrived => {
                open.remove(key);
                confirmed.arrived += 1;
            }
            // A row that only the replica has may come from a commit that the source does not show yet.
            Judgement::Proven(found) if held && found.iter().any(|mismatch| mismatch.class == Class::Extra) => {
                let found = found.into_iter().map(|mismatch| (mismatch, Proof::Unproven)).collect();
                *state = Open { found, on_replica: Some(replica) };
            }
            Judgement::Proven(found) => {
                open.remove(key);
                let found = found.into_iter().map(|mismatch| (mismatch, Proof::Proven)).collect();
                confirmed.differing.insert(key.clone(), found);
            }
            Judgement::Open(found) => *state = Open { found, on_replica: Some(replica) },
        }
    }
}

#[derive(Debug)]
struct GroupReadings {
    before: Groups,
    replica: Groups,
    after: Groups,
}

impl GroupReadings {
    /// Whether the replica has rows for a key under which the source has fewer.
    fn replica_only(&self) -> bool {
        let fewer = |key: &Vec<u8>, rows: usize| self.after.get(key).map_or(0, Vec::len) < rows;
        self.replica.iter().any(|(key, rows)| fewer(key, rows.len()))
    }
}

enum Round {
    Read(GroupReadings),
    Missed(String),
}

async fn read_round(pair: &Pair<'_>, keys: &[Vec<u8>], settle: Duration) -> Result<Round, Failure> {
    let (source, source_scan) = pair.source;
    let (replica, replica_scan) = pair.replica;
    let at_source = |error| (Origin::Source, error);
    let before = group(fetch(source, source_scan, keys).await.map_err(at_source)?);
    if let Fence::Missed(why) = fence(source, replica, settle).await? {
        return Ok(Round::Missed(why));
    }
    let on_replica = group(fetch(replica, replica_scan, keys).await.map_err(|error| (Origin::Replica, error))?);
    let after = group(fetch(source, source_scan, keys).await.map_err(at_source)?);
    Ok(Round::Read(GroupReadings { before, replica: on_replica, after }))
}
