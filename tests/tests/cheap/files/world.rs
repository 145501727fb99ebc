//! A folder of files, what is kept of them, and snapshots of both kinds.

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use paritas_connect::{Context, Error, Store};
use paritas_connect_lake::{CsvStore, LakeOptions, Location, ParquetStore};
use paritas_digest::{DigestKey, Spec, schema_fingerprint};
use paritas_engine::thrift::{self, FilesThrift};
use paritas_model::Dataset;
use paritas_report::KeptReading;
use paritas_state::{RangesFolder, State};
use paritas_testbed::Scratch;
use paritas_verify::keep::{self, Request};
use paritas_verify::{Choice, Plan, Side};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use crate::world::DAY;

/// More than a tick of the clock of any local file system here.
pub const TICK: Duration = Duration::from_millis(25);

/// How the files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Csv,
    Parquet,
}

pub struct World {
    _scratch: Scratch,
    pub kind: Kind,
    /// Where the files are, as a location.
    pub location: String,
    pub options: LakeOptions,
    pub within: Duration,
    pub unsettled: Duration,
    pub bytes_max: u64,
    pub capacity: u64,
    state: State,
}

/// A snapshot that reads less, and one that reads everything.
#[derive(Debug)]
pub struct Taken {
    pub reading: KeptReading,
    pub equal: bool,
    pub rows: u64,
}

impl Taken {
    /// The digest is that of a full reading, bit for bit.
    pub fn right(self) -> Self {
        assert!(self.equal, "the digest is wrong: {:?}", self.reading);
        assert_eq!(self.reading.rows_read + self.reading.rows_kept, self.rows, "{:?}", self.reading);
        self
    }

    /// Everything was read, for a reason that says this.
    pub fn all_read(self, why: &str) -> Self {
        let taken = self.right();
        let said = taken.reading.why.clone().unwrap_or_default();
        assert!(said.contains(why), "{said:?} does not say {why:?}");
        assert_eq!((taken.reading.rows_read, taken.reading.rows_kept), (taken.rows, 0));
        taken
    }

    /// So many files were read and so many taken over.
    pub fn files(self, read: u64, kept: u64) -> Self {
        let taken = self.right();
        assert_eq!((taken.reading.files_read, taken.reading.files_kept), (read, kept), "{:?}", taken.reading);
        taken
    }
}

impl World {
    pub fn new(kind: Kind) -> Self {
        let scratch = Scratch::new().unwrap();
        let location = scratch.folder("data").unwrap().display().to_string();
        Self::at(kind, scratch, location, LakeOptions::default())
    }

    pub fn at(kind: Kind, scratch: Scratch, location: String, options: LakeOptions) -> Self {
        let state = State::open(scratch.path().join("state")).unwrap();
        let (within, unsettled, bytes_max, capacity) = (DAY, TICK, 1 << 30, 100);
        Self { _scratch: scratch, kind, location, options, within, unsettled, bytes_max, capacity, state }
    }

    /// The path of a file below a local location.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.location).join(name)
    }

    /// Writes a file in place.
    pub fn write(&self, name: &str, ids: Range<i64>, salt: i64) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes(self.kind, ids, salt)).unwrap();
    }

    /// Nothing that was written so far is written again within the same tick.
    pub async fn settle(&self) {
        tokio::time::sleep(2 * TICK).await;
    }

    pub fn folder(&self) -> RangesFolder {
        self.state.ranges("link", "data")
    }

    pub fn state_folder(&self) -> PathBuf {
        self.state.folder().join("ranges").join("link").join("data")
    }

    pub async fn take(&self) -> Taken {
        self.try_take().await.unwrap()
    }

    fn store(&self) -> Arc<dyn Store> {
        let location = Location::parse(&self.location).unwrap();
        match self.kind {
            Kind::Csv => Arc::new(CsvStore::new(location, self.options.clone()).unwrap()),
            Kind::Parquet => Arc::new(ParquetStore::new(location, self.options.clone()).unwrap()),
        }
    }

    /// A snapshot as the product takes it, and one that reads everything. Nobody writes meanwhile.
    pub async fn try_take(&self) -> Result<Taken, Error> {
        let cx = Context::default().with_timeout(Duration::from_secs(120)).with_parallel(2);
        let side = Side::new(self.store(), cx.clone());
        let rows = side.store.datasets().unwrap();
        let name: Dataset = rows.list(&cx).await?.remove(0);
        let description = rows.describe(&cx, &name).await?;
        let choice = Choice { key: vec!["id".to_owned()], ..Choice::default() };
        let plan = Plan::new((rows, &description), (rows, &description), &choice).unwrap();
        let spec = Spec::new(&DigestKey::unkeyed(), "data", (*plan.canon).clone()).unwrap();
        let request = Request {
            side: &side,
            held: None,
            scan: &plan.source,
            spec: &spec,
            schema: schema_fingerprint(&description.schema),
            capacity: self.capacity,
        };
        let (folder, within) = (self.folder(), self.within);
        let thrift = FilesThrift { folder, within, bytes_max: self.bytes_max, unsettled: self.unsettled };
        let (kept, reading) = thrift::keep_files(&request, &thrift).await?;
        let full = keep::keep(&request).await?;
        let mut header = kept.digest.header.clone();
        header.taken_at.clone_from(&full.digest.header.taken_at);
        let equal = kept.digest.sums == full.digest.sums && header == full.digest.header;
        Ok(Taken { reading: reading.expect("files have a reading"), equal, rows: full.digest.header.rows })
    }
}

/// A row of a file: its text depends on the salt, its length does not.
fn note(id: i64, salt: i64) -> String {
    format!("note {:03} of {id}", salt.rem_euclid(1_000))
}

/// A whole file.
pub fn bytes(kind: Kind, ids: Range<i64>, salt: i64) -> Vec<u8> {
    match kind {
        Kind::Csv => {
            let rows: String = ids.map(|id| format!("{id},{}\n", note(id, salt))).collect();
            format!("id,note\n{rows}").into_bytes()
        }
        Kind::Parquet => parquet_bytes(ids, salt, WriterProperties::default()),
    }
}

pub fn parquet_bytes(ids: Range<i64>, salt: i64, properties: WriterProperties) -> Vec<u8> {
    let notes: StringArray = ids.clone().map(|id| Some(note(id, salt))).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let batch = RecordBatch::try_from_iter([("id", ids), ("note", Arc::new(notes) as ArrayRef)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}
