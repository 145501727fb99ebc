//! One line for Nagios, Icinga and their kin: status, finding, performance data.
//!
//! Source: Monitoring Plugins Development Guidelines, sections on output and performance data.

use crate::human::{probe as probed, recovery};
use crate::summary::{LAG, PROBE, elapsed_seconds, report_line, streams};
use crate::{Check, Format, Recovery, RenderOptions, Report, Totals};
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
        if report.run.command == PROBE {
            return probe(report, status, out);
        }
        if report.links.iter().any(|link| link.recovery.is_some()) {
            return failover(report, status, out);
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
        let ledgers = report.links.iter().flat_map(|link| &link.checks).any(|check| matches!(check, Check::Ledger(_)));
        if ledgers {
            let (mismatched, unproven) = (totals.groups_mismatched, totals.groups_unproven);
            write!(out, " groups={} groups_mismatched={mismatched};;0 groups_unproven={unproven};0", totals.groups)?;
        }
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
            write!(out, " '{place} lag'={high}{levels} '{place} low'={low}")?;
            match (stream.bytes, stream.records) {
                (None, Some(records)) => write!(out, " '{place} records'={records}")?,
                (bytes, _) => {
                    let bytes = bytes.map_or_else(unknown, |bytes| format!("{bytes}B"));
                    write!(out, " '{place} bytes'={bytes}")?;
                }
            }
        }
    }
    writeln!(out, " time={:.3}s", elapsed_seconds(report).unwrap_or(0.0))
}

/// A failover: GO or NO-GO, and what was lost. Unknown numbers are left out.
fn failover(report: &Report, status: &str, out: &mut dyn Write) -> io::Result<()> {
    let lines = report.links.iter().map(|link| {
        let word = recovery::decision(link.recovery.as_ref());
        format!("{word} {}", harmless(&recovery::line(link)))
    });
    write!(out, "PARITAS {status} - {} |", lines.collect::<Vec<_>>().join("; "))?;
    let recoveries = || report.links.iter().filter_map(|link| link.recovery.as_ref());
    let lost: Option<u64> = recoveries().map(|recovery| recovery.rpo.transactions).sum();
    if let Some(lost) = lost {
        write!(out, " lost_transactions={lost};;0")?;
    }
    let worst = |pick: &dyn Fn(&Recovery) -> Option<f64>| {
        recoveries().map(pick).collect::<Option<Vec<f64>>>().and_then(|all| all.into_iter().reduce(f64::max))
    };
    if let Some(seconds) = worst(&|recovery| recovery.rpo.seconds.high) {
        write!(out, " rpo={seconds:.3}s")?;
    }
    if let Some(seconds) = worst(&|recovery| recovery.rto.seconds.and_then(|seconds| seconds.high)) {
        write!(out, " rto={seconds:.3}s")?;
    }
    writeln!(out, " time={:.3}s", elapsed_seconds(report).unwrap_or_default())
}

/// A probe: the bounds of the recovery time, and acknowledged heartbeats that are gone. Unknown numbers are left out.
fn probe(report: &Report, status: &str, out: &mut dyn Write) -> io::Result<()> {
    let lines: Vec<String> = report.links.iter().map(|link| harmless(&probed::line(link))).collect();
    write!(out, "PARITAS {status} - {} |", lines.join("; "))?;
    for check in report.links.iter().flat_map(|link| &link.checks) {
        let Check::Probe(check) = check else { continue };
        let limit = check.rto.objective.map(|limit| format!(";;{limit}")).unwrap_or_default();
        if let Some(bounds) = check.rto.seconds {
            if let Some(high) = bounds.high {
                write!(out, " rto={high:.3}s{limit}")?;
            }
            if let Some(low) = bounds.low {
                write!(out, " rto_low={low:.3}s{limit}")?;
            }
        }
        if let Some(lost) = check.failover.as_ref().and_then(|failover| failover.heartbeats.lost) {
            write!(out, " lost_heartbeats={lost};;0")?;
        }
        write!(out, " outages={}", check.outages_count)?;
    }
    writeln!(out, " time={:.3}s", elapsed_seconds(report).unwrap_or_default())
}

/// The bar separates performance data, so it may not occur in the text.
fn harmless(text: &str) -> String {
    crate::text::escape(text).replace('|', "/")
}
