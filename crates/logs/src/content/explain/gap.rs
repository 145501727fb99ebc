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

/// Equal records that pin a log to one that has lost its beginning, where there is nothing else to go by, at least.
const PINNED_MIN: usize = 64;

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
        let layout = self.layout(stretch);
        if let Some(facts) = self.facts.get_mut(stretch.partition).filter(|_| layout.ambiguous) {
            facts.doubt = Some(AMBIGUOUS.to_owned());
        }
        let Stretch { partition, replica, .. } = *stretch;
        let (mut s, mut before) = (0, stretch.before);
        for hole in layout.holes(stretch) {
            let behind = neighbours(hole.lost_end(&layout.items), hole.extra_end(replica));
            let behind = behind.filter(|_| hole.run.len > 0).or(stretch.behind);
            self.hole(partition, &hole, before, behind);
            s = hole.run.source + hole.run.len;
            let r = hole.run.replica + hole.run.len;
            let (ours, theirs) = (layout.items.get(hole.run.source..s), replica.get(hole.run.replica..r));
            self.met(partition, ours.unwrap_or_default(), theirs.unwrap_or_default());
            let last = |index: usize| index.checked_sub(1).filter(|_| hole.run.len > 0);
            let pair = last(s).zip(last(r));
            before = pair.and_then(|(s, r)| neighbours(layout.items.get(s), replica.get(r))).or(before);
        }
        debug_assert_eq!(s, layout.items.len(), "the last hole ends with the stretch");
    }

    /// Lays the records of a stretch beside each other. A mirror copies committed records only, or all of them; the
    /// records of aborted transactions take part where more is explained that way. The order alone cannot say so: what
    /// was aborted is often sent again, and the same then.
    fn layout(&self, stretch: &Stretch<'_>) -> Layout {
        let aborted = |seen: &&Seen| seen.state == State::Aborted;
        let only = |wanted: bool| stretch.source.iter().filter(|seen| aborted(seen) == wanted).copied().collect();
        let committed = self.lay(only(false), only(true), stretch);
        if committed.aborted.is_empty() {
            return committed;
        }
        let all = self.lay(stretch.source.to_vec(), Vec::new(), stretch);
        let cost = |layout: &Layout| layout.cost(stretch, self.policy.aborted_allowed);
        match (committed.faithful, all.faithful) {
            (true, _) => committed,
            (false, true) => all,
            _ if cost(&all) <= cost(&committed) => all,
            _ => committed,
        }
    }

    fn lay(&self, items: Vec<Seen>, aborted: Vec<Seen>, stretch: &Stretch<'_>) -> Layout {
        let names = self.names(&items, &aborted, stretch.replica);
        let Alignment { runs, mut ambiguous, faithful } = align(&names.items, &names.replica, stretch.lie);
        if stretch.lie.begins_open() && !stretch.lie.meets_behind {
            // Nothing pins the records of one side to those of the other but what they hold. Where that repeats, the
            // source may have only later ones of those that the replica has.
            ambiguous |= repeat(&names.items) || repeat(&names.replica);
        }
        let mut layout = Layout { items, aborted, names, runs, ambiguous, faithful };
        if stretch.lie.source_cut && !stretch.lie.meets_behind {
            // All that the replica has may be gone on the source, and what looks the same be sent again. Many equal
            // records, and fewer that are wrong, speak against it.
            let (wrong, _, _) = layout.cost(stretch, false);
            layout.ambiguous |= layout.runs.iter().map(|run| run.len).sum::<usize>() < wrong.max(PINNED_MIN);
        }
        layout
    }

    /// Names to align by. A record without a time on the source has any on the replica: mirrors stamp it when they
    /// write it.
    fn names(&self, items: &[Seen], aborted: &[Seen], replica: &[Seen]) -> Names {
        let ids = |side: &[Seen]| side.iter().map(|seen| seen.id).collect::<Vec<Id>>();
        let source = || items.iter().chain(aborted);
        if self.policy.timestamps == Timestamps::Ignore || source().all(|seen| seen.time.is_some()) {
            return Names { items: ids(items), aborted: ids(aborted), replica: ids(replica) };
        }
        let mut any: IdMap<()> = IdMap::default();
        let mut exact: IdMap<()> = IdMap::default();
        for seen in source() {
            exact.insert(seen.id, ());
            if seen.time.is_none() {
                any.insert(seen.content(), ());
            }
        }
        let timeless = |side: &[Seen]| {
            let name = |seen: &Seen| if seen.time.is_none() { seen.content() } else { seen.id };
            side.iter().map(name).collect()
        };
        let stamped = |seen: &Seen| {
            let content = seen.content();
            let stamped = any.contains_key(&content) && (seen.time.is_none() || !exact.contains_key(&seen.id));
            if stamped { content } else { seen.id }
        };
        Names { items: timeless(items), aborted: timeless(aborted), replica: replica.iter().map(stamped).collect() }
    }

    /// Records that both sides have, or of which the replica has the aborted one.
    fn met(&mut self, partition: usize, source: &[Seen], replica: &[Seen]) {
        for (ours, theirs) in source.iter().zip(replica) {
            if let Some(facts) = self.facts.get_mut(partition) {
                facts.meets(ours, theirs);
            }
            let piece = |class, proof| Piece::pair(class, proof, partition, ours, theirs);
            match ours.state {
                State::Committed => {}
                State::Aborted => self.pieces.push(piece(Class::Aborted, Proof::Proven)),
                State::Undecided => self.pieces.push(piece(Class::Undecided, Proof::InFlight)),
            }
            self.know(partition, ours);
        }
    }

    fn hole(&mut self, partition: usize, found: &Apart<'_>, before: Option<Neighbours>, behind: Option<Neighbours>) {
        let mut explained = vec![false; found.extra.len()];
        for run in found.aborted_runs() {
            let ours = found.aborted.get(run.source..run.source + run.len).unwrap_or_default();
            let theirs = found.extra.get(run.replica..run.replica + run.len).unwrap_or_default();
            explained.iter_mut().skip(run.replica).take(run.len).for_each(|explained| *explained = true);
            self.met(partition, ours, theirs);
        }
        let left = found.extra.iter().zip(&explained).filter(|(_, explained)| !**explained);
        let extra: Vec<Seen> = left.map(|(seen, _)| *seen).collect();
        let lost: Vec<Seen> = found.lost.iter().filter(|seen| seen.state == State::Committed).copied().collect();
        if lost.is_empty() && extra.is_empty() {
            return;
        }
        let between = |side: fn(&Neighbours) -> u64| Between {
            after: before.as_ref().map(side),
            before: behind.as_ref().map(side),
        };
        let source = between(|both| both.source.offset);
        let replica = between(|both| both.replica.offset);
        if self.held().saturating_add(lost.len() + extra.len()) > HELD_MAX {
            if extra.is_empty() {
                return self.collapse(partition, Of::Source, &lost, replica);
            }
            if lost.is_empty() {
                return self.collapse(partition, Of::Replica, &extra, source);
            }
        }
        let hole = self.holes.len();
        let loose = |seen: &Seen| Loose { partition, hole, seen: *seen, done: false };
        self.lost.extend(lost.iter().map(loose));
        self.extra.extend(extra.iter().map(loose));
        let ordinal = before.map_or(0, |before| before.source.ordinal.saturating_add(1));
        self.holes.push(Hole { source, replica, ordinal });
    }

    /// Takes in left over records of one side without remembering each of them.
    fn collapse(&mut self, partition: usize, of: Of, records: &[Seen], between: Between) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let span = Span { first: first.offset, last: last.offset, first_time: first.time, last_time: last.time };
        let records = records.len() as u64;
        self.wholes.push(Whole { partition, of, ordinal: first.ordinal, records, span, between });
        self.coarse = true;
    }
}

/// The records of a stretch beside each other.
struct Layout {
    /// Records of the source that take part.
    items: Vec<Seen>,
    /// Records of aborted transactions that do not.
    aborted: Vec<Seen>,
    names: Names,
    runs: Vec<Run>,
    ambiguous: bool,
    faithful: bool,
}

/// Names by which records are aligned.
struct Names {
    items: Vec<Id>,
    aborted: Vec<Id>,
    replica: Vec<Id>,
}

/// What is between two runs, and the run behind.
struct Apart<'a> {
    lost: &'a [Seen],
    /// Records of aborted transactions that stand here on the source.
    aborted: &'a [Seen],
    extra: &'a [Seen],
    /// Names of the two before.
    names: (&'a [Id], &'a [Id]),
    run: Run,
    lie: Lie,
}

impl Layout {
    fn holes<'a>(&'a self, stretch: &Stretch<'a>) -> Vec<Apart<'a>> {
        let replica = stretch.replica;
        let end = Run { source: self.items.len(), replica: replica.len(), len: 0 };
        let (mut s, mut r) = (0, 0);
        let mut taken = 0;
        let mut holes = Vec::with_capacity(self.runs.len() + 1);
        for run in self.runs.iter().chain([&end]) {
            let limit = self.items.get(run.source).map_or(u64::MAX, |behind| behind.offset);
            let here = taken..self.aborted.partition_point(|seen| seen.offset < limit).max(taken);
            taken = here.end;
            let (first, last) = (holes.is_empty(), holes.len() == self.runs.len());
            holes.push(Apart {
                lost: self.items.get(s..run.source).unwrap_or_default(),
                aborted: self.aborted.get(here.clone()).unwrap_or_default(),
                extra: replica.get(r..run.replica).unwrap_or_default(),
                names: (
                    self.names.aborted.get(here).unwrap_or_default(),
                    self.names.replica.get(r..run.replica).unwrap_or_default(),
                ),
                run: *run,
                lie: Lie {
                    source_cut: first && stretch.lie.source_cut,
                    replica_cut: first && stretch.lie.replica_cut,
                    meets_behind: !last || stretch.lie.meets_behind,
                },
            });
            (s, r) = (run.source + run.len, run.replica + run.len);
        }
        holes
    }

    /// What speaks against it: records that a faithful copy would have or would not have, records of aborted
    /// transactions, and records that are not mirrored yet.
    fn cost(&self, stretch: &Stretch<'_>, aborted_allowed: bool) -> (usize, usize, usize) {
        let (mut wrong, mut aborted, mut behind) = (0, 0, 0);
        for hole in self.holes(stretch) {
            let lost = hole.lost.iter().filter(|seen| seen.state == State::Committed).count();
            let explained: usize = hole.aborted_runs().iter().map(|run| run.len).sum();
            let extra = hole.extra.len().saturating_sub(explained);
            if !hole.lie.meets_behind {
                behind += lost;
            } else if !hole.lie.replica_cut {
                wrong += lost;
            }
            if !hole.lie.source_cut {
                wrong += extra;
            }
            let run = hole.run.source..hole.run.source + hole.run.len;
            let taken = self.items.get(run).unwrap_or_default();
            aborted += explained + taken.iter().filter(|seen| seen.state == State::Aborted).count();
        }
        if aborted_allowed { (wrong, aborted, behind) } else { (wrong + aborted, 0, behind) }
    }
}

impl Apart<'_> {
    fn lost_end<'a>(&self, items: &'a [Seen]) -> Option<&'a Seen> {
        items.get(self.run.source)
    }

    fn extra_end<'a>(&self, replica: &'a [Seen]) -> Option<&'a Seen> {
        replica.get(self.run.replica)
    }

    /// Records of the replica that are the aborted ones.
    fn aborted_runs(&self) -> Vec<Run> {
        let (aborted, extra) = self.names;
        if aborted.is_empty() || extra.is_empty() { Vec::new() } else { align(aborted, extra, self.lie).runs }
    }
}

/// Whether a name comes twice.
fn repeat(names: &[Id]) -> bool {
    let mut seen: IdMap<()> = IdMap::default();
    names.iter().any(|name| seen.insert(*name, ()).is_some())
}

fn neighbours(source: Option<&Seen>, replica: Option<&Seen>) -> Option<Neighbours> {
    let spot = |seen: &Seen| Spot { ordinal: seen.ordinal, offset: seen.offset };
    Some(Neighbours { source: spot(source?), replica: spot(replica?) })
}
