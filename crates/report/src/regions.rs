//! The health score of regions: from 0 to 1, made of the verdicts of a report and of nothing else.

use crate::summary::subject;
use crate::{Check, LinkReport};
use paritas_model::{Region, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// From here on a region is healthy.
pub const HEALTHY: f64 = 0.8;
/// Below this a region is drained.
pub const DRAIN: f64 = 0.5;
/// What a warning is worth.
const WARNED: f64 = 0.75;
/// Names in one list, at most.
const NAMED_MAX: usize = 10;

/// The parts of a score, with their weights.
const PARTS: [(&str, u32); 4] = [("content", 3), ("replication", 3), ("freshness", 2), ("clock", 1)];

/// How far the stores of a region can be relied on, by the checks of a report that are about them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionHealth {
    /// The region.
    pub region: Region,
    /// The weighted mean of its parts, with everything unknown counted as 0; `null` where no check is about it.
    pub score: Option<f64>,
    /// The same with everything unknown, and every part that no check is about, counted as 1: no more is possible.
    pub score_high: Option<f64>,
    /// `healthy` (the score is 0.8 or more), `drain` (not even `score_high` is 0.5), `degraded` (certainly between the
    /// two), `unknown`.
    pub state: String,
    /// What it is made of.
    pub parts: Vec<HealthPart>,
    /// Parts that no check of this report is about: `score` leaves them out, `score_high` counts them as 1.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_included: Vec<String>,
}

/// One part of a score: as good as the worst check in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthPart {
    /// `content`, `replication`, `freshness` or `clock`.
    pub part: String,
    /// How much it counts.
    pub weight: u32,
    /// 0 with a failure, 0.75 with a warning, 1 otherwise; 0 as well where something is unknown.
    pub value: f64,
    /// The same where what is unknown would pass.
    pub value_high: f64,
    /// Checks that were counted.
    pub checks: u64,
    /// Those that fail, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failed: Vec<String>,
    /// Those that are unknown, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unknown: Vec<String>,
    /// Those that warn, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warned: Vec<String>,
}

/// The verdicts of one part.
#[derive(Debug, Default)]
struct Gathered(BTreeMap<Verdict, (u64, Vec<String>)>);

impl RegionHealth {
    /// The scores of all regions that some links name, in the order of their names.
    pub fn of<'a>(links: impl IntoIterator<Item = &'a LinkReport>) -> Vec<Self> {
        let mut regions: BTreeMap<&str, BTreeMap<&'static str, Gathered>> = BTreeMap::new();
        for link in links {
            for region in [&link.source, &link.replica].into_iter().filter_map(|store| store.region.as_ref()) {
                regions.entry(&region.0).or_default();
            }
            for check in &link.checks {
                for (on_source, verdict) in about(check) {
                    let store = if on_source { &link.source } else { &link.replica };
                    let Some((part, region)) = part(check).zip(store.region.as_ref()) else { continue };
                    let gathered = regions.entry(&region.0).or_default().entry(part).or_default();
                    gathered.add(verdict, || format!("{} ({})", subject(check), link.name));
                }
            }
        }
        regions.into_iter().map(|(region, gathered)| Self::scored(region, gathered)).collect()
    }

    fn scored(region: &str, mut gathered: BTreeMap<&'static str, Gathered>) -> Self {
        let (mut parts, mut not_included) = (Vec::new(), Vec::new());
        for (name, weight) in PARTS {
            match gathered.remove(name) {
                Some(found) => parts.push(found.part(name, weight)),
                None => not_included.push(name.to_owned()),
            }
        }
        let all: u32 = PARTS.iter().map(|(_, weight)| weight).sum();
        let weights: u32 = parts.iter().map(|part| part.weight).sum();
        let mean = |value: fn(&HealthPart) -> f64, more: u32| {
            let sum: f64 = parts.iter().map(|part| f64::from(part.weight) * value(part)).sum();
            // Four digits: what somebody works out by hand is the same.
            (weights > 0).then(|| ((sum + f64::from(more)) / f64::from(weights + more) * 1e4).round() / 1e4)
        };
        let (score, score_high) = (mean(|part| part.value, 0), mean(|part| part.value_high, all - weights));
        let state = match (score, score_high) {
            (Some(low), _) if low >= HEALTHY => "healthy",
            (_, Some(high)) if high < DRAIN => "drain",
            (Some(low), Some(high)) if low >= DRAIN && high < HEALTHY => "degraded",
            _ => "unknown",
        };
        Self { region: Region(region.to_owned()), score, score_high, state: state.to_owned(), parts, not_included }
    }

    /// Everything that is unknown, by name.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| part.unknown.iter().map(String::as_str))
    }

    /// The score in words: `0.75`, `0.5 to 1`, `not known`.
    pub fn text(&self) -> String {
        match (self.score, self.score_high) {
            (Some(low), Some(high)) if low == high => format!("{low}"),
            (Some(low), Some(high)) => format!("{low} to {high}"),
            _ => "not known".to_owned(),
        }
    }
}

impl Gathered {
    fn add(&mut self, verdict: Verdict, name: impl FnOnce() -> String) {
        let (count, names) = self.0.entry(verdict).or_default();
        *count += 1;
        if verdict != Verdict::Pass && names.len() < NAMED_MAX {
            names.push(name());
        }
    }

    fn part(mut self, name: &str, weight: u32) -> HealthPart {
        let checks = self.0.values().map(|(count, _)| count).sum();
        let mut take = |verdict| self.0.remove(&verdict).map(|(_, names)| names);
        let (failed, unknown, warned) = (take(Verdict::Fail), take(Verdict::Unknown), take(Verdict::Warn));
        let known = match (&failed, &warned) {
            (Some(_), _) => 0.0,
            (None, Some(_)) => WARNED,
            (None, None) => 1.0,
        };
        HealthPart {
            part: name.to_owned(),
            weight,
            value: if unknown.is_some() { 0.0 } else { known },
            value_high: known,
            checks,
            failed: failed.unwrap_or_default(),
            unknown: unknown.unwrap_or_default(),
            warned: warned.unwrap_or_default(),
        }
    }
}

/// Which part of a score a check belongs to; `None` for those that say nothing of how good a region is.
fn part(check: &Check) -> Option<&'static str> {
    match check {
        Check::Schema(_)
        | Check::Parity(_)
        | Check::Files(_)
        | Check::Ledger(_)
        | Check::Continuity(_)
        | Check::Sequences(_) => Some("content"),
        Check::Lag(_)
        | Check::Coverage(_)
        | Check::Lineage(_)
        | Check::Groups(_)
        | Check::Health(_)
        | Check::Offsets(_) => Some("replication"),
        Check::Freshness(_) => Some("freshness"),
        Check::Clock(_) => Some("clock"),
        Check::Probe(_) | Check::Snapshot(_) => None,
    }
}

/// The verdicts of a check, each with whether it is about the source; otherwise it is about the replica, which is what
/// a link is for.
fn about(check: &Check) -> Vec<(bool, Verdict)> {
    let side = |side: &str, verdict| vec![(side == "source", verdict)];
    match check {
        Check::Health(check) => side(&check.side, check.verdict),
        Check::Groups(check) => side(&check.side, check.verdict),
        Check::Continuity(check) => side(&check.side, check.verdict),
        Check::Clock(check) => {
            let sides = check.sides().map(|(side, clock)| (side == "source", clock.verdict()));
            let unknown = check.problem.is_some().then_some(Verdict::Unknown);
            sides.into_iter().filter_map(|(source, verdict)| Some((source, verdict.or(unknown)?))).collect()
        }
        Check::Freshness(check) => {
            let source = check.source.as_ref().map(|side| (true, side.verdict));
            let replica = check.replica.as_ref().map_or(Verdict::Unknown, |side| side.verdict);
            source.into_iter().chain([(false, replica)]).collect()
        }
        other => vec![(false, other.verdict())],
    }
}
