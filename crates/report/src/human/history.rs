//! The history for people: runs, verdicts, lag, failovers, each as a table that fits a terminal.

use super::page::{Page, Paint};
use crate::history::{
    AchievedSeconds, HistoryDocument, HistoryLag, HistoryRecovery, HistoryVerdicts, RecoveryPercentiles,
};
use crate::text::{counted, escape, fit, pad, width};
use crate::{Bounds, RenderOptions};
use paritas_model::{Verdict, format_duration, format_size};
use std::io::{self, Write};
use std::time::Duration;

/// Lines of a table, unless everything is asked for.
const LINES_MAX: usize = 20;
/// Links that are named in the line of a run.
const LINKS_MAX: usize = 3;
/// Columns of a name in a table.
const NAME_MAX: usize = 40;

/// Writes a history as text.
///
/// # Errors
/// Those of `out`.
pub fn write_history(history: &HistoryDocument, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
    let page = &mut Page::new(out, *options);
    let counts = history.runs_by_verdict;
    let of = history.link.as_deref().map(|link| format!(" of {}", escape(link))).unwrap_or_default();
    let since = format!("since {}", escape(&minute(&history.since)));
    page.line(0, &format!("{}{of} {since}: {}", counted(counts.total(), "run"), by_verdict(page, history)))?;
    runs(page, history)?;
    verdicts(page, &history.verdicts)?;
    lag(page, &history.lag)?;
    recoveries(page, history)?;
    if !history.not_indexed.is_empty() {
        page.blank()?;
        let count = counted(history.not_indexed.len() as u64, "stored report");
        page.line(0, &page.paint(Paint::Unknown, &format!("{count} could not be read:")))?;
        let shown = page.limit(LINES_MAX, history.not_indexed.len());
        for one in history.not_indexed.iter().take(shown) {
            page.wrapped(2, &format!("{}: {}", one.run, one.why))?;
        }
        page.more(2, history.not_indexed.len() - shown, "report")?;
    }
    Ok(())
}

fn by_verdict(page: &Page<'_>, history: &HistoryDocument) -> String {
    let counts = history.runs_by_verdict;
    let each = [
        (Verdict::Fail, counts.fail),
        (Verdict::Unknown, counts.unknown),
        (Verdict::Warn, counts.warn),
        (Verdict::Pass, counts.pass),
    ];
    let seen = each.into_iter().filter(|(_, count)| *count > 0);
    let texts: Vec<String> =
        seen.map(|(verdict, count)| page.paint(Paint::of(verdict), &format!("{count} {verdict}"))).collect();
    if texts.is_empty() { "nothing was recorded".to_owned() } else { texts.join(", ") }
}

/// A table: a heading, and rows whose cells are as wide as the widest of their column.
fn table(page: &mut Page<'_>, heading: &[&str], rows: &[Vec<(Paint, String)>]) -> io::Result<()> {
    let mut widths: Vec<usize> = heading.iter().map(|text| width(text)).collect();
    for row in rows {
        for (column, (_, text)) in widths.iter_mut().zip(row) {
            *column = (*column).max(width(text));
        }
    }
    let titles: Vec<String> = heading.iter().zip(&widths).map(|(text, columns)| pad(text, *columns)).collect();
    page.line(2, &page.paint(Paint::Dim, titles.join("  ").trim_end()))?;
    for row in rows {
        let cells = row.iter().zip(&widths).map(|((paint, text), columns)| {
            let padding = " ".repeat(columns.saturating_sub(width(text)));
            format!("{}{padding}", if *paint == Paint::Strong { text.clone() } else { page.paint(*paint, text) })
        });
        let line = cells.collect::<Vec<String>>().join("  ");
        page.line(2, &line)?;
    }
    Ok(())
}

fn plain(text: String) -> (Paint, String) {
    (Paint::Strong, text)
}

fn name(text: &str) -> (Paint, String) {
    plain(fit(&escape(text), NAME_MAX))
}

fn verdict(verdict: Verdict) -> (Paint, String) {
    (Paint::of(verdict), verdict.as_str().to_owned())
}

fn title(page: &mut Page<'_>, text: &str) -> io::Result<()> {
    page.blank()?;
    page.line(0, &page.paint(Paint::Strong, text))
}

fn runs(page: &mut Page<'_>, history: &HistoryDocument) -> io::Result<()> {
    if history.runs.is_empty() {
        return Ok(());
    }
    title(page, "runs")?;
    let rows: Vec<_> = history
        .runs
        .iter()
        .map(|run| {
            let mut links: Vec<String> = run.links.iter().take(LINKS_MAX).map(|link| escape(&link.name)).collect();
            if run.links.len() > LINKS_MAX {
                links.push(format!("and {} more", run.links.len() - LINKS_MAX));
            }
            let drill = run.drill.as_deref().map(|label| format!(" (drill {})", escape(label)));
            vec![
                plain(minute(&run.started_at)),
                plain(format!("{}{}", escape(&run.command), drill.unwrap_or_default())),
                verdict(run.verdict),
                plain(took(&run.started_at, &run.ended_at)),
                plain(fit(&links.join(", "), NAME_MAX)),
                (Paint::Dim, escape(&run.id)),
            ]
        })
        .collect();
    table(page, &["when (UTC)", "command", "verdict", "took", "links", "run"], &rows)?;
    if history.runs_truncated {
        let text = "… older runs are not shown; see more with --limit";
        page.line(2, &page.paint(Paint::Dim, text))?;
    }
    Ok(())
}

fn verdicts(page: &mut Page<'_>, all: &[HistoryVerdicts]) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    title(page, "verdicts")?;
    let mut order: Vec<&HistoryVerdicts> = all.iter().collect();
    order.sort_by_key(|one| std::cmp::Reverse(one.last.verdict));
    let shown = page.limit(LINES_MAX, order.len());
    let rows: Vec<_> = order
        .iter()
        .take(shown)
        .map(|one| {
            let what = one.dataset.as_deref().map(|dataset| format!("{} {dataset}", one.check));
            let counts = &one.counts;
            vec![
                name(&one.link),
                name(what.as_deref().unwrap_or(&one.check)),
                verdict(one.last.verdict),
                plain(counts.pass.to_string()),
                plain(counts.warn.to_string()),
                plain(counts.unknown.to_string()),
                plain(counts.fail.to_string()),
                plain(one.last_pass.as_ref().map_or_else(|| "never".to_owned(), |pass| minute(&pass.at))),
            ]
        })
        .collect();
    table(page, &["link", "check", "last", "pass", "warn", "unknown", "fail", "last pass (UTC)"], &rows)?;
    page.more(2, order.len() - shown, "check")
}

fn lag(page: &mut Page<'_>, all: &[HistoryLag]) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    title(page, "lag")?;
    let shown = page.limit(LINES_MAX, all.len());
    let rows: Vec<_> = all
        .iter()
        .take(shown)
        .map(|one| {
            let seconds = one.seconds.map(|all| [all.p50, all.p95, all.p99, all.max].map(bounds));
            let [p50, p95, p99, max] = seconds.unwrap_or_else(|| [(); 4].map(|()| "unknown".to_owned()));
            let paint = if one.unknown > 0 { Paint::Unknown } else { Paint::Strong };
            vec![
                name(&one.link),
                name(&one.stream),
                plain(one.samples.to_string()),
                (paint, one.unknown.to_string()),
                plain(p50),
                plain(p95),
                plain(p99),
                plain(max),
                plain(one.bytes.map(|bytes| format_size(bytes.max)).unwrap_or_default()),
            ]
        })
        .collect();
    table(page, &["link", "stream", "samples", "unknown", "p50", "p95", "p99", "max", "max bytes"], &rows)?;
    page.more(2, all.len() - shown, "stream")
}

fn recoveries(page: &mut Page<'_>, history: &HistoryDocument) -> io::Result<()> {
    if history.recoveries.is_empty() {
        return Ok(());
    }
    title(page, "drills and incidents")?;
    let shown = page.limit(LINES_MAX, history.recoveries.len());
    let row = |one: &HistoryRecovery| {
        let kind = match one.drill.as_deref().filter(|label| !label.is_empty()) {
            Some(label) => format!("{} {}", one.kind, escape(label)),
            None => one.kind.clone(),
        };
        let go = if one.decision == "go" { Paint::Pass } else { Paint::Fail };
        vec![
            plain(minute(&one.at)),
            name(&one.link),
            plain(fit(&kind, NAME_MAX)),
            (go, escape(&one.decision)),
            achieved(&one.rpo),
            achieved(&one.rto),
            plain(lost(one)),
        ]
    };
    let rows: Vec<_> = history.recoveries.iter().take(shown).map(row).collect();
    table(page, &["when (UTC)", "link", "kind", "decision", "RPO", "RTO", "lost"], &rows)?;
    page.more(2, history.recoveries.len() - shown, "failover")?;
    page.blank()?;
    let row = |one: &RecoveryPercentiles| {
        vec![
            name(&one.link),
            plain(one.kind.clone()),
            plain(one.count.to_string()),
            plain(one.within.to_string()),
            plain(format!("{} / {}", bounds(one.rpo.p50), bounds(one.rto.p50))),
            plain(format!("{} / {}", bounds(one.rpo.p95), bounds(one.rto.p95))),
            plain(format!("{} / {}", bounds(one.rpo.max), bounds(one.rto.max))),
        ]
    };
    let rows: Vec<_> = history.recovered.iter().map(row).collect();
    table(page, &["link", "kind", "count", "within", "RPO / RTO p50", "p95", "max"], &rows)
}

/// What was lost, in its own unit: records of logs, transactions of databases.
fn lost(one: &HistoryRecovery) -> String {
    let text = |count: crate::LostCount, noun: &str| match count.exact {
        Some(exact) => counted(exact, noun),
        None => format!("at least {}", counted(count.at_least, noun)),
    };
    if one.records != crate::LostCount::default() {
        return text(one.records, "record");
    }
    text(one.transactions, "transaction")
}

fn achieved(one: &AchievedSeconds) -> (Paint, String) {
    let objective = one.objective.map(|objective| format!(" of {}", duration(objective))).unwrap_or_default();
    let text = format!("{}{objective}", bounds(one.seconds));
    (one.verdict.map_or(Paint::Dim, Paint::of), text)
}

/// Both ends of a time in words.
pub(super) fn bounds(bounds: Bounds) -> String {
    match (bounds.low, bounds.high) {
        (None | Some(0.0), None) => "unknown".to_owned(),
        (Some(low), None) => format!("at least {}", duration(low)),
        (_, Some(0.0)) => "0s".to_owned(),
        (Some(low), Some(high)) if low > 0.0 && duration(low) == duration(high) => duration(high),
        (Some(low), Some(high)) if low > 0.0 => format!("{} to {}", duration(low), duration(high)),
        (_, Some(high)) => format!("at most {}", duration(high)),
    }
}

/// A time in words.
pub(super) fn duration(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), format_duration)
}

/// `2026-11-30 19:04` of a time of RFC 3339; what is none stays as it is.
pub(super) fn minute(text: &str) -> String {
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) if text.ends_with('Z') => format!("{day} {time}"),
        _ => escape(text),
    }
}

fn took(started: &str, ended: &str) -> String {
    let at = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let between = at(started).zip(at(ended)).map(|(started, ended)| ended.duration_since(started).as_secs_f64());
    between.map(duration).unwrap_or_default()
}
