//! A temporary folder that the servers' own user can enter, gone when the last user of it is gone.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

/// Set to keep the folders, with data and logs, for looking into them afterwards.
pub const KEEP_VARIABLE: &str = "PARITAS_KEEP";

const PREFIX: &str = "paritas-";
/// Locked as long as the folder is in use. A folder to be kept has none.
const LOCK: &str = ".lock";

/// A temporary folder with mode 0755. Clones share it; the last one removes it.
///
/// Every server holds a clone, so the folder outlives the servers in it whatever the order of dropping.
#[derive(Debug, Clone)]
pub struct Scratch {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Nothing for a folder to be kept.
    lock: Option<File>,
}

impl Scratch {
    /// Makes a new folder below the system's temporary folder. The first one also removes those of killed processes.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be made.
    pub fn new() -> Result<Self> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(&std::env::temp_dir()));
        // Short: a UNIX socket path below it has to fit into 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .map_err(Error::io("create a temporary folder", std::env::temp_dir()))?;
        let keep = std::env::var_os(KEEP_VARIABLE).is_some_and(|v| !v.is_empty() && v != "0");
        let lock = if keep { None } else { Some(locked(folder.path())?) };
        let scratch = Self { inner: Arc::new(Inner { path: folder.keep(), lock }) };
        // Temporary folders are made with mode 0700, which a server running as another user cannot enter.
        set_mode(scratch.path(), 0o755)?;
        Ok(scratch)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Makes a folder inside (it may exist already) and returns its path.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        fs::create_dir_all(&path).map_err(Error::io("create a folder", &path))?;
        set_mode(&path, 0o755)?;
        Ok(path)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.lock.is_none() {
            tracing::info!(path = %self.path.display(), "temporary folder kept");
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "temporary folder not removed");
        }
    }
}

/// Makes the lock file. It gets its name when it is locked, so that no sweeper takes it for an old one before.
fn locked(folder: &Path) -> Result<File> {
    let (early, path) = (folder.join(".lock.new"), folder.join(LOCK));
    let file = File::create(&early).map_err(Error::io("create", &early))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| Error::io("lock", &early)(e.into()))?;
    fs::rename(&early, &path).map_err(Error::io("rename", &early))?;
    Ok(file)
}

/// Removes the folders whose lock nobody holds any more: the kernel lets go of it when a process dies.
fn sweep(below: &Path) {
    let entries = fs::read_dir(below).into_iter().flatten().flatten();
    for path in entries.filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX)).map(|e| e.path()) {
        // What cannot be opened is kept on purpose, or somebody else's.
        let Ok(file) = File::open(path.join(LOCK)) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            tracing::debug!(path = %path.display(), "removing the folder of a killed process");
            let _best_effort = fs::remove_dir_all(&path);
        }
    }
}

/// Sets the permission bits of a file or folder.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io("set the mode", path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_sweep_takes_only_folders_whose_process_is_gone() {
        let below = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = below.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let (used, dead, kept, other) = (make("paritas-a"), make("paritas-b"), make("paritas-c"), make("other"));
        let _held = locked(&used).unwrap();
        drop(locked(&dead).unwrap());
        drop(locked(&other).unwrap());
        sweep(below.path());
        assert!(used.exists() && kept.exists() && other.exists());
        assert!(!dead.exists());
    }

    #[test]
    fn the_last_clone_removes_the_folder() {
        let scratch = Scratch::new().unwrap();
        let (clone, path) = (scratch.clone(), scratch.path().to_path_buf());
        drop(scratch);
        assert!(path.exists());
        drop(clone);
        assert!(!path.exists());
    }
}
