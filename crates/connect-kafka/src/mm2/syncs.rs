//! Offset syncs in bounded memory: when there are too many, each partition keeps its newest.

use paritas_connect::logs::{Partition, Sync};
use std::collections::{BTreeMap, VecDeque};

/// Offset syncs that are kept in all. Beyond that, partitions with the most give up their oldest.
pub const SYNCS_MAX: usize = 200_000;

/// A pair of offsets, and when it came.
#[derive(Debug, Clone, Copy)]
struct Pair {
    arrival: u64,
    upstream: i64,
    downstream: i64,
}

/// Syncs by log and partition, each partition's in the order of their arrival.
#[derive(Debug, Clone)]
pub(super) struct Syncs {
    max: usize,
    held: BTreeMap<(usize, Partition), VecDeque<Pair>>,
    count: usize,
    arrivals: u64,
    dropped: u64,
}

impl Syncs {
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), held: BTreeMap::new(), count: 0, arrivals: 0, dropped: 0 }
    }

    /// Keeps a sync; older ones may have to go for it.
    pub(super) fn push(&mut self, log: usize, partition: Partition, upstream: i64, downstream: i64) {
        let pair = Pair { arrival: self.arrivals, upstream, downstream };
        self.arrivals += 1;
        self.held.entry((log, partition)).or_default().push_back(pair);
        self.count += 1;
        // Not at each one beyond the limit: looking for the oldest takes a look at all partitions.
        if self.count > self.max.saturating_add(self.max / 4) {
            self.prune();
        }
    }

    /// Forgets all syncs of a partition: its key was deleted.
    pub(super) fn remove(&mut self, log: usize, partition: Partition) {
        let gone = self.held.remove(&(log, partition)).map_or(0, |pairs| pairs.len());
        self.count -= gone;
    }

    /// Brings the number below the limit, by the largest share that every partition can have.
    fn prune(&mut self) {
        let (mut low, mut high) = (0, self.max);
        while low < high {
            let share = high - (high - low) / 2;
            let kept: usize = self.held.values().map(|pairs| pairs.len().min(share)).sum();
            if kept <= self.max {
                low = share;
            } else {
                high = share - 1;
            }
        }
        if low == 0 {
            return self.prune_partitions();
        }
        for pairs in self.held.values_mut() {
            let excess = pairs.len().saturating_sub(low);
            pairs.drain(..excess);
            self.count -= excess;
            self.dropped += excess as u64;
        }
    }

    /// More partitions than syncs can be kept: those that were heard of last keep one.
    fn prune_partitions(&mut self) {
        let newest = |pairs: &VecDeque<Pair>| pairs.back().map_or(0, |pair| pair.arrival);
        let mut arrivals: Vec<u64> = self.held.values().map(newest).collect();
        arrivals.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = arrivals.get(self.max - 1).copied().unwrap_or_default();
        let before = self.count as u64;
        self.held.retain(|_, pairs| newest(pairs) >= oldest);
        for pairs in self.held.values_mut() {
            pairs.drain(..pairs.len().saturating_sub(1));
        }
        self.count = self.held.len();
        self.dropped += before - self.count as u64;
    }

    /// All that were kept, oldest first, and how many were not. `place` names a log and its alias.
    pub(super) fn finish(mut self, place: impl Fn(usize) -> (String, Option<String>)) -> (Vec<Sync>, u64) {
        if self.count > self.max {
            self.prune();
        }
        let mut all: Vec<(u64, Sync)> = Vec::with_capacity(self.count);
        for ((log, partition), pairs) in self.held {
            let (held_in, alias) = place(log);
            for Pair { arrival, upstream, downstream } in pairs {
                let (held_in, alias, partition) = (held_in.clone(), alias.clone(), partition.clone());
                all.push((arrival, Sync { held_in, alias, partition, upstream, downstream }));
            }
        }
        all.sort_unstable_by_key(|(arrival, _)| *arrival);
        (all.into_iter().map(|(_, sync)| sync).collect(), self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finish(syncs: Syncs) -> (Vec<(i32, i64)>, u64) {
        let (all, dropped) = syncs.finish(|log| (format!("log {log}"), None));
        (all.into_iter().map(|sync| (sync.partition.index, sync.upstream)).collect(), dropped)
    }

    #[test]
    fn a_busy_partition_does_not_push_out_the_only_sync_of_a_quiet_one() {
        let mut syncs = Syncs::new(10);
        syncs.push(0, Partition::new("a", 0), 7, 7);
        (0..1_000).for_each(|up| syncs.push(0, Partition::new("a", 1), up, up));
        let (all, dropped) = finish(syncs);
        let expected: Vec<_> = std::iter::once((0, 7)).chain((991..1_000).map(|up| (1, up))).collect();
        assert_eq!((all, dropped), (expected, 991));
    }

    #[test]
    fn what_was_deleted_is_forgotten() {
        let mut syncs = Syncs::new(10);
        syncs.push(0, Partition::new("a", 0), 1, 1);
        syncs.push(0, Partition::new("a", 1), 2, 2);
        syncs.remove(0, Partition::new("a", 0));
        assert_eq!(finish(syncs), (vec![(1, 2)], 0));
    }

    proptest! {
        #[test]
        fn the_newest_of_each_partition_are_kept_and_the_rest_is_counted(
            max in 1..20_usize, pushed in prop::collection::vec(0..30_i32, 0..200),
        ) {
            let mut syncs = Syncs::new(max);
            for (up, index) in (0_i64..).zip(&pushed) {
                syncs.push(0, Partition::new("a", *index), up, up);
            }
            let (all, dropped) = finish(syncs);
            prop_assert!(all.len() <= max);
            prop_assert_eq!(all.len() as u64 + dropped, pushed.len() as u64);
            prop_assert!(pushed.len() > max || dropped == 0);
            prop_assert!(all.is_sorted_by_key(|(_, up)| *up));
            for (index, up) in &all {
                let newer = (0_i64..).zip(&pushed).filter(|(at, other)| *other == index && at > up).count();
                let kept = all.iter().filter(|(other, at)| other == index && at > up).count();
                prop_assert_eq!(newer, kept);
            }
        }
    }
}
