//! What every connector promises, checked by the shared suite on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::conformance::{self, Fixture};
use paritas_connect_postgres::{Options, PostgresStore};
use paritas_testbed::ledger::{self, Plan};
use rstest::rstest;

const TABLES: &str = "CREATE TABLE keyed (id int8 PRIMARY KEY, at timestamptz, amount numeric(18,8), note text);
    INSERT INTO keyed SELECT n, now(), n / 8.0, repeat('x', n % 900) FROM generate_series(1, 9000) n;
    CREATE TABLE composite (a int, b uuid, v jsonb, PRIMARY KEY (b, a));
    INSERT INTO composite SELECT n, gen_random_uuid(), jsonb_build_object('n', n) FROM generate_series(1, 700) n;
    CREATE TABLE worded (code text PRIMARY KEY, v float8);
    INSERT INTO worded SELECT 'code ' || n, n / 3.0 FROM generate_series(1, 700) n;
    CREATE TABLE keyless (a int, b text);
    INSERT INTO keyless SELECT n % 7, NULLIF('t' || n % 3, 't0') FROM generate_series(1, 700) n;
    CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
    CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (300);
    CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (300) TO (9999);
    INSERT INTO parts SELECT n, 'v' || n FROM generate_series(1, 700) n;
    CREATE TABLE nothing (id int PRIMARY KEY, v text);
    ANALYZE";

async fn conforms(fixture: Fixture<'_>) {
    if let Err(violations) = conformance::run(&fixture).await {
        panic!("{}", violations.join("\n"));
    }
}

#[rstest]
#[case::integer_key("public.keyed", 9_000)]
#[case::composite_key("public.composite", 700)]
#[case::text_key("public.worded", 700)]
#[case::no_key("public.keyless", 700)]
#[case::partitions("public.parts", 700)]
#[case::empty("public.nothing", 0)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_conform(#[case] table: &str, #[case] rows: u64) {
    let db = Db::new(TABLES).await;
    conforms(Fixture::new(&db.store).dataset(table, rows)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_conforms_and_its_password_is_never_shown() {
    let db = Db::new("").await;
    let client = db.server.client(&db.name).await.unwrap();
    ledger::load(&client, &Plan::small()).await.unwrap();
    let options = Options { password: Some("canary-7f3a".to_owned().into()), ..Options::default() };
    let store = PostgresStore::from_url(&db.server.url(&db.name), options).unwrap();
    let rows: i64 = client.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get(0);
    conforms(Fixture::new(&store).dataset("public.orders", rows as u64).canary("canary-7f3a")).await;
}
