//! From mismatching rows to differences that people read.

use crate::matching::Mismatch;
use paritas_connect::{FetchedField, FetchedRow};
use paritas_digest::{Canon, CanonKind, Found, FoundKey, Slot};
use paritas_model::{Class, Difference, Proof, TimeUnit, Value};

/// The difference for a mismatch. For a change, only differing columns are shown; for a lost or
/// extra row, all of them.
pub(crate) fn difference(canon: &Canon, mismatch: &Mismatch, proof: Proof) -> Difference {
    let names = || canon.columns.iter().map(|column| column.name.as_str());
    let row = mismatch.source.as_ref().or(mismatch.replica.as_ref());
    let key = row.map(|row| named(names().take(canon.key_columns), &row.fields)).unwrap_or_default();
    let differs: Vec<bool> = match (&mismatch.source, &mismatch.replica) {
        (Some(a), Some(b)) => a.fields.iter().zip(&b.fields).map(|(x, y)| x.canonical != y.canonical).collect(),
        _ => vec![true; canon.columns.len()],
    };
    let shown = |row: &Option<FetchedRow>| {
        let all = row.as_ref().map(|row| named(names(), &row.fields)).unwrap_or_default();
        all.into_iter().zip(&differs).filter(|(_, differs)| **differs).map(|(pair, _)| pair).collect()
    };
    let columns = match mismatch.class {
        Class::Changed => names().zip(&differs).filter(|(_, d)| **d).map(|(name, _)| name.to_owned()).collect(),
        Class::Lost | Class::Extra => Vec::new(),
    };
    let place = |row: &Option<FetchedRow>| row.as_ref().and_then(|row| row.place.clone());
    let place = match (place(&mismatch.source), place(&mismatch.replica)) {
        (Some(a), Some(b)) if a != b => Some(format!("{a} / {b}")),
        (a, b) => a.or(b),
    };
    Difference {
        class: mismatch.class,
        proof,
        key,
        copies: mismatch.copies,
        columns,
        source: shown(&mismatch.source),
        replica: shown(&mismatch.replica),
        place,
        note: None,
    }
}

/// The difference for a decoded key whose row could not be shown.
pub(crate) fn unseen(canon: &Canon, found: &Found, proof: Proof, note: &str) -> Difference {
    let key = match &found.key {
        FoundKey::Inline(bytes) => show_key(canon, bytes),
        FoundKey::Fingerprint(fingerprint) => vec![("fingerprint".to_owned(), Value::bytes(fingerprint))],
    };
    Difference {
        class: found.class,
        proof,
        key,
        copies: found.copies,
        columns: Vec::new(),
        source: Vec::new(),
        replica: Vec::new(),
        place: None,
        note: Some(note.to_owned()),
    }
}

fn named<'a>(names: impl Iterator<Item = &'a str>, fields: &[FetchedField]) -> Vec<(String, Value)> {
    names.zip(fields).map(|(name, field)| (name.to_owned(), field.shown.clone())).collect()
}

/// Reads an inline key back into values, without a store. What has no plain text form here is shown
/// in hexadecimal.
pub(crate) fn show_key(canon: &Canon, bytes: &[u8]) -> Vec<(String, Value)> {
    let mut rest = bytes;
    let mut pairs = Vec::new();
    for column in canon.key() {
        let width = column.slot.fixed_width().map_or(rest.len(), |width| width as usize);
        let (value, after) = rest.split_at(width.min(rest.len()));
        rest = after;
        let shown = match canon.kind {
            CanonKind::Wire { .. } => show_wire(&column.slot, value),
            CanonKind::Logical => show_logical(&column.slot, value),
        };
        pairs.push((column.name.clone(), shown.unwrap_or_else(|| Value::bytes(value))));
    }
    pairs
}

fn show_wire(slot: &Slot, bytes: &[u8]) -> Option<Value> {
    let Slot::Wire { type_name, .. } = slot else { return None };
    Some(match type_name.as_str() {
        "smallint" | "int2" => Value::integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        "integer" | "int4" => Value::integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        "bigint" | "int8" => Value::integer(i64::from_be_bytes(bytes.try_into().ok()?).into()),
        "uuid" => uuid(bytes)?,
        _ => return None,
    })
}

fn show_logical(slot: &Slot, bytes: &[u8]) -> Option<Value> {
    let int = || bytes.try_into().ok().map(i64::from_le_bytes);
    Some(match slot {
        Slot::Bool => Value::Bool(*bytes.first()? != 0),
        Slot::Int => Value::integer(int()?.into()),
        Slot::BigInt => Value::integer(i128::from_le_bytes(bytes.try_into().ok()?)),
        Slot::Uuid => uuid(bytes)?,
        Slot::Date => date(int()?)?,
        Slot::Timestamp { unit, zoned } if *unit != TimeUnit::Nano => timestamp(int()?, *unit, *zoned)?,
        _ => return None,
    })
}

fn uuid(bytes: &[u8]) -> Option<Value> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [hex.get(..8)?, hex.get(8..12)?, hex.get(12..16)?, hex.get(16..20)?, hex.get(20..)?];
    Some(Value::Text(parts.join("-")))
}

fn date(days: i64) -> Option<Value> {
    let span = jiff::Span::new().try_days(days).ok()?;
    let day = jiff::civil::date(1970, 1, 1).checked_add(span).ok()?;
    Some(Value::Text(day.to_string()))
}

fn timestamp(value: i64, unit: TimeUnit, zoned: bool) -> Option<Value> {
    let instant = match unit {
        TimeUnit::Second => jiff::Timestamp::from_second(value),
        TimeUnit::Milli => jiff::Timestamp::from_millisecond(value),
        TimeUnit::Micro => jiff::Timestamp::from_microsecond(value),
        TimeUnit::Nano => jiff::Timestamp::from_nanosecond(value.into()),
    };
    let text = instant.ok()?.to_string();
    Some(Value::Text(if zoned { text } else { text.trim_end_matches('Z').to_owned() }))
}
