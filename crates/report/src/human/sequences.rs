//! Sequences that would hand out a number twice.

use super::dataset::problem;
use super::page::{Page, Paint};
use crate::SequencesCheck;
use crate::text::{counted, escape};
use std::io;

/// Everything that is wrong or unknown.
pub(super) fn write(page: &mut Page<'_>, check: &SequencesCheck) -> io::Result<()> {
    let against = check.snapshot.as_ref().map(|id| format!(", and against snapshot {id}")).unwrap_or_default();
    page.wrapped(2, &format!("{} against the columns that use them{against}", counted(check.sequences, "sequence")))?;
    let shown = check.items.len().min(page.max_items());
    for item in check.items.iter().take(shown) {
        let column = item.column.as_ref().map(|column| format!(" ({})", escape(column))).unwrap_or_default();
        let number = |name: &str, number: &Option<String>| number.as_ref().map(|n| format!("{name} {}", escape(n)));
        let numbers =
            [number("next", &item.next), number("in use", &item.used), number("at the snapshot", &item.snapshot)];
        let numbers: Vec<String> = numbers.into_iter().flatten().collect();
        let numbers = if numbers.is_empty() { String::new() } else { format!(" ({})", numbers.join(", ")) };
        let text = format!("{}{column}: {}{numbers}", escape(&item.sequence), escape(&item.why));
        page.labelled(4, Paint::of(item.verdict), item.verdict.as_str(), &text)?;
        if let Some(repair) = &item.repair {
            page.labelled(6, Paint::Strong, "repair:", &escape(repair))?;
        }
    }
    page.more(4, check.items.len() - shown, "sequence")?;
    problem(page, check.problem.as_ref())
}
