//! A limited number of JSON documents of one link: `<folder>/<link>/<id>.json`, the oldest go first.

use crate::files::{damaged, ids, read_whole};
use crate::work::write_sealed;
use crate::{Result, StateError, sealed};
use std::fs;
use std::path::PathBuf;
use ulid::Ulid;

/// Documents in one folder.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) folder: PathBuf,
    /// No document is larger.
    pub(crate) bytes_max: u64,
    /// More are not kept.
    pub(crate) count_max: usize,
}

impl Kept {
    /// Keeps a document, in the place of one with the same id.
    pub(crate) fn save(&self, id: Ulid, json: &[u8]) -> Result<PathBuf> {
        let path = self.path(id);
        let new = !path.exists();
        write_sealed(&path, json)?;
        if new {
            let ids = self.list()?;
            for old in ids.iter().take(ids.len().saturating_sub(self.count_max)).filter(|old| **old != id) {
                // Left over it costs room, nothing else.
                let _ = fs::remove_file(self.path(*old));
            }
        }
        Ok(path)
    }

    /// A document, if it is still what was kept.
    pub(crate) fn load(&self, id: Ulid) -> Result<Vec<u8>> {
        let path = self.path(id);
        let json = read_whole(&path, self.bytes_max)?;
        sealed::open(json).ok_or_else(|| -> StateError { damaged(&path, "Its checksum does not match its content.") })
    }

    /// The ids of all of them, oldest first.
    pub(crate) fn list(&self) -> Result<Vec<Ulid>> {
        ids(&self.folder, "json")
    }

    fn path(&self, id: Ulid) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}
