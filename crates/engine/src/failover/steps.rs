//! The ordered steps of an examination: what each came to, and how long it took.

use super::decide::replayed;
use super::{Evidence, Job};
use paritas_model::{Verdict, format_duration};
use paritas_report::{Bounds, Check, LineageCheck, Recovery, Rpo, Rto, Step};
use std::time::Duration;

pub(crate) fn step(name: &str, verdict: Option<Verdict>, took: Duration, text: impl Into<String>) -> Step {
    Step { step: name.to_owned(), verdict, seconds: took.as_secs_f64(), text: text.into() }
}

/// Everything up to the recovery time, of two servers.
pub(super) fn of_servers(
    job: &Job,
    evidence: &Evidence,
    lineage: &LineageCheck,
    recovery: &Recovery,
    rows: Duration,
) -> Vec<Step> {
    let name = job.replica_name();
    let primary = match &evidence.replica {
        Err(_) => (Verdict::Unknown, format!("{name} does not answer")),
        Ok(standing) if standing.in_recovery => (Verdict::Fail, format!("{name} was not promoted")),
        Ok(standing) if standing.read_only => (Verdict::Fail, format!("sessions on {name} are read only by default")),
        Ok(_) => (Verdict::Pass, format!("{name} was promoted, and is no standby")),
    };
    let replay = match &evidence.replica {
        Err(_) => (Verdict::Unknown, format!("{name} does not answer")),
        Ok(standing) if standing.in_recovery => (Verdict::Fail, format!("{name} still replays the log")),
        Ok(standing) => match replayed(standing) {
            Some(text) => (Verdict::Pass, text),
            None => (Verdict::Unknown, "where replay ended is not known".to_owned()),
        },
    };
    vec![
        step("new_primary", Some(primary.0), evidence.asked, primary.1),
        step("lineage", Some(lineage.verdict), Duration::ZERO, lineage.summary.clone()),
        step("replay", Some(replay.0), Duration::ZERO, replay.1),
        loss(&recovery.rpo, evidence.read.saturating_add(rows)),
        rpo(&recovery.rpo),
        rto(&recovery.rto),
    ]
}

/// Whether it is known what is lost, whatever may be.
pub(crate) fn loss(rpo: &Rpo, took: Duration) -> Step {
    let known = rpo.transactions.or(rpo.records);
    let (what, least) = if rpo.records.is_some() || rpo.records_at_least > 0 || rpo.method == "content" {
        ("records", rpo.records_at_least)
    } else {
        ("transactions", rpo.transactions_at_least)
    };
    let (verdict, text) = match (known, &rpo.why) {
        (Some(lost), _) => (Verdict::Pass, format!("exactly known: {lost} {what} lost")),
        (None, Some(why)) => (Verdict::Unknown, format!("at least {least} {what} lost: {why}")),
        (None, None) => (Verdict::Unknown, format!("at least {least} {what} lost")),
    };
    step("loss", Some(verdict), took, text)
}

pub(crate) fn rpo(rpo: &Rpo) -> Step {
    let text = format!("{}{}, by {}", shown(rpo.seconds), of(rpo.objective), rpo.method);
    step("rpo", Some(rpo.verdict), Duration::ZERO, text)
}

pub(crate) fn rto(rto: &Rto) -> Step {
    let text = match (rto.seconds, &rto.why) {
        (Some(seconds), why) => {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let method = rto.method.as_ref().map(|method| format!(", by {method}")).unwrap_or_default();
            format!("{}{}{method}{why}", shown(seconds), of(rto.objective))
        }
        (None, why) => why.clone().unwrap_or_else(|| "not known".to_owned()),
    };
    step("rto", rto.verdict, Duration::ZERO, text)
}

fn of(objective: Option<f64>) -> String {
    objective.map_or_else(|| ", no objective".to_owned(), |limit| format!(" of {}", time(limit)))
}

pub(super) fn shown(bounds: Bounds) -> String {
    match (bounds.low, bounds.high) {
        (Some(low), Some(high)) if low >= high => time(high),
        (Some(low), Some(high)) => format!("{} to {}", time(low), time(high)),
        (Some(low), None) if low > 0.0 => format!("at least {}", time(low)),
        (None, Some(high)) => format!("at most {}", time(high)),
        (_, None) => "not known".to_owned(),
    }
}

/// Seconds as people say them.
pub(super) fn time(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| format!("{seconds} s"), format_duration)
}

/// The steps of a comparison with a snapshot, or with the source: what the checks of each kind came to.
pub(crate) fn of_checks(checks: &[Check], took: Duration, against: &str) -> Vec<Step> {
    type Pick = fn(&Check) -> bool;
    let kinds: [(&str, &str, Pick); 4] = [
        ("parity", "dataset", |check| matches!(check, Check::Parity(_) | Check::Schema(_))),
        ("ledger", "ledger", |check| matches!(check, Check::Ledger(_))),
        ("files", "file set", |check| matches!(check, Check::Files(_))),
        ("sequences", "set of sequences", |check| matches!(check, Check::Sequences(_))),
    ];
    let mut steps = Vec::new();
    for (name, noun, pick) in kinds {
        let those: Vec<&Check> = checks.iter().filter(|check| pick(check)).collect();
        let counted = those.iter().filter(|check| !matches!(check, Check::Schema(_))).count() as u64;
        if those.is_empty() || counted == 0 {
            continue;
        }
        let seconds: f64 = those.iter().map(|check| seconds(check)).sum();
        let verdict = Verdict::combine(those.iter().map(|check| check.verdict()));
        let text = format!("{} {against}: {}", paritas_report::counted(counted, noun), found(&those));
        let took = Duration::try_from_secs_f64(seconds).unwrap_or(took);
        steps.push(step(name, Some(verdict), took, text));
    }
    steps
}

fn seconds(check: &Check) -> f64 {
    let seconds = match check {
        Check::Parity(check) => check.seconds,
        Check::Ledger(check) => check.seconds,
        Check::Files(check) => check.seconds,
        Check::Sequences(check) => check.seconds,
        _ => 0.0,
    };
    if seconds.is_finite() { seconds.max(0.0) } else { 0.0 }
}

fn found(checks: &[&Check]) -> String {
    let (mut proven, mut open) = (0_u64, 0_u64);
    for check in checks {
        let (more, unsettled) = match check {
            Check::Parity(check) => (check.differences.proven(), check.differences.unsettled()),
            Check::Files(check) => (check.differences.proven(), check.differences.unsettled()),
            Check::Ledger(check) => (check.mismatched, check.unproven),
            Check::Sequences(check) => {
                let of = |verdict: Verdict| check.items.iter().filter(|item| item.verdict == verdict).count() as u64;
                (of(Verdict::Fail), of(Verdict::Unknown).saturating_add(of(Verdict::Warn)))
            }
            _ => (0, 0),
        };
        proven = proven.saturating_add(more);
        open = open.saturating_add(unsettled);
    }
    let problem = checks.iter().find_map(|check| check.problem());
    match (proven, open, problem) {
        (_, _, Some(problem)) => problem.message.clone(),
        (0, 0, None) => "nothing is wrong".to_owned(),
        (proven, 0, None) => format!("{proven} proven wrong"),
        (proven, open, None) => format!("{proven} proven wrong, {open} open"),
    }
}
