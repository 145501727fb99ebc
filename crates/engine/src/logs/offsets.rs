//! Whether groups would go on at the right record on the replica, for the report.

use super::LogOptions;
use super::seen::{Both, Seen, Wanted};
use crate::Options;
use crate::error::problem_of;
use crate::record::sided;
use paritas_connect::logs::{Checkpoint, Isolation};
use paritas_logs::ages::Count;
use paritas_logs::certify::{Certificate, GroupCertificate, Translation};
use paritas_model::{Known, Verdict};
use paritas_report::{Check, GroupOffsets, OffsetsCheck, PartitionOffsets};
use paritas_verify::logs::{CertifyLimits, Kept, LogSide, NamedPair, OffsetsAsk, Past, offsets};
use paritas_verify::rows::Origin;
use std::time::Instant;

/// Certifies the groups of the link; nothing where no group has anything to do with its logs.
pub(crate) async fn check(
    both: &Both,
    seen: &Seen,
    wanted: &Wanted<'_>,
    log_options: &LogOptions,
    options: &Options,
) -> Option<Check> {
    if log_options.groupless {
        return None;
    }
    let began = Instant::now();
    let mirrored = seen.mirrored(wanted);
    let pairs = seen.pairs(&mirrored, log_options, &options.digest_key);
    let alias = seen.policy.alias();
    let checkpoints = seen.replica.traces.checkpoints.iter();
    let checkpoints: Vec<Checkpoint> =
        checkpoints.filter(|checkpoint| alias.is_none_or(|alias| alias == checkpoint.alias)).cloned().collect();
    let takes = |name: &str| log_options.takes_group(name);
    let ask = OffsetsAsk {
        source: Past::Living(&both.source),
        replica: &both.replica,
        pairs: &pairs,
        checkpoints: &checkpoints,
        wanted: &takes,
        // What MirrorMaker 2 reads unless told otherwise.
        isolation: Isolation::Uncommitted,
        limits: CertifyLimits::default(),
    };
    report(offsets(&ask).await, began)
}

/// Certifies the groups of a snapshot of a source that is gone.
pub(super) async fn check_kept(
    replica: &LogSide,
    kept: &Kept<'_>,
    pairs: &[NamedPair],
    checkpoints: &[Checkpoint],
    log_options: &LogOptions,
) -> Option<Check> {
    let began = Instant::now();
    let takes = |name: &str| log_options.takes_group(name);
    let ask = OffsetsAsk {
        source: Past::Kept(kept),
        replica,
        pairs,
        checkpoints,
        wanted: &takes,
        isolation: Isolation::Committed,
        limits: CertifyLimits::default(),
    };
    report(offsets(&ask).await, began)
}

fn report(certified: Result<Vec<GroupCertificate>, (Origin, paritas_connect::Error)>, began: Instant) -> Option<Check> {
    let check = |groups: Vec<GroupOffsets>, problem| OffsetsCheck {
        verdict: Verdict::Unknown,
        groups,
        seconds: began.elapsed().as_secs_f64(),
        notes: Vec::new(),
        problem,
    };
    match certified {
        Ok(certificates) if certificates.is_empty() => None,
        Ok(certificates) => {
            let groups: Vec<GroupOffsets> = certificates.iter().map(group).collect();
            let verdict = Verdict::combine(groups.iter().map(|group| group.verdict));
            Some(Check::Offsets(OffsetsCheck { verdict, ..check(groups, None) }))
        }
        Err((origin, error)) => Some(Check::Offsets(check(Vec::new(), Some(sided(origin, problem_of(&error)))))),
    }
}

fn group(certificate: &GroupCertificate) -> GroupOffsets {
    let (lost, redelivered) = certificate.records();
    let exact = |count: Option<Count>| count.and_then(|count| count.exact());
    GroupOffsets {
        group: certificate.group.clone(),
        verdict: certificate.verdict(),
        may_resume: certificate.may_resume(),
        lost: exact(lost),
        redelivered: exact(redelivered),
        partitions: certificate.partitions.iter().map(partition).collect(),
    }
}

fn partition(certificate: &Certificate) -> PartitionOffsets {
    let exact = |count: &Known<Count>| count.value().and_then(Count::exact);
    let mut why = certificate.notes.clone();
    why.extend(certificate.loss.why().map(str::to_owned));
    if let Known::Known(loss) = &certificate.loss
        && loss.exact().is_none()
    {
        why.push(format!("between {} and {} records would be lost to it", loss.low, loss.high));
    }
    PartitionOffsets {
        stream: certificate.source.to_string(),
        standing: word(certificate),
        verdict: certificate.standing.verdict(),
        source: certificate.committed,
        replica: certificate.translated,
        exact: certificate.exact.value().copied(),
        from: match certificate.translation {
            Some(Translation::Committed) => "group",
            Some(Translation::Checkpoint) => "checkpoint",
            None => "none",
        }
        .to_owned(),
        lost: exact(&certificate.loss),
        redelivered: exact(&certificate.redelivery),
        why: (!why.is_empty()).then(|| why.join("; ")),
    }
}

fn word(certificate: &Certificate) -> String {
    let value = serde_json::to_value(certificate.standing).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
