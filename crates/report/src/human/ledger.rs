//! A reconciliation of figures: groups that break the rule, with the figures of both sides.

use super::dataset::problem;
use super::page::{Page, Paint};
use super::rows;
use crate::text::{counted, escape, fit, grouped, pad, value, width};
use crate::{LedgerCheck, LedgerFigures, LedgerItem, LedgerSide};
use paritas_model::Proof;
use std::io;

/// Columns of the page for a figure, at least.
const FIGURE_WIDTH_MIN: usize = 16;
/// Columns that a name with its values may take, at most, of a hundred.
const GROUP_PERCENT_MAX: usize = 45;

/// Everything that is wrong or unknown.
pub(super) fn write(page: &mut Page<'_>, check: &LedgerCheck) -> io::Result<()> {
    let replica = check.replica_dataset.as_ref().map(|name| format!(" (on the replica {name})")).unwrap_or_default();
    let by = if check.group_by.is_empty() { String::new() } else { format!(" by {}", check.group_by.join(", ")) };
    if !check.dataset.is_empty() {
        page.wrapped(2, &format!("ledger of {}{replica}{by}", check.dataset))?;
    }
    let broken = check.mismatched.saturating_add(check.unproven);
    if broken > 0 {
        let verb = if check.mismatched == 1 { "breaks" } else { "break" };
        let of = check.groups.map(|groups| format!(" of {}", grouped(groups))).unwrap_or_default();
        let unproven = match check.unproven {
            0 => String::new(),
            count => format!(", {} without proof", grouped(count)),
        };
        page.wrapped(2, &format!("{}{of} {verb} the rule{unproven}", counted(check.mismatched, "group")))?;
    }
    let shown: Vec<&LedgerItem> = check.items.iter().take(page.max_items()).collect();
    let room = page.width() * GROUP_PERCENT_MAX / 100;
    let names = shown.iter().map(|item| width(&group(item))).max().unwrap_or(0).min(room);
    for one in &shown {
        item(page, one, names)?;
    }
    let hidden = broken.saturating_sub(shown.len() as u64);
    if hidden > 0 {
        let text = format!("… {} more; see them with --max-differences {broken} or --json", grouped(hidden));
        page.line(4, &page.paint(Paint::Dim, &text))?;
    }
    if !check.rows.is_empty() {
        page.line(2, &format!("{} proven to differ:", counted(check.rows.len() as u64, "row")))?;
        let key_width = check.rows.iter().take(page.max_items()).map(|row| width(&rows::key(row))).max().unwrap_or(0);
        for row in check.rows.iter().take(page.max_items()) {
            rows::row(page, row, key_width.min(room))?;
        }
    }
    totals(page, check)?;
    super::dataset::against(page, check.against.as_ref())?;
    notes(page, check)?;
    problem(page, check.problem.as_ref())
}

/// What there is to know about the result.
pub(super) fn notes(page: &mut Page<'_>, check: &LedgerCheck) -> io::Result<()> {
    for note in &check.notes {
        page.wrapped(4, &format!("note: {note}"))?;
    }
    if !page.verbose() {
        return Ok(());
    }
    for (name, side) in [("source", &check.source), ("replica", &check.replica)] {
        match (side.method.as_deref(), &side.why) {
            (Some("store"), _) => page.wrapped(4, &format!("{name}: figures made by the store"))?,
            (Some(_), Some(why)) => page.wrapped(4, &format!("{name}: rows were read and added up: {why}"))?,
            _ => {}
        }
    }
    if let Some(fence) = &check.fence {
        page.wrapped(4, &format!("fence {fence}"))?;
    }
    Ok(())
}

fn group(item: &LedgerItem) -> String {
    if item.group.is_empty() {
        return "everything".to_owned();
    }
    item.group.iter().map(|(name, shown)| format!("{}={}", escape(name), value(shown))).collect::<Vec<_>>().join(" ")
}

fn item(page: &mut Page<'_>, item: &LedgerItem, names: usize) -> io::Result<()> {
    let (sigil, paint) = match (&item.source, &item.replica) {
        (None, None) => ("~", Paint::Warn),
        (Some(_), None) => ("-", Paint::Source),
        (None, Some(_)) => ("+", Paint::Replica),
        _ => ("~", Paint::Warn),
    };
    let mut lines: Vec<String> = item.deviations.iter().map(|deviation| line(page, item, deviation, names)).collect();
    if item.proof != Proof::Proven {
        lines.push(page.paint(Paint::Dim, "(unproven)"));
    }
    let name = pad(&fit(&group(item), names), names);
    let mut lines = lines.iter();
    let first = lines.next().map_or("", String::as_str);
    page.line(4, &format!("{} {name}  {first}", page.paint(paint, sigil)))?;
    lines.try_for_each(|line| page.line(8 + names, line))
}

/// `sum of amount: 10.00 → 10.01 (+0.01)`.
fn line(page: &Page<'_>, item: &LedgerItem, deviation: &str, names: usize) -> String {
    let each = (page.width().saturating_sub(names + width(deviation) + 30) / 2).max(FIGURE_WIDTH_MIN);
    let shown = |side: &Option<LedgerFigures>| {
        let figure = side.as_ref().and_then(|figures| figure(figures, deviation));
        fit(&figure.unwrap_or_else(|| "none".to_owned()), each)
    };
    let (source, replica) = (shown(&item.source), shown(&item.replica));
    let name = escape(deviation);
    if deviation == "its rows differ" {
        return name;
    }
    if let Some((side, _)) = deviation.split_once(": ") {
        let own = if side == "source" { source } else { replica };
        return format!("{name}: {own}");
    }
    let more = deviation.strip_prefix("sum of ").and_then(|column| {
        let (_, more) = item.difference.iter().find(|(name, _)| name == column)?;
        let text = value(more).trim_matches('"').to_owned();
        let sign = if text.starts_with(|first: char| first.is_ascii_digit()) { "+" } else { "" };
        Some(format!(" ({sign}{})", fit(&text, each)))
    });
    let (source, replica) = (page.paint(Paint::Source, &source), page.paint(Paint::Replica, &replica));
    let name = if deviation == "missing" { "rows" } else { &name };
    format!("{name}: {source} → {replica}{}", more.unwrap_or_default())
}

/// The figure that a deviation is about.
fn figure(figures: &LedgerFigures, deviation: &str) -> Option<String> {
    if deviation == "missing" || deviation == "rows" {
        return Some(counted(figures.rows, "row"));
    }
    let deviation = deviation.split_once(": ").map_or(deviation, |(_, own)| own.trim_end_matches(" is not zero"));
    let (what, name) = deviation.split_once(" of ")?;
    let column = figures.columns.iter().find(|column| column.column == name)?;
    match what {
        "sum" => Some(column.sum.clone()),
        "min" => column.min.clone(),
        "max" => column.max.clone(),
        "nulls" => Some(grouped(column.nulls)),
        _ => Some(format!("{} NaN, {} infinite", grouped(column.nan), grouped(column.infinite))),
    }
}

/// Both sides as a whole, where they differ or nothing else is known.
fn totals(page: &mut Page<'_>, check: &LedgerCheck) -> io::Result<()> {
    let text = |side: &LedgerSide| {
        let Some(total) = &side.total else { return "not read to its end".to_owned() };
        let sums = total.columns.iter().map(|column| format!("{} {}", column.column, column.sum));
        [counted(side.groups.unwrap_or(0), "group"), counted(total.rows, "row")]
            .into_iter()
            .chain(sums)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let unread = check.source.total.is_none() && check.replica.total.is_none();
    if unread || (check.source == check.replica && !page.verbose()) {
        return Ok(());
    }
    page.wrapped(2, &format!("source:  {}", text(&check.source)))?;
    page.wrapped(2, &format!("replica: {}", text(&check.replica)))
}
