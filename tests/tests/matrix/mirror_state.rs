//! Faults of how a mirror follows: what it leaves out, where it stands still, what nobody can read any more.

use crate::mirror::{Clusters, Mirrored, NOON, forever, records};
use crate::stage::World;
use paritas_testbed::Scratch;
use paritas_testbed::kafka::Record;
use paritas_tests::{Run, paritas, verify};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Measures lag, and demands an exit code and states by stream.
fn demand_lag(mirrored: &Mirrored<'_>, more: &[&str], code: i32, states: &[(&str, &str)], what: &str) -> Run {
    let (source, replica) = mirrored.urls("");
    let mut arguments = vec!["lag", "--json", &source, &replica];
    arguments.extend(more);
    let run = paritas(&arguments);
    assert_eq!(run.code, code, "{what}: {run:#?}");
    let json = run.json();
    let check = json["links"][0]["checks"].as_array().unwrap().iter().find(|check| check["check"] == "lag").unwrap();
    for (stream, state) in states {
        let name = format!("{}/{stream}", mirrored.topic);
        let found = check["streams"].as_array().unwrap().iter().find(|one| one["stream"] == *name);
        assert_eq!(found.map(|one| one["state"].as_str().unwrap()), Some(*state), "{what}: {name} in {}", run.stdout);
    }
    run
}

/// The segment file of a partition on a broker's disk.
fn segment(data: &Path, topic: &str) -> PathBuf {
    data.join(format!("{topic}-0")).join("00000000000000000000.log")
}

pub fn bit_on_disk(world: &World) {
    let scratch = Scratch::new().unwrap();
    let mut clusters = world.run(Clusters::start(&scratch));
    let all = records(50, 1);
    world.run(async {
        for cluster in [&clusters.east, &clusters.west] {
            let client = cluster.client().unwrap();
            client.create(&forever("bits")).await.unwrap();
            client.produce("bits", all.clone()).await.unwrap();
        }
    });
    let urls = [&clusters.east, &clusters.west].map(|cluster| format!("kafka://{}/bits", cluster.bootstrap()));
    let honest = verify(&urls[0], &urls[1], &["--settle", "1s"]);
    assert_eq!(honest.code, 0, "without any fault: {honest:#?}");
    let file = segment(&clusters.west.brokers()[0].data_dir(), "bits");
    world.run(clusters.west.stop()).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(3).position(|three| three == b"n33").unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    world.run(clusters.west.start_again()).unwrap();
    let run = verify(&urls[0], &urls[1], &["--settle", "1s"]);
    let json = run.json();
    let check = json["links"][0]["checks"].as_array().unwrap().iter().find(|check| check["check"] == "parity").unwrap();
    assert_eq!((run.code, check["verdict"].as_str()), (1, Some("fail")), "a bit of a segment: {run:#?}");
    assert!(run.stdout.contains("data.damaged") && run.stdout.contains("replica: "), "{run:#?}");
}

pub fn tail_truncated(world: &World) {
    let honest = records(20, 1);
    let mirrored = Mirrored::new(world, 1, &[]);
    mirrored.fill(&honest, &honest[..15]);
    // Nobody can tell a tail that was cut off from one that is still on its way; it never passes.
    mirrored.demand(3, &["not_yet_mirrored in_flight p0 source 15..19 x5"], "the last records are not there");
}

pub fn partial(world: &World) {
    let mirrored = Mirrored::new(world, 2, &[]);
    let honest = records(20, 2);
    let half: Vec<Record> = honest.iter().filter(|record| record.partition == Some(0)).cloned().collect();
    mirrored.fill(&honest, &half);
    mirrored.demand(3, &["not_yet_mirrored in_flight p1 source 0..9 x10"], "a partition that nobody fills");
    let clusters = world.clusters();
    let only = Mirrored::new(world, 1, &[]);
    let topic = format!("{}-only", only.topic);
    world.run(only.east().create(&forever(&topic))).unwrap();
    let source = format!("kafka://{}/{topic}", clusters.east.bootstrap());
    let run = verify(&source, &format!("kafka://{}?policy=identity", clusters.west.bootstrap()), &["--settle", "1s"]);
    assert_eq!(run.code, 3, "{run:#?}");
    assert!(run.stdout.contains(&format!("replica: there is no topic {topic}")), "{run:#?}");
}

pub fn stuck(world: &World) {
    let honest = records(20, 1);
    let mirrored = Mirrored::new(world, 1, &[]);
    mirrored.fill(&honest, &honest);
    demand_lag(&mirrored, &[], 0, &[("0", "caught_up")], "nothing to copy");
    mirrored.fill(&records(5, 1), &[]);
    demand_lag(&mirrored, &[], 3, &[("0", "stalled")], "nothing is copied");
    mirrored.demand(3, &["not_yet_mirrored in_flight p0 source 20..24 x5"], "nothing is copied");
}

pub fn stale(world: &World) {
    let mirrored = Mirrored::new(world, 1, &[]);
    let old = records(20, 1);
    mirrored.fill(&old, &old).demand(0, &[], "without any fault");
    // The topic is made anew, with as many records; the copy still shows the old ones.
    let new: Vec<Record> =
        (0..20).map(|n| Record::new(format!("new{n}"), format!("new {n}")).on(0).at(NOON + 500 + n)).collect();
    world.run(async {
        mirrored.east().delete(&mirrored.topic).await.unwrap();
        mirrored.east().create(&forever(&mirrored.topic)).await.unwrap();
        mirrored.east().produce(&mirrored.topic, new).await.unwrap();
    });
    let run = {
        let (source, replica) = mirrored.urls("");
        verify(&source, &replica, &["--settle", "1s"])
    };
    assert_eq!(run.code, 1, "{run:#?}");
    let check = run.parity();
    assert_eq!((&check["differences"]["extra"], &check["rows"]["source"]), (&20.into(), &20.into()), "{run:#?}");
}

/// A link with an objective.
fn configuration(world: &World, mirrored: &Mirrored<'_>, objective: &str) -> PathBuf {
    let (source, replica) = mirrored.urls("");
    let text = format!(
        "[store.east]\nkind = \"kafka\"\nurl = \"{source}\"\n[store.west]\nkind = \"kafka\"\nurl = \"{replica}\"\n\
         [[link]]\nname = \"mirror\"\nsource = \"east\"\nreplica = \"west\"\nobjectives = {{ lag = \"{objective}\" }}\n"
    );
    let file = world.folder("config").join("paritas.toml");
    fs::write(&file, text).unwrap();
    file
}

pub fn beyond_objective(world: &World) {
    let mirrored = Mirrored::new(world, 1, &[]);
    let honest = records(20, 1);
    mirrored.fill(&honest, &honest);
    let file = configuration(world, &mirrored, "300ms");
    let lag = || paritas(&["lag", "--json", "-c", file.to_str().unwrap()]);
    let idle = lag();
    assert_eq!(idle.code, 0, "an idle topic is caught up: {idle:#?}");
    mirrored.fill(&records(3, 1), &[]);
    let run = lag();
    assert_eq!(run.code, 1, "{run:#?}");
    let json = run.json();
    let check = json["links"][0]["checks"].as_array().unwrap().iter().find(|check| check["check"] == "lag").unwrap();
    assert_eq!((&check["streams"][0]["records"], &check["verdict"]), (&3.into(), &"fail".into()), "{run:#?}");
}

/// Both sides take writes of their own; and a cluster that is another one than before.
pub fn split_brain(world: &World) {
    let mirrored = Mirrored::new(world, 1, &[]);
    let honest = records(20, 1);
    mirrored.fill(&honest, &honest);
    let state = world.folder("state");
    let (source, replica) = mirrored.urls("");
    let snapshot = paritas(&["snapshot", "--json", "--state", state.to_str().unwrap(), &source, &replica]);
    assert_eq!(snapshot.code, 0, "{snapshot:#?}");
    let here = Record::new("east", "sold").on(0).at(NOON + 70_000);
    let there = Record::new("west", "bought").on(0).at(NOON + 80_000);
    mirrored.fill(&[here], &[there]);
    mirrored.demand(1, &["foreign p0 replica 20", "not_yet_mirrored in_flight p0 source 20"], "both sides take writes");
}

/// Records that the source deletes before they were copied leave no gap; what was kept of the source tells of them.
pub fn history_gone(world: &World) {
    for (what, copied, code, demanded) in [
        ("all was copied before", 30, 0, &[][..]),
        ("ten records were not copied", 20, 1, &["missing p0 source 0..29 x10"][..]),
    ] {
        let mirrored = Mirrored::new(world, 1, &[]);
        let all = records(35, 1);
        mirrored.fill(&all[..30], &all[..copied]);
        let state = world.folder("state");
        let with_state = ["--state", state.to_str().unwrap()];
        let (source, replica) = mirrored.urls("");
        let snapshot = paritas(&[&["snapshot", "--json"], &with_state[..], &[&source, &replica]].concat());
        assert_eq!(snapshot.code, 0, "{snapshot:#?}");
        world.run(mirrored.east().delete_records(&mirrored.topic, 0, 30)).unwrap();
        mirrored.fill(&all[30..], &all[30..]);
        let left_out = format!("not checked records of {}", mirrored.topic);
        let demanded: Vec<&str> = demanded.iter().copied().chain([left_out.as_str()]).collect();
        mirrored.demand_with("", &with_state, code, &demanded, what);
        // Without what was kept, nothing tells of them, and nothing is claimed about them.
        mirrored.demand(0, &[&left_out], &format!("{what}, and nothing was kept"));
    }
}

/// Times of records say nothing about lag.
pub fn clocks(world: &World) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for (what, shift) in [("an hour ahead", 3_600_000), ("an hour behind", -3_600_000)] {
        let at = i64::try_from(now.as_millis()).unwrap() + shift;
        let mirrored = Mirrored::new(world, 1, &[]);
        let honest: Vec<Record> = records(20, 1).into_iter().map(|record| record.at(at)).collect();
        mirrored.fill(&honest, &honest);
        demand_lag(&mirrored, &[], 0, &[("0", "caught_up")], what);
        mirrored.fill(&honest[..3], &[]);
        let run = demand_lag(&mirrored, &[], 3, &[("0", "stalled")], what);
        let json = run.json();
        let stream = &json["links"][0]["checks"][0]["streams"][0];
        let low = stream["seconds"]["low"].as_f64().unwrap();
        assert!(low < Duration::from_secs(600).as_secs_f64(), "{what}: {run:#?}");
    }
}

/// Offsets and counts of both sides agree, and records do not.
pub fn metadata_lies(world: &World) {
    let mirrored = Mirrored::new(world, 1, &[]);
    let honest = records(20, 1);
    let mut faulty = honest.clone();
    faulty.remove(3);
    faulty.push(Record::new("k99", "nobody wrote this").on(0).at(NOON + 99_000));
    mirrored.fill(&honest, &faulty);
    mirrored.demand(1, &["missing p0 source 3", "foreign p0 replica 19"], "as many records, other ones");
    // Markers of transactions take offsets that no record has: ends differ, and nothing else does.
    let marked = Mirrored::new(world, 1, &[]);
    world.run(async {
        let transaction = marked.east().transaction(&format!("{}-kept", marked.topic)).await.unwrap();
        transaction.produce(&marked.topic, honest.clone()).await.unwrap();
        transaction.commit().await.unwrap();
        marked.west().produce(&marked.topic, honest.clone()).await.unwrap();
    });
    marked.demand(0, &[], "other ends, the same records");
}
