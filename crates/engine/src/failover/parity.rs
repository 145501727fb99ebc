//! The rows of the new primary against the newest snapshot of the old one, where one is kept.

use super::decide::reason;
use crate::job::Job;
use crate::snapshot::{Loaded, Stored, load, verify_loaded};
use crate::{Monitor, Options, Result};
use paritas_connect::Context;
use paritas_model::Verdict;
use paritas_report::{Against, Check, LinkReport, NotChecked, Reason, Recovery, counted};
use std::path::Path;

/// What stands in for the rows of an old primary.
#[derive(Debug)]
pub(super) enum Beside {
    /// No snapshot is kept.
    Nothing,
    /// One is, and cannot be used; why.
    Unusable(String),
    /// One that can be used.
    Ready(Box<(Job, Loaded)>),
}

/// Looks for the newest snapshot of a link.
pub(super) fn find(job: Result<Job>, folder: Option<&Path>, configured: bool, options: &Options) -> Beside {
    let (Ok(job), Some(folder)) = (job, folder) else { return Beside::Nothing };
    match load(&Stored::Last, Some(folder), (&job.name, configured), &options.digest_key) {
        Ok(loaded) => Beside::Ready(Box::new((job, loaded))),
        Err(error) if error.code() == "state.missing" => Beside::Nothing,
        Err(error) => Beside::Unusable(error.message().to_owned()),
    }
}

/// Compares, and takes what came of it into the link's report and the decision.
pub(super) async fn fill(cx: &Context, beside: Beside, options: &Options, link: &mut LinkReport) {
    let (job, loaded) = match beside {
        Beside::Nothing => return,
        Beside::Unusable(why) => {
            link.not_checked.push(NotChecked { what: "rows against the last snapshot".to_owned(), why });
            return;
        }
        Beside::Ready(ready) => *ready,
    };
    let compared = verify_loaded(cx, &job, options, &Monitor::default(), &loaded).await;
    if let Some(recovery) = &mut link.recovery {
        decide(recovery, &compared.checks);
        link.verdict = Verdict::combine([link.verdict, recovery.verdict()]);
    }
    link.checks.extend(compared.checks);
    link.not_checked.extend(compared.not_checked);
}

/// Adds what was found to the reasons.
fn decide(recovery: &mut Recovery, checks: &[Check]) {
    let allowed = recovery.rpo.objective.is_some() && recovery.rpo.verdict == Verdict::Pass;
    let found = judge(checks, allowed);
    if found.verdict > Verdict::Warn {
        "no-go".clone_into(&mut recovery.decision);
    }
    recovery.reasons.push(found);
    recovery.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
}

/// One reason for all datasets. `allowed` says that the loss is within its objective.
fn judge(checks: &[Check], allowed: bool) -> Reason {
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
    let verdict = Verdict::combine(checks.iter().map(Check::verdict));
    let of = snapshot.map_or_else(String::new, |one| format!(" of {}", one.taken_at));
    let head = format!("rows of {} against the snapshot{of}", counted(datasets, "dataset"));
    let next = |text: &str| Some(text.to_owned());
    match verdict {
        Verdict::Fail if behind && allowed && proven > 0 => {
            let text = format!("{head}: {} differ, as the loss that is allowed", counted(proven, "row"));
            reason(
                Verdict::Warn,
                text,
                next("enter them again, or decide not to: `paritas verify --against last` lists them"),
            )
        }
        Verdict::Fail => {
            let text = format!("{head}: {} proven to differ", counted(proven, "row"));
            reason(Verdict::Fail, text, next("`paritas verify --against last` lists them by their keys"))
        }
        Verdict::Unknown => {
            let text = format!("{head}: not all could be told apart ({open} open, {since} written since)");
            reason(Verdict::Warn, text, next("ask before applications write, or declare `writes` of the datasets"))
        }
        Verdict::Pass | Verdict::Warn => {
            reason(Verdict::Pass, format!("{head}: none is lost ({since} written since)"), None)
        }
    }
}
