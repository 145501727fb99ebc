//! A failover as text: GO or NO-GO and why, then lineage, losses and times, then the next command.

use super::page::{Page, Paint};
use super::{Called, link_places, not_checked};
use crate::recovery::{Bounds, LeftTimeline, LostTransaction, Reason, Recovery, Rto, ServerLineage};
use crate::summary::{DatasetView, datasets};
use crate::text::{counted, escape, grouped, pad, shell_word, width};
use crate::{Check, LinkReport, Report};
use paritas_model::{StoreKind, Verdict, format_duration, format_size};
use std::io;
use std::time::Duration;

/// Subtransactions listed with a lost transaction; more are counted.
const SUBTRANSACTIONS_MAX: usize = 5;

/// Prepared transactions on the new primary that are listed as text, unless everything is asked for.
const HELD_MAX: usize = 20;

/// The whole report of a failover.
pub(super) fn write(page: &mut Page<'_>, report: &Report, called: &Called) -> io::Result<()> {
    if let Some(name) = &report.run.drill {
        let named = if name.is_empty() { String::new() } else { format!(" {}", escape(name)) };
        page.line(0, &page.paint(Paint::Warn, &format!("DRILL{named}: an exercise, judged like an incident")))?;
    }
    for (number, link) in report.links.iter().enumerate() {
        if number > 0 {
            page.blank()?;
        }
        one(page, link)?;
    }
    if let Some(achieved) = report.recovery.as_ref().filter(|_| report.links.len() > 1) {
        page.blank()?;
        super::achieved::write(page, achieved)?;
    }
    if let Some(command) = next(report, called) {
        page.line(0, &format!("{} {command}", page.paint(Paint::Dim, "next:")))?;
    }
    Ok(())
}

/// `NO-GO`, and what to call the findings.
pub(crate) fn decision(recovery: Option<&Recovery>) -> &'static str {
    if recovery.is_some_and(Recovery::goes) { "GO" } else { "NO-GO" }
}

/// One line: the worst finding, or what was proven.
pub(crate) fn line(link: &LinkReport) -> String {
    let name = escape(&link.name);
    let Some(recovery) = &link.recovery else { return format!("{name}: nothing was found out") };
    let against: Vec<&Reason> = recovery.reasons.iter().filter(|reason| reason.verdict > Verdict::Warn).collect();
    match against.as_slice() {
        [] if recovery.planned => format!("{name}: a switch now would lose nothing"),
        [] => format!("{name}: {}", loss_of(link, recovery)),
        [only] => format!("{name}: {}", escape(&only.text)),
        [first, rest @ ..] => format!("{name}: {}, and {} more against it", escape(&first.text), rest.len()),
    }
}

/// What is lost, in the words of the kind of store.
pub(crate) fn loss_of(link: &LinkReport, recovery: &Recovery) -> String {
    match link.source.kind {
        StoreKind::Files | StoreKind::Parquet | StoreKind::Csv => {}
        StoreKind::Kafka => return records(recovery),
        _ => return loss(recovery),
    }
    let of = if recovery.rpo.method == "content" { "the source" } else { "the snapshot" };
    let (mut lost, mut open) = (0_u64, recovery.rpo.method == "none");
    for check in &link.checks {
        match check {
            Check::Parity(check) => {
                lost = lost.saturating_add(check.differences.lost).saturating_add(check.differences.changed);
                open |= !check.complete || check.differences.unsettled() > 0;
            }
            Check::Files(check) => {
                lost = lost.saturating_add(check.differences.lost).saturating_add(check.differences.changed);
                open |= check.problem.is_some() || check.differences.unsettled() > 0;
            }
            _ => {}
        }
    }
    match (lost, open) {
        (0, false) => format!("nothing of {of} is lost or changed"),
        (0, true) => format!("whether something of {of} is lost or changed is not known"),
        (1, _) => format!("at least 1 row or file of {of} lost or changed"),
        (lost, _) => format!("at least {} rows or files of {of} lost or changed", grouped(lost)),
    }
}

fn records(recovery: &Recovery) -> String {
    match (recovery.rpo.records, recovery.rpo.records_at_least) {
        (Some(0), _) => "no record is lost".to_owned(),
        (Some(lost), _) => format!("exactly {} lost", counted(lost, "record")),
        (None, 0) => "how many records are lost is not known".to_owned(),
        (None, least) => format!("at least {} lost", counted(least, "record")),
    }
}

fn loss(recovery: &Recovery) -> String {
    let exact = recovery.timelines.iter().all(|timeline| timeline.exact);
    match (recovery.rpo.transactions.filter(|_| exact), recovery.rpo.transactions_at_least) {
        (Some(0), _) => "no committed transaction is lost".to_owned(),
        (Some(lost), _) => format!("exactly {} lost", counted(lost, "committed transaction")),
        (None, 0) => "how many transactions are lost is not known".to_owned(),
        (None, least) => format!("at least {} lost", counted(least, "committed transaction")),
    }
}

fn one(page: &mut Page<'_>, link: &LinkReport) -> io::Result<()> {
    super::headline_word(page, decision(link.recovery.as_ref()), Paint::of(paint(link)), &line(link))?;
    link_places(page, link)?;
    if let Some(recovery) = &link.recovery {
        reasons(page, recovery)?;
        steps(page, recovery)?;
    }
    for check in &link.checks {
        if let Check::Lineage(check) = check {
            let fork = check.forked_at.as_ref().map(|at| format!(", parted at {at}")).unwrap_or_default();
            let text = format!("{}{fork}", check.relation.replace('_', " "));
            page.labelled(2, Paint::of(check.verdict), "lineage:", &escape(&text))?;
            for (side, server) in [("source", &check.source), ("replica", &check.replica)] {
                if let Some(server) = server {
                    page.wrapped(4, &format!("{side} {}", place(server)))?;
                }
            }
            if let Some(problem) = &check.problem {
                page.labelled(4, Paint::Dim, "detail:", &escape(&problem.message))?;
                page.advice(4, problem)?;
            }
        }
    }
    if let Some(recovery) = &link.recovery {
        losses(page, link, recovery)?;
    }
    others(page, link)?;
    not_checked(page, link)
}

/// Checks beside lineage, each with its verdict.
fn others(page: &mut Page<'_>, link: &LinkReport) -> io::Result<()> {
    let is_other = |view: &DatasetView<'_>| !view.checks.iter().all(|check| matches!(check, Check::Lineage(_)));
    let (passing, rest): (Vec<_>, Vec<_>) =
        datasets(link).into_iter().filter(is_other).partition(|view| view.verdict == Verdict::Pass);
    for view in &rest {
        page.blank()?;
        super::dataset::write(page, view)?;
    }
    super::passing_datasets(page, &passing, !rest.is_empty())
}

fn paint(link: &LinkReport) -> Verdict {
    if link.recovery.as_ref().is_some_and(Recovery::goes) { link.verdict } else { link.verdict.max(Verdict::Unknown) }
}

fn place(server: &ServerLineage) -> String {
    let timeline = server.timeline.map_or_else(|| "on an unknown timeline".to_owned(), |n| format!("on timeline {n}"));
    let position = server.position.as_ref().map(|position| format!(" at {position}")).unwrap_or_default();
    let role = match (server.in_recovery, server.read_only) {
        (true, _) => "a standby",
        (false, true) => "a primary, read only by default",
        (false, false) => "a primary, takes writes",
    };
    let why = server.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{timeline}{position}, {role}{why}")
}

fn losses(page: &mut Page<'_>, link: &LinkReport, recovery: &Recovery) -> io::Result<()> {
    let rpo = &recovery.rpo;
    let objective = rpo.objective.map(|limit| format!(", objective {}", seconds(limit))).unwrap_or_default();
    let text = format!("{}; RPO {}{objective}", loss_of(link, recovery), bounds(&rpo.seconds));
    page.labelled(2, Paint::of(rpo.verdict), "lost:", &text)?;
    for timeline in &recovery.timelines {
        left(page, timeline)?;
    }
    if let Some(time) = rpo.seconds_if_down {
        let text = format!("at most {} if the old primary took no write once the probe saw it down", seconds(time));
        page.wrapped(4, &text)?;
    }
    held(page, recovery)?;
    let rto = &recovery.rto;
    let objective = rto.objective.map(|limit| format!(", objective {}", seconds(limit))).unwrap_or_default();
    let why = rto.why.as_ref().map(|why| format!(": {}", escape(why))).unwrap_or_default();
    let measured = rto.seconds.map_or_else(|| "not known".to_owned(), |found| bounds(&found));
    let text = format!("{measured}{objective}{why}{}", source_of(rto));
    page.labelled(2, rto.verdict.map_or(Paint::Dim, Paint::of), "RTO:", &text)
}

/// Prepared transactions on the new primary.
fn held(page: &mut Page<'_>, recovery: &Recovery) -> io::Result<()> {
    let shown = page.limit(HELD_MAX, recovery.prepared.len());
    for held in recovery.prepared.iter().take(shown) {
        let before = match held.before_promotion {
            Some(true) => ", before the promotion",
            Some(false) => ", after the promotion",
            None => "",
        };
        let text = format!(
            "held prepared: xid {} {:?} in {} by {}, prepared at {}{before}",
            held.xid, held.gid, held.database, held.owner, held.prepared_at
        );
        page.wrapped(4, &text)?;
    }
    page.more(4, recovery.prepared.len() - shown, "prepared transaction")
}

/// Where a recovery time comes from.
fn source_of(rto: &Rto) -> String {
    let from = rto.failed_at.as_ref().map(|at| format!("; from the failure at {}", escape(at))).unwrap_or_default();
    match (&rto.observation, &rto.observed_at) {
        (Some(id), Some(at)) => format!("; observation {} of {}", escape(id), escape(at)),
        _ => from,
    }
}

fn left(page: &mut Page<'_>, timeline: &LeftTimeline) -> io::Result<()> {
    let Some(end) = &timeline.end else {
        let text = format!(
            "timeline {}: left at {}; read from {}",
            timeline.timeline, timeline.switchpoint, timeline.read_from
        );
        page.wrapped(4, &text)?;
        return doubts(page, timeline);
    };
    let count = match (timeline.exact, timeline.transactions) {
        (true, lost) => counted(lost, "commit"),
        (false, lost) => format!("at least {}", counted(lost, "commit")),
    };
    let text = format!(
        "timeline {}: {count} in {} of log, from {} to {end}; {} rolled back; read from {}",
        timeline.timeline,
        format_size(timeline.bytes),
        timeline.switchpoint,
        grouped(timeline.rolled_back),
        timeline.read_from
    );
    page.wrapped(4, &text)?;
    let mut times = Vec::new();
    if let Some(at) = &timeline.last_surviving {
        times.push(format!("last surviving commit {at}"));
    }
    if timeline.surviving_to_failure != Bounds::default() {
        times.push(format!("to the failure {}", bounds(&timeline.surviving_to_failure)));
    }
    times.extend(timeline.surviving_to_last_lost.map(|n| format!("to the last lost commit {}", seconds(n))));
    times.extend(timeline.first_to_last_lost.map(|n| format!("first to last lost commit {}", seconds(n))));
    if !times.is_empty() {
        page.wrapped(6, &times.join("; "))?;
    }
    transactions(page, timeline)?;
    for undecided in &timeline.undecided {
        let database = undecided.database.as_deref().unwrap_or("-");
        let text = format!(
            "prepared, not decided: xid {} {:?} in {database}, prepared at {}",
            undecided.xid, undecided.gid, undecided.prepared_at
        );
        page.wrapped(6, &text)?;
    }
    if let Some(rows) = &timeline.rows {
        super::lost_rows::write(page, rows)?;
    }
    doubts(page, timeline)
}

fn doubts(page: &mut Page<'_>, timeline: &LeftTimeline) -> io::Result<()> {
    timeline.doubts.iter().try_for_each(|doubt| page.wrapped(6, &format!("! {doubt}")))
}

fn transactions(page: &mut Page<'_>, timeline: &LeftTimeline) -> io::Result<()> {
    let shown = timeline.lost.len().min(page.max_items());
    if shown > 0 {
        let rows: Vec<[String; 5]> = timeline.lost.iter().take(shown).map(cells).collect();
        let head = ["xid", "committed at", "database", "bytes", ""].map(str::to_owned);
        let widths: Vec<usize> = (0..4)
            .map(|column| {
                rows.iter().chain([&head]).filter_map(|row| row.get(column)).map(|c| width(c)).max().unwrap_or(0)
            })
            .collect();
        for (number, row) in [&head].into_iter().chain(&rows).enumerate() {
            let cells = row.iter().zip(widths.iter().chain([&0])).map(|(cell, width)| pad(cell, *width));
            let line = cells.collect::<Vec<_>>().join("  ");
            page.line(6, &if number == 0 { page.paint(Paint::Dim, &line) } else { line })?;
        }
    }
    let hidden = timeline.transactions.saturating_sub(shown as u64);
    if hidden > 0 {
        let all = timeline.transactions;
        let text = format!("… {} more; see them with --max-differences {all}, as text or with --json", grouped(hidden));
        page.line(6, &page.paint(Paint::Dim, &text))?;
    }
    Ok(())
}

fn cells(lost: &LostTransaction) -> [String; 5] {
    let mut more = Vec::new();
    if !lost.subtransactions.is_empty() {
        let some: Vec<String> =
            lost.subtransactions.iter().take(SUBTRANSACTIONS_MAX).map(ToString::to_string).collect();
        let rest = lost.subtransactions.len().saturating_sub(SUBTRANSACTIONS_MAX);
        let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        more.push(format!("with subtransactions {}{rest}", some.join(", ")));
    }
    match (&lost.gid, lost.prepared) {
        (Some(gid), _) => more.push(format!("prepared as {:?}", escape(gid))),
        (None, true) => more.push("prepared before".to_owned()),
        (None, false) => {}
    }
    let database = lost.database.as_deref().map_or_else(|| "-".to_owned(), escape);
    [lost.xid.to_string(), escape(&lost.committed_at), database, grouped(lost.bytes), more.join(", ")]
}

fn reasons(page: &mut Page<'_>, recovery: &Recovery) -> io::Result<()> {
    page.line(2, &page.paint(Paint::Strong, &format!("{} because:", decision(Some(recovery)))))?;
    for reason in &recovery.reasons {
        let word = reason.verdict.as_str();
        page.labelled(4, Paint::of(reason.verdict), &pad(word, "unknown".len()), &escape(&reason.text))?;
        if let Some(hint) = &reason.hint {
            page.labelled(6, Paint::Strong, "hint:", &escape(hint))?;
        }
        if let Some(next) = &reason.next {
            page.line(6, &format!("{} {}", page.paint(Paint::Dim, "next:"), escape(next)))?;
        }
    }
    Ok(())
}

/// What was done, one line each.
fn steps(page: &mut Page<'_>, recovery: &Recovery) -> io::Result<()> {
    if recovery.steps.is_empty() {
        return Ok(());
    }
    page.line(2, &page.paint(Paint::Strong, "steps:"))?;
    let width = recovery.steps.iter().map(|step| step.step.len()).max().unwrap_or(0);
    for step in &recovery.steps {
        let (word, paint) = step.verdict.map_or(("-", Paint::Dim), |verdict| (verdict.as_str(), Paint::of(verdict)));
        let text =
            format!("{}  {}  {}", pad(&step.step.replace('_', " "), width), seconds(step.seconds), escape(&step.text));
        page.labelled(4, paint, &pad(word, "unknown".len()), &text)?;
    }
    Ok(())
}

pub(crate) fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), format_duration)
}

pub(crate) fn bounds(bounds: &Bounds) -> String {
    match (bounds.low, bounds.high) {
        (Some(low), Some(high)) if low >= high => seconds(high),
        (Some(low), Some(high)) => format!("{} to {}", seconds(low), seconds(high)),
        (Some(low), None) if low > 0.0 => format!("at least {}", seconds(low)),
        (None, Some(high)) => format!("at most {}", seconds(high)),
        (_, None) => "not known".to_owned(),
    }
}

/// The same again for what is unknown; nothing when all is known.
pub(super) fn next(report: &Report, called: &Called) -> Option<String> {
    let unknown = |reason: &Reason| reason.verdict == Verdict::Unknown;
    let open = |link: &&LinkReport| link.recovery.as_ref().is_none_or(|recovery| recovery.reasons.iter().any(unknown));
    let links: Vec<&LinkReport> = report.links.iter().filter(open).collect();
    if links.is_empty() {
        return None;
    }
    let mut words = vec!["paritas failover".to_owned()];
    words.extend(called.options.iter().cloned());
    if report.run.config.is_none() {
        words.extend(called.stores.iter().cloned());
    } else {
        words.extend(links.iter().map(|link| shell_word(&link.name).unwrap_or_else(|| "…".to_owned())));
    }
    Some(format!("{}   (after what the reasons ask for)", words.join(" ")))
}
