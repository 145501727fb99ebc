//! What goes wrong while logs are read, and going on where a run was ended.

use crate::world::{LOG, World, at, found, record};
use paritas_connect::logs::{LogCall, MemoryLogs};
use paritas_connect::{Error, FailureKind};
use paritas_digest::DigestKey;
use paritas_logs::content::{Chain, Class, Of, Segment};
use paritas_model::Verdict;
use paritas_verify::logs::{ChainOf, Ledger, Outcome, Request, parity};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn world() -> World {
    let world = World::new(2);
    for partition in 0..2 {
        world.append(partition, (0..20_000).map(|number| record(partition as u64 * 1_000_000 + number)));
        world.mirror(partition);
    }
    world
}

fn fails(kind: FailureKind, calls: std::ops::Range<usize>) -> impl FnMut(&MemoryLogs, LogCall) -> Result<(), Error> {
    let made = AtomicUsize::new(0);
    move |_, call| {
        let now = made.fetch_add(usize::from(call == LogCall::Read), Ordering::Relaxed);
        let failed = call == LogCall::Read && calls.contains(&now);
        if failed { Err(Error::new(kind, "store.unreachable", "the connection was cut")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_failure_that_goes_away_changes_nothing() {
    let mut world = world();
    world.replica = world.replica.before_each(fails(FailureKind::Transient, 0..2));
    assert_eq!(world.compare().await.verdict(), Verdict::Pass);
}

#[tokio::test]
async fn a_failure_that_stays_is_unknown_and_never_a_pass() {
    for kind in [FailureKind::Permanent, FailureKind::Denied, FailureKind::Transient] {
        let mut world = world();
        world.source = world.source.before_each(fails(kind, 0..usize::MAX));
        let outcome = world.compare().await;
        assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Unknown, false));
        assert_eq!(outcome.partitions[0].problem.as_ref().unwrap().1.code(), "store.unreachable");
    }
}

#[tokio::test]
async fn a_log_that_is_gone_does_not_hide_the_others() {
    let world = world();
    world.replica.create("other", 1);
    let mut topic = world.topic();
    topic.facing[1].replica.log = "nowhere".to_owned();
    let outcome = world.compare_topic(&topic).await;
    assert_eq!(outcome.partitions[0].verdict, Verdict::Pass);
    assert_eq!((outcome.partitions[1].verdict, outcome.verdict()), (Verdict::Unknown, Verdict::Unknown));
}

#[tokio::test]
async fn a_log_made_anew_while_it_is_read_is_never_a_pass() {
    let mut world = world();
    let calls = AtomicUsize::new(0);
    world.replica = world.replica.before_each(move |logs, call| {
        if call == LogCall::Read && calls.fetch_add(1, Ordering::Relaxed) == 0 {
            logs.create(LOG, 2);
        }
        Ok(())
    });
    assert_eq!(world.compare().await.verdict(), Verdict::Unknown);
}

#[tokio::test]
async fn retention_at_work_costs_what_is_gone_and_nothing_else() {
    let mut world = world();
    let calls = AtomicUsize::new(0);
    world.source = world.source.before_each(move |logs, _| {
        let calls = calls.fetch_add(1, Ordering::Relaxed) as u64;
        logs.trim(&at(0), calls * 1_500);
        Ok(())
    });
    let outcome = world.compare().await;
    assert_eq!(outcome.verdict(), Verdict::Pass, "{outcome:?}");
    assert!(outcome.counts.expired_on_source > 0);
}

#[tokio::test]
async fn a_replica_that_catches_up_in_time_passes() {
    let mut world = world();
    world.settle = Duration::from_secs(20);
    world.append(0, (30_000..30_500).map(record));
    let calls = AtomicUsize::new(0);
    world.replica = world.replica.before_each(move |logs, call| {
        if call == LogCall::Ends && calls.fetch_add(1, Ordering::Relaxed) == 1 {
            for number in 30_000..30_500 {
                logs.append(&at(0), record(number), paritas_connect::logs::Fate::Committed);
            }
        }
        Ok(())
    });
    let outcome = world.compare().await;
    assert_eq!((found(&outcome), outcome.verdict()), (Vec::new(), Verdict::Pass));
    assert_eq!(outcome.partitions[0].mirrored_to, Some(20_500));
}

#[tokio::test]
async fn a_record_that_comes_late_is_out_of_order_and_not_missing() {
    let mut world = World::new(1);
    world.settle = Duration::from_millis(10);
    world.append(0, (0..2_000).map(record));
    world.mirror_with(0, |all| drop(all.remove(900)));
    let calls = AtomicUsize::new(0);
    world.replica = world.replica.before_each(move |logs, call| {
        if call == LogCall::Ends && calls.fetch_add(1, Ordering::Relaxed) == 1 {
            logs.append(&at(0), record(900), paritas_connect::logs::Fate::Committed);
        }
        Ok(())
    });
    assert_eq!(found(&world.compare().await), [(Class::Reordered, 0, 1, Some(900), Some(1_999))]);
}

/// What is kept of a chain: what it is of, where it begins, and its segments.
type Own = (ChainOf, u64, Vec<Segment>);

/// Keeps segments in memory.
#[derive(Debug, Default)]
struct Kept(Mutex<HashMap<String, Own>>);

impl Ledger for Kept {
    fn finished(&self, what: &ChainOf) -> Option<Chain> {
        let kept = self.0.lock().unwrap();
        let (own, from, segments) = kept.get(&format!("{:?}{}", what.of, what.partition))?;
        let mut chain = Chain::new(what.terms.clone(), *from);
        chain.segments.clone_from(segments);
        chain.next = segments.last().map_or(*from, |last| last.last + 1);
        (own == what).then_some(chain)
    }

    fn keep(&self, what: &ChainOf, from: u64, index: usize, segments: &[Segment]) {
        let mut kept = self.0.lock().unwrap();
        let (own, start, all) =
            kept.entry(format!("{:?}{}", what.of, what.partition)).or_insert((what.clone(), from, Vec::new()));
        (*own, *start) = (what.clone(), from);
        all.truncate(index);
        assert_eq!(all.len(), index, "segments are kept in order");
        all.extend_from_slice(segments);
    }
}

async fn compare_with(world: &World, ledger: &Kept) -> Outcome {
    let (source, replica) = world.sides();
    let request = Request {
        source: &source,
        replica: &replica,
        topics: &[world.topic()],
        key: &DigestKey::unkeyed(),
        settle: Duration::ZERO,
        items_max: 100,
        partitions_at_once: 1,
        ledger: Some(ledger),
        watch: &|_| {},
    };
    parity(&request).await.pop().unwrap()
}

/// Records in the segments that are kept of a side.
fn segments(ledger: &Kept, of: Of) -> u64 {
    let kept = ledger.0.lock().unwrap();
    kept.values().filter(|(what, _, _)| what.of == of).flat_map(|(_, _, all)| all).map(|one| one.records).sum()
}

#[tokio::test]
async fn a_run_goes_on_with_what_another_one_finished_and_comes_to_the_same() {
    let ledger = Kept::default();
    let mut world = world();
    // The first run is ended by the replica's failure; the source was read by then.
    let sound = world.replica.clone();
    world.replica = world.replica.before_each(fails(FailureKind::Permanent, 0..usize::MAX));
    assert_eq!(compare_with(&world, &ledger).await.verdict(), Verdict::Unknown);
    assert!(segments(&ledger, Of::Source) > 30_000);
    world.replica = sound.before_each(|_, _| Ok(()));
    // More came meanwhile.
    world.append(0, (50_000..52_000).map(record));
    world.copy(0, (50_000..52_000).map(record));
    let outcome = compare_with(&world, &ledger).await;
    assert_eq!(outcome.verdict(), Verdict::Pass, "{outcome:?}");
    assert_eq!(outcome.partitions[0].source_read.as_ref().unwrap().records, 22_000);
    // A fault in what was read before is found all the same, and so is a log that lost its end.
    world.source.truncate(&at(1), 19_000);
    world.append(1, (70_000..71_000).map(record));
    let outcome = compare_with(&world, &ledger).await;
    assert_eq!(outcome.verdict(), Verdict::Fail, "{:?}", outcome.counts);
    assert_eq!(outcome.counts.foreign + outcome.counts.altered, 1_000, "{:?}", outcome.counts);
}
