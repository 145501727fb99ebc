//! What surrounds the links: head, contents, verdict and summary, foot.

use super::markup::{Column, Markup};
use super::{Place, achieved};
use crate::summary::{LAG, Totals, elapsed_seconds, link_lag_line, link_line, report_line};
use crate::text::{counted, grouped};
use crate::{Check, LinkReport, Report};
use base64::Engine as _;
use paritas_model::{Verdict, format_size};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Behind the document.
pub(super) const END: &str = concat!("</script>\n<script>", include_str!("script.js"), "</script>\n</body>\n</html>\n");

/// Nothing may be loaded from anywhere, and of styles and scripts only the ones of this page count.
fn policy() -> String {
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// Everything up to the body.
pub(super) fn head(page: &mut Markup, report: &Report) {
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.open("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy())]);
    page.raw("\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.raw("<meta name=\"robots\" content=\"noindex\">\n<link rel=\"icon\" href=\"data:,\">\n");
    let drill = if report.run.drill.is_some() { "DRILL · " } else { "" };
    let title =
        format!("{drill}{} · {} · {}", word(report).to_uppercase(), report.run.command, moment(&report.run.started_at));
    page.element("title", "", &title);
    page.raw("\n<style>")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body>\n<a class=skip href=\"#summary\">Skip to the summary</a>\n");
}

/// `NO-GO` where a failover was judged, the verdict elsewhere.
fn word(report: &Report) -> &'static str {
    if report.links.iter().all(|link| link.recovery.is_none()) {
        report.verdict.as_str()
    } else if report.links.iter().all(|link| link.recovery.as_ref().is_some_and(crate::Recovery::goes)) {
        "go"
    } else {
        "no-go"
    }
}

/// A stored time for people: `2026-11-21 03:00:00 UTC`.
pub(super) fn moment(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Links to all sections, beside the page where there is room.
pub(super) fn contents(page: &mut Markup, places: &[Place]) {
    page.raw("<nav aria-label=\"Contents\"><p class=brand>Paritas</p><ul><li><a href=\"#summary\">Summary</a></li>");
    for place in places {
        page.open("li", &[("class", if place.deep { "deep" } else { "top" })]);
        page.open("a", &[("href", &format!("#{}", place.id))]);
        if let Some(verdict) = place.verdict {
            page.open("i", &[("class", &format!("dot {verdict}"))]).close("i");
        }
        page.text(&place.title).raw("</a></li>");
    }
    page.raw("</ul></nav>\n<main>\n");
}

/// The word of a verdict, with its colour and its sign.
pub(super) fn badge(page: &mut Markup, verdict: Verdict) {
    page.element("span", &format!("v {verdict}"), verdict.as_str());
}

/// The verdict, what it is about, and the run.
pub(super) fn summary(page: &mut Markup, report: &Report, next: Option<&str>) {
    let run = &report.run;
    let shown = if word(report) == "go" || word(report) == "no-go" {
        report.verdict.max(worst(report))
    } else {
        report.verdict
    };
    page.open("header", &[("id", "summary"), ("class", &format!("summary {shown}"))]);
    page.raw("<p class=kicker>Paritas <span>")
        .text(&run.command)
        .raw("</span> ")
        .text(&moment(&run.started_at))
        .raw("</p>");
    if let Some(name) = &run.drill {
        let name = if name.is_empty() { "without a name" } else { name };
        page.raw("<p class=drill><strong>DRILL</strong> ").element("span", "", name);
        page.raw(" <span class=sub>an exercise, judged like an incident</span></p>");
    }
    page.open("h1", &[]).element("span", "verdict", &word(report).to_uppercase()).raw(" ");
    page.element("span", "headline", &headline(report)).close("h1");
    facts(page, report);
    page.close("header");
    tiles(page, report);
    if let Some(found) = &report.recovery {
        achieved::write(page, found);
    }
    if report.links.len() > 1 {
        links(page, report);
    }
    if let Some(next) = next {
        page.raw("<p class=next><span class=label>Next</span> ").element("code", "", next).raw("</p>\n");
    }
}

fn worst(report: &Report) -> Verdict {
    Verdict::combine(report.links.iter().filter_map(|link| link.recovery.as_ref()).map(crate::Recovery::verdict))
}

fn headline(report: &Report) -> String {
    if report.links.iter().any(|link| link.recovery.is_some()) {
        let lines: Vec<String> = report.links.iter().map(crate::human::recovery::line).collect();
        return lines.join("; ");
    }
    if report.run.command == crate::summary::PROBE {
        let lines: Vec<String> = report.links.iter().map(crate::human::probe::line).collect();
        return lines.join("; ");
    }
    report_line(report)
}

fn facts(page: &mut Markup, report: &Report) {
    let run = &report.run;
    let mut facts = vec![("run", run.id.clone()), ("exit code", report.exit_code.to_string())];
    if let Some(seconds) = elapsed_seconds(report) {
        facts.push(("took", crate::human::recovery::seconds(seconds)));
    }
    facts.push(("ended", moment(&run.ended_at)));
    facts.push((
        "configuration",
        run.config.clone().unwrap_or_else(|| "none (stores named on the command line)".to_owned()),
    ));
    facts.extend(run.resumed_from.clone().map(|id| ("went on with", id)));
    facts.push(("version", run.version.clone()));
    page.raw("<dl class=facts>");
    for (name, fact) in facts {
        page.raw("<div>").element("dt", "", name).element("dd", "", &fact).raw("</div>");
    }
    page.raw("</dl>");
}

/// A few figures over all links.
fn tiles(page: &mut Markup, report: &Report) {
    let totals = Totals::of(&report.links);
    let mut tiles: Vec<(&str, String, String, &str)> = Vec::new();
    let [pass, warn, unknown, fail] = totals.per_verdict;
    if totals.datasets > 0 {
        let parts = [(fail, "fail"), (unknown, "unknown"), (warn, "warn"), (pass, "pass")];
        let words: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{} {word}", grouped(*count)))
            .collect();
        let class = parts.iter().find(|(count, _)| *count > 0).map_or("", |(_, word)| word);
        tiles.push(("checked", counted(totals.datasets, "subject"), words.join(", "), class));
    }
    for (counts, noun) in [(&totals.row_differences, "row"), (&totals.file_differences, "file")] {
        let total = if noun == "row" { totals.rows } else { totals.files };
        if total == 0 && counts.proven() == 0 && counts.unsettled() == 0 {
            continue;
        }
        let at_least = if totals.lower_bound && noun == "row" { "at least " } else { "" };
        let words = format!(
            "{} lost, {} extra, {} changed; {} not settled",
            grouped(counts.lost),
            grouped(counts.extra),
            grouped(counts.changed),
            grouped(counts.unsettled())
        );
        let class = if counts.proven() > 0 {
            "fail"
        } else if counts.unsettled() > 0 {
            "unknown"
        } else {
            "pass"
        };
        tiles.push(("differences", format!("{at_least}{}", counted(counts.proven(), noun)), words, class));
        tiles.push(("compared", counted(total, noun), format!("{} read", format_size(totals.bytes)), ""));
    }
    if totals.groups > 0 || totals.groups_mismatched > 0 {
        let words = format!("of {} reconciled", counted(totals.groups, "group"));
        let class = if totals.groups_mismatched > 0 {
            "fail"
        } else if totals.groups_unproven > 0 {
            "unknown"
        } else {
            "pass"
        };
        tiles.push(("ledger", format!("{} mismatched", counted(totals.groups_mismatched, "group")), words, class));
    }
    let open = totals.not_checked;
    let (figure, words, class) = match open {
        0 => ("nothing".to_owned(), "all that was asked was looked at", ""),
        some => (counted(some, "thing"), "the reasons are below", "warn"),
    };
    tiles.push(("not checked", figure, words.to_owned(), class));
    page.raw("<ul class=tiles>");
    for (name, figure, words, class) in tiles {
        page.open("li", &[("class", class)]).element("span", "label", name);
        page.element("strong", "", &figure).element("span", "sub", &words).close("li");
    }
    page.raw("</ul>\n");
}

fn links(page: &mut Markup, report: &Report) {
    use Column::Text;
    page.table(
        "Links",
        &[Text("Verdict"), Text("Link"), Text("Source"), Text("Replica"), Text("Tier"), Text("What was found")],
    );
    let mut order: Vec<(usize, &LinkReport)> = report.links.iter().enumerate().collect();
    order.sort_by_key(|(_, link)| std::cmp::Reverse(link.verdict));
    for (number, link) in order {
        page.raw("<tr><td>");
        badge(page, link.verdict);
        page.raw("</td><th scope=row>")
            .open("a", &[("href", &format!("#link-{number}"))])
            .text(&link.name)
            .raw("</a></th>");
        page.cell(&link.source.name).cell(&link.replica.name);
        page.cell(tier(link)).cell(&found(report, link)).raw("</tr>");
    }
    page.end_table();
}

pub(super) fn tier(link: &LinkReport) -> &'static str {
    use paritas_model::Tier::{Cold, Hot, Warm};
    match link.tier {
        Some(Hot) => "hot",
        Some(Warm) => "warm",
        Some(Cold) => "cold",
        None => "–",
    }
}

/// One line about a link, without its name where that stands beside it.
pub(super) fn found(report: &Report, link: &LinkReport) -> String {
    let probed = link.checks.iter().any(|check| matches!(check, Check::Probe(_)));
    let line = if link.recovery.is_some() {
        crate::human::recovery::line(link)
    } else if report.run.command == LAG {
        link_lag_line(link)
    } else if probed {
        crate::human::probe::line(link)
    } else {
        link_line(link)
    };
    let name = format!("{}: ", crate::escape(&link.name));
    line.strip_prefix(&name).map_or(line.clone(), str::to_owned)
}

/// What the words mean, and what this page is.
pub(super) fn foot(page: &mut Markup, report: &Report) {
    page.raw(
        "<footer><h2>How to read this</h2><dl class=words>\
         <div><dt><span class=\"v pass\">pass</span></dt><dd>verified: everything that was asked was read to its end, and holds</dd></div>\
         <div><dt><span class=\"v warn\">warn</span></dt><dd>verified, and something deserves a look</dd></div>\
         <div><dt><span class=\"v fail\">fail</span></dt><dd>a violation is proven</dd></div>\
         <div><dt><span class=\"v unknown\">unknown</span></dt><dd>could not be verified, and nothing was proven wrong; never to be read as a pass</dd></div>\
         <div><dt>lost, extra, changed</dt><dd>a row on the source only, on the replica only, on both with other values</dd></div>\
         <div><dt>in flight, unproven</dt><dd>seen to differ, explained by replication that has not arrived, or not at positions that must agree</dd></div>\
         </dl><p>Intervals contain the true value; where no upper end is given, nothing proves one. \
         This page was made from the stored run alone and loads nothing. The whole document of the run, as JSON, is the element <code>#report</code> of this file. Made by paritas ",
    );
    page.text(env!("CARGO_PKG_VERSION")).raw(" from a run of ").text(&report.run.version);
    page.raw(".</p></footer>\n</main>\n");
}
