//! Groups that do not fit into memory, in a temporary file without a name: nothing of it stays behind,
//! however the run ends.
//!
//! What is written belongs to one of [`PARTITIONS`] parts by a hash of its key, so that later each part is
//! read on its own. Readers of several splits write at the same time, each into room of its own.

use paritas_connect::{Error, FailureKind, Result};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Parts into which keys are divided.
pub(super) const PARTITIONS: usize = 256;

/// Where a piece lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) partition: usize,
    offset: u64,
    pub(super) length: usize,
}

/// The file of one side, made when it is needed.
#[derive(Debug)]
pub(super) struct Spill {
    file: OnceLock<File>,
    end: AtomicU64,
    hasher: Hasher,
}

/// Decides which part a key belongs to; the same on both sides of a comparison, and another one in every run, so that
/// nobody can choose keys that all fall into one.
#[derive(Debug, Clone, Default)]
pub(super) struct Hasher(RandomState);

impl Hasher {
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.0.hash_one(key)
    }
}

/// The part of a hash.
pub(super) fn partition(hash: u64) -> usize {
    (hash >> 56) as usize % PARTITIONS
}

impl Spill {
    /// A file that does not exist yet.
    pub(super) fn new(hasher: &Hasher) -> Arc<Self> {
        Arc::new(Self { file: OnceLock::new(), end: AtomicU64::new(0), hasher: hasher.clone() })
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    fn file(&self) -> Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = tempfile::tempfile().map_err(|error| failed("make a temporary file for groups", error))?;
        Ok(self.file.get_or_init(|| file))
    }

    /// Writes a piece and says where it lies.
    pub(super) fn write(&self, partition: usize, bytes: &[u8]) -> Result<Segment> {
        let offset = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let written = self.file()?.write_all_at(bytes, offset);
        written.map_err(|error| failed("write groups into a temporary file", error))?;
        Ok(Segment { partition, offset, length: bytes.len() })
    }

    /// Reads a piece.
    pub(super) fn read(&self, segment: Segment) -> Result<Vec<u8>> {
        let mut bytes = vec![0; segment.length];
        let read = self.file()?.read_exact_at(&mut bytes, segment.offset);
        read.map_err(|error| failed("read groups from a temporary file", error))?;
        Ok(bytes)
    }
}

fn failed(doing: &str, error: io::Error) -> Error {
    Error::new(FailureKind::Permanent, "ledger.spill", format!("cannot {doing}"))
        .hint("make room where temporary files are kept, set TMPDIR to another folder, or give more --memory")
        .because(error)
}
