//! Options of `paritas report`.

use super::{Deny, ExitStyle, MAX_DIFFERENCES_LIMIT};
use crate::runs::Which;
use clap::{Args, ValueEnum};
use paritas_model::{ParseQuantityError, parse_duration};
use std::path::PathBuf;
use std::time::Duration;

const REPORT_HELP: &str = "\
Reports of runs are kept in a state folder: `--state DIR`, or `state` in [paritas].
The exit code is 0 when the report was written, whatever it says, unless --fail-on-verdict is given.

Examples:
  paritas report                                the last run as text
  paritas report last --output report.html      one page that holds everything and loads nothing
  paritas report 01K… --format csv --output differences.csv
  paritas report --format metrics --output /var/lib/node_exporter/paritas.prom
  paritas report --github-summary --fail-on-verdict";

/// Options of `report`.
#[derive(Debug, Clone, Args)]
#[command(after_help = REPORT_HELP)]
pub struct ReportArgs {
    /// Which run: last, or the id that its report shows
    #[arg(value_name = "RUN", default_value = "last", value_parser = stored_run)]
    pub run: Which,
    /// In what form [default: by the ending of --output, else text]
    #[arg(long, value_name = "FORMAT", conflicts_with = "json")]
    pub format: Option<ReportFormat>,
    /// Write into this file, whole or not at all, and not to standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    pub output: Option<PathBuf>,
    /// Also append Markdown to the file that $GITHUB_STEP_SUMMARY names
    #[arg(long)]
    pub github_summary: bool,
    /// End with the exit code of the run
    #[arg(long)]
    pub fail_on_verdict: bool,
    /// Make a warning count as a violation (exit code 1), with --fail-on-verdict or --exit-style
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
    /// A run that ended longer ago is no answer: exit code 3
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub max_age: Option<Duration>,
    /// List at most that many differing rows or files per dataset as text [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=MAX_DIFFERENCES_LIMIT))]
    pub max_differences: Option<u64>,
    /// In front of every name of a metric
    #[arg(long, value_name = "PREFIX", default_value = "paritas_", value_parser = metrics_prefix)]
    pub metrics_prefix: String,
    /// Whose exit codes and output to use
    #[arg(long, value_name = "STYLE", conflicts_with_all = ["json", "format", "output", "fail_on_verdict"])]
    pub exit_style: Option<ExitStyle>,
}

/// Options of `export prometheus-rules` and `export grafana`.
#[derive(Debug, Args)]
pub struct MetricsArgs {
    /// In front of every name of a metric
    #[arg(long, value_name = "PREFIX", default_value = "paritas_", value_parser = metrics_prefix)]
    pub metrics_prefix: String,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Text for people
    Text,
    /// One page that holds everything and loads nothing
    Html,
    /// The document as it was stored
    Json,
    /// A few lines for a channel
    Markdown,
    /// What differs, as a table
    Csv,
    /// One test case for each check
    Junit,
    /// Metrics for the textfile collector of Prometheus
    Metrics,
}

fn stored_run(text: &str) -> Result<Which, ParseQuantityError> {
    if text == "last" {
        return Ok(Which::Last);
    }
    let hint = "write last, or the id that the report of a run shows";
    let id = text.parse().map_err(|_| ParseQuantityError { what: "run", text: text.to_owned(), hint })?;
    Ok(Which::Id(id))
}

/// What Prometheus takes as the beginning of a name.
fn metrics_prefix(text: &str) -> Result<String, ParseQuantityError> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    if text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let hint = "write letters, digits, _ and :, a digit not first, such as paritas_";
    Err(ParseQuantityError { what: "prefix", text: text.to_owned(), hint })
}
