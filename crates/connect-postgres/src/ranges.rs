//! Splits by ranges of the first key column, where there are no block ranges to go by.
//!
//! Only the evenness of the splits depends on where the cuts are, never what they hold: a row
//! belongs to the first cut that its key is below, to the last split if it is below none, and to
//! the first split if its key is NULL. That holds for any cuts in any order, repeated ones included.

use crate::plan::{ALIAS, Plan, PlanColumn};
use crate::quote;
use crate::relation::Piece;
use crate::session::{Session, get};
use paritas_connect::{Context, KeyRange, Result};

/// Splits of one relation, at most: every one names all cuts before it.
const SPLITS_MAX: usize = 64;
/// The part of the rows whose keys are looked at to find the cuts.
const SAMPLE: f64 = 0.02;

/// Built-in types whose `<` and `>=` exclude each other and leave nothing out but NULL.
const ORDERED: &[&str] = &[
    "int2",
    "int4",
    "int8",
    "oid",
    "numeric",
    "float4",
    "float8",
    "text",
    "varchar",
    "bpchar",
    "name",
    "uuid",
    "bytea",
    "date",
    "time",
    "timestamp",
    "timestamptz",
];

/// Whether a column of this type can be cut into ranges.
pub(crate) fn can_order(schema: &str, name: &str) -> bool {
    schema == "pg_catalog" && ORDERED.contains(&name)
}

/// One range: for people, and for SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) label: String,
    pub(crate) condition: String,
}

/// About as many ranges as asked for; none when the key has no order or the sample shows no cuts.
///
/// Reads the key column of the whole relation once and sorts a fiftieth of it.
pub(crate) async fn find(
    session: &Session,
    cx: &Context,
    plan: &Plan,
    piece: &Piece,
    count: usize,
) -> Result<Vec<Range>> {
    let count = count.min(SPLITS_MAX);
    let Some(column) = plan.key().first().filter(|column| column.ordered && count > 1) else { return Ok(Vec::new()) };
    let name = quote::ident(&column.name);
    let fractions = quote::list((1..count).map(|at| at as f64 / count as f64));
    let sql = format!(
        "SELECT (percentile_disc(ARRAY[{fractions}]::float8[]) WITHIN GROUP (ORDER BY {ALIAS}.{name}))::text[] \
         FROM ONLY {} AS {ALIAS} WHERE {ALIAS}.{name} IS NOT NULL AND random() < {SAMPLE}",
        piece.relation.sql()
    );
    let row = session.query_one(cx, "look for ranges of the key", &sql, &[]).await?;
    let cuts: Option<Vec<String>> = get(&row, 0)?;
    let mut cuts = cuts.unwrap_or_default();
    cuts.dedup();
    Ok(ranges(column, &cuts))
}

/// The rows whose first key column lies in a range.
pub(crate) fn within(column: &PlanColumn, range: &KeyRange) -> String {
    let name = format!("{ALIAS}.{}", quote::ident(&column.name));
    let value = |cut: &String| format!("{}::{}", quote::literal(cut), column.sql_type);
    let from = range.from.as_ref().map(|cut| format!("{name} >= {}", value(cut)));
    let to = range.to.as_ref().map(|cut| format!("{name} < {}", value(cut)));
    match (from, to) {
        (Some(from), Some(to)) => format!("{from} AND {to}"),
        (Some(from), None) => from,
        (None, Some(to)) => format!("({to} OR {name} IS NULL)"),
        (None, None) => "true".to_owned(),
    }
}

fn ranges(column: &PlanColumn, cuts: &[String]) -> Vec<Range> {
    let name = format!("{ALIAS}.{}", quote::ident(&column.name));
    let value = |cut: &String| format!("{}::{}", quote::literal(cut), column.sql_type);
    let count = if cuts.is_empty() { 0 } else { cuts.len() + 1 };
    (0..count)
        .map(|index| {
            let before = cuts.get(..index).unwrap_or_default();
            let mut conditions: Vec<String> = before.iter().map(|cut| format!("{name} >= {}", value(cut))).collect();
            conditions.extend(cuts.get(index).map(|cut| format!("{name} < {}", value(cut))));
            let all = conditions.join(" AND ");
            let condition = if index == 0 { format!("({all} OR {name} IS NULL)") } else { all };
            // Never the values themselves: labels go into logs.
            Range { label: format!("range {} of {count} of {}", index + 1, column.name), condition }
        })
        .collect()
}
