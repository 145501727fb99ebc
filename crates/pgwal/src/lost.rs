//! Which commits a log holds after a position: the exact loss, when the other side went on from there.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp;
use paritas_model::Lsn;

use crate::Result;
use crate::end::{Doubt, End, Why};
use crate::page::Version;
use crate::reader::{Next, Reader, Start};
use crate::record::Record;
use crate::xact::{Event, Finish, Prepare};

/// A committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The transaction.
    pub xid: u32,
    /// Where its commit record begins.
    pub lsn: Lsn,
    /// Where its commit record ends: what `pg_current_wal_lsn` said right after it.
    pub end: Lsn,
    /// When it committed, by the server's clock.
    pub time: Timestamp,
    /// OID of the database; `None` when no record after the position says it.
    pub database: Option<u32>,
    /// Bytes of its records and those of its committed subtransactions, from the position on.
    pub bytes: u64,
    /// Its committed subtransactions that had a transaction id.
    pub subxacts: Vec<u32>,
    /// Whether it was prepared before.
    pub prepared: bool,
    /// The name of the prepared transaction, when it was prepared after the position or `wal_level` is `logical`.
    pub gid: Option<String>,
    /// Where and when it committed at its origin, when it was replicated from elsewhere.
    pub origin: Option<(Lsn, Timestamp)>,
}

/// What a log holds after a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The version of the server that wrote the log.
    pub version: Version,
    /// The identifier of the cluster.
    pub system_identifier: u64,
    /// The timeline.
    pub timeline: u32,
    /// The position.
    pub from: Lsn,
    /// Commits whose record ends after it, in the order of the log.
    pub commits: Vec<Commit>,
    /// Transactions prepared after it and not decided in the log, with the end of their prepare record.
    pub undecided: Vec<(Prepare, Lsn)>,
    /// Transactions and subtransactions rolled back after it.
    pub aborts: u64,
    /// Records after it, of whatever kind.
    pub records: u64,
    /// The latest time that a commit, rollback or prepare record after it says: the server was alive then.
    pub last_seen: Option<Timestamp>,
    /// Where the log ends, and why.
    pub end: End,
    /// Why `commits` may not be all, or not lost; a proof when empty.
    pub doubts: Vec<Doubt>,
}

impl Lost {
    /// Whether `commits` is exactly what the log holds after the position.
    pub fn is_proven(&self) -> bool {
        self.doubts.is_empty()
    }

    /// Bytes of the log after the position, lost or not.
    pub fn bytes(&self) -> u64 {
        self.end.lsn.0.saturating_sub(self.from.0)
    }
}

/// What is known of a transaction that has not ended yet.
#[derive(Debug, Default, Clone, Copy)]
struct Running {
    bytes: u64,
    database: Option<u32>,
}

/// What was read so far; carried from one timeline of a server to its next one.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    running: HashMap<u32, Running>,
    prepared: BTreeMap<u32, (Prepare, Lsn)>,
    commits: Vec<Commit>,
    aborts: u64,
    records: u64,
    last_seen: Option<Timestamp>,
    doubts: Vec<Doubt>,
}

/// The commits that the log in `folder` holds on `timeline` after `from`, the switchpoint of the next timeline.
///
/// The log is the old primary's, which must not run. Every commit in it counts, acknowledged or not. The list is a
/// proof of what *this folder* holds when [`Lost::is_proven`]; whether the folder is the old primary's is for the
/// caller to know.
///
/// # Errors
/// When the folder cannot be read, has no segment of that timeline, or none of a known version.
pub fn lost_commits(folder: &Path, timeline: u32, from: Lsn) -> Result<Lost> {
    lost_between(&[folder], timeline, from, None, &mut Tally::default())
}

/// As [`lost_commits`], of several folders, up to the position where the server itself left this timeline.
///
/// Transactions that did not end there stay in the tally, and are undecided only if nothing more is read.
pub(crate) fn lost_between(
    folders: &[&Path],
    timeline: u32,
    from: Lsn,
    until: Option<Lsn>,
    tally: &mut Tally,
) -> Result<Lost> {
    let mut reader = Reader::open_all(folders, timeline, from)?;
    let version = reader.version();
    let (mut end, mut reached) = (None, from);
    while end.is_none() && until.is_none_or(|until| reached < until) {
        match reader.step()? {
            Next::Record(record) => {
                reached = record.end;
                if until.is_none_or(|until| record.end <= until) {
                    tally.add(&record, version);
                }
            }
            Next::End(found) => end = Some(found),
        }
    }
    let left = end.is_none() && until == Some(reached);
    let end = end.unwrap_or(End {
        lsn: reached,
        at: reached,
        why: Why::Left,
        beyond: None,
        shutdown: false,
        last: None,
        partial: false,
        first: true,
    });
    let mut doubts = std::mem::take(&mut tally.doubts);
    match reader.start() {
        Start::Boundary => {}
        Start::Inside(record) => doubts.push(Doubt::InsideRecord { record: Some(record) }),
        Start::Lost => doubts.push(Doubt::InsideRecord { record: None }),
        Start::Unread if left => {}
        Start::Unread => doubts.push(Doubt::EndsBefore { end: end.lsn, from }),
    }
    match (left, until, end.doubt()) {
        (true, ..) => {}
        (false, Some(until), None) => doubts.push(Doubt::EndsBefore { end: end.lsn, from: until }),
        (false, _, doubt) => doubts.extend(doubt),
    }
    Ok(Lost {
        version,
        system_identifier: reader.system_identifier(),
        timeline,
        from,
        commits: std::mem::take(&mut tally.commits),
        undecided: tally.prepared.values().cloned().collect(),
        aborts: std::mem::take(&mut tally.aborts),
        records: std::mem::take(&mut tally.records),
        last_seen: tally.last_seen,
        end,
        doubts,
    })
}

impl Tally {
    fn add(&mut self, record: &Record, version: Version) {
        self.records += 1;
        if record.xid != 0 {
            let running = self.running.entry(record.xid).or_default();
            running.bytes += u64::from(record.bytes);
            // The server names the database in few commits, but relations name theirs, unless they are shared.
            let mut databases = record.blocks.iter().map(|block| block.relation.database);
            running.database = running.database.or_else(|| databases.find(|database| *database != 0));
        }
        match record.event(version) {
            Ok(Event::Commit(finish, prepared)) => self.commit(record, finish, prepared),
            Ok(Event::Abort(finish, _)) => {
                self.aborts += 1;
                self.seen(finish.time);
                self.prepared.remove(&finish.xid);
                for xid in finish.subxacts.iter().chain([&finish.xid]) {
                    self.running.remove(xid);
                }
            }
            Ok(Event::Prepare(prepare)) => {
                self.seen(prepare.time);
                self.prepared.insert(prepare.xid, (prepare, record.end));
            }
            Ok(_) => {}
            Err(_) => self.doubts.push(Doubt::Unparsed { record: record.lsn }),
        }
    }

    fn seen(&mut self, time: Timestamp) {
        self.last_seen = self.last_seen.max(Some(time));
    }

    fn commit(&mut self, record: &Record, finish: Finish, prepared: bool) {
        self.seen(finish.time);
        let (mut database, mut gid) = (finish.database.map(|(database, _)| database), finish.gid);
        // The name is logged again only when `wal_level` is `logical`.
        if let Some((prepare, _)) = self.prepared.remove(&finish.xid) {
            database = database.or(Some(prepare.database));
            gid = gid.or(Some(prepare.gid));
        }
        // The record that decides a prepared transaction belongs to no transaction itself.
        let mut bytes = if prepared { u64::from(record.bytes) } else { 0 };
        for xid in [&finish.xid].into_iter().chain(&finish.subxacts) {
            let running = self.running.remove(xid).unwrap_or_default();
            bytes += running.bytes;
            database = database.or(running.database);
        }
        self.commits.push(Commit {
            xid: finish.xid,
            lsn: record.lsn,
            end: record.end,
            time: finish.time,
            database,
            bytes,
            subxacts: finish.subxacts,
            prepared,
            gid,
            origin: finish.origin,
        });
    }
}
