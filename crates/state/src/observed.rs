//! What probes observed, link by link: `observed/<link>/<id>.json`, replaced whole while a probe runs.

use crate::files::{create_folder, damaged, ids, read_whole};
use crate::lock::{self, RunLock};
use crate::names::folder_name;
use crate::work::write_sealed;
use crate::{Result, State, StateError, sealed};
use std::fs;
use std::path::PathBuf;
use ulid::Ulid;

/// No stored observation is larger.
const OBSERVATION_BYTES_MAX: u64 = 16 << 20;
/// Observations kept per link; the oldest go first.
const KEPT_MAX: usize = 64;

impl State {
    /// Takes the lock of the probe of a link. It ends with the value, or with the process.
    ///
    /// # Errors
    /// `state.locked` when another probe of this link holds it, and those of [`State::save_run`].
    pub fn lock_observed(&self, link: &str) -> Result<RunLock> {
        let folder = self.observed(link);
        create_folder(&folder)?;
        lock::take(&folder)
    }

    /// Keeps what was observed so far, one JSON object. Called again it replaces what was kept; of earlier
    /// observations of the link the oldest are removed when there are too many.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn save_observed(&self, link: &str, id: Ulid, json: &[u8]) -> Result<PathBuf> {
        let folder = self.observed(link);
        let path = folder.join(format!("{id}.json"));
        let new = !path.exists();
        write_sealed(&path, json)?;
        if new {
            let ids = ids(&folder, "json")?;
            for old in ids.iter().take(ids.len().saturating_sub(KEPT_MAX)).filter(|old| **old != id) {
                // Left over it costs room, nothing else.
                let _ = fs::remove_file(folder.join(format!("{old}.json")));
            }
        }
        Ok(path)
    }

    /// What was observed.
    ///
    /// # Errors
    /// `state.missing` when there is no such observation, `state.damaged` when it is not what was kept.
    pub fn load_observed(&self, link: &str, id: Ulid) -> Result<Vec<u8>> {
        let path = self.observed(link).join(format!("{id}.json"));
        let json = read_whole(&path, OBSERVATION_BYTES_MAX)?;
        sealed::open(json).ok_or_else(|| -> StateError { damaged(&path, "Its checksum does not match its content.") })
    }

    /// The ids of the observations of a link, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_observed(&self, link: &str) -> Result<Vec<Ulid>> {
        ids(&self.observed(link), "json")
    }

    fn observed(&self, link: &str) -> PathBuf {
        self.folder().join("observed").join(folder_name(link))
    }
}
