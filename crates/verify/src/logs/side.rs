//! One side of a comparison of logs.

use crate::{Budget, Retry};
use paritas_connect::logs::{Ends, Logs, Partition};
use paritas_connect::{Context, Error, FailureKind, Result};
use paritas_model::Known;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A store of logs, its context, and what limits reading it.
#[derive(Debug, Clone)]
pub struct LogSide {
    /// The store.
    pub logs: Arc<dyn Logs>,
    /// Its name in messages.
    pub name: String,
    /// Deadline, cancel, counters and pace of this side.
    pub cx: Context,
    /// Limit shared by both sides.
    pub budget: Arc<Budget>,
    /// How to try again.
    pub retry: Retry,
}

impl LogSide {
    /// A side with the usual limits.
    pub fn new(name: &str, logs: Arc<dyn Logs>, cx: Context) -> Self {
        Self { logs, name: name.to_owned(), cx, budget: Arc::default(), retry: Retry::default() }
    }

    /// Where partitions begin and end, tried again after transient failures.
    pub(super) async fn ends(&self, partitions: &[Partition]) -> Result<Vec<Result<Ends>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let ends = self.again(|| self.logs.ends(&self.cx, partitions)).await?;
        if ends.len() != partitions.len() {
            let what = format!("{} partitions were asked for and {} answered", partitions.len(), ends.len());
            return Err(Error::new(FailureKind::Permanent, "log.short", what));
        }
        let known = |(ends, at): (Known<Ends>, &Partition)| match ends {
            Known::Known(ends) => Ok(ends),
            Known::Unknown { why } => {
                let what = format!("where {at} begins and ends is unknown");
                let hint = "see that the partition is there, that a broker leads it, and that it may be described";
                Err(Error::new(FailureKind::Permanent, "log.unknown", what).detail(why).hint(hint))
            }
        };
        Ok(ends.into_iter().zip(partitions).map(known).collect())
    }

    async fn again<T, F>(&self, work: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pause = self.retry.pause;
        for attempt in 1..=self.retry.attempts_max.max(1) {
            match self.cx.bound(work()).await {
                Err(error) if error.is_transient() && attempt < self.retry.attempts_max => {
                    tracing::info!(store = self.name, %error, attempt, "failed, trying again");
                    self.pause(pause).await?;
                    pause = pause.saturating_mul(2);
                }
                other => return other,
            }
        }
        Err(Error::cancelled())
    }

    /// Waits, within the deadline and the cancel of this side.
    pub(super) async fn pause(&self, pause: Duration) -> Result<()> {
        let sleep = async {
            tokio::time::sleep(pause).await;
            Ok(())
        };
        self.cx.bound(sleep).await
    }
}
