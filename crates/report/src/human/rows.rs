//! The table of differing rows.

use super::page::{Page, Paint};
use crate::ParityCheck;
use crate::summary::differ;
use crate::text::{counted, escape, fit, grouped, pad, pair, value, width};
use paritas_model::{Class, Difference, DifferenceCounts, Proof, Value};
use std::io;

/// Columns that one shown value may take at least, however narrow the page.
const VALUE_WIDTH_MIN: usize = 12;
/// Differing columns of one row that are shown, each on a line.
const CHANGED_COLUMNS_MAX: usize = 8;

/// Counts, then rows, then how many more there are.
pub(super) fn write(page: &mut Page<'_>, check: &ParityCheck) -> io::Result<()> {
    let counts = &check.differences;
    let total = counts.proven().saturating_add(counts.in_flight).saturating_add(counts.unproven);
    if total == 0 && counts.unverifiable == 0 && counts.quarantined == 0 {
        return Ok(());
    }
    let at_least = if check.complete { "" } else { "at least " };
    let by_class = classes(counts);
    if total > 0 {
        page.wrapped(2, &format!("{at_least}{}: {by_class}", differ(total, "row")))?;
    }
    if counts.quarantined > 0 {
        let text =
            format!("{} quarantined: a time that no clock can have shown yet", counted(counts.quarantined, "row"));
        page.wrapped(2, &text)?;
    }
    if counts.unverifiable > 0 {
        page.wrapped(2, &format!("{} could not be compared", counted(counts.unverifiable, "row")))?;
    }
    let shown: Vec<&Difference> = check.items.iter().take(page.max_items()).collect();
    let key_width = shown.iter().map(|item| width(&key(item))).max().unwrap_or(0).min(page.width() * 2 / 5);
    for item in &shown {
        row(page, item, key_width)?;
    }
    more(page, check, total, &shown)
}

/// `1 lost (-), 2 changed (~), 1 in flight`.
fn classes(counts: &DifferenceCounts) -> String {
    let parts = [
        (counts.lost, "lost (-)"),
        (counts.extra, "extra (+)"),
        (counts.changed, "changed (~)"),
        (counts.in_flight, "in flight"),
        (counts.unproven, "unproven"),
    ];
    let named: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{} {name}", grouped(*count)))
        .collect();
    named.join(", ")
}

pub(super) fn key(item: &Difference) -> String {
    item.key.iter().map(|(name, shown)| format!("{}={}", escape(name), value(shown))).collect::<Vec<_>>().join(" ")
}

pub(super) fn row(page: &mut Page<'_>, item: &Difference, key_width: usize) -> io::Result<()> {
    let (sigil, paint) = match item.class {
        Class::Lost => ("-", Paint::Source),
        Class::Extra => ("+", Paint::Replica),
        Class::Changed => ("~", Paint::Warn),
    };
    let gap = if key_width == 0 { 0 } else { 2 };
    let room = page.width().saturating_sub(6 + key_width + gap).max(VALUE_WIDTH_MIN);
    let mut lines = match item.class {
        Class::Lost => vec![page.paint(paint, &fit(&all(item, &item.source), room))],
        Class::Extra => vec![page.paint(paint, &fit(&all(item, &item.replica), room))],
        Class::Changed => changed(page, item, room),
    };
    let marks = marks(item);
    if !marks.is_empty() {
        lines.push(page.paint(Paint::Dim, &fit(&format!("({marks})"), room)));
        lines.retain(|line| !line.is_empty());
    }
    let key = pad(&fit(&key(item), key_width), key_width + gap);
    let mut lines = lines.iter();
    let first = lines.next().map_or("", String::as_str);
    page.line(4, &format!("{} {key}{first}", page.paint(paint, sigil)))?;
    lines.try_for_each(|line| page.line(6 + key_width + gap, line))
}

/// The columns of a row that exists on one side only; those of the key are shown already.
fn all(item: &Difference, side: &[(String, Value)]) -> String {
    let others = side.iter().filter(|(name, _)| !item.key.iter().any(|(key, _)| key == name));
    others.map(|(name, shown)| format!("{}={}", escape(name), value(shown))).collect::<Vec<_>>().join(" ")
}

/// One line per differing column: `amount: 10.00 → 10.01`.
fn changed(page: &Page<'_>, item: &Difference, room: usize) -> Vec<String> {
    let of = |side: &[(String, Value)], name: &str| {
        side.iter().find(|(column, _)| column == name).map(|(_, shown)| shown.clone())
    };
    let mut lines = Vec::new();
    for name in item.columns.iter().take(CHANGED_COLUMNS_MAX) {
        let label = fit(&escape(name), room / 3);
        let (Some(source), Some(replica)) = (of(&item.source, name), of(&item.replica, name)) else {
            lines.push(format!("{label}: differs"));
            continue;
        };
        let each = (room.saturating_sub(width(&label) + 5) / 2).max(VALUE_WIDTH_MIN);
        let (a, b) = pair(&source, &replica, each);
        let alike = if a == b { " (shown alike, stored differently)" } else { "" };
        lines.push(format!("{label}: {} → {}{alike}", page.paint(Paint::Source, &a), page.paint(Paint::Replica, &b)));
    }
    if item.columns.len() > CHANGED_COLUMNS_MAX {
        lines.push(page.paint(Paint::Dim, &format!("… {} more columns", item.columns.len() - CHANGED_COLUMNS_MAX)));
    }
    lines
}

/// What there is to say about a row apart from its values.
fn marks(item: &Difference) -> String {
    let mut marks = Vec::new();
    match item.proof {
        Proof::Proven => {}
        Proof::InFlight => marks.push("in flight".to_owned()),
        Proof::Unproven => marks.push("unproven".to_owned()),
    }
    if item.copies != 1 {
        marks.push(format!("{} copies", grouped(item.copies)));
    }
    marks.extend(item.place.as_deref().map(escape));
    marks.extend(item.note.as_deref().map(escape));
    marks.join("; ")
}

/// How many rows are not shown, and how to see them.
fn more(page: &mut Page<'_>, check: &ParityCheck, total: u64, shown: &[&Difference]) -> io::Result<()> {
    let seen = shown.iter().fold(0_u64, |sum, item| sum.saturating_add(item.copies));
    let hidden = total.saturating_sub(seen);
    let cut = check.items_truncated || shown.len() < check.items.len();
    if hidden == 0 && !cut {
        return Ok(());
    }
    let text = if hidden == 0 {
        "… and more".to_owned()
    } else if !check.items_truncated {
        format!("… {} more; see all of them with --max-differences {total} or --json", grouped(hidden))
    } else {
        format!("… {} more; see them with --max-differences {total}, as text or with --json", grouped(hidden))
    };
    page.line(4, &page.paint(Paint::Dim, &text))
}
