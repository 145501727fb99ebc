//! Values of rows: each cut to what a person reads, with what differs in them marked.

use super::markup::Markup;
use crate::text::{grouped, pair, value};
use paritas_model::{Difference, Value};

/// Characters of one value that are shown; all of it is in the embedded document.
pub(super) const SHOWN_MAX: usize = 160;
/// Characters in front of and behind what differs.
const CONTEXT: usize = 12;

/// A value, cut.
pub(super) fn show(page: &mut Markup, shown: &Value) {
    if *shown == Value::Null {
        page.raw("<i class=null>NULL</i>");
        return;
    }
    cut(page, &value(shown));
}

fn cut(page: &mut Markup, text: &str) {
    match text.char_indices().nth(SHOWN_MAX) {
        None => drop(page.text(text)),
        Some((at, _)) => {
            page.text(text.get(..at).unwrap_or(text)).raw("<i class=cut>… ");
            page.text(&grouped(text.chars().count() as u64)).raw(" characters</i>");
        }
    }
}

/// `id=42 venue=X`.
pub(super) fn pairs(page: &mut Markup, pairs: &[(String, Value)]) {
    for (number, (name, one)) in pairs.iter().enumerate() {
        if number > 0 {
            page.raw(" ");
        }
        page.raw("<span class=kv><span class=k>").text(name).raw("</span>=");
        show(page, one);
        page.raw("</span>");
    }
}

/// The key of a row.
pub(super) fn key(page: &mut Markup, row: &Difference) {
    if row.key.is_empty() {
        page.raw("<i class=cut>no key</i>");
    } else {
        pairs(page, &row.key);
    }
    if row.copies > 1 {
        page.raw(" <span class=tag>").text(&grouped(row.copies)).raw(" copies</span>");
    }
    if let Some(place) = &row.place {
        page.element("div", "sub", place);
    }
    if let Some(note) = &row.note {
        page.element("div", "sub", note);
    }
}

/// Two values that differ, side by side in two cells.
pub(super) fn two(page: &mut Markup, source: Option<&Value>, replica: Option<&Value>) {
    let (Some(source), Some(replica)) = (source, replica) else {
        for one in [source, replica] {
            page.raw("<td class=\"d c\">");
            match one {
                Some(one) => show(page, one),
                None => drop(page.raw("<i class=cut>not read</i>")),
            }
            page.raw("</td>");
        }
        return;
    };
    let (a, b) = pair(source, replica, usize::MAX);
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let before = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let room = a.len().min(b.len()) - before;
    let behind = a.iter().rev().zip(b.iter().rev()).take(room).take_while(|(x, y)| x == y).count();
    for (one, text) in [(source, &a), (replica, &b)] {
        page.raw("<td class=\"d c\">");
        if *one == Value::Null {
            show(page, one);
        } else {
            marked(page, text, before, behind);
        }
        page.raw("</td>");
    }
}

/// A text with its middle marked and long equal ends left out.
fn marked(page: &mut Markup, text: &[char], before: usize, behind: usize) {
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().iter().collect::<String>();
    let end = text.len() - behind;
    let skip = if text.len() > SHOWN_MAX { before.saturating_sub(CONTEXT) } else { 0 };
    if skip > 0 {
        page.raw("<i class=cut>…</i>");
    }
    page.text(&part(skip, before)).raw("<mark>");
    let middle = end.min(before + SHOWN_MAX);
    page.text(&part(before, middle)).raw("</mark>");
    let tail = if text.len() > SHOWN_MAX { (end + CONTEXT).min(text.len()) } else { text.len() };
    if middle == end {
        page.text(&part(end, tail));
    }
    if middle < end || tail < text.len() {
        page.raw("<i class=cut>… ").text(&grouped(text.len() as u64)).raw(" characters</i>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(source: &str, replica: &str) -> String {
        let mut page = Markup::default();
        two(&mut page, Some(&source.into()), Some(&replica.into()));
        page.as_str().to_owned()
    }

    #[test]
    fn what_differs_is_marked_and_nothing_else() {
        assert_eq!(
            cells("10.00", "10.01"),
            "<td class=\"d c\">10.0<mark>0</mark></td><td class=\"d c\">10.0<mark>1</mark></td>"
        );
        assert_eq!(cells("aba", "aa"), "<td class=\"d c\">a<mark>b</mark>a</td><td class=\"d c\">a<mark></mark>a</td>");
    }

    #[test]
    fn a_megabyte_is_cut_around_what_differs() {
        let long = "x".repeat(1 << 20);
        let both = cells(&format!("{long}1{long}"), &format!("{long}2{long}"));
        assert!(both.len() < 1_000 && both.contains("x<mark>1</mark>x") && both.contains("2,097,153"), "{both}");
    }
}
