//! Any files below a location, each with the checksum of its content.

use crate::listing::{self, Listing, Select};
use crate::pinned::Pinned;
use crate::site::Site;
use crate::source::{FoundFile, Root};
use crate::{LakeOptions, Location, failure, hash};
use async_trait::async_trait;
use paritas_connect::{Context, Error, FailureKind, FileEntry, FileManifest, Files, Result, Store, StoreIdentity};
use paritas_model::{Known, StoreKind};
use rayon::prelude::*;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Files below a location, compared by path and content.
///
/// All names are listed, also hidden and temporary ones. Links inside the location are followed, see
/// the module `listing`. Names that are not UTF-8 appear as in `b3sum`-like listings with `\xHH`, and a
/// backslash as two.
#[derive(Debug)]
pub struct FilesStore {
    site: Site,
}

impl FilesStore {
    /// The files of a site.
    ///
    /// # Errors
    /// `config.url` and `config.option` when no client can be made for it.
    pub fn new(location: Location, options: LakeOptions) -> Result<Self> {
        Ok(Self { site: Site::new(location, options)? })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }
}

#[async_trait]
impl Store for FilesStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Files
    }

    fn name(&self) -> &str {
        self.site.shown()
    }

    async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        self.site.probe(cx).await
    }

    fn clocks(&self) -> Option<&dyn paritas_connect::Clocks> {
        Some(&self.site)
    }

    fn files(&self) -> Option<&dyn Files> {
        Some(self)
    }
}

#[async_trait]
impl Files for FilesStore {
    async fn manifest(&self, cx: &Context) -> Result<FileManifest> {
        cx.check()?;
        let (root, select) = self.site.resolve(cx).await?;
        let single = matches!(select, Select::One(_));
        let Listing { files, troubles } = listing::list(cx, &root, &select).await?;
        if files.is_empty() && troubles.is_empty() && !self.site.options().allow_empty {
            return Err(self.site.nothing("files"));
        }
        cx.progress().expect(0, files.iter().map(|file| file.size).sum());
        let (work_cx, runtime) = (cx.clone(), Handle::current());
        let work = tokio::task::spawn_blocking(move || hash_all(&work_cx, &root, files, &runtime));
        let hashed = work.await.map_err(|error| failure::internal("cannot hash files", error))?;
        let mut entries = hashed?;
        entries.extend(troubles.into_iter().map(|(path, error)| FileEntry {
            path,
            size_bytes: 0,
            damaged: error.kind() == FailureKind::Damaged,
            blake3: Known::unknown(reason(&error)),
        }));
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(FileManifest { files: entries, single })
    }
}

/// Hashes all files with as many threads as the context allows.
fn hash_all(cx: &Context, root: &Root, files: Vec<FoundFile>, runtime: &Handle) -> Result<Vec<FileEntry>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(cx.parallel())
        .thread_name(|index| format!("lake-hash-{index}"))
        .build()
        .map_err(|error| {
            Error::new(FailureKind::Transient, "run.resources", "cannot start threads for hashing").because(error)
        })?;
    pool.install(|| {
        files
            .into_par_iter()
            .with_max_len(1)
            .map(|file| entry(cx, root, file, runtime))
            .collect::<Result<Vec<FileEntry>>>()
    })
}

/// One file's entry. Only the end of the whole run is an error.
fn entry(cx: &Context, root: &Root, file: FoundFile, runtime: &Handle) -> Result<FileEntry> {
    cx.check()?;
    let file = Arc::new(file);
    let hashed = Pinned::open(cx, root, &file, runtime).and_then(|pinned| hash::hash(cx, &pinned));
    let (blake3, damaged) = match hashed {
        Ok(hash) => (Known::Known(*hash.as_bytes()), false),
        Err(error) if matches!(error.kind(), FailureKind::Cancelled | FailureKind::Deadline) => return Err(error),
        Err(error) => (Known::unknown(reason(&error)), error.kind() == FailureKind::Damaged),
    };
    Ok(FileEntry { path: file.name.clone(), size_bytes: file.size, blake3, damaged })
}

fn reason(error: &Error) -> String {
    let mut text = error.to_string();
    if let Some(hint) = error.hint_text() {
        text = format!("{text}; {hint}");
    }
    text
}
