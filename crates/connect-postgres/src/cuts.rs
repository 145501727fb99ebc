//! Where to cut a key, so that a long reading can be done in parts with short views.
//!
//! A part is read through the index of the key. That costs what reading the table costs only where
//! rows lie in the order of the key; otherwise every part would read most of the table again, so
//! there are no cuts. Only types whose order is the same on every server are cut: that of texts
//! depends on the collation and its version.

use crate::plan::{ALIAS, Plan, PlanColumn};
use crate::quote;
use crate::relation;
use crate::session::{Session, get};
use paritas_connect::{Context, Result, ScanRequest};
use paritas_model::Known;

/// Types whose order no setting and no version changes.
const STEADY: &[&str] =
    &["int2", "int4", "int8", "oid", "numeric", "uuid", "bytea", "date", "time", "timestamp", "timestamptz"];
/// Cuts at most: each is a query.
const CUTS_MAX: usize = 4_096;
/// Bytes of the table that are looked at, for each part and in all. Their keys are sorted in memory.
const SAMPLE_BYTES: u64 = 64 << 10;
const SAMPLE_BYTES_MIN: u64 = 1 << 20;
const SAMPLE_BYTES_MAX: u64 = 32 << 20;
/// Memory for that sort, so that no temporary file is written.
const SORT_MEMORY: &str = "64MB";
/// How far the order of rows on disk may be from that of the key: 1 is the same order.
const CORRELATION_MIN: f64 = 0.9;

/// Looks for cuts; says why there are none.
pub(crate) async fn find(
    session: &Session,
    cx: &Context,
    request: &ScanRequest,
    parts: usize,
) -> Result<Known<Vec<String>>> {
    let plan = Plan::new(session, cx, request).await?;
    let Some(column) = plan.key().first().filter(|column| is_steady(column)) else {
        return Ok(Known::unknown("the first column of its key has no order that all servers agree on"));
    };
    if !matches!(plan.relation.kind, 'r' | 'p' | 'm') {
        return Ok(Known::unknown("only tables can be cut"));
    }
    let facts = Facts::read(session, cx, &plan, column).await?;
    if !facts.indexed {
        return Ok(Known::unknown("no index begins with the first column of its key"));
    }
    match facts.correlation {
        Some(correlation) if f64::from(correlation).abs() >= CORRELATION_MIN => {}
        Some(_) => return Ok(Known::unknown("its rows do not lie in the order of its key")),
        None => return Ok(Known::unknown("the table was never analysed, so the order of its rows is unknown")),
    }
    let cuts = sample(session, cx, &plan, column, facts.bytes, parts.min(CUTS_MAX)).await?;
    Ok(if cuts.is_empty() { Known::unknown("its keys are too few to cut") } else { Known::Known(cuts) })
}

fn is_steady(column: &PlanColumn) -> bool {
    column.ordered && STEADY.iter().any(|name| column.sql_type == quote::qualified("pg_catalog", name))
}

struct Facts {
    indexed: bool,
    correlation: Option<f32>,
    bytes: u64,
}

impl Facts {
    async fn read(session: &Session, cx: &Context, plan: &Plan, column: &PlanColumn) -> Result<Self> {
        let sql = "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                     JOIN pg_am m ON m.oid = c.relam \
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
                     WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree' \
                       AND a.attname = $2), \
                   (SELECT max(abs(s.correlation)) FROM pg_stats s JOIN pg_class c ON c.relname = s.tablename \
                     JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = s.schemaname \
                     WHERE c.oid = $1 AND s.attname = $2)";
        let row =
            session.query_one(cx, "look how a table can be cut", sql, &[&plan.relation.oid, &column.name]).await?;
        let bytes = relation::parts(session, cx, &plan.relation).await?.iter().map(|piece| piece.bytes).sum();
        Ok(Self { indexed: get(&row, 0)?, correlation: get(&row, 1)?, bytes })
    }
}

async fn sample(
    session: &Session,
    cx: &Context,
    plan: &Plan,
    column: &PlanColumn,
    bytes: u64,
    parts: usize,
) -> Result<Vec<String>> {
    if parts < 2 {
        return Ok(Vec::new());
    }
    let name = quote::ident(&column.name);
    let fractions = quote::list((1..parts).map(|at| at as f64 / parts as f64));
    let wanted = SAMPLE_BYTES.saturating_mul(parts as u64).clamp(SAMPLE_BYTES_MIN, SAMPLE_BYTES_MAX);
    let percent = (100.0 * wanted as f64 / bytes.max(1) as f64).clamp(1e-6, 100.0);
    let sql = format!(
        "SELECT (percentile_disc(ARRAY[{fractions}]::float8[]) WITHIN GROUP (ORDER BY {ALIAS}.{name}))::text[] \
         FROM {} AS {ALIAS} TABLESAMPLE SYSTEM ({percent}) WHERE {ALIAS}.{name} IS NOT NULL",
        plan.relation.sql()
    );
    session.batch(cx, "look for cuts of the key", &format!("SET work_mem = '{SORT_MEMORY}'")).await?;
    let row = session.query_one(cx, "look for cuts of the key", &sql, &[]).await?;
    let cuts: Option<Vec<Option<String>>> = get(&row, 0)?;
    let mut cuts: Vec<String> = cuts.unwrap_or_default().into_iter().flatten().collect();
    cuts.dedup();
    Ok(cuts)
}
