//! What was kept of a source.

use super::markup::{Column, Markup};
use crate::text::{counted, grouped};
use crate::{Against, KeptDatasets, SnapshotCheck};
use paritas_model::format_size;

/// One snapshot.
pub(super) fn write(page: &mut Markup, check: &SnapshotCheck) {
    use Column::{Number, Text};
    if let Some(id) = &check.snapshot {
        page.raw("<p>Kept as ").element("code", "", id).raw(", ").text(&format_size(check.bytes));
        if let Some(after) = &check.after {
            page.raw(", after ").element("code", "", after);
        }
        page.raw(".</p>");
    }
    if check.logs > 0 {
        let text = format!(
            "{} in {}: {}, {} of them read now; {}",
            counted(check.logs, "log"),
            counted(check.partitions, "partition"),
            counted(check.records, "record"),
            grouped(check.records_read),
            counted(check.groups, "group")
        );
        page.element("p", "", &text);
    }
    if let Some(reading) = &check.reading {
        page.element("p", "", &reading.shown());
    }
    if let Some(kept) = &check.kept {
        if let Some(files) = kept.files {
            page.element("p", "", &counted(files, "file"));
        }
        if !kept.datasets.is_empty() {
            let view = if kept.one_view { "read in one view" } else { "each read in a view of its own" };
            let columns = [Text("Dataset"), Number("Rows"), Number("Names up to"), Number("Digest"), Text("Position")];
            page.table(&format!("Datasets, {view}"), &columns);
            for one in &kept.datasets {
                page.raw("<tr>").name(&one.dataset);
                page.number(&one.rows.map_or_else(|| "unknown".to_owned(), grouped));
                page.number(&grouped(one.capacity)).number(&format_size(one.bytes));
                let place = one.problem.as_ref().map(|problem| format!("not in it: {}", problem.message));
                page.cell(&place.or_else(|| one.position.clone()).unwrap_or_else(|| "–".to_owned())).raw("</tr>");
            }
            page.end_table();
            for (one, reading) in kept.datasets.iter().filter_map(|one| Some((one, one.reading.as_ref()?))) {
                page.element("p", "", &format!("{}: {}", one.dataset, reading.shown()));
            }
        }
        more(page, kept);
    }
    super::lag::notes(page, &check.notes);
}

/// Figures of ledgers and values of sequences.
fn more(page: &mut Markup, kept: &KeptDatasets) {
    use Column::{Number, Text};
    if !kept.ledgers.is_empty() {
        let columns = [Text("Ledger"), Text("Dataset"), Number("Groups"), Text("Kept"), Number("Bytes")];
        page.table("Ledgers", &columns);
        for one in &kept.ledgers {
            page.raw("<tr>").name(&one.name).cell(&one.dataset);
            page.number(&one.groups.map_or_else(|| "unknown".to_owned(), grouped));
            let how = match &one.problem {
                Some(problem) => format!("not in it: {}", problem.message),
                None if one.by_group => "every group, and the total".to_owned(),
                None => "the total alone".to_owned(),
            };
            page.cell(&how).number(&format_size(one.bytes)).raw("</tr>");
        }
        page.end_table();
    }
    if let Some(count) = kept.sequences {
        page.element("p", "", &format!("Values of {} are kept", counted(count, "sequence")));
    }
}

/// The snapshot that stood in for a source, and what is known about the time since; `noun` is what was written.
pub(super) fn against(against: &Against, noun: &str) -> String {
    let declared = if against.writes == "any" { String::new() } else { format!("; writes: {}", against.writes) };
    let since = match against.written_since {
        0 => String::new(),
        count => format!("; {} written since, which are no differences", counted(count, noun)),
    };
    let still = if against.still { "; nothing was written since" } else { "" };
    format!("snapshot {} of {}: {}{declared}{since}{still}", against.snapshot, against.taken_at, against.why)
}
