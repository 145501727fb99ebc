//! How far replicas are behind: every stream with its interval against the objective; what is not replicated.

use super::interval::{self, Interval};
use super::markup::{Column, Markup};
use super::shell::{badge, moment};
use crate::lag::state_text;
use crate::text::grouped;
use crate::{CoverageCheck, LagCheck, LagStream};
use paritas_model::{LagState, format_size};

/// All streams of a link.
pub(super) fn write(page: &mut Markup, check: &LagCheck) {
    use Column::{Number, Text};
    if check.streams.is_empty() {
        page.raw("<p>No stream was seen.</p>");
        super::curve::write(page, check);
        notes(page, &check.notes);
        return;
    }
    let columns = [
        Text("State"),
        Text("Stream"),
        Text("Behind"),
        Number("Bytes"),
        Number("Records"),
        Text("Source"),
        Text("Replica"),
        Text("Observed"),
    ];
    page.table(&format!("Streams, {} samples", grouped(check.samples)), &columns);
    for stream in &check.streams {
        row(page, stream);
    }
    page.end_table();
    page.raw("<div class=charts>");
    for stream in &check.streams {
        chart(page, check, stream);
    }
    page.raw("</div>\n");
    super::curve::write(page, check);
    notes(page, &check.notes);
}

fn row(page: &mut Markup, stream: &LagStream) {
    let state = match stream.state {
        LagState::CaughtUp => "pass",
        LagState::Behind => "",
        LagState::Stalled | LagState::Unknown => "unknown",
        LagState::Broken => "fail",
    };
    page.raw("<tr><td>").element("span", &format!("state {state}"), state_text(stream.state));
    page.raw("</td>").open("th", &[("scope", "row")]).element("code", "", &stream.stream);
    for line in [&stream.reason, &stream.hint].into_iter().flatten() {
        page.element("div", "sub", line);
    }
    page.close("th");
    let unknown = |page: &mut Markup, class: &str, name: &str| {
        let why = stream.why.get(name).map_or("not known", String::as_str);
        page.open("td", &[("class", class), ("title", why)]).raw("<i class=null>unknown</i></td>");
    };
    match stream.seconds_text() {
        Some(text) => drop(page.cell(&text)),
        None => unknown(page, "", "seconds"),
    }
    match stream.bytes {
        Some(bytes) => drop(page.number(&format_size(bytes))),
        None => unknown(page, "n", "bytes"),
    }
    match stream.records {
        Some(records) => drop(page.number(&grouped(records))),
        None => unknown(page, "n", "records"),
    }
    for position in [&stream.source_position, &stream.replica_position] {
        page.open("td", &[("class", "d")]).text(position.as_deref().unwrap_or("–")).close("td");
    }
    page.cell(&stream.observed_at.as_deref().map_or_else(|| "–".to_owned(), moment)).raw("</tr>");
}

fn chart(page: &mut Markup, check: &LagCheck, stream: &LagStream) {
    let objective = check.objective;
    let drawn = Interval {
        low: stream.seconds.map(|seconds| seconds.low),
        high: stream.seconds.and_then(|seconds| seconds.high),
        objective: objective.map(|levels| levels.critical),
        warning: objective.and_then(|levels| levels.warning),
    };
    let class = match (drawn.low, drawn.high, drawn.objective) {
        (Some(low), _, Some(limit)) if low > limit => "fail",
        (_, Some(high), Some(limit)) if high <= limit => "pass",
        (_, _, None) => "",
        _ => "unknown",
    };
    page.raw("<div class=chart>").element("code", "", &stream.stream).raw(" ");
    page.element("span", "sub", &stream.seconds_text().unwrap_or_else(|| "not known".to_owned()));
    interval::draw(page, &format!("lag of {}", stream.stream), class, drawn);
    page.raw("</div>");
}

/// What is not replicated whole.
pub(super) fn coverage(page: &mut Markup, check: &CoverageCheck) {
    use Column::Text;
    if check.items.is_empty() {
        if check.problem.is_none() {
            page.raw("<p>").text(&grouped(check.datasets)).raw(" datasets, each replicated whole.</p>");
        }
        return;
    }
    page.table(
        "Not replicated whole",
        &[Text("Verdict"), Text("What"), Text("Kind"), Text("Why"), Text("What follows")],
    );
    for item in &check.items {
        page.raw("<tr><td>");
        badge(page, item.verdict);
        page.raw("</td>").name(&item.what).cell(&item.kind.replace('_', " ")).cell(&item.why).cell(&item.consequence);
        page.raw("</tr>");
    }
    page.end_table();
}

/// What there is to know about a result.
pub(super) fn notes(page: &mut Markup, notes: &[String]) {
    for note in notes {
        page.element("p", "sub", note);
    }
}
