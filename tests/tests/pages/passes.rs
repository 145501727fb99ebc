//! Counted passes under load: no page of any kind is called different.
//!
//! `PARITAS_PAGE_PASSES` says how many (otherwise 10).

use crate::faults::number;
use crate::kinds::KINDS;
use crate::load::{Load, no_false_finding};
use crate::stage::{Stage, by_pages};
use paritas_testbed::postgres::{Install, Options};
use std::time::Instant;

const PASSES: u64 = 10;
/// Fewer than this many transactions a second are no load.
const RATE_MIN: f64 = 50.0;

/// Small transactions with savepoints, locks, prepared transactions, rollbacks.
fn small(state: u64) -> Vec<String> {
    let (a, b, own) = (state >> 20 & 0xFFF, state >> 34 & 0xFFF, state >> 8 & 0xFF_FFFF_FFFF);
    let one = |sql: String| vec![sql];
    match state >> 59 {
        0..10 => one(format!("UPDATE k SET pad = '{own}' WHERE id = {a}")),
        10..14 => one(format!(
            "UPDATE k SET tag = md5('{own}'), spot = point({a}, {b}), list = ARRAY[{a}, {b}] WHERE id = {a}"
        )),
        14..18 => one(format!(
            "INSERT INTO k (tag, list, spot, pad) VALUES ('{own}', ARRAY[{a}, {b} % 5], point({b}, {a}), 'new')"
        )),
        18..22 => one(format!(
            "BEGIN; UPDATE k SET pad = 'a' WHERE id = {a}; SAVEPOINT s; DELETE FROM k WHERE id = {b}; ROLLBACK TO s; \
             UPDATE k SET tag = 'b{own}' WHERE id = {b}; COMMIT"
        )),
        22..24 => vec![
            format!("BEGIN; UPDATE k SET pad = 'p' WHERE id = {a}; PREPARE TRANSACTION 'p{own}'"),
            format!("{} PREPARED 'p{own}'", if b % 2 == 0 { "COMMIT" } else { "ROLLBACK" }),
        ],
        24..26 => one("BEGIN; INSERT INTO k (tag, big) VALUES ('r', repeat('r', 3000)); ROLLBACK".to_owned()),
        26..28 => one(format!("DELETE FROM k WHERE id = 4000 + {a}")),
        28 => one("SELECT nextval('k_id_seq')".to_owned()),
        29 => one(format!(
            "SET enable_seqscan = off; SELECT count(*) FROM k WHERE tag = md5('{a}') OR list @> ARRAY[{b}]"
        )),
        _ => one(format!("SELECT count(*) FROM k WHERE spot <@ box(point(0, 0), point({a}, {b}))")),
    }
}

/// What comes by now and then: vacuum, checkpoints, and a table that becomes longer and shorter.
fn seldom(state: u64) -> Vec<String> {
    let pause = "SELECT pg_sleep(0.2)".to_owned();
    vec![
        match state >> 60 {
            0..4 => "VACUUM k".to_owned(),
            4..6 => "VACUUM (FREEZE) k".to_owned(),
            6..9 => "INSERT INTO k (id, tag, list, pad) SELECT 1000000 + n, md5(n::text), ARRAY[n], repeat('e', 300) \
                     FROM generate_series(1, 400) n ON CONFLICT DO NOTHING"
                .to_owned(),
            9..11 => "DELETE FROM k WHERE id > 1000000".to_owned(),
            11 => "VACUUM (TRUNCATE) k".to_owned(),
            12 => "CHECKPOINT".to_owned(),
            13 => "SELECT gin_clean_pending_list('k_gin')".to_owned(),
            14 => "SELECT brin_summarize_new_values('k_brin')".to_owned(),
            _ => "SELECT brin_desummarize_range('k_brin', 0)".to_owned(),
        },
        pause,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_pass_under_load_finds_anything() {
    pass(&Install::find().unwrap(), number("PARITAS_PAGE_PASSES", PASSES)).await;
}

/// Passes under load, and one at rest, which must prove everything.
pub async fn pass(install: &Install, passes: u64) {
    let stage = Stage::with(install, Options::default(), KINDS).await;
    let begun = Instant::now();
    let writers = Load::start(&stage.primary, 6, small).await;
    let others = Load::start(&stage.primary, 1, seldom).await;
    let (mut proven, mut compared) = (0, 0);
    for _ in 0..passes {
        let run = no_false_finding(&stage, "k");
        let check = run.parity();
        assert_eq!(check["method"], "pages", "{check:#}");
        proven += u64::from(run.code == 0);
        compared += check["pages"]["compared"].as_u64().unwrap();
    }
    let (done, seconds) = (writers.end().await, begun.elapsed().as_secs_f64());
    others.end().await;
    let rate = done as f64 / seconds;
    eprintln!(
        "{passes} passes in {seconds:.0} s under {rate:.0} transactions/s: {compared} pages, 0 false findings, {proven} proven equal"
    );
    assert!(rate > RATE_MIN, "{rate} transactions/s");
    stage.replayed().await;
    by_pages(stage.verify("k", &[]), 0);
}
