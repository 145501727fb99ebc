//! From an interval and levels to a verdict: certainly over is a breach, certainly under passes.

use crate::{Interval, Levels};
use paritas_model::Verdict;

/// The verdict on something of which less is better. What lies between the levels for certain is a warning, and so is
/// what is no breach for certain and may be a pass; what may be a breach is unknown.
pub fn within(seconds: Option<&Interval>, levels: &Levels) -> Verdict {
    let Some(seconds) = seconds else { return Verdict::Unknown };
    match seconds.high {
        _ if seconds.low > levels.critical => Verdict::Fail,
        Some(high) if high <= levels.passing() => Verdict::Pass,
        Some(high) if high <= levels.critical => Verdict::Warn,
        _ => Verdict::Unknown,
    }
}
