//! One value, and its text.

use std::fmt::Write as _;

use jiff::{Timestamp, civil, tz::TimeZone};

use super::schema::Kind;

/// A typed value; its [`Kind`] says the rest (scale, zone, labels).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// No value.
    Null,
    /// Truth.
    Bool(bool),
    /// A 32 or 64 bit integer.
    Int(i64),
    /// The unscaled number of a decimal: 1.25 with scale 2 is 125.
    Decimal(i128),
    /// Text, JSON text (in the form PostgreSQL prints jsonb) or an enum's label.
    Text(String),
    /// The 16 bytes of a UUID.
    Uuid([u8; 16]),
    /// Microseconds since 1970-01-01 00:00:00, in UTC for a kind with zone.
    Micros(i64),
    /// Days since 1970-01-01.
    Days(i32),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// The value as text that PostgreSQL reads and that stands in CSV files; nothing for NULL.
    ///
    /// Decimals have all digits of their scale, timestamps six digits after the point, an ISO 8601 `T`, and a `Z` when
    /// they have a zone; bytes are `\x` and hexadecimal.
    #[must_use]
    pub fn text(&self, kind: &Kind) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Decimal(unscaled) => decimal_text(*unscaled, kind.scale()),
            Self::Text(text) => text.clone(),
            Self::Uuid(bytes) => uuid_text(bytes),
            Self::Micros(micros) => micros_text(*micros, matches!(kind, Kind::TimestampTz)),
            Self::Days(days) => date(*days).to_string(),
            Self::Bytes(bytes) => format!("\\x{}", hex(bytes)),
        })
    }
}

/// The canonical text of a UUID.
pub(crate) fn uuid_text(bytes: &[u8]) -> String {
    let mut text = hex(bytes);
    for at in [20, 16, 12, 8] {
        if text.is_char_boundary(at) && at <= text.len() {
            text.insert(at, '-');
        }
    }
    text
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ok = write!(text, "{byte:02x}");
        text
    })
}

fn decimal_text(unscaled: i128, scale: u32) -> String {
    let width = scale as usize + 1;
    let digits = format!("{:0width$}", unscaled.unsigned_abs());
    let sign = if unscaled < 0 { "-" } else { "" };
    match digits.split_at_checked(digits.len() - scale as usize) {
        Some((whole, fraction)) if scale > 0 => format!("{sign}{whole}.{fraction}"),
        _ => format!("{sign}{digits}"),
    }
}

/// An instant in ISO 8601 with six digits after the point, and a `Z` if it has a zone.
pub(crate) fn micros_text(micros: i64, zone: bool) -> String {
    // The plan's instants are all in this century; the fallback keeps a wrong one visible.
    let Ok(instant) = Timestamp::from_microsecond(micros) else { return format!("microsecond {micros}") };
    if zone { format!("{instant:.6}") } else { format!("{:.6}", TimeZone::UTC.to_datetime(instant)) }
}

fn date(days: i32) -> civil::Date {
    let epoch = civil::Date::constant(1970, 1, 1);
    epoch.saturating_add(jiff::Span::new().days(i64::from(days.clamp(-700_000, 2_900_000))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    const CENTS: Kind = Kind::Decimal { precision: 20, scale: 2 };

    #[rstest]
    #[case(Value::Decimal(0), CENTS, "0.00")]
    #[case(Value::Decimal(-5), CENTS, "-0.05")]
    #[case(Value::Decimal(123_456), CENTS, "1234.56")]
    #[case(Value::Decimal(-100), Kind::Decimal { precision: 18, scale: 8 }, "-0.00000100")]
    #[case(Value::Micros(0), Kind::TimestampTz, "1970-01-01T00:00:00.000000Z")]
    #[case(Value::Micros(1_767_603_600_000_001), Kind::Timestamp, "2026-01-05T09:00:00.000001")]
    #[case(Value::Days(20_458), Kind::Date, "2026-01-05")]
    #[case(Value::Bytes(vec![0, 255]), Kind::Bytes, "\\x00ff")]
    #[case(Value::Uuid([0x11; 16]), Kind::Uuid, "11111111-1111-1111-1111-111111111111")]
    fn text_is_exact(#[case] value: Value, #[case] kind: Kind, #[case] text: &str) {
        assert_eq!(value.text(&kind).unwrap(), text);
    }

    #[test]
    fn null_is_not_the_empty_text() {
        assert_eq!(Value::Null.text(&Kind::Text), None);
        assert_eq!(Value::Text(String::new()).text(&Kind::Text), Some(String::new()));
    }
}
