//! The next command that makes sense.

use super::Called;
use crate::summary::LEDGER;
use crate::text::shell_word;
use crate::{Check, LinkReport, Problem, RenderOptions, Report};
use paritas_model::{DifferenceCounts, Verdict};

/// A command line to type next, or nothing when there is nothing left to do.
pub(super) fn command(report: &Report, called: &Called, options: &RenderOptions) -> Option<String> {
    let wrong: Vec<&LinkReport> =
        report.links.iter().filter(|link| matches!(link.verdict, Verdict::Fail | Verdict::Unknown)).collect();
    let again = verify_again(report, called, &wrong)?;
    let checks = || wrong.iter().flat_map(|link| &link.checks);
    let configured = report.run.config.is_some();
    if checks().filter_map(Check::problem).any(|problem| problem.code.starts_with("store.")) {
        return Some(if configured { "paritas config check --connect".to_owned() } else { again });
    }
    let ended = |problem: &Problem| ["run.deadline", "run.budget", "run.cancelled"].contains(&problem.code.as_str());
    if let (Some(resume), true) = (&called.resume, checks().filter_map(Check::problem).any(ended)) {
        return Some(resume.clone());
    }
    if checks().filter_map(Check::problem).any(|problem| problem.code == "run.deadline" || problem.code == "run.budget")
    {
        return Some(format!("{again} --budget 1h"));
    }
    let hidden = checks().filter_map(|check| hidden(check, options)).max();
    if let Some(total) = hidden {
        return Some(format!("{again} --max-differences {total}"));
    }
    // What was written since a snapshot does not settle.
    let stored = |check: &Check| {
        matches!(check, Check::Parity(check) if check.against.is_some())
            || matches!(check, Check::Files(check) if check.against.is_some())
    };
    let unsettled = |check: &Check| match check {
        Check::Ledger(check) => check.unproven > 0,
        check => !stored(check) && counts(check).is_some_and(|counts| counts.in_flight > 0 || counts.unproven > 0),
    };
    if report.verdict == Verdict::Unknown && checks().any(unsettled) {
        return Some(format!("{again} --settle 5m"));
    }
    let repair = if report.verdict == Verdict::Fail { "   (after the repair)" } else { "" };
    Some(format!("{again}{repair}"))
}

/// What to type after `paritas lag`: the stores themselves where one could not be reached, otherwise a
/// longer look. A longer look also finds the upper end of a lag.
pub(super) fn lag(report: &Report, called: &Called) -> Option<String> {
    let wrong: Vec<&LinkReport> = report.links.iter().filter(|link| link.verdict != Verdict::Pass).collect();
    let again = command_again("lag", report, called, &wrong)?;
    let stores = wrong.iter().flat_map(|link| &link.checks).filter_map(Check::problem);
    if report.run.config.is_some() && stores.into_iter().any(|problem| problem.code.starts_with("store.")) {
        return Some("paritas config check --connect".to_owned());
    }
    Some(format!("{again} --for 30s"))
}

/// The command that verifies what does not pass again; `None` when everything passes.
fn verify_again(report: &Report, called: &Called, wrong: &[&LinkReport]) -> Option<String> {
    let command = if report.run.command == LEDGER { LEDGER } else { "verify" };
    command_again(command, report, called, wrong)
}

fn command_again(command: &str, report: &Report, called: &Called, wrong: &[&LinkReport]) -> Option<String> {
    if wrong.is_empty() {
        return None;
    }
    let mut words = vec![format!("paritas {command}")];
    words.extend(called.options.iter().cloned());
    if report.run.config.is_none() {
        // Keys and other options are not part of a store's name: without them it is another question.
        if called.stores.is_empty() {
            return Some("the same command again".to_owned());
        }
        words.extend(called.stores.iter().cloned());
    } else {
        words.extend(wrong.iter().map(|link| shell_word(&link.name).unwrap_or_else(|| "…".to_owned())));
    }
    Some(words.join(" "))
}

fn counts(check: &Check) -> Option<&DifferenceCounts> {
    match check {
        Check::Parity(check) => Some(&check.differences),
        Check::Files(check) => Some(&check.differences),
        _ => None,
    }
}

/// How many rows or files there are in all, where not all of them are shown.
fn hidden(check: &Check, options: &RenderOptions) -> Option<u64> {
    if let Check::Ledger(check) = check {
        let hidden = check.items_truncated || check.items.len() > options.max_items;
        return hidden.then_some(check.mismatched.saturating_add(check.unproven));
    }
    let (items, truncated) = match check {
        Check::Parity(check) => (check.items.len(), check.items_truncated),
        Check::Files(check) => (check.items.len(), check.items_truncated),
        _ => return None,
    };
    let counts = counts(check)?;
    let total = counts.proven().saturating_add(counts.unsettled());
    (truncated || items > options.max_items).then_some(total)
}
