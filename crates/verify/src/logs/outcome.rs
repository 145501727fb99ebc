//! What comparing mirrored logs came to.

use crate::logs::Topic;
use crate::rows::Origin;
use paritas_connect::logs::Partition;
use paritas_connect::{Error, FailureKind};
use paritas_logs::content::{Counts, Finding};
use paritas_model::{Proof, Verdict};
use std::ops::Range;

/// What comparing the partitions of one log came to. Also after a failure, everything found before is in it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was compared of each pair of partitions, in the order in which they were given.
    pub partitions: Vec<Window>,
    /// Records by class, all partitions together. Complete where `complete` is set, lower bounds otherwise.
    pub counts: Counts,
    /// What differs, by partition and offset; at most as many as asked for, violations first.
    pub findings: Vec<Finding>,
    /// Whether there are more.
    pub findings_truncated: bool,
    /// Whether both sides were read to the ends of their windows and every difference is counted.
    pub complete: bool,
    /// Things to know about the result.
    pub notes: Vec<String>,
    /// What was left out of the comparison, each with the reason.
    pub not_checked: Vec<String>,
    /// What kept the log as a whole from being compared. What kept a partition is in its window.
    pub problem: Option<(Origin, Error)>,
}

/// What was compared of a pair of partitions.
#[derive(Debug)]
pub struct Window {
    /// The partition on the source.
    pub source: Partition,
    /// The partition that faces it.
    pub replica: Partition,
    /// What was read on the source. `None` before its ends were known.
    pub source_read: Option<Read>,
    /// The same on the replica.
    pub replica_read: Option<Read>,
    /// The end of the source's partition when the run began, as committed readers see it. The verdict covers what
    /// is before.
    pub fence: Option<u64>,
    /// Everything before this offset of the source is on the replica, or is listed as missing. `None` where nothing
    /// is known of it.
    pub mirrored_to: Option<u64>,
    /// Records by class.
    pub counts: Counts,
    /// What this pair came to.
    pub verdict: Verdict,
    /// Why it is `unknown`, where nothing in `counts` says so.
    pub unknown: Vec<String>,
    /// What kept the pair from being compared to its end.
    pub problem: Option<(Origin, Error)>,
}

/// What was read of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// Offsets: the first that could be read, and the end, not part of it.
    pub offsets: Range<u64>,
    /// Records in it.
    pub records: u64,
    /// Bytes of their keys, values and headers.
    pub bytes: u64,
    /// Times of the earliest and the latest record in milliseconds since 1970.
    pub times: Option<(i64, i64)>,
    /// Records of these that were not read now, but before the run: from a stored chain.
    pub stored: u64,
}

impl Window {
    /// A window of which nothing was read yet.
    pub(crate) fn new(source: Partition, replica: Partition) -> Self {
        Self {
            source,
            replica,
            source_read: None,
            replica_read: None,
            fence: None,
            mirrored_to: None,
            counts: Counts::default(),
            verdict: Verdict::Unknown,
            unknown: Vec::new(),
            problem: None,
        }
    }

    /// Decides the verdict: a proof or unknown.
    pub(crate) fn decide(&mut self) {
        self.verdict = match &self.problem {
            _ if self.counts.proven() > 0 => Verdict::Fail,
            // A copy whose bytes cannot be decoded is not a faithful copy, whatever it should hold.
            Some((Origin::Replica, error)) if error.kind() == FailureKind::Damaged => Verdict::Fail,
            Some(_) => Verdict::Unknown,
            None if self.counts.unsettled() == 0 && self.unknown.is_empty() => Verdict::Pass,
            None => Verdict::Unknown,
        };
    }
}

impl Outcome {
    /// The verdict: a proof or unknown. Without any partition nothing was verified.
    pub fn verdict(&self) -> Verdict {
        let whole = (self.problem.is_some() || !self.complete).then_some(Verdict::Unknown);
        Verdict::combine(self.partitions.iter().map(|window| window.verdict).chain(whole))
    }

    /// Records read on the source, where every partition was read to its end.
    pub fn source_records(&self) -> Option<u64> {
        self.sum(|window| window.source_read.as_ref())
    }

    /// Records read on the replica, where every partition was read to its end.
    pub fn replica_records(&self) -> Option<u64> {
        self.sum(|window| window.replica_read.as_ref())
    }

    /// Takes what was found for unproven where the topic says why it proves nothing.
    pub(crate) fn doubt(&mut self, topic: &Topic) {
        let Some(why) = &topic.doubt else { return };
        for window in self.partitions.iter_mut().filter(|window| window.counts.proven() > 0) {
            window.counts.doubt();
            window.decide();
        }
        if self.counts.proven() > 0 {
            self.notes.push(why.clone());
        }
        self.counts.doubt();
        for finding in self.findings.iter_mut().filter(|finding| finding.class.is_violation()) {
            finding.proof = Proof::Unproven;
        }
    }

    fn sum(&self, side: impl Fn(&Window) -> Option<&Read>) -> Option<u64> {
        let whole = self.partitions.iter().all(|window| window.problem.is_none());
        let sum = || self.partitions.iter().map(|window| side(window).map(|read| read.records)).sum();
        whole.then(sum).flatten()
    }
}
