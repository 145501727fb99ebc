//! The report of a run, and its formats.
//!
//! [`Report`] is the JSON document of `docs/contract.md`; every format is made from it alone, so
//! that a stored run can be reported again in any format without a store. A format is one file
//! here and one implementation of [`Format`].

mod achieved;
mod clock;
mod csv;
mod document;
mod format;
mod freshness;
mod history;
mod html;
mod human;
mod json;
mod junit;
mod kept;
mod lag;
mod ledger;
mod logs;
mod lost_rows;
mod markdown;
mod metrics;
mod nagios;
mod privacy;
mod probe;
mod recovery;
mod regions;
mod segments;
mod sequences;
mod simulation;
mod summary;
mod text;
mod timer;

pub use achieved::{Achieved, AchievedIn, AchievedRpo, AchievedRto, LostCount, LostSum};
pub use clock::{ClockCheck, ClockSide, SkewSeconds};
pub use csv::Csv;
pub use document::{
    BothSides, Check, ErrorDocument, FileDifference, FileFacts, FilesCheck, LinkReport, NotChecked, PageCheck,
    ParityCheck, Positions, Problem, Report, RowCounts, Run, SCHEMA_VERSION, SchemaCheck, SchemaDifference, Slice,
};
pub use format::{Format, RenderOptions};
pub use freshness::{FreshnessCheck, FreshnessSide};
pub use history::{
    AchievedSeconds, Figures, HistoryDocument, HistoryLag, HistoryRecovery, HistoryRun, HistoryRunLink,
    HistoryVerdicts, NotIndexed, Percentiles, RecoveryPercentiles, VerdictAt, VerdictCounts, VerdictDay,
};
pub use html::Html;
pub use human::history::write_history;
pub use human::simulation::write_simulation;
pub use human::{Called, Human, write_problem};
pub use json::Json;
pub use junit::Junit;
pub use kept::{Against, KeptDataset, KeptDatasets, KeptLedger, KeptReading};
pub use lag::{CoverageCheck, CoverageItem, LagCheck, LagCurve, LagObjective, LagPoint, LagSeconds, LagStream};
pub use ledger::{LedgerCheck, LedgerColumn, LedgerFigures, LedgerItem, LedgerRule, LedgerSide};
pub use logs::{
    ContinuityCheck, ContinuityItem, GroupLag, GroupOffsets, GroupPartition, GroupsCheck, HealthCheck, HealthItem,
    LogCheck, LogFinding, LogWindow, OffsetsCheck, PartitionOffsets, ShownRecord, SnapshotCheck,
};
pub use lost_rows::{LostAmount, LostRow, LostRows, LostTable, RowChanges, TouchedTable};
pub use markdown::Markdown;
pub use metrics::Metrics;
pub use nagios::{Nagios, nagios_code, nagios_error};
pub use privacy::{Privacy, apply_privacy};
pub use probe::{ProbeCheck, ProbeCounts, ProbeFailover, ProbeGaps, ProbeLosses, ProbeOutage, ProbeSplit, ProbeWrite};
pub use recovery::{
    Bounds, HeldTransaction, LeftTimeline, LineageCheck, LostTransaction, Reason, Recovery, Rpo, Rto, ServerLineage,
    Step, UndecidedTransaction,
};
pub use regions::{DRAIN, HEALTHY, HealthPart, RegionHealth};
pub use segments::{ReadWhole, SegmentReading};
pub use sequences::{SequenceItem, SequencesCheck};
pub use simulation::{
    SimulatedLink, SimulatedStream, SimulatedTier, SimulatedTime, SimulationDocument, WouldHaveLost, WouldLose,
};
pub use summary::{Totals, elapsed_seconds};
pub use text::{counted, escape, grouped, shell_word, to_the_second};
pub use timer::{TimerDocument, TimerJob};

/// The shape of the document as JSON Schema, made from its types.
pub fn document_schema() -> serde_json::Value {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.contract = schemars::generate::Contract::Serialize;
    settings.into_generator().into_root_schema_for::<Report>().to_value()
}
