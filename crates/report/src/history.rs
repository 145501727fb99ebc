//! The document of `paritas history`: what stored runs found over a time.

use crate::Bounds;
use crate::achieved::LostCount;
use paritas_model::{Tier, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryDocument {
    /// [`crate::SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Always `history`.
    pub message_type: String,
    /// The state folder.
    pub state: String,
    /// Where the time begins, RFC 3339 in UTC.
    pub since: String,
    /// Where it ends: now.
    pub until: String,
    /// The link that was asked for; `null` for all of them.
    pub link: Option<String>,
    /// 0, or 3 where stored reports could not be read.
    pub exit_code: u8,
    /// How often runs had which verdict.
    pub runs_by_verdict: VerdictCounts,
    /// Runs, the newest first, at most as many as asked for.
    pub runs: Vec<HistoryRun>,
    /// Whether there are more.
    pub runs_truncated: bool,
    /// Every check of every link.
    pub verdicts: Vec<HistoryVerdicts>,
    /// Every stream of every link.
    pub lag: Vec<HistoryLag>,
    /// Failovers that were measured, the newest first.
    pub recoveries: Vec<HistoryRecovery>,
    /// The same by link and by drill or incident.
    pub recovered: Vec<RecoveryPercentiles>,
    /// Stored reports that could not be read: what they found is not in this document.
    pub not_indexed: Vec<NotIndexed>,
}

/// How often there was which verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictCounts {
    /// Verified.
    pub pass: u64,
    /// Verified, with something that deserves a look.
    pub warn: u64,
    /// Not verified.
    pub unknown: u64,
    /// A violation was proven.
    pub fail: u64,
}

impl VerdictCounts {
    /// Adds some of one verdict.
    pub fn add(&mut self, verdict: Verdict, count: u64) {
        *match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Warn => &mut self.warn,
            Verdict::Unknown => &mut self.unknown,
            Verdict::Fail => &mut self.fail,
        } += count;
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.pass + self.warn + self.unknown + self.fail
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRun {
    /// Its id, under which its report is kept.
    pub id: String,
    /// The command.
    pub command: String,
    /// Start.
    pub started_at: String,
    /// End.
    pub ended_at: String,
    /// The verdict over all links.
    pub verdict: Verdict,
    /// The exit code.
    pub exit_code: u8,
    /// The label of the drill that it was part of; `null` where it was none.
    pub drill: Option<String>,
    /// Its links.
    pub links: Vec<HistoryRunLink>,
}

/// What a run found about a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRunLink {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: Option<Tier>,
    /// The verdict over its checks.
    pub verdict: Verdict,
    /// How many checks were made.
    pub checks: u64,
}

/// The verdicts of one check over the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryVerdicts {
    /// The link.
    pub link: String,
    /// The kind of check.
    pub check: String,
    /// What was checked, where the check is about one dataset or ledger.
    pub dataset: Option<String>,
    /// How often there was which verdict.
    #[serde(flatten)]
    pub counts: VerdictCounts,
    /// The newest verdict.
    pub last: VerdictAt,
    /// The newest run that passed; `null` where none did in this time.
    pub last_pass: Option<VerdictAt>,
    /// The same day by day, days without a run left out.
    pub days: Vec<VerdictDay>,
}

/// A verdict, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictAt {
    /// The verdict.
    pub verdict: Verdict,
    /// The run.
    pub run: String,
    /// When it began.
    pub at: String,
}

/// The verdicts of one day in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictDay {
    /// `2026-11-30`.
    pub day: String,
    /// How often there was which verdict.
    #[serde(flatten)]
    pub counts: VerdictCounts,
}

/// The lag of one stream over the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryLag {
    /// The link.
    pub link: String,
    /// The stream.
    pub stream: String,
    /// Where the samples begin: earlier than asked for only where single samples of that time are gone.
    pub from: String,
    /// Where they end.
    pub to: String,
    /// How many samples there are.
    pub samples: u64,
    /// How many of them know no time. The percentiles are those of the others.
    pub unknown: u64,
    /// How many of the others know no upper end: they count as larger than all that do.
    pub unbounded: u64,
    /// How often the stream was seen in which state.
    pub states: BTreeMap<String, u64>,
    /// Percentiles of the lag; `null` where no sample knows one.
    pub seconds: Option<Percentiles>,
    /// The same in bytes.
    pub bytes: Option<Figures>,
    /// In records.
    pub records: Option<Figures>,
    /// In versions.
    pub versions: Option<Figures>,
    /// For each member above that is `null`, or has an end that is, why it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub why: BTreeMap<String, String>,
}

/// Percentiles in seconds, each as an interval that contains the true one: by nearest rank, exact to a thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of the samples are no larger.
    pub p50: Bounds,
    /// 95 of a hundred.
    pub p95: Bounds,
    /// 99 of a hundred.
    pub p99: Bounds,
    /// The largest.
    pub max: Bounds,
}

/// Percentiles of a number of things, by nearest rank, rounded up by a thousandth at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Half of the samples are no larger.
    pub p50: u64,
    /// 95 of a hundred.
    pub p95: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

/// A failover that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryRecovery {
    /// The run.
    pub run: String,
    /// When it began.
    pub at: String,
    /// Its command.
    pub command: String,
    /// The link.
    pub link: String,
    /// `drill` or `incident`.
    pub kind: String,
    /// The label of a drill; empty where it had none.
    pub drill: Option<String>,
    /// `go` or `no-go`.
    pub decision: String,
    /// Committed work that was lost.
    pub rpo: AchievedSeconds,
    /// How long nobody took writes.
    pub rto: AchievedSeconds,
    /// Lost transactions.
    pub transactions: LostCount,
    /// Lost records of logs.
    pub records: LostCount,
    /// Lost rows.
    pub rows: LostCount,
    /// Bytes of log that were left behind.
    pub bytes: LostCount,
}

/// An achieved time against what was promised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AchievedSeconds {
    /// Whether the objective is kept; `null` where nothing was measured or promised.
    pub verdict: Option<Verdict>,
    /// The objective in seconds.
    pub objective: Option<f64>,
    /// The interval that contains it.
    pub seconds: Bounds,
    /// How it was found.
    pub method: Option<String>,
    /// Why an end is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// Drills or incidents of a link together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveryPercentiles {
    /// The link.
    pub link: String,
    /// `drill` or `incident`.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// How many kept every objective for certain.
    pub within: u64,
    /// Achieved RPO in seconds; a lower end that is not known counts as 0, an upper one as larger than all others.
    pub rpo: Percentiles,
    /// Achieved RTO in seconds, in the same way.
    pub rto: Percentiles,
}

/// A stored report that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotIndexed {
    /// The id of its run.
    pub run: String,
    /// Why.
    pub why: String,
}

impl Percentiles {
    /// Of intervals whose lower end is at least 0 and whose upper end may be open. `None` of nothing.
    pub fn of(spans: &[Bounds]) -> Option<Self> {
        let mut low: Vec<f64> = spans.iter().map(|span| span.low.unwrap_or(0.0)).collect();
        let mut high: Vec<f64> = spans.iter().map(|span| span.high.unwrap_or(f64::INFINITY)).collect();
        low.sort_by(f64::total_cmp);
        high.sort_by(f64::total_cmp);
        let ranked = |percent: usize| {
            let rank = (spans.len() * percent).div_ceil(100).max(1) - 1;
            let high = high.get(rank).copied().filter(|high| high.is_finite());
            Some(Bounds { low: Some(*low.get(rank)?), high })
        };
        Some(Self { p50: ranked(50)?, p95: ranked(95)?, p99: ranked(99)?, max: ranked(100)? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_nearest_rank_and_an_open_end_is_the_largest() {
        let span = |low: f64, high: Option<f64>| Bounds { low: Some(low), high };
        let found = Percentiles::of(&[span(3.0, Some(4.0)), span(1.0, None), Bounds::default()]).unwrap();
        assert_eq!((found.p50.low, found.p50.high), (Some(1.0), None));
        assert_eq!((found.max.low, found.max.high), (Some(3.0), None));
        let one = Percentiles::of(&[span(3.0, Some(4.0))]).unwrap();
        assert_eq!((one.p50, one.max), (span(3.0, Some(4.0)), span(3.0, Some(4.0))));
        assert_eq!(Percentiles::of(&[]), None);
    }
}
