//! Taking in a gap: aligning its records, and sorting out those of aborted and open transactions.

use super::pieces::{Extent, Piece};
use super::{Explainer, Hole, Loose};
use crate::content::id::IdMap;
use crate::content::{Alignment, Between, Class, Copied, Id, Lie, Of, Run, Seen, Span, State, Timestamps, align};
use paritas_model::Proof;

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// Its number among the committed records of the window.
    pub ordinal: u64,
    /// Its offset.
    pub offset: u64,
}

/// A record that both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbours {
    /// On the source.
    pub source: Spot,
    /// On the replica.
    pub replica: Spot,
}

/// Records of both sides between two that both sides have.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// The partition, by its place in the list of facts.
    pub partition: usize,
    /// All records of the source there, in order, those of aborted and open transactions among them.
    pub source: &'a [Seen],
    /// The records of the replica.
    pub replica: &'a [Seen],
    /// The record before; `None` at the beginning of the window.
    pub before: Option<Neighbours>,
    /// The record behind; `None` at its end.
    pub behind: Option<Neighbours>,
    /// Whether the stretch follows the beginning of logs that begin in the middle.
    pub lie: Lie,
}

/// Records of one side that were not looked at one by one, because the other side has none of them.
#[derive(Debug, Clone, Copy)]
pub struct Whole {
    /// The partition, by its place in the list of facts.
    pub partition: usize,
    /// The side.
    pub of: Of,
    /// The number of the first among the committed records.
    pub ordinal: u64,
    /// How many.
    pub records: u64,
    /// Where they are.
    pub span: Span,
    /// Where they would be on the other side.
    pub between: Between,
}

/// Left over records that are remembered one by one, at most; beyond that those of one side alone are only counted.
const HELD_MAX: usize = 1 << 19;

const AMBIGUOUS: &str =
    "records repeat and the beginning of a log is gone, so that equal records need not be the same ones";

impl Explainer {
    /// Takes in records that were not looked at one by one.
    pub fn whole(&mut self, whole: Whole) {
        self.wholes.push(whole);
    }

    /// Takes in a segment of the replica that is a copy of one that both sides have.
    pub fn copied(&mut self, partition: usize, copied: &Copied) {
        let mut piece = Piece::new(Class::Duplicate, Proof::Proven, partition);
        piece.source = Some(Extent::run(copied.source, copied.records, copied.source_span));
        piece.replica = Some(Extent::run(copied.replica, copied.records, copied.replica_span));
        self.pieces.push(piece);
    }

    /// Takes in a gap.
    pub fn gap(&mut self, stretch: &Stretch<'_>) {
        let settled: Vec<Seen> = stretch.source.iter().filter(|seen| seen.state != State::Aborted).copied().collect();
        let aborted: Vec<Seen> = stretch.source.iter().filter(|seen| seen.state == State::Aborted).copied().collect();
        let (source, replica) = self.names(&settled, stretch.replica);
        let Alignment { runs, ambiguous } = align(&source, &replica, stretch.lie);
        if let Some(facts) = self.facts.get_mut(stretch.partition).filter(|_| ambiguous) {
            facts.doubt = Some(AMBIGUOUS.to_owned());
        }
        let end = Run { source: settled.len(), replica: stretch.replica.len(), len: 0 };
        let (mut s, mut r, mut before) = (0, 0, stretch.before);
        let mut aborted = aborted.as_slice();
        for run in runs.iter().chain([&end]) {
            let behind = neighbours(settled.get(run.source), stretch.replica.get(run.replica)).filter(|_| run.len > 0);
            let behind = behind.or(stretch.behind);
            let limit = behind.map_or(u64::MAX, |behind| behind.source.offset);
            let here = aborted.partition_point(|seen| seen.offset < limit);
            let lost = settled.get(s..run.source).unwrap_or_default();
            let extra = stretch.replica.get(r..run.replica).unwrap_or_default();
            self.hole(stretch.partition, lost, aborted.get(..here).unwrap_or_default(), extra, before, behind);
            aborted = aborted.get(here..).unwrap_or_default();
            (s, r) = (run.source + run.len, run.replica + run.len);
            let (ours, theirs) = (settled.get(run.source..s), stretch.replica.get(run.replica..r));
            self.met(stretch.partition, ours.unwrap_or_default(), theirs.unwrap_or_default());
            before = s
                .checked_sub(1)
                .zip(r.checked_sub(1))
                .filter(|_| run.len > 0)
                .map_or(before, |(s, r)| neighbours(settled.get(s), stretch.replica.get(r)));
        }
    }

    /// Names to align by. A record without a time on the source has any on the replica: mirrors stamp it when they
    /// write it.
    fn names(&self, source: &[Seen], replica: &[Seen]) -> (Vec<Id>, Vec<Id>) {
        let ids = |side: &[Seen]| side.iter().map(|seen| seen.id).collect::<Vec<Id>>();
        let timeless = source.iter().any(|seen| seen.time.is_none());
        if !timeless || self.policy.timestamps == Timestamps::Ignore {
            return (ids(source), ids(replica));
        }
        let mut any: IdMap<()> = IdMap::default();
        let mut exact: IdMap<()> = IdMap::default();
        for seen in source {
            exact.insert(seen.id, ());
            if seen.time.is_none() {
                any.insert(seen.content(), ());
            }
        }
        let ours = source.iter().map(|seen| if seen.time.is_none() { seen.content() } else { seen.id });
        let theirs = replica.iter().map(|seen| {
            let content = seen.content();
            let stamped = any.contains_key(&content) && (seen.time.is_none() || !exact.contains_key(&seen.id));
            if stamped { content } else { seen.id }
        });
        (ours.collect(), theirs.collect())
    }

    /// Records that both sides have.
    fn met(&mut self, partition: usize, source: &[Seen], replica: &[Seen]) {
        for (ours, theirs) in source.iter().zip(replica) {
            if let Some(facts) = self.facts.get_mut(partition) {
                facts.meets(ours, theirs);
            }
            match ours.state {
                State::Committed => self.know(partition, ours),
                State::Undecided | State::Aborted => {
                    self.pieces.push(Piece::pair(Class::Undecided, Proof::InFlight, partition, ours, theirs));
                }
            }
        }
    }

    fn hole(
        &mut self,
        partition: usize,
        lost: &[Seen],
        aborted: &[Seen],
        extra: &[Seen],
        before: Option<Neighbours>,
        behind: Option<Neighbours>,
    ) {
        let ids = |side: &[Seen]| side.iter().map(|seen| seen.id).collect::<Vec<Id>>();
        let Alignment { runs, .. } = align(&ids(aborted), &ids(extra), Lie::BETWEEN);
        let mut explained = vec![false; extra.len()];
        for run in runs {
            let ours = aborted.iter().skip(run.source);
            let theirs = extra.iter().zip(&mut explained).skip(run.replica);
            for (ours, (theirs, explained)) in ours.zip(theirs).take(run.len) {
                *explained = true;
                if let Some(facts) = self.facts.get_mut(partition) {
                    facts.meets(ours, theirs);
                }
                self.know(partition, ours);
                self.pieces.push(Piece::pair(Class::Aborted, Proof::Proven, partition, ours, theirs));
            }
        }
        let between = |side: fn(&Neighbours) -> u64| Between {
            after: before.as_ref().map(side),
            before: behind.as_ref().map(side),
        };
        let (source, replica): (Between, Between) =
            (between(|both| both.source.offset), between(|both| both.replica.offset));
        if self.held().saturating_add(lost.len()) > HELD_MAX && extra.is_empty() {
            let committed: Vec<&Seen> = lost.iter().filter(|seen| seen.state == State::Committed).collect();
            self.collapse(partition, Of::Source, &committed, replica);
            return;
        }
        if self.held().saturating_add(extra.len()) > HELD_MAX && lost.is_empty() && aborted.is_empty() {
            self.collapse(partition, Of::Replica, &extra.iter().collect::<Vec<&Seen>>(), source);
            return;
        }
        let hole = self.holes.len();
        let loose = |seen: &Seen| Loose { partition, hole, seen: *seen, done: false };
        let count = self.lost.len() + self.extra.len();
        self.lost.extend(lost.iter().filter(|seen| seen.state == State::Committed).map(loose));
        self.extra.extend(extra.iter().zip(&explained).filter(|(_, explained)| !**explained).map(|(s, _)| loose(s)));
        if self.lost.len() + self.extra.len() > count {
            let ordinal = before.map_or(0, |before| before.source.ordinal.saturating_add(1));
            self.holes.push(Hole { source, replica, ordinal });
        }
    }

    /// Takes in left over records of one side without remembering each of them.
    fn collapse(&mut self, partition: usize, of: Of, records: &[&Seen], between: Between) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let span = Span { first: first.offset, last: last.offset, first_time: first.time, last_time: last.time };
        let records = records.len() as u64;
        self.wholes.push(Whole { partition, of, ordinal: first.ordinal, records, span, between });
        self.coarse = true;
    }
}

fn neighbours(source: Option<&Seen>, replica: Option<&Seen>) -> Option<Neighbours> {
    let spot = |seen: &Seen| Spot { ordinal: seen.ordinal, offset: seen.offset };
    Some(Neighbours { source: spot(source?), replica: spot(replica?) })
}
