//! Records of one place that are not equal but stand for each other.

use super::{Explainer, Loose};
use crate::content::{Id, Lie, Seen, Timestamps, align};
use std::collections::{BTreeMap, HashSet};

/// Records without anything in common that stand for each other because of their place alone, at most.
const BY_PLACE_MAX: usize = 16;

/// Records that one place has on each side, by their places in the lists of loose ones.
#[derive(Debug, Default)]
struct Both {
    lost: Vec<usize>,
    extra: Vec<usize>,
}

/// The first so many likenesses hold also where a log begins in the middle, and what faces a record may be gone.
const STRONG: usize = 2;

/// By what records are recognised, best first.
const LIKENESS: [fn(&Seen, bool) -> Option<Id>; 5] = [
    // All but the time.
    |seen, times| times.then(|| seen.content()),
    // Key and time.
    |seen, times| times.then(|| at(seen)).flatten().map(|time| Id(seen.parts.key.0 ^ time)),
    // The key.
    |seen, _| seen.keyed.then_some(seen.parts.key),
    // Value and headers.
    |seen, _| seen.valued.then(|| Id(seen.parts.value.0 ^ seen.parts.headers.0.rotate_left(83))),
    // The time.
    |seen, times| times.then(|| at(seen)).flatten().map(Id),
];

/// The time, spread over all bits.
fn at(seen: &Seen) -> Option<u128> {
    seen.time.map(|time| u128::from(time as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

impl Explainer {
    /// Which loose records of the replica stand for which of the source.
    pub(super) fn altered(&self) -> Vec<(usize, usize)> {
        let mut places: BTreeMap<usize, Both> = BTreeMap::new();
        let open = |list: &[Loose]| {
            let open = list.iter().enumerate().filter(|(_, loose)| !loose.done);
            open.map(|(at, loose)| (at, loose.hole)).collect::<Vec<_>>()
        };
        for (at, hole) in open(&self.lost) {
            places.entry(hole).or_default().lost.push(at);
        }
        for (at, hole) in open(&self.extra) {
            places.entry(hole).or_default().extra.push(at);
        }
        places
            .into_values()
            .filter(|both| !both.lost.is_empty() && !both.extra.is_empty())
            .flat_map(|both| self.pair(both))
            .collect()
    }

    /// Loose records of the replica that will be explained as altered ones, unless something better explains them.
    pub(super) fn alike(&self) -> HashSet<usize> {
        self.altered().into_iter().map(|(_, extra)| extra).collect()
    }

    fn pair(&self, mut both: Both) -> Vec<(usize, usize)> {
        let times = self.policy.timestamps == Timestamps::Compare;
        let cut = self.begins_cut(&both);
        let mut pairs = Vec::new();
        for likeness in LIKENESS.iter().take(if cut { STRONG } else { LIKENESS.len() }) {
            let named = |list: &[Loose], open: &[usize]| {
                let name = |at: &usize| Some((*at, likeness(&list.get(*at)?.seen, times)?));
                open.iter().filter_map(name).unzip::<usize, Id, Vec<usize>, Vec<Id>>()
            };
            let (lost, ours) = named(&self.lost, &both.lost);
            let (extra, theirs) = named(&self.extra, &both.extra);
            for run in align(&ours, &theirs, Lie::BETWEEN).runs {
                let found = lost.iter().skip(run.source).zip(extra.iter().skip(run.replica)).take(run.len);
                pairs.extend(found.map(|(lost, extra)| (*lost, *extra)));
            }
            both.without(&pairs);
        }
        if !cut {
            pairs.extend(self.by_place(&both));
        }
        pairs
    }

    /// Whether records stand at the beginning of a log that begins in the middle.
    fn begins_cut(&self, both: &Both) -> bool {
        let Some(loose) = both.lost.first().and_then(|at| self.lost.get(*at)) else { return false };
        let cut = self.facts.get(loose.partition).is_some_and(|facts| facts.source_cut || facts.replica_cut);
        cut && self.holes.get(loose.hole).is_some_and(|hole| hole.source.after.is_none())
    }

    /// What is left over stands for each other if it is as many on both sides and not many, or at the end.
    fn by_place(&self, both: &Both) -> Vec<(usize, usize)> {
        let (lost, extra) = (both.lost.len(), both.extra.len());
        let at_end = both.lost.first().and_then(|at| self.lost.get(*at)).and_then(|loose| self.holes.get(loose.hole));
        let at_end = at_end.is_some_and(|hole| hole.source.before.is_none() && hole.source.after.is_some());
        // Records with keys would have been recognised by them.
        let keyless =
            |list: &[Loose], open: &[usize]| open.iter().all(|at| list.get(*at).is_some_and(|loose| !loose.seen.keyed));
        let plausible = extra <= BY_PLACE_MAX && (lost == extra || at_end && lost > extra);
        let plausible = plausible && keyless(&self.lost, &both.lost) && keyless(&self.extra, &both.extra);
        let pairs = both.lost.iter().copied().zip(both.extra.iter().copied());
        if plausible { pairs.collect() } else { Vec::new() }
    }
}

impl Both {
    fn without(&mut self, pairs: &[(usize, usize)]) {
        let lost: HashSet<usize> = pairs.iter().map(|(lost, _)| *lost).collect();
        let extra: HashSet<usize> = pairs.iter().map(|(_, extra)| *extra).collect();
        self.lost.retain(|at| !lost.contains(at));
        self.extra.retain(|at| !extra.contains(at));
    }
}
