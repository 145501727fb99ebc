//! What follows from an observation: a failover with its time, writes that are gone, two servers that took writes.

use crate::clock::Moment;
use crate::observation::{Observation, Side, Survivor, Took};
use crate::servers::{Kin, Server};
use paritas_model::{Known, Lsn, Verdict};
use std::time::Duration;

/// Bounds of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seconds {
    /// No less than this.
    pub low: Duration,
    /// No more than this.
    pub high: Known<Duration>,
}

/// From the old primary to a server that was promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// The timeline that was left.
    pub old_timeline: u32,
    /// Where it was left.
    pub at: Lsn,
    /// The new one.
    pub new_timeline: u32,
    /// Where the first write was sent.
    pub side: Side,
    /// The last write that the old primary acknowledged.
    pub last: Option<Took>,
    /// The first one that the new primary did.
    pub first: Took,
    /// How long nobody took writes.
    pub seconds: Known<Seconds>,
    /// What of the acknowledged writes the new primary does not have.
    pub losses: Known<Losses>,
    /// A position that the old primary had reached, when it is behind the one where it was left: so many bytes of its
    /// log were left behind at least.
    pub left_bytes: u64,
}

/// Acknowledged writes that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Losses {
    /// No fewer than this.
    pub least: u64,
    /// No more than this.
    pub most: u64,
    /// No less time lies between the first and the last of them.
    pub low: Duration,
    /// No more time lies between the last write that survived and the last one that did not; `None` where that is not
    /// known.
    pub high: Option<Duration>,
    /// From the last write that survived to the first attempt that failed on the old primary, where both are known: if
    /// it took no write after that, no more work is lost.
    pub if_down: Option<Duration>,
    /// The last number that survived; `None` when none did.
    pub survived: Option<u64>,
}

/// Two servers that took writes at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The first write that the other server took.
    pub other: Took,
    /// A later one, that the old primary took.
    pub old: Took,
    /// Whether the other server was promoted; else it was started as a copy.
    pub promoted: bool,
}

/// Everything that follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The failover, once the history of the new primary was read.
    pub failover: Option<Failover>,
    /// Evidence of a split brain.
    pub split: Option<Split>,
    /// Servers that took writes and are no promoted copy of the old primary, in words.
    pub others: Vec<String>,
    /// Whether a server took writes whose history could not be read.
    pub unread: bool,
}

impl Observation {
    /// What follows from everything that was seen.
    pub fn findings(&self) -> Findings {
        let new = self
            .servers
            .iter()
            .filter(|server| matches!(server.kin, Some(Kin::New { .. })))
            .min_by_key(|server| (server.first.acknowledged.at.clock, server.first.acknowledged.at.ns));
        let split = self.split();
        let failover = new.and_then(|server| match server.kin {
            Some(Kin::New { timeline, at }) => Some(self.failover(server, timeline, at, split.is_some())),
            _ => None,
        });
        let others = self.servers.iter().filter_map(|server| match &server.kin {
            Some(Kin::Twin) => Some(format!(
                "a server takes writes on timeline {} without having been promoted, beside the old primary",
                server.timeline
            )),
            Some(Kin::Stranger { why }) => Some(format!("a server that takes writes is no copy: {why}")),
            _ => None,
        });
        let unread = self.servers.iter().any(|server| server.kin.is_none());
        Findings { failover, split, others: others.collect(), unread }
    }

    /// A write that the old primary took, sent after another server of its history had acknowledged one.
    fn split(&self) -> Option<Split> {
        let old = self.last.as_ref()?;
        let others = self.servers.iter().filter(|server| matches!(server.kin, Some(Kin::New { .. } | Kin::Twin)));
        let mut others = others.filter(|server| old.sent.at.is_after(server.first.acknowledged.at));
        others.next().map(|server| Split {
            other: server.first.clone(),
            old: old.clone(),
            promoted: matches!(server.kin, Some(Kin::New { .. })),
        })
    }

    fn failover(&self, server: &Server, new_timeline: u32, at: Lsn, split: bool) -> Failover {
        let last = self.last.clone();
        let seconds = match &last {
            _ if split => Known::unknown("the old primary took writes after the new one did"),
            None => Known::unknown("no write of the old primary was seen"),
            Some(last) => Known::Known(self.seconds(last, server)),
        };
        let reached = last.as_ref().and_then(|last| last.reached).unwrap_or_default();
        Failover {
            old_timeline: self.lineage.timeline,
            at,
            new_timeline,
            side: server.side,
            first: server.first.clone(),
            seconds,
            losses: self.losses(server),
            left_bytes: reached.0.saturating_sub(at.0),
            last,
        }
    }

    fn seconds(&self, last: &Took, server: &Server) -> Seconds {
        let between = |until: Moment, since: Moment| until.is_after(since).then(|| until.since(since)).flatten();
        // Failures count only when the old primary took no write after they began.
        let since = server.down_since.filter(|since| !last.acknowledged.at.is_after(*since));
        let low = server.down_until.zip(since).and_then(|(until, since)| between(until, since)).unwrap_or_default();
        let high = server.first.acknowledged.at.since(last.sent.at);
        let high = match high {
            _ if !self.writes => Known::unknown(
                "nothing was written: a server that says it takes writes may acknowledge none, before and after",
            ),
            Some(high) => Known::Known(high),
            None => Known::unknown("the machine of the probe was started again meanwhile"),
        };
        Seconds { low, high }
    }

    fn losses(&self, server: &Server) -> Known<Losses> {
        if !self.writes {
            return Known::unknown("nothing was written");
        }
        let survived = match &server.survivor {
            None => return Known::unknown("what the new primary held before its first write was not read"),
            Some(Survivor::Missing) => None,
            Some(Survivor::Row { owner, sequence, timeline }) => {
                if *timeline != self.lineage.timeline && self.lineage.left(*timeline).is_none() {
                    return Known::unknown("the row was written on the new timeline already");
                }
                if *owner == self.owner {
                    Some(*sequence)
                } else if self.predecessor.as_ref() == Some(owner) {
                    None
                } else {
                    return Known::unknown("another probe wrote the row of this link");
                }
            }
        };
        let behind = self.beats.behind(survived);
        let low = behind.gone.and_then(|(first, last)| last.sent.since(first.acknowledged)).unwrap_or_default();
        let high = match (behind.gone, behind.survived) {
            (None, _) => Some(Duration::ZERO),
            (Some((_, last)), Some(survived)) => last.acknowledged.since(survived.sent),
            (Some(_), None) => None,
        };
        let down = server.down_since.filter(|_| {
            self.last
                .as_ref()
                .is_some_and(|last| server.down_since.is_some_and(|since| !last.acknowledged.at.is_after(since)))
        });
        let if_down = down.zip(behind.survived).and_then(|(down, survived)| down.since(survived.sent));
        Known::Known(Losses { least: behind.least, most: behind.most, low, high, if_down, survived })
    }
}

/// Whether an objective is kept: broken when even the lower bound is beyond it, kept when the upper one is within.
pub fn verdict(seconds: &Seconds, objective: Duration) -> Verdict {
    match &seconds.high {
        _ if seconds.low > objective => Verdict::Fail,
        Known::Known(high) if *high <= objective => Verdict::Pass,
        _ => Verdict::Unknown,
    }
}
