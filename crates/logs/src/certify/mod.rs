//! Whether a group of readers may go on on the replica: what it would miss and what it would read twice.
//!
//! A mirror translates the offsets of groups and promises that nobody is sent too far, not that anybody is
//! sent to the right place. Here the right place is found by content. *Loss* are records of the source at or
//! behind the group's position of which every copy on the replica stands before the translated offset;
//! *redelivery* are records of the replica from the translated offset up to the right place.

mod align;
mod judge;

pub use align::{Aligned, Around, align};
pub use judge::{Case, certify};

use crate::ages::Count;
use paritas_connect::logs::Partition;
use paritas_model::{Known, Verdict};
use serde::{Deserialize, Serialize};

/// Where a group would go on on the replica, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Translation {
    /// The group has committed on the replica: by itself, or the mirror did it.
    Committed,
    /// The mirror has noted a translated offset, which somebody must commit before the group goes on.
    Checkpoint,
}

/// What certification of a group in a partition came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It misses nothing and reads nothing twice.
    Exact,
    /// It misses nothing and reads something twice.
    Redelivery,
    /// It has committed nothing on the source: there is nothing to translate.
    NeverCommitted,
    /// Nobody translated its offset, and the replica begins with the record that it wants: a reader that begins at
    /// the earliest record misses nothing.
    AtStart,
    /// It could not be proven.
    Unproven,
    /// Nobody translated its offset: the reader's settings decide where it begins.
    Untranslated,
    /// The replica has removed records from the translated offset on: it would be sent elsewhere by its
    /// settings.
    BelowStart,
    /// The translated offset lies beyond the end of the replica: it would be sent elsewhere by its settings.
    BeyondEnd,
    /// It misses records.
    Loss,
}

impl Standing {
    /// How much it weighs.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Exact | Self::Redelivery | Self::NeverCommitted => Verdict::Pass,
            Self::AtStart => Verdict::Warn,
            Self::Unproven => Verdict::Unknown,
            Self::Untranslated | Self::BelowStart | Self::BeyondEnd | Self::Loss => Verdict::Fail,
        }
    }
}

/// One group and one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The group.
    pub group: String,
    /// The partition on the source.
    pub source: Partition,
    /// The partition on the replica.
    pub replica: Partition,
    /// What it came to.
    pub standing: Standing,
    /// What the group has committed on the source.
    pub committed: Option<u64>,
    /// Where it would go on on the replica.
    pub translated: Option<u64>,
    /// Who says so.
    pub translation: Option<Translation>,
    /// The right place on the replica: the first record that the group has not had.
    pub exact: Known<u64>,
    /// Records that it would miss.
    pub loss: Known<Count>,
    /// Records that it would read twice.
    pub redelivery: Known<Count>,
    /// What deserves to be known beside it.
    pub notes: Vec<String>,
}

impl Certificate {
    /// A group of which nothing is known in a partition.
    pub fn unknown(group: &str, partitions: (&Partition, &Partition), why: &str) -> Self {
        Self {
            group: group.to_owned(),
            source: partitions.0.clone(),
            replica: partitions.1.clone(),
            standing: Standing::Unproven,
            committed: None,
            translated: None,
            translation: None,
            exact: Known::unknown(why),
            loss: Known::unknown(why),
            redelivery: Known::unknown(why),
            notes: Vec::new(),
        }
    }

    /// Whether the group may go on here without missing anything; `None` where that is not proven.
    pub fn may_resume(&self) -> Option<bool> {
        match self.standing {
            Standing::Exact | Standing::Redelivery | Standing::NeverCommitted => Some(true),
            Standing::AtStart | Standing::Unproven => None,
            Standing::Untranslated | Standing::BelowStart | Standing::BeyondEnd | Standing::Loss => Some(false),
        }
    }
}

/// One group over all its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCertificate {
    /// The group.
    pub group: String,
    /// Whether it reads on the replica now; then its commits there are its own.
    pub active_on_replica: Known<bool>,
    /// Its partitions, in the order of their names on the source.
    pub partitions: Vec<Certificate>,
    /// Why nothing is known about the group as a whole.
    pub why: Option<String>,
}

impl GroupCertificate {
    /// The worst of its partitions; unknown where it has none.
    pub fn verdict(&self) -> Verdict {
        let unknown = self.why.as_ref().map(|_| Verdict::Unknown);
        Verdict::combine(self.partitions.iter().map(|certificate| certificate.standing.verdict()).chain(unknown))
    }

    /// Whether it may go on without missing anything; `None` where that is not proven.
    pub fn may_resume(&self) -> Option<bool> {
        let all: Vec<Option<bool>> = self.partitions.iter().map(Certificate::may_resume).collect();
        match all.contains(&Some(false)) {
            true => Some(false),
            false if all.is_empty() || all.contains(&None) || self.why.is_some() => None,
            false => Some(true),
        }
    }

    /// Records that it would miss and records that it would read twice; `None` where a partition says nothing.
    pub fn records(&self) -> (Option<Count>, Option<Count>) {
        let sum = |of: fn(&Certificate) -> &Known<Count>| {
            let parts = self.partitions.iter().filter(|part| part.standing != Standing::NeverCommitted);
            parts.map(|part| of(part).value().copied()).try_fold(Count::exactly(0), |sum, own| Some(sum.plus(own?)))
        };
        (sum(|part| &part.loss), sum(|part| &part.redelivery))
    }
}
