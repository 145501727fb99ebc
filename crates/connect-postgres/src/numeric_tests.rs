//! Numerics in their binary form.

#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use rstest::rstest;

/// As the server would send it.
fn binary(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
    let count = u16::try_from(digits.len()).unwrap();
    let words = [count, weight.cast_unsigned(), sign, scale].into_iter().chain(digits.iter().copied());
    words.flat_map(u16::to_be_bytes).collect()
}

fn stripped(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    strip(value, &mut out).unwrap();
    out
}

#[rstest]
#[case(0, 0, 1, &[1], "1.0", "1")]
#[case(0, 0, 2, &[1, 5000], "1.50", "1.5")]
#[case(-1, NEGATIVE, 4, &[12], "-0.0012", "-0.0012")]
#[case(-2, 0, 8, &[1], "0.00000001", "0.00000001")]
#[case(1, 0, 0, &[1, 2], "10002", "10002")]
#[case(1, 0, 3, &[12], "120000.000", "120000")]
#[case(0, 0, 5, &[], "0.00000", "0")]
#[case(0, NAN, 0, &[], "NaN", "NaN")]
#[case(0, NEGATIVE_INFINITY, 0, &[], "-Infinity", "-Infinity")]
fn numerics_become_text(
    #[case] weight: i16,
    #[case] sign: u16,
    #[case] scale: u16,
    #[case] digits: &[u16],
    #[case] exact: &str,
    #[case] normal: &str,
) {
    let value = binary(weight, sign, scale, digits);
    assert_eq!(text(&value, false).unwrap(), exact);
    assert_eq!(text(&value, true).unwrap(), normal);
    assert_eq!(text(&stripped(&value), false).unwrap(), normal);
}

#[test]
fn equal_numbers_have_equal_bytes_after_stripping() {
    let forms = [binary(0, 0, 0, &[7]), binary(0, 0, 2, &[7]), binary(0, 0, 4, &[7, 0]), binary(1, 0, 0, &[0, 7])];
    for form in &forms {
        assert_eq!(stripped(form), stripped(&forms[0]));
    }
    assert_eq!(stripped(&binary(3, NEGATIVE, 2, &[0, 0])), binary(0, 0, 0, &[]));
    assert_ne!(stripped(&binary(0, NEGATIVE, 0, &[7])), stripped(&forms[0]));
}

#[rstest]
#[case(0, 0, &[1, 5000], 2, Some(150))]
#[case(0, NEGATIVE, &[1, 5000], 1, Some(-15))]
#[case(0, 0, &[1, 5000], 0, None)]
#[case(-2, 0, &[1], 8, Some(1))]
#[case(-2, 0, &[1], 7, None)]
#[case(2, 0, &[1], 0, Some(100_000_000))]
#[case(2, 0, &[1], -8, Some(1))]
#[case(0, NAN, &[], 2, None)]
fn numerics_become_scaled_integers_or_nothing(
    #[case] weight: i16,
    #[case] sign: u16,
    #[case] digits: &[u16],
    #[case] scale: i8,
    #[case] expected: Option<i128>,
) {
    let value = binary(weight, sign, 10, digits);
    assert_eq!(unscaled(&value, scale).unwrap(), expected.map(i256::from_i128));
}

proptest! {
    #[test]
    fn text_and_unscaled_agree(weight in -4_i16..4, digits in prop::collection::vec(0_u16..10_000, 0..5), negative: bool) {
        let value = binary(weight, if negative { NEGATIVE } else { 0 }, 40, &digits);
        let shown = text(&value, false).unwrap().replace('.', "");
        let expected: i128 = shown.parse().unwrap_or(0);
        if let Some(found) = unscaled(&value, 40).unwrap() && shown.len() < 38 {
            prop_assert_eq!(found, i256::from_i128(expected));
        }
        prop_assert_eq!(text(&stripped(&value), false).unwrap(), text(&value, true).unwrap());
    }

    #[test]
    fn no_bytes_make_it_panic(value in prop::collection::vec(any::<u8>(), 0..40), scale: i8) {
        let mut out = Vec::new();
        let _ = (strip(&value, &mut out), text(&value, true), text(&value, false), unscaled(&value, scale));
    }
}
