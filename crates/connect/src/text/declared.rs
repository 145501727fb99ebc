//! Columns of a declared type, which may be narrower than the arrays that carry them.

use super::{Refused, TextColumn, Values, malformed};
use arrow_buffer::i256;
use paritas_digest::{Policies, Slot};
use paritas_model::{LogicalType, TimeUnit};

/// Which values a declared type has, where its arrays hold more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    /// All of them.
    None,
    /// Integers from here to there.
    Int(i64, i64),
    /// Unsigned integers up to this.
    Unsigned(u64),
    /// Decimals whose digits, taken for an integer, are below this.
    Decimal(i128),
    /// The same with 256 bits.
    Wide(i256),
}

fn within<T>(value: T, inside: bool) -> Result<T, Refused> {
    if inside { Ok(value) } else { Err(Refused::Beyond) }
}

impl Bound {
    pub(super) fn int(self, value: i64) -> Result<i64, Refused> {
        match self {
            Self::Int(low, high) => within(value, (low..=high).contains(&value)),
            _ => Ok(value),
        }
    }

    pub(super) fn unsigned(self, value: u64) -> Result<u64, Refused> {
        match self {
            Self::Unsigned(high) => within(value, value <= high),
            _ => Ok(value),
        }
    }

    pub(super) fn decimal(self, value: i128) -> Result<i128, Refused> {
        match self {
            Self::Decimal(end) => within(value, value > -end && value < end),
            _ => Ok(value),
        }
    }

    pub(super) fn wide(self, value: i256) -> Result<i256, Refused> {
        match self {
            Self::Wide(end) => within(value, value > end.wrapping_neg() && value < end),
            _ => Ok(value),
        }
    }
}

/// Ten to that power.
fn power(digits: u8) -> Option<i256> {
    i256::from_i128(10).checked_pow(digits.into())
}

/// Ticks in a day.
fn day(unit: TimeUnit) -> i64 {
    86_400
        * match unit {
            TimeUnit::Second => 1,
            TimeUnit::Milli => 1_000,
            TimeUnit::Micro => 1_000_000,
            TimeUnit::Nano => 1_000_000_000,
        }
}

impl TextColumn {
    /// A column of a declared type, whose values are not adapted to another side; nothing where texts cannot mean
    /// values of that type.
    pub fn of(logical: &LogicalType) -> Option<Self> {
        use LogicalType as L;
        let (slot, bound) = match logical {
            L::Bool => (Slot::Bool, Bound::None),
            L::Int { bits: 64, signed: true } => (Slot::Int, Bound::None),
            L::Int { bits: 64, signed: false } => (Slot::BigInt, Bound::None),
            L::Int { bits: bits @ 1..=63, signed: true } => {
                let end = 1_i64 << (bits - 1);
                (Slot::Int, Bound::Int(-end, end - 1))
            }
            L::Int { bits: bits @ 1..=63, signed: false } => (Slot::BigInt, Bound::Unsigned((1 << bits) - 1)),
            L::Float { bits: 32 } => (Slot::Float32, Bound::None),
            L::Float { bits: 64 } => (Slot::Float, Bound::None),
            L::Decimal { precision: digits @ 1..=38, scale } => {
                (Slot::Decimal { scale: *scale }, Bound::Decimal(power(*digits)?.to_i128()?))
            }
            L::Decimal { precision: digits @ 39..=76, scale } => {
                (Slot::WideDecimal { scale: *scale }, Bound::Wide(power(*digits)?))
            }
            L::DecimalAny => (Slot::DecimalAny, Bound::None),
            L::Text => (Slot::Text, Bound::None),
            L::Json => (Slot::Json, Bound::None),
            L::Bytes => (Slot::Bytes, Bound::None),
            L::Uuid => (Slot::Uuid, Bound::None),
            L::Date => (Slot::Date, Bound::None),
            L::Time { unit } => (Slot::Time(*unit), Bound::None),
            L::Timestamp { unit, zoned } => (Slot::Timestamp { unit: *unit, zoned: *zoned }, Bound::None),
            _ => return None,
        };
        Self::new(&slot, Policies::default()).map(|column| Self { bound, ..column })
    }

    /// Appends a date as days since 1970-01-01, a time of day as units since midnight, or a timestamp as units since
    /// 1970-01-01T00:00:00. Nothing is appended where it is refused.
    ///
    /// # Errors
    /// Why the number is no value of this column.
    pub fn push_ticks(&mut self, ticks: i64) -> Result<(), Refused> {
        let clock = |unit| {
            let inside = (0..=day(unit)).contains(&ticks);
            within(ticks, inside).map_err(|_| malformed("it is no time of day: a day is shorter"))
        };
        let narrow = |ticks| i32::try_from(ticks).map_err(|_| Refused::Beyond);
        match &mut self.values {
            Values::Date(b) => b.append_value(narrow(ticks)?),
            Values::Seconds(b) => b.append_value(narrow(clock(TimeUnit::Second)?)?),
            Values::Millis(b) => b.append_value(narrow(clock(TimeUnit::Milli)?)?),
            Values::Micros(b) => b.append_value(clock(TimeUnit::Micro)?),
            Values::Nanos(b) => b.append_value(clock(TimeUnit::Nano)?),
            Values::Timestamp(instants, _) => instants.push(Some(ticks)),
            _ => return Err(malformed("it is a number, and the column holds no times")),
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(LogicalType::Int { bits: 8, signed: true }, &["127", "-128", "1e2"], &["128", "-129"])]
    #[case(LogicalType::Int { bits: 16, signed: false }, &["0", "65535"], &["65536", "-1"])]
    #[case(LogicalType::Int { bits: 64, signed: false }, &["18446744073709551615"], &["18446744073709551616"])]
    #[case(LogicalType::Decimal { precision: 4, scale: 2 }, &["99.99", "-99.99", "0.10"], &["100", "-100.00", "0.001"])]
    #[case(LogicalType::Decimal { precision: 2, scale: -2 }, &["9900"], &["10000", "50"])]
    #[case(LogicalType::Decimal { precision: 39, scale: 0 }, &["999999999999999999999999999999999999999"], &["1e39", "-1e39"])]
    #[case(LogicalType::Decimal { precision: 76, scale: 0 }, &["1e75"], &["1e76"])]
    #[case(LogicalType::DecimalAny, &["1e3000", "NaN"], &[])]
    #[case(LogicalType::Text, &["", "x"], &[])]
    fn values_of_a_declared_type_are_those_it_has(
        #[case] logical: LogicalType,
        #[case] good: &[&str],
        #[case] beyond: &[&str],
    ) {
        let mut column = TextColumn::of(&logical).unwrap();
        good.iter().for_each(|text| column.push(text).unwrap());
        for text in beyond {
            assert_eq!(column.push(text), Err(Refused::Beyond), "{text}");
        }
        assert_eq!(column.finish().len(), good.len());
    }

    #[rstest]
    #[case(LogicalType::Date, &[0, -719_162], &[1 << 40])]
    #[case(LogicalType::Time { unit: TimeUnit::Milli }, &[0, 86_400_000], &[-1, 86_400_001])]
    #[case(LogicalType::Time { unit: TimeUnit::Nano }, &[86_399_999_999_999], &[86_400_000_000_001])]
    #[case(LogicalType::Timestamp { unit: TimeUnit::Micro, zoned: true }, &[i64::MIN, i64::MAX], &[])]
    #[case(LogicalType::Int { bits: 64, signed: true }, &[], &[1])]
    fn times_are_also_numbers(#[case] logical: LogicalType, #[case] good: &[i64], #[case] bad: &[i64]) {
        let mut column = TextColumn::of(&logical).unwrap();
        good.iter().for_each(|ticks| column.push_ticks(*ticks).unwrap());
        bad.iter().for_each(|ticks| assert!(column.push_ticks(*ticks).is_err(), "{ticks}"));
        assert_eq!(column.finish().len(), good.len());
    }

    #[test]
    fn types_without_a_text_form_have_no_column() {
        assert!(TextColumn::of(&LogicalType::Interval).is_none());
        assert!(TextColumn::of(&LogicalType::Other("tsvector".into())).is_none());
    }
}
