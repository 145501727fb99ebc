//! What becomes of each range: it is kept, read because it was written, or read again to see whether it is right.

use super::rotate::{Clock, Unwritten, due};
use paritas_connect::{RangedPart, Survey};
use paritas_state::{KeptPart, KeptRange, KeptRanges};
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows that were kept of a range, and whether they should still be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing is kept of it.
    Nothing,
    /// It was written since.
    Written(KeptRange),
    /// It was not, and is read to see that.
    Same(KeptRange),
}

/// What is done.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// Ranges to read, with what is kept of them.
    pub(super) read: BTreeMap<(usize, u64), Before>,
    /// Ranges whose rows are taken over.
    pub(super) kept: BTreeMap<(usize, u64), KeptRange>,
    /// Ranges that are there no more.
    pub(super) gone: Vec<KeptRange>,
}

impl Decided {
    /// Everything is read, nothing was kept.
    pub(super) fn everything(survey: &Survey) -> Self {
        let all = ranges(survey).map(|(range, ..)| (range, Before::Nothing));
        Self { read: all.collect(), ..Self::default() }
    }

    /// Only what was written since the snapshot before, and what has its turn.
    pub(super) fn since(old: &KeptRanges, survey: &Survey, clock: Clock, within: Duration) -> Self {
        let mut decided = Self::default();
        let mut unwritten = Vec::new();
        for (range, part, state) in ranges(survey) {
            let before = part_of(old, part).and_then(|kept| kept.ranges.get(usize::try_from(range.1).ok()?).copied());
            match before {
                None => drop(decided.read.insert(range, Before::Nothing)),
                // A file that was replaced has other rows at the same places, and one that was cut off fewer blocks.
                Some(kept)
                    if is_same_file(old, part) && kept.blocks == state.blocks && state.is_unwritten_since(kept.at) =>
                {
                    unwritten.push(Unwritten { range, read_at: kept.read_at });
                    decided.kept.insert(range, kept);
                }
                Some(kept) => drop(decided.read.insert(range, Before::Written(kept))),
            }
        }
        let total = decided.read.len() + decided.kept.len();
        for range in due(unwritten, total, clock, within) {
            if let Some(kept) = decided.kept.remove(&range) {
                decided.read.insert(range, Before::Same(kept));
            }
        }
        decided.gone = gone(old, survey);
        decided
    }

    /// The numbers of a relation's ranges that are read, ascending.
    pub(super) fn read_of(&self, part: usize) -> Vec<u64> {
        self.read.range((part, 0)..=(part, u64::MAX)).map(|((_, range), _)| *range).collect()
    }
}

fn ranges(survey: &Survey) -> impl Iterator<Item = ((usize, u64), &RangedPart, paritas_connect::RangeState)> {
    let of = |(number, part): (usize, _)| {
        let part: &RangedPart = part;
        part.ranges.iter().zip(0..).map(move |(state, range)| ((number, range), part, *state))
    };
    survey.parts.iter().enumerate().flat_map(of)
}

fn part_of<'a>(old: &'a KeptRanges, part: &RangedPart) -> Option<&'a KeptPart> {
    old.parts.iter().find(|kept| kept.sql == part.sql)
}

fn is_same_file(old: &KeptRanges, part: &RangedPart) -> bool {
    part_of(old, part).is_some_and(|kept| kept.storage == part.storage)
}

/// Ranges behind the end of what there is now, and those of relations that are no part any more.
fn gone(old: &KeptRanges, survey: &Survey) -> Vec<KeptRange> {
    let left =
        |kept: &KeptPart| survey.parts.iter().find(|part| part.sql == kept.sql).map_or(0, |part| part.ranges.len());
    old.parts.iter().flat_map(|kept| kept.ranges.iter().skip(left(kept))).copied().collect()
}
