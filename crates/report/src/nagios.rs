//! One line for Nagios, Icinga and their kin: status, finding, performance data.
//!
//! Source: Monitoring Plugins Development Guidelines, sections on output and performance data.

use crate::summary::{LAG, elapsed_seconds, report_line, streams};
use crate::{Check, Format, RenderOptions, Report, Totals};
use paritas_model::Verdict;
use std::io::{self, Write};

/// Plugin output; the exit codes that go with it are those of [`nagios_code`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Nagios {
    /// Whether a warning is critical.
    pub deny_warnings: bool,
}

/// The exit code of a plugin: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
pub fn nagios_code(verdict: Verdict, deny_warnings: bool) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Warn => 1 + u8::from(deny_warnings),
        Verdict::Fail => 2,
        Verdict::Unknown => 3,
    }
}

/// The line for a command that could not run.
pub fn nagios_error(message: &str) -> String {
    format!("PARITAS UNKNOWN - {}", harmless(message))
}

impl Format for Nagios {
    fn name(&self) -> &str {
        "nagios"
    }

    fn write(&self, report: &Report, _: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let status = match nagios_code(report.verdict, self.deny_warnings) {
            0 => "OK",
            1 => "WARNING",
            2 => "CRITICAL",
            _ => "UNKNOWN",
        };
        if report.run.command == LAG {
            return lag(report, status, out);
        }
        let totals = Totals::of(&report.links);
        let rows = &totals.row_differences;
        let files = &totals.file_differences;
        write!(out, "PARITAS {status} - {} |", harmless(&report_line(report)))?;
        // The third and fourth fields are thresholds: anything above zero is critical.
        write!(out, " lost={};;0", rows.lost.saturating_add(files.lost))?;
        write!(out, " extra={};;0", rows.extra.saturating_add(files.extra))?;
        write!(out, " changed={};;0", rows.changed.saturating_add(files.changed))?;
        write!(out, " unsettled={};0", rows.unsettled().saturating_add(files.unsettled()))?;
        write!(out, " rows={} files={} bytes={}B", totals.rows, totals.files, totals.bytes)?;
        writeln!(out, " time={:.3}s", elapsed_seconds(report).unwrap_or(totals.seconds))
    }
}

/// The line of `paritas lag`. The value of a lag is the upper end of its interval, `U` (the plugins' word
/// for unknown) where there is none; `low` is what is proven.
fn lag(report: &Report, status: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "PARITAS {status} - {} |", harmless(&report_line(report)))?;
    let single = report.links.len() == 1;
    for link in &report.links {
        let objective = link.checks.iter().find_map(|check| match check {
            Check::Lag(check) => check.objective,
            _ => None,
        });
        let levels = objective.map_or_else(String::new, |levels| {
            format!(";{};{}", levels.warning.or(levels.target).unwrap_or(levels.critical), levels.critical)
        });
        for stream in streams(link) {
            let place = if single { stream.stream.clone() } else { format!("{} {}", link.name, stream.stream) };
            // An equals sign or a quote would end the label.
            let place = harmless(&place).replace(['=', '\''], "_");
            let unknown = || "U".to_owned();
            let high = stream.seconds.and_then(|seconds| seconds.high);
            let low = stream.seconds.map_or_else(unknown, |seconds| format!("{:.3}s", seconds.low));
            let high = high.map_or_else(unknown, |high| format!("{high:.3}s"));
            let bytes = stream.bytes.map_or_else(unknown, |bytes| format!("{bytes}B"));
            write!(out, " '{place} lag'={high}{levels} '{place} low'={low} '{place} bytes'={bytes}")?;
        }
    }
    writeln!(out, " time={:.3}s", elapsed_seconds(report).unwrap_or(0.0))
}

/// The bar separates performance data, so it may not occur in the text.
fn harmless(text: &str) -> String {
    crate::text::escape(text).replace('|', "/")
}
