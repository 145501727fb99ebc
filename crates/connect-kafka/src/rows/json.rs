//! Records whose value or key is a JSON object: its members as they are written, so that numbers stay exact.

use super::misfit::Misfit;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// What a member of an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    /// An object or a list.
    Nested,
}

/// What a JSON text is, by its first character.
pub(super) fn kind(text: &str) -> Kind {
    match text.as_bytes().first() {
        Some(b'n') => Kind::Null,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'"') => Kind::Text,
        Some(b'{' | b'[') => Kind::Nested,
        _ => Kind::Number,
    }
}

/// The characters of a JSON text that is a string.
///
/// # Errors
/// Why it is none, such as half a pair of surrogates.
pub(super) fn unquote(text: &str) -> Result<Cow<'_, str>, String> {
    // Without an escape the characters are what stands between the quotes: the text was read once already.
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => serde_json::from_str::<String>(text).map(Cow::Owned).map_err(|error| error.to_string()),
    }
}

/// The members that are columns, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    index: HashMap<String, usize>,
    /// Whether an object may have members that are no columns.
    open: bool,
}

impl Members {
    /// Members with these names, in their order.
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a str>, open: bool) -> Self {
        Self { index: names.into_iter().enumerate().map(|(index, name)| (name.to_owned(), index)).collect(), open }
    }

    /// Whether an object may have members that are no columns.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Reads an object; the members end up in `found`, in the order of the columns, and nothing where one is absent.
    ///
    /// # Errors
    /// Why it is no object of these members.
    pub(super) fn read<'t>(&self, text: &'t str, found: &mut Vec<Option<&'t RawValue>>) -> Result<(), Misfit> {
        found.clear();
        found.resize(self.index.len(), None);
        let mut unknown = None;
        let read = with_rest(text, Object { members: self, found, unknown: &mut unknown });
        match (read, unknown) {
            (Err(_), Some(name)) => Err(Misfit::layout(format!("member {name:?} is not among the columns"))),
            (read, _) => read.map_err(Misfit::Broken),
        }
    }
}

/// What is at the end of a path of members; nothing where the path ends in `null`.
///
/// # Errors
/// Why there is no such path.
pub(super) fn descend<'t>(text: &'t str, path: &[String]) -> Result<Option<&'t str>, Misfit> {
    let mut text = text;
    for name in path {
        let members = Members::new([name.as_str()], true);
        let mut found = Vec::new();
        members.read(text, &mut found)?;
        let inner = found.first().copied().flatten();
        text = inner.ok_or_else(|| Misfit::layout(format!("there is no member {name:?}")))?.get();
        if kind(text) == Kind::Null {
            return Ok(None);
        }
    }
    Ok(Some(text))
}

/// The names of the members of an object, in their order.
///
/// # Errors
/// Why it is no object.
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    with_rest(text, Names(&mut names))?;
    Ok(names)
}

/// Reads one value, and nothing behind it but white space.
fn with_rest<'t>(text: &'t str, seed: impl DeserializeSeed<'t, Value = ()>) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    seed.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| error.to_string())
}

struct Object<'m, 'v, 't> {
    members: &'m Members,
    found: &'v mut Vec<Option<&'t RawValue>>,
    /// The member that is no column, where that is what is wrong.
    unknown: &'v mut Option<String>,
}

impl<'t> DeserializeSeed<'t> for Object<'_, '_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'t> Visitor<'t> for Object<'_, '_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            let Some(place) = self.members.index.get(name.as_ref()).and_then(|index| self.found.get_mut(*index)) else {
                if self.members.open {
                    continue;
                }
                *self.unknown = Some(name.into_owned());
                return Err(A::Error::custom("another member"));
            };
            if place.replace(value).is_some() {
                return Err(A::Error::custom(format_args!("member {name:?} is there twice")));
            }
        }
        Ok(())
    }
}

struct Names<'v>(&'v mut Vec<String>);

impl<'t> DeserializeSeed<'t> for Names<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'t> Visitor<'t> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            map.next_value::<&RawValue>()?;
            self.0.push(name.into_owned());
        }
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn read<'t>(members: &Members, text: &'t str) -> Result<Vec<Option<&'t str>>, Misfit> {
        let mut found = Vec::new();
        members.read(text, &mut found)?;
        Ok(found.into_iter().map(|value| value.map(RawValue::get)).collect())
    }

    #[test]
    fn members_come_out_as_they_are_written() {
        let members = Members::new(["id", "amount", "note", "more"], false);
        let text = " {\"amount\" : 12345678901234567890.10 ,\"\\u0069d\":7,\"more\": {\"a\": [1, 2]}} \n";
        let found = read(&members, text).unwrap();
        assert_eq!(found, [Some("7"), Some("12345678901234567890.10"), None, Some("{\"a\": [1, 2]}")]);
    }

    #[rstest]
    #[case::another_member(r#"{"a":1,"c":2}"#, "\"c\" is not among the columns")]
    #[case::twice(r#"{"a":1,"a":2}"#, "\"a\" is there twice")]
    #[case::cut(r#"{"a":1"#, "EOF")]
    #[case::more(r#"{"a":1} {}"#, "trailing characters")]
    #[case::list("[1]", "an object")]
    #[case::scalar("1", "an object")]
    #[case::null("null", "an object")]
    #[case::nothing("", "EOF")]
    #[case::no_number(r#"{"a":01}"#, "line 1")]
    #[case::constant(r#"{"a":NaN}"#, "line 1")]
    fn what_is_no_object_of_the_columns_is_refused(#[case] text: &str, #[case] why: &str) {
        let error = read(&Members::new(["a", "b"], false), text).unwrap_err();
        let by_layout = matches!(error, Misfit::Layout(_));
        let shown = format!("{error:?}").replace('\\', "");
        assert_eq!((by_layout, shown.contains(why)), (why.contains("columns"), true), "{error:?}");
    }

    #[test]
    fn members_that_are_no_columns_may_be_allowed() {
        let members = Members::new(["a"], true);
        assert_eq!(read(&members, r#"{"b":[{}],"a":1,"b":2}"#).unwrap(), [Some("1")]);
    }

    #[test]
    fn a_path_leads_into_the_object_that_counts() {
        let path = ["payload".to_owned(), "after".to_owned()];
        let text = r#"{"schema":{},"payload":{"op":"u","after":{"id":1}}}"#;
        assert_eq!(descend(text, &path).unwrap(), Some(r#"{"id":1}"#));
        assert_eq!(descend(r#"{"payload":{"op":"d","after":null}}"#, &path).unwrap(), None);
        assert!(descend(r#"{"payload":{}}"#, &path).is_err());
        assert!(descend(r#"{"payload":1}"#, &path).is_err());
    }

    #[test]
    fn nesting_without_end_is_refused_or_skipped_and_never_a_fault() {
        let deep = format!("{{\"b\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        let _ = read(&Members::new(["a"], true), &deep);
        let _ = names(&"{\"a\":".repeat(100_000));
    }

    #[rstest]
    #[case("\"\"", "")]
    #[case("\"a b\"", "a b")]
    #[case(r#""a\"\u00e9\n""#, "a\"é\n")]
    #[case(r#""\ud83d\ude00""#, "😀")]
    fn strings_lose_their_quotes_and_escapes(#[case] text: &str, #[case] plain: &str) {
        assert_eq!(unquote(text).unwrap(), plain);
        assert!(unquote(r#""\ud83d""#).is_err());
    }

    proptest! {
        #[test]
        fn every_string_comes_back(text in "\\PC{0,30}") {
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unquote(&quoted).unwrap(), text);
        }

        #[test]
        fn an_object_gives_back_its_members(object in prop::collection::btree_map("\\PC{0,6}", -1_000..1_000_i64, 0..8)) {
            let text = serde_json::to_string(&object).unwrap();
            let members = Members::new(object.keys().map(String::as_str), false);
            let found: Vec<i64> = read(&members, &text).unwrap().into_iter().map(|text| text.unwrap().parse().unwrap()).collect();
            prop_assert_eq!(found, object.values().copied().collect::<Vec<_>>());
            prop_assert_eq!(names(&text).unwrap(), object.keys().cloned().collect::<Vec<_>>());
        }

        #[test]
        fn no_text_is_too_odd(text in "[\\[\\]{}\",:a0-9\\\\ utf]{0,40}") {
            let _ = (read(&Members::new(["a"], true), &text), names(&text), unquote(&text));
            let _ = descend(&text, &["a".to_owned()]);
        }
    }
}
