//! The same through the binary: what the report counts, and what the configuration and the options say.

use crate::world::World;
use paritas_tests::{Run, command, run};
use serde_json::Value;

/// Rows in the short form, in about 17,000 pages; `PARITAS_CHEAP_ROWS` makes them more.
const ROWS: u64 = 1_000_000;

struct Called {
    run: Run,
    dataset: Value,
}

fn snapshot(world: &World, more: &[&str]) -> Called {
    let url = format!("{}?table=t", world.server.url("postgres"));
    let state = world.scratch.path().join("binary");
    let mut args = vec!["snapshot", "--json", "--state", state.to_str().unwrap(), &url, &url];
    args.extend(more);
    let began = std::time::Instant::now();
    let run = run(command(&args));
    assert_eq!(run.code, 0, "{run:#?}");
    eprintln!("snapshot {more:?}: {:.2} s", began.elapsed().as_secs_f64());
    let dataset = run.json()["links"][0]["checks"][0]["kept"]["datasets"][0].clone();
    Called { run, dataset }
}

fn count(dataset: &Value, name: &str) -> u64 {
    dataset["reading"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {dataset}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_million_rows_with_a_thousandth_of_the_pages_written_three_in_a_hundred_are_read_at_most() {
    let rows = std::env::var("PARITAS_CHEAP_ROWS").map_or(ROWS, |text| text.parse().expect("a number of rows"));
    let world = World::new(&format!(
        "CREATE TABLE t (id int8 PRIMARY KEY, n int4, text text) WITH (fillfactor = 95);
        INSERT INTO t SELECT i, i, repeat('x', 80) FROM generate_series(1, {rows}) i; ANALYZE t"
    ))
    .await;
    let first = snapshot(&world, &[]).dataset;
    assert_eq!(count(&first, "rows_read"), rows);
    assert!(first["reading"]["why"].as_str().unwrap().contains("nothing was kept"), "{first}");
    snapshot(&world, &[]);
    // One row in each of a thousandth of the pages, far from each other.
    let pages: i64 = world.client.query_one("SELECT pg_relation_size('t') / 8192", &[]).await.unwrap().get(0);
    let sql = format!(
        "UPDATE t SET n = n + 1 WHERE ctid = ANY(ARRAY(SELECT format('(%s,1)', page)::tid \
         FROM generate_series(0, {pages} - 1, 1000) AS page))"
    );
    let written = world.client.execute(&sql, &[]).await.unwrap();
    assert!(written * 1_100 > pages.unsigned_abs(), "{written} of {pages}");
    let next = snapshot(&world, &[]);
    let (read, kept) = (count(&next.dataset, "rows_read"), count(&next.dataset, "rows_kept"));
    eprintln!("{written} of {pages} pages written: {}", next.dataset["reading"]);
    assert!(read > 0 && read * 100 <= 3 * rows, "{read} rows were read");
    assert_eq!(read + kept, rows);
    assert_eq!(next.dataset["reading"]["why"], Value::Null);
    assert!(count(&next.dataset, "bytes") < 50 * rows);
    // What was not read is in the digest as well: the table is what the snapshot says.
    let url = format!("{}?table=t&writes=none", world.server.url("postgres"));
    let state = world.scratch.path().join("binary");
    let against = ["verify", "--json", "--state", state.to_str().unwrap(), "--against", "last", &url, &url];
    let verified = run(command(&against));
    assert_eq!(verified.code, 0, "{verified:#?}");
    assert_eq!(Run::counts(&verified.parity()), (0, 0, 0));
    let full = snapshot(&world, &["--full"]);
    assert!(full.dataset.get("reading").is_none(), "{}", full.run.stdout);
}
