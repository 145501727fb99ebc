//! What counters came to.

use super::{Counter, Counting, Scope, Sequences};
use paritas_connect::logs::Partition;
use paritas_model::Verdict;
use serde::{Deserialize, Serialize};

/// Consecutive numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberRun {
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub to: u64,
    /// Where the first record of them stands; for numbers that are missing, the one behind them.
    pub first_offset: u64,
    /// Where the last one stands; the same for numbers that are missing.
    pub last_offset: u64,
}

impl NumberRun {
    /// How many numbers.
    pub fn numbers(&self) -> u64 {
        (self.to - self.from).saturating_add(1)
    }
}

/// A record without a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// The partition.
    pub partition: Partition,
    /// Where it stands.
    pub offset: u64,
    /// Why it has none.
    pub why: String,
}

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterReport {
    /// The partition in which it counts; `None` for all of them.
    pub partition: Option<Partition>,
    /// Its name, where records carry one.
    pub name: Option<String>,
    /// Records with its numbers.
    pub records: u64,
    /// The first number, and the last one of the newest session.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Numbers that are missing.
    pub missing: u64,
    /// Which, as far as they are kept.
    pub gaps: Vec<NumberRun>,
    /// Numbers that may be missing or may lie before or behind what was read; only in all partitions together.
    pub open: u64,
    /// Records whose number had come before.
    pub duplicates: u64,
    /// Which, as far as they are kept.
    pub repeats: Vec<NumberRun>,
    /// Records whose number came after a higher one.
    pub late: u64,
    /// Which, as far as they are kept.
    pub late_runs: Vec<NumberRun>,
    /// Records whose number belongs before the window: late, or repeated.
    pub early: u64,
    /// Records of which nobody knows whether they came late or again.
    pub unclear: u64,
    /// How often it began anew.
    pub restarts: u64,
    /// Not everything that was found is listed; what is counted is complete.
    pub cut: bool,
}

impl CounterReport {
    /// What it amounts to.
    pub fn verdict(&self, counting: &Counting) -> Verdict {
        let allowed = |count: u64, allowed: bool| match count {
            0 => Verdict::Pass,
            _ if allowed => Verdict::Warn,
            _ => Verdict::Fail,
        };
        let unknown = self.unclear > 0 || self.open > 0;
        let early = if counting.duplicates_allowed && counting.reorder_allowed { Verdict::Warn } else { Verdict::Fail };
        Verdict::combine([
            allowed(self.missing, false),
            allowed(self.duplicates, counting.duplicates_allowed),
            allowed(self.late, counting.reorder_allowed),
            if self.early > 0 { early } else { Verdict::Pass },
            if unknown { Verdict::Unknown } else { Verdict::Pass },
        ])
    }
}

/// All counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuity {
    /// The worst of everything. Records without a number and counters that were not kept leave it unknown.
    pub verdict: Verdict,
    /// Records that were read.
    pub records: u64,
    /// Counters, those with the worst verdict first.
    pub counters: Vec<CounterReport>,
    /// Records that carry no number.
    pub unreadable: u64,
    /// Some of them.
    pub examples: Vec<Unreadable>,
    /// Records of counters that were not kept, because there are too many of them.
    pub left_out: u64,
}

pub(super) fn continuity(sequences: Sequences) -> Continuity {
    let Sequences { counting, partitions, counters, records, unreadable, examples, left_out } = sequences;
    let mut reports = Vec::with_capacity(counters.len());
    for ((part, name), counter) in counters {
        let partition = part.and_then(|part| partitions.get(part)).cloned();
        reports.push(report(partition, name, counter, &counting));
    }
    let rank = |report: &CounterReport| std::cmp::Reverse(report.verdict(&counting));
    reports.sort_by(|a, b| (rank(a), &a.partition, &a.name).cmp(&(rank(b), &b.partition, &b.name)));
    let unknown = unreadable > 0 || left_out > 0 || records == 0;
    let verdicts = reports.iter().map(|report| report.verdict(&counting));
    let verdict = Verdict::combine(verdicts.chain(unknown.then_some(Verdict::Unknown)));
    Continuity { verdict, records, counters: reports, unreadable, examples, left_out }
}

fn report(partition: Option<Partition>, name: Option<String>, counter: Counter, counting: &Counting) -> CounterReport {
    let mut counter = counter;
    let (first, last) = counter.seen.ends().unwrap_or_default();
    let first = if counting.scope == Scope::Log { first } else { counter.first.unwrap_or(first) };
    let exact_from = counter.seen.exact_from();
    counter.close(counting.ranges_max);
    let mut open = 0;
    if counting.scope == Scope::Log {
        open = set_apart(&mut counter, exact_from);
    }
    CounterReport {
        partition,
        name,
        records: counter.records,
        first,
        last,
        missing: counter.missing.saturating_add(counter.forgotten),
        open,
        duplicates: counter.again.numbers,
        late: counter.late.numbers,
        early: counter.early,
        unclear: counter.unclear,
        restarts: counter.restarts,
        cut: counter.cut || counter.forgotten > 0 || counter.again.cut || counter.late.cut,
        gaps: counter.gaps,
        repeats: counter.again.runs,
        late_runs: counter.late.runs,
    }
}

/// In all partitions together a number is missing for sure only where every partition that has any of the
/// counter's numbers was read before and behind it; the others are set apart. Answers how many those are.
fn set_apart(counter: &mut Counter, exact_from: u64) -> u64 {
    let from = counter.parts.values().map(|(first, _)| *first).max().unwrap_or(0);
    let to = counter.parts.values().map(|(_, last)| *last).min().unwrap_or(u64::MAX);
    let mut sure = 0_u64;
    let mut kept = Vec::new();
    for gap in &counter.gaps {
        let (low, high) = (gap.from.max(from), gap.to.min(to));
        if low <= high {
            kept.push(NumberRun { from: low, to: high, ..*gap });
            sure = sure.saturating_add((high - low).saturating_add(1));
        }
    }
    let mut open = counter.missing.saturating_sub(sure);
    counter.missing = sure;
    if exact_from > from {
        // What was forgotten may lie before what every partition shows.
        open = open.saturating_add(counter.forgotten);
        counter.forgotten = 0;
    }
    counter.gaps = kept;
    open
}

/// Numbers that are missing in the second report and not in the first one, where both counted; `None` where
/// either does not list everything.
pub fn missing_only_in(replica: &CounterReport, source: &CounterReport) -> Option<Vec<(u64, u64)>> {
    if replica.cut || source.cut || replica.restarts > 0 || source.restarts > 0 {
        return None;
    }
    let (from, to) = (replica.first.max(source.first), replica.last.min(source.last));
    let mut found = Vec::new();
    for gap in &replica.gaps {
        let mut low = gap.from.max(from);
        let high = gap.to.min(to);
        for other in &source.gaps {
            if other.to < low || other.from > high {
                continue;
            }
            if other.from > low {
                found.push((low, other.from - 1));
            }
            low = other.to.saturating_add(1);
        }
        if low <= high {
            found.push((low, high));
        }
    }
    Some(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{FieldAt, Part, Written};
    use super::*;
    use paritas_connect::logs::Record;
    use proptest::prelude::*;
    use rstest::rstest;

    fn counting(scope: Scope) -> Counting {
        Counting { scope, ..Counting::of(FieldAt { part: Part::Key, written: Written::Text }) }
    }

    /// Reads numbers of several partitions; each stands at its place in the list.
    fn read(counting: Counting, partitions: &[&[u64]]) -> Continuity {
        let names = (0..partitions.len()).map(|index| Partition::new("orders", index as i32)).collect();
        let mut sequences = Sequences::new(counting, names);
        for (range, numbers) in partitions.iter().enumerate() {
            for (at, number) in numbers.iter().enumerate() {
                let key = number.to_string();
                let offset = 100 + at as u64;
                let headers = Vec::new();
                let key = Some(key.as_bytes());
                sequences.take(range, &Record { offset, timestamp: None, appended: false, key, value: None, headers });
            }
        }
        sequences.finish()
    }

    fn one(numbers: &[u64]) -> CounterReport {
        read(counting(Scope::Partition), &[numbers]).counters.remove(0)
    }

    #[rstest]
    #[case::whole(&[7, 8, 9], 0, 0, 0, Verdict::Pass)]
    #[case::gap(&[7, 8, 11], 2, 0, 0, Verdict::Fail)]
    #[case::repeated(&[7, 8, 8, 9], 0, 1, 0, Verdict::Fail)]
    #[case::a_run_came_twice(&[1, 2, 3, 4, 2, 3, 4, 5], 0, 3, 0, Verdict::Fail)]
    #[case::swapped(&[1, 3, 2, 4], 0, 0, 1, Verdict::Fail)]
    #[case::gap_filled_in_part(&[1, 5, 3], 2, 0, 1, Verdict::Fail)]
    fn gaps_repetitions_and_changes_of_order_are_told_apart(
        #[case] numbers: &[u64],
        #[case] missing: u64,
        #[case] duplicates: u64,
        #[case] late: u64,
        #[case] verdict: Verdict,
    ) {
        let report = one(numbers);
        assert_eq!((report.missing, report.duplicates, report.late, report.early), (missing, duplicates, late, 0));
        assert_eq!(report.verdict(&counting(Scope::Partition)), verdict);
    }

    #[test]
    fn places_are_named() {
        let report = one(&[1, 2, 6, 7, 6, 7, 4]);
        let run = |from, to, first_offset, last_offset| NumberRun { from, to, first_offset, last_offset };
        assert_eq!(report.gaps, [run(3, 3, 106, 106), run(5, 5, 102, 102)]);
        assert_eq!(report.repeats, [run(6, 7, 104, 105)]);
        assert_eq!(report.late_runs, [run(4, 4, 106, 106)]);
    }

    #[test]
    fn what_lies_before_the_window_is_not_missing_and_a_number_of_before_is_told() {
        let report = one(&[500, 501, 3, 502]);
        assert_eq!((report.missing, report.early, report.first), (0, 1, 500));
        assert_eq!(report.verdict(&counting(Scope::Partition)), Verdict::Fail);
    }

    #[test]
    fn a_counter_that_begins_anew_repeats_nothing() {
        let daily = Counting { restarts_at: Some(1), ..counting(Scope::Partition) };
        let report = read(daily.clone(), &[&[8, 9, 1, 2, 4, 1, 2]]).counters.remove(0);
        assert_eq!((report.restarts, report.missing, report.duplicates), (2, 1, 0));
        assert_eq!((report.first, report.last), (8, 2));
        assert_eq!(read(daily, &[&[1, 2, 3]]).counters[0].restarts, 0);
    }

    #[test]
    fn what_is_allowed_deserves_a_look_only() {
        let lenient = Counting { duplicates_allowed: true, reorder_allowed: true, ..counting(Scope::Partition) };
        assert_eq!(read(lenient.clone(), &[&[1, 3, 2, 2]]).verdict, Verdict::Warn);
        assert_eq!(read(lenient, &[&[1, 3]]).verdict, Verdict::Fail);
    }

    #[test]
    fn in_all_partitions_together_numbers_have_no_order() {
        let read = |partitions: &[&[u64]]| read(counting(Scope::Log), partitions).counters.remove(0);
        let whole = read(&[&[2, 4, 6], &[1, 3, 5]]);
        assert_eq!((whole.missing, whole.open, whole.late, whole.early), (0, 0, 0, 0));
        let gap = read(&[&[2, 4, 8], &[1, 3, 9]]);
        assert_eq!((gap.missing, gap.open), (3, 0));
        let repeated = read(&[&[2, 4, 6], &[1, 3, 4, 5, 7]]);
        assert_eq!((repeated.duplicates, repeated.missing), (1, 0));
        // The second partition was read from 50 on only, and up to 60: numbers outside may have been there.
        let open = read(&[&[10, 20, 52, 70], &[50, 51, 53, 60]]);
        assert_eq!((open.missing, open.open), (6, 9 + 29 + 9));
    }

    #[test]
    fn each_name_has_a_counter_of_its_own() {
        let name = FieldAt { part: Part::Value, written: Written::Text };
        let counting = Counting { counter: Some(name), ..counting(Scope::Log) };
        let mut sequences = Sequences::new(counting, vec![Partition::new("ticks", 0)]);
        for (offset, (venue, number)) in [("XLON", "1"), ("XNAS", "7"), ("XLON", "2"), ("XNAS", "9")].iter().enumerate()
        {
            let (key, value) = (Some(number.as_bytes()), Some(venue.as_bytes()));
            let (offset, headers) = (offset as u64, Vec::new());
            sequences.take(0, &Record { offset, timestamp: None, appended: false, key, value, headers });
        }
        let continuity = sequences.finish();
        let found: Vec<_> = continuity.counters.iter().map(|own| (own.name.as_deref().unwrap(), own.missing)).collect();
        assert_eq!(found, [("XNAS", 1), ("XLON", 0)]);
    }

    #[test]
    fn records_without_a_number_and_counters_beyond_the_limit_leave_it_unknown() {
        let mut sequences = Sequences::new(counting(Scope::Partition), vec![Partition::new("orders", 0)]);
        let headers = Vec::new();
        let nothing = Record { offset: 5, timestamp: None, appended: false, key: None, value: None, headers };
        sequences.take(0, &nothing);
        let continuity = sequences.finish();
        assert_eq!((continuity.verdict, continuity.unreadable), (Verdict::Unknown, 1));
        assert_eq!(continuity.examples[0].offset, 5);
        let few = Counting { counters_max: 1, ..counting(Scope::Partition) };
        let continuity = read(few, &[&[1, 2], &[1, 2]]);
        assert_eq!((continuity.verdict, continuity.left_out), (Verdict::Unknown, 2));
        assert_eq!(read(counting(Scope::Partition), &[&[]]).verdict, Verdict::Unknown);
    }

    #[test]
    fn what_is_forgotten_is_counted_and_never_called_whole() {
        let few = Counting { ranges_max: 2, ..counting(Scope::Partition) };
        let report = read(few, &[&[1, 3, 5, 7, 9, 4]]).counters.remove(0);
        assert_eq!((report.missing, report.unclear, report.cut), (4, 1, true));
        assert_eq!(report.verdict(&counting(Scope::Partition)), Verdict::Fail);
    }

    #[test]
    fn what_the_producer_left_out_is_not_missing_on_the_replica_alone() {
        let (source, replica) = (one(&[1, 2, 5, 6, 7, 8, 9, 12]), one(&[2, 5, 8, 9]));
        assert_eq!(missing_only_in(&replica, &source), Some(vec![(6, 7)]));
        assert_eq!(missing_only_in(&source, &replica), Some(vec![]));
    }

    proptest! {
        #[test]
        fn a_window_of_whole_numbers_passes_wherever_it_begins(from in 0_u64..1_000, length in 1_u64..200, parts in 1_usize..5) {
            let numbers: Vec<u64> = (from..from + length).collect();
            prop_assert_eq!(read(counting(Scope::Partition), &[&numbers]).verdict, Verdict::Pass);
            let dealt: Vec<Vec<u64>> =
                (0..parts).map(|part| numbers.iter().copied().skip(part).step_by(parts).collect()).collect();
            let dealt: Vec<&[u64]> = dealt.iter().map(Vec::as_slice).collect();
            let report = read(counting(Scope::Log), &dealt).counters.remove(0);
            prop_assert_eq!((report.missing, report.open, report.duplicates), (0, 0, 0));
        }

        #[test]
        fn every_record_that_is_dropped_repeated_or_swapped_is_told(length in 4_u64..100, at in 1_usize..98, kind in 0..3) {
            let mut numbers: Vec<u64> = (0..length).collect();
            let at = at.min(numbers.len() - 2);
            match kind {
                0 => drop(numbers.remove(at)),
                1 => numbers.insert(at, numbers[at]),
                _ => numbers.swap(at - 1, at),
            }
            let report = one(&numbers);
            let expected = match kind { 0 => (1, 0, 0, 0), 1 => (0, 1, 0, 0), _ if at == 1 => (0, 0, 0, 1), _ => (0, 0, 1, 0) };
            prop_assert_eq!((report.missing, report.duplicates, report.late, report.early), expected);
        }
    }
}
