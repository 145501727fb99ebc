//! `Known<T>`: a number is known, or unknown with a reason.

use serde::{Deserialize, Serialize};

/// A value that may not be known, and then says why. There are no sentinel values in Paritas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known<T> {
    /// The value was observed.
    Known(T),
    /// The value could not be observed.
    Unknown {
        /// Why, as a sentence for the report.
        why: String,
    },
}

impl<T> Known<T> {
    /// An unknown value with its reason.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// The value, if it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }

    /// The reason, if the value is unknown.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown { why } => Some(why),
        }
    }

    /// Applies `f` to a known value and keeps the reason otherwise.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Known(value) => Known::Known(f(value)),
            Self::Unknown { why } => Known::Unknown { why },
        }
    }

    /// Combines two values; unknown if either is, with the first reason.
    pub fn zip<U>(self, other: Known<U>) -> Known<(T, U)> {
        match (self, other) {
            (Self::Known(a), Known::Known(b)) => Known::Known((a, b)),
            (Self::Unknown { why }, _) | (_, Known::Unknown { why }) => Known::Unknown { why },
        }
    }
}

impl<T> From<T> for Known<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_part_makes_the_whole_unknown_with_its_reason() {
        let known = Known::Known(1).zip(Known::<u8>::unknown("cut link"));
        assert_eq!(known.why(), Some("cut link"));
        assert_eq!(Known::Known(1).zip(Known::Known(2)).map(|(a, b)| a + b).value(), Some(&3));
    }
}
