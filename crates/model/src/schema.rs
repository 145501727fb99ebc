//! Datasets and their schemas, in terms that every kind of store shares.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of something with rows: a table, a set of files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dataset(pub String);

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The resolution of a time or timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Whole seconds.
    Second,
    /// 10^-3 seconds.
    Milli,
    /// 10^-6 seconds.
    Micro,
    /// 10^-9 seconds.
    Nano,
}

/// What a value means, whatever engine stores it. The basis of comparing one kind of store with
/// another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogicalType {
    /// Only NULLs.
    Null,
    /// True or false.
    Bool,
    /// An integer of 8, 16, 32 or 64 bits.
    Int {
        /// Width in bits.
        bits: u8,
        /// Whether it has a sign.
        signed: bool,
    },
    /// An IEEE 754 number of 16, 32 or 64 bits.
    Float {
        /// Width in bits.
        bits: u8,
    },
    /// A decimal with fixed precision and scale.
    Decimal {
        /// Number of digits, at most 76.
        precision: u8,
        /// Digits after the point; negative scales round to tens, hundreds ...
        scale: i8,
    },
    /// A decimal whose scale belongs to each value (PostgreSQL `numeric` without modifiers).
    DecimalAny,
    /// Unicode text, compared by its bytes.
    Text,
    /// Bytes of any length.
    Bytes,
    /// Bytes of one length.
    FixedBytes {
        /// That length.
        length: u32,
    },
    /// A UUID.
    Uuid,
    /// Days since 1970-01-01.
    Date,
    /// A time of day.
    Time {
        /// Its resolution.
        unit: TimeUnit,
    },
    /// An instant (`zoned`) or a local date and time.
    Timestamp {
        /// Its resolution.
        unit: TimeUnit,
        /// Whether it is an instant (stored as UTC) or a local time.
        zoned: bool,
    },
    /// An elapsed time.
    Duration {
        /// Its resolution.
        unit: TimeUnit,
    },
    /// Months, days and nanoseconds, which do not convert into each other.
    Interval,
    /// A JSON document.
    Json,
    /// A list of values of one type.
    List(Box<LogicalType>),
    /// Named fields.
    Struct(Vec<Field>),
    /// Keys and values.
    Map(Box<LogicalType>, Box<LogicalType>),
    /// Text whose type is not declared, as in a CSV file: it takes the type of the other side.
    Untyped,
    /// A type only its own engine understands; comparable inside that engine only.
    Other(String),
}

impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int { bits, signed } => write!(f, "{}int{bits}", if *signed { "" } else { "u" }),
            Self::Float { bits } => write!(f, "float{bits}"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::DecimalAny => f.write_str("decimal"),
            Self::Text => f.write_str("text"),
            Self::Bytes => f.write_str("bytes"),
            Self::FixedBytes { length } => write!(f, "bytes({length})"),
            Self::Uuid => f.write_str("uuid"),
            Self::Date => f.write_str("date"),
            Self::Time { unit } => write!(f, "time({unit})"),
            Self::Timestamp { unit, zoned: true } => write!(f, "timestamp({unit}, UTC)"),
            Self::Timestamp { unit, zoned: false } => write!(f, "timestamp({unit})"),
            Self::Duration { unit } => write!(f, "duration({unit})"),
            Self::Interval => f.write_str("interval"),
            Self::Json => f.write_str("json"),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (i, field) in fields.iter().enumerate() {
                    write!(f, "{}{}: {}", if i == 0 { "" } else { ", " }, field.name, field.logical)?;
                }
                f.write_str(">")
            }
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Untyped => f.write_str("untyped text"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "s",
            Self::Milli => "ms",
            Self::Micro => "us",
            Self::Nano => "ns",
        })
    }
}

/// A named part of a struct.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub logical: LogicalType,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, as the store spells it.
    pub name: String,
    /// The engine's own name of the type, such as `numeric(18,8)` or `BYTE_ARRAY (UTF8)`.
    pub engine_type: String,
    /// What its values mean.
    pub logical: LogicalType,
    /// Whether NULL may occur.
    pub nullable: bool,
}

/// The columns of a dataset and its key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Columns in the store's own order.
    pub columns: Vec<Column>,
    /// Names of the key columns in key order; empty when the dataset has no key.
    pub key: Vec<String>,
    /// Facts that describe more than columns: constraints, sequences, enum labels. Each a line that
    /// is equal on two stores exactly when the fact is.
    pub facts: Vec<String>,
}

impl Schema {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A hash over everything in a schema that replication must keep. Equal fingerprints mean equal
/// schemas; made in `paritas-digest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchemaFingerprint(pub [u8; 32]);
