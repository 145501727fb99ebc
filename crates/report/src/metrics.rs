//! Metrics in the classic text format of Prometheus, for the textfile collector. An unknown value is an absent sample.
//!
//! Source of the form: Prometheus documentation, "Exposition formats", text format 0.0.4.

mod vitals;

use crate::summary::{elapsed_seconds, kind};
use crate::{AchievedIn, AchievedRpo, Check, Format, LagStream, LinkReport, RenderOptions, Report};
use paritas_model::{DifferenceCounts, Tier, Verdict};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// What each name means, and which kind it is of.
const FAMILIES: [(&str, &str, &str); 34] = [
    (
        "link_lag_seconds",
        "gauge",
        "Age of the oldest change that the replica does not show: the upper end of the interval.",
    ),
    ("link_lag_low_seconds", "gauge", "The same: the lower end of the interval, which is proven."),
    ("link_lag_bytes", "gauge", "Bytes of history that the replica does not show."),
    ("link_lag_records", "gauge", "Records that the replica does not show."),
    ("link_lag_versions", "gauge", "Versions that the replica does not show."),
    ("link_objective_seconds", "gauge", "What was promised, by objective: lag, rpo, rto, clock_skew, rtt, freshness."),
    ("link_last_observed_timestamp_seconds", "gauge", "When the replica was asked, in seconds since 1970."),
    ("check_verdict", "gauge", "0 pass, 1 warn, 2 fail, 3 unknown."),
    (
        "check_last_pass_timestamp_seconds",
        "gauge",
        "When the run ended in which the check passed; absent where it did not pass.",
    ),
    ("differences", "gauge", "Differing rows and files by class; absent where not everything was read."),
    ("differences_at_least", "gauge", "Differing rows and files that were found where not everything was read."),
    (
        "ledger_groups_mismatched",
        "gauge",
        "Groups that are proven to break their rule; absent where not everything was read.",
    ),
    ("rows_compared_total", "counter", "Rows that the run compared: per dataset the larger of both sides."),
    ("bytes_hashed_total", "counter", "Bytes that the run read from both sides."),
    ("achieved_rpo_seconds", "gauge", "Seconds of committed work that are lost: the upper end of the interval."),
    ("achieved_rpo_low_seconds", "gauge", "The same: the lower end of the interval, which is proven."),
    ("achieved_rto_seconds", "gauge", "Seconds without writes: the upper end of the interval."),
    ("achieved_rto_low_seconds", "gauge", "The same: the lower end of the interval, which is proven."),
    (
        "achieved_lost",
        "gauge",
        "Lost transactions, rows, records, files and bytes of log, by unit; absent where the number is not exact.",
    ),
    ("achieved_lost_at_least", "gauge", "The same where only a part of the number is proven."),
    ("failover_go", "gauge", "1 where the failover was judged GO, 0 where NO-GO."),
    ("group_lag_offsets", "gauge", "Offsets that a group of readers is behind."),
    ("group_lag_seconds", "gauge", "Age of the first record that a group has not read: the upper end of the interval."),
    (
        "clock_skew_seconds",
        "gauge",
        "Distance of a store's clock from that of this machine: the upper end of the interval.",
    ),
    ("clock_skew_low_seconds", "gauge", "The same: the lower end of the interval, which is proven."),
    ("region_rtt_seconds", "gauge", "Round trip of the quickest question, from this machine to a store."),
    ("freshness_age_seconds", "gauge", "Age of the newest row: the upper end of the interval."),
    ("freshness_age_low_seconds", "gauge", "The same: the lower end of the interval, which is proven."),
    (
        "quarantined_total",
        "counter",
        "Rows, differences and stores of the run whose times no clock can have shown, by kind.",
    ),
    ("region_health_score", "gauge", "Health of a region from 0 to 1, with everything unknown counted as 0."),
    ("region_health_score_high", "gauge", "The same with everything unknown counted as 1."),
    ("probe_success", "gauge", "1 where the probe passed, 0 where it failed; absent where it came to no result."),
    ("run_duration_seconds", "gauge", "How long the run took."),
    ("run_end_timestamp_seconds", "gauge", "When the run ended, in seconds since 1970."),
];

/// Names of which the smaller value is the worse one.
const GOOD: [&str; 4] = ["failover_go", "probe_success", "region_health_score", "region_health_score_high"];

/// The textfile.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// In front of every name, with its underscore.
    pub prefix: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { prefix: "paritas_".to_owned() }
    }
}

/// Labels in the order in which they are written; empty ones are left out.
type Labels = Vec<(&'static str, String)>;

/// All samples by name and labels, so that none occurs twice.
#[derive(Debug, Default)]
struct Samples(BTreeMap<&'static str, BTreeMap<Labels, f64>>);

impl Samples {
    /// Of two samples with the same labels the worse one stays: the larger one, but for those of [`GOOD`].
    fn put(&mut self, name: &'static str, labels: Labels, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        let labels = labels.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        let sample = self.0.entry(name).or_default().entry(labels).or_insert(value);
        *sample = if GOOD.contains(&name) { sample.min(value) } else { sample.max(value) };
    }
}

impl Format for Metrics {
    fn name(&self) -> &str {
        "metrics"
    }

    fn write(&self, report: &Report, _: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        self.write_all(std::slice::from_ref(report), out)
    }
}

impl Metrics {
    /// Every name, without what stands in front.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FAMILIES.into_iter().map(|(name, _, _)| name)
    }

    /// Several runs in one text. Where two of them say the same of the same, the worse one stays.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_all(&self, reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
        let mut samples = Samples::default();
        for report in reports {
            report.links.iter().for_each(|link| self::link(&mut samples, report, link));
            if let Some(found) = &report.recovery {
                achieved(&mut samples, found, &drill(report));
            }
            run(&mut samples, report);
        }
        // Of all runs together: what one of them did not look at another one may have.
        for one in crate::RegionHealth::of(reports.iter().flat_map(|report| &report.links)) {
            let labels = || vec![("region", one.region.0.clone())];
            samples.put("region_health_score", labels(), one.score);
            samples.put("region_health_score_high", labels(), one.score_high);
        }
        for (name, kind, help) in FAMILIES {
            let Some(family) = samples.0.get(name) else { continue };
            let name = format!("{}{name}", self.prefix);
            writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
            for (labels, value) in family {
                let labels: Vec<String> =
                    labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
                let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                writeln!(out, "{name}{labels} {value}")?;
            }
        }
        Ok(())
    }
}

/// The three characters that a label cannot hold as they are; and what nobody would see, which is a matter of ours.
fn escaped(text: &str) -> String {
    crate::escape(text).replace('\\', "\\\\").replace('"', "\\\"")
}

fn number(count: u64) -> Option<f64> {
    Some(count as f64)
}

fn timestamp(text: &str) -> Option<f64> {
    text.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond() as f64 / 1_000.0)
}

fn run(samples: &mut Samples, report: &Report) {
    let command = || vec![("command", report.run.command.clone())];
    samples.put("run_duration_seconds", command(), elapsed_seconds(report));
    samples.put("run_end_timestamp_seconds", command(), timestamp(&report.run.ended_at));
    let compares = |check: &Check| matches!(check, Check::Parity(_) | Check::Files(_) | Check::Ledger(_));
    if report.links.iter().flat_map(|link| &link.checks).any(compares) {
        let totals = crate::Totals::of(&report.links);
        samples.put("rows_compared_total", command(), number(totals.rows));
        samples.put("bytes_hashed_total", command(), number(totals.bytes));
    }
}

fn link(samples: &mut Samples, report: &Report, link: &LinkReport) {
    let of = |more: &[(&'static str, &str)]| -> Labels {
        let mut labels = vec![("link", link.name.clone())];
        labels.extend(more.iter().map(|(name, text)| (*name, (*text).to_owned())));
        labels
    };
    verdicts(samples, report, link);
    for check in &link.checks {
        match check {
            Check::Lag(check) => {
                let objective = of(&[("objective", "lag")]);
                samples.put("link_objective_seconds", objective, check.objective.map(|levels| levels.critical));
                check.streams.iter().for_each(|stream| self::stream(samples, link, stream));
            }
            Check::Parity(check) => {
                // A check that came to no result says nothing, and a count that may be too low is not the count.
                let complete = check.complete && check.problem.is_none();
                differences(samples, &of(&[("dataset", &check.dataset)]), &check.differences, complete);
                if check.differences.quarantined > 0 {
                    let labels = of(&[("dataset", &check.dataset), ("kind", "difference")]);
                    samples.put("quarantined_total", labels, number(check.differences.quarantined));
                }
            }
            Check::Files(check) => {
                let complete = check.problem.is_none();
                differences(samples, &of(&[("dataset", &check.dataset)]), &check.differences, complete);
            }
            Check::Ledger(check) if check.complete && check.problem.is_none() => {
                let labels = of(&[("dataset", &check.dataset), ("ledger", &check.name)]);
                samples.put("ledger_groups_mismatched", labels, number(check.mismatched));
            }
            Check::Groups(check) => {
                for group in &check.groups {
                    let labels = || of(&[("side", &check.side), ("group", &group.group)]);
                    samples.put("group_lag_offsets", labels(), group.offsets.and_then(number));
                    samples.put("group_lag_seconds", labels(), group.seconds.and_then(|seconds| seconds.high));
                }
            }
            Check::Clock(check) => vitals::clock(samples, link, check),
            Check::Freshness(check) => vitals::freshness(samples, link, check),
            Check::Probe(check) => {
                let success = match check.verdict {
                    Verdict::Pass | Verdict::Warn => Some(1.0),
                    Verdict::Fail => Some(0.0),
                    Verdict::Unknown => None,
                };
                samples.put("probe_success", of(&[]), success);
                rto(samples, &of(&[("drill", &drill(report))]), &check.rto);
            }
            _ => {}
        }
    }
    if let Some(recovery) = &link.recovery {
        let labels = || of(&[("drill", &drill(report))]);
        samples.put("failover_go", labels(), Some(f64::from(u8::from(recovery.goes()))));
        samples.put("link_objective_seconds", of(&[("objective", "rpo")]), recovery.rpo.objective);
        samples.put("achieved_rpo_seconds", labels(), recovery.rpo.seconds.high);
        samples.put("achieved_rpo_low_seconds", labels(), recovery.rpo.seconds.low);
        rto(samples, &labels(), &recovery.rto);
    }
}

/// The name of the drill that a report is part of; empty, and so no label, where it is none.
fn drill(report: &Report) -> String {
    match report.run.drill.as_deref() {
        Some("") => "unnamed".to_owned(),
        name => name.unwrap_or_default().to_owned(),
    }
}

/// Figures of a failover over several links. The label `scope` tells them from those of one link, which have none: `all`,
/// `tier` and `store`.
fn achieved(samples: &mut Samples, found: &crate::Achieved, drill: &str) {
    let scoped = |scope: &str, name: Option<&'static str>, one: &AchievedIn| -> Labels {
        let name = name.map(|name| (name, one.name.clone()));
        let drill = ("drill", drill.to_owned());
        std::iter::once(("scope", scope.to_owned())).chain(name).chain(std::iter::once(drill)).collect()
    };
    let whole = std::iter::once((scoped("all", None, &found.whole), &found.whole));
    let tiers = found.tiers.iter().map(|one| (scoped("tier", Some("tier"), one), one));
    let stores = found.stores.iter().map(|one| (scoped("store", Some("source"), one), one));
    for (labels, one) in whole.chain(tiers).chain(stores) {
        samples.put("failover_go", labels.clone(), Some(f64::from(u8::from(one.decision == "go"))));
        samples.put("achieved_rpo_seconds", labels.clone(), one.rpo.seconds.high);
        samples.put("achieved_rpo_low_seconds", labels.clone(), one.rpo.seconds.low);
        samples.put("achieved_rto_seconds", labels.clone(), one.rto.seconds.and_then(|seconds| seconds.high));
        samples.put("achieved_rto_low_seconds", labels.clone(), one.rto.seconds.and_then(|seconds| seconds.low));
        lost(samples, &labels, &one.rpo);
    }
    for one in &found.links {
        lost(samples, &vec![("link", one.name.clone()), ("drill", drill.to_owned())], &one.rpo);
    }
}

fn lost(samples: &mut Samples, labels: &Labels, rpo: &AchievedRpo) {
    let counts = [
        ("transactions", rpo.transactions),
        ("rows", rpo.rows),
        ("records", rpo.records),
        ("files", rpo.files),
        ("bytes", rpo.bytes),
    ];
    for (unit, count) in counts {
        let Some(count) = count else { continue };
        let mut labels = labels.clone();
        labels.push(("unit", unit.to_owned()));
        match count.exact {
            Some(exact) => samples.put("achieved_lost", labels, number(exact)),
            None if count.at_least > 0 => samples.put("achieved_lost_at_least", labels, number(count.at_least)),
            None => {}
        }
    }
}

/// One sample for each subject, also where several checks of a kind are about it.
fn verdicts(samples: &mut Samples, report: &Report, link: &LinkReport) {
    let mut verdicts: BTreeMap<(&str, &str, &str), Verdict> = BTreeMap::new();
    for check in &link.checks {
        let (dataset, side) = place(check);
        let verdict = verdicts.entry((kind(check), dataset, side)).or_insert(check.verdict());
        *verdict = Verdict::combine([*verdict, check.verdict()]);
    }
    for ((kind, dataset, side), verdict) in verdicts {
        let labels = || {
            let words = [("link", link.name.as_str()), ("check", kind), ("dataset", dataset), ("side", side)];
            let words = words.map(|(name, text)| (name, text.to_owned())).into_iter();
            words.chain(std::iter::once(("drill", drill(report)))).collect()
        };
        let code = match verdict {
            Verdict::Pass => 0.0,
            Verdict::Warn => 1.0,
            Verdict::Fail => 2.0,
            Verdict::Unknown => 3.0,
        };
        samples.put("check_verdict", labels(), Some(code));
        if verdict == Verdict::Pass {
            samples.put("check_last_pass_timestamp_seconds", labels(), timestamp(&report.run.ended_at));
        }
    }
}

/// The dataset and the side that a check is about.
fn place(check: &Check) -> (&str, &str) {
    match check {
        Check::Schema(check) => (&check.dataset, ""),
        Check::Parity(check) => (&check.dataset, ""),
        Check::Files(check) => (&check.dataset, ""),
        Check::Ledger(check) => (&check.name, ""),
        Check::Continuity(check) => (&check.dataset, &check.side),
        Check::Groups(check) => ("", &check.side),
        Check::Health(check) => ("", &check.side),
        Check::Freshness(check) => (&check.name, ""),
        _ => ("", ""),
    }
}

fn differences(samples: &mut Samples, labels: &Labels, counts: &DifferenceCounts, complete: bool) {
    let classes = [
        ("lost", counts.lost),
        ("extra", counts.extra),
        ("changed", counts.changed),
        ("in_flight", counts.in_flight),
        ("unproven", counts.unproven),
        ("unverifiable", counts.unverifiable),
        ("quarantined", counts.quarantined),
    ];
    for (class, count) in classes {
        let mut labels = labels.clone();
        labels.push(("class", class.to_owned()));
        if complete {
            samples.put("differences", labels, number(count));
        } else if count > 0 {
            samples.put("differences_at_least", labels, number(count));
        }
    }
}

fn stream(samples: &mut Samples, link: &LinkReport, stream: &LagStream) {
    let tier = match link.tier {
        Some(Tier::Hot) => "hot",
        Some(Tier::Warm) => "warm",
        Some(Tier::Cold) => "cold",
        None => "",
    };
    let labels = || {
        vec![
            ("link", link.name.clone()),
            ("source", link.source.name.clone()),
            ("replica", link.replica.name.clone()),
            ("tier", tier.to_owned()),
            ("stream", stream.stream.clone()),
        ]
    };
    samples.put("link_lag_seconds", labels(), stream.seconds.and_then(|seconds| seconds.high));
    samples.put("link_lag_low_seconds", labels(), stream.seconds.map(|seconds| seconds.low));
    samples.put("link_lag_bytes", labels(), stream.bytes.and_then(number));
    samples.put("link_lag_records", labels(), stream.records.and_then(number));
    samples.put("link_lag_versions", labels(), stream.versions.and_then(number));
    samples.put("link_last_observed_timestamp_seconds", labels(), stream.observed_at.as_deref().and_then(timestamp));
}

fn rto(samples: &mut Samples, labels: &Labels, rto: &crate::Rto) {
    let mut objective = labels.clone();
    objective.push(("objective", "rto".to_owned()));
    samples.put("link_objective_seconds", objective, rto.objective);
    samples.put("achieved_rto_seconds", labels.clone(), rto.seconds.and_then(|seconds| seconds.high));
    samples.put("achieved_rto_low_seconds", labels.clone(), rto.seconds.and_then(|seconds| seconds.low));
}
