//! From a state and an interval to a verdict: a breach has to be proven, and so has a pass.

use crate::Interval;
use paritas_model::{LagState, Verdict};
use std::time::Duration;

/// What was promised about lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Aimed at; more deserves a look where no warning is declared.
    pub target: Option<Duration>,
    /// More than this deserves a look.
    pub warning: Option<Duration>,
    /// More than this is a breach.
    pub critical: Duration,
}

impl Levels {
    /// The largest lag that passes.
    pub fn passing(&self) -> Duration {
        self.warning.or(self.target).unwrap_or(self.critical).min(self.critical)
    }
}

/// The verdict on one stream. Without levels nothing was promised: what is measured passes, what
/// cannot be measured is unknown, what stands still deserves a look.
pub fn verdict(state: LagState, seconds: Option<&Interval>, levels: Option<&Levels>) -> Verdict {
    let proven = |limit: Duration| seconds.is_some_and(|seconds| seconds.low > limit);
    let within = |limit: Duration| seconds.and_then(|seconds| seconds.high).is_some_and(|high| high <= limit);
    let breached = levels.is_some_and(|levels| proven(levels.critical));
    let by_levels = match levels {
        _ if breached => Verdict::Fail,
        Some(levels) if within(levels.passing()) => Verdict::Pass,
        Some(levels) if within(levels.critical) => Verdict::Warn,
        None if seconds.is_some_and(|seconds| seconds.high.is_some()) => Verdict::Pass,
        _ => Verdict::Unknown,
    };
    match state {
        LagState::Broken => Verdict::Fail,
        LagState::Unknown if breached => Verdict::Fail,
        LagState::Unknown => Verdict::Unknown,
        LagState::CaughtUp => Verdict::Pass,
        LagState::Behind => by_levels,
        LagState::Stalled => by_levels.max(Verdict::Warn),
    }
}
