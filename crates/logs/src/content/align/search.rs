//! Parts in which every name repeats: a bounded search, and what is done beyond its bounds.

use super::common::increasing;
use crate::content::Id;
use crate::content::id::IdMap;

/// Items left over on both sides that the search looks for, at most.
const EDITS_MAX: usize = 400;

/// A longest common subsequence (E. Myers, "An O(ND) difference algorithm and its variations", 1986), if no more than
/// [`EDITS_MAX`] items are left over and `work` lasts.
pub(super) fn shortest_edit(source: &[Id], replica: &[Id], work: &mut usize) -> Option<Vec<(usize, usize)>> {
    let (n, m) = (source.len(), replica.len());
    if n.abs_diff(m) > EDITS_MAX {
        return None;
    }
    // Diagonal k = s - r is kept at k + edits; `reached[d]` are the furthest places before round d + 1.
    let mut reached: Vec<Vec<usize>> = Vec::new();
    for edits in 0..=EDITS_MAX.min(n + m) {
        let mut round = vec![0; 2 * edits + 1];
        for index in (0..=2 * edits).step_by(2) {
            let start = first_place(reached.last(), edits, index);
            let mut s = start;
            // s + edits - index is s - k.
            let r_of = |s: usize| (s + edits).checked_sub(index);
            while let (Some(a), Some(b)) = (source.get(s), r_of(s).and_then(|r| replica.get(r))) {
                if a != b {
                    break;
                }
                s += 1;
            }
            *work = work.saturating_sub(s.saturating_sub(start) + 1);
            if *work == 0 {
                return None;
            }
            if let Some(place) = round.get_mut(index) {
                *place = s;
            }
            if s >= n && r_of(s).is_some_and(|r| r >= m) {
                reached.push(round);
                return Some(trace(&reached, n, m));
            }
        }
        reached.push(round);
    }
    None
}

/// Where diagonal `index` of round `edits` begins: beside the better of its neighbours in the round before.
fn first_place(before: Option<&Vec<usize>>, edits: usize, index: usize) -> usize {
    let Some(before) = before else { return 0 };
    // A diagonal that is `index` in this round is `index - 1` in the one before.
    let above = index.checked_sub(2).and_then(|at| before.get(at)).map(|s| s + 1);
    let beside = before.get(index).copied();
    match (above, beside) {
        (Some(above), Some(beside)) => above.max(beside),
        (above, beside) => above.or(beside).unwrap_or(edits),
    }
}

/// The equal items on the way back from the end.
fn trace(reached: &[Vec<usize>], n: usize, m: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let (mut s, mut r) = (n, m);
    for edits in (0..reached.len()).rev() {
        let index = (s + edits).saturating_sub(r);
        let before = edits.checked_sub(1).and_then(|last| reached.get(last));
        let start = first_place(before, edits, index);
        while s > start && s > 0 && r > 0 {
            s -= 1;
            r -= 1;
            pairs.push((s, r));
        }
        let Some(before) = before else { break };
        let above = index.checked_sub(2).and_then(|at| before.get(at)).map(|s| s + 1);
        // An item of the source was left over if that reached further, otherwise one of the replica.
        if above == Some(start) && before.get(index).is_none_or(|beside| *beside < start) {
            s = s.saturating_sub(1);
        } else {
            r = r.saturating_sub(1);
        }
    }
    pairs.reverse();
    pairs
}

/// The first occurrence of a name on one side is the first one on the other, and so on; of these pairs as many as stand
/// in one order.
pub(super) fn by_occurrence(source: &[Id], replica: &[Id]) -> Vec<(usize, usize)> {
    let mut places: IdMap<Vec<usize>> = IdMap::default();
    for (place, id) in replica.iter().enumerate().rev() {
        places.entry(*id).or_default().push(place);
    }
    let pairs: Vec<(usize, usize)> =
        source.iter().enumerate().filter_map(|(s, id)| Some((s, places.get_mut(id)?.pop()?))).collect();
    increasing(&pairs)
}
