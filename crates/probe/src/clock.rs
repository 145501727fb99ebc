//! Moments of the probe's own clock, which only goes forward, and their times of day, which are for people.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A moment of a clock that is never set: nanoseconds since its start. Moments of different clocks (of the machine
/// before and after it was started again) have no distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Which clock, by its place in [`crate::Observation::clocks`].
    pub clock: u32,
    /// Nanoseconds since the start of that clock.
    pub ns: u64,
}

impl Moment {
    /// The time from an earlier moment to this one; `None` where two clocks are involved. A moment that is not later
    /// gives zero.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        (self.clock == earlier.clock).then(|| Duration::from_nanos(self.ns.saturating_sub(earlier.ns)))
    }

    /// Whether this moment is proven to be later than another one. A later clock started later.
    pub fn is_after(self, other: Self) -> bool {
        (self.clock, self.ns) > (other.clock, other.ns)
    }
}

/// A moment, and what the clock on the wall said then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// For everything that is calculated.
    pub at: Moment,
    /// Microseconds since 1970 by the probe's machine, for people.
    pub wall_us: i64,
}
