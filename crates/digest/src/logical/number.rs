//! Decimals: rescaling without loss, and decimals of any size as text.

use arrow_buffer::i256;

/// Largest exponent read from a text, in magnitude: PostgreSQL's `numeric` ends at 131,072 digits
/// before and 16,383 after the point.
const EXPONENT_MAX: i64 = 150_000;

pub(crate) fn rescale_i128(value: i128, from: i8, to: i8) -> Result<i128, String> {
    let shift = i32::from(to) - i32::from(from);
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    match (shift >= 0, power) {
        _ if value == 0 => Ok(0),
        (true, Some(power)) => value.checked_mul(power).ok_or_else(|| too_large(&value.to_string(), from, to)),
        (false, Some(power)) if value % power == 0 => Ok(value / power),
        (true, None) => Err(too_large(&value.to_string(), from, to)),
        (false, _) => Err(too_fine(&value.to_string(), from, to)),
    }
}

pub(crate) fn rescale_i256(value: i256, from: i8, to: i8) -> Result<i256, String> {
    let shift = i32::from(to) - i32::from(from);
    if shift == 0 || value == i256::ZERO {
        return Ok(value);
    }
    let power = i256::from_i128(10).checked_pow(shift.unsigned_abs());
    if shift > 0 {
        let scaled = power.and_then(|power| value.checked_mul(power));
        return scaled.ok_or_else(|| too_large(&value.to_string(), from, to));
    }
    let exact = power.filter(|power| value.checked_rem(*power) == Some(i256::ZERO));
    exact.and_then(|power| value.checked_div(power)).ok_or_else(|| too_fine(&value.to_string(), from, to))
}

fn too_large(digits: &str, from: i8, to: i8) -> String {
    format!("{digits} at scale {from} is too large for scale {to}")
}

fn too_fine(digits: &str, from: i8, to: i8) -> String {
    format!("{digits} at scale {from} has more digits after the point than scale {to} keeps")
}

/// Writes an unscaled integer as a number, with all its digits after the point.
pub(crate) fn from_unscaled(unscaled: &str, scale: i8) -> String {
    let (sign, digits) = match unscaled.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", unscaled),
    };
    let Ok(scale) = usize::try_from(scale) else {
        let zeros = "0".repeat(usize::from(scale.unsigned_abs()));
        return format!("{sign}{digits}{zeros}");
    };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A number's one text: no plus sign, no exponent, no needless zeros in front, no sign on zero;
/// unless `keep_scale`, no needless zeros at the end. `None` for what is no number.
pub(crate) fn normalised(text: &str, keep_scale: bool) -> Option<String> {
    let text = text.trim_matches(' ');
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    match body.to_ascii_lowercase().as_str() {
        "nan" => return Some("NaN".to_owned()),
        "inf" | "infinity" => return Some(if negative { "-Infinity" } else { "Infinity" }.to_owned()),
        _ => {}
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !all_digits || (whole.is_empty() && fraction.is_empty()) || exponent.abs() > EXPONENT_MAX {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let point = whole.len() as i64 + exponent;
    let (whole, fraction) = if point <= 0 {
        let zeros = "0".repeat(usize::try_from(-point).ok()?);
        (String::new(), format!("{zeros}{digits}"))
    } else {
        let point = usize::try_from(point).ok()?;
        let digits = format!("{digits:0<point$}");
        let (whole, fraction) = digits.split_at(point);
        (whole.to_owned(), fraction.to_owned())
    };
    let whole = whole.trim_start_matches('0');
    let fraction = if keep_scale { fraction.as_str() } else { fraction.trim_end_matches('0') };
    let zero = whole.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    let sign = if negative && !zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", "0", "0")]
    #[case("-0.00", "0", "0.00")]
    #[case("+001.50", "1.5", "1.50")]
    #[case("1e3", "1000", "1000")]
    #[case("1.25E-3", "0.00125", "0.00125")]
    #[case("12.5e1", "125", "125")]
    #[case(".5", "0.5", "0.5")]
    #[case("5.", "5", "5")]
    #[case("-12.340", "-12.34", "-12.340")]
    #[case("nan", "NaN", "NaN")]
    #[case("-inf", "-Infinity", "-Infinity")]
    #[case("Infinity", "Infinity", "Infinity")]
    #[case("100", "100", "100")]
    #[case("0e5", "0", "0")]
    fn every_number_has_one_text(#[case] text: &str, #[case] by_value: &str, #[case] exact: &str) {
        assert_eq!(normalised(text, false).unwrap(), by_value);
        assert_eq!(normalised(text, true).unwrap(), exact);
    }

    #[rstest]
    #[case("")]
    #[case(" ")]
    #[case("-")]
    #[case(".")]
    #[case("1,5")]
    #[case("0x10")]
    #[case("1e")]
    #[case("1e999999")]
    #[case("--1")]
    #[case("1.2.3")]
    #[case("e5")]
    #[case("١")]
    fn what_is_no_number_is_refused(#[case] text: &str) {
        assert_eq!(normalised(text, false), None);
    }

    #[rstest]
    #[case(150, 2, "1.50")]
    #[case(-5, 3, "-0.005")]
    #[case(7, 0, "7")]
    #[case(7, -2, "700")]
    #[case(0, 2, "0.00")]
    fn unscaled_integers_are_written_with_their_scale(#[case] unscaled: i128, #[case] scale: i8, #[case] text: &str) {
        assert_eq!(from_unscaled(&unscaled.to_string(), scale), text);
    }

    #[test]
    fn rescaling_is_exact_or_refused() {
        assert_eq!(rescale_i128(150, 2, 4), Ok(15_000));
        assert_eq!(rescale_i128(150, 2, 1), Ok(15));
        assert!(rescale_i128(155, 2, 1).is_err());
        assert!(rescale_i128(i128::MAX, 0, 1).is_err());
        assert_eq!(rescale_i128(0, 0, 100), Ok(0));
        assert!(rescale_i256(i256::MAX, 0, 1).is_err());
        assert_eq!(rescale_i256(i256::from_i128(-150), 2, 1), Ok(i256::from_i128(-15)));
        assert!(rescale_i256(i256::from_i128(-155), 2, 1).is_err());
    }

    proptest! {
        #[test]
        fn both_widths_rescale_alike(value in -1_000_000_i128..1_000_000, from in -5_i8..10, to in -5_i8..10) {
            let wide = rescale_i256(i256::from_i128(value), from, to).map(|v| v.to_i128().unwrap());
            prop_assert_eq!(rescale_i128(value, from, to), wide);
        }

        #[test]
        fn normalising_twice_changes_nothing(text in "[+-]?[0-9]{1,8}(\\.[0-9]{0,8})?(e-?[0-9])?", keep: bool) {
            let once = normalised(&text, keep).unwrap();
            prop_assert_eq!(normalised(&once, keep).unwrap(), once);
        }
    }
}
