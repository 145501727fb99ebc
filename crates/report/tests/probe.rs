//! A probe as text, as JSON and as a line for monitoring.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use paritas_model::Verdict;
use paritas_report::{
    Bounds, Check, Format, Human, Nagios, ProbeCheck, ProbeCounts, ProbeFailover, ProbeGaps, ProbeLosses, ProbeWrite,
    RenderOptions, Report, Rto,
};

fn write(sequence: u64) -> ProbeWrite {
    let at = |ms: u64| format!("2026-01-02T03:04:{:02}.{ms:03}Z", sequence % 60);
    ProbeWrite { sequence, sent_at: at(1), acknowledged_at: at(2) }
}

fn check(writes: bool) -> ProbeCheck {
    let lost = ProbeLosses {
        lost: writes.then_some(3),
        lost_at_least: if writes { 3 } else { 0 },
        seconds: Bounds { low: Some(2.0), high: Some(3.0) },
        why: (!writes).then(|| "nothing was written".to_owned()),
    };
    let counts = |acknowledged, refused| ProbeCounts {
        attempts: acknowledged + refused,
        acknowledged,
        refused,
        ..ProbeCounts::default()
    };
    ProbeCheck {
        verdict: Verdict::Fail,
        method: if writes { "probe" } else { "observed" }.to_owned(),
        observation: Some("01K".to_owned()),
        resumed: false,
        heartbeat: writes.then(|| "paritas.heartbeat".to_owned()),
        every: 1.0,
        timeout: 2.0,
        begun_at: Some("2026-01-02T03:04:05Z".to_owned()),
        ended: "recovered".to_owned(),
        synchronous_commit: Some("off".to_owned()),
        source: counts(52, 8),
        replica: counts(1, 59),
        gaps: ProbeGaps { count: 1, restarts: 1, longest: Some(4.5) },
        outages: Vec::new(),
        outages_count: 0,
        failover: Some(ProbeFailover {
            system_identifier: "7".to_owned(),
            old_timeline: 1,
            switchpoint: "0/5000148".to_owned(),
            new_timeline: 2,
            side: "replica".to_owned(),
            last_before: Some(write(52)),
            first_after: write(59),
            heartbeats: lost,
        }),
        split_brain: None,
        rto: Rto {
            verdict: Some(Verdict::Unknown),
            objective: Some(8.0),
            seconds: Some(Bounds { low: Some(7.0), high: writes.then_some(9.1) }),
            method: Some(if writes { "probe" } else { "observed" }.to_owned()),
            ..Rto::default()
        },
        summary: "failover from timeline 1 to 2".to_owned(),
        notes: Vec::new(),
        problem: None,
    }
}

fn report(check: ProbeCheck) -> Report {
    let mut report = common::report(vec![common::link("trading", vec![Check::Probe(Box::new(check))])]);
    report.run.command = "probe".to_owned();
    report
}

fn shown(format: &dyn Format, report: &Report) -> String {
    let mut bytes = Vec::new();
    format.write(report, &RenderOptions::default(), &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_measurement_says_its_bounds_and_what_is_gone() {
    let report = report(check(true));
    let text = shown(&Human::default(), &report);
    // Lines are broken where they are full.
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "FAIL trading: failover from timeline 1 to 2",
        "RTO: 7s to 9.1s, objective 8s",
        "3 acknowledged heartbeats lost, 2s to 3s (synchronous_commit = off)",
        "1 gap without attempts, the longest 4.5s, the probe started again 1 time",
        "observation 01K",
    ] {
        assert!(flat.contains(part), "{part}\n{text}");
    }
    let line = shown(&Nagios { deny_warnings: false }, &report);
    assert!(line.starts_with("PARITAS CRITICAL - trading: failover"), "{line}");
    assert!(line.contains(" rto=9.100s;;8 rto_low=7.000s;;8 lost_heartbeats=3;;0 outages=0"), "{line}");
}

#[test]
fn what_was_only_watched_is_not_called_a_measurement() {
    let report = report(check(false));
    let text = shown(&Human::default(), &report);
    assert!(text.contains("not measured by writes: at least 7s, objective 8s"), "{text}");
    assert!(!text.contains("lost:") && text.contains("52 took writes"), "{text}");
    let line = shown(&Nagios { deny_warnings: false }, &report);
    assert!(line.contains(" rto_low=7.000s") && !line.contains(" rto=") && !line.contains("lost_heartbeats"), "{line}");
}

#[test]
fn a_stored_report_is_read_back_as_it_was() {
    for writes in [true, false] {
        let report = report(check(writes));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["links"][0]["checks"][0]["check"], "probe");
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
    }
}
