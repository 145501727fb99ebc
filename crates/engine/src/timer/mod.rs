//! What a timer calls: everything that the schedule of the configuration says is due, and nothing else.
//!
//! What was done is kept in the state, so that a timer may call as often as it likes. A verification in slices is one
//! run that is gone on with again and again, until everything was verified.

mod due;
mod jobs;

use crate::links::chosen_links;
use crate::{Budget, Error, Monitor, Options, Result};
use due::{Due, Times, look};
use jiff::{Timestamp, Unit};
use jobs::Jobs;
use paritas_config::{Config, LinkConfig, Schedule};
use paritas_connect::Context;
use paritas_model::{StoreKind, Verdict};
use paritas_report::{Report, SCHEMA_VERSION, TimerDocument};
use paritas_state::{State, Which};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

/// Does what is due of the links of these names, or of all.
///
/// # Errors
/// Unknown names, nothing scheduled, no state folder (exit code 2); another run that holds the state (exit code 3).
pub async fn run_due(
    cx: &Context,
    config: &Config,
    names: &[String],
    options: &Options,
    monitor: &Monitor,
) -> Result<TimerDocument> {
    let started = Timestamp::now();
    let Some(schedule) = config.schedule.as_ref().filter(|schedule| **schedule != Schedule::default()) else {
        let message = "nothing is scheduled";
        let hint = "say in [schedule] how often: lag = \"30s\", snapshot = \"15m\", verify = \"1d\"";
        return Err(Error::usage("config.schedule", message, hint));
    };
    let links = chosen_links(config, names)?;
    let Some(folder) = options.state.clone().or_else(|| config.state.clone()) else {
        let hint = "name the folder with --state DIR, or set `state` in [paritas]";
        return Err(Error::usage("usage.state", "a timer needs a state folder, to know what it has done", hint));
    };
    let state = State::open(folder.clone()).map_err(|error| crate::error::of_state(&error))?;
    let _lock = state.lock().map_err(|error| crate::error::of_state(&error))?;
    let times = state.load_timer().map_err(|error| crate::error::of_state(&error))?;
    let times: Times = times.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let dues: Vec<(&LinkConfig, Due)> = links
        .iter()
        .map(|link| {
            let own = times.links.get(&link.name).cloned().unwrap_or_default();
            (*link, look(schedule, &own, has_lag(config, link), started))
        })
        .collect();
    let idle = dues.iter().filter(|(_, due)| !due.lag && !due.snapshot && due.verify.is_none()).count() as u64;
    let next = dues.iter().filter_map(|(_, due)| due.next).min();
    let budget = schedule.verify.as_ref().and_then(|verify| verify.budget.as_deref());
    let options = Options {
        state: Some(folder),
        budget: options.budget.or_else(|| budget.and_then(|text| Budget::from_str(text).ok())),
        ..options.clone()
    };
    let mut jobs = Jobs { cx, config, options: &options, monitor, state: &state, times, done: Vec::new() };
    jobs.all(&dues).await;
    let verdict = match jobs.done.is_empty() {
        true => Verdict::Pass,
        false => Verdict::combine(jobs.done.iter().map(|job| job.verdict)),
    };
    Ok(TimerDocument {
        schema_version: SCHEMA_VERSION,
        message_type: "timer".to_owned(),
        started_at: started.to_string(),
        ended_at: Timestamp::now().to_string(),
        verdict,
        exit_code: verdict.exit_code(options.deny_warnings),
        jobs: jobs.done,
        idle,
        next: next.and_then(|at| at.round(Unit::Second).ok()).map(|at| at.to_string()),
    })
}

/// The last run of each job of each link that is configured, as far as they are kept: what a timer knows.
///
/// # Errors
/// When the state folder cannot be read (exit code 3).
pub fn last_runs(config: &Config, options: &Options) -> Result<Vec<Report>> {
    let Some(folder) = options.state.as_ref().or(config.state.as_ref()) else { return Ok(Vec::new()) };
    let state = State::open(folder.clone()).map_err(|error| crate::error::of_state(&error))?;
    let times = state.load_timer().map_err(|error| crate::error::of_state(&error))?;
    let times: Times = times.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let mut links: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (link, own) in times.links.iter().filter(|(link, _)| config.link(link).is_some()) {
        for run in own.runs.values() {
            links.entry(run).or_default().insert(link);
        }
    }
    let mut reports = Vec::new();
    for (run, links) in links {
        // One that was removed since, or is damaged, is not known any more.
        let Some(id) = run.parse().ok() else { continue };
        let Ok(stored) = crate::stored_run(Some(folder), Which::Id(id)) else { continue };
        let mut report = stored.report;
        report.links.retain(|link| links.contains(link.name.as_str()));
        reports.push(report);
    }
    Ok(reports)
}

/// Whether both stores have streams that could lag.
fn has_lag(config: &Config, link: &LinkConfig) -> bool {
    let kind = |name: &str| config.store(name).map(|store| store.kind);
    let (source, replica) = (kind(&link.source), kind(&link.replica));
    source == replica && matches!(source, Some(StoreKind::Postgres | StoreKind::Kafka))
}
