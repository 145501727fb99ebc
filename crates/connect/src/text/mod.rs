//! Texts as values of typed columns: what a CSV field or a JSON value means when its column has a type.
//!
//! A text is a value of the column exactly, or well-formed and beyond it (`1.005` in a column of two
//! digits after the point, so a difference), or it is refused with a reason; nothing is rounded,
//! padded or guessed. Columns have the type of the other side ([`TextColumn::new`]) or one that was
//! declared ([`TextColumn::of`]).

mod decimal;
mod declared;
mod float;
mod time;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Decimal128Builder, Decimal256Builder, FixedSizeBinaryBuilder, PrimitiveBuilder,
    StringViewBuilder,
};
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt64Type,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType};
use arrow_schema::{ArrowError, DataType, TimeUnit as ArrowUnit};
use declared::Bound;
use paritas_digest::{Policies, Slot, ZonePolicy};
use paritas_model::TimeUnit;
use std::sync::Arc;

/// Why a text is not a value of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is well-formed, and equals no value that the slot has.
    Beyond,
    /// Nobody can tell what it means.
    Malformed(String),
}

fn malformed(why: impl Into<String>) -> Refused {
    Refused::Malformed(why.into())
}

/// Collects the values of one column.
#[derive(Debug)]
pub struct TextColumn {
    values: Values,
    /// What values are narrower than the arrays that hold them.
    bound: Bound,
    /// Whether local times and instants may stand for each other.
    any_zone: bool,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBuilder),
    Int(PrimitiveBuilder<Int64Type>),
    /// The slot is there for the sake of a column of unsigned 64-bit integers.
    Unsigned(PrimitiveBuilder<UInt64Type>),
    Decimal(Decimal128Builder, i8),
    Wide(Decimal256Builder, i8),
    Float(PrimitiveBuilder<Float64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Text(StringViewBuilder),
    /// A number of any size, kept as text.
    Number(StringViewBuilder),
    Bytes(BinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Seconds(PrimitiveBuilder<Time32SecondType>),
    Millis(PrimitiveBuilder<Time32MillisecondType>),
    Micros(PrimitiveBuilder<Time64MicrosecondType>),
    Nanos(PrimitiveBuilder<Time64NanosecondType>),
    Timestamp(Instants, bool),
}

/// Times since 1970, in the resolution that the slot asks for.
#[derive(Debug)]
enum Instants {
    Seconds(PrimitiveBuilder<TimestampSecondType>),
    Millis(PrimitiveBuilder<TimestampMillisecondType>),
    Micros(PrimitiveBuilder<TimestampMicrosecondType>),
    Nanos(PrimitiveBuilder<TimestampNanosecondType>),
}

impl TextColumn {
    /// A column for a slot; nothing where texts cannot mean values of the slot.
    pub fn new(slot: &Slot, policies: Policies) -> Option<Self> {
        let values = match slot {
            Slot::Bool => Values::Bool(BooleanBuilder::new()),
            Slot::Int => Values::Int(PrimitiveBuilder::new()),
            Slot::BigInt => Values::Unsigned(PrimitiveBuilder::new()),
            Slot::Decimal { scale } => Values::Decimal(decimal128(*scale)?, *scale),
            Slot::WideDecimal { scale } => Values::Wide(decimal256(*scale)?, *scale),
            Slot::DecimalAny | Slot::DecimalExact => Values::Number(StringViewBuilder::new()),
            Slot::Float => Values::Float(PrimitiveBuilder::new()),
            Slot::Float32 => Values::Float32(PrimitiveBuilder::new()),
            Slot::Text | Slot::Json => Values::Text(StringViewBuilder::new()),
            Slot::Bytes => Values::Bytes(BinaryBuilder::new()),
            Slot::Uuid => Values::Uuid(FixedSizeBinaryBuilder::new(16)),
            Slot::Date => Values::Date(PrimitiveBuilder::new()),
            Slot::Time(TimeUnit::Second) => Values::Seconds(PrimitiveBuilder::new()),
            Slot::Time(TimeUnit::Milli) => Values::Millis(PrimitiveBuilder::new()),
            Slot::Time(TimeUnit::Micro) => Values::Micros(PrimitiveBuilder::new()),
            Slot::Time(TimeUnit::Nano) => Values::Nanos(PrimitiveBuilder::new()),
            Slot::Timestamp { unit, zoned } => Values::Timestamp(Instants::new(*unit, *zoned), *zoned),
            Slot::Wire { .. } | Slot::Duration(_) | Slot::Interval | Slot::Nested(_) => return None,
        };
        Some(Self { values, bound: Bound::None, any_zone: policies.zone == ZonePolicy::AssumeUtc })
    }

    /// The type of the arrays that it makes.
    pub fn data_type(&self) -> DataType {
        match &self.values {
            Values::Bool(_) => DataType::Boolean,
            Values::Int(_) => DataType::Int64,
            Values::Unsigned(_) => DataType::UInt64,
            Values::Decimal(_, scale) => DataType::Decimal128(38, *scale),
            Values::Wide(_, scale) => DataType::Decimal256(76, *scale),
            Values::Float(_) => DataType::Float64,
            Values::Float32(_) => DataType::Float32,
            Values::Text(_) | Values::Number(_) => DataType::Utf8View,
            Values::Bytes(_) => DataType::Binary,
            Values::Uuid(_) => DataType::FixedSizeBinary(16),
            Values::Date(_) => DataType::Date32,
            Values::Seconds(_) => DataType::Time32(ArrowUnit::Second),
            Values::Millis(_) => DataType::Time32(ArrowUnit::Millisecond),
            Values::Micros(_) => DataType::Time64(ArrowUnit::Microsecond),
            Values::Nanos(_) => DataType::Time64(ArrowUnit::Nanosecond),
            Values::Timestamp(instants, zoned) => instants.data_type(*zoned),
        }
    }

    /// Appends NULL.
    pub fn null(&mut self) {
        match &mut self.values {
            Values::Bool(b) => b.append_null(),
            Values::Int(b) => b.append_null(),
            Values::Unsigned(b) => b.append_null(),
            Values::Decimal(b, _) => b.append_null(),
            Values::Wide(b, _) => b.append_null(),
            Values::Float(b) => b.append_null(),
            Values::Float32(b) => b.append_null(),
            Values::Text(b) | Values::Number(b) => b.append_null(),
            Values::Bytes(b) => b.append_null(),
            Values::Uuid(b) => b.append_null(),
            Values::Date(b) => b.append_null(),
            Values::Seconds(b) => b.append_null(),
            Values::Millis(b) => b.append_null(),
            Values::Micros(b) => b.append_null(),
            Values::Nanos(b) => b.append_null(),
            Values::Timestamp(instants, _) => instants.push(None),
        }
    }

    /// Appends the value that a text means. Nothing is appended where it is refused.
    ///
    /// # Errors
    /// Why the text is no value of this column.
    pub fn push(&mut self, text: &str) -> Result<(), Refused> {
        let (any_zone, bound) = (self.any_zone, self.bound);
        match &mut self.values {
            Values::Bool(b) => b.append_value(truth(text)?),
            Values::Int(b) => b.append_value(bound.int(integer(text)?)?),
            Values::Unsigned(b) => b.append_value(bound.unsigned(integer(text)?)?),
            Values::Decimal(b, scale) => b.append_value(bound.decimal(decimal::at_scale(text, *scale)?)?),
            Values::Wide(b, scale) => b.append_value(bound.wide(decimal::wide_at_scale(text, *scale)?)?),
            Values::Float(b) => b.append_value(float::double(text)?),
            Values::Float32(b) => b.append_value(float::single(text)?),
            Values::Text(b) => b.append_value(text),
            Values::Number(b) => b.append_value(decimal::any(text)?),
            Values::Bytes(b) => b.append_value(bytes(text).map_err(malformed)?),
            Values::Uuid(b) => {
                b.append_value(uuid(text).map_err(malformed)?).map_err(|error| malformed(error.to_string()))?;
            }
            Values::Date(b) => b.append_value(i32::try_from(time::date(text)?).map_err(|_| Refused::Beyond)?),
            Values::Seconds(b) => b.append_value(clock(time::clock(text, TimeUnit::Second)?)?),
            Values::Millis(b) => b.append_value(clock(time::clock(text, TimeUnit::Milli)?)?),
            Values::Micros(b) => b.append_value(time::clock(text, TimeUnit::Micro)?),
            Values::Nanos(b) => b.append_value(time::clock(text, TimeUnit::Nano)?),
            Values::Timestamp(instants, zoned) => {
                let value = time::timestamp(text, instants.unit(), *zoned, any_zone)?;
                instants.push(Some(value));
            }
        }
        Ok(())
    }

    /// The values so far as an array; the column is empty afterwards.
    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Bool(b) => Arc::new(b.finish()),
            Values::Int(b) => Arc::new(b.finish()),
            Values::Unsigned(b) => Arc::new(b.finish()),
            Values::Decimal(b, _) => Arc::new(b.finish()),
            Values::Wide(b, _) => Arc::new(b.finish()),
            Values::Float(b) => Arc::new(b.finish()),
            Values::Float32(b) => Arc::new(b.finish()),
            Values::Text(b) | Values::Number(b) => Arc::new(b.finish()),
            Values::Bytes(b) => Arc::new(b.finish()),
            Values::Uuid(b) => Arc::new(b.finish()),
            Values::Date(b) => Arc::new(b.finish()),
            Values::Seconds(b) => Arc::new(b.finish()),
            Values::Millis(b) => Arc::new(b.finish()),
            Values::Micros(b) => Arc::new(b.finish()),
            Values::Nanos(b) => Arc::new(b.finish()),
            Values::Timestamp(instants, _) => instants.finish(),
        }
    }
}

impl Instants {
    fn new(unit: TimeUnit, zoned: bool) -> Self {
        fn of<T: ArrowPrimitiveType>(kind: DataType) -> PrimitiveBuilder<T> {
            PrimitiveBuilder::new().with_data_type(kind)
        }
        let kind = |unit| DataType::Timestamp(unit, zone(zoned));
        match unit {
            TimeUnit::Second => Self::Seconds(of(kind(ArrowUnit::Second))),
            TimeUnit::Milli => Self::Millis(of(kind(ArrowUnit::Millisecond))),
            TimeUnit::Micro => Self::Micros(of(kind(ArrowUnit::Microsecond))),
            TimeUnit::Nano => Self::Nanos(of(kind(ArrowUnit::Nanosecond))),
        }
    }

    fn unit(&self) -> TimeUnit {
        match self {
            Self::Seconds(_) => TimeUnit::Second,
            Self::Millis(_) => TimeUnit::Milli,
            Self::Micros(_) => TimeUnit::Micro,
            Self::Nanos(_) => TimeUnit::Nano,
        }
    }

    fn data_type(&self, zoned: bool) -> DataType {
        let unit = match self {
            Self::Seconds(_) => ArrowUnit::Second,
            Self::Millis(_) => ArrowUnit::Millisecond,
            Self::Micros(_) => ArrowUnit::Microsecond,
            Self::Nanos(_) => ArrowUnit::Nanosecond,
        };
        DataType::Timestamp(unit, zone(zoned))
    }

    fn push(&mut self, value: Option<i64>) {
        match self {
            Self::Seconds(b) => b.append_option(value),
            Self::Millis(b) => b.append_option(value),
            Self::Micros(b) => b.append_option(value),
            Self::Nanos(b) => b.append_option(value),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Seconds(b) => Arc::new(b.finish()),
            Self::Millis(b) => Arc::new(b.finish()),
            Self::Micros(b) => Arc::new(b.finish()),
            Self::Nanos(b) => Arc::new(b.finish()),
        }
    }
}

fn zone(zoned: bool) -> Option<Arc<str>> {
    zoned.then(|| Arc::from("UTC"))
}

fn decimal128(scale: i8) -> Option<Decimal128Builder> {
    let built: Result<_, ArrowError> = Decimal128Builder::new().with_precision_and_scale(38, scale);
    built.ok()
}

fn decimal256(scale: i8) -> Option<Decimal256Builder> {
    let built: Result<_, ArrowError> = Decimal256Builder::new().with_precision_and_scale(76, scale);
    built.ok()
}

fn clock(value: i64) -> Result<i32, Refused> {
    i32::try_from(value).map_err(|_| Refused::Beyond)
}

/// An integer as such, or any other spelling of a whole number (`1.0`, `1e3`).
fn integer<T: std::str::FromStr + TryFrom<i128>>(text: &str) -> Result<T, Refused> {
    match text.parse() {
        Ok(value) => Ok(value),
        Err(_) => T::try_from(decimal::at_scale(text, 0)?).map_err(|_| Refused::Beyond),
    }
}

fn truth(text: &str) -> Result<bool, Refused> {
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text {
        _ if is(["t", "true", "1"]) => Ok(true),
        _ if is(["f", "false", "0"]) => Ok(false),
        _ => Err(malformed("it is no truth value (t, f, true, false, 1, 0)")),
    }
}

fn nibble(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || "it is no byte string (\\x and pairs of hexadecimal digits)".to_owned();
    let digits = text.strip_prefix("\\x").ok_or_else(wrong)?.as_bytes();
    if digits.len() % 2 != 0 {
        return Err(wrong());
    }
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect::<Option<Vec<u8>>>().ok_or_else(wrong)
}

/// The bytes of a UUID in its usual form, in braces, or without hyphens.
///
/// # Errors
/// Why it is none.
pub fn uuid(text: &str) -> Result<[u8; 16], String> {
    let wrong = || "it is no UUID".to_owned();
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let hyphens: Vec<usize> = inner.match_indices('-').map(|(at, _)| at).collect();
    if !(hyphens.is_empty() && inner.len() == 32 || hyphens == [8, 13, 18, 23] && inner.len() == 36) {
        return Err(wrong());
    }
    let mut digits = inner.bytes().filter(|byte| *byte != b'-');
    let mut value = [0; 16];
    for byte in &mut value {
        let mut next = || digits.next().and_then(nibble).ok_or_else(wrong);
        *byte = next()? << 4 | next()?;
    }
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow_array::Array as _;
    use rstest::rstest;

    fn column(slot: &Slot) -> TextColumn {
        TextColumn::new(slot, Policies::default()).unwrap()
    }

    #[rstest]
    #[case(Slot::Bool, &["t", "F", "true", "0"], &[], &["yes", "", " t", "2"])]
    #[case(Slot::Int, &["0", "-9223372036854775808", "007", "1.0", "1e3"], &["1.5", "9223372036854775808", "NaN"], &["", " 1", "x"])]
    #[case(Slot::BigInt, &["18446744073709551615", "0", "2.0"], &["1.5", "-1", "18446744073709551616"], &["x", ""])]
    #[case(Slot::Decimal { scale: 2 }, &["1.50", "1.500", "-0"], &["1.005", "NaN", "-Infinity", "1e99", "1e-9"], &["", "1,5", "x"])]
    #[case(Slot::WideDecimal { scale: 0 }, &["1e70"], &["1.5", "1e77"], &["x"])]
    #[case(Slot::Float, &["1e300", "-0.0", "NaN", "Infinity", ".5"], &["1e400", "1e-400"], &["", "1,5", "0x10"])]
    #[case(Slot::Float32, &["0.1", "16777216", "NaN"], &["1e39", "0.12345678901"], &["", "1,5"])]
    #[case(Slot::Uuid, &["00112233-4455-6677-8899-AABBCCDDEEFF", "00112233445566778899aabbccddeeff"], &[], &["0011", "g0112233445566778899aabbccddeeff", "001122334455-6677-8899-AABBCCDDEEFF"])]
    #[case(Slot::Bytes, &["\\x", "\\x00Ff"], &[], &["00", "\\x0", "\\xgg"])]
    #[case(Slot::Text, &["", " a\n", "\\N"], &[], &[])]
    #[case(Slot::Date, &["2026-11-21", "0001-01-01", "0044-03-15 BC"], &["infinity"], &["2026-02-30", "21.11.2026", "2026-1-1"])]
    #[case(Slot::Time(TimeUnit::Second), &["23:59:59.000"], &["23:59:59.5"], &["24:00:01"])]
    #[case(Slot::Timestamp { unit: TimeUnit::Milli, zoned: false }, &["2026-11-21 00:00:00.001"], &["2026-11-21 00:00:00.0015", "2026-11-21 00:00:00.0000000001"], &["2026-11-21 00:00:00.001Z", "now"])]
    #[case(Slot::Timestamp { unit: TimeUnit::Nano, zoned: false }, &["2026-11-21 00:00:00.000000001"], &["2300-01-01 00:00:00", "infinity", "-infinity"], &["Infinity", "0000-01-01 00:00:00 BC"])]
    fn texts_are_values_exactly_or_beyond_the_slot_or_refused(
        #[case] slot: Slot,
        #[case] good: &[&str],
        #[case] beyond: &[&str],
        #[case] bad: &[&str],
    ) {
        let mut column = column(&slot);
        for text in good {
            column.push(text).unwrap();
        }
        for text in beyond {
            assert_eq!(column.push(text), Err(Refused::Beyond), "{text}");
        }
        for text in bad {
            assert!(matches!(column.push(text), Err(Refused::Malformed(_))), "{text}");
        }
        column.null();
        let kind = column.data_type();
        let array = column.finish();
        assert_eq!((array.len(), array.null_count(), array.data_type()), (good.len() + 1, 1, &kind));
    }

    #[test]
    fn nested_values_have_no_text_form() {
        assert!(TextColumn::new(&Slot::Interval, Policies::default()).is_none());
    }
}
