//! Dates, times and instants from ISO 8601 texts.

use super::{Refused, malformed};
use paritas_model::TimeUnit;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const SECONDS_PER_DAY: i128 = 86_400;
/// Years have at most that many digits.
const YEAR_DIGITS_MAX: usize = 6;

/// What PostgreSQL writes behind years before 1.
const BEFORE_CHRIST: &str = " BC";

/// Reads from the front of a text, and remembers whether it was finer than nanoseconds.
struct Cursor<'a>(&'a [u8], bool, bool);

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        match text.strip_suffix(BEFORE_CHRIST) {
            Some(text) => Self(text.as_bytes(), false, true),
            None => Self(text.as_bytes(), false, false),
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn digits(&mut self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Exactly `count` digits.
    fn number(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let value = digits
            .iter()
            .try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))?;
        self.0 = rest;
        Some(value)
    }

    /// Two digits up to a largest value.
    fn two(&mut self, max: i64) -> Option<i64> {
        self.number(2).filter(|value| *value <= max)
    }

    /// Days since 1970-01-01.
    fn date(&mut self) -> Option<i64> {
        let negative = self.eat(b'-');
        // Counted before they are put together: a hundred digits are no number.
        let digits = Some(self.digits()).filter(|digits| (4..=YEAR_DIGITS_MAX).contains(digits))?;
        let year = self.number(digits)?;
        let year = match (negative, self.2) {
            (false, false) => year,
            (true, false) => -year,
            // There is no year 0 in that count: 1 BC is the year before 1.
            (false, true) if year > 0 => 1 - year,
            (_, true) => return None,
        };
        if !self.eat(b'-') {
            return None;
        }
        let month = self.two(12)?;
        if !self.eat(b'-') {
            return None;
        }
        let day = self.two(31)?;
        days(year, month, day)
    }

    /// Nanoseconds since midnight, and how many digits the fraction had.
    fn clock(&mut self) -> Option<i128> {
        let hour = self.two(24)?;
        if !self.eat(b':') {
            return None;
        }
        let minute = self.two(59)?;
        let (mut second, mut nanos) = (0, 0);
        if self.eat(b':') {
            second = self.two(59)?;
            if self.eat(b'.') {
                nanos = self.fraction()?;
            }
        }
        let total = i128::from(hour * 3600 + minute * 60 + second) * NANOS_PER_SECOND + i128::from(nanos);
        (total <= SECONDS_PER_DAY * NANOS_PER_SECOND).then_some(total)
    }

    /// Digits after the point, at least one; of those after the ninth it is kept whether all are zero.
    fn fraction(&mut self) -> Option<i64> {
        let digits = self.digits();
        let kept = digits.min(9);
        let value = self.number(kept).filter(|_| kept > 0)?;
        let rest = self.0.get(..digits - kept)?;
        self.1 |= rest.iter().any(|byte| *byte != b'0');
        self.0 = self.0.get(digits - kept..)?;
        Some(value * 10_i64.pow(u32::try_from(9 - kept).ok()?))
    }

    /// Seconds east of UTC; the outer nothing is an error, the inner one no offset at all.
    fn offset(&mut self) -> Option<Option<i64>> {
        if self.0.is_empty() {
            return Some(None);
        }
        if self.eat(b'Z') || self.eat(b'z') {
            return Some(Some(0));
        }
        let sign = if self.eat(b'+') {
            1
        } else if self.eat(b'-') {
            -1
        } else {
            return None;
        };
        let mut seconds = self.two(23)? * 3600;
        for unit in [60, 1] {
            let colon = self.eat(b':');
            if self.digits() == 0 {
                return if colon { None } else { Some(Some(sign * seconds)) };
            }
            seconds += self.two(59)? * unit;
        }
        Some(Some(sign * seconds))
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; nothing for a day that does not exist.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day at the end; 153 days are five months from there.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn per_second(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Milli => 1_000,
        TimeUnit::Micro => 1_000_000,
        TimeUnit::Nano => NANOS_PER_SECOND,
    }
}

/// Nanoseconds in a unit, if nothing is lost.
fn in_unit(nanos: i128, finer: bool, unit: TimeUnit) -> Result<i64, Refused> {
    let size = NANOS_PER_SECOND / per_second(unit);
    if finer || nanos % size != 0 {
        return Err(Refused::Beyond);
    }
    i64::try_from(nanos / size).map_err(|_| Refused::Beyond)
}

/// PostgreSQL's dates and times before and after all others. No type of another store has them.
fn is_infinite(text: &str) -> bool {
    matches!(text, "infinity" | "-infinity")
}

/// Days since 1970-01-01 of `2026-11-21`.
pub(super) fn date(text: &str) -> Result<i64, Refused> {
    if is_infinite(text) {
        return Err(Refused::Beyond);
    }
    let mut cursor = Cursor::new(text);
    cursor.date().filter(|_| cursor.0.is_empty()).ok_or_else(|| malformed("it is no date such as 2026-11-21"))
}

/// Time of day of `23:59:59.999`.
pub(super) fn clock(text: &str, unit: TimeUnit) -> Result<i64, Refused> {
    let mut cursor = Cursor(text.as_bytes(), false, false);
    let nanos = cursor.clock().filter(|_| cursor.0.is_empty());
    in_unit(nanos.ok_or_else(|| malformed("it is no time of day such as 23:59:59.999"))?, cursor.1, unit)
}

/// Time since 1970-01-01T00:00:00 of `2026-11-21 23:59:59.999+00`, with a `T` or a space. A column of
/// instants wants an offset and one of local times none, unless `any_zone` lets both stand for UTC.
pub(super) fn timestamp(text: &str, unit: TimeUnit, zoned: bool, any_zone: bool) -> Result<i64, Refused> {
    let wrong = || malformed("it is no timestamp such as 2026-11-21T23:59:59.999Z");
    if is_infinite(text) {
        return Err(Refused::Beyond);
    }
    let mut cursor = Cursor::new(text);
    let days = cursor.date().ok_or_else(wrong)?;
    let mut nanos = 0;
    let mut offset = None;
    if cursor.eat(b'T') || cursor.eat(b't') || cursor.eat(b' ') {
        nanos = cursor.clock().ok_or_else(wrong)?;
        // Some writers put a space before the offset.
        let spaced = cursor.0.first() == Some(&b' ') && matches!(cursor.0.get(1), Some(b'+' | b'-'));
        if spaced {
            cursor.eat(b' ');
        }
        offset = cursor.offset().ok_or_else(wrong)?;
    }
    if !cursor.0.is_empty() {
        return Err(wrong());
    }
    match (zoned, offset) {
        (true, None) if !any_zone => {
            return Err(malformed(
                "it has no offset, and the column holds instants (policy zone=assume-utc takes it as UTC)",
            ));
        }
        (false, Some(_)) if !any_zone => {
            return Err(malformed(
                "it has an offset, and the column holds local times (policy zone=assume-utc takes both as UTC)",
            ));
        }
        _ => {}
    }
    let seconds = i128::from(days) * SECONDS_PER_DAY - i128::from(offset.unwrap_or(0));
    in_unit(seconds * NANOS_PER_SECOND + nanos, cursor.1, unit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1970-01-01", Some(0))]
    #[case("1969-12-31", Some(-1))]
    #[case("2000-02-29", Some(11_016))]
    #[case("1900-02-29", None)]
    #[case("0001-01-01", Some(-719_162))]
    #[case("-0001-01-01", Some(-719_893))]
    #[case("10000-01-01", Some(2_932_897))]
    #[case("0001-12-31 BC", Some(-719_163))]
    #[case("0044-03-15 BC", Some(-735_160))]
    #[case("0000-03-15 BC", None)]
    #[case("-0044-03-15 BC", None)]
    #[case("2026-13-01", None)]
    #[case("2026-00-01", None)]
    #[case("2026-01-00", None)]
    #[case("26-01-01", None)]
    #[case("99999999999999999999999-01-01", None)]
    #[case("2026-01-01 ", None)]
    fn dates_are_days(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(date(text).ok(), expected);
    }

    #[rstest]
    #[case("1970-01-01T00:00:01Z", true, Some(1_000_000))]
    #[case("1970-01-01 00:00:01+00", true, Some(1_000_000))]
    #[case("1970-01-01 01:00:00+01", true, Some(0))]
    #[case("1970-01-01 05:30:00+05:30", true, Some(0))]
    #[case("1970-01-01 05:30:00+0530", true, Some(0))]
    #[case("1970-01-01 00:00:00 +00", true, Some(0))]
    #[case("1970-01-01 00:00:00.123456", false, Some(123_456))]
    #[case("1970-01-01 00:00:00.123456000", false, Some(123_456))]
    #[case("1970-01-01 00:00:00.1234567", false, None)]
    #[case("1970-01-01 00:00:00", true, None)]
    #[case("1970-01-01 00:00:00Z", false, None)]
    #[case("1969-12-31T23:59:59.5Z", true, Some(-500_000))]
    #[case("1970-01-01", false, Some(0))]
    #[case("1970-01-01T25:00:00", false, None)]
    #[case("1970-01-01T00:00:60", false, None)]
    #[case("1970-01-01T00:00:00+", true, None)]
    #[case("1970-01-01T00:00:00+01:", true, None)]
    #[case("infinity", false, None)]
    #[case("0001-12-31 23:59:59.5 BC", false, Some(-62_135_596_800_500_000))]
    #[case("0001-12-31 23:59:59.5+00 BC", true, Some(-62_135_596_800_500_000))]
    fn timestamps_are_instants_or_local_times(#[case] text: &str, #[case] zoned: bool, #[case] micros: Option<i64>) {
        assert_eq!(timestamp(text, TimeUnit::Micro, zoned, false).ok(), micros);
    }

    #[test]
    fn a_declared_policy_takes_local_times_as_utc() {
        assert_eq!(timestamp("1970-01-01 00:00:01", TimeUnit::Second, true, true).unwrap(), 1);
        assert_eq!(timestamp("1970-01-01 01:00:01+01", TimeUnit::Second, false, true).unwrap(), 1);
    }

    #[test]
    fn times_of_day_keep_nine_digits() {
        assert_eq!(clock("23:59:59.999999999", TimeUnit::Nano).unwrap(), 86_399_999_999_999);
        assert_eq!(clock("24:00:00", TimeUnit::Second).unwrap(), 86_400);
        assert!(clock("24:00:01", TimeUnit::Second).is_err());
        assert!(clock("12:00:00.5", TimeUnit::Second).is_err());
    }
}
