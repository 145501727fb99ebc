//! Rows of logs by segments of offsets, and what tells whether a log still has the rows that were read of it.
//!
//! A log only grows at its end and loses records at its beginning, unless it loses its end to an election or is
//! compacted. So rows that were read of a stretch of offsets are still the same where the log is the same one, is not
//! compacted, and still has a record from behind them ([`Anchor`]).

use crate::logs::Anchor;
use crate::{Context, Ranged, Result, Terms};
use async_trait::async_trait;
use paritas_model::Known;
use std::ops::Range;

/// One log of a dataset, as a view shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentedPart {
    /// Its name for people.
    pub name: String,
    /// Its name among the parts of the dataset: the one of [`crate::RangedPart::sql`].
    pub key: String,
    /// The offsets that the view shows.
    pub shown: Range<u64>,
    /// The leadership under which it was when the view was opened, where the store says it.
    pub epoch: Option<i32>,
}

/// The logs of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentedSurvey {
    /// What their rows depend on beside their records.
    pub terms: Terms,
    /// All of them, in the order of their numbers.
    pub parts: Vec<SegmentedPart>,
}

/// A view whose rows are records of logs. As [`Ranged`] its blocks are single offsets; offsets say nothing about when
/// they were written, so that [`Ranged::survey`] has no answer.
#[async_trait]
pub trait Segmented: Ranged {
    /// The logs that the view shows, or why nothing may be kept of their rows.
    async fn logs(&self, cx: &Context) -> Result<Known<SegmentedSurvey>>;

    /// The leaderships of now, in the order of the logs.
    async fn epochs(&self, cx: &Context) -> Result<Vec<Option<i32>>>;

    /// Which logs, by their numbers, still have a record.
    async fn still_there(&self, cx: &Context, wanted: &[(usize, Anchor)]) -> Result<Vec<bool>>;

    /// The last record that the view shows of each log, if it was read and its place is the last one of the log: then
    /// nothing behind it decides what the view shows. Absent where the log ends with something that is no record.
    fn anchors(&self) -> Vec<Option<Anchor>>;

    /// What reading has found out so far that decides how the rest is read. Empty where there is nothing of the kind.
    fn found(&self) -> Vec<Option<u64>>;

    /// Tells what an earlier view had found out, before anything is read.
    fn expect(&self, found: &[Option<u64>]);
}
