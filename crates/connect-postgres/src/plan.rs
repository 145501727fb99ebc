//! What a scan or a look-up reads: the relation, and for each column its expression and its way
//! to canonical bytes.

use crate::columns::{self, ColumnInfo};
use crate::condition::is_one_condition;
use crate::decode;
use crate::errors::missing;
use crate::grouped::{self, Grouping};
use crate::quote;
use crate::ranges;
use crate::relation::{self, Relation};
use crate::rewrite::Rewrite;
use crate::session::Session;
use crate::types::{Kind, TypeInfo, Types};
use paritas_connect::{Context, Error, FailureKind, Result, ScanRequest};
use paritas_digest::{Canon, CanonKind, Slot};
use paritas_model::LogicalType;
use std::sync::Arc;

/// Alias of the relation in every statement.
pub(crate) const ALIAS: &str = "t";

/// How values of a column are turned into text for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The binary value is the text.
    AsIs,
    /// The server's text is a truth value.
    Bool,
    /// The server's text is an integer.
    Integer,
    /// The server's text.
    Text,
    /// There is no way back from the binary value.
    Bytes,
    /// A narrow float that is handed out widened though no side is wider: the shortest text that
    /// means this narrow one. Beside a wide float it is shown with all the digits that tell them apart.
    Float4,
}

/// One column of the canon on this server.
#[derive(Debug, Clone)]
pub(crate) struct PlanColumn {
    /// Name on this server.
    pub(crate) name: String,
    /// What is selected.
    pub(crate) expression: String,
    pub(crate) rewrite: Rewrite,
    pub(crate) shown: Shown,
    /// The type of what is selected, for parameters.
    pub(crate) sql_type: String,
    /// The operator that finds rows by this column.
    pub(crate) equals: String,
    /// Whether the type has no such operator and texts must be compared.
    pub(crate) by_text: bool,
    /// Whether rows can be split by ranges of it.
    pub(crate) ordered: bool,
    /// What to group by, where the server takes exactly those values for equal that are so in the canon.
    pub(crate) grouped_by: Option<String>,
    /// The target in the logical canon.
    pub(crate) target: Option<decode::Target>,
}

/// Everything that does not change during a scan.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) relation: Relation,
    pub(crate) canon: Arc<Canon>,
    pub(crate) columns: Vec<PlanColumn>,
    pub(crate) filter: Option<String>,
    /// What is handed out instead of rows.
    pub(crate) grouping: Option<Grouping>,
}

impl PlanColumn {
    /// The expression for a parameter that a key column is compared with. In the logical canon
    /// parameters are texts; integers are compared in the widest type, which holds all of them.
    pub(crate) fn parameter(&self, number: usize) -> String {
        let text = if self.by_text { "::text" } else { "" };
        match &self.target {
            None => format!("${number}::{}{text}", self.sql_type),
            Some(_) if self.by_text => format!("${number}::text"),
            Some(decode::Target::Int { .. }) => format!("${number}::text::int8"),
            Some(_) => format!("${number}::text::{}", self.sql_type),
        }
    }
}

impl Plan {
    /// Looks everything up. Fails when the relation no longer fits the request's canon.
    pub(crate) async fn new(session: &Session, cx: &Context, request: &ScanRequest) -> Result<Self> {
        if let Some(filter) = request.filter.as_deref().filter(|filter| !is_one_condition(filter)) {
            let message = "the condition `where` is not one expression";
            return Err(Error::new(FailureKind::Permanent, "query.where", message)
                .detail(format!("its parentheses or quotes do not match: {filter}"))
                .hint("close what is opened, and leave out semicolons and /* comments */"));
        }
        let relation = relation::resolve(session, cx, &request.dataset).await?;
        let (infos, types) = columns::load(session, cx, &relation).await?;
        if request.columns.len() != request.canon.columns.len() {
            return Err(Error::new(FailureKind::Permanent, "internal.canon", "the request does not fit its canon"));
        }
        let columns = request.columns.iter().zip(&request.canon.columns).map(|(pair, canonical)| {
            let info = infos.iter().find(|info| info.name == pair.own).ok_or_else(|| {
                missing(format!("{} has no column {}", relation.shown(), pair.own))
                    .hint("the table was changed meanwhile, or the name is written differently")
            })?;
            column(info, &types, &canonical.slot, &request.canon)
        });
        let columns: Result<Vec<PlanColumn>> = columns.collect();
        let (canon, filter) = (Arc::clone(&request.canon), request.filter.clone());
        Ok(Self { columns: columns?, relation, canon, filter, grouping: None })
    }

    /// Fields of every tuple.
    pub(crate) fn fields(&self, exact: bool) -> usize {
        self.columns.len() + self.grouping.as_ref().map_or(0, |grouping| grouping.fields(exact))
    }

    /// The statement that copies what is selected from `from`, a clause of its own.
    pub(crate) fn copy(&self, from: &str, exact: bool) -> String {
        let (select, tail) = match &self.grouping {
            Some(grouping) => (grouping.select(self, exact), grouping.tail(self)),
            None => (self.select(), String::new()),
        };
        format!("COPY ({select} {from}{tail}) TO STDOUT (FORMAT BINARY)")
    }

    /// `SELECT` of all columns.
    pub(crate) fn select(&self) -> String {
        format!("SELECT {}", quote::list(self.columns.iter().map(|column| &column.expression)))
    }

    /// The filter as a condition of its own; what the user wrote cannot run into what follows.
    pub(crate) fn condition(&self) -> Option<String> {
        self.filter.as_ref().map(|filter| format!("(\n{filter}\n)"))
    }

    /// Whether blocks are Arrow batches.
    pub(crate) fn is_logical(&self) -> bool {
        self.canon.kind == CanonKind::Logical
    }

    /// The key columns.
    pub(crate) fn key(&self) -> &[PlanColumn] {
        self.columns.get(..self.canon.key_columns).unwrap_or_default()
    }
}

fn column(info: &ColumnInfo, types: &Types, slot: &Slot, canon: &Canon) -> Result<PlanColumn> {
    let name = format!("{ALIAS}.{}", quote::ident(&info.name));
    let (base, modifier) = types.base(info.type_oid, info.modifier)?;
    let (cast, rewrite, target) = match slot {
        Slot::Wire { type_name, .. } => {
            if *type_name != info.engine_type {
                return Err(changed(info, type_name));
            }
            match types.as_text(info.type_oid) {
                true => (Some("text"), Rewrite::Keep, None),
                false => (None, Rewrite::of(types, info.type_oid, &canon.policies)?, None),
            }
        }
        logical => {
            let (cast, target) = decode::target(types, base, modifier, logical);
            (cast, Rewrite::Keep, Some(target))
        }
    };
    let (expression, sql_type) = match cast {
        Some("text") => (text_of(&name, &quote::qualified(&base.schema, &base.name)), "text".to_owned()),
        // Through the text of the whole array, so that items get their output form as well.
        Some(cast) => (format!("{name}::text::{cast}"), cast.to_owned()),
        // The internal name: the standard spellings of char and bit imply a length of 1.
        None => (name, quote::qualified(&base.schema, &base.name)),
    };
    let equals = match (cast, &base.equals_in) {
        (None, Some(schema)) => format!("OPERATOR({schema}.=)"),
        _ => "=".to_owned(),
    };
    // A text that is no label cannot be cast to an enum.
    let by_text = cast.is_none() && (!base.comparable || (target.is_some() && base.kind == Kind::Enum));
    let shown = match (cast, &target) {
        (Some(_), _) => Shown::AsIs,
        (None, Some(decode::Target::Float)) if base.name == "float4" && *slot == Slot::Float32 => Shown::Float4,
        (None, _) => shown(base),
    };
    let ordered = cast.is_none() && ranges::can_order(&base.schema, &base.name);
    let grouped_by = grouped::expression(&expression, cast, base);
    let name = info.name.clone();
    Ok(PlanColumn { name, expression, rewrite, shown, sql_type, equals, by_text, ordered, grouped_by, target })
}

/// The server's output form of a value. The cast of `inet` to text is another one, with the mask of
/// single hosts.
pub(crate) fn text_of(expression: &str, sql_type: &str) -> String {
    if sql_type == "\"pg_catalog\".\"inet\"" {
        return format!("nullif(format('%s', {expression}), '')");
    }
    format!("({expression})::text")
}

fn changed(info: &ColumnInfo, expected: &str) -> Error {
    Error::new(FailureKind::Permanent, "dataset.changed", format!("column {} has another type now", info.name))
        .detail(format!("It was {expected} and is {}.", info.engine_type))
        .hint("run again; the schema is read anew")
}

fn shown(info: &TypeInfo) -> Shown {
    let built_in = info.schema == "pg_catalog";
    match info.name.as_str() {
        _ if info.kind == Kind::Enum => Shown::AsIs,
        "text" | "varchar" | "bpchar" | "name" | "json" | "xml" if built_in => Shown::AsIs,
        "citext" => Shown::AsIs,
        "bool" if built_in => Shown::Bool,
        "int2" | "int4" | "int8" | "oid" if built_in => Shown::Integer,
        _ if info.receives => Shown::Text,
        _ => Shown::Bytes,
    }
}

/// What a slot's values mean, for choosing a decoder.
pub(crate) fn meaning(slot: &Slot) -> LogicalType {
    match slot {
        Slot::Wire { type_name, .. } => LogicalType::Other(type_name.clone()),
        Slot::Bool => LogicalType::Bool,
        Slot::Int | Slot::BigInt => LogicalType::Int { bits: 64, signed: true },
        Slot::Decimal { scale } => LogicalType::Decimal { precision: 38, scale: *scale },
        Slot::WideDecimal { scale } => LogicalType::Decimal { precision: 76, scale: *scale },
        Slot::DecimalAny | Slot::DecimalExact => LogicalType::DecimalAny,
        Slot::Float => LogicalType::Float { bits: 64 },
        Slot::Float32 => LogicalType::Float { bits: 32 },
        Slot::Text => LogicalType::Text,
        Slot::Bytes => LogicalType::Bytes,
        Slot::Uuid => LogicalType::Uuid,
        Slot::Date => LogicalType::Date,
        Slot::Time(unit) => LogicalType::Time { unit: *unit },
        Slot::Timestamp { unit, zoned } => LogicalType::Timestamp { unit: *unit, zoned: *zoned },
        Slot::Duration(unit) => LogicalType::Duration { unit: *unit },
        Slot::Interval => LogicalType::Interval,
        Slot::Json => LogicalType::Json,
        Slot::Nested(logical) => logical.clone(),
    }
}
