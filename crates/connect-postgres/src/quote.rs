//! SQL text: the only place where names and literals are put into statements.

use std::fmt::Write as _;

/// An identifier in double quotes, always: what needs no quotes stays right with them.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A qualified name for SQL.
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A string literal that means the same whatever `standard_conforming_strings` says.
pub(crate) fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "''");
    if text.contains('\\') { format!("E'{escaped}'") } else { format!("'{escaped}'") }
}

/// An identifier as people write it: quoted only where it must be.
pub(crate) fn shown_ident(name: &str) -> String {
    let plain = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain { name.to_owned() } else { ident(name) }
}

/// `schema.table` as people write it.
pub(crate) fn shown(schema: &str, name: &str) -> String {
    format!("{}.{}", shown_ident(schema), shown_ident(name))
}

/// A name as a user gave it, in up to two parts. Each part keeps whether it was quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) text: String,
    pub(crate) quoted: bool,
}

impl Part {
    /// The spelling the server would look for: unquoted names are folded to lower case.
    pub(crate) fn folded(&self) -> String {
        if self.quoted { self.text.clone() } else { self.text.to_ascii_lowercase() }
    }
}

/// Splits `schema.table`, `"Schema"."Table"` or `table`. `None` if it is not such a name.
pub(crate) fn split_name(text: &str) -> Option<Vec<Part>> {
    const PARTS_MAX: usize = 2;
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(inner) => quoted_part(inner)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                (Part { text: name.to_owned(), quoted: false }, after)
            }
        };
        if part.text.is_empty() || parts.len() == PARTS_MAX {
            return None;
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

fn quoted_part(inner: &str) -> Option<(Part, &str)> {
    let mut text = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            text.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '"') {
            chars.next();
            text.push('"');
        } else {
            return Some((Part { text, quoted: true }, inner.get(at + 1..)?));
        }
    }
    None
}

/// Joins with commas.
pub(crate) fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for (index, item) in items.into_iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{item}", if index == 0 { "" } else { ", " });
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("t", "\"t\"")]
    #[case("a\"b", "\"a\"\"b\"")]
    #[case("x; drop table y", "\"x; drop table y\"")]
    #[case("", "\"\"")]
    fn identifiers_are_quoted(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(ident(name), expected);
    }

    #[rstest]
    #[case("it's", "'it''s'")]
    #[case("a\\b", "E'a\\\\b'")]
    #[case("a\\'b", "E'a\\\\''b'")]
    fn literals_are_quoted(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(literal(text), expected);
    }

    #[rstest]
    #[case("a.b", Some(vec![("a", false), ("b", false)]))]
    #[case("\"A.b\".c", Some(vec![("A.b", true), ("c", false)]))]
    #[case("t", Some(vec![("t", false)]))]
    #[case("a.b.c", None)]
    #[case("a.", None)]
    #[case("", None)]
    #[case("\"open", None)]
    #[case("\"a\"b", None)]
    fn names_are_split(#[case] text: &str, #[case] expected: Option<Vec<(&str, bool)>>) {
        let found = split_name(text).map(|parts| parts.into_iter().map(|part| (part.text, part.quoted)).collect());
        let expected: Option<Vec<(String, bool)>> =
            expected.map(|parts| parts.into_iter().map(|(text, quoted)| (text.to_owned(), quoted)).collect());
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn shown_names_are_read_back(schema in "[^\0]{1,12}", name in "[^\0]{1,12}") {
            let parts = split_name(&shown(&schema, &name)).unwrap();
            let texts: Vec<String> = parts.iter().map(Part::folded).collect();
            prop_assert_eq!(texts, vec![schema, name]);
        }
    }
}
