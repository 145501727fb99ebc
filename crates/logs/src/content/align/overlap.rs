//! How a faithful copy would lie, where a log begins in the middle.

use super::{Lie, Run};
use crate::content::Id;

/// The longest run that makes the replica a faithful copy, as far as both sides still have it: what it has before
/// is gone on the source, or the other way round, and what the source has behind is not mirrored yet.
pub(super) fn faithful(source: &[Id], replica: &[Id], lie: Lie) -> Option<Run> {
    let ends = lie.source_cut.then(|| ends_with_start(source, replica)).flatten();
    let inside = lie.replica_cut.then(|| last_place(source, replica)).flatten();
    ends.into_iter().chain(inside).max_by_key(|run| run.len)
}

/// The longest start of the source that the replica ends with.
fn ends_with_start(source: &[Id], replica: &[Id]) -> Option<Run> {
    let borders = borders(source);
    let mut matched = 0;
    for id in replica {
        matched = advance(source, &borders, matched, id);
    }
    (matched > 0).then(|| Run { source: 0, replica: replica.len() - matched, len: matched })
}

/// The last place at which the source has all of the replica.
fn last_place(source: &[Id], replica: &[Id]) -> Option<Run> {
    let borders = borders(replica);
    let (mut matched, mut place) = (0, None);
    for (at, id) in source.iter().enumerate() {
        matched = advance(replica, &borders, matched, id);
        if matched == replica.len() && matched > 0 {
            place = Some(Run { source: at + 1 - matched, replica: 0, len: matched });
        }
    }
    place
}

/// For every start of the pattern the longest shorter one that it ends with (Knuth, Morris and Pratt).
fn borders(pattern: &[Id]) -> Vec<usize> {
    let mut borders = Vec::with_capacity(pattern.len());
    let mut matched = 0;
    for (at, id) in pattern.iter().enumerate() {
        if at > 0 {
            while matched > 0 && pattern.get(matched) != Some(id) {
                matched = shorter(&borders, matched);
            }
            matched += usize::from(pattern.get(matched) == Some(id));
        }
        borders.push(matched);
    }
    borders
}

fn shorter(borders: &[usize], matched: usize) -> usize {
    matched.checked_sub(1).and_then(|at| borders.get(at).copied()).unwrap_or(0)
}

/// How much of the pattern is matched with one more item.
fn advance(pattern: &[Id], borders: &[usize], mut matched: usize, id: &Id) -> usize {
    while matched > 0 && pattern.get(matched) != Some(id) {
        matched = shorter(borders, matched);
    }
    matched + usize::from(pattern.get(matched) == Some(id))
}
