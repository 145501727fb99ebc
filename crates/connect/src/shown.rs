//! Values as people read them in reports: ISO 8601 in UTC, exact decimals, `\x` bytes.
//!
//! Only for display. Whether two values are equal is never decided by these texts.

use paritas_model::{TimeUnit, Value};

const SECONDS_PER_DAY: i128 = 86_400;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Units of `unit` in one second.
pub fn per_second(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Milli => 1_000,
        TimeUnit::Micro => 1_000_000,
        TimeUnit::Nano => 1_000_000_000,
    }
}

/// Days since 1970-01-01 as `2026-11-21`, for any year.
pub fn date(days: i64) -> Value {
    Value::Text(date_text(days.into()))
}

/// Time since 1970-01-01T00:00:00 as `2026-11-21T12:00:00.5`, with a `Z` for instants.
pub fn timestamp(value: i128, unit: TimeUnit, zoned: bool) -> Value {
    let (seconds, fraction) = split(value, unit);
    let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let zone = if zoned { "Z" } else { "" };
    Value::Text(format!("{}T{}{fraction}{zone}", date_text(days), clock(second)))
}

/// Time of day as `12:00:00.5`.
pub fn time(value: i64, unit: TimeUnit) -> Value {
    let (seconds, fraction) = split(value.into(), unit);
    Value::Text(format!("{}{fraction}", clock(seconds)))
}

/// Elapsed time as `PT1.5S`.
pub fn duration(value: i64, unit: TimeUnit) -> Value {
    Value::Text(format!("PT{}S", signed_seconds(value.into(), unit)))
}

/// Months, days and nanoseconds, which do not convert into each other, as `P14M3DT0.5S`.
pub fn interval(months: i32, days: i32, nanos: i64) -> Value {
    let mut text = String::from("P");
    if months != 0 {
        text.push_str(&format!("{months}M"));
    }
    if days != 0 {
        text.push_str(&format!("{days}D"));
    }
    if nanos != 0 || text.len() == 1 {
        text.push_str(&format!("T{}S", signed_seconds(nanos.into(), TimeUnit::Nano)));
    }
    Value::Text(text)
}

/// A float with the fewest digits that read back as the same number; with an exponent where that is
/// shorter to read.
pub fn float(value: f64) -> Value {
    Value::Text(float_text(value, &format!("{value:e}"), &value.to_string()))
}

/// The same for 32 bits, which need fewer digits.
pub fn float32(value: f32) -> Value {
    Value::Text(float_text(value.into(), &format!("{value:e}"), &value.to_string()))
}

/// 16 bytes as `00112233-4455-6677-8899-aabbccddeeff`; other lengths as bytes.
pub fn uuid(bytes: &[u8]) -> Value {
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    if bytes.len() == 16 { Value::Text(text) } else { Value::bytes(bytes) }
}

fn float_text(value: f64, scientific: &str, plain: &str) -> String {
    let size = value.abs();
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        _ if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        _ if size == 0.0 || (1e-5..1e15).contains(&size) => plain.to_owned(),
        _ => scientific.to_owned(),
    }
}

/// Whole seconds (rounded down) and the fraction as `.5` or nothing.
fn split(value: i128, unit: TimeUnit) -> (i128, String) {
    let per_second = per_second(unit);
    let rest = value.rem_euclid(per_second).unsigned_abs();
    (value.div_euclid(per_second), fraction(rest * NANOS_PER_SECOND / per_second.unsigned_abs()))
}

fn signed_seconds(value: i128, unit: TimeUnit) -> String {
    let per_second = per_second(unit).unsigned_abs();
    let (whole, rest) = (value.unsigned_abs() / per_second, value.unsigned_abs() % per_second);
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{whole}{}", fraction(rest * NANOS_PER_SECOND / per_second))
}

fn fraction(nanos: u128) -> String {
    if nanos == 0 {
        return String::new();
    }
    format!(".{nanos:09}").trim_end_matches('0').to_owned()
}

fn clock(second: i128) -> String {
    format!("{:02}:{:02}:{:02}", second.div_euclid(3600), second.rem_euclid(3600) / 60, second.rem_euclid(60))
}

/// The proleptic Gregorian calendar in eras of 400 years, which repeat exactly; the year begins in
/// March so that the leap day comes last.
fn date_text(days: i128) -> String {
    const DAYS_PER_ERA: i128 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const DAYS_TO_EPOCH: i128 = 719_468;
    let days = days + DAYS_TO_EPOCH;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i128::from(month <= 2);
    let sign = if year < 0 { "-" } else { "" };
    format!("{sign}{:04}-{month:02}-{day:02}", year.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "1970-01-01")]
    #[case(-1, "1969-12-31")]
    #[case(11_016, "2000-02-29")]
    #[case(11_017, "2000-03-01")]
    #[case(-25_509, "1900-02-28")]
    #[case(-25_508, "1900-03-01")]
    #[case(20_778, "2026-11-21")]
    #[case(-719_528, "0000-01-01")]
    #[case(-719_529, "-0001-12-31")]
    #[case(2_932_897, "10000-01-01")]
    fn dates_follow_the_gregorian_calendar(#[case] days: i64, #[case] text: &str) {
        assert_eq!(date(days), text.into());
    }

    #[rstest]
    #[case(0, TimeUnit::Second, true, "1970-01-01T00:00:00Z")]
    #[case(-1, TimeUnit::Milli, true, "1969-12-31T23:59:59.999Z")]
    #[case(1_500, TimeUnit::Milli, false, "1970-01-01T00:00:01.5")]
    #[case(86_399_999_999_999, TimeUnit::Nano, false, "1970-01-01T23:59:59.999999999")]
    fn timestamps_are_iso_8601(#[case] value: i128, #[case] unit: TimeUnit, #[case] zoned: bool, #[case] text: &str) {
        assert_eq!(timestamp(value, unit, zoned), text.into());
    }

    #[test]
    fn times_durations_and_intervals_are_iso_8601() {
        assert_eq!(time(86_400_000_000, TimeUnit::Micro), "24:00:00".into());
        assert_eq!(time(1, TimeUnit::Nano), "00:00:00.000000001".into());
        assert_eq!(duration(-1_500, TimeUnit::Milli), "PT-1.5S".into());
        assert_eq!(interval(14, -3, 500_000_000), "P14M-3DT0.5S".into());
        assert_eq!(interval(0, 0, 0), "PT0S".into());
    }

    #[rstest]
    #[case(0.1, "0.1")]
    #[case(-0.0, "-0")]
    #[case(1e300, "1e300")]
    #[case(1.0, "1")]
    #[case(f64::NEG_INFINITY, "-Infinity")]
    #[case(f64::NAN, "NaN")]
    fn floats_are_short(#[case] value: f64, #[case] text: &str) {
        assert_eq!(float(value), text.into());
    }

    #[test]
    fn a_narrow_float_shows_no_more_digits_than_it_has() {
        assert_eq!(float32(0.1), "0.1".into());
        assert_eq!(uuid(&[0x11; 16]), "11111111-1111-1111-1111-111111111111".into());
        assert_eq!(uuid(&[1, 2]), r"\x0102".into());
    }

    proptest! {
        #[test]
        fn every_number_has_a_text(value: i64, bits: u64) {
            for unit in [TimeUnit::Second, TimeUnit::Milli, TimeUnit::Micro, TimeUnit::Nano] {
                let _ = (timestamp(value.into(), unit, true), time(value, unit), duration(value, unit));
            }
            let _ = date(value);
            let Value::Text(text) = float(f64::from_bits(bits)) else { unreachable!() };
            prop_assert!(f64::from_bits(bits).is_nan() || text.parse() == Ok(f64::from_bits(bits)), "{}", text);
        }

        #[test]
        fn later_days_have_later_texts(days in -719_528_i64..2_932_896) {
            prop_assert!(date_text(days.into()) < date_text(i128::from(days) + 1));
        }
    }
}
