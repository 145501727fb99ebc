//! Columns that a person declares: `id:int64, amount:decimal(38,10), at:timestamp(ms, UTC), note`.

use paritas_connect::{Error, FailureKind, Result};
use paritas_model::{LogicalType, TimeUnit};
use std::collections::HashSet;

/// Columns of one topic, at most.
pub(super) const COLUMNS_MAX: usize = 4_096;

/// A declared column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// The name of the member.
    pub(super) name: String,
    /// What its values mean; untyped takes the type of the other side.
    pub(super) logical: LogicalType,
    /// Whether numbers are times in the unit of the type. Only where that unit was written down.
    pub(super) ticks: bool,
}

impl Field {
    /// A column that takes the type of the other side.
    pub(super) fn untyped(name: impl Into<String>) -> Self {
        Self { name: name.into(), logical: LogicalType::Untyped, ticks: false }
    }

    fn typed(name: &str, kind: &str) -> Result<Self> {
        let (logical, ticks) = parse_type(kind).ok_or_else(|| {
            wrong(format!("column {name:?} has the unknown type {kind:?}")).hint(
                "types are bool, int8 to int64, uint8 to uint64, float32, float64, decimal, decimal(p,s), text, bytes, \
                 uuid, date, time, timestamp, timestamptz (each of the last three also with a unit, as in \
                 timestamp(ms)) and json; without a type a column takes that of the other side",
            )
        })?;
        Ok(Self { name: name.to_owned(), logical, ticks })
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(FailureKind::Permanent, "config.option", message)
}

/// A list of columns, separated by commas or line ends. A line may end in a comment behind `#`. Types stand behind the
/// last colon.
///
/// # Errors
/// `config.option` where it is no such list.
pub(super) fn parse_list(text: &str) -> Result<Vec<Field>> {
    let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(line, _)| line));
    let mut fields = Vec::new();
    for item in lines.flat_map(split_outside) {
        let item = item.trim();
        if item.is_empty() {
            continue;
        }
        fields.push(match item.rsplit_once(':') {
            Some((name, kind)) => Field::typed(name.trim(), kind.trim())?,
            None => Field::untyped(item),
        });
    }
    checked(fields)
}

/// The columns of a file: such a list, or a JSON object of names and types (`null` for none), which allows any name.
///
/// # Errors
/// `config.option` where it is neither.
pub(super) fn parse_file(text: &str) -> Result<Vec<Field>> {
    if !text.trim_start().starts_with('{') {
        return parse_list(text);
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|error| {
        wrong("a file of columns is no JSON object").because(error).hint("write {\"id\":\"int64\",\"note\":null}")
    })?;
    let field = |(name, kind): (String, serde_json::Value)| match kind {
        serde_json::Value::Null => Ok(Field::untyped(name)),
        serde_json::Value::String(kind) => Field::typed(&name, &kind),
        _ => {
            Err(wrong(format!("the type of column {name:?} is no text")).hint("write {\"id\":\"int64\",\"note\":null}"))
        }
    };
    checked(object.into_iter().map(field).collect::<Result<_>>()?)
}

fn checked(fields: Vec<Field>) -> Result<Vec<Field>> {
    let mut seen = HashSet::new();
    if let Some(twice) = fields.iter().find(|field| !seen.insert(field.name.as_str())) {
        return Err(wrong(format!("column {:?} is declared twice", twice.name)).hint("declare every column once"));
    }
    match fields.len() {
        0 => Err(wrong("no column is declared").hint("write name:type, separated by commas")),
        1..=COLUMNS_MAX => Ok(fields),
        more => Err(wrong(format!("{more} columns are declared, and {COLUMNS_MAX} are possible"))),
    }
}

/// Splits at commas that are not in parentheses.
fn split_outside(line: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    line.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
}

/// A type, and whether numbers are times in a unit that was written down.
fn parse_type(text: &str) -> Option<(LogicalType, bool)> {
    use LogicalType as L;
    let lower = text.to_ascii_lowercase();
    let (name, inner) = match lower.split_once('(') {
        Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')')?)),
        None => (lower.as_str(), None),
    };
    let int = |bits, signed| Some((L::Int { bits, signed }, false));
    match (name, inner) {
        ("bool" | "boolean", None) => Some((L::Bool, false)),
        ("int8", None) => int(8, true),
        ("int16", None) => int(16, true),
        ("int32" | "int", None) => int(32, true),
        ("int64" | "long", None) => int(64, true),
        ("uint8", None) => int(8, false),
        ("uint16", None) => int(16, false),
        ("uint32", None) => int(32, false),
        ("uint64", None) => int(64, false),
        ("float32" | "float", None) => Some((L::Float { bits: 32 }, false)),
        ("float64" | "double", None) => Some((L::Float { bits: 64 }, false)),
        ("decimal", None) => Some((L::DecimalAny, false)),
        ("decimal", Some(digits)) => decimal(digits).map(|logical| (logical, false)),
        ("text" | "string", None) => Some((L::Text, false)),
        ("bytes", None) => Some((L::Bytes, false)),
        ("uuid", None) => Some((L::Uuid, false)),
        ("json", None) => Some((L::Json, false)),
        ("date", None) => Some((L::Date, true)),
        ("time", inner) => {
            let (unit, zoned) = units(inner)?;
            (!zoned).then_some((L::Time { unit }, inner.is_some()))
        }
        ("timestamp", inner) => units(inner).map(|(unit, zoned)| (L::Timestamp { unit, zoned }, inner.is_some())),
        ("timestamptz", inner) => units(inner).map(|(unit, _)| (L::Timestamp { unit, zoned: true }, inner.is_some())),
        _ => None,
    }
}

fn decimal(digits: &str) -> Option<LogicalType> {
    let (precision, scale) = digits.split_once(',').unwrap_or((digits, "0"));
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let possible = (1..=76).contains(&precision) && scale.unsigned_abs() <= precision;
    possible.then_some(LogicalType::Decimal { precision, scale })
}

/// The unit of a time (microseconds unless it says another one), and whether it says UTC.
fn units(inner: Option<&str>) -> Option<(TimeUnit, bool)> {
    let Some(inner) = inner else { return Some((TimeUnit::Micro, false)) };
    let (unit, zone) = match inner.split_once(',') {
        Some((unit, zone)) => (unit.trim(), Some(zone.trim())),
        None => (inner.trim(), None),
    };
    let unit = match unit {
        "s" => TimeUnit::Second,
        "ms" => TimeUnit::Milli,
        "us" => TimeUnit::Micro,
        "ns" => TimeUnit::Nano,
        _ => return None,
    };
    matches!(zone, None | Some("utc")).then_some((unit, zone.is_some()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn shown(fields: &[Field]) -> String {
        let one = |field: &Field| format!("{}={}{}", field.name, field.logical, if field.ticks { "*" } else { "" });
        fields.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case("id:int64,amount:decimal(38,10),at:timestamp", "id=int64 amount=decimal(38,10) at=timestamp(us)")]
    #[case(" id , note : text ", "id=untyped text note=text")]
    #[case("at:timestamp(ms, UTC),t:time(ns),d:date", "at=timestamp(ms, UTC)* t=time(ns)* d=date*")]
    #[case("at:timestamptz,b:timestamptz(s)", "at=timestamp(us, UTC) b=timestamp(s, UTC)*")]
    #[case("# all of them\nid:UINT64 # the key\n\nx:json,\n y:bytes", "id=uint64 x=json y=bytes")]
    #[case("a:b:int8", "a:b=int8")]
    #[case("n:decimal, m:decimal(5), o:decimal(3,-2)", "n=decimal m=decimal(5,0) o=decimal(3,-2)")]
    fn columns_are_declared_by_name_and_type(#[case] text: &str, #[case] fields: &str) {
        assert_eq!(shown(&parse_list(text).unwrap()), fields);
    }

    #[rstest]
    #[case("")]
    #[case(" , # nothing")]
    #[case("id,id:text")]
    #[case("id:integer8")]
    #[case("id:")]
    #[case("d:decimal(77,0)")]
    #[case("d:decimal(0,0)")]
    #[case("d:decimal(5,6)")]
    #[case("d:decimal(5,2")]
    #[case("t:time(ms, UTC)")]
    #[case("t:timestamp(min)")]
    #[case("t:timestamp(ms, CET)")]
    #[case("t:text(5)")]
    fn columns_that_cannot_be_are_refused(#[case] text: &str) {
        let error = parse_list(text).unwrap_err();
        assert_eq!((error.code(), error.hint_text().is_some()), ("config.option", true));
    }

    #[test]
    fn a_file_may_be_an_object_with_any_names() {
        let fields = parse_file(r#" {"a,b":"int8","c":null,"d":"timestamp(ms)"} "#).unwrap();
        assert_eq!(shown(&fields), "a,b=int8 c=untyped text d=timestamp(ms)*");
        assert_eq!(shown(&parse_file("a:int8\nb").unwrap()), "a=int8 b=untyped text");
        for bad in ["{", "{}", r#"{"a":1}"#, r#"{"a":"int9"}"#] {
            assert_eq!(parse_file(bad).unwrap_err().code(), "config.option");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_of_a_type_is_read_as_that_type(bits in prop::sample::select(vec![8_u8, 16, 32, 64]), signed: bool,
            precision in 1..=76_u8, scale in 0..=76_i8, unit in 0..4_usize, zoned: bool) {
            let unit = [TimeUnit::Second, TimeUnit::Milli, TimeUnit::Micro, TimeUnit::Nano][unit];
            let scale = scale.min(precision as i8);
            for logical in [LogicalType::Int { bits, signed }, LogicalType::Decimal { precision, scale },
                LogicalType::Timestamp { unit, zoned }, LogicalType::Time { unit }] {
                prop_assert_eq!(parse_type(&logical.to_string()).unwrap().0, logical);
            }
        }

        #[test]
        fn no_declaration_is_too_odd(text in "\\PC{0,40}") {
            let _ = (parse_list(&text), parse_file(&text));
        }
    }
}
