//! One line about a report: what was verified, what is wrong, how fast. Shared by several formats.

use crate::lag::{state_text, weight};
use crate::text::{counted, escape, grouped};
use crate::{Check, LagStream, LinkReport, Report};
use paritas_model::{DifferenceCounts, Verdict, format_duration, format_size};
use std::time::Duration;

/// The command whose reports are about replication itself.
pub(crate) const LAG: &str = "lag";
/// The command that measures how long nobody takes writes.
pub(crate) const PROBE: &str = "probe";

/// The command that reconciles figures.
pub(crate) const LEDGER: &str = "ledger";

/// The command that keeps what a source holds.
pub(crate) const SNAPSHOT: &str = "snapshot";

/// Clocks and ages of rows in one line, at most.
const BESIDE_MAX: usize = 3;

/// All checks of one dataset, in the order of the report.
#[derive(Debug, Clone)]
pub(crate) struct DatasetView<'a> {
    pub(crate) name: &'a str,
    pub(crate) checks: Vec<&'a Check>,
    pub(crate) verdict: Verdict,
}

/// Name of the dataset that a check is about.
fn dataset(check: &Check) -> &str {
    match check {
        Check::Schema(check) => &check.dataset,
        Check::Parity(check) => &check.dataset,
        Check::Files(check) => &check.dataset,
        Check::Lag(_) => "lag",
        Check::Coverage(_) => "coverage",
        Check::Lineage(_) => "lineage",
        Check::Probe(_) => "probe",
        Check::Groups(_) => "groups",
        Check::Health(_) => "health",
        Check::Offsets(_) => "offsets",
        Check::Continuity(check) => &check.dataset,
        Check::Snapshot(_) => "snapshot",
        Check::Ledger(check) => &check.name,
        Check::Sequences(_) => "sequences",
        Check::Clock(_) => "clock",
        Check::Freshness(check) => &check.name,
    }
}

/// What a check is about, with its kind: `parity of public.orders`, `lag`.
pub(crate) fn subject(check: &Check) -> String {
    let kind = kind(check);
    let about = match check {
        Check::Groups(check) => &check.side,
        Check::Health(check) => &check.side,
        other => dataset(other),
    };
    if about == kind { kind.to_owned() } else { format!("{kind} of {about}") }
}

/// The member `check` of the document.
pub(crate) fn kind(check: &Check) -> &'static str {
    match check {
        Check::Schema(_) => "schema",
        Check::Parity(_) => "parity",
        Check::Files(_) => "files",
        Check::Lag(_) => "lag",
        Check::Coverage(_) => "coverage",
        Check::Lineage(_) => "lineage",
        Check::Probe(_) => "probe",
        Check::Groups(_) => "groups",
        Check::Health(_) => "health",
        Check::Offsets(_) => "offsets",
        Check::Continuity(_) => "continuity",
        Check::Snapshot(_) => "snapshot",
        Check::Ledger(_) => "ledger",
        Check::Sequences(_) => "sequences",
        Check::Clock(_) => "clock",
        Check::Freshness(_) => "freshness",
    }
}

/// The datasets of a link, each with its checks.
pub(crate) fn datasets(link: &LinkReport) -> Vec<DatasetView<'_>> {
    let mut views: Vec<DatasetView<'_>> = Vec::new();
    for check in &link.checks {
        let name = dataset(check);
        // Checks of one dataset follow each other, so looking at the last one is enough.
        match views.last_mut().filter(|view| view.name == name) {
            Some(view) => {
                view.checks.push(check);
                view.verdict = Verdict::combine([view.verdict, check.verdict()]);
            }
            None => views.push(DatasetView { name, checks: vec![check], verdict: check.verdict() }),
        }
    }
    views
}

/// What some links amount to.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Datasets that were looked at.
    pub datasets: u64,
    /// Datasets per verdict: pass, warn, unknown, fail.
    pub per_verdict: [u64; 4],
    /// Rows compared: per dataset the larger of both sides.
    pub rows: u64,
    /// Rows whose figures were reconciled: per ledger the larger of both sides.
    pub rows_reconciled: u64,
    /// Groups that were reconciled.
    pub groups: u64,
    /// Groups that are proven to break their rule.
    pub groups_mismatched: u64,
    /// Groups that broke their rule without proof.
    pub groups_unproven: u64,
    /// Files compared: per set the larger of both sides.
    pub files: u64,
    /// Bytes read from both sides.
    pub bytes: u64,
    /// Differing rows.
    pub row_differences: DifferenceCounts,
    /// Differing files.
    pub file_differences: DifferenceCounts,
    /// Datasets whose schemas are proven to differ.
    pub schemas_failed: u64,
    /// Seconds spent in checks, one after the other.
    pub seconds: f64,
    /// Things that were left out.
    pub not_checked: u64,
    /// Whether more rows may differ than were counted.
    pub lower_bound: bool,
    /// Datasets of which later runs verify the rest.
    pub sliced: u64,
    /// Name of the one failing or unknown dataset, if there is exactly one.
    only: Option<String>,
    /// Clocks and ages that are not as they should be, in words.
    beside: Vec<String>,
}

impl Totals {
    /// Adds up links.
    pub fn of<'a>(links: impl IntoIterator<Item = &'a LinkReport>) -> Self {
        let mut totals = Self::default();
        let mut wrong = Vec::new();
        for link in links {
            totals.not_checked += link.not_checked.len() as u64;
            // Equal schemas say nothing about rows that nobody read; those are among what was left out.
            let unread = |view: &DatasetView<'_>| {
                view.verdict == Verdict::Pass && view.checks.iter().all(|check| matches!(check, Check::Schema(_)))
            };
            // Clocks and ages of rows are no datasets that were compared.
            let beside = |check: &Check| matches!(check, Check::Clock(_) | Check::Freshness(_));
            let wrong_beside = link.checks.iter().filter(|check| beside(check) && check.verdict() != Verdict::Pass);
            totals.beside.extend(wrong_beside.map(|check| format!("{}: {}", escape(&subject(check)), check.verdict())));
            let compared = |view: &DatasetView<'_>| !view.checks.iter().all(|check| beside(check));
            for view in datasets(link).into_iter().filter(|view| !unread(view) && compared(view)) {
                totals.datasets += 1;
                if let Some(count) = totals.per_verdict.get_mut(view.verdict as usize) {
                    *count += 1;
                }
                if view.verdict != Verdict::Pass {
                    wrong.push(escape(view.name));
                }
                view.checks.iter().for_each(|check| totals.add(check));
            }
        }
        totals.only = if wrong.len() == 1 { wrong.pop() } else { None };
        totals
    }

    fn add(&mut self, check: &Check) {
        match check {
            Check::Lineage(_) | Check::Probe(_) => {}
            Check::Schema(check) => self.schemas_failed += u64::from(check.verdict == Verdict::Fail),
            Check::Parity(check) => {
                self.rows += check.rows.source.unwrap_or(0).max(check.rows.replica.unwrap_or(0));
                self.bytes += check.bytes_read.source.saturating_add(check.bytes_read.replica);
                self.seconds += finite(check.seconds);
                self.lower_bound |= !check.complete && check.differences.proven() > 0;
                self.sliced += u64::from(check.slice.is_some_and(|slice| slice.parts < slice.of));
                add_counts(&mut self.row_differences, &check.differences);
            }
            Check::Files(check) => {
                self.files += check.files.source.max(check.files.replica);
                self.bytes += check.bytes_read.source.saturating_add(check.bytes_read.replica);
                self.seconds += finite(check.seconds);
                add_counts(&mut self.file_differences, &check.differences);
            }
            Check::Lag(_)
            | Check::Coverage(_)
            | Check::Groups(_)
            | Check::Health(_)
            | Check::Offsets(_)
            | Check::Continuity(_)
            | Check::Snapshot(_)
            | Check::Clock(_)
            | Check::Freshness(_)
            | Check::Sequences(_) => {}
            Check::Ledger(check) => {
                self.rows_reconciled += check.rows();
                self.groups += check.groups.unwrap_or(0);
                self.groups_mismatched += check.mismatched;
                self.groups_unproven += check.unproven;
                self.bytes += check.bytes_read.source.saturating_add(check.bytes_read.replica);
                self.seconds += finite(check.seconds);
            }
        }
    }

    fn count(&self, verdict: Verdict) -> u64 {
        self.per_verdict.get(verdict as usize).copied().unwrap_or(0)
    }

    /// `in public.orders` or `in 2 of 3 datasets`.
    fn place(&self, count: u64) -> String {
        match &self.only {
            Some(name) if count == 1 => name.clone(),
            _ => format!("{} of {}", grouped(count), counted(self.datasets, "dataset")),
        }
    }
}

fn finite(seconds: f64) -> f64 {
    if seconds.is_finite() && seconds > 0.0 { seconds } else { 0.0 }
}

fn add_counts(sum: &mut DifferenceCounts, part: &DifferenceCounts) {
    sum.lost = sum.lost.saturating_add(part.lost);
    sum.extra = sum.extra.saturating_add(part.extra);
    sum.changed = sum.changed.saturating_add(part.changed);
    sum.in_flight = sum.in_flight.saturating_add(part.in_flight);
    sum.unproven = sum.unproven.saturating_add(part.unproven);
    sum.unverifiable = sum.unverifiable.saturating_add(part.unverifiable);
    sum.quarantined = sum.quarantined.saturating_add(part.quarantined);
}

/// `1 row differs`, `3 rows differ`.
pub(crate) fn differ(count: u64, noun: &str) -> String {
    format!("{} {}", counted(count, noun), if count == 1 { "differs" } else { "differ" })
}

/// What was found, for the verdict: `3 rows differ in public.orders, 1 of 3 datasets unknown`.
fn finding(verdict: Verdict, totals: &Totals) -> String {
    let mut parts = Vec::new();
    let failed = totals.count(Verdict::Fail);
    if failed > 0 {
        let mut wrong = Vec::new();
        match (totals.row_differences.proven(), totals.file_differences.proven()) {
            (0, 0) => {}
            (rows, 0) => wrong.push(differ(rows, "row")),
            (0, files) => wrong.push(differ(files, "file")),
            (rows, files) => wrong.push(format!("{} and {}", counted(rows, "row"), differ(files, "file"))),
        }
        if totals.groups_mismatched > 0 {
            wrong.push(differ(totals.groups_mismatched, "group"));
        }
        match totals.schemas_failed {
            0 => {}
            1 => wrong.push("the schema differs".to_owned()),
            _ => wrong.push("schemas differ".to_owned()),
        }
        if wrong.is_empty() {
            wrong.push("a violation is proven".to_owned());
        }
        let at_least = if totals.lower_bound { "at least " } else { "" };
        parts.push(format!("{at_least}{} in {}", wrong.join(" and "), totals.place(failed)));
    }
    let unknown = totals.count(Verdict::Unknown);
    if unknown > 0 {
        parts.push(format!("{} could not be verified", totals.place(unknown)));
    }
    let warned = totals.count(Verdict::Warn);
    if warned > 0 {
        parts.push(format!("warnings in {}", totals.place(warned)));
    }
    parts.extend(totals.beside.iter().take(BESIDE_MAX).cloned());
    match totals.beside.len().saturating_sub(BESIDE_MAX) {
        0 => {}
        more => parts.push(counted(more as u64, "more clock or age")),
    }
    let equal = totals.count(Verdict::Pass);
    if equal > 0 {
        parts.push(if equal == totals.datasets {
            format!("{} equal", counted(equal, "dataset"))
        } else {
            format!("{} of {} equal", grouped(equal), counted(totals.datasets, "dataset"))
        });
    }
    if totals.sliced > 0 && equal > 0 {
        parts.push(format!("{} only in part so far", counted(totals.sliced, "dataset")));
    }
    if parts.is_empty() {
        parts.push(if verdict == Verdict::Pass { "nothing to verify" } else { "nothing was verified" }.to_owned());
    }
    if totals.not_checked > 0 {
        parts.push(format!("{} not checked", grouped(totals.not_checked)));
    }
    parts.join(", ")
}

/// How much was read and how fast: `1,000,000 rows, 400MiB in 3.5s (285,714 rows/s)`.
fn volume(totals: &Totals, seconds: f64) -> String {
    let elapsed = format_duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    // Where rows were compared one by one, the same rows are not counted again.
    let rows = if totals.rows > 0 { totals.rows } else { totals.rows_reconciled };
    if rows == 0 && totals.files == 0 && totals.bytes == 0 {
        return format!("nothing was read in {elapsed}");
    }
    let mut parts = Vec::new();
    if rows > 0 {
        parts.push(counted(rows, "row"));
    }
    if totals.groups > 0 {
        parts.push(counted(totals.groups, "group"));
    }
    if totals.files > 0 {
        parts.push(counted(totals.files, "file"));
    }
    parts.push(format_size(totals.bytes));
    let speed = match (rows, seconds > 0.0) {
        (_, false) => String::new(),
        (0, true) if totals.bytes == 0 => String::new(),
        (0, true) => format!(" ({}/s)", format_size((totals.bytes as f64 / seconds) as u64)),
        (rows, true) => format!(" ({} rows/s)", grouped((rows as f64 / seconds) as u64)),
    };
    format!("{} in {elapsed}{speed}", parts.join(", "))
}

/// One line about a link, without its verdict.
pub(crate) fn link_line(link: &LinkReport) -> String {
    if link.checks.iter().any(|check| matches!(check, Check::Snapshot(_))) {
        return snapshot_line(std::slice::from_ref(link));
    }
    let totals = Totals::of([link]);
    let found = finding(link.verdict, &totals);
    format!("{}: {found}; {}", escape(&link.name), volume(&totals, totals.seconds))
}

/// One line about the whole report, without its verdict.
pub(crate) fn report_line(report: &Report) -> String {
    if report.run.command == LAG {
        return lag_line(report);
    }
    if report.run.command == SNAPSHOT {
        return snapshot_line(&report.links);
    }
    let totals = Totals::of(&report.links);
    let subject = match report.links.as_slice() {
        [] => return "nothing was verified: no link was asked for".to_owned(),
        [only] => escape(&only.name),
        several => counted(several.len() as u64, "link"),
    };
    let seconds = elapsed_seconds(report).unwrap_or(totals.seconds);
    format!("{subject}: {}; {}", finding(report.verdict, &totals), volume(&totals, seconds))
}

/// One line about what was kept of sources.
fn snapshot_line(links: &[LinkReport]) -> String {
    let checks = links.iter().flat_map(|link| &link.checks).filter_map(|check| match check {
        Check::Snapshot(check) => Some(check),
        _ => None,
    });
    let kept: Vec<_> = checks.filter(|check| check.snapshot.is_some()).collect();
    let sum = |pick: &dyn Fn(&&crate::SnapshotCheck) -> u64| kept.iter().map(pick).fold(0, u64::saturating_add);
    let (records, read) = (sum(&|check| check.records), sum(&|check| check.records_read));
    let (partitions, groups) = (sum(&|check| check.partitions), sum(&|check| check.groups));
    let subject = match links {
        [only] => escape(&only.name),
        links => format!("{} of {}", kept.len(), counted(links.len() as u64, "link")),
    };
    if kept.is_empty() {
        return format!("{subject}: nothing was kept");
    }
    let of_rows = kept.iter().filter_map(|check| check.kept.as_ref());
    let (mut datasets, mut rows, mut files) = (0_u64, 0_u64, 0_u64);
    for one in of_rows {
        let read = || one.datasets.iter().filter_map(|dataset| dataset.rows);
        datasets += read().count() as u64;
        rows = rows.saturating_add(read().fold(0, u64::saturating_add));
        files = files.saturating_add(one.files.unwrap_or(0));
    }
    let mut parts = Vec::new();
    if datasets > 0 {
        parts.push(format!("{} of {}", counted(rows, "row"), counted(datasets, "dataset")));
    }
    if files > 0 {
        parts.push(counted(files, "file"));
    }
    let logs = partitions > 0 || parts.is_empty();
    let what = format!(
        "{}, {} ({} read), {}",
        counted(partitions, "partition"),
        counted(records, "record"),
        grouped(read),
        counted(groups, "group")
    );
    if logs {
        parts.push(what);
    }
    format!("{subject}: kept {}, {}", parts.join(", "), format_size(sum(&|check| check.bytes)))
}

/// Wall-clock seconds of the run; `None` when its times cannot be read.
pub fn elapsed_seconds(report: &Report) -> Option<f64> {
    let at = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let span = at(&report.run.ended_at)?.duration_since(at(&report.run.started_at)?);
    Some(finite(span.as_secs_f64()))
}

/// The streams of a link.
pub(crate) fn streams(link: &LinkReport) -> impl Iterator<Item = &LagStream> {
    link.checks.iter().flat_map(|check| match check {
        Check::Lag(check) => check.streams.as_slice(),
        _ => &[],
    })
}

/// One line about the lag of a link, without its verdict: `trading: stalled, 16.0MiB, 12.3s to 12.4s`.
pub(crate) fn link_lag_line(link: &LinkReport) -> String {
    let mut parts = Vec::new();
    match streams(link).max_by_key(|stream| weight(stream.state)) {
        Some(worst) => {
            let several = if streams(link).count() > 1 { format!("{} ", escape(&worst.stream)) } else { String::new() };
            parts.push(format!("{several}{}", state_text(worst.state)));
            if weight(worst.state) > 0 {
                parts.extend(worst.bytes.map(format_size));
                parts.extend(worst.records.map(|records| counted(records, "record")));
                parts.extend(worst.seconds_text());
            }
        }
        None => parts.push("lag could not be measured".to_owned()),
    }
    for check in &link.checks {
        if matches!(check, Check::Clock(_) | Check::Freshness(_)) && check.verdict() != Verdict::Pass {
            parts.push(format!("{}: {}", escape(&subject(check)), check.verdict()));
        }
        if let Check::Coverage(check) = check
            && !check.items.is_empty()
        {
            parts.push(format!("{} not replicated whole", counted(check.items.len() as u64, "thing")));
        }
    }
    format!("{}: {}", escape(&link.name), parts.join(", "))
}

/// One line about the lag of all links.
pub(crate) fn lag_line(report: &Report) -> String {
    match report.links.as_slice() {
        [] => "nothing was measured: no link was asked for".to_owned(),
        [only] => link_lag_line(only),
        several => {
            let worst = |link: &LinkReport| streams(link).map(|stream| stream.state).max_by_key(|state| weight(*state));
            let mut parts = vec![counted(several.len() as u64, "link")];
            let states = ["caught up", "behind", "unknown", "stalled", "broken"];
            for word in states.iter().rev() {
                let count = several.iter().filter(|link| worst(link).map_or("unknown", state_text) == *word).count();
                if count > 0 {
                    parts.push(format!("{count} {word}"));
                }
            }
            parts.join(", ")
        }
    }
}
