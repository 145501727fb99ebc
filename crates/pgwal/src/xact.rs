//! What transaction and checkpoint records say. Source: `access/xact.h`, `ParseCommitRecord` and its neighbours in
//! `xactdesc.c`, `twophase.c`, `catalog/pg_control.h`.

use jiff::Timestamp;
use paritas_model::Lsn;

use crate::fields::Fields;
use crate::page::Version;
use crate::record::{Record, Relation};

const MANAGER_XLOG: u8 = 0;
const MANAGER_TRANSACTION: u8 = 1;

const KIND: u8 = 0x70;
const HAS_XINFO: u8 = 0x80;

const DATABASE: u32 = 1 << 0;
const SUBXACTS: u32 = 1 << 1;
const RELATIONS: u32 = 1 << 2;
const INVALIDATIONS: u32 = 1 << 3;
const TWO_PHASE: u32 = 1 << 4;
const ORIGIN: u32 = 1 << 5;
const ACCESS_EXCLUSIVE_LOCKS: u32 = 1 << 6;
const GID: u32 = 1 << 7;
const DROPPED_STATISTICS: u32 = 1 << 8;
/// Apply feedback, relation cache file, forced synchronous commit: 29 to 31.
const COMPLETION: u32 = 0b111 << 29;

const RELATION_BYTES: usize = 12;
const INVALIDATION_BYTES: usize = 16;

const PREPARE_MAGIC: u32 = 0x57F9_4534;
/// Parts of a prepare record are aligned to eight.
const ALIGN: usize = 8;

/// Microseconds from the Unix epoch to 2000-01-01, where PostgreSQL's time begins.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// The end of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// The transaction: for a prepared one, the one that was prepared.
    pub xid: u32,
    /// When it committed or rolled back, by the server's clock.
    pub time: Timestamp,
    /// The flags that say which of the following are there.
    pub xinfo: u32,
    /// Database and default tablespace. Left out by the server in most records when `wal_level` is below `logical`.
    pub database: Option<(u32, u32)>,
    /// Its subtransactions that had a transaction id.
    pub subxacts: Vec<u32>,
    /// Files of relations that it deletes.
    pub dropped_relations: Vec<Relation>,
    /// Statistics that it deletes.
    pub dropped_statistics: usize,
    /// Cache invalidations.
    pub invalidations: usize,
    /// The name of a prepared transaction, where it was logged.
    pub gid: Option<String>,
    /// Where and when it committed at its origin, when it was replicated from elsewhere.
    pub origin: Option<(Lsn, Timestamp)>,
}

/// A transaction that is prepared and not yet decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// The transaction.
    pub xid: u32,
    /// Its name.
    pub gid: String,
    /// When it was prepared.
    pub time: Timestamp,
    /// OID of the database.
    pub database: u32,
    /// Its subtransactions.
    pub subxacts: Vec<u32>,
}

/// What a record means for transactions and timelines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `COMMIT`, or `COMMIT PREPARED` when the flag is set.
    Commit(Finish, bool),
    /// `ROLLBACK`, of a subtransaction too, or `ROLLBACK PREPARED` when the flag is set.
    Abort(Finish, bool),
    /// `PREPARE TRANSACTION`.
    Prepare(Prepare),
    /// Subtransactions of a transaction.
    Assignment {
        /// The transaction.
        top: u32,
        /// Its subtransactions.
        subxacts: Vec<u32>,
    },
    /// Cache invalidations in the midst of a transaction.
    Invalidations {
        /// How many.
        count: usize,
    },
    /// A checkpoint.
    Checkpoint {
        /// Where recovery would begin.
        redo: Lsn,
        /// The timeline it is on, and the one before if this record begins it.
        timelines: (u32, u32),
        /// Whether the server shut down cleanly here.
        shutdown: bool,
    },
    /// The first record after a promotion.
    EndOfRecovery {
        /// The timeline it begins, and the one before.
        timelines: (u32, u32),
    },
    /// Anything else.
    Other,
}

/// A whole record, not of the form that its version writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unparsed;

impl Record {
    /// What the record means.
    ///
    /// # Errors
    /// When it is a transaction, checkpoint or end-of-recovery record and is not fully understood.
    pub fn event(&self, version: Version) -> Result<Event, Unparsed> {
        match self.manager {
            MANAGER_TRANSACTION => self.transaction(version),
            MANAGER_XLOG => self.timeline_event(),
            _ => Some(Event::Other),
        }
        .ok_or(Unparsed)
    }

    fn timeline_event(&self) -> Option<Event> {
        let mut fields = Fields::new(&self.data);
        match self.info & 0xF0 {
            kind @ (0x00 | 0x10) => {
                let redo = Lsn(fields.u64()?);
                let timelines = (fields.u32()?, fields.u32()?);
                Some(Event::Checkpoint { redo, timelines, shutdown: kind == 0 })
            }
            0x90 => {
                let _time = fields.i64()?;
                Some(Event::EndOfRecovery { timelines: (fields.u32()?, fields.u32()?) })
            }
            _ => Some(Event::Other),
        }
    }

    fn transaction(&self, version: Version) -> Option<Event> {
        let mut fields = Fields::new(&self.data);
        match self.info & KIND {
            0x00 => Some(Event::Commit(self.finish(version, true)?, false)),
            0x10 => Some(Event::Prepare(prepare(fields, version)?)),
            0x20 => Some(Event::Abort(self.finish(version, false)?, false)),
            0x30 => Some(Event::Commit(self.finish(version, true)?, true)),
            0x40 => Some(Event::Abort(self.finish(version, false)?, true)),
            0x50 => {
                let top = fields.u32()?;
                Some(Event::Assignment { top, subxacts: xids(&mut fields)? })
            }
            0x60 => Some(Event::Invalidations { count: fields.count(INVALIDATION_BYTES)? }),
            _ => None,
        }
    }

    fn finish(&self, version: Version, commit: bool) -> Option<Finish> {
        let mut fields = Fields::new(&self.data);
        let time = timestamp(fields.i64()?)?;
        let xinfo = if self.info & HAS_XINFO != 0 { fields.u32()? } else { 0 };
        if xinfo & !known(version) != 0 {
            return None;
        }
        let has = |flag| xinfo & flag != 0;
        let database = if has(DATABASE) { Some((fields.u32()?, fields.u32()?)) } else { None };
        let subxacts = if has(SUBXACTS) { xids(&mut fields)? } else { Vec::new() };
        let dropped_relations = if has(RELATIONS) { relations(&mut fields)? } else { Vec::new() };
        // 18 made the object's identifier eight bytes.
        let statistic = if version >= Version::V18 { 16 } else { 12 };
        let dropped_statistics = if has(DROPPED_STATISTICS) { skip(&mut fields, statistic)? } else { 0 };
        let invalidations = if has(INVALIDATIONS) && commit { skip(&mut fields, INVALIDATION_BYTES)? } else { 0 };
        let xid = if has(TWO_PHASE) { fields.u32()? } else { self.xid };
        let gid = if has(GID) { Some(text(fields.text()?)) } else { None };
        let origin = if has(ORIGIN) { Some((Lsn(fields.u64()?), timestamp(fields.i64()?)?)) } else { None };
        // Whatever is left was not understood.
        (fields.left() == 0).then_some(Finish {
            xid,
            time,
            xinfo,
            database,
            subxacts,
            dropped_relations,
            dropped_statistics,
            invalidations,
            gid,
            origin,
        })
    }
}

fn known(version: Version) -> u32 {
    let always = DATABASE
        | SUBXACTS
        | RELATIONS
        | INVALIDATIONS
        | TWO_PHASE
        | ORIGIN
        | ACCESS_EXCLUSIVE_LOCKS
        | GID
        | COMPLETION;
    if version >= Version::V15 { always | DROPPED_STATISTICS } else { always }
}

fn xids(fields: &mut Fields<'_>) -> Option<Vec<u32>> {
    let count = fields.count(size_of::<u32>())?;
    (0..count).map(|_| fields.u32()).collect()
}

fn relations(fields: &mut Fields<'_>) -> Option<Vec<Relation>> {
    let count = fields.count(RELATION_BYTES)?;
    (0..count).map(|_| Relation::read(fields)).collect()
}

/// A counted list of things that are not read.
fn skip(fields: &mut Fields<'_>, item_bytes: usize) -> Option<usize> {
    let count = fields.count(item_bytes)?;
    fields.take(count * item_bytes)?;
    Some(count)
}

fn prepare(mut fields: Fields<'_>, version: Version) -> Option<Prepare> {
    let (magic, _total, xid, database) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
    let (time, _owner) = (timestamp(fields.i64()?)?, fields.u32()?);
    if magic != PREPARE_MAGIC {
        return None;
    }
    let subxacts = fields.u32()?;
    // Relations to delete on commit and on abort; since 15 the same of statistics.
    fields.take(if version >= Version::V15 { 16 } else { 8 })?;
    let (_invalidations, _cache_file, _padding) = (fields.u32()?, fields.u8()?, fields.u8()?);
    let gid_bytes = usize::from(fields.u16()?);
    // Position and time at the origin: always stored, mostly zero.
    fields.take(16)?;
    let mut gid = Fields::new(fields.take(gid_bytes.next_multiple_of(ALIGN))?);
    let gid = text(gid.text()?);
    let count = usize::try_from(subxacts).ok()?;
    let mut ids = Fields::new(fields.take(count.checked_mul(size_of::<u32>())?)?);
    let subxacts = (0..count).map(|_| ids.u32()).collect::<Option<Vec<_>>>()?;
    Some(Prepare { xid, gid, time, database, subxacts })
}

fn timestamp(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds.checked_add(POSTGRES_EPOCH)?).ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
