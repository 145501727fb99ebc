//! The document of a snapshot: everything there is to know about its digests.

use crate::ledger::LedgerKept;
use crate::target::Declared;
use paritas_connect::{FileEntry, FileManifest, Moment};
use paritas_digest::KeyId;
use paritas_model::{Known, Schema, Store};
use paritas_report::NotChecked;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the document.
pub(crate) const DOCUMENT_VERSION: u32 = 1;

/// What a source held at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Document {
    /// Version of this document.
    pub(crate) version: u32,
    /// The link that it is of.
    pub(crate) link: String,
    /// Whether that is a name of a configuration.
    pub(crate) configured: bool,
    /// The id of the run that took it.
    pub(crate) id: String,
    /// When it was begun and when it was finished, RFC 3339 in UTC, by the clock of the machine that took it.
    pub(crate) began_at: String,
    pub(crate) taken_at: String,
    /// Which digest key its digests were made with.
    pub(crate) key: KeyId,
    /// The source.
    pub(crate) source: Store,
    /// What tells the source and its copies from every other store.
    pub(crate) identity: Known<String>,
    /// The version of its catalog, where it has one and nothing changed it meanwhile.
    pub(crate) catalog: Option<String>,
    /// Whether all datasets were read in one view.
    pub(crate) one_view: bool,
    /// Datasets with rows.
    pub(crate) datasets: Vec<DatasetKept>,
    /// Files, where the source has those.
    pub(crate) files: Option<FilesKept>,
    /// What of the source is not in it.
    pub(crate) not_kept: Vec<NotChecked>,
    /// Figures of the link's ledgers; a snapshot of an older version has none.
    #[serde(default)]
    pub(crate) ledgers: Vec<LedgerKept>,
    /// Sequences and where they were; `None` where the store has none, or an older version took it.
    #[serde(default)]
    pub(crate) sequences: Option<Vec<SequenceKept>>,
}

/// One sequence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SequenceKept {
    /// Its name.
    pub(crate) name: String,
    /// The number that it would have handed out next, and from one number to the next.
    pub(crate) counter: Known<(i64, i64)>,
}

/// One dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DatasetKept {
    /// Its name on the source.
    pub(crate) name: String,
    /// Its schema then.
    pub(crate) schema: Schema,
    /// Source name to replica name of columns.
    pub(crate) rename: BTreeMap<String, String>,
    /// The condition that chose its rows on the replica.
    pub(crate) replica_filter: Option<String>,
    /// Columns that were left out, each with why.
    pub(crate) left_out: Vec<(String, String)>,
    /// Those of them that could not be compared.
    pub(crate) incomparable: Vec<String>,
    /// Its rows.
    pub(crate) rows: u64,
    /// How many differing rows its digest can name.
    pub(crate) capacity: u64,
    /// What its view showed.
    pub(crate) moment: Option<Moment>,
    /// What was declared about it.
    pub(crate) declared: Declared,
    /// The number of its digest.
    pub(crate) digest: usize,
}

/// The files of a source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct FilesKept {
    /// Whether the location is one file.
    pub(crate) single: bool,
    /// What was declared about them.
    pub(crate) declared: Declared,
    /// Sorted by path.
    pub(crate) files: Vec<FileKept>,
}

/// One file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileKept {
    path: String,
    size_bytes: u64,
    blake3: Known<[u8; 32]>,
    damaged: bool,
}

impl FilesKept {
    /// The files of a listing.
    pub(crate) fn of(manifest: FileManifest, declared: Declared) -> Self {
        let kept = manifest.files.into_iter().map(|file| {
            let FileEntry { path, size_bytes, blake3, damaged } = file;
            FileKept { path, size_bytes, blake3, damaged }
        });
        Self { single: manifest.single, declared, files: kept.collect() }
    }

    /// The listing that they came from.
    pub(crate) fn manifest(&self) -> FileManifest {
        let entry = |file: &FileKept| FileEntry {
            path: file.path.clone(),
            size_bytes: file.size_bytes,
            blake3: file.blake3.clone(),
            damaged: file.damaged,
        };
        FileManifest { files: self.files.iter().map(entry).collect(), single: self.single }
    }
}
