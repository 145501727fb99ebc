//! The checks about replication itself: how far a replica is behind, and what is replicated at all.

use crate::Problem;
use paritas_model::{LagState, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a replica is behind, stream by stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LagCheck {
    /// Fails only where a breach is proven, passes only where lag within the objective is.
    pub verdict: Verdict,
    /// What was promised; `null` where nothing was.
    pub objective: Option<LagObjective>,
    /// The streams from the source to the replica.
    pub streams: Vec<LagStream>,
    /// How often the stores were sampled.
    pub samples: u64,
    /// What each round of a measurement over a time saw, stream by stream; absent where the first answer was enough.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub curves: Vec<LagCurve>,
    /// Duration of the check.
    pub seconds: f64,
    /// Things to know about the result, privileges that are missing among them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// The promised levels, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LagObjective {
    /// Aimed at.
    pub target: Option<f64>,
    /// More than this is a warning.
    pub warning: Option<f64>,
    /// More than this is a breach.
    pub critical: f64,
}

/// One stream of a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LagStream {
    /// Its name: `wal/1` (timeline 1), `subscription/orders`.
    pub stream: String,
    /// What the lag amounts to.
    pub state: LagState,
    /// Why it is in that state, where the figures do not say it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// Bytes of history that the replica does not show.
    pub bytes: Option<u64>,
    /// The same in records.
    pub records: Option<u64>,
    /// The same in versions.
    pub versions: Option<u64>,
    /// Age of the oldest change that the replica does not show.
    pub seconds: Option<LagSeconds>,
    /// How `seconds` was found: `curve`.
    pub method: Option<String>,
    /// Which history its source writes, where that is known: system identifier and timeline. Kept so that a later run
    /// can tell whose positions these are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_lineage: Option<String>,
    /// The end of the source's history.
    pub source_position: Option<String>,
    /// What the replica shows.
    pub replica_position: Option<String>,
    /// When the replica was asked, RFC 3339 in UTC.
    pub observed_at: Option<String>,
    /// For each member above that is `null`, by its name, why it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub why: BTreeMap<String, String>,
    /// What the stores themselves say beside it; no verdict follows from it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub details: BTreeMap<String, String>,
}

/// How the lag of a stream went while it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LagCurve {
    /// The stream.
    pub stream: String,
    /// What was seen, in the order of time.
    pub points: Vec<LagPoint>,
}

/// The lag of a stream at one moment. What is not known is `null`, as in the stream itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LagPoint {
    /// When the replica was asked, RFC 3339 in UTC.
    pub at: String,
    /// What the lag amounted to.
    pub state: LagState,
    /// Bytes of history that the replica did not show.
    pub bytes: Option<u64>,
    /// The same in records.
    pub records: Option<u64>,
    /// The same in versions.
    pub versions: Option<u64>,
    /// Age of the oldest change that the replica did not show.
    pub seconds: Option<LagSeconds>,
    /// Seconds of work that a failover at that moment would have lost for certain.
    pub lost: Option<f64>,
    /// How it was found.
    pub method: Option<String>,
    /// Why `seconds` is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// An interval that contains the true lag.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LagSeconds {
    /// No less than this.
    pub low: f64,
    /// No more than this; `null` where nothing proves an upper end.
    pub high: Option<f64>,
}

/// Whether everything that should be replicated is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageCheck {
    /// Fails where something is proven not to be replicated.
    pub verdict: Verdict,
    /// Datasets of the source that the link is about.
    pub datasets: u64,
    /// Everything that is not replicated whole.
    pub items: Vec<CoverageItem>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// One thing that is not replicated whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageItem {
    /// What: a table, a publication, a slot.
    pub what: String,
    /// `not_published`, `not_subscribed`, `not_ready`, `filtered`, `partial`, `missing`, `unidentified`,
    /// `slot`.
    pub kind: String,
    /// How much it weighs.
    pub verdict: Verdict,
    /// What is the matter with it.
    pub why: String,
    /// What follows from it.
    pub consequence: String,
}

impl LagStream {
    /// Seconds of work that a failover at that moment would have lost for certain. What a physical replica has received
    /// and does not show yet it would still replay, so that it is not lost.
    pub fn lost_seconds(&self) -> Option<f64> {
        let low = self.seconds?.low;
        if !self.stream.starts_with("wal/") {
            return Some(low);
        }
        let shown =
            self.replica_position.as_deref().and_then(|text| text.split_once('/')).map(|(_, position)| position);
        let received = self.details.get("received").map(String::as_str);
        Some(if received.is_none_or(|received| Some(received) == shown) { low } else { 0.0 })
    }

    /// The stream at this moment, as a point of a curve; `None` where nobody says when it was.
    pub fn point(&self) -> Option<LagPoint> {
        Some(LagPoint {
            at: self.observed_at.clone()?,
            state: self.state,
            bytes: self.bytes,
            records: self.records,
            versions: self.versions,
            seconds: self.seconds,
            lost: self.lost_seconds(),
            method: self.method.clone(),
            why: self.why.get("seconds").cloned().filter(|_| self.seconds.is_none()),
        })
    }

    /// Both ends of the lag in words: `12.3s to 12.4s`, `at least 3s`, `under 35ms`; `None` where no
    /// time is known.
    pub fn seconds_text(&self) -> Option<String> {
        let LagSeconds { low, high } = self.seconds?;
        let text = |seconds: f64| {
            std::time::Duration::try_from_secs_f64(seconds)
                .map_or_else(|_| "?".to_owned(), paritas_model::format_duration)
        };
        Some(match high {
            None => format!("at least {}", text(low)),
            Some(0.0) => "0s".to_owned(),
            Some(high) if low == 0.0 => format!("at most {}", text(high)),
            Some(high) if text(low) == text(high) => text(high),
            Some(high) => format!("{} to {}", text(low), text(high)),
        })
    }
}

/// The word for a state, for people.
pub(crate) fn state_text(state: LagState) -> &'static str {
    match state {
        LagState::CaughtUp => "caught up",
        LagState::Behind => "behind",
        LagState::Stalled => "stalled",
        LagState::Broken => "broken",
        LagState::Unknown => "unknown",
    }
}

/// How bad a state is, for choosing which one a headline speaks of.
pub(crate) fn weight(state: LagState) -> u8 {
    match state {
        LagState::CaughtUp => 0,
        LagState::Behind => 1,
        LagState::Unknown => 2,
        LagState::Stalled => 3,
        LagState::Broken => 4,
    }
}
