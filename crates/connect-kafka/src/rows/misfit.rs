//! Records that are no rows of the columns that are known, and whose fault that is.

use paritas_connect::logs::Partition;
use paritas_connect::{Error, FailureKind};

/// Why a record does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is broken, or holds a value that its column cannot have: a finding about the topic.
    Broken(String),
    /// It may be as right as the layout that was given: nothing is proven.
    Layout(String),
}

impl From<String> for Misfit {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

impl Misfit {
    /// The layout does not say how such a record is to be read.
    pub(super) fn layout(why: impl Into<String>) -> Self {
        Self::Layout(why.into())
    }

    /// The reason, in front of which it says where.
    #[must_use]
    pub(super) fn within(self, place: &str) -> Self {
        match self {
            Self::Broken(why) => Self::Broken(format!("{place}: {why}")),
            Self::Layout(why) => Self::Layout(format!("{place}: {why}")),
        }
    }

    /// The error that names the record.
    pub(super) fn of(self, partition: &Partition, offset: u64) -> Error {
        let (kind, why) = match self {
            Self::Broken(why) => (FailureKind::Damaged, why),
            Self::Layout(why) => (FailureKind::Permanent, why),
        };
        Error::new(kind, "data.unparsable", format!("{partition} offset {offset} does not fit")).detail(why)
    }
}
