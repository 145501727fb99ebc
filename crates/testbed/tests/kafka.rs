//! Kafka clusters start, mirror, break as told, and never stay behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use paritas_testbed::kafka::{
    Client, Cluster, Election, Install, Isolation, Listener, Mechanism, Mirror, MirrorOptions, Options, Placed, Record,
    Resource, Stored, Topic, Twins, value_of,
};
use paritas_testbed::proxy::{Behaviour, Proxy};
use paritas_testbed::tls::Authority;
use paritas_testbed::{Scratch, ports};

fn install() -> Option<Install> {
    let found = Install::unless_missing().unwrap();
    if found.is_none() {
        eprintln!("left out: Kafka is not installed; run `make setup`");
    }
    found
}

async fn shared() -> Option<&'static Twins> {
    install()?;
    Twins::shared().await.unwrap()
}

fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Everything in a record that a mirror can get wrong.
fn odd_records() -> Vec<Record> {
    let time = 1_700_000_000_000;
    vec![
        Record::new("k", "v").on(0).at(time),
        Record::of("no key").on(0).at(time + 1),
        Record::new("", "").on(0).at(time + 2),
        Record::tombstone("k").on(0).at(time + 3),
        Record::new("k", "headers")
            .on(0)
            .at(time + 4)
            .header("b", Some(b"1"))
            .header("a", None)
            .header("b", Some(b""))
            .header("b", Some(b"2")),
        Record::new("other", vec![0, 255, 10]).on(1).at(time),
    ]
}

#[tokio::test]
async fn a_mirror_copies_odd_records_as_they_are_and_all_stops_on_drop() {
    let Some(install) = install() else { return };
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().to_path_buf();
    let (a, b) = tokio::join!(
        Cluster::start(&install, &scratch, "a", Options::default()),
        Cluster::start(&install, &scratch, "b", Options::default()),
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    let (source, target) = (a.client().unwrap(), b.client().unwrap());
    source.create(&Topic::new("odd").partitions(2).set("retention.ms", "-1")).await.unwrap();
    let places = source.produce("odd", odd_records()).await.unwrap();
    assert_eq!(
        places.iter().map(|place| (place.partition, place.offset)).collect::<Vec<_>>(),
        [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0)]
    );

    let mirror = Mirror::start(&a, &b, MirrorOptions::default()).await.unwrap();
    assert_eq!(mirror.wait_mirrored("odd", 0, 5).await.unwrap(), 5);
    assert_eq!(mirror.wait_mirrored("odd", 1, 1).await.unwrap(), 1);
    let copied = target.read_all("A.odd", Isolation::Committed).await.unwrap();
    assert_eq!(copied, source.read_all("odd", Isolation::Committed).await.unwrap());
    assert_eq!(copied.iter().map(Stored::record).collect::<Vec<_>>(), odd_records());

    let pids = [a.brokers()[0].pid(), b.brokers()[0].pid(), mirror.pid()].map(Option::unwrap);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    drop((mirror, a, b, scratch));
    assert!(!pids.iter().any(|pid| is_alive(*pid)) && !folder.exists());
}

fn values(records: &[Stored]) -> Vec<&str> {
    records.iter().map(|record| std::str::from_utf8(record.value.as_deref().unwrap()).unwrap()).collect()
}

fn numbered(range: std::ops::Range<u32>) -> Vec<Record> {
    range.map(|number| Record::of(number.to_string()).on(0)).collect()
}

async fn end(client: &Client, topic: &str, isolation: Isolation) -> u64 {
    client.ends(topic, isolation).await.unwrap()[0].end
}

/// Two records committed, three aborted, one committed, two in a transaction that is left open.
async fn transactions(client: &Client, topic: &str) {
    let transaction = client.transaction(topic).await.unwrap();
    transaction.produce(topic, numbered(0..2)).await.unwrap();
    transaction.commit().await.unwrap();
    let transaction = client.transaction(topic).await.unwrap();
    transaction.produce(topic, numbered(10..13)).await.unwrap();
    transaction.abort().await.unwrap();
    client.produce(topic, numbered(2..3)).await.unwrap();
    let transaction = client.transaction(&format!("{topic}-open")).await.unwrap();
    transaction.produce(topic, numbered(20..22)).await.unwrap();
}

#[tokio::test]
async fn aborted_and_open_transactions_are_there_for_those_who_read_uncommitted() {
    let Some(twins) = shared().await else { return };
    let (source, target) = (twins.source.client().unwrap(), twins.target.client().unwrap());
    let topic = twins.name("transactions");
    source.create(&Topic::new(&topic)).await.unwrap();
    transactions(&source, &topic).await;
    // Eight records and the markers of two ended transactions.
    assert_eq!(end(&source, &topic, Isolation::Uncommitted).await, 10);
    assert_eq!(end(&source, &topic, Isolation::Committed).await, 8);
    let all = source.read(&topic, 0, Isolation::Uncommitted).await.unwrap();
    assert_eq!(values(&all), ["0", "1", "10", "11", "12", "2", "20", "21"]);
    let committed = source.read(&topic, 0, Isolation::Committed).await.unwrap();
    assert_eq!(values(&committed), ["0", "1", "2"]);
    assert_eq!(committed.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 7]);

    assert_eq!(twins.mirror.wait_mirrored(&topic, 0, 8).await.unwrap(), 8);
    let copied = target.read(&twins.mirror.remote(&topic), 0, Isolation::Committed).await.unwrap();
    assert_eq!(values(&copied), values(&all), "a mirror copies what was aborted, unless told otherwise");
    let careful = MirrorOptions::default().isolation(Isolation::Committed).exactly_once();
    let careful = twins.own_mirror(&topic, careful).await.unwrap();
    careful.wait_mirrored(&topic, 0, 4).await.unwrap();
    let copied = target.read(&careful.remote(&topic), 0, Isolation::Committed).await.unwrap();
    assert_eq!(values(&copied), ["0", "1", "2"]);
    let marked = end(&target, &careful.remote(&topic), Isolation::Uncommitted).await;
    assert!(marked > 3, "the markers of its transactions take offsets: {marked}");
}

#[tokio::test]
async fn a_paused_mirror_lags_and_catches_up_without_duplicates() {
    let Some(twins) = shared().await else { return };
    let (source, target) = (twins.source.client().unwrap(), twins.target.client().unwrap());
    let topic = twins.name("lag");
    source.create(&Topic::new(&topic)).await.unwrap();
    source.produce(&topic, numbered(0..10)).await.unwrap();
    let options =
        MirrorOptions::default().separator("-").offset_syncs_on_target().flush_interval(Duration::from_secs(5));
    let mut own = twins.own_mirror(&topic, options).await.unwrap();
    own.wait_mirrored(&topic, 0, 10).await.unwrap();
    own.pause().unwrap();
    source.produce(&topic, numbered(10..110)).await.unwrap();
    // The other mirror has copied them by then.
    twins.mirror.wait_mirrored(&topic, 0, 110).await.unwrap();
    assert_eq!(end(&target, &own.remote(&topic), Isolation::Uncommitted).await, 10);
    own.resume().unwrap();
    own.wait_caught_up(&topic).await.unwrap();
    let copied = target.read_all(&own.remote(&topic), Isolation::Uncommitted).await.unwrap();
    assert_eq!(copied, source.read_all(&topic, Isolation::Uncommitted).await.unwrap());
    let topics = target.topics().await.unwrap();
    let alias = own.remote("").replace('-', "");
    assert!(topics.contains_key(&format!("mm2-offset-syncs-{alias}-internal")), "{topics:?}");

    own.stop().await.unwrap();
    source.produce(&topic, numbered(110..120)).await.unwrap();
    own.start_again().await.unwrap();
    assert_eq!(own.wait_mirrored(&topic, 0, 120).await.unwrap(), 120);
    own.kill().await.unwrap();
    assert_eq!(own.pid(), None);
}

#[tokio::test]
async fn an_identity_mirror_keeps_names_and_follows_new_partitions_and_groups() {
    let Some(twins) = shared().await else { return };
    let (source, target) = (twins.source.client().unwrap(), twins.target.client().unwrap());
    let (topic, group) = (twins.name("groups"), twins.name("group"));
    source.create(&Topic::new(&topic).set("retention.ms", "-1")).await.unwrap();
    let own = twins.own_mirror(&topic, MirrorOptions::default().identity().groups(&group)).await.unwrap();
    assert_eq!(own.remote(&topic), topic);
    source.add_partitions(&topic, 2).await.unwrap();
    source.produce(&topic, (0..20).map(|n| Record::of(n.to_string()).on(n % 2))).await.unwrap();
    own.wait_caught_up(&topic).await.unwrap();

    let member = source.join(&group, &[&topic]).unwrap();
    assert_eq!(member.read(20).await.unwrap().len(), 20);
    assert!(source.commit(&group, &topic, &[(0, 1)]).await.is_err(), "only members commit while there are some");
    member.commit().await.unwrap();
    let ends = BTreeMap::from([(0, 10), (1, 10)]);
    assert_eq!(source.committed(&group, &topic).await.unwrap(), ends);
    // The mirror writes offsets only for groups that nobody is a member of on the target.
    target.wait_committed(&group, &topic, |offsets| *offsets == ends).await.unwrap();

    let empty = twins.name("group");
    source.commit_noted(&empty, &topic, vec![(1, 4, "noted".to_owned())]).await.unwrap();
    assert_eq!(source.committed(&empty, &topic).await.unwrap(), BTreeMap::from([(1, 4)]));
    source.delete_group(&empty).await.unwrap();
    assert_eq!(source.committed(&empty, &topic).await.unwrap(), BTreeMap::new());
}

#[tokio::test]
async fn topics_are_altered_shortened_filled_and_deleted() {
    let Some(twins) = shared().await else { return };
    let client = twins.source.client().unwrap();
    let topic = twins.name("topic");
    client.create(&Topic::new(&topic).partitions(2).set("retention.ms", "-1")).await.unwrap();
    assert!(client.create(&Topic::new(&topic)).await.is_err(), "there is one already");
    client.alter(&topic, &[("segment.ms", "1000"), ("message.timestamp.type", "LogAppendTime")]).await.unwrap();
    let settings = client.settings(&topic).await.unwrap();
    assert_eq!(settings["retention.ms"], "-1", "the others stay: {settings:?}");
    assert_eq!(settings["segment.ms"], "1000");

    client.with(&[("compression.codec", "zstd")]).unwrap().fill(&topic, 0, 5000, 100).await.unwrap();
    client.delete_records(&topic, 1, 40).await.unwrap();
    let ends = client.ends(&topic, Isolation::Uncommitted).await.unwrap();
    assert_eq!(ends.iter().map(|ends| (ends.start, ends.end)).collect::<Vec<_>>(), [(0, 2500), (40, 2500)]);
    let records = client.read(&topic, 1, Isolation::Uncommitted).await.unwrap();
    assert_eq!((records.len(), records[0].offset, records[0].appended), (2460, 40, true));
    let mut value = vec![0; 100];
    value_of(81, &mut value);
    assert_eq!(records[0].key.as_deref(), Some(&81_u64.to_be_bytes()[..]));
    assert_eq!(records[0].value.as_deref(), Some(&value[..]));
    client.delete(&topic).await.unwrap();
    assert!(client.ends(&topic, Isolation::Uncommitted).await.is_err());
}

fn in_sync(placed: &[Placed]) -> Vec<Vec<i32>> {
    placed.iter().map(|placed| placed.in_sync.clone()).collect()
}

#[tokio::test]
async fn replicas_leave_the_set_when_killed_come_back_and_lose_records_in_an_unclean_election() {
    let Some(install) = install() else { return };
    let scratch = Scratch::new().unwrap();
    let options = Options::default().brokers(3).set("broker.session.timeout.ms", "3000");
    let mut cluster = Cluster::start(&install, &scratch, "three", options).await.unwrap();
    let client = cluster.client().unwrap();
    client.create(&Topic::new("all").partitions(2).replicas(3)).await.unwrap();
    client.create(&Topic::new("pair").on(&[2, 3])).await.unwrap();
    assert_eq!(in_sync(&client.partitions("all").await.unwrap()), [[1, 2, 3], [1, 2, 3]]);
    client.produce("pair", numbered(0..5)).await.unwrap();

    cluster.broker(3).unwrap().kill().await.unwrap();
    client.wait_placed("all", |placed| in_sync(placed) == [[1, 2], [1, 2]]).await.unwrap();
    client.wait_placed("pair", |placed| in_sync(placed) == [[2]]).await.unwrap();
    client.produce("pair", numbered(5..9)).await.unwrap();
    cluster.broker(2).unwrap().kill().await.unwrap();
    client.wait_placed("pair", |placed| placed[0].leader.is_none()).await.unwrap();
    cluster.start_broker(3).await.unwrap();
    client.wait_placed("all", |placed| in_sync(placed) == [[1, 3], [1, 3]]).await.unwrap();
    assert_eq!(client.partitions("pair").await.unwrap()[0].leader, None, "the only one in sync is gone");
    cluster.elect("pair", 0, Election::Unclean).await.unwrap();
    client.wait_placed("pair", |placed| placed[0].leader == Some(3)).await.unwrap();
    assert_eq!(end(&client, "pair", Isolation::Uncommitted).await, 5, "what only the other one had is lost");

    cluster.start_broker(2).await.unwrap();
    client.wait_placed("pair", |placed| in_sync(placed) == [[2, 3]]).await.unwrap();
    cluster.reassign("pair", 0, &[1, 2]).await.unwrap();
    let read = client.read("pair", 0, Isolation::Committed).await.unwrap();
    assert_eq!(values(&read), ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn users_log_in_over_tls_and_may_only_do_what_they_were_granted() {
    let Some(install) = install() else { return };
    let scratch = Scratch::new().unwrap();
    let authority = Authority::new(&scratch, "authority").unwrap();
    let (server, stranger) = (authority.server("server").unwrap(), Authority::new(&scratch, "stranger").unwrap());
    let nowhere = ports::free_port().unwrap();
    let options = Options::default().tls(&server, Some(&authority)).user("app", "secret").acls();
    let options = options.route(ports::free_port().unwrap(), &format!("127.0.0.1:{nowhere}"));
    let cluster = Cluster::start(&install, &scratch, "guarded", options).await.unwrap();
    let root = cluster.client().unwrap();
    root.create(&Topic::new("t")).await.unwrap();
    root.produce("t", numbered(0..3)).await.unwrap();

    let open = cluster.client_of(Listener::SaslTls).unwrap();
    let trusting = open.trust(&authority).unwrap();
    let app = trusting.login(Mechanism::Scram512, "app", "secret").unwrap();
    let denied = app.read("t", 0, Isolation::Committed).await.unwrap_err().to_string();
    assert!(denied.contains("Topic authorization failed"), "{denied}");
    cluster.grant("app", &[Resource::Topic("t")], &["Read"]).await.unwrap();
    assert!(app.commit("g", "t", &[(0, 1)]).await.is_err(), "groups need a right of their own");
    cluster.grant("app", &[Resource::Group("g")], &["Read"]).await.unwrap();
    app.commit("g", "t", &[(0, 1)]).await.unwrap();
    assert_eq!(app.read("t", 0, Isolation::Committed).await.unwrap().len(), 3);
    let denied = app.produce("t", numbered(3..4)).await.unwrap_err().to_string();
    assert!(denied.contains("authorization failed"), "{denied}");
    for (listener, mechanism) in [(Listener::Sasl, Mechanism::Plain), (Listener::Sasl, Mechanism::Scram256)] {
        let client = cluster.client_of(listener).unwrap().login(mechanism, "app", "secret").unwrap();
        assert_eq!(client.read("t", 0, Isolation::Committed).await.unwrap().len(), 3, "{mechanism:?}");
    }

    let wrong = trusting.login(Mechanism::Scram256, "app", "wrong").unwrap();
    let refused = wrong.read("t", 0, Isolation::Committed).await.unwrap_err().to_string();
    assert!(refused.contains("Authentication"), "{refused}");
    let distrusting = open.trust(&stranger).unwrap().login(Mechanism::Scram256, "app", "secret").unwrap();
    assert!(distrusting.broker_ids().await.is_err());

    let tls = cluster.client_of(Listener::Tls).unwrap().trust(&authority).unwrap();
    assert!(tls.broker_ids().await.is_err(), "a certificate is asked for");
    let user = tls.identify(&authority.client("app").unwrap()).unwrap();
    assert_eq!(user.read("t", 0, Isolation::Committed).await.unwrap().len(), 3, "the same user by another way");
    cluster.revoke("app", &[Resource::Topic("t")], &["Read"]).await.unwrap();
    assert!(user.read("t", 0, Isolation::Committed).await.is_err());

    let routed = cluster.client_of(Listener::Routed).unwrap();
    assert_eq!(routed.broker_ids().await.unwrap().len(), 1, "the broker answers, and names an address");
    let short = routed.with(&[("message.timeout.ms", "1000")]).unwrap();
    assert!(short.produce("t", numbered(3..4)).await.is_err(), "where nobody listens");
    assert_eq!(end(&root, "t", Isolation::Uncommitted).await, 3);
}

#[tokio::test]
async fn a_cluster_restarts_in_place_and_stands_behind_a_proxy() {
    let Some(install) = install() else { return };
    let scratch = Scratch::new().unwrap();
    let port = ports::free_port().unwrap();
    let proxy = Proxy::start(port).await.unwrap();
    let options = Options::default().route(port, &format!("127.0.0.1:{}", proxy.port()));
    let mut cluster = Cluster::start(&install, &scratch, "one", options).await.unwrap();
    let client = cluster.client().unwrap();
    client.create(&Topic::new("t")).await.unwrap();
    let proxied = Client::new(&format!("127.0.0.1:{}", proxy.port())).unwrap();
    proxied.fill("t", 0, 100, 1000).await.unwrap();
    assert!(proxy.bytes_from_client() > 100_000, "records pass through it");
    proxy.set(Behaviour::Refuse);
    assert!(proxied.broker_ids().await.is_err());
    assert_eq!(end(&client, "t", Isolation::Uncommitted).await, 100, "others do not notice");

    let pid = cluster.brokers()[0].pid();
    cluster.restart().await.unwrap();
    assert_ne!(cluster.brokers()[0].pid(), pid);
    cluster.kill().await.unwrap();
    assert!(client.broker_ids().await.is_err());
    cluster.start_again().await.unwrap();
    assert_eq!(end(&client, "t", Isolation::Uncommitted).await, 100);
    cluster.pause().unwrap();
    assert!(client.broker_ids().await.is_err());
    cluster.resume().unwrap();
    assert_eq!(client.broker_ids().await.unwrap().len(), 1);
    assert!(cluster.broker(2).is_err());
}

#[tokio::test]
async fn the_other_version_does_it_all_as_well() {
    let Some(install) = Install::unless_missing_version("3.9.1").unwrap() else {
        eprintln!("left out: Kafka 3.9.1 is not installed; run `make setup`");
        return;
    };
    let scratch = Scratch::new().unwrap();
    let mut twins = Twins::start(&install, &scratch, MirrorOptions::default()).await.unwrap();
    let (source, target) = (twins.source.client().unwrap(), twins.target.client().unwrap());
    source.create(&Topic::new("odd").partitions(2).set("retention.ms", "-1")).await.unwrap();
    source.produce("odd", odd_records()).await.unwrap();
    twins.mirror.wait_caught_up("odd").await.unwrap();
    let copied = target.read_all("A.odd", Isolation::Committed).await.unwrap();
    assert_eq!(copied.iter().map(Stored::record).collect::<Vec<_>>(), odd_records());

    source.create(&Topic::new("transactions")).await.unwrap();
    transactions(&source, "transactions").await;
    assert_eq!(end(&source, "transactions", Isolation::Committed).await, 8);
    twins.mirror.wait_mirrored("transactions", 0, 8).await.unwrap();

    source.commit("group", "odd", &[(0, 5), (1, 1)]).await.unwrap();
    let ends = BTreeMap::from([(0, 5), (1, 1)]);
    target.wait_committed("group", "A.odd", |offsets| *offsets == ends).await.unwrap();

    twins.mirror.pause().unwrap();
    source.fill("odd", 0, 100, 10).await.unwrap();
    twins.mirror.resume().unwrap();
    twins.mirror.wait_caught_up("odd").await.unwrap();
    twins.mirror.restart().await.unwrap();
    twins.source.restart().await.unwrap();
    source.delete_records("odd", 0, 5).await.unwrap();
    assert_eq!(source.ends("odd", Isolation::Uncommitted).await.unwrap()[0].start, 5);
    source.alter("odd", &[("retention.ms", "1000000")]).await.unwrap();
    source.delete("transactions").await.unwrap();
}
