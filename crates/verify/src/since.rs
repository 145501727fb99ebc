//! What happened since a snapshot: whether a row that differs from it was written since, or was lost.
//!
//! A row that the snapshot has and the replica does not have may have been deleted since; one that only the replica
//! has may have been inserted. Three things tell: where the replica's history stands to the snapshot, which
//! transaction wrote a row, and what the user declared about the dataset. Where none of them does, a difference is
//! open, and never a verdict.

use paritas_connect::{FetchedRow, Horizon, Moment, Seen};
use paritas_model::{Ancestry, Class, Known, Lsn, Position, Value, Writes};
use std::fmt;

/// Where the replica's history stands to the moment of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// Everything that the snapshot shows is in the replica's history.
    Holds,
    /// The replica left the source's history before the snapshot.
    Behind {
        /// Where it left.
        at: Lsn,
    },
    /// The replica follows the history of the snapshot and has not come that far.
    Waiting {
        /// Where it is.
        at: String,
    },
    /// Nothing orders the two.
    Unordered {
        /// Why.
        why: String,
    },
}

impl Relation {
    /// The word of the report.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Behind { .. } => "behind",
            Self::Waiting { .. } => "waiting",
            Self::Unordered { .. } => "unordered",
        }
    }

    /// Of a replica with this history, whose view stands at `reached`.
    pub fn of(moment: Option<&Moment>, ancestry: &Known<Ancestry>, reached: &Known<Position>) -> Self {
        let unordered = |why: &str| Self::Unordered { why: why.to_owned() };
        let Some(moment) = moment else {
            return unordered("its store has no positions that a copy shares");
        };
        let (from, covers) = match (&moment.from, &moment.covers) {
            (Known::Known(from), Known::Known(covers)) => (from, covers),
            (Known::Unknown { why }, _) | (_, Known::Unknown { why }) => return unordered(why),
        };
        let ancestry = match ancestry {
            Known::Known(ancestry) => ancestry,
            Known::Unknown { why } => return unordered(why),
        };
        let Some((system, timeline)) = covers.lineage.0.split_once('/') else {
            return unordered("the snapshot does not name its timeline");
        };
        if system != ancestry.system.to_string() {
            return unordered("the replica belongs to another cluster: its positions and transactions are its own");
        }
        let Some(timeline) = timeline.parse::<u32>().ok().filter(|_| from.lineage == covers.lineage) else {
            return unordered("the source changed its timeline while the snapshot was taken");
        };
        if timeline == ancestry.timeline {
            return match reached {
                Known::Known(reached) if reached.lineage == covers.lineage && reached.value >= covers.value => {
                    Self::Holds
                }
                Known::Known(reached) if reached.lineage == covers.lineage => {
                    Self::Waiting { at: reached.text.clone() }
                }
                Known::Known(_) => unordered("the replica changed its timeline while it was read"),
                Known::Unknown { why } => unordered(why),
            };
        }
        let own = format!("{}/{}", ancestry.system, ancestry.timeline);
        if reached.value().is_none_or(|reached| reached.lineage.0 != own) {
            return unordered("the replica changed its timeline while it was read");
        }
        match ancestry.left(timeline) {
            Some(at) if at.0 >= covers.value => Self::Holds,
            Some(at) if at.0 < from.value => Self::Behind { at },
            Some(_) => unordered("the replica left the source's history while the snapshot was taken"),
            None => unordered("the replica never was on the timeline of the snapshot"),
        }
    }
}

/// Where a column says when a row was written last.
#[derive(Debug, Clone)]
pub struct ChangedAt {
    /// Its place among the compared columns.
    pub index: usize,
    /// Rows from before this were not written since, in microseconds since 1970.
    pub old_before: i64,
    /// Rows from this on were.
    pub new_from: i64,
}

/// Everything that tells about the time since the snapshot.
#[derive(Debug, Clone)]
pub struct Window {
    /// Where the replica's history stands.
    pub relation: Relation,
    /// Which transactions the snapshot shows, where the replica's rows name theirs.
    pub snapshot: Option<Horizon>,
    /// Which transactions the replica's view shows.
    pub now: Option<Horizon>,
    /// The replica's first own transaction.
    pub own_from: Known<u64>,
    /// When the replica was promoted, by its own clock, in microseconds since 1970.
    pub promoted_at: Option<i64>,
    /// No transaction that was running at the snapshot is committed on the replica.
    pub running_ended: bool,
    /// No definition was changed since: one that is (a type, a label) changes rows and leaves their writers.
    pub same_catalog: bool,
    /// What the user declared.
    pub writes: Writes,
    /// Where rows say when they were written.
    pub changed_at: Option<ChangedAt>,
}

/// A row as it is on the replica now.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// The row.
    pub row: &'a FetchedRow,
    /// Whether it was certainly written after the replica's view.
    pub newer: bool,
    /// When its writer committed, where that was kept.
    pub committed_at: Option<i64>,
}

/// What a difference from a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// A loss, or a change that nobody made.
    Proven,
    /// Written since.
    Since,
    /// Not told apart; why.
    Open(&'static str),
}

/// How the writer of a row stands to the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// The snapshot shows what it wrote, and it is part of the source's history.
    Before,
    After,
    /// The replica's own since its promotion, before the snapshot was taken elsewhere.
    Own,
    Unknown,
}

impl Window {
    /// A window in which nothing can have been written: what differs, is different.
    pub fn at_rest() -> Self {
        Self {
            relation: Relation::Unordered { why: "the digest is taken for what the replica should hold".to_owned() },
            snapshot: None,
            now: None,
            own_from: Known::unknown("not asked for"),
            promoted_at: None,
            running_ended: false,
            same_catalog: false,
            writes: Writes::None,
            changed_at: None,
        }
    }

    /// Whether it is proven, or declared, that no row of the replica was written since.
    pub fn is_still(&self) -> bool {
        if self.writes == Writes::None {
            return true;
        }
        let (Some(snapshot), Some(now)) = (&self.snapshot, &self.now) else { return false };
        let settled = snapshot.is_settled();
        match self.relation {
            Relation::Holds => settled && now.next == snapshot.next,
            // Behind a history of which the snapshot shows all that can have been decided.
            Relation::Behind { .. } => self
                .own_from
                .value()
                .is_some_and(|own| *own <= snapshot.next && now.next == *own && (settled || self.running_ended)),
            Relation::Waiting { .. } | Relation::Unordered { .. } => false,
        }
    }

    /// Why rows from before and after the replica's promotion are not told apart by their transactions, if they are not.
    pub fn unsettled(&self) -> Option<&str> {
        match (&self.relation, &self.own_from) {
            (Relation::Behind { .. }, Known::Unknown { why }) if !self.is_still() => Some(why),
            _ => None,
        }
    }

    /// Judges a row that differs; `rows` are those of its key that the replica has now.
    pub fn judge(&self, class: Class, copies: u64, rows: &[Now<'_>]) -> Judgement {
        if let Relation::Waiting { .. } = self.relation {
            return Judgement::Open("the replica has not come as far as the snapshot");
        }
        if self.is_still() {
            return Judgement::Proven;
        }
        match class {
            Class::Lost if matches!(self.writes, Writes::Upserts | Writes::Inserts) => Judgement::Proven,
            Class::Lost => Judgement::Open("it may have been deleted since the snapshot"),
            Class::Changed if self.writes == Writes::Inserts => Judgement::Proven,
            Class::Changed | Class::Extra if rows.is_empty() => Judgement::Open("it is gone by now"),
            Class::Changed => match rows {
                [row] => self.judge_row(row),
                several if several.iter().all(|row| self.judge_row(row) == Judgement::Proven) => Judgement::Proven,
                _ => Judgement::Open("several rows have its key"),
            },
            Class::Extra => self.judge_extra(copies, rows),
        }
    }

    fn judge_extra(&self, copies: u64, rows: &[Now<'_>]) -> Judgement {
        let judged: Vec<Judgement> = rows.iter().map(|row| self.judge_row(row)).collect();
        let count = |wanted: Judgement| judged.iter().filter(|one| **one == wanted).count() as u64;
        match judged.iter().find(|one| matches!(one, Judgement::Open(_))) {
            _ if count(Judgement::Since) >= copies => Judgement::Since,
            _ if count(Judgement::Proven) == judged.len() as u64 => Judgement::Proven,
            Some(open) => *open,
            None => Judgement::Open("several rows have its key"),
        }
    }

    fn judge_row(&self, now: &Now<'_>) -> Judgement {
        match self.writer(now) {
            Writer::Before => Judgement::Proven,
            Writer::After => Judgement::Since,
            Writer::Own => Judgement::Open("it was written after the promotion, and what it was before is not known"),
            Writer::Unknown => self.by_column(now.row),
        }
    }

    fn writer(&self, now: &Now<'_>) -> Writer {
        let (Some(snapshot), Some(view), Some(version)) = (&self.snapshot, &self.now, now.row.version) else {
            return Writer::Unknown;
        };
        let number = view.whole(version);
        match self.relation {
            Relation::Holds if now.newer => Writer::After,
            Relation::Holds => match snapshot.seen(number) {
                Seen::Before if self.same_catalog => Writer::Before,
                Seen::Before => Writer::Unknown,
                Seen::After => Writer::After,
                Seen::Unclear => Writer::Unknown,
            },
            Relation::Behind { .. } if now.newer => Writer::Own,
            Relation::Behind { .. } => {
                let by_time = now.committed_at.zip(self.promoted_at).map(|(committed, promoted)| committed < promoted);
                let shared = self.own_from.value().map(|own| number < *own).or(by_time.filter(|shared| *shared));
                match shared {
                    Some(true) if self.same_catalog && snapshot.seen(number) == Seen::Before => Writer::Before,
                    Some(false) => Writer::Own,
                    _ => Writer::Unknown,
                }
            }
            Relation::Waiting { .. } | Relation::Unordered { .. } => Writer::Unknown,
        }
    }

    fn by_column(&self, row: &FetchedRow) -> Judgement {
        let Some(column) = &self.changed_at else {
            return Judgement::Open("nothing tells when it was written");
        };
        let value = row.fields.get(column.index).map(|field| &field.shown);
        match value.and_then(micros) {
            Some(at) if at < column.old_before => Judgement::Proven,
            Some(at) if at >= column.new_from => Judgement::Since,
            Some(_) => Judgement::Open("it was written around the time of the snapshot"),
            None => Judgement::Open("its time of change cannot be read"),
        }
    }
}

/// A shown time in microseconds since 1970; without a zone it is UTC.
fn micros(value: &Value) -> Option<i64> {
    let Value::Text(text) = value else { return None };
    let text = text.trim();
    let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        // PostgreSQL leaves the minutes of a zone out.
        let (time, zone) = text.rsplit_once(['+', '-']).filter(|(_, zone)| zone.len() == 2)?;
        let sign = text.get(time.len()..time.len() + 1)?;
        format!("{time}{sign}{zone}:00").parse().ok()
    });
    let instant = instant.or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    });
    instant.map(jiff::Timestamp::as_microsecond)
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("everything in the snapshot is in the replica's history"),
            Self::Behind { at } => write!(f, "the replica left the source's history at {at}, before the snapshot"),
            Self::Waiting { at } => write!(f, "the replica is at {at} and has not come as far as the snapshot"),
            Self::Unordered { why } => write!(f, "the replica's history cannot be held against the snapshot: {why}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "since_tests.rs"]
mod tests;
