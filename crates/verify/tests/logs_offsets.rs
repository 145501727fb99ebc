//! Groups are certified rightly, however little is read at a time.
#![allow(missing_docs, clippy::unwrap_used)]

use async_trait::async_trait;
use paritas_connect::logs::{
    Checkpoint, Committed, Ends, Fate, Group, Isolation, Logs, Member, MemoryLogs, MemoryRecord, Partition, Range,
    RangeRead, RecordSink, Settings, Survey, Traces,
};
use paritas_connect::{Context, Result};
use paritas_digest::DigestKey;
use paritas_logs::ages::Count;
use paritas_logs::certify::{GroupCertificate, Standing, Translation};
use paritas_logs::content::{Chain, Namer, Policy, Timestamps};
use paritas_model::{Known, Verdict};
use paritas_verify::logs::{
    CertifyLimits, Facing, Kept, LogSide, NamedPair, OffsetsAsk, Past, Request, Topic, offsets, snapshot,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A group: its name, what it has committed, whether it is active.
type Grouped = (String, Known<BTreeMap<Partition, u64>>, bool);

/// Logs in memory with groups.
#[derive(Debug, Clone)]
struct WithGroups {
    logs: MemoryLogs,
    groups: Vec<Grouped>,
}

#[async_trait]
impl Logs for WithGroups {
    async fn survey(&self, cx: &Context) -> Result<Survey> {
        self.logs.survey(cx).await
    }
    async fn settings(&self, cx: &Context, logs: &[String]) -> Result<BTreeMap<String, Known<Settings>>> {
        self.logs.settings(cx, logs).await
    }
    async fn ends(&self, cx: &Context, partitions: &[Partition]) -> Result<Vec<Known<Ends>>> {
        self.logs.ends(cx, partitions).await
    }
    async fn offsets_at(&self, cx: &Context, wanted: &[(Partition, i64)]) -> Result<Vec<Known<Option<u64>>>> {
        self.logs.offsets_at(cx, wanted).await
    }
    async fn groups(&self, _: &Context, _: Option<&[String]>) -> Result<Vec<Group>> {
        let committed = |offset| Committed { offset, metadata: String::new() };
        let member = Member { client: "reader".into(), host: "here".into(), partitions: Vec::new() };
        let group = |(name, offsets, active): &(String, Known<BTreeMap<Partition, u64>>, bool)| Group {
            name: name.clone(),
            state: Known::Known("Empty".into()),
            members: Known::Known(if *active { vec![member.clone()] } else { Vec::new() }),
            offsets: offsets.clone().map(|all| all.into_iter().map(|(at, offset)| (at, committed(offset))).collect()),
            asked: Instant::now(),
            answered: Instant::now(),
        };
        Ok(self.groups.iter().map(group).collect())
    }
    async fn read(&self, cx: &Context, ranges: &[Range], sink: &mut dyn RecordSink) -> Result<Vec<RangeRead>> {
        self.logs.read(cx, ranges, sink).await
    }
    async fn traces(&self, cx: &Context) -> Result<Traces> {
        self.logs.traces(cx).await
    }
}

fn at(log: &str) -> Partition {
    Partition::new(log, 0)
}

/// A source, a replica of its first records, and where the group stands on both.
struct Staged {
    here: WithGroups,
    there: WithGroups,
    checkpoints: Vec<Checkpoint>,
}

impl Staged {
    /// Writes say whether something can be read, a payload, and how much later it is than what came before.
    fn new(writes: &[(bool, u8, i64)], copied: usize) -> Self {
        let (here, there) = (MemoryLogs::new(), MemoryLogs::new());
        here.create("orders", 1);
        there.create("A.orders", 1);
        let mut now = 1_000;
        for (readable, payload, later) in writes {
            now += later;
            let value = Some(vec![*payload; 3]);
            let record = MemoryRecord { timestamp: Some(now), value, ..MemoryRecord::default() };
            match readable {
                true => drop(here.append(&at("orders"), record, Fate::Committed)),
                false => here.mark(&at("orders")),
            }
        }
        for (_, record, _) in here.records(&at("orders")).into_iter().take(copied) {
            there.append(&at("A.orders"), record, Fate::Committed);
        }
        let with = |logs| WithGroups { logs, groups: Vec::new() };
        Self { here: with(here), there: with(there), checkpoints: Vec::new() }
    }

    fn commit(mut self, on_source: Option<u64>, on_replica: Option<u64>) -> Self {
        let one =
            |log: &str, offset: Option<u64>| Known::Known(offset.map(|offset| (at(log), offset)).into_iter().collect());
        self.here.groups.push(("desk".into(), one("orders", on_source), false));
        if on_replica.is_some() {
            self.there.groups.push(("desk".into(), one("A.orders", on_replica), false));
        }
        self
    }

    fn checkpoint(mut self, upstream: i64, downstream: i64) -> Self {
        self.checkpoints.push(Checkpoint {
            alias: "A".into(),
            group: "desk".into(),
            partition: at("A.orders"),
            upstream,
            downstream,
            metadata: String::new(),
            written: None,
        });
        self
    }

    async fn certify(&self, limits: CertifyLimits, times_kept: bool) -> Vec<GroupCertificate> {
        let side = |name: &str, logs: &WithGroups| LogSide::new(name, Arc::new(logs.clone()), Context::default());
        let (source, replica) = (side("a", &self.here), side("b", &self.there));
        let timestamps = if times_kept { Timestamps::Compare } else { Timestamps::Ignore };
        let namer = Arc::new(Namer::new(&DigestKey::unkeyed(), "orders", timestamps));
        let pairs = [NamedPair { source: at("orders"), replica: at("A.orders"), source_id: None, namer, times_kept }];
        let ask = OffsetsAsk {
            source: Past::Living(&source),
            replica: &replica,
            pairs: &pairs,
            checkpoints: &self.checkpoints,
            wanted: &|_| true,
            isolation: Isolation::Uncommitted,
            limits,
        };
        offsets(&ask).await.unwrap()
    }

    /// What a snapshot of the source keeps, with so many records one by one.
    async fn chain(&self, trail: usize) -> Chain {
        let side = LogSide::new("a", Arc::new(self.here.clone()), Context::default());
        let facing = Facing {
            source: at("orders"),
            replica: at("orders"),
            syncs: Vec::new(),
            stored: None,
            source_id: None,
            replica_id: None,
        };
        let topics = [Topic { name: "orders".into(), policy: Policy::default(), doubt: None, facing: vec![facing] }];
        let request = Request {
            source: &side,
            replica: &side,
            topics: &topics,
            key: &DigestKey::unkeyed(),
            settle: Duration::ZERO,
            items_max: 10,
            partitions_at_once: 1,
            ledger: None,
            watch: &|_| {},
        };
        snapshot(&request, trail).await.remove(0).1.remove(0).unwrap()
    }

    /// Certifies when the source is gone and a snapshot of it is left, in which the group stood at an offset.
    async fn certify_kept(&self, committed: Option<u64>, trail: usize) -> Vec<GroupCertificate> {
        let chain = self.chain(trail).await;
        let end = chain.next;
        let offsets_of = committed.map(|offset| (at("orders"), offset)).into_iter().collect();
        let kept = Kept {
            partitions: [(at("orders"), (&chain, end))].into(),
            groups: [("desk".to_owned(), offsets_of)].into(),
        };
        let replica = LogSide::new("b", Arc::new(self.there.clone()), Context::default());
        let namer = Arc::new(Namer::new(&DigestKey::unkeyed(), "orders", Timestamps::Compare));
        let pairs =
            [NamedPair { source: at("orders"), replica: at("A.orders"), source_id: None, namer, times_kept: true }];
        let ask = OffsetsAsk {
            source: Past::Kept(&kept),
            replica: &replica,
            pairs: &pairs,
            checkpoints: &self.checkpoints,
            wanted: &|_| true,
            isolation: Isolation::Uncommitted,
            limits: CertifyLimits::default(),
        };
        offsets(&ask).await.unwrap()
    }

    async fn one(&self) -> GroupCertificate {
        self.certify(CertifyLimits::default(), true).await.remove(0)
    }
}

fn plain(records: u8) -> Vec<(bool, u8, i64)> {
    (0..records).map(|payload| (true, payload, 1)).collect()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

#[tokio::test]
async fn a_group_that_is_sent_to_the_right_record_misses_nothing_and_reads_nothing_twice() {
    let group = Staged::new(&plain(100), 100).commit(Some(60), Some(60)).one().await;
    assert_eq!((group.verdict(), group.may_resume()), (Verdict::Pass, Some(true)));
    assert_eq!(group.records(), (Some(Count::exactly(0)), Some(Count::exactly(0))));
    assert_eq!(group.partitions[0].standing, Standing::Exact);
    assert_eq!(group.active_on_replica, Known::Known(false));
}

#[tokio::test]
async fn a_checkpoint_that_lags_costs_redelivery_and_says_so() {
    let group = Staged::new(&plain(100), 100).commit(Some(60), None).checkpoint(40, 40).one().await;
    let part = &group.partitions[0];
    assert_eq!((part.standing, part.translation), (Standing::Redelivery, Some(Translation::Checkpoint)));
    assert_eq!((&part.loss, &part.redelivery), (&Known::Known(Count::exactly(0)), &Known::Known(Count::exactly(20))));
    assert!(part.notes[0].contains("20 offsets older"), "{part:?}");
}

#[tokio::test]
async fn a_translated_offset_that_is_too_far_loses_records() {
    let group = Staged::new(&plain(200), 200).commit(Some(60), Some(75)).one().await;
    let part = &group.partitions[0];
    assert_eq!((part.standing, &part.loss), (Standing::Loss, &Known::Known(Count::exactly(15))));
    assert_eq!((group.verdict(), group.may_resume()), (Verdict::Fail, Some(false)));
    assert_eq!(part.exact, Known::Known(60));
}

#[tokio::test]
async fn a_group_that_was_set_back_loses_what_lies_before_its_old_checkpoint() {
    let group = Staged::new(&plain(100), 100).commit(Some(20), None).checkpoint(60, 60).one().await;
    assert_eq!(group.partitions[0].loss, Known::Known(Count::exactly(40)));
    assert!(group.partitions[0].notes[0].contains("set back"), "{group:?}");
}

#[tokio::test]
async fn the_groups_own_commit_on_the_replica_counts_more_than_the_checkpoint() {
    let staged = Staged::new(&plain(100), 100).commit(Some(60), Some(50)).checkpoint(60, 60);
    let group = staged.one().await;
    assert_eq!((group.partitions[0].standing, group.partitions[0].translated), (Standing::Redelivery, Some(50)));
    let mut active = staged.clone_active();
    active.there.groups[0].2 = true;
    assert_eq!(active.one().await.active_on_replica, Known::Known(true));
}

impl Staged {
    fn clone_active(&self) -> Self {
        Self { here: self.here.clone(), there: self.there.clone(), checkpoints: self.checkpoints.clone() }
    }
}

#[tokio::test]
async fn without_a_translated_offset_a_group_must_not_go_on_and_its_place_is_named() {
    let group = Staged::new(&plain(100), 100).commit(Some(60), None).one().await;
    let part = &group.partitions[0];
    assert_eq!((part.standing, &part.exact), (Standing::Untranslated, &Known::Known(60)));
    assert_eq!(group.may_resume(), Some(false));
}

#[tokio::test]
async fn a_group_at_the_very_start_needs_no_translated_offset_if_it_begins_at_the_earliest_record() {
    for (committed, trimmed) in [(0, 0), (30, 30)] {
        let staged = Staged::new(&plain(100), 100).commit(Some(committed), None);
        staged.there.logs.trim(&at("A.orders"), trimmed);
        let group = staged.one().await;
        let part = &group.partitions[0];
        assert_eq!((part.standing, &part.exact), (Standing::AtStart, &Known::Known(committed)));
        assert_eq!((group.verdict(), group.may_resume()), (Verdict::Warn, None));
        assert!(part.notes[0].contains("earliest"), "{part:?}");
    }
}

#[tokio::test]
async fn offsets_outside_of_the_replica_are_told() {
    let beyond = Staged::new(&plain(100), 50).commit(Some(60), Some(51)).one().await;
    assert_eq!(beyond.partitions[0].standing, Standing::BeyondEnd);
    let staged = Staged::new(&plain(100), 100).commit(Some(60), Some(10));
    staged.there.logs.trim(&at("A.orders"), 20);
    assert_eq!(staged.one().await.partitions[0].standing, Standing::BelowStart);
    let source = Staged::new(&plain(100), 100).commit(Some(101), Some(100)).one().await;
    assert_eq!((source.partitions[0].standing, source.may_resume()), (Standing::Unproven, None));
}

#[tokio::test]
async fn a_group_ahead_of_its_mirror_goes_on_at_the_end() {
    let group = Staged::new(&plain(100), 50).commit(Some(80), Some(50)).one().await;
    assert_eq!(group.partitions[0].standing, Standing::Exact, "{group:?}");
}

#[tokio::test]
async fn offsets_that_may_not_be_read_leave_a_group_unknown() {
    let mut staged = Staged::new(&plain(10), 10);
    staged.here.groups.push(("desk".into(), Known::unknown("no privilege"), false));
    let group = staged.one().await;
    assert_eq!((group.verdict(), group.why.as_deref()), (Verdict::Unknown, Some("no privilege")));
}

#[tokio::test]
async fn a_far_offset_gives_bounds_of_what_is_read_twice() {
    let writes: Vec<(bool, u8, i64)> = (0..5_000).map(|at| (true, (at % 251) as u8, 1)).collect();
    let staged = Staged::new(&writes, 5_000).commit(Some(4_000), Some(10));
    let limits = CertifyLimits { window_max: 500, ..CertifyLimits::default() };
    let group = staged.certify(limits, true).await.remove(0);
    let part = &group.partitions[0];
    assert_eq!((part.standing, part.loss.clone()), (Standing::Redelivery, Known::Known(Count::exactly(0))));
    let redelivery = part.redelivery.value().unwrap();
    assert!(redelivery.low <= 3_990 && redelivery.high == 3_990, "{redelivery:?}");
}

#[tokio::test]
async fn a_snapshot_of_a_source_that_is_gone_places_groups() {
    let staged = |on_replica| Staged::new(&plain(200), 150).commit(Some(0), on_replica);
    // Nothing is lost to it, wherever it went on to since.
    let group = staged(Some(90)).certify_kept(Some(100), 1_000).await.remove(0);
    let part = &group.partitions[0];
    assert_eq!((part.standing, &part.exact), (Standing::Redelivery, &Known::Known(100)), "{part:?}");
    assert_eq!((part.loss.value(), group.may_resume()), (Some(&Count::exactly(0)), Some(true)));
    // It may have read what lies between, or not.
    let group = staged(Some(120)).certify_kept(Some(100), 1_000).await.remove(0);
    let part = &group.partitions[0];
    let between = Count { low: 0, high: 20 };
    assert_eq!((part.standing, part.loss.value()), (Standing::Unproven, Some(&between)), "{part:?}");
    // Before the records that are kept one by one nothing is known.
    let group = staged(Some(90)).certify_kept(Some(100), 50).await.remove(0);
    assert_eq!((group.partitions[0].standing, group.may_resume()), (Standing::Unproven, None), "{group:?}");
    // Nor of a group that is not in the snapshot.
    let group = staged(Some(90)).checkpoint(90, 90).certify_kept(None, 1_000).await.remove(0);
    assert_eq!((group.partitions[0].standing, group.may_resume()), (Standing::Unproven, None), "{group:?}");
    let group = staged(None).certify_kept(Some(100), 1_000).await.remove(0);
    assert_eq!(group.partitions[0].standing, Standing::Untranslated, "{group:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_snapshot_promises_no_group_more_than_is_true(
        writes in prop::collection::vec((prop::bool::weighted(0.85), 0_u8..4, 0_i64..3), 1..120),
        copied in 0_usize..120, committed in 0_u64..120, moved in 0_u64..40, translated in 0_u64..120, trail in 1_usize..150,
    ) {
        let mut writes = writes;
        writes.iter_mut().enumerate().for_each(|(number, (_, payload, _))| *payload = number as u8);
        let staged = Staged::new(&writes, copied);
        let all = staged.here.logs.records(&at("orders"));
        let copied = copied.min(all.len());
        let (committed, translated) = (committed.min(writes.len() as u64), translated.min(copied as u64));
        let now = (committed + moved).min(writes.len() as u64);
        let staged = staged.commit(Some(0), Some(translated));
        let group = block_on(staged.certify_kept(Some(committed), trail)).remove(0);
        let before = |position: u64| all.iter().take(copied).filter(|(offset, ..)| *offset < position).count() as u64;
        let part = &group.partitions[0];
        if let Known::Known(exact) = part.exact {
            prop_assert_eq!(exact, before(committed), "{:?}", part);
        }
        if group.may_resume() == Some(true) {
            prop_assert!(translated <= before(now), "{part:?}");
        }
        prop_assert!(group.may_resume() != Some(false), "what came after the snapshot is not known: {part:?}");
        if let Known::Known(loss) = part.loss {
            let truth = translated.saturating_sub(before(now));
            prop_assert!((loss.low..=loss.high).contains(&truth), "{part:?} {truth}");
        }
    }

    #[test]
    fn what_is_said_of_a_group_contains_the_truth(
        writes in prop::collection::vec((prop::bool::weighted(0.85), 0_u8..4, prop_oneof![3 => 0_i64..3, 1 => -20_i64..20]), 1..120),
        copied in 0_usize..120, committed in 0_u64..120, translated in 0_u64..120, context in 4_u64..12, kind in 0_u8..3,
    ) {
        // Every record is like no other, or up to three that follow each other are alike, or times do not count.
        let (unique, times_kept) = (kind == 0, kind != 2);
        let mut writes = writes;
        for (number, (_, payload, later)) in writes.iter_mut().enumerate() {
            match kind {
                0 => *payload = number as u8,
                1 => (*payload, *later) = (number as u8 / 3, i64::from(number % 3 == 0)),
                _ => {}
            }
        }
        let staged = Staged::new(&writes, copied);
        let all = staged.here.logs.records(&at("orders"));
        let copied = copied.min(all.len());
        let (committed, translated) = (committed.min(writes.len() as u64), translated.min(copied as u64));
        let staged = staged.commit(Some(committed), Some(translated));
        let limits = CertifyLimits { context, window_max: 256, ..CertifyLimits::default() };
        let group = block_on(staged.certify(limits, times_kept)).remove(0);
        let part = &group.partitions[0];
        let exact = all.iter().take(copied).filter(|(offset, ..)| *offset < committed).count() as u64;
        if let Known::Known(said) = part.exact {
            prop_assert_eq!(said, exact);
        }
        if let Known::Known(loss) = part.loss {
            let truth = translated.saturating_sub(exact);
            prop_assert!(loss.low <= truth, "{loss:?} {truth}");
            // One copy of a record that looks like another may stand for it.
            prop_assert!(!unique || truth <= loss.high, "{loss:?} {truth}");
        }
        if let Known::Known(redelivery) = part.redelivery {
            let truth = exact.saturating_sub(translated);
            prop_assert!((redelivery.low..=redelivery.high).contains(&truth), "{redelivery:?} {truth}");
        }
        if unique && times_kept {
            prop_assert!(part.standing != Standing::Unproven, "{part:?}");
        }
    }
}
