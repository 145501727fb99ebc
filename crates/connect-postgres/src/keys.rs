//! From canonical keys back to parameters: binary values in the wire canon, texts in the logical.

use crate::bytes::Reader;
use crate::errors::malformed;
use crate::plan::Plan;
use arrow_buffer::i256;
use paritas_connect::{Error, Result, shown};
use paritas_digest::{Canon, KeyForm, Slot};
use paritas_model::{TimeUnit, Value};

/// The parameters of one key's columns, `None` for NULL.
pub(crate) type KeyValues = Vec<Option<Vec<u8>>>;

/// Marks in front of the parts of a logical key that delimits itself.
const PRESENT: u8 = 0x01;
const NULL: u8 = 0xFF;

/// Takes a canonical key apart. `None` when no row of this server can have such a key.
pub(crate) fn parameters(plan: &Plan, key: &[u8]) -> Result<Option<KeyValues>> {
    if !plan.is_logical() {
        return wire(plan, key).map(Some);
    }
    let parts = logical_parts(&plan.canon, key)?;
    let mut values = Vec::with_capacity(parts.len());
    for (part, column) in parts.into_iter().zip(plan.canon.key()) {
        match part.map(|part| text(&column.slot, part)).transpose()? {
            Some(None) => return Ok(None),
            Some(Some(text)) => values.push(Some(text.into_bytes())),
            None => values.push(None),
        }
    }
    Ok(Some(values))
}

fn wire(plan: &Plan, key: &[u8]) -> Result<KeyValues> {
    let mut reader = Reader::new(key);
    let mut values = Vec::with_capacity(plan.canon.key_columns);
    let inline = is_inline(&plan.canon);
    for (column, canonical) in plan.key().iter().zip(plan.canon.key()) {
        let value = match (&canonical.slot, inline) {
            (Slot::Wire { fixed_width: Some(width), .. }, true) => Some(reader.take(*width as usize)?),
            (_, true) => return Err(malformed("a key that is not inline")),
            (_, false) => reader.field()?,
        };
        let restored = value.map(|value| {
            let mut restored = Vec::new();
            column.rewrite.restore(value, &mut restored).map(|()| restored)
        });
        values.push(restored.transpose()?);
    }
    reader.end()?;
    Ok(values)
}

fn is_inline(canon: &Canon) -> bool {
    matches!(canon.key_form(), KeyForm::Inline8 | KeyForm::Inline16)
}

/// The columns of a logical key: slots side by side, or parts that delimit themselves (also where
/// a key that could be inline holds a NULL).
fn logical_parts<'a>(canon: &Canon, key: &'a [u8]) -> Result<Vec<Option<&'a [u8]>>> {
    let widths: Vec<usize> =
        canon.key().iter().filter_map(|column| column.slot.fixed_width()).map(|w| w as usize).collect();
    let bools = canon.key().iter().all(|column| column.slot == Slot::Bool);
    let marked = bools && key.contains(&NULL);
    let mut reader = Reader::new(key);
    let mut parts = Vec::with_capacity(canon.key_columns);
    if is_inline(canon) && key.len() == widths.iter().sum::<usize>() && !marked {
        for width in widths {
            parts.push(Some(reader.take(width)?));
        }
        return Ok(parts);
    }
    for _ in canon.key() {
        match reader.u8()? {
            NULL => parts.push(None),
            PRESENT => {
                let length = u64::from_le_bytes(array(reader.take(8)?)?);
                let length = usize::try_from(length).map_err(|_| malformed("a key above the address space"))?;
                parts.push(Some(reader.take(length)?));
            }
            _ => return Err(malformed("a key in an unknown form")),
        }
    }
    reader.end()?;
    Ok(parts)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| malformed("a key part of another length"))
}

/// The value in the server's input syntax; `None` where the server has no such value.
fn text(slot: &Slot, bytes: &[u8]) -> Result<Option<String>> {
    let int = || array(bytes).map(i64::from_le_bytes);
    Ok(match slot {
        Slot::Bool => Some(if bytes.first() == Some(&0) { "false" } else { "true" }.to_owned()),
        Slot::Int => Some(int()?.to_string()),
        Slot::BigInt => i64::try_from(i128::from_le_bytes(array(bytes)?)).ok().map(|number| number.to_string()),
        Slot::Decimal { scale } => Some(decimal(&i128::from_le_bytes(array(bytes)?).to_string(), *scale)),
        Slot::WideDecimal { scale } => Some(decimal(&i256::from_le_bytes(array(bytes)?).to_string(), *scale)),
        Slot::Float => Some(float(f64::from_bits(u64::from_le_bytes(array(bytes)?)))),
        Slot::Float32 => Some(float(f32::from_bits(u32::from_le_bytes(array(bytes)?)).into())),
        // The server refuses zero bytes inside text, so it cannot hold any.
        Slot::Text | Slot::DecimalAny | Slot::DecimalExact => {
            std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).map(ToOwned::to_owned)
        }
        Slot::Bytes => Some(Value::bytes(bytes).to_string()),
        Slot::Uuid => Some(shown::uuid(bytes).to_string()),
        Slot::Date => years(&shown::date(int()?)),
        Slot::Time(unit) => {
            whole_micros(int()?.into(), *unit).then(|| int().map(|t| shown::time(t, *unit).to_string())).transpose()?
        }
        Slot::Timestamp { unit, zoned } => {
            let value = if *unit == TimeUnit::Nano { i128::from_le_bytes(array(bytes)?) } else { int()?.into() };
            if whole_micros(value, *unit) { years(&shown::timestamp(value, *unit, *zoned)) } else { None }
        }
        Slot::Duration(_) | Slot::Interval | Slot::Json | Slot::Nested(_) | Slot::Wire { .. } => {
            return Err(Error::unsupported("looking rows up by a key of this type"));
        }
    })
}

/// The server has years from 4713 before to 294276 after; what lies before year 1 would need
/// another spelling, and no key is expected there.
fn years(shown: &Value) -> Option<String> {
    let text = shown.to_string();
    let year: i64 = text.split('-').next().and_then(|year| year.parse().ok())?;
    (1..=294_000).contains(&year).then_some(text)
}

/// The server keeps microseconds.
fn whole_micros(value: i128, unit: TimeUnit) -> bool {
    unit != TimeUnit::Nano || value % 1_000 == 0
}

/// Places the point in an unscaled number.
fn decimal(unscaled: &str, scale: i8) -> String {
    format!("{unscaled}e{}", -i16::from(scale))
}

fn float(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ => format!("{value:e}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Slot::Int, &(-5_i64).to_le_bytes(), Some("-5"))]
    #[case(Slot::BigInt, &i128::MAX.to_le_bytes(), None)]
    #[case(Slot::Decimal { scale: 2 }, &(-150_i128).to_le_bytes(), Some("-150e-2"))]
    #[case(Slot::Float, &0.1_f64.to_bits().to_le_bytes(), Some("1e-1"))]
    #[case(Slot::Text, b"a\0b", None)]
    #[case(Slot::Text, b"a'b", Some("a'b"))]
    #[case(Slot::Bytes, &[0, 255], Some("\\x00ff"))]
    #[case(Slot::Date, &0_i64.to_le_bytes(), Some("1970-01-01"))]
    #[case(Slot::Date, &(-800_000_i64).to_le_bytes(), None)]
    #[case(Slot::Timestamp { unit: TimeUnit::Nano, zoned: true }, &1_500_i128.to_le_bytes(), None)]
    #[case(Slot::Timestamp { unit: TimeUnit::Nano, zoned: true }, &5_000_i128.to_le_bytes(), Some("1970-01-01T00:00:00.000005Z"))]
    fn logical_values_have_a_text(#[case] slot: Slot, #[case] bytes: &[u8], #[case] expected: Option<&str>) {
        assert_eq!(text(&slot, bytes).unwrap().as_deref(), expected);
    }
}
