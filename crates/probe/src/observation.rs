//! One link under observation: fed attempt by attempt, stored whole after each of them.

use crate::beats::Beats;
use crate::clock::{Moment, Stamp};
use crate::servers::{Kin, Server, kin};
use crate::span::Failing;
use paritas_model::{Ancestry, Lsn};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Outages of the old primary that are listed; more are counted.
const OUTAGES_MAX: usize = 100;
/// Runs of servers that are told apart; more are not followed.
const SERVERS_MAX: usize = 64;
/// A pause between two attempts is a gap when it is longer than the interval asks for and this.
const SLACK: Duration = Duration::from_millis(500);
/// The version of the stored form.
const VERSION: u32 = 1;

/// Which of the two addresses of a link was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// That of the source, the old primary.
    Source,
    /// That of the replica.
    Replica,
}

/// One attempt to write (or, where nothing is written, to find a server that takes writes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Where.
    pub side: Side,
    /// When it was begun: before the first byte was sent.
    pub sent: Stamp,
    /// When its end was known.
    pub ended: Stamp,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The write was acknowledged; where nothing is written, the server could take writes.
    Took {
        /// The number of the write.
        sequence: u64,
        /// The run of the server.
        instance: String,
        /// The timeline that it writes.
        timeline: u32,
        /// A position that its log had reached by then.
        reached: Option<Lsn>,
        /// What the server held before its first write of this connection.
        survivor: Option<Survivor>,
    },
    /// The server took no writes at some moment between: it is a standby, read only, or cannot be reached.
    Down,
    /// Whether it was taken is not known.
    Unknown,
    /// The attempt says nothing about the server: a privilege is missing, the row is locked.
    Void,
}

/// The row of the link as a server held it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Survivor {
    /// There was none.
    Missing,
    /// This one.
    Row {
        /// Who wrote it.
        owner: String,
        /// The number of the write.
        sequence: u64,
        /// The timeline on which it was written.
        timeline: u32,
    },
}

/// A write that a server took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// Its number.
    pub sequence: u64,
    /// When it was sent.
    pub sent: Stamp,
    /// When it was acknowledged.
    pub acknowledged: Stamp,
    /// The run of the server.
    pub instance: String,
    /// A position that the server's log had reached by then.
    pub reached: Option<Lsn>,
}

/// Attempts on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub attempts: u64,
    /// Acknowledged (or: found to take writes).
    pub took: u64,
    /// Not taken.
    pub down: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// Of no meaning.
    pub void: u64,
}

/// Times without attempts, about which nothing is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// How many.
    pub count: u64,
    /// How often the probe was started again.
    pub restarts: u64,
    /// Nanoseconds of the longest whose length is known.
    pub longest_ns: u64,
}

/// A time in which the old primary took no writes, and after which it did again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Whether the server was started again meanwhile; else it (or the way to it) was only interrupted.
    pub restarted: bool,
    /// The last write before.
    pub before: Took,
    /// The first write after.
    pub after: Took,
    /// It took no less than this many nanoseconds.
    pub low_ns: u64,
}

/// The state of a side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SideState {
    counts: Counts,
    failing: Failing,
    last_end: Option<Moment>,
    /// Attempts without an acknowledgement since the last one with.
    missed: u64,
}

/// A link under observation, from a moment at which the source was its primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    version: u32,
    /// Who writes: the observation's own id.
    pub owner: String,
    /// Who wrote the row before.
    pub predecessor: Option<String>,
    /// Whether heartbeats are written. Otherwise the servers are only looked at.
    pub writes: bool,
    /// The table, where heartbeats are written.
    pub table: Option<String>,
    /// The old primary's `synchronous_commit`, which says what an acknowledgement is worth.
    pub synchronous_commit: Option<String>,
    /// Time between two attempts, in milliseconds.
    pub every_ms: u64,
    /// Longest time of one attempt, in milliseconds.
    pub timeout_ms: u64,
    /// When it began.
    pub begun: Stamp,
    /// When the last attempt ended.
    pub ended: Stamp,
    /// The history of the old primary.
    pub lineage: Ancestry,
    /// The clocks that moments are taken from.
    pub clocks: Vec<String>,
    /// Runs of the old primary.
    pub known: Vec<String>,
    /// Writes that the old primary took.
    pub beats: Beats,
    /// The last one of them.
    pub last: Option<Took>,
    /// Other servers that took writes.
    pub servers: Vec<Server>,
    /// Outages of the old primary that it came back from.
    pub outages: Vec<Outage>,
    /// How many there were.
    pub outages_count: u64,
    /// Times without attempts.
    pub gaps: Gaps,
    /// A number that no write has had yet.
    pub next_sequence: u64,
    source: SideState,
    replica: SideState,
}

impl Observation {
    /// Begins now, with the old primary's history and run.
    pub fn begin(owner: String, lineage: Ancestry, instance: String, begun: Stamp, clock: String) -> Self {
        Self {
            version: VERSION,
            owner,
            predecessor: None,
            writes: false,
            table: None,
            synchronous_commit: None,
            every_ms: 0,
            timeout_ms: 0,
            begun,
            ended: begun,
            lineage,
            clocks: vec![clock],
            known: vec![instance],
            beats: Beats::default(),
            last: None,
            servers: Vec::new(),
            outages: Vec::new(),
            outages_count: 0,
            gaps: Gaps::default(),
            next_sequence: 1,
            source: SideState::default(),
            replica: SideState::default(),
        }
    }

    /// Whether this version can read what was stored.
    pub fn is_readable(&self) -> bool {
        self.version == VERSION && !self.clocks.is_empty()
    }

    /// Goes on after the probe was started again: what happened meanwhile, nobody saw.
    pub fn resume(&mut self, clock: &str) {
        if self.clocks.last().map(String::as_str) != Some(clock) {
            self.clocks.push(clock.to_owned());
        }
        self.gaps.restarts += 1;
        self.source.failing = Failing::default();
    }

    /// The place of the newest clock.
    pub fn clock(&self) -> u32 {
        u32::try_from(self.clocks.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Attempts on a side.
    pub fn counts(&self, side: Side) -> Counts {
        match side {
            Side::Source => self.source.counts,
            Side::Replica => self.replica.counts,
        }
    }

    /// Whether the last attempts on a side were not acknowledged, those of no meaning aside.
    pub fn is_missing(&self, side: Side) -> bool {
        match side {
            Side::Source => self.source.missed > 0,
            Side::Replica => self.replica.missed > 0,
        }
    }

    /// Takes the next attempt; those of a side come in their order.
    pub fn take(&mut self, attempt: &Attempt) {
        self.gap(attempt);
        if attempt.ended.at.is_after(self.ended.at) {
            self.ended = attempt.ended;
        }
        let state = self.side(attempt.side);
        state.last_end = Some(attempt.ended.at);
        state.counts.attempts += 1;
        match &attempt.outcome {
            Outcome::Down => {
                state.counts.down += 1;
                state.missed += 1;
                state.failing.add(attempt.sent.at, attempt.ended.at);
            }
            Outcome::Unknown => {
                state.counts.unknown += 1;
                state.missed += 1;
            }
            Outcome::Void => state.counts.void += 1,
            Outcome::Took { sequence, instance, timeline, reached, survivor } => {
                state.counts.took += 1;
                let took = Took {
                    sequence: *sequence,
                    sent: attempt.sent,
                    acknowledged: attempt.ended,
                    instance: instance.clone(),
                    reached: *reached,
                };
                self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
                if *timeline == self.lineage.timeline && self.known.contains(instance) {
                    self.old(took);
                } else {
                    self.other(attempt.side, *timeline, took, survivor.clone());
                }
                let state = self.side(attempt.side);
                (state.missed, state.failing) = (0, Failing::default());
            }
        }
    }

    fn side(&mut self, side: Side) -> &mut SideState {
        match side {
            Side::Source => &mut self.source,
            Side::Replica => &mut self.replica,
        }
    }

    /// What happened while nobody tried is not known: failures before and after are two runs.
    fn gap(&mut self, attempt: &Attempt) {
        let longest = Duration::from_millis(self.every_ms.saturating_mul(2).saturating_add(self.timeout_ms)) + SLACK;
        let state = self.side(attempt.side);
        let Some(before) = state.last_end else { return };
        let pause = attempt.sent.at.since(before);
        if pause.is_some_and(|pause| pause <= longest) {
            return;
        }
        if attempt.side == Side::Source {
            state.failing = Failing::default();
            self.gaps.count += 1;
            let ns = pause.map_or(0, |pause| u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
            self.gaps.longest_ns = self.gaps.longest_ns.max(ns);
        }
    }

    /// A write that the old primary took.
    fn old(&mut self, took: Took) {
        if let Some(before) = &self.last {
            let restarted = before.instance != took.instance;
            // Seen through the replica's address, a server says nothing about failures on the way to the source.
            let failing = self.source.failing;
            let low = failing.until.zip(failing.since).filter(|(until, since)| until.is_after(*since));
            let low = low.and_then(|(until, since)| until.since(since)).unwrap_or_default();
            if restarted || self.source.missed > 0 {
                self.outages_count += 1;
                let low_ns = u64::try_from(low.as_nanos()).unwrap_or(u64::MAX);
                if self.outages.len() < OUTAGES_MAX {
                    self.outages.push(Outage { restarted, before: before.clone(), after: took.clone(), low_ns });
                }
            }
        }
        self.beats.push(took.sequence, took.sent.at, took.acknowledged.at);
        self.last = Some(took);
        (self.source.missed, self.source.failing) = (0, Failing::default());
    }

    /// A write that another server took, or one whose history is not known yet.
    fn other(&mut self, side: Side, timeline: u32, took: Took, survivor: Option<Survivor>) {
        let found = self.servers.iter_mut().find(|one| one.instance == took.instance && one.timeline == timeline);
        if let Some(server) = found {
            server.count += 1;
            server.last = took;
            return;
        }
        if self.servers.len() >= SERVERS_MAX {
            return;
        }
        let down_until = if side == Side::Source { self.source.failing.until } else { self.replica.failing.until };
        self.servers.push(Server {
            instance: took.instance.clone(),
            timeline,
            kin: None,
            side,
            first: took.clone(),
            last: took,
            count: 1,
            survivor,
            down_since: self.source.failing.since,
            down_until,
        });
    }

    /// Whether the history of the server behind this run and timeline still has to be read.
    pub fn asks_for(&self, instance: &str, timeline: u32) -> bool {
        self.servers.iter().any(|one| one.instance == instance && one.timeline == timeline && one.kin.is_none())
    }

    /// The history of a server, read after it took a write.
    pub fn identify(&mut self, instance: &str, timeline: u32, history: &Ancestry) {
        let place = self
            .servers
            .iter()
            .position(|one| one.instance == instance && one.timeline == timeline && one.kin.is_none());
        let Some(server) = place.and_then(|place| self.servers.get_mut(place)) else { return };
        server.kin = kin(&self.lineage, history, timeline, server.side == Side::Source);
        if server.kin != Some(Kin::Old) {
            return;
        }
        // The old primary, started again: its writes go on.
        let server = place.map(|place| self.servers.remove(place));
        let Some(Server { first, last, count, down_since, down_until, .. }) = server else { return };
        self.known.push(instance.to_owned());
        let now = (self.source.missed, self.source.failing);
        self.source.failing = Failing { since: down_since, until: down_until };
        self.old(first);
        if count > 1 {
            self.beats.skip(count - 2);
            self.old(last);
        }
        (self.source.missed, self.source.failing) = now;
    }
}
