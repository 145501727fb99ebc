//! Groups over several rounds of looking.

use super::retention::{Expiry, Race, risk};
use super::state::{Seen, judge, stuck, why};
use super::{GroupLag, GroupTotals, ReaderLag, ReaderState};
use crate::ages::{Ahead, Clocks, Extent, Growth, Growths, span};
use paritas_connect::logs::{Ends, Group, Isolation, Partition, Survey};
use paritas_lag::Span;
use paritas_model::Known;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What is allowed, and what was promised by whoever knows the groups.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A group that stood still for that long although a record was there for it is stuck. Readers commit
    /// every few seconds at most, so a short while means nothing.
    pub stuck_after: Duration,
    /// A record that may be removed within that time before the group has had it is a risk.
    pub horizon: Duration,
    /// Which records groups take, by name, where somebody declared it.
    pub isolation: BTreeMap<String, Isolation>,
    /// How far stamps may be off our clock, where somebody declared it; otherwise nothing follows from them.
    pub tolerance: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stuck_after: Duration::from_secs(30),
            horizon: Duration::from_secs(3_600),
            isolation: BTreeMap::new(),
            tolerance: None,
        }
    }
}

/// What was asked in one round: the groups, and after them the ends.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    /// The logs, with all their partitions.
    pub survey: &'a Survey,
    /// The groups with their commits.
    pub groups: &'a [Group],
    /// The ends of all partitions that matter, asked for after the groups.
    pub ends: &'a BTreeMap<Partition, Known<Ends>>,
    /// What was read from positions on, after the ends were asked for.
    pub ahead: &'a BTreeMap<(Partition, u64), Ahead>,
    /// For partitions whose records are removed by age: the first offset whose record stays for longer than
    /// the horizon.
    pub expiring: &'a BTreeMap<Partition, u64>,
    /// How logs remove records, by name, where that is known.
    pub expiry: &'a BTreeMap<String, Expiry>,
}

/// Where a follower stands, and since when.
#[derive(Debug, Clone, Copy)]
struct Still {
    position: u64,
    since: Duration,
    /// The first look of all: when, where it stood, where the log began.
    first: (Duration, u64, u64),
}

/// What is known about groups from rounds of looking. Its memory has limits of its own, whatever the
/// cluster holds.
#[derive(Debug)]
pub struct Readers {
    origin: Instant,
    /// Our clock at the origin, in milliseconds since 1970.
    wall: i64,
    limits: Limits,
    growths: Growths,
    still: BTreeMap<String, BTreeMap<Partition, Still>>,
    followers: usize,
}

impl Readers {
    /// Positions of groups that are remembered from round to round; beyond them everything begins anew.
    pub const FOLLOWERS_MAX: usize = 200_000;

    /// Nothing was seen yet. Times count from `origin`, when our clock showed `wall` (milliseconds since
    /// 1970).
    pub fn new(origin: Instant, wall: i64, limits: Limits) -> Self {
        let (growths, still) = (Growths::default(), BTreeMap::new());
        Self { origin, wall, limits, growths, still, followers: 0 }
    }

    /// What is allowed.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How a partition grew so far.
    pub fn growth(&self, partition: &Partition) -> Option<&Growth> {
        self.growths.get(partition)
    }

    /// Partitions that a group reads or has read: those of every log in which it has a commit or a member
    /// has something to read.
    pub fn interest(group: &Group, survey: &Survey) -> BTreeSet<Partition> {
        let committed = group.offsets.value().into_iter().flat_map(|offsets| offsets.keys());
        let assigned = group.members.value().into_iter().flatten().flat_map(|member| &member.partitions);
        let mut wanted: BTreeSet<Partition> = committed.chain(assigned).cloned().collect();
        let logs: BTreeSet<String> = wanted.iter().map(|partition| partition.log.clone()).collect();
        for log in logs.iter().filter_map(|log| survey.log(log)) {
            wanted.extend(log.partitions.iter().map(|state| Partition::new(log.name.as_str(), state.index)));
        }
        wanted
    }

    /// Ends alone, so that the curves begin earlier.
    pub fn begin(&mut self, survey: &Survey, ends: &BTreeMap<Partition, Known<Ends>>) {
        self.grow(survey, ends);
    }

    fn grow(&mut self, survey: &Survey, ends: &BTreeMap<Partition, Known<Ends>>) {
        for (partition, ends_of) in ends {
            let Known::Known(seen) = ends_of else { continue };
            let extent = Extent::of(seen, self.origin);
            let newest = self.growths.get(partition).and_then(Growth::newest);
            // The same answer is handed in again when only groups were asked once more.
            if newest.is_some_and(|newest| *newest == extent) {
                continue;
            }
            let incarnation = survey.log(&partition.log).and_then(|log| log.id.value());
            if !self.growths.push(partition, extent, incarnation.map(String::as_str), ends.len()) {
                for positions in self.still.values_mut() {
                    positions.remove(partition);
                }
            }
        }
    }

    /// Adds a round and says what follows from all of them.
    pub fn round(&mut self, round: &Round<'_>) -> Vec<GroupLag> {
        let before: BTreeMap<Partition, Extent> = round
            .ends
            .keys()
            .filter_map(|partition| Some((partition.clone(), *self.growths.get(partition)?.newest()?)))
            .collect();
        self.grow(round.survey, round.ends);
        self.followers = self.still.values().map(BTreeMap::len).sum();
        round.groups.iter().map(|group| self.group(group, round, &before)).collect()
    }

    fn group(&mut self, group: &Group, round: &Round<'_>, before: &BTreeMap<Partition, Extent>) -> GroupLag {
        let at = span(self.origin, group.asked, group.answered);
        let mut partitions = Vec::new();
        for partition in Self::interest(group, round.survey) {
            let before = before.get(&partition).copied();
            partitions.push(self.partition(group, at, partition, round, before));
        }
        let totals = GroupTotals::of(&partitions);
        let members = group.members.clone().map(|members| members.len() as u64);
        let (name, activity) = (group.name.clone(), group.state.clone());
        GroupLag { group: name, activity, members, committed_at: at, totals, partitions }
    }

    fn partition(
        &mut self,
        group: &Group,
        at: Span,
        partition: Partition,
        round: &Round<'_>,
        before: Option<Extent>,
    ) -> ReaderLag {
        let member = reader_of(group, &partition);
        let mut lag = match (&group.offsets, round.ends.get(&partition)) {
            (offsets @ Known::Unknown { .. }, _) => ReaderLag::unknown(partition, why(offsets)),
            (_, None) => ReaderLag::unknown(partition, "the log is not there any more"),
            (_, Some(ends @ Known::Unknown { .. })) => ReaderLag::unknown(partition, why(ends)),
            (Known::Known(offsets), Some(Known::Known(_))) => {
                let committed = offsets.get(&partition).map(|committed| committed.offset);
                self.known(group, at, partition, committed, round, before)
            }
        };
        lag.member = member;
        lag
    }

    fn known(
        &mut self,
        group: &Group,
        at: Span,
        partition: Partition,
        committed: Option<u64>,
        round: &Round<'_>,
        before: Option<Extent>,
    ) -> ReaderLag {
        let Some(growth) = self.growths.get(&partition) else {
            return ReaderLag::unknown(partition, "nobody asked where the partition ends");
        };
        let wall = self.wall;
        let clocks = self.limits.tolerance.map(|tolerance| Clocks { origin: wall, tolerance });
        let ahead = committed.and_then(|offset| round.ahead.get(&(partition.clone(), offset)));
        let isolation = self.limits.isolation.get(&group.name).copied();
        let seen = Seen { at, committed, isolation, before, growth, ahead, clocks: clocks.as_ref() };
        let mut lag = judge(partition, &seen);
        let (Some(committed), Some(start)) = (committed, lag.start) else { return lag };
        let still = self.remember(&group.name, &lag.partition, at, committed, start);
        if lag.state == ReaderState::Behind {
            lag.stuck = stuck(lag.seconds.as_ref(), &at, still.since);
            if lag.stuck.is_some_and(|time| time >= self.limits.stuck_after) {
                lag.state = ReaderState::Stuck;
            }
        }
        if matches!(lag.state, ReaderState::Behind | ReaderState::Stuck) {
            lag.retention = self.retention(&lag, committed, ahead, still, round);
        }
        lag
    }

    fn remember(&mut self, group: &str, partition: &Partition, at: Span, position: u64, start: u64) -> Still {
        let fresh = Still { position, since: at.end, first: (at.end, position, start) };
        if let Some(old) = self.still.get_mut(group).and_then(|positions| positions.get_mut(partition)) {
            if old.position != position {
                // A group that was set back has another pace from there on.
                let first = if position < old.position { fresh.first } else { old.first };
                *old = Still { first, ..fresh };
            }
            return *old;
        }
        if self.followers >= Self::FOLLOWERS_MAX {
            self.still.clear();
            self.followers = 0;
        }
        self.followers += 1;
        self.still.entry(group.to_owned()).or_default().insert(partition.clone(), fresh);
        fresh
    }

    fn retention(
        &self,
        lag: &ReaderLag,
        position: u64,
        ahead: Option<&Ahead>,
        still: Still,
        round: &Round<'_>,
    ) -> Option<super::RetentionRisk> {
        let start = lag.start?;
        let expiry = round.expiry.get(&lag.partition.log).copied()?;
        if expiry == Expiry::default() {
            return None;
        }
        let now = lag.ends_at?.end;
        let (first_at, first_position, first_start) = still.first;
        let race = Race {
            elapsed: now.saturating_sub(first_at),
            start: start.saturating_sub(first_start),
            group: position.saturating_sub(first_position),
        };
        let expiring = round.expiring.get(&lag.partition).copied();
        let mut risk = risk(position, start, expiring, Some(race), self.limits.horizon);
        let stamp = ahead.and_then(|ahead| ahead.first).and_then(|first| first.timestamp);
        if let (Some(risk), Some(stamp), Some(age)) = (&mut risk, stamp, expiry.age) {
            let now = i128::from(self.wall) + i128::try_from(now.as_millis()).unwrap_or(0);
            let left = i128::from(stamp) + i128::try_from(age.as_millis()).unwrap_or(i128::MAX / 2) - now;
            let left = Duration::from_millis(u64::try_from(left.max(0)).unwrap_or(u64::MAX));
            risk.by_age = risk.by_age.map(|horizon| horizon.min(left));
        }
        risk
    }
}

fn reader_of(group: &Group, partition: &Partition) -> Option<String> {
    let mut members = group.members.value()?.iter();
    members.find(|member| member.partitions.contains(partition)).map(|member| member.client.clone())
}
