//! Avro values as Arrow columns.

use super::schema::{Schema, Type, TypeId};
use super::shown::{self, Json};
use super::wire::Reader;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Decimal128Builder, Decimal256Builder, FixedSizeBinaryBuilder, PrimitiveBuilder,
    StringViewBuilder,
};
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, IntervalMonthDayNanoType, Time32MillisecondType,
    Time64MicrosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{ArrayRef, NullArray};
use arrow_buffer::{IntervalMonthDayNano, i256};
use arrow_schema::DataType;
use paritas_connect::text::uuid;
use paritas_model::TimeUnit;
use std::sync::Arc;

/// How the bytes of a record become columns.
#[derive(Debug, Clone)]
pub(in super::super) struct Rows {
    schema: Arc<Schema>,
    /// Every field with its type, and the column that it is for.
    fields: Vec<(String, TypeId, Option<usize>)>,
}

impl Rows {
    /// Of the values of a schema: fields of a record by the name, or the value itself where it is no record. `column`
    /// says which column a field is for, if any.
    pub(in super::super) fn new(schema: Arc<Schema>, column: impl Fn(&str) -> Option<usize>, scalar: &str) -> Self {
        let of = |name: &str, id| (name.to_owned(), id, column(name));
        let fields = match schema.fields() {
            Some(fields) => fields.iter().map(|(name, id)| of(name, *id)).collect(),
            None => vec![of(scalar, schema.root())],
        };
        Self { schema, fields }
    }

    /// Appends the values of a record to their columns.
    ///
    /// # Errors
    /// Why the bytes are no value of the schema; columns have different lengths then.
    pub(in super::super) fn read(&self, bytes: &[u8], columns: &mut [Builder]) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        for (name, id, column) in &self.fields {
            let read = match column.and_then(|column| columns.get_mut(column)) {
                Some(column) => column.read(&self.schema, *id, &mut reader),
                None => reader.skip(&self.schema, *id, 0),
            };
            read.map_err(|why| format!("field {name:?}: {why}"))?;
        }
        reader.end()
    }
}

/// Collects the values of one column.
#[derive(Debug)]
pub(in super::super) enum Builder {
    Null(usize),
    Bool(BooleanBuilder),
    Int(PrimitiveBuilder<Int32Type>),
    Long(PrimitiveBuilder<Int64Type>),
    Float(PrimitiveBuilder<Float32Type>),
    Double(PrimitiveBuilder<Float64Type>),
    Text(StringViewBuilder),
    Bytes(BinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Decimal(Decimal128Builder),
    Wide(Decimal256Builder),
    Date(PrimitiveBuilder<Date32Type>),
    TimeMillis(PrimitiveBuilder<Time32MillisecondType>),
    TimeMicros(PrimitiveBuilder<Time64MicrosecondType>),
    Millis(PrimitiveBuilder<TimestampMillisecondType>),
    Micros(PrimitiveBuilder<TimestampMicrosecondType>),
    Nanos(PrimitiveBuilder<TimestampNanosecondType>),
    Interval(PrimitiveBuilder<IntervalMonthDayNanoType>),
    Json(StringViewBuilder),
}

impl Builder {
    /// A column for values of a type.
    pub(in super::super) fn new(schema: &Schema, id: TypeId) -> Self {
        let zone = |zoned: bool| zoned.then(|| Arc::from("UTC"));
        match schema.get(schema.nullable(id).0) {
            Type::Null => Self::Null(0),
            Type::Boolean => Self::Bool(BooleanBuilder::new()),
            Type::Int => Self::Int(PrimitiveBuilder::new()),
            Type::Long => Self::Long(PrimitiveBuilder::new()),
            Type::Float => Self::Float(PrimitiveBuilder::new()),
            Type::Double => Self::Double(PrimitiveBuilder::new()),
            Type::Bytes | Type::Fixed(_) => Self::Bytes(BinaryBuilder::new()),
            Type::String | Type::Enum(_) => Self::Text(StringViewBuilder::new()),
            Type::Uuid { .. } => Self::Uuid(FixedSizeBinaryBuilder::new(16)),
            Type::Decimal { precision: precision @ ..=38, scale, .. } => {
                Self::Decimal(Decimal128Builder::new().with_data_type(DataType::Decimal128(*precision, *scale)))
            }
            Type::Decimal { precision, scale, .. } => {
                Self::Wide(Decimal256Builder::new().with_data_type(DataType::Decimal256(*precision, *scale)))
            }
            Type::Date => Self::Date(PrimitiveBuilder::new()),
            Type::Time(TimeUnit::Milli) => Self::TimeMillis(PrimitiveBuilder::new()),
            Type::Time(_) => Self::TimeMicros(PrimitiveBuilder::new()),
            Type::Timestamp { unit: TimeUnit::Milli, zoned } => {
                Self::Millis(PrimitiveBuilder::new().with_timezone_opt(zone(*zoned)))
            }
            Type::Timestamp { unit: TimeUnit::Nano, zoned } => {
                Self::Nanos(PrimitiveBuilder::new().with_timezone_opt(zone(*zoned)))
            }
            Type::Timestamp { zoned, .. } => Self::Micros(PrimitiveBuilder::new().with_timezone_opt(zone(*zoned))),
            Type::Duration => Self::Interval(PrimitiveBuilder::new()),
            Type::Union(branches) if branches.iter().all(|branch| *schema.get(*branch) == Type::Null) => Self::Null(0),
            Type::Array(_) | Type::Map(_) | Type::Union(_) | Type::Record(_) => Self::Json(StringViewBuilder::new()),
        }
    }

    /// Appends NULL.
    pub(in super::super) fn null(&mut self) {
        match self {
            Self::Null(count) => *count += 1,
            Self::Bool(b) => b.append_null(),
            Self::Int(b) => b.append_null(),
            Self::Long(b) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Double(b) => b.append_null(),
            Self::Text(b) | Self::Json(b) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
            Self::Uuid(b) => b.append_null(),
            Self::Decimal(b) => b.append_null(),
            Self::Wide(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::TimeMillis(b) => b.append_null(),
            Self::TimeMicros(b) => b.append_null(),
            Self::Millis(b) => b.append_null(),
            Self::Micros(b) => b.append_null(),
            Self::Nanos(b) => b.append_null(),
            Self::Interval(b) => b.append_null(),
        }
    }

    /// The values so far as an array; the column is empty afterwards.
    pub(in super::super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Null(count) => Arc::new(NullArray::new(std::mem::take(count))),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Long(b) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Double(b) => Arc::new(b.finish()),
            Self::Text(b) | Self::Json(b) => Arc::new(b.finish()),
            Self::Bytes(b) => Arc::new(b.finish()),
            Self::Uuid(b) => Arc::new(b.finish()),
            Self::Decimal(b) => Arc::new(b.finish()),
            Self::Wide(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::TimeMillis(b) => Arc::new(b.finish()),
            Self::TimeMicros(b) => Arc::new(b.finish()),
            Self::Millis(b) => Arc::new(b.finish()),
            Self::Micros(b) => Arc::new(b.finish()),
            Self::Nanos(b) => Arc::new(b.finish()),
            Self::Interval(b) => Arc::new(b.finish()),
        }
    }

    /// Appends a value that may be null in a union of both.
    fn read(&mut self, schema: &Schema, id: TypeId, reader: &mut Reader<'_>) -> Result<(), String> {
        // A union of several types is one value of JSON, whose null is no value.
        if let (Self::Json(_) | Self::Null(_), Type::Union(branches)) = (&*self, schema.get(id)) {
            let chosen = reader.choice(branches.len())?;
            let branch = branches.get(chosen).copied().unwrap_or_default();
            return match schema.get(branch) {
                Type::Null => {
                    self.null();
                    Ok(())
                }
                _ => self.value(schema, branch, reader),
            };
        }
        let Type::Union(branches) = schema.get(id) else { return self.value(schema, id, reader) };
        let chosen = reader.choice(branches.len())?;
        match branches.get(chosen) {
            Some(branch) if *schema.get(*branch) != Type::Null => self.value(schema, *branch, reader),
            _ => {
                self.null();
                Ok(())
            }
        }
    }

    fn value(&mut self, schema: &Schema, id: TypeId, reader: &mut Reader<'_>) -> Result<(), String> {
        match (&mut *self, schema.get(id)) {
            (Self::Json(b), _) => b.append_value(Json::of(schema, id, reader)?),
            (Self::Null(count), _) => *count += 1,
            (Self::Bool(b), _) => b.append_value(reader.boolean()?),
            (Self::Int(b), _) => b.append_value(reader.int()?),
            (Self::Long(b), _) => b.append_value(reader.long()?),
            (Self::Float(b), _) => b.append_value(reader.float()?),
            (Self::Double(b), _) => b.append_value(reader.double()?),
            (Self::Text(b), Type::Enum(symbols)) => b.append_value(shown::symbol(symbols, reader)?),
            (Self::Text(b), _) => b.append_value(reader.text()?),
            (Self::Bytes(b), Type::Fixed(size)) => b.append_value(reader.take(*size)?),
            (Self::Bytes(b), _) => b.append_value(reader.bytes()?),
            (Self::Uuid(b), kind) => {
                let value = uuid_bytes(*kind == Type::Uuid { fixed: true }, reader)?;
                b.append_value(value).map_err(|error| error.to_string())?;
            }
            (Self::Decimal(b), Type::Decimal { size, precision, .. }) => {
                let value = unscaled(*size, *precision, reader)?;
                b.append_value(value.to_i128().ok_or_else(too_long)?);
            }
            (Self::Wide(b), Type::Decimal { size, precision, .. }) => {
                b.append_value(unscaled(*size, *precision, reader)?);
            }
            (Self::Decimal(_) | Self::Wide(_), _) => return Err("it is no decimal".to_owned()),
            (Self::Date(b), _) => b.append_value(reader.int()?),
            (Self::TimeMillis(b), _) => b.append_value(reader.int()?),
            (Self::TimeMicros(b), _) => b.append_value(reader.long()?),
            (Self::Millis(b), _) => b.append_value(reader.long()?),
            (Self::Micros(b), _) => b.append_value(reader.long()?),
            (Self::Nanos(b), _) => b.append_value(reader.long()?),
            (Self::Interval(b), _) => b.append_value(interval(reader.duration()?)?),
        }
        Ok(())
    }
}

/// The bytes of a UUID, which is a text or 16 bytes.
pub(super) fn uuid_bytes(fixed: bool, reader: &mut Reader<'_>) -> Result<[u8; 16], String> {
    if fixed {
        let bytes = reader.take(16)?;
        return bytes.try_into().map_err(|_| "it ends early".to_owned());
    }
    uuid(reader.text()?)
}

fn too_long() -> String {
    "a decimal has more digits than its type".to_owned()
}

/// The digits of a decimal as a number: big-endian, in two's complement, in as many bytes as its writer liked.
pub(super) fn unscaled(size: Option<usize>, precision: u8, reader: &mut Reader<'_>) -> Result<i256, String> {
    let bytes = match size {
        Some(size) => reader.take(size)?,
        None => reader.bytes()?,
    };
    let first = bytes.first().ok_or_else(|| "a decimal has no bytes".to_owned())?;
    let sign = if first & 0x80 == 0 { 0 } else { 0xFF };
    let mut value = [sign; 32];
    let significant = bytes.iter().position(|byte| *byte != sign).map_or(0, |start| bytes.len() - start);
    let kept = bytes.get(bytes.len() - significant..).unwrap_or_default();
    // More than fit are more digits than any decimal has.
    let target = value.len().checked_sub(kept.len()).and_then(|start| value.get_mut(start..)).ok_or_else(too_long)?;
    target.copy_from_slice(kept);
    let value = i256::from_be_bytes(value);
    let end = i256::from_i128(10).checked_pow(precision.into()).ok_or_else(too_long)?;
    let negative = value < i256::ZERO;
    // A sign that was cut off: 33 significant bytes whose 32 last say otherwise.
    if negative != (sign == 0xFF) || value >= end || value <= end.wrapping_neg() {
        return Err(too_long());
    }
    Ok(value)
}

/// Months, days and milliseconds as an interval.
fn interval([months, days, millis]: [u32; 3]) -> Result<IntervalMonthDayNano, String> {
    let signed = |value: u32| i32::try_from(value).map_err(|_| "a duration is longer than any interval".to_owned());
    Ok(IntervalMonthDayNano::new(signed(months)?, signed(days)?, i64::from(millis) * 1_000_000))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::wire::tests::long;
    use super::*;
    use paritas_connect::show_arrow;
    use proptest::prelude::*;
    use rstest::rstest;

    fn schema(text: &str) -> Arc<Schema> {
        Arc::new(Schema::parse(text).unwrap())
    }

    /// Reads one value of a schema, every field a column.
    fn read(schema: &Arc<Schema>, bytes: &[u8]) -> Result<Vec<String>, String> {
        let columns = schema.columns("value");
        let place = |name: &str| columns.iter().position(|column| column.name == name);
        let mut builders: Vec<Builder> =
            (0..columns.len()).map(|index| Builder::new(schema, schema.field(index))).collect();
        Rows::new(Arc::clone(schema), place, "value").read(bytes, &mut builders)?;
        Ok(builders.iter_mut().map(|builder| show_arrow(&builder.finish(), 0).unwrap().to_string()).collect())
    }

    fn text(text: &str) -> Vec<u8> {
        [long(text.len() as i64), text.as_bytes().to_vec()].concat()
    }

    const ALL: &str = r#"{"type":"record","name":"r","fields":[
        {"name":"n","type":"long"},
        {"name":"t","type":["null","string"]},
        {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":5}},
        {"name":"u","type":["int","string","null"]},
        {"name":"l","type":{"type":"array","items":"r"}},
        {"name":"m","type":{"type":"map","values":"boolean"}}]}"#;

    #[rstest]
    #[case(&[0x00], "0")]
    #[case(&[0x00, 0x00, 0x00, 0x7F], "127")]
    #[case(&[0x80], "-128")]
    #[case(&[0xFF, 0xFF, 0x7F], "-129")]
    #[case(&[0x00, 0x80], "128")]
    fn decimals_are_read_however_many_bytes_their_writer_took(#[case] bytes: &[u8], #[case] number: &str) {
        let value = [long(bytes.len() as i64), bytes.to_vec()].concat();
        let schema = schema(r#"{"type":"bytes","logicalType":"decimal","precision":9}"#);
        assert_eq!(read(&schema, &value).unwrap(), [number]);
        let padded = [vec![if bytes[0] < 0x80 { 0 } else { 0xFF }; 40], bytes.to_vec()].concat();
        let value = [long(padded.len() as i64), padded].concat();
        assert_eq!(read(&schema, &value).unwrap(), [number]);
    }

    #[rstest]
    #[case::nothing(&[])]
    #[case::ten_digits(&[0x3B, 0x9A, 0xCA, 0x00])]
    #[case::ten_digits_below_zero(&[0xC4, 0x65, 0x36, 0x00])]
    #[case::longer_than_any(&[0x01; 33])]
    #[case::sign_out_of_reach(&[0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])]
    fn decimals_of_more_digits_than_their_type_are_refused(#[case] bytes: &[u8]) {
        let value = [long(bytes.len() as i64), bytes.to_vec()].concat();
        assert!(read(&schema(r#"{"type":"bytes","logicalType":"decimal","precision":9}"#), &value).is_err());
    }

    #[test]
    fn values_without_bytes_do_not_multiply() {
        let schema = schema(r#"{"type":"array","items":"null"}"#);
        assert!(read(&schema, &[long(1 << 40), long(0)].concat()).is_err());
        let value: Vec<u8> = [long(3), long(0)].concat();
        assert_eq!(read(&schema, &value).unwrap(), ["[null,null,null]"]);
    }

    #[test]
    fn values_nested_without_end_are_refused() {
        let schema = schema(r#"{"type":"record","name":"n","fields":[{"name":"next","type":["null","n"]}]}"#);
        assert_eq!(read(&schema, &[2, 2, 0]).unwrap(), [r#"{"next":{"next":null}}"#]);
        assert!(read(&schema, &[vec![2; 100_000], vec![0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn decoding_gives_back_what_was_encoded(
            n: i64, t in prop::option::of("\\PC{0,20}"), d in -(10_i128.pow(38) - 1)..10_i128.pow(38), u in 0..3_usize,
            cut: prop::sample::Index,
        ) {
            let choice = match u {
                0 => [long(0), long(-7)].concat(),
                1 => [long(1), text("x")].concat(),
                _ => long(2),
            };
            let bytes = [
                long(n),
                t.as_ref().map_or(long(0), |t| [long(1), text(t)].concat()),
                long(16),
                d.to_be_bytes().to_vec(),
                choice,
                long(0),
                [long(-2), long(6), text("a"), vec![1], text("b"), vec![0], long(0)].concat(),
            ]
            .concat();
            let schema = schema(ALL);
            let values = read(&schema, &bytes).unwrap();
            let unit = 10_u128.pow(5);
            let sign = if d < 0 { "-" } else { "" };
            let number = format!("{sign}{}.{:05}", d.unsigned_abs() / unit, d.unsigned_abs() % unit);
            let chosen = ["-7", "\"x\"", "NULL"][u].to_owned();
            let expected =
                [n.to_string(), t.unwrap_or_else(|| "NULL".into()), number, chosen, "[]".into(), r#"{"a":true,"b":false}"#.into()];
            // Integers beyond 2^53 are shown as text, which reads the same.
            prop_assert_eq!(values, expected);
            prop_assert!(read(&schema, &bytes[..cut.index(bytes.len())]).is_err());
            prop_assert!(read(&schema, &[&bytes[..], &[0]].concat()).is_err());
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..80), skip: bool) {
            let schema = schema(ALL);
            let _ = read(&schema, &bytes);
            if skip {
                let _ = Rows::new(Arc::clone(&schema), |_| None, "value").read(&bytes, &mut []);
            }
        }

        #[test]
        fn what_is_read_can_also_be_passed_over(bytes in prop::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..80)) {
            let schema = schema(ALL);
            let passed = Rows::new(Arc::clone(&schema), |_| None, "value").read(&bytes, &mut []);
            if read(&schema, &bytes).is_ok() {
                prop_assert_eq!(passed, Ok(()));
            }
        }
    }
}
