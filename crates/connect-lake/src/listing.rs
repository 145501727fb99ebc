//! Listing all files below a location, with constant work for each.
//!
//! Local symbolic links are followed as long as they stay inside the root. A link to a folder above
//! itself adds nothing and is left out; a link that leaves the root or leads nowhere is trouble, and
//! so is a folder that cannot be read: neither is ever left out silently.

use crate::source::{FoundFile, Place, Remote, Root, Stamp, escape};
use crate::{failure, glob};
use futures_util::TryStreamExt as _;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use paritas_connect::{Context, Error, FailureKind, Result};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Links to folders inside links to folders, at most.
const LINK_DEPTH_MAX: usize = 8;

/// Which entries directly below the root are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Select {
    /// All of them.
    All,
    /// The one file of this name.
    One(Vec<u8>),
    /// Those whose name matches a pattern.
    Pattern(Vec<u8>),
}

impl Select {
    fn takes(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == name,
            Self::Pattern(pattern) => glob::matches(pattern, name),
        }
    }
}

/// All files below a root, sorted by name, and what could not be listed.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The files.
    pub(crate) files: Vec<FoundFile>,
    /// Entries that are no readable file, with the reason.
    pub(crate) troubles: Vec<(String, Error)>,
}

/// Lists everything below `root` that `select` takes.
pub(crate) async fn list(cx: &Context, root: &Root, select: &Select) -> Result<Listing> {
    let mut listing = match root {
        Root::Local(path) => {
            let (cx, path, select) = (cx.clone(), path.clone(), select.clone());
            let work = tokio::task::spawn_blocking(move || Walk::new(&cx, &path).run(&select));
            work.await.map_err(|error| failure::internal("cannot list files", error))??
        }
        Root::Remote(remote) => cx.bound(list_remote(cx, remote, select)).await?,
    };
    listing.files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    listing.troubles.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(listing)
}

/// Lists objects page by page; each request is tried again by the client.
async fn list_remote(cx: &Context, remote: &Remote, select: &Select) -> Result<Listing> {
    let doing = || format!("list objects of {}", remote.product);
    if let Select::One(name) = select {
        let path = remote.prefix.clone().join(String::from_utf8_lossy(name).as_ref());
        let meta = remote.store.head(&path).await.map_err(|error| failure::object(doing(), error))?;
        let file = found(remote, meta).into_iter().collect();
        return Ok(Listing { files: file, troubles: Vec::new() });
    }
    let mut listing = Listing::default();
    let mut objects = remote.store.list(Some(&remote.prefix));
    while let Some(meta) = objects.try_next().await.map_err(|error| failure::object(doing(), error))? {
        if listing.files.len() % 1024 == 0 {
            cx.check()?;
        }
        let Some(file) = found(remote, meta) else { continue };
        let first = file.name.split('/').next().unwrap_or_default();
        if select.takes(first.as_bytes()) {
            listing.files.push(file);
        }
    }
    drop_folder_markers(&mut listing.files);
    Ok(listing)
}

/// An object below the prefix, with its name.
fn found(remote: &Remote, meta: object_store::ObjectMeta) -> Option<FoundFile> {
    let below: Vec<_> = meta.location.prefix_match(&remote.prefix)?.map(|part| part.as_ref().to_owned()).collect();
    let name = escape(below.join("/").as_bytes());
    let stamp = Stamp::remote(&meta);
    (!name.is_empty()).then_some(FoundFile { name, place: Place::Remote(meta.location), size: meta.size, stamp })
}

/// Empty objects that stand for folders (`logs/` beside `logs/1.txt`) are no files.
fn drop_folder_markers(files: &mut Vec<FoundFile>) {
    if !files.iter().any(|file| file.size == 0) {
        return;
    }
    let folders: HashSet<String> = files
        .iter()
        .flat_map(|file| file.name.match_indices('/').filter_map(|(at, _)| file.name.get(..at)))
        .map(str::to_owned)
        .collect();
    files.retain(|file| file.size > 0 || !folders.contains(&file.name));
}

/// A walk through local folders.
struct Walk<'a> {
    cx: &'a Context,
    root: &'a Path,
    listing: Listing,
    /// Folders still to read.
    todo: Vec<Folder>,
}

struct Folder {
    /// As it is reached from the root.
    path: PathBuf,
    /// Where it really is, when a link led here; links below it are checked against that.
    real: PathBuf,
    /// How many links to folders led here.
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(cx: &'a Context, root: &'a Path) -> Self {
        let first = Folder { path: root.to_owned(), real: root.to_owned(), links: 0 };
        Self { cx, root, listing: Listing::default(), todo: vec![first] }
    }

    fn run(mut self, select: &Select) -> Result<Listing> {
        let mut at_root = true;
        while let Some(folder) = self.todo.pop() {
            self.cx.check()?;
            let entries = match fs::read_dir(&folder.path) {
                Ok(entries) => entries,
                Err(error) if at_root => {
                    return Err(failure::io(format!("list {}", self.root.display()), error));
                }
                Err(error) => {
                    self.trouble(&folder.path, |name| failure::io(format!("list {name}"), error));
                    continue;
                }
            };
            for entry in entries {
                match entry {
                    Ok(entry) if at_root && !select.takes(entry.file_name().as_bytes()) => {}
                    Ok(entry) => self.entry(&folder, &entry),
                    Err(error) => self.trouble(&folder.path, |name| failure::io(format!("list {name}"), error)),
                }
            }
            at_root = false;
        }
        Ok(self.listing)
    }

    fn entry(&mut self, folder: &Folder, entry: &fs::DirEntry) {
        let path = entry.path();
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => return self.trouble(&path, |name| failure::io(format!("look at {name}"), error)),
        };
        if kind.is_symlink() {
            self.link(folder, &path);
        } else if kind.is_dir() {
            let real = folder.real.join(entry.file_name());
            self.todo.push(Folder { path, real, links: folder.links });
        } else {
            self.file(&path, entry.metadata());
        }
    }

    fn file(&mut self, path: &Path, metadata: std::io::Result<fs::Metadata>) {
        match metadata {
            Ok(metadata) if metadata.is_file() => {
                let (size, stamp) = (metadata.len(), Stamp::local(&metadata));
                let file = FoundFile { name: self.name(path), place: Place::Local(path.to_owned()), size, stamp };
                self.listing.files.push(file);
            }
            Ok(_) => self.trouble(path, |name| {
                Error::new(FailureKind::Permanent, "store.unsupported", format!("{name} is not a regular file"))
                    .hint("remove it, or keep pipes, sockets and devices outside of what is compared")
            }),
            // Gone between the listing and the look: as if it had been gone before.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.trouble(path, |name| failure::io(format!("look at {name}"), error)),
        }
    }

    fn link(&mut self, folder: &Folder, path: &Path) {
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) => {
                let hint = "remove the link, or restore what it leads to";
                return self.trouble(path, |name| failure::io(format!("follow the link {name}"), error).hint(hint));
            }
        };
        if !target.starts_with(self.root) {
            return self.trouble(path, |name| {
                Error::new(FailureKind::Permanent, "store.unsupported", format!("the link {name} leaves the location"))
                    .hint("compare the folder that it leads to by itself")
            });
        }
        match fs::metadata(&target) {
            Ok(metadata) if !metadata.is_dir() => self.file(path, Ok(metadata)),
            // Everything below is listed under its own path already, without end otherwise.
            Ok(_) if folder.real.starts_with(&target) => {}
            Ok(_) if folder.links >= LINK_DEPTH_MAX => self.trouble(path, |name| {
                let message = format!("the link {name} lies behind {LINK_DEPTH_MAX} other links to folders");
                Error::new(FailureKind::Permanent, "store.unsupported", message)
            }),
            Ok(_) => self.todo.push(Folder { path: path.to_owned(), real: target, links: folder.links + 1 }),
            Err(error) => self.file(path, Err(error)),
        }
    }

    fn trouble(&mut self, path: &Path, error: impl FnOnce(&str) -> Error) {
        let name = self.name(path);
        let error = error(&name);
        self.listing.troubles.push((name, error));
    }

    fn name(&self, path: &Path) -> String {
        escape(path.strip_prefix(self.root).unwrap_or(path).as_os_str().as_bytes())
    }
}

/// The last part of a path as bytes.
pub(crate) fn last_part(path: &Path) -> &[u8] {
    path.file_name().map(OsStr::as_bytes).unwrap_or_default()
}

/// A prefix split into its parent and its last part.
pub(crate) fn split_last(path: &ObjectPath) -> Option<(ObjectPath, String)> {
    let parts: Vec<_> = path.parts().collect();
    let (last, parents) = parts.split_last()?;
    Some((ObjectPath::from_iter(parents.iter().cloned()), last.as_ref().to_owned()))
}
