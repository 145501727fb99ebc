//! Where a record carries its sequence number, and the name of whoever counts.

use paritas_connect::logs::Record;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A part of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
    /// The first header of that name.
    Header(String),
}

impl Part {
    fn of<'a>(&self, record: &Record<'a>) -> Option<&'a [u8]> {
        match self {
            Self::Key => record.key,
            Self::Value => record.value,
            Self::Header(name) => record.headers.iter().find(|(own, _)| own == name)?.1,
        }
    }
}

/// How something is written in a part of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// The whole part is text.
    Text,
    /// The part is a JSON object: names of members, from the outermost one to the innermost.
    Json(Vec<String>),
    /// Bytes from an offset on.
    Bytes {
        /// The first byte.
        at: usize,
        /// How many.
        length: usize,
        /// Whether the lowest byte comes first.
        little: bool,
    },
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldAt {
    /// The part that holds it.
    pub part: Part,
    /// How it is written there.
    pub written: Written,
}

/// A sequence number in bytes takes no more of them than this.
const NUMBER_BYTES_MAX: usize = 8;
/// A name is not longer than this.
const NAME_BYTES_MAX: usize = 256;

impl FieldAt {
    /// Reads a sequence number.
    ///
    /// # Errors
    /// Why there is none.
    pub fn number(&self, record: &Record<'_>) -> Result<u64, &'static str> {
        let bytes = self.part.of(record).ok_or("the record has no such part")?;
        match &self.written {
            Written::Text => decimal(std::str::from_utf8(bytes).map_err(|_| "it is no text")?),
            Written::Json(path) => match json(bytes, path)? {
                Scalar::Number(number) => Ok(number),
                Scalar::Text(text) => decimal(&text),
            },
            Written::Bytes { length, .. } if *length == 0 || *length > NUMBER_BYTES_MAX => {
                Err("a number has 1 to 8 bytes")
            }
            Written::Bytes { at, length, little } => {
                let field = slice(bytes, *at, *length)?;
                let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
                Ok(if *little { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) })
            }
        }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// Why there is none.
    pub fn name(&self, record: &Record<'_>) -> Result<String, &'static str> {
        let bytes = self.part.of(record).ok_or("the record has no such part")?;
        let name = match &self.written {
            Written::Text => std::str::from_utf8(bytes).map_err(|_| "it is no text")?.to_owned(),
            Written::Json(path) => match json(bytes, path)? {
                Scalar::Number(number) => number.to_string(),
                Scalar::Text(text) => text,
            },
            Written::Bytes { at, length, .. } => {
                let field = slice(bytes, *at, *length)?;
                let padding = |byte: &u8| *byte == 0 || *byte == b' ';
                let end = field.iter().rposition(|byte| !padding(byte)).map_or(0, |last| last + 1);
                let text = std::str::from_utf8(field.get(..end).unwrap_or_default());
                text.map_err(|_| "it is no text")?.to_owned()
            }
        };
        if name.len() > NAME_BYTES_MAX { Err("the name is longer than 256 bytes") } else { Ok(name) }
    }
}

fn slice(bytes: &[u8], at: usize, length: usize) -> Result<&[u8], &'static str> {
    let end = at.checked_add(length).ok_or("the field lies beyond the end")?;
    bytes.get(at..end).ok_or("the field lies beyond the end")
}

fn decimal(text: &str) -> Result<u64, &'static str> {
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it is no whole number");
    }
    digits.parse().map_err(|_| "the number has more than 64 bits")
}

/// A member of a JSON object that can be a number or a name.
#[derive(Debug, PartialEq, Eq)]
enum Scalar {
    Number(u64),
    Text(String),
}

fn json(bytes: &[u8], path: &[String]) -> Result<Scalar, &'static str> {
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let found = Member { path }.deserialize(&mut from).map_err(|_| "it is no JSON with such a member")?;
    from.end().map_err(|_| "something follows the JSON")?;
    found.ok_or("it is no JSON with such a member")
}

/// Goes down a path and passes over everything else without keeping it.
struct Member<'p> {
    path: &'p [String],
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<Scalar>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<Scalar>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, a number or a text")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(self.path.is_empty().then_some(Scalar::Number(number)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.path.is_empty().then(|| Scalar::Text(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((name, rest)) = self.path.split_first() else {
            return Err(A::Error::custom("an object is no number and no name"));
        };
        let mut found = None;
        // The whole object is read: what is cut off is not JSON.
        while let Some(own) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if own == name.as_str() {
                found = map.next_value_seed(Member { path: rest })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Record<'a> {
        let headers = vec![("seq", Some(b"7".as_slice())), ("seq", Some(b"8".as_slice())), ("none", None)];
        Record { offset: 0, timestamp: None, appended: false, key, value, headers }
    }

    fn json_at(path: &[&str]) -> FieldAt {
        FieldAt { part: Part::Value, written: Written::Json(path.iter().map(|name| (*name).to_owned()).collect()) }
    }

    #[rstest]
    #[case(r#"{"seq":5}"#, &["seq"], Ok(5))]
    #[case(r#"{"a":[1,{"seq":1}],"seq":18446744073709551615}"#, &["seq"], Ok(u64::MAX))]
    #[case(r#"{"h":{"seq":"0042"},"seq":1}"#, &["h","seq"], Ok(42))]
    #[case(r#"{"s\u0065q":3}"#, &["seq"], Ok(3))]
    #[case(r#"{"seq":-1}"#, &["seq"], Err("it is no JSON with such a member"))]
    #[case(r#"{"seq":1.0}"#, &["seq"], Err("it is no JSON with such a member"))]
    #[case(r#"{"seq":null}"#, &["seq"], Err("it is no JSON with such a member"))]
    #[case(r#"{"seq":1"#, &["seq"], Err("it is no JSON with such a member"))]
    #[case(r#"{"seq":1}x"#, &["seq"], Err("something follows the JSON"))]
    #[case(r#"{"other":1}"#, &["seq"], Err("it is no JSON with such a member"))]
    #[case(r#"{"seq":{"a":1}}"#, &["seq"], Err("it is no JSON with such a member"))]
    fn numbers_are_read_from_json(
        #[case] value: &str,
        #[case] path: &[&str],
        #[case] expected: Result<u64, &'static str>,
    ) {
        assert_eq!(json_at(path).number(&record(None, Some(value.as_bytes()))), expected);
    }

    #[rstest]
    #[case(4, 2, false, Ok(0x0102))]
    #[case(4, 2, true, Ok(0x0201))]
    #[case(0, 8, false, Ok(0x4142_4344_0102_0304))]
    #[case(5, 8, false, Err("the field lies beyond the end"))]
    #[case(usize::MAX, 2, false, Err("the field lies beyond the end"))]
    #[case(0, 9, false, Err("a number has 1 to 8 bytes"))]
    #[case(0, 0, false, Err("a number has 1 to 8 bytes"))]
    fn numbers_are_read_from_bytes(
        #[case] at: usize,
        #[case] length: usize,
        #[case] little: bool,
        #[case] expected: Result<u64, &'static str>,
    ) {
        let field = FieldAt { part: Part::Value, written: Written::Bytes { at, length, little } };
        assert_eq!(field.number(&record(None, Some(b"ABCD\x01\x02\x03\x04"))), expected);
    }

    #[test]
    fn the_first_header_of_a_name_counts_and_missing_parts_are_told() {
        let header = |name: &str| FieldAt { part: Part::Header(name.into()), written: Written::Text };
        assert_eq!(header("seq").number(&record(None, None)), Ok(7));
        assert!(header("none").number(&record(None, None)).is_err());
        let key = FieldAt { part: Part::Key, written: Written::Text };
        assert_eq!(key.number(&record(Some(b" 12 "), None)), Ok(12));
        for key_bytes in [None, Some(b"".as_slice()), Some(b"1x"), Some(b"-1"), Some(b"99999999999999999999")] {
            assert!(key.number(&record(key_bytes, None)).is_err());
        }
    }

    #[test]
    fn names_are_read_like_numbers_and_padding_is_none_of_them() {
        let field = FieldAt { part: Part::Value, written: Written::Bytes { at: 0, length: 6, little: false } };
        assert_eq!(field.name(&record(None, Some(b"XLON  123"))), Ok("XLON".to_owned()));
        assert_eq!(json_at(&["venue"]).name(&record(None, Some(br#"{"venue":"XNAS"}"#))), Ok("XNAS".to_owned()));
        let key = FieldAt { part: Part::Key, written: Written::Text };
        assert!(key.name(&record(Some(&[b'a'; 300]), None)).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0_usize..80, length in 0_usize..12) {
            let record = record(Some(&bytes), Some(&bytes));
            let _ = json_at(&["a", "b"]).number(&record);
            let field = FieldAt { part: Part::Key, written: Written::Bytes { at, length, little: true } };
            let _ = (field.number(&record), field.name(&record));
        }
    }
}
