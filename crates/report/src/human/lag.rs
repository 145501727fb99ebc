//! Lag and coverage for people: the state first, then how far, then why and what to do.

use super::page::{Page, Paint};
use super::{dataset, headline, logs, next, not_checked, store, vitals};
use crate::lag::{state_text, weight};
use crate::summary::{elapsed_seconds, lag_line, link_lag_line};
use crate::text::{counted, escape, pad, width};
use crate::{Called, Check, CoverageCheck, LagCheck, LagStream, LinkReport, Report};
use paritas_model::{LagState, Verdict, format_duration, format_size};
use std::io;
use std::time::Duration;

/// Streams that are shown one by one, unless everything is asked for.
const STREAMS_MAX: usize = 20;
/// Items of coverage that are shown one by one, unless everything is asked for.
const ITEMS_MAX: usize = 20;

/// A whole report of `paritas lag`.
pub(super) fn report(page: &mut Page<'_>, report: &Report, called: &Called) -> io::Result<()> {
    let took = elapsed_seconds(report).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let took = took.map(|took| format!("; sampled in {}", format_duration(took))).unwrap_or_default();
    headline(page, report.verdict, &format!("{}{took}", lag_line(report)))?;
    match report.links.as_slice() {
        [only] => link(page, only)?,
        several => {
            let mut order: Vec<&LinkReport> = several.iter().collect();
            order.sort_by_key(|link| std::cmp::Reverse(link.verdict));
            for one in order {
                if one.verdict != Verdict::Pass || page.verbose() {
                    page.blank()?;
                    headline(page, one.verdict, &link_lag_line(one))?;
                    link(page, one)?;
                } else {
                    headline(page, one.verdict, &link_lag_line(one))?;
                    not_checked(page, one)?;
                }
            }
        }
    }
    vitals::regions(page, &report.regions)?;
    match next::lag(report, called) {
        Some(command) => page.line(0, &format!("{} {command}", page.paint(Paint::Dim, "next:"))),
        None => Ok(()),
    }
}

fn link(page: &mut Page<'_>, link: &LinkReport) -> io::Result<()> {
    if link.verdict != Verdict::Pass || page.verbose() {
        store(page, "source ", &link.source)?;
        store(page, "replica", &link.replica)?;
    }
    for check in &link.checks {
        match check {
            Check::Lag(check) => lag(page, check)?,
            Check::Coverage(check) => coverage(page, check)?,
            Check::Groups(check) => logs::groups(page, check)?,
            Check::Health(check) => logs::health(page, check)?,
            Check::Clock(check) => vitals::clock(page, check)?,
            Check::Freshness(check) => vitals::freshness(page, check)?,
            _ => {}
        }
    }
    not_checked(page, link)
}

/// The streams of a link, the worst first.
pub(super) fn lag(page: &mut Page<'_>, check: &LagCheck) -> io::Result<()> {
    let mut streams: Vec<&LagStream> = check.streams.iter().collect();
    streams.sort_by_key(|stream| std::cmp::Reverse(weight(stream.state)));
    let names = streams.iter().map(|stream| width(&escape(&stream.stream))).max().unwrap_or(0).min(page.width() / 2);
    // A cluster may have thousands of partitions; what is as it should be needs no line then.
    let shown = page.limit(STREAMS_MAX, streams.len());
    for one in streams.iter().take(shown) {
        stream(page, one, names)?;
    }
    page.more(2, streams.len() - shown, "stream")?;
    if let Some(objective) = &check.objective {
        let text = |seconds: Option<f64>| {
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).map(format_duration)
        };
        let levels = [
            ("target", text(objective.target)),
            ("warning", text(objective.warning)),
            ("critical", text(Some(objective.critical))),
        ];
        let levels = levels.iter().filter_map(|(name, level)| Some(format!("{name} {}", level.as_ref()?)));
        let levels: Vec<String> = levels.collect();
        if check.verdict != Verdict::Pass || page.verbose() {
            page.line(2, &page.paint(Paint::Dim, &format!("objective: {}", levels.join(", "))))?;
        }
    }
    for note in &check.notes {
        page.wrapped(2, &format!("note: {note}"))?;
    }
    dataset::problem(page, check.problem.as_ref())
}

fn paint(state: LagState) -> Paint {
    match state {
        LagState::CaughtUp => Paint::Pass,
        LagState::Behind => Paint::Warn,
        LagState::Stalled | LagState::Broken => Paint::Fail,
        LagState::Unknown => Paint::Unknown,
    }
}

fn stream(page: &mut Page<'_>, stream: &LagStream, names: usize) -> io::Result<()> {
    let mut facts = Vec::new();
    if stream.state != LagState::CaughtUp {
        facts.extend(stream.bytes.map(|bytes| format!("{} behind", format_size(bytes))));
        facts.extend(stream.records.map(|records| format!("{} behind", counted(records, "record"))));
    }
    if stream.state != LagState::CaughtUp {
        facts.extend(stream.seconds_text());
    }
    let name = pad(&escape(&stream.stream), names);
    let state = page.paint(paint(stream.state), state_text(stream.state));
    let facts = if facts.is_empty() { String::new() } else { format!("  {}", facts.join(", ")) };
    page.line(2, &format!("{name}  {state}{facts}"))?;
    if let Some(reason) = &stream.reason {
        page.labelled(4, Paint::Strong, "reason:", reason)?;
    }
    if let Some(hint) = &stream.hint {
        page.labelled(4, Paint::Strong, "hint:", hint)?;
    }
    if stream.state == LagState::CaughtUp && !page.verbose() {
        return Ok(());
    }
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let positions = format!("source {}, replica {}", known(&stream.source_position), known(&stream.replica_position));
    page.labelled(4, Paint::Dim, "positions:", &positions)?;
    if let Some(why) = stream.why.get("seconds.high").or_else(|| stream.why.get("seconds")) {
        page.labelled(4, Paint::Dim, "time:", why)?;
    }
    let details: Vec<String> = stream.details.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    if !details.is_empty() {
        page.labelled(4, Paint::Dim, "stores say:", &details.join("; "))?;
    }
    Ok(())
}

/// What is not replicated whole.
pub(super) fn coverage(page: &mut Page<'_>, check: &CoverageCheck) -> io::Result<()> {
    if check.verdict == Verdict::Pass && check.items.is_empty() && !page.verbose() {
        return Ok(());
    }
    let verdict = page.paint(Paint::of(check.verdict), check.verdict.as_str());
    page.line(2, &format!("coverage {verdict}  {}", counted(check.datasets, "dataset")))?;
    let mut items: Vec<_> = check.items.iter().collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.verdict));
    let shown = page.limit(ITEMS_MAX, items.len());
    for item in items.iter().take(shown) {
        let label = page.paint(Paint::of(item.verdict), item.verdict.as_str());
        page.line(4, &format!("{label} {}: {}", page.paint(Paint::Strong, &escape(&item.what)), escape(&item.why)))?;
        page.wrapped(6, &item.consequence)?;
    }
    page.more(4, items.len() - shown, "item")?;
    dataset::problem(page, check.problem.as_ref())
}
