//! What is recorded of a run, as plain values.

use paritas_model::{LagState, Tier, Verdict};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEntry {
    /// Its id, which is the name of its report.
    pub id: Ulid,
    /// The command.
    pub command: String,
    /// When it began, in microseconds since 1970.
    pub started: i64,
    /// When it ended.
    pub ended: i64,
    /// The verdict over all links.
    pub verdict: Verdict,
    /// The exit code of the process.
    pub exit_code: u8,
    /// The label of a drill.
    pub drill: Option<String>,
    /// What was found, link by link.
    pub links: Vec<LinkEntry>,
}

/// What a run found about a link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkEntry {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: Option<Tier>,
    /// The verdict over its checks.
    pub verdict: Verdict,
    /// Its checks.
    pub checks: Vec<CheckEntry>,
    /// What was seen of its streams, each with the stream's name. Not read back with a run.
    pub samples: Vec<(String, Sample)>,
    /// When nothing was seen of the streams that there are, and why. Not read back with a run.
    pub unseen: Option<(i64, String)>,
    /// What a failover cost. Not read back with a run.
    pub recovery: Option<RecoveryEntry>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckEntry {
    /// Its kind.
    pub check: String,
    /// What was checked, where the check is about one dataset.
    pub dataset: Option<String>,
    /// Its verdict.
    pub verdict: Verdict,
}

/// How far a stream was behind at one moment. What is not known is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When, in microseconds since 1970.
    pub at: i64,
    /// What the lag amounted to.
    pub state: LagState,
    /// Bytes that the replica did not show.
    pub bytes: Option<u64>,
    /// Records.
    pub records: Option<u64>,
    /// Versions.
    pub versions: Option<u64>,
    /// The lag in microseconds was no less than this; absent where no time is known at all.
    pub low: Option<u64>,
    /// It was no more than this.
    pub high: Option<u64>,
    /// What a failover at that moment would have lost for certain, in microseconds; never more than `low`.
    pub loss: Option<u64>,
    /// How the time was found.
    pub method: Option<String>,
    /// Why a time is not known.
    pub why: Option<String>,
}

impl Sample {
    /// Whether a time is known at all.
    pub fn is_known(&self) -> bool {
        self.low.is_some() && self.state != LagState::Unknown
    }
}

/// An interval in microseconds; an end that is not known is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// No less than this.
    pub low: Option<u64>,
    /// No more than this.
    pub high: Option<u64>,
}

/// What a failover cost a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveryEntry {
    /// `go` or `no-go`.
    pub decision: String,
    /// Committed work that was lost.
    pub rpo: Achieved,
    /// How long nobody took writes.
    pub rto: Achieved,
    /// Lost transactions.
    pub transactions: Lost,
    /// Lost records of logs.
    pub records: Lost,
    /// Lost rows.
    pub rows: Lost,
    /// Bytes of log that were left behind.
    pub bytes: Lost,
}

/// An achieved figure against what was promised.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Achieved {
    /// Whether the objective is kept; absent where nothing was measured or promised.
    pub verdict: Option<Verdict>,
    /// The objective in microseconds.
    pub objective: Option<u64>,
    /// The figure.
    pub span: Span,
    /// How it was found.
    pub method: Option<String>,
    /// Why an end is not known.
    pub why: Option<String>,
}

/// A number of lost things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The exact number, if it is known.
    pub exact: Option<u64>,
    /// What was found; there may be more unless the exact number is known.
    pub at_least: u64,
}
