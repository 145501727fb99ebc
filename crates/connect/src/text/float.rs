//! Binary floats from their texts.
//!
//! A text stands for the float nearest to it, in the width of the column that it is compared with: `0.1`
//! is the 32-bit 0.1 there. Texts of more digits than tell any two floats apart say more than that:
//! such a text is the float only if these digits are the float's own.

use super::{Refused, malformed};

/// Digits that tell any two floats of 64 bits apart. Source: IEEE 754, 5.12.2.
const DOUBLE_DIGITS: usize = 17;
/// The same for 32 bits.
const SINGLE_DIGITS: usize = 9;
/// Digits of a text that are looked at: no float of 64 bits has more after its first one.
const DIGITS_MAX: usize = 800;

/// A float of 64 bits.
pub(super) fn double(text: &str) -> Result<f64, Refused> {
    let value: f64 = text.parse().map_err(|_| malformed("it is no number"))?;
    checked(text, value, DOUBLE_DIGITS).map(|()| value)
}

/// A float of 32 bits.
pub(super) fn single(text: &str) -> Result<f32, Refused> {
    let value: f32 = text.parse().map_err(|_| malformed("it is no number"))?;
    checked(text, value.into(), SINGLE_DIGITS).map(|()| value)
}

/// Refuses a text that the float nearest to it does not stand for.
fn checked(text: &str, value: f64, enough: usize) -> Result<(), Refused> {
    // Most texts are short, and neither overflow nor vanish.
    if text.len() <= enough && value.is_finite() && value != 0.0 {
        return Ok(());
    }
    let digits = digits(text);
    if digits.is_empty() {
        // Zero in any spelling, NaN or an infinity.
        return Ok(());
    }
    if !value.is_finite() || value == 0.0 || digits.len() > DIGITS_MAX {
        return Err(Refused::Beyond);
    }
    if digits.len() <= enough {
        return Ok(());
    }
    // A narrow float printed as a wide one. Two wide texts may be equally near to it: either will do.
    if digits.len() <= DOUBLE_DIGITS && text.parse() == Ok(value) {
        return Ok(());
    }
    let own = format!("{:.*e}", digits.len() - 1, value);
    if self::digits(&own) == digits { Ok(()) } else { Err(Refused::Beyond) }
}

/// The significant digits of a number, without zeros before and after them.
fn digits(text: &str) -> String {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("0.1", Some(0.1))]
    #[case("0.100000001", Some(0.1))]
    #[case("0.10000000149011612", Some(0.1))]
    #[case("0.100000001490116119384765625", Some(0.1))]
    #[case("0.1000000015", Some(0.1))]
    #[case("-68.36038208007813", Some(-68.36038))]
    #[case("-68.36038208007812", Some(-68.36038))]
    #[case("0.1000000016", None)]
    #[case("0.12345678901", None)]
    #[case("0.000000000000", Some(0.0))]
    #[case("1e39", None)]
    #[case("1e-60", None)]
    #[case("-Infinity", Some(f32::NEG_INFINITY))]
    fn a_text_is_the_nearest_float_unless_its_digits_say_otherwise(#[case] text: &str, #[case] value: Option<f32>) {
        assert_eq!(single(text).ok(), value);
    }

    #[rstest]
    #[case("0.1000000000000000055511151231257827", true)]
    #[case("0.10000000000000000555", true)]
    #[case("0.1000000000000000000000000001", false)]
    #[case("12345678901234567890", false)]
    #[case("12345678901234567168", true)]
    fn the_same_holds_for_64_bits(#[case] text: &str, #[case] is: bool) {
        assert_eq!(double(text).is_ok(), is);
    }

    proptest! {
        #[test]
        fn every_way_to_print_a_float_reads_back(bits in any::<u32>(), places in 8_usize..30) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            for text in [value.to_string(), format!("{value:e}"), format!("{value:.places$e}"), f64::from(value).to_string()] {
                prop_assert_eq!(single(&text).unwrap().to_bits(), bits);
            }
            let wide = f64::from_bits(u64::from(bits) << 32 | 0x1234_5678);
            prop_assume!(wide.is_finite());
            let finer = places + 9;
            for text in [wide.to_string(), format!("{wide:e}"), format!("{wide:.finer$e}")] {
                prop_assert_eq!(double(&text).unwrap(), wide);
            }
        }
    }
}
