//! Reports of `paritas lag` as text, as JSON and as a plugin's line.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{link, report};
use paritas_model::{LagState, Verdict};
use paritas_report::{
    Called, Check, CoverageCheck, CoverageItem, Format, Human, Json, LagCheck, LagObjective, LagSeconds, LagStream,
    Nagios, RenderOptions, Report,
};
use rstest::rstest;

fn stream(state: LagState, bytes: Option<u64>, seconds: Option<(f64, Option<f64>)>) -> LagStream {
    let plain = matches!(state, LagState::CaughtUp | LagState::Behind);
    LagStream {
        stream: "wal/1".into(),
        state,
        reason: (!plain).then(|| "replay is paused".into()),
        hint: (!plain).then(|| "on the replica: SELECT pg_wal_replay_resume()".into()),
        bytes,
        source_lineage: Some("7/1".into()),
        records: None,
        versions: None,
        seconds: seconds.map(|(low, high)| LagSeconds { low, high }),
        method: Some("curve".into()),
        source_position: Some("1/0/5000148".into()),
        replica_position: Some("1/0/4000060".into()),
        observed_at: Some("2026-11-21T03:00:00Z".into()),
        why: [("records".to_owned(), "counted in bytes".to_owned())].into(),
        details: [("slot".to_owned(), "p2, active".to_owned())].into(),
    }
}

fn lag(verdict: Verdict, streams: Vec<LagStream>) -> Check {
    Check::Lag(LagCheck {
        verdict,
        objective: Some(LagObjective { target: None, warning: Some(1.0), critical: 5.0 }),
        streams,
        samples: 3,
        curves: Vec::new(),
        seconds: 0.1,
        notes: Vec::new(),
        problem: None,
    })
}

fn coverage() -> Check {
    let item = CoverageItem {
        what: "public.audit".into(),
        kind: "not_published".into(),
        verdict: Verdict::Fail,
        why: "no publication of subscription s has it".into(),
        consequence: "its rows never reach the replica".into(),
    };
    Check::Coverage(CoverageCheck { verdict: Verdict::Fail, datasets: 12, items: vec![item], problem: None })
}

fn of_lag(checks: Vec<Check>) -> Report {
    let mut report = report(vec![link("trading", checks)]);
    report.run.command = "lag".into();
    report
}

fn written(format: &dyn Format, report: &Report) -> String {
    let mut bytes = Vec::new();
    format.write(report, &RenderOptions::default(), &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_stalled_stream_says_how_far_why_and_what_to_do() {
    let report = of_lag(vec![
        lag(Verdict::Fail, vec![stream(LagState::Stalled, Some(16 << 20), Some((12.3, None)))]),
        coverage(),
    ]);
    let text = written(&Human { called: Called::default() }, &report);
    let expected = "\
FAIL  trading: stalled, 16.0MiB, at least 12.3s, 1 thing not replicated whole; sampled in 4.2s
  source  pg-east (postgres, us-east-1)
  replica pg-west (postgres, us-west-2)
  wal/1  stalled  16.0MiB behind, at least 12.3s
    reason: replay is paused
    hint: on the replica: SELECT pg_wal_replay_resume()
    positions: source 1/0/5000148, replica 1/0/4000060
    stores say: slot: p2, active
  objective: warning 1s, critical 5s
  coverage fail  12 datasets
    fail public.audit: no publication of subscription s has it
      its rows never reach the replica
region us-west-2: 0 to 0.6667 unknown
next: paritas lag trading --for 30s
";
    assert_eq!(text, expected);
}

#[test]
fn a_replica_that_is_caught_up_takes_one_line() {
    let report = of_lag(vec![lag(Verdict::Pass, vec![stream(LagState::CaughtUp, Some(0), Some((0.0, Some(0.0))))])]);
    let text = written(&Human { called: Called::default() }, &report);
    assert_eq!(text, "PASS  trading: caught up; sampled in 4.2s\n  wal/1  caught up\nregion us-west-2: 1 healthy\n");
}

#[rstest]
#[case(stream(LagState::CaughtUp, Some(0), Some((0.0, Some(0.0)))), Verdict::Pass, "PARITAS OK - trading: caught up | 'wal/1 lag'=0.000s;1;5 'wal/1 low'=0.000s 'wal/1 bytes'=0B time=4.200s\n")]
#[case(
    stream(LagState::Unknown, None, None),
    Verdict::Unknown,
    "PARITAS UNKNOWN - trading: unknown | 'wal/1 lag'=U;1;5 'wal/1 low'=U 'wal/1 bytes'=U time=4.200s\n"
)]
#[case(stream(LagState::Behind, Some(9), Some((6.0, None))), Verdict::Fail, "PARITAS CRITICAL - trading: behind, 9B, at least 6s | 'wal/1 lag'=U;1;5 'wal/1 low'=6.000s 'wal/1 bytes'=9B time=4.200s\n")]
fn a_plugin_never_shows_an_unknown_lag_as_a_number(
    #[case] stream: LagStream,
    #[case] verdict: Verdict,
    #[case] expected: &str,
) {
    assert_eq!(written(&Nagios::default(), &of_lag(vec![lag(verdict, vec![stream])])), expected);
}

#[test]
fn json_survives_reading_and_writes_null_with_a_reason() {
    let report =
        of_lag(vec![lag(Verdict::Unknown, vec![stream(LagState::Unknown, None, Some((1.5, None)))]), coverage()]);
    let text = written(&Json { pretty: false }, &report);
    assert!(text.contains(r#""check":"lag""#) && text.contains(r#""seconds":{"low":1.5,"high":null}"#), "{text}");
    assert!(
        text.contains(r#""bytes":null,"records":null"#) && text.contains(r#""why":{"records":"counted in bytes"}"#)
    );
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[rstest]
#[case(0.0, Some(0.0), "0s")]
#[case(0.0, Some(0.035), "at most 35ms")]
#[case(12.3, Some(12.4), "12.3s to 12.4s")]
#[case(12.3, Some(12.3), "12.3s")]
#[case(3.0, None, "at least 3s")]
#[case(f64::NAN, Some(f64::INFINITY), "?")]
fn an_interval_is_told_in_words(#[case] low: f64, #[case] high: Option<f64>, #[case] expected: &str) {
    let told = stream(LagState::Behind, None, Some((low, high))).seconds_text().unwrap();
    assert_eq!(told, expected);
}

#[test]
fn of_several_links_the_worst_come_first_and_the_others_take_a_line_each() {
    let caught_up = || vec![lag(Verdict::Pass, vec![stream(LagState::CaughtUp, Some(0), Some((0.0, Some(0.0))))])];
    let broken = vec![lag(Verdict::Fail, vec![stream(LagState::Broken, None, None)])];
    let mut report = report(vec![link("a", caught_up()), link("b", broken), link("c", caught_up())]);
    report.run.command = "lag".into();
    let text = written(&Human { called: Called::default() }, &report);
    assert!(text.starts_with("FAIL  3 links, 1 broken, 2 caught up; sampled"), "{text}");
    let at = |part: &str| text.find(part).unwrap();
    assert!(at("FAIL  b: broken") < at("PASS  a: caught up") && at("PASS  a") < at("PASS  c"), "{text}");
    assert!(text.ends_with("next: paritas lag b --for 30s\n"), "{text}");
}
