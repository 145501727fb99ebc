//! What a failover would lose now, from a report of `paritas lag`.

use super::{levels_of, objective, together, without_objective};
use crate::lag::levels as limits;
use jiff::Timestamp;
use paritas_config::Config;
use paritas_lag::{Interval, Levels};
use paritas_model::{LagState, Verdict};
use paritas_report::{
    Bounds, Check, LagCheck, LagStream, LinkReport, Report, SCHEMA_VERSION, SimulatedLink, SimulatedStream,
    SimulationDocument, WouldLose,
};
use std::time::Duration;

/// What a failover would lose at the moment of a measurement of lag.
pub fn simulated(report: &Report, config: Option<&Config>, deny_warnings: bool) -> SimulationDocument {
    let links: Vec<SimulatedLink> = report.links.iter().map(|link| of_link(link, config)).collect();
    let verdict = Verdict::combine(links.iter().map(|link| link.verdict));
    // A measurement that could not look at everything proves nothing about the rest.
    let verdict = if report.verdict == Verdict::Unknown { verdict.max(Verdict::Unknown) } else { verdict };
    SimulationDocument {
        schema_version: SCHEMA_VERSION,
        message_type: "simulation".to_owned(),
        at: Timestamp::now().to_string(),
        run: Some(report.run.id.clone()),
        window: None,
        verdict,
        exit_code: verdict.exit_code(deny_warnings),
        tiers: together::tiers(&links, &together::now),
        whole: together::now(None, &links.iter().collect::<Vec<_>>()),
        links,
        not_indexed: Vec::new(),
    }
}

fn of_link(link: &LinkReport, config: Option<&Config>) -> SimulatedLink {
    let levels = levels_of(config, &link.name);
    let lag = link.checks.iter().find_map(|check| match check {
        Check::Lag(lag) => Some(lag),
        _ => None,
    });
    let streams: Vec<SimulatedStream> = lag.map(|lag| streams(lag, levels.map(limits).as_ref())).unwrap_or_default();
    let problem = lag.and_then(|lag| lag.problem.clone());
    let mut verdict = Verdict::combine(streams.iter().map(|stream| stream.verdict));
    if problem.is_some() {
        verdict = verdict.max(Verdict::Unknown);
    }
    let lost: Vec<&WouldLose> = streams.iter().filter_map(|stream| stream.now.as_ref()).collect();
    let now = together::lose(&lost, problem.as_ref().map(|problem| problem.message.as_str()));
    SimulatedLink {
        name: link.name.clone(),
        tier: link.tier,
        verdict,
        objective: levels.as_ref().map(objective),
        now: Some(now),
        over_time: None,
        streams,
        not_checked: without_objective(levels.as_ref()).into_iter().collect(),
        problem,
    }
}

fn streams(lag: &LagCheck, levels: Option<&Levels>) -> Vec<SimulatedStream> {
    let of = |stream: &LagStream| {
        let now = lost(stream);
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let interval = now.seconds.low.map(|low| Interval { low: seconds(low), high: now.seconds.high.map(seconds) });
        let verdict = paritas_lag::verdict(stream.state, interval.as_ref(), levels);
        SimulatedStream {
            stream: stream.stream.clone(),
            verdict,
            state: Some(stream.state),
            now: Some(now),
            over_time: None,
        }
    };
    lag.streams.iter().map(of).collect()
}

/// What of a stream would be lost.
fn lost(stream: &LagStream) -> WouldLose {
    // Of what is broken, or not seen, nobody knows how long it goes on.
    let limited = !matches!(stream.state, LagState::Broken | LagState::Unknown);
    let mut why = stream.why.clone();
    why.retain(|name, _| !name.ends_with("position"));
    let high = stream.seconds.and_then(|seconds| seconds.high).filter(|_| limited);
    if high.is_none() && !why.contains_key("seconds") && !why.contains_key("seconds.high") {
        let text = stream.reason.clone().unwrap_or_else(|| "the replica does not follow its source".to_owned());
        why.insert("seconds.high".to_owned(), text);
    }
    let known = |figure: Option<u64>| figure.filter(|_| limited);
    for (name, figure) in [("bytes", stream.bytes), ("records", stream.records), ("versions", stream.versions)] {
        if figure.is_some() && !limited {
            why.insert(name.to_owned(), "the replica does not follow its source: there may be more".to_owned());
        }
    }
    WouldLose {
        seconds: Bounds { low: stream.lost_seconds(), high },
        bytes: known(stream.bytes),
        records: known(stream.records),
        versions: known(stream.versions),
        method: stream.method.clone(),
        why,
    }
}
