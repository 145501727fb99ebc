//! Looking for the last records of one mirrored partition on the source, range by range.

use super::{Job, MirrorAsk, NamedPair};
use paritas_connect::logs::{Ends, Isolation, Partition, Range};
use paritas_logs::ages::Extent;
use paritas_logs::items::{Item, Window};
use paritas_logs::position::{Evidence, Placed, Probed, Reach, place, probe};
use std::time::Instant;

/// By how much a range grows when what is looked for is not in it.
const GROWS_BY: u64 = 4;

/// Where records look alike, so many times the first range is read on to see whether the source has another
/// one.
const DOUBTFUL_WINDOWS: u64 = 16;

/// What has to be read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// Nothing: it was found, or cannot be.
    Nothing,
    /// The end of the mirrored partition.
    Tail,
    /// A range of the source.
    Window,
}

/// One partition and its mirror while they are looked at.
#[derive(Debug)]
pub(super) struct Seek<'a> {
    pub(super) pair: &'a NamedPair,
    ask: &'a MirrorAsk<'a>,
    replica: Option<Ends>,
    /// Where the source begins and ends; asked for after the tail was read.
    pub(super) source: Option<Ends>,
    /// The first offset of the source with a record as late as the tail's last one.
    pub(super) since: Option<u64>,
    /// The same on the replica, by the record that was found; `None` outside where nobody asked.
    pub(super) replica_since: Option<Option<u64>>,
    tail_wanted: Option<(u64, u64)>,
    tail: Option<Window>,
    pub(super) window: Option<Window>,
    window_wanted: Option<(u64, u64)>,
    probed: Option<Probed>,
    /// The range that follows from the mirror's notes was looked at.
    hinted: bool,
    problem: Option<String>,
}

impl<'a> Seek<'a> {
    pub(super) fn new(pair: &'a NamedPair, replica: Option<Ends>, ask: &'a MirrorAsk<'a>) -> Self {
        // What is in a transaction that is open may still be taken back: it is not there.
        let filled = replica.as_ref().filter(|ends| ends.start < ends.stable);
        let tail_wanted = filled.map(|ends| (ends.start.max(ends.stable.saturating_sub(ask.limits.tail)), ends.stable));
        Self {
            pair,
            ask,
            replica,
            source: None,
            since: None,
            replica_since: None,
            tail_wanted,
            tail: None,
            window: None,
            window_wanted: None,
            probed: None,
            hinted: false,
            problem: None,
        }
    }

    fn job(&self, partition: &Partition, (from, to): (u64, u64), isolation: Isolation) -> Job {
        let range = Range { partition: partition.clone(), from, to, isolation };
        Job { range, namer: self.pair.namer.clone(), records_max: u64::MAX }
    }

    /// The end of the mirrored partition, if it has to be read.
    pub(super) fn tail_job(&self, records_max: u64) -> Option<Job> {
        let (from, to) = self.tail_wanted?;
        let from = from.max(to.saturating_sub(records_max.max(1)));
        Some(self.job(&self.pair.replica, (from, to), Isolation::Committed))
    }

    pub(super) fn take_tail(&mut self, read: Result<Window, String>) {
        self.tail_wanted = None;
        match read {
            Err(why) => self.problem = Some(why),
            Ok(tail) => {
                let empty = tail.items.is_empty();
                self.tail = Some(tail);
                if empty {
                    self.tail_wanted = self.longer_tail();
                } else if self.window.is_some() {
                    self.replica_since = None;
                    self.window_wanted = self.earlier_window();
                    self.find();
                }
            }
        }
    }

    /// A longer end of the mirrored partition, where there is one within the limit.
    fn longer_tail(&self) -> Option<(u64, u64)> {
        let (tail, ends) = (self.tail.as_ref()?, self.replica.as_ref()?);
        let length = tail.to - tail.from;
        let longer = length.saturating_mul(GROWS_BY * GROWS_BY).min(self.ask.limits.tail_max);
        let from = ends.start.max(tail.to.saturating_sub(longer));
        (from < tail.from).then_some((from, tail.to))
    }

    /// Records of the source before the window, as many as the tail has.
    fn earlier_window(&self) -> Option<(u64, u64)> {
        let (window, tail, source) = (self.window.as_ref()?, self.tail.as_ref()?, self.source.as_ref()?);
        let from = source.start.max(window.from.saturating_sub(tail.to - tail.from));
        (from < window.from).then_some((from, window.from))
    }

    fn last(&self) -> Option<&Item> {
        self.tail.as_ref()?.items.last()
    }

    /// The time to look for on the source.
    pub(super) fn time_on_source(&self) -> Option<(Partition, i64)> {
        self.source.as_ref()?;
        let time = self.last().filter(|_| self.pair.times_kept)?.found.timestamp?;
        Some((self.pair.source.clone(), time))
    }

    /// The time to look for on the replica: where the source was not read to its end, a record that came only
    /// once stands for the first of those that look like it.
    pub(super) fn time_on_replica(&self) -> Option<(Partition, i64)> {
        let open = self.pair.times_kept && !self.complete() && self.replica_since.is_none();
        let found = self.found_item().filter(|_| open)?;
        Some((self.pair.replica.clone(), found.found.timestamp?))
    }

    /// The record of the tail that was found.
    fn found_item(&self) -> Option<&Item> {
        let Some(Probed::Found { unknown, .. }) = &self.probed else { return None };
        self.tail.as_ref()?.items.iter().rev().nth(*unknown)
    }

    /// Where the source was read.
    fn reach(&self) -> Reach {
        let (Some(window), Some(source)) = (&self.window, &self.source) else {
            return Reach { from_first: false, to_last: false };
        };
        let to_last = window.to >= visible(source, self.ask.isolation);
        Reach { from_first: window.from <= self.first_possible(source), to_last }
    }

    /// The record cannot stand before this offset.
    fn first_possible(&self, source: &Ends) -> u64 {
        let replica_end = self.replica.as_ref().map_or(0, |ends| ends.end);
        // The replica's last record does not stand before the one of a pair, nor before what was copied.
        let pair = self.ask.syncs.get(&self.pair.source).and_then(|(upstream, downstream)| {
            let downstream = u64::try_from(*downstream).ok().filter(|downstream| *downstream < replica_end);
            downstream.and_then(|_| u64::try_from(*upstream).ok()).filter(|upstream| *upstream < source.end)
        });
        let noted = pair.max(self.ask.copied.get(&self.pair.source).copied().filter(|last| *last < source.end));
        // That is so for the very last record only, and not for one before it that was found instead.
        let last = !matches!(self.probed, Some(Probed::Found { unknown: 1.., .. }));
        let timed = self.since.filter(|_| last && self.time_on_source().is_some());
        source.start.max(timed.unwrap_or(0)).max(noted.unwrap_or(0))
    }

    /// Whether the source was read up to where it ended.
    fn complete(&self) -> bool {
        self.reach() == Reach::WHOLE
    }

    pub(super) fn wants(&self) -> Wants {
        if self.tail_wanted.is_some() {
            return Wants::Tail;
        }
        if self.next_range().is_some() { Wants::Window } else { Wants::Nothing }
    }

    /// The range of the source that has to be read next.
    fn next_range(&self) -> Option<(u64, u64)> {
        let (source, replica) = (self.source.as_ref()?, self.replica.as_ref()?);
        if self.problem.is_some() {
            return None;
        }
        if let Some(wanted) = self.window_wanted {
            return Some(wanted);
        }
        let end = visible(source, self.ask.isolation);
        let size = self.ask.limits.window;
        let Some(last) = self.last() else {
            // Nothing was ever copied: what comes first is what is missing.
            let first = replica.end == 0 && self.window.is_none() && source.start < end;
            return first.then_some((source.start, end.min(source.start.saturating_add(size))));
        };
        let Some(window) = &self.window else {
            let timed = self.pair.times_kept && last.found.timestamp.is_some();
            let context = self.tail.as_ref().map_or(0, |tail| tail.to - tail.from);
            let from = self.since.filter(|_| timed).map(|since| since.saturating_sub(context).max(source.start));
            let range = from.map(|from| (from, end.min(from.saturating_add(size + context))));
            return range.or_else(|| self.hint(source, replica)).filter(|(from, to)| from < to);
        };
        let length = window.to - window.from;
        if matches!(self.probed, Some(Probed::Found { .. })) {
            // Another record like it may stand further on, or further back.
            let doubtful = !self.complete() && self.time_on_replica().is_none() && !self.first_of_its_like();
            let more = length.max(size).saturating_mul(GROWS_BY - 1);
            let range = match self.reach() {
                Reach { from_first: false, .. } => {
                    (window.from.saturating_sub(more).max(self.first_possible(source)), window.from)
                }
                _ => (window.to, window.to.saturating_add(more).min(end)),
            };
            return (doubtful && length < size.saturating_mul(DOUBTFUL_WINDOWS)).then_some(range);
        }
        if !self.hinted && window.to < end && length < self.ask.limits.window_max {
            let to = window.to.saturating_add((length.max(size)).saturating_mul(GROWS_BY - 1));
            return Some((window.to, to.min(end)));
        }
        self.hint(source, replica).filter(|(from, to)| !self.hinted && from < to)
    }

    /// Where the record should be by the mirror's notes, or at the end.
    fn hint(&self, source: &Ends, replica: &Ends) -> Option<(u64, u64)> {
        let end = visible(source, self.ask.isolation);
        let size = self.ask.limits.window;
        let by_pair = self.ask.syncs.get(&self.pair.source).and_then(|(upstream, downstream)| {
            let (upstream, downstream) = (u64::try_from(*upstream).ok()?, u64::try_from(*downstream).ok()?);
            upstream.checked_add(replica.end.checked_sub(downstream)?).filter(|next| *next <= end)
        });
        let copied = self.ask.copied.get(&self.pair.source).copied().filter(|last| *last < end);
        let around = by_pair.or(copied).unwrap_or(end);
        let half = size / 2;
        Some((around.saturating_sub(half).max(source.start), around.saturating_add(half).min(end)))
    }

    pub(super) fn window_job(&mut self, records_max: u64) -> Option<Job> {
        if self.wants() != Wants::Window {
            return None;
        }
        let (from, to) = self.next_range()?;
        let replaces = self.window.as_ref().is_some_and(|window| from != window.to && to != window.from);
        self.hinted |= replaces || (self.window.is_none() && self.since.is_none());
        let to = to.min(from.saturating_add(records_max.max(self.ask.limits.tail)));
        let earlier = self.window.as_ref().is_some_and(|window| self.window_wanted.is_some() && to < window.from);
        if earlier {
            // Only the part next to the window is of use.
            let begin = self.window.as_ref().map_or(from, |window| window.from.saturating_sub(to - from));
            let end = self.window.as_ref().map_or(to, |window| window.from);
            return Some(self.job(&self.pair.source, (begin, end), self.ask.isolation));
        }
        Some(self.job(&self.pair.source, (from, to), self.ask.isolation))
    }

    pub(super) fn take_window(&mut self, read: Result<Window, String>) {
        self.window_wanted = None;
        let read = match read {
            Ok(read) => read,
            Err(why) => {
                self.problem = Some(why);
                return;
            }
        };
        self.window = Some(match self.window.take() {
            Some(mut window) if read.from == window.to => {
                window.items.extend(read.items);
                Window { to: read.to, ..window }
            }
            Some(window) if read.to == window.from => {
                let items = read.items.into_iter().chain(window.items).collect();
                Window { from: read.from, items, ..window }
            }
            _ => read,
        });
        self.find();
    }

    fn find(&mut self) {
        let (Some(tail), Some(window)) = (&self.tail, &self.window) else { return };
        if tail.items.is_empty() {
            return;
        }
        let probed = probe(&tail.items, window);
        if matches!(probed, Probed::Found { longer: true, .. }) && self.window_wanted.is_none() {
            self.tail_wanted = self.longer_tail();
        }
        self.probed = Some(probed);
    }

    /// Whether the found record stands only once on the replica, and the window begins with the first one of
    /// the source that it can be.
    fn first_of_its_like(&self) -> bool {
        if !self.pair.times_kept || !matches!(self.probed, Some(Probed::Found { unknown: 0, .. })) {
            return false;
        }
        let (Some(found), Some(tail), Some(window)) = (self.found_item(), &self.tail, &self.window) else {
            return false;
        };
        let whole = self.replica_since.flatten().is_some_and(|since| since >= tail.from);
        let once = tail.items.iter().filter(|item| item.hash == found.hash).count() == 1;
        whole && once && self.since.is_some_and(|since| window.from <= since)
    }

    /// Where the mirror stands.
    pub(super) fn place(&self) -> Result<Placed, String> {
        let (Some(source), Some(replica)) = (&self.source, &self.replica) else {
            return Err("where the partition ends is not known".to_owned());
        };
        let first = self.first_of_its_like();
        let probed = match &self.probed {
            Some(Probed::Found { offsets: (low, _), unknown, .. }) if first => {
                Some(Probed::Found { offsets: (*low, *low), unknown: *unknown, longer: false })
            }
            other => other.clone(),
        };
        let now = Instant::now();
        let placed = place(&Evidence {
            source: Extent::of(source, now),
            replica: Extent::of(replica, now),
            probed: probed.as_ref().map(|probed| (probed, if first { Reach::WHOLE } else { self.reach() })),
            sync: self.ask.syncs.get(&self.pair.source).copied(),
            copied: self.ask.copied.get(&self.pair.source).copied(),
        });
        match (placed, &self.problem) {
            (Ok(mut placed), Some(why)) => {
                placed.notes.push(why.clone());
                Ok(placed)
            }
            (Err(_), Some(why)) => Err(why.clone()),
            (placed, None) => placed,
        }
    }
}

fn visible(ends: &Ends, isolation: Isolation) -> u64 {
    match isolation {
        Isolation::Committed => ends.stable,
        Isolation::Uncommitted => ends.end,
    }
}
