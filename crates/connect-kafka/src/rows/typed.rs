//! Columns of JSON members and texts: by the type that was declared, or by that of the other side.

use super::field::Field;
use super::json::{self, Kind};
use arrow_array::ArrayRef;
use paritas_connect::text::{Refused, TextColumn};
use paritas_digest::{Policies, Slot};
use paritas_model::LogicalType;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Which JSON values a column takes.
#[derive(Debug)]
enum Takes {
    /// Any, by their text.
    Any,
    /// Any, as a document.
    Document,
    /// Those of a type.
    Declared(LogicalType),
}

/// Collects the values of one column.
#[derive(Debug)]
pub(super) struct TypedColumn {
    values: TextColumn,
    takes: Takes,
    /// Whether numbers are times in the unit of the type.
    ticks: bool,
    /// Rows whose value is well-formed and beyond the slot of the other side; NULL among the values.
    beyond: BTreeMap<usize, String>,
}

impl TypedColumn {
    /// A column of this declaration that is compared in this slot; nothing where it cannot be made of texts.
    pub(super) fn new(field: &Field, slot: &Slot, policies: Policies) -> Option<Self> {
        let (values, takes) = match &field.logical {
            LogicalType::Untyped => {
                let takes = if *slot == Slot::Json { Takes::Document } else { Takes::Any };
                (TextColumn::new(slot, policies)?, takes)
            }
            LogicalType::Json => (TextColumn::of(&field.logical)?, Takes::Document),
            logical => (TextColumn::of(logical)?, Takes::Declared(logical.clone())),
        };
        Some(Self { values, takes, ticks: field.ticks, beyond: BTreeMap::new() })
    }

    pub(super) fn null(&mut self) {
        self.values.null();
    }

    /// Appends a JSON value as row `row` of the batch; one that is absent or `null` is NULL.
    ///
    /// # Errors
    /// Why it is no value of the column.
    pub(super) fn push_json(&mut self, row: usize, raw: Option<&str>) -> Result<(), String> {
        let Some(raw) = raw.filter(|raw| json::kind(raw) != Kind::Null) else {
            self.values.null();
            return Ok(());
        };
        let kind = json::kind(raw);
        let text = match (&self.takes, kind) {
            (Takes::Document, _) | (Takes::Any, Kind::Bool | Kind::Number | Kind::Nested) => Cow::Borrowed(raw),
            (Takes::Any, _) => json::unquote(raw)?,
            (Takes::Declared(logical), kind) => {
                if kind == Kind::Number && is_time(logical) {
                    return self.push_time(raw);
                }
                if !fits(logical, kind) {
                    return Err(format!("it is {}, and the column holds {logical}", named(kind)));
                }
                if kind == Kind::Text { json::unquote(raw)? } else { Cow::Borrowed(raw) }
            }
        };
        self.push(row, &text)
    }

    /// Appends a text that is no JSON.
    ///
    /// # Errors
    /// Why it is no value of the column.
    pub(super) fn push(&mut self, row: usize, text: &str) -> Result<(), String> {
        match (self.values.push(text), &self.takes) {
            (Ok(()), _) => Ok(()),
            (Err(Refused::Malformed(why)), _) => Err(why),
            (Err(Refused::Beyond), Takes::Declared(logical)) => Err(format!("it does not fit into {logical}")),
            (Err(Refused::Beyond), _) => {
                self.values.null();
                self.beyond.insert(row, text.to_owned());
                Ok(())
            }
        }
    }

    fn push_time(&mut self, number: &str) -> Result<(), String> {
        if !self.ticks {
            return Err(
                "it is a number, and the unit of numbers is not declared (write timestamp(ms) or such)".to_owned()
            );
        }
        let ticks = number.parse().map_err(|_| "it is no whole number of 64 bits".to_owned())?;
        self.values.push_ticks(ticks).map_err(|refused| match refused {
            Refused::Malformed(why) => why,
            Refused::Beyond => "it is beyond all dates".to_owned(),
        })
    }

    /// The values so far, and those beyond the slot by their row; the column is empty afterwards.
    pub(super) fn finish(&mut self) -> (ArrayRef, BTreeMap<usize, String>) {
        (self.values.finish(), std::mem::take(&mut self.beyond))
    }
}

fn is_time(logical: &LogicalType) -> bool {
    matches!(logical, LogicalType::Date | LogicalType::Time { .. } | LogicalType::Timestamp { .. })
}

/// Whether JSON values of a kind can be values of a type. Everything may be a string: numbers are often written as
/// such so that nobody rounds them.
fn fits(logical: &LogicalType, kind: Kind) -> bool {
    use LogicalType as L;
    match kind {
        Kind::Text => true,
        Kind::Bool => *logical == L::Bool,
        Kind::Number => matches!(logical, L::Int { .. } | L::Decimal { .. } | L::DecimalAny | L::Float { .. }),
        Kind::Null | Kind::Nested => false,
    }
}

fn named(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "true or false",
        Kind::Number => "a number",
        Kind::Text => "a string",
        Kind::Nested => "an object or a list",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::field::parse_list;
    use super::*;
    use paritas_connect::show_arrow;
    use rstest::rstest;

    fn column(declared: &str, slot: &Slot) -> TypedColumn {
        TypedColumn::new(parse_list(declared).unwrap().first().unwrap(), slot, Policies::default()).unwrap()
    }

    fn only(column: &mut TypedColumn) -> String {
        show_arrow(&column.finish().0, 0).unwrap().to_string()
    }

    #[rstest]
    #[case("a:int64", "12", "12")]
    #[case("a:int64", "\"-9223372036854775808\"", "-9223372036854775808")]
    #[case("a:decimal(38,10)", "12345678901234567890.1234567891", "12345678901234567890.1234567891")]
    #[case("a:decimal(38,10)", "\"0.1\"", "0.1000000000")]
    #[case("a:decimal", "1.10", "1.10")]
    #[case("a:float64", "0.1", "0.1")]
    #[case("a:bool", "true", "true")]
    #[case("a:text", r#""\u00e9\"""#, "é\"")]
    #[case("a:json", r#"{"a": [1.10]}"#, r#"{"a": [1.10]}"#)]
    #[case("a:json", "\"text\"", "\"text\"")]
    #[case("a:timestamp(ms, UTC)", "1500", "1970-01-01T00:00:01.5Z")]
    #[case("a:timestamptz", "\"1970-01-01T00:00:01Z\"", "1970-01-01T00:00:01Z")]
    #[case("a:date", "1", "1970-01-02")]
    #[case("a:bytes", r#""\\x00ff""#, r"\x00ff")]
    #[case("a:text", "null", "NULL")]
    fn json_values_of_a_declared_type_are_read(#[case] declared: &str, #[case] raw: &str, #[case] shown: &str) {
        let mut column = column(declared, &Slot::Text);
        column.push_json(0, Some(raw)).unwrap();
        assert_eq!(only(&mut column), shown);
    }

    #[rstest]
    #[case("a:int8", "128", "does not fit into int8")]
    #[case("a:int64", "1.5", "does not fit into int64")]
    #[case("a:int64", "true", "it is true or false")]
    #[case("a:decimal(5,2)", "1.005", "does not fit into decimal(5,2)")]
    #[case("a:text", "5", "it is a number")]
    #[case("a:text", "{}", "it is an object or a list")]
    #[case("a:bool", "1", "it is a number")]
    #[case("a:uuid", "\"x\"", "no UUID")]
    #[case("a:timestamp", "1500", "the unit of numbers is not declared")]
    #[case("a:timestamp(ms)", "1500.5", "no whole number")]
    #[case("a:timestamptz", "\"1970-01-01T00:00:01\"", "no offset")]
    #[case("a:text", r#""\ud800""#, "hex escape")]
    fn json_values_of_another_type_are_refused_with_a_reason(
        #[case] declared: &str,
        #[case] raw: &str,
        #[case] why: &str,
    ) {
        let error = column(declared, &Slot::Text).push_json(0, Some(raw)).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[rstest]
    #[case(Slot::Decimal { scale: 2 }, "10.5", "10.50")]
    #[case(Slot::Decimal { scale: 2 }, "\"10.5\"", "10.50")]
    #[case(Slot::Text, "\"a\"", "a")]
    #[case(Slot::Text, "10.50", "10.50")]
    #[case(Slot::Text, "[1, 2]", "[1, 2]")]
    #[case(Slot::Json, "\"a\"", "\"a\"")]
    #[case(Slot::Bool, "false", "false")]
    fn a_column_without_a_type_takes_that_of_the_other_side(
        #[case] slot: Slot,
        #[case] raw: &str,
        #[case] shown: &str,
    ) {
        let mut column = column("a", &slot);
        column.push_json(0, Some(raw)).unwrap();
        assert_eq!(only(&mut column), shown);
    }

    #[test]
    fn what_the_other_side_cannot_hold_is_kept_as_its_text() {
        let mut column = column("a", &Slot::Decimal { scale: 2 });
        column.push_json(0, Some("1.00")).unwrap();
        column.push_json(1, Some("1.005")).unwrap();
        let (array, beyond) = column.finish();
        assert_eq!((array.len(), array.null_count()), (2, 1));
        assert_eq!(beyond.into_iter().collect::<Vec<_>>(), [(1, "1.005".to_owned())]);
    }
}
