//! The tables, and how those of earlier versions become those of this one.
//!
//! Times are microseconds since 1970 in UTC, as are durations. Every row ends with a checksum of its own content, so that
//! a byte that was flipped is not taken for what was recorded.

use super::failure::{failed, newer};
use crate::Result;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// One step for each version, in order; steps that were released are never changed.
const STEPS: &[&str] = &[VERSION_1];

/// The version of the tables that this program writes.
#[allow(clippy::cast_possible_wrap)] // a few
pub(super) const VERSION: i64 = STEPS.len() as i64;

const VERSION_1: &str = "
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE links (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sum INTEGER NOT NULL) STRICT;
CREATE TABLE streams (
    id INTEGER PRIMARY KEY, link INTEGER NOT NULL REFERENCES links, name TEXT NOT NULL, sum INTEGER NOT NULL,
    UNIQUE (link, name)
) STRICT;
CREATE TABLE runs (
    id TEXT PRIMARY KEY, command TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,
    verdict TEXT NOT NULL, exit_code INTEGER NOT NULL, drill TEXT, links INTEGER NOT NULL, sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE run_links (
    run TEXT NOT NULL, link INTEGER NOT NULL REFERENCES links, tier TEXT, verdict TEXT NOT NULL,
    checks INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (run, link)
) STRICT, WITHOUT ROWID;
CREATE TABLE checks (
    run TEXT NOT NULL, link INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, dataset TEXT,
    verdict TEXT NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (run, link, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE recoveries (
    run TEXT NOT NULL, link INTEGER NOT NULL, facts TEXT NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (run, link)
) STRICT, WITHOUT ROWID;
CREATE TABLE samples (
    stream INTEGER NOT NULL, at INTEGER NOT NULL, state INTEGER NOT NULL, bytes INTEGER, records INTEGER,
    versions INTEGER, low INTEGER, high INTEGER, loss INTEGER, method TEXT, why TEXT, sum INTEGER NOT NULL,
    rolled INTEGER NOT NULL, PRIMARY KEY (stream, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX samples_waiting ON samples (stream, at) WHERE rolled = 0;
CREATE TABLE buckets (
    stream INTEGER NOT NULL, step INTEGER NOT NULL, at INTEGER NOT NULL, samples INTEGER NOT NULL, counts BLOB NOT NULL,
    low BLOB, high BLOB, before BLOB, loss BLOB, bytes BLOB, records BLOB, versions BLOB, sum INTEGER NOT NULL,
    PRIMARY KEY (stream, step, at)
) STRICT, WITHOUT ROWID;
";

/// Brings the tables to this version, one whole step after the other.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let own = |error| failed("open", path, error);
    if version(connection).map_err(own)? == VERSION {
        return Ok(());
    }
    // Only one of several programs that find an old version changes it.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(own)?;
    let found = version(&transaction).map_err(own)?;
    if found > VERSION {
        return Err(newer(path, found, VERSION));
    }
    let done = usize::try_from(found).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step).map_err(own)?;
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(own)?;
    transaction.commit().map_err(own)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}
