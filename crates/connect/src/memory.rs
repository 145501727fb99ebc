//! Rows in memory: a store for tests of everything above the connectors.
//!
//! It keeps the contract of the traits to the letter, with several splits, access by key, and a
//! position that the test moves. Its rows may change at any time, also between two passes.

mod observed;
mod scan;
mod table;

pub use table::MemoryTable;

use crate::{
    Context, Datasets, Description, Error, FailureKind, Observation, Positions, ReplicaRole, Result, Scan, ScanRequest,
    Store, StoreIdentity,
};
use async_trait::async_trait;
use paritas_model::{Dataset, Known, Position, StoreKind};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Rows in one split unless the test says otherwise: small, so that small tests have several.
const SPLIT_ROWS: usize = 1_000;

/// Datasets in memory. Clones share everything.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    name: String,
    role: ReplicaRole,
    split_rows: usize,
    by_key: bool,
    cheap: bool,
    tables: Arc<Mutex<BTreeMap<Dataset, MemoryTable>>>,
    position: watch::Sender<Option<Position>>,
}

impl MemoryStore {
    /// An empty store without positions that is read by key where a dataset has one.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: ReplicaRole::Independent,
            split_rows: SPLIT_ROWS,
            by_key: true,
            cheap: false,
            tables: Arc::default(),
            position: watch::Sender::new(None),
        }
    }

    /// Takes part in replication as this.
    #[must_use]
    pub fn with_role(mut self, role: ReplicaRole) -> Self {
        self.role = role;
        self
    }

    /// Cuts datasets into splits of at most so many rows (at least 1).
    #[must_use]
    pub fn with_split_rows(mut self, rows: usize) -> Self {
        self.split_rows = rows.max(1);
        self
    }

    /// Has no access by key, as files have none.
    #[must_use]
    pub fn without_lookup(mut self) -> Self {
        self.by_key = false;
        self
    }

    /// Says that reading a view again costs little, as it does for local files.
    #[must_use]
    pub fn with_cheap_rereading(mut self) -> Self {
        self.cheap = true;
        self
    }

    /// Creates or replaces a dataset.
    pub fn put(&self, dataset: &str, table: MemoryTable) {
        self.lock().insert(Dataset(dataset.to_owned()), table);
    }

    /// Changes a dataset; `None` where there is none of that name. Scans that are open keep their
    /// rows.
    pub fn edit<T>(&self, dataset: &str, change: impl FnOnce(&mut MemoryTable) -> T) -> Option<T> {
        self.lock().get_mut(&Dataset(dataset.to_owned())).map(change)
    }

    /// Moves the store to a position: on a source the end of its history, on a replica what it has
    /// applied. From the first call on the store has positions.
    pub fn set_position(&self, position: Position) {
        self.position.send_replace(Some(position));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Dataset, MemoryTable>> {
        // Tables are replaced or changed whole by tests, which fail anyway if they panic in between.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self, dataset: &Dataset) -> Result<MemoryTable> {
        self.lock().get(dataset).cloned().ok_or_else(|| {
            Error::new(
                FailureKind::Permanent,
                "dataset.missing",
                format!("there is no dataset {dataset} in {}", self.name),
            )
        })
    }

    fn at(&self) -> Option<Position> {
        self.position.borrow().clone()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Memory
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        cx.check()?;
        Ok(StoreIdentity {
            version: "memory".to_owned(),
            identity: Known::Known(format!("memory:{}", self.name)),
            place: Known::unknown("stores in memory share nothing"),
            role: self.role.clone(),
            limits: Vec::new(),
        })
    }

    fn positions(&self) -> Option<&dyn Positions> {
        self.at().map(|_| self as _)
    }

    fn datasets(&self) -> Option<&dyn Datasets> {
        Some(self)
    }
}

#[async_trait]
impl Positions for MemoryStore {
    async fn current(&self, cx: &Context) -> Result<Position> {
        cx.check()?;
        self.at().ok_or_else(|| Error::unsupported("positions"))
    }

    async fn wait_for(&self, cx: &Context, fence: &Position) -> Result<Position> {
        cx.check()?;
        let mut moved = self.position.subscribe();
        let reached = async {
            loop {
                let now = moved.borrow_and_update().clone().ok_or_else(|| Error::unsupported("positions"))?;
                match now.order(fence) {
                    Some(Ordering::Less) => {}
                    Some(_) => return Ok(now),
                    None => return Err(other_lineage(&now, fence)),
                }
                // The sender lives in `self`, so this only ends with a new position.
                let _ = moved.changed().await;
            }
        };
        cx.bound(reached).await.map_err(|error| match (error.kind(), self.at()) {
            (FailureKind::Deadline, Some(now)) => {
                error.detail(format!("{} is at {now} and the fence is at {fence}.", self.name))
            }
            _ => error,
        })
    }

    async fn observe(&self, cx: &Context) -> Result<Observation> {
        cx.check()?;
        observed::now(&self.name, &self.role, self.at())
    }
}

fn other_lineage(now: &Position, fence: &Position) -> Error {
    let (ours, theirs) = (&now.lineage.0, &fence.lineage.0);
    Error::new(FailureKind::Permanent, "lineage.differs", "the replica follows another history than the source")
        .detail(format!("The replica is in lineage {ours} and the fence in lineage {theirs}."))
}

#[async_trait]
impl Datasets for MemoryStore {
    async fn list(&self, cx: &Context) -> Result<Vec<Dataset>> {
        cx.check()?;
        Ok(self.lock().keys().cloned().collect())
    }

    async fn describe(&self, cx: &Context, dataset: &Dataset) -> Result<Description> {
        cx.check()?;
        let table = self.table(dataset)?;
        Ok(Description {
            dataset: dataset.clone(),
            rows_estimate: Known::Known(table.rows() as u64),
            bytes_estimate: Known::Known(table.bytes()),
            schema: table.schema,
        })
    }

    fn rereads_cheaply(&self) -> bool {
        self.cheap
    }

    async fn open(&self, cx: &Context, request: &ScanRequest) -> Result<Box<dyn Scan>> {
        cx.check()?;
        if request.filter.is_some() {
            return Err(Error::unsupported("filters"));
        }
        // Taken before the rows: what is visible may be newer than a position, never older.
        let position = self.at();
        let batches = self.table(&request.dataset)?.project(request)?;
        Ok(Box::new(scan::MemoryScan::new(self.clone(), request.clone(), position, &batches)))
    }
}
