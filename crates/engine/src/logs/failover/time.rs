//! The recovery time of clusters: from the failure that somebody gave to the first record that was written afterwards.

use super::super::seen::{Shows, side};
use super::Examined;
use crate::failover::{FailedAt, future, recovered};
use jiff::Timestamp;
use paritas_connect::logs::{Isolation, Partition, Range, RecordSink, Records, Want};
use paritas_connect::{Context, Result};
use paritas_model::{Known, Verdict};
use paritas_report::{Bounds, Rto};
use paritas_verify::logs::LogSide;

/// Partitions that are looked into.
const PARTITIONS_MAX: usize = 10_000;

/// The interval, or why there is none. `alive`: the source was read, so that records may be copies.
pub(super) async fn rto(cx: &Context, link: &Examined<'_>, alive: bool) -> Rto {
    let objective = link.objective.rto;
    let Some(failed_at) = link.failed_at else {
        let why = "nobody measured when writers went on: name the time of the failure with --failed-at, and the first \
                   record after it bounds it";
        return Rto {
            verdict: objective.map(|_| Verdict::Unknown),
            objective: objective.map(|time| time.as_secs_f64()),
            why: Some(why.to_owned()),
            ..Rto::default()
        };
    };
    if let Some(why) = future(failed_at, Timestamp::now()) {
        return recovered::unknown(failed_at, objective, why);
    }
    if alive {
        let why = "the source still answers: records that are newer than the failure may be copies";
        return recovered::unknown(failed_at, objective, why.to_owned());
    }
    let replica = side(&link.replica.store, cx);
    let (high, why) = match first(&replica, failed_at).await {
        Ok(Known::Known(at)) => (seconds(failed_at, at), None),
        Ok(Known::Unknown { why }) => (None, Some(why)),
        Err(error) => (None, Some(format!("the new side cannot be read: {error}"))),
    };
    recovered::of_bounds(failed_at, objective, Bounds { low: Some(0.0), high }, why)
}

fn seconds(failed_at: FailedAt, at: i64) -> Option<f64> {
    let at = Timestamp::from_millisecond(at).ok()?;
    Some(at.duration_since(failed_at.0).as_secs_f64()).filter(|seconds| *seconds >= 0.0)
}

/// The time of the first record from the failure on, in milliseconds since 1970, by the clock of its writer.
async fn first(replica: &LogSide, failed_at: FailedAt) -> Result<Known<i64>> {
    let (logs, cx) = (&replica.logs, &replica.cx);
    let shows = Shows::of(replica).await?;
    let from = failed_at.0.as_millisecond();
    let data = shows.survey.logs.iter().filter(|log| !shows.is_own(&log.name));
    let partitions: Vec<(Partition, i64)> = data
        .flat_map(|log| log.partitions.iter().map(|state| (Partition::new(log.name.clone(), state.index), from)))
        .collect();
    if partitions.len() > PARTITIONS_MAX {
        return Ok(Known::unknown(format!("there are more than {PARTITIONS_MAX} partitions to look into")));
    }
    let offsets = cx.bound(logs.offsets_at(cx, &partitions)).await?;
    let mut ranges = Vec::new();
    for ((partition, _), offset) in partitions.into_iter().zip(offsets) {
        if let Known::Known(Some(offset)) = offset {
            let to = offset.saturating_add(1);
            ranges.push(Range { partition, from: offset, to, isolation: Isolation::Uncommitted });
        }
    }
    if ranges.is_empty() {
        return Ok(Known::unknown(
            "no record on the new side is newer than the failure: ask again when applications write",
        ));
    }
    let mut earliest = Earliest { from, found: None };
    cx.bound(logs.read(cx, &ranges, &mut earliest)).await?;
    let none = "records that are newer than the failure were removed meanwhile";
    Ok(earliest.found.map_or_else(|| Known::unknown(none), Known::Known))
}

/// The earliest time of the records that it is given.
#[derive(Debug)]
struct Earliest {
    from: i64,
    found: Option<i64>,
}

impl RecordSink for Earliest {
    fn accept(&mut self, _: usize, records: &dyn Records) -> Result<Want> {
        for at in 0..records.len() {
            let time = records.get(at).and_then(|record| record.timestamp).filter(|time| *time >= self.from);
            self.found = match (self.found, time) {
                (Some(found), Some(time)) => Some(found.min(time)),
                (found, time) => found.or(time),
            };
        }
        Ok(Want::Enough)
    }
}
