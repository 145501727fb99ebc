//! What of a source was not on the replica at the moment of a failover, by positions: counted where the
//! source can still be read, as bounds from samples that were stored before where it is gone.

mod samples;
mod torn;

pub use samples::{GoneLoss, LogSample, PartitionSample, SAMPLES_MAX, gone};
pub use torn::{TornReport, TornTransaction, Transactions};

use crate::ages::{Count, Found};
use paritas_connect::logs::Partition;
use paritas_model::{Known, Verdict};
use serde::{Deserialize, Serialize};

/// Records of one partition that the replica does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLoss {
    /// The partition on the source.
    pub source: Partition,
    /// The partition on the replica.
    pub replica: Partition,
    /// How many records.
    pub records: Count,
    /// The first of them.
    pub first: Option<Found>,
    /// The last of them.
    pub last: Option<Found>,
    /// The earliest and the latest time that any of them carries, in milliseconds since 1970.
    pub stamps: Option<(i64, i64)>,
    /// How the position was found: a word of [`crate::position::Method`].
    pub method: Option<String>,
    /// Why the figures are no better.
    pub why: Option<String>,
}

/// What was read of the records that the replica does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    records: u64,
    first: Option<Found>,
    last: Option<Found>,
    stamps: Option<(i64, i64)>,
}

impl Tail {
    /// Takes the next record of the source that the replica does not have.
    pub fn take(&mut self, found: Found) {
        self.records += 1;
        self.first = self.first.or(Some(found));
        self.last = Some(found);
        if let Some(stamp) = found.timestamp {
            let (low, high) = self.stamps.unwrap_or((stamp, stamp));
            self.stamps = Some((low.min(stamp), high.max(stamp)));
        }
    }

    /// How many there were.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The loss of a partition whose first missing offset lies in `next`. The tail was read from
    /// `read_from` up to the end of the source; records before `next.high` may be on the replica.
    pub fn loss(&self, pair: (&Partition, &Partition), next: Count, surely: u64, method: &str) -> PartitionLoss {
        let exact = next.exact().is_some();
        PartitionLoss {
            source: pair.0.clone(),
            replica: pair.1.clone(),
            records: Count { low: if exact { self.records } else { surely.min(self.records) }, high: self.records },
            first: self.first,
            last: self.last,
            stamps: self.stamps,
            method: Some(method.to_owned()),
            why: (!exact).then(|| {
                format!("where the mirror stood is known within bounds only: between {} and {}", next.low, next.high)
            }),
        }
    }
}

impl PartitionLoss {
    /// A partition of which nothing is known.
    pub fn unknown(pair: (&Partition, &Partition), why: impl Into<String>) -> Self {
        Self {
            source: pair.0.clone(),
            replica: pair.1.clone(),
            records: Count { low: 0, high: u64::MAX },
            first: None,
            last: None,
            stamps: None,
            method: None,
            why: Some(why.into()),
        }
    }
}

/// The loss over all partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// Records that are lost.
    pub records: Known<Count>,
    /// Partitions in which records are lost for sure.
    pub partitions: u64,
    /// The earliest and the latest time that a lost record carries, in milliseconds since 1970.
    pub stamps: Option<(i64, i64)>,
    /// Milliseconds from the earliest to the latest of those times; clocks of those who stamp them count.
    pub span_ms: Option<u64>,
    /// Partitions of which nothing is known.
    pub unknown: u64,
}

impl RecoveryPoint {
    /// Sums up partitions.
    pub fn of(losses: &[PartitionLoss]) -> Self {
        let known: Vec<&PartitionLoss> = losses.iter().filter(|loss| loss.method.is_some()).collect();
        let unknown = (losses.len() - known.len()) as u64;
        let sum = known.iter().fold(Count::exactly(0), |sum, loss| sum.plus(loss.records));
        let records = match (losses.first(), unknown) {
            (None, _) => Known::unknown("no partition was looked at"),
            (_, 0) => Known::Known(sum),
            (_, unknown) => Known::unknown(format!("nothing is known of {unknown} partitions")),
        };
        let stamps = known.iter().filter_map(|loss| loss.stamps);
        let stamps = stamps.reduce(|(low, high), (other, latest)| (low.min(other), high.max(latest)));
        Self {
            records,
            partitions: known.iter().filter(|loss| loss.records.low > 0).count() as u64,
            stamps,
            span_ms: stamps.map(|(low, high)| high.abs_diff(low)),
            unknown,
        }
    }

    /// Against a promise of at most so many lost records.
    pub fn verdict(&self, records_max: u64) -> Verdict {
        match &self.records {
            Known::Known(records) if records.low > records_max => Verdict::Fail,
            Known::Known(records) if records.high <= records_max => Verdict::Pass,
            _ => Verdict::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Partition, Partition) {
        (Partition::new("orders", 0), Partition::new("A.orders", 0))
    }

    fn tail(stamps: &[Option<i64>]) -> Tail {
        let mut tail = Tail::default();
        for (offset, timestamp) in (40..).zip(stamps) {
            tail.take(Found { offset, timestamp: *timestamp, appended: false });
        }
        tail
    }

    #[test]
    fn lost_records_are_counted_with_the_first_the_last_and_their_times() {
        let (source, replica) = pair();
        let loss =
            tail(&[Some(20), None, Some(5), Some(9)]).loss((&source, &replica), Count::exactly(40), 4, "content");
        assert_eq!((loss.records, loss.stamps), (Count::exactly(4), Some((5, 20))));
        assert_eq!(loss.first.map(|found| found.offset).zip(loss.last.map(|found| found.offset)), Some((40, 43)));
        let point = RecoveryPoint::of(&[loss]);
        assert_eq!((point.span_ms, point.partitions), (Some(15), 1));
        assert_eq!((point.verdict(3), point.verdict(4)), (Verdict::Fail, Verdict::Pass));
    }

    #[test]
    fn a_position_within_bounds_gives_a_loss_within_bounds() {
        let (source, replica) = pair();
        let loss = tail(&[None; 10]).loss((&source, &replica), Count { low: 40, high: 47 }, 3, "offset_sync");
        assert_eq!(loss.records, Count { low: 3, high: 10 });
        assert!(loss.why.is_some());
        let point = RecoveryPoint::of(&[loss]);
        assert_eq!(
            (point.verdict(2), point.verdict(5), point.verdict(10)),
            (Verdict::Fail, Verdict::Unknown, Verdict::Pass)
        );
    }

    #[test]
    fn a_partition_of_which_nothing_is_known_makes_the_sum_unknown() {
        let (source, replica) = pair();
        let known = tail(&[Some(1)]).loss((&source, &replica), Count::exactly(40), 1, "content");
        let point = RecoveryPoint::of(&[known, PartitionLoss::unknown((&source, &replica), "no leader")]);
        assert_eq!((point.unknown, point.partitions, point.verdict(0)), (1, 1, Verdict::Unknown));
        assert_eq!(RecoveryPoint::of(&[]).verdict(100), Verdict::Unknown);
    }
}
