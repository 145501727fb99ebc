//! What has to be read again where two chains differ.
//!
//! A gap is read record by record on both sides, except for what the chains already say: segments that one side has
//! twice or elsewhere, and the middle of many segments that face few.

use super::explain::{Neighbours, Spot, Whole};
use super::{Between, Chain, Comparison, Gap, Id, Lie, Of, SEGMENT_RECORDS_MAX, Segment, Span, Timestamps};
use std::collections::HashMap;
use std::ops::Range;

/// Records of one side of a gap that are read in one go, at most.
pub const READ_MAX: u64 = 200_000;
/// Records beside those of the other side that are read at either end of a long stretch.
const EDGE: u64 = 2 * SEGMENT_RECORDS_MAX;

/// A part of a gap that is read record by record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The offsets to read.
    pub offsets: Range<u64>,
    /// The number of its first committed record.
    pub ordinal: u64,
    /// How many committed records the chain says that it has.
    pub records: u64,
    /// Sum of their names.
    pub sum: Id,
}

/// A segment of the replica that is a copy of one that both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The first of the source's committed records, by its number.
    pub source: u64,
    /// Where it is on the source.
    pub source_span: Span,
    /// The first of the replica's records, by its number.
    pub replica: u64,
    /// Where it is on the replica.
    pub replica_span: Span,
    /// How many records.
    pub records: u64,
}

/// What to read of a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Segments of both sides.
    pub gap: Gap,
    /// Of the source, in order.
    pub source: Vec<Slice>,
    /// Of the replica, in order.
    pub replica: Vec<Slice>,
    /// Stretches of segments that are not read. They are left over if everything of the other side is found beside
    /// them.
    pub wholes: Vec<(Of, Range<usize>)>,
    /// Segments that need no reading.
    pub copied: Vec<Copied>,
    /// The record before; `None` at the beginning.
    pub before: Option<Neighbours>,
    /// The record behind; `None` at the end.
    pub behind: Option<Neighbours>,
    /// How the sides may lie to one another.
    pub lie: Lie,
    /// Whether both sides are too long to be read in one go.
    pub long: bool,
}

/// Two chains with the numbers of their records.
#[derive(Debug)]
pub struct Beside<'a> {
    source: &'a Chain,
    replica: &'a Chain,
    numbers: [Vec<u64>; 2],
    comparison: &'a Comparison,
    /// Segments of the source that both sides have, by their names.
    common: HashMap<Id, usize>,
    lie: Lie,
}

impl<'a> Beside<'a> {
    /// Two chains and how they were laid beside each other.
    pub fn new(source: &'a Chain, replica: &'a Chain, comparison: &'a Comparison, lie: Lie) -> Self {
        let numbers = [source, replica].map(|chain| {
            let counts = chain.all().map(|segment| segment.records);
            let sums = counts.scan(0_u64, |sum, count| {
                *sum = sum.saturating_add(count);
                Some(*sum)
            });
            std::iter::once(0).chain(sums).collect()
        });
        let name = |index: usize| Some((source.get(index)?.ordered, index));
        let common = comparison.runs.iter().flat_map(|run| run.source..run.source + run.len).filter_map(name).collect();
        Self { source, replica, numbers, comparison, common, lie }
    }

    /// Runs of records that both sides have, by their numbers on both.
    pub fn matched(&self) -> impl Iterator<Item = (Range<u64>, Range<u64>)> {
        self.comparison.runs.iter().map(|run| {
            let numbers = |of, from: usize| self.number(of, from)..self.number(of, from + run.len);
            (numbers(Of::Source, run.source), numbers(Of::Replica, run.replica))
        })
    }

    /// Whether equal records need not be the same ones, because whole stretches of them repeat and a log begins in the
    /// middle.
    pub fn is_doubtful(&self) -> bool {
        let cut = self.lie.source_cut || self.lie.replica_cut;
        // With their times, whole stretches of records repeat on the replica only when they were copied again.
        let repeats = |chain: &Chain| chain.repeats();
        let timeless = self.source.terms.timestamps == Timestamps::Ignore;
        let cut = cut && !self.comparison.is_equal();
        self.comparison.ambiguous || cut && (repeats(self.source) || timeless && repeats(self.replica))
    }

    fn chain(&self, of: Of) -> &'a Chain {
        match of {
            Of::Source => self.source,
            Of::Replica => self.replica,
        }
    }

    /// The number of the first record of a segment.
    pub fn number(&self, of: Of, segment: usize) -> u64 {
        let [source, replica] = &self.numbers;
        let numbers = match of {
            Of::Source => source,
            Of::Replica => replica,
        };
        numbers.get(segment).or(numbers.last()).copied().unwrap_or(0)
    }

    /// The segments that hold some records, by their numbers.
    pub fn segments(&self, of: Of, records: &Range<u64>) -> Range<usize> {
        let [source, replica] = &self.numbers;
        let numbers = match of {
            Of::Source => source,
            Of::Replica => replica,
        };
        let first = numbers.partition_point(|number| *number <= records.start).saturating_sub(1);
        let end = numbers.partition_point(|number| *number < records.end);
        first..end.min(self.chain(of).len()).max(first)
    }

    /// Some segments as a part to be read. What stands between them and the next ones belongs to those, unless they
    /// are the last before segment `end`.
    pub fn slice(&self, of: Of, segments: &Range<usize>, end: usize) -> Slice {
        let chain = self.chain(of);
        let sum =
            segments.clone().filter_map(|index| chain.get(index)).fold(0_u128, |sum, s| sum.wrapping_add(s.sum.0));
        let ordinal = self.number(of, segments.start);
        let records = self.number(of, segments.end).saturating_sub(ordinal);
        let mut offsets = chain.offsets(segments);
        if segments.end < end
            && let Some(last) = segments.end.checked_sub(1).and_then(|last| chain.get(last))
        {
            offsets.end = last.last.saturating_add(1).max(offsets.start);
        }
        Slice { offsets, ordinal, records, sum: Id(sum) }
    }

    /// Segments that are not read, as what is left over.
    pub fn whole(&self, partition: usize, of: Of, segments: &Range<usize>, plan: &Plan) -> Option<Whole> {
        let chain = self.chain(of);
        let first = chain.get(segments.start)?;
        let last = segments.end.checked_sub(1).and_then(|last| chain.get(last))?;
        let slice = self.slice(of, segments, segments.end);
        let side = |neighbours: Neighbours| match of {
            Of::Source => neighbours.replica.offset,
            Of::Replica => neighbours.source.offset,
        };
        let between = Between { after: plan.before.map(side), before: plan.behind.map(side) };
        let (first_time, last_time) = (first.times.map(|times| times.0), last.times.map(|times| times.1));
        let span = Span { first: first.first, last: last.last, first_time, last_time };
        Some(Whole { partition, of, ordinal: slice.ordinal, records: slice.records, span, between })
    }

    /// What to read of a gap. The segment of the source that holds `fence` is read in any case.
    ///
    /// The segments behind, which both sides have, are read as well: a run that was copied again begins anywhere, and
    /// which of the two is the copy shows only in what follows.
    pub fn plan(&self, gap: &Gap, fence: u64) -> Plan {
        let neighbours = |source: Option<usize>, replica: Option<usize>, last: bool| {
            let spot = |of: Of, index: usize| {
                let segment = self.chain(of).get(index)?;
                let (step, offset) = if last { (1, segment.last) } else { (0, segment.first) };
                Some(Spot { ordinal: self.number(of, index + step).saturating_sub(step as u64), offset })
            };
            Some(Neighbours { source: spot(Of::Source, source?)?, replica: spot(Of::Replica, replica?)? })
        };
        let before = neighbours(gap.source.start.checked_sub(1), gap.replica.start.checked_sub(1), true);
        let meets_behind = gap.source.end < self.source.len() && gap.replica.end < self.replica.len();
        let begins = before.is_none();
        let lie = Lie {
            source_cut: begins && self.lie.source_cut,
            replica_cut: begins && self.lie.replica_cut,
            meets_behind,
        };
        let (mut kept, copied) = self.unexplained(gap);
        let mut gap = gap.clone();
        if meets_behind {
            match kept.last_mut() {
                Some(last) if last.end == gap.replica.end => last.end += 1,
                _ => kept.push(gap.replica.end..gap.replica.end + 1),
            }
            gap.source.end += 1;
            gap.replica.end += 1;
        }
        let behind = neighbours(Some(gap.source.end), Some(gap.replica.end), false).filter(|_| meets_behind);
        let source = self.source.records_of(&gap.source);
        let replica: u64 = kept.iter().map(|segments| self.replica.records_of(segments)).sum();
        let mut plan = Plan {
            gap: gap.clone(),
            source: Vec::new(),
            replica: Vec::new(),
            wholes: Vec::new(),
            copied,
            before,
            behind,
            lie,
            long: false,
        };
        let mut sources = vec![gap.source.clone()];
        let mut replicas = kept;
        match (source > READ_MAX, replica > READ_MAX) {
            (false, false) => {}
            (true, true) => plan.long = true,
            (true, false) => {
                sources = self.edges(Of::Source, &gap.source, replica, Some(fence));
                plan.wholes = between(&gap.source, &sources).map(|segments| (Of::Source, segments)).collect();
            }
            (false, true) => {
                let mut all = Vec::new();
                for segments in &replicas {
                    let edges = self.edges(Of::Replica, segments, source, None);
                    plan.wholes.extend(between(segments, &edges).map(|segments| (Of::Replica, segments)));
                    all.extend(edges);
                }
                replicas = all;
            }
        }
        // Also without any committed record there may be others on the source.
        plan.source = sources.iter().map(|segments| self.slice(Of::Source, segments, gap.source.end)).collect();
        let replicas = replicas.iter().filter(|one| !one.is_empty());
        plan.replica = replicas.map(|one| self.slice(Of::Replica, one, gap.replica.end)).collect();
        plan
    }

    /// Segments of the replica that have to be read, and those that need not.
    fn unexplained(&self, gap: &Gap) -> (Vec<Range<usize>>, Vec<Copied>) {
        let (mut kept, mut copied): (Vec<Range<usize>>, Vec<Copied>) = (Vec::new(), Vec::new());
        // At the beginning of a log that begins in the middle equal segments need not be the same ones.
        let open = gap.replica.start == 0 && (self.lie.source_cut || self.lie.replica_cut);
        for index in gap.replica.clone() {
            let found = self.replica.get(index).filter(|_| !open).and_then(|segment| {
                let at = *self.common.get(&segment.ordered)?;
                Some(Copied {
                    source: self.number(Of::Source, at),
                    source_span: span(self.source.get(at)?),
                    replica: self.number(Of::Replica, index),
                    replica_span: span(segment),
                    records: segment.records,
                })
            });
            match (found, kept.last_mut()) {
                (Some(found), _) => copied.push(found),
                (None, Some(last)) if last.end == index => last.end += 1,
                (None, _) => kept.push(index..index + 1),
            }
        }
        (kept, copied)
    }

    /// Segments at both ends that hold more records than the other side has, and the one that holds an offset.
    fn edges(&self, of: Of, segments: &Range<usize>, other: u64, holds: Option<u64>) -> Vec<Range<usize>> {
        let enough = other.saturating_add(EDGE);
        let records = |from: usize, to: usize| self.number(of, to).saturating_sub(self.number(of, from));
        let mut front = segments.start;
        while front < segments.end && records(segments.start, front) < enough {
            front += 1;
        }
        let mut back = segments.end;
        while back > front && records(back, segments.end) < enough {
            back -= 1;
        }
        let inside = holds.and_then(|offset| {
            let at = (front..back).find(|at| self.chain(of).get(*at).is_some_and(|one| one.last >= offset))?;
            self.chain(of).get(at).filter(|one| one.first < offset).map(|_| at)
        });
        let front = std::iter::once(segments.start..front);
        let edges = front.chain(inside.map(|at| at..at + 1)).chain(std::iter::once(back..segments.end));
        // Those that touch are one.
        let mut joined: Vec<Range<usize>> = Vec::new();
        for edge in edges {
            match joined.last_mut() {
                Some(last) if last.end >= edge.start => last.end = last.end.max(edge.end),
                _ => joined.push(edge),
            }
        }
        joined
    }
}

/// What lies between some parts of a range.
fn between<'a>(whole: &'a Range<usize>, parts: &'a [Range<usize>]) -> impl Iterator<Item = Range<usize>> + 'a {
    let starts = std::iter::once(whole.start).chain(parts.iter().map(|part| part.end));
    let ends = parts.iter().map(|part| part.start).chain([whole.end]);
    starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..end)
}

fn span(segment: &Segment) -> Span {
    let times = segment.times;
    let (first_time, last_time) = (times.map(|times| times.0), times.map(|times| times.1));
    Span { first: segment.first, last: segment.last, first_time, last_time }
}
