//! Reading again, record by record, where chains differ.

use super::extend::again;
use super::pair::{Log, contradiction};
use super::reading::{Detail, Hashed, Job, Take, read};
use super::request::Request;
use super::side::LogSide;
use crate::rows::Origin;
use paritas_connect::logs::{Isolation, Range};
use paritas_connect::{Error, FailureKind, Result};
use paritas_logs::content::{Seen, Slice, State};
use std::sync::Arc;

/// What to read of a pair.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) source: &'a Log,
    pub(super) replica: &'a Log,
    pub(super) source_slices: Vec<Slice>,
    pub(super) replica_slices: Vec<Slice>,
}

/// What was read of a pair.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// All records of the source, those of aborted and open transactions among them.
    pub(super) source: Vec<Seen>,
    /// The committed records of the replica.
    pub(super) replica: Vec<Seen>,
}

/// A failure and the side it came from.
pub(super) type Failure = (Origin, Error);

/// Reads what is wished for: one call a side, unless something fails.
pub(super) async fn load(request: &Request<'_>, wishes: &[Wish<'_>]) -> Vec<std::result::Result<Loaded, Failure>> {
    let sources: Vec<_> = wishes.iter().map(|wish| (wish.source, wish.source_slices.as_slice(), true)).collect();
    let replicas: Vec<_> = wishes.iter().map(|wish| (wish.replica, wish.replica_slices.as_slice(), false)).collect();
    let (sources, replicas) = tokio::join!(load_side(request.source, &sources), load_side(request.replica, &replicas));
    let both = |(source, replica): (Result<Vec<Seen>>, Result<Vec<Seen>>)| {
        let replica = replica.map_err(|error| (Origin::Replica, error))?;
        let source = source.map_err(|error| (Origin::Source, error))?;
        Ok(Loaded { source, replica })
    };
    sources.into_iter().zip(replicas).map(both).collect()
}

/// Slices of one log, and whether uncommitted records are wanted as well.
type Asked<'a> = (&'a Log, &'a [Slice], bool);

async fn load_side(side: &LogSide, asked: &[Asked<'_>]) -> Vec<Result<Vec<Seen>>> {
    let mut results: Vec<Option<Result<Vec<Seen>>>> = asked.iter().map(|_| None).collect();
    let mut parts = vec![(0, asked.len())];
    while let Some((from, to)) = parts.pop() {
        let Some(part) = asked.get(from..to).filter(|part| !part.is_empty()) else { continue };
        let read = read_part(side, part).await;
        match read {
            Ok(read) => results.iter_mut().skip(from).zip(read).for_each(|(place, seen)| *place = Some(seen)),
            Err(error) => {
                let ended = matches!(error.kind(), FailureKind::Deadline | FailureKind::Cancelled);
                if !ended && part.len() > 1 {
                    let middle = from + part.len() / 2;
                    parts.extend([(from, middle), (middle, to)]);
                } else {
                    let failed = results.iter_mut().skip(from).take(part.len());
                    failed.for_each(|place| *place = Some(Err(again(&error))));
                }
            }
        }
    }
    results.into_iter().map(|result| result.unwrap_or_else(|| Ok(Vec::new()))).collect()
}

/// Keeps records as they are.
struct Keep(Vec<Vec<Hashed>>);

impl Take for Keep {
    fn take(&mut self, range: usize, record: &Hashed) {
        if let Some(records) = self.0.get_mut(range) {
            records.push(*record);
        }
    }
}

async fn read_part(side: &LogSide, part: &[Asked<'_>]) -> Result<Vec<Result<Vec<Seen>>>> {
    let mut jobs = Vec::new();
    for (log, slices, uncommitted) in part {
        for slice in *slices {
            let job = |to: u64, isolation| Job {
                range: Range { partition: log.partition().clone(), from: slice.offsets.start, to, isolation },
                namer: Arc::clone(&log.namer),
                limit: u64::MAX,
            };
            jobs.push(job(slice.offsets.end, Isolation::Committed));
            if *uncommitted {
                // Behind the end of committed records there may be others.
                let to = if slice.offsets.end == log.next() { log.end } else { slice.offsets.end };
                jobs.push(job(to, Isolation::Uncommitted));
            }
        }
    }
    let keep = Keep(vec![Vec::new(); jobs.len()]);
    let done = read(side, &jobs, Detail::Parts, keep, &mut || {}).await?;
    done.result?;
    let mut records = done.taken.0.into_iter();
    let mut result = Vec::with_capacity(part.len());
    for (log, slices, uncommitted) in part {
        let mut all = Ok(Vec::new());
        for slice in *slices {
            let committed = records.next().unwrap_or_default();
            let every = if *uncommitted { records.next().unwrap_or_default() } else { Vec::new() };
            let seen = seen(log, slice, &committed, &every, *uncommitted);
            all = all.and_then(|mut all: Vec<Seen>| {
                all.extend(seen?);
                Ok(all)
            });
        }
        result.push(all);
    }
    Ok(result)
}

/// Puts committed records and all others together, and holds them against the chain.
fn seen(log: &Log, slice: &Slice, committed: &[Hashed], every: &[Hashed], uncommitted: bool) -> Result<Vec<Seen>> {
    let sum = committed.iter().fold(0_u128, |sum, record| sum.wrapping_add(record.id.0));
    if committed.len() as u64 != slice.records || sum != slice.sum.0 {
        return Err(contradiction(log.partition()));
    }
    let stable = log.next();
    let mut ordinal = slice.ordinal;
    let mut rest = committed.iter().peekable();
    let mut all = Vec::with_capacity(every.len().max(committed.len()));
    for record in if uncommitted { every } else { committed } {
        let is_committed = rest.next_if(|next| next.offset == record.offset).is_some();
        let state = match (is_committed, record.offset < stable) {
            (true, _) => State::Committed,
            (false, true) => State::Aborted,
            (false, false) => State::Undecided,
        };
        let Hashed { offset, time, keyed, valued, id, parts, .. } = *record;
        all.push(Seen { ordinal, offset, id, parts, time, keyed, valued, state });
        ordinal += u64::from(is_committed);
    }
    // Committed records that were not there for those who read everything.
    if rest.next().is_some() { Err(contradiction(log.partition())) } else { Ok(all) }
}
