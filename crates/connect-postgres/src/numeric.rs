//! `numeric` in its binary form: base-10000 digits with a weight, a sign and a display scale.
//!
//! Source: PostgreSQL, `numeric.c` (`numeric_send`): number of digits, weight of the first digit,
//! sign, display scale (each `int16`), digits.

use crate::bytes::Reader;
use crate::errors::malformed;
use arrow_buffer::i256;
use paritas_connect::Result;
use paritas_ledger::{Amount, Decimal};
use std::fmt::Write as _;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const POSITIVE_INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
/// Decimal digits in one digit.
const WIDTH: i32 = 4;

struct Parts<'a> {
    weight: i16,
    sign: u16,
    scale: u16,
    digits: &'a [u8],
}

impl Parts<'_> {
    fn digits(&self) -> impl DoubleEndedIterator<Item = u16> + ExactSizeIterator + '_ {
        self.digits
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0)]))
    }

    fn special(&self) -> Option<&'static str> {
        match self.sign {
            NAN => Some("NaN"),
            POSITIVE_INFINITY => Some("Infinity"),
            NEGATIVE_INFINITY => Some("-Infinity"),
            _ => None,
        }
    }

    /// Decimal digits after the point that are needed to write the value.
    fn scale_needed(&self) -> i32 {
        let count = i32::try_from(self.digits.len() / 2).unwrap_or(i32::MAX);
        let Some(last) = self.digits().next_back() else { return 0 };
        let zeros = (0..WIDTH).take_while(|power| last % 10_u16.pow(power.unsigned_abs() + 1) == 0).count();
        ((count - 1 - i32::from(self.weight)) * WIDTH - i32::try_from(zeros).unwrap_or(0)).max(0)
    }
}

fn parts(value: &[u8]) -> Result<Parts<'_>> {
    let mut reader = Reader::new(value);
    let count = usize::from(reader.u16()?);
    let (weight, sign, scale) = (reader.i16()?, reader.u16()?, reader.u16()?);
    let digits = reader.take(count * 2)?;
    reader.end()?;
    let parts = Parts { weight, sign, scale, digits };
    if parts.digits().any(|digit| digit > 9_999) {
        return Err(malformed("a numeric with a digit above 9999"));
    }
    Ok(parts)
}

/// Appends the form in which equal numbers have equal bytes: no zero digits at either end, and the
/// smallest display scale that shows all of it.
pub(crate) fn strip(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut parts = parts(value)?;
    if parts.special().is_some() {
        out.extend_from_slice(value);
        return Ok(());
    }
    while let Some(rest) = parts.digits.strip_suffix(&[0, 0]) {
        parts.digits = rest;
    }
    while let Some(rest) = parts.digits.strip_prefix(&[0, 0]) {
        parts.digits = rest;
        parts.weight = parts.weight.checked_sub(1).ok_or_else(|| malformed("a numeric out of range"))?;
    }
    if parts.digits.is_empty() {
        (parts.weight, parts.sign) = (0, 0);
    }
    let scale = u16::try_from(parts.scale_needed()).map_err(|_| malformed("a numeric out of range"))?;
    let count = u16::try_from(parts.digits.len() / 2).map_err(|_| malformed("a numeric out of range"))?;
    for word in [count, parts.weight.cast_unsigned(), parts.sign, scale] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(parts.digits);
    Ok(())
}

/// The value as an amount, with as many digits after the point as its display scale says.
pub(crate) fn amount(value: &[u8]) -> Result<Amount> {
    let parts = parts(value)?;
    match parts.sign {
        NAN => return Ok(Amount::NotANumber),
        POSITIVE_INFINITY => return Ok(Amount::Infinity),
        NEGATIVE_INFINITY => return Ok(Amount::NegativeInfinity),
        _ => {}
    }
    let (negative, weight) = (parts.sign == NEGATIVE, i32::from(parts.weight));
    let decimal = Decimal::from_base_10000(negative, weight, parts.digits(), parts.scale.into());
    decimal.map(Amount::Finite).map_err(|error| malformed("a numeric out of range").because(error))
}

/// The value as text, with as many digits after the point as its display scale says; with
/// `normal`, only as many as it needs.
pub(crate) fn text(value: &[u8], normal: bool) -> Result<String> {
    let parts = parts(value)?;
    if let Some(word) = parts.special() {
        return Ok(word.to_owned());
    }
    let scale = if normal { parts.scale_needed() } else { i32::from(parts.scale) };
    let digit = |power: i32| {
        let index = i32::from(parts.weight) - power;
        usize::try_from(index).ok().and_then(|index| parts.digits().nth(index)).unwrap_or(0)
    };
    let mut text = String::new();
    for power in (0..=i32::from(parts.weight).max(0)).rev() {
        // Writing to a string cannot fail.
        let _ = if text.is_empty() || text == "0" {
            text.clear();
            write!(text, "{}", digit(power))
        } else {
            write!(text, "{:04}", digit(power))
        };
    }
    if scale > 0 {
        let mut fraction = String::new();
        for power in 1..=(scale + WIDTH - 1) / WIDTH {
            let _ = write!(fraction, "{:04}", digit(-power));
        }
        fraction.truncate(usize::try_from(scale).unwrap_or(0));
        let _ = write!(text, ".{fraction}");
    }
    let zero = text.bytes().all(|b| b == b'0' || b == b'.');
    Ok(if parts.sign == NEGATIVE && !zero { format!("-{text}") } else { text })
}

/// The value times ten to the `scale`, if that is a whole number that fits; `None` otherwise.
pub(crate) fn unscaled(value: &[u8], scale: i8) -> Result<Option<i256>> {
    let parts = parts(value)?;
    if parts.special().is_some() {
        return Ok(None);
    }
    let ten_thousand = i256::from_i128(10_000);
    let mut sum = i256::ZERO;
    for digit in parts.digits() {
        let next = sum.checked_mul(ten_thousand).and_then(|sum| sum.checked_add(i256::from_i128(digit.into())));
        let Some(next) = next else { return Ok(None) };
        sum = next;
    }
    let count = i32::try_from(parts.digits.len() / 2).unwrap_or(i32::MAX);
    // The last digit stands for 10^(4 * this).
    let shift = (i32::from(parts.weight) - count + 1) * WIDTH + i32::from(scale);
    let ten = i256::from_i128(10);
    if sum == i256::ZERO {
        return Ok(Some(sum));
    }
    for _ in 0..shift.abs() {
        let next = if shift > 0 {
            sum.checked_mul(ten)
        } else {
            sum.checked_rem(ten).filter(|rest| *rest == i256::ZERO).and_then(|_| sum.checked_div(ten))
        };
        let Some(next) = next else { return Ok(None) };
        sum = next;
    }
    Ok(Some(if parts.sign == NEGATIVE { sum.wrapping_neg() } else { sum }))
}

#[cfg(test)]
#[path = "numeric_tests.rs"]
mod tests;
