//! The score board: what was injected against what was found, each finding used once.

use super::faults::Planted;
use super::links::{self, DemoLink};
use paritas_model::{Class as Found, Value, Verdict};
use paritas_report::{Check, LogFinding, Report};
use paritas_testbed::faults::Class;
use std::io::{self, Write};
use std::path::Path;

/// One finding of a verification, flattened.
struct Finding {
    link: &'static str,
    dataset: String,
    class: &'static str,
    /// Key columns, or all columns of a row without a key.
    values: Vec<(String, String)>,
    columns: Vec<String>,
    text: String,
}

/// The comparison.
pub(super) struct Board {
    rows: Vec<(String, Option<String>)>,
    unexpected: Vec<String>,
}

impl Board {
    /// Gives every fault the first unused finding that fits it.
    pub(super) fn hold(planted: &[Planted], links: &[DemoLink], reports: &[Report]) -> Self {
        let mut findings: Vec<Finding> =
            links.iter().zip(reports).flat_map(|(link, report)| flatten(link.name, report)).collect();
        let mut rows = Vec::new();
        for one in planted {
            let index = findings.iter().position(|finding| fits(one, finding));
            let found = index.map(|index| findings.remove(index).text);
            rows.push((format!("{:14} {}", one.link, one.fault), found));
        }
        let unexpected = findings.into_iter().map(|finding| format!("{:14} {}", finding.link, finding.text)).collect();
        Self { rows, unexpected }
    }

    pub(super) fn injected(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn found(&self) -> usize {
        self.rows.iter().filter(|(_, found)| found.is_some()).count()
    }

    pub(super) fn unexpected(&self) -> usize {
        self.unexpected.len()
    }

    /// Everything found, and nothing else.
    pub(super) fn is_exact(&self) -> bool {
        self.found() == self.injected() && self.unexpected.is_empty()
    }

    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for (injected, found) in &self.rows {
            writeln!(out, "  injected  {injected}")?;
            writeln!(
                out,
                "  {}",
                found.as_ref().map_or("MISSED".to_owned(), |text| format!("found     {:14} {text}", ""))
            )?;
        }
        for finding in &self.unexpected {
            writeln!(out, "  NOT INJECTED  {finding}")?;
        }
        Ok(())
    }
}

/// One line per link; true when all of them pass.
pub(super) fn print_links(out: &mut dyn Write, links: &[DemoLink], reports: &[Report]) -> io::Result<bool> {
    for (link, report) in links.iter().zip(reports) {
        let totals = links::totals(report);
        let what = match totals.files {
            0 => format!("{} datasets, {} rows", totals.datasets, totals.rows),
            files => format!("{files} files"),
        };
        let found =
            if totals.differences == 0 { String::new() } else { format!(", {} differences", totals.differences) };
        writeln!(
            out,
            "      {:<7} {:<34} {what}, {:.2} s{found}",
            report.verdict.as_str(),
            link.title,
            totals.seconds
        )?;
        for problem in problems(report) {
            writeln!(out, "              {problem}")?;
        }
    }
    Ok(reports.iter().all(|report| report.verdict == Verdict::Pass))
}

fn problems(report: &Report) -> Vec<String> {
    let text = |problem: paritas_report::Problem| match problem.detail {
        Some(detail) => format!("{} ({detail})", problem.message),
        None => problem.message,
    };
    report.links.iter().flat_map(|link| &link.checks).filter_map(|check| check.problem().cloned()).map(text).collect()
}

fn flatten(link: &'static str, report: &Report) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in report.links.iter().flat_map(|link| &link.checks) {
        match check {
            Check::Parity(parity) if parity.log.is_some() => {
                let log = parity.log.iter().flat_map(|log| &log.findings);
                findings.extend(log.filter_map(|one| record(link, &parity.dataset, one)));
            }
            Check::Parity(parity) => findings.extend(parity.items.iter().map(|item| {
                let texts = |pairs: &[(String, Value)]| pairs.iter().map(|(n, v)| (n.clone(), v.to_string())).collect();
                let values: Vec<(String, String)> = match (&item.key, item.class) {
                    (key, _) if !key.is_empty() => texts(key),
                    (_, Found::Lost) => texts(&item.source),
                    _ => texts(&item.replica),
                };
                let key: Vec<String> = values.iter().map(|(n, v)| format!("{n}={v}")).collect();
                let change = item.columns.iter().map(|column| {
                    let value = |pairs: &[(String, Value)]| {
                        pairs.iter().find(|(n, _)| n == column).map_or("?".to_owned(), |(_, v)| v.to_string())
                    };
                    format!(" {column}: {} -> {}", value(&item.source), value(&item.replica))
                });
                let text = format!(
                    "{}: {} ({}){}",
                    item.class.as_str(),
                    parity.dataset,
                    key.join(", "),
                    change.collect::<String>()
                );
                let (dataset, class) = (parity.dataset.clone(), item.class.as_str());
                Finding { link, dataset, class, values, columns: item.columns.clone(), text }
            })),
            Check::Schema(schema) => findings.extend(schema.differences.iter().map(|difference| {
                let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
                let (source, replica) = (side(&difference.source), side(&difference.replica));
                let text = format!("schema: {} {}: {source} -> {replica}", schema.dataset, difference.what);
                let columns = difference.what.strip_prefix("column ").map(str::to_owned).into_iter().collect();
                Finding { link, dataset: schema.dataset.clone(), class: "schema", values: Vec::new(), columns, text }
            })),
            Check::Files(files) => findings.extend(files.items.iter().map(|item| {
                let why = item.why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
                let text = format!("{}: {}{why}", item.class, item.path);
                Finding {
                    link,
                    dataset: item.path.clone(),
                    class: "file",
                    values: Vec::new(),
                    columns: Vec::new(),
                    text,
                }
            })),
            // The demo asks about content only.
            _ => {}
        }
    }
    findings
}

/// A finding about records of a log; `None` for what is no fault.
fn record(link: &'static str, dataset: &str, one: &LogFinding) -> Option<Finding> {
    let class = match one.class.as_str() {
        "missing" => "lost",
        "foreign" | "duplicate" | "aborted" => "extra",
        "altered" | "reordered" | "wrong_partition" => "changed",
        _ => return None,
    };
    let span = |(first, last): (u64, u64)| if first == last { first.to_string() } else { format!("{first}..{last}") };
    let mut values = vec![("partition".to_owned(), one.partition.to_string())];
    values.extend(one.source.map(|offsets| ("source".to_owned(), span(offsets))));
    values.extend(one.replica.map(|offsets| ("replica".to_owned(), span(offsets))));
    let places: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let text = format!("{}: {dataset} ({}), {} records", one.class, places.join(", "), one.records);
    Some(Finding { link, dataset: dataset.to_owned(), class, values, columns: Vec::new(), text })
}

/// Whether a finding is this fault: same link, same dataset, same class, same row, same column.
fn fits(planted: &Planted, finding: &Finding) -> bool {
    let fault = &planted.fault;
    let class = match fault.class {
        Class::Lost => "lost",
        Class::Extra | Class::Duplicated => "extra",
        Class::Changed => "changed",
        Class::Schema => "schema",
        _ => "file",
    };
    let bare = |name: &str| name.rsplit(['.', '/']).next().unwrap_or(name).to_owned();
    let same_dataset = match fault.class {
        Class::File => Path::new(&fault.dataset).file_name() == Path::new(&finding.dataset).file_name(),
        _ => bare(&fault.dataset) == bare(&finding.dataset),
    };
    let column =
        fault.column.as_ref().is_none_or(|column| finding.columns.is_empty() || finding.columns == [column.clone()]);
    planted.link == finding.link
        && same_dataset
        && class == finding.class
        && column
        && fault.key.iter().all(|pair| finding.values.contains(pair))
}
