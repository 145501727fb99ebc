//! Whether numbers that records carry follow each other without gaps, for the report.

use super::LogOptions;
use super::seen::{Both, Seen, Wanted};
use crate::Options;
use crate::error::problem_of;
use crate::record::sided;
use paritas_connect::logs::{Isolation, Partition};
use paritas_logs::sequence::{CounterReport, Counting, FieldAt, NumberRun};
use paritas_model::Verdict;
use paritas_report::{Check, ContinuityCheck, ContinuityItem, Problem};
use paritas_verify::logs::{ContinuityAsk, Counted, LogSide, continuity};
use paritas_verify::rows::Origin;
use std::time::Instant;

/// Partitions that one call reads.
const PARTITIONS_AT_ONCE: usize = 64;

/// One check for each side of every log of the link; none where nobody said where numbers are.
pub(crate) async fn checks(
    both: &Both,
    seen: &Seen,
    wanted: &Wanted<'_>,
    log_options: &LogOptions,
    options: &Options,
) -> Vec<Check> {
    let Some(counting) = &log_options.counting else { return Vec::new() };
    let mut checks = Vec::new();
    for one in seen.mirrored(wanted) {
        let of = |log: &str| one.partitions.iter().map(|index| Partition::new(log, *index)).collect::<Vec<_>>();
        let sides = [
            ("source", &both.source, Origin::Source, of(&one.source)),
            ("replica", &both.replica, Origin::Replica, of(&one.replica)),
        ];
        for (side, log_side, origin, partitions) in sides {
            let place = Place { dataset: &one.source, side, origin, partitions: &partitions };
            checks.push(check(log_side, &place, counting, options.max_differences).await);
        }
    }
    checks
}

/// Where numbers are looked for.
struct Place<'a> {
    dataset: &'a str,
    side: &'a str,
    origin: Origin,
    partitions: &'a [Partition],
}

async fn check(side: &LogSide, place: &Place<'_>, counting: &Counting, max: usize) -> Check {
    let began = Instant::now();
    let ask = ContinuityAsk {
        side,
        origin: place.origin,
        partitions: place.partitions,
        counting,
        isolation: Isolation::Committed,
        partitions_at_once: PARTITIONS_AT_ONCE,
    };
    let mut check = ContinuityCheck {
        dataset: place.dataset.to_owned(),
        side: place.side.to_owned(),
        verdict: Verdict::Unknown,
        records: 0,
        sequences: 0,
        missing: 0,
        repeated: 0,
        disordered: 0,
        unreadable: 0,
        items: Vec::new(),
        items_truncated: false,
        seconds: 0.0,
        problem: None,
    };
    match continuity(&ask).await {
        Ok(counted) => fill(&mut check, &counted, place, max),
        Err((origin, error)) => check.problem = Some(sided(origin, problem_of(&error))),
    }
    check.seconds = began.elapsed().as_secs_f64();
    Check::Continuity(check)
}

fn fill(check: &mut ContinuityCheck, counted: &Counted, place: &Place<'_>, max: usize) {
    let whole = &counted.continuity;
    let unread = (!counted.problems.is_empty()).then_some(Verdict::Unknown);
    check.verdict = Verdict::combine([whole.verdict].into_iter().chain(unread));
    check.records = whole.records;
    check.sequences = whole.counters.len() as u64;
    let sum = |of: fn(&CounterReport) -> u64| whole.counters.iter().map(of).fold(0, u64::saturating_add);
    check.missing = sum(|counter| counter.missing);
    check.repeated = sum(|counter| counter.duplicates);
    check.disordered = sum(|counter| counter.late.saturating_add(counter.early));
    check.unreadable = whole.unreadable;
    let items = whole.counters.iter().flat_map(items).chain(whole.examples.iter().map(|example| ContinuityItem {
        sequence: example.partition.to_string(),
        kind: format!("unreadable ({})", example.why),
        numbers: None,
        count: 1,
        offset: Some(example.offset),
    }));
    check.items = items.take(max.saturating_add(1)).collect();
    check.items_truncated = check.items.len() > max || whole.counters.iter().any(|counter| counter.cut);
    check.items.truncate(max);
    if let Some(first) = counted.problems.first() {
        check.problem = Some(Problem {
            code: "log.unreadable".to_owned(),
            message: format!("{}: not every partition was read to its end", place.side),
            detail: Some(first.clone()),
            hint: Some("see whether the brokers that lead them answer, and verify again".to_owned()),
        });
    }
}

/// The breaks of one counter.
fn items(counter: &CounterReport) -> Vec<ContinuityItem> {
    let sequence = match (&counter.partition, &counter.name) {
        (Some(partition), Some(name)) => format!("{partition} {name}"),
        (Some(partition), None) => partition.to_string(),
        (None, Some(name)) => name.clone(),
        (None, None) => "all partitions".to_owned(),
    };
    let of = |kind: &'static str, runs: &[NumberRun]| {
        let item = |run: &NumberRun| ContinuityItem {
            sequence: sequence.clone(),
            kind: kind.to_owned(),
            numbers: Some((run.from.to_string(), run.to.to_string())),
            count: run.numbers(),
            offset: Some(run.first_offset),
        };
        runs.iter().map(item).collect::<Vec<_>>()
    };
    [of("gap", &counter.gaps), of("duplicate", &counter.repeats), of("reorder", &counter.late_runs)].concat()
}

/// Where records have a number, and the name of whoever counts, as `sequence` and `sequence_of` say it.
///
/// # Errors
/// Why a text means nothing.
pub(crate) fn counting(number: &str, counter: Option<&str>) -> Result<Counting, String> {
    let mut counting = Counting::of(number.parse::<FieldAt>()?);
    counting.counter = counter.map(str::parse::<FieldAt>).transpose()?;
    Ok(counting)
}
