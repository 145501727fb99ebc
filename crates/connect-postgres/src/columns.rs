//! Columns of a relation, its key, and what their types mean.

use crate::relation::Relation;
use crate::session::{Session, get};
use crate::types::{Kind, TypeInfo, Types};
use paritas_connect::{Context, Result};
use paritas_model::{LogicalType, TimeUnit};
use tokio_postgres::types::Oid;

/// A column as the catalog has it.
#[derive(Debug, Clone)]
pub(crate) struct ColumnInfo {
    pub(crate) name: String,
    pub(crate) type_oid: Oid,
    /// `format_type` of the type under all domains.
    pub(crate) engine_type: String,
    pub(crate) modifier: i32,
    pub(crate) nullable: bool,
    /// The domain's name, if it is one.
    pub(crate) domain: Option<String>,
    /// Default or generation expression.
    pub(crate) expression: Option<String>,
    pub(crate) generated: bool,
    /// `always` or `by default`.
    pub(crate) identity: Option<&'static str>,
    /// A collation other than the type's own.
    pub(crate) collation: Option<String>,
}

const QUERY: &str = "SELECT a.attname::text, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated::text, \
      a.attidentity::text, pg_get_expr(d.adbin, d.adrelid), \
      CASE WHEN a.attcollation <> t.typcollation AND a.attcollation <> 0 THEN a.attcollation::regcollation::text END, \
      t.typtype = 'd' AND t.typnotnull \
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// Columns in table order, without dropped ones, and all types that they need.
pub(crate) async fn load(session: &Session, cx: &Context, relation: &Relation) -> Result<(Vec<ColumnInfo>, Types)> {
    let rows = session.query(cx, "read the columns", QUERY, &[&relation.oid]).await?;
    let oids: Result<Vec<Oid>> = rows.iter().map(|row| get(row, 1)).collect();
    let types = Types::load(session, cx, oids?).await?;
    let columns: Result<Vec<ColumnInfo>> = rows.iter().map(|row| column(row, &types)).collect();
    let mut columns = columns?;
    name_types(session, cx, &mut columns, &types).await?;
    Ok((columns, types))
}

fn column(row: &tokio_postgres::Row, types: &Types) -> Result<ColumnInfo> {
    let type_oid: Oid = get(row, 1)?;
    let info = types.get(type_oid)?;
    let (_, modifier) = types.base(type_oid, get(row, 2)?)?;
    let (not_null, domain_not_null): (bool, bool) = (get(row, 3)?, get(row, 8)?);
    let (generated, identity): (&str, &str) = (get(row, 4)?, get(row, 5)?);
    Ok(ColumnInfo {
        name: get(row, 0)?,
        type_oid,
        engine_type: String::new(),
        modifier,
        nullable: !(not_null || domain_not_null),
        domain: matches!(info.kind, Kind::Domain(..)).then(|| info.display.clone()),
        expression: get(row, 6)?,
        generated: !generated.is_empty(),
        identity: match identity {
            "a" => Some("always"),
            "d" => Some("by default"),
            _ => None,
        },
        collation: get(row, 7)?,
    })
}

/// The server's own spelling of each type with its modifier, in one query.
async fn name_types(session: &Session, cx: &Context, columns: &mut [ColumnInfo], types: &Types) -> Result<()> {
    let bases: Result<Vec<Oid>> = columns.iter().map(|c| Ok(types.base(c.type_oid, c.modifier)?.0.oid)).collect();
    let modifiers: Vec<i32> = columns.iter().map(|column| column.modifier).collect();
    let sql = "SELECT format_type(t, m) FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS x(t, m, n) ORDER BY n";
    let rows = session.query(cx, "name the types", sql, &[&bases?, &modifiers]).await?;
    for (column, row) in columns.iter_mut().zip(&rows) {
        column.engine_type = get(row, 0)?;
    }
    Ok(())
}

/// Names of the key columns: the primary key, or else the best unique index that holds for every
/// row at every moment. Columns that cannot be NULL are preferred, then few columns.
pub(crate) async fn key(session: &Session, cx: &Context, relation: &Relation) -> Result<Vec<String>> {
    let sql = "SELECT k.names FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid CROSS JOIN LATERAL ( \
                 SELECT array_agg(a.attname::text ORDER BY x.n) AS names, bool_and(a.attnotnull) AS filled \
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS x(attnum, n) \
                   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = x.attnum \
                 WHERE x.n <= i.indnkeyatts) k \
               WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate \
                 AND i.indpred IS NULL AND i.indexprs IS NULL \
               ORDER BY i.indisprimary DESC, k.filled DESC, i.indnkeyatts, c.relname LIMIT 1";
    let rows = session.query(cx, "find the key", sql, &[&relation.oid]).await?;
    rows.first().map_or_else(|| Ok(Vec::new()), |row| get(row, 0))
}

/// What values of a type mean to any other engine.
pub(crate) fn logical(types: &Types, oid: Oid, modifier: i32) -> LogicalType {
    let Ok((info, modifier)) = types.base(oid, modifier) else { return LogicalType::Other("unknown".to_owned()) };
    match &info.kind {
        Kind::Enum | Kind::Range(_) | Kind::Multirange(_) => LogicalType::Text,
        Kind::Array(element) if !types.as_text(oid) => match logical(types, *element, modifier) {
            LogicalType::Other(_) => LogicalType::Other(info.display.clone()),
            element => LogicalType::List(Box::new(element)),
        },
        Kind::Composite(_) | Kind::Array(_) | Kind::Domain(..) => LogicalType::Other(info.display.clone()),
        Kind::Base if info.schema == "pg_catalog" => built_in(info, modifier),
        Kind::Base if matches!(info.name.as_str(), "citext" | "ltree" | "hstore") => LogicalType::Text,
        Kind::Base => LogicalType::Other(info.display.clone()),
    }
}

fn built_in(info: &TypeInfo, modifier: i32) -> LogicalType {
    let unit = TimeUnit::Micro;
    match info.name.as_str() {
        "bool" => LogicalType::Bool,
        "int2" => LogicalType::Int { bits: 16, signed: true },
        "int4" => LogicalType::Int { bits: 32, signed: true },
        "int8" => LogicalType::Int { bits: 64, signed: true },
        "oid" | "xid" | "cid" => LogicalType::Int { bits: 32, signed: false },
        "float4" => LogicalType::Float { bits: 32 },
        "float8" => LogicalType::Float { bits: 64 },
        "numeric" => numeric(modifier),
        "text" | "varchar" | "bpchar" | "name" | "char" | "xml" | "inet" | "cidr" | "macaddr" | "macaddr8" | "bit"
        | "varbit" | "pg_lsn" | "timetz" | "tsvector" | "tsquery" | "jsonpath" => LogicalType::Text,
        "bytea" => LogicalType::Bytes,
        "uuid" => LogicalType::Uuid,
        "date" => LogicalType::Date,
        "time" => LogicalType::Time { unit },
        "timestamp" => LogicalType::Timestamp { unit, zoned: false },
        "timestamptz" => LogicalType::Timestamp { unit, zoned: true },
        "interval" => LogicalType::Interval,
        "json" | "jsonb" => LogicalType::Json,
        _ => LogicalType::Other(info.display.clone()),
    }
}

/// Precision and scale are packed into the modifier: 16 bits each after an offset of 4, the scale
/// with 11 bits and a sign since PostgreSQL 15 (source: `numeric.c`, `numeric_typmod_scale`).
fn numeric(modifier: i32) -> LogicalType {
    const PRECISION_MAX: i32 = 76;
    let packed = modifier - 4;
    if modifier < 4 {
        return LogicalType::DecimalAny;
    }
    let precision = (packed >> 16) & 0xFFFF;
    let scale = ((packed & 0x7FF) ^ 1024) - 1024;
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision), Ok(scale))
            if i32::from(precision) <= PRECISION_MAX && scale >= 0 && scale.unsigned_abs() <= precision =>
        {
            LogicalType::Decimal { precision, scale }
        }
        _ => LogicalType::DecimalAny,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn packed(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7FF)) + 4
    }

    #[rstest]
    #[case(-1, LogicalType::DecimalAny)]
    #[case(packed(18, 8), LogicalType::Decimal { precision: 18, scale: 8 })]
    #[case(packed(76, 0), LogicalType::Decimal { precision: 76, scale: 0 })]
    #[case(packed(77, 0), LogicalType::DecimalAny)]
    #[case(packed(5, -2), LogicalType::DecimalAny)]
    #[case(packed(2, 5), LogicalType::DecimalAny)]
    fn numeric_modifiers_are_unpacked(#[case] modifier: i32, #[case] expected: LogicalType) {
        assert_eq!(numeric(modifier), expected);
    }
}
