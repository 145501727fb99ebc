//! Which offsets are a segment, and what becomes of each segment: it is kept, or read.

use super::super::decide::{Before, Decided};
use super::super::rotate::{Clock, Unwritten, due};
use paritas_state::{KeptPart, KeptRange};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Offsets of a segment. Fewer make the index larger, more have more records read again at the end of a partition.
pub(super) const OFFSETS: u64 = 1_024;

/// A partition as the view shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    /// Its name among the parts of the dataset.
    pub(super) key: String,
    /// The offsets that the view shows.
    pub(super) shown: Range<u64>,
    /// Whether everything that was kept of it is still there, as far as it is not behind its beginning.
    pub(super) stands: bool,
}

/// The segments of some offsets, by their numbers. A segment is all offsets from a multiple of [`OFFSETS`] to the next
/// one; the first and the last may be cut.
pub(super) fn segments(shown: &Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> + use<> {
    let (start, end) = (shown.start, shown.end);
    let numbers = if start < end { start / OFFSETS..end.div_ceil(OFFSETS) } else { 0..0 };
    numbers.map(move |number| {
        let from = number.saturating_mul(OFFSETS);
        (number, from.max(start)..from.saturating_add(OFFSETS).min(end))
    })
}

/// The offsets that what is kept of a segment is about.
pub(super) fn offsets_of(kept: &KeptRange) -> Range<u64> {
    kept.at..kept.at.saturating_add(kept.blocks)
}

/// Everything is read, nothing was kept.
pub(super) fn everything(logs: &[Log]) -> Decided {
    decide(&[], logs, Clock { before: 0, now: 0 }, Duration::MAX)
}

/// What is read, what is taken over, and what is there no more. A segment is taken over where it has the same offsets
/// as when it was read, and its partition stands.
pub(super) fn decide(old: &[KeptPart], logs: &[Log], clock: Clock, within: Duration) -> Decided {
    let mut decided = Decided::default();
    let mut unchanged = Vec::new();
    let mut met: BTreeSet<(usize, u64)> = BTreeSet::new();
    let before: Vec<BTreeMap<u64, KeptRange>> = logs.iter().map(|log| kept_of(old, &log.key)).collect();
    for (number, (log, before)) in logs.iter().zip(&before).enumerate() {
        for (index, offsets) in segments(&log.shown) {
            let range = (number, index);
            match before.get(&index).copied() {
                None => drop(decided.read.insert(range, Before::Nothing)),
                Some(kept) => {
                    met.insert(range);
                    if log.stands && offsets_of(&kept) == offsets {
                        unchanged.push(Unwritten { range, read_at: kept.read_at });
                        decided.kept.insert(range, kept);
                    } else {
                        decided.read.insert(range, Before::Written(kept));
                    }
                }
            }
        }
    }
    let total = decided.read.len() + decided.kept.len();
    for range in due(unchanged, total, clock, within) {
        if let Some(kept) = decided.kept.remove(&range) {
            decided.read.insert(range, Before::Same(kept));
        }
    }
    for (number, before) in before.iter().enumerate() {
        decided
            .gone
            .extend(before.iter().filter(|(index, _)| !met.contains(&(number, **index))).map(|(_, kept)| *kept));
    }
    let known = |part: &&KeptPart| logs.iter().any(|log| log.key == part.sql);
    decided.gone.extend(old.iter().filter(|part| !known(part)).flat_map(|part| part.ranges.iter().copied()));
    decided
}

fn kept_of(old: &[KeptPart], key: &str) -> BTreeMap<u64, KeptRange> {
    let part = old.iter().find(|part| part.sql == key);
    part.into_iter().flat_map(|part| &part.ranges).map(|kept| (kept.at / OFFSETS, *kept)).collect()
}

/// Runs of segments that are read together: whole numbers of segments, ascending, so many at most.
pub(super) fn runs(wanted: &[(u64, Range<u64>)], segments_max: usize, runs_max: usize) -> Vec<Vec<Range<u64>>> {
    let mut all: Vec<Vec<Range<u64>>> = Vec::new();
    let mut size = 0;
    for (_, offsets) in wanted {
        let open = all.last_mut().filter(|_| size < segments_max);
        match open {
            Some(runs) if runs.last().is_some_and(|last| last.end == offsets.start) => {
                runs.last_mut().into_iter().for_each(|last| last.end = offsets.end);
            }
            Some(runs) if runs.len() < runs_max => runs.push(offsets.clone()),
            _ => {
                all.push(vec![offsets.clone()]);
                size = 0;
            }
        }
        size += 1;
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A partition of which a record is its offset and what was written there.
    #[derive(Debug, Clone, Default)]
    struct Model {
        start: u64,
        records: Vec<u32>,
        /// What snapshots have kept, and which records those were.
        kept: BTreeMap<u64, (KeptRange, Vec<u32>)>,
    }

    #[derive(Debug, Clone)]
    enum Step {
        Append(u64, u32),
        Trim(u64),
        Truncate(u64, u64, u32),
        Snapshot,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..3_000_u64, any::<u32>()).prop_map(|(count, seed)| Step::Append(count, seed)),
            (0..3_000_u64).prop_map(Step::Trim),
            (1..3_000_u64, 0..3_000_u64, any::<u32>()).prop_map(|(lost, more, seed)| Step::Truncate(lost, more, seed)),
            Just(Step::Snapshot),
        ]
    }

    impl Model {
        fn end(&self) -> u64 {
            self.records.len() as u64
        }

        fn append(&mut self, count: u64, seed: u32) {
            self.records.extend((0..count).map(|number| seed.wrapping_add(u32::try_from(number).unwrap())));
        }

        fn read(&self, offsets: &Range<u64>) -> Vec<u32> {
            let at = |offset: u64| usize::try_from(offset).unwrap();
            self.records.get(at(offsets.start)..at(offsets.end)).unwrap().to_vec()
        }

        /// Whether everything that the decision takes over is what is there, and nothing is taken twice.
        fn snapshot(&mut self, stands: bool, now: i64) {
            let log = Log { key: "0".into(), shown: self.start..self.end(), stands };
            let ranges = self.kept.values().map(|(kept, _)| *kept).collect();
            let old = [KeptPart { sql: "0".into(), storage: String::new(), ranges }];
            let clock = Clock { before: now - 60, now };
            let decided = decide(&old, std::slice::from_ref(&log), clock, Duration::from_secs(3_600));
            let mut next = BTreeMap::new();
            let mut left: BTreeMap<u64, (KeptRange, Vec<u32>)> = self.kept.clone();
            for (index, offsets) in segments(&log.shown) {
                let range = (0, index);
                match (decided.kept.get(&range), decided.read.get(&range)) {
                    (Some(kept), None) => {
                        let (_, then) = left.remove(&index).unwrap();
                        assert_eq!(then, self.read(&offsets), "taken over and not there");
                        next.insert(index, (*kept, then));
                    }
                    (None, Some(before)) => {
                        match before {
                            Before::Nothing => assert!(!left.contains_key(&index)),
                            Before::Written(_) => drop(left.remove(&index).unwrap()),
                            Before::Same(_) => {
                                assert_eq!(left.remove(&index).unwrap().1, self.read(&offsets), "due and not there");
                            }
                        }
                        let blocks = offsets.end - offsets.start;
                        let kept = KeptRange { blocks, rows: blocks, at: offsets.start, read_at: now, place: None };
                        next.insert(index, (kept, self.read(&offsets)));
                    }
                    other => panic!("segment {index}: {other:?}"),
                }
            }
            // What is left over is taken out of the digest.
            let mut gone: Vec<u64> = decided.gone.iter().map(|kept| kept.at / OFFSETS).collect();
            gone.sort_unstable();
            assert_eq!(gone, left.keys().copied().collect::<Vec<_>>());
            let all: Vec<u32> = next.values().flat_map(|(_, records)| records.clone()).collect();
            assert_eq!(all, self.read(&log.shown), "put together and not what is there");
            self.kept = next;
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_what_reading_everything_gives(steps in prop::collection::vec(step(), 1..24)) {
            let mut model = Model::default();
            let (mut stands, mut now) = (true, 60);
            for step in steps {
                match step {
                    Step::Append(count, seed) => model.append(count, seed),
                    Step::Trim(by) => model.start = (model.start + by).min(model.end()),
                    Step::Truncate(lost, more, seed) => {
                        let end = model.end().saturating_sub(lost).max(model.start);
                        model.records.truncate(usize::try_from(end).unwrap());
                        model.append(more, seed);
                        // What tells it is another leadership without the last record that was kept.
                        let kept = model.kept.values().map(|(kept, _)| offsets_of(kept).end).max();
                        stands &= kept.is_none_or(|kept| kept <= end);
                    }
                    Step::Snapshot => {
                        model.snapshot(stands, now);
                        (stands, now) = (true, now + 60);
                    }
                }
            }
            model.snapshot(stands, now);
        }

        #[test]
        fn segments_hold_every_offset_once_and_are_cut_at_multiples(start in 0..10_000_u64, length in 0..10_000_u64) {
            let shown = start..start + length;
            let mut at = start;
            for (index, offsets) in segments(&shown) {
                prop_assert_eq!(offsets.start, at);
                prop_assert!(offsets.start / OFFSETS == index && (offsets.end - 1) / OFFSETS == index);
                at = offsets.end;
            }
            prop_assert_eq!(at, shown.end);
        }

        #[test]
        fn runs_hold_every_wanted_segment_once_and_are_bounded(numbers in prop::collection::btree_set(0..400_u64, 0..200)) {
            let wanted: Vec<(u64, Range<u64>)> =
                numbers.iter().map(|number| (*number, number * OFFSETS..(number + 1) * OFFSETS)).collect();
            let all = runs(&wanted, 16, 4);
            let held: Vec<u64> =
                all.iter().flatten().flat_map(|run| run.start / OFFSETS..run.end / OFFSETS).collect();
            prop_assert_eq!(held, numbers.into_iter().collect::<Vec<_>>());
            for runs in &all {
                let size: u64 = runs.iter().map(|run| (run.end - run.start) / OFFSETS).sum();
                prop_assert!(runs.len() <= 4 && size <= 16);
            }
        }
    }

    #[test]
    fn partitions_that_are_no_more_are_taken_out() {
        let kept = KeptRange { blocks: 10, rows: 10, at: 0, read_at: 5, place: None };
        let old = [KeptPart { sql: "7".into(), storage: String::new(), ranges: vec![kept] }];
        let decided = decide(&old, &[], Clock { before: 0, now: 10 }, Duration::from_secs(60));
        assert_eq!(decided.gone, [kept]);
    }
}
