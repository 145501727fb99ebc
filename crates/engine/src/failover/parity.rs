//! The rows, figures and sequences of the new primary against a snapshot of the old one, where one is kept.

use super::call::{FIGURES, FailedAt, ROWS, future};
use super::decide::reason;
use super::steps;
use crate::job::{Job, sides};
use crate::snapshot::{Loaded, Stored, load, verify_loaded, verify_sequences};
use crate::{Monitor, Options, Result};
use jiff::Timestamp;
use paritas_connect::{Context, Moment};
use paritas_model::{Ancestry, Verdict};
use paritas_report::{Against, Check, LinkReport, NotChecked, Reason, Recovery, counted, to_the_second};
use std::path::Path;
use std::time::{Duration, Instant};

/// What stands in for the rows of an old primary.
#[derive(Debug)]
pub(super) enum Beside {
    /// No snapshot is kept; the link, where its stores can be opened.
    Nothing(Option<Box<Job>>),
    /// One is, and cannot be used; why.
    Unusable(Option<Box<Job>>, String),
    /// One that can be used.
    Ready(Box<(Job, Loaded)>),
}

impl Beside {
    /// Whether there is nothing to hold rows against.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing(_))
    }
}

impl Beside {
    /// Seconds from the beginning of the snapshot to the failure, where the new primary's history holds all that the
    /// snapshot shows: what is lost was committed in between. Nothing where a clock contradicts that.
    pub(super) fn window(&self, ancestry: &Ancestry, failed_at: FailedAt) -> Option<f64> {
        let Self::Ready(ready) = self else { return None };
        let document = &ready.1.document;
        let held = |moment: &Moment| {
            let covers = moment.covers.value()?;
            let (system, timeline) = covers.lineage.0.split_once('/')?;
            let left = ancestry.left(timeline.parse().ok()?)?;
            (system == ancestry.system.to_string() && left.0 >= covers.value).then_some(())
        };
        let all = document.datasets.iter().map(|dataset| dataset.moment.as_ref().and_then(held));
        all.collect::<Option<Vec<()>>>().filter(|all| !all.is_empty())?;
        let began: Timestamp = document.began_at.parse().ok()?;
        let seconds = failed_at.0.duration_since(began).as_secs_f64();
        (seconds >= 0.0 && future(failed_at, Timestamp::now()).is_none()).then_some(seconds)
    }
}

/// Looks for a snapshot of a link: one that was named, or the newest.
///
/// # Errors
/// A snapshot that was named and is not there, or cannot be used (exit codes 2 and 3).
pub(super) fn find(
    job: Result<Job>,
    (folder, configured): (Option<&Path>, bool),
    named: Option<&Stored>,
    options: &Options,
) -> Result<Beside> {
    let Ok(job) = job else { return Ok(Beside::Nothing(None)) };
    if folder.is_none() && !matches!(named, Some(Stored::File(_))) {
        return match named {
            // The error of a folder that is missing is that of every command.
            Some(stored) => load(stored, None, (&job, configured), &options.digest_key)
                .map(|loaded| Beside::Ready(Box::new((job, loaded)))),
            None => Ok(Beside::Nothing(Some(Box::new(job)))),
        };
    }
    let stored = named.cloned().unwrap_or(Stored::Last);
    match load(&stored, folder, (&job, configured), &options.digest_key) {
        Ok(loaded) => Ok(Beside::Ready(Box::new((job, loaded)))),
        Err(error) if named.is_some() => Err(error),
        Err(error) if error.code() == "state.missing" => Ok(Beside::Nothing(Some(Box::new(job)))),
        Err(error) => Ok(Beside::Unusable(Some(Box::new(job)), error.message().to_owned())),
    }
}

/// Compares, and takes what came of it into the link's report and the decision.
pub(super) async fn fill(cx: &Context, beside: Beside, options: &Options, link: &mut LinkReport) {
    let began = Instant::now();
    let job = match beside {
        Beside::Nothing(job) => {
            skipped(link, "no snapshot of the link is kept");
            job
        }
        Beside::Unusable(job, why) => {
            link.not_checked.push(NotChecked { what: "rows against the last snapshot".to_owned(), why: why.clone() });
            skipped(link, &why);
            if let Some(recovery) = &mut link.recovery {
                let text = format!("the last snapshot cannot be used: {why}");
                let hint = Some("name another one with --against ID".to_owned());
                recovery.reasons.push(reason(Verdict::Warn, text, hint));
            }
            job
        }
        Beside::Ready(ready) => {
            let (job, loaded) = *ready;
            let compared = verify_loaded(cx, &job, options, &Monitor::default(), &loaded).await;
            let against = format!("against snapshot {}", loaded.document.id);
            take(link, compared, &against, began.elapsed());
            Some(Box::new(job))
        }
    };
    let judged = link.checks.iter().any(|check| matches!(check, Check::Sequences(_)));
    // Of a server that is no new primary, or does not answer, nothing follows.
    let primary = link.recovery.as_ref().and_then(|recovery| recovery.steps.first());
    let promoted = primary.is_some_and(|step| step.verdict == Some(Verdict::Pass));
    if let (Some(job), false, true) = (job, judged, promoted) {
        alone(cx, &job, options, link).await;
    }
}

fn skipped(link: &mut LinkReport, why: &str) {
    if let Some(recovery) = &mut link.recovery {
        for name in ["parity", "ledger"] {
            recovery.steps.push(steps::step(name, None, Duration::ZERO, why));
        }
    }
}

/// The sequences without a snapshot: each is held against its column.
async fn alone(cx: &Context, job: &Job, options: &Options, link: &mut LinkReport) {
    let replica = sides(cx, job, options).replica;
    if replica.store.datasets().is_none() {
        return;
    }
    let Some(check) = verify_sequences(&replica, options, None, false).await else { return };
    let checks = [check];
    if let Some(recovery) = &mut link.recovery {
        recovery.reasons.extend(sequences(&checks));
        recovery.steps.extend(steps::of_checks(&checks, Duration::ZERO, "against the columns that use them"));
    }
    link.checks.extend(checks);
}

/// Takes what a comparison with a snapshot found into the report.
pub(super) fn take(link: &mut LinkReport, compared: LinkReport, against: &str, took: Duration) {
    if let Some(recovery) = &mut link.recovery {
        decide(recovery, &compared.checks);
        recovery.steps.extend(steps::of_checks(&compared.checks, took, against));
    }
    link.checks.extend(compared.checks);
    link.not_checked.extend(compared.not_checked);
}

/// Adds what was found to the reasons.
fn decide(recovery: &mut Recovery, checks: &[Check]) {
    let allowed = recovery.rpo.objective.is_some() && recovery.rpo.verdict == Verdict::Pass;
    let rows: Vec<&Check> = checks
        .iter()
        .filter(|check| !matches!(check, Check::Ledger(_) | Check::Sequences(_) | Check::Files(_)))
        .collect();
    if !rows.is_empty() {
        recovery.reasons.push(judge(&rows, allowed));
    }
    recovery.reasons.extend(figures(checks, allowed));
    recovery.reasons.extend(sequences(checks));
}

/// One reason for all ledgers.
pub(super) fn figures(checks: &[Check], allowed: bool) -> Option<Reason> {
    let (mut ledgers, mut broken, mut open, mut behind) = (0_u64, 0_u64, 0_u64, true);
    let mut verdicts = Vec::new();
    let mut problem = None;
    for check in checks {
        let Check::Ledger(check) = check else { continue };
        ledgers += 1;
        verdicts.push(check.verdict);
        broken = broken.saturating_add(check.mismatched);
        open = open.saturating_add(check.unproven);
        problem = problem.or_else(|| check.problem.as_ref().map(|problem| problem.message.clone()));
        behind &= check.verdict != Verdict::Fail || check.against.as_ref().is_some_and(|one| one.relation == "behind");
    }
    if ledgers == 0 {
        return None;
    }
    let head = format!("figures of {}", counted(ledgers, "ledger"));
    let verdict = Verdict::combine(verdicts);
    let found = match verdict {
        Verdict::Fail if behind && allowed => {
            let text = format!("{head}: {} differ, as the loss that is allowed", counted(broken, "group"));
            reason(Verdict::Warn, text, None)
        }
        Verdict::Fail => reason(
            Verdict::Fail,
            format!("{head}: {} proven to differ", counted(broken, "group")),
            Some("see what each group lacks, and enter it again".to_owned()),
        ),
        Verdict::Unknown => {
            let why = problem.unwrap_or_else(|| format!("{open} may have been written since"));
            let hint = "ask before applications write, or declare `writes` of the datasets";
            reason(Verdict::Warn, format!("{head}: not all could be told apart ({why})"), Some(hint.to_owned()))
        }
        Verdict::Pass | Verdict::Warn => reason(Verdict::Pass, format!("{head} agree"), None),
    };
    Some(Reason { next: Some(FIGURES.to_owned()), ..found })
}

/// One reason for all sequences.
pub(super) fn sequences(checks: &[Check]) -> Option<Reason> {
    let check = checks.iter().find_map(|check| match check {
        Check::Sequences(check) => Some(check),
        _ => None,
    })?;
    let of = |verdict: Verdict| check.items.iter().filter(|item| item.verdict == verdict).count() as u64;
    let first = check.items.first();
    Some(match (check.verdict, first) {
        (Verdict::Fail, Some(first)) => {
            let text = format!("{} behind: {}: {}", counted(of(Verdict::Fail), "sequence"), first.sequence, first.why);
            let repair = first.repair.as_ref().map(|sql| format!("run on the new primary: {sql}"));
            reason(Verdict::Fail, text, repair)
        }
        (Verdict::Unknown, Some(first)) => {
            reason(Verdict::Unknown, format!("sequence {}: {}", first.sequence, first.why), None)
        }
        (Verdict::Warn, Some(first)) => {
            let text = format!("sequence {}: {}", first.sequence, first.why);
            reason(Verdict::Warn, text, first.repair.as_ref().map(|sql| format!("run on the new primary: {sql}")))
        }
        (Verdict::Pass, _) => {
            let text = format!("{} ahead of all numbers in use", counted(check.sequences, "sequence"));
            reason(Verdict::Pass, text, None)
        }
        (verdict, None) => {
            let why = check.problem.as_ref().map_or("not all are listed", |problem| problem.message.as_str());
            let hint = check.problem.as_ref().and_then(|problem| problem.hint.clone());
            reason(verdict.max(Verdict::Unknown), format!("sequences: {why}"), hint)
        }
    })
}

/// Why what was written since the promotion is not told apart, where that is known of a dataset.
fn unsettled<'a>(checks: &[&'a Check]) -> Option<&'a str> {
    checks.iter().find_map(|check| match check {
        Check::Parity(check) => check.against.as_ref()?.unsettled.as_deref(),
        _ => None,
    })
}

/// One reason for all datasets. `allowed` says that the loss is within its objective.
fn judge(checks: &[&Check], allowed: bool) -> Reason {
    let parity = checks.iter().filter_map(|check| match check {
        Check::Parity(check) => Some(check),
        _ => None,
    });
    let (mut proven, mut open, mut since, mut behind, mut datasets) = (0_u64, 0_u64, 0_u64, true, 0_u64);
    let mut snapshot: Option<&Against> = None;
    for check in parity {
        datasets += 1;
        proven = proven.saturating_add(check.differences.proven());
        open = open.saturating_add(check.differences.unsettled()).saturating_add(u64::from(!check.complete));
        since = since.saturating_add(check.against.as_ref().map_or(0, |against| against.written_since));
        behind &= check.differences.proven() == 0 || check.against.as_ref().is_some_and(|one| one.relation == "behind");
        snapshot = snapshot.or(check.against.as_ref());
    }
    let verdict = Verdict::combine(checks.iter().map(|check| check.verdict()));
    let of = snapshot.map_or_else(String::new, |one| format!(" of {}", to_the_second(&one.taken_at)));
    let head = format!("rows of {} against the snapshot{of}", counted(datasets, "dataset"));
    let next = |text: &str| Some(text.to_owned());
    let found = match verdict {
        Verdict::Fail if behind && allowed && proven > 0 => {
            let text = format!("{head}: {} differ, as the loss that is allowed", counted(proven, "row"));
            reason(Verdict::Warn, text, next("enter them again, or decide not to: they are listed by their keys"))
        }
        Verdict::Fail => {
            let text = format!("{head}: {} proven to differ", counted(proven, "row"));
            reason(Verdict::Fail, text, next("they are listed by their keys: enter them again, or decide not to"))
        }
        Verdict::Unknown => {
            let why = unsettled(checks).map(|why| format!(": {why}")).unwrap_or_default();
            let text = format!("{head}: not all could be told apart ({open} open, {since} written since){why}");
            reason(Verdict::Warn, text, next("ask before applications write, or declare `writes` of the datasets"))
        }
        Verdict::Pass | Verdict::Warn => {
            reason(Verdict::Pass, format!("{head}: none is lost ({since} written since)"), None)
        }
    };
    Reason { next: Some(ROWS.to_owned()), ..found }
}
