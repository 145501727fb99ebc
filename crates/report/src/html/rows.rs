//! Differing rows, source and replica side by side.

use super::Body;
use super::markup::{Column, Markup};
use super::value;
use crate::text::grouped;
use paritas_model::{Class, Difference, Proof, Value};

/// A list of rows. The first of them are written out; where there are more, the script turns the pages, which it makes
/// from the member of the document at `path`.
pub(super) fn write(body: &mut Body, name: &str, items: &[Difference], path: &str, more: &str) {
    if items.is_empty() && more.is_empty() {
        return;
    }
    let shown = body.allow(items.len());
    let page = &mut body.page;
    let size = super::LISTED_MAX.to_string();
    page.open("div", &[("class", "rows"), ("data-path", path), ("data-size", &size)]);
    begin(page, name);
    for item in items.iter().take(shown) {
        row(page, item);
    }
    page.end_table();
    hidden(page, items.len(), shown);
    if !more.is_empty() {
        page.element("p", "more", more);
    }
    page.raw("</div>\n");
}

/// Begins a table of rows.
pub(super) fn begin(page: &mut Markup, name: &str) {
    use Column::Text;
    page.table(name, &[Text("Class"), Text("Key"), Text("Column"), Text("Source"), Text("Replica")]);
}

/// Says what is not written out, where something is not.
pub(super) fn hidden(page: &mut Markup, all: usize, shown: usize) {
    if all > shown {
        page.raw("<p class=\"more static\">").text(&grouped(shown as u64)).raw(" of ").text(&grouped(all as u64));
        page.raw(" are listed here. With scripts, this page lists all of them; <code>paritas report --format csv</code> writes them as a table, and the document in this file holds them.</p>");
    }
}

/// The class of a row, and how sure it is.
fn class(page: &mut Markup, item: &Difference, lines: usize) {
    page.open("td", &[("class", "class"), ("rowspan", &lines.to_string())]);
    page.element("span", &format!("cl {}", item.class.as_str()), item.class.as_str());
    match item.proof {
        Proof::Proven => {}
        Proof::InFlight => drop(page.raw("<div class=sub>in flight</div>")),
        Proof::Unproven => drop(page.raw("<div class=sub>unproven</div>")),
    }
    page.close("td");
}

/// One differing row: a line for each changed column, or one line for a row that only one side has.
pub(super) fn row(page: &mut Markup, item: &Difference) {
    let columns = changed(item);
    let lines = columns.len().max(1);
    page.raw("<tr class=first>");
    class(page, item, lines);
    page.open("td", &[("class", "key"), ("rowspan", &lines.to_string())]);
    value::key(page, item);
    page.close("td");
    match (item.class, columns.as_slice()) {
        (Class::Changed, []) => {
            page.raw("<td><i class=cut>not named</i></td>");
            whole(page, &item.source, "not read");
            whole(page, &item.replica, "not read");
            page.raw("</tr>\n");
        }
        (Class::Changed, columns) => {
            for (number, name) in columns.iter().enumerate() {
                if number > 0 {
                    page.raw("<tr>");
                }
                page.open("td", &[("class", "col")]).text(name).close("td");
                value::two(page, of(&item.source, name), of(&item.replica, name));
                page.raw("</tr>\n");
            }
        }
        (side, _) => {
            page.raw("<td class=col><i class=cut>whole row</i></td>");
            let absent = if side == Class::Lost { "lost" } else { "not there" };
            whole(page, &item.source, if side == Class::Lost { "not read" } else { absent });
            whole(page, &item.replica, if side == Class::Extra { "not read" } else { absent });
            page.raw("</tr>\n");
        }
    }
}

/// The columns of a changed row that differ.
fn changed(item: &Difference) -> Vec<&str> {
    if item.class != Class::Changed {
        return Vec::new();
    }
    let named = item.columns.iter().map(String::as_str);
    let mut names: Vec<&str> = named.collect();
    if names.is_empty() {
        names = item.source.iter().chain(&item.replica).map(|(name, _)| name.as_str()).collect();
        names.dedup();
    }
    names
}

fn of<'a>(pairs: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    pairs.iter().find(|(column, _)| column == name).map(|(_, value)| value)
}

fn whole(page: &mut Markup, pairs: &[(String, Value)], absent: &'static str) {
    if pairs.is_empty() {
        page.raw("<td class=d><i class=null>").raw(absent).raw("</i></td>");
    } else {
        page.raw("<td class=\"d c\">");
        value::pairs(page, pairs);
        page.raw("</td>");
    }
}
