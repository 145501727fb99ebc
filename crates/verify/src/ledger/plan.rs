//! What is grouped and added up: columns of both sides, and whether their types allow it.

use crate::plan::PlanError;
use paritas_connect::{ColumnPair, Description, GroupRequest, ScanRequest};
use paritas_digest::{Canon, CanonColumn, DecimalPolicy, Policies, Slot};
use paritas_ledger::Rule;
use paritas_model::{Column, LogicalType, Schema};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What somebody wants to have reconciled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// Columns to group by, by source name; none makes one group of everything.
    pub group_by: Vec<String>,
    /// What is asked of each group.
    pub rule: Rule,
    /// Source name to replica name.
    pub rename: BTreeMap<String, String>,
    /// Condition in the source's language.
    pub source_filter: Option<String>,
    /// Condition in the replica's language.
    pub replica_filter: Option<String>,
    /// Policies for the columns to group by. Decimals are always compared as numbers.
    pub policies: Policies,
}

/// A reconciliation that can be carried out.
#[derive(Debug, Clone)]
pub struct LedgerPlan {
    /// What to ask of the source.
    pub source: SidePlan,
    /// What to ask of the replica.
    pub replica: SidePlan,
    /// What is asked of each group.
    pub rule: Arc<Rule>,
    /// The columns to group by.
    pub groups: Arc<Canon>,
}

/// What to ask of one side.
#[derive(Debug, Clone)]
pub struct SidePlan {
    /// Figures made by the store.
    pub grouped: GroupRequest,
    /// Rows, where the store makes none: the columns to group by, then those of the rule.
    pub rows: ScanRequest,
}

impl LedgerPlan {
    /// Plans a reconciliation of two described datasets.
    ///
    /// # Errors
    /// `ledger.column` for columns that are not there, `ledger.group` and `ledger.amount` for types that
    /// cannot be grouped by or added up, `ledger.types` for columns whose types mean different things,
    /// `ledger.rule` for a rule that contradicts itself or asks nothing.
    pub fn new(source: &Description, replica: &Description, asked: &Asked) -> Result<Self, PlanError> {
        consistent(asked)?;
        let own = |name: &str| asked.rename.get(name).map_or(name, String::as_str).to_owned();
        let sides = [("source", &source.schema), ("replica", &replica.schema)];
        for name in &asked.group_by {
            for ((side, schema), name) in sides.iter().zip([name.clone(), own(name)]) {
                groupable(side, find(side, schema, &name)?)?;
            }
        }
        for column in &asked.rule.columns {
            for ((side, schema), name) in sides.iter().zip([column.name.clone(), own(&column.name)]) {
                addable(side, find(side, schema, &name)?)?;
            }
        }
        let policies = Policies { decimal: DecimalPolicy::Value, ..asked.policies };
        let pairs: Vec<(String, String)> = asked.group_by.iter().map(|name| (name.clone(), own(name))).collect();
        let groups = Canon::logical(&source.schema, &replica.schema, &pairs, &asked.group_by, policies)
            .map_err(|problems| unlike(&problems))?;
        let rows = rows_canon(&groups, source, replica, asked, &own);
        let (groups, rows) = (Arc::new(groups), Arc::new(rows));
        let rule = Arc::new(asked.rule.clone());
        let side = |description: &Description, filter: &Option<String>, own: &dyn Fn(&str) -> String| {
            let request = |canon: &Arc<Canon>| ScanRequest {
                dataset: description.dataset.clone(),
                columns: canon
                    .columns
                    .iter()
                    .map(|column| ColumnPair { canonical: column.name.clone(), own: own(&column.name) })
                    .collect(),
                canon: Arc::clone(canon),
                filter: filter.clone(),
                ranges: Vec::new(),
            };
            let amounts = asked.rule.columns.iter().map(|column| own(&column.name)).collect();
            SidePlan {
                grouped: GroupRequest { scan: request(&groups), amounts, rule: Arc::clone(&rule) },
                rows: request(&rows),
            }
        };
        Ok(Self {
            source: side(source, &asked.source_filter, &str::to_owned),
            replica: side(replica, &asked.replica_filter, &own),
            rule: Arc::clone(&rule),
            groups: Arc::clone(&groups),
        })
    }
}

/// The columns to group by and those of the rule. A store hands out rows of at least one column.
fn rows_canon(
    groups: &Canon,
    source: &Description,
    replica: &Description,
    asked: &Asked,
    own: &dyn Fn(&str) -> String,
) -> Canon {
    let mut rows = groups.clone();
    let amount = |name: &str| CanonColumn { name: name.to_owned(), slot: Slot::DecimalAny };
    rows.columns.extend(asked.rule.columns.iter().map(|column| amount(&column.name)));
    if rows.columns.is_empty() {
        let both = source.schema.columns.iter().find_map(|column| {
            let pair = [(column.name.clone(), own(&column.name))];
            let canon = Canon::logical(&source.schema, &replica.schema, &pair, &[], rows.policies).ok()?;
            canon.columns.into_iter().next()
        });
        rows.columns.extend(both);
    }
    rows
}

/// What contradicts itself, whatever the stores hold.
fn consistent(asked: &Asked) -> Result<(), PlanError> {
    let rule = |message: String, hint: &str| Err(PlanError::new("ledger.rule", message, hint));
    let mut groups = BTreeSet::new();
    if let Some(twice) = asked.group_by.iter().find(|name| !groups.insert(name.as_str())) {
        return rule(format!("groups are made by {twice:?} twice"), "name every column once in group_by");
    }
    let mut amounts = BTreeSet::new();
    for column in &asked.rule.columns {
        if groups.contains(column.name.as_str()) {
            let message = format!("{:?} is both grouped by and added up", column.name);
            return rule(message, "take it out of one of the two: all its values in a group are equal");
        }
        if !amounts.insert(column.name.as_str()) {
            return rule(format!("the rule names {:?} twice", column.name), "name every column once");
        }
    }
    if !asked.rule.count && asked.rule.columns.is_empty() {
        return rule("nothing is reconciled".to_owned(), "ask for count = true, or for sum = [\"column\"]");
    }
    Ok(())
}

fn find<'a>(side: &str, schema: &'a Schema, name: &str) -> Result<&'a Column, PlanError> {
    schema.column(name).ok_or_else(|| {
        let message = format!("there is no column {name:?} on the {side}");
        PlanError::new("ledger.column", message, crate::columns::nearest_hint(name, schema))
    })
}

/// Whether equal values of a type are exactly those with equal bytes.
fn groupable(side: &str, column: &Column) -> Result<(), PlanError> {
    let refused = |why: &str, hint: &str| {
        let message = format!("{side}: {:?} is {}: {why}", column.name, column.engine_type);
        Err(PlanError::new("ledger.group", message, hint))
    };
    match &column.logical {
        LogicalType::Float { .. } => refused(
            "a binary float makes no exact groups",
            "group by an integer, a decimal or a text; a view may cast the column to numeric",
        ),
        LogicalType::Json | LogicalType::List(_) | LogicalType::Struct(_) | LogicalType::Map(..) => refused(
            "groups are made by plain values",
            "group by a plain column; a view may take the value out of the nested one",
        ),
        LogicalType::Other(_) => {
            refused("only its own engine understands this type", "cast the column to text in a view")
        }
        _ => Ok(()),
    }
}

/// Whether values of a type are numbers whose sum is exact.
fn addable(side: &str, column: &Column) -> Result<(), PlanError> {
    let refused = |why: &str, hint: &str| {
        let message = format!("{side}: {:?} is {}, {why}", column.name, column.engine_type);
        Err(PlanError::new("ledger.amount", message, hint))
    };
    match &column.logical {
        LogicalType::Int { .. } | LogicalType::Decimal { .. } | LogicalType::DecimalAny => Ok(()),
        // Its texts are read as numbers, and one that is none is an error.
        LogicalType::Untyped | LogicalType::Null => Ok(()),
        LogicalType::Float { .. } => refused(
            "a binary float, whose sums are not exact",
            "keep amounts in a decimal or integer column; a view may cast the column to numeric",
        ),
        _ => refused("which is no number", "name a decimal or integer column; a view may cast the column to numeric"),
    }
}

fn unlike(problems: &[paritas_digest::Incompatible]) -> PlanError {
    let texts = problems
        .iter()
        .map(|one| format!("{:?}: {} cannot meet {}: {}", one.column, one.source, one.replica, one.why))
        .collect::<Vec<_>>();
    let hint = problems.first().map_or_else(String::new, |one| one.hint.clone());
    PlanError::new("ledger.types", format!("the columns to group by are of unlike types: {}", texts.join("; ")), hint)
}
