//! The records around one position of a group, on both sides, read in growing ranges.

use super::{CertifyLimits, Job, NamedPair};
use paritas_connect::logs::{Isolation, Partition, Range};
use paritas_logs::ages::Extent;
use paritas_logs::certify::{Aligned, Around, align};
use paritas_logs::items::{Item, Window};

/// By how much a range grows when the place is not in it.
const GROWS_BY: u64 = 8;

/// One position.
#[derive(Debug)]
pub(super) struct Spot {
    pair: NamedPair,
    committed: u64,
    translated: Option<u64>,
    source: Extent,
    replica: Extent,
    isolation: Isolation,
    limits: CertifyLimits,
    /// The first offset of the replica with a record as late as those around the position; `None` inside
    /// where there is none, and outside where nobody asked yet.
    pub(super) since: Option<Option<u64>>,
    here: Option<Window>,
    there: Option<Window>,
    /// Offsets around the place that are read on the replica.
    reach: u64,
    /// Offsets around the position that are read on the source.
    context: u64,
    /// Why something could not be read.
    pub(super) problem: Option<String>,
}

impl Spot {
    pub(super) fn new(
        pair: &NamedPair,
        committed: u64,
        translated: Option<u64>,
        (source, replica): (Extent, Extent),
        isolation: Isolation,
        limits: CertifyLimits,
    ) -> Self {
        Self {
            pair: pair.clone(),
            committed: committed.max(source.start),
            translated,
            source,
            replica,
            isolation,
            limits,
            since: None,
            here: None,
            there: None,
            reach: limits.context,
            context: limits.context,
            problem: None,
        }
    }

    /// Both windows, once they were read.
    pub(super) fn windows(&self) -> Option<(&Window, &Window)> {
        self.here.as_ref().zip(self.there.as_ref())
    }

    fn job(&self, partition: &Partition, from: u64, to: u64, isolation: Isolation) -> Job {
        let range = Range { partition: partition.clone(), from, to, isolation };
        Job { range, namer: self.pair.namer.clone(), records_max: u64::MAX }
    }

    /// What has to be read of the source.
    pub(super) fn source_job(&self) -> Option<Job> {
        if self.problem.is_some() {
            return None;
        }
        let end = self.source.visible(self.isolation);
        let from = self.committed.saturating_sub(self.context).max(self.source.start);
        let to = self.committed.saturating_add(self.context).min(end).max(from);
        match &self.here {
            Some(here) if here.from <= from && here.to >= to => None,
            _ => Some(self.job(&self.pair.source, from, to, self.isolation)),
        }
    }

    pub(super) fn take_source(&mut self, read: Result<Window, String>) {
        match read {
            Ok(window) => {
                let had = window.items.iter().any(|item| item.offset() < self.committed);
                let more = !had && window.from > self.source.start && self.context < self.limits.window_max;
                if more {
                    self.context = self.context.saturating_mul(GROWS_BY).min(self.limits.window_max);
                }
                self.here = Some(window);
            }
            Err(why) => self.problem = Some(why),
        }
    }

    /// The record right before the position, or the first one behind it.
    fn nearest(&self) -> Option<&Item> {
        let items = &self.here.as_ref()?.items;
        let at = items.partition_point(|item| item.offset() < self.committed);
        items.get(at.saturating_sub(1))
    }

    /// The time to look for on the replica.
    pub(super) fn time(&self) -> Option<(Partition, i64)> {
        if self.since.is_some() || !self.pair.times_kept || self.problem.is_some() {
            return None;
        }
        Some((self.pair.replica.clone(), self.nearest()?.found.timestamp?))
    }

    /// What has to be read of the replica.
    pub(super) fn replica_job(&self) -> Option<Job> {
        if self.problem.is_some() || self.here.is_none() || self.settled() {
            return None;
        }
        let end = self.replica.visible(Isolation::Committed);
        let middle = match self.since {
            Some(Some(since)) => since,
            // Nothing is as late: what is there ends before the position.
            Some(None) => end,
            None => self.translated.unwrap_or(end),
        };
        let (mut from, mut to) = (middle.saturating_sub(self.reach), middle.saturating_add(self.reach));
        let span = |from: u64, to: u64| to.saturating_sub(from);
        if let Some(translated) = self.translated {
            let (low, high) = (from.min(translated), to.max(translated.saturating_add(self.limits.context)));
            if span(low, high) <= self.limits.window_max {
                (from, to) = (low, high);
            }
        }
        let (from, to) = (from.max(self.replica.start).min(end), to.min(end));
        match &self.there {
            Some(there) if there.from <= from && there.to >= to => None,
            _ => Some(self.job(&self.pair.replica, from, to.max(from), Isolation::Committed)),
        }
    }

    pub(super) fn take_replica(&mut self, read: Result<Window, String>) {
        match read {
            Ok(window) => self.there = Some(window),
            Err(why) => self.problem = Some(why),
        }
    }

    /// Reads wider ranges from now on, where those that were read settle nothing.
    pub(super) fn grow(&mut self) {
        if self.windows().is_none() || self.settled() {
            return;
        }
        self.reach = self.reach.saturating_mul(GROWS_BY).min(self.limits.window_max / 2);
        // What the replica has ahead of the place has to be held against as many records of the source; and a
        // mirror that is behind the group has records from further back only.
        if self.aligned().is_none_or(|aligned| aligned.loss.high > 0) {
            self.context = self.context.saturating_mul(GROWS_BY).min(self.limits.window_max);
        }
    }

    fn aligned(&self) -> Option<Aligned> {
        let (source, replica) = self.windows()?;
        align(&Around {
            committed: self.committed,
            translated: self.translated.unwrap_or(self.replica.end),
            source,
            source_goes_on: source.to < self.source.visible(source.isolation),
            replica,
            replica_begins: replica.from <= self.replica.start,
            replica_goes_on: replica.to < self.replica.visible(replica.isolation),
            times: self.pair.times_kept,
        })
        .ok()
    }

    /// Whether nothing more has to be read: everything is exact, but for what would be read twice from an offset
    /// that is too far away to be read up to.
    fn settled(&self) -> bool {
        self.aligned().is_some_and(|aligned| {
            let placed = aligned.exact.exact().is_some();
            // Without a translated offset only the place is asked for.
            let far = self.translated.zip(self.there.as_ref()).is_some_and(|(at, there)| at < there.from);
            let counted = aligned.loss.exact().is_some() && (aligned.redelivery.exact().is_some() || far);
            placed && (counted || self.translated.is_none())
        })
    }
}
