//! What survives a run: stored reports and digests.
//!
//! A state is a folder of plain files, each written whole:
//!
//! ```text
//! lock                                   held by the run that writes
//! runs/<id>.json                         reports of finished runs
//! partial/<id>.json                      what an interrupted run had found
//! digests/<link>/<dataset>/<id>.digest   digests of sources
//! observed/<link>/<id>.json              what a probe of the link saw
//! snapshots/<link>/<id>.json             what the source of the link held, and where it was
//! snapshots/<link>/<id>.snapshot         the same of a source with rows or files, with its digests
//! ranges/<link>/<dataset>/              rows of the last snapshot, so that what did not change is not read again
//! timer.json                             what a timer has done so far
//! work/<id>/                             finished parts of a run that can be gone on with
//! history.sqlite3                        an index of the runs, and samples of lag ([`history`])
//! ```
//!
//! Ids are ULIDs, so the order of names is the order of time. A report ends with a checksum of its own text, the
//! member `checksum`, so that one that was changed afterwards is not taken for what the run said.

mod bundle;
mod error;
mod files;
pub mod history;
mod kept;
mod lock;
mod names;
mod observed;
mod ranges;
mod sealed;
mod snapshots;
mod timer;
mod work;

pub use bundle::{Bundle, BundleWriter};
pub use error::{Result, StateError};
pub use lock::RunLock;
pub use ranges::{
    AddRows, KeptPart, KeptRange, KeptRanges, ROWS_UNLIKE, RangePlace, RangesFolder, RangesReader, RangesWriter,
};
pub use work::Work;

use files::{WriteFailure, create_folder, damaged, ids, read_whole, write_whole};
use names::folder_name;
use paritas_digest::{ArtifactError, Digest};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use ulid::Ulid;

/// No stored report is larger.
const RUN_BYTES_MAX: u64 = 1 << 30;

/// A stored report: one JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// The run's id.
    pub id: Ulid,
    /// The document.
    pub json: Vec<u8>,
}

/// Which of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Last,
    /// This one.
    Id(Ulid),
}

/// A folder in which runs and digests are kept.
#[derive(Debug, Clone)]
pub struct State {
    folder: PathBuf,
}

impl State {
    /// Opens a state folder; one that does not exist is created, readable by this user only. What runs that were
    /// killed left unfinished a day ago or earlier is removed.
    ///
    /// # Errors
    /// `state.denied`, `state.full`, `state.place` when it cannot be created or is no folder.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let state = Self { folder: folder.into() };
        create_folder(&state.folder)?;
        files::remove_abandoned(&state.folder, files::DEPTH_MAX);
        Ok(state)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes the lock of runs that write here. It ends with the value, or with the process.
    ///
    /// # Errors
    /// `state.locked` when another process holds it.
    pub fn lock(&self) -> Result<RunLock> {
        lock::take(&self.folder)
    }

    /// Keeps the report of a finished run, in the place of what was found of it before.
    ///
    /// # Errors
    /// When the disk is full, the folder is read-only and so on; what was kept before stays. `state.content` when the
    /// report is no JSON object.
    pub fn save_run(&self, run: &RunRecord) -> Result<PathBuf> {
        let path = save_json(&self.runs(), run)?;
        let partial = self.partial().join(format!("{}.json", run.id));
        // Left over it would only be offered again; the report is what counts.
        let _ = std::fs::remove_file(partial);
        Ok(path)
    }

    /// The report of a run.
    ///
    /// # Errors
    /// `state.missing` when there is none, `state.damaged` when it is not what was kept: cut off, or changed.
    pub fn load_run(&self, which: Which) -> Result<RunRecord> {
        load_json(&self.runs(), which)
    }

    /// The ids of all finished runs, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_runs(&self) -> Result<Vec<Ulid>> {
        ids(&self.runs(), "json")
    }

    /// Keeps what a run has found so far. Called again it replaces what was kept.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn save_partial(&self, run: &RunRecord) -> Result<PathBuf> {
        save_json(&self.partial(), run)
    }

    /// What an interrupted run had found.
    ///
    /// # Errors
    /// Those of [`State::load_run`].
    pub fn load_partial(&self, which: Which) -> Result<RunRecord> {
        load_json(&self.partial(), which)
    }

    /// The ids of interrupted runs, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_partial(&self) -> Result<Vec<Ulid>> {
        ids(&self.partial(), "json")
    }

    /// Keeps a digest of a link's dataset.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn save_digest(&self, link: &str, dataset: &str, id: Ulid, digest: &Digest) -> Result<PathBuf> {
        let path = self.digests(link, dataset).join(format!("{id}.digest"));
        write_whole(&path, |out| {
            digest.write_to(out).map_err(|error| match error {
                ArtifactError::Io(error) => WriteFailure::Io(error),
                other => WriteFailure::Content(other.into()),
            })
        })?;
        Ok(path)
    }

    /// A digest of a link's dataset.
    ///
    /// # Errors
    /// `state.missing` when there is none, `state.damaged` when it is not whole or was changed.
    pub fn load_digest(&self, link: &str, dataset: &str, which: Which) -> Result<Digest> {
        let path = choose(&self.digests(link, dataset), "digest", which)?;
        let file = File::open(&path).map_err(|error| StateError::io("read", &path, error))?;
        Digest::read_from(BufReader::new(file)).map_err(|error| match error {
            ArtifactError::Io(error) => StateError::io("read", &path, error),
            other => unreadable(&path, other),
        })
    }

    /// The ids of a dataset's digests, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_digests(&self, link: &str, dataset: &str) -> Result<Vec<Ulid>> {
        ids(&self.digests(link, dataset), "digest")
    }

    fn runs(&self) -> PathBuf {
        self.folder.join("runs")
    }

    fn partial(&self) -> PathBuf {
        self.folder.join("partial")
    }

    fn digests(&self, link: &str, dataset: &str) -> PathBuf {
        self.folder.join("digests").join(folder_name(link)).join(folder_name(dataset))
    }
}

fn unreadable(path: &Path, error: ArtifactError) -> StateError {
    let hint = error.hint();
    match error {
        ArtifactError::Version { .. } => {
            let message = format!("{} is of another version", path.display());
            StateError::new("state.version", message, path, hint).because(error)
        }
        other => damaged(path, other).with_hint(hint),
    }
}

fn save_json(folder: &Path, run: &RunRecord) -> Result<PathBuf> {
    let path = folder.join(format!("{}.json", run.id));
    work::write_sealed(&path, &run.json)?;
    Ok(path)
}

fn load_json(folder: &Path, which: Which) -> Result<RunRecord> {
    let path = choose(folder, "json", which)?;
    let json = read_whole(&path, RUN_BYTES_MAX)?;
    let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| Ulid::from_string(stem).ok());
    let Some(id) = id else { return Err(damaged(&path, "Its name is no id.")) };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&json) {
        return Err(damaged(&path, error));
    }
    match sealed::open(json) {
        Some(json) => Ok(RunRecord { id, json }),
        None => Err(damaged(&path, "Its checksum does not match its content.")),
    }
}

/// The file of that id, or the newest one.
fn choose(folder: &Path, extension: &str, which: Which) -> Result<PathBuf> {
    let id = match which {
        Which::Id(id) => id,
        Which::Last => ids(folder, extension)?.pop().ok_or_else(|| {
            let what = if extension == "json" { "run" } else { "digest" };
            let hint = "make one first with `paritas verify`, or name another folder with --state DIR";
            StateError::new("state.missing", format!("there is no {what} in {}", folder.display()), folder, hint)
        })?,
    };
    Ok(folder.join(format!("{id}.{extension}")))
}
