//! From the server's binary values to canonical ones, and back for use as parameters.
//!
//! What is no data goes: type numbers of one database, the "may have nulls" flag of arrays, which
//! can be stale. What a policy declares equal becomes equal. Source of the forms: the send and
//! receive functions of PostgreSQL (`array_send`, `record_send`, `range_send`, `multirange_send`,
//! `numeric_send`, `jsonb_send`, the geometric types').

use crate::bytes::{Reader, put_field, put_null, set_i32};
use crate::errors::malformed;
use crate::numeric;
use crate::types::{Kind, Types};
use paritas_connect::Result;
use paritas_digest::{DecimalPolicy, FloatPolicy, JsonPolicy, Policies, canonical_json};
use tokio_postgres::types::Oid;

/// Nesting inside types, at most.
const DEPTH_MAX: usize = 32;
/// Array dimensions, at most (`MAXDIM` of the server).
const DIMENSIONS_MAX: i32 = 6;

/// What the values of a type need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rewrite {
    /// They are canonical as they come.
    Keep,
    Array(Oid, Box<Rewrite>),
    Composite(Vec<(Oid, Rewrite)>),
    Range(Box<Rewrite>),
    /// Of ranges with that rewrite.
    Multirange(Box<Rewrite>),
    /// Trailing zeros removed.
    Numeric,
    Float4,
    /// 8-byte floats up to the end, after that many bytes of something else.
    Float8After(usize),
    /// Sorted keys, no white space; after that many bytes of something else.
    JsonAfter(usize),
}

impl Rewrite {
    /// For a type under declared policies.
    pub(crate) fn of(types: &Types, oid: Oid, policies: &Policies) -> Result<Self> {
        Self::within(types, oid, policies, DEPTH_MAX)
    }

    fn within(types: &Types, oid: Oid, policies: &Policies, depth: usize) -> Result<Self> {
        let depth = depth.checked_sub(1).ok_or_else(|| malformed("types that are nested too deeply"))?;
        let part = |oid: Oid| Self::within(types, oid, policies, depth);
        let info = types.get(oid)?;
        Ok(match &info.kind {
            Kind::Enum => Self::Keep,
            Kind::Domain(base, _) => part(*base)?,
            Kind::Array(element) => Self::Array(*element, Box::new(part(*element)?)),
            Kind::Composite(fields) => {
                Self::Composite(fields.iter().map(|(_, oid)| Ok((*oid, part(*oid)?))).collect::<Result<_>>()?)
            }
            Kind::Range(of) => match part(*of)? {
                Self::Keep => Self::Keep,
                inner => Self::Range(Box::new(inner)),
            },
            Kind::Multirange(of) => match part(*of)? {
                Self::Keep => Self::Keep,
                inner => Self::Multirange(Box::new(inner)),
            },
            Kind::Base if info.schema != "pg_catalog" => Self::Keep,
            Kind::Base => Self::built_in(&info.name, policies),
        })
    }

    fn built_in(name: &str, policies: &Policies) -> Self {
        let floats = policies.float == FloatPolicy::Canonical;
        let json = policies.json == JsonPolicy::Canonical;
        match name {
            "numeric" if policies.decimal == DecimalPolicy::Value => Self::Numeric,
            "float4" if floats => Self::Float4,
            "float8" | "point" | "lseg" | "box" | "line" | "circle" if floats => Self::Float8After(0),
            // A flag for open or closed, and the number of points.
            "path" if floats => Self::Float8After(5),
            "polygon" if floats => Self::Float8After(4),
            "json" if json => Self::JsonAfter(0),
            // The version of the form.
            "jsonb" if json => Self::JsonAfter(1),
            _ => Self::Keep,
        }
    }

    /// Appends the canonical form of a value.
    pub(crate) fn canonical(&self, value: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Numeric => numeric::strip(value, out),
            Self::Float4 => float4(value, out),
            Self::Float8After(skip) => float8s(value, *skip, out),
            Self::JsonAfter(skip) => {
                let mut reader = Reader::new(value);
                out.extend_from_slice(reader.take(*skip)?);
                canonical_json(reader.rest(), out)
                    .map_err(|why| malformed("a JSON document that cannot be read").detail(why))
            }
            nested => nested.walk(value, out, false),
        }
    }

    /// Appends the form that the server accepts for a canonical value.
    pub(crate) fn restore(&self, value: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Array(..) | Self::Composite(_) | Self::Range(_) | Self::Multirange(_) => self.walk(value, out, true),
            _ => {
                out.extend_from_slice(value);
                Ok(())
            }
        }
    }

    /// Copies a nested value and changes its parts, in either direction.
    fn walk(&self, value: &[u8], out: &mut Vec<u8>, restore: bool) -> Result<()> {
        let mut reader = Reader::new(value);
        match self {
            Self::Array(oid, element) => {
                walk_array(&mut reader, out, if restore { *oid } else { 0 }, element, restore)?;
            }
            Self::Composite(fields) => walk_composite(&mut reader, out, fields, restore)?,
            Self::Range(of) => walk_range(&mut reader, out, of, restore)?,
            Self::Multirange(of) => {
                let count = reader.i32()?;
                out.extend_from_slice(&count.to_be_bytes());
                for _ in 0..count {
                    let range = reader.field()?.ok_or_else(|| malformed("a NULL inside a multirange"))?;
                    put_field(out, |out| of.either(range, out, restore))?;
                }
            }
            _ => {
                out.extend_from_slice(value);
                return Ok(());
            }
        }
        reader.end()
    }

    fn either(&self, value: &[u8], out: &mut Vec<u8>, restore: bool) -> Result<()> {
        if restore { self.restore(value, out) } else { self.canonical(value, out) }
    }

    fn field(&self, field: Option<&[u8]>, out: &mut Vec<u8>, restore: bool) -> Result<()> {
        match field {
            Some(value) => put_field(out, |out| self.either(value, out, restore)),
            None => {
                put_null(out);
                Ok(())
            }
        }
    }
}

/// Dimensions, flag, element type; size and lower bound of each dimension; elements.
fn walk_array(reader: &mut Reader<'_>, out: &mut Vec<u8>, oid: Oid, element: &Rewrite, restore: bool) -> Result<()> {
    let dimensions = reader.i32()?;
    let _flag = reader.i32()?;
    let _type = reader.u32()?;
    if !(0..=DIMENSIONS_MAX).contains(&dimensions) {
        return Err(malformed("an array with too many dimensions"));
    }
    out.extend_from_slice(&dimensions.to_be_bytes());
    let flag_at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&oid.to_be_bytes());
    for _ in 0..dimensions {
        out.extend_from_slice(reader.take(8)?);
    }
    let mut nulls = false;
    while !reader.rest().is_empty() {
        let field = reader.field()?;
        nulls |= field.is_none();
        element.field(field, out, restore)?;
    }
    set_i32(out, flag_at, i32::from(nulls));
    Ok(())
}

/// Number of fields; type and content of each.
fn walk_composite(reader: &mut Reader<'_>, out: &mut Vec<u8>, fields: &[(Oid, Rewrite)], restore: bool) -> Result<()> {
    let count = reader.i32()?;
    if usize::try_from(count).ok() != Some(fields.len()) {
        return Err(malformed("a composite value with another number of fields than its type"));
    }
    out.extend_from_slice(&count.to_be_bytes());
    for (oid, rewrite) in fields {
        let _type = reader.u32()?;
        out.extend_from_slice(&if restore { *oid } else { 0 }.to_be_bytes());
        rewrite.field(reader.field()?, out, restore)?;
    }
    Ok(())
}

/// Flags; then the bounds that exist.
fn walk_range(reader: &mut Reader<'_>, out: &mut Vec<u8>, of: &Rewrite, restore: bool) -> Result<()> {
    out.push(reader.u8()?);
    while !reader.rest().is_empty() {
        of.field(reader.field()?, out, restore)?;
    }
    Ok(())
}

fn float4(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut reader = Reader::new(value);
    let number = f32::from_bits(reader.u32()?);
    let number = if number.is_nan() { f32::NAN } else { number + 0.0 };
    out.extend_from_slice(&number.to_bits().to_be_bytes());
    reader.end()
}

fn float8s(value: &[u8], skip: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut reader = Reader::new(value);
    out.extend_from_slice(reader.take(skip)?);
    while !reader.rest().is_empty() {
        let number = f64::from_bits(reader.u64()?);
        // Adding 0.0 turns -0.0 into 0.0 and changes nothing else.
        let number = if number.is_nan() { f64::NAN } else { number + 0.0 };
        out.extend_from_slice(&number.to_bits().to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
