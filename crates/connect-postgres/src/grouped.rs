//! Figures of groups made by the server's own `GROUP BY`, where its arithmetic is exact: counts, and sums
//! and extremes of integers and `numeric`.
//!
//! `sum` of integers and of `numeric` is exact in PostgreSQL (an overflow is an error). `NaN` and
//! infinities would swallow a sum, so they are counted apart; as that costs time on every row, it is only
//! asked for when one was seen. The server's equality is only trusted for types in which it means the same
//! as ours; texts are grouped by their bytes.

use crate::bytes::{Reader, put_field, put_null};
use crate::columns;
use crate::decode::Decoder;
use crate::errors::{malformed, missing};
use crate::exported::Exported;
use crate::keys::{self, KeyValues};
use crate::lookup::{BEGIN, SNAPSHOT, VERSION, matches};
use crate::plan::{ALIAS, Plan, PlanColumn};
use crate::raw::{Raw, RawParam};
use crate::scan::PgScan;
use crate::session::{Session, get};
use crate::store::Inner;
use crate::types::{Kind, TypeInfo};
use crate::{numeric, quote};
use arrow_array::builder::BinaryBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Schema;
use paritas_connect::{Context, Error, FailureKind, GroupRequest, GroupsNow, Result, Scan, figures_field};
use paritas_ledger::{Amount, ColumnFigures, Decimal, Figures, Rule};
use paritas_model::Known;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Built-in types whose equal values have equal canonical bytes.
const GROUPED: &[&str] =
    &["bool", "int2", "int4", "int8", "oid", "numeric", "uuid", "bytea", "date", "time", "timestamp", "timestamptz"];
/// Built-in texts that keep all of their bytes.
const TEXTS: &[&str] = &["text", "varchar"];
/// Types of which sums are exact.
const SUMMED: &[&str] = &["int2", "int4", "int8", "numeric"];
/// Groups that are looked up in one statement, at most, and parameters that the protocol allows.
const KEYS_MAX: usize = 5_000;
const PARAMETERS_MAX: usize = 60_000;
/// The code of figures that have to be made again with what is no finite number apart.
const SPECIALS: &str = "ledger.specials";

/// What to group a column by: its expression, or that in an order by bytes. `None` where the server takes other
/// values for equal than the canon does.
pub(crate) fn expression(selected: &str, cast: Option<&str>, base: &TypeInfo) -> Option<String> {
    let built_in = |names: &[&str]| base.schema == "pg_catalog" && names.contains(&base.name.as_str());
    match cast {
        Some("text") => Some(format!("({selected} COLLATE \"C\")")),
        Some(_) => None,
        None if built_in(TEXTS) => Some(format!("({selected} COLLATE \"C\")")),
        None if base.kind == Kind::Enum || built_in(GROUPED) => Some(selected.to_owned()),
        None => None,
    }
}

/// What is made of the rows of each group.
#[derive(Debug)]
pub(crate) struct Grouping {
    rule: Arc<Rule>,
    amounts: Vec<AmountColumn>,
    exact: AtomicBool,
}

#[derive(Debug)]
struct AmountColumn {
    expression: String,
    /// Whether it may hold what is no finite number.
    special: bool,
    extremes: bool,
}

impl Grouping {
    /// Whether values that are no finite numbers are counted apart from now on. Asked once for each reading,
    /// because another one may change it.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact.load(Ordering::Acquire)
    }

    /// Fields of a tuple behind those of the group.
    pub(crate) fn fields(&self, exact: bool) -> usize {
        1 + self.amounts.iter().map(|amount| amount.fields(exact)).sum::<usize>()
    }

    /// `SELECT` of the group and its figures.
    pub(crate) fn select(&self, plan: &Plan, exact: bool) -> String {
        let groups = plan.columns.iter().filter_map(|column| column.grouped_by.clone());
        let figures = self.amounts.iter().flat_map(|amount| amount.select(exact));
        let all: Vec<String> = groups.chain(["count(*)".to_owned()]).chain(figures).collect();
        format!("SELECT {}", quote::list(all))
    }

    /// What follows the rows.
    pub(crate) fn tail(&self, plan: &Plan) -> String {
        let groups: Vec<&String> = plan.columns.iter().filter_map(|column| column.grouped_by.as_ref()).collect();
        if groups.is_empty() { String::new() } else { format!(" GROUP BY {}", quote::list(groups)) }
    }

    /// Takes note of a reading that failed because of what is no finite number: the next one has it apart.
    pub(crate) fn failed(&self, error: Error) -> Error {
        if error.code() == SPECIALS {
            self.exact.store(true, Ordering::Release);
        }
        error
    }
}

impl AmountColumn {
    fn fields(&self, exact: bool) -> usize {
        2 + if self.special && exact { 3 } else { 0 } + if self.extremes { 2 } else { 0 }
    }

    fn select(&self, exact: bool) -> Vec<String> {
        let value = &self.expression;
        let mut all = vec![format!("count({value})")];
        let mut finite = String::new();
        if self.special && exact {
            for word in ["NaN", "Infinity", "-Infinity"] {
                all.push(format!("count(*) FILTER (WHERE {value} = '{word}'::numeric)"));
            }
            // NaN is above infinity in the server's order.
            finite = format!(" FILTER (WHERE {value} > '-Infinity'::numeric AND {value} < 'Infinity'::numeric)");
        }
        all.push(format!("sum({value}){finite}::numeric"));
        if self.extremes {
            all.push(format!("min({value}){finite}::numeric"));
            all.push(format!("max({value}){finite}::numeric"));
        }
        all
    }

    /// Reads the figures of the column.
    fn read(&self, exact: bool, rows: u64, reader: &mut Reader<'_>) -> Result<ColumnFigures> {
        let values = count(reader)?;
        let mut figures =
            ColumnFigures { nulls: rows.checked_sub(values).ok_or_else(unlikely)?, ..ColumnFigures::default() };
        if self.special && exact {
            figures.not_a_number = count(reader)?;
            figures.infinite = count(reader)?;
            figures.negative_infinite = count(reader)?;
        }
        figures.sum = finite(reader)?.unwrap_or(Decimal::ZERO);
        if self.extremes {
            (figures.min, figures.max) = (finite(reader)?, finite(reader)?);
        }
        Ok(figures)
    }
}

fn unlikely() -> Error {
    malformed("more values than rows")
}

fn count(reader: &mut Reader<'_>) -> Result<u64> {
    let field = reader.field()?.ok_or_else(|| malformed("a count that is NULL"))?;
    u64::try_from(Reader::new(field).i64()?).map_err(|_| malformed("a negative count"))
}

fn finite(reader: &mut Reader<'_>) -> Result<Option<Decimal>> {
    match reader.field()?.map(numeric::amount).transpose()? {
        None => Ok(None),
        Some(Amount::Finite(decimal)) => Ok(Some(decimal)),
        Some(_) => Err(Error::new(FailureKind::Transient, SPECIALS, "a column holds NaN or an infinity")
            .detail("It is read again, with those counted apart.")),
    }
}

/// Opens a view of groups, or says why rows have to be read.
pub(crate) async fn open(store: Arc<Inner>, cx: &Context, request: &GroupRequest) -> Result<Known<Box<dyn Scan>>> {
    let exported = Arc::new(Exported::begin(&store, cx).await?);
    open_in(store, cx, request, exported).await
}

/// The same in a view that is pinned already.
pub(crate) async fn open_in(
    store: Arc<Inner>,
    cx: &Context,
    request: &GroupRequest,
    exported: Arc<Exported>,
) -> Result<Known<Box<dyn Scan>>> {
    let plan = plan(&*exported.session().await, cx, request).await?;
    match plan {
        Known::Known(plan) => {
            let scan = PgScan::of(store, cx, plan, &request.scan, exported).await?;
            Ok(Known::Known(Box::new(scan)))
        }
        Known::Unknown { why } => Ok(Known::Unknown { why }),
    }
}

async fn plan(session: &Session, cx: &Context, request: &GroupRequest) -> Result<Known<Plan>> {
    let mut plan = Plan::new(session, cx, &request.scan).await?;
    if let Some(column) = plan.columns.iter().find(|column| column.grouped_by.is_none()) {
        return Ok(Known::unknown(format!("the server compares values of {} in its own way", column.name)));
    }
    let (infos, types) = columns::load(session, cx, &plan.relation).await?;
    let mut amounts = Vec::with_capacity(request.amounts.len());
    for (name, rule) in request.amounts.iter().zip(&request.rule.columns) {
        let info = infos.iter().find(|info| info.name == *name).ok_or_else(|| {
            missing(format!("{} has no column {name}", plan.relation.shown()))
                .hint("the table was changed meanwhile, or the name is written differently")
        })?;
        let (base, _) = types.base(info.type_oid, info.modifier)?;
        if base.schema != "pg_catalog" || !SUMMED.contains(&base.name.as_str()) {
            return Ok(Known::unknown(format!("the server makes no exact sums of {}", info.engine_type)));
        }
        let expression = format!("{ALIAS}.{}", quote::ident(name));
        amounts.push(AmountColumn { expression, special: base.name == "numeric", extremes: rule.extremes() });
    }
    plan.grouping = Some(Grouping { rule: Arc::clone(&request.rule), amounts, exact: AtomicBool::new(false) });
    Ok(Known::Known(plan))
}

/// Collects tuples of groups into batches.
pub(crate) struct GroupRows {
    groups: usize,
    decoder: Option<Decoder>,
    amounts: Vec<AmountColumn>,
    exact: bool,
    figures: BinaryBuilder,
    encoded: Vec<u8>,
    rows: usize,
    bytes: usize,
}

impl GroupRows {
    pub(crate) fn new(plan: &Plan, grouping: &Grouping, exact: bool) -> Result<Self> {
        let copy = |amount: &AmountColumn| AmountColumn { expression: String::new(), ..*amount };
        debug_assert_eq!(grouping.rule.columns.len(), grouping.amounts.len(), "one rule for each amount");
        Ok(Self {
            groups: plan.columns.len(),
            // A batch needs a column to have rows.
            decoder: if plan.columns.is_empty() { None } else { Some(Decoder::new(plan)?) },
            amounts: grouping.amounts.iter().map(copy).collect(),
            exact,
            figures: BinaryBuilder::new(),
            encoded: Vec::new(),
            rows: 0,
            bytes: 0,
        })
    }

    /// Takes a tuple: the group's columns, then its figures.
    pub(crate) fn push(&mut self, tuple: &[u8]) -> Result<()> {
        let mut reader = Reader::new(tuple);
        for _ in 0..self.groups {
            reader.field()?;
        }
        let group = tuple.get(..tuple.len() - reader.rest().len()).unwrap_or_default();
        let rows = count(&mut reader)?;
        let columns = self.amounts.iter().map(|amount| amount.read(self.exact, rows, &mut reader));
        let figures = Figures { rows, columns: columns.collect::<Result<_>>()? };
        reader.end()?;
        if rows == 0 {
            // Everything as one group, and there is nothing.
            return Ok(());
        }
        if let Some(decoder) = &mut self.decoder {
            decoder.push(group)?;
        }
        self.encoded.clear();
        figures.encode(&mut self.encoded);
        self.figures.append_value(&self.encoded);
        self.rows += 1;
        self.bytes += tuple.len();
        Ok(())
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batch; nothing is left afterwards.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        let groups = self.decoder.as_mut().map(Decoder::finish).transpose()?;
        let mut fields: Vec<_> =
            groups.iter().flat_map(|batch| batch.schema().fields().iter().cloned().collect::<Vec<_>>()).collect();
        let mut arrays: Vec<ArrayRef> = groups.iter().flat_map(|batch| batch.columns().to_vec()).collect();
        fields.push(Arc::new(figures_field()));
        arrays.push(Arc::new(self.figures.finish()));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|error| malformed("groups that do not make a batch").because(error))
    }
}

/// The groups with these keys as they are now.
pub(crate) async fn now(
    session: &Session,
    cx: &Context,
    request: &GroupRequest,
    keys: &[Vec<u8>],
) -> Result<GroupsNow> {
    let plan = match plan(session, cx, request).await? {
        Known::Known(plan) => plan,
        Known::Unknown { why } => return Err(Error::unsupported(format!("figures of these groups: {why}"))),
    };
    let Some(grouping) = &plan.grouping else { return Err(Error::unsupported("figures of groups")) };
    let mut rows = GroupRows::new(&plan, grouping, true)?;
    let mut versions = Vec::new();
    session.batch(cx, "begin a look-up", BEGIN).await?;
    for (sql, params) in statements(&plan, grouping, keys)? {
        for row in session.query_raw(cx, "look groups up", &sql, &params).await? {
            let figures = plan.columns.len() + grouping.fields(true);
            let mut tuple = Vec::new();
            for column in 0..figures {
                match get::<Option<Raw<'_>>>(&row, column)? {
                    Some(Raw(value)) => put_field(&mut tuple, |out| {
                        out.extend_from_slice(value);
                        Ok(())
                    })?,
                    None => put_null(&mut tuple),
                }
            }
            let before = rows.rows();
            rows.push(&tuple)?;
            if rows.rows() > before {
                versions.push(get(&row, figures)?);
            }
        }
        cx.check()?;
    }
    session.batch(cx, "end a look-up", "COMMIT").await?;
    Ok(GroupsNow { batch: rows.finish()?, versions })
}

/// Statements for the groups with these keys, each with its parameters.
fn statements(plan: &Plan, grouping: &Grouping, keys: &[Vec<u8>]) -> Result<Vec<(String, Vec<RawParam>)>> {
    // Keys with NULL in the same places share a condition that an index can serve.
    let mut by_pattern: BTreeMap<Vec<bool>, Vec<KeyValues>> = BTreeMap::new();
    for key in keys {
        // Everything as one group has no key.
        let values = if plan.columns.is_empty() { Some(Vec::new()) } else { keys::parameters(plan, key)? };
        if let Some(values) = values {
            by_pattern.entry(values.iter().map(Option::is_none).collect()).or_default().push(values);
        }
    }
    let mut statements = Vec::new();
    for (pattern, keys) in by_pattern {
        let filled = pattern.iter().filter(|null| !**null).count();
        for batch in keys.chunks(KEYS_MAX.min(PARAMETERS_MAX / filled.max(1))) {
            let params = batch.iter().flatten().flatten().map(|value| RawParam(Some(value.clone())));
            statements.push((statement(plan, grouping, &pattern, batch.len()), params.collect()));
        }
    }
    Ok(statements)
}

fn statement(plan: &Plan, grouping: &Grouping, pattern: &[bool], keys: usize) -> String {
    let columns = || plan.columns.iter().zip(pattern);
    let filled: Vec<&PlanColumn> = columns().filter(|(_, null)| !**null).map(|(column, _)| column).collect();
    let mut conditions: Vec<String> =
        columns().filter(|(_, null)| **null).map(|(column, _)| format!("{} IS NULL", column.expression)).collect();
    if !filled.is_empty() {
        conditions.push(matches(&filled, keys));
    }
    conditions.extend(plan.condition());
    let condition = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let select = grouping.select(plan, true);
    let (version, snapshot) = if plan.relation.is_stored() {
        // What a row is and where it stands, hashed and added up: rows that come, go or are written change it.
        let hash = format!("hashtextextended({ALIAS}.tableoid::text || {ALIAS}.ctid::text || {ALIAS}.xmin::text, 0)");
        let version = format!("CASE WHEN bool_or(({VERSION}) IS NULL) THEN NULL ELSE sum({hash})::text END");
        (version, format!(", {SNAPSHOT}"))
    } else {
        ("NULL::text".to_owned(), String::new())
    };
    let (from, tail) = (plan.relation.sql(), grouping.tail(plan));
    format!("{select}, {version} FROM {from} AS {ALIAS}{snapshot}{condition}{tail}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tuple(fields: &[&[u8]]) -> Vec<u8> {
        let mut tuple = Vec::new();
        for field in fields {
            tuple.extend_from_slice(&i32::try_from(field.len()).unwrap().to_be_bytes());
            tuple.extend_from_slice(field);
        }
        tuple
    }

    #[test]
    fn a_sum_that_is_no_finite_number_is_read_again_with_it_apart() {
        let amount = AmountColumn { expression: "t.a".to_owned(), special: true, extremes: false };
        let nan = [0_u16, 0, 0xC000, 0].map(u16::to_be_bytes).concat();
        let fields = tuple(&[&1_i64.to_be_bytes(), &nan]);
        let error = amount.read(false, 1, &mut Reader::new(&fields)).unwrap_err();
        assert!(error.is_transient());
        let grouping = Grouping { rule: Arc::default(), amounts: vec![amount], exact: AtomicBool::new(false) };
        assert!(!grouping.is_exact());
        let _ = grouping.failed(error);
        assert!(grouping.is_exact());
        assert_eq!((grouping.fields(false), grouping.fields(true)), (3, 6));
    }

    #[test]
    fn more_values_than_rows_are_refused() {
        let amount = AmountColumn { expression: "t.a".to_owned(), special: false, extremes: false };
        let fields = tuple(&[&2_i64.to_be_bytes(), &[0; 8]]);
        assert_eq!(amount.read(false, 1, &mut Reader::new(&fields)).unwrap_err().code(), "data.unreadable");
    }
}
