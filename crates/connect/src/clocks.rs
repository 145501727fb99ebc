//! What time it is by a store's own clock, and the newest time that a dataset holds.

use crate::{Context, Result};
use async_trait::async_trait;
use paritas_model::Dataset;
use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock of a store. Nothing is written to learn what it shows.
#[async_trait]
pub trait Clocks: Debug + Send + Sync {
    /// Asks once, in one round trip on a connection that is kept for the next call. The first call may take longer:
    /// only the question itself lies between the two stamps of the answer.
    async fn clock(&self, cx: &Context) -> Result<ClockReading>;

    /// What is asked, for reports: `clock_timestamp()`, `HTTP Date`.
    fn method(&self) -> &'static str;
}

/// A moment on our side, by the clock that goes steadily and by the one on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStamp {
    /// The steady clock.
    pub at: Instant,
    /// Microseconds since 1970 by this machine's clock.
    pub wall_us: i64,
}

/// One answer about a clock, and when it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockReading {
    /// The question was about to be sent.
    pub begin: ClockStamp,
    /// The answer was there.
    pub end: ClockStamp,
    /// What it said.
    pub shows: ClockShows,
}

/// What an answer says of a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClockShows {
    /// At some moment between question and answer it showed a time in here.
    Time {
        /// No less than this, in microseconds since 1970.
        low_us: i64,
        /// No more than this, as far as its resolution says.
        high_us: i64,
    },
    /// The store has the clock of this machine.
    Ours,
    /// It told nothing. The round trip was one all the same.
    Untold {
        /// Why, as a sentence without a full stop.
        why: String,
    },
}

impl ClockStamp {
    /// Now.
    pub fn now() -> Self {
        Self { at: Instant::now(), wall_us: micros(SystemTime::now()) }
    }
}

impl ClockReading {
    /// The time between question and answer.
    pub fn round_trip(&self) -> Duration {
        self.end.at.saturating_duration_since(self.begin.at)
    }
}

/// A time as microseconds since 1970, rounded down.
pub fn micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| us.saturating_neg() - 1),
    }
}

/// Which time of a dataset is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestRequest {
    /// The dataset, by its name on this store.
    pub dataset: Dataset,
    /// The column that holds times, by its name on this store; without one, the times that the store itself keeps of
    /// its records.
    pub column: Option<String>,
    /// A condition in the store's own language.
    pub filter: Option<String>,
    /// Times beyond this, in microseconds since 1970, are counted apart and are not the newest one.
    pub limit_us: i64,
}

/// The newest time of a dataset, all parts seen in one view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestSeen {
    /// The newest time that is not beyond the limit, as the interval that its type means, in microseconds since 1970;
    /// `None` where there is none.
    pub newest: Option<(i64, i64)>,
    /// Whether there is any row at all, with a time or without one.
    pub any: bool,
    /// Rows whose time is beyond the limit.
    pub beyond: u64,
    /// Whether these are all of them.
    pub beyond_whole: bool,
    /// The question was about to be sent.
    pub asked: ClockStamp,
    /// The answer was there.
    pub answered: ClockStamp,
    /// How it was found: `max`, `scan`, `records`.
    pub method: &'static str,
    /// What to know about the times, such as that they have no zone.
    pub note: Option<String>,
}

/// Rows with a time beyond the limit are counted up to here.
pub const BEYOND_MAX: u64 = 1_000_000;
