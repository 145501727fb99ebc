//! Finding the last records of a mirrored partition on the source.

use crate::items::{Item, Window};

/// What looking for the tail of a mirrored partition came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// The tail's last record that is on the source stands at one of these offsets of it.
    Found {
        /// The first offset that it can be, and the last one. Equal where only one fits.
        offsets: (u64, u64),
        /// Records at the very end of the tail that are not in the window.
        unknown: usize,
        /// Whether a longer tail could tell the offsets apart.
        longer: bool,
    },
    /// None of the tail's records is in the window.
    Missing,
}

/// Looks for the last records of a mirrored partition (`tail`, in their order) in a window of the source.
/// Identical records are told apart by those that stand before them.
pub fn probe(tail: &[Item], window: &Window) -> Probed {
    let places = window.places();
    let found = tail.iter().enumerate().rev().find(|(_, item)| places.contains_key(&item.hash));
    let Some((last, item)) = found else { return Probed::Missing };
    let candidates = places.get(&item.hash).map(Vec::as_slice).unwrap_or_default();
    let before = tail.get(..last).unwrap_or_default();
    let best = fitting(before, candidates, window);
    let offset = |at: Option<&usize>| at.and_then(|at| window.items.get(*at)).map_or(window.from, Item::offset);
    Probed::Found {
        offsets: (offset(best.first()), offset(best.last())),
        unknown: tail.len() - 1 - last,
        longer: best.len() > 1,
    }
}

/// The places among `candidates` before which most of `before` stands, backwards.
fn fitting(before: &[Item], candidates: &[usize], window: &Window) -> Vec<usize> {
    if candidates.len() <= 1 {
        return candidates.to_vec();
    }
    let matched: Vec<usize> = candidates.iter().map(|at| run(before, *at, window)).collect();
    let most = matched.iter().copied().max().unwrap_or(0);
    candidates.iter().zip(&matched).filter(|(_, own)| **own == most).map(|(at, _)| *at).collect()
}

/// How many records before a place of the window are those at the end of `before`. Where the window begins
/// too late to tell, all of them may be.
fn run(before: &[Item], at: usize, window: &Window) -> usize {
    let preceding = window.items.get(..at).unwrap_or_default();
    let same = before.iter().rev().zip(preceding.iter().rev()).take_while(|(a, b)| a.hash == b.hash).count();
    if same == preceding.len() && window.from > 0 { before.len() } else { same }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;
    use crate::ages::Found;
    use crate::content::Id;
    use paritas_connect::logs::Isolation;
    use proptest::prelude::*;
    use rstest::rstest;

    fn items(from: u64, text: &str) -> Vec<Item> {
        let found = |offset| Found { offset, timestamp: Some(0), appended: false };
        // A space is an offset that nobody reads.
        let all = text.bytes().enumerate().filter(|(_, byte)| *byte != b' ');
        all.map(|(at, byte)| Item { found: found(from + at as u64), hash: Id(byte.into()) }).collect()
    }

    fn window(from: u64, text: &str) -> Window {
        let to = from + text.len() as u64;
        Window { from, to, isolation: Isolation::Uncommitted, items: items(from, text) }
    }

    #[rstest]
    #[case::the_last("abc", "abcdef", Some((2, 2)))]
    #[case::markers_in_between("abc", "ab  c de ", Some((4, 4)))]
    #[case::identical_records_behind_another("xss", "xssss", Some((2, 2)))]
    #[case::identical_records_and_nothing_else("ss", "ssss", Some((1, 3)))]
    #[case::two_alike("ab", "ab  ab", Some((1, 5)))]
    #[case::two_alike_behind_others("cab", "xab cab", Some((6, 6)))]
    #[case::a_run_that_came_twice("fgabc", "abcdefg", Some((2, 2)))]
    #[case::none("z", "abc", None)]
    fn the_tail_is_found_by_its_last_record_and_those_before_it(
        #[case] tail: &str,
        #[case] source: &str,
        #[case] expected: Option<(u64, u64)>,
    ) {
        let offsets = match probe(&items(0, tail), &window(0, source)) {
            Probed::Found { offsets, unknown: 0, longer } => {
                assert_eq!(longer, offsets.0 != offsets.1);
                Some(offsets)
            }
            Probed::Found { unknown, .. } => panic!("{unknown}"),
            Probed::Missing => None,
        };
        assert_eq!(offsets, expected);
    }

    #[test]
    fn records_of_others_at_the_end_are_counted_and_passed_over() {
        let probed = probe(&items(0, "abcXY"), &window(100, "abcdef"));
        assert_eq!(probed, Probed::Found { offsets: (102, 102), unknown: 2, longer: false });
    }

    #[test]
    fn a_window_that_begins_too_late_tells_nothing_apart() {
        let probed = probe(&items(0, "xss"), &window(100, "ssss"));
        assert!(matches!(probed, Probed::Found { offsets: (100, 101), longer: true, .. }), "{probed:?}");
    }

    proptest! {
        #[test]
        fn the_true_place_is_among_those_found(source in "[a-d ]{1,60}", copied in 1_usize..60, tail in 1_usize..20, from in 0_u64..3) {
            let window = window(from, &source);
            let copied: Vec<Item> = window.items.iter().take(copied).copied().collect();
            prop_assume!(!copied.is_empty());
            let truth = copied.last().map_or(0, Item::offset);
            let tail = copied.get(copied.len().saturating_sub(tail)..).unwrap_or_default();
            let Probed::Found { offsets: (low, high), unknown: 0, .. } = probe(tail, &window) else {
                return Err(TestCaseError::fail("not found"));
            };
            prop_assert!((low..=high).contains(&truth), "{low} {truth} {high}");
        }
    }
}
