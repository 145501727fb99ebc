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
    /// How far the replica received, where it says that it waits for the rest of a record: it has applied
    /// every record that ends before this. A replica whose work hangs goes on saying so.
    pub drained: Option<u64>,
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
    /// Since when it waits at the same place for more, and where.
    waits: Option<(Duration, u64, u64)>,
}

/// A replica says that it waits for more until it is woken up, which may take a moment after more has
/// arrived. What it says counts when it says the same after that long.
const DRAINED_AFTER: Duration = Duration::from_millis(500);

/// What a replica says about waiting counts for no longer than that after the source moved: one whose work
/// hangs says it for ever.
const DRAINED_FOR: Duration = Duration::from_secs(2);

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

    /// Up to where the replica shows every record, half of one at the end of what it received left out.
    /// The source's sample of the round is part of the curve already.
    fn shown(&mut self, round: &Round) -> u64 {
        let Reading { at, position } = round.replica;
        let Some(received) = round.drained else {
            self.waits = None;
            return position;
        };
        let same = self.waits.filter(|(_, own, until)| (*own, *until) == (position, received));
        let (since, ..) = *self.waits.insert(same.unwrap_or((at.end, position, received)));
        let said_for_long = at.begin.saturating_sub(since) >= DRAINED_AFTER;
        let fresh = self.curve.lag(&round.replica).high.is_some_and(|age| age <= DRAINED_FOR);
        let whole = self.curve.ends_within(position, received);
        if said_for_long && fresh && !whole { position.max(received) } else { position }
    }

    /// Adds a round and says what follows from all of them.
    pub fn add(&mut self, round: &Round) -> Finding {
        self.rounds += 1;
        self.source(round.source);
        let source = &round.source;
        let replica = &Reading { position: self.shown(round), ..round.replica };
        let moved = self.still.as_ref().is_none_or(|(_, progress)| *progress != round.progress);
        if moved {
            self.still = Some((replica.at.end, round.progress.clone()));
        }
        let seconds = self.curve.lag(replica);
        let waiting = self.curve.passed(replica.position).1.is_some();
        let since = self.still.as_ref().map_or(replica.at.end, |(since, _)| *since);
        // It stood still for that long, but it had something to do only for as long as it is behind.
        let stuck = replica.at.begin.saturating_sub(since).min(seconds.low);
        let caught_up =
            source.end <= replica.position || (source.written <= replica.position && self.curve.rest_is_invisible());
        Finding {
            caught_up,
            behind: source.end.saturating_sub(replica.position),
            unwritten: source.end.saturating_sub(source.written.max(replica.position)),
            seconds: if caught_up { Interval { high: Some(Duration::ZERO), ..seconds } } else { seconds },
            stuck: (!moved && waiting).then_some(stuck),
        }
    }
}
