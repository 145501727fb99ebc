//! From a report to what the history records of it. The same whether the run has just ended or was read from its file.

use jiff::Timestamp;
use paritas_model::{LagState, Verdict};
use paritas_report::{Bounds, Check, LagCheck, LagPoint, LinkReport, LostRows, Recovery, Report, RowChanges};
use paritas_state::history::{Achieved, CheckEntry, LinkEntry, Lost, RecoveryEntry, RunEntry, Sample, Span};
use serde::Deserialize;
use ulid::Ulid;

/// What every version of a report says.
#[derive(Deserialize)]
struct Head {
    run: HeadRun,
    verdict: Verdict,
    exit_code: u8,
    #[serde(default)]
    links: Vec<HeadLink>,
}

#[derive(Deserialize)]
struct HeadRun {
    command: String,
    started_at: String,
    ended_at: String,
    #[serde(default)]
    drill: Option<String>,
}

#[derive(Deserialize)]
struct HeadLink {
    name: String,
    verdict: Verdict,
}

/// What is recorded of a stored report. Of one that another version wrote, and that this one does not understand whole,
/// the verdicts count all the same.
///
/// # Errors
/// Why it cannot be understood at all.
pub(crate) fn stored(id: Ulid, json: &[u8]) -> Result<RunEntry, String> {
    if let Ok(report) = serde_json::from_slice::<Report>(json) {
        return entry(id, &report);
    }
    let head: Head = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let link = |link: HeadLink| LinkEntry {
        name: link.name,
        tier: None,
        verdict: link.verdict,
        checks: Vec::new(),
        samples: Vec::new(),
        unseen: None,
        recovery: None,
    };
    Ok(RunEntry {
        id,
        command: head.run.command,
        started: micros(&head.run.started_at)?,
        ended: micros(&head.run.ended_at)?,
        verdict: head.verdict,
        exit_code: head.exit_code,
        drill: head.run.drill,
        links: head.links.into_iter().map(link).collect(),
    })
}

/// What is recorded of a report.
///
/// # Errors
/// Why it cannot be understood.
pub(crate) fn entry(id: Ulid, report: &Report) -> Result<RunEntry, String> {
    let (started, ended) = (micros(&report.run.started_at)?, micros(&report.run.ended_at)?);
    Ok(RunEntry {
        id,
        command: report.run.command.clone(),
        started,
        ended,
        verdict: report.verdict,
        exit_code: report.exit_code,
        drill: report.run.drill.clone(),
        links: report.links.iter().map(|link| of_link(link, ended)).collect(),
    })
}

fn of_link(link: &LinkReport, ended: i64) -> LinkEntry {
    let lag = link.checks.iter().find_map(|check| match check {
        Check::Lag(lag) => Some(lag),
        _ => None,
    });
    LinkEntry {
        name: link.name.clone(),
        tier: link.tier,
        verdict: link.verdict,
        checks: link.checks.iter().map(of_check).collect(),
        samples: lag.map(samples).unwrap_or_default(),
        unseen: lag.and_then(|lag| unseen(lag, ended)),
        // What might have been is no incident.
        recovery: link.recovery.as_ref().filter(|recovery| !recovery.planned).map(recovery),
    }
}

fn of_check(check: &Check) -> CheckEntry {
    let (name, dataset) = match check {
        Check::Schema(own) => ("schema", Some(own.dataset.as_str())),
        Check::Parity(own) => ("parity", Some(own.dataset.as_str())),
        Check::Files(own) => ("files", Some(own.dataset.as_str())),
        Check::Lag(_) => ("lag", None),
        Check::Coverage(_) => ("coverage", None),
        Check::Lineage(_) => ("lineage", None),
        Check::Probe(_) => ("probe", None),
        Check::Groups(_) => ("groups", None),
        Check::Health(_) => ("health", None),
        Check::Offsets(_) => ("offsets", None),
        Check::Continuity(_) => ("continuity", None),
        Check::Snapshot(_) => ("snapshot", None),
        Check::Ledger(own) => ("ledger", Some(own.name.as_str())),
        Check::Sequences(_) => ("sequences", None),
        Check::Clock(_) => ("clock", None),
        Check::Freshness(own) => ("freshness", Some(own.name.as_str())),
    };
    CheckEntry { check: name.to_owned(), dataset: dataset.map(str::to_owned), verdict: check.verdict() }
}

/// The curves, and the last word on every stream.
fn samples(lag: &LagCheck) -> Vec<(String, Sample)> {
    let on_curves = lag
        .curves
        .iter()
        .flat_map(|curve| curve.points.iter().filter_map(|point| Some((curve.stream.clone(), sample(point)?))));
    let last = lag.streams.iter().filter_map(|stream| Some((stream.stream.clone(), sample(&stream.point()?)?)));
    on_curves.chain(last).collect()
}

/// When nothing was seen of the streams that there are, and why.
fn unseen(lag: &LagCheck, ended: i64) -> Option<(i64, String)> {
    let problem = lag.problem.as_ref().filter(|_| lag.streams.is_empty())?;
    Some((ended, problem.message.clone()))
}

fn sample(point: &LagPoint) -> Option<Sample> {
    let seconds = point.seconds;
    Some(Sample {
        at: micros(&point.at).ok()?,
        state: point.state,
        bytes: point.bytes,
        records: point.records,
        versions: point.versions,
        low: seconds.and_then(|seconds| down(seconds.low)),
        high: seconds.and_then(|seconds| up(seconds.high?)).filter(|_| point.state != LagState::Broken),
        loss: point.lost.and_then(down),
        method: point.method.clone(),
        why: point.why.clone(),
    })
}

fn recovery(recovery: &Recovery) -> RecoveryEntry {
    let (rpo, rto) = (&recovery.rpo, &recovery.rto);
    let objective = |seconds: Option<f64>| seconds.and_then(down);
    RecoveryEntry {
        decision: recovery.decision.clone(),
        rpo: Achieved {
            verdict: Some(rpo.verdict),
            objective: objective(rpo.objective),
            span: span(rpo.seconds),
            method: Some(rpo.method.clone()),
            why: rpo.why.clone(),
        },
        rto: Achieved {
            verdict: rto.verdict,
            objective: objective(rto.objective),
            span: rto.seconds.map(span).unwrap_or_default(),
            method: rto.method.clone(),
            why: rto.why.clone(),
        },
        transactions: Lost { exact: rpo.transactions, at_least: rpo.transactions_at_least },
        records: Lost { exact: rpo.records, at_least: rpo.records_at_least },
        rows: rows(recovery),
        bytes: Lost { exact: rpo.bytes, at_least: rpo.bytes_at_least },
    }
}

/// Rows that the new primary lacks; exact where nothing was left behind, or every timeline accounts for all of its rows.
fn rows(recovery: &Recovery) -> Lost {
    let of = |changes: &RowChanges| changes.inserted + changes.updated + changes.deleted;
    let lost = |rows: &LostRows| rows.tables.iter().map(|table| of(&table.lost)).sum::<u64>();
    let known = || recovery.timelines.iter().map(|timeline| timeline.rows.as_ref());
    let at_least = known().flatten().map(lost).sum();
    let whole = !recovery.timelines.is_empty() && known().all(|rows| rows.is_some_and(|rows| rows.complete));
    Lost { exact: (whole || recovery.rpo.method == "none").then_some(at_least), at_least }
}

fn span(bounds: Bounds) -> Span {
    Span { low: bounds.low.and_then(down), high: bounds.high.and_then(up) }
}

fn micros(text: &str) -> Result<i64, String> {
    let at: Timestamp = text.parse().map_err(|error| format!("{text:?} is no time: {error}"))?;
    Ok(at.as_microsecond())
}

/// Seconds as microseconds, no more than they are.
fn down(seconds: f64) -> Option<u64> {
    whole((seconds * 1e6).floor())
}

/// Seconds as microseconds, no less than they are.
fn up(seconds: f64) -> Option<u64> {
    whole((seconds * 1e6).ceil())
}

/// Beyond what a histogram holds nothing is told apart.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within bounds, and not negative
fn whole(micros: f64) -> Option<u64> {
    (micros.is_finite() && micros >= 0.0).then(|| micros.min(1e18) as u64)
}
