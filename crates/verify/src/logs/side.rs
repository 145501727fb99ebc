//! One side of a comparison of logs.

use crate::Budget;
use crate::Retry;
use paritas_connect::Context;
use paritas_connect::logs::Logs;
use std::sync::Arc;

/// A store of logs, its context, and what limits reading it.
#[derive(Debug, Clone)]
pub struct LogSide {
    /// The store.
    pub logs: Arc<dyn Logs>,
    /// Its name in messages.
    pub name: String,
    /// Deadline, cancel, counters and pace of this side.
    pub cx: Context,
    /// Limit shared by both sides.
    pub budget: Arc<Budget>,
    /// How to try again.
    pub retry: Retry,
}

impl LogSide {
    /// A side with the usual limits.
    pub fn new(name: &str, logs: Arc<dyn Logs>, cx: Context) -> Self {
        Self { logs, name: name.to_owned(), cx, budget: Arc::default(), retry: Retry::default() }
    }
}
