//! Nested Avro values as JSON text.

use super::column::{unscaled, uuid_bytes};
use super::schema::{Schema, Type, TypeId};
use super::wire::{Reader, check_depth};
use arrow_array::types::{Decimal256Type, DecimalType as _};
use paritas_connect::shown;
use paritas_model::{TimeUnit, Value};
use std::fmt::Write as _;

/// Bytes of one JSON text, at most.
const JSON_BYTES_MAX: usize = 64 << 20;

/// A JSON text that is being written.
pub(super) struct Json {
    text: String,
}

/// The chosen symbol of an enum.
pub(super) fn symbol<'s>(symbols: &'s [String], reader: &mut Reader<'_>) -> Result<&'s str, String> {
    let chosen = reader.choice(symbols.len())?;
    Ok(symbols.get(chosen).map(String::as_str).unwrap_or_default())
}

impl Json {
    /// A value as JSON: records and maps as objects, lists as lists, numbers in full, everything else as it is shown
    /// to people. Fields are in the order of the schema, entries of a map in their own.
    ///
    /// # Errors
    /// Why the bytes are no value of that type.
    pub(super) fn of(schema: &Schema, id: TypeId, reader: &mut Reader<'_>) -> Result<String, String> {
        let mut json = Self { text: String::new() };
        json.value(schema, id, reader, 0)?;
        Ok(json.text)
    }

    fn put(&mut self, text: &str) -> Result<(), String> {
        if self.text.len() + text.len() > JSON_BYTES_MAX {
            return Err(format!("it is longer than {JSON_BYTES_MAX} bytes as JSON"));
        }
        self.text.push_str(text);
        Ok(())
    }

    fn quoted(&mut self, text: &str) -> Result<(), String> {
        let quoted = serde_json::to_string(text).map_err(|error| error.to_string())?;
        self.put(&quoted)
    }

    fn number(&mut self, number: impl std::fmt::Display) -> Result<(), String> {
        let mut text = String::new();
        write!(text, "{number}").map_err(|error| error.to_string())?;
        self.put(&text)
    }

    fn shown(&mut self, value: &Value) -> Result<(), String> {
        self.quoted(&value.to_string())
    }

    fn value(&mut self, schema: &Schema, id: TypeId, reader: &mut Reader<'_>, depth: usize) -> Result<(), String> {
        check_depth(depth)?;
        match schema.get(id) {
            Type::Null => self.put("null"),
            Type::Boolean => {
                let value = reader.boolean()?;
                self.put(if value { "true" } else { "false" })
            }
            Type::Int => self.number(reader.int()?),
            Type::Long => self.number(reader.long()?),
            Type::Float => self.float(f64::from(reader.float()?), true),
            Type::Double => self.float(reader.double()?, false),
            Type::Bytes => self.shown(&Value::bytes(reader.bytes()?)),
            Type::Fixed(size) => self.shown(&Value::bytes(reader.take(*size)?)),
            Type::String => self.quoted(reader.text()?),
            Type::Enum(symbols) => self.quoted(symbol(symbols, reader)?),
            Type::Decimal { size, precision, scale } => {
                let value = unscaled(*size, *precision, reader)?;
                self.put(&Decimal256Type::format_decimal(value, *precision, *scale))
            }
            Type::Uuid { fixed } => self.shown(&shown::uuid(&uuid_bytes(*fixed, reader)?)),
            Type::Date => self.shown(&shown::date(reader.int()?.into())),
            Type::Time(TimeUnit::Milli) => self.shown(&shown::time(reader.int()?.into(), TimeUnit::Milli)),
            Type::Time(unit) => self.shown(&shown::time(reader.long()?, *unit)),
            Type::Timestamp { unit, zoned } => self.shown(&shown::timestamp(reader.long()?.into(), *unit, *zoned)),
            Type::Duration => {
                let [months, days, millis] = reader.duration()?;
                self.quoted(&format!("P{months}M{days}DT{}.{:03}S", millis / 1_000, millis % 1_000))
            }
            Type::Union(branches) => {
                let chosen = reader.choice(branches.len())?;
                branches.get(chosen).map_or(Ok(()), |branch| self.value(schema, *branch, reader, depth + 1))
            }
            Type::Record(fields) => self.record(schema, fields, reader, depth),
            Type::Array(item) => self.items(schema, *item, false, reader, depth),
            Type::Map(item) => self.items(schema, *item, true, reader, depth),
        }
    }

    /// The shortest text of a float of its width; what is no number is a text.
    fn float(&mut self, value: f64, narrow: bool) -> Result<(), String> {
        match value {
            _ if !value.is_finite() => self.shown(&shown::float(value)),
            _ if narrow => self.number(value as f32),
            _ => self.number(value),
        }
    }

    fn record(
        &mut self,
        schema: &Schema,
        fields: &[(String, TypeId)],
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), String> {
        let mut before = "{";
        for (name, id) in fields {
            self.put(before)?;
            self.quoted(name)?;
            self.put(":")?;
            self.value(schema, *id, reader, depth + 1)?;
            before = ",";
        }
        self.put(if fields.is_empty() { "{}" } else { "}" })
    }

    fn items(
        &mut self,
        schema: &Schema,
        item: TypeId,
        named: bool,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), String> {
        self.put(if named { "{" } else { "[" })?;
        let mut first = true;
        while let Some(items) = reader.items(!named && schema.is_empty(item))? {
            for _ in 0..items.count {
                if !std::mem::take(&mut first) {
                    self.put(",")?;
                }
                if named {
                    self.quoted(reader.text()?)?;
                    self.put(":")?;
                }
                self.value(schema, item, reader, depth + 1)?;
            }
        }
        self.put(if named { "}" } else { "]" })
    }
}
