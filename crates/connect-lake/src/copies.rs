//! Copies of single files in another place: the only thing that is ever written, and only where somebody names the place.

use crate::location::Target;
use crate::source::Remote;
use crate::{LakeOptions, Location, failure, remote};
use futures_util::StreamExt as _;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt as _, WriteMultipart};
use paritas_connect::{Context, Error, FailureKind, Result};
use std::path::{Path, PathBuf};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes of a part of an upload. Ten thousand parts make 80 GB.
const PART_BYTES: usize = 8 << 20;
/// Parts that are on their way at a time.
const PARTS_MAX: usize = 4;

/// A folder or a prefix of an object store into which files are copied, or one file there.
#[derive(Debug)]
pub struct Copies {
    place: Place,
    shown: String,
}

enum Place {
    Local(PathBuf),
    Remote(Remote),
}

impl std::fmt::Debug for Place {
    // The client's own Debug may show its configuration, so it is never called.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(path) => f.debug_tuple("Local").field(path).finish(),
            Self::Remote(remote) => f.debug_tuple(remote.product).field(&remote.prefix.as_ref()).finish(),
        }
    }
}

impl Copies {
    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// `config.url`, `config.option` for a place that cannot be.
    pub fn new(location: &Location, options: &LakeOptions) -> Result<Self> {
        let place = match location.target() {
            Target::Local(path) => Place::Local(path.clone()),
            Target::Remote { scheme, bucket, prefix } => {
                Place::Remote(remote::connect(scheme, bucket, prefix.clone(), options)?)
            }
        };
        Ok(Self { place, shown: location.shown().to_owned() })
    }

    /// Copies a file below this place, under a name whose parts have no separators, and returns where it is. It is there
    /// whole or not at all, in the place of one that was there.
    ///
    /// # Errors
    /// Those of files and object stores. Nothing of it is left then that could be taken for the copy.
    pub async fn put(&self, cx: &Context, name: &[&str], file: &Path) -> Result<String> {
        let shown = format!("{}/{}", self.shown.trim_end_matches('/'), name.join("/"));
        match &self.place {
            Place::Local(folder) => {
                let to = name.iter().fold(folder.clone(), |path, part| path.join(part));
                cx.bound(put_local(file, &to)).await?;
            }
            Place::Remote(remote) => {
                let to = name.iter().fold(remote.prefix.clone(), |path, part| path.join(*part));
                cx.bound(put_remote(remote, file, &to)).await?;
            }
        }
        Ok(shown)
    }

    /// Copies the file that this place is into a local one, which must not be there yet, and returns its size.
    ///
    /// # Errors
    /// Those of files and object stores; `dataset.missing` when there is none.
    pub async fn get(&self, cx: &Context, into: &Path) -> Result<u64> {
        let reading = |error| failure::io(format!("read {}", self.shown), error);
        match &self.place {
            Place::Local(path) => fs::copy(path, into).await.map_err(reading),
            Place::Remote(remote) => cx.bound(get_remote(remote, into)).await,
        }
    }
}

/// Written beside, flushed to the disk, renamed.
async fn put_local(file: &Path, to: &Path) -> Result<()> {
    let doing = |error| writing(&to.display().to_string(), error);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).await.map_err(doing)?;
    }
    let mut beside = to.as_os_str().to_owned();
    beside.push(".partial");
    let copied = async {
        fs::copy(file, &beside).await?;
        File::open(&beside).await?.sync_all().await?;
        fs::rename(&beside, to).await
    };
    let copied = copied.await;
    if copied.is_err() {
        // The reason for the failure matters more than a left-over that cannot be removed.
        let _ = fs::remove_file(&beside).await;
    }
    copied.map_err(doing)
}

fn writing(to: &str, error: std::io::Error) -> Error {
    Error::new(FailureKind::Permanent, "copy.failed", format!("cannot write {to}"))
        .because(error)
        .hint("make the place writable, or name another one")
}

async fn put_remote(remote: &Remote, file: &Path, to: &ObjectPath) -> Result<()> {
    let reading = |error| failure::io(format!("read {}", file.display()), error);
    let bytes = fs::metadata(file).await.map_err(reading)?.len();
    let sent = if bytes <= PART_BYTES as u64 {
        // What fits into one part is one request.
        let content = fs::read(file).await.map_err(reading)?;
        let sent = content.len() as u64;
        let put = remote.store.put(to, content.into()).await;
        put.map_err(|error| failure::object(format!("write {to}"), error))?;
        sent
    } else {
        put_parts(remote, file, to).await?
    };
    let there = remote.store.head(to).await.map_err(|error| failure::object(format!("look at {to}"), error))?;
    if there.size != sent {
        let message = format!("{to} has {} bytes after {sent} were written", there.size);
        return Err(Error::new(FailureKind::Permanent, "copy.failed", message)
            .hint("look whether another program writes below the same prefix"));
    }
    Ok(())
}

/// Writes part by part; says how many bytes.
async fn put_parts(remote: &Remote, file: &Path, to: &ObjectPath) -> Result<u64> {
    let doing = || format!("write {to}");
    let reading = |error| failure::io(format!("read {}", file.display()), error);
    let mut source = File::open(file).await.map_err(reading)?;
    let upload = remote.store.put_multipart(to).await;
    let upload = upload.map_err(|error| failure::object(doing(), error))?;
    let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    let mut sent = 0;
    let mut buffer = vec![0; PART_BYTES];
    loop {
        let read = match source.read(&mut buffer).await {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => {
                // Parts that stay behind are removed by the store's own rules.
                let _ = parts.abort().await;
                return Err(reading(error));
            }
        };
        let waited = parts.wait_for_capacity(PARTS_MAX).await;
        waited.map_err(|error| failure::object(doing(), error))?;
        parts.write(buffer.get(..read).unwrap_or_default());
        sent += read as u64;
    }
    parts.finish().await.map_err(|error| failure::object(doing(), error))?;
    Ok(sent)
}

async fn get_remote(remote: &Remote, into: &Path) -> Result<u64> {
    let from = &remote.prefix;
    let reading = |error| failure::object(format!("read {from}"), error);
    let writing = |error| writing(&into.display().to_string(), error);
    let found = remote.store.get(from).await.map_err(reading)?;
    let expected = found.meta.size;
    let mut stream = found.into_stream();
    let mut file = File::create_new(into).await.map_err(writing)?;
    let mut bytes = 0;
    while let Some(part) = stream.next().await {
        let part = part.map_err(reading)?;
        file.write_all(&part).await.map_err(writing)?;
        bytes += part.len() as u64;
    }
    file.sync_all().await.map_err(writing)?;
    if bytes == expected {
        return Ok(bytes);
    }
    Err(failure::damaged(format!("{from} ended after {bytes} of {expected} bytes")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_in_a_folder_is_whole_takes_the_place_of_an_older_one_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let place = |path: &Path| {
            Copies::new(&Location::parse(&path.display().to_string()).unwrap(), &LakeOptions::default()).unwrap()
        };
        let cx = Context::default();
        for text in ["first", "second, longer"] {
            std::fs::write(&file, text).unwrap();
            let shown = place(&dir.path().join("copies")).put(&cx, &["a link", "1.snapshot"], &file).await.unwrap();
            let back = dir.path().join(text);
            assert_eq!(place(Path::new(&shown)).get(&cx, &back).await.unwrap(), text.len() as u64);
            assert_eq!(std::fs::read_to_string(back).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(dir.path().join("copies/a link")).unwrap().count(), 1);
        let missing = place(&dir.path().join("nothing")).get(&cx, &dir.path().join("b")).await.unwrap_err();
        assert_eq!(missing.code(), "dataset.missing");
        // A file is where a folder would have to be.
        let error = place(&file).put(&cx, &["x", "y"], &file).await.unwrap_err();
        assert_eq!(error.code(), "copy.failed");
        assert!(error.hint_text().is_some());
    }
}
