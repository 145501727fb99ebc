//! Makes a state folder with a history: `history_week DIR LINKS DAYS`. Every link has one stream with a sample each five
//! seconds, twelve of them in a run of `lag` each minute, and a verification of ten tables each hour; one sample of a
//! thousand is unknown.

use paritas_model::{LagState, Tier, Verdict};
use paritas_state::history::{CheckEntry, LinkEntry, Retention, RunEntry, Sample};
use paritas_state::{RunRecord, State};
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};
use ulid::Ulid;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// Runs that are recorded at a time.
const BATCH: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().ok_or("usage: history_week DIR LINKS DAYS")?;
    let mut number = || -> Result<i64, Box<dyn Error>> { Ok(words.next().ok_or("a number is missing")?.parse()?) };
    let (links, days) = (number()?, number()?);
    let state = State::open(folder)?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let begin = now - days * 24 * HOUR;
    let mut history = state.history(Retention::default())?;
    let mut batch = Vec::new();
    for minute in 0..days * 24 * 60 {
        let at = begin + minute * MINUTE;
        let mut runs = vec![lag(at, links)];
        if minute % 60 == 0 {
            runs.push(verify(at + SECOND, links));
        }
        for run in runs {
            let id = run.id.to_string();
            state.save_run(&RunRecord { id: run.id, json: format!("{{\"id\":\"{id}\"}}").into_bytes() })?;
            batch.push(run);
        }
        if batch.len() >= BATCH {
            history.record_all(&batch)?;
            batch.clear();
        }
    }
    history.record_all(&batch)?;
    history.maintain(&state, now)?;
    Ok(())
}

fn lag(at: i64, links: i64) -> RunEntry {
    let sample = |n: i64| {
        let at = at + n * 5 * SECOND;
        let noise = (at / SECOND).wrapping_mul(6_364_136_223_846_793_005).cast_unsigned() >> 40;
        let known = !noise.is_multiple_of(1_000);
        let low = (noise % 400_000) / 4;
        Sample {
            at,
            state: if known { LagState::Behind } else { LagState::Unknown },
            bytes: known.then_some(low * 3),
            records: None,
            versions: None,
            low: known.then_some(low),
            high: known.then_some(low + 20_000),
            loss: known.then_some(low),
            method: Some("curve".to_owned()),
            why: (!known).then(|| "the store did not answer".to_owned()),
        }
    };
    let samples: Vec<(String, Sample)> = (0..12).map(|n| ("wal/1".to_owned(), sample(n))).collect();
    run(at, "lag", links, &[check("lag", None)], &samples)
}

fn verify(at: i64, links: i64) -> RunEntry {
    let checks: Vec<CheckEntry> = (0..10).map(|n| check("parity", Some(format!("public.table_{n}")))).collect();
    run(at, "verify", links, &checks, &[])
}

fn check(name: &str, dataset: Option<String>) -> CheckEntry {
    CheckEntry { check: name.to_owned(), dataset, verdict: Verdict::Pass }
}

fn run(at: i64, command: &str, links: i64, checks: &[CheckEntry], samples: &[(String, Sample)]) -> RunEntry {
    let link = |n: i64| LinkEntry {
        name: format!("link-{n}"),
        tier: Some(Tier::Warm),
        verdict: Verdict::Pass,
        checks: checks.to_vec(),
        samples: samples.to_vec(),
        unseen: None,
        recovery: None,
    };
    RunEntry {
        id: Ulid::from_parts((at / 1_000).cast_unsigned(), 1),
        command: command.to_owned(),
        started: at,
        ended: at + 59 * SECOND,
        verdict: Verdict::Pass,
        exit_code: 0,
        drill: None,
        links: (0..links).map(link).collect(),
    }
}
