//! How far a replica is behind, from positions that were read at known times. Pure: no clock, no store.
//!
//! Everything is measured on one clock, that of whoever samples, so clocks of servers do not matter.
//! The answer is an interval that contains the truth, never an estimate:
//!
//! - a position was read at *some* moment between the question and its answer, both are kept;
//! - the replica is asked before the source, so a replica that has all of what the source says
//!   afterwards had all of it;
//! - what the samples do not show is unknown. Before the curve begins there is no upper end.

mod clock;
mod curve;
mod fresh;
mod judge;
mod track;
mod verdict;
mod within;

pub use clock::{ClockFinding, Jump, Moment, Offset, Tick, clock_offset};
pub use curve::{Curve, Interval, Reading, Sample, Span};
pub use fresh::{Age, Newest, age};
pub use judge::{Judgement, Link, Obstacle, SILENTLY_STALLED_AFTER, judge, stands_still};
pub use track::{Finding, Round, Track};
pub use verdict::{Levels, verdict};
pub use within::within;
