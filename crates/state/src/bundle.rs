//! One file with the digests of many datasets and what there is to know about them: `snapshots/<link>/<id>.snapshot`.
//!
//! ```text
//! PARITASS, version (u32)      little-endian, as all numbers
//! digests                      each a whole digest file
//! footer                       JSON: the document, and where each digest begins and how long it is
//! length of the footer (u64)
//! BLAKE3 of everything before  32 bytes
//! ```
//!
//! Digests are written as they come, so that memory holds one of them at a time. The file gets its name when it is
//! complete and on the disk: whatever ends the program before leaves the snapshots that were there.

use crate::files::{self, UNFINISHED, create_folder, damaged, ids};
use crate::names::folder_name;
use crate::{Result, State, StateError, Which};
use paritas_digest::{ArtifactError, Digest};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use ulid::Ulid;

const MAGIC: [u8; 8] = *b"PARITASS";
/// The version of the file.
const VERSION: u32 = 1;
/// Bytes of the first part.
const HEAD_BYTES: u64 = 12;
/// Bytes after the footer: its length and the checksum.
const TAIL_BYTES: u64 = 40;
/// No footer is larger.
const FOOTER_BYTES_MAX: u64 = 1 << 28;
/// Bytes hashed at a time.
const CHUNK_BYTES: usize = 1 << 16;
/// Snapshots kept per link.
const KEPT_MAX: usize = 100;
const EXTENSION: &str = "snapshot";

/// Where a digest stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    offset: u64,
    bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Footer {
    document: serde_json::Value,
    digests: Vec<Place>,
}

/// A snapshot that is being written. Dropped before [`BundleWriter::finish`], nothing of it is left.
#[derive(Debug)]
pub struct BundleWriter {
    path: PathBuf,
    unfinished: PathBuf,
    out: Hashing<BufWriter<File>>,
    digests: Vec<Place>,
    finished: bool,
}

/// A snapshot that was read and is whole.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    footer: Footer,
    bytes: u64,
}

impl State {
    /// Begins a snapshot of the datasets of a link.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn begin_bundle(&self, link: &str, id: Ulid) -> Result<BundleWriter> {
        let folder = self.bundles(link);
        create_folder(&folder)?;
        let path = folder.join(format!("{id}.{EXTENSION}"));
        let unfinished = folder.join(format!("{UNFINISHED}{}", Ulid::generate()));
        let failed = |error| StateError::io("write", &path, error);
        let file = files::create_private(&unfinished).map_err(failed)?;
        let out = Hashing { inner: BufWriter::new(file), hasher: blake3::Hasher::new(), bytes: 0 };
        let mut writer = BundleWriter { path: path.clone(), unfinished, out, digests: Vec::new(), finished: false };
        writer.out.write_all(&MAGIC).map_err(failed)?;
        writer.out.write_all(&VERSION.to_le_bytes()).map_err(failed)?;
        Ok(writer)
    }

    /// A snapshot of the datasets of a link.
    ///
    /// # Errors
    /// `state.missing` when there is none, `state.damaged` when it is not what was kept.
    pub fn load_bundle(&self, link: &str, which: Which) -> Result<(Ulid, Bundle)> {
        let folder = self.bundles(link);
        let absent = |what: String| {
            let hint =
                "take one while the source is there, with `paritas snapshot`, or name another folder with --state DIR";
            StateError::new("state.missing", what, &folder, hint)
        };
        let shown = self.folder().display();
        let id = match which {
            Which::Id(id) => id,
            Which::Last => self
                .list_bundles(link)?
                .pop()
                .ok_or_else(|| absent(format!("there is no snapshot of {link} in {shown}")))?,
        };
        let path = folder.join(format!("{id}.{EXTENSION}"));
        if !path.exists() {
            return Err(absent(format!("there is no snapshot {id} of {link} in {shown}")));
        }
        Ok((id, Bundle::open(&path)?))
    }

    /// The ids of the snapshots of the datasets of a link, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_bundles(&self, link: &str) -> Result<Vec<Ulid>> {
        ids(&self.bundles(link), EXTENSION)
    }

    fn bundles(&self, link: &str) -> PathBuf {
        self.folder().join("snapshots").join(folder_name(link))
    }
}

impl BundleWriter {
    /// Adds a digest and returns its number.
    ///
    /// # Errors
    /// A full disk and so on; the snapshot cannot be finished then.
    pub fn add(&mut self, digest: &Digest) -> Result<usize> {
        let offset = self.out.bytes;
        digest.write_to(&mut self.out).map_err(|error| match error {
            ArtifactError::Io(error) => StateError::io("write", &self.path, error),
            other => {
                let hint = "this is a defect of paritas: please report it";
                StateError::new("state.content", format!("cannot write {}", self.path.display()), &self.path, hint)
                    .because(other)
            }
        })?;
        self.digests.push(Place { offset, bytes: self.out.bytes - offset });
        Ok(self.digests.len() - 1)
    }

    /// Completes the snapshot with its document, and gives it its name. The oldest ones of the link are removed when
    /// there are too many. Returns where it is and its size.
    ///
    /// # Errors
    /// A full disk and so on; what was there before stays.
    pub fn finish(mut self, document: serde_json::Value) -> Result<(PathBuf, u64)> {
        let path = self.path.clone();
        let failed = |error: io::Error| StateError::io("write", &path, error);
        let footer = Footer { document, digests: std::mem::take(&mut self.digests) };
        let json = serde_json::to_vec(&footer).map_err(|error| failed(io::Error::other(error)))?;
        let write = |out: &mut Hashing<BufWriter<File>>| -> io::Result<()> {
            out.write_all(&json)?;
            out.write_all(&(json.len() as u64).to_le_bytes())?;
            let checksum = out.hasher.finalize();
            out.write_all(checksum.as_bytes())?;
            out.inner.flush()?;
            out.inner.get_ref().sync_all()
        };
        write(&mut self.out).map_err(failed)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::rename(&self.unfinished, &path).map_err(failed)?;
        self.finished = true;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        let kept = ids(folder, EXTENSION)?;
        for old in kept.iter().take(kept.len().saturating_sub(KEPT_MAX)) {
            // Left over it costs room, nothing else.
            let _ = fs::remove_file(folder.join(format!("{old}.{EXTENSION}")));
        }
        Ok((path, self.out.bytes))
    }
}

impl Drop for BundleWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Left over it is removed by a run a day later.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

impl Bundle {
    /// Opens a snapshot and checks every byte of it.
    ///
    /// # Errors
    /// `state.missing`, `state.damaged`, `state.version`.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| StateError::io("read", path, error);
        let bad = |why: &str| damaged(path, why.to_owned()).with_hint(HINT);
        let mut file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut head = Vec::new();
        (&mut file).take(HEAD_BYTES).read_to_end(&mut head).map_err(failed)?;
        let (magic, version) = head.split_at(head.len().min(MAGIC.len()));
        if magic != MAGIC {
            let message = format!("{} is not a snapshot", path.display());
            return Err(StateError::new("state.foreign", message, path, "name a file written by `paritas snapshot`"));
        }
        let version = version.try_into().map(u32::from_le_bytes).map_err(|_| bad("It is cut off."))?;
        if version != VERSION {
            let message = format!("{} has version {version}, and this program reads {VERSION}", path.display());
            let hint = "use the version of Paritas that wrote it, or take another one";
            return Err(StateError::new("state.version", message, path, hint));
        }
        let hashed = bytes.checked_sub(32).filter(|_| bytes >= HEAD_BYTES + TAIL_BYTES);
        let hashed = hashed.ok_or_else(|| bad("It is cut off."))?;
        if !checksum_holds(&mut file, hashed).map_err(failed)? {
            return Err(bad("Its checksum does not match its content: it is cut off, or was changed."));
        }
        let footer = read_footer(&mut file, bytes).map_err(failed)?.ok_or_else(|| bad("Its footer cannot be read."))?;
        Ok(Self { path: path.to_owned(), footer, bytes })
    }

    /// What was said about it when it was finished.
    pub fn document(&self) -> &serde_json::Value {
        &self.footer.document
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One of its digests.
    ///
    /// # Errors
    /// `state.damaged` when there is none of that number, or it was changed since the file was opened.
    pub fn digest(&self, number: usize) -> Result<Digest> {
        let failed = |error| StateError::io("read", &self.path, error);
        let place = self.footer.digests.get(number).ok_or_else(|| damaged(&self.path, "A digest is not in it."))?;
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(place.offset)).map_err(failed)?;
        Digest::read_from(BufReader::new(file.take(place.bytes))).map_err(|error| match error {
            ArtifactError::Io(error) => failed(error),
            other => damaged(&self.path, other).with_hint(HINT),
        })
    }
}

const HINT: &str = "use another copy of the file, or an older snapshot: `--against ID`";

/// Whether the checksum after the first `hashed` bytes is theirs.
fn checksum_holds(file: &mut File, hashed: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = blake3::Hasher::new();
    let mut left = hashed;
    let mut buffer = vec![0; CHUNK_BYTES];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let Some(part) = buffer.get_mut(..wanted) else { return Ok(false) };
        file.read_exact(part)?;
        hasher.update(part);
        left -= wanted as u64;
    }
    let mut checksum = [0; 32];
    file.read_exact(&mut checksum)?;
    Ok(*hasher.finalize().as_bytes() == checksum)
}

/// The footer, where its length is possible and its places lie in the file.
fn read_footer(file: &mut File, bytes: u64) -> io::Result<Option<Footer>> {
    file.seek(SeekFrom::Start(bytes - TAIL_BYTES))?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let end = bytes - TAIL_BYTES;
    let Some(start) = end.checked_sub(length).filter(|start| *start >= HEAD_BYTES && length <= FOOTER_BYTES_MAX) else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(start))?;
    let mut json = Vec::new();
    file.take(length).read_to_end(&mut json)?;
    let footer: Option<Footer> = serde_json::from_slice(&json).ok();
    let inside = |place: &Place| {
        place.offset >= HEAD_BYTES && place.offset.checked_add(place.bytes).is_some_and(|end| end <= start)
    };
    Ok(footer.filter(|footer| footer.digests.iter().all(inside)))
}

/// Hashes and counts what is written.
#[derive(Debug)]
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
