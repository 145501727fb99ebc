//! Sequences that would hand out a number twice, or of which that is not known.

use super::Body;
use super::markup::Column;
use super::rows::hidden;
use super::shell::badge;
use crate::SequencesCheck;
use crate::human::recovery::seconds;
use crate::text::{counted, grouped};
use paritas_model::Verdict;

/// One check of all sequences of a replica.
pub(super) fn write(body: &mut Body, check: &SequencesCheck) {
    use Column::{Number, Text};
    let against = match &check.snapshot {
        Some(id) => format!("and against snapshot {id}"),
        None => "no snapshot to hold them against".to_owned(),
    };
    let found = match (check.items.len() as u64, check.verdict) {
        (0, Verdict::Pass) => "each is ahead of all numbers in use".to_owned(),
        (0, _) => "none is named".to_owned(),
        (count, _) if check.items_truncated => format!("at least {} with something to say about", grouped(count)),
        (count, _) => format!("{} with something to say about", grouped(count)),
    };
    let text = format!(
        "{} against the columns that take their numbers, {against}: {found}; {}",
        counted(check.sequences, "sequence"),
        seconds(check.seconds)
    );
    body.page.element("p", "", &text);
    if check.items.is_empty() {
        return;
    }
    let shown = body.allow(check.items.len());
    let page = &mut body.page;
    let columns = [
        Text("Verdict"),
        Text("Sequence"),
        Number("Next"),
        Number("In use"),
        Number("At the snapshot"),
        Text("Why"),
        Text("Repair"),
    ];
    page.table("Sequences that are behind, or may be", &columns);
    for item in check.items.iter().take(shown) {
        page.raw("<tr><td>");
        badge(page, item.verdict);
        page.raw("</td>").open("th", &[("scope", "row")]).element("code", "", &item.sequence);
        if let Some(column) = &item.column {
            page.element("div", "sub", &format!("for {column}"));
        }
        page.close("th");
        for (number, absent) in [(&item.next, "unknown"), (&item.used, "none read"), (&item.snapshot, "–")] {
            match number {
                Some(number) => page.number(number),
                None => page.raw("<td class=n><i class=null>").raw(absent).raw("</i></td>"),
            };
        }
        page.cell(&item.why).raw("<td>");
        match &item.repair {
            Some(repair) => page.element("code", "", repair),
            None => page.raw("–"),
        };
        page.raw("</td></tr>\n");
    }
    page.end_table();
    hidden(page, check.items.len(), shown);
    if check.items_truncated {
        page.raw("<p class=more>The run kept no more of them; <code>--max-differences</code> keeps more.</p>");
    }
}
