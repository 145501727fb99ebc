//! One Arrow value as people read it, whatever its physical type.

use crate::shown;
use crate::{Error, FailureKind, Result};
use arrow_array::cast::AsArray as _;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_schema::{DataType, IntervalUnit, TimeUnit as ArrowUnit};
use paritas_model::{TimeUnit, Value};

/// Values nested deeper than this are not shown.
const NESTING_MAX: usize = 64;

/// The value at `row`: integers as numbers where JSON keeps them, decimals with all their digits,
/// times in ISO 8601 (instants in UTC), bytes as `\x…`, nested values as compact JSON text.
///
/// # Errors
/// `data.unreadable` for a row that does not exist and for types that cannot be shown (unions).
pub fn show_arrow(array: &dyn Array, row: usize) -> Result<Value> {
    show(array, row, 0)
}

fn show(array: &dyn Array, row: usize, depth: usize) -> Result<Value> {
    if row >= array.len() || depth > NESTING_MAX {
        return Err(unreadable(array, if depth > NESTING_MAX { "It is nested too deeply." } else { "No such row." }));
    }
    if is_null(array, row) {
        return Ok(Value::Null);
    }
    let shown = number(array, row).or_else(|| temporal(array, row)).or_else(|| text_or_bytes(array, row));
    match shown {
        Some(value) => Ok(value),
        None => indirect(array, row, depth)?.map_or_else(|| nested(array, row, depth), Ok),
    }
}

/// Arrow's null arrays have no validity bits and so call none of their values null.
fn is_null(array: &dyn Array, row: usize) -> bool {
    array.is_null(row) || *array.data_type() == DataType::Null
}

fn unreadable(array: &dyn Array, why: &str) -> Error {
    let what = format!("a value of type {} cannot be shown", array.data_type());
    Error::new(FailureKind::Permanent, "data.unreadable", what).detail(why)
}

fn at<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Option<T::Native> {
    array.as_primitive_opt::<T>().map(|values| values.value(row))
}

fn number(array: &dyn Array, row: usize) -> Option<Value> {
    fn int<T: ArrowPrimitiveType<Native: Into<i128>>>(array: &dyn Array, row: usize) -> Option<Value> {
        at::<T>(array, row).map(|value| Value::integer(value.into()))
    }
    fn decimal<T: DecimalType>(array: &dyn Array, row: usize, precision: u8, scale: i8) -> Option<Value> {
        at::<T>(array, row).map(|value| Value::Text(T::format_decimal(value, precision, scale)))
    }
    match *array.data_type() {
        DataType::Boolean => array.as_boolean_opt().map(|values| Value::Bool(values.value(row))),
        DataType::Int8 => int::<Int8Type>(array, row),
        DataType::Int16 => int::<Int16Type>(array, row),
        DataType::Int32 => int::<Int32Type>(array, row),
        DataType::Int64 => int::<Int64Type>(array, row),
        DataType::UInt8 => int::<UInt8Type>(array, row),
        DataType::UInt16 => int::<UInt16Type>(array, row),
        DataType::UInt32 => int::<UInt32Type>(array, row),
        DataType::UInt64 => int::<UInt64Type>(array, row),
        DataType::Float16 => at::<Float16Type>(array, row).map(|value| shown::float32(value.into())),
        DataType::Float32 => at::<Float32Type>(array, row).map(shown::float32),
        DataType::Float64 => at::<Float64Type>(array, row).map(shown::float),
        DataType::Decimal32(precision, scale) => decimal::<Decimal32Type>(array, row, precision, scale),
        DataType::Decimal64(precision, scale) => decimal::<Decimal64Type>(array, row, precision, scale),
        DataType::Decimal128(precision, scale) => decimal::<Decimal128Type>(array, row, precision, scale),
        DataType::Decimal256(precision, scale) => decimal::<Decimal256Type>(array, row, precision, scale),
        _ => None,
    }
}

/// A number of seconds or parts of them, whatever type carries it.
fn ticks(array: &dyn Array, row: usize) -> Option<i64> {
    use ArrowUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match array.data_type() {
        DataType::Time32(Second) => at::<Time32SecondType>(array, row).map(i64::from),
        DataType::Time32(_) => at::<Time32MillisecondType>(array, row).map(i64::from),
        DataType::Time64(Microsecond) => at::<Time64MicrosecondType>(array, row),
        DataType::Time64(_) => at::<Time64NanosecondType>(array, row),
        DataType::Timestamp(Second, _) => at::<TimestampSecondType>(array, row),
        DataType::Timestamp(Millisecond, _) => at::<TimestampMillisecondType>(array, row),
        DataType::Timestamp(Microsecond, _) => at::<TimestampMicrosecondType>(array, row),
        DataType::Timestamp(Nanosecond, _) => at::<TimestampNanosecondType>(array, row),
        DataType::Duration(Second) => at::<DurationSecondType>(array, row),
        DataType::Duration(Millisecond) => at::<DurationMillisecondType>(array, row),
        DataType::Duration(Microsecond) => at::<DurationMicrosecondType>(array, row),
        DataType::Duration(Nanosecond) => at::<DurationNanosecondType>(array, row),
        _ => None,
    }
}

fn temporal(array: &dyn Array, row: usize) -> Option<Value> {
    match array.data_type() {
        DataType::Date32 => at::<Date32Type>(array, row).map(|days| shown::date(days.into())),
        // Milliseconds; a time part is legal in the format and shown.
        DataType::Date64 => at::<Date64Type>(array, row).map(|value| match value.rem_euclid(86_400_000) {
            0 => shown::date(value.div_euclid(86_400_000)),
            _ => shown::timestamp(value.into(), TimeUnit::Milli, false),
        }),
        DataType::Time32(unit) | DataType::Time64(unit) => ticks(array, row).map(|t| shown::time(t, model_unit(*unit))),
        DataType::Duration(unit) => ticks(array, row).map(|t| shown::duration(t, model_unit(*unit))),
        DataType::Timestamp(unit, zone) => {
            ticks(array, row).map(|t| shown::timestamp(t.into(), model_unit(*unit), zone.is_some()))
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            at::<IntervalYearMonthType>(array, row).map(|months| shown::interval(months, 0, 0))
        }
        DataType::Interval(IntervalUnit::DayTime) => at::<IntervalDayTimeType>(array, row)
            .map(|value| shown::interval(0, value.days, i64::from(value.milliseconds) * 1_000_000)),
        DataType::Interval(IntervalUnit::MonthDayNano) => at::<IntervalMonthDayNanoType>(array, row)
            .map(|value| shown::interval(value.months, value.days, value.nanoseconds)),
        _ => None,
    }
}

pub(crate) fn model_unit(unit: ArrowUnit) -> TimeUnit {
    match unit {
        ArrowUnit::Second => TimeUnit::Second,
        ArrowUnit::Millisecond => TimeUnit::Milli,
        ArrowUnit::Microsecond => TimeUnit::Micro,
        ArrowUnit::Nanosecond => TimeUnit::Nano,
    }
}

fn text_or_bytes(array: &dyn Array, row: usize) -> Option<Value> {
    match array.data_type() {
        DataType::Utf8 => array.as_string_opt::<i32>().map(|values| values.value(row).into()),
        DataType::LargeUtf8 => array.as_string_opt::<i64>().map(|values| values.value(row).into()),
        DataType::Utf8View => array.as_string_view_opt().map(|values| values.value(row).into()),
        DataType::Binary => array.as_binary_opt::<i32>().map(|values| Value::bytes(values.value(row))),
        DataType::LargeBinary => array.as_binary_opt::<i64>().map(|values| Value::bytes(values.value(row))),
        DataType::BinaryView => array.as_binary_view_opt().map(|values| Value::bytes(values.value(row))),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary_opt().map(|values| Value::bytes(values.value(row))),
        _ => None,
    }
}

/// Values that stand elsewhere: in a dictionary or a run.
fn indirect(array: &dyn Array, row: usize, depth: usize) -> Result<Option<Value>> {
    fn run<R: RunEndIndexType>(array: &dyn Array, row: usize) -> Option<(ArrayRef, usize)> {
        let run = array.as_run_opt::<R>()?;
        Some((run.values().clone(), run.get_physical_index(row)))
    }
    let target = match array.data_type() {
        DataType::Dictionary(..) => array.as_any_dictionary_opt().and_then(|dictionary| {
            let Value::Int(key) = number(dictionary.keys(), row)? else { return None };
            Some((dictionary.values().clone(), usize::try_from(key).ok()?))
        }),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => run::<Int16Type>(array, row),
            DataType::Int32 => run::<Int32Type>(array, row),
            _ => run::<Int64Type>(array, row),
        },
        _ => None,
    };
    target.map(|(values, index)| show(&values, index, depth + 1)).transpose()
}

fn nested(array: &dyn Array, row: usize, depth: usize) -> Result<Value> {
    let mut json = String::new();
    write_json(array, row, depth, &mut json)?;
    Ok(Value::Text(json))
}

/// Appends the value as JSON. Written by hand so that field order and repeated names of a map stay
/// as they are.
fn write_json(array: &dyn Array, row: usize, depth: usize, json: &mut String) -> Result<()> {
    if row >= array.len() || depth > NESTING_MAX {
        return Err(unreadable(array, "It is nested too deeply."));
    }
    if is_null(array, row) {
        json.push_str("null");
        return Ok(());
    }
    if let Some(values) = list_items(array, row) {
        return write_joined(json, ['[', ']'], values.len(), |i, json| write_json(&values, i, depth + 1, json));
    }
    if let Some(fields) = array.as_struct_opt() {
        let named: Vec<_> = fields.column_names().into_iter().zip(fields.columns()).collect();
        return write_joined(json, ['{', '}'], named.len(), |i, json| match named.get(i) {
            Some((name, column)) => {
                json.push_str(&quoted(name));
                json.push(':');
                write_json(column, row, depth + 1, json)
            }
            None => Ok(()),
        });
    }
    if let Some(map) = array.as_map_opt() {
        let entries = map.value(row);
        let [keys, values] = entries.columns() else { return Err(unreadable(array, "It has no keys and values.")) };
        return write_joined(json, ['{', '}'], entries.len(), |i, json| {
            json.push_str(&quoted(&show(keys, i, depth + 1)?.to_string()));
            json.push(':');
            write_json(values, i, depth + 1, json)
        });
    }
    if matches!(array.data_type(), DataType::Union(..)) {
        return Err(unreadable(array, "Unions are not supported."));
    }
    // Nested values behind a dictionary or run come back as JSON text of their own: shown as text.
    let value = show_leaf(array, row, depth)?;
    json.push_str(&serde_json::to_string(&value).map_err(|error| unreadable(array, "").because(error))?);
    Ok(())
}

fn show_leaf(array: &dyn Array, row: usize, depth: usize) -> Result<Value> {
    let leaf = number(array, row).or_else(|| temporal(array, row)).or_else(|| text_or_bytes(array, row));
    match leaf {
        Some(value) => Ok(value),
        None => indirect(array, row, depth)?.ok_or_else(|| unreadable(array, "Its type is not supported.")),
    }
}

fn list_items(array: &dyn Array, row: usize) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::List(_) => array.as_list_opt::<i32>().map(|list| list.value(row)),
        DataType::LargeList(_) => array.as_list_opt::<i64>().map(|list| list.value(row)),
        DataType::ListView(_) => array.as_list_view_opt::<i32>().map(|list| list.value(row)),
        DataType::LargeListView(_) => array.as_list_view_opt::<i64>().map(|list| list.value(row)),
        DataType::FixedSizeList(..) => array.as_fixed_size_list_opt().map(|list| list.value(row)),
        _ => None,
    }
}

fn write_joined(
    json: &mut String,
    [open, close]: [char; 2],
    count: usize,
    mut write: impl FnMut(usize, &mut String) -> Result<()>,
) -> Result<()> {
    json.push(open);
    for i in 0..count {
        if i > 0 {
            json.push(',');
        }
        write(i, json)?;
    }
    json.push(close);
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow_array::builder::{Int32Builder, MapBuilder, StringBuilder};
    use arrow_array::*;
    use arrow_buffer::{IntervalMonthDayNano, NullBuffer, OffsetBuffer, i256};
    use arrow_schema::{Field, Fields};
    use rstest::rstest;
    use std::sync::Arc;

    fn decimal() -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![-1050]).with_precision_and_scale(18, 2).unwrap())
    }

    fn structs() -> ArrayRef {
        let fields = Fields::from(vec![
            Field::new("a\"b", DataType::Int64, true),
            Field::new("d", DataType::Decimal128(18, 2), true),
        ]);
        let nulls = NullBuffer::from(vec![true]);
        Arc::new(StructArray::new(
            fields,
            vec![Arc::new(Int64Array::from(vec![Some(1 << 60)])), decimal()],
            Some(nulls),
        ))
    }

    fn list(values: ArrayRef) -> ArrayRef {
        let field = Arc::new(Field::new("item", values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        Arc::new(ListArray::new(field, offsets, values, None))
    }

    fn map() -> ArrayRef {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
        for (key, value) in [("x", Some(1)), ("x", None)] {
            builder.keys().append_value(key);
            builder.values().append_option(value);
        }
        builder.append(true).unwrap();
        Arc::new(builder.finish())
    }

    fn interval() -> ArrayRef {
        Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 3_000_000_000)]))
    }

    #[rstest]
    #[case(Arc::new(Int8Array::from(vec![-8])), "-8")]
    #[case(Arc::new(UInt64Array::from(vec![u64::MAX])), "18446744073709551615")]
    #[case(Arc::new(BooleanArray::from(vec![true])), "true")]
    #[case(Arc::new(Float32Array::from(vec![0.1])), "0.1")]
    #[case(decimal(), "-10.50")]
    #[case(Arc::new(Decimal128Array::from(vec![12]).with_precision_and_scale(5, -2).unwrap()), "1200")]
    #[case(Arc::new(Decimal256Array::from(vec![i256::from_i128(1)]).with_precision_and_scale(50, 3).unwrap()), "0.001")]
    #[case(Arc::new(Date32Array::from(vec![20_778])), "2026-11-21")]
    #[case(Arc::new(Date64Array::from(vec![86_400_000])), "1970-01-02")]
    #[case(Arc::new(Date64Array::from(vec![86_400_001])), "1970-01-02T00:00:00.001")]
    #[case(Arc::new(Time32MillisecondArray::from(vec![1_001])), "00:00:01.001")]
    #[case(Arc::new(TimestampMicrosecondArray::from(vec![-1])), "1969-12-31T23:59:59.999999")]
    #[case(Arc::new(TimestampNanosecondArray::from(vec![1]).with_timezone("+02:00")), "1970-01-01T00:00:00.000000001Z")]
    #[case(Arc::new(DurationSecondArray::from(vec![-5])), "PT-5S")]
    #[case(interval(), "P1M2DT3S")]
    #[case(Arc::new(StringViewArray::from(vec!["a view of more than twelve bytes"])), "a view of more than twelve bytes")]
    #[case(Arc::new(BinaryArray::from(vec![&[0_u8, 255][..]])), r"\x00ff")]
    #[case(Arc::new(NullArray::new(1)), "NULL")]
    #[case(list(Arc::new(Int32Array::from(vec![Some(1), None]))), "[1,null]")]
    #[case(list(list(Arc::new(StringArray::from(vec!["é\"\n"])))), r#"[["é\"\n"]]"#)]
    #[case(structs(), r#"{"a\"b":"1152921504606846976","d":"-10.50"}"#)]
    #[case(map(), r#"{"x":1,"x":null}"#)]
    fn every_type_is_shown(#[case] array: ArrayRef, #[case] text: &str) {
        assert_eq!(show_arrow(&array, 0).unwrap().to_string(), text);
    }

    #[test]
    fn values_behind_dictionaries_and_runs_are_found() {
        let dictionary: DictionaryArray<Int8Type> = vec![Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        let texts: Vec<_> = (0..4).map(|row| show_arrow(&dictionary, row).unwrap().to_string()).collect();
        assert_eq!(texts, ["a", "NULL", "b", "a"]);

        let run = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3]), &Int64Array::from(vec![Some(7), None]))
            .unwrap();
        let texts: Vec<_> = (0..3).map(|row| show_arrow(&run, row).unwrap().to_string()).collect();
        assert_eq!(texts, ["7", "7", "NULL"]);
        assert_eq!(show_arrow(&list(Arc::new(dictionary)), 0).unwrap().to_string(), r#"["a",null,"b","a"]"#);
    }

    #[test]
    fn what_cannot_be_shown_is_an_error() {
        assert_eq!(show_arrow(&Int8Array::from(vec![1]), 1).unwrap_err().code(), "data.unreadable");
        let mut deep: ArrayRef = Arc::new(Int8Array::from(vec![1]));
        for _ in 0..=NESTING_MAX {
            deep = list(deep);
        }
        assert_eq!(show_arrow(&deep, 0).unwrap_err().code(), "data.unreadable");
    }
}
