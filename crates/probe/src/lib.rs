//! What acknowledged writes prove about an outage: how long it was, and what of them is gone.
//!
//! A probe writes at an interval to whichever server takes writes, and notes when each write was sent and when its
//! answer came. An [`Observation`] is fed with these [`Attempt`]s one by one and can be stored after each of them;
//! [`Observation::findings`] says what follows. Nothing here connects, waits or writes.
//!
//! # What is proven
//!
//! A write that was sent at `s` and acknowledged at `a` was taken somewhere between. So from the last write that the old
//! primary acknowledged (`s0`, `a0`) to the first one that the new primary did (`s1`, `a1`)
//!
//! - at most `a1 - s0` passed: the old one still took writes at `s0` or later, the new one did at `a1` or earlier;
//! - at least the time passed from the end of the first attempt that failed on the old one to the begin of the last one
//!   that failed on the new one, because between these two instants nobody took writes, as seen from the probe.
//!
//! An attempt without an answer (a connection that was cut while it committed) is neither.

mod beats;
mod clock;
mod findings;
mod observation;
mod servers;
mod span;

pub use beats::{Beat, Beats};
pub use clock::{Moment, Stamp};
pub use findings::{Failover, Findings, Losses, Seconds, Split, verdict};
pub use observation::{Attempt, Counts, Gaps, Observation, Outage, Outcome, Side, Survivor, Took};
pub use servers::{Kin, Server};
