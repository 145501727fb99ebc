//! What the tests of this crate share.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_connect::{BlockSink, ColumnPair, Context, Error, FetchedRow, Result, Scan, ScanRequest, Store};
use paritas_connect_lake::{CsvStore, FilesStore, LakeOptions, Location, ParquetStore};
use paritas_digest::{Block, Canon, Capacity, DigestKey, Digester, Policies, Spec, Sums};
use paritas_model::{Dataset, Schema};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of golden files.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lake")
}

pub fn parquet(path: impl AsRef<Path>) -> ParquetStore {
    ParquetStore::new(Location::parse(path.as_ref().to_str().unwrap()).unwrap(), LakeOptions::default()).unwrap()
}

pub fn csv_with(path: impl AsRef<Path>, options: &[(&str, &str)]) -> CsvStore {
    let options = LakeOptions::from_pairs(options.iter().copied()).unwrap();
    CsvStore::new(Location::parse(path.as_ref().to_str().unwrap()).unwrap(), options).unwrap()
}

pub fn csv(path: impl AsRef<Path>) -> CsvStore {
    csv_with(path, &[])
}

pub fn files(path: impl AsRef<Path>) -> FilesStore {
    FilesStore::new(Location::parse(path.as_ref().to_str().unwrap()).unwrap(), LakeOptions::default()).unwrap()
}

/// The one dataset of a store.
pub async fn dataset(store: &dyn Store) -> Result<Dataset> {
    Ok(store.datasets().unwrap().list(&Context::default()).await?.remove(0))
}

pub async fn schema(store: &dyn Store) -> Result<Schema> {
    let dataset = dataset(store).await?;
    Ok(store.datasets().unwrap().describe(&Context::default(), &dataset).await?.schema)
}

/// The canon of all columns of `source` against the columns of the same names in `replica`.
pub fn canon(source: &Schema, replica: &Schema, key: &[&str], policies: Policies) -> Canon {
    let pairs: Vec<_> = source.columns.iter().map(|column| (column.name.clone(), column.name.clone())).collect();
    let key: Vec<_> = key.iter().map(|name| (*name).to_owned()).collect();
    Canon::logical(source, replica, &pairs, &key, policies).unwrap()
}

pub async fn request(store: &dyn Store, canon: Canon) -> Result<ScanRequest> {
    let columns = canon.columns.iter();
    let columns = columns.map(|column| ColumnPair { canonical: column.name.clone(), own: column.name.clone() });
    Ok(ScanRequest {
        dataset: dataset(store).await?,
        columns: columns.collect(),
        canon: Arc::new(canon),
        filter: None,
        ranges: Vec::new(),
    })
}

pub async fn open(store: &dyn Store, canon: Canon) -> Result<Box<dyn Scan>> {
    let request = request(store, canon).await?;
    store.datasets().unwrap().open(&Context::default(), &request).await
}

struct Digesting(Digester);

impl BlockSink for Digesting {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.0.add(&block).map_err(Error::from)
    }
}

/// Digests all splits, one after the other.
pub async fn digest_scan(scan: &dyn Scan, canon: &Canon) -> Result<Sums> {
    let spec = Spec::new(&DigestKey::unkeyed(), "test", canon.clone()).unwrap();
    let capacity = Capacity::default();
    let mut total = Sums::new(spec.key_form(), capacity);
    for split in scan.splits() {
        let mut sink = Digesting(Digester::new(Arc::clone(&spec), capacity));
        let done = scan.read(&Context::default(), split, &mut sink).await?;
        assert_eq!(done.rows, sink.0.rows(), "{}", split.label);
        total.merge(&sink.0.finish()).unwrap();
    }
    Ok(total)
}

/// The sums of a whole store in a canon.
pub async fn digest(store: &dyn Store, canon: &Canon) -> Result<Sums> {
    let scan = open(store, canon.clone()).await?;
    digest_scan(&*scan, canon).await
}

/// Collects blocks.
#[derive(Default)]
pub struct Keep(pub Vec<Block>);

impl BlockSink for Keep {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.0.push(block);
        Ok(())
    }
}

/// All rows of a store as people see them.
pub async fn rows(store: &dyn Store, canon: &Canon) -> Result<Vec<FetchedRow>> {
    let scan = open(store, canon.clone()).await?;
    let mut all = Vec::new();
    for split in scan.splits() {
        let mut sink = Keep::default();
        scan.read(&Context::default(), split, &mut sink).await?;
        for block in &sink.0 {
            let every: Vec<_> = (0..block.rows()).collect();
            all.extend(scan.render(&Context::default(), block, &every).await?);
        }
    }
    Ok(all)
}

/// One column of rendered rows, by name, as text.
pub fn shown(rows: &[FetchedRow], canon: &Canon, column: &str) -> Vec<String> {
    let at = canon.columns.iter().position(|c| c.name == column).unwrap();
    rows.iter().map(|row| row.fields[at].shown.to_string()).collect()
}

/// Two small files that differ in everything except their rows are in folders of their own.
pub fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}
