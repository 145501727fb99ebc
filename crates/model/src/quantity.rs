//! Durations and sizes as people write them: `30s`, `1h30m`, `16MiB`.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::time::Duration;

/// A text that is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {text:?} as a {what}")]
pub struct ParseQuantityError {
    /// What was expected: `duration` or `size`.
    pub what: &'static str,
    /// The text as given.
    pub text: String,
    /// What a right value looks like.
    pub hint: &'static str,
}

const DURATION_HINT: &str = "write a number and a unit, such as 500ms, 30s, 10m, 1h30m or 7d";
const SIZE_HINT: &str = "write a number and a unit, such as 512B, 64KiB, 16MiB, 5GiB or 1GB";
const NANOS_PER: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
const BYTES_PER: [(&str, u128); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
/// More decimals than these carry no meaning below one nanosecond or one byte.
const FRACTION_DIGITS_MAX: usize = 9;

/// Reads `500ms`, `1.5s`, `1h30m`. A unit is required; only `0` stands without one.
///
/// # Errors
/// When the text is empty, has no unit, an unknown unit, or does not fit into a `Duration`.
pub fn parse_duration(text: &str) -> Result<Duration, ParseQuantityError> {
    let error = || ParseQuantityError { what: "duration", text: text.to_owned(), hint: DURATION_HINT };
    let nanos = parse_sum(text, &NANOS_PER).ok_or_else(error)?;
    let secs = u64::try_from(nanos / 1_000_000_000).map_err(|_| error())?;
    let rest = u32::try_from(nanos % 1_000_000_000).map_err(|_| error())?;
    Ok(Duration::new(secs, rest))
}

/// Reads `512B`, `16MiB`, `1.5GB`. A unit is required; only `0` stands without one.
///
/// # Errors
/// When the text is empty, has no unit, an unknown unit, or does not fit into 64 bits.
pub fn parse_size(text: &str) -> Result<u64, ParseQuantityError> {
    let error = || ParseQuantityError { what: "size", text: text.to_owned(), hint: SIZE_HINT };
    u64::try_from(parse_sum(text, &BYTES_PER).ok_or_else(error)?).map_err(|_| error())
}

/// Adds up `number unit` pairs, each unit once and from large to small.
fn parse_sum(text: &str, units: &[(&str, u128)]) -> Option<u128> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0_u128;
    let mut previous = u128::MAX;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_end);
        let after = after.trim_start();
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let factor = units.iter().find(|(name, _)| *name == unit)?.1;
        if factor >= previous {
            return None;
        }
        previous = factor;
        total = total.checked_add(scaled(number, factor)?)?;
        rest = after.trim_start();
    }
    (!text.is_empty()).then_some(total)
}

/// `number` (with an optional decimal fraction) times `factor`, exactly or rounded down.
fn scaled(number: &str, factor: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > FRACTION_DIGITS_MAX || number.ends_with('.') {
        return None;
    }
    let mut total = whole.parse::<u128>().ok()?.checked_mul(factor)?;
    if !fraction.is_empty() {
        let digits = u32::try_from(fraction.len()).ok()?;
        total = total.checked_add(fraction.parse::<u128>().ok()?.checked_mul(factor)? / 10_u128.pow(digits))?;
    }
    Some(total)
}

/// A duration with at most two units, such as `1h30m`, `41.2s`, `350ms`, `12us`.
pub fn format_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
    };
    match secs {
        0 if duration.is_zero() => "0s".to_owned(),
        0 if duration.as_millis() == 0 => format!("{}us", trim(duration.as_secs_f64() * 1e6)),
        0 => format!("{}ms", trim(duration.as_secs_f64() * 1e3)),
        1..60 => format!("{}s", trim(duration.as_secs_f64())),
        60..3_600 => two(secs / 60, "m", secs % 60, "s"),
        3_600..86_400 => two(secs / 3_600, "h", secs / 60 % 60, "m"),
        _ => two(secs / 86_400, "d", secs / 3_600 % 24, "h"),
    }
}

/// A size in binary units with three significant digits, such as `1.50MiB`.
pub fn format_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    match value {
        v if v >= 99.95 => format!("{v:.0}{unit}"),
        v if v >= 9.995 => format!("{v:.1}{unit}"),
        v => format!("{v:.2}{unit}"),
    }
}

/// Three significant digits without trailing zeros.
fn trim(value: f64) -> String {
    let text = match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number of bytes that is written and read with its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

impl TryFrom<String> for ByteSize {
    type Error = ParseQuantityError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        parse_size(&text).map(Self)
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        let mut text = String::new();
        // Exact, so that writing and reading give the same number.
        let _ = write!(text, "{}B", size.0);
        text
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_size(self.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("500ms", 500_000_000)]
    #[case("1.5s", 1_500_000_000)]
    #[case("1h30m", 5_400_000_000_000)]
    #[case("1h 30m", 5_400_000_000_000)]
    #[case("7d", 604_800_000_000_000)]
    #[case("0", 0)]
    #[case("12µs", 12_000)]
    fn durations_are_read_with_their_units(#[case] text: &str, #[case] nanos: u128) {
        assert_eq!(parse_duration(text).unwrap().as_nanos(), nanos);
    }

    #[rstest]
    #[case("")]
    #[case("30")]
    #[case("s")]
    #[case("-1s")]
    #[case("1x")]
    #[case("1m1h")]
    #[case("1s1s")]
    #[case("1.s")]
    #[case("99999999999999999999999999999999999999999d")]
    #[case("1e3s")]
    fn texts_that_are_no_durations_are_refused_with_a_hint(#[case] text: &str) {
        assert_eq!(parse_duration(text).unwrap_err().hint, DURATION_HINT);
    }

    #[rstest]
    #[case("16MiB", 16 << 20)]
    #[case("1.5GB", 1_500_000_000)]
    #[case("0", 0)]
    fn sizes_are_read_with_their_units(#[case] text: &str, #[case] bytes: u64) {
        assert_eq!(parse_size(text).unwrap(), bytes);
    }

    #[rstest]
    #[case(0, "0B")]
    #[case(1023, "1023B")]
    #[case(1536, "1.50KiB")]
    #[case(16 << 20, "16.0MiB")]
    #[case(u64::MAX, "16384PiB")]
    fn sizes_are_printed_with_three_digits(#[case] bytes: u64, #[case] text: &str) {
        assert_eq!(format_size(bytes), text);
    }

    #[rstest]
    #[case(Duration::ZERO, "0s")]
    #[case(Duration::from_micros(12), "12us")]
    #[case(Duration::from_millis(350), "350ms")]
    #[case(Duration::from_millis(41_200), "41.2s")]
    #[case(Duration::from_secs(90), "1m30s")]
    #[case(Duration::from_secs(5_400), "1h30m")]
    #[case(Duration::from_secs(86_400), "1d")]
    fn durations_are_printed_with_at_most_two_units(#[case] duration: Duration, #[case] text: &str) {
        assert_eq!(format_duration(duration), text);
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back_within_one_percent(nanos in 1_000_u64..) {
            let duration = Duration::from_nanos(nanos);
            let back = parse_duration(&format_duration(duration)).unwrap();
            let (a, b) = (duration.as_secs_f64(), back.as_secs_f64());
            prop_assert!((a - b).abs() <= a * 0.05, "{a} {b}");
        }

        #[test]
        fn byte_sizes_survive_writing_and_reading(bytes: u64) {
            let text: String = ByteSize(bytes).into();
            prop_assert_eq!(ByteSize::try_from(text).unwrap().0, bytes);
        }

        #[test]
        fn reading_any_text_never_panics(text in ".{0,40}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
