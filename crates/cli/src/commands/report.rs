//! `paritas report`: a stored run once more, in any format.

use super::printed;
use crate::arguments::{Deny, ReportArgs, ReportFormat};
use crate::configuration;
use crate::failure::{Failure, INCONCLUSIVE, USAGE};
use crate::output;
use crate::runs::{self, StoredRun};
use crate::session::{Session, Style};
use paritas_model::format_duration;
use paritas_report::{Called, Csv, Format, Html, Human, Json, Junit, Markdown, Metrics, RenderOptions, Report};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where a step of GitHub Actions puts what its summary is to show.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Writes the report; the exit code is 0, or that of the run where it was asked for.
pub fn run(session: &Session, arguments: &ReportArgs) -> Result<u8, Failure> {
    let state = match &session.state {
        Some(folder) => Some(folder.clone()),
        None => configuration::load_if_any(session)?.and_then(|config| config.state),
    };
    let stored = runs::stored_run(state.as_deref(), arguments.run)?;
    fresh(&stored.report, arguments.max_age)?;
    let called = printed::called(session, &[], &stored.report);
    if session.style == Style::Nagios {
        let (bytes, code) = printed::rendered(session, called, arguments.deny, None, &stored.report)?;
        return Ok(session.print(&bytes, code));
    }
    let code = match (arguments.fail_on_verdict, arguments.deny) {
        (false, _) => 0,
        (true, None) => stored.report.exit_code,
        (true, Some(Deny::Warnings)) => stored.report.exit_code.max(stored.report.verdict.exit_code(true)),
    };
    // A proven violation stays one even if nobody can read about it.
    let failed = |failure: Failure| Failure { exit_code: if code == 1 { 1 } else { INCONCLUSIVE }, ..failure };
    if arguments.github_summary {
        summary(&stored.report, &called).map_err(|failure| match failure.exit_code {
            USAGE => failure,
            _ => failed(failure),
        })?;
    }
    let format = chosen(session, arguments);
    let write = |out: &mut dyn Write| write(session, arguments, format, &called, &stored, out);
    let Some(path) = &arguments.output else {
        if format == ReportFormat::Html && output::stdout_is_terminal() {
            return Err(Failure::usage("a page is not for a terminal", "name a file: --output report.html"));
        }
        let mut bytes = Vec::new();
        write(&mut bytes).map_err(|error| failed(unwritten("the report").detail(error)))?;
        return Ok(session.print(&bytes, code));
    };
    if path.is_dir() {
        let hint = format!("name a file in it, such as {}", path.join("report.html").display());
        return Err(Failure::usage(format!("{} is a folder", path.display()), hint));
    }
    let written = output::write_file(path, write);
    written.map_err(|error| {
        let hint = "make its folder first, make room, or name another file";
        failed(unwritten(&path.display().to_string()).detail(error).hint(hint))
    })?;
    Ok(code)
}

fn unwritten(what: &str) -> Failure {
    Failure::new("output.failed", INCONCLUSIVE, format!("cannot write {what}"))
}

/// An answer that is too old is none.
fn fresh(report: &Report, max_age: Option<Duration>) -> Result<(), Failure> {
    let Some(max_age) = max_age else { return Ok(()) };
    let ended = report.ended();
    let age = ended.and_then(|ended| SystemTime::now().duration_since(ended).ok());
    // A run that ends in the future was made by a clock that is wrong, and its age is not known.
    let told = match age {
        Some(age) if age <= max_age => return Ok(()),
        Some(age) => format!("It ended {} ago.", format_duration(Duration::from_secs(age.as_secs()))),
        None => "It ended at a time that this clock cannot tell from the future.".to_owned(),
    };
    let message = format!("run {} is older than {}", report.run.id, format_duration(max_age));
    let hint = "find out why no later run was kept";
    Err(Failure::new("report.stale", INCONCLUSIVE, message).detail(told).hint(hint))
}

/// The form that was asked for, or that the name of the file tells.
fn chosen(session: &Session, arguments: &ReportArgs) -> ReportFormat {
    if session.style == Style::Json {
        return ReportFormat::Json;
    }
    let ending = arguments.output.as_deref().and_then(Path::extension).and_then(OsStr::to_str);
    arguments.format.unwrap_or(match ending {
        Some("html" | "htm") => ReportFormat::Html,
        Some("json") => ReportFormat::Json,
        Some("md") => ReportFormat::Markdown,
        Some("csv") => ReportFormat::Csv,
        Some("xml") => ReportFormat::Junit,
        Some("prom") => ReportFormat::Metrics,
        _ => ReportFormat::Text,
    })
}

fn write(
    session: &Session,
    arguments: &ReportArgs,
    format: ReportFormat,
    called: &Called,
    stored: &StoredRun,
    out: &mut dyn Write,
) -> io::Result<()> {
    let items = |asked| usize::try_from(asked).unwrap_or(usize::MAX);
    let max_items = arguments.max_differences.map_or(RenderOptions::MAX_ITEMS_DEFAULT, items);
    let options = RenderOptions { max_items, ..session.render_options() };
    let to_file = arguments.output.is_some();
    let options = if to_file { RenderOptions { color: false, ..options } } else { options };
    let called = called.clone();
    let format: &dyn Format = match format {
        ReportFormat::Json => {
            // What a later version of the same document holds beside what is known here goes along.
            let document: serde_json::Value = serde_json::from_slice(&stored.json)?;
            let json = if to_file { Json { pretty: false } } else { session.json() };
            return json.document(&document, out);
        }
        ReportFormat::Text => &Human { called },
        ReportFormat::Html => &Html { stored: Some(&stored.json), called },
        ReportFormat::Markdown => &Markdown { called },
        ReportFormat::Csv => &Csv,
        ReportFormat::Junit => &Junit,
        ReportFormat::Metrics => &Metrics { prefix: arguments.metrics_prefix.clone() },
    };
    format.write(&stored.report, &options, out)
}

/// Appends to the summary of a step.
fn summary(report: &Report, called: &Called) -> Result<(), Failure> {
    let Some(path) = std::env::var_os(SUMMARY).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        let hint = "leave --github-summary out, or call it in a step of GitHub Actions";
        return Err(Failure::usage(format!("${SUMMARY} names no file"), hint));
    };
    let mut bytes = Vec::new();
    let format = Markdown { called: called.clone() };
    let appended = format.write(report, &RenderOptions::default(), &mut bytes).and_then(|()| {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path)?;
        file.write_all(&bytes)
    });
    appended.map_err(|error| unwritten(&path.display().to_string()).detail(error))
}
