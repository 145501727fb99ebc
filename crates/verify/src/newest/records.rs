//! The newest time of the records of a log.
//!
//! The end of each partition is read first. Whether a record before it carries a later time is asked of the store's
//! index of times, and what it names is read as well; so the newest time is exact also where times are in disorder.

use super::Found;
use crate::Side;
use paritas_connect::logs::{Isolation, Logs, Partition, Range, RecordSink, Records, Want};
use paritas_connect::{ClockStamp, Error, FailureKind, NewestRequest, NewestSeen, Result};
use paritas_model::Known;
use std::collections::BTreeSet;

/// Offsets that are read at the end of each partition, first.
const WINDOW: u64 = 64;
/// And where there is no record among them, as many more each time, up to these in all.
const WINDOW_GROWS: u64 = 16;
const WINDOW_MAX: u64 = 1 << 20;
/// Offsets that are read in all because a record before the end carries a later time.
const EARLIER_MAX: u64 = 1 << 20;

/// A partition and what of it was read: everything from an offset to its end.
struct Tail {
    partition: Partition,
    start: u64,
    from: u64,
    end: u64,
}

pub(super) async fn newest(side: &Side, logs: &dyn Logs, request: &NewestRequest) -> Result<NewestSeen> {
    if request.filter.is_some() {
        return Err(Error::unsupported("a condition on records"));
    }
    let asked = ClockStamp::now();
    let mut tails = ends(side, logs, &request.dataset.0).await?;
    let answered = ClockStamp::now();
    let mut found = Found::default();
    // Partitions whose window showed nothing are widened until a record is seen.
    let mut todo: BTreeSet<usize> = (0..tails.len()).collect();
    let mut window = WINDOW;
    while !todo.is_empty() {
        let mut ranges = Vec::new();
        for at in &todo {
            let Some(tail) = tails.get_mut(*at) else { continue };
            let from = tail.end.saturating_sub(window).max(tail.start);
            ranges.push(range(&tail.partition, from, tail.from));
            tail.from = from;
        }
        let seen = read(side, logs, &ranges, request.limit_us).await?;
        let at: Vec<usize> = todo.iter().copied().collect();
        for (at, part) in at.into_iter().zip(seen) {
            found.absorb(part);
            let whole = tails.get(at).is_none_or(|tail| tail.from <= tail.start);
            if part.newest.is_some() || whole {
                todo.remove(&at);
            }
        }
        window = window.saturating_mul(WINDOW_GROWS);
        if !todo.is_empty() && window > WINDOW_MAX {
            return Err(disorder("no record with a time is near the end of a partition"));
        }
    }
    earlier(side, logs, request, &tails, &mut found).await?;
    Ok(NewestSeen {
        newest: found.newest,
        any: found.rows > 0,
        beyond: found.beyond,
        beyond_whole: true,
        asked,
        answered,
        method: "records",
        note: None,
    })
}

/// Where the partitions of a log begin and end.
async fn ends(side: &Side, logs: &dyn Logs, name: &str) -> Result<Vec<Tail>> {
    let survey = side.again("survey the logs", || logs.survey(&side.cx)).await?;
    let log = survey.log(name).ok_or_else(|| {
        Error::new(FailureKind::Permanent, "dataset.missing", format!("there is no topic {name:?}"))
            .hint("check its name, and whether this user may describe it")
    })?;
    let partitions: Vec<Partition> = log.partitions.iter().map(|one| Partition::new(name, one.index)).collect();
    let ends = side.again("ask where partitions end", || logs.ends(&side.cx, &partitions)).await?;
    let together = partitions.into_iter().zip(ends);
    together
        .map(|(partition, ends)| match ends {
            // Records of open transactions are nobody's yet.
            Known::Known(ends) => Ok(Tail { partition, start: ends.start, from: ends.stable, end: ends.stable }),
            Known::Unknown { why } => {
                let message = format!("the end of {partition} is not known");
                Err(Error::new(FailureKind::Permanent, "freshness.records", message).detail(why))
            }
        })
        .collect()
}

/// Records before what was read that carry a later time.
async fn earlier(
    side: &Side,
    logs: &dyn Logs,
    request: &NewestRequest,
    tails: &[Tail],
    found: &mut Found,
) -> Result<()> {
    let later_ms = found.newest.map_or(i64::MIN, |(low_us, _)| low_us.div_euclid(1_000)).saturating_add(1).max(0);
    let before: Vec<&Tail> = tails.iter().filter(|tail| tail.from > tail.start).collect();
    let wanted: Vec<(Partition, i64)> = before.iter().map(|tail| (tail.partition.clone(), later_ms)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let answers = side.again("ask for later times", || logs.offsets_at(&side.cx, &wanted)).await?;
    let mut ranges = Vec::new();
    for (tail, answer) in before.into_iter().zip(answers) {
        match answer {
            Known::Known(Some(offset)) if offset < tail.from => {
                ranges.push(range(&tail.partition, offset.max(tail.start), tail.from));
            }
            Known::Known(_) => {}
            Known::Unknown { why } => {
                let message = format!("whether {} has records with a later time is not known", tail.partition);
                return Err(Error::new(FailureKind::Permanent, "freshness.records", message).detail(why));
            }
        }
    }
    if ranges.iter().map(|range| range.to - range.from).fold(0, u64::saturating_add) > EARLIER_MAX {
        return Err(disorder("a record far from the end of its partition carries a later time than those at the end"));
    }
    for part in read(side, logs, &ranges, request.limit_us).await? {
        found.absorb(part);
    }
    Ok(())
}

fn range(partition: &Partition, from: u64, to: u64) -> Range {
    Range { partition: partition.clone(), from, to, isolation: Isolation::Committed }
}

fn disorder(message: &str) -> Error {
    Error::new(FailureKind::Permanent, "freshness.records", message)
        .hint("let the store set the times of records: message.timestamp.type=LogAppendTime")
}

/// What each range holds.
async fn read(side: &Side, logs: &dyn Logs, ranges: &[Range], limit_us: i64) -> Result<Vec<Found>> {
    let asked: Vec<Range> = ranges.iter().filter(|range| range.from < range.to).cloned().collect();
    let places: Vec<usize> = (0..ranges.len()).filter(|at| ranges.get(*at).is_some_and(|r| r.from < r.to)).collect();
    let mut sink = Tally { limit_us, found: vec![Found::default(); ranges.len()], places };
    if !asked.is_empty() {
        side.cx.bound(logs.read(&side.cx, &asked, &mut sink)).await?;
    }
    Ok(sink.found)
}

struct Tally {
    limit_us: i64,
    found: Vec<Found>,
    /// Which place of `found` belongs to each range.
    places: Vec<usize>,
}

impl RecordSink for Tally {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        let slot = self.places.get(range).and_then(|at| self.found.get_mut(*at));
        let slot = slot.ok_or_else(|| Error::new(FailureKind::Permanent, "internal.range", "records of no range"))?;
        for record in (0..records.len()).filter_map(|at| records.get(at)) {
            // A millisecond is all of its microseconds.
            let time = record.timestamp.map(|ms| ms.saturating_mul(1_000)).map(|us| (us, us.saturating_add(999)));
            slot.add(time, self.limit_us);
        }
        Ok(Want::More)
    }
}
