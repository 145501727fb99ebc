//! An unbroken run of attempts that failed: the two instants between which nobody took writes.

use crate::clock::Moment;
use serde::{Deserialize, Serialize};

/// When failures began to be seen on a side, and when the last one was begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    /// The end of the first one.
    pub(crate) since: Option<Moment>,
    /// When the last one was sent.
    pub(crate) until: Option<Moment>,
}

impl Failing {
    pub(crate) fn add(&mut self, sent: Moment, ended: Moment) {
        self.since.get_or_insert(ended);
        self.until = Some(sent);
    }
}
