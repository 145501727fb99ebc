//! What a failover cost: lineage, lost transactions, achieved RPO and RTO, and whether to go on.

use crate::Problem;
use paritas_model::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How source and replica are related.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineageCheck {
    /// Pass when there is one history and at most one server that takes writes.
    pub verdict: Verdict,
    /// `same`, `follows`, `promoted`, `forked`, `split_brain`, `stranger` or `unknown`.
    pub relation: String,
    /// The last position that both histories share, where they part: `timeline/high/low`.
    pub forked_at: Option<String>,
    /// The source, where it answers.
    pub source: Option<ServerLineage>,
    /// The replica, where it answers.
    pub replica: Option<ServerLineage>,
    /// What that means, in one sentence.
    pub summary: String,
    /// Why it could not be found out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// Where a server stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerLineage {
    /// Identifier of the cluster, as text: it does not fit into a number of JSON.
    pub system_identifier: Option<String>,
    /// Timeline.
    pub timeline: Option<u32>,
    /// How far it has come.
    pub position: Option<String>,
    /// Whether it replays a log.
    pub in_recovery: bool,
    /// Whether sessions are read only by default.
    pub read_only: bool,
    /// Why something is missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// What a failover cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// `go` when everything that was asked is proven and within its objectives, else `no-go`.
    pub decision: String,
    /// Nothing has failed: it was asked whether a switch may be made.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub planned: bool,
    /// What was done, in this order, and what each step came to.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub steps: Vec<Step>,
    /// What speaks for and against, the worst first.
    pub reasons: Vec<Reason>,
    /// What was lost.
    pub rpo: Rpo,
    /// How long it took.
    pub rto: Rto,
    /// The timelines that the new primary left behind, the oldest first.
    pub timelines: Vec<LeftTimeline>,
    /// Prepared transactions that the new primary holds, and that hold their locks there.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub prepared: Vec<HeldTransaction>,
}

/// One step of the examination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// `new_primary`, `lineage`, `replay`, `loss`, `rpo`, `rto`, `parity`, `ledger`, `groups`, `files`, `sequences`; of a
    /// planned switch also `source`, `lag` and `slots`.
    pub step: String,
    /// What it came to; `null` where there was nothing to look at, which is no verdict.
    pub verdict: Option<Verdict>,
    /// How long it took.
    pub seconds: f64,
    /// What was found, or why there was nothing to look at, as a sentence without a full stop.
    pub text: String,
}

/// One finding for or against going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Pass speaks for it, everything else against; a warning does not forbid it.
    pub verdict: Verdict,
    /// What was found, as a sentence without a full stop.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// The next command to run, after what the hint says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

impl Reason {
    /// A finding that asks for nothing.
    pub fn new(verdict: Verdict, text: impl Into<String>) -> Self {
        Self { verdict, text: text.into(), hint: None, next: None }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hinted(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

/// Bounds of a number of seconds; an unknown one is `null`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bounds {
    /// No less than this.
    pub low: Option<f64>,
    /// No more than this.
    pub high: Option<f64>,
}

/// The achieved recovery point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rpo {
    /// Whether the objective is kept; without one, whether nothing was lost.
    pub verdict: Verdict,
    /// The objective in seconds, if there is one.
    pub objective: Option<f64>,
    /// Seconds of committed work that are lost: not below the time from the first lost commit to the last one, not above
    /// that from the last surviving one to the last lost one.
    pub seconds: Bounds,
    /// Lost commits, if that is their exact number.
    pub transactions: Option<u64>,
    /// Lost commits that were found; there may be more unless `transactions` is known.
    pub transactions_at_least: u64,
    /// Lost records of logs, if that is their exact number; not of PostgreSQL.
    pub records: Option<u64>,
    /// Lost records that were found; there may be more unless `records` is known.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub records_at_least: u64,
    /// Bytes of log that were left behind, lost commits or not; `null` when its end is not known.
    pub bytes: Option<u64>,
    /// Bytes of log that are proven to be left behind, by what was read and by what a probe saw.
    #[serde(default)]
    pub bytes_at_least: u64,
    /// Seconds from the last heartbeat that survived to the first attempt that failed: an upper bound only if the old
    /// primary took no write any more once the probe saw it down. No verdict follows from it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds_if_down: Option<f64>,
    /// `wal` when a log was read, `interval` when nothing was left of it, `none` when nothing was left behind. Of logs
    /// of records: `content` when the source was read, `snapshot` when one stood in for it.
    pub method: String,
    /// Why a number is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The achieved recovery time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rto {
    /// Whether the objective is kept; `null` when there is none and nothing was measured.
    pub verdict: Option<Verdict>,
    /// The objective in seconds, if there is one.
    pub objective: Option<f64>,
    /// Seconds from the last acknowledged write to the first one on the new primary; no upper bound where nothing was
    /// written.
    pub seconds: Option<Bounds>,
    /// `probe`, if it was measured by writes; `observed`, if servers were only looked at; `failed_at`, if it is counted
    /// from the time of the failure that somebody gave.
    pub method: Option<String>,
    /// The time of the failure that it is counted from, where somebody gave one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed_at: Option<String>,
    /// The stored observation that it comes from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observation: Option<String>,
    /// When the first write was acknowledged again, by the clock of the probe's machine.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observed_at: Option<String>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// A timeline that was left behind, and what it held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftTimeline {
    /// The timeline.
    pub timeline: u32,
    /// Where it was left.
    pub switchpoint: String,
    /// Where its log ends, as far as it could be read.
    pub end: Option<String>,
    /// Where it was read: a data directory with its state, archives, or nothing.
    pub read_from: String,
    /// Whether exactly the listed transactions are lost.
    pub exact: bool,
    /// Why there may be more.
    pub doubts: Vec<String>,
    /// Lost commits that were found.
    pub transactions: u64,
    /// Bytes of log behind the switchpoint that were read.
    pub bytes: u64,
    /// Transactions that were rolled back: nobody was told that they were kept.
    pub rolled_back: u64,
    /// The last commit that survived.
    pub last_surviving: Option<String>,
    /// Seconds from the last surviving commit to the failure.
    pub surviving_to_failure: Bounds,
    /// Seconds from the last surviving commit to the last lost one.
    pub surviving_to_last_lost: Option<f64>,
    /// Seconds from the first lost commit to the last one.
    pub first_to_last_lost: Option<f64>,
    /// Lost commits, the oldest first, at most as many as asked for.
    pub lost: Vec<LostTransaction>,
    /// Whether there are more than are listed.
    pub lost_truncated: bool,
    /// Prepared transactions that nobody decided: not lost commits, and not on the new primary either.
    pub undecided: Vec<UndecidedTransaction>,
    /// What they did to rows; absent where no log was read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rows: Option<crate::LostRows>,
}

/// A commit that the new primary does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostTransaction {
    /// Its number.
    pub xid: u32,
    /// Where its commit record begins.
    pub lsn: String,
    /// When it committed, by the old server's clock.
    pub committed_at: String,
    /// Name of its database; `null` when the log does not say it.
    pub database: Option<String>,
    /// Bytes of its records.
    pub bytes: u64,
    /// Committed subtransactions with a number of their own.
    pub subtransactions: Vec<u32>,
    /// Whether it was prepared before.
    pub prepared: bool,
    /// The name of the prepared transaction, if the log says it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gid: Option<String>,
    /// Changes of rows, per table.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub touched: Vec<crate::TouchedTable>,
}

/// A prepared transaction that was not decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UndecidedTransaction {
    /// Its number.
    pub xid: u32,
    /// Its name.
    pub gid: String,
    /// When it was prepared.
    pub prepared_at: String,
    /// Name of its database.
    pub database: Option<String>,
}

/// A prepared transaction that the new primary holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldTransaction {
    /// Its number.
    pub xid: u32,
    /// Its name.
    pub gid: String,
    /// Name of its database.
    pub database: String,
    /// Who prepared it.
    pub owner: String,
    /// When it was prepared, by the clock of the server that did.
    pub prepared_at: String,
    /// Whether that was before the promotion, as far as the two clocks agree; `null` where that is not known.
    pub before_promotion: Option<bool>,
}

impl Recovery {
    /// Whether to go on.
    pub fn goes(&self) -> bool {
        self.decision == "go"
    }

    /// The verdict over all findings.
    pub fn verdict(&self) -> Verdict {
        Verdict::combine(self.reasons.iter().map(|reason| reason.verdict))
    }
}
