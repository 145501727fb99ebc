//! Exact decimals from their texts.

use super::{Refused, malformed};
use arrow_buffer::i256;

/// Digits of a number, before and after the point together, at most.
const DIGITS_MAX: usize = 200_000;
/// Size of an exponent, at most.
const EXPONENT_MAX: i64 = 200_000;

/// A number as its digits and the place of its point.
struct Number<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

fn read(text: &str) -> Option<Number<'_>> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (digits, exponent) = match rest.split_once(['e', 'E']) {
        Some((digits, exponent)) => {
            let plain = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            (digits, exponent.parse().ok().filter(|e: &i64| e.abs() <= EXPONENT_MAX)?)
        }
        None => (rest, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let some = !(whole.is_empty() && fraction.is_empty()) && whole.len() + fraction.len() <= DIGITS_MAX;
    (some && plain(whole) && plain(fraction)).then_some(Number { negative, whole, fraction, exponent })
}

const NO_NUMBER: &str = "it is no decimal number";

/// What is no finite number: a value of PostgreSQL's `numeric`, or nothing known.
fn not_finite(text: &str) -> Refused {
    if SPECIAL.contains(&text) { Refused::Beyond } else { malformed(NO_NUMBER) }
}

/// The special values of `numeric`.
const SPECIAL: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

impl Number<'_> {
    /// Calls `add` with each digit of the unscaled value at a scale; refuses digits beyond it that
    /// are not zero.
    fn digits(&self, scale: i8, mut add: impl FnMut(u8) -> Result<(), Refused>) -> Result<(), Refused> {
        // Position of the last kept digit, counted from the first digit of the number.
        let kept = self.whole.len() as i64 + self.exponent + i64::from(scale);
        let mut leading = true;
        let mut position = 0_i64;
        for byte in self.whole.bytes().chain(self.fraction.bytes()) {
            let digit = byte - b'0';
            if position >= kept {
                if digit != 0 {
                    return Err(Refused::Beyond);
                }
            } else {
                leading &= digit == 0;
                if !leading {
                    add(digit)?;
                }
            }
            position += 1;
        }
        if !leading {
            while position < kept {
                add(0)?;
                position += 1;
            }
        }
        Ok(())
    }
}

/// The unscaled value of a text at a scale.
pub(super) fn at_scale(text: &str, scale: i8) -> Result<i128, Refused> {
    let number = read(text).ok_or_else(|| not_finite(text))?;
    let mut value = 0_i128;
    // Counted down from zero, so that the smallest value fits.
    number.digits(scale, |digit| {
        let next = value.checked_mul(10).and_then(|value| value.checked_sub(i128::from(digit)));
        value = next.ok_or(Refused::Beyond)?;
        Ok(())
    })?;
    let value = if number.negative { value } else { value.checked_neg().ok_or(Refused::Beyond)? };
    // 38 digits are what a decimal column of 128 bits holds.
    if value.unsigned_abs() < 10_u128.pow(38) { Ok(value) } else { Err(Refused::Beyond) }
}

/// The same with 256 bits.
pub(super) fn wide_at_scale(text: &str, scale: i8) -> Result<i256, Refused> {
    let number = read(text).ok_or_else(|| not_finite(text))?;
    let mut value = i256::ZERO;
    let mut digits = 0;
    number.digits(scale, |digit| {
        digits += 1;
        let next = value
            .checked_mul(i256::from_i128(10))
            .and_then(|value| value.checked_sub(i256::from_i128(i128::from(digit))));
        // 76 digits are what a decimal column of 256 bits holds.
        value = next.filter(|_| digits <= 76).ok_or(Refused::Beyond)?;
        Ok(())
    })?;
    Ok(if number.negative { value } else { value.checked_neg().ok_or(Refused::Beyond)? })
}

/// A number of any size, as its own text; also the special values of `numeric`.
pub(super) fn any(text: &str) -> Result<&str, Refused> {
    if SPECIAL.contains(&text) || read(text).is_some() { Ok(text) } else { Err(malformed(NO_NUMBER)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("10.00", 2, Some(1000))]
    #[case("10", 2, Some(1000))]
    #[case("-0.010", 2, Some(-1))]
    #[case("0.001", 2, None)]
    #[case("1e3", 0, Some(1000))]
    #[case("1.5E-2", 3, Some(15))]
    #[case("1.5E-2", 2, None)]
    #[case("1200", -2, Some(12))]
    #[case("1201", -2, None)]
    #[case(".5", 1, Some(5))]
    #[case("5.", 1, Some(50))]
    #[case(".", 1, None)]
    #[case("", 1, None)]
    #[case("--1", 1, None)]
    #[case("1 ", 1, None)]
    #[case("1e", 1, None)]
    #[case("1e+-3", 1, None)]
    #[case("NaN", 1, None)]
    #[case("99999999999999999999999999999999999999", 0, Some(99_999_999_999_999_999_999_999_999_999_999_999_999))]
    #[case("100000000000000000000000000000000000000", 0, None)]
    #[case("0e999", 0, Some(0))]
    #[case("1e200000", 0, None)]
    #[case("1e200001", 0, None)]
    fn decimals_are_exact_or_refused(#[case] text: &str, #[case] scale: i8, #[case] value: Option<i128>) {
        assert_eq!(at_scale(text, scale).ok(), value);
        assert_eq!(wide_at_scale(text, scale).ok().and_then(i256::to_i128).filter(|_| value.is_some()), value);
    }

    proptest! {
        #[test]
        fn a_printed_decimal_reads_back(value in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u32..38) {
            let sign = if value < 0 { "-" } else { "" };
            let (size, unit) = (value.unsigned_abs(), 10_u128.pow(scale));
            let width = scale as usize;
            let text = format!("{sign}{}.{:0width$}", size / unit, size % unit);
            let text = if scale == 0 { text.trim_end_matches(".0").to_owned() } else { text };
            prop_assert_eq!(at_scale(&text, i8::try_from(scale).unwrap()).unwrap(), value);
        }
    }
}
