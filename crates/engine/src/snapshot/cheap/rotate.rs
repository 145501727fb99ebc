//! Which ranges are read again though nothing was written to them, so that all are within a stated time.

use std::collections::BTreeSet;
use std::time::Duration;

/// A range that need not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unwritten {
    /// Which relation, and which of its ranges.
    pub(super) range: (usize, u64),
    /// When it was read, in seconds since 1970.
    pub(super) read_at: i64,
}

/// When, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The snapshot before this one.
    pub(super) before: i64,
    /// This one.
    pub(super) now: i64,
}

/// Ranges to read again: those that would be too old at the next snapshot, if it comes as long after this one as this one
/// after the one before; and a share of all `total` ranges, the oldest first, so that they do not all come at once.
pub(super) fn due(mut ranges: Vec<Unwritten>, total: usize, clock: Clock, within: Duration) -> BTreeSet<(usize, u64)> {
    let within = i64::try_from(within.as_secs()).unwrap_or(i64::MAX);
    let interval = clock.now.saturating_sub(clock.before).clamp(0, within.max(0));
    let share = if within <= 0 { total } else { share(total, interval.unsigned_abs(), within.unsigned_abs()) };
    ranges.sort_unstable_by_key(|one| (one.read_at, one.range));
    let is_due = |one: &Unwritten| {
        let old_then = one.read_at.saturating_add(within) <= clock.now.saturating_add(interval);
        // A clock that was set back says nothing about when it was read.
        old_then || one.read_at > clock.now
    };
    ranges.iter().enumerate().filter(|(index, one)| *index < share || is_due(one)).map(|(_, one)| one.range).collect()
}

fn share(total: usize, interval: u64, within: u64) -> usize {
    let share = (total as u128 * u128::from(interval)).div_ceil(u128::from(within.max(1)));
    usize::try_from(share).unwrap_or(total).min(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(read: &[i64]) -> Vec<Unwritten> {
        read.iter().zip(0..).map(|(read_at, index)| Unwritten { range: (0, index), read_at: *read_at }).collect()
    }

    #[test]
    fn with_a_snapshot_a_minute_everything_is_read_again_within_the_time_and_never_all_at_once() {
        let mut read = vec![0_i64; 1_000];
        for minute in 1..=240_i64 {
            let clock = Clock { before: (minute - 1) * 60, now: minute * 60 };
            let chosen = due(at(&read), read.len(), clock, HOUR);
            assert!(chosen.len() <= 17, "{} in minute {minute}", chosen.len());
            for (_, index) in chosen {
                if let Some(read) = usize::try_from(index).ok().and_then(|index| read.get_mut(index)) {
                    *read = clock.now;
                }
            }
            assert!(read.iter().all(|read| clock.now - read < 3_600), "minute {minute}");
        }
    }

    #[test]
    fn after_a_longer_pause_than_the_time_everything_is_read_again() {
        let clock = Clock { before: 0, now: 4_000 };
        assert_eq!(due(at(&[0, 0, 0]), 3, clock, HOUR).len(), 3);
    }

    #[test]
    fn what_was_read_in_the_future_is_read_again() {
        let clock = Clock { before: 100, now: 100 };
        assert_eq!(due(at(&[90, 200]), 2, clock, HOUR).into_iter().collect::<Vec<_>>(), [(0, 1)]);
    }

    #[test]
    fn without_any_time_everything_is_read_again() {
        assert_eq!(due(at(&[90, 95]), 2, Clock { before: 99, now: 100 }, Duration::ZERO).len(), 2);
    }
}
