//! Faithful mirrors of any kind, at rest and at work: never a violation, and a pass where everything arrived.

use crate::world::{World, at, record, short};
use paritas_connect::logs::{Fate, LogCall, MemoryRecord};
use paritas_logs::content::{Policy, Timestamps};
use paritas_model::Verdict;
use paritas_verify::logs::{Outcome, Read};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

/// What happens to the logs.
#[derive(Debug, Clone)]
enum Op {
    /// Records are appended to the source.
    Append(usize, u64),
    /// A transaction is begun or goes on.
    Open(usize, u64),
    /// All open transactions end.
    End(usize, bool),
    /// The mirror copies so many records.
    Mirror(usize, usize),
    /// The mirror copies records in a transaction that is aborted, so that it copies them again.
    Fail(usize, usize),
    /// The source loses old records that were mirrored, this part of them in percent.
    TrimSource(usize, u64),
    /// The replica loses old records.
    TrimReplica(usize, u64),
}

/// How the mirror works.
#[derive(Debug, Clone, Copy)]
struct Mirror {
    /// Copies records of open and aborted transactions.
    uncommitted: bool,
    /// Leaves markers of its own transactions.
    markers: bool,
    /// How many different records there are; the others are alike.
    kinds: u64,
    /// Every so many-th record has no time on the source.
    timeless: u64,
    /// Times are not compared, and the replica sets its own.
    stamps: bool,
}

struct State {
    world: World,
    mirror: Mirror,
    positions: Vec<u64>,
    number: u64,
}

const PARTITIONS: usize = 2;

impl State {
    fn new(mirror: Mirror) -> Self {
        let mut world = World::new(PARTITIONS);
        let timestamps = if mirror.stamps { Timestamps::Ignore } else { Timestamps::Compare };
        world.policy = Policy { timestamps, aborted_allowed: mirror.uncommitted, ..Policy::default() };
        Self { world, mirror, positions: vec![0; PARTITIONS], number: 0 }
    }

    fn next(&mut self) -> MemoryRecord {
        self.number += 1;
        let mut next = record(self.number % self.mirror.kinds);
        if self.number.is_multiple_of(self.mirror.timeless) {
            next.timestamp = None;
        }
        next
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Append(partition, count) => {
                for _ in 0..count {
                    let next = self.next();
                    self.world.source.append(&at(partition), next, Fate::Committed);
                }
            }
            Op::Open(partition, count) => {
                for _ in 0..count {
                    let next = self.next();
                    self.world.source.append(&at(partition), next, Fate::Open);
                }
            }
            Op::End(partition, commit) => {
                self.world.source.end(&at(partition), if commit { Fate::Committed } else { Fate::Aborted });
            }
            Op::Mirror(partition, count) => self.copy(partition, count, Fate::Committed),
            Op::Fail(partition, count) => {
                let before = self.positions[partition];
                self.copy(partition, count, Fate::Aborted);
                self.positions[partition] = before;
            }
            Op::TrimSource(partition, percent) => {
                let to = self.positions[partition] * percent / 100;
                self.world.source.trim(&at(partition), to);
            }
            Op::TrimReplica(partition, percent) => {
                let end = self.world.replica.records(&at(partition)).last().map_or(0, |last| last.0 + 1);
                self.world.replica.trim(&at(partition), end * percent / 100);
            }
        }
    }

    fn copy(&mut self, partition: usize, count: usize, fate: Fate) {
        let records = self.world.source.records(&at(partition));
        let stable = records.iter().find(|(_, _, fate)| *fate == Fate::Open).map_or(u64::MAX, |(offset, _, _)| *offset);
        let position = self.positions[partition];
        let visible = records.into_iter().filter(|(offset, _, fate)| {
            *offset >= position && (self.mirror.uncommitted || *offset < stable && *fate == Fate::Committed)
        });
        let mut copied = 0;
        for (offset, mut record, _) in visible.take(count) {
            record.timestamp = Some(record.timestamp.filter(|_| !self.mirror.stamps).unwrap_or(999));
            self.world.replica.append(&at(partition), record, fate);
            self.positions[partition] = offset + 1;
            copied += 1;
        }
        if self.mirror.markers && copied > 0 || fate == Fate::Aborted {
            self.world.replica.mark(&at(partition));
        }
    }

    fn finish(&mut self) {
        for partition in 0..PARTITIONS {
            self.apply(&Op::End(partition, true));
            self.apply(&Op::Mirror(partition, usize::MAX));
        }
    }
}

fn ops(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Op>> {
    let partition = || 0..PARTITIONS;
    let op = prop_oneof![
        4 => (partition(), 1..40_u64).prop_map(|(p, n)| Op::Append(p, n)),
        1 => (partition(), 1..6_u64).prop_map(|(p, n)| Op::Open(p, n)),
        1 => (partition(), any::<bool>()).prop_map(|(p, commit)| Op::End(p, commit)),
        4 => (partition(), 1..60_usize).prop_map(|(p, n)| Op::Mirror(p, n)),
        1 => (partition(), 1..20_usize).prop_map(|(p, n)| Op::Fail(p, n)),
        1 => (partition(), 0..=100_u64).prop_map(|(p, part)| Op::TrimSource(p, part)),
        1 => (partition(), 0..=100_u64).prop_map(|(p, part)| Op::TrimReplica(p, part)),
    ];
    proptest::collection::vec(op, len)
}

fn mirrors() -> impl Strategy<Value = Mirror> {
    let kinds = prop_oneof![3 => Just(u64::MAX), 1 => Just(1_u64), 1 => Just(2_u64), 1 => 3..30_u64];
    let timeless = prop_oneof![3 => Just(u64::MAX), 1 => Just(1_u64), 1 => 2..9_u64];
    (any::<bool>(), any::<bool>(), kinds, timeless, any::<bool>()).prop_map(
        |(uncommitted, markers, kinds, timeless, stamps)| Mirror { uncommitted, markers, kinds, timeless, stamps },
    )
}

fn brief(outcome: &Outcome) -> String {
    let windows = outcome.partitions.iter().map(|window| {
        let read = |read: &Option<Read>| read.as_ref().map(|read| (read.offsets.clone(), read.records));
        format!("{:?} {:?} {:?}", read(&window.source_read), read(&window.replica_read), window.unknown)
    });
    let windows: Vec<String> = windows.collect();
    let findings: Vec<_> = outcome.findings.iter().map(short).collect();
    format!("{windows:?} {findings:?} {:?}", outcome.counts)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_faithful_mirror_at_rest_is_never_accused(mirror in mirrors(), ops in ops(1..40), finish: bool) {
        let mut state = State::new(mirror);
        ops.iter().for_each(|op| state.apply(op));
        if finish {
            state.finish();
        }
        let outcome = run(state.world.compare());
        prop_assert_eq!(outcome.counts.proven(), 0, "{}", brief(&outcome));
        prop_assert!(outcome.complete, "{}", brief(&outcome));
        if mirror.kinds == u64::MAX {
            prop_assert_eq!(outcome.counts.unproven, 0, "{}", brief(&outcome));
            let apart = outcome.partitions.iter().any(|window| {
                window.unknown.iter().any(|why| why.contains("no record in common"))
            });
            let gone = outcome.partitions.iter().any(|window| window.replica_read.as_ref().unwrap().records == 0);
            if finish && !apart && !gone {
                prop_assert_eq!(outcome.verdict(), Verdict::Pass, "{}", brief(&outcome));
            }
        }
    }

    #[test]
    fn a_faithful_mirror_at_work_is_never_accused(mirror in mirrors(), before in ops(1..30), during in ops(1..40)) {
        let mut state = State::new(mirror);
        before.iter().for_each(|op| state.apply(op));
        let mut world = state.world.clone();
        world.settle = std::time::Duration::from_millis(1);
        let state = Arc::new(Mutex::new(state));
        let script = Arc::new(Mutex::new(during.into_iter()));
        let hook = move |_: &paritas_connect::logs::MemoryLogs, _: LogCall| {
            let next: Vec<Op> = script.lock().unwrap().by_ref().take(2).collect();
            next.iter().for_each(|op| state.lock().unwrap().apply(op));
            Ok(())
        };
        world.source = world.source.before_each(hook.clone());
        world.replica = world.replica.before_each(hook);
        let outcome = run(world.compare());
        prop_assert_eq!(outcome.counts.proven(), 0, "{}", brief(&outcome));
        if mirror.kinds == u64::MAX {
            prop_assert_eq!(outcome.counts.unproven, 0, "{}", brief(&outcome));
        }
    }
}
