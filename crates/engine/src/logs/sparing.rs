//! What a snapshot of topics takes over from the one before: only what provably cannot have changed since.

use super::LogOptions;
use super::seen::Shows;
use super::stored::{LogKept, PartitionKept, Snapshot};
use crate::ThriftOptions;
use jiff::Timestamp;
use paritas_connect::logs::Partition;
use paritas_model::Known;
use paritas_report::SegmentReading;
use paritas_verify::logs::{KeptChain, Spared, Sparing, Turns};
use std::collections::BTreeMap;

/// The only way of cleaning that leaves records of a log as they are up to its beginning.
const DELETE: &str = "delete";

/// The newest snapshot, nothing where there is none, or why it cannot be used.
pub(super) type Before = Result<Option<Snapshot>, String>;

/// How a log is cleaned, where that lets its segments be kept; otherwise why they are not.
pub(super) fn cleaned(shows: &Shows, log: &str, options: &LogOptions) -> Result<String, String> {
    match (shows.setting(log, "cleanup.policy"), options.compacted) {
        (Some(DELETE), _) => Ok(DELETE.to_owned()),
        (Some(other), _) => Err(format!("cleanup.policy is {other}: records may go from between others")),
        (None, Some(false)) => Ok("delete, as was said".to_owned()),
        (None, Some(true)) => Err("it is compacted, as was said: records may go from between others".to_owned()),
        (None, None) => {
            let why = match shows.settings.get(log) {
                Some(Known::Unknown { why }) => why.as_str(),
                _ => "its settings do not say it",
            };
            Err(format!("it is not known whether the topic is compacted: {why} (say it with ?cleanup=delete)"))
        }
    }
}

/// What may be taken over of each partition, or why nothing may be.
pub(super) fn sparing<'a>(
    before: &Before,
    (shows, options): (&Shows, &LogOptions),
    thrift: ThriftOptions,
    turns: &'a Turns<'a>,
) -> Sparing<'a> {
    let (mut kept, mut refused) = (BTreeMap::new(), BTreeMap::new());
    for log in &shows.survey.logs {
        let usable = usable(before, (shows, options), thrift, &log.name);
        for state in &log.partitions {
            let partition = Partition::new(log.name.clone(), state.index);
            let of = |old: &&LogKept| of_partition(old, state.index);
            match usable.as_ref().map(of) {
                Ok(Some(chain)) => drop(kept.insert(partition, chain)),
                Ok(None) => {}
                Err(why) => drop(refused.insert(partition, why.clone())),
            }
        }
    }
    Sparing { kept, refused, turns, now: Timestamp::now().as_second() }
}

/// The log in the snapshot before, if it is this one and its segments may be used.
fn usable<'a>(
    before: &'a Before,
    (shows, options): (&Shows, &LogOptions),
    thrift: ThriftOptions,
    log: &str,
) -> Result<&'a LogKept, String> {
    let other = |why: &str| Err(why.to_owned());
    if thrift.full {
        return other("everything was to be read (--full)");
    }
    let cleaned = cleaned(shows, log, options)?;
    let old = match before {
        Ok(Some(old)) => old,
        Ok(None) => return other("nothing was kept by a snapshot before"),
        Err(why) => return Err(format!("the snapshot before cannot be used: {why}")),
    };
    match (&old.cluster, shows.survey.cluster.value()) {
        (Some(then), Some(now)) if then == now => {}
        (Some(_), Some(_)) => return other("the snapshot before is one of another cluster"),
        _ => return other("the cluster does not say who it is"),
    }
    let Some(kept) = old.logs.iter().find(|kept| kept.name == log) else {
        return other("the topic is not in the snapshot before");
    };
    match (&kept.id, shows.id(log)) {
        (Some(then), Some(now)) if *then == now => {}
        (Some(_), Some(_)) => return other("the topic was deleted and made again since the snapshot before"),
        _ => return other("the topic cannot be told from its namesakes"),
    }
    match &kept.cleaned {
        Some(then) if *then == cleaned => Ok(kept),
        Some(_) => other("what is known of how the topic is cleaned has changed since the snapshot before"),
        None => other("when the snapshot before was taken, it was compacted or that was not known"),
    }
}

fn of_partition(kept: &LogKept, index: i32) -> Option<KeptChain> {
    let partition = kept.partitions.iter().find(|partition| partition.index == index)?;
    let chain = partition.chain.clone()?;
    Some(KeptChain { chain, read_at: spread(&partition.read_at), led: partition.led })
}

/// Adds how its records were read to a partition that is kept.
pub(super) fn noted(partition: PartitionKept, kept: Option<KeptChain>) -> PartitionKept {
    match kept {
        Some(KeptChain { chain, read_at, led }) => {
            PartitionKept { chain: Some(chain), read_at: packed(&read_at), led, ..partition }
        }
        None => partition,
    }
}

/// Times as runs of equal ones.
fn packed(times: &[i64]) -> Vec<(u64, i64)> {
    let mut runs: Vec<(u64, i64)> = Vec::new();
    for time in times {
        match runs.last_mut() {
            Some((count, last)) if last == time => *count += 1,
            _ => runs.push((1, *time)),
        }
    }
    runs
}

/// No chain has more segments: a run that says so is damaged.
const SEGMENTS_MAX: u64 = 1 << 28;

fn spread(runs: &[(u64, i64)]) -> Vec<i64> {
    let total = runs.iter().fold(0_u64, |sum, (count, _)| sum.saturating_add(*count));
    if total > SEGMENTS_MAX {
        // Of another length than the chain it is not used.
        return Vec::new();
    }
    runs.iter().flat_map(|(count, time)| (0..*count).map(|_| *time)).collect()
}

/// The same for the report.
pub(super) fn reading(spared: &Spared) -> SegmentReading {
    let mut reading = SegmentReading {
        records_read: spared.records_read,
        records_kept: spared.records_kept,
        segments_read: spared.segments_read,
        segments_kept: spared.segments_kept,
        segments_reread: spared.segments_reread,
        whole: Vec::new(),
    };
    for (partition, why) in &spared.whole {
        reading.read_whole(&partition.to_string(), why);
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_come_out_as_they_were(times in prop::collection::vec(0..3_i64, 0..100)) {
            prop_assert_eq!(spread(&packed(&times)), times);
        }
    }

    #[test]
    fn a_run_that_cannot_be_is_no_time_of_anything() {
        assert_eq!(spread(&[(u64::MAX, 5), (2, 6)]), Vec::<i64>::new());
    }
}
