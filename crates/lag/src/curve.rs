//! The position-time curve of a source, and its inversion at a replica's position.

use std::collections::VecDeque;
use std::time::Duration;

/// When something was read: at one moment between these two, as time since one origin on one
/// monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The question was about to be sent.
    pub begin: Duration,
    /// The answer was there.
    pub end: Duration,
}

/// What a source said about its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Span,
    /// No change that anybody could see lay beyond this position, which is the end of a record.
    pub end: u64,
    /// A replica could have everything up to here; not beyond `end`. It may lie inside a record, of which
    /// nobody can make anything yet.
    pub written: u64,
    /// A change that can be seen is written after that long at the latest. `None` where the source
    /// promises nothing of the kind.
    pub settles: Option<Duration>,
}

/// What a replica said about the same stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When.
    pub at: Span,
    /// It shows all changes up to here.
    pub position: u64,
}

/// A sample, and the last end of a record that is known to have been written by then.
#[derive(Debug, Clone, Copy)]
struct Point {
    sample: Sample,
    whole: u64,
}

/// An interval of time that contains the truth; without an upper end where nothing proves one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// No less than this.
    pub low: Duration,
    /// No more than this.
    pub high: Option<Duration>,
}

/// Samples of one stream of a source, at most a fixed number of them. Dropping a sample widens
/// intervals and never makes one wrong.
#[derive(Debug, Clone)]
pub struct Curve {
    samples: VecDeque<Point>,
    max: usize,
}

impl Default for Curve {
    fn default() -> Self {
        Self::with_max(Self::SAMPLES_MAX)
    }
}

impl Curve {
    /// Samples that a curve keeps unless told otherwise.
    pub const SAMPLES_MAX: usize = 4_096;
    /// A curve keeps at least that many.
    const SAMPLES_MIN: usize = 8;

    /// An empty curve of at most so many samples (at least 8).
    pub fn with_max(max: usize) -> Self {
        Self { samples: VecDeque::new(), max: max.max(Self::SAMPLES_MIN) }
    }

    /// How many samples it holds at most.
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many samples it holds.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Adds a sample that was taken after all others. A source that went back (it crashed and lost
    /// what was not written, or is another one) begins a new curve; then the answer is false.
    pub fn push(&mut self, sample: Sample) -> bool {
        let back = |Point { sample: last, .. }: &Point| sample.end < last.end || sample.written < last.written;
        let went_back = self.samples.back().is_some_and(back);
        if went_back {
            self.samples.clear();
        }
        let same = |other: &Point| (other.sample.end, other.sample.written) == (sample.end, sample.written);
        // Ends that were seen are ends of records; what was written beyond the last of them may be half of one.
        let mut ends = std::iter::once(sample.end).chain(self.samples.iter().rev().map(|point| point.sample.end));
        let whole = ends.find(|end| *end <= sample.written).unwrap_or(0);
        let mut newest = self.samples.iter().rev();
        // Of a run of equal samples the first and the last say everything.
        if newest.next().is_some_and(same) && newest.next().is_some_and(same) {
            self.samples.pop_back();
        }
        self.samples.push_back(Point { sample, whole });
        if self.samples.len() > self.max {
            self.thin();
        }
        !went_back
    }

    /// Drops every second sample of the older half, but never the first, which is where it begins.
    fn thin(&mut self) {
        let half = self.samples.len() / 2;
        let mut index = 0;
        self.samples.retain(|_| {
            index += 1;
            index > half || index % 2 == 1
        });
    }

    /// The first moment at which the source was beyond a position: no earlier than the first and no
    /// later than the second, each `None` where no sample says.
    pub fn passed(&self, position: u64) -> (Option<Duration>, Option<Duration>) {
        let earliest = self.samples.iter().filter_map(|Point { sample, .. }| {
            let seen = (sample.end <= position).then_some(sample.at.begin);
            // All that could be seen this long before is written by now, and it lies behind.
            let settled = sample.settles.filter(|_| sample.written <= position);
            let settled = settled.and_then(|time| sample.at.begin.checked_sub(time));
            seen.max(settled)
        });
        let latest = self.samples.iter().filter(|point| point.whole > position).map(|point| point.sample.at.end);
        (earliest.max(), latest.min())
    }

    /// How long the oldest change that the replica does not show had existed when it was asked; zero
    /// if there was none.
    pub fn lag(&self, reading: &Reading) -> Interval {
        let (earliest, latest) = self.passed(reading.position);
        Interval {
            low: latest.map_or(Duration::ZERO, |latest| reading.at.begin.saturating_sub(latest)),
            // A source that passed the position only after the reading leaves no lag at all.
            high: earliest.map(|earliest| reading.at.end.saturating_sub(earliest)),
        }
    }

    /// Whether a record is known to end beyond one position and not beyond another.
    pub fn ends_within(&self, beyond: u64, until: u64) -> bool {
        self.samples.iter().any(|Point { sample, .. }| beyond < sample.end && sample.end <= until)
    }

    /// Whether nothing that the newest sample knows of beyond `written` can be a change that anybody
    /// sees: it has been there for longer than such a change stays unwritten.
    pub fn rest_is_invisible(&self) -> bool {
        let Some(Point { sample: newest, .. }) = self.samples.back() else { return false };
        let Some(settles) = newest.settles else { return false };
        let first = self.samples.iter().map(|point| point.sample).find(|sample| sample.end == newest.end);
        first.is_some_and(|first| newest.at.begin.checked_sub(first.at.end).is_some_and(|age| age >= settles))
    }
}
