//! Positions in streams, lineages, and lag.

use crate::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A PostgreSQL log sequence number: a byte position in the write-ahead log, printed as
/// `HIGH/LOW` in hexadecimal. Source: PostgreSQL documentation, type `pg_lsn`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lsn(pub u64);

/// A text that is not an LSN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {0:?} as an LSN: expected two hexadecimal numbers of at most 8 digits, such as 0/3000148")]
pub struct ParseLsnError(pub String);

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseLsnError(text.to_owned());
        let part = |digits: &str| {
            let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            if plain { u64::from_str_radix(digits, 16).map_err(|_| error()) } else { Err(error()) }
        };
        let (high, low) = text.split_once('/').ok_or_else(error)?;
        Ok(Self(part(high)? << 32 | part(low)?))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl TryFrom<String> for Lsn {
    type Error = ParseLsnError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> Self {
        lsn.to_string()
    }
}

/// The name of one ordered history inside a store, such as `wal` or `orders/3`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stream(pub String);

/// Which history a position belongs to: system identifier and timeline of PostgreSQL, table id of a
/// lake table. Two positions with different lineages have no order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lineage(pub String);

/// A monotone position inside one lineage of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The stream it lies in.
    pub stream: Stream,
    /// The history it belongs to.
    pub lineage: Lineage,
    /// Monotone inside the lineage: an LSN, an offset, a version.
    pub value: u64,
    /// The store's own way of writing it, such as `1/3000148`.
    pub text: String,
}

impl Position {
    /// The order of two positions; `None` across streams or lineages, where no order exists.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        (self.stream == other.stream && self.lineage == other.lineage).then(|| self.value.cmp(&other.value))
    }

    /// How far `self` is behind `ahead`, in units of the stream; `None` where no order exists or
    /// where `self` is the one further on.
    pub fn gap_to(&self, ahead: &Self) -> Option<u64> {
        self.order(ahead).and_then(|_| ahead.value.checked_sub(self.value))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// An interval of seconds that contains the true value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SecondsInterval {
    /// No less than this.
    pub low: f64,
    /// No more than this.
    pub high: f64,
}

/// What a lag measurement says about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LagState {
    /// Everything the source had at the time of sampling is on the replica.
    CaughtUp,
    /// The replica follows and is behind.
    Behind,
    /// The replica is behind and did not move.
    Stalled,
    /// The replica cannot follow any more.
    Broken,
    /// It could not be observed.
    Unknown,
}

impl LagState {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CaughtUp => "caught_up",
            Self::Behind => "behind",
            Self::Stalled => "stalled",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }
}

/// How far a replica is behind, in whatever units are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// The stream it was measured on.
    pub stream: Stream,
    /// What it amounts to.
    pub state: LagState,
    /// Bytes of history not yet on the replica.
    pub bytes: Known<u64>,
    /// Seconds behind, as an interval.
    pub seconds: Known<SecondsInterval>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn at(lineage: &str, value: u64) -> Position {
        Position { stream: Stream("wal".into()), lineage: Lineage(lineage.into()), value, text: Lsn(value).to_string() }
    }

    #[test]
    fn positions_of_different_lineages_have_no_order() {
        assert_eq!(at("sys/1", 1).order(&at("sys/2", 2)), None);
        assert_eq!(at("sys/1", 1).order(&at("sys/1", 2)), Some(Ordering::Less));
        assert_eq!(at("sys/1", 1).gap_to(&at("sys/2", 2)), None);
        assert_eq!(at("sys/1", 1).gap_to(&at("sys/1", 5)), Some(4));
        assert_eq!(at("sys/1", 5).gap_to(&at("sys/1", 1)), None);
    }

    #[rstest]
    #[case("0/3000148", 0x0300_0148)]
    #[case("16/B374D848", 0x16_B374_D848)]
    #[case("FFFFFFFF/ffffffff", u64::MAX)]
    fn lsns_are_read(#[case] text: &str, #[case] value: u64) {
        assert_eq!(text.parse::<Lsn>().unwrap().0, value);
    }

    #[rstest]
    #[case("")]
    #[case("0")]
    #[case("/")]
    #[case("0/")]
    #[case("0/-1")]
    #[case("0/+1")]
    #[case("0/123456789")]
    #[case("1/2/3")]
    #[case("0/G")]
    #[case(" 0/1")]
    fn texts_that_are_no_lsns_are_refused(#[case] text: &str) {
        assert!(text.parse::<Lsn>().is_err());
    }

    proptest! {
        #[test]
        fn lsns_survive_printing_and_reading(value: u64) {
            prop_assert_eq!(Lsn(value).to_string().parse::<Lsn>().unwrap(), Lsn(value));
        }
    }
}
