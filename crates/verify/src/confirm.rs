//! Telling drift from replication in flight, by reading suspects again around a fence.
//!
//! One round for a set of keys: read them on the source (before); take the source's position as a
//! fence and wait until the replica has applied it; read them on the replica; read them on the
//! source again (after). What that says about a key is decided in [`crate::judge`]. What was written
//! meanwhile goes into the next round, up to a limit; then it is unproven.

use crate::Side;
use crate::fence::{Fence, fence, held};
use crate::judge::{Judgement, Readings, judge};
use crate::locate::{Way, fetch};
use crate::matching::{Groups, Mismatch, group};
use crate::rows::{Failure, Origin};
use paritas_connect::{FetchedRow, Scan};
use paritas_model::{Class, Proof};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Rounds after which a key that never settles is left unproven.
const ROUNDS_MAX: u32 = 12;
/// Rounds that are made even when the time to settle is over: a row that only the replica has is
/// proven by two readings of it.
const ROUNDS_MIN: u32 = 3;
/// Keys that are looked for without an index, at most: a statement over the whole dataset for each thousand.
const UNINDEXED_MAX: usize = 10_000;
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
    /// Keys among those that arrived of which nothing says that they were written since the scan.
    unexplained: Vec<Vec<u8>>,
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
    on_replica: Option<Vec<FetchedRow>>,
}

/// Confirms the suspects `keys` (canonical key bytes), for about `settle`. Never fails as a whole.
pub(crate) async fn confirm(pair: &Pair<'_>, keys: Vec<Vec<u8>>, settle: Duration) -> Confirmed {
    let mut confirmed = Confirmed::default();
    let mut open: BTreeMap<Vec<u8>, Open> = keys.into_iter().map(|key| (key, Open::default())).collect();
    let mut ended = rounds(pair, &mut open, &mut confirmed, settle, Way::Indexed).await;
    let unexplained = std::mem::take(&mut confirmed.unexplained);
    if ended.is_ok() && !unexplained.is_empty() {
        // The scan saw them differ, and nothing says that they were written since. A damaged index hides
        // rows from a look-up, so the table itself is asked.
        confirmed.arrived -= unexplained.len() as u64;
        let later = unexplained.len().saturating_sub(UNINDEXED_MAX);
        let mut keys = unexplained.into_iter();
        let mut again: BTreeMap<Vec<u8>, Open> =
            keys.by_ref().take(UNINDEXED_MAX).map(|key| (key, Open::default())).collect();
        ended = rounds(pair, &mut again, &mut confirmed, settle, Way::Unindexed).await;
        open.append(&mut again);
        open.extend(keys.map(|key| (key, Open::default())));
        if later > 0 && confirmed.why.is_none() {
            confirmed.why = Some(format!("{later} rows were not looked for without an index"));
        }
    }
    if let Err(failure) = ended {
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
    way: Way,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut pause = PAUSE;
    let mut held_back = None;
    for round in 1..=ROUNDS_MAX {
        let keys: Vec<Vec<u8>> = open.keys().cloned().collect();
        match read_round(pair, &keys, settle, way).await? {
            Round::Read(mut readings) => {
                held_back = readings.held.take();
                judge_round(pair, &keys, readings, held_back.is_some(), open, confirmed);
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
    pair: &Pair<'_>,
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
                let newer = |rows: &[FetchedRow], scan: &dyn Scan| {
                    rows.iter().filter_map(|row| row.version).any(|version| scan.is_newer(version))
                };
                if !newer(&after, pair.source.1) && !newer(&replica, pair.replica.1) {
                    confirmed.unexplained.push(key.clone());
                }
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
    /// Why the source may not show yet what the replica shows, where it matters.
    held: Option<String>,
}

/// Whether one reading has rows for a key under which another has fewer.
fn more(one: &Groups, other: &Groups) -> bool {
    one.iter().any(|(key, rows)| other.get(key).map_or(0, Vec::len) < rows.len())
}

enum Round {
    Read(GroupReadings),
    Missed(String),
}

async fn read_round(pair: &Pair<'_>, keys: &[Vec<u8>], settle: Duration, way: Way) -> Result<Round, Failure> {
    let (source, source_scan) = pair.source;
    let (replica, replica_scan) = pair.replica;
    let at_source = |error| (Origin::Source, error);
    let before = group(fetch(source, source_scan, keys, way).await.map_err(at_source)?);
    if let Fence::Missed(why) = fence(source, replica, settle).await? {
        return Ok(Round::Missed(why));
    }
    let rows = fetch(replica, replica_scan, keys, way).await;
    let on_replica = group(rows.map_err(|error| (Origin::Replica, error))?);
    // Asked before the source is read again: a commit that is let go in between is seen by that reading.
    let held = if more(&on_replica, &before) { held(source).await.map_err(at_source)? } else { None };
    let after = group(fetch(source, source_scan, keys, way).await.map_err(at_source)?);
    Ok(Round::Read(GroupReadings { before, replica: on_replica, after, held }))
}
