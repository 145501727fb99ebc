//! How far mirrors and groups are behind, on real brokers with MirrorMaker 2.
#![allow(clippy::unwrap_used)]

mod kafka_world;

use kafka_world::{World, new_mirrors, record};
use paritas_connect::logs::Partition;
use paritas_logs::ages::Count;
use paritas_logs::naming::{Policy, detect};
use paritas_logs::position::{Method, StepKind, steps};
use paritas_logs::readers::{GroupLag, Limits, ReaderLag, ReaderState, Readers};
use paritas_model::LagState;
use paritas_verify::logs::{Beside, groups};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Waiting for what must come; nothing is measured by it.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_and_groups_are_measured_on_real_brokers() {
    let Some(mut world) = World::start().await else { return };
    a_mirror_is_where_content_says(&mut world).await;
    offsets_that_nobody_reads_are_no_lag(&mut world).await;
    a_hole_shows_between_pairs_of_offsets(&mut world).await;
    groups_are_told_apart(&world).await;
    the_policy_is_found_out(&world).await;
}

async fn a_mirror_is_where_content_says(world: &mut World) {
    world.topic("orders", 2).await;
    for partition in 0..2 {
        world.write("orders", partition, 0, 100).await;
    }
    world.mirror().wait_caught_up("orders").await.unwrap();
    let mut known = new_mirrors();
    let looked = Instant::now();
    for lag in world.look("orders", 2, &mut known).await {
        let placed = lag.placed.unwrap();
        assert_eq!((placed.method, placed.next), (Method::Content, Count::exactly(100)));
        assert_eq!(lag.state, LagState::CaughtUp);
    }
    world.mirror().pause().unwrap();
    let paused = Instant::now();
    world.write("orders", 1, 100, 50).await;
    let written = Instant::now();
    let first = world.look("orders", 2, &mut known).await;
    assert_eq!((first[0].state, first[0].offsets), (LagState::CaughtUp, Some(Count::exactly(0))));
    let both = Some(Count::exactly(50));
    assert_eq!((first[1].offsets, first[1].records), (both, both));
    assert_ne!(first[1].state, LagState::CaughtUp);
    let (stalled, at_least) = loop {
        let at_least = written.elapsed();
        let lag = world.look("orders", 2, &mut known).await.remove(1);
        if lag.state != LagState::Behind {
            break (lag, at_least);
        }
        assert!(paused.elapsed() < LIMIT, "{lag:?}");
    };
    let seconds = stalled.seconds.unwrap();
    assert_eq!(stalled.state, LagState::Stalled);
    let high = seconds.high.unwrap();
    assert!(seconds.low >= Duration::from_secs(1) && seconds.low <= paused.elapsed(), "{seconds:?}");
    assert!(high >= at_least && high <= looked.elapsed(), "{seconds:?}, at least {at_least:?}");
    world.mirror().resume().unwrap();
    world.mirror().wait_caught_up("orders").await.unwrap();
    assert_eq!(world.look("orders", 2, &mut known).await[1].state, LagState::CaughtUp);
}

/// Three committed records, five aborted ones and two committed ones take 13 offsets; the mirror has ten records.
async fn offsets_that_nobody_reads_are_no_lag(world: &mut World) {
    world.topic("ledger", 1).await;
    for (first, count, commit) in [(0, 3, true), (3, 5, false), (8, 2, true)] {
        let transaction = world.here.transaction(&format!("t{first}")).await.unwrap();
        let records: Vec<_> = (first..first + count).map(|number| record(0, number)).collect();
        transaction.produce("ledger", records).await.unwrap();
        let ended = if commit { transaction.commit().await } else { transaction.abort().await };
        ended.unwrap();
    }
    world.mirror().wait_mirrored("ledger", 0, 10).await.unwrap();
    let lag = world.look("ledger", 1, &mut new_mirrors()).await.remove(0);
    assert_eq!(lag.source_ends, Some((0, 13)));
    assert_eq!(lag.placed.unwrap().next, Count::exactly(12));
    assert_eq!((lag.offsets, lag.records), (Some(Count::exactly(1)), Some(Count::exactly(0))));
    assert_eq!(lag.state, LagState::CaughtUp);
}

async fn a_hole_shows_between_pairs_of_offsets(world: &mut World) {
    world.topic("ticks", 1).await;
    world.write("ticks", 0, 0, 100).await;
    world.mirror().wait_caught_up("ticks").await.unwrap();
    world.mirror().stop().await.unwrap();
    world.write("ticks", 0, 100, 100).await;
    world.here.delete_records("ticks", 0, 150).await.unwrap();
    // The replica's last record is on the source no more, and the mirror's notes give bounds at best.
    let lag = world.look("ticks", 1, &mut new_mirrors()).await.remove(0);
    assert!(matches!(lag.state, LagState::Behind | LagState::Broken | LagState::Unknown), "{lag:?}");
    world.mirror().start_again().await.unwrap();
    world.mirror().wait_mirrored("ticks", 0, 150).await.unwrap();
    world.write("ticks", 0, 200, 50).await;
    world.mirror().wait_mirrored("ticks", 0, 200).await.unwrap();
    let lag = world.look("ticks", 1, &mut new_mirrors()).await.remove(0);
    assert_eq!((lag.state, lag.placed.unwrap().next), (LagState::CaughtUp, Count::exactly(250)));
    let partition = Partition::new("ticks", 0);
    let syncs = world.traces().await.0.syncs;
    let of_ticks = steps(&syncs).into_iter().filter(|step| step.partition == partition);
    let found: Vec<_> = of_ticks.map(|step| (step.kind, step.by)).collect();
    assert_eq!(found, [(StepKind::Hole, 50)], "{syncs:?}");
}

async fn measured(world: &World, readers: &mut Readers) -> BTreeMap<String, GroupLag> {
    let side = &world.source;
    let survey = world.surveys().await.0;
    let names: Vec<String> = survey.logs.iter().map(|log| log.name.clone()).collect();
    let settings = side.logs.settings(&side.cx, &names).await.unwrap();
    let wall = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let beside = Beside { survey: &survey, settings: &settings, wall };
    let all = groups(side, readers, &beside, &|name| name.starts_with("desk")).await.unwrap();
    all.into_iter().map(|group| (group.group.clone(), group)).collect()
}

async fn groups_are_told_apart(world: &World) {
    world.topic("fills", 2).await;
    world.write("fills", 0, 0, 100).await;
    for (group, offset) in [("desk-end", 100), ("desk-behind", 40), ("desk-below", 10), ("desk-beyond", 130)] {
        world.here.commit(group, "fills", &[(0, offset)]).await.unwrap();
    }
    let limits = Limits { stuck_after: Duration::from_millis(200), ..Limits::default() };
    let mut readers = Readers::new(Instant::now(), 0, limits);
    measured(world, &mut readers).await;
    world.here.delete_records("fills", 0, 30).await.unwrap();
    measured(world, &mut readers).await;
    world.write("fills", 0, 100, 5).await;
    let began = Instant::now();
    let all = loop {
        let all = measured(world, &mut readers).await;
        if of(&all, "desk-behind", 0).state != ReaderState::Behind {
            break all;
        }
        assert!(began.elapsed() < LIMIT, "{all:?}");
    };
    let stuck = of(&all, "desk-behind", 0);
    assert_eq!((stuck.state, stuck.behind, stuck.committed), (ReaderState::Stuck, Some(65), Some(40)));
    assert!(stuck.seconds.unwrap().low >= Duration::from_millis(200), "{stuck:?}");
    let below = of(&all, "desk-below", 0);
    assert_eq!((below.state, below.lost, below.behind), (ReaderState::BelowStart, Some(20), Some(75)));
    let beyond = of(&all, "desk-beyond", 0);
    assert_eq!((beyond.state, beyond.beyond), (ReaderState::BeyondEnd, Some(25)));
    assert_eq!(of(&all, "desk-end", 0).behind, Some(5));
    assert!(all.keys().all(|group| of(&all, group, 1).state == ReaderState::NeverCommitted));
    world.here.commit("desk-end", "fills", &[(0, 105)]).await.unwrap();
    let caught_up = measured(world, &mut readers).await;
    assert_eq!(of(&caught_up, "desk-end", 0).state, ReaderState::CaughtUp);
}

fn of<'a>(all: &'a BTreeMap<String, GroupLag>, group: &str, partition: i32) -> &'a ReaderLag {
    let place = Partition::new("fills", partition);
    all[group].partitions.iter().find(|lag| lag.partition == place).unwrap()
}

async fn the_policy_is_found_out(world: &World) {
    let (here, there) = world.surveys().await;
    let traces = world.traces().await;
    let naming = detect(&here, &there, (&traces.0, &traces.1));
    assert_eq!(naming.policy.value(), Some(&Policy::prefix("A")), "{naming:?}");
    assert_eq!(naming.target.as_deref(), Some("B"));
}
