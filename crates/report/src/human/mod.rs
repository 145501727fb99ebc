//! What a person reads at three in the morning: verdict first, then what is wrong, then the next
//! command.

mod achieved;
mod dataset;
mod files;
pub(crate) mod history;
mod lag;
mod ledger;
mod logs;
mod lost_rows;
mod next;
mod page;
pub(crate) mod probe;
pub(crate) mod recovery;
mod rows;
mod sequences;
pub(crate) mod simulation;
mod vitals;

use crate::summary::{DatasetView, LAG, PROBE, datasets, link_line, report_line};
use crate::text::{escape, width, wrap};
use crate::{Format, LinkReport, Problem, RenderOptions, Report};
use page::{Page, Paint};
use paritas_model::{Store, Verdict};
use std::io::{self, Write};

/// Passing datasets and links are listed one by one up to here, unless everything is asked for.
const PASSING_MAX: usize = 20;
/// Things left out are listed one by one up to here, unless everything is asked for.
const NOT_CHECKED_MAX: usize = 20;

/// Plain text, in colour if asked.
#[derive(Debug, Clone, Default)]
pub struct Human {
    /// How the command was called, for the next command in the last line.
    pub called: Called,
}

/// What a report does not say about the command that made it. Everything is safe to print and quoted
/// for a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Called {
    /// Options that the next command needs as well, such as `-c FILE`.
    pub options: Vec<String>,
    /// Source and replica as they were given; a report holds only their names.
    pub stores: Vec<String>,
    /// The command that goes on with this run, where what it finished is kept.
    pub resume: Option<String>,
}

impl Format for Human {
    fn name(&self) -> &str {
        "human"
    }

    fn write(&self, report: &Report, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let mut page = Page::new(out, *options);
        if report.run.command == LAG {
            return lag::report(&mut page, report, &self.called);
        }
        if report.run.command == PROBE {
            return probe::write(&mut page, report);
        }
        if report.links.iter().any(|link| link.recovery.is_some()) {
            return recovery::write(&mut page, report, &self.called);
        }
        headline(&mut page, report.verdict, &report_line(report))?;
        match report.links.as_slice() {
            [only] => link(&mut page, only)?,
            several => links(&mut page, several)?,
        }
        vitals::regions(&mut page, &report.regions)?;
        if let Some(command) = next::command(report, &self.called, options) {
            page.line(0, &format!("{} {command}", page.paint(Paint::Dim, "next:")))?;
        }
        Ok(())
    }
}

/// The command to type after a report, whatever made it; nothing when there is nothing left to do.
pub(crate) fn next_command(report: &Report, called: &Called, options: &RenderOptions) -> Option<String> {
    if report.run.command == LAG {
        return next::lag(report, called);
    }
    if report.run.command == PROBE {
        return None;
    }
    if report.links.iter().any(|link| link.recovery.is_some()) {
        return recovery::next(report, called);
    }
    next::command(report, called, options)
}

/// `FAIL  trading: …`, wrapped under its own beginning.
fn headline(page: &mut Page<'_>, verdict: Verdict, text: &str) -> io::Result<()> {
    headline_word(page, &verdict.as_str().to_uppercase(), Paint::of(verdict), text)
}

fn headline_word(page: &mut Page<'_>, word: &str, paint: Paint, text: &str) -> io::Result<()> {
    let indent = width(word) + 2;
    let mut lines = wrap(text, page.width().saturating_sub(indent)).into_iter();
    let first = lines.next().unwrap_or_default();
    page.line(0, &format!("{}  {first}", page.paint(paint, word)))?;
    lines.try_for_each(|line| page.line(indent, &line))
}

/// Several links: those that need attention first and in full, the passing ones in one line each.
fn links(page: &mut Page<'_>, links: &[LinkReport]) -> io::Result<()> {
    let (passing, others): (Vec<_>, Vec<_>) = links.iter().partition(|link| link.verdict == Verdict::Pass);
    for one in others {
        page.blank()?;
        headline(page, one.verdict, &link_line(one))?;
        link(page, one)?;
    }
    if passing.is_empty() {
        return Ok(());
    }
    page.blank()?;
    let shown = page.limit(PASSING_MAX, passing.len());
    for one in passing.iter().take(shown) {
        headline(page, one.verdict, &link_line(one))?;
        not_checked(page, one)?;
    }
    page.more(0, passing.len() - shown, "passing link")
}

/// The body of one link.
fn link(page: &mut Page<'_>, link: &LinkReport) -> io::Result<()> {
    if link.verdict != Verdict::Pass || page.verbose() {
        link_places(page, link)?;
    }
    let (passing, others): (Vec<_>, Vec<_>) =
        datasets(link).into_iter().partition(|view| view.verdict == Verdict::Pass);
    for view in &others {
        page.blank()?;
        dataset::write(page, view)?;
    }
    passing_datasets(page, &passing, !others.is_empty())?;
    not_checked(page, link)
}

fn link_places(page: &mut Page<'_>, link: &LinkReport) -> io::Result<()> {
    store(page, "source ", &link.source)?;
    store(page, "replica", &link.replica)
}

fn store(page: &mut Page<'_>, side: &str, store: &Store) -> io::Result<()> {
    let region = store.region.as_ref().map(|region| format!(", {}", escape(&region.0))).unwrap_or_default();
    let about = page.paint(Paint::Dim, &format!("({}{region})", store.kind));
    page.line(2, &format!("{} {} {about}", page.paint(Paint::Dim, side), escape(&store.name)))
}

fn passing_datasets(page: &mut Page<'_>, passing: &[DatasetView<'_>], apart: bool) -> io::Result<()> {
    if apart && !passing.is_empty() {
        page.blank()?;
    }
    let shown = page.limit(PASSING_MAX, passing.len());
    let names = passing.iter().take(shown).map(|view| width(&escape(view.name))).max().unwrap_or(0);
    for view in passing.iter().take(shown) {
        dataset::passing(page, view, names.min(page.width() / 2))?;
    }
    page.more(2, passing.len() - shown, "passing dataset")
}

fn not_checked(page: &mut Page<'_>, link: &LinkReport) -> io::Result<()> {
    if link.not_checked.is_empty() {
        return Ok(());
    }
    page.line(2, &page.paint(Paint::Warn, "not checked:"))?;
    let shown = page.limit(NOT_CHECKED_MAX, link.not_checked.len());
    for left_out in link.not_checked.iter().take(shown) {
        page.wrapped(4, &format!("{}: {}", left_out.what, left_out.why))?;
    }
    page.more(4, link.not_checked.len() - shown, "thing")
}

/// Writes a failure as `error: what failed`, `detail: what the system said`, `hint: what to do`.
///
/// # Errors
/// Those of `out`.
pub fn write_problem(problem: &Problem, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(out, *options);
    page.labelled(0, Paint::Fail, "error:", &problem.message)?;
    page.advice(2, problem)
}
