//! What every alignment must hold to.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use rstest::rstest;

const START: Lie = Lie { source_cut: false, replica_cut: false, meets_behind: false };
const SOURCE_CUT: Lie = Lie { source_cut: true, ..START };
const REPLICA_CUT: Lie = Lie { replica_cut: true, ..START };

fn ids(text: &str) -> Vec<Id> {
    text.bytes().map(|byte| Id(u128::from(byte) << 64 | u128::from(byte))).collect()
}

fn runs(source: &str, replica: &str, lie: Lie) -> Vec<(usize, usize, usize)> {
    align(&ids(source), &ids(replica), lie).runs.iter().map(|run| (run.source, run.replica, run.len)).collect()
}

#[rstest]
#[case::equal("abc", "abc", &[(0, 0, 3)])]
#[case::empty("", "abc", &[])]
#[case::nothing_in_common("abc", "xyz", &[])]
#[case::behind("abcdef", "abc", &[(0, 0, 3)])]
#[case::lost("abcdef", "abef", &[(0, 0, 2), (4, 2, 2)])]
#[case::added("abef", "abxyef", &[(0, 0, 2), (2, 4, 2)])]
#[case::changed("abcdef", "abxdef", &[(0, 0, 2), (3, 3, 3)])]
#[case::a_run_copied_again("abcdefg", "abcdecdefg", &[(0, 0, 5), (5, 8, 2)])]
#[case::swapped("abcdef", "abdcef", &[(0, 0, 2), (3, 2, 1), (4, 4, 2)])]
#[case::one_of_many_lost("axxxb", "axxb", &[(0, 0, 3), (4, 3, 1)])]
#[case::one_of_many_twice("axxb", "axxxb", &[(0, 0, 3), (3, 4, 1)])]
#[case::one_of_a_period_lost("ababababc", "abababc", &[(0, 0, 6), (8, 6, 1)])]
fn what_is_left_over_is_what_a_person_would_say(
    #[case] source: &str,
    #[case] replica: &str,
    #[case] expected: &[(usize, usize, usize)],
) {
    assert_eq!(runs(source, replica, START), expected);
    assert_eq!(runs(source, replica, Lie::BETWEEN), expected);
}

#[rstest]
// The replica has old records that the source lost to retention; all records are alike.
#[case::masses("xxx", "xxxxx", SOURCE_CUT, &[(0, 2, 3)])]
#[case::masses_and_behind("xxxxx", "xxx", SOURCE_CUT, &[(0, 0, 3)])]
#[case::periods("abab", "abababa", SOURCE_CUT, &[(0, 4, 3)])]
#[case::crossing("xab", "ax", SOURCE_CUT, &[(0, 1, 1)])]
#[case::retention_on_the_replica("abcabcabc", "abcabc", REPLICA_CUT, &[(3, 0, 6)])]
#[case::both("bcdbcd", "abcdb", Lie { replica_cut: true, ..SOURCE_CUT }, &[(0, 1, 4)])]
#[case::no_faithful_one("bcde", "abxcde", SOURCE_CUT, &[(0, 1, 1), (1, 3, 3)])]
fn where_a_log_begins_in_the_middle_a_faithful_copy_is_preferred(
    #[case] source: &str,
    #[case] replica: &str,
    #[case] lie: Lie,
    #[case] expected: &[(usize, usize, usize)],
) {
    assert_eq!(runs(source, replica, lie), expected);
}

#[test]
fn at_a_beginning_in_the_middle_what_repeats_is_left_over_there() {
    let head = Lie { meets_behind: true, ..SOURCE_CUT };
    assert_eq!(runs("xx", "xxxx", head), [(0, 2, 2)]);
    assert_eq!(runs("ax", "bxax", head), [(0, 2, 2)]);
}

fn is_sound(source: &[Id], replica: &[Id], runs: &[Run]) -> bool {
    let ascending = runs.windows(2).all(|pair| {
        let (a, b) = (pair[0], pair[1]);
        a.source + a.len <= b.source && a.replica + a.len <= b.replica
    });
    let equal = |run: &Run| run.len > 0 && source[run.source..][..run.len] == replica[run.replica..][..run.len];
    ascending && runs.iter().all(equal)
}

fn matched(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.len).sum()
}

fn longest_common(a: &[Id], b: &[Id]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut corner = 0;
        for (at, y) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if x == y { corner + 1 } else { above.max(row[at]) };
            corner = above;
        }
    }
    row[b.len()]
}

fn sequence(names: u128, len: Range<usize>) -> impl Strategy<Value = Vec<Id>> {
    proptest::collection::vec((0..names).prop_map(|name| Id(name << 64 | name)), len)
}

fn lies() -> impl Strategy<Value = Lie> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(source_cut, replica_cut, meets_behind)| Lie {
        source_cut,
        replica_cut,
        meets_behind,
    })
}

proptest! {
    #[test]
    fn runs_are_equal_items_in_one_order(a in sequence(5, 0..40), b in sequence(5, 0..40), lie in lies()) {
        let runs = align(&a, &b, lie).runs;
        prop_assert!(is_sound(&a, &b, &runs), "{runs:?}");
    }

    #[test]
    fn the_bounded_search_finds_a_longest_common_subsequence(a in sequence(3, 0..40), b in sequence(3, 0..40)) {
        let pairs = shortest_edit(&a, &b, &mut usize::MAX.clone()).unwrap();
        prop_assert_eq!(pairs.len(), longest_common(&a, &b));
        prop_assert!(pairs.iter().all(|(s, r)| a[*s] == b[*r]));
        prop_assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
    }

    #[test]
    fn a_part_of_the_other_is_matched_in_full(a in sequence(4, 0..60), keep in proptest::collection::vec(any::<bool>(), 60), lie in lies()) {
        let lie = Lie { meets_behind: lie.meets_behind || lie.begins_open(), ..lie };
        let b: Vec<Id> = a.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(id, _)| *id).collect();
        for (a, b) in [(&a, &b), (&b, &a)] {
            let runs = align(a, b, lie).runs;
            prop_assert!(is_sound(a, b, &runs));
            prop_assert_eq!(matched(&runs), a.len().min(b.len()));
        }
    }

    #[test]
    fn of_names_that_are_all_different_as_few_as_possible_are_left_over(order in Just((0..30_u128).collect::<Vec<_>>()).prop_shuffle(), gone in 0..30_usize) {
        let a: Vec<Id> = (0..30).map(|name| Id(name << 64 | name)).collect();
        let mut b: Vec<Id> = order.into_iter().map(|name| Id(name << 64 | name)).collect();
        b.truncate(gone);
        let runs = align(&a, &b, Lie::BETWEEN).runs;
        prop_assert!(is_sound(&a, &b, &runs));
        prop_assert_eq!(matched(&runs), longest_common(&a, &b));
    }

    #[test]
    fn a_faithful_copy_of_what_repeats_itself_is_no_contradiction(history in sequence(2, 1..40), gone in 1..20_usize, behind in 0..20_usize) {
        let gone = gone.min(history.len() - 1);
        // The source lost its beginning, the replica is behind, and they still have something in common.
        let mirrored = history.len().saturating_sub(behind).max(gone + 1);
        let (source, replica) = (&history[gone.min(mirrored - 1)..], &history[..mirrored]);
        let aligned = align(source, replica, SOURCE_CUT);
        let faithful = matches!(aligned.runs[..], [run] if run.source == 0 && run.replica + run.len == replica.len());
        prop_assert!(faithful || aligned.ambiguous, "{aligned:?}");
    }

    #[test]
    fn names_that_are_all_different_are_never_ambiguous(gone in 1..20_usize, mirrored in 0..40_usize, lost in 0..40_usize, lie in lies()) {
        let history: Vec<Id> = (0..40).map(|name| Id(name << 64 | name)).collect();
        let mut replica = history[..mirrored].to_vec();
        if lost < mirrored && lost > gone {
            replica.remove(lost);
            let aligned = align(&history[gone..], &replica, lie);
            let unfaithful = lost + 1 < mirrored;
            prop_assert!(!aligned.ambiguous);
            prop_assert_eq!(aligned.runs.len(), 1 + usize::from(unfaithful));
        }
    }
}

#[test]
fn beyond_the_bounds_as_many_equal_items_are_found_and_in_good_time() {
    // Names that all occur twice, in blocks that are turned around: nothing to hold on to.
    let a: Vec<Id> = (0..20_000_u128).map(|at| Id(((at / 2) << 64) | (at / 2))).collect();
    let mut b: Vec<Id> = a.clone();
    b.chunks_mut(7).for_each(<[Id]>::reverse);
    let runs = align(&a, &b, Lie::BETWEEN).runs;
    assert!(is_sound(&a, &b, &runs));
    assert!(matched(&runs) > 2_000, "{}", matched(&runs));
}
