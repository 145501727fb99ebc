//! An opened file that must be what the listing showed, read at any position.

use crate::failure;
use crate::source::{FoundFile, Place, Root, Stamp};
use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore};
use paritas_connect::{Context, Error, Result};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;

/// An opened file. All its calls block: they belong on threads that may.
#[derive(Debug)]
pub(crate) struct Pinned {
    file: Arc<FoundFile>,
    access: Access,
    /// Bytes fetched so far.
    bytes: AtomicU64,
}

enum Access {
    Local(File),
    Remote { store: Arc<dyn ObjectStore>, runtime: Handle, cx: Context },
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local(_) => "local",
            Self::Remote { .. } => "remote",
        })
    }
}

impl Pinned {
    /// Opens a file; `data.changed` if it is not what the listing showed.
    pub(crate) fn open(cx: &Context, root: &Root, file: &Arc<FoundFile>, runtime: &Handle) -> Result<Self> {
        let access = match (root, &file.place) {
            (_, Place::Local(path)) => match File::open(path) {
                Ok(opened) => Access::Local(opened),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(failure::changed(&file.name, "It vanished after it was listed."));
                }
                Err(error) => return Err(failure::io(format!("open {}", file.name), error)),
            },
            (Root::Remote(remote), Place::Remote(_)) => {
                Access::Remote { store: Arc::clone(&remote.store), runtime: runtime.clone(), cx: cx.clone() }
            }
            (Root::Local(_), Place::Remote(_)) => return Err(Error::unsupported("objects below a local path")),
        };
        let pinned = Self { file: Arc::clone(file), access, bytes: AtomicU64::new(0) };
        pinned.confirm()?;
        Ok(pinned)
    }

    /// The file that this is.
    pub(crate) fn file(&self) -> &FoundFile {
        &self.file
    }

    /// Whether reading goes over a network.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.access, Access::Remote { .. })
    }

    /// Bytes fetched so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Errors with `data.changed` if the file changed since the listing. Called when it is opened and
    /// after the last byte was read. Objects prove it with every answer.
    pub(crate) fn confirm(&self) -> Result<()> {
        let Access::Local(opened) = &self.access else { return Ok(()) };
        let metadata = opened.metadata().map_err(|error| failure::io(format!("look at {}", self.file.name), error))?;
        if metadata.len() != self.file.size {
            let how = format!("Its size was {} bytes and is {} now.", self.file.size, metadata.len());
            return Err(failure::changed(&self.file.name, how));
        }
        if !self.file.stamp.same(&Stamp::local(&metadata)) {
            let how = "It was written, replaced or removed after it was listed.";
            return Err(failure::changed(&self.file.name, how));
        }
        Ok(())
    }

    /// Fills `buffer` from `start`; local files only fill it, objects go through [`Pinned::fetch`].
    pub(crate) fn read_at(&self, start: u64, buffer: &mut [u8]) -> Result<()> {
        match &self.access {
            Access::Local(opened) => {
                opened.read_exact_at(buffer, start).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => failure::changed(&self.file.name, "It became shorter."),
                    _ => failure::io(format!("read {} at byte {start}", self.file.name), error),
                })?;
                self.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            }
            Access::Remote { .. } => {
                let bytes = self.fetch(start..start.saturating_add(buffer.len() as u64))?;
                buffer.copy_from_slice(&bytes);
            }
        }
        Ok(())
    }

    /// Reads one range, which must lie inside the file.
    pub(crate) fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        match &self.access {
            Access::Local(_) => {
                let mut buffer = vec![0; length];
                self.read_at(range.start, &mut buffer)?;
                Ok(buffer.into())
            }
            Access::Remote { store, runtime, cx } => {
                let bytes = runtime.block_on(cx.bound(self.get(store, range)))?;
                if bytes.len() != length {
                    return Err(failure::changed(&self.file.name, "An answer was shorter than the range asked for."));
                }
                self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(bytes)
            }
        }
    }

    /// Reads several ranges at a time, in their order.
    pub(crate) fn fetch_all(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let Access::Remote { store, runtime, cx } = &self.access else {
            return ranges.iter().map(|range| self.fetch(range.clone())).collect();
        };
        use futures_util::{StreamExt as _, TryStreamExt as _, stream};
        let parts = runtime.block_on(
            cx.bound(
                stream::iter(ranges.to_vec())
                    .map(|range| self.get(store, range))
                    .buffered(REQUESTS_MAX)
                    .try_collect::<Vec<Bytes>>(),
            ),
        )?;
        let total: usize = parts.iter().map(Bytes::len).sum();
        self.bytes.fetch_add(total as u64, Ordering::Relaxed);
        Ok(parts)
    }

    /// One request, whose answer must be of the object that was listed. A body that breaks off is
    /// asked for again.
    async fn get(&self, store: &Arc<dyn ObjectStore>, range: Range<u64>) -> Result<Bytes> {
        let Place::Remote(path) = &self.file.place else { return Err(Error::unsupported("ranges of local files")) };
        let mut attempt = 1;
        loop {
            match self.get_once(store, path, range.clone()).await {
                Err(error) if error.code() == "store.unreachable" && attempt < ATTEMPTS_MAX => attempt += 1,
                other => return other,
            }
        }
    }

    async fn get_once(
        &self,
        store: &Arc<dyn ObjectStore>,
        path: &object_store::path::Path,
        range: Range<u64>,
    ) -> Result<Bytes> {
        let name = &self.file.name;
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let answer = match store.get_opts(path, options).await {
            Ok(answer) => answer,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(failure::changed(name, "It vanished after it was listed."));
            }
            Err(error) => return Err(failure::object(format!("read {name}"), error)),
        };
        if answer.meta.size != self.file.size {
            let how = format!("Its size was {} bytes and is {} now.", self.file.size, answer.meta.size);
            return Err(failure::changed(name, how));
        }
        if !self.file.stamp.same(&Stamp::remote(&answer.meta)) {
            return Err(failure::changed(name, "Its tag or time of change is another one now."));
        }
        let bytes = answer.bytes().await.map_err(|error| failure::object(format!("read {name}"), error))?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(failure::changed(name, "An answer was shorter than the range asked for."));
        }
        Ok(bytes)
    }
}

/// Requests for one file at a time, at most.
const REQUESTS_MAX: usize = 8;

/// Requests for one range, at most; the client tries connections again by itself before that.
const ATTEMPTS_MAX: u32 = 3;
