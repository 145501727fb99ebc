//! What a user declares about the writing of a dataset.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What may legitimately happen to the rows of a dataset after a snapshot, as the user declares it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writes {
    /// Anything.
    #[default]
    Any,
    /// Rows are inserted and changed, never deleted.
    Upserts,
    /// Rows are only added.
    Inserts,
    /// Nothing: the dataset is at rest.
    None,
}

impl Writes {
    /// All words.
    pub const WORDS: [&'static str; 4] = ["any", "upserts", "inserts", "none"];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Upserts => "upserts",
            Self::Inserts => "inserts",
            Self::None => "none",
        }
    }
}

impl FromStr for Writes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Any, Self::Upserts, Self::Inserts, Self::None].into_iter().find(|one| one.as_str() == text);
        known.ok_or_else(|| format!("{text:?} is none of {}", Self::WORDS.join(", ")))
    }
}
