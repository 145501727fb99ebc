//! Slots of fixed width, straight from Arrow buffers.

use super::number::{rescale_i128, rescale_i256};
use super::target::{Misfit, Target};
use crate::{FloatPolicy, Policies, Slot};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_buffer::i256;
use arrow_schema::{DataType, IntervalUnit, TimeUnit as ArrowUnit};
use paritas_model::TimeUnit;
use std::ops::Range;

/// Writes rows of a plain (not dictionary or run-end encoded) array. NULL rows are zeroed.
pub(crate) fn fill(
    array: &dyn Array,
    slot: &Slot,
    policies: &Policies,
    rows: Range<usize>,
    target: &mut Target<'_>,
) -> Result<(), Misfit> {
    let mut column = Column { array, rows: rows.clone(), target };
    match slot {
        Slot::Bool => column.bools()?,
        Slot::Int => column.ints()?,
        Slot::BigInt => column.big_ints()?,
        Slot::Decimal { scale } => column.decimals(*scale)?,
        Slot::WideDecimal { scale } => column.wide_decimals(*scale)?,
        Slot::Float => column.floats(policies.float)?,
        Slot::Float32 => column.narrow_floats(policies.float)?,
        Slot::Uuid => column.uuids()?,
        Slot::Date => column.dates()?,
        Slot::Time(unit) => column.times(*unit)?,
        Slot::Timestamp { unit, .. } => column.timestamps(*unit)?,
        Slot::Duration(unit) => column.durations(*unit)?,
        Slot::Interval => column.intervals()?,
        Slot::Wire { .. } | Slot::DecimalAny | Slot::DecimalExact | Slot::Text => return Err(Misfit::Type),
        Slot::Bytes | Slot::Json | Slot::Nested(_) => return Err(Misfit::Type),
    }
    if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
        for row in rows.clone().filter(|row| nulls.is_null(*row)) {
            target.zero(row - rows.start);
        }
    }
    Ok(())
}

struct Column<'a, 't, 'k> {
    array: &'a dyn Array,
    rows: Range<usize>,
    target: &'k mut Target<'t>,
}

impl Column<'_, '_, '_> {
    /// Writes values that always fit.
    fn put<T: ArrowPrimitiveType, const W: usize>(
        &mut self,
        bytes: impl Fn(T::Native) -> [u8; W],
    ) -> Result<(), Misfit> {
        let array = self.array.as_primitive_opt::<T>().ok_or(Misfit::Type)?;
        let values = array.values().get(self.rows.clone()).unwrap_or_default();
        self.target.put_all(values.iter().map(|value| bytes(*value)));
        Ok(())
    }

    /// Writes values that may not fit. What lies under a NULL is not looked at.
    fn try_put<T: ArrowPrimitiveType, const W: usize>(
        &mut self,
        bytes: impl Fn(T::Native) -> Result<[u8; W], String>,
    ) -> Result<(), Misfit> {
        let array = self.array;
        let typed = array.as_primitive_opt::<T>().ok_or(Misfit::Type)?;
        let values = typed.values().get(self.rows.clone()).unwrap_or_default();
        let mut failure = None;
        let start = self.rows.start;
        let mut converted = (start..).zip(values).map(|(row, value)| match bytes(*value) {
            Ok(bytes) => bytes,
            Err(_) if array.is_null(row) => [0; W],
            Err(why) => {
                failure.get_or_insert(Misfit::Row(row, why));
                [0; W]
            }
        });
        self.target.put_all(&mut converted);
        drop(converted);
        failure.map_or(Ok(()), Err)
    }

    fn bools(&mut self) -> Result<(), Misfit> {
        let array = self.array.as_boolean_opt().ok_or(Misfit::Type)?;
        let values = array.values();
        self.target.put_all(self.rows.clone().map(|row| [u8::from(values.value(row))]));
        Ok(())
    }

    fn ints(&mut self) -> Result<(), Misfit> {
        match self.array.data_type() {
            DataType::Int8 => self.put::<Int8Type, 8>(|v| i64::from(v).to_le_bytes()),
            DataType::Int16 => self.put::<Int16Type, 8>(|v| i64::from(v).to_le_bytes()),
            DataType::Int32 => self.put::<Int32Type, 8>(|v| i64::from(v).to_le_bytes()),
            DataType::Int64 => self.put::<Int64Type, 8>(i64::to_le_bytes),
            DataType::UInt8 => self.put::<UInt8Type, 8>(|v| i64::from(v).to_le_bytes()),
            DataType::UInt16 => self.put::<UInt16Type, 8>(|v| i64::from(v).to_le_bytes()),
            DataType::UInt32 => self.put::<UInt32Type, 8>(|v| i64::from(v).to_le_bytes()),
            DataType::UInt64 => self.try_put::<UInt64Type, 8>(|v| match i64::try_from(v) {
                Ok(v) => Ok(v.to_le_bytes()),
                Err(_) => Err(format!("{v} is beyond a signed 64-bit integer")),
            }),
            _ => Err(Misfit::Type),
        }
    }

    fn big_ints(&mut self) -> Result<(), Misfit> {
        match self.array.data_type() {
            DataType::Int8 => self.put::<Int8Type, 16>(|v| i128::from(v).to_le_bytes()),
            DataType::Int16 => self.put::<Int16Type, 16>(|v| i128::from(v).to_le_bytes()),
            DataType::Int32 => self.put::<Int32Type, 16>(|v| i128::from(v).to_le_bytes()),
            DataType::Int64 => self.put::<Int64Type, 16>(|v| i128::from(v).to_le_bytes()),
            DataType::UInt8 => self.put::<UInt8Type, 16>(|v| i128::from(v).to_le_bytes()),
            DataType::UInt16 => self.put::<UInt16Type, 16>(|v| i128::from(v).to_le_bytes()),
            DataType::UInt32 => self.put::<UInt32Type, 16>(|v| i128::from(v).to_le_bytes()),
            DataType::UInt64 => self.put::<UInt64Type, 16>(|v| i128::from(v).to_le_bytes()),
            _ => Err(Misfit::Type),
        }
    }

    fn decimals(&mut self, to: i8) -> Result<(), Misfit> {
        let narrow = |v: i128, from: i8| rescale_i128(v, from, to).map(i128::to_le_bytes);
        match *self.array.data_type() {
            DataType::Decimal32(_, from) if from == to => {
                self.put::<Decimal32Type, 16>(|v| i128::from(v).to_le_bytes())
            }
            DataType::Decimal64(_, from) if from == to => {
                self.put::<Decimal64Type, 16>(|v| i128::from(v).to_le_bytes())
            }
            DataType::Decimal128(_, from) if from == to => self.put::<Decimal128Type, 16>(i128::to_le_bytes),
            DataType::Decimal32(_, from) => self.try_put::<Decimal32Type, 16>(|v| narrow(v.into(), from)),
            DataType::Decimal64(_, from) => self.try_put::<Decimal64Type, 16>(|v| narrow(v.into(), from)),
            DataType::Decimal128(_, from) => self.try_put::<Decimal128Type, 16>(|v| narrow(v, from)),
            DataType::Decimal256(_, from) => self.try_put::<Decimal256Type, 16>(|v| {
                let wide = rescale_i256(v, from, to)?;
                let narrow = wide.to_i128().ok_or_else(|| format!("{wide} at scale {to} is beyond 38 digits"))?;
                Ok(narrow.to_le_bytes())
            }),
            DataType::Int8 => self.try_put::<Int8Type, 16>(|v| narrow(v.into(), 0)),
            DataType::Int16 => self.try_put::<Int16Type, 16>(|v| narrow(v.into(), 0)),
            DataType::Int32 => self.try_put::<Int32Type, 16>(|v| narrow(v.into(), 0)),
            DataType::Int64 => self.try_put::<Int64Type, 16>(|v| narrow(v.into(), 0)),
            DataType::UInt8 => self.try_put::<UInt8Type, 16>(|v| narrow(v.into(), 0)),
            DataType::UInt16 => self.try_put::<UInt16Type, 16>(|v| narrow(v.into(), 0)),
            DataType::UInt32 => self.try_put::<UInt32Type, 16>(|v| narrow(v.into(), 0)),
            DataType::UInt64 => self.try_put::<UInt64Type, 16>(|v| narrow(v.into(), 0)),
            _ => Err(Misfit::Type),
        }
    }

    fn wide_decimals(&mut self, to: i8) -> Result<(), Misfit> {
        let wide = |v: i128, from: i8| rescale_i256(i256::from_i128(v), from, to).map(i256::to_le_bytes);
        match *self.array.data_type() {
            DataType::Decimal32(_, from) => self.try_put::<Decimal32Type, 32>(|v| wide(v.into(), from)),
            DataType::Decimal64(_, from) => self.try_put::<Decimal64Type, 32>(|v| wide(v.into(), from)),
            DataType::Decimal128(_, from) => self.try_put::<Decimal128Type, 32>(|v| wide(v, from)),
            DataType::Decimal256(_, from) => {
                self.try_put::<Decimal256Type, 32>(|v| rescale_i256(v, from, to).map(i256::to_le_bytes))
            }
            DataType::Int8 => self.try_put::<Int8Type, 32>(|v| wide(v.into(), 0)),
            DataType::Int16 => self.try_put::<Int16Type, 32>(|v| wide(v.into(), 0)),
            DataType::Int32 => self.try_put::<Int32Type, 32>(|v| wide(v.into(), 0)),
            DataType::Int64 => self.try_put::<Int64Type, 32>(|v| wide(v.into(), 0)),
            DataType::UInt8 => self.try_put::<UInt8Type, 32>(|v| wide(v.into(), 0)),
            DataType::UInt16 => self.try_put::<UInt16Type, 32>(|v| wide(v.into(), 0)),
            DataType::UInt32 => self.try_put::<UInt32Type, 32>(|v| wide(v.into(), 0)),
            DataType::UInt64 => self.try_put::<UInt64Type, 32>(|v| wide(v.into(), 0)),
            _ => Err(Misfit::Type),
        }
    }

    fn floats(&mut self, policy: FloatPolicy) -> Result<(), Misfit> {
        let bytes = move |value: f64| match policy {
            FloatPolicy::Canonical if value.is_nan() => NAN.to_le_bytes(),
            // Adding zero turns -0.0 into 0.0 and changes no other number.
            FloatPolicy::Canonical => (value + 0.0).to_le_bytes(),
            FloatPolicy::Bits => value.to_le_bytes(),
        };
        match self.array.data_type() {
            DataType::Float16 => self.put::<Float16Type, 8>(|v| bytes(widened_half(v))),
            DataType::Float32 => self.put::<Float32Type, 8>(|v| bytes(widened(v))),
            DataType::Float64 => self.put::<Float64Type, 8>(bytes),
            _ => Err(Misfit::Type),
        }
    }

    fn narrow_floats(&mut self, policy: FloatPolicy) -> Result<(), Misfit> {
        let bytes = move |value: f32| match policy {
            FloatPolicy::Canonical if value.is_nan() => NAN_32.to_le_bytes(),
            FloatPolicy::Canonical => (value + 0.0).to_le_bytes(),
            FloatPolicy::Bits => value.to_le_bytes(),
        };
        match self.array.data_type() {
            DataType::Float16 => self.put::<Float16Type, 4>(|v| bytes(narrowly_widened_half(v))),
            DataType::Float32 => self.put::<Float32Type, 4>(bytes),
            // Connectors may hand narrow floats out widened.
            DataType::Float64 => self.try_put::<Float64Type, 4>(|v| match narrowed(v) {
                Some(narrow) => Ok(bytes(narrow)),
                None => Err(format!("{v} is no float of 32 bits")),
            }),
            _ => Err(Misfit::Type),
        }
    }

    fn uuids(&mut self) -> Result<(), Misfit> {
        let array = self.array.as_fixed_size_binary_opt().filter(|array| array.value_length() == 16);
        let array = array.ok_or(Misfit::Type)?;
        let value = |row| array.value(row).first_chunk::<16>().copied().unwrap_or_default();
        self.target.put_all(self.rows.clone().map(value));
        Ok(())
    }

    fn dates(&mut self) -> Result<(), Misfit> {
        const MILLIS_PER_DAY: i64 = 86_400_000;
        match self.array.data_type() {
            DataType::Date32 => self.put::<Date32Type, 8>(|v| i64::from(v).to_le_bytes()),
            DataType::Date64 => self.try_put::<Date64Type, 8>(|v| match v % MILLIS_PER_DAY {
                0 => Ok((v / MILLIS_PER_DAY).to_le_bytes()),
                _ => Err(format!("{v} ms is not a whole day, so it is no date")),
            }),
            _ => Err(Misfit::Type),
        }
    }

    fn times(&mut self, to: TimeUnit) -> Result<(), Misfit> {
        match self.array.data_type() {
            DataType::Time32(ArrowUnit::Second) => self.scaled::<Time32SecondType>(TimeUnit::Second, to),
            DataType::Time32(ArrowUnit::Millisecond) => self.scaled::<Time32MillisecondType>(TimeUnit::Milli, to),
            DataType::Time64(ArrowUnit::Microsecond) => self.scaled::<Time64MicrosecondType>(TimeUnit::Micro, to),
            DataType::Time64(ArrowUnit::Nanosecond) => self.scaled::<Time64NanosecondType>(TimeUnit::Nano, to),
            _ => Err(Misfit::Type),
        }
    }

    fn durations(&mut self, to: TimeUnit) -> Result<(), Misfit> {
        match self.array.data_type() {
            DataType::Duration(ArrowUnit::Second) => self.scaled::<DurationSecondType>(TimeUnit::Second, to),
            DataType::Duration(ArrowUnit::Millisecond) => self.scaled::<DurationMillisecondType>(TimeUnit::Milli, to),
            DataType::Duration(ArrowUnit::Microsecond) => self.scaled::<DurationMicrosecondType>(TimeUnit::Micro, to),
            DataType::Duration(ArrowUnit::Nanosecond) => self.scaled::<DurationNanosecondType>(TimeUnit::Nano, to),
            _ => Err(Misfit::Type),
        }
    }

    fn timestamps(&mut self, to: TimeUnit) -> Result<(), Misfit> {
        match self.array.data_type() {
            DataType::Timestamp(ArrowUnit::Second, _) => self.instants::<TimestampSecondType>(TimeUnit::Second, to),
            DataType::Timestamp(ArrowUnit::Millisecond, _) => {
                self.instants::<TimestampMillisecondType>(TimeUnit::Milli, to)
            }
            DataType::Timestamp(ArrowUnit::Microsecond, _) => {
                self.instants::<TimestampMicrosecondType>(TimeUnit::Micro, to)
            }
            DataType::Timestamp(ArrowUnit::Nanosecond, _) => {
                self.instants::<TimestampNanosecondType>(TimeUnit::Nano, to)
            }
            _ => Err(Misfit::Type),
        }
    }

    /// Nanoseconds since 1970 overflow 64 bits in the year 2262, so they get 128.
    fn instants<T: ArrowPrimitiveType<Native = i64>>(&mut self, from: TimeUnit, to: TimeUnit) -> Result<(), Misfit> {
        if to != TimeUnit::Nano {
            return self.scaled::<T>(from, to);
        }
        let factor = i128::from(per_second(to) / per_second(from));
        self.put::<T, 16>(|v| (i128::from(v) * factor).to_le_bytes())
    }

    fn scaled<T: ArrowPrimitiveType<Native: Into<i64>>>(&mut self, from: TimeUnit, to: TimeUnit) -> Result<(), Misfit> {
        let (have, want) = (per_second(from), per_second(to));
        if have == want {
            return self.put::<T, 8>(|v| v.into().to_le_bytes());
        }
        if have > want {
            let divisor = have / want;
            return self.try_put::<T, 8>(|v| match v.into() {
                v if v % divisor == 0 => Ok((v / divisor).to_le_bytes()),
                v => Err(format!("{v} {from} is not a whole number of {to}")),
            });
        }
        let factor = want / have;
        self.try_put::<T, 8>(|v| {
            let v = v.into();
            v.checked_mul(factor).map(i64::to_le_bytes).ok_or_else(|| format!("{v} {from} overflows 64 bits of {to}"))
        })
    }

    fn intervals(&mut self) -> Result<(), Misfit> {
        match self.array.data_type() {
            DataType::Interval(IntervalUnit::YearMonth) => {
                self.put::<IntervalYearMonthType, 16>(|months| interval(months, 0, 0))
            }
            DataType::Interval(IntervalUnit::DayTime) => {
                self.put::<IntervalDayTimeType, 16>(|v| interval(0, v.days, i64::from(v.milliseconds) * 1_000_000))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                self.put::<IntervalMonthDayNanoType, 16>(|v| interval(v.months, v.days, v.nanoseconds))
            }
            _ => Err(Misfit::Type),
        }
    }
}

fn interval(months: i32, days: i32, nanos: i64) -> [u8; 16] {
    let low = u128::from(months.cast_unsigned()) | u128::from(days.cast_unsigned()) << 32;
    (low | u128::from(nanos.cast_unsigned()) << 64).to_le_bytes()
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Milli => 1_000,
        TimeUnit::Micro => 1_000_000,
        TimeUnit::Nano => 1_000_000_000,
    }
}

/// The one NaN of the canonical float policy.
const NAN: u64 = 0x7FF8_0000_0000_0000;

/// The same in 32 bits.
const NAN_32: u32 = 0x7FC0_0000;

/// Widens exactly. A NaN keeps its sign and payload bit by bit: conversions by the processor may
/// change them, and not everywhere alike.
fn widened(value: f32) -> f64 {
    if !value.is_nan() {
        return value.into();
    }
    let bits = u64::from(value.to_bits());
    f64::from_bits((bits >> 31) << 63 | 0x7FF << 52 | (bits & 0x7F_FFFF) << 29)
}

fn widened_half(value: half::f16) -> f64 {
    if !value.is_nan() {
        return value.to_f64();
    }
    let bits = u64::from(value.to_bits());
    f64::from_bits((bits >> 15) << 63 | 0x7FF << 52 | (bits & 0x3FF) << 42)
}

fn narrowly_widened_half(value: half::f16) -> f32 {
    if !value.is_nan() {
        return value.to_f32();
    }
    let bits = u32::from(value.to_bits());
    f32::from_bits((bits >> 15) << 31 | 0xFF << 23 | (bits & 0x3FF) << 13)
}

/// The narrow float that was widened to this one, bit by bit.
fn narrowed(value: f64) -> Option<f32> {
    let bits = value.to_bits();
    let narrow = if value.is_nan() {
        let sign = if value.is_sign_negative() { 1 << 31 } else { 0 };
        f32::from_bits(sign | 0xFF << 23 | ((bits >> 29) as u32 & 0x7F_FFFF))
    } else {
        value as f32
    };
    (widened(narrow).to_bits() == bits).then_some(narrow)
}
