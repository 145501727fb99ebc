//! Bounds of a loss when the source is gone: from where its partitions ended, and where their mirrors stood,
//! in samples that were stored before.

use crate::ages::Count;
use paritas_connect::logs::Partition;
use serde::{Deserialize, Serialize};

/// Samples of one link that are kept; older ones make no bound better.
pub const SAMPLES_MAX: usize = 10_000;

/// Where the partitions of a source ended and their mirrors stood, on the clock of whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSample {
    /// The replica was about to be asked, in milliseconds since 1970.
    pub begin_ms: i64,
    /// The source had answered.
    pub end_ms: i64,
    /// The partitions.
    pub partitions: Vec<PartitionSample>,
}

/// One partition in a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSample {
    /// The partition on the source.
    pub source: Partition,
    /// The partition on the replica.
    pub replica: Partition,
    /// What tells the log of the source from another of its name.
    pub id: Option<String>,
    /// Where it ended on the source.
    pub end: u64,
    /// Where it ended on the replica.
    pub replica_end: u64,
    /// Between which offsets of the source the first one lay that was not mirrored.
    pub next: Option<Count>,
}

/// What is known of a loss without the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneLoss {
    /// The partition on the source.
    pub source: Partition,
    /// The partition on the replica.
    pub replica: Partition,
    /// Offsets of the source that the replica does not have, no fewer than this. Offsets are not records.
    pub offsets_low: u64,
    /// The newest sample in which the source had nothing that the replica does not have now: nothing that
    /// was there by then is lost. Milliseconds since 1970.
    pub whole_until_ms: Option<i64>,
    /// The oldest sample in which the source had something that the replica does not have now.
    pub lost_since_ms: Option<i64>,
    /// The newest sample of all.
    pub seen_until_ms: i64,
    /// What these follow from, or why there is no more.
    pub why: String,
}

impl GoneLoss {
    /// Between how many milliseconds before a failover at that time the oldest lost record was appended: no
    /// fewer than the first and no more than the second, where samples say it. Both ends are those of the
    /// clock that samples were taken with.
    pub fn age_ms(&self, failed_ms: i64) -> (u64, Option<u64>) {
        let before = |at: i64| u64::try_from(failed_ms.saturating_sub(at)).unwrap_or(0);
        (self.lost_since_ms.map_or(0, before), self.whole_until_ms.map(before))
    }
}

/// What follows from samples, oldest first, when the replica ends at `replica_end` now and shows everything
/// of the source before an offset in `next`. Where the replica alone cannot say `next`, it follows from the
/// newest sample and from how much the replica has grown since; then only as a bound.
pub fn gone(
    source: &Partition,
    replica: &Partition,
    replica_end: u64,
    next: Option<Count>,
    samples: &[LogSample],
) -> Option<GoneLoss> {
    let find = |sample: &LogSample| sample.partitions.iter().find(|own| own.source == *source).cloned();
    let all: Vec<(i64, i64, PartitionSample)> =
        samples.iter().filter_map(|sample| Some((sample.begin_ms, sample.end_ms, find(sample)?))).collect();
    let (_, seen_until_ms, newest) = all.last()?;
    // A log that was made anew has other offsets.
    let same = all.iter().rev().take_while(|(.., own)| own.id == newest.id);
    let mut same: Vec<&(i64, i64, PartitionSample)> = same.collect();
    same.reverse();
    let (next, why) = match next {
        Some(next) => (next, "the replica's last records say how far the mirror came".to_owned()),
        None => grown(&same, replica_end)?,
    };
    // Both limits are of what is proven: the mirror may have come further than `next.low`.
    let lacking = |own: &PartitionSample| own.end.saturating_sub(next.high);
    let offsets_low = same.iter().map(|(.., own)| lacking(own)).max().unwrap_or(0);
    let whole = same.iter().rev().find(|(.., own)| own.end <= next.low);
    let lost = same.iter().find(|(.., own)| own.end > next.high);
    Some(GoneLoss {
        source: source.clone(),
        replica: replica.clone(),
        offsets_low,
        whole_until_ms: whole.map(|(begin, ..)| *begin),
        lost_since_ms: lost.map(|(_, end, _)| *end),
        seen_until_ms: *seen_until_ms,
        why,
    })
}

/// Where the mirror stands by the newest sample that says it: what was written to the replica since then are
/// records of the source behind that place, at most as many, and some of them may be markers or repetitions.
fn grown(same: &[&(i64, i64, PartitionSample)], replica_end: u64) -> Option<(Count, String)> {
    let (own, next) = same.iter().rev().find_map(|(.., own)| Some((own, own.next?)))?;
    let since = replica_end.checked_sub(own.replica_end)?;
    let text = if since == 0 {
        "the replica has not grown since the newest sample".to_owned()
    } else {
        format!("the replica has grown by {since} offsets since the newest sample that says where the mirror stood")
    };
    // Offsets that nobody can read lie between records of the source, so the mirror may have come further
    // than it wrote; nothing bounds that, unless it wrote nothing.
    let high = if since == 0 { next.high } else { u64::MAX };
    Some((Count { low: next.low, high }, text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> (Partition, Partition) {
        (Partition::new("orders", 0), Partition::new("A.orders", 0))
    }

    fn sample(at: i64, id: &str, end: u64, replica_end: u64, next: Option<Count>) -> LogSample {
        let (source, replica) = names();
        let own = PartitionSample { source, replica, id: Some(id.into()), end, replica_end, next };
        LogSample { begin_ms: at, end_ms: at + 10, partitions: vec![own] }
    }

    #[test]
    fn ends_that_the_replica_never_reached_are_lost_and_those_before_are_not() {
        let (source, replica) = names();
        let exactly = |next| Some(Count::exactly(next));
        let samples = [
            sample(1_000, "x", 100, 90, exactly(90)),
            sample(2_000, "x", 120, 110, exactly(110)),
            sample(3_000, "x", 150, 118, exactly(118)),
        ];
        let loss = gone(&source, &replica, 120, exactly(120), &samples).unwrap();
        assert_eq!((loss.offsets_low, loss.whole_until_ms, loss.lost_since_ms), (30, Some(2_000), Some(3_010)));
        assert_eq!(loss.age_ms(3_500), (490, Some(1_500)));
    }

    #[test]
    fn a_replica_that_has_not_grown_stands_where_it_stood() {
        let (source, replica) = names();
        let samples = [sample(1_000, "x", 100, 90, Some(Count::exactly(95)))];
        let loss = gone(&source, &replica, 90, None, &samples).unwrap();
        assert_eq!((loss.offsets_low, loss.whole_until_ms, loss.lost_since_ms), (5, None, Some(1_010)));
        // It has grown since: nobody knows by what.
        let loss = gone(&source, &replica, 94, None, &samples).unwrap();
        assert_eq!((loss.offsets_low, loss.lost_since_ms), (0, None));
    }

    #[test]
    fn samples_of_a_log_before_count_for_nothing() {
        let (source, replica) = names();
        let samples = [sample(1_000, "old", 900, 900, None), sample(2_000, "new", 10, 905, Some(Count::exactly(5)))];
        let loss = gone(&source, &replica, 905, None, &samples).unwrap();
        assert_eq!((loss.offsets_low, loss.whole_until_ms), (5, None));
        assert!(gone(&Partition::new("other", 0), &replica, 1, None, &samples).is_none());
        assert!(gone(&source, &replica, 3, None, &samples).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn the_true_loss_and_its_age_lie_within_what_is_said(
            appended in prop::collection::vec(0_i64..10_000, 1..80), times in prop::collection::vec(0_i64..10_000, 1..20),
            delay in 0_i64..3_000, slack in 0_u64..5, known: bool,
        ) {
            let (mut appended, mut times) = (appended, times);
            appended.sort_unstable();
            times.sort_unstable();
            let count = |at: i64| appended.iter().filter(|time| **time <= at).count() as u64;
            let failed = 10_000;
            let samples: Vec<LogSample> = times
                .iter()
                .map(|at| {
                    let copied = count(at - delay);
                    // The replica is asked at the beginning of a sample, the source at its end.
                    let mut sample = sample(*at, "x", count(at + 10), copied, Some(Count::exactly(copied)));
                    sample.partitions[0].next = Some(Count { low: copied.saturating_sub(slack), high: copied + slack });
                    sample
                })
                .collect();
            let copied = count(failed - delay);
            let next = known.then(|| Count { low: copied.saturating_sub(slack), high: copied + slack });
            let (source, replica) = names();
            let loss = gone(&source, &replica, copied, next, &samples).unwrap();
            let lost = appended.len() as u64 - copied;
            prop_assert!(loss.offsets_low <= lost);
            let (low, high) = loss.age_ms(failed);
            match appended.get(copied as usize) {
                Some(first) => {
                    let age = (failed - first) as u64;
                    prop_assert!(low <= age && high.is_none_or(|high| age <= high), "{low} {age} {high:?}");
                }
                None => prop_assert!(low == 0 && loss.lost_since_ms.is_none()),
            }
        }
    }
}
