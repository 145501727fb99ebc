//! Decimals against sums that are made digit by digit.

use super::*;
use proptest::prelude::*;
use rstest::rstest;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[rstest]
#[case("0", "0")]
#[case("-0.00", "0.00")]
#[case("+001.50", "1.50")]
#[case("1e3", "1000")]
#[case("1.25E-3", "0.00125")]
#[case("12.5e1", "125")]
#[case(" .5 ", "0.5")]
#[case("5.", "5")]
#[case("-12.340", "-12.340")]
#[case("99999999999999999999999999999999999999999999.99", "99999999999999999999999999999999999999999999.99")]
fn numbers_are_read_and_shown_with_all_their_digits(#[case] text: &str, #[case] shown: &str) {
    assert_eq!(decimal(text).to_string(), shown);
}

#[rstest]
#[case("nan", Amount::NotANumber)]
#[case("Infinity", Amount::Infinity)]
#[case("-inf", Amount::NegativeInfinity)]
fn what_is_no_finite_number_is_told_apart(#[case] text: &str, #[case] expected: Amount) {
    assert_eq!(text.parse::<Amount>().unwrap(), expected);
    assert!(text.parse::<Decimal>().is_err());
}

#[rstest]
#[case("")]
#[case("-")]
#[case(".")]
#[case("1,5")]
#[case("1e")]
#[case("1e200000")]
#[case("0x10")]
#[case("1.2.3")]
#[case("١")]
fn what_is_no_number_is_refused(#[case] text: &str) {
    assert_eq!(text.parse::<Amount>(), Err(OutOfRange));
}

#[test]
fn a_binary_float_would_lose_what_is_kept_here() {
    let mut sum = decimal("0.1");
    sum.add(&decimal("0.2"));
    assert_eq!(sum, decimal("0.3"));
    let mut large = decimal("9007199254740993.00");
    large.add(&decimal("0.01"));
    assert_eq!(large.to_string(), "9007199254740993.01");
}

#[test]
fn sums_go_past_the_machine_word_and_back() {
    let largest = Decimal::new(i128::MAX, 0);
    let mut sum = largest.clone();
    sum.add(&largest);
    assert_eq!(sum.to_string(), "340282366920938463463374607431768211454");
    assert_eq!(sum.minus(&largest), largest);
    let mut least = Decimal::new(i128::MIN, 5);
    least.add(&Decimal::new(-1, 10));
    assert_eq!(least.to_string(), "-1701411834604692317316873037158841.0572800001");
}

#[test]
fn the_ends_of_postgresql_numeric_are_added_exactly() {
    let whole = format!("1{}", "0".repeat(131_071));
    let small = format!("0.{}1", "0".repeat(16_382));
    let mut sum = decimal(&whole);
    sum.add(&decimal(&small));
    assert_eq!(sum.to_string(), format!("{whole}.{}1", "0".repeat(16_382)));
    assert_eq!(sum.minus(&decimal(&whole)), decimal(&small));
}

#[rstest]
#[case(false, 0, &[], 2, "0.00")]
#[case(false, 0, &[1], 0, "1")]
#[case(true, 0, &[12, 3400], 2, "-12.34")]
#[case(false, -1, &[5], 4, "0.0005")]
#[case(false, 1, &[1], 0, "10000")]
#[case(false, 0, &[1, 2345], 2, "1.2345")]
fn digits_to_the_base_of_10000_are_read(
    #[case] negative: bool,
    #[case] weight: i32,
    #[case] digits: &[u16],
    #[case] scale: u32,
    #[case] shown: &str,
) {
    let decimal = Decimal::from_base_10000(negative, weight, digits.iter().copied(), scale).unwrap();
    assert_eq!(decimal.to_string(), shown);
}

#[test]
fn digits_out_of_range_are_refused() {
    assert_eq!(Decimal::from_base_10000(false, 0, [10_000].into_iter(), 0), Err(OutOfRange));
    assert_eq!(Decimal::from_base_10000(false, i32::MIN, [1].into_iter(), 0), Err(OutOfRange));
    assert_eq!(Decimal::from_base_10000(false, 40_000, [1].into_iter(), 0), Err(OutOfRange));
}

/// Numbers of up to 60 digits on each side of the point.
fn any_number() -> impl Strategy<Value = String> {
    "-?[0-9]{1,60}(\\.[0-9]{0,60})?"
}

/// The schoolbook sum of two numbers that are not negative, as digits padded to one form.
fn by_hand(a: &str, b: &str) -> String {
    let split = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole:0>70}{fraction:0<70}").into_bytes()
    };
    let mut carry = 0;
    let mut digits: Vec<u8> = Vec::new();
    for (x, y) in split(a).into_iter().zip(split(b)).rev() {
        let sum = x - b'0' + y - b'0' + carry;
        digits.push(sum % 10 + b'0');
        carry = sum / 10;
    }
    digits.reverse();
    String::from_utf8(digits).unwrap()
}

proptest! {
    #[test]
    fn a_sum_is_the_one_that_is_made_by_hand(a in "[0-9]{1,60}(\\.[0-9]{0,60})?", b in "[0-9]{1,60}(\\.[0-9]{0,60})?") {
        let mut sum = decimal(&a);
        sum.add(&decimal(&b));
        prop_assert_eq!(by_hand(&sum.to_string(), "0"), by_hand(&a, &b));
    }

    #[test]
    fn sums_do_not_depend_on_the_order(numbers in proptest::collection::vec(any_number(), 0..20)) {
        let add = |sum: &mut Decimal, text: &String| sum.add(&decimal(text));
        let (mut forth, mut back) = (Decimal::ZERO, Decimal::ZERO);
        numbers.iter().for_each(|text| add(&mut forth, text));
        numbers.iter().rev().for_each(|text| add(&mut back, text));
        prop_assert_eq!(&forth, &back);
        prop_assert_eq!(forth.cmp(&back), Ordering::Equal);
    }

    #[test]
    fn what_is_added_and_taken_away_leaves_nothing(a in any_number(), b in any_number()) {
        let mut sum = decimal(&a);
        sum.add(&decimal(&b));
        prop_assert_eq!(sum.minus(&decimal(&b)), decimal(&a));
        prop_assert!(decimal(&a).minus(&decimal(&a)).is_zero());
    }

    #[test]
    fn shown_numbers_are_read_back(text in any_number()) {
        let number = decimal(&text);
        prop_assert_eq!(&decimal(&number.to_string()), &number);
        let mut sum = Decimal::default();
        (0..10).for_each(|_| sum.add(&number));
        prop_assert_eq!(decimal(&format!("{number}e1")), sum);
    }

    #[test]
    fn bytes_are_read_back(text in any_number()) {
        let number = decimal(&text);
        let mut bytes = Vec::new();
        number.encode(&mut bytes);
        let mut rest = bytes.as_slice();
        prop_assert_eq!(Decimal::decode(&mut rest).unwrap(), number);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn the_order_is_that_of_the_difference(a in any_number(), b in any_number()) {
        let difference = decimal(&a).minus(&decimal(&b)).to_string();
        let expected = match difference.as_bytes() {
            [b'-', ..] => Ordering::Less,
            _ if decimal(&difference).is_zero() => Ordering::Equal,
            _ => Ordering::Greater,
        };
        prop_assert_eq!(decimal(&a).cmp(&decimal(&b)), expected);
    }

    #[test]
    fn any_bytes_are_figures_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Decimal::decode(&mut bytes.as_slice());
    }
}
