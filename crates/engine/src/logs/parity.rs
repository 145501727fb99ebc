//! Comparing logs with their copies: from what both sides show to the checks of a report.

use super::seen::{Both, Mirrored, Seen, Shows};
use super::{LogOptions, kept};
use crate::error::problem_of;
use crate::record::sided;
use jiff::Timestamp;
use paritas_connect::logs::Partition;
use paritas_logs::content::{Chain, Counts, Finding, Of, Policy, Shown, Span, Timestamps};
use paritas_model::{DifferenceCounts, Known, Proof};
use paritas_report::{
    BothSides, Check, LogCheck, LogFinding, LogWindow, NotChecked, ParityCheck, Positions, RowCounts, ShownRecord,
};
use paritas_verify::logs::{self, Facing, Outcome, Topic, Window};
use std::collections::BTreeMap;
use std::time::Duration;

/// The topics of a request: which partitions face each other, and how they are compared.
pub(crate) fn topics(
    seen: &Seen,
    mirrored: &[Mirrored],
    options: &LogOptions,
    stored: &mut BTreeMap<Partition, Chain>,
) -> Vec<Topic> {
    let topic = |one: &Mirrored| Topic {
        name: one.source.clone(),
        policy: policy(seen, one, options),
        doubt: doubt(options, [(&seen.source, one.source.as_str()), (&seen.replica, one.replica.as_str())]),
        facing: one
            .partitions
            .iter()
            .map(|index| {
                let source = Partition::new(one.source.clone(), *index);
                Facing {
                    syncs: seen.syncs(&source),
                    stored: stored.remove(&source),
                    replica: Partition::new(one.replica.clone(), *index),
                    source,
                    source_id: seen.source.id(&one.source),
                    replica_id: seen.replica.id(&one.replica),
                }
            })
            .collect(),
    };
    mirrored.iter().map(topic).collect()
}

/// How a log is reduced to a chain, by what its own settings say.
pub(crate) fn policy_of(shows: &Shows, log: &str, options: &LogOptions) -> Policy {
    Policy {
        timestamps: if options.ignore_timestamps { Timestamps::Ignore } else { Timestamps::Compare },
        compacted: compacted(options, [shows.setting(log, "cleanup.policy")]),
        aborted_allowed: options.allow_aborted,
    }
}

/// Whether one side compacts: by its settings, or by what was said beside where they are not known.
fn compacted<'a>(options: &LogOptions, said: impl IntoIterator<Item = Option<&'a str>>) -> bool {
    said.into_iter().any(|value| value.map_or(options.compacted == Some(true), compacts))
}

/// Why a record that one side lacks may have been compacted away there: its settings are not known, and those of no
/// other side say that the log is compacted.
pub(crate) fn doubt<'a>(options: &LogOptions, sides: impl IntoIterator<Item = (&'a Shows, &'a str)>) -> Option<String> {
    if options.compacted.is_some() {
        return None;
    }
    let mut why = None;
    for (shows, log) in sides {
        match (shows.setting(log, "cleanup.policy"), shows.settings.get(log)) {
            (Some(value), _) if compacts(value) => return None,
            (Some(_), _) => {}
            (None, Some(Known::Unknown { why: reason })) => why = Some(reason.as_str()),
            (None, _) => why = Some("its settings do not say it"),
        }
    }
    why.map(|why| {
        format!(
            "nothing that differs is proven while it is not known whether the topic is compacted: {why} (say it with \
             ?cleanup=delete or ?cleanup=compact)"
        )
    })
}

fn compacts(value: &str) -> bool {
    value.split(',').any(|policy| policy.trim() == "compact")
}

/// How a log is compared, by what its settings on both sides say.
pub(crate) fn policy(seen: &Seen, one: &Mirrored, options: &LogOptions) -> Policy {
    let setting = |name: &str| [seen.source.setting(&one.source, name), seen.replica.setting(&one.replica, name)];
    // A replica that stamps records with its own clock has other times by design.
    let stamped = seen.replica.setting(&one.replica, "message.timestamp.type") == Some("LogAppendTime");
    Policy {
        timestamps: if options.ignore_timestamps || stamped { Timestamps::Ignore } else { Timestamps::Compare },
        compacted: compacted(options, setting("cleanup.policy")),
        aborted_allowed: options.allow_aborted,
    }
}

/// What a comparison is told beside the topics.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) key: &'a paritas_digest::DigestKey,
    pub(crate) settle: Duration,
    pub(crate) items_max: usize,
    pub(crate) ledger: Option<&'a kept::Chains>,
    pub(crate) watch: &'a (dyn Fn(logs::Phase) + Send + Sync),
}

/// Partitions that one call reads.
const PARTITIONS_AT_ONCE: usize = 64;

impl<'a> Terms<'a> {
    pub(crate) fn request(&'a self, both: &'a Both, topics: &'a [Topic]) -> logs::Request<'a> {
        logs::Request {
            source: &both.source,
            replica: &both.replica,
            topics,
            key: self.key,
            settle: self.settle,
            items_max: self.items_max,
            partitions_at_once: PARTITIONS_AT_ONCE,
            ledger: self.ledger.map(|ledger| ledger as &dyn logs::Ledger),
            watch: self.watch,
        }
    }
}

/// The check of one topic.
pub(crate) fn check(topic: &Topic, replica: &str, outcome: &Outcome, took: Duration) -> (Check, Vec<NotChecked>) {
    let problem = outcome.problem.as_ref().map(|(origin, error)| sided(*origin, problem_of(error)));
    let rows = RowCounts {
        source: outcome.source_records(),
        replica: outcome.replica_records(),
        why: match (outcome.source_records(), outcome.replica_records()) {
            (Some(_), Some(_)) => None,
            _ => Some(problem.as_ref().map_or_else(|| "not read to the end".to_owned(), |p| p.message.clone())),
        },
    };
    let read = |side: &dyn Fn(&Window) -> u64| outcome.partitions.iter().map(side).sum();
    let verdict = outcome.verdict();
    let left_out = outcome
        .not_checked
        .iter()
        .map(|why| NotChecked { what: format!("records of {}", topic.name), why: why.clone() })
        .collect();
    let mut notes = outcome.notes.clone();
    for window in &outcome.partitions {
        notes.extend(window.unknown.iter().map(|why| format!("partition {}: {why}", window.source.index)));
    }
    if topic.policy.timestamps == Timestamps::Ignore {
        notes.push("times of records were not compared".to_owned());
    }
    let renamed = (replica != topic.name).then(|| replica.to_owned());
    let check = ParityCheck {
        dataset: topic.name.clone(),
        replica_dataset: renamed,
        verdict,
        complete: outcome.complete,
        rows,
        differences: differences(&outcome.counts),
        items: Vec::new(),
        items_truncated: false,
        key: Vec::new(),
        columns: ["key", "value", "headers", "timestamp"].map(str::to_owned).to_vec(),
        canon: Some("wire".to_owned()),
        positions: Positions { source: None, replica: None, why: Some("each partition has its own".to_owned()) },
        fence: None,
        bytes_read: BothSides {
            source: read(&|window| window.source_read.as_ref().map_or(0, |read| read.bytes)),
            replica: read(&|window| window.replica_read.as_ref().map_or(0, |read| read.bytes)),
        },
        method: Some("records".to_owned()),
        pages: None,
        log: Some(log(topic, outcome)),
        seconds: took.as_secs_f64(),
        notes,
        slice: None,
        against: None,
        problem,
    };
    (Check::Parity(check), left_out)
}

/// Records by what they mean for a comparison of any kind of rows.
fn differences(counts: &Counts) -> DifferenceCounts {
    DifferenceCounts {
        lost: counts.missing,
        extra: counts.foreign.saturating_add(counts.duplicate).saturating_add(counts.aborted),
        changed: counts.altered.saturating_add(counts.reordered).saturating_add(counts.wrong_partition),
        in_flight: counts.not_yet_mirrored,
        unproven: counts.unproven,
        unverifiable: 0,
        quarantined: 0,
    }
}

fn log(topic: &Topic, outcome: &Outcome) -> LogCheck {
    LogCheck {
        partitions: outcome.partitions.iter().map(window).collect(),
        classes: classes(&outcome.counts),
        findings: outcome.findings.iter().map(finding).collect(),
        findings_truncated: outcome.findings_truncated,
        method: if topic.policy.compacted { "latest" } else { "order" }.to_owned(),
        timestamps: topic.policy.timestamps.as_str().to_owned(),
    }
}

fn window(window: &Window) -> LogWindow {
    let range = |read: &Option<logs::Read>| read.as_ref().map(|read| (read.offsets.start, read.offsets.end));
    let records = |read: &Option<logs::Read>| read.as_ref().map_or(0, |read| read.records);
    LogWindow {
        partition: window.source.index,
        source: range(&window.source_read),
        replica: range(&window.replica_read),
        records: BothSides { source: records(&window.source_read), replica: records(&window.replica_read) },
        mirrored_to: window.mirrored_to,
        problem: window.problem.as_ref().map(|(origin, error)| sided(*origin, problem_of(error))),
    }
}

/// Classes with their counts; those without any are left out.
fn classes(counts: &Counts) -> BTreeMap<String, u64> {
    let all = [
        ("missing", counts.missing),
        ("altered", counts.altered),
        ("foreign", counts.foreign),
        ("duplicate", counts.duplicate),
        ("reordered", counts.reordered),
        ("wrong_partition", counts.wrong_partition),
        ("aborted", counts.aborted),
        ("aborted_allowed", counts.aborted_allowed),
        ("unproven", counts.unproven),
        ("not_yet_mirrored", counts.not_yet_mirrored),
        ("undecided", counts.undecided),
        ("expired_on_replica", counts.expired_on_replica),
        ("expired_on_source", counts.expired_on_source),
        ("superseded", counts.superseded),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}

pub(crate) fn finding(finding: &Finding) -> LogFinding {
    let offsets = |span: &Option<Span>| span.map(|span| (span.first, span.last));
    let span = finding.source.or(finding.replica);
    let times = span.and_then(|span| Some((time(span.first_time?)?, time(span.last_time?)?)));
    let parts = finding.parts.iter().map(|part| serde_json::to_value(part).ok());
    LogFinding {
        class: finding.class.as_str().to_owned(),
        proof: match finding.proof {
            Proof::Proven => "proven",
            Proof::InFlight => "in_flight",
            Proof::Unproven => "unproven",
        }
        .to_owned(),
        partition: finding.partition,
        found_in: finding.found_in,
        source: offsets(&finding.source),
        replica: offsets(&finding.replica),
        records: finding.records,
        at_least: finding.at_least,
        times,
        parts: parts.flatten().filter_map(|part| part.as_str().map(str::to_owned)).collect(),
        shown: finding.shown.iter().map(shown).collect(),
        note: finding.note.clone(),
    }
}

fn shown(shown: &Shown) -> ShownRecord {
    ShownRecord {
        side: match shown.of {
            Of::Source => "source",
            Of::Replica => "replica",
        }
        .to_owned(),
        offset: shown.offset,
        key: shown.key.clone(),
        value: shown.value.clone(),
        value_bytes: shown.value_bytes,
        headers: shown.headers.clone(),
        time: shown.timestamp.and_then(time),
    }
}

/// Milliseconds since 1970 as RFC 3339 in UTC; `None` where that is no time.
pub(crate) fn time(milliseconds: i64) -> Option<String> {
    Timestamp::from_millisecond(milliseconds).ok().map(|at| at.to_string())
}
