//! A topic of a few records, and a store that hands them out as rows.

use paritas_connect::logs::{
    Ends, Group, Log, Logs, Partition, PartitionState, Range, RangeRead, Record, RecordSink, Records, Settings, Survey,
    Traces,
};
use paritas_connect::{Context, Datasets, ReplicaRole, Result, Store, StoreIdentity};
use paritas_connect_kafka::rows::{RowOptions, Rows};
use paritas_model::{Known, StoreKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Keys and values of records, one behind the other.
pub type Pairs = Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>;

const NAME: &str = "t";

#[derive(Debug)]
struct OneTopic(Pairs);

struct Part<'a>(&'a [(Option<Vec<u8>>, Option<Vec<u8>>)], u64);

impl Records for Part<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<Record<'_>> {
        let (key, value) = self.0.get(index)?;
        Some(Record {
            offset: self.1 + index as u64,
            timestamp: None,
            appended: false,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: Vec::new(),
        })
    }
}

#[async_trait::async_trait]
impl Logs for OneTopic {
    async fn survey(&self, _: &Context) -> Result<Survey> {
        let state = PartitionState { index: 0, leader: Some(0), replicas: vec![0], in_sync: vec![0] };
        let id = Known::unknown("there is none");
        let log = Log { name: NAME.to_owned(), id: id.clone(), internal: false, partitions: vec![state] };
        let controller = Known::unknown("there is none");
        Ok(Survey { cluster: id, controller, brokers: Vec::new(), logs: vec![log], limits: Vec::new() })
    }

    async fn settings(&self, _: &Context, _: &[String]) -> Result<BTreeMap<String, Known<Settings>>> {
        Ok(BTreeMap::new())
    }

    async fn ends(&self, _: &Context, partitions: &[Partition]) -> Result<Vec<Known<Ends>>> {
        let (end, now) = (self.0.len() as u64, Instant::now());
        let ends = Ends { start: 0, end, stable: end, epoch: None, asked: now, answered: now };
        Ok(partitions.iter().map(|_| Known::Known(ends.clone())).collect())
    }

    async fn offsets_at(&self, _: &Context, _: &[(Partition, i64)]) -> Result<Vec<Known<Option<u64>>>> {
        Ok(Vec::new())
    }

    async fn groups(&self, _: &Context, _: Option<&[String]>) -> Result<Vec<Group>> {
        Ok(Vec::new())
    }

    async fn read(&self, _: &Context, ranges: &[Range], sink: &mut dyn RecordSink) -> Result<Vec<RangeRead>> {
        let mut reads = Vec::new();
        for (index, range) in ranges.iter().enumerate() {
            let part = self.0.get(range.from as usize..range.to as usize).unwrap_or_default();
            sink.accept(index, &Part(part, range.from))?;
            reads.push(RangeRead { records: part.len() as u64, bytes: 0, next: range.to });
        }
        Ok(reads)
    }

    async fn traces(&self, _: &Context) -> Result<Traces> {
        Ok(Traces::default())
    }
}

/// Rows of a topic that holds these records.
///
/// # Errors
/// Those of the options.
pub fn topic_rows(records: Pairs, options: RowOptions) -> Result<TopicStore> {
    Rows::new(Arc::new(OneTopic(records)), Some(NAME.to_owned()), options).map(TopicStore)
}

/// A store over the rows of one topic.
#[derive(Debug)]
pub struct TopicStore(Rows);

#[async_trait::async_trait]
impl Store for TopicStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Kafka
    }

    fn name(&self) -> &str {
        NAME
    }

    async fn probe(&self, _: &Context) -> Result<StoreIdentity> {
        let unknown = || Known::unknown("there is none");
        let (identity, place, role) = (unknown(), unknown(), ReplicaRole::Independent);
        Ok(StoreIdentity { version: NAME.to_owned(), identity, place, role, limits: Vec::new() })
    }

    fn datasets(&self) -> Option<&dyn Datasets> {
        Some(&self.0)
    }
}
