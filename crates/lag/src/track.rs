//! One stream of one link over several rounds of sampling.

use crate::{Curve, Interval, Reading, Sample};
use std::time::Duration;

/// One round: the replica was asked, and then the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// What the replica said.
    pub replica: Reading,
    /// Everything that moves while the replica works (positions received, sent, applied).
    pub progress: Vec<u64>,
    /// What the source said, after the replica.
    pub source: Sample,
}

/// What the rounds so far say about the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Whether the replica showed everything that could be seen on the source.
    pub caught_up: bool,
    /// Units of the stream between the replica and the source's end.
    pub behind: u64,
    /// Units of those that the source had not even written, so that no replica can have them.
    pub unwritten: u64,
    /// Age of the oldest change that the replica did not show.
    pub seconds: Interval,
    /// For how long it is proven that the replica did not move at all although something was there
    /// for it; `None` after a single round, or when it moved.
    pub stuck: Option<Duration>,
}

/// The rounds of one stream.
#[derive(Debug, Clone, Default)]
pub struct Track {
    curve: Curve,
    rounds: u64,
    /// Since when the replica shows the same progress, and which.
    still: Option<(Duration, Vec<u64>)>,
}

impl Track {
    /// A sample of the source alone, so that the curve begins earlier.
    pub fn source(&mut self, sample: Sample) {
        if !self.curve.push(sample) {
            self.still = None;
        }
    }

    /// How many rounds there were.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Adds a round and says what follows from all of them.
    pub fn add(&mut self, round: &Round) -> Finding {
        self.rounds += 1;
        self.source(round.source);
        let Round { replica, source, .. } = round;
        let moved = self.still.as_ref().is_none_or(|(_, progress)| *progress != round.progress);
        if moved {
            self.still = Some((replica.at.end, round.progress.clone()));
        }
        let seconds = self.curve.lag(replica);
        let waiting = source.written > replica.position;
        let since = self.still.as_ref().map_or(replica.at.end, |(since, _)| *since);
        // It stood still for that long, but it had something to do only for as long as it is behind.
        let stuck = replica.at.begin.saturating_sub(since).min(seconds.low);
        let caught_up = source.end <= replica.position || (!waiting && self.curve.rest_is_invisible());
        Finding {
            caught_up,
            behind: source.end.saturating_sub(replica.position),
            unwritten: source.end.saturating_sub(source.written.max(replica.position)),
            seconds: if caught_up { Interval { high: Some(Duration::ZERO), ..seconds } } else { seconds },
            stuck: (!moved && waiting).then_some(stuck),
        }
    }
}
