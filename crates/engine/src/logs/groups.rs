//! How far groups of readers are behind, for the report.

use super::LogOptions;
use super::seen::Shows;
use paritas_connect::logs::{Isolation, Partition};
use paritas_lag::Interval;
use paritas_logs::readers::{self, Limits, ReaderLag, ReaderState, Readers, Round};
use paritas_model::{Known, Verdict};
use paritas_report::{GroupLag, GroupPartition, GroupsCheck, LagSeconds};
use paritas_verify::logs::LogSide;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What is remembered about the groups of one side from one look to the next.
#[derive(Debug)]
pub(crate) struct Watched {
    side: &'static str,
    readers: Readers,
}

impl Watched {
    /// Nothing was seen yet.
    pub(crate) fn new(side: &'static str, options: &LogOptions) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        let limits = Limits { tolerance: options.clock, ..Limits::default() };
        Self { side, readers: Readers::new(Instant::now(), wall, limits) }
    }

    /// What a look that was made before the groups were asked says about the ends of partitions.
    pub(crate) fn begin(&mut self, shows: &Shows) {
        self.readers.begin(&shows.survey, &shows.ends);
    }
}
