//! Clocks, freshness and the scores of regions.

use super::dataset::problem;
use super::page::{Page, Paint};
use crate::clock::Judged;
use crate::text::escape;
use crate::{ClockCheck, FreshnessCheck, RegionHealth};
use std::io;

/// Both clocks and the round trips to them.
pub(super) fn clock(page: &mut Page<'_>, check: &ClockCheck) -> io::Result<()> {
    let verdict = page.paint(Paint::of(check.verdict), check.verdict.as_str());
    page.line(2, &format!("clock {verdict}"))?;
    judged(page, check.judged())?;
    problem(page, check.problem.as_ref())
}

/// The newest row on both sides.
pub(super) fn freshness(page: &mut Page<'_>, check: &FreshnessCheck) -> io::Result<()> {
    let verdict = page.paint(Paint::of(check.verdict), check.verdict.as_str());
    page.line(2, &format!("freshness of {} {verdict}", escape(&check.name)))?;
    judged(page, check.judged())?;
    for note in &check.notes {
        page.wrapped(4, note)?;
    }
    problem(page, check.problem.as_ref())
}

fn judged(page: &mut Page<'_>, list: Vec<Judged>) -> io::Result<()> {
    for one in list {
        match one.verdict {
            Some(verdict) => page.labelled(4, Paint::of(verdict), verdict.as_str(), &escape(&one.text))?,
            None => page.wrapped(4, &one.text)?,
        }
    }
    Ok(())
}

/// One line with all regions; what is unknown is named.
pub(super) fn regions(page: &mut Page<'_>, regions: &[RegionHealth]) -> io::Result<()> {
    for one in regions.iter().filter(|one| one.score.is_some()) {
        let paint = match one.state.as_str() {
            "healthy" => Paint::Pass,
            "degraded" => Paint::Warn,
            "drain" => Paint::Fail,
            _ => Paint::Unknown,
        };
        let name = escape(&one.region.0);
        let state = page.paint(paint, &one.state);
        page.line(0, &format!("{} {name}: {} {state}", page.paint(Paint::Dim, "region"), one.text()))?;
        let unknown: Vec<&str> = one.unknown().collect();
        if !unknown.is_empty() {
            page.wrapped(2, &format!("unknown: {}", unknown.join(", ")))?;
        }
    }
    Ok(())
}
