//! Rows of a dataset by ranges of blocks, kept so that the next snapshot need not read them again:
//! `ranges/<link>/<dataset>/`.
//!
//! ```text
//! index          what the ranges are, the digest of all of them, and where the rows of each are
//! <id>.rows      rows of the ranges that one snapshot read, one range after the other
//! ```
//!
//! The index gets its place when everything it names is on the disk, so that whatever ends the program before leaves
//! the index that was there, with its files. Files that no index names any more are removed; when more than half of what
//! they hold is out of date, all rows are written anew. Nothing of this is needed to verify a snapshot: without it, the
//! next snapshot reads everything.

mod index;

use crate::files::{self, create_folder, damaged};
use crate::names::folder_name;
use crate::{Result, State, StateError};
use paritas_digest::{Digest, Sums};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use ulid::Ulid;

const EXTENSION: &str = "rows";
const INDEX: &str = "index";
/// Bytes that are out of date and not worth writing everything anew.
const SLACK_BYTES: u64 = 4 << 20;
/// Files of one dataset, at most.
const FILES_MAX: usize = 64;

/// Where the rows of a range are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangePlace {
    pub(crate) file: Ulid,
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) checksum: [u8; 16],
}

/// One range of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRange {
    /// Blocks that there were.
    pub blocks: u64,
    /// Its rows.
    pub rows: u64,
    /// The place in the log up to which its blocks may have been written for the rows to be still the same.
    pub at: u64,
    /// When its rows were read, in seconds since 1970 by the clock of this machine.
    pub read_at: i64,
    /// Where its rows are; `None` where there are none.
    pub place: Option<RangePlace>,
}

/// One relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPart {
    /// Its name in the language of its store.
    pub sql: String,
    /// Which files of its store held it.
    pub storage: String,
    /// Its ranges from the first block on.
    pub ranges: Vec<KeptRange>,
}

/// Everything that is kept of a dataset.
#[derive(Debug, Clone)]
pub struct KeptRanges {
    /// What whoever kept it says about it.
    pub facts: serde_json::Value,
    /// The digest of all its rows.
    pub digest: Digest,
    /// Its relations.
    pub parts: Vec<KeptPart>,
}

/// Adds the rows of a range, as they were written, to sums; `false` where they cannot be understood.
pub type AddRows<'a> = dyn FnMut(&mut Sums, &[u8]) -> bool + 'a;

/// The code of an error that says that rows do not add up to their digest.
pub const ROWS_UNLIKE: &str = "state.unlike";

/// The folder of one dataset.
#[derive(Debug, Clone)]
pub struct RangesFolder {
    folder: PathBuf,
}

/// Reads rows. Keeps the files open that it has read from.
#[derive(Debug)]
pub struct RangesReader {
    folder: PathBuf,
    files: BTreeMap<Ulid, File>,
}

/// Writes rows, and then the index.
#[derive(Debug)]
pub struct RangesWriter {
    folder: PathBuf,
    id: Ulid,
    out: Option<BufWriter<File>>,
    bytes: u64,
    finished: bool,
}

impl State {
    /// What is kept of the rows of a link's dataset.
    pub fn ranges(&self, link: &str, dataset: &str) -> RangesFolder {
        let folder = self.folder().join("ranges").join(folder_name(link)).join(folder_name(dataset));
        RangesFolder { folder }
    }
}

impl RangesFolder {
    /// What is kept, if anything is.
    ///
    /// # Errors
    /// `state.damaged`, `state.version`, or what the system says.
    pub fn load(&self) -> Result<Option<KeptRanges>> {
        let path = self.folder.join(INDEX);
        if !path.exists() {
            return Ok(None);
        }
        index::read(&path).map(Some)
    }

    /// Reads rows of what [`RangesFolder::load`] said.
    pub fn reader(&self) -> RangesReader {
        RangesReader { folder: self.folder.clone(), files: BTreeMap::new() }
    }

    /// Begins to keep rows.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn begin(&self) -> Result<RangesWriter> {
        create_folder(&self.folder)?;
        let (folder, id) = (self.folder.clone(), Ulid::generate());
        Ok(RangesWriter { folder, id, out: None, bytes: 0, finished: false })
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// When the index cannot be removed; the rest is not used without it.
    pub fn remove(&self) -> Result<()> {
        let path = self.folder.join(INDEX);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StateError::io("remove", &path, error)),
            _ => {
                remove_all_but(&self.folder, &BTreeSet::new(), None);
                Ok(())
            }
        }
    }
}

fn rows_file(folder: &Path, id: Ulid) -> PathBuf {
    folder.join(format!("{id}.{EXTENSION}"))
}

fn checksum(bytes: &[u8]) -> [u8; 16] {
    blake3::hash(bytes).as_bytes().first_chunk().copied().unwrap_or_default()
}

impl RangesReader {
    /// The rows of a range, as they were written.
    ///
    /// # Errors
    /// `state.missing`, `state.damaged` when they are not what was kept.
    pub fn read(&mut self, place: &RangePlace) -> Result<Vec<u8>> {
        let path = rows_file(&self.folder, place.file);
        let failed = |error| StateError::io("read", &path, error);
        let file = match self.files.entry(place.file) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(File::open(&path).map_err(failed)?),
        };
        file.seek(SeekFrom::Start(place.offset)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(u64::from(place.bytes)).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 != u64::from(place.bytes) || checksum(&bytes) != place.checksum {
            return Err(damaged(&path, "The checksum of some rows does not match them."));
        }
        Ok(bytes)
    }
}

impl RangesWriter {
    /// Writes the rows of a range.
    ///
    /// # Errors
    /// A full disk and so on; what was there before stays.
    pub fn add(&mut self, rows: &[u8]) -> Result<RangePlace> {
        let path = rows_file(&self.folder, self.id);
        let failed = |error| StateError::io("write", &path, error);
        let out = match &mut self.out {
            Some(out) => out,
            None => self.out.insert(BufWriter::new(files::create_private(&path).map_err(failed)?)),
        };
        out.write_all(rows).map_err(failed)?;
        let bytes = u32::try_from(rows.len())
            .map_err(|_| failed(io::Error::new(io::ErrorKind::FileTooLarge, "a range of more than 4 GiB")))?;
        let place = RangePlace { file: self.id, offset: self.bytes, bytes, checksum: checksum(rows) };
        self.bytes += u64::from(bytes);
        Ok(place)
    }

    /// Bytes that were written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts the new index in the place of the old one. Returns how many bytes everything takes.
    ///
    /// # Errors
    /// A full disk and so on; what was there before stays. `state.damaged` when rows had to be copied and are not what
    /// was kept.
    pub fn finish(self, kept: KeptRanges) -> Result<u64> {
        self.end(kept, None)
    }

    /// The same; where all rows are written anew, they must add up to the digest. That is the only time at which all of
    /// them are looked at.
    ///
    /// # Errors
    /// As [`RangesWriter::finish`]; [`ROWS_UNLIKE`] when they do not.
    pub fn finish_checked(self, kept: KeptRanges, add: &mut AddRows<'_>) -> Result<u64> {
        self.end(kept, Some(add))
    }

    fn end(mut self, mut kept: KeptRanges, add: Option<&mut AddRows<'_>>) -> Result<u64> {
        if self.is_wasteful(&kept) {
            self.copy(&mut kept, add)?;
        }
        let path = rows_file(&self.folder, self.id);
        if let Some(out) = self.out.take() {
            let failed = |error| StateError::io("write", &path, error);
            let file = out.into_inner().map_err(io::IntoInnerError::into_error).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        let index = index::write(&self.folder.join(INDEX), &kept)?;
        self.finished = true;
        let used = files_of(&kept);
        remove_all_but(&self.folder, &used, Some(self.id));
        Ok(index + used.iter().map(|id| size_of(&self.folder, *id)).sum::<u64>())
    }

    /// Whether more than half of the files is out of date, or there are too many of them.
    fn is_wasteful(&self, kept: &KeptRanges) -> bool {
        let used = files_of(kept);
        let old: u64 = used.iter().filter(|id| **id != self.id).map(|id| size_of(&self.folder, *id)).sum();
        let live: u64 = places(kept).map(|place| u64::from(place.bytes)).sum();
        old + self.bytes > live.saturating_mul(2).saturating_add(SLACK_BYTES) || used.len() > FILES_MAX
    }

    /// Writes the rows of all older files into this one, and holds the sum of all rows against the digest.
    fn copy(&mut self, kept: &mut KeptRanges, mut add: Option<&mut AddRows<'_>>) -> Result<()> {
        if let Some(out) = &mut self.out {
            let path = rows_file(&self.folder, self.id);
            out.flush().map_err(|error| StateError::io("write", &path, error))?;
        }
        let mut reader = RangesReader { folder: self.folder.clone(), files: BTreeMap::new() };
        let sums = &kept.digest.sums;
        let mut total = Sums::new(sums.key_form(), sums.capacity());
        for place in kept.parts.iter_mut().flat_map(|part| &mut part.ranges).filter_map(|range| range.place.as_mut()) {
            let is_old = place.file != self.id;
            if !is_old && add.is_none() {
                continue;
            }
            let rows = reader.read(place)?;
            if let Some(add) = &mut add
                && !add(&mut total, &rows)
            {
                return Err(damaged(&rows_file(&self.folder, place.file), "Some rows cannot be understood."));
            }
            if is_old {
                *place = self.add(&rows)?;
            }
        }
        if add.is_some() && total != *sums {
            let message = format!("the rows in {} do not add up to their digest", self.folder.display());
            return Err(StateError::new(
                ROWS_UNLIKE,
                message,
                &self.folder,
                "remove the folder: everything is read then",
            ));
        }
        Ok(())
    }
}

impl Drop for RangesWriter {
    fn drop(&mut self) {
        if !self.finished {
            self.out = None;
            // Left over it is removed with the files of the index after next.
            let _ = fs::remove_file(rows_file(&self.folder, self.id));
        }
    }
}

fn places(kept: &KeptRanges) -> impl Iterator<Item = &RangePlace> {
    kept.parts.iter().flat_map(|part| &part.ranges).filter_map(|range| range.place.as_ref())
}

fn files_of(kept: &KeptRanges) -> BTreeSet<Ulid> {
    places(kept).map(|place| place.file).collect()
}

fn size_of(folder: &Path, id: Ulid) -> u64 {
    fs::metadata(rows_file(folder, id)).map_or(0, |metadata| metadata.len())
}

/// Removes files of rows that are not used. Those that are newer than `newest` belong to another run that is writing.
fn remove_all_but(folder: &Path, used: &BTreeSet<Ulid>, newest: Option<Ulid>) {
    for id in files::ids(folder, EXTENSION).unwrap_or_default() {
        if !used.contains(&id) && newest.is_none_or(|newest| id <= newest) {
            // Left over it costs room, nothing else.
            let _ = fs::remove_file(rows_file(folder, id));
        }
    }
}
