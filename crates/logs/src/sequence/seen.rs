//! The numbers that one counter was seen to give, as ranges, within a limit of memory.

use std::collections::BTreeMap;

/// What a number is to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The first of all, or the one that comes next.
    Next,
    /// It leaves numbers out.
    Jump,
    /// It was left out before, and comes late.
    Late,
    /// It belongs before the first one: whether it came already before the window nobody knows.
    Early,
    /// It was seen before.
    Again,
    /// It may have been seen before: what lies there was forgotten.
    Forgotten,
}

/// A range of numbers that were all seen.
#[derive(Debug, Clone, Copy)]
struct Range {
    last: u64,
    /// Where its first number stands.
    at: u64,
}

/// Numbers that were seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// By the first number of each; ranges do not touch.
    ranges: BTreeMap<u64, Range>,
    /// Numbers that were missing below what is still known exactly.
    forgotten: u64,
    /// Below this number nothing is known exactly any more.
    exact_from: u64,
}

impl Seen {
    /// Takes a number that stands at an offset. `ordered` says that numbers come in their order, so that one
    /// before the first belongs before the window. Keeps at most `max` ranges (at least 2): the lowest gap is
    /// counted and forgotten.
    pub(super) fn take(&mut self, number: u64, at: u64, ordered: bool, max: usize) -> Arrival {
        let arrival = match self.ends() {
            None => Arrival::Next,
            Some((_, last)) if number > last => {
                if number - last == 1 {
                    Arrival::Next
                } else {
                    Arrival::Jump
                }
            }
            Some((first, _)) if number < first => {
                if number < self.exact_from {
                    Arrival::Forgotten
                } else {
                    Arrival::Early
                }
            }
            _ if self.holds(number) && number >= self.exact_from => Arrival::Again,
            _ if number < self.exact_from => Arrival::Forgotten,
            _ => Arrival::Late,
        };
        let taken = match arrival {
            Arrival::Next | Arrival::Jump | Arrival::Late => true,
            Arrival::Early => !ordered,
            Arrival::Again | Arrival::Forgotten => false,
        };
        if taken {
            self.insert(number, at);
            while self.ranges.len() > max.max(2) {
                self.forget();
            }
        }
        arrival
    }

    fn holds(&self, number: u64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, range)| number <= range.last)
    }

    fn insert(&mut self, number: u64, at: u64) {
        let after = number.checked_add(1).and_then(|after| self.ranges.remove(&after));
        let last = after.map_or(number, |range| range.last);
        let before = self.ranges.range_mut(..number).next_back();
        match before.filter(|(_, range)| range.last.checked_add(1) == Some(number)) {
            Some((_, range)) => range.last = last,
            None => drop(self.ranges.insert(number, Range { last, at })),
        }
    }

    /// Closes the lowest gap.
    fn forget(&mut self) {
        let Some((from, low)) = self.ranges.pop_first() else { return };
        let Some((next, high)) = self.ranges.pop_first() else { return };
        self.forgotten = self.forgotten.saturating_add(next - low.last - 1);
        self.exact_from = self.exact_from.max(next);
        self.ranges.insert(from, Range { last: high.last, at: low.at });
    }

    /// The first and the last number.
    pub(super) fn ends(&self) -> Option<(u64, u64)> {
        Some((*self.ranges.first_key_value()?.0, self.ranges.last_key_value()?.1.last))
    }

    /// Numbers between the first and the last that were not seen, where they are known: from, to, and the
    /// offset of the number behind them.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let after = self.ranges.values().map(|range| range.last.saturating_add(1));
        let before = self.ranges.iter().skip(1).map(|(from, range)| (from.saturating_sub(1), range.at));
        after.zip(before).map(|(from, (to, at))| (from, to, at))
    }

    /// Numbers that were missing where nothing is known exactly any more.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// From this number on everything is known exactly.
    pub(super) fn exact_from(&self) -> u64 {
        self.exact_from
    }

    /// Ranges that it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn gaps_and_arrivals_are_those_of_a_set(numbers in prop::collection::vec(0_u64..60, 1..80)) {
            let mut seen = Seen::default();
            let mut set = BTreeSet::new();
            for (at, number) in numbers.iter().enumerate() {
                let (low, high) = (set.first().copied().unwrap_or(*number), set.last().copied().unwrap_or(*number));
                let expected = match () {
                    () if set.is_empty() || *number == high + 1 => Arrival::Next,
                    () if *number > high => Arrival::Jump,
                    () if *number < low => Arrival::Early,
                    () if set.contains(number) => Arrival::Again,
                    () => Arrival::Late,
                };
                prop_assert_eq!(seen.take(*number, at as u64, false, 1_000), expected);
                set.insert(*number);
            }
            let (low, high) = seen.ends().unwrap_or_default();
            let missing: Vec<u64> = (low..=high).filter(|number| !set.contains(number)).collect();
            let found: Vec<u64> = seen.gaps().flat_map(|(from, to, _)| from..=to).collect();
            prop_assert_eq!(found, missing);
        }

        #[test]
        fn within_little_memory_what_is_missing_is_counted_all_the_same(numbers in prop::collection::vec(0_u64..1_000, 1..200), max in 2_usize..6) {
            let (mut seen, mut whole) = (Seen::default(), Seen::default());
            let numbers: BTreeSet<u64> = numbers.into_iter().collect();
            for number in &numbers {
                seen.take(*number, 0, true, max);
                whole.take(*number, 0, true, usize::MAX);
                prop_assert!(seen.len() <= max);
            }
            let sum = |seen: &Seen| seen.gaps().map(|(from, to, _)| to - from + 1).sum::<u64>() + seen.forgotten();
            prop_assert_eq!(sum(&seen), sum(&whole));
            prop_assert!(seen.gaps().all(|gap| whole.gaps().any(|other| other.0 == gap.0 && other.1 == gap.1)));
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut seen = Seen::default();
        for number in [u64::MAX - 1, u64::MAX, 0, u64::MAX] {
            seen.take(number, 0, false, 8);
        }
        assert_eq!(seen.gaps().collect::<Vec<_>>(), [(1, u64::MAX - 2, 0)]);
    }
}
