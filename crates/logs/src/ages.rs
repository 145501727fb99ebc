//! How old the oldest record is that a follower of a partition has not had, as an interval that contains the
//! truth, and how many such records there are.
//!
//! A follower is a group of readers or a mirror: it stands at an offset, the next one that it wants. A
//! record's age counts from the moment at which readers could have it. Offsets are not records: markers of
//! transactions, aborted records and those compacted away take offsets that nobody reads. So offsets alone
//! prove an upper end of the age; a lower end needs a record that was seen.

use paritas_connect::logs::{Ends, Isolation, Partition};
use paritas_lag::{Curve, Interval, Reading, Sample, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Where a partition begins and ends, with the time on the clock of whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// When it was asked for, as time since one origin.
    pub at: Span,
    /// The first offset that can still be read.
    pub start: u64,
    /// One more than the last offset.
    pub end: u64,
    /// One more than the last offset before the first open transaction.
    pub stable: u64,
    /// The leadership that said so.
    pub epoch: Option<i32>,
}

impl Extent {
    /// What a store said, on a clock that begins at `origin`.
    pub fn of(ends: &Ends, origin: Instant) -> Self {
        let at = span(origin, ends.asked, ends.answered);
        Self { at, start: ends.start, end: ends.end, stable: ends.stable.min(ends.end), epoch: ends.epoch }
    }

    /// Where it ends for readers of this isolation.
    pub fn visible(&self, isolation: Isolation) -> u64 {
        match isolation {
            Isolation::Committed => self.stable,
            Isolation::Uncommitted => self.end,
        }
    }
}

/// Question and answer on a clock that begins at `origin`.
pub fn span(origin: Instant, asked: Instant, answered: Instant) -> Span {
    let since = |at: Instant| at.saturating_duration_since(origin);
    Span { begin: since(asked), end: since(answered) }
}

/// How a partition grew, seen by both kinds of readers.
#[derive(Debug, Clone)]
pub struct Growth {
    ends: Curve,
    /// `None` as long as it was never different from that of the ends.
    stable: Option<Curve>,
    newest: Option<Extent>,
    incarnation: Option<String>,
}

impl Growth {
    /// Nothing is known yet; keeps at most so many points (at least 8).
    pub fn with_max(points: usize) -> Self {
        Self { ends: Curve::with_max(points), stable: None, newest: None, incarnation: None }
    }

    /// Adds what was seen after everything else. The answer is false where the partition went back or is
    /// another one under the same name: then everything from before is forgotten.
    pub fn push(&mut self, seen: Extent, incarnation: Option<&str>) -> bool {
        let other = match (self.incarnation.as_deref(), incarnation) {
            (Some(old), Some(new)) => old != new,
            // Under another leader records may be gone, and others may stand at their offsets.
            _ => match (self.newest.and_then(|newest| newest.epoch), seen.epoch) {
                (Some(old), Some(new)) => old != new,
                _ => false,
            },
        };
        if other {
            *self = Self::with_max(self.ends.max());
        }
        if let Some(incarnation) = incarnation
            && self.incarnation.as_deref() != Some(incarnation)
        {
            self.incarnation = Some(incarnation.to_owned());
        }
        if seen.stable < seen.end && self.stable.is_none() {
            self.stable = Some(self.ends.clone());
        }
        let sample = |end| Sample { at: seen.at, end, written: end, settles: None };
        let mut went_on = self.ends.push(sample(seen.end));
        if let Some(stable) = &mut self.stable {
            went_on &= stable.push(sample(seen.stable));
        }
        self.newest = Some(seen);
        went_on && !other
    }

    /// What was seen last.
    pub fn newest(&self) -> Option<&Extent> {
        self.newest.as_ref()
    }

    /// The curve of what such readers can have.
    pub fn curve(&self, isolation: Isolation) -> &Curve {
        match (isolation, &self.stable) {
            (Isolation::Committed, Some(stable)) => stable,
            _ => &self.ends,
        }
    }
}

/// Growth of many partitions within one limit of memory.
#[derive(Debug, Clone, Default)]
pub struct Growths {
    by: BTreeMap<Partition, Growth>,
}

impl Growths {
    /// Points of all curves together; each curve takes its share.
    pub const POINTS_MAX: usize = 1 << 18;
    /// Points of one curve.
    pub const POINTS_EACH_MAX: usize = 1_024;

    /// Adds what was seen of some partitions; partitions that are not among `expected` so far make the
    /// shares of new curves smaller.
    pub fn push(&mut self, partition: &Partition, seen: Extent, incarnation: Option<&str>, expected: usize) -> bool {
        let share = Self::POINTS_MAX / expected.max(self.by.len()).max(1);
        let growth = match self.by.get_mut(partition) {
            Some(growth) => growth,
            None => {
                self.by.entry(partition.clone()).or_insert_with(|| Growth::with_max(share.min(Self::POINTS_EACH_MAX)))
            }
        };
        growth.push(seen, incarnation)
    }

    /// That of one partition.
    pub fn get(&self, partition: &Partition) -> Option<&Growth> {
        self.by.get(partition)
    }

    /// Partitions that are known.
    pub fn len(&self) -> usize {
        self.by.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }
}

/// A record that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Where it stands.
    pub offset: u64,
    /// Its time in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Whether the store set that time when it appended the record.
    pub appended: bool,
}

/// What somebody saw who read on from a follower's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// Which records were read.
    pub isolation: Isolation,
    /// Up to this offset everything was read.
    pub to: u64,
    /// The first record at or behind the position.
    pub first: Option<Found>,
    /// Records up to `to`.
    pub records: u64,
}

/// A number between two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// No less than this.
    pub low: u64,
    /// No more than this.
    pub high: u64,
}

impl Count {
    /// Exactly this many.
    pub fn exactly(count: u64) -> Self {
        Self { low: count, high: count }
    }

    /// The number, where it is exact.
    pub fn exact(&self) -> Option<u64> {
        (self.low == self.high).then_some(self.low)
    }

    /// Both numbers together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { low: self.low.saturating_add(other.low), high: self.high.saturating_add(other.high) }
    }
}

/// The clocks of those who stamp records, compared with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Our clock at the origin of all times here, in milliseconds since 1970.
    pub origin: i64,
    /// No stamp is further from our clock than this, and a stamp of the store no further from the moment at
    /// which readers could have the record.
    pub tolerance: Duration,
}

impl Clocks {
    /// How long before `now` something with that stamp happened: no less and no more. Not negative.
    fn ago(&self, now: &Span, timestamp: i64) -> (Duration, Duration) {
        let ms = |at: Duration| i128::try_from(at.as_millis()).unwrap_or(i128::MAX / 4);
        let age = |at: Duration| ms(at) + i128::from(self.origin) - i128::from(timestamp);
        let tolerance = ms(self.tolerance);
        let not_negative = |ms: i128| Duration::from_millis(u64::try_from(ms.max(0)).unwrap_or(u64::MAX));
        // Stamps and our own clock are cut to milliseconds: one more on either side.
        (not_negative(age(now.begin) - tolerance - 1), not_negative(age(now.end) + tolerance + 2))
    }
}

/// A follower of a partition: where it stood, and what is known of the records ahead of it.
#[derive(Debug, Clone, Copy)]
pub struct Follower<'a> {
    /// When it was asked, and the next offset that it wants.
    pub reading: Reading,
    /// Which records it can have; `None` where nobody said.
    pub isolation: Option<Isolation>,
    /// What was read from its position on.
    pub ahead: Option<&'a Ahead>,
}

/// What follows for a follower that stands behind the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Offsets up to the end that such a follower can have: that of uncommitted readers where nobody said.
    pub offsets: u64,
    /// Records among them.
    pub records: Count,
    /// Age of the oldest of those records; zero if there is none.
    pub age: Interval,
    /// Stamps of records contradict what was seen: clocks are further apart than was said.
    pub clocks_doubtful: bool,
}

impl Follower<'_> {
    /// What it has not had, by a growth whose newest extent was asked for after it.
    pub fn behind(&self, growth: &Growth, clocks: Option<&Clocks>) -> Option<Behind> {
        let newest = growth.newest()?;
        let position = self.reading.position;
        let widest = self.isolation.unwrap_or(Isolation::Uncommitted);
        let end = newest.visible(widest);
        let offsets = end.saturating_sub(position);
        let records = self.records(newest, position);
        if records.high == 0 {
            let age = Interval { low: Duration::ZERO, high: Some(Duration::ZERO) };
            return Some(Behind { offsets, records, age, clocks_doubtful: false });
        }
        let seen = Interval { low: self.low(growth), high: self.high(growth, widest) };
        let (age, clocks_doubtful) = self.stamped(seen, clocks);
        Some(Behind { offsets, records, age, clocks_doubtful })
    }

    /// What was read ahead, as far as it speaks of all records that the follower can have.
    fn whole(&self) -> Option<&Ahead> {
        self.ahead.filter(|ahead| match self.isolation {
            Some(isolation) => ahead.isolation == isolation,
            None => ahead.isolation == Isolation::Uncommitted,
        })
    }

    /// A record that the follower can have, whatever its isolation is.
    fn certain(&self) -> Option<(Found, Isolation)> {
        let ahead = self.ahead?;
        let fits = ahead.isolation == Isolation::Committed || self.isolation == Some(Isolation::Uncommitted);
        Some((ahead.first.filter(|_| fits)?, ahead.isolation))
    }

    /// The oldest record of all that the follower can have and has not had.
    fn oldest(&self) -> Option<Found> {
        let at_once = |first: &Found| first.offset <= self.reading.position;
        let first = self.ahead.and_then(|ahead| ahead.first).filter(at_once);
        first.filter(|_| self.certain().is_some()).or_else(|| self.whole()?.first)
    }

    fn records(&self, newest: &Extent, position: u64) -> Count {
        let widest = self.isolation.unwrap_or(Isolation::Uncommitted);
        let end = newest.visible(widest);
        let offsets = end.saturating_sub(position);
        let low = self.ahead.filter(|_| self.certain().is_some()).map_or(0, |ahead| ahead.records.max(1));
        let high = match self.whole() {
            Some(ahead) => ahead.records.saturating_add(end.saturating_sub(ahead.to.max(position))),
            None => offsets,
        };
        Count { low: low.min(high), high: high.min(offsets.max(low)) }
    }

    fn low(&self, growth: &Growth) -> Duration {
        let Some((first, isolation)) = self.certain() else { return Duration::ZERO };
        let (_, latest) = growth.curve(isolation).passed(first.offset);
        latest.map_or(Duration::ZERO, |latest| self.reading.at.begin.saturating_sub(latest))
    }

    fn high(&self, growth: &Growth, widest: Isolation) -> Option<Duration> {
        let nothing_until = self.whole().map_or(0, |ahead| ahead.to);
        let from = self.oldest().map_or(nothing_until, |first| first.offset);
        let (earliest, _) = growth.curve(widest).passed(from.max(self.reading.position));
        earliest.map(|earliest| self.reading.at.end.saturating_sub(earliest))
    }

    /// Narrows an age by the stamp of the first record, unless the stamp cannot be true.
    fn stamped(&self, seen: Interval, clocks: Option<&Clocks>) -> (Interval, bool) {
        let stamp = self.oldest().and_then(|first| Some((first, first.timestamp?)));
        let Some(((first, timestamp), clocks)) = stamp.zip(clocks) else { return (seen, false) };
        // Whoever makes a record stamps it before it is appended, maybe long before.
        let (low, high) = clocks.ago(&self.reading.at, timestamp);
        // Readers of committed records can have it only when its transaction ends, and that is not stamped.
        let at_once = first.appended && self.isolation == Some(Isolation::Uncommitted);
        let low = if at_once { low } else { Duration::ZERO };
        let narrow = Interval { low: seen.low.max(low), high: Some(seen.high.map_or(high, |seen| seen.min(high))) };
        match narrow.high {
            Some(high) if high < narrow.low => (seen, true),
            _ => (narrow, false),
        }
    }
}

/// Ages in JSON: seconds, and no upper end where nothing proves one.
pub(crate) mod seconds {
    use paritas_lag::Interval;
    use serde::{Serialize, Serializer};
    use std::time::Duration;

    #[derive(Serialize)]
    struct Seconds {
        low: f64,
        high: Option<f64>,
    }

    /// An interval, where there is one.
    pub(crate) fn interval<S: Serializer>(value: &Option<Interval>, to: S) -> Result<S::Ok, S::Error> {
        let high = |interval: &Interval| interval.high.map(|high| high.as_secs_f64());
        value.map(|value| Seconds { low: value.low.as_secs_f64(), high: high(&value) }).serialize(to)
    }

    /// A duration, where there is one.
    pub(crate) fn duration<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        value.map(|value| value.as_secs_f64()).serialize(to)
    }
}
