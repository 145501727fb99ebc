//! Files that differ, both sides beside each other.

use super::Body;
use super::markup::{Column, Markup};
use super::rows::hidden;
use crate::human::recovery::seconds;
use crate::text::{counted, grouped};
use crate::{FileFacts, FilesCheck};
use paritas_model::format_size;

/// Hexadecimal digits of a checksum that are shown.
const DIGITS: usize = 16;

/// One set of files.
pub(super) fn write(body: &mut Body, check: &FilesCheck) {
    use Column::Text;
    let text = format!(
        "{}: {} ({}) on the source, {} ({}) on the replica; {} read in {}",
        check.dataset,
        counted(check.files.source, "file"),
        format_size(check.bytes.source),
        counted(check.files.replica, "file"),
        format_size(check.bytes.replica),
        format_size(check.bytes_read.source.saturating_add(check.bytes_read.replica)),
        seconds(check.seconds)
    );
    body.page.element("p", "", &text);
    if let Some(against) = &check.against {
        let text = format!("Against {}", super::snapshot::against(against, "file"));
        body.page.element("p", "sub", &text);
    }
    if check.items.is_empty() {
        return;
    }
    let shown = body.allow(check.items.len());
    let page = &mut body.page;
    let counts = &check.differences;
    let caption = format!(
        "{} lost, {} extra, {} changed, {} unverifiable",
        grouped(counts.lost),
        grouped(counts.extra),
        grouped(counts.changed),
        grouped(counts.unverifiable)
    );
    page.table(&caption, &[Text("Class"), Text("Path"), Text("Source"), Text("Replica"), Text("Why")]);
    for item in check.items.iter().take(shown) {
        page.raw("<tr class=first><td class=class>").element("span", &format!("cl {}", word(&item.class)), &item.class);
        page.raw("</td>").name(&item.path);
        facts(page, item.source.as_ref());
        facts(page, item.replica.as_ref());
        page.cell(item.why.as_deref().unwrap_or_default()).raw("</tr>\n");
    }
    page.end_table();
    hidden(page, check.items.len(), shown);
    if check.items_truncated {
        page.raw("<p class=more>The run kept no more of them; <code>--max-differences</code> keeps more.</p>");
    }
}

/// Only words that are known become a class.
pub(super) fn word(class: &str) -> &'static str {
    match class {
        "lost" | "missing" => "lost",
        "extra" | "foreign" | "duplicate" => "extra",
        "changed" | "altered" | "reordered" => "changed",
        _ => "other",
    }
}

fn facts(page: &mut Markup, facts: Option<&FileFacts>) {
    let Some(facts) = facts else {
        page.raw("<td class=d><i class=null>absent</i></td>");
        return;
    };
    page.raw("<td class=d>").text(&format_size(facts.size_bytes)).raw(" <span class=sub>");
    match &facts.blake3 {
        Some(digits) => page.text(&digits.chars().take(DIGITS).collect::<String>()).raw("…"),
        None => page.raw("not read"),
    };
    page.raw("</span></td>");
}
