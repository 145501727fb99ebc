//! Sums over the partitions of a group, and the partitions that deserve a look first.

use super::{ReaderLag, ReaderState};
use crate::ages::{Count, seconds};
use paritas_lag::Interval;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Sums over the partitions of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GroupTotals {
    /// Partitions that the group reads or has read.
    pub partitions: u64,
    /// How many of them are in each state.
    pub states: BTreeMap<ReaderState, u64>,
    /// Offsets behind, over all partitions where that is known.
    pub behind: u64,
    /// Records behind; `None` where nothing is known for one of the partitions.
    pub records: Option<Count>,
    /// Age of the oldest record that the group has not had in any partition whose figures are known;
    /// `None` where none is. No upper end where one of those has none.
    #[serde(serialize_with = "seconds::interval")]
    pub seconds: Option<Interval>,
    /// Offsets that were removed before the group had them.
    pub lost: u64,
    /// Partitions in which removal runs ahead of the group.
    pub retention_risks: u64,
}

impl GroupTotals {
    /// The sums.
    pub fn of(partitions: &[ReaderLag]) -> Self {
        let mut totals = Self { records: Some(Count::exactly(0)), ..Self::default() };
        for lag in partitions {
            totals.partitions += 1;
            *totals.states.entry(lag.state).or_default() += 1;
            totals.behind = totals.behind.saturating_add(lag.behind.unwrap_or(0));
            totals.records = totals.records.zip(lag.records).map(|(sum, own)| sum.plus(own));
            totals.lost = totals.lost.saturating_add(lag.lost.unwrap_or(0));
            totals.retention_risks += u64::from(lag.retention.is_some());
            let Some(own) = lag.seconds else { continue };
            totals.seconds = Some(match totals.seconds {
                None => own,
                Some(sum) => {
                    Interval { low: sum.low.max(own.low), high: sum.high.zip(own.high).map(|(sum, own)| sum.max(own)) }
                }
            });
        }
        totals
    }

    /// Partitions in that state.
    pub fn count(&self, state: ReaderState) -> u64 {
        self.states.get(&state).copied().unwrap_or(0)
    }
}

/// The `max` partitions that deserve a look first: by state, then by proven age, then by offsets.
pub fn worst(partitions: &[ReaderLag], max: usize) -> Vec<&ReaderLag> {
    let rank = |lag: &ReaderLag| {
        let low = lag.seconds.map_or(Duration::ZERO, |seconds| seconds.low);
        (lag.state, lag.retention.is_some(), low, lag.behind.unwrap_or(0))
    };
    let mut all: Vec<&ReaderLag> = partitions.iter().filter(|lag| lag.state != ReaderState::CaughtUp).collect();
    all.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.partition.cmp(&b.partition)));
    all.truncate(max);
    all
}
