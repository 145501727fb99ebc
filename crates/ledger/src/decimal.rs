//! Decimals of any size, and what a numeric column may hold beside them.

use crate::whole::Whole;
use crate::{Malformed, take_array};
use num_bigint::BigInt;
use std::cmp::Ordering;
use std::fmt;

/// Digits before or after the point, at most. PostgreSQL's `numeric`, the widest type of any store,
/// ends at 131,072 before and 16,383 after it.
pub const DIGITS_MAX: u32 = 150_000;

/// A text that is no number, or one with more digits than [`DIGITS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no number, or one with too many digits")
    }
}

impl std::error::Error for OutOfRange {}

/// A finite decimal: a whole number and how many of its digits stand after the point. 1.0 and 1.00
/// are equal.
#[derive(Debug, Clone)]
pub struct Decimal {
    unscaled: Whole,
    scale: u32,
}

impl Default for Decimal {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Decimal {
    /// 0.
    pub const ZERO: Self = Self { unscaled: Whole::Small(0), scale: 0 };

    /// `unscaled` times ten to minus `scale`.
    pub fn new(unscaled: i128, scale: i32) -> Self {
        Self::scaled(Whole::Small(unscaled), scale)
    }

    /// The same from a number of any size, as little-endian two's complement.
    pub fn from_le_bytes(unscaled: &[u8], scale: i32) -> Self {
        Self::scaled(Whole::of(BigInt::from_signed_bytes_le(unscaled)), scale)
    }

    fn scaled(unscaled: Whole, scale: i32) -> Self {
        match u32::try_from(scale) {
            Ok(scale) => Self { unscaled, scale },
            Err(_) => Self { unscaled: unscaled.shifted(scale.unsigned_abs()), scale: 0 },
        }
    }

    /// The number whose digits to the base of 10,000 these are, the first of which counts
    /// 10,000 to the `weight`; shown with at least `shown_scale` digits after the point. This is the form
    /// in which PostgreSQL sends a `numeric`.
    ///
    /// # Errors
    /// A digit above 9,999, or more digits than [`DIGITS_MAX`].
    pub fn from_base_10000(
        negative: bool,
        weight: i32,
        digits: impl ExactSizeIterator<Item = u16>,
        shown_scale: u32,
    ) -> Result<Self, OutOfRange> {
        const WIDTH: i32 = 4;
        const SMALL_DIGITS: usize = 9;
        let count = i32::try_from(digits.len()).map_err(|_| OutOfRange)?;
        let within = |places: i32| places.unsigned_abs() <= DIGITS_MAX;
        // How many decimal digits stand after the point of the last digit.
        let scale = (count - 1).checked_sub(weight).and_then(|after| after.checked_mul(WIDTH)).ok_or(OutOfRange)?;
        if !within(scale) || !within(count.saturating_mul(WIDTH)) || shown_scale > DIGITS_MAX {
            return Err(OutOfRange);
        }
        let mut unscaled = if digits.len() <= SMALL_DIGITS {
            let mut small = 0_i128;
            for digit in digits {
                small = small * 10_000 + i128::from(checked(digit)?);
            }
            Whole::Small(small)
        } else {
            let mut text = String::with_capacity(digits.len() * 4);
            for digit in digits {
                use fmt::Write as _;
                // Writing to a string cannot fail.
                let _ = write!(text, "{:04}", checked(digit)?);
            }
            Whole::from_digits(&text).ok_or(OutOfRange)?
        };
        if negative {
            unscaled = unscaled.negated();
        }
        let mut decimal = Self::scaled(unscaled, scale);
        decimal.show_with(shown_scale);
        Ok(decimal)
    }

    /// Gives it a scale for being shown, as far as no digit is lost.
    fn show_with(&mut self, scale: u32) {
        if self.scale < scale {
            self.unscaled = self.unscaled.shifted(scale - self.scale);
            self.scale = scale;
        } else if self.scale > scale {
            let digits = self.unscaled.digits();
            let zeros = digits.bytes().rev().take_while(|digit| *digit == b'0').count();
            let spare = (self.scale - scale).min(u32::try_from(zeros).unwrap_or(u32::MAX));
            let kept = digits.len().saturating_sub(spare as usize);
            let cut = Whole::from_digits(digits.get(..kept).filter(|kept| !kept.is_empty()).unwrap_or("0"));
            if let Some(cut) = cut {
                self.unscaled = if self.unscaled.is_negative() { cut.negated() } else { cut };
                self.scale -= spare;
            }
            if self.unscaled.is_zero() {
                self.scale = scale;
            }
        }
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.unscaled.is_zero()
    }

    /// Adds another one, exactly.
    pub fn add(&mut self, other: &Self) {
        match self.scale.cmp(&other.scale) {
            Ordering::Equal => self.unscaled.add(&other.unscaled),
            Ordering::Greater => self.unscaled.add(&other.unscaled.shifted(self.scale - other.scale)),
            Ordering::Less => {
                self.unscaled = self.unscaled.shifted(other.scale - self.scale);
                self.scale = other.scale;
                self.unscaled.add(&other.unscaled);
            }
        }
    }

    /// Takes another one away, exactly.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut difference = Self { unscaled: other.unscaled.negated(), scale: other.scale };
        difference.add(self);
        difference
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.unscaled.heap_bytes()
    }

    /// Appends it as bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.scale.to_le_bytes());
        self.unscaled.encode(out);
    }

    /// Reads it back from the front.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let scale = u32::from_le_bytes(take_array(bytes)?);
        Ok(Self { scale, unscaled: Whole::decode(bytes)? })
    }
}

fn checked(digit: u16) -> Result<u16, OutOfRange> {
    if digit <= 9_999 { Ok(digit) } else { Err(OutOfRange) }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.scale.cmp(&other.scale) {
            Ordering::Equal => self.unscaled.order(&other.unscaled),
            Ordering::Greater => self.unscaled.order(&other.unscaled.shifted(self.scale - other.scale)),
            Ordering::Less => self.unscaled.shifted(other.scale - self.scale).order(&other.unscaled),
        }
    }
}

impl fmt::Display for Decimal {
    /// All digits, none of them in an exponent: `-12.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", self.unscaled.digits(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if self.unscaled.is_negative() { "-" } else { "" };
        match fraction {
            "" => write!(f, "{sign}{whole}"),
            fraction => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}

impl std::str::FromStr for Decimal {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse()? {
            Amount::Finite(decimal) => Ok(decimal),
            Amount::NotANumber | Amount::Infinity | Amount::NegativeInfinity => Err(OutOfRange),
        }
    }
}

/// What a numeric column may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// A number.
    Finite(Decimal),
    /// `NaN`.
    NotANumber,
    /// `Infinity`.
    Infinity,
    /// `-Infinity`.
    NegativeInfinity,
}

impl std::str::FromStr for Amount {
    type Err = OutOfRange;

    /// Reads a number with an optional sign, point and exponent, spaces around it, and the words for what
    /// is no number or no finite one, in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_matches(' ');
        let (negative, body) = match text.strip_prefix('-') {
            Some(body) => (true, body),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if body.eq_ignore_ascii_case("nan") {
            return Ok(Self::NotANumber);
        }
        if body.eq_ignore_ascii_case("infinity") || body.eq_ignore_ascii_case("inf") {
            return Ok(if negative { Self::NegativeInfinity } else { Self::Infinity });
        }
        let (mantissa, exponent) = match body.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| OutOfRange)?),
            None => (body, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let length = u32::try_from(mantissa.len()).unwrap_or(u32::MAX);
        if exponent.unsigned_abs() > DIGITS_MAX || length > 2 * DIGITS_MAX {
            return Err(OutOfRange);
        }
        let unscaled = Whole::from_digits(&format!("{whole}{fraction}")).ok_or(OutOfRange)?;
        let unscaled = if negative { unscaled.negated() } else { unscaled };
        let places = i32::try_from(fraction.len()).map_err(|_| OutOfRange)?;
        Ok(Self::Finite(Decimal::scaled(unscaled, places - exponent)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "decimal_tests.rs"]
mod tests;
