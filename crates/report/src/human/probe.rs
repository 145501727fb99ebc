//! A probe as text: what it came to, then the failover, what is gone, outages, counts.

use super::page::{Page, Paint};
use super::recovery::{bounds, seconds};
use super::{link_places, not_checked};
use crate::probe::{ProbeCheck, ProbeCounts, ProbeFailover, ProbeWrite};
use crate::text::{counted, escape, grouped};
use crate::{Check, LinkReport, Report};
use std::io;

/// Outages listed as text; all that are known are in the JSON document.
const OUTAGES_MAX: usize = 10;

/// The whole report of a probe.
pub(super) fn write(page: &mut Page<'_>, report: &Report) -> io::Result<()> {
    for link in &report.links {
        super::headline(page, link.verdict, &line(link))?;
        link_places(page, link)?;
        for check in &link.checks {
            if let Check::Probe(check) = check {
                one(page, check)?;
            }
        }
        not_checked(page, link)?;
    }
    Ok(())
}

/// One line about a link, without its verdict.
pub(crate) fn line(link: &LinkReport) -> String {
    let found = link.checks.iter().find_map(|check| match check {
        Check::Probe(check) => Some(escape(&check.summary)),
        _ => None,
    });
    format!("{}: {}", escape(&link.name), found.unwrap_or_else(|| "nothing was seen".to_owned()))
}

fn one(page: &mut Page<'_>, check: &ProbeCheck) -> io::Result<()> {
    let rto = &check.rto;
    let objective = rto.objective.map(|limit| format!(", objective {}", seconds(limit))).unwrap_or_default();
    let known = rto.seconds.map_or_else(|| "not known".to_owned(), |found| bounds(&found));
    let why = rto.why.as_ref().map(|why| format!(": {}", escape(why))).unwrap_or_default();
    let name = if check.method == "probe" { "RTO:" } else { "RTO, not measured by writes:" };
    let paint = rto.verdict.map_or(Paint::Dim, Paint::of);
    page.labelled(2, paint, name, &format!("{known}{objective}{why}"))?;
    if let Some(failover) = &check.failover {
        self::failover(page, check, failover)?;
    }
    if let Some(split) = &check.split_brain {
        let text = format!(
            "{} took a write that was acknowledged at {}, and the old primary one that was sent at {}",
            if split.promoted { "the new primary" } else { "a copy that was never promoted" },
            escape(&split.other.acknowledged_at),
            escape(&split.old.sent_at)
        );
        page.labelled(2, Paint::Fail, "split brain:", &text)?;
    }
    for outage in check.outages.iter().take(OUTAGES_MAX) {
        let text = format!(
            "{}, {}, from {} to {}; no failover",
            escape(&outage.kind),
            bounds(&outage.seconds),
            escape(&outage.from),
            escape(&outage.to)
        );
        page.labelled(2, Paint::Warn, "outage:", &text)?;
    }
    let hidden = check.outages_count.saturating_sub(check.outages.len().min(OUTAGES_MAX) as u64);
    if hidden > 0 {
        page.line(2, &format!("… {}", counted(hidden, "more outage")))?;
    }
    if check.begun_at.is_some() {
        for (name, counts) in [("source", &check.source), ("replica", &check.replica)] {
            page.wrapped(2, &format!("{name}: {}", attempts(check, counts)))?;
        }
        watched(page, check)?;
    }
    for note in &check.notes {
        page.wrapped(2, &format!("! {note}"))?;
    }
    if let Some(problem) = &check.problem {
        page.labelled(2, Paint::Unknown, "problem:", &escape(&problem.message))?;
        page.advice(4, problem)?;
    }
    Ok(())
}

fn failover(page: &mut Page<'_>, check: &ProbeCheck, failover: &ProbeFailover) -> io::Result<()> {
    let text = format!(
        "timeline {} was left at {}, timeline {} takes writes at the address of the {}",
        failover.old_timeline,
        escape(&failover.switchpoint),
        failover.new_timeline,
        escape(&failover.side)
    );
    page.labelled(2, Paint::Strong, "failover:", &text)?;
    let write =
        |write: &ProbeWrite| format!("sent {}, answered {}", escape(&write.sent_at), escape(&write.acknowledged_at));
    let last = failover.last_before.as_ref().map_or_else(|| "not seen".to_owned(), write);
    page.wrapped(4, &format!("last on the old primary: {last}"))?;
    page.wrapped(4, &format!("first on the new one: {}", write(&failover.first_after)))?;
    if check.method != "probe" {
        return Ok(());
    }
    let lost = &failover.heartbeats;
    let commit = check.synchronous_commit.as_ref().map(|level| format!(" (synchronous_commit = {})", escape(level)));
    let commit = commit.unwrap_or_default();
    let (paint, text) = match (lost.lost, lost.lost_at_least) {
        (Some(0), _) => (Paint::Pass, "every acknowledged heartbeat survived; other commits may be lost".to_owned()),
        (Some(gone), _) => (
            Paint::Fail,
            format!("{} lost, {}{commit}", counted(gone, "acknowledged heartbeat"), bounds(&lost.seconds)),
        ),
        (None, 0) => (Paint::Unknown, format!("not known{}", because(lost.why.as_deref()))),
        (None, gone) => (
            Paint::Fail,
            format!("at least {} lost, {}{commit}", counted(gone, "acknowledged heartbeat"), bounds(&lost.seconds)),
        ),
    };
    page.labelled(2, paint, "lost:", &text)
}

fn because(why: Option<&str>) -> String {
    why.map(|why| format!(": {}", escape(why))).unwrap_or_default()
}

fn attempts(check: &ProbeCheck, counts: &ProbeCounts) -> String {
    let word = if check.method == "probe" { "acknowledged" } else { "took writes" };
    let mut parts =
        vec![format!("{} {word}", grouped(counts.acknowledged)), format!("{} refused", grouped(counts.refused))];
    if counts.unknown > 0 {
        parts.push(format!("{} without an answer", grouped(counts.unknown)));
    }
    if counts.void > 0 {
        parts.push(format!("{} that mean nothing", grouped(counts.void)));
    }
    format!("{}: {}", counted(counts.attempts, "attempt"), parts.join(", "))
}

fn watched(page: &mut Page<'_>, check: &ProbeCheck) -> io::Result<()> {
    let mut text = format!("every {}, each at most {}", seconds(check.every), seconds(check.timeout));
    if let Some(begun) = &check.begun_at {
        text = format!("{text}, since {}", escape(begun));
    }
    if check.gaps.count > 0 || check.gaps.restarts > 0 {
        let longest = check.gaps.longest.map(|time| format!(", the longest {}", seconds(time))).unwrap_or_default();
        text = format!(
            "{text}; {} without attempts{longest}, the probe started again {}",
            counted(check.gaps.count, "gap"),
            counted(check.gaps.restarts, "time")
        );
    }
    page.wrapped(2, &text)?;
    match &check.observation {
        Some(id) => {
            page.wrapped(2, &format!("kept as observation {id}: `paritas failover` uses it for this failover only"))
        }
        None => {
            page.wrapped(2, "nothing is kept: name a state folder with --state, so that `paritas failover` can use it")
        }
    }
}
