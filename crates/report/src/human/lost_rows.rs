//! Lost rows as text: per table how many, their amounts, and the rows.

use super::page::{Page, Paint};
use super::rows;
use crate::lost_rows::{LostAmount, LostRows, LostTable, RowChanges};
use crate::text::{counted, escape, grouped, width};
use std::io;

/// All tables of a timeline.
pub(super) fn write(page: &mut Page<'_>, lost: &LostRows) -> io::Result<()> {
    if lost.tables.is_empty() && lost.why.is_empty() {
        return page.wrapped(6, "no rows of tables were changed");
    }
    for one in &lost.tables {
        table(page, one)?;
    }
    lost.why.iter().try_for_each(|why| page.wrapped(6, &format!("! {}", escape(why))))
}

/// `3 rows inserted, 1 updated`.
fn changes(changes: &RowChanges) -> String {
    let parts = [(changes.inserted, "inserted"), (changes.updated, "updated"), (changes.deleted, "deleted")];
    let named: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .enumerate()
        .map(|(index, (count, word))| {
            let count = if index == 0 { counted(*count, "row") } else { grouped(*count) };
            format!("{count} {word}")
        })
        .collect();
    named.join(", ")
}

/// `amount +1234.50`; nothing where nothing changes.
fn amount(amount: &LostAmount) -> Option<String> {
    let name = escape(&amount.column);
    let Some(net) = &amount.net else { return Some(format!("{name} not known")) };
    let zero = net.chars().all(|digit| matches!(digit, '0' | '.' | '-'));
    let sign = if net.starts_with('-') || !net.starts_with(|first: char| first.is_ascii_digit()) { "" } else { "+" };
    let part = if amount.why.is_some() { " at least in part" } else { "" };
    (!zero || amount.why.is_some()).then(|| format!("{name} {sign}{}{part}", escape(net)))
}

fn table(page: &mut Page<'_>, table: &LostTable) -> io::Result<()> {
    let mut parts = Vec::new();
    if table.lost.total() > 0 {
        parts.push(format!("{} and not on the new primary", changes(&table.lost)));
    }
    if table.present > 0 {
        parts.push(format!("{} there by now", counted(table.present, "row")));
    }
    if table.unnamed > 0 {
        parts.push(format!("{} not named", counted(table.unnamed, "row")));
    }
    if parts.is_empty() {
        parts.push(if table.log.total() > 0 { "nothing left in the end" } else { "no rows named" }.to_owned());
    }
    let sums: Vec<String> = table.amounts.iter().filter_map(amount).collect();
    let sums =
        if sums.is_empty() || table.lost.total() == 0 { String::new() } else { format!("; {}", sums.join(", ")) };
    page.labelled(6, Paint::Strong, &format!("{}:", escape(&table.dataset)), &format!("{}{sums}", parts.join(", ")))?;
    if table.conflicting > 0 {
        let text = format!("{} of them changed, given away or removed there since", grouped(table.conflicting));
        page.wrapped(8, &text)?;
    }
    for note in &table.notes {
        page.wrapped(8, &escape(note))?;
    }
    for why in &table.why {
        page.wrapped(8, &format!("! {}", escape(why)))?;
    }
    let shown = table.items.len().min(page.max_items());
    let items = || table.items.iter().take(shown).map(|item| &item.row);
    let widest = items().map(|item| width(&rows::key(item))).max().unwrap_or(0).min(page.width() * 2 / 5);
    for item in items() {
        rows::row(page, item, widest)?;
    }
    let total = table.lost.total();
    let hidden = total.saturating_sub(shown as u64);
    if hidden > 0 {
        let text =
            format!("… {} more; see them with --max-differences {total}, as text or with --json", grouped(hidden));
        page.line(8, &page.paint(Paint::Dim, &text))?;
    }
    Ok(())
}
