//! What of topics was read for a snapshot, and what was taken over from the snapshot before.

use crate::text::counted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What of topics was read by segments, and what was taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SegmentReading {
    /// Records that were read, those among them that were read to see whether what was kept is right.
    pub records_read: u64,
    /// Records that were taken over: their segments cannot have changed.
    pub records_kept: u64,
    /// Segments that were read.
    pub segments_read: u64,
    /// Segments that were taken over.
    pub segments_kept: u64,
    /// Segments among those read that cannot have changed, read to see whether what was kept is right.
    pub segments_reread: u64,
    /// Partitions of which nothing could be taken over, by the reason.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub whole: Vec<ReadWhole>,
}

/// Partitions that were read whole for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadWhole {
    /// The first of them.
    pub what: String,
    /// How many there are.
    pub partitions: u64,
    /// Why they were read whole.
    pub why: String,
}

impl SegmentReading {
    /// Notes that a partition was read whole.
    pub fn read_whole(&mut self, what: &str, why: &str) {
        match self.whole.iter_mut().find(|whole| whole.why == why) {
            Some(whole) => whole.partitions += 1,
            None => self.whole.push(ReadWhole { what: what.to_owned(), partitions: 1, why: why.to_owned() }),
        }
    }

    /// The same for people.
    pub(crate) fn shown(&self) -> String {
        let again = match self.segments_reread {
            0 => String::new(),
            count => format!(", {} of them only to see that they are as before", counted(count, "segment")),
        };
        let mut text = format!(
            "read {} ({}{again}); {} taken over ({})",
            counted(self.records_read, "record"),
            counted(self.segments_read, "segment"),
            counted(self.records_kept, "record"),
            counted(self.segments_kept, "segment"),
        );
        for whole in &self.whole {
            let more = match whole.partitions.saturating_sub(1) {
                0 => String::new(),
                more => format!(" and {} more", counted(more, "partition")),
            };
            text.push_str(&format!("; {}{more} read whole: {}", whole.what, whole.why));
        }
        text
    }
}
