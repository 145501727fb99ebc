//! Figures on a real broker, printed: `cargo test --release -p paritas-tests --test kafka_figures -- --ignored
//! --nocapture`.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod kafka_world;

use kafka_world::World;
use paritas_logs::readers::{Limits, Readers};
use paritas_verify::logs::{Beside, groups};
use std::collections::BTreeMap;
use std::time::Instant;

const PARTITIONS: i32 = 2_000;
const GROUPS: usize = 20;
const ROUNDS: usize = 10;

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; takes a minute"]
async fn lag_of_many_partitions_and_groups() {
    let Some(world) = World::start_without_mirror().await else { return };
    world.topic("wide", PARTITIONS).await;
    world.here.fill("wide", 0, 20_000, 100).await.unwrap();
    for group in 0..GROUPS {
        let offsets: Vec<(i32, u64)> = (0..PARTITIONS).map(|partition| (partition, (group % 10) as u64)).collect();
        world.here.commit(&format!("desk-{group}"), "wide", &offsets).await.unwrap();
    }
    let survey = world.source.logs.survey(&world.source.cx).await.unwrap();
    let settings = BTreeMap::new();
    let beside = Beside { survey: &survey, settings: &settings, wall: 0 };
    let mut readers = Readers::new(Instant::now(), 0, Limits::default());
    let before = resident();
    for round in 0..ROUNDS {
        let began = Instant::now();
        let all = groups(&world.source, &mut readers, &beside, &|name| name.starts_with("desk")).await.unwrap();
        let took = began.elapsed();
        let positions: usize = all.iter().map(|group| group.partitions.len()).sum();
        assert_eq!(positions, GROUPS * PARTITIONS as usize);
        let grown = resident().saturating_sub(before);
        eprintln!("round {round}: {positions} positions in {took:?}, {grown} KiB more");
    }
}
