//! The table of differing files. Its sigils are rclone's, from the point of view of a listing:
//! `-` missing on the source, `+` missing on the replica, `*` differs, `!` could not be verified.

use super::dataset::problem;
use super::page::{Page, Paint};
use crate::summary::differ;
use crate::text::{counted, escape, fit, grouped, pad, width};
use crate::{FileDifference, FileFacts, FilesCheck};
use paritas_model::format_size;
use std::io;

/// Hexadecimal digits of a checksum that are shown.
const CHECKSUM_DIGITS: usize = 12;

/// Counts, then files, then how many more there are.
pub(super) fn write(page: &mut Page<'_>, check: &FilesCheck) -> io::Result<()> {
    let counts = &check.differences;
    let proven = counts.proven();
    let unsettled = counts.unsettled();
    if proven > 0 {
        let parts = [
            (counts.lost, "missing on the replica (+)"),
            (counts.extra, "missing on the source (-)"),
            (counts.changed, "with other content (*)"),
        ];
        let named: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{} {name}", grouped(*count)))
            .collect();
        page.wrapped(2, &format!("{}: {}", differ(proven, "file"), named.join(", ")))?;
    }
    if unsettled > 0 {
        let how = if check.against.is_some() {
            "may have been written since the snapshot"
        } else {
            "could not be verified (!)"
        };
        page.wrapped(2, &format!("{} {how}", counted(unsettled, "file")))?;
    }
    let shown = check.items.len().min(page.max_items());
    let paths = check.items.iter().take(shown).map(|item| width(&escape(&item.path))).max().unwrap_or(0);
    let path_width = paths.min(page.width() / 2);
    for item in check.items.iter().take(shown) {
        file(page, item, path_width)?;
    }
    let total = proven.saturating_add(unsettled);
    let hidden = total.saturating_sub(shown as u64);
    if hidden > 0 {
        let text =
            format!("… {} more; see them with --max-differences {total}, as text or with --json", grouped(hidden));
        page.line(4, &page.paint(Paint::Dim, &text))?;
    }
    super::dataset::against(page, check.against.as_ref())?;
    problem(page, check.problem.as_ref())
}

fn file(page: &mut Page<'_>, item: &FileDifference, path_width: usize) -> io::Result<()> {
    let size = |facts: &Option<FileFacts>| facts.as_ref().map(|facts| format_size(facts.size_bytes));
    let with =
        |text: &str, size: Option<String>| size.map_or_else(|| text.to_owned(), |size| format!("{text} ({size})"));
    let (sigil, paint, mut text) = match item.class.as_str() {
        "lost" => ("+", Paint::Source, with("missing on the replica", size(&item.source))),
        "extra" => ("-", Paint::Replica, with("missing on the source", size(&item.replica))),
        "changed" => ("*", Paint::Warn, change(item)),
        _ => ("!", Paint::Unknown, "could not be verified".to_owned()),
    };
    if let Some(why) = &item.why {
        text = format!("{text}: {}", escape(why));
    }
    let path = escape(&item.path);
    // A path is what the reader copies, so it is never cut; a long one gets a line of its own.
    let room = page.width().saturating_sub(8 + path_width);
    if width(&path) > path_width || room < RESULT_WIDTH_MIN {
        page.line(4, &format!("{} {path}", page.paint(paint, sigil)))?;
        return page.line(8, &fit(&text, page.width().saturating_sub(8)));
    }
    page.line(4, &format!("{} {}  {}", page.paint(paint, sigil), pad(&path, path_width), fit(&text, room)))
}

/// With fewer columns beside a path, its result gets a line of its own.
const RESULT_WIDTH_MIN: usize = 24;

/// `1.20MiB 3fe0… → 1.10MiB 8ab2…`
fn change(item: &FileDifference) -> String {
    let side = |facts: &Option<FileFacts>| {
        let Some(facts) = facts else { return "unknown".to_owned() };
        let checksum = facts
            .blake3
            .as_deref()
            .map_or_else(|| "unread".to_owned(), |hex| hex.chars().take(CHECKSUM_DIGITS).collect());
        format!("{} {}", format_size(facts.size_bytes), escape(&checksum))
    };
    format!("{} → {}", side(&item.source), side(&item.replica))
}
