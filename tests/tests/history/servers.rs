//! Lag of real servers over a time, and what a failover would lose.

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Mode, Options, Server, standby, wait_replayed};
use paritas_tests::Run;
use paritas_tests::lag::{LIMIT, call, configuration, primary};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, pad text)";

struct World {
    scratch: Scratch,
    primary: Server,
    standby: Server,
}

impl World {
    async fn new() -> Self {
        let scratch = Scratch::new().unwrap();
        let primary = primary(&scratch, Options::default(), TABLE).await;
        let standby = standby(&primary, "p2").await.unwrap();
        wait_replayed(&primary, &standby).await.unwrap();
        Self { scratch, primary, standby }
    }

    fn configuration(&self, link: &str) -> PathBuf {
        configuration(self.scratch.path(), &self.primary, &self.standby, link)
    }

    fn state(&self) -> String {
        self.scratch.path().join("state").display().to_string()
    }
}

async fn with(command: &str, file: &Path, more: &[&str]) -> Run {
    let file = file.display().to_string();
    call([command, "--json", "-c", &file].iter().chain(more).map(|word| (*word).to_owned()).collect()).await
}

/// What a simulation says of the only link.
fn link(run: &Run) -> Value {
    run.json()["links"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_curve_becomes_percentiles_and_a_time_without_samples_proves_nothing() {
    let world = World::new().await;
    let file = world.configuration("tier = \"warm\"\nobjectives = { rpo = \"60s\" }");
    let state = world.state();
    let kept = ["--state", state.as_str()];
    let lag = with("lag", &file, &[&kept[..], &["--for", "2s"]].concat()).await.expect_code(0);
    let curve = lag.json()["links"][0]["checks"][0]["curves"][0]["points"].as_array().unwrap().len() as u64;
    assert!(curve > 3, "{lag:#?}");
    let all = with("history", &file, &[&kept[..], &["trading"]].concat()).await.expect_code(0).json();
    let stream = &all["lag"][0];
    assert_eq!((&stream["link"], &stream["stream"]), (&"trading".into(), &"wal/1".into()));
    assert_eq!(stream["samples"].as_u64(), Some(curve), "{stream:#}");
    assert_eq!(stream["unknown"], 0);
    let ends = |name: &str| ["low", "high"].map(|end| stream["seconds"][name][end].as_f64().unwrap());
    assert!(ends("p50")[1] <= ends("max")[1] && ends("max")[0] <= ends("max")[1], "{stream:#}");
    assert_eq!(all["verdicts"][0]["last"]["verdict"], all["runs"][0]["verdict"]);
    // From the first sample on everything is known; before it nothing is.
    let first = lag.json()["links"][0]["checks"][0]["curves"][0]["points"][0]["at"].as_str().unwrap().to_owned();
    let second = lag.json()["links"][0]["checks"][0]["curves"][0]["points"][1]["at"].as_str().unwrap().to_owned();
    let window = |from: &str| format!("{from}/now");
    let known = with("simulate", &file, &[&kept[..], &["--window", &window(&second)]].concat()).await.expect_code(0);
    assert_eq!(link(&known)["over_time"]["moments"].as_u64(), Some(curve - 1), "{known:#?}");
    assert!(link(&known)["over_time"]["between"].as_f64().unwrap() < 60.0);
    assert_eq!(
        (&known.json()["tiers"][0]["tier"], &known.json()["whole"]["verdict"]),
        (&"warm".into(), &"pass".into())
    );
    let open = with("simulate", &file, &[&kept[..], &["--window", &window(&first)]].concat()).await.expect_code(3);
    assert_eq!((&link(&open)["over_time"]["between"], &link(&open)["verdict"]), (&Value::Null, &"unknown".into()));
    let before = ["--window", "3h/2h"];
    let nothing = with("simulate", &file, &[&kept[..], &before].concat()).await.expect_code(3);
    assert_eq!(link(&nothing)["over_time"]["moments"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_standby_has_received_would_not_be_lost_and_what_it_lacks_would() {
    let world = World::new().await;
    let file = world.configuration("objectives = { rpo = \"1ms\" }");
    let state = world.state();
    let simulate = async || with("simulate", &file, &["--state", &state]).await;
    // Received and not replayed: a promotion would replay it, so no loss is proven, however old it is.
    world.standby.batch("postgres", "SELECT pg_wal_replay_pause()").await.unwrap();
    world
        .primary
        .batch("postgres", "INSERT INTO t SELECT n, repeat('x', 500) FROM generate_series(1, 50) n")
        .await
        .unwrap();
    let deadline = Instant::now() + LIMIT;
    let behind = loop {
        let run = simulate().await;
        let now = link(&run)["now"].clone();
        assert_ne!(run.code, 1, "{run:#?}");
        if now["bytes"].as_u64().is_some_and(|bytes| bytes > 10_000) {
            break now;
        }
        assert!(Instant::now() < deadline, "{run:#?}");
    };
    assert_eq!(behind["seconds"]["low"], 0.0, "{behind:#}");
    world.standby.batch("postgres", "SELECT pg_wal_replay_resume()").await.unwrap();
    let deadline = Instant::now() + LIMIT;
    while simulate().await.code != 0 {
        assert!(Instant::now() < deadline, "it is never caught up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_makes_its_moments_unknown() {
    let mut world = World::new().await;
    let file = world.configuration("objectives = { rpo = \"60s\" }");
    let state = world.state();
    let kept = ["--state", state.as_str()];
    with("lag", &file, &[&kept[..], &["--for", "500ms"]].concat()).await.expect_code(0);
    world.standby.stop(Mode::Immediate).await.unwrap();
    with("lag", &file, &kept).await.expect_code(3);
    let now = with("simulate", &file, &kept).await.expect_code(3);
    assert_eq!((&link(&now)["verdict"], &link(&now)["now"]["seconds"]["high"]), (&"unknown".into(), &Value::Null));
    let past = with("simulate", &file, &[&kept[..], &["--window", "1h"]].concat()).await.expect_code(3);
    assert!(link(&past)["over_time"]["unknown"].as_u64().unwrap() >= 2, "{past:#?}");
    let all = with("history", &file, &kept).await.expect_code(0).json();
    assert!(all["lag"][0]["unknown"].as_u64().unwrap() >= 2, "{all:#}");
    assert_eq!(all["runs"][0]["verdict"], "unknown");
}
