//! Rows by key, and rows as people read them.

use crate::bytes::{Reader, put_field, put_null};
use crate::errors::malformed;
use crate::keys::{self, KeyValues};
use crate::plan::{ALIAS, Plan, PlanColumn, Shown, text_of};
use crate::quote;
use crate::raw::{Raw, RawParam};
use crate::rewrite::Rewrite;
use crate::rows::{canonical_image, key_of};
use crate::session::{Session, get};
use crate::store::Inner;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, Float32Array, RecordBatch};
use async_trait::async_trait;
use paritas_connect::{Context, FetchedField, FetchedRow, Lookup, Result, render_arrow, show_arrow};
use paritas_digest::Block;
use paritas_model::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tokio_postgres::Row;

/// Keys in one statement.
const KEYS_MAX: usize = 1_000;
/// Values rendered in one statement.
const VALUES_MAX: usize = 2_000;
/// Parameters that the protocol allows in one statement.
const PARAMETERS_MAX: usize = 60_000;

/// A transaction number that is still running when the row is read: the row is being written.
/// Its `xmin` then says nothing, because the change may be in the log already and not yet visible.
pub(crate) const VERSION: &str = "CASE WHEN t.xmax::text <> '0' AND (t.xmax::text::int8 = ANY(snap.running) \
      OR (t.xmax::text::int8 - snap.upper + 4294967296) % 4294967296 < 2147483648) \
    THEN NULL ELSE t.xmin::text::int8 END";
pub(crate) const SNAPSHOT: &str = "(SELECT ARRAY(SELECT (x::text::numeric % 4294967296)::int8 \
      FROM pg_snapshot_xip(pg_current_snapshot()) AS x) AS running, \
      (pg_snapshot_xmax(pg_current_snapshot())::text::numeric % 4294967296)::int8 AS upper) AS snap";

/// How the types that the client library knows by itself are written.
const BUILT_IN: &str = "\"pg_catalog\".";
const LOOK_UP: &str = "look rows up by key";
pub(crate) const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Until the transaction ends.
const NO_INDEX: &str =
    "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off";

/// Looks rows up in a view of its own each time.
#[derive(Debug)]
pub(crate) struct PgLookup {
    store: Arc<Inner>,
    plan: Arc<Plan>,
}

impl PgLookup {
    pub(crate) fn new(store: Arc<Inner>, plan: Arc<Plan>) -> Self {
        Self { store, plan }
    }

    async fn fetch_with(&self, cx: &Context, keys: &[Vec<u8>], begin: &str) -> Result<Vec<FetchedRow>> {
        cx.check()?;
        let statements = self.statements(keys)?;
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.store.session(cx).await?;
        self.learn_types(&session, cx).await?;
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        if let [(sql, params)] = statements.as_slice() {
            let rows = session.query_alone(cx, LOOK_UP, begin, sql, params).await?;
            self.collect(&rows, &mut seen, &mut found)?;
        } else {
            session.batch(cx, "begin a look-up", begin).await?;
            for (sql, params) in &statements {
                let rows = session.query_raw(cx, LOOK_UP, sql, params).await?;
                cx.check()?;
                self.collect(&rows, &mut seen, &mut found)?;
            }
            session.batch(cx, "end a look-up", "COMMIT").await?;
        }
        self.store.give_back(session);
        Ok(found)
    }

    /// Has the client library ask for types that it does not know while no rows are on their way: it asks on the same
    /// connection, and would wait for an answer behind rows that nobody takes.
    async fn learn_types(&self, session: &Session, cx: &Context) -> Result<()> {
        let known = |column: &PlanColumn| column.sql_type.starts_with(BUILT_IN) || !column.sql_type.contains('.');
        if self.plan.columns.iter().all(known) {
            return Ok(());
        }
        let sql = self.select(&self.plan.relation.sql(), &["false".to_owned()]);
        session.query_raw(cx, LOOK_UP, &sql, &[]).await.map(drop)
    }

    /// Statements for all rows whose key is equal to one of these in the server's eyes.
    fn statements(&self, keys: &[Vec<u8>]) -> Result<Vec<(String, Vec<RawParam>)>> {
        // Keys with NULL in the same places share a condition that an index can serve.
        let mut by_pattern: BTreeMap<Vec<bool>, Vec<KeyValues>> = BTreeMap::new();
        for key in keys {
            let Some(values) = keys::parameters(&self.plan, key)? else { continue };
            by_pattern.entry(values.iter().map(Option::is_none).collect()).or_default().push(values);
        }
        let mut statements = Vec::new();
        for (pattern, keys) in by_pattern {
            let filled = pattern.iter().filter(|null| !**null).count();
            for batch in keys.chunks(KEYS_MAX.min(PARAMETERS_MAX / filled.max(1))) {
                let params = batch.iter().flatten().flatten().map(|value| RawParam(Some(value.clone())));
                statements.push((self.statement(&pattern, batch.len()), params.collect()));
            }
        }
        Ok(statements)
    }

    fn statement(&self, pattern: &[bool], keys: usize) -> String {
        let columns = || self.plan.key().iter().zip(pattern);
        let filled: Vec<&PlanColumn> = columns().filter(|(_, null)| !**null).map(|(column, _)| column).collect();
        let mut conditions: Vec<String> =
            columns().filter(|(_, null)| **null).map(|(column, _)| format!("{} IS NULL", column.expression)).collect();
        if !filled.is_empty() {
            conditions.push(matches(&filled, keys));
        }
        conditions.extend(self.plan.condition());
        self.select(&self.plan.relation.sql(), &conditions)
    }

    /// The statement for all rows of `from` that meet the conditions.
    pub(crate) fn select(&self, from: &str, conditions: &[String]) -> String {
        let texts = self.plan.columns.iter().filter(|column| needs_text(column));
        let mut selected: Vec<String> = self.plan.columns.iter().map(|column| column.expression.clone()).collect();
        let texts: Vec<String> = texts.map(|column| text_of(&column.expression, &column.sql_type)).collect();
        if !self.plan.is_logical() && !texts.is_empty() {
            // One column for all texts: the columns of the widest table leave no room for as many again.
            selected.push(format!("ARRAY[{}]", quote::list(texts)));
        }
        let (place, snapshot) = if self.plan.relation.is_stored() {
            (format!("{ALIAS}.tableoid::int8, {ALIAS}.ctid::text, {VERSION}"), format!(", {SNAPSHOT}"))
        } else {
            ("NULL::int8, NULL::text, NULL::int8".to_owned(), String::new())
        };
        format!(
            "SELECT {place}, {} FROM {from} AS {ALIAS}{snapshot} WHERE {}",
            quote::list(selected),
            conditions.join(" AND ")
        )
    }

    /// Rows of such a statement, each with its place in the table.
    pub(crate) fn placed(&self, rows: &[Row]) -> Result<Vec<(FetchedRow, String)>> {
        rows.iter().map(|row| Ok((self.versioned(row)?, get::<Option<String>>(row, 1)?.unwrap_or_default()))).collect()
    }

    fn collect(&self, rows: &[Row], seen: &mut HashSet<(i64, String)>, found: &mut Vec<FetchedRow>) -> Result<()> {
        for row in rows {
            // A row may equal two keys that differ in their bytes.
            if let (Some(table), Some(place)) = (get(row, 0)?, get(row, 1)?)
                && !seen.insert((table, place))
            {
                continue;
            }
            found.push(self.versioned(row)?);
        }
        Ok(())
    }

    fn versioned(&self, row: &Row) -> Result<FetchedRow> {
        let version: Option<i64> = get(row, 2)?;
        let mut fetched = self.row(row)?;
        fetched.version = version.and_then(|version| u64::try_from(version).ok());
        Ok(fetched)
    }

    fn row(&self, row: &Row) -> Result<FetchedRow> {
        const FIRST: usize = 3;
        let mut tuple = Vec::new();
        for index in 0..self.plan.columns.len() {
            match get::<Option<Raw<'_>>>(row, FIRST + index)? {
                Some(Raw(value)) => put_field(&mut tuple, |out| {
                    out.extend_from_slice(value);
                    Ok(())
                })?,
                None => put_null(&mut tuple),
            }
        }
        if self.plan.is_logical() {
            let mut decoder = crate::decode::Decoder::new(&self.plan)?;
            decoder.push(&tuple)?;
            let batch = decoder.finish()?;
            return render_logical(&self.plan, &batch, &[0])?
                .into_iter()
                .next()
                .ok_or_else(|| malformed("a row that got lost"));
        }
        let texts: Vec<Option<String>> = if self.plan.columns.iter().any(needs_text) {
            get(row, FIRST + self.plan.columns.len())?
        } else {
            Vec::new()
        };
        let rewrites: Vec<Rewrite> = self.plan.columns.iter().map(|column| column.rewrite.clone()).collect();
        let mut image = Vec::new();
        canonical_image(&rewrites, &tuple, &mut image)?;
        wire_row(&self.plan, &image, texts)
    }
}

#[async_trait]
impl Lookup for PgLookup {
    async fn fetch(&self, cx: &Context, keys: &[Vec<u8>]) -> Result<Vec<FetchedRow>> {
        self.fetch_with(cx, keys, BEGIN).await
    }

    async fn fetch_unindexed(&self, cx: &Context, keys: &[Vec<u8>]) -> Result<Vec<FetchedRow>> {
        self.fetch_with(cx, keys, &format!("{BEGIN}; {NO_INDEX}")).await
    }
}

/// `(a, b) IN (VALUES ...)` with the operators of the columns' own types.
pub(crate) fn matches(columns: &[&PlanColumn], keys: usize) -> String {
    let mut parameter = 0;
    let mut value = |column: &PlanColumn| {
        parameter += 1;
        column.parameter(parameter)
    };
    let tuples: Vec<String> =
        (0..keys).map(|_| format!("({})", quote::list(columns.iter().map(|column| value(column))))).collect();
    let names = quote::list((0..columns.len()).map(|index| format!("k{index}")));
    let pairs = columns.iter().enumerate().map(|(index, column)| {
        let text = if column.by_text { "::text" } else { "" };
        format!("{}{text} {} keys.k{index}", column.expression, column.equals)
    });
    let pairs: Vec<String> = pairs.collect();
    format!("EXISTS (SELECT FROM (VALUES {}) AS keys({names}) WHERE {})", tuples.join(", "), pairs.join(" AND "))
}

fn needs_text(column: &PlanColumn) -> bool {
    matches!(column.shown, Shown::Bool | Shown::Integer | Shown::Text)
}

/// A row from its canonical image and the server's texts of those columns that need one.
fn wire_row(plan: &Plan, image: &[u8], texts: Vec<Option<String>>) -> Result<FetchedRow> {
    let mut key = Vec::new();
    key_of(plan.canon.key_form(), plan.canon.key_columns, image, &mut key)?;
    let mut texts = texts.into_iter();
    let mut reader = Reader::new(image);
    let mut fields = Vec::with_capacity(plan.columns.len());
    for column in &plan.columns {
        let canonical = reader.field()?;
        let text = if needs_text(column) { texts.next().flatten() } else { None };
        let shown = canonical.map_or(Value::Null, |bytes| show(column.shown, bytes, text));
        fields.push(FetchedField { canonical: canonical.map(<[u8]>::to_vec), shown });
    }
    Ok(FetchedRow { found: None, key, fields, place: None, version: None })
}

fn show(shown: Shown, bytes: &[u8], text: Option<String>) -> Value {
    match (shown, text) {
        (Shown::AsIs, _) => std::str::from_utf8(bytes).map_or_else(|_| Value::bytes(bytes), Value::from),
        (Shown::Bytes | Shown::Float4, _) | (_, None) => Value::bytes(bytes),
        (Shown::Bool, Some(text)) => Value::Bool(text == "true"),
        (Shown::Integer, Some(text)) => text.parse().map_or_else(|_| Value::Text(text), Value::integer),
        (Shown::Text, Some(text)) => Value::Text(text),
    }
}

/// Rows of an Arrow batch; narrow floats by their own shortest text.
fn render_logical(plan: &Plan, batch: &RecordBatch, rows: &[usize]) -> Result<Vec<FetchedRow>> {
    let mut rendered = render_arrow(&plan.canon, batch, rows)?;
    for (row, rendered) in rows.iter().zip(&mut rendered) {
        for ((column, array), field) in plan.columns.iter().zip(batch.columns()).zip(&mut rendered.fields) {
            if let (Shown::Float4, Some(wide)) = (column.shown, array.as_primitive_opt::<Float64Type>())
                && !wide.is_null(*row)
            {
                field.shown = show_arrow(&Float32Array::from(vec![wide.value(*row) as f32]), 0)?;
            }
        }
    }
    Ok(rendered)
}

/// Rows of a scan's own block, with the server's texts for their values.
pub(crate) async fn render(
    store: &Inner,
    cx: &Context,
    plan: &Plan,
    block: &Block,
    rows: &[usize],
) -> Result<Vec<FetchedRow>> {
    let block = match block {
        Block::Arrow(batch) => return render_logical(plan, batch, rows),
        Block::Wire(block) => block,
    };
    let images: Result<Vec<&[u8]>> =
        rows.iter().map(|row| block.image(*row).ok_or_else(|| malformed("a row that does not exist"))).collect();
    let images = images?;
    let mut values = Vec::new();
    for image in &images {
        let mut reader = Reader::new(image);
        for column in &plan.columns {
            if let (Some(value), true) = (reader.field()?, needs_text(column)) {
                let mut restored = Vec::new();
                column.rewrite.restore(value, &mut restored)?;
                values.push((column.sql_type.as_str(), restored));
            }
        }
    }
    let mut texts = if values.is_empty() {
        Vec::new()
    } else {
        let session = store.session(cx).await?;
        let texts = texts(&session, cx, values).await?;
        store.give_back(session);
        texts
    }
    .into_iter();
    let mut rendered = Vec::with_capacity(images.len());
    for image in images {
        let mut own = Vec::new();
        let mut reader = Reader::new(image);
        for column in &plan.columns {
            let value = reader.field()?;
            if needs_text(column) {
                own.push(value.and_then(|_| texts.next()));
            }
        }
        rendered.push(wire_row(plan, image, own)?);
    }
    Ok(rendered)
}

/// The server's own text of each binary value.
async fn texts(session: &Session, cx: &Context, values: Vec<(&str, Vec<u8>)>) -> Result<Vec<String>> {
    let mut texts = Vec::with_capacity(values.len());
    for batch in values.chunks(VALUES_MAX) {
        let selected =
            batch.iter().enumerate().map(|(index, (kind, _))| text_of(&format!("${}::{kind}", index + 1), kind));
        let sql = format!("SELECT unnest(ARRAY[{}])", quote::list(selected));
        let params: Vec<RawParam> = batch.iter().map(|(_, value)| RawParam(Some(value.clone()))).collect();
        let rows = session.query_raw(cx, "show values", &sql, &params).await?;
        for row in &rows {
            texts.push(get(row, 0)?);
        }
        if rows.len() != batch.len() {
            return Err(malformed("another number of texts than values"));
        }
    }
    Ok(texts)
}
