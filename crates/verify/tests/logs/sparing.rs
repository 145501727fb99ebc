//! Snapshots that take over what need not be read: each is held against one that reads everything, bit for bit.

use crate::world::{World, at, record};
use paritas_connect::logs::{Fate, LogCall, Partition};
use paritas_connect::{Error, FailureKind};
use paritas_digest::DigestKey;
use paritas_logs::content::{Chain, Id};
use paritas_verify::logs::{KeptChain, Request, Spared, Sparing, snapshot, snapshot_sparing};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Records at the end that are kept one by one: fewer and more than a segment has.
const TRAIL: usize = 700;

struct Keeping {
    world: World,
    kept: BTreeMap<Partition, KeptChain>,
    written: u64,
    now: i64,
    /// Every so manieth segment has its turn; none where it is 0.
    turn: u64,
}

impl Keeping {
    fn new(partitions: usize) -> Self {
        let mut world = World::new(partitions);
        world.source = world.source.with_batch(500);
        Self { world, kept: BTreeMap::new(), written: 0, now: 1, turn: 0 }
    }

    fn append(&mut self, partition: usize, count: u64, fate: Fate) {
        for number in self.written..self.written + count {
            self.world.source.append(&at(partition), record(number), fate);
        }
        self.written += count;
    }

    /// Both kinds of snapshots, which must be equal; what was spared.
    async fn take(&mut self) -> Spared {
        let (source, replica) = self.world.sides();
        let topics = [self.world.topic()];
        let request = Request {
            source: &source,
            replica: &replica,
            topics: &topics,
            key: &DigestKey::unkeyed(),
            settle: Duration::ZERO,
            items_max: 10,
            partitions_at_once: 2,
            ledger: None,
            watch: &|_| {},
        };
        self.now += 1;
        let turn = self.turn;
        let turns = move |units: Vec<((usize, u64), i64)>, _: usize| -> BTreeSet<(usize, u64)> {
            units.into_iter().map(|(unit, _)| unit).filter(|(_, index)| turn > 0 && index % turn == 0).collect()
        };
        let sparing =
            Sparing { kept: std::mem::take(&mut self.kept), refused: BTreeMap::new(), turns: &turns, now: self.now };
        let (mut taken, spared) = snapshot_sparing(&request, TRAIL, sparing).await;
        let (outcome, chains) = taken.pop().unwrap();
        assert!(outcome.complete, "{outcome:?}");
        let full: Vec<Option<Chain>> = snapshot(&request, TRAIL).await.pop().unwrap().1;
        assert_eq!(chains.len(), full.len());
        let mut records = 0;
        for (partition, (kept, full)) in chains.into_iter().zip(full).enumerate() {
            let (kept, full) = (kept.unwrap(), full.unwrap());
            assert_eq!(kept.chain, full, "partition {partition}: {spared:?}");
            assert_eq!(kept.read_at.len(), full.len());
            assert!(kept.read_at.iter().all(|read_at| (2..=self.now).contains(read_at)), "{:?}", kept.read_at);
            records += full.records();
            self.kept.insert(at(partition), kept);
        }
        assert!(spared.records_read + spared.records_kept >= records, "{spared:?}");
        spared
    }
}

#[tokio::test]
async fn what_came_is_read_and_nothing_else() {
    let mut keeping = Keeping::new(2);
    keeping.append(0, 20_000, Fate::Committed);
    keeping.append(1, 5_000, Fate::Committed);
    let first = keeping.take().await;
    assert_eq!((first.records_read, first.segments_kept, first.whole.len()), (25_000, 0, 2));
    let still = keeping.take().await;
    assert_eq!((still.records_read, still.records_kept, still.segments_read), (0, 25_000, 0));
    keeping.append(0, 1_000, Fate::Committed);
    let more = keeping.take().await;
    assert!((1_000..=9_192).contains(&more.records_read), "{more:?}");
    assert!(more.records_kept >= 15_000 && more.whole.is_empty(), "{more:?}");
    keeping.turn = 1;
    let again = keeping.take().await;
    assert_eq!((again.records_read, again.segments_kept), (26_000, 0));
    assert_eq!(again.segments_reread, again.segments_read);
}

#[tokio::test]
async fn a_beginning_that_moves_into_a_segment_has_only_that_neighbourhood_read() {
    let mut keeping = Keeping::new(1);
    keeping.append(0, 60_000, Fate::Committed);
    keeping.take().await;
    let cut = {
        let chain = &keeping.kept[&at(0)].chain;
        let segment = &chain.segments[chain.segments.len() / 2];
        segment.first + segment.records / 2
    };
    keeping.world.source.trim(&at(0), cut);
    let moved = keeping.take().await;
    assert!(moved.whole.is_empty() && moved.records_kept > 10_000, "{moved:?}");
    assert!(moved.records_read < 20_000, "{moved:?}");
    // Behind everything that was kept.
    keeping.append(0, 10, Fate::Committed);
    keeping.world.source.trim(&at(0), 60_005);
    keeping.take().await;
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_read_whole_and_one_that_has_everything_is_not() {
    let mut keeping = Keeping::new(2);
    keeping.append(0, 5_000, Fate::Committed);
    keeping.append(1, 5_000, Fate::Committed);
    keeping.take().await;
    keeping.world.source.truncate(&at(0), 4_990);
    keeping.world.source.truncate(&at(1), 5_000);
    keeping.append(0, 500, Fate::Committed);
    keeping.append(1, 500, Fate::Committed);
    let taken = keeping.take().await;
    let whole: Vec<_> = taken.whole.iter().map(|(partition, _)| partition.index).collect();
    assert_eq!(whole, [0], "{taken:?}");
    assert!(taken.records_kept > 2_000);
    // Where the log ends with what is no record, nothing proves it under another leader.
    keeping.world.source.mark(&at(1));
    keeping.take().await;
    keeping.world.source.truncate(&at(1), 5_501);
    let taken = keeping.take().await;
    assert_eq!(taken.whole.len(), 1);
    assert!(taken.whole[0].1.contains("nothing proves"), "{taken:?}");
}

#[tokio::test]
async fn a_segment_that_was_kept_wrongly_is_a_loud_error_when_its_turn_comes_and_the_chain_is_right() {
    let mut keeping = Keeping::new(2);
    keeping.append(0, 9_000, Fate::Committed);
    keeping.append(1, 9_000, Fate::Committed);
    keeping.take().await;
    let segment = &mut keeping.kept.get_mut(&at(1)).unwrap().chain.segments[2];
    segment.ordered = Id(segment.ordered.0 ^ 1);
    let (first, last) = (segment.first, segment.last);
    keeping.turn = 2;
    let taken = keeping.take().await;
    let wrong = taken.wrong.unwrap();
    assert_eq!(wrong.code(), "internal.kept");
    let detail = wrong.detail_text().unwrap();
    assert!(detail.contains(&format!("{}, offsets {first} to {last}", at(1))), "{detail}");
    assert_eq!(taken.whole.len(), 1);
    // It was put right.
    assert!(keeping.take().await.wrong.is_none());
}

#[tokio::test]
async fn what_has_its_turn_and_cannot_be_read_is_not_taken_over() {
    let mut keeping = Keeping::new(1);
    keeping.append(0, 9_000, Fate::Committed);
    keeping.take().await;
    keeping.turn = 2;
    let mut failed = false;
    keeping.world.source = keeping.world.source.clone().before_each(move |_, call| match call {
        LogCall::Read if !std::mem::replace(&mut failed, true) => {
            Err(Error::new(FailureKind::Permanent, "data.damaged", "a batch does not match its checksum"))
        }
        _ => Ok(()),
    });
    let taken = keeping.take().await;
    assert_eq!((taken.records_read, taken.segments_kept, taken.whole.len()), (9_000, 0, 1), "{taken:?}");
    assert!(taken.whole[0].1.contains("could not be read") && taken.wrong.is_none(), "{taken:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize, u64),
    Abort(usize, u64),
    Open(usize, u64),
    End(usize, bool),
    Trim(usize, f64),
    Elect(usize, u64),
    Take(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..2_usize;
    prop_oneof![
        4 => (at.clone(), 1..3_000_u64).prop_map(|(at, count)| Step::Append(at, count)),
        1 => (at.clone(), 1..300_u64).prop_map(|(at, count)| Step::Abort(at, count)),
        1 => (at.clone(), 1..300_u64).prop_map(|(at, count)| Step::Open(at, count)),
        2 => (at.clone(), any::<bool>()).prop_map(|(at, commit)| Step::End(at, commit)),
        2 => (at.clone(), 0.0..1.0_f64).prop_map(|(at, share)| Step::Trim(at, share)),
        1 => (at, 0..2_500_u64).prop_map(|(at, lost)| Step::Elect(at, lost)),
        4 => (0..4_u64).prop_map(Step::Take),
    ]
}

async fn walk(steps: Vec<Step>) {
    let mut keeping = Keeping::new(2);
    for step in steps {
        let end = |keeping: &Keeping, index| {
            let records = keeping.world.source.records(&at(index));
            records.last().map_or(0, |(offset, ..)| offset + 1)
        };
        match step {
            Step::Append(index, count) => keeping.append(index, count, Fate::Committed),
            Step::Abort(index, count) => keeping.append(index, count, Fate::Aborted),
            Step::Open(index, count) => keeping.append(index, count, Fate::Open),
            Step::End(index, commit) => {
                keeping.world.source.end(&at(index), if commit { Fate::Committed } else { Fate::Aborted });
            }
            Step::Trim(index, share) => {
                let start = (end(&keeping, index) as f64 * share) as u64;
                keeping.world.source.trim(&at(index), start);
            }
            Step::Elect(index, lost) => {
                let end = end(&keeping, index).saturating_sub(lost);
                keeping.world.source.truncate(&at(index), end);
            }
            Step::Take(turn) => {
                keeping.turn = turn;
                assert!(keeping.take().await.wrong.is_none());
            }
        }
    }
    assert!(keeping.take().await.wrong.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_happens_to_logs_the_chain_is_the_one_that_reading_everything_gives(
        steps in prop::collection::vec(step(), 1..20),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(walk(steps));
    }
}
