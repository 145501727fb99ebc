//! What probes observed, link by link: `observed/<link>/<id>.json`, replaced whole while a probe runs.

use crate::files::create_folder;
use crate::kept::Kept;
use crate::lock::{self, RunLock};
use crate::names::folder_name;
use crate::{Result, State};
use std::path::PathBuf;
use ulid::Ulid;

/// No stored observation is larger.
const OBSERVATION_BYTES_MAX: u64 = 16 << 20;
/// Observations kept per link.
const KEPT_MAX: usize = 64;

impl State {
    /// Takes the lock of the probe of a link. It ends with the value, or with the process.
    ///
    /// # Errors
    /// `state.locked` when another probe of this link holds it, and those of [`State::save_run`].
    pub fn lock_observed(&self, link: &str) -> Result<RunLock> {
        let folder = self.observed(link).folder;
        create_folder(&folder)?;
        lock::take(&folder)
    }

    /// Keeps what was observed so far, one JSON object. Called again it replaces what was kept; of earlier
    /// observations of the link the oldest are removed when there are too many.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn save_observed(&self, link: &str, id: Ulid, json: &[u8]) -> Result<PathBuf> {
        self.observed(link).save(id, json)
    }

    /// What was observed.
    ///
    /// # Errors
    /// `state.missing` when there is no such observation, `state.damaged` when it is not what was kept.
    pub fn load_observed(&self, link: &str, id: Ulid) -> Result<Vec<u8>> {
        self.observed(link).load(id)
    }

    /// The ids of the observations of a link, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_observed(&self, link: &str) -> Result<Vec<Ulid>> {
        self.observed(link).list()
    }

    fn observed(&self, link: &str) -> Kept {
        let folder = self.folder().join("observed").join(folder_name(link));
        Kept { folder, bytes_max: OBSERVATION_BYTES_MAX, count_max: KEPT_MAX }
    }
}
