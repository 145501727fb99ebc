//! The document: what `--json` prints and what is stored as a run.

use crate::lag::{CoverageCheck, LagCheck};
use paritas_model::{Difference, DifferenceCounts, Store, Tier, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the JSON document; raised when a name is removed or gets another meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// One run with everything it found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Always `report`.
    pub message_type: String,
    /// The run itself.
    pub run: Run,
    /// The verdict over all links.
    pub verdict: Verdict,
    /// The exit code of the process.
    pub exit_code: u8,
    /// Links in the order in which they were asked for.
    pub links: Vec<LinkReport>,
    /// What was achieved over all links of a failover; absent after other commands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recovery: Option<crate::Achieved>,
    /// The health scores of the regions that stores were declared to be in.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub regions: Vec<crate::RegionHealth>,
}

/// One execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Sortable id (ULID).
    pub id: String,
    /// The command: `verify`.
    pub command: String,
    /// Start, RFC 3339 in UTC.
    pub started_at: String,
    /// End, RFC 3339 in UTC.
    pub ended_at: String,
    /// Version of Paritas.
    pub version: String,
    /// `blake3:` and the checksum of the configuration; `null` for ad-hoc runs.
    pub config: Option<String>,
    /// The run that this one went on with; absent when it began anew.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resumed_from: Option<String>,
    /// The name of the drill that it was part of; empty where it has none, absent where it was no drill.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drill: Option<String>,
}

/// What was found about one link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkReport {
    /// Name in the configuration, or `SOURCE -> REPLICA` without credentials.
    pub name: String,
    /// Declared tier.
    pub tier: Option<Tier>,
    /// The verdict over all checks.
    pub verdict: Verdict,
    /// The source.
    pub source: Store,
    /// The replica.
    pub replica: Store,
    /// Checks in the order in which they were made.
    pub checks: Vec<Check>,
    /// What a failover cost; only `failover` looks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recovery: Option<crate::Recovery>,
    /// What was left out, each with its reason.
    pub not_checked: Vec<NotChecked>,
}

/// Something that was not checked, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotChecked {
    /// What: a dataset, a part of one, a configured check.
    pub what: String,
    /// The reason.
    pub why: String,
}

/// One check. In JSON the member `check` names its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "check", rename_all = "snake_case")]
// A report holds a few checks per dataset, so the size of one does not matter.
#[allow(clippy::large_enum_variant)]
pub enum Check {
    /// Do the two datasets have the same columns, types, keys and further facts?
    Schema(SchemaCheck),
    /// Do the two datasets hold the same rows?
    Parity(ParityCheck),
    /// Do the two stores hold the same files?
    Files(FilesCheck),
    /// How far is the replica behind?
    Lag(LagCheck),
    /// Is everything replicated that should be?
    Coverage(CoverageCheck),
    /// Do the two servers share one history, and does one at most take writes?
    Lineage(crate::LineageCheck),
    /// How long does nobody take writes when the source fails?
    Probe(Box<crate::ProbeCheck>),
    /// How far are groups of readers behind?
    Groups(crate::GroupsCheck),
    /// Does the cluster keep what it promises of its logs?
    Health(crate::HealthCheck),
    /// Would groups go on at the right record on the replica?
    Offsets(crate::OffsetsCheck),
    /// Do numbers follow each other without gaps?
    Continuity(crate::ContinuityCheck),
    /// What of the source is kept for the time when it is gone?
    Snapshot(crate::SnapshotCheck),
    /// Do groups of rows add up to the same?
    Ledger(Box<crate::LedgerCheck>),
    /// Would what hands out numbers give one out twice?
    Sequences(crate::SequencesCheck),
    /// How far are clocks apart, and how long does a question take?
    Clock(Box<crate::ClockCheck>),
    /// How new is the newest row?
    Freshness(crate::FreshnessCheck),
}

impl Check {
    /// Why the check could not be finished.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Schema(check) => check.problem.as_ref(),
            Self::Parity(check) => check.problem.as_ref(),
            Self::Files(check) => check.problem.as_ref(),
            Self::Lag(check) => check.problem.as_ref(),
            Self::Coverage(check) => check.problem.as_ref(),
            Self::Lineage(check) => check.problem.as_ref(),
            Self::Probe(check) => check.problem.as_ref(),
            Self::Groups(check) => check.problem.as_ref(),
            Self::Health(check) => check.problem.as_ref(),
            Self::Offsets(check) => check.problem.as_ref(),
            Self::Continuity(check) => check.problem.as_ref(),
            Self::Snapshot(check) => check.problem.as_ref(),
            Self::Ledger(check) => check.problem.as_ref(),
            Self::Sequences(check) => check.problem.as_ref(),
            Self::Clock(check) => check.problem.as_ref(),
            Self::Freshness(check) => check.problem.as_ref(),
        }
    }

    /// The same, to be changed.
    pub(crate) fn problem_mut(&mut self) -> &mut Option<Problem> {
        match self {
            Self::Schema(check) => &mut check.problem,
            Self::Parity(check) => &mut check.problem,
            Self::Files(check) => &mut check.problem,
            Self::Lag(check) => &mut check.problem,
            Self::Coverage(check) => &mut check.problem,
            Self::Lineage(check) => &mut check.problem,
            Self::Probe(check) => &mut check.problem,
            Self::Groups(check) => &mut check.problem,
            Self::Health(check) => &mut check.problem,
            Self::Offsets(check) => &mut check.problem,
            Self::Continuity(check) => &mut check.problem,
            Self::Snapshot(check) => &mut check.problem,
            Self::Ledger(check) => &mut check.problem,
            Self::Sequences(check) => &mut check.problem,
            Self::Clock(check) => &mut check.problem,
            Self::Freshness(check) => &mut check.problem,
        }
    }

    /// The verdict of the check.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Schema(check) => check.verdict,
            Self::Parity(check) => check.verdict,
            Self::Files(check) => check.verdict,
            Self::Lag(check) => check.verdict,
            Self::Coverage(check) => check.verdict,
            Self::Lineage(check) => check.verdict,
            Self::Probe(check) => check.verdict,
            Self::Groups(check) => check.verdict,
            Self::Health(check) => check.verdict,
            Self::Offsets(check) => check.verdict,
            Self::Continuity(check) => check.verdict,
            Self::Snapshot(check) => check.verdict,
            Self::Ledger(check) => check.verdict,
            Self::Sequences(check) => check.verdict,
            Self::Clock(check) => check.verdict,
            Self::Freshness(check) => check.verdict,
        }
    }
}

/// Comparison of two schemas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaCheck {
    /// Name of the dataset on the source.
    pub dataset: String,
    /// Pass when nothing differs; warn for facts that hold no data (a default, a constraint).
    pub verdict: Verdict,
    /// Every difference.
    pub differences: Vec<SchemaDifference>,
    /// Why the schemas could not be compared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// One difference between two schemas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaDifference {
    /// What differs: `column amount`, `key`, `constraint …`.
    pub what: String,
    /// How it is on the source; `null` when it is absent there.
    pub source: Option<String>,
    /// How it is on the replica; `null` when it is absent there.
    pub replica: Option<String>,
    /// Whether rows can still be compared in spite of it.
    pub comparable: bool,
}

/// Comparison of all rows of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParityCheck {
    /// Name of the dataset on the source.
    pub dataset: String,
    /// Name on the replica, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replica_dataset: Option<String>,
    /// The verdict. Pass means: every row of both sides was read and the digests are equal.
    pub verdict: Verdict,
    /// Whether all rows of both sides were read and all differences are counted.
    pub complete: bool,
    /// Rows read; `null` when a side was not read to its end.
    pub rows: RowCounts,
    /// Counts of differing rows per class; complete, or `complete` is false.
    pub differences: DifferenceCounts,
    /// Differing rows, at most as many as asked for.
    pub items: Vec<Difference>,
    /// Whether there are more differences than items.
    pub items_truncated: bool,
    /// Key columns; empty when whole rows were compared.
    pub key: Vec<String>,
    /// Compared columns.
    pub columns: Vec<String>,
    /// `wire` (same engine, bytes) or `logical` (by meaning).
    pub canon: Option<String>,
    /// Positions of the compared views.
    pub positions: Positions,
    /// The position that the replica had to reach before it was read.
    pub fence: Option<String>,
    /// Bytes read from the stores.
    pub bytes_read: BothSides,
    /// `rows`, or `pages` where the pages of a physical standby were compared instead; absent
    /// when nothing was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method: Option<String>,
    /// What was compared in pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<PageCheck>,
    /// What was compared of a log of records, partition by partition.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub log: Option<crate::LogCheck>,
    /// Duration of the check.
    pub seconds: f64,
    /// Things to know about the result: policies that were applied, estimates.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// How much of it was verified, where the rest is left for later runs on purpose; `complete` is false then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub slice: Option<Slice>,
    /// The snapshot that stood in for the source.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub against: Option<crate::Against>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// Some of the parts of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slice {
    /// Parts that were verified, by this run and by those that it goes on from.
    pub parts: u64,
    /// Parts in all.
    pub of: u64,
}

/// What was compared in pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageCheck {
    /// Pages that were compared to the end.
    pub compared: u64,
    /// Those of them that were read again because of a write in flight, and are equal.
    pub arrived: u64,
    /// Pages that are proven to differ.
    pub differing: u64,
    /// Pages that kept changing, or could not be compared.
    pub unproven: u64,
    /// Transactions whose end was compared.
    pub transactions: u64,
    /// The relations that the pages belong to.
    pub relations: Vec<String>,
}

/// Row counts of both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowCounts {
    /// Rows on the source.
    pub source: Option<u64>,
    /// Rows on the replica.
    pub replica: Option<u64>,
    /// Why a count is missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// Positions of both sides, in the stores' own notation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Positions {
    /// Position of the source's view.
    pub source: Option<String>,
    /// Position of the replica's view.
    pub replica: Option<String>,
    /// Why a position is missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// A number for each side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BothSides {
    /// On the source.
    pub source: u64,
    /// On the replica.
    pub replica: u64,
}

/// Comparison of files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FilesCheck {
    /// What was compared: the two roots' common name.
    pub dataset: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Number of files.
    pub files: BothSides,
    /// Their bytes.
    pub bytes: BothSides,
    /// `lost`: missing on the replica, `extra`: missing on the source, `changed`, `unverifiable`.
    pub differences: DifferenceCounts,
    /// Differing files, at most as many as asked for.
    pub items: Vec<FileDifference>,
    /// Whether there are more.
    pub items_truncated: bool,
    /// Bytes read and hashed.
    pub bytes_read: BothSides,
    /// Duration of the check.
    pub seconds: f64,
    /// The snapshot that stood in for the source.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub against: Option<crate::Against>,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// One file that is not proven equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDifference {
    /// Path below the root.
    pub path: String,
    /// `lost`, `extra`, `changed` or `unverifiable`.
    pub class: String,
    /// The file on the source.
    pub source: Option<FileFacts>,
    /// The file on the replica.
    pub replica: Option<FileFacts>,
    /// Why it could not be verified, or what the difference means.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// Size and checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileFacts {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Hexadecimal BLAKE3; `null` when the file could not be read.
    pub blake3: Option<String>,
}

/// A failure inside a run: it makes a check unknown, and the run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Stable word such as `store.unreachable`.
    pub code: String,
    /// What failed, in lower case and without a full stop.
    pub message: String,
    /// What the system said.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// The document that `--json` prints when a command could not run at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDocument {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Always `error`.
    pub message_type: String,
    /// The failure.
    #[serde(flatten)]
    pub problem: Problem,
    /// The exit code of the process.
    pub exit_code: u8,
}

impl ErrorDocument {
    /// The document for a failure.
    pub fn new(problem: Problem, exit_code: u8) -> Self {
        Self { schema_version: SCHEMA_VERSION, message_type: "error".to_owned(), problem, exit_code }
    }
}

impl LinkReport {
    /// Whether a check was ended before it came to a result.
    pub fn is_unfinished(&self) -> bool {
        self.checks.is_empty()
            || self.checks.iter().any(|check| matches!(check, Check::Parity(parity) if parity.problem.is_some()))
    }

    /// The verdict of the link from its checks. No check at all is unknown.
    pub fn combined(checks: &[Check]) -> Verdict {
        Verdict::combine(checks.iter().map(Check::verdict))
    }
}

impl Report {
    /// Puts links together into a report; verdict and exit code follow from them.
    pub fn new(run: Run, links: Vec<LinkReport>, deny_warnings: bool) -> Self {
        let verdict = Verdict::combine(links.iter().map(|link| link.verdict));
        let exit_code = verdict.exit_code(deny_warnings);
        let recovery = crate::Achieved::of(&links);
        let regions = crate::RegionHealth::of(&links);
        let message_type = "report".to_owned();
        Self { schema_version: SCHEMA_VERSION, message_type, run, verdict, exit_code, links, recovery, regions }
    }

    /// When the run ended; `None` when that cannot be read.
    pub fn ended(&self) -> Option<std::time::SystemTime> {
        self.run.ended_at.parse::<jiff::Timestamp>().ok().map(Into::into)
    }
}
