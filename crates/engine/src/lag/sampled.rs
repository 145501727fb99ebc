//! A store that is observed for all of its links at once: a hub with many replicas is asked once a
//! round, not once for each of them.

use crate::error::problem_of;
use crate::registry::Opened;
use paritas_connect::{Context, Error, FailureKind, Observation};
use paritas_report::Problem;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;

/// Why a store could not be observed.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) problem: Problem,
    pub(super) kind: FailureKind,
}

type Answer = Result<Arc<Observation>, Failed>;

/// A store, and what it said last.
#[derive(Debug)]
pub(super) struct Sampled {
    pub(super) opened: Opened,
    /// The last answer, and when its question was asked. Whoever holds the lock is asking.
    last: Mutex<Option<(Instant, Answer)>>,
}

impl Sampled {
    pub(super) fn new(opened: Opened) -> Arc<Self> {
        Arc::new(Self { opened, last: Mutex::new(None) })
    }

    /// What the store said to a question that was asked at that moment or later, by whomever.
    pub(super) async fn since(&self, cx: &Context, earliest: Instant) -> Answer {
        let lock = async { Ok(self.last.lock().await) };
        let mut last = cx.bound(lock).await.map_err(|error| failed(&error))?;
        if let Some((asked, answer)) = last.as_ref().filter(|(asked, _)| *asked >= earliest) {
            tracing::trace!(store = self.opened.store.name(), age_ms = asked.elapsed().as_millis(), "shared");
            return answer.clone();
        }
        let asked = Instant::now();
        let answer = observe(cx, &self.opened).await.map(Arc::new).map_err(|error| failed(&error));
        // Connecting takes time: what counts is when the positions were asked for.
        let asked = answer.as_ref().map_or(asked, |seen| seen.begin);
        *last = Some((asked, answer.clone()));
        answer
    }
}

fn failed(error: &Error) -> Failed {
    Failed { problem: problem_of(error), kind: error.kind() }
}

async fn observe(cx: &Context, opened: &Opened) -> Result<Observation, Error> {
    let positions = opened.store.positions().ok_or_else(|| Error::unsupported("positions, so it cannot lag"))?;
    cx.bound(positions.observe(cx)).await
}
