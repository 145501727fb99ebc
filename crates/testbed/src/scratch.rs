//! A temporary folder that the servers' own user can enter, gone when the last user of it is gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Error, Result};

/// Set to keep the folders, with data and logs, for looking into them afterwards.
pub const KEEP_VARIABLE: &str = "PARITAS_KEEP";

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
    keep: bool,
}

impl Scratch {
    /// Makes a new folder below the system's temporary folder.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be made.
    pub fn new() -> Result<Self> {
        // Short: a UNIX socket path below it has to fit into 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("paritas-")
            .tempdir()
            .map_err(Error::io("create a temporary folder", std::env::temp_dir()))?;
        let keep = std::env::var_os(KEEP_VARIABLE).is_some_and(|v| !v.is_empty() && v != "0");
        let scratch = Self { inner: Arc::new(Inner { path: folder.keep(), keep }) };
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
        if self.keep {
            tracing::info!(path = %self.path.display(), "temporary folder kept");
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "temporary folder not removed");
        }
    }
}

/// Sets the permission bits of a file or folder.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io("set the mode", path))
}
