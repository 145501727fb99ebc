//! All datasets of a link in one table.

use super::markup::{Column, Markup};
use super::shell::badge;
use crate::human::recovery::seconds;
use crate::text::{counted, grouped};
use crate::{ParityCheck, RowCounts, Slice};
use paritas_model::{DifferenceCounts, Verdict, format_size};

/// The table, what is wrong first, and what there is to know about each dataset.
pub(super) fn table(page: &mut Markup, checks: &[&ParityCheck]) {
    use Column::{Number, Text};
    let columns = [
        Text("Verdict"),
        Text("Dataset"),
        Number("Source"),
        Number("Replica"),
        Number("Lost"),
        Number("Extra"),
        Number("Changed"),
        Number("Not settled"),
        Number("Read"),
    ];
    page.table("Datasets: rows of both sides, and rows that differ", &columns);
    let mut order = checks.to_vec();
    order.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    for check in &order {
        row(page, check);
    }
    page.end_table();
    for check in &order {
        about(page, check);
    }
}

fn row(page: &mut Markup, check: &ParityCheck) {
    let counts = &check.differences;
    page.raw("<tr><td>");
    badge(page, check.verdict);
    page.raw("</td>").open("th", &[("scope", "row")]).element("code", "", &check.dataset);
    if let Some(name) = &check.replica_dataset {
        page.element("div", "sub", &format!("on the replica {name}"));
    }
    if let Some(slice) = &check.slice {
        page.element("div", "sub", &parts(slice));
    }
    page.close("th");
    for rows in [check.rows.source, check.rows.replica] {
        known(page, rows, &check.rows);
    }
    for (count, class) in [(counts.lost, "n bad"), (counts.extra, "n bad"), (counts.changed, "n bad")] {
        page.count(count, class);
    }
    unsettled(page, counts);
    page.open("td", &[("class", "n")]);
    page.text(&format_size(check.bytes_read.source.saturating_add(check.bytes_read.replica)));
    let how = [Some(seconds(check.seconds)), check.method.clone(), check.canon.clone()];
    page.element("div", "sub", &how.into_iter().flatten().collect::<Vec<_>>().join(", ")).close("td").raw("</tr>");
}

/// How much of a dataset was verified: `12 of 96 parts`.
fn parts(slice: &Slice) -> String {
    format!("{} of {}", grouped(slice.parts), counted(slice.of, "part"))
}

/// What differs without proof, by how.
fn unsettled(page: &mut Markup, counts: &DifferenceCounts) {
    let class = if counts.unsettled() == 0 { "n zero" } else { "n open" };
    page.open("td", &[("class", class)]).text(&grouped(counts.unsettled()));
    for (count, words) in [
        (counts.in_flight, "in flight"),
        (counts.unproven, "unproven"),
        (counts.unverifiable, "not comparable"),
        (counts.quarantined, "quarantined"),
    ] {
        if count > 0 {
            page.element("div", "sub", &format!("{} {words}", grouped(count)));
        }
    }
    page.close("td");
}

fn known(page: &mut Markup, rows: Option<u64>, of: &RowCounts) {
    match rows {
        Some(rows) => drop(page.number(&grouped(rows))),
        None => {
            page.open("td", &[("class", "n"), ("title", of.why.as_deref().unwrap_or("not known"))]);
            page.raw("<i class=null>unknown</i></td>");
        }
    }
}

/// Positions, the snapshot that stood in, notes.
fn about(page: &mut Markup, check: &ParityCheck) {
    let mut lines: Vec<(&str, String)> = Vec::new();
    if let Some(slice) = &check.slice {
        let text = format!("{}, the rest in later runs; counts are of these parts", parts(slice));
        lines.push(("slice", text));
    } else if !check.complete {
        lines.push(("incomplete", "not everything was read or counted, so the counts are lower bounds".to_owned()));
    }
    if let Some(why) = &check.rows.why {
        lines.push(("rows", why.clone()));
    }
    if let Some(against) = &check.against {
        lines.push(("against", super::snapshot::against(against, "row")));
    }
    if let Some(pages) = &check.pages {
        let text = format!(
            "{} compared, {} of them after a write in flight; {} differ, {} unproven; {} transactions",
            grouped(pages.compared),
            grouped(pages.arrived),
            grouped(pages.differing),
            grouped(pages.unproven),
            grouped(pages.transactions)
        );
        lines.push(("pages", text));
    }
    if check.verdict != Verdict::Pass {
        let positions = &check.positions;
        let at = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        if positions.source.is_some() || positions.replica.is_some() {
            let fence = check.fence.as_ref().map(|fence| format!(", fence {fence}")).unwrap_or_default();
            let text = format!("source {}, replica {}{fence}", at(&positions.source), at(&positions.replica));
            lines.push(("positions", text));
        }
        let key = if check.key.is_empty() { "none: whole rows".to_owned() } else { check.key.join(", ") };
        lines.push(("key", key));
    }
    lines.extend(check.notes.iter().map(|note| ("note", note.clone())));
    if lines.is_empty() {
        return;
    }
    page.raw("<dl class=notes>").element("dt", "of", &check.dataset);
    for (name, text) in lines {
        page.open("dd", &[]).element("span", "label", name).raw(" ").text(&text).close("dd");
    }
    page.raw("</dl>\n");
}

/// What the list of rows of a dataset does not hold; empty when it holds all.
pub(super) fn more(check: &ParityCheck) -> String {
    if !check.items_truncated {
        return String::new();
    }
    let counts = &check.differences;
    let all = counts.proven().saturating_add(counts.unsettled());
    format!(
        "The run kept {} of {} rows; --max-differences keeps more.",
        grouped(check.items.len() as u64),
        grouped(all)
    )
}
