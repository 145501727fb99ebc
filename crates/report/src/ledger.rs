//! What a reconciliation of figures found, in the document.

use crate::{BothSides, Positions, Problem};
use paritas_model::{Difference, Proof, Value, Verdict, pairs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts, exact sums, extremes and balances of groups, held against each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerCheck {
    /// Its name in the configuration; of an ad-hoc one the dataset.
    pub name: String,
    /// Name of the dataset on the source.
    pub dataset: String,
    /// Name on the replica, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replica_dataset: Option<String>,
    /// The verdict. Pass means: both sides were read to their ends, and every group keeps the rule.
    pub verdict: Verdict,
    /// Whether both sides were read to their ends.
    pub complete: bool,
    /// Columns that make groups, by source name; empty where everything is one group.
    pub group_by: Vec<String>,
    /// What is asked of each group.
    pub rule: LedgerRule,
    /// Groups of either side; `null` where a side was not read to its end.
    pub groups: Option<u64>,
    /// Groups that are proven to break the rule.
    pub mismatched: u64,
    /// Groups that broke it when they were read, without proof.
    pub unproven: u64,
    /// The source as a whole.
    pub source: LedgerSide,
    /// The replica as a whole.
    pub replica: LedgerSide,
    /// Groups that break the rule, by their key, at most as many as asked for.
    pub items: Vec<LedgerItem>,
    /// Whether there are more.
    pub items_truncated: bool,
    /// Rows that are proven to differ, where groups were settled by their rows.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rows: Vec<Difference>,
    /// What the replica has more (or less, with a minus sign) in the sums of everything, by column; absent where a side
    /// was not read to its end.
    #[serde(with = "pairs", skip_serializing_if = "Vec::is_empty", default)]
    #[schemars(with = "pairs::Object")]
    pub difference: Vec<(String, Value)>,
    /// The snapshot that stood in for the source; `written_since` counts groups.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub against: Option<crate::Against>,
    /// Positions of the views that were read.
    pub positions: Positions,
    /// The position that the replica had to reach before it was read.
    pub fence: Option<String>,
    /// Bytes read from the stores.
    pub bytes_read: BothSides,
    /// Duration of the check.
    pub seconds: f64,
    /// Things to know about the result.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// What is asked of each group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerRule {
    /// Whether both sides have the same number of rows, and of rows without a value in the columns below.
    pub count: bool,
    /// Columns with the same sum on both sides.
    pub sum: Vec<String>,
    /// Columns with the same smallest value on both sides.
    pub min: Vec<String>,
    /// Columns with the same largest value on both sides.
    pub max: Vec<String>,
    /// Columns whose sum is 0 on either side.
    pub zero_sum: Vec<String>,
}

/// One side as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerSide {
    /// Its groups; `null` where it was not read to its end.
    pub groups: Option<u64>,
    /// Figures of everything; `null` where it was not read to its end.
    pub total: Option<LedgerFigures>,
    /// `store` where the store made the figures, `rows` where its rows were read and added up here; `null` where
    /// nothing was read.
    pub method: Option<String>,
    /// Why the store did not make the figures.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// The figures of a group, or of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerFigures {
    /// Rows.
    pub rows: u64,
    /// One for each column that the rule names.
    pub columns: Vec<LedgerColumn>,
}

/// The figures of one column. Amounts are decimal texts with all their digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerColumn {
    /// Its name on the source.
    pub column: String,
    /// The sum of all finite values.
    pub sum: String,
    /// The smallest finite value, where the rule asks for extremes and there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min: Option<String>,
    /// The largest finite value, where the rule asks for extremes and there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max: Option<String>,
    /// Rows without a value.
    pub nulls: u64,
    /// Values that are `NaN`, which are in no sum; absent where there is none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub nan: u64,
    /// Values that are infinite, with either sign; absent where there is none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub infinite: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A group that breaks the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerItem {
    /// Its columns with their values, in the order of `group_by`.
    #[serde(with = "pairs")]
    #[schemars(with = "pairs::Object")]
    pub group: Vec<(String, Value)>,
    /// How sure it is.
    pub proof: Proof,
    /// In what it breaks the rule: `missing`, `rows`, `sum of amount`, `source: sum of amount is not zero`.
    pub deviations: Vec<String>,
    /// Its figures on the source; `null` where there is no row of it.
    pub source: Option<LedgerFigures>,
    /// Its figures on the replica; `null` where there is no row of it.
    pub replica: Option<LedgerFigures>,
    /// What the replica has more (or less, with a minus sign) in sums that differ, by column.
    #[serde(with = "pairs")]
    #[schemars(with = "pairs::Object")]
    pub difference: Vec<(String, Value)>,
}

impl LedgerCheck {
    /// Rows of the larger side, as far as both are known.
    pub(crate) fn rows(&self) -> u64 {
        let rows = |side: &LedgerSide| side.total.as_ref().map_or(0, |total| total.rows);
        rows(&self.source).max(rows(&self.replica))
    }
}
