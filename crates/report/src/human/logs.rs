//! Checks about logs of records for people: what a copy lacks, how far readers are, where they would go on.

use super::dataset::problem;
use super::page::{Page, Paint};
use crate::text::{counted, escape, grouped, value};
use crate::{
    ContinuityCheck, GroupLag, GroupOffsets, GroupPartition, GroupsCheck, HealthCheck, LagSeconds, LogCheck,
    LogFinding, OffsetsCheck, ParityCheck, PartitionOffsets, SnapshotCheck,
};
use paritas_model::{Verdict, format_duration};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// Groups, partitions and items that are shown one by one, unless everything is asked for.
const SHOWN_MAX: usize = 20;
/// Partitions of one group that are shown, unless everything is asked for.
const PARTITIONS_MAX: usize = 5;

/// `3 records differ: 2 missing, 1 altered`, then where.
pub(super) fn parity(page: &mut Page<'_>, check: &ParityCheck, log: &LogCheck) -> io::Result<()> {
    let at_least = if check.complete { "" } else { "at least " };
    if !log.classes.is_empty() {
        page.wrapped(2, &format!("{at_least}{}", classes(&log.classes)))?;
    }
    let shown = log.findings.len().min(page.max_items());
    for one in log.findings.iter().take(shown) {
        finding(page, one)?;
    }
    let hidden = log.findings.len() - shown;
    if hidden > 0 || log.findings_truncated {
        let more = if log.findings_truncated { "more".to_owned() } else { format!("{} more", grouped(hidden as u64)) };
        let text = format!("… {more}; see them with --max-differences, as text or with --json");
        page.line(4, &page.paint(Paint::Dim, &text))?;
    }
    for window in &log.partitions {
        if let Some(failed) = &window.problem {
            page.labelled(2, Paint::Unknown, &format!("partition {}:", window.partition), &failed.message)?;
            page.advice(4, failed)?;
        }
    }
    if page.verbose() {
        for window in &log.partitions {
            let range =
                |range: Option<(u64, u64)>| range.map_or("nothing".to_owned(), |(from, to)| format!("{from}..{to}"));
            let (source, replica) = (range(window.source), range(window.replica));
            let mirrored = window.mirrored_to.map(|to| format!(", mirrored up to {to}")).unwrap_or_default();
            let text = format!("partition {}: source {source}, replica {replica}{mirrored}", window.partition);
            page.line(4, &page.paint(Paint::Dim, &text))?;
        }
    }
    Ok(())
}

/// `2 missing, 1 altered`.
fn classes(classes: &BTreeMap<String, u64>) -> String {
    let words = |name: &str| match name {
        "not_yet_mirrored" => "not yet mirrored".to_owned(),
        "aborted" => "aborted at the source".to_owned(),
        "aborted_allowed" => "aborted at the source (allowed)".to_owned(),
        "undecided" => "of open transactions".to_owned(),
        "expired_on_replica" => "expired on the replica".to_owned(),
        "expired_on_source" => "expired on the source".to_owned(),
        "superseded" => "superseded by later ones of their key".to_owned(),
        "wrong_partition" => "in the wrong partition".to_owned(),
        other => other.replace('_', " "),
    };
    let parts: Vec<String> =
        classes.iter().map(|(name, count)| format!("{} {}", counted(*count, "record"), words(name))).collect();
    parts.join(", ")
}

fn span((first, last): (u64, u64)) -> String {
    if first == last { first.to_string() } else { format!("{first}..{last}") }
}

fn finding(page: &mut Page<'_>, one: &LogFinding) -> io::Result<()> {
    let (sigil, paint) = match one.class.as_str() {
        "missing" | "not_yet_mirrored" => ("-", Paint::Source),
        "altered" | "reordered" => ("~", Paint::Warn),
        _ => ("+", Paint::Replica),
    };
    let mut places = Vec::new();
    places.extend(one.source.map(|range| format!("source {}", span(range))));
    places.extend(one.replica.map(|range| format!("replica {}", span(range))));
    let at_least = if one.at_least { "at least " } else { "" };
    let count = if one.records == 1 { String::new() } else { format!(" {at_least}{}", counted(one.records, "record")) };
    places.extend(one.found_in.map(|partition| format!("found in partition {partition}")));
    let proof = match one.proof.as_str() {
        "proven" => String::new(),
        other => format!(" ({})", other.replace('_', " ")),
    };
    let parts = if one.parts.is_empty() { String::new() } else { format!(" in {}", one.parts.join(", ")) };
    let class = escape(&one.class.replace('_', " "));
    let text = format!("partition {} {class}{parts}{proof}:{count} {}", one.partition, places.join(", "));
    page.line(4, &format!("{} {text}", page.paint(paint, sigil)))?;
    if let Some((first, last)) = &one.times {
        let times = if first == last { first.clone() } else { format!("{first} to {last}") };
        page.line(8, &page.paint(Paint::Dim, &escape(&times)))?;
    }
    for record in &one.shown {
        let headers: Vec<String> =
            record.headers.iter().map(|(name, shown)| format!("{}={}", escape(name), value(shown))).collect();
        let headers = if headers.is_empty() { String::new() } else { format!(" headers [{}]", headers.join(", ")) };
        let text = format!("{} = {}{headers}", value(&record.key), value(&record.value));
        page.labelled(8, Paint::Dim, &format!("{} {}:", escape(&record.side), record.offset), &text)?;
    }
    match &one.note {
        Some(note) => page.wrapped(8, note),
        None => Ok(()),
    }
}

/// Groups of one side, those that need attention first.
pub(super) fn groups(page: &mut Page<'_>, check: &GroupsCheck) -> io::Result<()> {
    if check.verdict == Verdict::Pass && !page.verbose() && check.problem.is_none() {
        let behind = check.groups.iter().filter(|group| group.offsets != Some(0)).count() as u64;
        let text = format!(
            "groups on the {}: {}, {behind} of them behind",
            check.side,
            counted(check.groups.len() as u64, "group")
        );
        return page.line(2, &page.paint(Paint::Dim, &escape(&text)));
    }
    let verdict = page.paint(Paint::of(check.verdict), check.verdict.as_str());
    page.line(2, &format!("groups on the {} {verdict}", escape(&check.side)))?;
    let mut groups: Vec<&GroupLag> = check.groups.iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse((group.verdict, group.offsets)));
    let shown = page.limit(SHOWN_MAX, groups.len());
    for one in groups.iter().take(shown) {
        group(page, one)?;
    }
    page.more(4, groups.len() - shown, "group")?;
    for note in &check.notes {
        page.wrapped(4, &format!("note: {note}"))?;
    }
    problem(page, check.problem.as_ref())
}

fn group(page: &mut Page<'_>, group: &GroupLag) -> io::Result<()> {
    let states: Vec<String> = group
        .states
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(state, count)| format!("{} {}", grouped(*count), state.replace('_', " ")))
        .collect();
    let behind = match (group.offsets, group.seconds) {
        (Some(0), _) => String::new(),
        (Some(offsets), seconds) => {
            format!(
                "  {} behind{}",
                counted(offsets, "offset"),
                interval(seconds).map(|text| format!(", {text}")).unwrap_or_default()
            )
        }
        (None, _) => "  lag unknown".to_owned(),
    };
    let label = page.paint(Paint::of(group.verdict), group.verdict.as_str());
    let state = group.state.as_ref().map(|state| format!(" ({})", escape(state))).unwrap_or_default();
    let name = page.paint(Paint::Strong, &escape(&group.group));
    page.line(4, &format!("{label} {name}{state}{behind}  partitions: {}", escape(&states.join(", "))))?;
    if let Some(why) = &group.why {
        page.wrapped(6, why)?;
    }
    let shown = page.limit(PARTITIONS_MAX, group.worst.len());
    for one in group.worst.iter().take(shown) {
        partition(page, one)?;
    }
    page.more(6, group.worst.len() - shown, "partition")
}

fn interval(seconds: Option<LagSeconds>) -> Option<String> {
    let LagSeconds { low, high } = seconds?;
    let text = |seconds: f64| Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), format_duration);
    Some(match high {
        None => format!("at least {}", text(low)),
        Some(high) => format!("{} to {}", text(low), text(high)),
    })
}

fn partition(page: &mut Page<'_>, one: &GroupPartition) -> io::Result<()> {
    let known = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let time = interval(one.seconds).map(|text| format!(", {text}")).unwrap_or_default();
    let offsets =
        one.offsets.map(|offsets| format!("{offsets} offsets behind")).unwrap_or_else(|| "unknown".to_owned());
    let text = format!(
        "{} {}: {offsets}{time} (committed {}, log {}..{})",
        one.stream,
        one.state.replace('_', " "),
        known(one.committed),
        known(one.start),
        known(one.end),
    );
    page.line(6, &escape(&text))?;
    if let Some(seconds) = one.lost_in_seconds {
        let time = Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), format_duration);
        page.labelled(8, Paint::Warn, "retention:", &format!("deletes records that it has not read in {time}"))?;
    }
    match &one.reason {
        Some(reason) => page.labelled(8, Paint::Strong, "reason:", reason),
        None => Ok(()),
    }
}

/// What is the matter with a cluster.
pub(super) fn health(page: &mut Page<'_>, check: &HealthCheck) -> io::Result<()> {
    if check.verdict == Verdict::Pass && !page.verbose() && check.problem.is_none() {
        return Ok(());
    }
    let verdict = page.paint(Paint::of(check.verdict), check.verdict.as_str());
    let (brokers, partitions) = (counted(check.brokers, "broker"), counted(check.partitions, "partition"));
    page.line(2, &format!("health of the {} {verdict}  {brokers}, {partitions}", escape(&check.side)))?;
    let shown = page.limit(SHOWN_MAX, check.items.len());
    for item in check.items.iter().take(shown) {
        let label = page.paint(Paint::of(item.verdict), item.verdict.as_str());
        page.line(4, &format!("{label} {}: {}", page.paint(Paint::Strong, &escape(&item.what)), escape(&item.why)))?;
    }
    page.more(4, check.items.len() - shown, "thing")?;
    problem(page, check.problem.as_ref())
}

/// Where groups would go on.
pub(super) fn offsets(page: &mut Page<'_>, check: &OffsetsCheck) -> io::Result<()> {
    let mut groups: Vec<&GroupOffsets> = check.groups.iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.verdict));
    let shown = page.limit(SHOWN_MAX, groups.len());
    for group in groups.iter().take(shown) {
        let label = page.paint(Paint::of(group.verdict), group.verdict.as_str());
        let may = match group.may_resume {
            Some(true) => "may go on",
            Some(false) => "must not go on",
            None => "not proven that it may go on",
        };
        let count = |number: Option<u64>, what: &str| match number {
            Some(number) => format!("{} {what}", counted(number, "record")),
            None => format!("{what}: unknown"),
        };
        let (lost, again) = (count(group.lost, "lost to it"), count(group.redelivered, "seen again"));
        let name = page.paint(Paint::Strong, &escape(&group.group));
        page.line(2, &format!("{label} {name}: {may}; {lost}, {again}"))?;
        let wrong: Vec<&PartitionOffsets> =
            group.partitions.iter().filter(|one| one.verdict != Verdict::Pass || page.verbose()).collect();
        let listed = page.limit(PARTITIONS_MAX, wrong.len());
        for one in wrong.iter().take(listed) {
            offset(page, one)?;
        }
        page.more(4, wrong.len() - listed, "partition")?;
    }
    page.more(2, groups.len() - shown, "group")?;
    for note in &check.notes {
        page.wrapped(4, &format!("note: {note}"))?;
    }
    problem(page, check.problem.as_ref())
}

fn offset(page: &mut Page<'_>, one: &PartitionOffsets) -> io::Result<()> {
    let known = |number: Option<u64>| number.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
    let exact = one.exact.map(|exact| format!(", exact {exact}")).unwrap_or_default();
    let (source, replica) = (known(one.source), known(one.replica));
    let from = if one.from == "none" { String::new() } else { format!(" (by {})", one.from) };
    page.line(
        4,
        &escape(&format!(
            "{} {}: source {source}, replica {replica}{from}{exact}",
            one.stream,
            one.standing.replace('_', " ")
        )),
    )?;
    match &one.why {
        Some(why) => page.wrapped(6, why),
        None => Ok(()),
    }
}

/// Breaks in sequences.
pub(super) fn continuity(page: &mut Page<'_>, check: &ContinuityCheck) -> io::Result<()> {
    let parts = [
        (check.missing, "missing"),
        (check.repeated, "repeated"),
        (check.disordered, "out of order"),
        (check.unreadable, "without a number"),
    ];
    let named: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", grouped(*count)))
        .collect();
    if !named.is_empty() {
        let (sequences, records) = (counted(check.sequences, "sequence"), counted(check.records, "record"));
        page.wrapped(2, &format!("on the {}: {} ({sequences}, {records})", check.side, named.join(", ")))?;
    }
    let shown = check.items.len().min(page.max_items());
    for item in check.items.iter().take(shown) {
        let numbers = match &item.numbers {
            Some((first, last)) if first == last => format!(" {first}"),
            Some((first, last)) => format!(" {first} to {last} ({})", grouped(item.count)),
            None => String::new(),
        };
        let offset = item.offset.map(|offset| format!(", at offset {offset}")).unwrap_or_default();
        page.line(4, &escape(&format!("{} {}{numbers}{offset}", item.sequence, item.kind)))?;
    }
    if check.items.len() > shown || check.items_truncated {
        page.line(4, &page.paint(Paint::Dim, "… and more; see them with --max-differences, as text or with --json"))?;
    }
    problem(page, check.problem.as_ref())
}

/// What was kept of a source.
pub(super) fn snapshot(page: &mut Page<'_>, check: &SnapshotCheck) -> io::Result<()> {
    if let Some(id) = &check.snapshot {
        page.line(2, &format!("snapshot {}", escape(id)))?;
    }
    if let Some(reading) = &check.reading {
        page.wrapped(4, &escape(&reading.shown()))?;
    }
    for dataset in check.kept.iter().flat_map(|kept| &kept.datasets) {
        let text = match (&dataset.rows, &dataset.problem) {
            (Some(rows), None) => {
                let at = dataset.position.as_ref().map(|position| format!(" at {position}")).unwrap_or_default();
                let (rows, names) = (counted(*rows, "row"), grouped(dataset.capacity));
                format!("{}: {rows}{at}, names up to {names} differing rows", dataset.dataset)
            }
            (_, problem) => {
                let why = problem.as_ref().map_or("not read", |problem| problem.message.as_str());
                format!("{}: not in it: {why}", dataset.dataset)
            }
        };
        page.wrapped(4, &escape(&text))?;
        if let Some(reading) = &dataset.reading {
            page.wrapped(6, &escape(&reading.shown()))?;
        }
    }
    for note in &check.notes {
        page.wrapped(4, &format!("note: {note}"))?;
    }
    problem(page, check.problem.as_ref())
}
