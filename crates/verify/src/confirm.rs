//! Telling drift from replication in flight, by reading suspects again around a fence.
//!
//! One round for a set of keys: read them on the source (before); take the source's position as a
//! fence and wait until the replica has applied it; read them on the replica; read them on the
//! source again (after). A replica that equals either source reading was in flight. A source that
//! was not written between its two readings, and a replica that differs, is proven drift. Anything
//! else was written meanwhile and goes into the next round, up to a limit; then it is unproven.

use crate::Side;
use crate::locate::fetch;
use crate::matching::{Groups, Mismatch, equal, group, mismatches, unchanged};
use paritas_connect::{Error, FailureKind, FetchedRow, Result, Scan};
use paritas_model::Proof;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Rounds after which a key that never settles is left unproven.
const ROUNDS_MAX: u32 = 12;
/// Pause before the second round; doubled each time up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What confirming came to.
#[derive(Debug, Default)]
pub(crate) struct Confirmed {
    /// Mismatches with their proof.
    pub(crate) mismatches: Vec<(Mismatch, Proof)>,
    /// Keys that turned out equal: their change was in flight.
    pub(crate) arrived: u64,
    /// Why keys are left unproven, if any are.
    pub(crate) why: Option<String>,
}

/// Both sides with the views whose lookups are used.
pub(crate) struct Pair<'a> {
    pub(crate) source: (&'a Side, &'a dyn Scan),
    pub(crate) replica: (&'a Side, &'a dyn Scan),
}

/// What one round says about a key.
enum Judgement {
    Arrived,
    Proven(Vec<Mismatch>),
    Open(Vec<Mismatch>),
}

/// Confirms the suspects `keys` (canonical key bytes), for at most `settle`.
pub(crate) async fn confirm(pair: &Pair<'_>, keys: Vec<Vec<u8>>, settle: Duration) -> Result<Confirmed> {
    let mut confirmed = Confirmed::default();
    let mut open: BTreeMap<Vec<u8>, Vec<Mismatch>> = keys.into_iter().map(|key| (key, Vec::new())).collect();
    let mut seen_on_replica = Groups::new();
    let started = Instant::now();
    let mut pause = PAUSE;
    for round in 1..=ROUNDS_MAX {
        let keys: Vec<Vec<u8>> = open.keys().cloned().collect();
        let readings = match read_round(pair, &keys, settle).await {
            Ok(readings) => readings,
            // The replica does not get there: what is open stays open, and that is the answer.
            Err(error) if error.kind() == FailureKind::Deadline && pair.replica.0.cx.check().is_ok() => {
                confirmed.why = Some(error.to_string());
                break;
            }
            Err(error) => return Err(error),
        };
        for key in keys {
            let rows = |groups: &Groups| groups.get(&key).cloned().unwrap_or_default();
            let replica = rows(&readings.replica);
            match judge(&rows(&readings.before), &replica, &rows(&readings.after), seen_on_replica.get(&key)) {
                Judgement::Arrived => {
                    open.remove(&key);
                    confirmed.arrived += 1;
                }
                Judgement::Proven(found) => {
                    open.remove(&key);
                    confirmed.mismatches.extend(found.into_iter().map(|mismatch| (mismatch, Proof::Proven)));
                }
                Judgement::Open(found) => {
                    open.insert(key.clone(), found);
                    seen_on_replica.insert(key, replica);
                }
            }
        }
        if open.is_empty() {
            return Ok(confirmed);
        }
        tracing::debug!(round, open = open.len(), "suspects still open");
        if started.elapsed() >= settle && round > 2 {
            break;
        }
        pair.source.0.cx.bound(async { Ok(tokio::time::sleep(pause).await) }).await?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    let why = || "rows kept changing while they were read again".to_owned();
    confirmed.why = Some(confirmed.why.take().unwrap_or_else(why));
    for (_, found) in open {
        confirmed.mismatches.extend(found.into_iter().map(|mismatch| (mismatch, Proof::Unproven)));
    }
    Ok(confirmed)
}

struct Readings {
    before: Groups,
    replica: Groups,
    after: Groups,
}

async fn read_round(pair: &Pair<'_>, keys: &[Vec<u8>], settle: Duration) -> Result<Readings> {
    let (source, source_scan) = pair.source;
    let (replica, replica_scan) = pair.replica;
    let before = group(fetch(source, source_scan, keys).await?);
    fence(source, replica, settle).await?;
    let on_replica = group(fetch(replica, replica_scan, keys).await?);
    let after = group(fetch(source, source_scan, keys).await?);
    Ok(Readings { before, replica: on_replica, after })
}

/// Waits until the replica shows everything that the source shows now.
pub(crate) async fn fence(source: &Side, replica: &Side, settle: Duration) -> Result<paritas_model::Position> {
    let positions = |side: &Side| -> Result<()> {
        side.store.positions().map(|_| ()).ok_or_else(|| Error::unsupported("positions"))
    };
    positions(source)?;
    positions(replica)?;
    let fence = match source.store.positions() {
        Some(stream) => source.cx.bound(stream.current(&source.cx)).await?,
        None => return Err(Error::unsupported("positions")),
    };
    if let Some(stream) = replica.store.positions() {
        let cx = replica.cx.clone().with_timeout(settle);
        cx.bound(stream.wait_for(&cx, &fence)).await?;
    }
    Ok(fence)
}

fn judge(
    before: &[FetchedRow],
    replica: &[FetchedRow],
    after: &[FetchedRow],
    replica_last_round: Option<&Vec<FetchedRow>>,
) -> Judgement {
    if equal(before, replica) || equal(after, replica) {
        return Judgement::Arrived;
    }
    let found = mismatches(after, replica, true);
    // A row that is there and was not written in between proves itself by its version. An absent
    // row has no version: it might have come and gone. Then the replica's row must be the same one
    // in two rounds, each fenced after an absence on the source.
    let versions_known = after.iter().all(|row| row.version.is_some());
    let settled = unchanged(before, after) && versions_known && !after.is_empty();
    let absent_twice = before.is_empty()
        && after.is_empty()
        && replica_last_round.is_some_and(|last| !last.is_empty() && unchanged(last, replica));
    if settled || absent_twice { Judgement::Proven(found) } else { Judgement::Open(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_connect::FetchedField;
    use paritas_model::Value;

    fn row(value: u8, version: u64) -> FetchedRow {
        let fields = vec![FetchedField { canonical: Some(vec![value]), shown: Value::Int(value.into()) }];
        FetchedRow { found: None, key: vec![1], fields, place: None, version: Some(version) }
    }

    #[test]
    fn a_replica_that_equals_either_reading_of_the_source_was_in_flight() {
        let (old, new) = (row(1, 1), row(2, 2));
        assert!(matches!(judge(&[old.clone()], &[old.clone()], &[new.clone()], None), Judgement::Arrived));
        assert!(matches!(judge(&[old], &[new.clone()], &[new], None), Judgement::Arrived));
        assert!(matches!(judge(&[], &[], &[row(1, 1)], None), Judgement::Arrived));
    }

    #[test]
    fn an_unwritten_source_row_and_another_replica_row_are_proven_drift() {
        let (source, replica) = (row(1, 1), row(9, 5));
        assert!(matches!(judge(&[source.clone()], &[replica], &[source], None), Judgement::Proven(_)));
    }

    #[test]
    fn a_source_row_that_was_written_and_written_back_proves_nothing() {
        let judged = judge(&[row(1, 1)], &[row(2, 2)], &[row(1, 3)], None);
        assert!(matches!(judged, Judgement::Open(_)));
    }

    #[test]
    fn a_row_only_on_the_replica_must_stay_the_same_for_two_rounds() {
        let extra = vec![row(9, 5)];
        assert!(matches!(judge(&[], &extra, &[], None), Judgement::Open(_)));
        assert!(matches!(judge(&[], &extra, &[], Some(&vec![row(9, 4)])), Judgement::Open(_)));
        assert!(matches!(judge(&[], &extra, &[], Some(&extra)), Judgement::Proven(_)));
    }
}
