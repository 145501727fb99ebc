//! The history: what runs found, in tables that can be asked, beside the reports in their files.
//!
//! ```text
//! history.sqlite3       runs, verdicts, lag samples and what became of them with age, recoveries
//! history.sqlite3-wal   what was written last
//! ```
//!
//! The history is an index: the report of a run is written first, and what is missing here is taken in again from the
//! reports. It holds more than they do only where they are kept for a shorter time.

mod aggregate;
mod encoded;
mod entry;
mod failure;
mod lag;
mod migrations;
mod read;
mod retention;
mod roll;
mod rows;
mod write;

pub use aggregate::{Aggregate, DIGITS, Values, reach};
pub use entry::{Achieved, CheckEntry, LinkEntry, Lost, RecoveryEntry, RunEntry, Sample, Span};
pub use lag::{Stream, Window};
pub use read::{Recovered, RunFilter, Verdicts};
pub use retention::Retention;

use crate::{Result, State, StateError};
use failure::failed;
use rusqlite::Connection;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file.
const FILE_NAME: &str = "history.sqlite3";
/// How long another program may hold the file.
const BUSY_MAX: Duration = Duration::from_secs(10);
/// No database is shorter.
const HEADER_BYTES: u64 = 512;
/// Prepared statements that are kept.
const STATEMENTS_MAX: usize = 64;

/// The history of a state folder.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    path: PathBuf,
    retention: Retention,
}

impl State {
    /// Opens the history, which is made where there is none.
    ///
    /// # Errors
    /// `state.damaged`, `state.version`, and those of files: `state.denied`, `state.full`, `state.busy`.
    pub fn history(&self, retention: Retention) -> Result<History> {
        let path = self.folder().join(FILE_NAME);
        // Made by us first, so that nobody else can read it.
        match crate::files::create_private(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StateError::io("write", &path, error)),
        }
        History::open(path, retention)
    }

    /// Removes the report of a finished run, if it is there.
    pub(crate) fn remove_run(&self, id: ulid::Ulid) -> Result<()> {
        let path = self.runs().join(format!("{id}.json"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StateError::io("remove", &path, error)),
            _ => Ok(()),
        }
    }
}

impl History {
    fn open(path: PathBuf, retention: Retention) -> Result<Self> {
        let own = |error| failed("open", &path, error);
        // SQLite would take what is shorter than its header for nothing, and write over it.
        let length = fs::metadata(&path).map_err(|error| StateError::io("read", &path, error))?.len();
        if (1..HEADER_BYTES).contains(&length) {
            return Err(failure::damaged(&path, "It is cut off."));
        }
        let mut connection = Connection::open(&path).map_err(own)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.busy_timeout(BUSY_MAX).map_err(own)?;
        for (name, value) in [("synchronous", "FULL"), ("cell_size_check", "ON"), ("trusted_schema", "OFF")] {
            connection.pragma_update(None, name, value).map_err(own)?;
        }
        // It answers with the mode that holds then; on a file system without shared memory that is another one.
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(own)?;
        migrations::migrate(&mut connection, &path)?;
        Ok(Self { connection, path, retention })
    }

    /// Looks at every page, so that rows that damage has hidden or doubled do not go unseen; what a row holds is checked
    /// whenever it is read.
    ///
    /// # Errors
    /// `state.damaged`, and those of [`State::history`].
    pub fn check(&self) -> Result<()> {
        let found: String = self
            .connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|error| failed("read", &self.path, error))?;
        if found == "ok" { Ok(()) } else { Err(failure::damaged(&self.path, found)) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long what is kept.
    pub fn retention(&self) -> Retention {
        self.retention
    }
}
