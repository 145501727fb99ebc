//! Where two chains differ.

use super::align::{Alignment, Lie, Run, align};
use super::{Chain, Id};
use std::ops::Range;

/// Segments of both chains that face each other and differ. Either may be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Segments of the source, by their numbers.
    pub source: Range<usize>,
    /// Segments of the replica.
    pub replica: Range<usize>,
}

/// Two chains laid beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Segments that both have, in order.
    pub runs: Vec<Run>,
    /// Segments that face each other and differ, in order. Between two of them there is a run.
    pub gaps: Vec<Gap>,
    /// Whether the replica may be a faithful copy in spite of the gaps; see [`Alignment::ambiguous`].
    pub ambiguous: bool,
}

impl Comparison {
    /// Whether both chains hold the same records in the same order.
    pub fn is_equal(&self) -> bool {
        self.gaps.is_empty()
    }
}

/// Lays two chains beside each other. They must have been made with the same terms.
pub fn compare(source: &Chain, replica: &Chain, lie: Lie) -> Comparison {
    let names = |chain: &Chain| chain.all().map(|segment| segment.ordered).collect::<Vec<Id>>();
    let Alignment { runs, ambiguous, .. } = align(&names(source), &names(replica), lie);
    let mut gaps = Vec::new();
    let (mut s, mut r) = (0, 0);
    let ends = Run { source: source.len(), replica: replica.len(), len: 0 };
    for run in runs.iter().chain([&ends]) {
        if run.source > s || run.replica > r {
            gaps.push(Gap { source: s..run.source, replica: r..run.replica });
        }
        (s, r) = (run.source + run.len, run.replica + run.len);
    }
    Comparison { runs, gaps, ambiguous }
}

impl Chain {
    /// The offsets between the segments before and behind some: everything that can be there, also records that
    /// committed readers cannot have.
    pub fn offsets(&self, segments: &Range<usize>) -> Range<u64> {
        let before = segments.start.checked_sub(1).and_then(|before| self.get(before));
        let from = before.map_or(self.from, |before| before.last.saturating_add(1));
        let to = self.get(segments.end).map_or(self.next, |behind| behind.first);
        from..to.max(from)
    }

    /// Records of some segments.
    pub fn records_of(&self, segments: &Range<usize>) -> u64 {
        segments.clone().filter_map(|index| self.get(index)).map(|segment| segment.records).sum()
    }

    /// Whether some segment's records come twice.
    pub fn repeats(&self) -> bool {
        let mut names: Vec<Id> = self.all().map(|segment| segment.ordered).collect();
        names.sort_unstable();
        names.windows(2).any(|two| matches!(two, [a, b] if a == b))
    }
}
