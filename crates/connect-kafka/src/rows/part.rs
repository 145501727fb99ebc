//! Keys and values on their way into columns.

use super::avro::{Builder, Rows, Schema};
use super::field::Field;
use super::json::{self, Kind, Members};
use super::misfit::Misfit;
use super::shape::Part;
use super::typed::TypedColumn;
use arrow_array::ArrayRef;
use arrow_array::builder::BinaryBuilder;
use paritas_digest::{Policies, Slot};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was collected of one column: its values, and those beyond its slot by their row.
pub(super) type Collected = (ArrayRef, BTreeMap<usize, String>);

/// No id was seen yet.
const NO_ID: u64 = u64::MAX;

/// The zero byte and the number of a schema that serialisers of schema registries put before a value.
#[derive(Debug, Clone)]
pub(super) struct Prefix {
    /// The one id of the whole scan: given, or that of the first record.
    id: Arc<AtomicU64>,
}

impl Prefix {
    pub(super) fn new(id: Option<u32>) -> Self {
        Self { id: Arc::new(AtomicU64::new(id.map_or(NO_ID, u64::from))) }
    }

    /// The id, once it is known.
    pub(super) fn id(&self) -> Option<u64> {
        Some(self.id.load(Ordering::Relaxed)).filter(|id| *id != NO_ID)
    }

    /// Takes over the id that earlier records had, where none is known yet.
    pub(super) fn expect(&self, id: u64) {
        let _ = self.id.compare_exchange(NO_ID, id, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What follows the prefix.
    ///
    /// # Errors
    /// Why there is none, or that it is of another schema.
    pub(super) fn strip<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], Misfit> {
        let Some((prefix, rest)) = bytes.split_first_chunk::<5>() else {
            return Err(Misfit::layout("it is too short for the id of a schema"));
        };
        let [0, id @ ..] = *prefix else {
            let why = format!("it begins with {}, and not with a zero byte and the id of a schema", prefix[0]);
            return Err(Misfit::Layout(why));
        };
        let id = u64::from(u32::from_be_bytes(id));
        let before = self.id.compare_exchange(NO_ID, id, Ordering::Relaxed, Ordering::Relaxed).unwrap_or_else(|id| id);
        if before == NO_ID || before == id {
            return Ok(rest);
        }
        let why = format!("it is of schema {id}, and others are of schema {before}: one schema is read at a time");
        Err(Misfit::Layout(why))
    }
}

/// Collects the columns that come from a key or from a value.
#[derive(Debug)]
pub(super) struct PartReader {
    kind: Kinds,
    prefix: Option<Prefix>,
}

#[derive(Debug)]
enum Kinds {
    Nothing,
    Raw(BinaryBuilder),
    Json { members: Members, inside: Vec<String>, scalar: bool, columns: Vec<(usize, String, TypedColumn)> },
    Text(TypedColumn),
    Integer(TypedColumn),
    Avro { rows: Rows, columns: Vec<Builder> },
}

impl PartReader {
    /// Columns of a part: `wanted` are the places of its columns with the slots they are compared in, in the order in
    /// which they come out. Nothing where a column cannot be read in its slot; its name is in the error.
    pub(super) fn new(
        part: &Part,
        wanted: &[(usize, Slot)],
        policies: Policies,
        prefix: Option<Prefix>,
    ) -> Result<Self, String> {
        let typed =
            |field: &Field, slot: &Slot| TypedColumn::new(field, slot, policies).ok_or_else(|| field.name.clone());
        let kind = match (part, wanted) {
            (Part::Nothing, _) => Kinds::Nothing,
            (Part::Raw, []) => Kinds::Nothing,
            (Part::Raw, _) => Kinds::Raw(BinaryBuilder::new()),
            (Part::Text(_) | Part::Integer(_), []) => Kinds::Nothing,
            (Part::Text(field), [(_, slot), ..]) => Kinds::Text(typed(field, slot)?),
            (Part::Integer(field), [(_, slot), ..]) => Kinds::Integer(typed(field, slot)?),
            (Part::Json { fields, members, inside, scalar }, wanted) => {
                let mut columns = Vec::with_capacity(wanted.len());
                for (index, slot) in wanted {
                    if let Some(field) = fields.get(*index) {
                        columns.push((*index, field.name.clone(), typed(field, slot)?));
                    }
                }
                Kinds::Json { members: members.clone(), inside: inside.clone(), scalar: *scalar, columns }
            }
            (Part::Avro { schema, scalar }, wanted) => avro(schema, scalar, wanted),
        };
        Ok(Self { kind, prefix })
    }

    /// Appends the values of a key or value as row `row`; where it is absent all of them are NULL.
    ///
    /// # Errors
    /// Why it does not fit.
    pub(super) fn push(&mut self, row: usize, bytes: Option<&[u8]>) -> Result<(), Misfit> {
        let Some(bytes) = bytes else {
            self.null();
            return Ok(());
        };
        let bytes = match &self.prefix {
            Some(prefix) => prefix.strip(bytes)?,
            None => bytes,
        };
        match &mut self.kind {
            Kinds::Nothing => Ok(()),
            Kinds::Raw(b) => {
                b.append_value(bytes);
                Ok(())
            }
            Kinds::Json { members, inside, scalar, columns } => {
                push_object(row, text(bytes)?, members, inside, *scalar, columns)
            }
            Kinds::Text(column) => Ok(column.push(row, text(bytes)?)?),
            Kinds::Integer(column) => Ok(column.push(row, &integer(bytes)?.to_string())?),
            // Bytes do not say whether they are broken or of another schema.
            Kinds::Avro { rows, columns } => rows.read(bytes, columns).map_err(Misfit::Layout),
        }
    }

    fn null(&mut self) {
        match &mut self.kind {
            Kinds::Nothing => {}
            Kinds::Raw(b) => b.append_null(),
            Kinds::Json { columns, .. } => columns.iter_mut().for_each(|(_, _, column)| column.null()),
            Kinds::Text(column) | Kinds::Integer(column) => column.null(),
            Kinds::Avro { columns, .. } => columns.iter_mut().for_each(Builder::null),
        }
    }

    /// All columns in their order; they are empty afterwards.
    pub(super) fn finish(&mut self) -> Vec<Collected> {
        match &mut self.kind {
            Kinds::Nothing => Vec::new(),
            Kinds::Raw(b) => vec![(Arc::new(b.finish()), BTreeMap::new())],
            Kinds::Json { columns, .. } => columns.iter_mut().map(|(_, _, column)| column.finish()).collect(),
            Kinds::Text(column) | Kinds::Integer(column) => vec![column.finish()],
            Kinds::Avro { columns, .. } => {
                columns.iter_mut().map(|column| (column.finish(), BTreeMap::new())).collect()
            }
        }
    }
}

/// Whether a value says that its key is gone: there is none, or JSON says `null` in its place.
///
/// # Errors
/// Why nobody can tell.
pub(super) fn deletes(part: &Part, prefix: Option<&Prefix>, value: Option<&[u8]>) -> Result<bool, Misfit> {
    let (Some(bytes), Part::Json { inside, .. }) = (value, part) else { return Ok(value.is_none()) };
    let bytes = match prefix {
        Some(prefix) => prefix.strip(bytes)?,
        None => bytes,
    };
    let trimmed = text(bytes)?.trim_matches(WHITE);
    if json::kind(trimmed) == Kind::Null {
        return Ok(trimmed == "null");
    }
    if inside.is_empty() {
        return Ok(false);
    }
    json::descend(trimmed, inside).map(|inner| inner.is_none())
}

/// White space of JSON.
const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Big-endian, in the width of its serialiser.
fn integer(bytes: &[u8]) -> Result<i64, String> {
    if let Ok(bytes) = bytes.try_into() {
        return Ok(i64::from_be_bytes(bytes));
    }
    let narrow: Result<[u8; 4], _> = bytes.try_into();
    match narrow {
        Ok(bytes) => Ok(i32::from_be_bytes(bytes).into()),
        Err(_) => Err(format!("it has {} bytes, and integers have 4 or 8", bytes.len())),
    }
}

fn avro(schema: &Arc<Schema>, scalar: &str, wanted: &[(usize, Slot)]) -> Kinds {
    let columns = wanted.iter().map(|(index, _)| Builder::new(schema, schema.field(*index))).collect();
    let names = schema.columns(scalar);
    let place = |name: &str| {
        let index = names.iter().position(|column| column.name == name)?;
        wanted.iter().position(|(wanted, _)| *wanted == index)
    };
    Kinds::Avro { rows: Rows::new(Arc::clone(schema), place, scalar), columns }
}

fn push_object(
    row: usize,
    text: &str,
    members: &Members,
    inside: &[String],
    scalar: bool,
    columns: &mut [(usize, String, TypedColumn)],
) -> Result<(), Misfit> {
    let text = match inside {
        [] => text,
        path => json::descend(text, path)?.ok_or_else(|| Misfit::layout("it is null where the row should be"))?,
    };
    let text = text.trim_matches(WHITE);
    let mut found: Vec<Option<&RawValue>> = Vec::new();
    let single;
    if scalar && json::kind(text) != Kind::Nested {
        single = Some(serde_json::from_str::<&RawValue>(text).map_err(|error| error.to_string())?);
        found.push(single);
    } else {
        members.read(text, &mut found)?;
    }
    for (index, name, column) in columns {
        let raw = found.get(*index).copied().flatten().map(RawValue::get);
        column.push_json(row, raw).map_err(|why| format!("column {name:?}: {why}"))?;
    }
    Ok(())
}
