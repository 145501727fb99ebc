//! Mirrors of partitions over several rounds of looking.

use super::{MirrorLag, Placed};
use crate::ages::{Behind, Count, Extent, Follower, Growths, span};
use crate::items::Window;
use paritas_connect::logs::{Ends, Heartbeat, Partition};
use paritas_lag::{Finding, Interval, Link, Obstacle, Reading, judge};
use paritas_model::{Known, LagState};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What was seen of one partition in one round: the replica first, and then the source.
#[derive(Debug, Clone, Copy)]
pub struct PartitionLook<'a> {
    /// The partition on the source.
    pub source: &'a Partition,
    /// The partition on the replica.
    pub replica: &'a Partition,
    /// Where that of the replica begins and ends. Its last records were read up to this end.
    pub replica_ends: &'a Known<Ends>,
    /// Where that of the source does, asked for afterwards.
    pub source_ends: &'a Known<Ends>,
    /// Where the mirror stands by these, or why nobody knows.
    pub placed: &'a Result<Placed, String>,
    /// Records of the source from about there on, read after the ends.
    pub window: Option<&'a Window>,
    /// What tells the log of the source from an earlier one of the same name.
    pub incarnation: Option<&'a str>,
}

/// One round.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Its partitions.
    pub partitions: &'a [PartitionLook<'a>],
    /// What is known about the mirror as a whole.
    pub link: &'a Link,
}

/// The last progress of the mirror of a partition, and since when it is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Still {
    replica_end: u64,
    next: Count,
    since: Duration,
}

/// What is known about the mirrors of a link's partitions.
#[derive(Debug)]
pub struct Mirrors {
    origin: Instant,
    growths: Growths,
    still: BTreeMap<Partition, Still>,
    beats: BTreeMap<(String, String, String), (i64, Duration)>,
}

impl Mirrors {
    /// Heartbeats that stand still for that long say that the mirror does not run. It sends one every second
    /// unless configured otherwise.
    pub const SILENT_AFTER: Duration = Duration::from_secs(10);
    /// Flows of heartbeats that are remembered.
    const FLOWS_MAX: usize = 1_000;

    /// Nothing was seen yet. Times count from `origin`.
    pub fn new(origin: Instant) -> Self {
        Self { origin, growths: Growths::default(), still: BTreeMap::new(), beats: BTreeMap::new() }
    }

    /// Ends of the source alone, so that the curves begin earlier.
    pub fn begin(&mut self, source: &Partition, ends: &Ends, incarnation: Option<&str>, expected: usize) {
        self.growths.push(source, Extent::of(ends, self.origin), incarnation, expected);
    }

    /// Whether a partition of the source was seen before.
    pub fn knows(&self, source: &Partition) -> bool {
        self.growths.get(source).is_some()
    }

    /// What heartbeats on the replica say about the mirror, asked for at that moment. Those that came through
    /// the mirror count; those that it writes itself only where there are no others.
    pub fn hear(&mut self, heartbeats: &[Heartbeat], asked: Instant) -> Link {
        let now = asked.saturating_duration_since(self.origin);
        let through = heartbeats.iter().any(|beat| beat.held_in != "heartbeats");
        let mut newest: Option<Duration> = None;
        for beat in heartbeats.iter().filter(|beat| !through || beat.held_in != "heartbeats") {
            let flow = (beat.held_in.clone(), beat.source.clone(), beat.target.clone());
            if self.beats.len() >= Self::FLOWS_MAX && !self.beats.contains_key(&flow) {
                continue;
            }
            let known = self.beats.entry(flow).or_insert((beat.sent, now));
            if known.0 != beat.sent {
                *known = (beat.sent, now);
            }
            newest = newest.max(Some(known.1));
        }
        let silent = newest.map_or(Duration::ZERO, |newest| now.saturating_sub(newest));
        if silent < Self::SILENT_AFTER {
            return Link::Connected;
        }
        let seconds = silent.as_secs();
        Link::Cut { why: format!("no heartbeat of the mirror has arrived for {seconds} s: it does not run") }
    }

    /// Adds a round and says what follows from all of them.
    pub fn look(&mut self, look: &Look<'_>) -> Vec<MirrorLag> {
        let expected = look.partitions.len();
        look.partitions.iter().map(|partition| self.partition(partition, look.link, expected)).collect()
    }

    fn partition(&mut self, look: &PartitionLook<'_>, link: &Link, expected: usize) -> MirrorLag {
        let mut lag = MirrorLag {
            source: look.source.clone(),
            replica: look.replica.clone(),
            state: LagState::Unknown,
            reason: None,
            hint: None,
            placed: look.placed.as_ref().ok().cloned(),
            source_ends: look.source_ends.value().map(|ends| (ends.start, ends.end)),
            replica_ends: look.replica_ends.value().map(|ends| (ends.start, ends.end)),
            offsets: None,
            records: None,
            seconds: None,
            stuck: None,
            replica_at: look.replica_ends.value().map(|ends| span(self.origin, ends.asked, ends.answered)),
            source_at: look.source_ends.value().map(|ends| span(self.origin, ends.asked, ends.answered)),
        };
        let (source, replica) = match (look.source_ends, look.replica_ends) {
            (Known::Unknown { why }, _) | (_, Known::Unknown { why }) => {
                lag.reason = Some(why.clone());
                return lag;
            }
            (Known::Known(source), Known::Known(replica)) => (source, replica),
        };
        let before = self.growths.get(look.source).and_then(|growth| growth.newest()).copied();
        if !self.growths.push(look.source, Extent::of(source, self.origin), look.incarnation, expected) {
            self.still.remove(look.source);
        }
        let placed = match look.placed {
            Ok(placed) => placed,
            Err(why) => {
                lag.reason = Some(why.clone());
                return lag;
            }
        };
        let at = span(self.origin, replica.asked, replica.answered);
        let Some((near, far)) = self.behind(look, placed, at) else { return lag };
        lag.offsets = Some(Count { low: far.offsets, high: near.offsets });
        lag.records = Some(Count { low: far.records.low, high: near.records.high });
        let seconds = Interval { low: far.age.low, high: near.age.high };
        lag.seconds = Some(seconds);
        let stuck = self.stuck(look, placed, replica, at, seconds.low);
        lag.stuck = stuck;
        let finding = Finding { caught_up: near.records.high == 0, behind: near.offsets, unwritten: 0, seconds, stuck };
        let before = before.filter(|before| before.at.end <= at.begin && before.epoch == source.epoch);
        let obstacles = before.and_then(|before| overtaken(placed, &before));
        let judgement = judge(Some(&finding), link, obstacles.as_slice());
        (lag.state, lag.reason, lag.hint) = (judgement.state, judgement.reason, judgement.hint);
        lag
    }

    /// What the mirror has not copied: at most, if it stands where the evidence begins, and at least, if it
    /// stands where that ends.
    fn behind(&self, look: &PartitionLook<'_>, placed: &Placed, at: paritas_lag::Span) -> Option<(Behind, Behind)> {
        let growth = self.growths.get(look.source)?;
        let of = |position: u64| {
            let ahead = look.window.and_then(|window| window.ahead(position));
            let isolation = look.window.map(|window| window.isolation);
            let reading = Reading { at, position };
            Follower { reading, isolation, ahead: ahead.as_ref() }.behind(growth, None)
        };
        let near = of(placed.next.low)?;
        let far = if placed.next.exact().is_some() { near } else { of(placed.next.high)? };
        Some((near, far))
    }

    fn stuck(
        &mut self,
        look: &PartitionLook<'_>,
        placed: &Placed,
        replica: &Ends,
        at: paritas_lag::Span,
        low: Duration,
    ) -> Option<Duration> {
        let now = Still { replica_end: replica.end, next: placed.next, since: at.end };
        let still = self.still.entry(look.source.clone()).or_insert(now);
        if still.replica_end != now.replica_end {
            *still = now;
        }
        let time = at.begin.saturating_sub(still.since).min(low);
        (!time.is_zero()).then_some(time)
    }
}

/// The source had removed what the mirror wants next before the mirror was asked.
fn overtaken(placed: &Placed, source: &Extent) -> Option<Obstacle> {
    // A mirror that was never there has not lost what was removed before.
    if placed.method == super::Method::Empty {
        return None;
    }
    let offsets = source.start.checked_sub(placed.next.high).filter(|offsets| *offsets > 0)?;
    Some(Obstacle {
        fatal: true,
        passing: false,
        what: format!("the source has removed what comes next: up to {offsets} records can never be mirrored"),
        hint: Some("take them from a backup, and raise the retention of the source's log".to_owned()),
    })
}
