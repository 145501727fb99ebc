//! What happens to mirrors in their lives, staged with MirrorMaker 2 on real brokers, and what the binary says of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use paritas_testbed::Scratch;
use paritas_testbed::kafka::{
    Client, Cluster, Election, Install, Isolation, Mirror, MirrorOptions, Options, Record, Stored, Topic,
};
use paritas_tests::{Run, paritas};
use serde_json::Value;

/// Two clusters, and a mirror that keeps the names of topics.
struct World {
    mirror: Mirror,
    here: Client,
    there: Client,
    a: Cluster,
    b: Cluster,
    scratch: Scratch,
}

impl World {
    async fn start() -> Option<Self> {
        let Some(install) = Install::unless_missing().unwrap() else {
            eprintln!("left out: Kafka is not installed; run `make setup`");
            return None;
        };
        let scratch = Scratch::new().unwrap();
        let (a, b) = tokio::join!(
            Cluster::start(&install, &scratch, "a", Options::default()),
            Cluster::start(&install, &scratch, "b", Options::default()),
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        let mirror = Mirror::start(&a, &b, MirrorOptions::default().identity()).await.unwrap();
        let (here, there) = (a.client().unwrap(), b.client().unwrap());
        Some(Self { mirror, here, there, a, b, scratch })
    }

    async fn topic(&self, name: &str, settings: &[(&str, &str)]) {
        let topic = Topic::new(name).set("retention.ms", "-1");
        let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        self.here.create(&topic).await.unwrap();
    }

    async fn fill(&self, topic: &str, first: u64, count: u64) {
        self.here.fill(topic, first, count, 50).await.unwrap();
    }

    /// Runs a command on both clusters as they are, and one topic of them where one is named.
    async fn run(&self, command: &str, topic: &str, more: &[&str]) -> Run {
        let url = |cluster: &Cluster| match topic {
            "" => format!("kafka://{}", cluster.bootstrap()),
            topic => format!("kafka://{}/{topic}", cluster.bootstrap()),
        };
        let (source, replica) = (url(&self.a), url(&self.b));
        let mut arguments = vec![command.to_owned(), "--json".to_owned(), source, replica];
        arguments.extend(more.iter().map(|one| (*one).to_owned()));
        let run = move || paritas(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

fn checks(run: &Run, kind: &str) -> Vec<Value> {
    let json = run.json();
    let all = json["links"][0]["checks"].as_array().unwrap();
    all.iter().filter(|check| check["check"] == kind).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lives_of_mirrored_topics_are_told_as_they_were() {
    let Some(mut world) = World::start().await else { return };
    names_that_stay_are_found_out(&world).await;
    partitions_that_are_added_are_told(&mut world).await;
    a_group_that_was_set_back_would_lose_records(&world).await;
    times_that_the_replica_stamps_itself_are_not_compared(&world).await;
    a_topic_that_was_made_anew_is_not_the_one_that_was_copied(&world).await;
    a_snapshot_tells_what_is_lost_and_where_groups_go_on_when_the_source_is_gone(&mut world).await;
}

/// The exit code, the verdict of the comparison of a topic, and its differences that are not 0.
fn told(run: &Run, topic: &str) -> (i32, String, Vec<(String, u64)>) {
    let check = checks(run, "parity").into_iter().find(|check| check["dataset"] == topic);
    let check = check.unwrap_or_else(|| panic!("{topic} was not compared: {run:#?}"));
    let counts = check["differences"].as_object().unwrap().iter();
    let counts = counts.map(|(class, count)| (class.clone(), count.as_u64().unwrap())).filter(|(_, count)| *count > 0);
    (run.code, check["verdict"].as_str().unwrap().to_owned(), counts.collect())
}

fn passes(run: &Run, topic: &str) {
    assert_eq!(told(run, topic), (0, "pass".to_owned(), Vec::new()), "{run:#?}");
}

async fn names_that_stay_are_found_out(world: &World) {
    for topic in ["orders", "fills"] {
        world.topic(topic, &[]).await;
        world.fill(topic, 0, 100).await;
        world.mirror.wait_caught_up(topic).await.unwrap();
    }
    let run = world.run("verify", "", &[]).await;
    let names: Vec<_> =
        checks(&run, "parity").iter().map(|check| check["dataset"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["fills", "orders"], "{run:#?}");
    names.iter().for_each(|name| passes(&run, name));
}

/// Records of a partition that the mirror has not made yet are on one side only.
async fn partitions_that_are_added_are_told(world: &mut World) {
    world.mirror.stop().await.unwrap();
    world.here.add_partitions("fills", 2).await.unwrap();
    passes(&world.run("verify", "fills", &["--settle", "1s"]).await, "fills");
    world.here.produce("fills", vec![Record::of("in the new one").on(1)]).await.unwrap();
    let run = world.run("verify", "fills", &["--settle", "1s"]).await;
    assert_eq!(told(&run, "fills"), (3, "unknown".to_owned(), Vec::new()), "{run:#?}");
    let check = checks(&run, "parity").remove(0);
    let problem = &check["log"]["partitions"][1]["problem"];
    assert_eq!(problem["detail"], "there is no partition fills/1", "{run:#?}");
    let lag = world.run("lag", "fills", &[]).await;
    let states: Vec<_> =
        checks(&lag, "lag")[0]["streams"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["caught_up", "unknown"], "{lag:#?}");
    world.mirror.start_again().await.unwrap();
    world.mirror.wait_mirrored("fills", 1, 1).await.unwrap();
    passes(&world.run("verify", "fills", &[]).await, "fills");
}

/// The mirror sets no group back that it has set forward.
async fn a_group_that_was_set_back_would_lose_records(world: &World) {
    world.here.commit("desk", "orders", &[(0, 100)]).await.unwrap();
    world.there.wait_committed("desk", "orders", |offsets| offsets.get(&0) == Some(&100)).await.unwrap();
    passes(&world.run("verify", "orders", &[]).await, "orders");
    world.here.commit("desk", "orders", &[(0, 20)]).await.unwrap();
    let run = world.run("verify", "orders", &[]).await;
    let group = &checks(&run, "offsets")[0]["groups"][0];
    assert_eq!((run.code, &group["may_resume"], &group["lost"]), (1, &false.into(), &80.into()), "{run:#?}");
}

async fn times_that_the_replica_stamps_itself_are_not_compared(world: &World) {
    world.there.create(&Topic::new("stamped").set("message.timestamp.type", "LogAppendTime")).await.unwrap();
    world.topic("stamped", &[]).await;
    world.fill("stamped", 0, 100).await;
    world.mirror.wait_caught_up("stamped").await.unwrap();
    let run = world.run("verify", "stamped", &[]).await;
    passes(&run, "stamped");
    assert!(run.stdout.contains("times of records: they are not compared"), "{run:#?}");
}

async fn a_topic_that_was_made_anew_is_not_the_one_that_was_copied(world: &World) {
    world.here.delete("orders").await.unwrap();
    world.topic("orders", &[]).await;
    world.fill("orders", 1_000, 5).await;
    world.mirror.wait_mirrored("orders", 0, 105).await.unwrap();
    let run = world.run("verify", "orders", &["--settle", "1s"]).await;
    assert_eq!(told(&run, "orders"), (1, "fail".to_owned(), vec![("extra".to_owned(), 100)]), "{run:#?}");
}

async fn a_snapshot_tells_what_is_lost_and_where_groups_go_on_when_the_source_is_gone(world: &mut World) {
    world.topic("ledger", &[]).await;
    world.fill("ledger", 0, 100).await;
    world.here.commit("clerk", "ledger", &[(0, 60)]).await.unwrap();
    world.mirror.wait_caught_up("ledger").await.unwrap();
    world.there.wait_committed("clerk", "ledger", |offsets| offsets.contains_key(&0)).await.unwrap();
    let trade = |id: &str| Record::new("k", id.to_owned()).header("tx", Some(id.as_bytes()));
    world.topic("trades", &[]).await;
    world.here.produce("trades", ["t0", "t0", "t1", "t1"].map(trade)).await.unwrap();
    world.mirror.wait_caught_up("trades").await.unwrap();
    world.mirror.kill().await.unwrap();
    world.fill("ledger", 100, 10).await;
    world.here.produce("trades", ["t1", "t2", "t2"].map(trade)).await.unwrap();
    torn_transactions_are_named(world).await;
    let state = world.scratch.path().join("state").display().to_string();
    let with_state = ["--state", state.as_str()];
    let kept = world.run("snapshot", "ledger", &with_state).await;
    assert_eq!(kept.code, 0, "{kept:#?}");
    world.a.kill().await.unwrap();
    let run = world.run("failover", "ledger", &with_state).await;
    let json = run.json();
    let recovery = &json["links"][0]["recovery"];
    assert_eq!((run.code, &recovery["decision"]), (1, &"no-go".into()), "{run:#?}");
    assert_eq!((&recovery["rpo"]["records_at_least"], &recovery["rpo"]["method"]), (&10.into(), &"snapshot".into()));
    let lost = &checks(&run, "parity")[0]["log"]["findings"][0];
    assert_eq!((&lost["class"], &lost["source"]), (&"missing".into(), &serde_json::json!([100, 109])), "{run:#?}");
    let group = &checks(&run, "offsets")[0]["groups"][0];
    assert_eq!((&group["group"], &group["may_resume"]), (&"clerk".into(), &true.into()), "{run:#?}");
    the_first_record_after_the_failure_bounds_the_recovery_time(world, &state).await;
}

async fn the_first_record_after_the_failure_bounds_the_recovery_time(world: &World, state: &str) {
    let now = std::process::Command::new("date").args(["-u", "+%FT%TZ"]).output().unwrap();
    let failed = String::from_utf8(now.stdout).unwrap().trim().to_owned();
    let measured = async |when: &str| {
        let run = world.run("failover", "ledger", &["--state", state, "--failed-at", when]).await;
        run.json()["links"][0]["recovery"]["rto"].clone()
    };
    let none = measured(&failed).await;
    assert!(none["seconds"]["high"].is_null() && none["why"].as_str().unwrap().contains("no record"), "{none:#}");
    world.there.produce("ledger", [Record::new("k", "written on the new side".to_owned())]).await.unwrap();
    let found = measured(&failed).await;
    assert_eq!((&found["method"], &found["seconds"]["low"]), (&"failed_at".into(), &0.0.into()), "{found:#}");
    assert!(found["seconds"]["high"].as_f64().unwrap() >= 0.0, "{found:#}");
}

/// The source answers still, and the mirror is dead.
async fn torn_transactions_are_named(world: &World) {
    let run = world.run("failover", "trades?transaction=header:tx", &[]).await;
    let json = run.json();
    let recovery = &json["links"][0]["recovery"];
    let rpo = &recovery["rpo"];
    assert_eq!((run.code, &rpo["transactions"], &rpo["records"]), (1, &2.into(), &3.into()), "{run:#?}");
    let told = "1 transaction torn: \"t1\" has 2 on the replica (trades/0), 1 not (trades/0)";
    assert!(recovery["reasons"].as_array().unwrap().iter().any(|reason| reason["text"] == told), "{recovery:#}");
    let run = world.run("failover", "trades", &[]).await;
    assert!(run.stdout.contains("nobody said where records name their transaction"), "{run:#?}");
}

/// Brokers 2 and 3 hold a topic; 2 has records that 3 never had, and 3 takes over without them.
async fn lose_by_election(cluster: &mut Cluster, topic: &str, before: u64, lost: u64) {
    let client = cluster.client().unwrap();
    client.fill(topic, 0, before, 50).await.unwrap();
    cluster.broker(3).unwrap().kill().await.unwrap();
    client.wait_placed(topic, |placed| placed[0].in_sync == [2]).await.unwrap();
    client.fill(topic, before, lost, 50).await.unwrap();
}

async fn elect(cluster: &mut Cluster, topic: &str) {
    cluster.broker(2).unwrap().kill().await.unwrap();
    cluster.start_broker(3).await.unwrap();
    // It may have been elected already, which is an error.
    let _ = cluster.elect(topic, 0, Election::Unclean).await;
    cluster.client().unwrap().wait_placed(topic, |placed| placed[0].leader == Some(3)).await.unwrap();
}

/// The loss of one side is a difference between both, whichever side it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_unclean_election_loses_is_found_on_either_side() {
    let Some(install) = Install::unless_missing().unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let (three, one) = tokio::join!(
        Cluster::start(&install, &scratch, "three", Options::default().brokers(3)),
        Cluster::start(&install, &scratch, "one", Options::default()),
    );
    let (mut three, one) = (three.unwrap(), one.unwrap());
    let client = three.client().unwrap();
    let topic = || Topic::new("orders").set("retention.ms", "-1");
    client.create(&topic().on(&[2, 3]).set("unclean.leader.election.enable", "true")).await.unwrap();
    one.client().unwrap().create(&topic()).await.unwrap();
    lose_by_election(&mut three, "orders", 100, 20).await;
    let mine = one.client().unwrap();
    let written = client.read("orders", 0, Isolation::Committed).await.unwrap();
    mine.produce("orders", written.iter().map(Stored::record).collect::<Vec<_>>()).await.unwrap();
    let verify = async |source: &Cluster, replica: &Cluster| {
        let url = |cluster: &Cluster| format!("kafka://{}/orders?policy=identity", cluster.bootstrap());
        let (source, replica) = (url(source), url(replica));
        let run = move || paritas(&["verify", "--json", &source, &replica, "--settle", "1s"]);
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    passes(&verify(&three, &one).await, "orders");
    elect(&mut three, "orders").await;
    let run = verify(&three, &one).await;
    assert_eq!(told(&run, "orders"), (1, "fail".to_owned(), vec![("extra".to_owned(), 20)]), "{run:#?}");
    let run = verify(&one, &three).await;
    // From here the last records might still be on their way.
    assert_eq!(told(&run, "orders"), (3, "unknown".to_owned(), vec![("in_flight".to_owned(), 20)]), "{run:#?}");
    // What is written after it shows that they are not.
    for client in [&client, &mine] {
        client.produce("orders", vec![Record::of("after").at(1_700_000_000_000)]).await.unwrap();
    }
    let run = verify(&one, &three).await;
    assert_eq!(told(&run, "orders"), (1, "fail".to_owned(), vec![("lost".to_owned(), 20)]), "{run:#?}");
}
