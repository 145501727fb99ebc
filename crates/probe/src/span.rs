//! An unbroken run of attempts that failed: the two instants between which nobody took writes.

use crate::clock::Moment;
use serde::{Deserialize, Serialize};

/// When failures began to be seen on a side, and when the last one was begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    /// The end of the first one.
    pub(crate) since: Option<Moment>,
    /// When the last one was sent, of those before a doubt.
    pub(crate) until: Option<Moment>,
    /// Whether a write may have been taken among them.
    #[serde(default)]
    pub(crate) doubted: bool,
}

impl Failing {
    pub(crate) fn add(&mut self, sent: Moment, ended: Moment) {
        self.since.get_or_insert(ended);
        if !self.doubted {
            self.until = Some(sent);
        }
    }

    /// An attempt among failures that may have been taken: the old primary may have stopped only after it, and a new
    /// one may have begun before it.
    pub(crate) fn doubt(&mut self) {
        self.doubted |= self.since.is_some();
        self.since = None;
    }
}
