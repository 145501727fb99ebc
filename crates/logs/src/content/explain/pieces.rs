//! Explained records, and how those that follow one another become one finding.

use super::Hole;
use crate::content::{Between, Class, Finding, Part, Seen, Span, State};
use paritas_model::Proof;

/// Records that follow one another on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// The number of the first.
    pub(super) ordinal: u64,
    /// The number of the committed record behind.
    end: u64,
    /// How many.
    pub(super) records: u64,
    /// Where.
    pub(super) span: Span,
}

/// Records with one explanation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) class: Class,
    pub(super) proof: Proof,
    pub(super) partition: usize,
    pub(super) found_in: Option<usize>,
    pub(super) source: Option<Extent>,
    pub(super) replica: Option<Extent>,
    pub(super) between: Option<Between>,
    pub(super) parts: Vec<Part>,
    pub(super) note: Option<String>,
}

impl Extent {
    /// One record.
    pub(super) fn of(seen: &Seen) -> Self {
        let span = Span { first: seen.offset, last: seen.offset, first_time: seen.time, last_time: seen.time };
        let committed = u64::from(seen.state == State::Committed);
        Self { ordinal: seen.ordinal, end: seen.ordinal.saturating_add(committed), records: 1, span }
    }

    /// Committed records.
    pub(super) fn run(ordinal: u64, records: u64, span: Span) -> Self {
        Self { ordinal, end: ordinal.saturating_add(records), records, span }
    }

    fn touches(&self, next: &Self) -> bool {
        self.end == next.ordinal
    }

    fn join(&mut self, next: &Self) {
        self.records = self.records.saturating_add(next.records);
        self.end = next.end;
        self.span.last = next.span.last;
        self.span.last_time = next.span.last_time;
    }
}

impl Piece {
    /// Records of which nothing is said yet.
    pub(super) fn new(class: Class, proof: Proof, partition: usize) -> Self {
        Self {
            class,
            proof,
            partition,
            found_in: None,
            source: None,
            replica: None,
            between: None,
            parts: Vec::new(),
            note: None,
        }
    }

    /// A record of the source and one of the replica.
    pub(super) fn pair(class: Class, proof: Proof, partition: usize, source: &Seen, replica: &Seen) -> Self {
        let (source, replica) = (Some(Extent::of(source)), Some(Extent::of(replica)));
        Self { source, replica, ..Self::new(class, proof, partition) }
    }

    /// A record that only the source has.
    pub(super) fn lost(class: Class, proof: Proof, partition: usize, extent: Extent, between: Between) -> Self {
        Self { source: Some(extent), between: Some(between), ..Self::new(class, proof, partition) }
    }

    /// A record that only the replica has.
    pub(super) fn extra(class: Class, proof: Proof, partition: usize, extent: Extent, between: Between) -> Self {
        Self { replica: Some(extent), between: Some(between), ..Self::new(class, proof, partition) }
    }

    /// How many records: those of the side that has them wrongly, or alone.
    pub(super) fn records(&self) -> u64 {
        self.replica.or(self.source).map_or(0, |extent| extent.records)
    }

    /// Pieces of one partition in the order in which they can be joined.
    pub(super) fn order(&self) -> (usize, Class, u64, u64) {
        let ordinal = |extent: Option<Extent>| extent.map_or(u64::MAX, |extent| extent.ordinal);
        match self.class {
            Class::Missing | Class::NotYetMirrored => (self.partition, self.class, ordinal(self.source), 0),
            _ => (self.partition, self.class, ordinal(self.replica), ordinal(self.source)),
        }
    }

    fn continues(&self, next: &Self) -> bool {
        let alike = self.class == next.class
            && self.proof == next.proof
            && self.partition == next.partition
            && self.found_in == next.found_in
            && self.parts == next.parts
            && self.note == next.note;
        let touch = |a: Option<Extent>, b: Option<Extent>| match (a, b) {
            (Some(a), Some(b)) => Some(a.touches(&b)),
            (None, None) => None,
            _ => Some(false),
        };
        let (source, replica) = (touch(self.source, next.source), touch(self.replica, next.replica));
        let again = self.source.zip(next.source).is_some_and(|(a, b)| a.span.last == b.span.first);
        alike
            && match self.class {
                // The numbers of uncommitted records on the source are those of the next committed one.
                Class::Aborted | Class::Undecided => replica == Some(true),
                Class::Duplicate => replica == Some(true) && (source != Some(false) || again),
                _ => source != Some(false) && replica != Some(false) && (source, replica) != (None, None),
            }
    }

    fn join(&mut self, next: &Self) {
        for (own, next) in [(&mut self.source, next.source), (&mut self.replica, next.replica)] {
            if let (Some(own), Some(next)) = (own.as_mut(), next) {
                own.join(&next);
            }
        }
        if let (Some(own), Some(next)) = (self.between.as_mut(), next.between) {
            own.before = next.before;
        }
    }

    /// The finding; `number` gives partitions their numbers.
    pub(super) fn finding(&self, number: impl Fn(usize) -> i32) -> Finding {
        Finding {
            class: self.class,
            proof: self.proof,
            partition: number(self.partition),
            found_in: self.found_in.map(number),
            records: self.records(),
            at_least: false,
            source: self.source.map(|extent| extent.span),
            replica: self.replica.map(|extent| extent.span),
            between: self.between,
            parts: self.parts.clone(),
            shown: Vec::new(),
            note: self.note.clone(),
        }
    }
}

/// Joins pieces that follow one another.
pub(super) fn joined(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.sort_by_key(Piece::order);
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if last.continues(&piece) => last.join(&piece),
            _ => joined.push(piece),
        }
    }
    joined
}

impl Hole {
    /// Where the source has nothing.
    pub(super) fn on_source(&self) -> Between {
        self.source
    }

    /// Where the replica has nothing.
    pub(super) fn on_replica(&self) -> Between {
        self.replica
    }
}
