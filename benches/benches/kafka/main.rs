//! Reading topics: the content of a topic as chains and digests, beside a plain librdkafka consumer that throws
//! the same records away; and the lag of many groups in many partitions.
//!
//! A harness of its own, because a run takes seconds and needs brokers: the rounds alternate between the ways, so
//! that noise meets both, and medians are printed. `PARITAS_BENCH_RECORDS` sets the records (default 1,000,000),
//! `PARITAS_BENCH_ROUNDS` the rounds, `PARITAS_BENCH_ONLY=content|lag` one half.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use paritas_testbed::Scratch;
use paritas_testbed::kafka::{Client, Cluster, Install, Options, Topic};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Partitions of the topic that is read.
const PARTITIONS: i32 = 3;
/// Bytes of values.
const VALUE_BYTES: [usize; 2] = [200, 1_000];
/// Partitions and groups whose lag is measured.
const LAG_PARTITIONS: i32 = 2_000;
const LAG_GROUPS: usize = 20;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The release binary beside this bench, unless `PARITAS_BIN` names another.
fn paritas() -> PathBuf {
    if let Some(path) = std::env::var_os("PARITAS_BIN") {
        return PathBuf::from(path);
    }
    let bench = std::env::current_exe().expect("path of this bench");
    let path = bench.parent().and_then(|deps| deps.parent()).expect("folder of the profile").join("paritas");
    assert!(path.exists(), "{} is missing: run `make build` first", path.display());
    path
}

/// Reads every record once and drops it.
fn discard(bootstrap: &str, topic: &str, records: u64) -> Duration {
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .create()
        .expect("consumer");
    let began = Instant::now();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("partition");
    }
    consumer.assign(&list).expect("assign");
    let (mut seen, mut bytes) = (0_u64, 0_usize);
    while seen < records {
        if let Some(message) = consumer.poll(Duration::from_secs(30)) {
            bytes += message.expect("record").payload_len();
            seen += 1;
        }
    }
    assert!(bytes > 0);
    began.elapsed()
}

/// Takes a snapshot of the topic with the binary: every record read, named and put into chains. The time it took, and
/// the peak of its resident memory.
fn snapshot(cluster: &Cluster, topic: &str, records: u64) -> (Duration, String) {
    let state = tempfile::tempdir().expect("folder");
    let url = format!("kafka://{}/{topic}", cluster.bootstrap());
    let began = Instant::now();
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%M KiB", paritas().to_str().expect("path"), "snapshot", "--json"])
        .args(["--state", state.path().to_str().expect("path"), &url, &url])
        .output()
        .expect("start paritas");
    let took = began.elapsed();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("\"records_read\":{records},")), "{text:.2000}");
    (took, last_line(&output.stderr))
}

fn last_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().last().unwrap_or_default().to_owned()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
}

async fn content(scratch: &Scratch, install: &Install) {
    let (records, rounds) = (number("PARITAS_BENCH_RECORDS", 1_000_000), number("PARITAS_BENCH_ROUNDS", 5));
    let options = Options::default().heap_mib(1_024);
    let cluster = Cluster::start(install, scratch, "content", options).await.expect("cluster");
    let client: Client = cluster.client().expect("client");
    for bytes in VALUE_BYTES {
        let topic = format!("records{bytes}");
        client.create(&Topic::new(&topic).partitions(PARTITIONS)).await.expect("topic");
        client.fill(&topic, 0, records, bytes).await.expect("fill");
        let (mut plain, mut digested, mut memory) = (Vec::new(), Vec::new(), String::new());
        for round in 0..=rounds {
            let one = discard(&cluster.bootstrap(), &topic, records);
            let (other, peak) = snapshot(&cluster, &topic, records);
            if round > 0 {
                plain.push(one);
                digested.push(other);
                memory = peak;
            }
        }
        let (plain, digested) = (median(plain), median(digested));
        println!(
            "{records} records of {bytes} B: plain consumer {plain:.2} s ({:.0} records/s), paritas snapshot {digested:.2} s, speed {:.2}x, memory {memory}",
            records as f64 / plain,
            plain / digested
        );
    }
}

async fn lag(scratch: &Scratch, install: &Install) {
    let options = Options::default().heap_mib(1_024);
    let cluster = Cluster::start(install, scratch, "lag", options).await.expect("cluster");
    let client = cluster.client().expect("client");
    client.create(&Topic::new("many").partitions(LAG_PARTITIONS)).await.expect("topic");
    client.fill("many", 0, 20_000, 100).await.expect("fill");
    let offsets: Vec<(i32, u64)> = (0..LAG_PARTITIONS).map(|partition| (partition, 5)).collect();
    for group in 0..LAG_GROUPS {
        client.commit(&format!("group{group}"), "many", &offsets).await.expect("commit");
    }
    for _ in 0..number("PARITAS_BENCH_ROUNDS", 5) {
        let url = format!("kafka://{}/many", cluster.bootstrap());
        // One topic under two addresses: its groups are asked for twice, and every partition is its own mirror.
        let other = url.replace("127.0.0.1", "localhost");
        let began = Instant::now();
        let output = Command::new("/usr/bin/time")
            .args(["-f", "%M KiB", paritas().to_str().expect("path"), "lag", "--json", &url, &other])
            .output()
            .expect("start paritas");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("\"group\":\"group19\""), "{text:.2000}");
        let memory = last_line(&output.stderr);
        println!(
            "lag of {LAG_PARTITIONS} partitions x {LAG_GROUPS} groups: {:.2} s, {memory}",
            began.elapsed().as_secs_f64()
        );
    }
}

fn main() {
    let only = std::env::var("PARITAS_BENCH_ONLY").unwrap_or_default();
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let (scratch, install) = (Scratch::new().expect("scratch"), Install::find().expect("Kafka"));
        if only != "lag" {
            content(&scratch, &install).await;
        }
        if only != "content" {
            lag(&scratch, &install).await;
        }
    });
}
