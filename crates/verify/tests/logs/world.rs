//! Two stores of logs in memory, a mirror between them that works as asked, and a comparison.

use paritas_connect::Context;
use paritas_connect::logs::{Fate, MemoryLogs, MemoryRecord, Partition};
use paritas_digest::DigestKey;
use paritas_logs::content::{Class, Finding, Policy};
use paritas_model::Verdict;
use paritas_verify::Retry;
use paritas_verify::logs::{Facing, LogSide, Outcome, Request, Topic, parity};
use std::sync::Arc;
use std::time::Duration;

/// The log's name on both sides.
pub const LOG: &str = "fills";

/// Two stores with one log each.
#[derive(Clone)]
pub struct World {
    pub source: MemoryLogs,
    pub replica: MemoryLogs,
    pub partitions: usize,
    pub policy: Policy,
    pub settle: Duration,
}

pub fn at(partition: usize) -> Partition {
    Partition::new(LOG, i32::try_from(partition).unwrap())
}

/// A record that no other one is like.
pub fn record(number: u64) -> MemoryRecord {
    MemoryRecord {
        timestamp: Some(1_700_000_000_000 + i64::try_from(number).unwrap() * 3),
        appended: false,
        key: Some(format!("k{}", number % 7).into_bytes()),
        value: Some(format!("value {number}").into_bytes()),
        headers: vec![("n".to_owned(), Some(number.to_be_bytes().to_vec())), ("n".to_owned(), None)],
    }
}

impl World {
    pub fn new(partitions: usize) -> Self {
        let world = Self {
            source: MemoryLogs::new(),
            replica: MemoryLogs::new(),
            partitions,
            policy: Policy::default(),
            settle: Duration::ZERO,
        };
        world.source.create(LOG, partitions);
        world.replica.create(LOG, partitions);
        world
    }

    /// Appends records to the source.
    pub fn append(&self, partition: usize, records: impl IntoIterator<Item = MemoryRecord>) {
        for record in records {
            self.source.append(&at(partition), record, Fate::Committed);
        }
    }

    /// Appends records to the replica.
    pub fn copy(&self, partition: usize, records: impl IntoIterator<Item = MemoryRecord>) {
        for record in records {
            self.replica.append(&at(partition), record, Fate::Committed);
        }
    }

    /// The committed records of the source.
    pub fn committed(&self, partition: usize) -> Vec<MemoryRecord> {
        let records = self.source.records(&at(partition));
        records.into_iter().filter(|(_, _, fate)| *fate == Fate::Committed).map(|(_, record, _)| record).collect()
    }

    /// Copies everything that the source has to an empty replica, but as `change` has it.
    pub fn mirror_with(&self, partition: usize, change: impl FnOnce(&mut Vec<MemoryRecord>)) {
        let mut records = self.committed(partition);
        change(&mut records);
        self.copy(partition, records);
    }

    pub fn mirror(&self, partition: usize) {
        self.mirror_with(partition, |_| {});
    }

    pub fn topic(&self) -> Topic {
        let facing = |partition: usize| Facing {
            source: at(partition),
            replica: at(partition),
            syncs: Vec::new(),
            stored: None,
            source_id: None,
            replica_id: None,
        };
        let facing = (0..self.partitions).map(facing).collect();
        Topic { name: LOG.to_owned(), policy: self.policy, doubt: None, facing }
    }

    pub async fn compare(&self) -> Outcome {
        self.compare_topic(&self.topic()).await
    }

    pub async fn compare_topic(&self, topic: &Topic) -> Outcome {
        let (source, replica) = self.sides();
        let request = Request {
            source: &source,
            replica: &replica,
            topics: std::slice::from_ref(topic),
            key: &DigestKey::unkeyed(),
            settle: self.settle,
            items_max: 100,
            partitions_at_once: 3,
            ledger: None,
            watch: &|_| {},
        };
        parity(&request).await.pop().unwrap()
    }

    pub fn sides(&self) -> (LogSide, LogSide) {
        let side = |name: &str, logs: &MemoryLogs| {
            let mut side = LogSide::new(name, Arc::new(logs.clone()), Context::default());
            side.retry = Retry { attempts_max: 3, pause: Duration::ZERO };
            side
        };
        (side("source", &self.source), side("replica", &self.replica))
    }
}

/// Class, partition, number of records, first offset on the source, first offset on the replica.
pub type Short = (Class, i32, u64, Option<u64>, Option<u64>);

pub fn short(finding: &Finding) -> Short {
    let first = |span: Option<paritas_logs::content::Span>| span.map(|span| span.first);
    (finding.class, finding.partition, finding.records, first(finding.source), first(finding.replica))
}

/// What was found, and that the verdict and the counts agree with it.
pub fn found(outcome: &Outcome) -> Vec<Short> {
    for window in &outcome.partitions {
        assert!(window.problem.is_none(), "{:?}", window.problem);
    }
    let violations: u64 = outcome.findings.iter().filter(|one| one.class.is_violation()).map(|one| one.records).sum();
    assert_eq!(violations, outcome.counts.proven() + outcome.counts.unproven, "{outcome:#?}");
    let failed = outcome.counts.proven() > 0;
    assert_eq!(outcome.verdict() == Verdict::Fail, failed, "{outcome:#?}");
    outcome.findings.iter().map(short).collect()
}
