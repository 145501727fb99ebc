//! A store that fails on purpose: any store, with faults at chosen calls.
//!
//! Deterministic: a fault hits a call by its number or by its split, never by chance or time.

mod scan;

use crate::{
    Context, Coverage, Datasets, Description, Error, FailureKind, FileManifest, Files, Observation, Positions, Result,
    Scan, ScanRequest, Store, StoreIdentity,
};
use async_trait::async_trait;
use paritas_digest::{Canon, Incompatible, Policies};
use paritas_model::{Dataset, Position, StoreKind};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The calls that can be hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`Store::probe`]
    Probe,
    /// [`Datasets::list`]
    List,
    /// [`Datasets::describe`]
    Describe,
    /// [`Datasets::open`]
    Open,
    /// [`Scan::read`]
    Read,
    /// [`Scan::render`]
    Render,
    /// [`crate::Lookup::fetch`]
    Fetch,
    /// [`Positions::current`]
    Current,
    /// [`Positions::wait_for`]
    WaitFor,
    /// [`Files::manifest`]
    Manifest,
    /// [`Positions::observe`]
    Observe,
    /// [`Positions::coverage`]
    Coverage,
}

const CALLS: usize = Call::Coverage as usize + 1;

/// Which of the calls are hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Every one.
    Always,
    /// Only this one, from 1.
    Nth(u64),
    /// This one and all after it.
    From(u64),
    /// Reads of the split with this index; the count is of its own reads, from 1.
    Split {
        /// Index of the split.
        index: usize,
        /// Which read of it, from 1; 0 for every one.
        nth: u64,
    },
}

/// What happens to a call.
#[derive(Clone)]
pub enum Fault {
    /// It fails at once with this kind and code.
    Fail(FailureKind, &'static str),
    /// It waits that long before it begins.
    Delay(Duration),
    /// It never answers; only deadline and cancel end it.
    Hang,
    /// Something else happens first: rows change, positions move.
    First(Arc<dyn Fn() + Send + Sync>),
    /// A read fails after that many rows, as a cut connection does.
    Cut {
        /// Rows handed out before.
        rows: u64,
        /// How it fails.
        kind: FailureKind,
    },
    /// A read ends after that many rows as if there were no more, and says so: what a connector does
    /// that takes the end of a stream for the end of the data.
    EndEarly {
        /// Rows handed out.
        rows: u64,
    },
    /// A read drops the rest of its rows but claims all of them.
    Swallow {
        /// Rows handed out.
        rows: u64,
    },
    /// A read hands out its first block twice.
    Repeat,
    /// A fetch finds none of the rows, a listing none of the datasets.
    FindNothing,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(kind, code) => write!(f, "Fail({kind:?}, {code})"),
            Self::Delay(time) => write!(f, "Delay({time:?})"),
            Self::Hang => f.write_str("Hang"),
            Self::First(_) => f.write_str("First"),
            Self::Cut { rows, kind } => write!(f, "Cut({rows}, {kind:?})"),
            Self::EndEarly { rows } => write!(f, "EndEarly({rows})"),
            Self::Swallow { rows } => write!(f, "Swallow({rows})"),
            Self::Repeat => f.write_str("Repeat"),
            Self::FindNothing => f.write_str("FindNothing"),
        }
    }
}

/// One line of the script.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which method.
    pub call: Call,
    /// Which of its calls.
    pub when: When,
    /// What happens.
    pub fault: Fault,
}

impl Rule {
    /// A line of the script.
    pub fn new(call: Call, when: When, fault: Fault) -> Self {
        Self { call, when, fault }
    }
}

/// What a scripted store and all its scans share.
#[derive(Debug)]
pub(crate) struct Script {
    rules: Vec<Rule>,
    calls: [AtomicU64; CALLS],
    reads_of_split: Mutex<Vec<(usize, u64)>>,
}

impl Script {
    /// Counts a call and gives the faults that hit it.
    pub(crate) fn enter(&self, call: Call, split: Option<usize>) -> Vec<Fault> {
        let number = self.calls.get(call as usize).map_or(0, |count| count.fetch_add(1, Ordering::SeqCst) + 1);
        let of_split = split.map(|index| (index, self.count_read(index)));
        let hit = |rule: &&Rule| {
            rule.call == call
                && match rule.when {
                    When::Always => true,
                    When::Nth(nth) => number == nth,
                    When::From(first) => number >= first,
                    When::Split { index, nth } => {
                        of_split.is_some_and(|(own, count)| own == index && (nth == 0 || count == nth))
                    }
                }
        };
        self.rules.iter().filter(hit).map(|rule| rule.fault.clone()).collect()
    }

    fn count_read(&self, index: usize) -> u64 {
        let mut reads = self.reads_of_split.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = reads.iter_mut().find(|(own, _)| *own == index) {
            *count += 1;
            return *count;
        }
        reads.push((index, 1));
        1
    }

    /// Counts a call and does what its faults do before it begins. Returns the others.
    pub(crate) async fn begin(&self, cx: &Context, call: Call, split: Option<usize>) -> Result<Vec<Fault>> {
        let mut left = Vec::new();
        for fault in self.enter(call, split) {
            match fault {
                Fault::Fail(kind, code) => {
                    return Err(Error::new(kind, code, format!("{call:?} fails as it was told to")));
                }
                Fault::Delay(time) => {
                    cx.bound(async {
                        tokio::time::sleep(time).await;
                        Ok(())
                    })
                    .await?;
                }
                Fault::Hang => cx.bound(std::future::pending::<Result<()>>()).await?,
                Fault::First(act) => act(),
                other => left.push(other),
            }
        }
        Ok(left)
    }
}

/// A store with faults. Clones share the script and its counts.
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    script: Arc<Script>,
}

impl FaultyStore {
    /// The store with these faults.
    pub fn new(inner: Arc<dyn Store>, rules: Vec<Rule>) -> Self {
        let script = Script { rules, calls: Default::default(), reads_of_split: Mutex::default() };
        Self { inner, script: Arc::new(script) }
    }

    /// How often a method was called.
    pub fn calls(&self, call: Call) -> u64 {
        self.script.calls.get(call as usize).map_or(0, |count| count.load(Ordering::SeqCst))
    }

    fn inner_datasets(&self) -> Result<&dyn Datasets> {
        self.inner.datasets().ok_or_else(|| Error::unsupported("rows"))
    }

    fn inner_positions(&self) -> Result<&dyn Positions> {
        self.inner.positions().ok_or_else(|| Error::unsupported("positions"))
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn kind(&self) -> StoreKind {
        self.inner.kind()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        self.script.begin(cx, Call::Probe, None).await?;
        self.inner.probe(cx).await
    }

    fn positions(&self) -> Option<&dyn Positions> {
        self.inner.positions().map(|_| self as _)
    }

    fn datasets(&self) -> Option<&dyn Datasets> {
        self.inner.datasets().map(|_| self as _)
    }

    fn clocks(&self) -> Option<&dyn crate::Clocks> {
        self.inner.clocks()
    }

    fn files(&self) -> Option<&dyn Files> {
        self.inner.files().map(|_| self as _)
    }
}

#[async_trait]
impl Positions for FaultyStore {
    async fn current(&self, cx: &Context) -> Result<Position> {
        self.script.begin(cx, Call::Current, None).await?;
        self.inner_positions()?.current(cx).await
    }

    async fn wait_for(&self, cx: &Context, fence: &Position) -> Result<Position> {
        self.script.begin(cx, Call::WaitFor, None).await?;
        self.inner_positions()?.wait_for(cx, fence).await
    }

    async fn observe(&self, cx: &Context) -> Result<Observation> {
        self.script.begin(cx, Call::Observe, None).await?;
        self.inner_positions()?.observe(cx).await
    }

    async fn coverage(&self, cx: &Context) -> Result<Coverage> {
        self.script.begin(cx, Call::Coverage, None).await?;
        self.inner_positions()?.coverage(cx).await
    }
}

#[async_trait]
impl Files for FaultyStore {
    async fn manifest(&self, cx: &Context) -> Result<FileManifest> {
        self.script.begin(cx, Call::Manifest, None).await?;
        self.inner.files().ok_or_else(|| Error::unsupported("files"))?.manifest(cx).await
    }
}

#[async_trait]
impl Datasets for FaultyStore {
    async fn list(&self, cx: &Context) -> Result<Vec<Dataset>> {
        let faults = self.script.begin(cx, Call::List, None).await?;
        let nothing = faults.iter().any(|fault| matches!(fault, Fault::FindNothing));
        if nothing { Ok(Vec::new()) } else { self.inner_datasets()?.list(cx).await }
    }

    async fn describe(&self, cx: &Context, dataset: &Dataset) -> Result<Description> {
        self.script.begin(cx, Call::Describe, None).await?;
        self.inner_datasets()?.describe(cx, dataset).await
    }

    fn wire_engine(&self) -> Option<&'static str> {
        self.inner.datasets().and_then(Datasets::wire_engine)
    }

    fn wire_canon(
        &self,
        source: &Description,
        replica: &Description,
        pairs: &[(String, String)],
        key: &[String],
        policies: Policies,
    ) -> Result<Canon, Vec<Incompatible>> {
        match self.inner.datasets() {
            Some(datasets) => datasets.wire_canon(source, replica, pairs, key, policies),
            None => Err(Vec::new()),
        }
    }

    fn rereads_cheaply(&self) -> bool {
        self.inner.datasets().is_some_and(Datasets::rereads_cheaply)
    }

    async fn open(&self, cx: &Context, request: &ScanRequest) -> Result<Box<dyn Scan>> {
        self.script.begin(cx, Call::Open, None).await?;
        let inner = self.inner_datasets()?.open(cx, request).await?;
        Ok(Box::new(scan::FaultyScan { inner, script: Arc::clone(&self.script) }))
    }
}
