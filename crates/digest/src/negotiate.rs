//! Finding a logical canon in which two schemas meet.

use crate::{Canon, CanonColumn, CanonKind, DecimalPolicy, Policies, Slot, ZonePolicy};
use paritas_model::{Column, Field, LogicalType, Schema, TimeUnit};
use std::collections::BTreeMap;

/// A pair of columns whose types cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatible {
    /// The column's name on the source.
    pub column: String,
    /// Its type on the source.
    pub source: String,
    /// Its type on the replica.
    pub replica: String,
    /// Why they do not meet.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// Why two types do not meet, and what to do.
type Apart = (&'static str, &'static str);

/// Deepest nesting of lists, structs and maps.
const NESTING_MAX: usize = 32;

const CAST: &str = "cast one side in a view, or leave the column out";
const SAME_ENGINE: &str = "compare two stores of the same engine, or cast the column in a view";
const ZONES: &str = "if the local times are UTC, declare it with --policy zone=assume-utc";
const DECLARED: &str = "cast one side in a view, declaring which type is meant";

impl Canon {
    /// The logical canon for pairs of (source, replica) columns. `key` are source names; empty means
    /// that the whole row is the key.
    ///
    /// # Errors
    /// Every pair that cannot be compared, and key columns that are not among the pairs.
    pub fn logical(
        source: &Schema,
        replica: &Schema,
        pairs: &[(String, String)],
        key: &[String],
        policies: Policies,
    ) -> Result<Self, Vec<Incompatible>> {
        let mut problems = Vec::new();
        let mut columns = BTreeMap::new();
        for (ours, theirs) in pairs {
            let found = (source.column(ours), replica.column(theirs));
            let (Some(a), Some(b)) = found else {
                problems.push(missing(ours, found));
                continue;
            };
            match meet(&a.logical, &b.logical, &policies, 0).map(|logical| slot_of(&logical, &policies)) {
                Ok(Some(slot)) => {
                    if columns.insert(ours.clone(), slot).is_some() {
                        problems.push(incompatible(a, b, ("the column is paired twice", "name every column once")));
                    }
                }
                Ok(None) => problems.push(incompatible(a, b, ("neither type is known beyond its engine", SAME_ENGINE))),
                Err(apart) => problems.push(incompatible(a, b, apart)),
            }
        }
        let mut ordered = Vec::with_capacity(columns.len());
        for name in key {
            match columns.remove(name) {
                Some(slot) => ordered.push(CanonColumn { name: name.clone(), slot }),
                None if problems.iter().any(|problem| problem.column == *name) => {}
                None => problems.push(missing_key(name)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        // A BTreeMap is sorted by the bytes of its names.
        ordered.extend(columns.into_iter().map(|(name, slot)| CanonColumn { name, slot }));
        Ok(Self { kind: CanonKind::Logical, columns: ordered, key_columns: key.len(), policies })
    }
}

fn incompatible(source: &Column, replica: &Column, (why, hint): Apart) -> Incompatible {
    Incompatible {
        column: source.name.clone(),
        source: source.engine_type.clone(),
        replica: replica.engine_type.clone(),
        why: why.to_owned(),
        hint: hint.to_owned(),
    }
}

fn missing(name: &str, (source, replica): (Option<&Column>, Option<&Column>)) -> Incompatible {
    let shown = |column: Option<&Column>| column.map_or_else(|| "no column".to_owned(), |c| c.engine_type.clone());
    Incompatible {
        column: name.to_owned(),
        source: shown(source),
        replica: shown(replica),
        why: "the column is missing on one side".to_owned(),
        hint: "leave the column out, or name its counterpart with ?rename=".to_owned(),
    }
}

fn missing_key(name: &str) -> Incompatible {
    Incompatible {
        column: name.to_owned(),
        source: "key column".to_owned(),
        replica: "no column".to_owned(),
        why: "the key column is not among the compared columns, or named twice".to_owned(),
        hint: "choose a key made of compared columns".to_owned(),
    }
}

/// The type in which two types meet without loss.
fn meet(a: &LogicalType, b: &LogicalType, policies: &Policies, depth: usize) -> Result<LogicalType, Apart> {
    use LogicalType as L;
    if depth > NESTING_MAX {
        return Err(("the types are nested too deeply", CAST));
    }
    match (a, b) {
        (L::Other(_), _) | (_, L::Other(_)) => Err(("only its own engine understands this type", SAME_ENGINE)),
        (L::Untyped | L::Null, L::Untyped | L::Null) => Ok(L::Text),
        (L::Untyped | L::Null, other) | (other, L::Untyped | L::Null) => meet(other, other, policies, depth),
        (L::Int { .. } | L::Decimal { .. } | L::DecimalAny, L::Int { .. } | L::Decimal { .. } | L::DecimalAny) => {
            Ok(meet_numbers(a, b, policies))
        }
        (L::Float { bits: x }, L::Float { bits: y }) => Ok(L::Float { bits: *x.max(y) }),
        (L::Float { .. }, L::Int { .. } | L::Decimal { .. } | L::DecimalAny)
        | (L::Int { .. } | L::Decimal { .. } | L::DecimalAny, L::Float { .. }) => {
            Err(("a binary float cannot hold most decimals exactly", DECLARED))
        }
        (L::Text, L::Uuid) | (L::Uuid, L::Text) => Err(("a UUID has more than one spelling as text", DECLARED)),
        (L::Text, L::Json) | (L::Json, L::Text) => {
            Err(("a JSON document has more than one spelling as text", DECLARED))
        }
        (L::FixedBytes { length: 16 }, L::Uuid) | (L::Uuid, L::FixedBytes { length: 16 }) => Ok(L::Uuid),
        (L::Bytes | L::FixedBytes { .. }, L::Bytes | L::FixedBytes { .. }) => Ok(L::Bytes),
        (L::Time { unit: x }, L::Time { unit: y }) => Ok(L::Time { unit: finer(*x, *y) }),
        (L::Duration { unit: x }, L::Duration { unit: y }) => Ok(L::Duration { unit: finer(*x, *y) }),
        (L::Timestamp { unit: x, zoned: p }, L::Timestamp { unit: y, zoned: q }) => {
            if p != q && policies.zone == ZonePolicy::Strict {
                return Err(("one is an instant, the other a local time", ZONES));
            }
            Ok(L::Timestamp { unit: finer(*x, *y), zoned: *p || *q })
        }
        (L::Date, L::Timestamp { .. }) | (L::Timestamp { .. }, L::Date) => {
            Err(("a date has no time of day, a timestamp has", DECLARED))
        }
        (L::List(x), L::List(y)) => Ok(L::List(Box::new(meet(x, y, policies, depth + 1)?))),
        (L::Map(k, v), L::Map(l, w)) => {
            let (key, value) = (meet(k, l, policies, depth + 1)?, meet(v, w, policies, depth + 1)?);
            Ok(L::Map(Box::new(key), Box::new(value)))
        }
        (L::Struct(x), L::Struct(y)) => meet_structs(x, y, policies, depth),
        (a, b) if a == b => Ok(a.clone()),
        _ => Err(("the types mean different things", CAST)),
    }
}

fn meet_structs(a: &[Field], b: &[Field], policies: &Policies, depth: usize) -> Result<LogicalType, Apart> {
    let mut fields = Vec::with_capacity(a.len());
    for field in a {
        let other = b.iter().find(|other| other.name == field.name);
        let other = other.ok_or(("the structs have different fields", CAST))?;
        let logical = meet(&field.logical, &other.logical, policies, depth + 1)?;
        fields.push(Field { name: field.name.clone(), logical });
    }
    fields.sort_by(|x, y| x.name.cmp(&y.name));
    let twice = fields.windows(2).any(|pair| matches!(pair, [x, y] if x.name == y.name));
    if twice || a.len() != b.len() {
        return Err(("the structs have different fields", CAST));
    }
    Ok(LogicalType::Struct(fields))
}

/// Integers meet in integers, everything else in decimals.
fn meet_numbers(a: &LogicalType, b: &LogicalType, policies: &Policies) -> LogicalType {
    use LogicalType as L;
    if let (L::Int { bits: x, signed: p }, L::Int { bits: y, signed: q }) = (a, b) {
        let wide = (*x == 64 && !p) || (*y == 64 && !q);
        return L::Int { bits: 64, signed: !wide };
    }
    let (Some((p, s)), Some((q, t))) = (digits(a), digits(b)) else {
        // A scale for each value only means something where both sides have one.
        let both = matches!((a, b), (L::DecimalAny, L::DecimalAny));
        return if both && policies.decimal == DecimalPolicy::Exact { L::DecimalAny } else { by_value() };
    };
    let scale = s.max(t);
    let precision = (p + i32::from(scale) - i32::from(s)).max(q + i32::from(scale) - i32::from(t));
    match u8::try_from(precision) {
        Ok(precision @ ..=76) => L::Decimal { precision, scale },
        _ => by_value(),
    }
}

/// Precision and scale of an integer or decimal type that has them.
fn digits(logical: &LogicalType) -> Option<(i32, i8)> {
    match logical {
        LogicalType::Int { bits: ..=8, .. } => Some((3, 0)),
        LogicalType::Int { bits: ..=16, .. } => Some((5, 0)),
        LogicalType::Int { bits: ..=32, .. } => Some((10, 0)),
        LogicalType::Int { signed: true, .. } => Some((19, 0)),
        LogicalType::Int { signed: false, .. } => Some((20, 0)),
        LogicalType::Decimal { precision, scale } => Some((i32::from(*precision), *scale)),
        _ => None,
    }
}

/// Stands for decimals of any size compared by value: a decimal type that no store has.
fn by_value() -> LogicalType {
    LogicalType::Decimal { precision: 0, scale: 0 }
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    a.max(b)
}

/// The slot of values of one type; `None` for types without a meaning beyond their engine.
pub(crate) fn slot_of(logical: &LogicalType, policies: &Policies) -> Option<Slot> {
    use LogicalType as L;
    Some(match logical {
        L::Bool => Slot::Bool,
        L::Int { bits: 64, signed: false } => Slot::BigInt,
        L::Int { .. } => Slot::Int,
        L::Float { bits: ..=32 } => Slot::Float32,
        L::Float { .. } => Slot::Float,
        L::Decimal { precision: 0, .. } => Slot::DecimalAny,
        L::Decimal { precision: ..=38, scale } => Slot::Decimal { scale: *scale },
        L::Decimal { precision: ..=76, scale } => Slot::WideDecimal { scale: *scale },
        L::Decimal { .. } => Slot::DecimalAny,
        L::DecimalAny if policies.decimal == DecimalPolicy::Exact => Slot::DecimalExact,
        L::DecimalAny => Slot::DecimalAny,
        L::Null | L::Text | L::Untyped => Slot::Text,
        L::Bytes | L::FixedBytes { .. } => Slot::Bytes,
        L::Uuid => Slot::Uuid,
        L::Date => Slot::Date,
        L::Time { unit } => Slot::Time(*unit),
        L::Timestamp { unit, zoned } => Slot::Timestamp { unit: *unit, zoned: *zoned },
        L::Duration { unit } => Slot::Duration(*unit),
        L::Interval => Slot::Interval,
        L::Json => Slot::Json,
        L::List(_) | L::Struct(_) | L::Map(..) => Slot::Nested(logical.clone()),
        L::Other(_) => return None,
    })
}
