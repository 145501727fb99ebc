//! How far another clock is from ours, from answers that it gave at known times.
//!
//! A clock was read at some moment between the question and its answer, both of which are known on our clock. So each
//! answer bounds the distance between the clocks by an interval as wide as its round trip and the clock's resolution;
//! the true distance lies in all of them. Where they have nothing in common a clock was set meanwhile.

use std::time::Duration;

/// A moment on our side: a clock that is never set, and what the clock on the wall said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Time since one origin, on a clock that only goes forward.
    pub steady: Duration,
    /// Microseconds since 1970.
    pub wall_us: i64,
}

/// One answer of another clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The question was about to be sent.
    pub begin: Moment,
    /// The answer was there.
    pub end: Moment,
    /// What it showed at some moment in between, in microseconds since 1970: no less than this ...
    pub low_us: i64,
    /// ... and no more than this, as far as its resolution says.
    pub high_us: i64,
}

/// An interval of time with a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// No less than this, in microseconds.
    pub low_us: i64,
    /// No more than this.
    pub high_us: i64,
}

/// Which clock was set while the other one was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// Ours.
    Ours,
    /// The one that was asked.
    Theirs,
}

/// What some answers say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFinding {
    /// The other clock's time minus ours. After a jump everything that it was in between.
    pub offset: Offset,
    /// The shortest time between a question and its answer.
    pub round_trip: Duration,
    /// The longest one.
    pub slowest: Duration,
    /// Whether a clock was set meanwhile.
    pub jump: Option<Jump>,
}

/// A clock that is held in step may be made this much faster or slower, as a part of the time that passed (a
/// thousandth; NTP takes half of that at most).
const SLEW: u32 = 1_000;
/// The two clocks of one machine are read one after the other, and not at one moment.
const APART_US: i64 = 1_000;

impl Offset {
    /// No distance at all.
    pub const ZERO: Self = Self { low_us: 0, high_us: 0 };

    /// Everything between two clocks whose distances from a third one these are: this one minus the other.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { low_us: self.low_us.saturating_sub(other.high_us), high_us: self.high_us.saturating_sub(other.low_us) }
    }

    /// The smallest interval that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { low_us: self.low_us.min(other.low_us), high_us: self.high_us.max(other.high_us) }
    }

    /// What both hold; `None` where that is nothing.
    pub fn common(self, other: Self) -> Option<Self> {
        let both = Self { low_us: self.low_us.max(other.low_us), high_us: self.high_us.min(other.high_us) };
        (both.low_us <= both.high_us).then_some(both)
    }

    /// The distance without its sign.
    pub fn size(self) -> crate::Interval {
        let micros = |value: i64| Duration::from_micros(value.unsigned_abs());
        let (low, high) = (micros(self.low_us), micros(self.high_us));
        let low_size = if self.low_us <= 0 && self.high_us >= 0 { Duration::ZERO } else { low.min(high) };
        crate::Interval { low: low_size, high: Some(low.max(high)) }
    }

    fn widened(self, by_us: i64) -> Self {
        Self { low_us: self.low_us.saturating_sub(by_us), high_us: self.high_us.saturating_add(by_us) }
    }
}

impl Tick {
    fn round_trip(&self) -> Duration {
        self.end.steady.saturating_sub(self.begin.steady)
    }

    /// What it says about the distance, by our clock at these two times.
    fn offset(&self, begin_us: i64, end_us: i64) -> Offset {
        // Earliest reading against latest time of ours, and the other way round.
        Offset { low_us: self.low_us.saturating_sub(end_us), high_us: self.high_us.saturating_sub(begin_us) }
    }
}

/// What these answers say together, in the order in which they were asked for; `None` without any.
pub fn clock_offset(ticks: &[Tick]) -> Option<ClockFinding> {
    let (first, last) = (ticks.first()?, ticks.last()?);
    let round_trip = ticks.iter().map(Tick::round_trip).min()?;
    let slowest = ticks.iter().map(Tick::round_trip).max()?;
    let found = |offset, jump| Some(ClockFinding { offset, round_trip, slowest, jump });
    let ours_jumped = ticks.iter().any(|tick| jumped(first.begin, tick.begin) || jumped(first.begin, tick.end));
    let by_wall = ticks.iter().map(|tick| tick.offset(tick.begin.wall_us, tick.end.wall_us));
    let all = by_wall.reduce(Offset::hull)?;
    if ours_jumped {
        return found(all, Some(Jump::Ours));
    }
    // By the clock that goes on steadily from the first moment, so that a correction of ours adds nothing.
    let ours = |moment: Moment| first.begin.wall_us.saturating_add(micros(moment.steady, first.begin.steady));
    let mut common: Option<Offset> = None;
    for tick in ticks {
        let age_us = micros(last.end.steady, tick.begin.steady);
        let drift_us = age_us / i64::from(SLEW) + i64::from(age_us > 0);
        let offset = tick.offset(ours(tick.begin), ours(tick.end)).widened(drift_us);
        common = match common {
            None => Some(offset),
            Some(before) => match before.common(offset) {
                Some(both) => Some(both),
                None => return found(all, Some(Jump::Theirs)),
            },
        };
    }
    found(common?, None)
}

/// Whether our clock on the wall did not go as far as the steady one.
fn jumped(from: Moment, to: Moment) -> bool {
    let steady_us = micros(to.steady, from.steady);
    let apart_us = to.wall_us.saturating_sub(from.wall_us).saturating_sub(steady_us);
    apart_us.saturating_abs() > APART_US.saturating_add(steady_us / i64::from(SLEW))
}

fn micros(to: Duration, from: Duration) -> i64 {
    i64::try_from(to.saturating_sub(from).as_micros()).unwrap_or(i64::MAX)
}
