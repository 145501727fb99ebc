//! Exact sums of decimal texts.

use std::fmt;

/// Digits behind the point that are kept at most; what has more is no amount.
const SCALE_MAX: u32 = 30;

/// A decimal number: `mantissa / 10^scale`. All arithmetic is exact, or there is no result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    mantissa: i128,
    scale: u32,
}

impl Amount {
    /// From a store's text: digits, a sign, a point, an exponent. `None` for everything else, such as `NaN`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut mantissa = 0_i128;
        for digit in whole.chars().chain(fraction.chars()) {
            let digit = i128::from(digit.to_digit(10)?);
            mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let mantissa = if negative { -mantissa } else { mantissa };
        match u32::try_from(scale) {
            Ok(scale) if scale <= SCALE_MAX => Some(Self { mantissa, scale }),
            Ok(_) => None,
            Err(_) => {
                let factor = 10_i128.checked_pow(scale.unsigned_abs())?;
                Some(Self { mantissa: mantissa.checked_mul(factor)?, scale: 0 })
            }
        }
    }

    /// The sum, unless it has too many digits.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let mantissa = self.at(scale)?.checked_add(other.at(scale)?)?;
        Some(Self { mantissa, scale })
    }

    /// The difference, unless it has too many digits.
    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self { mantissa: other.mantissa.checked_neg()?, scale: other.scale })
    }

    fn at(self, scale: u32) -> Option<i128> {
        self.mantissa.checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = self.scale as usize;
        let sign = if self.mantissa < 0 { "-" } else { "" };
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1234.50", Some("1234.50"))]
    #[case("-0.05", Some("-0.05"))]
    #[case("0", Some("0"))]
    #[case("1e-07", Some("0.0000001"))]
    #[case("1.5e+3", Some("1500"))]
    #[case("1.25e+1", Some("12.5"))]
    #[case("9223372036854775807", Some("9223372036854775807"))]
    #[case("NaN", None)]
    #[case("Infinity", None)]
    #[case("", None)]
    #[case("-", None)]
    #[case("1e-300", None)]
    #[case("1e300", None)]
    #[case("1e99999999999", None)]
    #[case("9999999999999999999999999999999999999999", None)]
    fn amounts_are_read_exactly_or_not_at_all(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(Amount::parse(text).map(|amount| amount.to_string()).as_deref(), expected);
    }

    #[rstest]
    #[case("0.10", "0.2", "0.30", "-0.10")]
    #[case("1000000000000000000000.01", "-1000000000000000000000", "0.01", "2000000000000000000000.01")]
    #[case("-5", "20", "15", "-25")]
    fn sums_and_differences_are_exact(#[case] a: &str, #[case] b: &str, #[case] sum: &str, #[case] difference: &str) {
        let (a, b) = (Amount::parse(a).unwrap(), Amount::parse(b).unwrap());
        assert_eq!(
            (a.plus(b).unwrap().to_string().as_str(), a.minus(b).unwrap().to_string().as_str()),
            (sum, difference)
        );
    }
}
