//! The next command that makes sense.

use super::Called;
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
    if checks().filter_map(problem).any(|problem| problem.code.starts_with("store.")) {
        return Some(if configured { "paritas config check --connect".to_owned() } else { again });
    }
    if checks().filter_map(problem).any(|problem| problem.code == "run.deadline" || problem.code == "run.budget") {
        return Some(format!("{again} --budget 1h"));
    }
    let hidden = checks().filter_map(|check| hidden(check, options)).max();
    if let Some(total) = hidden {
        return Some(format!("{again} --max-differences {total}"));
    }
    let unsettled = |check: &Check| counts(check).is_some_and(|counts| counts.in_flight > 0 || counts.unproven > 0);
    if report.verdict == Verdict::Unknown && checks().any(unsettled) {
        return Some(format!("{again} --settle 5m"));
    }
    let repair = if report.verdict == Verdict::Fail { "   (after the repair)" } else { "" };
    Some(format!("{again}{repair}"))
}

/// The command that verifies what does not pass again; `None` when everything passes.
fn verify_again(report: &Report, called: &Called, wrong: &[&LinkReport]) -> Option<String> {
    if wrong.is_empty() {
        return None;
    }
    let mut words = vec!["paritas verify".to_owned()];
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

fn problem(check: &Check) -> Option<&Problem> {
    match check {
        Check::Schema(check) => check.problem.as_ref(),
        Check::Parity(check) => check.problem.as_ref(),
        Check::Files(check) => check.problem.as_ref(),
        Check::Lineage(check) => check.problem.as_ref(),
    }
}

fn counts(check: &Check) -> Option<&DifferenceCounts> {
    match check {
        Check::Schema(_) | Check::Lineage(_) => None,
        Check::Parity(check) => Some(&check.differences),
        Check::Files(check) => Some(&check.differences),
    }
}

/// How many rows or files there are in all, where not all of them are shown.
fn hidden(check: &Check, options: &RenderOptions) -> Option<u64> {
    let (items, truncated) = match check {
        Check::Schema(_) | Check::Lineage(_) => return None,
        Check::Parity(check) => (check.items.len(), check.items_truncated),
        Check::Files(check) => (check.items.len(), check.items_truncated),
    };
    let counts = counts(check)?;
    let total = counts.proven().saturating_add(counts.unsettled());
    (truncated || items > options.max_items).then_some(total)
}
