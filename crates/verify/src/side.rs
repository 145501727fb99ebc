//! One side of a comparison: opening a view, digesting its splits in parallel, trying again.

use crate::Budget;
use paritas_connect::{BlockSink, Context, Error, FailureKind, Result, Scan, ScanRequest, Split, SplitDone, Store};
use paritas_digest::{Block, BucketSet, Capacity, DigestError, Digester, RowSummer, RowSums, Spec, Sums};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often a split is read again after a transient failure, and how long to wait in between.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Readings of one split, at most.
    pub attempts_max: u32,
    /// Wait before the second reading; doubled each time.
    pub pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts_max: 5, pause: Duration::from_millis(100) }
    }
}

/// One side: a store, its context, and what limits reading it.
#[derive(Debug, Clone)]
pub struct Side {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Deadline, cancel and counters of this side.
    pub cx: Context,
    /// Limit shared by both sides.
    pub budget: Arc<Budget>,
    /// How to try again.
    pub retry: Retry,
}

/// A pinned view, shared by the tasks that read it. Released with the last of them.
pub(crate) type View = Arc<dyn Scan>;

/// What reading a side amounted to.
#[derive(Debug)]
pub(crate) struct SideDigest {
    /// The view that was read; still open.
    pub(crate) scan: View,
    /// Sums over all splits.
    pub(crate) sums: Sums,
    /// Bytes read.
    pub(crate) bytes: u64,
    /// Whether the view that was handed in was lost, so that another, newer one was read.
    pub(crate) reopened: bool,
}

/// Reading a whole view anew after its snapshot was lost, at most.
const VIEWS_MAX: u32 = 3;

impl Side {
    /// A side with the usual limits.
    pub fn new(store: Arc<dyn Store>, cx: Context) -> Self {
        Self { store, cx, budget: Arc::default(), retry: Retry::default() }
    }

    /// Pins a view.
    pub(crate) async fn open(&self, request: &ScanRequest) -> Result<View> {
        let datasets = self.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
        self.again("open a view", || datasets.open(&self.cx, request)).await.map(Arc::from)
    }

    /// Does something that may be tried again, within the deadline and the cancel of this side.
    pub(crate) async fn again<T, F>(&self, what: &str, work: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pause = self.retry.pause;
        let mut attempt = 1;
        loop {
            match self.cx.bound(work()).await {
                Err(error) if error.is_transient() && attempt < self.retry.attempts_max => {
                    tracing::info!(store = self.store.name(), %error, attempt, what, "failed, trying again");
                    self.pause(pause).await?;
                    pause = pause.saturating_mul(2);
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    /// Digests all splits of `scan`. When the view itself is lost, opens another and starts over.
    pub(crate) async fn digest(
        &self,
        scan: View,
        request: &ScanRequest,
        spec: &Arc<Spec>,
        capacity: Capacity,
    ) -> Result<SideDigest> {
        let mut scan = scan;
        let mut view = 1;
        loop {
            match self.digest_view(&scan, spec, capacity, None).await {
                Ok((sums, bytes)) => return Ok(SideDigest { scan, sums, bytes, reopened: view > 1 }),
                Err(error) if error.is_transient() && view < VIEWS_MAX => {
                    tracing::warn!(store = self.store.name(), %error, view, "view lost, opening another");
                    drop(scan);
                    scan = self.open(request).await?;
                    view += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Digests all splits of a view, some at a time; with `only`, rows of other buckets are skipped.
    pub(crate) async fn digest_view(
        &self,
        scan: &View,
        spec: &Arc<Spec>,
        capacity: Capacity,
        only: Option<&Arc<BucketSet>>,
    ) -> Result<(Sums, u64)> {
        let mut total = Sums::new(spec.key_form(), capacity);
        let mut bytes = 0_u64;
        let work = |side: Self, scan: View, split: Split| {
            let (spec, only) = (Arc::clone(spec), only.cloned());
            async move {
                let fresh = || {
                    let digester = Digester::new(Arc::clone(&spec), capacity);
                    match &only {
                        Some(buckets) => digester.only_buckets(Arc::clone(buckets)),
                        None => digester,
                    }
                };
                let (digester, read) = side.take_split(&*scan, &split, fresh).await?;
                Ok((digester.finish(), read))
            }
        };
        self.each_split(scan, work, |(sums, read)| {
            total.merge(&sums).map_err(|error| {
                Error::new(FailureKind::Permanent, "internal.digest", "digests of two splits do not add up")
                    .because(error)
            })?;
            bytes = bytes.saturating_add(read);
            Ok(())
        })
        .await?;
        Ok((total, bytes))
    }

    /// Adds up the row hashes of all splits of a view, some at a time.
    pub(crate) async fn sum_view(&self, scan: &View, spec: &Arc<Spec>) -> Result<(RowSums, u64)> {
        let mut total = RowSums::default();
        let mut bytes = 0_u64;
        let work = |side: Self, scan: View, split: Split| {
            let spec = Arc::clone(spec);
            async move {
                let fresh = || RowSummer::new(Arc::clone(&spec));
                let (summer, read) = side.take_split(&*scan, &split, fresh).await?;
                Ok((summer.finish(), read))
            }
        };
        self.each_split(scan, work, |(sums, read)| {
            total.merge(&sums);
            bytes = bytes.saturating_add(read);
            Ok(())
        })
        .await?;
        Ok((total, bytes))
    }

    /// Reads one split into what `fresh` makes, and how many bytes that were.
    async fn take_split<A: Accumulate>(
        &self,
        scan: &dyn Scan,
        split: &Split,
        fresh: impl Fn() -> A,
    ) -> Result<(A, u64)> {
        let (sink, done) = self.read_split(scan, split, || Counted { inner: fresh(), rows: 0 }).await?;
        // Rows are counted where they are handed out and where they are digested.
        let digested = sink.rows;
        if digested != done.rows {
            let message = format!("{}: {} rows were handed out and {digested} digested", split.label, done.rows);
            return Err(Error::new(FailureKind::Permanent, "data.truncated", message));
        }
        Ok((sink.inner, done.bytes))
    }

    /// Does `work` for all splits of a view, each in a task of its own and as many at a time as this
    /// side may, and hands what each came to to `take`. Ends all of them at the first error, and
    /// returns when none of them holds the view any more.
    pub(crate) async fn each_split<T, F>(
        &self,
        scan: &View,
        work: impl Fn(Self, View, Split) -> F,
        take: impl FnMut(T) -> Result<()>,
    ) -> Result<()>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let waiting = scan.splits().iter().map(|split| work(self.clone(), Arc::clone(scan), split.clone()));
        some_at_a_time(self.cx.parallel(), waiting, take).await
    }

    /// Reads one split into a fresh sink, again after transient failures.
    pub(crate) async fn read_split<S: BlockSink>(
        &self,
        scan: &dyn Scan,
        split: &Split,
        fresh: impl Fn() -> S,
    ) -> Result<(S, SplitDone)> {
        let mut pause = self.retry.pause;
        for attempt in 1.. {
            self.cx.check()?;
            let mut sink = Charged { inner: fresh(), budget: &self.budget };
            match self.cx.bound(scan.read(&self.cx, split, &mut sink)).await {
                Ok(done) => {
                    self.budget.charge(0, done.bytes)?;
                    return Ok((sink.inner, done));
                }
                Err(error) if error.is_transient() && attempt < self.retry.attempts_max => {
                    tracing::info!(store = self.store.name(), split = split.label, %error, attempt, "reading again");
                    self.pause(pause).await?;
                    pause = pause.saturating_mul(2);
                }
                Err(error) => return Err(error.context(&split.label)),
            }
        }
        Err(Error::cancelled())
    }

    /// Waits, within the deadline and the cancel of this side.
    pub(crate) async fn pause(&self, pause: Duration) -> Result<()> {
        self.cx
            .bound(async {
                tokio::time::sleep(pause).await;
                Ok(())
            })
            .await
    }
}

/// Does pieces of work, each in a task of its own and so many at a time, and hands what each came to to `take`. Ends all
/// of them at the first error, and returns when none is left.
pub(crate) async fn some_at_a_time<T, F>(
    parallel: usize,
    mut waiting: impl Iterator<Item = F>,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for first in waiting.by_ref().take(parallel) {
        tasks.spawn(first);
    }
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        result = ended.unwrap_or_else(|error| Err(ended_early(error))).and_then(&mut take);
        match waiting.next() {
            _ if result.is_err() => break,
            Some(next) => drop(tasks.spawn(next)),
            None => {}
        }
    }
    tasks.shutdown().await;
    result
}

pub(crate) fn ended_early(error: tokio::task::JoinError) -> Error {
    Error::new(FailureKind::Permanent, "internal.task", "the reading of a split ended early").because(error)
}

/// Takes the rows of blocks into sums of some kind.
trait Accumulate: Send {
    fn add(&mut self, block: &Block) -> std::result::Result<(), DigestError>;
}

impl Accumulate for Digester {
    fn add(&mut self, block: &Block) -> std::result::Result<(), DigestError> {
        Self::add(self, block)
    }
}

impl Accumulate for RowSummer {
    fn add(&mut self, block: &Block) -> std::result::Result<(), DigestError> {
        Self::add(self, block)
    }
}

/// Counts rows as they come.
struct Counted<A> {
    inner: A,
    rows: u64,
}

impl<A: Accumulate> BlockSink for Counted<A> {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.rows += block.rows() as u64;
        self.inner.add(&block).map_err(Into::into)
    }
}

/// Counts rows against the budget before passing them on.
struct Charged<'a, S> {
    inner: S,
    budget: &'a Budget,
}

impl<S: BlockSink> BlockSink for Charged<'_, S> {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.budget.charge(block.rows() as u64, 0)?;
        self.inner.accept(block)
    }
}
