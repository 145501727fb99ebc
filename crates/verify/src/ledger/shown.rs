//! Canonical keys of groups, as people read them.

use crate::naming::show_key;
use paritas_connect::shown;
use paritas_digest::{Canon, KeyForm, Slot};
use paritas_model::{TimeUnit, Value};

/// Marks in front of the parts of a key that delimits itself.
const PRESENT: u8 = 0x01;
const NULL: u8 = 0xFF;

/// The columns of a group with their values. What has no plain text form is shown in hexadecimal.
pub(super) fn group(canon: &Canon, key: &[u8]) -> Vec<(String, Value)> {
    let inline = matches!(canon.key_form(), KeyForm::Inline8 | KeyForm::Inline16);
    let width: usize = canon.key().iter().filter_map(|column| column.slot.fixed_width()).map(|w| w as usize).sum();
    // A key of truth values alone is as long in either form, and only one of them has a mark for NULL.
    let delimited = canon.key().iter().all(|column| column.slot == Slot::Bool) && key.contains(&NULL);
    if inline && key.len() == width && !delimited {
        return show_key(canon, key);
    }
    parts(canon, key).unwrap_or_else(|| vec![("key".to_owned(), Value::bytes(key))])
}

fn parts(canon: &Canon, key: &[u8]) -> Option<Vec<(String, Value)>> {
    let mut rest = key;
    let mut pairs = Vec::new();
    for column in canon.key() {
        let (mark, after) = rest.split_first()?;
        rest = after;
        let value = match *mark {
            NULL => Value::Null,
            // A value that its column's type cannot hold has another mark and the same form.
            _ => {
                let (length, after) = rest.split_first_chunk::<8>()?;
                let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
                let (bytes, after) = after.split_at_checked(length)?;
                rest = after;
                if *mark == PRESENT { show(&column.slot, bytes) } else { lossy(bytes) }
            }
        };
        pairs.push((column.name.clone(), value));
    }
    rest.is_empty().then_some(pairs)
}

fn lossy(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| Value::bytes(bytes), Value::from)
}

fn show(slot: &Slot, bytes: &[u8]) -> Value {
    known(slot, bytes).unwrap_or_else(|| Value::bytes(bytes))
}

fn known(slot: &Slot, bytes: &[u8]) -> Option<Value> {
    let int = || bytes.try_into().ok().map(i64::from_le_bytes);
    let long = || bytes.try_into().ok().map(i128::from_le_bytes);
    Some(match slot {
        Slot::Bool => Value::Bool(*bytes.first()? != 0),
        Slot::Int => Value::integer(int()?.into()),
        Slot::BigInt => Value::integer(long()?),
        Slot::Decimal { scale } | Slot::WideDecimal { scale } => {
            let decimal = paritas_ledger::Decimal::from_le_bytes(bytes, (*scale).into());
            Value::Text(decimal.to_string())
        }
        Slot::Text | Slot::DecimalAny | Slot::DecimalExact => Value::from(std::str::from_utf8(bytes).ok()?),
        Slot::Uuid if bytes.len() == 16 => shown::uuid(bytes),
        Slot::Date => shown::date(int()?),
        Slot::Time(unit) => shown::time(int()?, *unit),
        Slot::Timestamp { unit: TimeUnit::Nano, zoned } => shown::timestamp(long()?, TimeUnit::Nano, *zoned),
        Slot::Timestamp { unit, zoned } => shown::timestamp(int()?.into(), *unit, *zoned),
        Slot::Duration(unit) => shown::duration(int()?, *unit),
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow_array::*;
    use paritas_digest::{CanonColumn, CanonKind, Encoder, Policies};
    use std::sync::Arc;

    fn canon(slots: &[(&str, Slot)]) -> Canon {
        let columns: Vec<CanonColumn> =
            slots.iter().map(|(name, slot)| CanonColumn { name: (*name).to_owned(), slot: slot.clone() }).collect();
        Canon { kind: CanonKind::Logical, key_columns: columns.len(), columns, policies: Policies::default() }
    }

    fn shown_rows(canon: &Canon, arrays: Vec<(&str, ArrayRef)>) -> Vec<String> {
        let batch = RecordBatch::try_from_iter(arrays).unwrap();
        let encoder = Encoder::new(canon, &batch.schema()).unwrap();
        let line = |row| {
            let pairs = group(canon, &encoder.key(&batch, row).unwrap());
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        (0..batch.num_rows()).map(line).collect()
    }

    #[test]
    fn keys_are_shown_as_they_were_written() {
        let canon = canon(&[
            ("account", Slot::Int),
            ("currency", Slot::Text),
            ("rate", Slot::Decimal { scale: 2 }),
            ("day", Slot::Date),
        ]);
        let accounts = Int64Array::from(vec![Some(7), None]);
        let currencies = StringArray::from(vec![Some("EUR"), Some("")]);
        let rates = Decimal128Array::from(vec![Some(-1050), None]).with_precision_and_scale(10, 2).unwrap();
        let days = Date32Array::from(vec![Some(20_778), Some(0)]);
        let arrays: Vec<(&str, ArrayRef)> = vec![
            ("account", Arc::new(accounts)),
            ("currency", Arc::new(currencies)),
            ("rate", Arc::new(rates)),
            ("day", Arc::new(days)),
        ];
        assert_eq!(
            shown_rows(&canon, arrays),
            ["account=7 currency=EUR rate=-10.50 day=2026-11-21", "account=NULL currency= rate=NULL day=1970-01-01"]
        );
    }

    #[test]
    fn inline_keys_and_those_with_a_null_are_both_shown() {
        let numbers: Vec<(&str, ArrayRef)> = vec![("id", Arc::new(Int64Array::from(vec![Some(-5), None])))];
        assert_eq!(shown_rows(&canon(&[("id", Slot::Int)]), numbers), ["id=-5", "id=NULL"]);
        let flags: Vec<(&str, ArrayRef)> =
            vec![("a", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])))];
        assert_eq!(shown_rows(&canon(&[("a", Slot::Bool)]), flags), ["a=true", "a=NULL", "a=false"]);
    }
}
