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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const CONFIG: &str = "[store.a]\nkind = \"postgres\"\nurl = \"postgres://a/d\"\n[store.b]\nkind = \"postgres\"\n\
                          url = \"postgres://b/d\"\n[[link]]\nname = \"trading\"\nsource = \"a\"\nreplica = \"b\"\n\
                          objectives = { rpo = \"5s\" }\n";

    /// A report with one stream at these positions.
    fn report(stream: &str, state: &str, seconds: &serde_json::Value, received: Option<&str>) -> Report {
        let store = json!({"store": "a", "kind": "postgres", "region": null});
        let details = received.map(|received| json!({"received": received})).unwrap_or_else(|| json!({}));
        serde_json::from_value(json!({
            "schema_version": 1, "message_type": "report", "verdict": "pass", "exit_code": 0,
            "run": {"id": "x", "command": "lag", "started_at": "", "ended_at": "", "version": "", "config": null},
            "links": [{"name": "trading", "tier": null, "verdict": "pass", "source": store, "replica": store,
                "not_checked": [], "checks": [{"check": "lag", "verdict": "pass", "objective": null, "samples": 1,
                "seconds": 0.1, "streams": [{"stream": stream, "state": state, "bytes": 100, "records": null,
                    "versions": null, "seconds": seconds, "method": "curve", "source_position": "1/0/90",
                    "replica_position": "1/0/50", "observed_at": null, "details": details}]}]}]
        }))
        .unwrap()
    }

    #[rstest]
    #[case::within("wal/1", "behind", (1.0, Some(2.0)), None, Verdict::Pass, Some(1.0))]
    #[case::beyond("wal/1", "behind", (6.0, Some(7.0)), None, Verdict::Fail, Some(6.0))]
    #[case::beyond_and_nothing_more_received("wal/1", "behind", (6.0, Some(7.0)), Some("0/50"), Verdict::Fail, Some(6.0))]
    #[case::received_and_not_shown("wal/1", "stalled", (6.0, Some(7.0)), Some("0/90"), Verdict::Unknown, Some(0.0))]
    #[case::received_by_a_subscription("subscription/s", "behind", (6.0, Some(7.0)), Some("0/90"), Verdict::Fail, Some(6.0))]
    #[case::no_upper_end("wal/1", "behind", (1.0, None), None, Verdict::Unknown, Some(1.0))]
    #[case::not_seen("wal/1", "unknown", (1.0, Some(2.0)), None, Verdict::Unknown, Some(1.0))]
    #[case::broken("wal/1", "broken", (1.0, Some(2.0)), None, Verdict::Fail, Some(1.0))]
    #[case::caught_up("wal/1", "caught_up", (0.0, Some(0.0)), None, Verdict::Pass, Some(0.0))]
    fn what_would_be_lost_is_held_against_the_objective(
        #[case] stream: &str,
        #[case] state: &str,
        #[case] (low, high): (f64, Option<f64>),
        #[case] received: Option<&str>,
        #[case] expected: Verdict,
        #[case] lost: Option<f64>,
    ) {
        let config = paritas_config::parse("paritas.toml", CONFIG).unwrap();
        let report = report(stream, state, &json!({"low": low, "high": high}), received);
        let found = simulated(&report, Some(&config), false);
        assert_eq!(found.verdict, expected, "{found:#?}");
        let now = found.links[0].now.clone().unwrap();
        assert_eq!(now.seconds.low, lost);
        let limited = !["broken", "unknown"].contains(&state);
        assert_eq!(now.seconds.high, high.filter(|_| limited));
        assert_eq!(now.why.contains_key("seconds.high"), now.seconds.high.is_none());
    }
}
