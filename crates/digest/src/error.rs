//! What can go wrong between a row and its digest.

use std::fmt;

/// A row, a block or a canon that cannot be digested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// A value that its slot cannot hold exactly.
    #[error("column {column:?}, row {row} of the block: {why}")]
    Value {
        /// Column of the canon.
        column: String,
        /// Row inside the block or batch, from 0.
        row: usize,
        /// What does not fit.
        why: String,
    },
    /// An Arrow column whose type does not fit its slot.
    #[error("column {column:?}: Arrow type {found} does not fit the slot {slot}")]
    Type {
        /// Column of the canon.
        column: String,
        /// The Arrow type.
        found: String,
        /// The slot of the canon.
        slot: String,
    },
    /// A batch with another number of columns than the canon.
    #[error("the block has {found} columns, the canon has {expected}")]
    Columns {
        /// Columns of the block.
        found: usize,
        /// Columns of the canon.
        expected: usize,
    },
    /// An inline key of another length than the canon's key.
    #[error("row {row} of the block: the key has {found} bytes, the canon's key has {expected}")]
    KeyLength {
        /// Row inside the block, from 0.
        row: usize,
        /// Bytes handed in.
        found: usize,
        /// Bytes of the canon's key.
        expected: usize,
    },
    /// A block of one canon given to a digester of the other.
    #[error("a {found} block cannot enter a digest of the {expected} canon")]
    Kind {
        /// What was handed in.
        found: &'static str,
        /// What the canon asks for.
        expected: &'static str,
    },
    /// A canon that describes no rows.
    #[error("the canon is not usable: {why}")]
    Canon {
        /// What is wrong with it.
        why: String,
    },
    /// An earlier block failed, so that the sums miss rows.
    #[error("an earlier block could not be digested, so this digest is incomplete")]
    Incomplete,
    /// Known answers came out differently on this machine.
    #[error("the self-test failed: {what}")]
    SelfTest {
        /// Which known answer.
        what: &'static str,
    },
}

impl DigestError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Value { .. } => "compare through a view that casts the column, or leave the column out",
            Self::Type { .. } | Self::Columns { .. } | Self::KeyLength { .. } | Self::Kind { .. } => {
                "the connector and the canon disagree; please report this as a defect"
            }
            Self::Canon { .. } => "choose at least one column, and a key made of compared columns",
            Self::Incomplete => "read the split again with a fresh digester",
            Self::SelfTest { .. } => "this build or this machine computes wrong hashes; do not use its results",
        }
    }
}

/// One field in which two digests must agree and do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderDelta {
    /// Name of the header field.
    pub field: &'static str,
    /// The source's value.
    pub source: String,
    /// The replica's value.
    pub replica: String,
}

/// Two digests that say nothing about each other. Incomparable is not different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomparable {
    /// Every header field that differs.
    pub fields: Vec<HeaderDelta>,
}

impl fmt::Display for Incomparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the digests cannot be compared: ")?;
        for (i, delta) in self.fields.iter().enumerate() {
            let comma = if i == 0 { "" } else { "; " };
            write!(f, "{comma}{} is {} on the source and {} on the replica", delta.field, delta.source, delta.replica)?;
        }
        Ok(())
    }
}

impl std::error::Error for Incomparable {}

impl Incomparable {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.fields.first().map(|delta| delta.field) {
            Some("key_id") => "both digests must be made with the same digest key",
            Some("dataset") => "both digests must be made for the same dataset name",
            _ => "make both digests with the same columns, key and policies",
        }
    }
}
