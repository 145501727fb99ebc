//! What sources held and where they were, link by link: `snapshots/<link>/<id>.json`.

use crate::kept::Kept;
use crate::names::folder_name;
use crate::{Result, State, StateError, Which};
use std::path::PathBuf;
use ulid::Ulid;

/// No stored snapshot is larger.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
/// Snapshots kept per link.
const KEPT_MAX: usize = 100;

impl State {
    /// Keeps a snapshot of a link, one JSON object, whole or not at all; the oldest are removed when there are too
    /// many.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn save_snapshot(&self, link: &str, id: Ulid, json: &[u8]) -> Result<PathBuf> {
        self.snapshots(link).save(id, json)
    }

    /// A snapshot of a link.
    ///
    /// # Errors
    /// `state.missing` when there is none, `state.damaged` when it is not what was kept.
    pub fn load_snapshot(&self, link: &str, which: Which) -> Result<(Ulid, Vec<u8>)> {
        let kept = self.snapshots(link);
        let id = match which {
            Which::Id(id) => id,
            Which::Last => kept.list()?.pop().ok_or_else(|| {
                let hint = "take one while the source is there: `paritas snapshot`";
                let message = format!("there is no snapshot of {link} in {}", self.folder().display());
                StateError::new("state.missing", message, &kept.folder, hint)
            })?,
        };
        Ok((id, kept.load(id)?))
    }

    /// The ids of the snapshots of a link, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_snapshots(&self, link: &str) -> Result<Vec<Ulid>> {
        self.snapshots(link).list()
    }

    /// Where a snapshot of a link is, of whatever kind, if it is there; and the name of the link as a folder's.
    pub fn snapshot_file(&self, link: &str, id: Ulid) -> Option<(PathBuf, String)> {
        let name = folder_name(link);
        let folder = self.folder().join("snapshots").join(&name);
        let files = ["snapshot", "json"].map(|extension| folder.join(format!("{id}.{extension}")));
        files.into_iter().find(|path| path.is_file()).map(|path| (path, name))
    }

    fn snapshots(&self, link: &str) -> Kept {
        let folder = self.folder().join("snapshots").join(folder_name(link));
        Kept { folder, bytes_max: SNAPSHOT_BYTES_MAX, count_max: KEPT_MAX }
    }
}
