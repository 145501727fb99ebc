//! The history answers exactly what was recorded, whatever happens to it in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod lag;
mod runs;

use paritas_model::{LagState, Tier, Verdict};
use paritas_state::State;
use paritas_state::history::{
    Achieved, CheckEntry, History, LinkEntry, Lost, RecoveryEntry, Retention, RunEntry, Sample, Span,
};
use ulid::Ulid;

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000_000;
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

fn state() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path().join("state")).unwrap();
    (dir, state)
}

fn open(state: &State) -> History {
    state.history(Retention::default()).unwrap()
}

fn id(at: i64) -> Ulid {
    Ulid::from_parts((at / 1_000).cast_unsigned(), 7)
}

/// A known sample of that many microseconds of lag.
fn sample(at: i64, low: u64, high: Option<u64>) -> Sample {
    Sample {
        at,
        state: if high == Some(0) { LagState::CaughtUp } else { LagState::Behind },
        bytes: Some(low / 10),
        records: None,
        versions: None,
        low: Some(low),
        high,
        loss: Some(low),
        method: Some("curve".into()),
        why: None,
    }
}

fn unknown(at: i64) -> Sample {
    let why = Some("the store did not answer".into());
    Sample { state: LagState::Unknown, bytes: None, low: None, loss: None, method: None, why, ..sample(at, 0, None) }
}

fn link(name: &str, verdict: Verdict, samples: Vec<Sample>) -> LinkEntry {
    let check = CheckEntry { check: "lag".into(), dataset: None, verdict };
    let samples = samples.into_iter().map(|sample| ("wal/1".to_owned(), sample)).collect();
    LinkEntry {
        name: name.into(),
        tier: Some(Tier::Warm),
        verdict,
        checks: vec![check],
        samples,
        unseen: None,
        recovery: None,
    }
}

fn run(at: i64, command: &str, links: Vec<LinkEntry>) -> RunEntry {
    let verdict = Verdict::combine(links.iter().map(|link| link.verdict));
    let exit_code = verdict.exit_code(false);
    let (command, ended) = (command.to_owned(), at + SECOND);
    RunEntry { id: id(at), command, started: at, ended, verdict, exit_code, drill: None, links }
}

/// A failover that lost 3 to 5 seconds and took 41.
fn failover(at: i64, drill: Option<&str>) -> RunEntry {
    let span = |low, high| Span { low: Some(low), high: Some(high) };
    let achieved = |low, high| Achieved {
        verdict: Some(Verdict::Pass),
        objective: Some(60_000_000),
        span: span(low, high),
        method: Some("wal".into()),
        why: None,
    };
    let mut link = link("trading", Verdict::Pass, Vec::new());
    link.checks = vec![
        CheckEntry { check: "lineage".into(), dataset: None, verdict: Verdict::Pass },
        CheckEntry { check: "parity".into(), dataset: Some("public.orders".into()), verdict: Verdict::Pass },
    ];
    link.recovery = Some(RecoveryEntry {
        decision: "go".into(),
        rpo: achieved(3_000_000, 5_000_000),
        rto: achieved(41_000_000, 41_200_000),
        transactions: Lost { exact: Some(37), at_least: 37 },
        records: Lost::default(),
        rows: Lost { exact: None, at_least: 5 },
        bytes: Lost { exact: Some(1_020_680), at_least: 1_020_680 },
    });
    RunEntry { drill: drill.map(str::to_owned), ..run(at, "failover", vec![link]) }
}
