//! Going slowly: limits on rows and bytes a second, and pauses while a store needs its strength.

use crate::{Error, FailureKind, Result};
use paritas_model::{ParseQuantityError, parse_size};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Reading may run ahead of its rate by this much, so that chunks need no exact timing.
const AHEAD: Duration = Duration::from_millis(100);
/// How often a pause is looked at again: it ends, and a run is cancelled, within this time.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How fast a store may be read. Without limits, as fast as it gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Rows a second.
    pub rows: Option<u64>,
    /// Bytes a second.
    pub bytes: Option<u64>,
}

impl Rate {
    /// Time that reading so much takes at least.
    pub fn cost(&self, rows: u64, bytes: u64) -> Duration {
        let share = |count: u64, limit: Option<u64>| match limit {
            Some(limit) => Duration::try_from_secs_f64(count as f64 / limit.max(1) as f64).unwrap_or(Duration::MAX),
            None => Duration::ZERO,
        };
        share(rows, self.rows).max(share(bytes, self.bytes))
    }

    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        self.rows.is_some() || self.bytes.is_some()
    }
}

/// One limit of a rate: `50MiB/s`, `100000rows/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimit {
    /// Rows a second.
    Rows(u64),
    /// Bytes a second.
    Bytes(u64),
}

impl FromStr for RateLimit {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hint = "write a size or a number of rows a second, such as 50MiB/s or 100000rows/s";
        let error = || ParseQuantityError { what: "rate", text: text.to_owned(), hint };
        let count = text.strip_suffix("/s").ok_or_else(error)?;
        let limit = match count.strip_suffix("rows") {
            Some(rows) => Self::Rows(whole(rows).ok_or_else(error)?),
            None => Self::Bytes(parse_size(count).map_err(|_| error())?),
        };
        if matches!(limit, Self::Rows(0) | Self::Bytes(0)) { Err(error()) } else { Ok(limit) }
    }
}

/// A whole number above zero, also as `1e6`.
fn whole(text: &str) -> Option<u64> {
    let number: f64 = text.trim().parse().ok()?;
    let whole = number.is_finite() && (1.0..=1e18).contains(&number) && number.fract() == 0.0;
    whole.then_some(number as u64)
}

impl FromIterator<RateLimit> for Rate {
    /// Puts limits together; the last one of a kind wins.
    fn from_iter<I: IntoIterator<Item = RateLimit>>(limits: I) -> Self {
        let mut rate = Self::default();
        for limit in limits {
            match limit {
                RateLimit::Rows(rows) => rate.rows = Some(rows),
                RateLimit::Bytes(bytes) => rate.bytes = Some(bytes),
            }
        }
        rate
    }
}

/// How a run treats the stores it reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manners {
    /// How fast each side may be read.
    pub rate: Rate,
    /// Reading is held while a replica is behind by more bytes of history than this.
    pub pause_lag: Option<u64>,
    /// How long one view of a table may be held open, where something is said about it.
    pub view_max: Option<Duration>,
}

impl Manners {
    /// How long one view of a table may be held open when nothing is said about it.
    pub const VIEW_MAX: Duration = Duration::from_secs(60);

    /// These, and `others` where these say nothing.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            rate: Rate { rows: self.rate.rows.or(others.rate.rows), bytes: self.rate.bytes.or(others.rate.bytes) },
            pause_lag: self.pause_lag.or(others.pause_lag),
            view_max: self.view_max.or(others.view_max),
        }
    }

    /// How long one view of a table may be held open.
    #[must_use]
    pub fn view_max(&self) -> Duration {
        self.view_max.unwrap_or(Self::VIEW_MAX)
    }
}

/// The pace of all readers of one store together.
#[derive(Debug, Default)]
pub struct Pace {
    rate: Rate,
    /// When what was read so far is paid for.
    paid: Mutex<Option<Instant>>,
    /// Since when every reader is held.
    held: Mutex<Option<Instant>>,
    /// After this long it is no pause any more.
    hold_max: Option<Duration>,
}

impl Pace {
    /// A pace of at most this rate.
    pub fn new(rate: Rate) -> Self {
        Self { rate, ..Self::default() }
    }

    /// A pause that lasts longer than this ends the reading.
    #[must_use]
    pub fn with_hold_max(self, hold_max: Duration) -> Self {
        Self { hold_max: Some(hold_max), ..self }
    }

    /// Counts what was read.
    pub fn charge(&self, rows: u64, bytes: u64) {
        if self.rate.is_limited() {
            self.charge_at(rows, bytes, Instant::now());
        }
    }

    fn charge_at(&self, rows: u64, bytes: u64, now: Instant) {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        // Time in which nothing was read is not saved up.
        let from = paid.map_or(now, |paid| paid.max(now));
        *paid = Some(from.checked_add(self.rate.cost(rows, bytes)).unwrap_or(from));
    }

    /// Holds every reader, or lets them go on.
    pub fn pause(&self, paused: bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = paused.then(|| held.unwrap_or_else(Instant::now));
    }

    /// Whether readers are held.
    pub fn is_paused(&self) -> bool {
        self.held_since().is_some()
    }

    fn held_since(&self) -> Option<Instant> {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Errors once a pause has lasted too long: a view must not be held for ever.
    ///
    /// # Errors
    /// `run.held`.
    pub fn check(&self) -> Result<()> {
        match (self.held_since(), self.hold_max) {
            (Some(since), Some(max)) if since.elapsed() > max => {
                let message = "reading was held for too long, because the replica is too far behind";
                Err(Error::new(FailureKind::Deadline, "run.held", message)
                    .hint("run again (--resume goes on) when it has caught up, or raise --pause-lag"))
            }
            _ => Ok(()),
        }
    }

    /// How long a reader has to wait before it looks again; `None` when it may go on.
    pub fn delay(&self) -> Option<Duration> {
        if self.is_paused() {
            return Some(LOOK_AGAIN);
        }
        self.delay_at(Instant::now())
    }

    fn delay_at(&self, now: Instant) -> Option<Duration> {
        let paid = (*self.paid.lock().unwrap_or_else(PoisonError::into_inner))?;
        let ahead = paid.saturating_duration_since(now);
        ahead.checked_sub(AHEAD).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pace_without_limits_never_waits_until_it_is_paused() {
        let pace = Pace::default();
        pace.charge(u64::MAX, u64::MAX);
        assert_eq!(pace.delay(), None);
        pace.pause(true);
        assert_eq!((pace.delay(), pace.check().is_ok()), (Some(LOOK_AGAIN), true));
        let impatient = Pace::new(Rate::default()).with_hold_max(Duration::ZERO);
        assert!(impatient.check().is_ok());
        impatient.pause(true);
        std::thread::sleep(Duration::from_millis(1));
        assert!(impatient.check().is_err_and(|error| error.code() == "run.held"));
        pace.pause(false);
        assert_eq!(pace.delay(), None);
    }

    proptest! {
        #[test]
        fn what_is_read_too_fast_has_to_be_waited_for(
            rate in 1_u64..1_000_000,
            seconds in 2_u64..100,
            by_bytes: bool,
        ) {
            let limit = Some(rate);
            let rate_of = if by_bytes { Rate { rows: None, bytes: limit } } else { Rate { rows: limit, bytes: None } };
            let pace = Pace::new(rate_of);
            let now = Instant::now();
            for _ in 0..seconds {
                if by_bytes { pace.charge_at(1, rate, now) } else { pace.charge_at(rate, 1, now) }
            }
            prop_assert_eq!(pace.delay_at(now), Some(Duration::from_secs(seconds) - AHEAD));
            prop_assert_eq!(pace.delay_at(now + Duration::from_secs(seconds)), None);
            // Time in which nothing was read is not saved up.
            let later = now + Duration::from_secs(10 * seconds);
            pace.charge_at(rate, rate, later);
            prop_assert_eq!(pace.delay_at(later), Some(Duration::from_secs(1) - AHEAD));
        }
    }
}
