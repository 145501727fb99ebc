//! The check of a probe: how long nobody took writes, and what of the acknowledged ones is gone.

use crate::{Bounds, Problem, Rto};
use paritas_model::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a probe of a link saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeCheck {
    /// Fails on what is proven: an objective that is broken, acknowledged writes that are gone, two servers that took
    /// writes. Unknown where something was asked for and not seen.
    pub verdict: Verdict,
    /// `probe` where heartbeats were written, `observed` where the servers were only looked at.
    pub method: String,
    /// The observation, under which `paritas failover` finds it; `null` where nothing is kept.
    pub observation: Option<String>,
    /// Whether it went on with an observation of a probe that had ended.
    pub resumed: bool,
    /// The table of the heartbeats.
    pub heartbeat: Option<String>,
    /// Seconds between two attempts.
    pub every: f64,
    /// Longest time of one attempt, in seconds.
    pub timeout: f64,
    /// When the observation began, by the clock of the probe's machine.
    pub begun_at: Option<String>,
    /// Why the probe ended: `recovered`, `time`, `interrupted` or `problem`.
    pub ended: String,
    /// What an acknowledgement of the old primary is worth: its `synchronous_commit`.
    pub synchronous_commit: Option<String>,
    /// Attempts on the source's address.
    pub source: ProbeCounts,
    /// Attempts on the replica's address.
    pub replica: ProbeCounts,
    /// Times without attempts: about these nothing is known.
    pub gaps: ProbeGaps,
    /// Times in which the old primary took no writes and after which it did again.
    pub outages: Vec<ProbeOutage>,
    /// How many there were; not all of many are listed.
    pub outages_count: u64,
    /// The failover, if one was seen and its lineage is proven.
    pub failover: Option<ProbeFailover>,
    /// Evidence that two servers took writes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub split_brain: Option<ProbeSplit>,
    /// How long nobody took writes.
    pub rto: Rto,
    /// What that means, in one sentence.
    pub summary: String,
    /// What is to be known about the result.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// Attempts on one address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeCounts {
    /// All of them.
    pub attempts: u64,
    /// Acknowledged; with `observed`: found to take writes.
    pub acknowledged: u64,
    /// Not taken: a standby, read only, no answer.
    pub refused: u64,
    /// Without an answer: neither acknowledged nor not.
    pub unknown: u64,
    /// Without any meaning, such as a missing privilege.
    pub void: u64,
}

/// Times without attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeGaps {
    /// How many.
    pub count: u64,
    /// How often the probe was started again.
    pub restarts: u64,
    /// Seconds of the longest one; `null` without any.
    pub longest: Option<f64>,
}

/// A time without writes that was no failover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeOutage {
    /// `restart` or `interruption`.
    pub kind: String,
    /// How long.
    pub seconds: Bounds,
    /// When the last write before it was sent.
    pub from: String,
    /// When the first one after it was acknowledged.
    pub to: String,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeWrite {
    /// Its number.
    pub sequence: u64,
    /// When it was sent, by the clock of the probe's machine.
    pub sent_at: String,
    /// When it was acknowledged.
    pub acknowledged_at: String,
}

/// A failover, bound to the history that it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeFailover {
    /// Identifier of the cluster, as text.
    pub system_identifier: String,
    /// The timeline that was left.
    pub old_timeline: u32,
    /// Where it was left.
    pub switchpoint: String,
    /// The new one.
    pub new_timeline: u32,
    /// Whose address led to the new primary: `source` or `replica`.
    pub side: String,
    /// The last write that the old primary acknowledged.
    pub last_before: Option<ProbeWrite>,
    /// The first one that the new primary did.
    pub first_after: ProbeWrite,
    /// What of the acknowledged heartbeats the new primary does not have.
    pub heartbeats: ProbeLosses,
}

/// Acknowledged heartbeats that are gone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeLosses {
    /// How many, if that is their exact number.
    pub lost: Option<u64>,
    /// How many were found; there may be more unless `lost` is known.
    pub lost_at_least: u64,
    /// From the first to the last of them, and from the last one that survived to the last one that did not.
    pub seconds: Bounds,
    /// Why a number is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// Two writes that two servers acknowledged, one after the other, in the wrong order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeSplit {
    /// The first write that the other server took.
    pub other: ProbeWrite,
    /// A later one, that the old primary took.
    pub old: ProbeWrite,
    /// Whether the other server was promoted; else it was started as a copy.
    pub promoted: bool,
}
