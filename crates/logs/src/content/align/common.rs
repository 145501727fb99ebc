//! Parts that are aligned at a glance, and anchors.

use crate::content::Id;
use crate::content::id::IdMap;

/// If one sequence is a part of the other, with others in between perhaps: its items with those that they are. Taken
/// from the end where the sequences begin in the middle.
pub(super) fn contained(source: &[Id], replica: &[Id], from_end: bool) -> Option<Vec<(usize, usize)>> {
    if source.len() <= replica.len() {
        Some(within(source, replica, from_end)?.into_iter().enumerate().collect())
    } else {
        let places = within(replica, source, from_end)?;
        Some(places.into_iter().enumerate().map(|(r, s)| (s, r)).collect())
    }
}

/// Where the items of `short` are in `long`, in order.
fn within(short: &[Id], long: &[Id], from_end: bool) -> Option<Vec<usize>> {
    let mut places = Vec::new();
    if from_end {
        let mut rest = long.iter().enumerate().rev();
        for item in short.iter().rev() {
            places.push(rest.find(|(_, other)| *other == item)?.0);
        }
        places.reverse();
    } else {
        let mut rest = long.iter().enumerate();
        for item in short {
            places.push(rest.find(|(_, other)| *other == item)?.0);
        }
    }
    Some(places)
}

/// Items that each sequence has exactly once, in the order of the source.
pub(super) fn unique_pairs(source: &[Id], replica: &[Id]) -> Vec<(usize, usize)> {
    #[derive(Default)]
    struct Seen {
        source: usize,
        replica: usize,
        place: usize,
    }
    let mut seen: IdMap<Seen> = IdMap::default();
    for id in source {
        seen.entry(*id).or_default().source += 1;
    }
    for (place, id) in replica.iter().enumerate() {
        if let Some(seen) = seen.get_mut(id) {
            seen.replica += 1;
            seen.place = place;
        }
    }
    let once = |(s, id): (usize, &Id)| {
        let seen = seen.get(id).filter(|seen| seen.source == 1 && seen.replica == 1)?;
        Some((s, seen.place))
    };
    source.iter().enumerate().filter_map(once).collect()
}

/// A longest part of the pairs, which ascend on the source, that ascends on the replica as well.
pub(super) fn increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // For every length the pair with the smallest end, and for every pair the one before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    let replica = |at: usize| pairs.get(at).map_or(0, |pair| pair.1);
    for (at, pair) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| replica(*end) < pair.1);
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut chosen = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        chosen.extend(pairs.get(at).copied());
        next = before.get(at).copied().flatten();
    }
    chosen.reverse();
    chosen
}
