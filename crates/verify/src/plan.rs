//! What is compared with what: columns, key, canon.

use crate::columns::{choose_key, pair_columns};
use paritas_connect::{ColumnPair, Datasets, Description, ScanRequest};
use paritas_digest::{Canon, Incompatible, Policies};
use paritas_model::Dataset;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How rows of both sides are matched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Matching {
    /// By key where there is one, otherwise whole.
    #[default]
    Auto,
    /// By key; without one nothing is compared.
    Keyed,
    /// Whole rows, even where there is a key.
    WholeRow,
}

/// What the user chose for a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// How rows are matched.
    pub matching: Matching,
    /// Key columns by source name; empty takes the declared key of the source, then of the replica.
    pub key: Vec<String>,
    /// Compared columns by source name; empty takes all.
    pub columns: Vec<String>,
    /// Source name to replica name.
    pub rename: BTreeMap<String, String>,
    /// Condition in the source's language.
    pub source_filter: Option<String>,
    /// Condition in the replica's language.
    pub replica_filter: Option<String>,
    /// Policies.
    pub policies: Policies,
}

/// A comparison that can be carried out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The canon of both sides.
    pub canon: Arc<Canon>,
    /// What to read from the source.
    pub source: ScanRequest,
    /// What to read from the replica.
    pub replica: ScanRequest,
    /// Key columns by source name; empty when whole rows are compared.
    pub key: Vec<String>,
    /// Columns that exist but are not compared, with the reason.
    pub left_out: Vec<(String, String)>,
    /// Those of them that both sides have and whose types cannot be compared. Nobody chose to leave
    /// them out, so with any of them nothing can pass.
    pub incomparable: Vec<String>,
}

/// Why there is nothing to compare.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PlanError {
    /// Stable word.
    pub code: &'static str,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl PlanError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, hint: Some(hint.into()) }
    }
}

impl Plan {
    /// Decides what to compare.
    ///
    /// Columns that exist on one side only, or whose types cannot be compared, are left out and
    /// listed; a chosen column or key column that is missing is an error, because the user named it.
    ///
    /// # Errors
    /// `dataset.columns` when a named column is missing or none is left, `dataset.key` when the key
    /// cannot be used.
    pub fn new(
        source: (&dyn Datasets, &Description),
        replica: (&dyn Datasets, &Description),
        choice: &Choice,
    ) -> Result<Self, PlanError> {
        let key = choose_key(&source.1.schema, &replica.1.schema, choice)?;
        let (mut pairs, mut left_out) = pair_columns(&source.1.schema, &replica.1.schema, choice)?;
        for column in &key {
            if !pairs.iter().any(|(own, _)| own == column) {
                let hint = "name other key columns with ?key=, or rename the column with ?rename=source:replica";
                let message = format!("key column {column:?} is not on both sides or not among the compared columns");
                return Err(PlanError::new("dataset.key", message, hint));
            }
        }
        let mut incomparable = Vec::new();
        // A table without columns holds a number of rows and nothing else: that can be compared.
        let bare = [source.1, replica.1].iter().all(|side| side.schema.columns.is_empty());
        let canon = loop {
            if pairs.is_empty() && !bare {
                return Err(PlanError::new(
                    "dataset.columns",
                    "no column can be compared",
                    "declare the mapping with ?rename=source:replica, or compare through a view with equal types",
                ));
            }
            match agree_on_canon(source, replica, &pairs, &key, choice.policies) {
                Ok(canon) => break canon,
                Err(problems) => {
                    drop_incompatible(&problems, &key, choice, &mut pairs, &mut left_out)?;
                    incomparable.extend(problems.into_iter().map(|problem| problem.column));
                }
            }
        };
        let canon = Arc::new(canon);
        let request = |dataset: &Dataset, filter: &Option<String>, own: &dyn Fn(&(String, String)) -> String| {
            let columns = canon.columns.iter().filter_map(|column| {
                let pair = pairs.iter().find(|(name, _)| *name == column.name)?;
                Some(ColumnPair { canonical: column.name.clone(), own: own(pair) })
            });
            let columns = columns.collect();
            ScanRequest {
                dataset: dataset.clone(),
                columns,
                canon: Arc::clone(&canon),
                filter: filter.clone(),
                ranges: Vec::new(),
            }
        };
        Ok(Self {
            source: request(&source.1.dataset, &choice.source_filter, &|pair| pair.0.clone()),
            replica: request(&replica.1.dataset, &choice.replica_filter, &|pair| pair.1.clone()),
            canon,
            key,
            left_out,
            incomparable,
        })
    }
}

/// The wire canon for two stores of one engine, otherwise (or where types differ) the logical one.
fn agree_on_canon(
    source: (&dyn Datasets, &Description),
    replica: (&dyn Datasets, &Description),
    pairs: &[(String, String)],
    key: &[String],
    policies: Policies,
) -> Result<Canon, Vec<Incompatible>> {
    let engine = source.0.wire_engine();
    if engine.is_some() && engine == replica.0.wire_engine() {
        // Types that differ inside one engine (an int widened to a bigint) may still be comparable by
        // meaning; the schema check reports them apart.
        if let Ok(canon) = source.0.wire_canon(source.1, replica.1, pairs, key, policies) {
            return Ok(canon);
        }
    }
    Canon::logical(&source.1.schema, &replica.1.schema, pairs, key, policies)
}

/// Takes incompatible columns out of the comparison, unless the user or the key needs them.
fn drop_incompatible(
    problems: &[Incompatible],
    key: &[String],
    choice: &Choice,
    pairs: &mut Vec<(String, String)>,
    left_out: &mut Vec<(String, String)>,
) -> Result<(), PlanError> {
    let before = pairs.len();
    for problem in problems {
        let why = format!("{} cannot be compared with {}: {}", problem.source, problem.replica, problem.why);
        if key.contains(&problem.column) || choice.columns.contains(&problem.column) {
            let message = format!("column {:?}: {why}", problem.column);
            return Err(PlanError::new("dataset.columns", message, problem.hint.clone()));
        }
        pairs.retain(|(name, _)| *name != problem.column);
        left_out.push((problem.column.clone(), why));
    }
    if pairs.len() == before {
        // An incompatibility that names no compared column would repeat forever.
        let detail = problems.iter().map(|p| format!("{}: {}", p.column, p.why)).collect::<Vec<_>>().join("; ");
        let mut error =
            PlanError::new("dataset.columns", "the two datasets cannot be compared", "compare through views");
        error.detail = Some(detail);
        return Err(error);
    }
    Ok(())
}
