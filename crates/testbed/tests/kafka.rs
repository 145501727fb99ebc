//! Kafka clusters start, mirror, break as told, and never stay behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::path::Path;

use paritas_testbed::Scratch;
use paritas_testbed::kafka::{Cluster, Install, Isolation, Mirror, MirrorOptions, Options, Record, Topic};

fn install() -> Option<Install> {
    let found = Install::unless_missing().unwrap();
    if found.is_none() {
        eprintln!("left out: Kafka is not installed; run `make setup`");
    }
    found
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
    assert_eq!(copied.iter().map(|stored| stored.record()).collect::<Vec<_>>(), odd_records());

    let pids = [a.brokers()[0].pid(), b.brokers()[0].pid(), mirror.pid()].map(Option::unwrap);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    drop((mirror, a, b, scratch));
    assert!(!pids.iter().any(|pid| is_alive(*pid)) && !folder.exists());
}
