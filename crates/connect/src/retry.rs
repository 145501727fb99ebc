//! Trying again what may go away by itself, within named limits.

use crate::{Context, Result};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use std::fmt::Display;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

/// How often and how long something is tried again. Every wait is twice the one before plus a random
/// part of up to its own length, so that many clients of one server do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least one is made.
    pub attempts_max: usize,
    /// Wait before the second attempt.
    pub pause_min: Duration,
    /// No wait grows beyond this (before its random part).
    pub pause_max: Duration,
    /// No further attempt begins once this much time has passed since the first.
    pub total_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
            total_max: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// One attempt only.
    pub const ONCE: Self =
        Self { attempts_max: 1, pause_min: Duration::ZERO, pause_max: Duration::ZERO, total_max: Duration::ZERO };

    fn pauses(&self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new()
            .with_min_delay(self.pause_min)
            .with_max_delay(self.pause_max.max(self.pause_min))
            .with_max_times(self.attempts_max.saturating_sub(1))
            .with_jitter()
            // A seed of its own for every call; the library's own one is the same in all processes.
            .with_jitter_seed(RandomState::new().build_hasher().finish())
            .build()
    }
}

/// Runs `work` until it succeeds, fails for good, or the policy or the context ends it. Only
/// transient errors are tried again. Each attempt is bound by the deadline and the cancel of `cx`.
///
/// # Errors
/// The error of the last attempt; after more than one attempt its message says how many there were.
/// An error that is left because the deadline has no room for another attempt stays the transient
/// error it was: it says more than that time ran out. `run.deadline` or `run.cancelled` when `cx`
/// ends during an attempt or a wait.
pub async fn retry<T, F, Fut>(cx: &Context, policy: &RetryPolicy, what: impl Display, mut work: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let begun = Instant::now();
    let mut pauses = policy.pauses();
    let mut attempts = 0_usize;
    loop {
        cx.check()?;
        attempts += 1;
        let error = match cx.bound(work()).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let next = pauses.next().filter(|pause| {
            let passed = begun.elapsed().saturating_add(*pause);
            error.is_transient() && passed <= policy.total_max && cx.remaining().is_none_or(|left| *pause < left)
        });
        let Some(pause) = next else {
            return Err(if attempts > 1 { error.context(format_args!("{what} ({attempts} attempts)")) } else { error });
        };
        tracing::debug!(%what, attempts, pause_ms = pause.as_millis(), error = error.message(), "trying again");
        cx.bound(async {
            tokio::time::sleep(pause).await;
            Ok(())
        })
        .await?;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Error, FailureKind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const FAST: RetryPolicy = RetryPolicy {
        attempts_max: 4,
        pause_min: Duration::from_micros(10),
        pause_max: Duration::from_micros(50),
        total_max: Duration::from_secs(60),
    };

    /// Fails with `kind` until the `good`-th attempt; returns the result and the attempts made.
    async fn run(cx: &Context, policy: &RetryPolicy, kind: FailureKind, good: usize) -> (Result<usize>, usize) {
        let attempts = AtomicUsize::new(0);
        let result = retry(cx, policy, "connect", || async {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
            if attempt >= good { Ok(attempt) } else { Err(Error::new(kind, "store.unreachable", "refused")) }
        })
        .await;
        (result, attempts.into_inner())
    }

    #[tokio::test]
    async fn a_transient_error_is_tried_again_until_it_goes_away() {
        let (result, attempts) = run(&Context::default(), &FAST, FailureKind::Transient, 3).await;
        assert_eq!((result.unwrap(), attempts), (3, 3));
    }

    #[tokio::test]
    async fn the_last_error_says_how_many_attempts_were_made() {
        let (result, attempts) = run(&Context::default(), &FAST, FailureKind::Transient, 99).await;
        let error = result.unwrap_err();
        assert_eq!((error.message(), attempts), ("connect (4 attempts): refused", 4));
        assert_eq!(error.kind(), FailureKind::Transient);
    }

    #[tokio::test]
    async fn what_will_not_go_away_is_tried_once() {
        for kind in [FailureKind::Permanent, FailureKind::Denied, FailureKind::Damaged] {
            let (result, attempts) = run(&Context::default(), &FAST, kind, 99).await;
            assert_eq!((result.unwrap_err().message(), attempts), ("refused", 1), "{kind:?}");
        }
        let (result, attempts) = run(&Context::default(), &RetryPolicy::ONCE, FailureKind::Transient, 99).await;
        assert_eq!((result.unwrap_err().message(), attempts), ("refused", 1));
    }

    #[tokio::test]
    async fn the_total_time_and_the_deadline_leave_the_real_error() {
        let slow = RetryPolicy { pause_min: Duration::from_secs(3600), pause_max: Duration::from_secs(3600), ..FAST };
        let (result, attempts) = run(&Context::default(), &slow, FailureKind::Transient, 99).await;
        assert_eq!((result.unwrap_err().message(), attempts), ("refused", 1));

        let patient = RetryPolicy { total_max: Duration::MAX, ..slow };
        let cx = Context::default().with_timeout(Duration::from_secs(60));
        let (result, attempts) = run(&cx, &patient, FailureKind::Transient, 99).await;
        assert_eq!((result.unwrap_err().code(), attempts), ("store.unreachable", 1));
    }

    #[tokio::test]
    async fn a_cancel_ends_the_wait_and_prevents_the_first_attempt() {
        let cx = Context::default();
        let patient = RetryPolicy {
            pause_min: Duration::from_secs(3600),
            pause_max: Duration::from_secs(3600),
            total_max: Duration::MAX,
            ..FAST
        };
        let failing = run(&cx, &patient, FailureKind::Transient, 99);
        let ((result, attempts), ()) = tokio::join!(failing, async { cx.cancel_token().cancel() });
        assert_eq!((result.unwrap_err().code(), attempts), ("run.cancelled", 1));

        let (result, attempts) = run(&cx, &FAST, FailureKind::Transient, 1).await;
        assert_eq!((result.unwrap_err().code(), attempts), ("run.cancelled", 0));
    }

    #[test]
    fn pauses_grow_to_their_limit_and_vary() {
        let policy = RetryPolicy { attempts_max: 12, ..RetryPolicy::default() };
        let pauses: Vec<Duration> = policy.pauses().collect();
        assert_eq!(pauses.len(), 11);
        for (i, pause) in pauses.iter().enumerate() {
            let base = policy.pause_max.min(policy.pause_min * 2_u32.pow(u32::try_from(i).unwrap()));
            assert!((base..=base * 2).contains(pause), "{i}: {pause:?}");
        }
        assert_ne!(pauses, policy.pauses().collect::<Vec<_>>());
    }
}
