//! Sequences of a new primary: would one hand out a number that is used already?

use crate::Problem;
use paritas_model::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sequences of a replica, held against the columns that take their numbers and against a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SequencesCheck {
    /// Pass: each one is ahead of all numbers in its columns, and not behind the snapshot.
    pub verdict: Verdict,
    /// Sequences that were looked at.
    pub sequences: u64,
    /// The snapshot whose values they were held against; `null` where there is none.
    pub snapshot: Option<String>,
    /// Those with something to say about, at most as many as asked for.
    pub items: Vec<SequenceItem>,
    /// Whether there are more.
    pub items_truncated: bool,
    /// Duration of the check.
    pub seconds: f64,
    /// Why they could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// A sequence that is behind, or of which that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SequenceItem {
    /// Its name.
    pub sequence: String,
    /// The column that takes its numbers; `null` where it is held against the snapshot alone.
    pub column: Option<String>,
    /// What it is.
    pub verdict: Verdict,
    /// The number that it hands out next, as text; `null` where it may not be read.
    pub next: Option<String>,
    /// The farthest number in the column, as text; `null` where there is none, or it was not read.
    pub used: Option<String>,
    /// The number that it would have handed out next at the snapshot, as text.
    pub snapshot: Option<String>,
    /// What is wrong, or why it is not known.
    pub why: String,
    /// What sets it right, in the store's own language.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repair: Option<String>,
}
