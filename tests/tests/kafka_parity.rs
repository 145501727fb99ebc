//! Mirrored topics compared record by record, on real brokers and with MirrorMaker 2: a faithful mirror is never
//! accused, and what a mirror or a person did to the copy is named, with its place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use paritas_connect::Context;
use paritas_connect::logs::Partition;
use paritas_connect_kafka::{KafkaOptions, KafkaStore};
use paritas_digest::DigestKey;
use paritas_logs::content::{Chain, Class, Policy, Timestamps};
use paritas_model::{Proof, Verdict};
use paritas_testbed::kafka::{Client, Isolation, Mirror, MirrorOptions, Record, Topic, Twins};
use paritas_verify::logs::{Facing, LogSide, Outcome, Request, Topic as Compared, parity, snapshot};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time for one comparison. The machine may be busy.
const TIME_MAX: Duration = Duration::from_secs(120);

/// The clusters that all tests share, with clients for both.
struct World {
    twins: &'static Twins,
    source: Client,
    target: Client,
}

impl World {
    async fn start() -> Option<Self> {
        let Some(twins) = Twins::shared().await.unwrap() else {
            eprintln!("left out: Kafka is not installed; run `make setup`");
            return None;
        };
        let (source, target) = (twins.source.client().unwrap(), twins.target.client().unwrap());
        Some(Self { twins, source, target })
    }

    /// A topic on the source that the shared mirror copies.
    async fn topic(&self, word: &str, partitions: i32) -> String {
        let name = self.twins.name(word);
        self.source.create(&Topic::new(&name).partitions(partitions).set("retention.ms", "-1")).await.unwrap();
        name
    }

    /// Two topics of one partition that nobody mirrors: the source's holds `records`, the target's what `change` makes
    /// of them.
    async fn by_hand(&self, word: &str, records: Vec<Record>, change: impl FnOnce(&mut Vec<Record>)) -> String {
        let name = format!("{}-internal-copy", self.twins.name(word));
        for client in [&self.source, &self.target] {
            client.create(&Topic::new(&name).set("retention.ms", "-1")).await.unwrap();
        }
        let mut copy = records.clone();
        self.source.produce(&name, records).await.unwrap();
        change(&mut copy);
        self.target.produce(&name, copy).await.unwrap();
        name
    }

    fn sides(&self) -> (LogSide, LogSide) {
        let side = |name: &str, bootstrap: String| {
            let store = KafkaStore::from_url(&format!("kafka://{bootstrap}"), &KafkaOptions::default()).unwrap();
            LogSide::new(name, Arc::new(store), Context::default().with_timeout(TIME_MAX))
        };
        (side("source", self.twins.source.bootstrap()), side("replica", self.twins.target.bootstrap()))
    }

    /// The pairs of offsets that a mirror noted about a topic, once one of them is as far as `upstream`. The mirror that
    /// all tests share copies it too, and notes pairs of its own.
    async fn syncs_beyond(&self, name: &str, mirror: &Mirror, upstream: u64) -> Vec<(u64, u64)> {
        let (source, _) = self.sides();
        let began = Instant::now();
        loop {
            let traces = source.logs.traces(&source.cx).await.unwrap();
            let of_mirror = traces.syncs.iter().filter(|sync| sync.alias.as_deref() == Some(mirror.target()));
            let own = of_mirror.filter(|sync| sync.partition.log == name);
            let pairs: Vec<_> = own.map(|sync| (sync.upstream as u64, sync.downstream as u64)).collect();
            if pairs.iter().any(|pair| pair.0 >= upstream) {
                return pairs;
            }
            assert!(began.elapsed() < TIME_MAX, "{pairs:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn compare(&self, topic: &Compared, settle: Duration) -> Outcome {
        let (source, replica) = self.sides();
        parity(&request(&source, &replica, topic, settle)).await.pop().unwrap()
    }
}

fn request<'a>(source: &'a LogSide, replica: &'a LogSide, topic: &'a Compared, settle: Duration) -> Request<'a> {
    static KEY: std::sync::LazyLock<DigestKey> = std::sync::LazyLock::new(DigestKey::unkeyed);
    Request {
        source,
        replica,
        topics: std::slice::from_ref(topic),
        key: &KEY,
        settle,
        items_max: 100,
        partitions_at_once: 16,
        ledger: None,
        watch: &|_| {},
    }
}

/// A topic and its copy.
fn compared(name: &str, copy: &str, partitions: i32) -> Compared {
    let facing = |index| Facing {
        source: Partition::new(name, index),
        replica: Partition::new(copy, index),
        syncs: Vec::new(),
        stored: None,
        source_id: None,
        replica_id: None,
    };
    let facing = (0..partitions).map(facing).collect();
    Compared { name: name.to_owned(), policy: Policy::default(), doubt: None, facing }
}

/// Class, partition, records, first offset on either side.
type Short = (Class, i32, u64, Option<u64>, Option<u64>);

fn found(outcome: &Outcome) -> Vec<Short> {
    let problems: Vec<_> = outcome.partitions.iter().filter_map(|window| window.problem.as_ref()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let short = |one: &paritas_logs::content::Finding| {
        let first = |span: Option<paritas_logs::content::Span>| span.map(|span| span.first);
        (one.class, one.partition, one.records, first(one.source), first(one.replica))
    };
    outcome.findings.iter().map(short).collect()
}

fn passes(outcome: &Outcome, records: u64) {
    assert_eq!((found(outcome), outcome.verdict()), (Vec::new(), Verdict::Pass), "{outcome:#?}");
    assert_eq!((outcome.source_records(), outcome.replica_records()), (Some(records), Some(records)));
}

/// A record that no other one is like.
fn record(number: u64) -> Record {
    Record::new(format!("k{}", number % 5), format!("value {number}")).at(1_700_000_000_000 + number as i64)
}

/// Records of every shape.
fn shapes() -> Vec<Record> {
    let mut all = vec![
        Record::of("no key").on(0),
        Record::new("", "empty key").on(0),
        Record::new("k", "").on(0),
        Record::tombstone("k").on(0),
        Record::default().on(0),
        Record::new("k", "v").header("h", None).header("h", Some(b"")).header("h", Some(b"1")).header("", None).on(0),
        Record::new([0, 255, 254], vec![0_u8; 1_000_000]).on(1),
        Record::new("k", "old").at(1).on(1),
    ];
    // The same record many times is legal.
    all.extend((0..50).map(|_| Record::new("same", "same").at(5).on(2)));
    all.extend((0..3_000).map(|number| record(number).on((number % 3) as i32)));
    all
}

const SETTLE: Duration = Duration::from_secs(60);
/// Comparisons of a mirror that is written to all the time.
const ROUNDS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirrored_topic_of_every_shape_of_record_passes() {
    let Some(world) = World::start().await else { return };
    let name = world.topic("shapes", 3).await;
    let records = shapes();
    let count = records.len() as u64;
    world.source.produce(&name, records).await.unwrap();
    let copy = world.twins.mirror.remote(&name);
    world.twins.mirror.wait_caught_up(&name).await.unwrap();
    passes(&world.compare(&compared(&name, &copy, 3), SETTLE).await, count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faithful_mirror_under_load_is_never_accused() {
    let Some(world) = World::start().await else { return };
    let name = world.topic("load", 3).await;
    world.source.produce(&name, (0..300).map(record).collect::<Vec<_>>()).await.unwrap();
    let copy = world.twins.mirror.remote(&name);
    world.twins.mirror.wait_caught_up(&name).await.unwrap();
    let topic = compared(&name, &copy, 3);
    let writer = {
        let (client, name) = (world.source.clone(), name.clone());
        tokio::spawn(async move {
            for batch in 1.. {
                let records: Vec<Record> = (0..200).map(|number| record(batch * 1_000 + number)).collect();
                client.produce(&name, records).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    for round in 0..ROUNDS {
        let outcome = world.compare(&topic, SETTLE).await;
        assert_eq!((found(&outcome), outcome.verdict()), (Vec::new(), Verdict::Pass), "round {round}");
    }
    writer.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_faults_are_found_where_they_are_and_nothing_else() {
    let Some(world) = World::start().await else { return };
    type Change = fn(&mut Vec<Record>);
    type Case = (&'static str, Change, &'static [Short]);
    const CASES: &[Case] = &[
        ("nothing", |_| {}, &[]),
        ("dropped", |all| drop(all.remove(700)), &[(Class::Missing, 0, 1, Some(700), None)]),
        ("run dropped", |all| drop(all.drain(100..150)), &[(Class::Missing, 0, 50, Some(100), None)]),
        ("value", |all| all[9].value = None, &[(Class::Altered, 0, 1, Some(9), Some(9))]),
        ("key", |all| all[9].key = None, &[(Class::Altered, 0, 1, Some(9), Some(9))]),
        ("header", |all| all[9].headers.push(("h".to_owned(), None)), &[(Class::Altered, 0, 1, Some(9), Some(9))]),
        ("time", |all| all[9].timestamp = Some(1_600_000_000_000), &[(Class::Altered, 0, 1, Some(9), Some(9))]),
        ("twice", |all| all.insert(6, all[5].clone()), &[(Class::Duplicate, 0, 1, Some(5), Some(6))]),
        (
            "run twice",
            |all| drop(all.splice(900..900, all[300..900].to_vec())),
            &[(Class::Duplicate, 0, 600, Some(300), Some(900))],
        ),
        (
            "moved",
            |all| {
                let one = all.remove(20);
                all.insert(800, one);
            },
            &[(Class::Reordered, 0, 1, Some(20), Some(800))],
        ),
        ("added", |all| all.insert(500, record(99_999)), &[(Class::Foreign, 0, 1, None, Some(500))]),
    ];
    for (name, change, expected) in CASES {
        let topic = world.by_hand("planted", (0..1_000).map(record).collect(), change).await;
        let outcome = world.compare(&compared(&topic, &topic, 1), Duration::ZERO).await;
        assert_eq!(found(&outcome), *expected, "{name}");
        assert_eq!(outcome.verdict() == Verdict::Fail, !expected.is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_and_open_transactions_are_told_from_faults() {
    let Some(world) = World::start().await else { return };
    let name = world.topic("transactions", 1).await;
    let one = world.source.transaction(&world.twins.name("t")).await.unwrap();
    one.produce(&name, (0..3).map(record).collect::<Vec<_>>()).await.unwrap();
    one.commit().await.unwrap();
    let one = world.source.transaction(&world.twins.name("t")).await.unwrap();
    one.produce(&name, (10..15).map(record).collect::<Vec<_>>()).await.unwrap();
    one.abort().await.unwrap();
    world.source.produce(&name, (20..22).map(record).collect::<Vec<_>>()).await.unwrap();
    world.twins.mirror.wait_mirrored(&name, 0, 10).await.unwrap();
    let mut topic = compared(&name, &world.twins.mirror.remote(&name), 1);
    let outcome = world.compare(&topic, SETTLE).await;
    assert_eq!(found(&outcome), [(Class::Aborted, 0, 5, Some(4), Some(3))]);
    assert_eq!(outcome.verdict(), Verdict::Fail);
    topic.policy.aborted_allowed = true;
    let outcome = world.compare(&topic, SETTLE).await;
    assert_eq!((outcome.verdict(), outcome.counts.aborted_allowed), (Verdict::Pass, 5));

    // The mirror copies what may still be aborted.
    let open = world.source.transaction(&world.twins.name("t")).await.unwrap();
    open.produce(&name, (30..34).map(record).collect::<Vec<_>>()).await.unwrap();
    world.twins.mirror.wait_mirrored(&name, 0, 14).await.unwrap();
    let outcome = world.compare(&topic, SETTLE).await;
    assert_eq!((outcome.verdict(), outcome.counts.undecided), (Verdict::Pass, 4));
    open.commit().await.unwrap();
    let outcome = world.compare(&topic, SETTLE).await;
    assert_eq!((outcome.verdict(), outcome.counts.undecided), (Verdict::Pass, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exactly_once_mirror_leaves_markers_and_passes() {
    let Some(world) = World::start().await else { return };
    let name = world.twins.name("once-internal-copy");
    world.source.create(&Topic::new(&name).partitions(2)).await.unwrap();
    let options = MirrorOptions::default().exactly_once().isolation(Isolation::Committed);
    let mirror = world.twins.own_mirror(&name, options).await.unwrap();
    for first in [0, 1_000, 2_000] {
        world.source.fill(&name, first, 1_000, 50).await.unwrap();
        mirror.wait_mirrored(&name, 0, first / 2 + 500).await.unwrap();
    }
    passes(&world.compare(&compared(&name, &mirror.remote(&name), 2), SETTLE).await, 3_000);
}

/// A mirror that stood still at 100 while everything before 150 was deleted, and went on.
async fn hole(world: &World) -> (String, Mirror, Option<Chain>) {
    let name = world.twins.name("hole-internal-copy");
    world.source.create(&Topic::new(&name)).await.unwrap();
    let mut mirror = world.twins.own_mirror(&name, MirrorOptions::default()).await.unwrap();
    world.source.fill(&name, 0, 100, 20).await.unwrap();
    mirror.wait_mirrored(&name, 0, 100).await.unwrap();
    mirror.stop().await.unwrap();
    world.source.fill(&name, 100, 100, 20).await.unwrap();
    let (source, replica) = world.sides();
    let topic = compared(&name, &mirror.remote(&name), 1);
    let chain =
        snapshot(&request(&source, &replica, &topic, Duration::ZERO), 1_000).await.pop().unwrap().1.pop().unwrap();
    world.source.delete_records(&name, 0, 150).await.unwrap();
    mirror.start_again().await.unwrap();
    mirror.wait_mirrored(&name, 0, 150).await.unwrap();
    (name, mirror, chain)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_that_deleted_records_left_is_suspected_by_syncs_and_proven_by_a_stored_chain() {
    let Some(world) = World::start().await else { return };
    let (name, mirror, chain) = hole(&world).await;
    let mut topic = compared(&name, &mirror.remote(&name), 1);
    topic.facing[0].syncs = world.syncs_beyond(&name, &mirror, 150).await;
    let outcome = world.compare(&topic, SETTLE).await;
    assert_eq!(outcome.verdict(), Verdict::Unknown, "{outcome:#?}");
    assert_eq!(outcome.findings.iter().map(|one| one.proof).next(), Some(Proof::Unproven));
    assert_eq!(outcome.counts.unproven, 50);
    topic.facing[0].stored = chain;
    let outcome = world.compare(&topic, SETTLE).await;
    assert_eq!((outcome.verdict(), outcome.counts.missing), (Verdict::Fail, 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_mirror_leaves_one_run_of_duplicates_in_each_partition() {
    let Some(world) = World::start().await else { return };
    let name = world.twins.name("killed-internal-copy");
    world.source.create(&Topic::new(&name).partitions(2)).await.unwrap();
    let options = MirrorOptions::default().flush_interval(Duration::from_secs(600));
    let mut mirror = world.twins.own_mirror(&name, options).await.unwrap();
    world.source.fill(&name, 0, 20_000, 100).await.unwrap();
    mirror.wait_mirrored(&name, 0, 10_000).await.unwrap();
    mirror.wait_mirrored(&name, 1, 10_000).await.unwrap();
    mirror.kill().await.unwrap();
    mirror.start_again().await.unwrap();
    // Nothing was noted before it was killed, so all is copied again.
    mirror.wait_mirrored(&name, 0, 20_000).await.unwrap();
    mirror.wait_mirrored(&name, 1, 20_000).await.unwrap();
    let outcome = world.compare(&compared(&name, &mirror.remote(&name), 2), SETTLE).await;
    let expected: Vec<Short> =
        (0..2).map(|partition| (Class::Duplicate, partition, 10_000, Some(0), Some(10_000))).collect();
    assert_eq!(found(&outcome), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stamps_records_itself_passes_without_times() {
    let Some(world) = World::start().await else { return };
    let name = format!("{}-internal-copy", world.twins.name("stamped"));
    world.source.create(&Topic::new(&name)).await.unwrap();
    world.target.create(&Topic::new(&name).set("message.timestamp.type", "LogAppendTime")).await.unwrap();
    for client in [&world.source, &world.target] {
        client.fill(&name, 0, 2_000, 30).await.unwrap();
    }
    let mut topic = compared(&name, &name, 1);
    topic.policy.timestamps = Timestamps::Ignore;
    passes(&world.compare(&topic, Duration::ZERO).await, 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_anew_with_more_records_has_lost_the_first_ones() {
    let Some(world) = World::start().await else { return };
    // What the mirror does then: it goes on at its old offset.
    let name = world.by_hand("anew", (1_000..1_300).map(record).collect(), |all| {
        all.splice(..100, (0..100).map(record));
    });
    let name = name.await;
    let outcome = world.compare(&compared(&name, &name, 1), Duration::ZERO).await;
    let counts = outcome.counts;
    assert_eq!((outcome.verdict(), counts.missing + counts.altered), (Verdict::Fail, 100), "{counts:?}");
    assert_eq!(counts.foreign + counts.altered, 100, "{counts:?}");
}
