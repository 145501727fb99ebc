//! Files one by one: what is there, and a copy of one on this machine for readers that need it there.

use crate::listing::{self, Listing};
use crate::pinned::Pinned;
use crate::source::{FoundFile, Root};
use crate::{FilesStore, failure};
use paritas_connect::{Context, Result};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Bytes that are held at a time.
const PART_BYTES: u64 = 8 << 20;

/// The files below a location, as one listing showed them.
#[derive(Debug)]
pub struct ListedFiles {
    root: Root,
    files: Vec<Arc<FoundFile>>,
}

impl FilesStore {
    /// Lists all files with their sizes, without reading them.
    ///
    /// # Errors
    /// When the location cannot be listed, or a part of it.
    pub async fn listed(&self, cx: &Context) -> Result<ListedFiles> {
        cx.check()?;
        let (root, select) = self.site().resolve(cx).await?;
        let Listing { files, troubles } = listing::list(cx, &root, &select).await?;
        match troubles.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(ListedFiles { root, files: files.into_iter().map(Arc::new).collect() }),
        }
    }
}

impl ListedFiles {
    /// Paths below the location, with `/` between parts, and sizes in bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.files.iter().map(|file| (file.name.as_str(), file.size))
    }

    /// Copies a file to a path where nothing is yet, if it still is what was listed.
    ///
    /// # Errors
    /// `data.changed` when it is not what was listed, and whatever keeps it from being read or written.
    pub async fn copy(&self, cx: &Context, name: &str, to: &Path) -> Result<()> {
        let file = self.files.iter().find(|file| file.name == name).map(Arc::clone);
        let file = file.ok_or_else(|| failure::changed(name, "It was not listed."))?;
        let (root, to, cx, runtime) = (self.root.clone(), to.to_owned(), cx.clone(), Handle::current());
        let work = tokio::task::spawn_blocking(move || copy(&cx, &root, &file, &to, &runtime));
        work.await.map_err(|error| failure::internal("cannot copy a file", error))?
    }
}

fn copy(cx: &Context, root: &Root, file: &Arc<FoundFile>, to: &Path, runtime: &Handle) -> Result<()> {
    let failed = |error| failure::io(format!("write {}", to.display()), error);
    let pinned = Pinned::open(cx, root, file, runtime)?;
    let mut copied = OpenOptions::new().write(true).create_new(true).open(to).map_err(failed)?;
    let mut at = 0;
    while at < file.size {
        cx.check()?;
        let end = file.size.min(at.saturating_add(PART_BYTES));
        copied.write_all(&pinned.fetch(at..end)?).map_err(failed)?;
        at = end;
    }
    pinned.confirm()
}
