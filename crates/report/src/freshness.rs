//! How new the newest row of a dataset is, on both sides.

use crate::clock::Judged;
use crate::text::counted;
use crate::{LagObjective, Problem, SkewSeconds};
use paritas_model::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The newest row of a dataset against the age that was promised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FreshnessCheck {
    /// Its name in the configuration.
    pub name: String,
    /// Name of the dataset on the source.
    pub dataset: String,
    /// Name on the replica, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replica_dataset: Option<String>,
    /// The column with the time of a row; `null` where the store's own times of records are meant.
    pub column: Option<String>,
    /// That of the replica, together with that of the source where it is alive.
    pub verdict: Verdict,
    /// What was promised.
    pub objective: LagObjective,
    /// Rows whose time is further ahead than this, in seconds, are quarantined.
    pub quarantine: f64,
    /// The source; `null` where it does not answer.
    pub source: Option<FreshnessSide>,
    /// The replica; `null` where it does not answer.
    pub replica: Option<FreshnessSide>,
    /// Duration of the check.
    pub seconds: f64,
    /// Things to know about the result.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FreshnessSide {
    /// The verdict on this side.
    pub verdict: Verdict,
    /// The newest time that is not quarantined, RFC 3339 in UTC; `null` where there is none.
    pub newest: Option<String>,
    /// How old it is, in seconds: by our clock and by the store's, whichever wrote it.
    pub age: Option<SkewSeconds>,
    /// Rows with a time that no clock can have shown yet.
    pub quarantined: u64,
    /// Whether there may be more of them.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub quarantined_at_least: bool,
    /// How the time was found: `max`, `scan`, `records`.
    pub method: String,
    /// Why it is not a pass, or why a figure is missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

impl FreshnessCheck {
    /// The sides that answered.
    pub fn sides(&self) -> impl Iterator<Item = (&'static str, &FreshnessSide)> {
        let named = |name: &'static str, side| Option::map(side, |side| (name, side));
        [named("source", self.source.as_ref()), named("replica", self.replica.as_ref())].into_iter().flatten()
    }

    /// Each side that answered, in words.
    pub(crate) fn judged(&self) -> Vec<Judged> {
        let of_side = |(name, side): (&str, &FreshnessSide)| {
            let seconds = |seconds: f64| {
                std::time::Duration::try_from_secs_f64(seconds)
                    .map_or_else(|_| "?".to_owned(), paritas_model::format_duration)
            };
            let mut text = match (side.age, &side.newest) {
                (Some(age), Some(newest)) if seconds(age.low) == seconds(age.high) => {
                    format!("{name}: the newest row is {} old ({newest})", seconds(age.high))
                }
                (Some(age), Some(newest)) => {
                    format!("{name}: the newest row is {} to {} old ({newest})", seconds(age.low), seconds(age.high))
                }
                (None, Some(newest)) => format!("{name}: the newest row is of {newest}"),
                (_, None) => format!("{name}: no newest row"),
            };
            if side.quarantined > 0 {
                let at_least = if side.quarantined_at_least { "at least " } else { "" };
                text.push_str(&format!(", {at_least}{} quarantined", counted(side.quarantined, "row")));
            }
            if let Some(why) = &side.why {
                text.push_str(&format!("; {why}"));
            }
            Judged { verdict: Some(side.verdict), text }
        };
        self.sides().map(of_side).collect()
    }
}
