//! What every call into a store carries: deadline, cancel, progress.

use crate::pace::LOOK_AGAIN;
use crate::{Error, Pace, Result};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How far one side has come. Shared with whoever shows progress; counters only grow.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
    rows_expected: AtomicU64,
    bytes_expected: AtomicU64,
}

impl Progress {
    /// Counts rows and bytes read.
    pub fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds to what is expected, as far as it can be estimated.
    pub fn expect(&self, rows: u64, bytes: u64) {
        self.rows_expected.fetch_add(rows, Ordering::Relaxed);
        self.bytes_expected.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Rows read so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Rows expected in all, 0 if nobody could say.
    pub fn rows_expected(&self) -> u64 {
        self.rows_expected.load(Ordering::Relaxed)
    }

    /// Bytes expected in all, 0 if nobody could say.
    pub fn bytes_expected(&self) -> u64 {
        self.bytes_expected.load(Ordering::Relaxed)
    }
}

/// Deadline, cancel and progress of a run, handed to every call into a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    deadline: Option<Instant>,
    cancel: CancellationToken,
    progress: Arc<Progress>,
    parallel: usize,
    pace: Arc<Pace>,
}

impl Default for Context {
    fn default() -> Self {
        let parallel = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (progress, pace) = (Arc::default(), Arc::default());
        Self { deadline: None, cancel: CancellationToken::new(), progress, parallel, pace }
    }
}

impl Context {
    /// Ends every call at that moment.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |old| old.min(deadline)));
        self
    }

    /// Ends every call that long from now.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.with_deadline(deadline),
            None => self,
        }
    }

    /// The same deadline and cancel with counters of its own, for one side of a link.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// The same deadline and cancel at a pace of its own, for all reading of one store.
    #[must_use]
    pub fn with_pace(mut self, pace: Arc<Pace>) -> Self {
        self.pace = pace;
        self
    }

    /// At most that many splits, connections or threads at a time (at least 1).
    #[must_use]
    pub fn with_parallel(mut self, parallel: usize) -> Self {
        self.parallel = parallel.max(1);
        self
    }

    /// How many splits, connections or threads may work at a time.
    pub fn parallel(&self) -> usize {
        self.parallel
    }

    /// The counters to report to.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The pace of all reading of this side's store.
    pub fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Counts rows and bytes that were read, for whoever shows progress and for the pace.
    pub fn count(&self, rows: u64, bytes: u64) {
        self.progress.add(rows, bytes);
        self.pace.charge(rows, bytes);
    }

    /// Waits as long as the pace asks for. Every loop that reads calls it.
    ///
    /// # Errors
    /// `run.deadline` or `run.cancelled`.
    pub async fn breathe(&self) -> Result<()> {
        while let Some(wait) = self.pace.delay() {
            self.pace.check()?;
            self.bound(async {
                tokio::time::sleep(wait.min(LOOK_AGAIN)).await;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// The same on a thread that may block.
    ///
    /// # Errors
    /// `run.deadline` or `run.cancelled`.
    pub fn breathe_blocking(&self) -> Result<()> {
        while let Some(wait) = self.pace.delay() {
            self.pace.check()?;
            self.check()?;
            std::thread::sleep(wait.min(LOOK_AGAIN));
        }
        Ok(())
    }

    /// Cancelling this ends every call soon.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// When everything has to be over, if there is a deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Time left, if there is a deadline.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Errors once the deadline has passed or the run was cancelled. Every long loop calls it.
    ///
    /// # Errors
    /// `run.deadline` or `run.cancelled`.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::deadline());
        }
        Ok(())
    }

    /// Runs `work` until it ends, the deadline passes or the run is cancelled.
    ///
    /// # Errors
    /// Those of `work`, `run.deadline` or `run.cancelled`.
    pub async fn bound<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let sleep = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::cancelled()),
            result = work => result,
            () = sleep => Err(Error::deadline()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_at_the_deadline_and_on_cancel() {
        let context = Context::default().with_timeout(Duration::from_millis(1));
        let error = context.bound(std::future::pending::<Result<()>>()).await.unwrap_err();
        assert_eq!(error.code(), "run.deadline");
        assert!(context.check().is_err());

        let context = Context::default();
        context.cancel_token().cancel();
        assert_eq!(context.bound(async { Ok(()) }).await.unwrap_err().code(), "run.cancelled");
        assert_eq!(context.check().unwrap_err().code(), "run.cancelled");
    }

    #[test]
    fn a_later_deadline_never_extends_an_earlier_one() {
        let context = Context::default().with_timeout(Duration::ZERO).with_timeout(Duration::from_secs(60));
        assert_eq!(context.check().unwrap_err().code(), "run.deadline");
    }
}
