//! What a failover achieved, as a whole, by tier, by store and by link, and what was lost of each kind.

use super::markup::{Column, Markup};
use super::shell::badge;
use crate::human::recovery::bounds;
use crate::text::counted;
use crate::{Achieved, AchievedIn, LostCount, LostSum};
use paritas_model::format_size;

/// The id of the section.
pub(super) const ID: &str = "achieved";
/// The title of the section.
pub(super) const TITLE: &str = "Achieved, as a whole";
/// Scopes of one kind, and amounts, that are listed; the document holds all of them.
const LISTED_MAX: usize = 100;

/// The section.
pub(super) fn write(page: &mut Markup, achieved: &Achieved) {
    use Column::Text;
    page.open("section", &[("id", ID), ("class", "achieved")]).element("h3", "", TITLE);
    let columns = [Text("Scope"), Text("Decision"), Text("RPO"), Text("RTO"), Text("Lost"), Text("Not known, why")];
    page.table("Achieved RPO and RTO", &columns);
    scope(page, "all", "all links", &achieved.whole);
    let kinds = [("tier", &achieved.tiers), ("store", &achieved.stores), ("link", &achieved.links)];
    for (kind, sections) in kinds {
        for one in sections.iter().take(LISTED_MAX) {
            scope(page, kind, &one.name, one);
        }
    }
    page.end_table();
    let hidden: usize = kinds.iter().map(|(_, sections)| sections.len().saturating_sub(LISTED_MAX)).sum();
    more(page, hidden, "scope");
    amounts(page, &achieved.whole.rpo.amounts);
    page.raw("</section>\n");
}

fn scope(page: &mut Markup, kind: &'static str, name: &str, one: &AchievedIn) {
    let go = one.decision == "go";
    page.raw("<tr><th scope=row>");
    if kind != "all" {
        page.element("span", "label", kind).raw(" ").element("code", "", name);
    } else {
        page.element("strong", "", name);
    }
    page.element("div", "sub", &counted(one.links, "link")).close("th");
    page.raw("<td>")
        .element("strong", if go { "go" } else { "nogo" }, if go { "GO" } else { "NO-GO" })
        .raw("</td><td>");
    let (rpo, rto) = (&one.rpo, &one.rto);
    badge(page, rpo.verdict);
    figure(page, &bounds(&rpo.seconds), rpo.worst.as_ref(), &rpo.methods);
    page.raw("</td><td>");
    if let Some(verdict) = rto.verdict {
        badge(page, verdict);
    }
    let time = rto.seconds.map_or_else(|| "not known".to_owned(), |seconds| bounds(&seconds));
    figure(page, &time, rto.worst.as_ref(), &rto.methods);
    page.raw("</td><td>");
    let counts = [("transaction", rpo.transactions), ("row", rpo.rows), ("record", rpo.records), ("file", rpo.files)];
    let told = counts.into_iter().filter_map(|(what, count)| Some(told(what, count?)));
    let told: Vec<String> = told.chain(rpo.bytes.map(|count| format!("{} of log", size(count)))).collect();
    if told.is_empty() {
        page.raw("–");
    }
    for line in told {
        page.element("div", "", &line);
    }
    page.raw("</td><td>");
    for (name, why) in [("RPO", &rpo.why), ("RTO", &rto.why)] {
        if let Some(why) = why {
            page.raw("<div>").element("span", "label", name).raw(" ").text(why).raw("</div>");
        }
    }
    if rpo.why.is_none() && rto.why.is_none() {
        page.raw("–");
    }
    page.raw("</td></tr>\n");
}

fn figure(page: &mut Markup, words: &str, worst: Option<&String>, methods: &[String]) {
    page.raw(" ").element("span", "figure", words);
    let by = (!methods.is_empty()).then(|| format!("by {}", methods.join(", ")));
    let worst = worst.map(|link| format!("decided by {link}"));
    let lines: Vec<String> = worst.into_iter().chain(by).collect();
    page.element("div", "sub", &lines.join("; "));
}

/// A count as far as it is known.
fn told(what: &str, count: LostCount) -> String {
    match (count.exact, count.at_least) {
        (Some(exact), _) => counted(exact, what),
        (None, 0) => format!("{what}s: not known"),
        (None, least) => format!("at least {}", counted(least, what)),
    }
}

fn size(count: LostCount) -> String {
    match (count.exact, count.at_least) {
        (Some(exact), _) => format_size(exact),
        (None, 0) => "a size that is not known".to_owned(),
        (None, least) => format!("at least {}", format_size(least)),
    }
}

/// Sums that the new side lacks.
fn amounts(page: &mut Markup, amounts: &[LostSum]) {
    use Column::{Number, Text};
    if amounts.is_empty() {
        return;
    }
    let columns =
        [Text("Link"), Text("Dataset"), Text("Column"), Text("Found in"), Number("Lost"), Text("Is that all")];
    page.table("Amounts that are lost; a negative one is too much on the new side", &columns);
    for one in amounts.iter().take(LISTED_MAX) {
        page.raw("<tr>").name(&one.link).cell(&one.dataset).cell(&one.column);
        page.cell(if one.from == "log" { "the log of the old primary" } else { "a ledger" });
        page.number(one.lost.as_deref().unwrap_or("unknown"));
        page.cell(if one.exact { "yes" } else { "not proven" }).raw("</tr>");
    }
    page.end_table();
    more(page, amounts.len().saturating_sub(LISTED_MAX), "amount");
}

fn more(page: &mut Markup, hidden: usize, noun: &str) {
    if hidden > 0 {
        page.raw("<p class=more>").text(&counted(hidden as u64, &format!("more {noun}")));
        page.raw(": the document in this file holds them.</p>\n");
    }
}
