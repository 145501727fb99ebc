//! A value as it is shown to people and written into reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A single field of a row, for display and reports only. Rows are compared by their canonical
/// images, never by these.
///
/// In JSON, numbers beyond 2^53 and all amounts are strings, bytes are hexadecimal strings with the
/// prefix `\x`, NULL is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// SQL NULL or an absent value.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer that a JSON reader keeps exactly (at most 2^53 in magnitude).
    Int(i64),
    /// Everything else, in the store's own text form.
    Text(String),
}

impl Value {
    /// The largest integer magnitude that every JSON reader keeps exactly.
    pub const JSON_INTEGER_MAX: i64 = 1 << 53;

    /// An integer of any size: a number where JSON keeps it, otherwise a string.
    pub fn integer(value: i128) -> Self {
        match i64::try_from(value) {
            Ok(small) if small.unsigned_abs() <= Self::JSON_INTEGER_MAX.unsigned_abs() => Self::Int(small),
            _ => Self::Text(value.to_string()),
        }
    }

    /// Bytes as `\x` and lower-case hexadecimal digits.
    pub fn bytes(bytes: &[u8]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(2 + 2 * bytes.len());
        text.push_str("\\x");
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.pad("NULL"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(text) => f.pad(text),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn integers_beyond_2_to_53_become_strings() {
        assert_eq!(Value::integer(1 << 53), Value::Int(1 << 53));
        assert_eq!(Value::integer((1 << 53) + 1), Value::Text("9007199254740993".into()));
        assert_eq!(Value::integer(i128::from(i64::MIN)), Value::Text("-9223372036854775808".into()));
        assert_eq!(serde_json::to_string(&Value::bytes(&[0, 255])).unwrap(), r#""\\x00ff""#);
        assert_eq!(serde_json::to_string(&Value::Null).unwrap(), "null");
    }
}
