//! What was not verified: what was left out, and what failed, each with its reason and what to do.

use super::markup::{Column, Markup};
use super::shell::badge;
use crate::{Check, LinkReport, Problem};

/// What was left out.
pub(super) fn not_checked(page: &mut Markup, link: &LinkReport) {
    if link.not_checked.is_empty() {
        return;
    }
    page.table("Left out", &[Column::Text("What"), Column::Text("Why")]);
    for one in &link.not_checked {
        page.raw("<tr>").name(&one.what).cell(&one.why).raw("</tr>");
    }
    page.end_table();
}

/// What failed.
pub(super) fn problems(page: &mut Markup, link: &LinkReport) {
    for check in &link.checks {
        let about = crate::summary::subject(check);
        if let Some(problem) = check.problem() {
            self::problem(page, &about, problem, check);
        }
        if let Check::Snapshot(snapshot) = check {
            let kept = snapshot.kept.iter();
            let datasets = kept.clone().flat_map(|kept| &kept.datasets).map(|one| (&one.dataset, &one.problem));
            let ledgers = kept.flat_map(|kept| &kept.ledgers).map(|one| (&one.name, &one.problem));
            for (name, problem) in datasets.chain(ledgers) {
                if let Some(problem) = problem {
                    self::problem(page, &format!("{about}, {name}"), problem, check);
                }
            }
        }
        if let Check::Parity(parity) = check {
            for window in parity.log.iter().flat_map(|log| &log.partitions) {
                if let Some(problem) = &window.problem {
                    self::problem(page, &format!("{about}, partition {}", window.partition), problem, check);
                }
            }
        }
    }
}

fn problem(page: &mut Markup, about: &str, problem: &Problem, check: &Check) {
    page.raw("<div class=problem><p>");
    badge(page, check.verdict());
    page.raw(" ").element("strong", "", about).raw(": ").text(&problem.message).raw(" ");
    page.element("code", "code", &problem.code).raw("</p>");
    if let Some(detail) = &problem.detail {
        page.raw("<pre>").lines(detail).raw("</pre>");
    }
    if let Some(hint) = &problem.hint {
        page.raw("<p class=hint><span class=label>Hint</span> ").text(hint).raw("</p>");
    }
    page.raw("</div>\n");
}
