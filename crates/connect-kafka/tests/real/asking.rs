//! What a cluster is asked: itself, its topics, their settings, where they begin and end.

use crate::bed::{bed, cx, store};
use paritas_connect::logs::{Logs as _, Partition};
use paritas_connect::{ClockShows, ReplicaRole, Store as _};
use paritas_connect_kafka::KafkaStore;
use paritas_model::{Known, StoreKind};
use paritas_testbed::kafka::{Client, Options, Record, Topic};

/// Three committed records, five aborted ones, two committed ones: 13 offsets with the markers.
pub async fn transactions(client: &Client, topic: &str) {
    for (turn, (records, commit)) in [(3, true), (5, false), (2, true)].into_iter().enumerate() {
        let transaction = client.transaction(&format!("{topic}-{turn}")).await.unwrap();
        let batch = (0..records).map(move |number| Record::new(format!("k{turn}"), format!("v{number}")).on(0));
        transaction.produce(topic, batch).await.unwrap();
        if commit { transaction.commit().await.unwrap() } else { transaction.abort().await.unwrap() }
    }
}

fn place(log: &str, index: i32) -> Partition {
    Partition::new(log, index)
}

#[tokio::test]
async fn a_cluster_says_who_it_is_and_what_is_in_it() {
    let Some(bed) = bed(Options::default()).await else { return };
    let store = bed.store();
    assert_eq!(
        (store.kind(), store.name()),
        (StoreKind::Kafka, format!("kafka://{}", bed.cluster.bootstrap()).as_str())
    );
    bed.client.create(&Topic::new("orders").partitions(3).set("retention.ms", "-1")).await.unwrap();
    bed.client.create(&Topic::new("open").set("min.insync.replicas", "1")).await.unwrap();

    let identity = store.probe(&cx()).await.unwrap();
    let id = Known::Known(bed.cluster.id().to_owned());
    assert_eq!((&identity.identity, &identity.place, &identity.role), (&id, &id, &ReplicaRole::Independent));
    assert_eq!(identity.version, "Kafka cluster of 1 broker");
    assert_eq!(identity.limits, Vec::<String>::new());

    topics_are_listed_with_their_partitions_and_ids(&bed.client, &store, &id).await;
    settings_in_force_come_with_where_they_were_set(&store).await;
    ends_tell_open_transactions_and_deleted_records(&bed.client, &store).await;
    what_is_not_there_is_unknown_with_a_reason(&store).await;
    times_are_looked_up_to_the_first_record_that_has_them(&bed.client, &store).await;
    the_way_to_a_broker_is_measured_and_no_clock_is_made_up(&store).await;
}

async fn topics_are_listed_with_their_partitions_and_ids(client: &Client, store: &KafkaStore, id: &Known<String>) {
    let survey = store.survey(&cx()).await.unwrap();
    assert_eq!((&survey.cluster, survey.limits.len()), (id, 0));
    assert_eq!(survey.controller, Known::Known(1));
    assert_eq!(survey.brokers.iter().map(|broker| broker.id).collect::<Vec<_>>(), [1]);
    assert!(store.name().ends_with(&survey.brokers[0].address));
    assert!(survey.logs.is_sorted_by(|a, b| a.name < b.name));
    let log = survey.log("orders").unwrap();
    let states: Vec<_> =
        log.partitions.iter().map(|state| (state.index, state.leader, &*state.replicas, &*state.in_sync)).collect();
    assert_eq!(states, [(0, Some(1), &[1][..], &[1][..]), (1, Some(1), &[1], &[1]), (2, Some(1), &[1], &[1])]);
    assert!(!log.internal);

    client.delete("orders").await.unwrap();
    client.create(&Topic::new("orders").partitions(3).set("retention.ms", "-1")).await.unwrap();
    let again = store.survey(&cx()).await.unwrap();
    let new = again.log("orders").unwrap();
    assert!(log.id.value().is_some() && new.id.value().is_some() && log.id != new.id, "{:?} {:?}", log.id, new.id);
}

async fn the_way_to_a_broker_is_measured_and_no_clock_is_made_up(store: &KafkaStore) {
    let before = store.survey(&cx()).await.unwrap().logs.len();
    let reading = store.clocks().unwrap().clock(&cx()).await.unwrap();
    assert!(matches!(&reading.shows, ClockShows::Untold { why } if why.contains("no request")), "{reading:?}");
    assert!(!reading.round_trip().is_zero());
    // Asking for a topic that is not there makes none.
    assert_eq!(store.survey(&cx()).await.unwrap().logs.len(), before);
}

async fn settings_in_force_come_with_where_they_were_set(store: &KafkaStore) {
    let names = ["orders", "open", "missing", "orders"].map(ToOwned::to_owned);
    let settings = store.settings(&cx(), &names).await.unwrap();
    assert_eq!(settings.len(), 3);
    let orders = settings["orders"].value().unwrap();
    assert_eq!((orders.get("retention.ms"), orders.0["retention.ms"].own), (Some("-1"), true));
    assert_eq!((orders.get("cleanup.policy"), orders.0["cleanup.policy"].own), (Some("delete"), false));
    assert!(settings["open"].value().unwrap().0["min.insync.replicas"].own);
    assert_eq!(settings["missing"].why(), Some("there is no topic missing"));
    assert!(store.settings(&cx(), &[]).await.unwrap().is_empty());
}

async fn ends_tell_open_transactions_and_deleted_records(client: &Client, store: &KafkaStore) {
    transactions(client, "orders").await;
    let open = client.transaction("open").await.unwrap();
    open.produce("open", (0..4).map(|_| Record::of("x"))).await.unwrap();
    client.produce("orders", (0..10).map(|_| Record::of("y").on(1))).await.unwrap();
    client.delete_records("orders", 1, 7).await.unwrap();
    let asked = [place("orders", 0), place("open", 0), place("orders", 1), place("orders", 2), place("orders", 0)];
    let ends = store.ends(&cx(), &asked).await.unwrap();
    let numbers: Vec<_> = ends.iter().map(|ends| ends.value().unwrap()).map(|e| (e.start, e.stable, e.end)).collect();
    assert_eq!(numbers, [(0, 13, 13), (0, 0, 4), (7, 10, 10), (0, 0, 0), (0, 13, 13)]);
    assert!(ends.iter().all(|ends| ends.value().is_some_and(|ends| ends.asked <= ends.answered)));
    assert_eq!(ends[0].value().unwrap().epoch, Some(0));
    drop(open);
    assert!(store.ends(&cx(), &[]).await.unwrap().is_empty());
}

async fn what_is_not_there_is_unknown_with_a_reason(store: &KafkaStore) {
    let asked = [place("missing", 0), place("orders", 3), place("orders", 0), place("bad name", 0)];
    let ends = store.ends(&cx(), &asked).await.unwrap();
    let why: Vec<_> = ends.iter().map(|ends| ends.why().unwrap_or_default()).collect();
    assert_eq!(why[0], "there is no topic missing, or this user may not describe it");
    assert_eq!(why[1], "there is no partition orders/3");
    assert_eq!(why[2], "");
    assert_eq!(why[3], "there is no topic bad name, or this user may not describe it");
    // No leader is found for any of them.
    let ends = store.ends(&cx(), &asked[..2]).await.unwrap();
    assert_eq!(ends.iter().filter_map(|ends| ends.why()).collect::<Vec<_>>(), why[..2]);
}

async fn times_are_looked_up_to_the_first_record_that_has_them(client: &Client, store: &KafkaStore) {
    client.create(&Topic::new("times").set("retention.ms", "-1")).await.unwrap();
    client.produce("times", [10, 30, 20, 40].map(|time| Record::of("t").at(time))).await.unwrap();
    let times = [i64::MIN, -1, 0, 10, 11, 21, 31, 41, i64::MAX];
    let mut wanted: Vec<_> = times.iter().map(|time| (place("times", 0), *time)).collect();
    wanted.push((place("missing", 0), 0));
    wanted.push((place("orders", 2), 0));
    let found = store.offsets_at(&cx(), &wanted).await.unwrap();
    let expected = [Some(0), Some(0), Some(0), Some(0), Some(1), Some(1), Some(3), None, None];
    assert_eq!(found[..times.len()], expected.map(Known::Known));
    assert_eq!(found[times.len()].why(), Some("there is no topic missing, or this user may not describe it"));
    assert_eq!(found[times.len() + 1], Known::Known(None));
}

#[tokio::test]
async fn the_oldest_version_that_is_supported_says_the_same() {
    let Some(install) = paritas_testbed::kafka::Install::unless_missing_version("3.9.1").unwrap() else { return };
    let scratch = paritas_testbed::Scratch::new().unwrap();
    let cluster = paritas_testbed::kafka::Cluster::start(&install, &scratch, "old", Options::default()).await.unwrap();
    let (client, store) = (cluster.client().unwrap(), store(&cluster.bootstrap(), ""));
    client.create(&Topic::new("orders").partitions(3).set("retention.ms", "-1")).await.unwrap();
    client.create(&Topic::new("open").set("min.insync.replicas", "1")).await.unwrap();
    topics_are_listed_with_their_partitions_and_ids(&client, &store, &Known::Known(cluster.id().to_owned())).await;
    settings_in_force_come_with_where_they_were_set(&store).await;
    ends_tell_open_transactions_and_deleted_records(&client, &store).await;
    what_is_not_there_is_unknown_with_a_reason(&store).await;
    times_are_looked_up_to_the_first_record_that_has_them(&client, &store).await;
    crate::reading::records_come_by_isolation(&client, &store).await;
    crate::groups::groups_tell_what_they_committed(&client, &store).await;
}
