//! The document of `paritas simulate`: what a failover would lose.

use crate::{Bounds, LagObjective, NotChecked, Percentiles, Problem};
use paritas_model::{LagState, Tier, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a failover would lose now, or at any moment of a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimulationDocument {
    /// [`crate::SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Always `simulation`.
    pub message_type: String,
    /// When it was asked, RFC 3339 in UTC.
    pub at: String,
    /// The run that measured the lag, and whose report is kept if anything is; `null` for a time in the past.
    pub run: Option<String>,
    /// The time; `null` for now.
    pub window: Option<SimulatedTime>,
    /// The verdict over all links.
    pub verdict: Verdict,
    /// The exit code of the process.
    pub exit_code: u8,
    /// The links, in the order in which they were asked for.
    pub links: Vec<SimulatedLink>,
    /// The same by tier.
    pub tiers: Vec<SimulatedTier>,
    /// The same for everything together.
    pub whole: SimulatedTier,
    /// Stored reports that could not be read: their samples are missing, so that nothing passes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_indexed: Vec<crate::NotIndexed>,
}

/// A time that is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedTime {
    /// Its beginning.
    pub from: String,
    /// Its end.
    pub to: String,
}

/// What a failover of a link would lose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimulatedLink {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: Option<Tier>,
    /// Fails only where a breach is proven, passes only where the objective is proven to be kept.
    pub verdict: Verdict,
    /// The objective for the RPO, in seconds; `null` where there is none.
    pub objective: Option<LagObjective>,
    /// What would be lost now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub now: Option<WouldLose>,
    /// What would have been lost in the time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub over_time: Option<WouldHaveLost>,
    /// Its streams.
    pub streams: Vec<SimulatedStream>,
    /// What was left out, and why.
    pub not_checked: Vec<NotChecked>,
    /// Why nothing could be found out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// One stream of a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimulatedStream {
    /// Its name.
    pub stream: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// What its lag amounts to; `null` for a time.
    pub state: Option<LagState>,
    /// What would be lost now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub now: Option<WouldLose>,
    /// What would have been lost in the time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub over_time: Option<WouldHaveLost>,
}

/// What a failover would lose at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WouldLose {
    /// Seconds of work: an interval.
    pub seconds: Bounds,
    /// Bytes of history, at most.
    pub bytes: Option<u64>,
    /// Records, at most.
    pub records: Option<u64>,
    /// Versions, at most.
    pub versions: Option<u64>,
    /// How it was found.
    pub method: Option<String>,
    /// For each member above that is `null`, or has an end that is, why it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub why: BTreeMap<String, String>,
}

/// What a failover would have lost over a time. Every sample counts as one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WouldHaveLost {
    /// Where the samples begin: earlier than asked for only where single samples of that time are gone.
    pub from: String,
    /// Where they end.
    pub to: String,
    /// Moments that were sampled.
    pub moments: u64,
    /// Those of them of which nothing is known, or no upper end.
    pub unknown: u64,
    /// Those at which the objective would have been broken for certain; 0 without one.
    pub breached: u64,
    /// Those that are known, and at which it may have been broken.
    pub undecided: u64,
    /// Seconds of work at the sampled moments: `p50` is typical, `max` the worst.
    pub seconds: Option<Percentiles>,
    /// The most that can have been lost at any moment in between, seconds; `null` where nothing limits it.
    pub between: Option<f64>,
    /// Gaps between samples in which the objective cannot be proven to be kept.
    pub gaps_unproven: u64,
    /// For each member above that is `null`, or has an end that is, why it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub why: BTreeMap<String, String>,
}

/// Several links together: the failover of a whole region loses as much time as its worst link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimulatedTier {
    /// The tier; `null` for links without one, and for everything together.
    pub tier: Option<Tier>,
    /// The verdict over its links.
    pub verdict: Verdict,
    /// Its links.
    pub links: Vec<String>,
    /// What would be lost now: the largest time, and the sums.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub now: Option<WouldLose>,
    /// What would have been lost in the time, over all moments of all links.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub over_time: Option<WouldHaveLost>,
}
