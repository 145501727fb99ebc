//! The server's own clock, and the newest time of a column: by its index, and for every type of times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::{ClockShows, ClockStamp, Datasets, NewestRequest, NewestSeen, Result, Store};
use paritas_model::Known;
use std::time::{Duration, Instant};

const DAY_US: i64 = 86_400_000_000;

fn asked(table: &str, column: &str, limit_us: i64) -> NewestRequest {
    NewestRequest { dataset: dataset(table), column: Some(column.to_owned()), filter: None, limit_us }
}

async fn newest(db: &Db, request: &NewestRequest) -> Result<NewestSeen> {
    match db.store.newest(&cx(), request).await? {
        Known::Known(seen) => Ok(seen),
        Known::Unknown { why } => panic!("{why}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_lies_between_question_and_answer() {
    let db = Db::new("").await;
    let clock = db.store.clocks().unwrap();
    for _ in 0..5 {
        let reading = clock.clock(&cx()).await.unwrap();
        let ClockShows::Time { low_us, high_us } = reading.shows else { panic!("{reading:?}") };
        assert!(low_us <= reading.end.wall_us + 1 && reading.begin.wall_us <= high_us + 1, "{reading:?}");
        assert!(reading.round_trip() > Duration::ZERO);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_every_type_are_found_in_microseconds() {
    let db = Db::new(
        "CREATE DOMAIN moment AS timestamptz;
         CREATE TABLE t (id int, z timestamptz, l timestamp, d date, o moment, \"A b\" timestamptz(0), n int);
         INSERT INTO t VALUES (1, '2026-01-05 08:30:00.123456+02', '2026-01-05 08:30:00.5', '2026-01-05',
             '2026-01-05 06:30:00+00', '2026-01-05 06:30:00+00', 7),
           (2, '-infinity', NULL, '-infinity', NULL, NULL, NULL), (3, 'infinity', 'infinity', 'infinity', NULL, NULL, NULL)",
    )
    .await;
    let at = 1_767_594_600_000_000;
    let limit = at + 7 * DAY_US;
    let midnight = at - (6 * 60 + 30) * 60_000_000;
    let cases = [
        ("z", (at + 123_456, at + 123_456), 1),
        ("l", (at + 2 * 3_600_000_000 + 500_000, at + 2 * 3_600_000_000 + 500_000), 1),
        ("d", (midnight, midnight + DAY_US - 1), 1),
        ("o", (at, at), 0),
        ("A b", (at, at), 0),
    ];
    for (column, expected, beyond) in cases {
        let seen = newest(&db, &asked("t", column, limit)).await.unwrap();
        assert_eq!(
            (seen.newest, seen.beyond, seen.any, seen.beyond_whole),
            (Some(expected), beyond, true, true),
            "{column}"
        );
    }
    // The limit itself is not beyond it.
    let seen = newest(&db, &asked("t", "o", at)).await.unwrap();
    assert_eq!((seen.newest, seen.beyond), (Some((at, at)), 0));
    let seen = newest(&db, &asked("t", "o", at - 1)).await.unwrap();
    assert_eq!((seen.newest, seen.beyond), (None, 1));
    for (column, code) in [("n", "freshness.type"), ("none", "freshness.column")] {
        assert_eq!(newest(&db, &asked("t", column, limit)).await.unwrap_err().code(), code);
    }
    let mut only = asked("t", "z", limit);
    only.filter = Some("id > 1".to_owned());
    let seen = newest(&db, &only).await.unwrap();
    assert_eq!((seen.newest, seen.any, seen.beyond), (None, true, 1));
    only.filter = Some("id > 9".to_owned());
    assert!(!newest(&db, &only).await.unwrap().any);
    only.filter = Some("true) OR (true".to_owned());
    assert_eq!(newest(&db, &only).await.unwrap_err().code(), "config.where");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_answers_without_reading_the_table() {
    let db = Db::new(
        "CREATE TABLE big (id int, at timestamptz) PARTITION BY RANGE (id);
         CREATE TABLE big_1 PARTITION OF big FOR VALUES FROM (0) TO (20000);
         CREATE TABLE big_2 PARTITION OF big FOR VALUES FROM (20000) TO (40000);
         INSERT INTO big SELECT n, now() - n * interval '1 second' FROM generate_series(1, 39999) n;
         CREATE INDEX ON big (at); ANALYZE big",
    )
    .await;
    let now = ClockStamp::now().wall_us;
    let seen = newest(&db, &asked("big", "at", now + 10_000_000)).await.unwrap();
    assert!(seen.newest.unwrap().0 <= now && seen.beyond == 0);
    // Statistics come when the session is idle; those of the setup are there before.
    let client = db.server.client(&db.name).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let sql =
            "SELECT sum(idx_scan)::int8, sum(seq_tup_read)::int8 FROM pg_stat_user_tables WHERE relname LIKE 'big_%'";
        let row = client.query_one(sql, &[]).await.unwrap();
        let (by_index, read): (i64, i64) = (row.get(0), row.get(1));
        if by_index >= 2 {
            // The index was made from all rows, and whether there is a row at all takes one.
            assert!(read <= 2 * 39_999 + 2, "{read} rows were read one after the other");
            break;
        }
        assert!(Instant::now() < deadline, "no index was used");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_takes_too_long_is_an_error_and_no_answer() {
    let db = Db::new("CREATE VIEW slow AS SELECT now() AS at FROM pg_sleep(30)").await;
    let cx = paritas_connect::Context::default().with_timeout(Duration::from_millis(300));
    let error = db.store.newest(&cx, &asked("slow", "at", i64::MAX / 2)).await.unwrap_err();
    assert!(["run.deadline", "store.cancelled"].contains(&error.code()), "{error:?}");
}
