//! Telling differing pages from replication in flight: suspects read again around fences.

use super::judge::{End, Judgement, Readings, Unmatched, judge};
use super::pass::{RANGE, equal};
use super::{Differing, Pair, Place, maps};
use crate::Side;
use crate::fence::{Fence, fence, now};
use crate::rows::{Failure, Origin};
use paritas_connect::{Page, PageKind, PagePair, PageRange, PageReader, PageRelation, Transactions};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Rounds after which a page that never settles is left unproven.
const ROUNDS_MAX: u32 = 12;
/// Rounds that are made even when the time to settle is over: a page that only the replica has is
/// proven by two.
const ROUNDS_MIN: u32 = 3;
/// Pause before the second round; doubled each time up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Pages of one fence: three readings of them are in memory.
const BATCH: usize = 1024;
/// Pages that are read although nobody asked, rather than beginning another range.
const GAP: u64 = 4;
/// Attempts per round at catching a page that is written all the time on both sides in one version.
const CATCHES: u32 = 4;

/// What the rounds came to.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    /// Proven to differ, by place.
    pub(super) differing: Vec<Differing>,
    /// Turned out equal.
    pub(super) arrived: u64,
    /// Never settled.
    pub(super) unproven: Vec<Place>,
    /// The source cannot read them: what it said.
    pub(super) unreadable: Vec<(Place, String)>,
    /// Why pages are left unproven.
    pub(super) why: Option<String>,
    /// What ended it early.
    pub(super) failure: Option<Failure>,
}

impl Confirmed {
    fn take(&mut self, place: Place, judgement: Judgement, open: &mut Open) {
        if let Judgement::Open(unmatched) = judgement {
            open.insert(place, unmatched);
            return;
        }
        open.remove(&place);
        match judgement {
            Judgement::Proven(fault) => self.differing.push(Differing { place, fault }),
            Judgement::Unreadable(said) => self.unreadable.push((place, said)),
            Judgement::Settled | Judgement::Open(_) => self.arrived += 1,
        }
    }
}

type Open = BTreeMap<Place, Option<Unmatched>>;

/// Confirms suspects, for about as long as there is to settle. Never fails as a whole.
pub(super) async fn rounds(pair: &Pair<'_>, suspects: Vec<Place>, transactions: &mut Transactions) -> Confirmed {
    let mut confirmed = Confirmed::default();
    let mut open: Open = suspects.into_iter().map(|place| (place, None)).collect();
    if let Err(failure) = all(pair, &mut open, &mut confirmed, transactions).await {
        confirmed.why = Some(failure.1.to_string());
        confirmed.failure = Some(failure);
    }
    confirmed.unproven = open.into_keys().collect();
    confirmed.differing.sort_by_key(|one| one.place);
    confirmed
}

async fn all(
    pair: &Pair<'_>,
    open: &mut Open,
    confirmed: &mut Confirmed,
    transactions: &mut Transactions,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut pause = PAUSE;
    for round in 1..=ROUNDS_MAX {
        let places: Vec<Place> = open.keys().copied().collect();
        for batch in places.chunks(BATCH) {
            if let Some(missed) = one_batch(pair, batch, open, confirmed, transactions).await? {
                // The replica does not get there: what is open stays open, and that is the answer.
                confirmed.why = Some(missed);
                return Ok(());
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        tracing::debug!(round, open = open.len(), "pages still open");
        if round == ROUNDS_MAX || (started.elapsed() >= pair.request.settle && round >= ROUNDS_MIN) {
            break;
        }
        pair.request.source.pause(pause).await.map_err(|error| (Origin::Comparison, error))?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    confirmed.why = Some("pages kept changing while they were read again".to_owned());
    Ok(())
}

/// One round for some pages. Why the fence was missed, if it was.
async fn one_batch(
    pair: &Pair<'_>,
    batch: &[Place],
    open: &mut Open,
    confirmed: &mut Confirmed,
    transactions: &mut Transactions,
) -> Result<Option<String>, Failure> {
    let request = pair.request;
    let before = Reading::read(pair, Origin::Source, batch).await?;
    if let Fence::Missed(why) = fence(request.source, request.replica, request.settle).await? {
        return Ok(Some(why));
    }
    let replica = Reading::read(pair, Origin::Replica, batch).await?;
    let after = Reading::read(pair, Origin::Source, batch).await?;
    let end = now(request.source).await.map_err(|error| (Origin::Source, error))?;
    let end = End { version: end.value, is_last: pair.source.is_origin() };
    let mut moving = Vec::new();
    for place in batch {
        let Some(relation) = pair.relations.get(place.relation) else { continue };
        let last = open.get(place).copied().flatten();
        let readings = Readings {
            before: before.page(*place),
            replica: replica.page(*place),
            after: after.page(*place),
            last,
            end,
        };
        let compare = |source: &[u8], replica: &[u8]| {
            let (method, block) = (relation.method.as_str(), place.block);
            let pages = PagePair { relation: place.relation, method, block, source, replica };
            pair.source.compare(&pages, transactions)
        };
        let judgement = match relation.kind {
            PageKind::Map => maps::judge(pair, relation, *place).await?,
            _ => judge(&readings, |page| pair.source.version(page), compare),
        };
        if matches!(judgement, Judgement::Open(_)) {
            moving.push(*place);
        }
        confirmed.take(*place, judgement, open);
    }
    catch(pair, &moving, open, confirmed, transactions).await?;
    Ok(None)
}

/// Reads pages that are written all the time on both sides at once: where both come in one version,
/// that version did arrive.
async fn catch(
    pair: &Pair<'_>,
    moving: &[Place],
    open: &mut Open,
    confirmed: &mut Confirmed,
    transactions: &mut Transactions,
) -> Result<(), Failure> {
    for _ in 0..CATCHES {
        let left: Vec<Place> = moving.iter().copied().filter(|place| open.contains_key(place)).collect();
        for runs in runs(&left) {
            let Some(relation) = pair.relations.get(runs.0) else { continue };
            let (ours, theirs) = futures_util::future::join(
                read(pair.request.source, &*pair.source, relation, runs.1.clone()),
                read(pair.request.replica, &*pair.replica, relation, runs.1.clone()),
            )
            .await;
            let (ours, theirs) = (ours.map_err(|e| (Origin::Source, e))?, theirs.map_err(|e| (Origin::Replica, e))?);
            for block in runs.1 {
                let place = Place { relation: runs.0, block };
                let wanted = open.contains_key(&place);
                if wanted && equal(&*pair.source, relation, place, (&ours, &theirs), transactions) {
                    open.remove(&place);
                    confirmed.arrived += 1;
                }
            }
        }
    }
    Ok(())
}

pub(super) async fn read(
    side: &Side,
    reader: &dyn PageReader,
    relation: &PageRelation,
    range: Range<u64>,
) -> paritas_connect::Result<PageRange> {
    let pages = side.again("read pages again", || reader.read(&side.cx, relation, range.clone())).await?;
    side.budget.charge(0, pages.bytes.len() as u64)?;
    Ok(pages)
}

/// Pages of one side in one reading.
#[derive(Debug, Default)]
struct Reading {
    ranges: Vec<(usize, PageRange)>,
}

impl Reading {
    async fn read(pair: &Pair<'_>, origin: Origin, places: &[Place]) -> Result<Self, Failure> {
        let (side, reader) = match origin {
            Origin::Replica => (pair.request.replica, &*pair.replica),
            _ => (pair.request.source, &*pair.source),
        };
        let mut ranges = Vec::new();
        for (relation, range) in runs(places) {
            let Some(read_from) = pair.relations.get(relation) else { continue };
            let pages = read(side, reader, read_from, range).await.map_err(|error| (origin, error))?;
            ranges.push((relation, pages));
        }
        Ok(Self { ranges })
    }

    /// Ranges are in order, as the places were.
    fn page(&self, place: Place) -> Page<'_> {
        let after =
            self.ranges.partition_point(|(relation, range)| (*relation, range.first) <= (place.relation, place.block));
        match after.checked_sub(1).and_then(|index| self.ranges.get(index)) {
            Some((relation, range)) if *relation == place.relation => range.page(place.block),
            _ => Page::Empty,
        }
    }
}

/// Ranges that hold these places, which are in order.
pub(super) fn runs(places: &[Place]) -> Vec<(usize, Range<u64>)> {
    let mut runs: Vec<(usize, Range<u64>)> = Vec::new();
    for place in places {
        match runs.last_mut() {
            Some((relation, range))
                if *relation == place.relation
                    && place.block < range.end.saturating_add(GAP)
                    && place.block < range.start.saturating_add(RANGE) =>
            {
                range.end = place.block + 1;
            }
            _ => runs.push((place.relation, place.block..place.block + 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_near_each_other_are_read_together() {
        let places = [(0, 1), (0, 2), (0, 5), (0, 10), (1, 10), (1, 11)];
        let places: Vec<Place> =
            places.iter().map(|(relation, block)| Place { relation: *relation, block: *block }).collect();
        assert_eq!(runs(&places), [(0, 1..6), (0, 10..11), (1, 10..12)]);
        let long: Vec<Place> = (0..RANGE + 1).map(|block| Place { relation: 0, block }).collect();
        assert_eq!(runs(&long), [(0, 0..RANGE), (0, RANGE..RANGE + 1)]);
    }
}
