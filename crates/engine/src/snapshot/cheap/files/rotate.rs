//! Which files are read again though nothing was written to them, so that all are within a stated time.

use std::collections::BTreeSet;
use std::time::Duration;

/// A file that need not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unwritten {
    /// Which one, by its number.
    pub(super) file: usize,
    /// When it was read, in seconds since 1970.
    pub(super) read_at: i64,
    /// What reading it costs.
    pub(super) bytes: u64,
}

/// When, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The snapshot before this one.
    pub(super) before: i64,
    /// This one.
    pub(super) now: i64,
}

/// Files to read again: those that would be too old at the next snapshot, if it comes as long after this one as this one
/// after the one before; and so many others, the oldest first, that of all `total` bytes the share was read since a file
/// was read that its age has of the time. So they do not all come at once, and a large file is not read again earlier
/// than it has to be.
pub(super) fn due(mut files: Vec<Unwritten>, total: u64, clock: Clock, within: Duration) -> BTreeSet<usize> {
    let within = i64::try_from(within.as_secs()).unwrap_or(i64::MAX);
    let interval = clock.now.saturating_sub(clock.before).clamp(0, within.max(0));
    files.sort_unstable_by_key(|one| (one.read_at, one.file));
    let unread: u64 = files.iter().map(|one| one.bytes).fold(0, u64::saturating_add);
    // What is not among the files is read in any case.
    let mut younger = total.saturating_sub(unread);
    let mut newer: Vec<u64> = Vec::with_capacity(files.len());
    for group in files.chunk_by(|a, b| a.read_at == b.read_at).rev() {
        newer.extend(group.iter().map(|_| younger));
        younger = group.iter().map(|one| one.bytes).fold(younger, u64::saturating_add);
    }
    newer.reverse();
    let mut chosen_bytes = 0_u64;
    let mut chosen = BTreeSet::new();
    for (one, newer) in files.iter().zip(newer) {
        let age = clock.now.saturating_sub(one.read_at);
        // A clock that was set back says nothing about when it was read.
        let too_old = age.saturating_add(interval) >= within || age < 0;
        let done = u128::from(newer.saturating_add(chosen_bytes).saturating_add(one.bytes));
        let wanted = u128::from(total) * u128::from(age.unsigned_abs());
        if too_old || done * u128::from(within.unsigned_abs()) <= wanted {
            chosen_bytes = chosen_bytes.saturating_add(one.bytes);
            chosen.insert(one.file);
        }
    }
    chosen
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn files(read: &[i64], sizes: &[u64]) -> Vec<Unwritten> {
        let pairs = read.iter().zip(sizes).enumerate();
        pairs.map(|(file, (read_at, bytes))| Unwritten { file, read_at: *read_at, bytes: *bytes }).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn with_a_snapshot_each_half_hour_everything_is_read_again_in_time_and_never_all_at_once(
            sizes in prop::collection::vec(1..1_000_u64, 1..60),
        ) {
            let total: u64 = sizes.iter().sum();
            let largest = sizes.iter().max().copied().unwrap_or(0);
            let mut read = vec![0_i64; sizes.len()];
            for turn in 1..=200_i64 {
                let clock = Clock { before: (turn - 1) * 1_800, now: turn * 1_800 };
                let chosen = due(files(&read, &sizes), total, clock, DAY);
                let bytes: u64 = chosen.iter().map(|file| sizes[*file]).sum();
                // A turn's share, what did not fit into the one before, and what has to be read now.
                prop_assert!(bytes <= total / 48 + 1 + 2 * largest, "{bytes} of {total} in turn {turn}");
                for file in chosen {
                    read[file] = clock.now;
                }
                prop_assert!(read.iter().all(|read| clock.now - read < 86_400), "turn {turn}");
            }
        }
    }

    #[test]
    fn a_single_file_is_read_again_at_the_end_of_the_time_and_not_before() {
        let mut read = vec![0_i64];
        let mut turns = Vec::new();
        for minute in 1..=4_000_i64 {
            let clock = Clock { before: (minute - 1) * 60, now: minute * 60 };
            if !due(files(&read, &[1_000]), 1_000, clock, DAY).is_empty() {
                turns.push(minute);
                read[0] = clock.now;
            }
        }
        assert_eq!(turns, [1_439, 2_878]);
    }

    #[test]
    fn after_a_pause_without_a_time_and_after_a_clock_went_back_everything_is_read_again() {
        let pause = Clock { before: 0, now: 90_000 };
        assert_eq!(due(files(&[0, 0], &[1, 1]), 2, pause, DAY).len(), 2);
        assert_eq!(due(files(&[90, 95], &[1, 1]), 2, Clock { before: 99, now: 100 }, Duration::ZERO).len(), 2);
        let back = Clock { before: 100, now: 100 };
        assert_eq!(due(files(&[90, 200], &[1, 1]), 2, back, DAY).into_iter().collect::<Vec<_>>(), [1]);
    }
}
