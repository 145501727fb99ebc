//! How long what is kept.

use std::time::Duration;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// How long what is kept. A time never ends before what is made of it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Single samples of lag.
    pub raw: Duration,
    /// Samples of a minute, added up.
    pub minutes: Duration,
    /// Samples of an hour, added up.
    pub hours: Duration,
    /// Runs of `lag` that passed, with their reports: there is one for every sample.
    pub lag_runs: Duration,
    /// All other runs, with their reports.
    pub runs: Duration,
    /// Runs that tell what a failover cost, and their reports.
    pub recoveries: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let of = Duration::from_secs;
        Self {
            raw: of(48 * HOUR),
            minutes: of(30 * DAY),
            hours: of(730 * DAY),
            lag_runs: of(30 * DAY),
            runs: of(400 * DAY),
            recoveries: of(730 * DAY),
        }
    }
}

/// A moment that long ago, in microseconds since 1970.
pub(super) fn ago(now: i64, age: Duration) -> i64 {
    now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}
