//! Clocks, round trips, ages of rows, quarantine and the score of regions, on real servers and files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::indexing_slicing)]

use paritas_connect::{Context, NewestRequest};
use paritas_connect_kafka::{KafkaOptions, KafkaStore};
use paritas_model::Dataset;
use paritas_testbed::kafka::{self, Record, Topic};
use paritas_testbed::postgres::{Install, Mode, Options, REQUIRE_VARIABLE, Server};
use paritas_testbed::{Error, Scratch};
use paritas_tests::{Run, paritas};
use paritas_verify::{Side, newest};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Tables of rows that are as new as their names say.
const TABLES: &str = "
CREATE TABLE same (id int PRIMARY KEY); INSERT INTO same VALUES (1);
CREATE TABLE fresh (id int PRIMARY KEY, at timestamptz); INSERT INTO fresh VALUES (1, now() - interval '1 day'), (2, now());
CREATE TABLE stale (id int PRIMARY KEY, at timestamptz); INSERT INTO stale VALUES (1, now() - interval '2 hours'), (2, NULL);
CREATE TABLE nothing (id int PRIMARY KEY, at timestamptz);
CREATE TABLE undated (id int PRIMARY KEY, at timestamptz); INSERT INTO undated VALUES (1, NULL), (2, '-infinity');
CREATE TABLE typed (id int PRIMARY KEY, at text); INSERT INTO typed VALUES (1, 'now');
CREATE TABLE ahead (id int PRIMARY KEY, at timestamptz); INSERT INTO ahead VALUES (1, now() + interval '1 hour'), (2, 'infinity');
CREATE TABLE mixed (id int PRIMARY KEY, at timestamptz); INSERT INTO mixed VALUES (1, now() + interval '1 hour'), (2, now());
CREATE TABLE soon (id int PRIMARY KEY, at timestamptz); INSERT INTO soon VALUES (1, now() + interval '5 minutes');
CREATE TABLE days (id int PRIMARY KEY, at date); INSERT INTO days VALUES (1, (now() AT TIME ZONE 'UTC')::date);
CREATE TABLE locals (id int PRIMARY KEY, at timestamp); INSERT INTO locals VALUES (1, now() AT TIME ZONE 'UTC');
";

/// Two databases, or two servers, under a configuration.
struct World {
    east: Server,
    west: Option<Server>,
    scratch: Scratch,
}

impl World {
    async fn one_server() -> Self {
        let (install, scratch) = (Install::find().unwrap(), Scratch::new().unwrap());
        let east = Server::start(&install, &scratch, "both", Options::default()).await.unwrap();
        for name in ["east", "west"] {
            east.create_database(name).await.unwrap();
            east.batch(name, TABLES).await.unwrap();
        }
        Self { east, west: None, scratch }
    }

    /// The second one with its clock so many seconds off; nothing where that cannot be staged.
    async fn two_servers(seconds: i64) -> Option<Self> {
        let mut world = Self::one_server().await;
        let install = Install::find().unwrap();
        let mut west = Server::start(&install, &world.scratch, "west", Options::default()).await.unwrap();
        match west.shift_clock(seconds) {
            Err(error @ Error::NotInstalled { .. })
                if std::env::var_os(REQUIRE_VARIABLE).is_none_or(|value| value != "1") =>
            {
                println!("left out: {error}");
                return None;
            }
            other => other.unwrap(),
        }
        west.restart().await.unwrap();
        west.create_database("west").await.unwrap();
        west.batch("west", TABLES).await.unwrap();
        world.west = Some(west);
        Some(world)
    }

    fn config(&self, link: &str) -> PathBuf {
        let west = self.west.as_ref().unwrap_or(&self.east).url("west");
        let text = format!(
            "[paritas]\nstate = {:?}\nregion = \"here\"\n\
             [store.east]\nkind = \"postgres\"\nregion = \"us-east-1\"\nurl = {:?}\n\
             [store.west]\nkind = \"postgres\"\nregion = \"us-west-2\"\nurl = {west:?}\n\
             [[link]]\nname = \"trading\"\nsource = \"east\"\nreplica = \"west\"\n{link}",
            self.scratch.path().join("state"),
            self.east.url("east"),
        );
        let path = self.scratch.path().join("paritas.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn call(&self, link: &str, args: &[&str]) -> Run {
        let config = self.config(link);
        paritas(&[&["--config", config.to_str().unwrap()], args].concat())
    }
}

fn fresh(table: &str, age: &str) -> String {
    format!(
        "[[link.freshness]]\nname = \"{table}\"\ndataset = \"public.{table}\"\ncolumn = \"at\"\nmax_age = \"{age}\"\n"
    )
}

fn freshness(run: &Run, name: &str) -> Value {
    let all = run.checks("freshness");
    all.into_iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no freshness of {name}: {run:#?}"))
}

fn clock(run: &Run) -> Value {
    let mut all = run.checks("clock");
    assert_eq!(all.len(), 1, "{run:#?}");
    all.remove(0)
}

fn region(run: &Run, name: &str) -> Value {
    let regions = run.json()["regions"].as_array().cloned().unwrap_or_default();
    regions.into_iter().find(|one| one["region"] == name).unwrap_or_else(|| panic!("no region {name}: {run:#?}"))
}

/// Brokers take records from beyond the next hour only where a topic allows it.
const FUTURE: &str = "message.timestamp.after.max.ms";

/// The objectives that real clocks of one machine keep.
const KEPT: &str = "objectives = { clock_skew = \"1s\", rtt = \"5s\" }\ninclude = [\"public.same\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_fresh_only_where_that_is_proven() {
    let world = World::one_server().await;
    let names = ["fresh", "stale", "nothing", "undated", "typed", "ahead", "mixed", "soon", "days", "locals", "absent"];
    let asked: String = names.iter().map(|name| fresh(name, "10m")).collect();
    let run = world.call(&format!("include = [\"public.same\"]\n{asked}"), &["verify", "--json"]);
    assert_eq!(run.code, 1, "{run:#?}");
    let expected = [
        ("fresh", "pass", ""),
        ("stale", "fail", ""),
        ("nothing", "fail", "there is no row at all"),
        ("undated", "unknown", "no row carries a time"),
        ("ahead", "unknown", "every time that there is lies in the future"),
        ("mixed", "warn", ""),
        ("soon", "unknown", "every time that there is lies in the future"),
        ("locals", "pass", ""),
    ];
    for (name, verdict, why) in expected {
        let check = freshness(&run, name);
        assert_eq!(check["verdict"], verdict, "{check:#}");
        for side in ["source", "replica"] {
            assert_eq!(check[side]["verdict"], verdict, "{check:#}");
            assert_eq!(check[side]["why"].as_str().unwrap_or_default(), why, "{check:#}");
            assert_eq!(check[side]["method"], "max");
        }
    }
    // A date stands for its whole day: it is new for certain only while the day is young.
    assert!(["pass", "unknown"].contains(&freshness(&run, "days")["verdict"].as_str().unwrap()));
    let stale = freshness(&run, "stale")["replica"]["age"].clone();
    let (low, high) = (stale["low"].as_f64().unwrap(), stale["high"].as_f64().unwrap());
    assert!((7_200.0..7_500.0).contains(&low) && low <= high && high < 7_500.0, "{stale}");
    assert_eq!(freshness(&run, "ahead")["replica"]["quarantined"], 2);
    assert_eq!(freshness(&run, "mixed")["replica"]["quarantined"], 1);
    for (name, code) in [("typed", "freshness.type"), ("absent", "dataset.missing")] {
        let check = freshness(&run, name);
        assert_eq!((check["verdict"].as_str(), check["problem"]["code"].as_str()), (Some("unknown"), Some(code)));
    }
    // What lies a little ahead is no contradiction where clocks may be that far apart, and otherwise it is unknown.
    let soon = |objectives: &str| {
        let link = format!("{objectives}include = [\"public.same\"]\n{}", fresh("soon", "10m"));
        freshness(&world.call(&link, &["verify", "--json"]), "soon")["replica"].clone()
    };
    let unexplained = soon("objectives = { quarantine = \"1h\" }\n");
    assert_eq!(unexplained["verdict"], "unknown", "{unexplained:#}");
    assert!(unexplained["why"].as_str().unwrap().contains("in the future"), "{unexplained:#}");
    assert_eq!(soon("objectives = { quarantine = \"1h\", clock_skew = \"6m\" }\n")["verdict"], "pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_agree_pass_and_regions_are_healthy() {
    let world = World::one_server().await;
    let link = format!("{KEPT}{}", fresh("fresh", "10m"));
    let run = world.call(&link, &["verify", "--json"]).expect_code(0);
    let check = clock(&run);
    assert_eq!((check["verdict"].as_str(), check["from"].as_str()), (Some("pass"), Some("here")), "{check:#}");
    for side in ["source", "replica"] {
        let (low, high) = (check[side]["skew"]["low"].as_f64().unwrap(), check[side]["skew"]["high"].as_f64().unwrap());
        // One machine has one clock.
        assert!(low <= 0.001 && high >= -0.001 && check[side]["rtt"].as_f64().unwrap() > 0.0, "{check:#}");
        assert_eq!(check[side]["method"], "clock_timestamp()");
    }
    let west = region(&run, "us-west-2");
    assert_eq!((west["score"].as_f64(), west["state"].as_str()), (Some(1.0), Some("healthy")), "{west:#}");
    // Nothing of this run is about how the replica follows.
    assert_eq!(west["not_included"], serde_json::json!(["replication"]));
    let metrics = world.call(&link, &["report", "last", "--format", "metrics"]).expect_code(0).stdout;
    for line in [
        "paritas_region_health_score{region=\"us-west-2\"} 1",
        "paritas_link_objective_seconds{link=\"trading\",objective=\"clock_skew\"} 1",
        "paritas_check_verdict{link=\"trading\",check=\"freshness\",dataset=\"fresh\"} 0",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}\n{metrics}");
    }
    for begin in [
        "paritas_clock_skew_seconds{link=\"trading\",store=\"west\",region=\"us-west-2\",side=\"replica\"} ",
        "paritas_region_rtt_seconds{from=\"here\",to=\"us-west-2\",store=\"west\"} ",
    ] {
        assert!(metrics.lines().any(|own| own.starts_with(begin)), "{begin}\n{metrics}");
    }
    // A round trip that nobody can keep.
    let link = "objectives = { rtt = \"1us\" }\ninclude = [\"public.same\"]\n";
    let run = world.call(link, &["verify", "--json"]).expect_code(1);
    assert_eq!(clock(&run)["replica"]["rtt_verdict"], "fail");
    // Without an objective nothing is asked.
    let run = world.call("include = [\"public.same\"]\n", &["verify", "--json"]).expect_code(0);
    assert!(run.checks("clock").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_a_breach_and_what_it_dated_is_quarantined() {
    for seconds in [3_600_i64, -3_600] {
        let Some(world) = World::two_servers(seconds).await else { return };
        let link = format!("{KEPT}{}", fresh("fresh", "10m"));
        let run = world.call(&link, &["verify", "--json"]).expect_code(1);
        let check = clock(&run);
        let replica = &check["replica"];
        assert_eq!((check["verdict"].as_str(), replica["skew_verdict"].as_str()), (Some("fail"), Some("fail")));
        assert_eq!(
            (check["source"]["skew_verdict"].as_str(), replica["quarantined"].as_bool()),
            (Some("pass"), Some(true))
        );
        for skew in [&replica["skew"], &check["between"]] {
            let (low, high) = (skew["low"].as_f64().unwrap(), skew["high"].as_f64().unwrap());
            let truth = seconds as f64;
            assert!(low - 0.05 <= truth && truth <= high + 0.05 && high - low < 1.0, "{check:#}");
        }
        // Its rows were written a moment ago, by a clock that nobody can believe.
        let fresh = freshness(&run, "fresh");
        assert_eq!(
            (fresh["source"]["verdict"].as_str(), fresh["replica"]["verdict"].as_str()),
            (Some("pass"), Some("unknown"))
        );
        if seconds > 0 {
            assert_eq!(fresh["replica"]["quarantined"], 1, "{fresh:#}");
        }
        let west = region(&run, "us-west-2");
        let clock = west["parts"].as_array().unwrap().iter().find(|part| part["part"] == "clock").unwrap();
        assert_eq!((clock["value"].as_f64(), clock["value_high"].as_f64()), (Some(0.0), Some(0.0)), "{west:#}");
        assert_eq!(region(&run, "us-east-1")["state"], "healthy");
        let metrics = world.call(&link, &["report", "last", "--format", "metrics"]).expect_code(0).stdout;
        let line = "paritas_quarantined_total{link=\"trading\",store=\"west\",region=\"us-west-2\",kind=\"clock\"} 1";
        assert!(metrics.lines().any(|own| own == line), "{metrics}");
        // For people: which clock, how far, and what follows.
        let text = world.call(&link, &["report", "last"]).expect_code(0).stdout;
        let way = if seconds > 0 { "ahead" } else { "behind" };
        assert!(text.contains(way) && text.contains("its times are quarantined"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_is_judged_also_when_the_source_is_gone() {
    let Some(mut world) = World::two_servers(0).await else { return };
    world.east.stop(Mode::Fast).await.unwrap();
    let link = format!("{KEPT}{}{}", fresh("fresh", "10m"), fresh("stale", "10m"));
    let run = world.call(&link, &["verify", "--json"]);
    assert_eq!(run.code, 1, "{run:#?}");
    let (new, old) = (freshness(&run, "fresh"), freshness(&run, "stale"));
    assert_eq!((new["verdict"].as_str(), old["verdict"].as_str()), (Some("pass"), Some("fail")), "{run:#?}");
    assert!(new["source"].is_null() && new["notes"][0].as_str().unwrap().contains("source"), "{new:#}");
    // What is unknown never raises the score, and is named.
    let west = region(&run, "us-west-2");
    assert!(west["score"].as_f64() < west["score_high"].as_f64(), "{west:#}");
    assert!(west["parts"].to_string().contains("parity"), "{west:#}");
}

/// Files with times, read as rows, on both sides.
fn files(scratch: &Scratch, source: &str, replica: &str) {
    for (side, text) in [("east", source), ("west", replica)] {
        fs::create_dir_all(scratch.path().join(side)).unwrap();
        fs::write(scratch.path().join(side).join("t.csv"), format!("id,at\n{text}")).unwrap();
    }
}

fn csv(scratch: &Scratch, link: &str) -> Run {
    let text = format!(
        "[paritas]\nstate = \"state\"\n[store.east]\nkind = \"csv\"\nurl = \"east/t.csv\"\nregion = \"a\"\n\
         [store.west]\nkind = \"csv\"\nurl = \"west/t.csv\"\nregion = \"b\"\n\
         [[link]]\nname = \"lake\"\nsource = \"east\"\nreplica = \"west\"\n{link}"
    );
    let path = scratch.path().join("paritas.toml");
    fs::write(&path, text).unwrap();
    paritas(&["--config", path.to_str().unwrap(), "verify", "--json"])
}

#[test]
fn rows_of_files_are_read_for_their_times_and_files_have_the_clock_of_their_machine() {
    let scratch = Scratch::new().unwrap();
    let now = jiff::Timestamp::now();
    let rows = format!("1,2020-01-01T00:00:00Z\n2,{now}\n3,\n");
    files(&scratch, &rows, &rows);
    let fresh = "[[link.freshness]]\nname = \"t\"\ndataset = \"t.csv\"\ncolumn = \"at\"\nmax_age = \"10m\"\n";
    let run = csv(&scratch, &format!("objectives = {{ clock_skew = \"1s\" }}\n{fresh}")).expect_code(0);
    let check = freshness(&run, "t");
    assert_eq!(
        (check["replica"]["method"].as_str(), check["verdict"].as_str()),
        (Some("scan"), Some("pass")),
        "{check:#}"
    );
    let clock = clock(&run);
    assert_eq!(
        (clock["source"]["method"].as_str(), clock["source"]["samples"].as_u64()),
        (Some("this machine"), Some(1))
    );
    assert_eq!(clock["between"], serde_json::json!({"low": 0.0, "high": 0.0}));
    assert!(clock["source"]["rtt"].is_null() && clock["source"]["why"]["rtt"].is_string(), "{clock:#}");
    // A text that is no time makes nothing fresh.
    files(&scratch, &rows, &format!("{rows}4,yesterday\n"));
    let run = csv(&scratch, fresh);
    assert_eq!(freshness(&run, "t")["verdict"], "unknown", "{run:#?}");
}

#[test]
fn rows_from_the_future_are_neither_lost_nor_equal() {
    let scratch = Scratch::new().unwrap();
    let dataset = "[[link.dataset]]\nname = \"t.csv\"\nkey = [\"id\"]\nchanged_at = \"at\"\n";
    let (future, past) = ("2999-01-01T00:00:00Z", "2026-01-05T08:30:00Z");
    files(&scratch, &format!("1,{past}\n2,{future}\n"), &format!("1,{past}\n"));
    let run = csv(&scratch, dataset).expect_code(3);
    let parity = run.parity();
    assert_eq!(parity["verdict"], "unknown", "{parity:#}");
    assert_eq!(Run::counts(&parity), (0, 0, 0));
    assert_eq!(parity["differences"]["quarantined"], 1);
    assert!(parity["items"][0]["note"].as_str().unwrap().contains("quarantined"), "{parity:#}");
    // A loss beside it stays one; a limit beyond the time quarantines nothing.
    files(&scratch, &format!("1,{past}\n2,{future}\n3,{past}\n"), &format!("1,{past}\n"));
    let run = csv(&scratch, dataset).expect_code(1);
    assert_eq!(Run::counts(&run.parity()), (1, 0, 0), "{run:#?}");
    let run = csv(&scratch, &format!("objectives = {{ quarantine = \"400000d\" }}\n{dataset}")).expect_code(1);
    assert_eq!(Run::counts(&run.parity()), (2, 0, 0), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_record_of_a_topic_is_found_also_where_times_are_in_disorder() {
    let Some(install) = kafka::Install::unless_missing().unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let cluster = kafka::Cluster::start(&install, &scratch, "k", kafka::Options::default()).await.unwrap();
    let client = cluster.client().unwrap();
    let base = 1_700_000_000_000_i64;
    for name in ["times", "empty"] {
        client
            .create(&Topic::new(name).partitions(2).set("retention.ms", "-1").set(FUTURE, "9223372036854775807"))
            .await
            .unwrap();
    }
    // One record early in the log is newer than those at its end, and one lies beyond the limit.
    let time = move |number: i64| match number {
        10 => base + 1_000_000,
        20 => base + 900_000_000_000,
        _ => base + number,
    };
    client.produce("times", (0..200).map(move |number| Record::of("t").on(0).at(time(number)))).await.unwrap();
    client.produce("times", (0..3).map(move |number| Record::of("t").on(1).at(base - number))).await.unwrap();
    let url = format!("kafka://{}", cluster.bootstrap());
    let store = Arc::new(KafkaStore::from_url(&url, &KafkaOptions::default()).unwrap());
    let side = Side::new(store, Context::default().with_timeout(Duration::from_secs(120)));
    let look = async |topic: &str, column: Option<&str>, limit_ms: i64| {
        let (dataset, column) = (Dataset(topic.to_owned()), column.map(str::to_owned));
        newest(&side, &NewestRequest { dataset, column, filter: None, limit_us: limit_ms * 1_000 }).await
    };
    let newest_us = |ms: i64| Some((ms * 1_000, ms * 1_000 + 999));
    let seen = look("times", None, base + 10_000_000).await.unwrap();
    assert_eq!((seen.newest, seen.beyond, seen.any, seen.method), (newest_us(base + 1_000_000), 1, true, "records"));
    // Under a lower limit the newer one lies beyond it as well.
    let seen = look("times", None, base + 1_000).await.unwrap();
    assert_eq!((seen.newest, seen.beyond), (newest_us(base + 199), 2));
    let seen = look("empty", None, base).await.unwrap();
    assert_eq!((seen.newest, seen.beyond, seen.any), (None, 0, false));
    for (topic, column, code) in [("missing", None, "dataset.missing"), ("times", Some("at"), "freshness.column")] {
        assert_eq!(look(topic, column, base).await.unwrap_err().code(), code);
    }
    // The way to the cluster is measured, its clock is not known, and that is not taken for a pass.
    let config = scratch.path().join("paritas.toml");
    let text = format!(
        "[paritas]\nstate = \"state\"\n[store.a]\nkind = \"kafka\"\nurl = \"{url}/times\"\nregion = \"a\"\n\
         [store.b]\nkind = \"kafka\"\nurl = \"{url}/empty\"\nregion = \"b\"\n\
         [[link]]\nname = \"topics\"\nsource = \"a\"\nreplica = \"b\"\n\
         objectives = {{ clock_skew = \"1s\", rtt = \"30s\" }}\n\
         [[link.freshness]]\nname = \"new\"\ndataset = \"times\"\nreplica_dataset = \"empty\"\nmax_age = \"1h\"\n"
    );
    fs::write(&config, text).unwrap();
    let run = paritas(&["--config", config.to_str().unwrap(), "lag", "--json"]);
    let check = clock(&run);
    assert_eq!((check["verdict"].as_str(), check["source"]["rtt_verdict"].as_str()), (Some("pass"), Some("pass")));
    assert!(check["source"]["skew"].is_null() && check["source"]["skew_verdict"].is_null(), "{check:#}");
    let left_out = run.json()["links"][0]["not_checked"].to_string();
    assert!(left_out.contains("clock of the source") && left_out.contains("no request"), "{left_out}");
    let check = freshness(&run, "new");
    assert_eq!(
        (check["source"]["verdict"].as_str(), check["replica"]["verdict"].as_str()),
        (Some("fail"), Some("fail"))
    );
}
