//! `paritas history`: from the tables to the document.

use super::{NotTaken, open};
use crate::{Error, Options, Result};
use jiff::Timestamp;
use paritas_config::Config;
use paritas_model::{LagState, Verdict};
use paritas_report::{
    AchievedSeconds, Bounds, Figures, HistoryDocument, HistoryLag, HistoryRecovery, HistoryRun, HistoryRunLink,
    HistoryVerdicts, LostCount, NotIndexed, Percentiles, Problem, RecoveryPercentiles, SCHEMA_VERSION, VerdictAt,
    VerdictCounts, VerdictDay,
};
use paritas_state::history::{
    Achieved, Aggregate, History, Lost, Recovered, RunEntry, RunFilter, Span, Stream, Values, Verdicts, Window,
};
use paritas_state::{State, StateError};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use ulid::Ulid;

/// The whole file is looked at before it is asked up to this size. What is read is checked in any case.
const CHECKED_BYTES_MAX: u64 = 64 << 20;

/// What is asked of the history.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// One link alone.
    pub link: Option<String>,
    /// How far back.
    pub since: Duration,
    /// Runs that are listed at most.
    pub limit: usize,
}

/// What stored runs found over a time.
///
/// # Errors
/// Without a state folder (exit code 2), and where the history cannot be read (3).
pub fn history(config: Option<&Config>, options: &Options, query: &HistoryQuery) -> Result<HistoryDocument> {
    let (state, history, not_taken) = opened(config, options)?;
    let until = super::now();
    let since = until.saturating_sub(i64::try_from(query.since.as_micros()).unwrap_or(i64::MAX));
    let link = query.link.as_deref();
    known_link(&history, config, link)?;
    let ask = || -> std::result::Result<HistoryDocument, StateError> {
        let (runs, total) = history.runs(RunFilter { link, since, limit: Some(query.limit) })?;
        let recoveries = history.recoveries(link, since)?;
        let lag = history.streams(link)?.into_iter().map(|stream| of_stream(&history, &stream, since, until));
        Ok(HistoryDocument {
            schema_version: SCHEMA_VERSION,
            message_type: "history".to_owned(),
            state: state.folder().display().to_string(),
            since: text(since),
            until: text(until),
            link: query.link.clone(),
            exit_code: if not_taken.is_empty() { 0 } else { Verdict::Unknown.exit_code(false) },
            runs_by_verdict: counts(history.run_verdicts(link, since)?),
            runs_truncated: total > runs.len() as u64,
            runs: runs.iter().map(of_run).collect(),
            verdicts: verdicts(history.verdicts(link, since)?),
            lag: lag.filter_map(std::result::Result::transpose).collect::<std::result::Result<_, _>>()?,
            recovered: recovered(&recoveries),
            recoveries: recoveries.iter().map(recovery).collect(),
            not_indexed: not_taken.iter().map(not_indexed).collect(),
        })
    };
    ask().map_err(|error| from_state(&error))
}

/// The state folder of a command, and its history with everything that there is.
pub(crate) fn opened(config: Option<&Config>, options: &Options) -> Result<(State, History, Vec<NotTaken>)> {
    let configured = config.and_then(|config| config.state.as_deref());
    let folder: &Path = options.state.as_deref().or(configured).ok_or_else(|| {
        let hint = "name it with --state DIR, or set `state` in [paritas]";
        Error::usage("usage.state", "there is no state folder with stored runs", hint)
    })?;
    let retention = config.map_or(options.retention, |config| super::retention(config.retention));
    let state = State::open(folder).map_err(|error| from_state(&error))?;
    let (history, not_taken) = open(&state, retention).map_err(|error| from_state(&error))?;
    let small = std::fs::metadata(history.path()).is_ok_and(|file| file.len() <= CHECKED_BYTES_MAX);
    if small {
        history.check().map_err(|error| from_state(&error))?;
    }
    Ok((state, history, not_taken))
}

/// A name that neither the configuration nor the history knows is a mistake.
fn known_link(history: &History, config: Option<&Config>, link: Option<&str>) -> Result<()> {
    let Some(link) = link else { return Ok(()) };
    let mut known = history.link_names().map_err(|error| from_state(&error))?;
    known.extend(config.into_iter().flat_map(|config| &config.links).map(|link| link.name.clone()));
    if known.iter().any(|own| own == link) {
        return Ok(());
    }
    known.sort();
    known.dedup();
    let near = config.and_then(|config| config.nearest_link(link));
    let hint = match near {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => "no run was recorded yet: run `paritas lag` or `paritas verify` first".to_owned(),
        None => format!("links with runs are: {}", known.join(", ")),
    };
    Err(Error::usage("usage.link", format!("there is no link {link:?}"), hint))
}

pub(crate) fn from_state(error: &StateError) -> Error {
    Error::inconclusive(Problem {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail_text().map(str::to_owned),
        hint: Some(error.hint_text().to_owned()),
    })
}

fn not_indexed(one: &NotTaken) -> NotIndexed {
    NotIndexed { run: one.run.clone(), why: one.why.clone() }
}

/// A moment, RFC 3339 in UTC.
pub(crate) fn text(micros: i64) -> String {
    Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}

fn of_id(run: Ulid) -> String {
    text(i64::try_from(run.timestamp_ms()).unwrap_or(0).saturating_mul(1_000))
}

fn counts(verdicts: Vec<(Verdict, u64)>) -> VerdictCounts {
    let mut counts = VerdictCounts::default();
    verdicts.into_iter().for_each(|(verdict, count)| counts.add(verdict, count));
    counts
}

fn of_run(run: &RunEntry) -> HistoryRun {
    let links = run.links.iter().map(|link| HistoryRunLink {
        name: link.name.clone(),
        tier: link.tier,
        verdict: link.verdict,
        checks: link.checks.len() as u64,
    });
    HistoryRun {
        id: run.id.to_string(),
        command: run.command.clone(),
        started_at: text(run.started),
        ended_at: text(run.ended),
        verdict: run.verdict,
        exit_code: run.exit_code,
        drill: run.drill.clone(),
        links: links.collect(),
    }
}

fn verdicts(rows: Vec<Verdicts>) -> Vec<HistoryVerdicts> {
    let mut by_check: BTreeMap<(String, String, Option<String>), Vec<Verdicts>> = BTreeMap::new();
    for row in rows {
        by_check.entry((row.link.clone(), row.check.clone(), row.dataset.clone())).or_default().push(row);
    }
    let newest = |rows: &[Verdicts], chosen: &dyn Fn(&Verdicts) -> bool| {
        let newest = rows.iter().filter(|row| chosen(row)).max_by_key(|row| row.last)?;
        Some(VerdictAt { verdict: newest.verdict, run: newest.last.to_string(), at: of_id(newest.last) })
    };
    let of = |((link, check, dataset), rows): ((String, String, Option<String>), Vec<Verdicts>)| {
        let mut counts = VerdictCounts::default();
        let mut days: BTreeMap<i64, VerdictCounts> = BTreeMap::new();
        for row in &rows {
            counts.add(row.verdict, row.count);
            days.entry(row.day).or_default().add(row.verdict, row.count);
        }
        let day = |(day, counts): (i64, VerdictCounts)| {
            let begins = text(day.saturating_mul(86_400_000_000));
            VerdictDay { day: begins.get(..10).unwrap_or_default().to_owned(), counts }
        };
        let last = newest(&rows, &|_| true)?;
        let last_pass = newest(&rows, &|row| row.verdict == Verdict::Pass);
        Some(HistoryVerdicts {
            link,
            check,
            dataset,
            counts,
            last,
            last_pass,
            days: days.into_iter().map(day).collect(),
        })
    };
    by_check.into_iter().filter_map(of).collect()
}

/// Nothing of a stream that was not seen in this time.
fn of_stream(
    history: &History,
    stream: &Stream,
    since: i64,
    until: i64,
) -> std::result::Result<Option<HistoryLag>, StateError> {
    let Window { all, from, to, .. } = history.window(stream, since, until)?;
    if all.samples() == 0 {
        return Ok(None);
    }
    let states = [LagState::CaughtUp, LagState::Behind, LagState::Stalled, LagState::Broken, LagState::Unknown];
    let seen = states.into_iter().map(|state| (state.as_str().to_owned(), all.seen(state)));
    let lag = HistoryLag {
        link: stream.link.clone(),
        stream: stream.name.clone(),
        from: text(from),
        to: text(to),
        samples: all.samples(),
        unknown: all.unknown(),
        unbounded: all.unbounded,
        states: seen.filter(|(_, count)| *count > 0).collect(),
        seconds: percentiles(&all),
        bytes: figures(&all.bytes),
        records: figures(&all.records),
        versions: figures(&all.versions),
        why: BTreeMap::new(),
    };
    Ok(Some(with_reasons(lag)))
}

fn with_reasons(mut lag: HistoryLag) -> HistoryLag {
    let mut add = |name: &str, why: &str| drop(lag.why.insert(name.to_owned(), why.to_owned()));
    match lag.seconds {
        None => add("seconds", "no sample of this time knows how far the replica was behind"),
        Some(all) if all.max.high.is_none() => {
            add("seconds.high", "samples without an upper end count as larger than all others");
        }
        Some(_) => {}
    }
    let counted =
        [("bytes", lag.bytes.is_none()), ("records", lag.records.is_none()), ("versions", lag.versions.is_none())];
    for (name, _) in counted.into_iter().filter(|(_, absent)| *absent) {
        add(name, "no sample of this time counts it");
    }
    lag
}

/// An interval in seconds.
pub(crate) fn bounds(span: Span) -> Bounds {
    Bounds { low: span.low.map(seconds), high: span.high.map(seconds) }
}

/// Microseconds as seconds.
#[allow(clippy::cast_precision_loss)] // beyond 285 years
pub(crate) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn percentiles(all: &Aggregate) -> Option<Percentiles> {
    let of = |thousandths| all.lag(thousandths).map(bounds);
    Some(Percentiles { p50: of(500)?, p95: of(950)?, p99: of(990)?, max: of(1_000)? })
}

fn figures(values: &Values) -> Option<Figures> {
    let of = |thousandths| Aggregate::figure(values, thousandths);
    Some(Figures { p50: of(500)?, p95: of(950)?, p99: of(990)?, max: of(1_000)? })
}

fn kind(drill: Option<&str>) -> &'static str {
    if drill.is_some() { "drill" } else { "incident" }
}

fn recovery(one: &Recovered) -> HistoryRecovery {
    HistoryRecovery {
        run: one.run.to_string(),
        at: text(one.started),
        command: one.command.clone(),
        link: one.link.clone(),
        kind: kind(one.drill.as_deref()).to_owned(),
        drill: one.drill.clone(),
        decision: one.facts.decision.clone(),
        rpo: achieved(&one.facts.rpo),
        rto: achieved(&one.facts.rto),
        transactions: lost(one.facts.transactions),
        records: lost(one.facts.records),
        rows: lost(one.facts.rows),
        bytes: lost(one.facts.bytes),
    }
}

fn achieved(one: &Achieved) -> AchievedSeconds {
    AchievedSeconds {
        verdict: one.verdict,
        objective: one.objective.map(seconds),
        seconds: bounds(one.span),
        method: one.method.clone(),
        why: one.why.clone(),
    }
}

fn lost(one: Lost) -> LostCount {
    LostCount { exact: one.exact, at_least: one.at_least }
}

fn recovered(all: &[Recovered]) -> Vec<RecoveryPercentiles> {
    let mut by_kind: BTreeMap<(&str, &str), Vec<&Recovered>> = BTreeMap::new();
    for one in all {
        by_kind.entry((&one.link, kind(one.drill.as_deref()))).or_default().push(one);
    }
    let of = |((link, kind), all): ((&str, &str), Vec<&Recovered>)| {
        let spans = |pick: &dyn Fn(&Recovered) -> Span| {
            Percentiles::of(&all.iter().map(|one| bounds(pick(one))).collect::<Vec<_>>())
        };
        let kept = |verdict: Option<Verdict>| verdict.is_some_and(|verdict| verdict <= Verdict::Warn);
        let within = all.iter().filter(|one| kept(one.facts.rpo.verdict) && kept(one.facts.rto.verdict));
        Some(RecoveryPercentiles {
            link: link.to_owned(),
            kind: kind.to_owned(),
            count: all.len() as u64,
            within: within.count() as u64,
            rpo: spans(&|one| one.facts.rpo.span)?,
            rto: spans(&|one| one.facts.rto.span)?,
        })
    };
    by_kind.into_iter().filter_map(of).collect()
}
