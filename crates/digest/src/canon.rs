//! How rows become bytes: the canon of a digest, which is part of its header.
//!
//! Two digests with different canons are *incomparable*, never *different*.

use paritas_model::{LogicalType, TimeUnit};
use serde::{Deserialize, Serialize};

/// Everything that decides which bytes a row becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canon {
    /// Wire or logical.
    pub kind: CanonKind,
    /// Columns in canonical order: key columns first in key order, then the others by name.
    pub columns: Vec<CanonColumn>,
    /// How many of the first columns are the key; 0 when the whole row is the key.
    pub key_columns: usize,
    /// Declared policies.
    pub policies: Policies,
}

/// Which of the two canons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanonKind {
    /// One engine's own binary values. Image: for each column a big-endian `i32` length (-1 for
    /// NULL) and the value's bytes. Key: see [`KeyForm`].
    Wire {
        /// The engine, such as `postgres`.
        engine: String,
    },
    /// Values by meaning, for any engine against any other.
    Logical,
}

/// One column of a canon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanonColumn {
    /// Name on the source.
    pub name: String,
    /// How its values become bytes.
    pub slot: Slot,
}

/// How the values of one column become bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// The engine's own binary value (wire canon only).
    Wire {
        /// The engine's type name, the same on both sides.
        type_name: String,
        /// Number of bytes of every value, for types that have one.
        fixed_width: Option<u32>,
        /// Whether NULL may occur.
        nullable: bool,
    },
    /// One byte 0 or 1.
    Bool,
    /// `i64`; all integers up to 64 bits signed or 32 bits unsigned.
    Int,
    /// `i128`; when one side is a 64-bit unsigned integer.
    BigInt,
    /// Unscaled `i128` at this scale.
    Decimal {
        /// Digits after the point, for every value.
        scale: i8,
    },
    /// Unscaled 256-bit integer at this scale.
    WideDecimal {
        /// Digits after the point, for every value.
        scale: i8,
    },
    /// A decimal of any size, by value: as text without needless zeros.
    DecimalAny,
    /// A decimal of any size with the scale that each value carries: 1.0 and 1.00 differ.
    DecimalExact,
    /// `f64`; narrower floats are widened, which is exact.
    Float,
    /// `f32`; when no side is wider. A text meets it in the same width.
    Float32,
    /// UTF-8 bytes as they are.
    Text,
    /// Bytes as they are.
    Bytes,
    /// 16 bytes.
    Uuid,
    /// Days since 1970-01-01 as `i64`.
    Date,
    /// Time of day in this unit as `i64`.
    Time(TimeUnit),
    /// Time since 1970-01-01T00:00:00 in this unit as `i64`, or `i128` when the unit is nanoseconds.
    Timestamp {
        /// The finer of both sides' units.
        unit: TimeUnit,
        /// Whether the values are instants.
        zoned: bool,
    },
    /// Elapsed time in this unit.
    Duration(TimeUnit),
    /// Months, days, nanoseconds.
    Interval,
    /// A JSON document under the JSON policy.
    Json,
    /// A nested value, serialised recursively.
    Nested(LogicalType),
}

/// What the sketch keeps of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyForm {
    /// Key columns that are never NULL and of fixed width, at most 8 bytes together: kept whole.
    Inline8,
    /// The same up to 16 bytes.
    Inline16,
    /// Any other key: 128 bits of its hash; named by looking it up on a live side.
    Fingerprint,
    /// No key: the row hash serves as the key.
    WholeRow,
}

/// Declared ways of comparing. Defaults are strict: what differs in its bytes differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// Whether 1.0 and 1.00 are equal.
    pub decimal: DecimalPolicy,
    /// Whether -0.0 equals 0.0 and all NaNs are one.
    pub float: FloatPolicy,
    /// How JSON documents are compared.
    pub json: JsonPolicy,
    /// Whether local timestamps may be compared with instants.
    pub zone: ZonePolicy,
    /// How much of a long value goes into the logical image.
    pub image: ImagePolicy,
}

/// Decimal scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecimalPolicy {
    /// 1.0 and 1.00 differ where the engine keeps a scale for each value.
    #[default]
    Exact,
    /// Decimals are compared as numbers.
    Value,
}

/// Special floats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FloatPolicy {
    /// Every bit counts.
    #[default]
    Bits,
    /// One NaN, and -0.0 equals 0.0.
    Canonical,
}

/// JSON documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonPolicy {
    /// By their text.
    #[default]
    Bytes,
    /// By content: keys sorted, white space removed, numbers by their source text.
    Canonical,
}

/// Time zones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZonePolicy {
    /// A local timestamp and an instant cannot be compared.
    #[default]
    Strict,
    /// Local timestamps are taken as UTC.
    AssumeUtc,
}

/// The slot of variable-length values in the logical image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagePolicy {
    /// 16 bytes: up to 15 inline, otherwise 120 bits of a keyed hash.
    #[default]
    Compact,
    /// 32 bytes: up to 31 inline, otherwise 248 bits of a keyed hash.
    Wide,
}

impl Slot {
    /// Bytes that every value of this slot takes inside a key, where that number is fixed.
    pub fn fixed_width(&self) -> Option<u32> {
        match self {
            Self::Wire { fixed_width, .. } => *fixed_width,
            Self::Bool => Some(1),
            Self::Float32 => Some(4),
            Self::Int | Self::Float | Self::Date | Self::Time(_) | Self::Duration(_) => Some(8),
            Self::Timestamp { unit: TimeUnit::Nano, .. } | Self::BigInt | Self::Decimal { .. } | Self::Uuid => Some(16),
            Self::Timestamp { .. } => Some(8),
            Self::WideDecimal { .. } => Some(32),
            Self::DecimalAny | Self::DecimalExact => None,
            Self::Text | Self::Bytes | Self::Interval | Self::Json | Self::Nested(_) => None,
        }
    }

    fn nullable(&self) -> bool {
        matches!(self, Self::Wire { nullable: true, .. })
    }
}

impl Canon {
    /// The key columns.
    pub fn key(&self) -> &[CanonColumn] {
        self.columns.get(..self.key_columns).unwrap_or_default()
    }

    /// Bytes of an inline key. Of other keys, which may be declared as wide as anybody likes, it says nothing.
    pub(crate) fn key_width(&self) -> usize {
        let widths = self.key().iter().filter_map(|column| column.slot.fixed_width());
        widths.fold(0_usize, |sum, width| sum.saturating_add(width as usize))
    }

    /// What the sketch keeps of the keys. In the logical canon nullability does not matter: a row
    /// with a NULL in an otherwise inline key is kept by its fingerprint.
    pub fn key_form(&self) -> KeyForm {
        if self.key_columns == 0 {
            return KeyForm::WholeRow;
        }
        let width = self.key().iter().try_fold(0_u32, |sum, column| {
            if column.slot.nullable() { None } else { sum.checked_add(column.slot.fixed_width()?) }
        });
        match width {
            Some(0..=8) => KeyForm::Inline8,
            Some(9..=16) => KeyForm::Inline16,
            _ => KeyForm::Fingerprint,
        }
    }
}
