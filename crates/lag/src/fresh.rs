//! How old the newest row of a dataset is, from the time that it carries and clocks that may be wrong.
//!
//! Who wrote the time is not known: the store itself by its own clock, or a program by one like ours. Both are taken
//! into account, so the age is an interval; a time that lies in the future of both proves that a clock is wrong.

use crate::{Interval, Offset};
use std::time::Duration;

/// The newest time of a dataset, and when it was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The time lies in the store at no less than this, in microseconds since 1970 ...
    pub low_us: i64,
    /// ... and no more than this, as far as its type says (a date is a whole day).
    pub high_us: i64,
    /// Our clock when the question was about to be sent.
    pub asked_us: i64,
    /// Our clock when the answer was there.
    pub answered_us: i64,
}

/// What the newest time says about the age of the newest row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It lies in here.
    Within(Interval),
    /// The time is in the future, by at least this: whoever wrote it has a wrong clock, and the age is not known.
    Ahead(Duration),
}

/// The age of the newest row. `skew` is the distance of the store's clock from ours, where it is known; `agreed` is how
/// far clocks may be apart by what was promised, which makes a time that lies no further ahead no contradiction.
pub fn age(newest: &Newest, skew: Option<Offset>, agreed: Option<Duration>) -> Age {
    // Ours, and the store's: somebody wrote the time by one of them.
    let clocks = Offset::ZERO.hull(skew.unwrap_or(Offset::ZERO));
    let earliest_us = newest.asked_us.saturating_add(clocks.low_us).saturating_sub(newest.high_us);
    let latest_us = newest.answered_us.saturating_add(clocks.high_us).saturating_sub(newest.low_us);
    let micros = |value: i64| Duration::from_micros(u64::try_from(value).unwrap_or(0));
    if latest_us >= 0 {
        return Age::Within(Interval { low: micros(earliest_us), high: Some(micros(latest_us)) });
    }
    let ahead = micros(latest_us.saturating_neg());
    match agreed.filter(|agreed| ahead <= *agreed) {
        // Its clock is at most that far ahead, so it cannot have been written longer ago.
        Some(agreed) => Age::Within(Interval { low: Duration::ZERO, high: Some(agreed) }),
        None => Age::Ahead(ahead),
    }
}
