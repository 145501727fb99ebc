//! The rows in some pages, held against each other where they stand.
//!
//! On a byte by byte copy a row stands in the same place on both sides, so the place takes the part of
//! a key: no index is needed to find a row, and none can hide it.

use super::Pair;
use crate::Side;
use crate::fence::{Fence, fence};
use crate::judge::{Judgement, Readings, judge};
use crate::matching::Mismatch;
use crate::rows::{Failure, Origin};
use paritas_connect::{FailureKind, FetchedRow, PageReader, PageRelation, ScanRequest};
use paritas_model::Proof;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Rounds, at most.
const ROUNDS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// What the rows of some pages are.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Differing rows. Without proof where they kept changing.
    pub(super) rows: Vec<(Mismatch, Proof)>,
    /// Rows that were compared.
    pub(super) compared: u64,
    /// Why the replica's rows could not be read.
    pub(super) unread: Option<String>,
}

type Rows = BTreeMap<String, Vec<FetchedRow>>;
type Differing = Vec<(Mismatch, Proof)>;

/// A place whose rows are not settled: what differs, and what the replica showed.
type Open = BTreeMap<String, (Differing, Vec<FetchedRow>)>;

/// Compares the rows of these pages of one relation.
pub(super) async fn of_blocks(pair: &Pair<'_>, relation: &PageRelation, blocks: &[u64]) -> Result<Found, Failure> {
    let request = pair.request;
    let mut found = Found::default();
    let mut open: Option<Open> = None;
    for round in 1..=ROUNDS_MAX {
        let before = read(request.source, &*pair.source, relation, &request.plan.source, blocks).await;
        let before = before.map_err(|error| (Origin::Source, error))?;
        if let Fence::Missed(_) = fence(request.source, request.replica, request.settle).await? {
            break;
        }
        let replica = match read(request.replica, &*pair.replica, relation, &request.plan.replica, blocks).await {
            Ok(rows) => rows,
            // A damaged page may make any value unreadable, in many words.
            Err(error) if matches!(error.kind(), FailureKind::Damaged | FailureKind::Permanent) => {
                found.unread = Some(error.to_string());
                return Ok(found);
            }
            Err(error) => return Err((Origin::Replica, error)),
        };
        let after = read(request.source, &*pair.source, relation, &request.plan.source, blocks).await;
        let after = after.map_err(|error| (Origin::Source, error))?;
        open = Some(judged(&before, &replica, &after, open.as_ref(), &mut found));
        if round == ROUNDS_MAX || open.as_ref().is_none_or(BTreeMap::is_empty) {
            break;
        }
        request.source.pause(PAUSE).await.map_err(|error| (Origin::Comparison, error))?;
    }
    found.rows.extend(open.into_iter().flatten().flat_map(|(_, (differing, _))| differing));
    Ok(found)
}

/// Judges every place in the first round, and those left open in later ones.
fn judged(before: &Rows, replica: &Rows, after: &Rows, last: Option<&Open>, found: &mut Found) -> Open {
    let places: BTreeSet<&String> = match last {
        Some(open) => open.keys().collect(),
        None => before.keys().chain(replica.keys()).chain(after.keys()).collect(),
    };
    let mut open = Open::new();
    for place in places {
        let rows = |all: &Rows| all.get(place).cloned().unwrap_or_default();
        let (before, on_replica, after) = (rows(before), rows(replica), rows(after));
        let earlier = last.and_then(|open| open.get(place)).map(|(_, rows)| rows.as_slice());
        let readings = Readings { before: &before, replica: &on_replica, after: &after, last: earlier };
        match judge(&readings) {
            Judgement::Arrived => found.compared += 1,
            Judgement::Proven(rows) => found.rows.extend(rows.into_iter().map(|row| (row, Proof::Proven))),
            Judgement::Open(rows) => {
                open.insert(place.clone(), (rows, on_replica));
            }
        }
    }
    open
}

async fn read(
    side: &Side,
    reader: &dyn PageReader,
    relation: &PageRelation,
    request: &ScanRequest,
    blocks: &[u64],
) -> paritas_connect::Result<Rows> {
    let rows = side.again("read rows of pages", || reader.rows(&side.cx, relation, request, blocks)).await?;
    let mut by_place = Rows::new();
    for row in rows {
        by_place.entry(row.place.clone().unwrap_or_default()).or_default().push(row);
    }
    Ok(by_place)
}
