//! Which rows the lost transactions changed, from the log alone: table files and places, not values.
//!
//! The new primary is a copy of the old one up to the switchpoint, page by page. So a row that was there before stands
//! at the same place on both, and a row that a lost transaction wrote stands where the log says on the old one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use paritas_model::Lsn;

use crate::Result;
use crate::heap::{XID_MIN, deed, next_xid, precedes};
use crate::reader::{Next, Reader};
use crate::record::{Record, Relation};
use crate::recover::{Abandoned, Origin};
use crate::rows::{Changes, Rows, Table};
use crate::xact::Event;

/// Segments read back from the switchpoint for the beginnings of lost transactions.
const SEGMENTS_BACK_MAX: u64 = 64;

/// What the lost transactions of one abandoned timeline did to rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Each relation that was changed, catalogs and out-of-line storage included.
    pub tables: Vec<Table>,
    /// What each lost transaction did, by its number.
    pub transactions: BTreeMap<u32, Vec<(Relation, Changes)>>,
    /// Files that lost transactions made: of new tables, or of ones that were rewritten or emptied.
    pub created: Vec<Relation>,
    /// Files that lost transactions removed.
    pub dropped: Vec<Relation>,
    /// No row that was there at the switchpoint was written by a transaction with this number or a later one. It may be
    /// too low, and never is too high.
    pub next_xid: Option<u32>,
    /// Why rows may be missing here.
    pub doubts: Vec<String>,
}

/// Reads the log again, and follows the rows that lost transactions changed.
///
/// # Errors
/// When a file that was read before cannot be read any more.
pub fn touched(archives: &[PathBuf], abandoned: &Abandoned) -> Result<Touched> {
    let pg_wal = match &abandoned.origin {
        Origin::Directory { path, .. } => Some(path.join("pg_wal")),
        Origin::Archives | Origin::Nothing => None,
    };
    let folders: Vec<&Path> = pg_wal.iter().chain(archives).map(PathBuf::as_path).collect();
    let mut pass = Pass::new(abandoned);
    let mut start = abandoned.switch.at;
    if let (Some(oldest), Some(first)) = (pass.oldest(), abandoned.stretches.first()) {
        start = pass.begin(&folders, abandoned, first.timeline, oldest);
    }
    for (number, stretch) in abandoned.stretches.iter().enumerate() {
        let from = if number == 0 { start } else { stretch.from };
        let mut reader = Reader::open_all(&folders, stretch.timeline, from)?;
        let version = reader.version();
        while let Next::Record(record) = reader.step()? {
            if record.end > stretch.end.lsn {
                break;
            }
            pass.note_next(&record, abandoned.switch.at);
            if let Ok(Event::Commit(finish, _)) = record.event(version)
                && pass.owners.contains_key(&finish.xid)
                && record.end > abandoned.switch.at
            {
                pass.ended.insert(finish.xid);
                pass.found.dropped.extend(finish.dropped_relations);
            }
            pass.add(&record);
        }
    }
    Ok(pass.finish(abandoned))
}

#[derive(Debug)]
struct Pass {
    /// Lost transactions and their committed subtransactions, each with the transaction.
    owners: HashMap<u32, u32>,
    ended: HashSet<u32>,
    unparsed: Option<Lsn>,
    rows: Rows,
    found: Touched,
}

impl Pass {
    fn new(abandoned: &Abandoned) -> Self {
        let of = |commit: &crate::Commit| {
            let xid = commit.xid;
            [xid].into_iter().chain(commit.subxacts.clone()).map(move |part| (part, xid))
        };
        let owners = abandoned.commits().filter(|commit| commit.xid >= XID_MIN).flat_map(of).collect();
        Self { owners, ended: HashSet::new(), unparsed: None, rows: Rows::default(), found: Touched::default() }
    }

    fn oldest(&self) -> Option<u32> {
        self.owners.keys().copied().reduce(|one, other| if precedes(other, one) { other } else { one })
    }

    /// Where the oldest lost transaction had not begun yet: a transaction that commits after the switchpoint may have
    /// changed rows before it.
    fn begin(&mut self, folders: &[&Path], abandoned: &Abandoned, timeline: u32, oldest: u32) -> Lsn {
        let switch = abandoned.switch.at;
        let Some(segment) = segment_bytes(folders, timeline, switch) else { return switch };
        let mut start = switch;
        for _ in 0..SEGMENTS_BACK_MAX {
            let Some(before) = start.0.checked_sub(1) else { break };
            let position = Lsn(before / segment * segment);
            let Some(next) = first_next(folders, timeline, position, switch) else { break };
            start = position;
            // A stretch without any such record tells nothing: further back.
            if next.is_some_and(|next| !precedes(oldest, next)) {
                return start;
            }
        }
        let doubt = "transactions may have changed rows before the log that is left, or looked at, begins";
        self.found.doubts.push(format!("{doubt}: the oldest one that is lost is {oldest}"));
        start
    }

    /// Transactions that had begun when the history was left.
    fn note_next(&mut self, record: &Record, switch: Lsn) {
        if record.end > switch {
            return;
        }
        let after = |xid: u32| if xid == u32::MAX { XID_MIN } else { xid + 1 };
        let own = (record.xid >= XID_MIN).then(|| after(record.xid));
        for next in own.into_iter().chain(next_xid(record)).filter(|next| *next >= XID_MIN) {
            if self.found.next_xid.is_none_or(|known| precedes(known, next)) {
                self.found.next_xid = Some(next);
            }
        }
    }

    fn add(&mut self, record: &Record) {
        let Some(owner) = self.owners.get(&record.xid) else { return };
        match deed(record) {
            Some(deed) => self.rows.add(&deed, *owner, record.xid),
            None => self.unparsed = self.unparsed.or(Some(record.lsn)),
        }
    }

    fn finish(mut self, abandoned: &Abandoned) -> Touched {
        let lost: HashSet<u32> = abandoned.commits().map(|commit| commit.xid).filter(|xid| *xid >= XID_MIN).collect();
        let doubts = &mut self.found.doubts;
        if self.ended != lost {
            doubts.push(
                "not all lost transactions were found again: their log changed, or lies in several folders".into(),
            );
        }
        if let Some(lsn) = self.unparsed {
            doubts.push(format!("the record at {lsn} changes rows and is of an unknown form"));
        }
        if let Some(manager) = self.rows.foreign {
            doubts.push(format!("an extension wrote changes that only itself can read (resource manager {manager})"));
        }
        if self.rows.overflowed {
            doubts.push("more rows were changed than are followed: further ones are counted and not named".into());
        }
        self.found.created = std::mem::take(&mut self.rows.created);
        (self.found.tables, self.found.transactions) = self.rows.finish();
        self.found
    }
}

fn segment_bytes(folders: &[&Path], timeline: u32, at: Lsn) -> Option<u64> {
    Some(Reader::open_all(folders, timeline, at).ok()?.segment_size().bytes())
}

/// The first next transaction that the log names after this position; `None` where there is no log.
fn first_next(folders: &[&Path], timeline: u32, from: Lsn, until: Lsn) -> Option<Option<u32>> {
    let mut reader = Reader::open_all(folders, timeline, from).ok()?;
    let mut first = true;
    while let Ok(Next::Record(record)) = reader.step() {
        // A hole at the beginning would hide what was written there.
        let segment = reader.segment_size().bytes();
        if first && record.end.0 > from.0.saturating_add(segment) {
            return None;
        }
        first = false;
        if record.end > until {
            break;
        }
        if let Some(next) = next_xid(&record) {
            return Some(Some(next));
        }
    }
    (!first).then_some(None)
}
