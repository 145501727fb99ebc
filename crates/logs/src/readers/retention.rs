//! Whether a log removes records before a group has had them: a warning before the loss.

use crate::ages::seconds;
use paritas_connect::logs::Settings;
use serde::Serialize;
use std::time::Duration;

/// How a log removes records by age or size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Records of that age may be removed; `None` where age removes nothing.
    pub age: Option<Duration>,
    /// What is there beyond that many bytes may be removed, oldest first; `None` where size removes nothing.
    pub bytes: Option<u64>,
}

impl Expiry {
    /// What a log's settings say; `None` where they cannot be understood.
    pub fn of(settings: &Settings) -> Option<Self> {
        let deletes = settings.get("cleanup.policy")?.split(',').any(|policy| policy.trim() == "delete");
        if !deletes {
            return Some(Self::default());
        }
        // Kafka writes -1 for "no limit".
        let number = |name: &str| settings.get(name)?.trim().parse::<i64>().ok();
        let age = u64::try_from(number("retention.ms")?).ok().map(Duration::from_millis);
        let bytes = u64::try_from(number("retention.bytes")?).ok();
        Some(Self { age, bytes })
    }
}

/// Removal runs ahead of a group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RetentionRisk {
    /// Offsets between the start of the log and the group's position.
    pub slack: u64,
    /// How long it takes until age may remove the next record that the group wants: no less than nothing and
    /// no more than this. `None` where age is not what threatens it.
    #[serde(serialize_with = "seconds::duration")]
    pub by_age: Option<Duration>,
    /// How long it takes until the start of the log passes the group, if both go on as they did: an
    /// estimate. `None` where that is never, or nothing moved yet.
    #[serde(serialize_with = "seconds::duration")]
    pub by_rate: Option<Duration>,
}

/// What the start of a log and a group did since they were first seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Race {
    /// Time between the first look and this one.
    pub(super) elapsed: Duration,
    /// Offsets by which the start moved.
    pub(super) start: u64,
    /// Offsets by which the group moved.
    pub(super) group: u64,
}

impl Race {
    /// When the start reaches a group that is `slack` ahead of it.
    pub(super) fn ends_in(&self, slack: u64) -> Option<Duration> {
        let closing = self.start.checked_sub(self.group).filter(|closing| *closing > 0)?;
        let seconds = self.elapsed.as_secs_f64() * slack as f64 / closing as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// The risk, if there is one within `horizon`. `expiring` is the first offset whose record stays for longer
/// than the horizon by its age; the caller asked the store for it, and knows for which horizon.
pub(super) fn risk(
    position: u64,
    start: u64,
    expiring: Option<u64>,
    race: Option<Race>,
    horizon: Duration,
) -> Option<RetentionRisk> {
    let slack = position.checked_sub(start)?;
    let by_age = expiring.filter(|expiring| position < *expiring).map(|_| horizon);
    let by_rate = race.and_then(|race| race.ends_in(slack)).filter(|left| *left <= horizon);
    (by_age.is_some() || by_rate.is_some()).then_some(RetentionRisk { slack, by_age, by_rate })
}
