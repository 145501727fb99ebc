//! Groups that break their rule, with the figures of both sides.

use super::markup::{Column, Markup};
use super::rows::hidden;
use super::{Body, value};
use crate::human::recovery::seconds;
use crate::text::{counted, grouped};
use crate::{LedgerCheck, LedgerFigures, LedgerItem};
use paritas_model::Proof;

/// One ledger.
pub(super) fn write(body: &mut Body, check: &LedgerCheck) {
    let by =
        if check.group_by.is_empty() { "as one group".to_owned() } else { format!("by {}", check.group_by.join(", ")) };
    let groups = check.groups.map_or_else(|| "groups: unknown".to_owned(), |groups| counted(groups, "group"));
    let complete = if check.complete { "" } else { "; not read to its end" };
    let replica = check.replica_dataset.as_ref().map(|name| format!(" (on the replica {name})")).unwrap_or_default();
    let text = format!(
        "{}: {}{replica} {by}; {groups}, {} mismatched, {} unproven{complete}; {}",
        check.name,
        check.dataset,
        grouped(check.mismatched),
        grouped(check.unproven),
        seconds(check.seconds)
    );
    body.page.element("p", "", &text);
    if let Some(against) = &check.against {
        let text = format!("Against {}", super::snapshot::against(against, "group"));
        body.page.element("p", "sub", &text);
    }
    totals(&mut body.page, check);
    for (column, difference) in &check.difference {
        body.page.element("p", "", &format!("Replica minus source, as a whole: {column} {difference}"));
    }
    if !check.items.is_empty() {
        items(body, check);
    }
    for note in &check.notes {
        body.page.element("p", "sub", note);
    }
}

/// Figures of everything, both sides.
fn totals(page: &mut Markup, check: &LedgerCheck) {
    use Column::{Number, Text};
    let (source, replica) = (&check.source, &check.replica);
    if source.total.is_none() && replica.total.is_none() {
        return;
    }
    page.table(&format!("Totals of {}", check.name), &[Text("Figure"), Number("Source"), Number("Replica")]);
    let lines = lines(source.total.as_ref(), replica.total.as_ref());
    for line in lines {
        figures(page, &line);
    }
    page.raw("<tr><th scope=row>made by</th>");
    for side in [source, replica] {
        let words = match side.method.as_deref() {
            Some("store") => "the store",
            Some(_) => "reading the rows",
            None => "–",
        };
        page.open("td", &[("class", "n sub"), ("title", side.why.as_deref().unwrap_or_default())])
            .text(words)
            .close("td");
    }
    page.raw("</tr>").end_table();
}

/// One figure of both sides.
#[derive(Debug)]
struct Line {
    name: String,
    source: Option<String>,
    replica: Option<String>,
}

/// All figures of two sides, in the order of the columns.
fn lines(source: Option<&LedgerFigures>, replica: Option<&LedgerFigures>) -> Vec<Line> {
    let rows = |side: Option<&LedgerFigures>| side.map(|figures| grouped(figures.rows));
    let mut lines = vec![Line { name: "rows".to_owned(), source: rows(source), replica: rows(replica) }];
    let columns = source.or(replica).map(|figures| figures.columns.as_slice()).unwrap_or_default();
    for (place, column) in columns.iter().enumerate() {
        let side = |figures: Option<&LedgerFigures>, pick: &dyn Fn(&crate::LedgerColumn) -> Option<String>| {
            figures.and_then(|figures| figures.columns.get(place)).and_then(pick)
        };
        let mut add = |what: &str, always: bool, pick: &dyn Fn(&crate::LedgerColumn) -> Option<String>| {
            let (source, replica) = (side(source, pick), side(replica, pick));
            if always || source.is_some() || replica.is_some() {
                lines.push(Line { name: format!("{what} {}", column.column), source, replica });
            }
        };
        let some = |count: u64| (count > 0).then(|| grouped(count));
        add("sum of", true, &|column| Some(column.sum.clone()));
        add("min of", false, &|column| column.min.clone());
        add("max of", false, &|column| column.max.clone());
        add("NULLs of", false, &|column| some(column.nulls));
        add("NaN of", false, &|column| some(column.nan));
        add("infinities of", false, &|column| some(column.infinite));
    }
    lines
}

fn figures(page: &mut Markup, line: &Line) {
    page.open("tr", &[]).open("th", &[("scope", "row")]).text(&line.name).close("th");
    cells(page, line);
    page.raw("</tr>");
}

fn cells(page: &mut Markup, line: &Line) {
    let differs = line.source != line.replica;
    for side in [&line.source, &line.replica] {
        page.raw(if differs { "<td class=\"n d c\">" } else { "<td class=\"n d\">" });
        match side {
            Some(figure) if differs => page.raw("<mark>").text(figure).raw("</mark>"),
            Some(figure) => page.text(figure),
            None => page.raw("<i class=null>none</i>"),
        };
        page.raw("</td>");
    }
}

fn items(body: &mut Body, check: &LedgerCheck) {
    use Column::{Number, Text};
    let shown = body.allow(check.items.len());
    let page = &mut body.page;
    let columns = [Text("Group"), Text("Breaks the rule in"), Text("Figure"), Number("Source"), Number("Replica")];
    page.table(&format!("Groups of {} that break the rule", check.name), &columns);
    for item in check.items.iter().take(shown) {
        self::item(page, item);
    }
    page.end_table();
    hidden(page, check.items.len(), shown);
    if check.items_truncated {
        page.raw("<p class=more>The run kept no more groups; <code>--max-differences</code> keeps more.</p>");
    }
}

fn item(page: &mut Markup, item: &LedgerItem) {
    let all = lines(item.source.as_ref(), item.replica.as_ref());
    let differing = |line: &Line| line.source != line.replica;
    // A group that breaks the rule on both sides in the same way has no figure that differs.
    let lines: Vec<&Line> = match all.iter().filter(|line| differing(line)).collect::<Vec<_>>() {
        none if none.is_empty() => all.iter().collect(),
        some => some,
    };
    let span = lines.len().max(1).to_string();
    page.raw("<tr class=first>").open("td", &[("class", "key"), ("rowspan", &span)]);
    if item.group.is_empty() {
        page.raw("everything");
    } else {
        value::pairs(page, &item.group);
    }
    match item.proof {
        Proof::Proven => {}
        Proof::InFlight => drop(page.raw("<div class=sub>in flight</div>")),
        Proof::Unproven => drop(page.raw("<div class=sub>unproven</div>")),
    }
    page.close("td").open("td", &[("rowspan", &span)]).text(&item.deviations.join(", "));
    for (column, difference) in &item.difference {
        let text = format!("replica has {difference} more in {column}");
        page.element("div", "sub", &text);
    }
    page.close("td");
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            page.raw("<tr>");
        }
        page.open("td", &[("class", "col")]).text(&line.name).close("td");
        cells(page, line);
        page.raw("</tr>\n");
    }
}
