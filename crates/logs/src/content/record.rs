//! A record as it is seen where chains differ.

use super::{Id, Part, Parts};

/// What became of the transaction of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Committed, or there was none.
    Committed,
    /// Aborted.
    Aborted,
    /// Open, or behind one that is.
    Undecided,
}

/// A record that was read one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its number among the committed records of the window, from 0. Of a record that is not committed: that of the
    /// next one.
    pub ordinal: u64,
    /// Its offset.
    pub offset: u64,
    /// Its name.
    pub id: Id,
    /// Names of its parts.
    pub parts: Parts,
    /// Its time in milliseconds since 1970.
    pub time: Option<i64>,
    /// Whether it has a key.
    pub keyed: bool,
    /// Whether it has a value.
    pub valued: bool,
    /// What became of its transaction.
    pub state: State,
}

impl Seen {
    /// Names key, value and headers, whatever the time.
    pub(crate) fn content(&self) -> Id {
        let Parts { key, value, headers } = self.parts;
        Id(key.0 ^ value.0.rotate_left(41) ^ headers.0.rotate_left(83))
    }

    /// What differs.
    pub(crate) fn differing(&self, other: &Self, times: bool) -> Vec<Part> {
        let parts = [
            (Part::Key, self.parts.key != other.parts.key),
            (Part::Value, self.parts.value != other.parts.value),
            (Part::Headers, self.parts.headers != other.parts.headers),
            (Part::Timestamp, times && self.time != other.time),
        ];
        parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
    }
}
