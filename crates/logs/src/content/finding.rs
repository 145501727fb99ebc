//! What differs between two partitions: classes, findings, counts.

use paritas_model::{Proof, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of difference records show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// On the source, and not on the replica, which has later ones. In a compacted log: the key's latest
    /// record is on the source, and the replica has none of that key.
    Missing,
    /// On both sides at the same place, with another key, value, headers or time. In a compacted log: the
    /// key's latest records differ.
    Altered,
    /// On the replica, and nowhere in the source's partition. In a compacted log: the source has no record of
    /// the key.
    Foreign,
    /// On the replica once more than on the source. A run that was copied twice is one finding.
    Duplicate,
    /// On both sides, at another place in the order.
    Reordered,
    /// On the source in one partition and on the replica in another one of the same log.
    WrongPartition,
    /// On the replica, although its transaction was aborted on the source.
    Aborted,
    /// On the replica, while its transaction is still open on the source, or behind one that is. Nobody can
    /// read it on the source yet, and it may still be aborted.
    Undecided,
    /// On the source behind the last record that the replica has: in flight.
    NotYetMirrored,
    /// Before the records that both sides still have: one of the logs begins later. `source` or `replica`
    /// of the finding says which side still has them.
    Expired,
}

impl Class {
    /// All of them, in the order of their weight.
    pub const ALL: [Self; 10] = [
        Self::Missing,
        Self::Altered,
        Self::Foreign,
        Self::Duplicate,
        Self::Reordered,
        Self::WrongPartition,
        Self::Aborted,
        Self::Undecided,
        Self::NotYetMirrored,
        Self::Expired,
    ];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Altered => "altered",
            Self::Foreign => "foreign",
            Self::Duplicate => "duplicate",
            Self::Reordered => "reordered",
            Self::WrongPartition => "wrong_partition",
            Self::Aborted => "aborted",
            Self::Undecided => "undecided",
            Self::NotYetMirrored => "not_yet_mirrored",
            Self::Expired => "expired",
        }
    }

    /// Whether it contradicts a faithful copy.
    pub fn is_violation(self) -> bool {
        !matches!(self, Self::Undecided | Self::NotYetMirrored | Self::Expired)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What of a record differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
    /// Names, values, order or number of the headers.
    Headers,
    /// The time.
    Timestamp,
}

/// A side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// The source.
    Source,
    /// The replica.
    Replica,
}

/// Where the first and the last record of some stand, in the order of their offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Offset of the first.
    pub first: u64,
    /// Offset of the last. Offsets in between may have other records, or none.
    pub last: u64,
    /// Time of the first in milliseconds since 1970; `None` where it has none.
    pub first_time: Option<i64>,
    /// Time of the last.
    pub last_time: Option<i64>,
}

/// A place between records that both sides have, by offsets of the side that lacks something there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Between {
    /// The record before; `None` at the beginning.
    pub after: Option<u64>,
    /// The record behind; `None` at the end.
    pub before: Option<u64>,
}

/// Records that differ in one way and follow one another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// In which way.
    pub class: Class,
    /// How sure that is.
    pub proof: Proof,
    /// The number of the partition on the source; for what only the replica has, of the partition that
    /// faces the replica's.
    pub partition: i32,
    /// For [`Class::WrongPartition`] the number of the source's partition that faces the one in which the
    /// replica has the records.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub found_in: Option<i32>,
    /// How many records.
    pub records: u64,
    /// Whether that many is a lower bound.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub at_least: bool,
    /// Where they are on the source. Of a duplicate: the records that were copied again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Span>,
    /// Where they are on the replica.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replica: Option<Span>,
    /// Where they would be on the side that lacks them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub between: Option<Between>,
    /// What differs, of altered records: the parts in which at least one of them does.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parts: Vec<Part>,
    /// Some of the records, for people: the first, as both sides have it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub shown: Vec<Shown>,
    /// What more there is to say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// A record as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Whose record.
    pub of: Of,
    /// Its offset.
    pub offset: u64,
    /// Its time in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// The key: text where it is text, otherwise bytes; cut where it is long. `Value::Null` where it has none.
    pub key: Value,
    /// The value, in the same way.
    pub value: Value,
    /// Bytes of the value in full; `None` where it has none.
    pub value_bytes: Option<u64>,
    /// Headers in their order, the first few of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub headers: Vec<(String, Value)>,
}

/// Complete counts of records by class, also where the list of findings is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Proven [`Class::Missing`].
    pub missing: u64,
    /// Proven [`Class::Altered`].
    pub altered: u64,
    /// Proven [`Class::Foreign`].
    pub foreign: u64,
    /// Proven [`Class::Duplicate`].
    pub duplicate: u64,
    /// Proven [`Class::Reordered`].
    pub reordered: u64,
    /// Proven [`Class::WrongPartition`].
    pub wrong_partition: u64,
    /// Proven [`Class::Aborted`], where that is not allowed.
    pub aborted: u64,
    /// Aborted records on the replica where they are allowed.
    pub aborted_allowed: u64,
    /// Violations that were seen without proof.
    pub unproven: u64,
    /// [`Class::NotYetMirrored`] before the fence: they were on the source when the run began.
    pub not_yet_mirrored: u64,
    /// [`Class::Undecided`].
    pub undecided: u64,
    /// Records that only the source still has, because the replica's log begins later.
    pub expired_on_replica: u64,
    /// Records that only the replica still has, because the source's log begins later.
    pub expired_on_source: u64,
    /// Records of a compacted log that were superseded by a later one of their key, and are not compared.
    pub superseded: u64,
}

impl Counts {
    /// Counts records. `held` says which side has them where only one does.
    pub fn add(&mut self, class: Class, proof: Proof, held: Of, records: u64) {
        let slot = match (class, proof) {
            (Class::NotYetMirrored, _) => &mut self.not_yet_mirrored,
            (Class::Undecided, _) => &mut self.undecided,
            (Class::Expired, _) if held == Of::Source => &mut self.expired_on_replica,
            (Class::Expired, _) => &mut self.expired_on_source,
            (_, Proof::Unproven | Proof::InFlight) => &mut self.unproven,
            (Class::Missing, _) => &mut self.missing,
            (Class::Altered, _) => &mut self.altered,
            (Class::Foreign, _) => &mut self.foreign,
            (Class::Duplicate, _) => &mut self.duplicate,
            (Class::Reordered, _) => &mut self.reordered,
            (Class::WrongPartition, _) => &mut self.wrong_partition,
            (Class::Aborted, _) => &mut self.aborted,
        };
        *slot = slot.saturating_add(records);
    }

    /// Takes over the counts of another part.
    pub fn absorb(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.missing, other.missing),
            (&mut self.altered, other.altered),
            (&mut self.foreign, other.foreign),
            (&mut self.duplicate, other.duplicate),
            (&mut self.reordered, other.reordered),
            (&mut self.wrong_partition, other.wrong_partition),
            (&mut self.aborted, other.aborted),
            (&mut self.aborted_allowed, other.aborted_allowed),
            (&mut self.unproven, other.unproven),
            (&mut self.not_yet_mirrored, other.not_yet_mirrored),
            (&mut self.undecided, other.undecided),
            (&mut self.expired_on_replica, other.expired_on_replica),
            (&mut self.expired_on_source, other.expired_on_source),
            (&mut self.superseded, other.superseded),
        ] {
            *own = own.saturating_add(other);
        }
    }

    /// Counts proven violations as unproven ones.
    pub fn doubt(&mut self) {
        self.unproven = self.unproven.saturating_add(self.proven());
        let Self { missing, altered, foreign, duplicate, reordered, wrong_partition, aborted, .. } = self;
        for count in [missing, altered, foreign, duplicate, reordered, wrong_partition, aborted] {
            *count = 0;
        }
    }

    /// All proven violations.
    pub fn proven(&self) -> u64 {
        [self.missing, self.altered, self.foreign, self.duplicate, self.reordered, self.wrong_partition, self.aborted]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Everything that keeps the verdict from being a pass without proving a violation.
    pub fn unsettled(&self) -> u64 {
        self.unproven.saturating_add(self.not_yet_mirrored)
    }
}
