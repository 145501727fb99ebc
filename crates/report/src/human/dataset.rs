//! One dataset: its schema, its rows or files, its failures.

use super::page::{Page, Paint};
use super::{files, lag, ledger, logs, rows, sequences, vitals};
use crate::summary::DatasetView;
use crate::text::{counted, escape, fit, grouped, pad};
use crate::{Check, ParityCheck, Problem, SchemaCheck};
use paritas_model::{Verdict, format_duration, format_size};
use std::io;
use std::time::Duration;

/// Everything that is wrong or unknown about a dataset.
pub(super) fn write(page: &mut Page<'_>, view: &DatasetView<'_>) -> io::Result<()> {
    let name = page.paint(Paint::Strong, &escape(view.name));
    page.line(0, &format!("{name} {}", page.paint(Paint::of(view.verdict), view.verdict.as_str())))?;
    for check in &view.checks {
        match check {
            Check::Schema(check) => schema(page, check)?,
            Check::Parity(check) => parity(page, check)?,
            Check::Files(check) => files::write(page, check)?,
            Check::Lag(check) => lag::lag(page, check)?,
            Check::Coverage(check) => lag::coverage(page, check)?,
            Check::Lineage(check) => page.wrapped(2, &check.summary)?,
            Check::Probe(check) => page.wrapped(2, &check.summary)?,
            Check::Groups(check) => logs::groups(page, check)?,
            Check::Health(check) => logs::health(page, check)?,
            Check::Offsets(check) => logs::offsets(page, check)?,
            Check::Continuity(check) => logs::continuity(page, check)?,
            Check::Snapshot(check) => logs::snapshot(page, check)?,
            Check::Ledger(check) => ledger::write(page, check)?,
            Check::Sequences(check) => sequences::write(page, check)?,
            Check::Clock(check) => vitals::clock(page, check)?,
            Check::Freshness(check) => vitals::freshness(page, check)?,
        }
    }
    Ok(())
}

/// One line about a dataset that passes.
pub(super) fn passing(page: &mut Page<'_>, view: &DatasetView<'_>, name_width: usize) -> io::Result<()> {
    let mut facts = Vec::new();
    for check in &view.checks {
        match check {
            Check::Schema(_) | Check::Lineage(_) | Check::Probe(_) => {}
            Check::Lag(_) | Check::Coverage(_) | Check::Groups(_) | Check::Health(_) => {
                facts.push("as it should be".to_owned());
            }
            Check::Offsets(check) => {
                facts.push(counted(check.groups.len() as u64, "group"));
                facts.push("each may go on".to_owned());
            }
            Check::Snapshot(check) => {
                facts.extend(check.snapshot.iter().map(|id| escape(id)));
                let least = check.kept.iter().flat_map(|kept| &kept.datasets).map(|dataset| dataset.capacity).min();
                facts.extend(least.map(|rows| format!("names up to {} differing rows per dataset", grouped(rows))));
            }
            Check::Ledger(check) => {
                facts.push(counted(check.groups.unwrap_or(0), "group"));
                facts.push(counted(check.rows(), "row"));
                facts.push(seconds(check.seconds));
            }
            Check::Sequences(check) => facts.push(counted(check.sequences, "sequence")),
            Check::Clock(check) => facts.extend(check.judged().into_iter().map(|one| escape(&one.text))),
            Check::Freshness(check) => facts.extend(check.judged().into_iter().map(|one| escape(&one.text))),
            Check::Continuity(check) => facts.push(format!("{} unbroken", counted(check.sequences, "sequence"))),
            Check::Parity(check) => {
                facts.push(match &check.pages {
                    Some(pages) => counted(pages.compared, "page"),
                    None if check.log.is_some() => counted(check.rows.source.unwrap_or(0), "record"),
                    None => counted(check.rows.source.unwrap_or(0), "row"),
                });
                facts.push(format_size(check.bytes_read.source.saturating_add(check.bytes_read.replica)));
                facts.push(seconds(check.seconds));
            }
            Check::Files(check) => {
                facts.push(counted(check.files.source, "file"));
                facts.push(format_size(check.bytes_read.source.saturating_add(check.bytes_read.replica)));
                facts.push(seconds(check.seconds));
            }
        }
    }
    if facts.is_empty() {
        facts.push("schema equal".to_owned());
    }
    let name = pad(&fit(&escape(view.name), name_width), name_width);
    page.line(2, &format!("{} {name}  {}", page.paint(Paint::Pass, "="), facts.join("  ")))?;
    for check in &view.checks {
        match check {
            Check::Parity(check) => notes(page, check)?,
            Check::Ledger(check) => ledger::notes(page, check)?,
            _ => {}
        }
    }
    Ok(())
}

fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), format_duration)
}

fn schema(page: &mut Page<'_>, check: &SchemaCheck) -> io::Result<()> {
    if check.verdict == Verdict::Pass {
        return Ok(());
    }
    if !check.differences.is_empty() {
        let blocking = check.differences.iter().filter(|difference| !difference.comparable).count();
        let effect = match blocking {
            0 => String::new(),
            _ => " (rows cannot be compared because of those marked with !)".to_owned(),
        };
        page.line(2, &format!("schema: {}{effect}", counted(check.differences.len() as u64, "difference")))?;
    }
    for difference in &check.differences {
        let sigil = match (&difference.source, &difference.replica, difference.comparable) {
            (_, _, false) => page.paint(Paint::Fail, "!"),
            (Some(_), None, _) => page.paint(Paint::Source, "-"),
            (None, Some(_), _) => page.paint(Paint::Replica, "+"),
            _ => page.paint(Paint::Warn, "~"),
        };
        let side = |text: &Option<String>| text.as_deref().map_or_else(|| "absent".to_owned(), escape);
        let source = page.paint(Paint::Source, &side(&difference.source));
        let replica = page.paint(Paint::Replica, &side(&difference.replica));
        page.line(4, &format!("{sigil} {}: {source} → {replica}", escape(&difference.what)))?;
    }
    problem(page, check.problem.as_ref())
}

fn parity(page: &mut Page<'_>, check: &ParityCheck) -> io::Result<()> {
    if let Some(name) = &check.replica_dataset {
        page.line(2, &format!("called {} on the replica", escape(name)))?;
    }
    match &check.log {
        Some(log) => logs::parity(page, check, log)?,
        None => rows::write(page, check)?,
    }
    let (source, replica) = (check.rows.source, check.rows.replica);
    if check.verdict != Verdict::Pass && (source != replica || source.is_none()) {
        let side = |rows: Option<u64>| rows.map_or_else(|| "unknown".to_owned(), grouped);
        let why = check.rows.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let noun = if check.log.is_some() { "records" } else { "rows" };
        page.wrapped(2, &format!("{noun}: {} on the source, {} on the replica{why}", side(source), side(replica)))?;
    }
    if !check.complete && check.problem.is_none() {
        page.wrapped(2, "incomplete: not every differing row was found, so the counts are lower bounds")?;
    }
    against(page, check.against.as_ref())?;
    notes(page, check)?;
    problem(page, check.problem.as_ref())
}

/// The snapshot that stood in for the source, and what its history says about the replica's.
pub(super) fn against(page: &mut Page<'_>, against: Option<&crate::Against>) -> io::Result<()> {
    let Some(against) = against else { return Ok(()) };
    let declared = if against.writes == "any" { String::new() } else { format!("; writes: {}", against.writes) };
    let still = if against.still && against.writes != "none" { "; nothing was written since" } else { "" };
    let unsettled = against.unsettled.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    let (id, at, why) = (&against.snapshot, crate::text::to_the_second(&against.taken_at), &against.why);
    let text = format!("against snapshot {id} of {at}: {why}{declared}{still}{unsettled}");
    page.wrapped(2, &escape(&text))
}

/// Policies, estimates; with `verbose` also positions and columns.
fn notes(page: &mut Page<'_>, check: &ParityCheck) -> io::Result<()> {
    for note in &check.notes {
        page.wrapped(4, &format!("note: {note}"))?;
    }
    if !page.verbose() {
        return Ok(());
    }
    let key = if check.key.is_empty() { "none (whole rows)".to_owned() } else { check.key.join(", ") };
    page.wrapped(4, &format!("key: {key}; columns: {}", check.columns.join(", ")))?;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    if check.positions.source.is_some() || check.positions.replica.is_some() || check.fence.is_some() {
        let fence = check.fence.as_ref().map(|fence| format!(", fence {fence}")).unwrap_or_default();
        let (source, replica) = (known(&check.positions.source), known(&check.positions.replica));
        page.wrapped(4, &format!("positions: source {source}, replica {replica}{fence}"))?;
    }
    Ok(())
}

/// Why a check could not be finished.
pub(super) fn problem(page: &mut Page<'_>, problem: Option<&Problem>) -> io::Result<()> {
    let Some(problem) = problem else { return Ok(()) };
    page.labelled(2, Paint::Unknown, "error:", &problem.message)?;
    page.advice(4, problem)
}
