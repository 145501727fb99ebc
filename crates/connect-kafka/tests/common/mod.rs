//! What the tests of rows share: logs in memory, and a store over them.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use async_trait::async_trait;
use paritas_connect::logs::{
    Ends, Group, Isolation, Log, Logs, Partition, Range, RangeRead, Record, RecordSink, Records, Settings, Survey,
    Traces, Want,
};
use paritas_connect::{
    BlockSink, ColumnPair, Context, Datasets, Error, FailureKind, FetchedRow, ReplicaRole, Result, ScanRequest, Store,
    StoreIdentity,
};
use paritas_connect_kafka::rows::{RowOptions, Rows};
use paritas_digest::{Block, Canon, Policies};
use paritas_model::{Dataset, Known, Schema, StoreKind};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A record at rest.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    pub offset: u64,
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A partition: its records, where it ends for readers of committed records, and where it ends.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    pub records: Vec<Kept>,
    pub start: u64,
    pub stable: u64,
    pub end: u64,
}

/// The partitions of each topic.
pub type Topics = BTreeMap<String, Vec<Shelf>>;

/// Logs in memory.
#[derive(Debug, Default)]
pub struct MemoryLogs {
    pub topics: Mutex<Topics>,
    /// What happens before the next reads, one after the other.
    pub before: Mutex<VecDeque<fn(&mut Topics)>>,
}

struct Batch<'a>(&'a [Kept]);

impl Records for Batch<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<Record<'_>> {
        let kept = self.0.get(index)?;
        Some(Record {
            offset: kept.offset,
            timestamp: kept.timestamp,
            appended: false,
            key: kept.key.as_deref(),
            value: kept.value.as_deref(),
            headers: kept.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
        })
    }
}

impl MemoryLogs {
    /// A topic with so many empty partitions.
    pub fn topic(&self, name: &str, partitions: usize) {
        self.topics.lock().unwrap().insert(name.to_owned(), vec![Shelf::default(); partitions]);
    }

    /// Appends a record, after so many offsets without one.
    pub fn append(&self, topic: &str, partition: usize, gap: u64, record: Kept) {
        let mut topics = self.topics.lock().unwrap();
        let shelf = &mut topics.get_mut(topic).unwrap()[partition];
        let offset = shelf.end + gap;
        shelf.records.push(Kept { offset, ..record });
        (shelf.end, shelf.stable) = (offset + 1, offset + 1);
    }

    /// Appends texts.
    pub fn put(&self, topic: &str, partition: usize, key: Option<&str>, value: Option<&str>) {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let record = Kept { key: bytes(key), value: bytes(value), timestamp: Some(1_000), ..Kept::default() };
        self.append(topic, partition, 0, record);
    }
}

#[async_trait]
impl Logs for MemoryLogs {
    async fn survey(&self, cx: &Context) -> Result<Survey> {
        cx.check()?;
        let topics = self.topics.lock().unwrap();
        let logs = topics.iter().map(|(name, shelves)| Log {
            name: name.clone(),
            id: Known::Known(format!("id of {name}")),
            internal: false,
            partitions: (0_i32..)
                .zip(shelves)
                .map(|(index, _)| paritas_connect::logs::PartitionState {
                    index,
                    leader: Some(1),
                    replicas: vec![1],
                    in_sync: vec![1],
                })
                .collect(),
        });
        let logs = logs.collect();
        let cluster = Known::Known("cluster".to_owned());
        Ok(Survey { cluster, controller: Known::Known(1), brokers: Vec::new(), logs, limits: Vec::new() })
    }

    async fn settings(&self, _: &Context, _: &[String]) -> Result<BTreeMap<String, Known<Settings>>> {
        Ok(BTreeMap::new())
    }

    async fn ends(&self, cx: &Context, partitions: &[Partition]) -> Result<Vec<Known<Ends>>> {
        cx.check()?;
        let topics = self.topics.lock().unwrap();
        let ends = partitions.iter().map(|partition| {
            let shelf = &topics[&partition.log][partition.index as usize];
            let (start, end, stable) = (shelf.start, shelf.end, shelf.stable);
            let now = Instant::now();
            Known::Known(Ends { start, end, stable, epoch: None, asked: now, answered: now })
        });
        Ok(ends.collect())
    }

    async fn offsets_at(&self, _: &Context, wanted: &[(Partition, i64)]) -> Result<Vec<Known<Option<u64>>>> {
        Ok(wanted.iter().map(|_| Known::unknown("not asked for here")).collect())
    }

    async fn groups(&self, _: &Context, _: Option<&[String]>) -> Result<Vec<Group>> {
        Ok(Vec::new())
    }

    async fn read(&self, cx: &Context, ranges: &[Range], sink: &mut dyn RecordSink) -> Result<Vec<RangeRead>> {
        if let Some(change) = self.before.lock().unwrap().pop_front() {
            change(&mut self.topics.lock().unwrap());
        }
        let mut reads = Vec::new();
        for (index, range) in ranges.iter().enumerate() {
            let shelf = self.topics.lock().unwrap()[&range.partition.log][range.partition.index as usize].clone();
            let end = if range.isolation == Isolation::Committed { shelf.stable } else { shelf.end };
            if range.to > end {
                let message = format!("{} ends before {}", range.partition, range.to);
                return Err(Error::new(FailureKind::Transient, "log.short", message));
            }
            let wanted = shelf.records.iter().filter(|kept| (range.from..range.to).contains(&kept.offset));
            let wanted: Vec<Kept> = wanted.cloned().collect();
            let mut read = RangeRead { next: range.to, ..RangeRead::default() };
            for batch in wanted.chunks(500) {
                cx.check()?;
                read.records += batch.len() as u64;
                read.bytes += batch.iter().map(|kept| kept.value.as_ref().map_or(0, |v| v.len() as u64)).sum::<u64>();
                cx.count(batch.len() as u64, 0);
                let want = sink.accept(index, &Batch(batch))?;
                tokio::task::yield_now().await;
                if want == Want::Enough {
                    read.next = batch.last().map_or(range.from, |kept| kept.offset + 1);
                    break;
                }
            }
            cx.check()?;
            reads.push(read);
        }
        Ok(reads)
    }

    async fn traces(&self, _: &Context) -> Result<Traces> {
        Ok(Traces::default())
    }
}

/// A store of which only the rows are known.
#[derive(Debug)]
pub struct RowStore(pub Rows);

#[async_trait]
impl Store for RowStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Kafka
    }

    fn name(&self) -> &str {
        "kafka://memory"
    }

    async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        cx.check()?;
        Ok(StoreIdentity {
            version: "memory".to_owned(),
            identity: Known::Known("memory".to_owned()),
            place: Known::Known("memory".to_owned()),
            role: ReplicaRole::Primary,
            limits: Vec::new(),
        })
    }

    fn datasets(&self) -> Option<&dyn Datasets> {
        Some(&self.0)
    }
}

/// The rows of one topic; options as in the query of a URL.
pub fn rows(logs: &Arc<MemoryLogs>, topic: &str, options: &str) -> RowStore {
    try_rows(logs, topic, options).unwrap()
}

pub fn try_rows(logs: &Arc<MemoryLogs>, topic: &str, options: &str) -> Result<RowStore> {
    let pairs = options.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap());
    let options = RowOptions::from_pairs(pairs)?;
    Rows::new(Arc::clone(logs) as Arc<dyn Logs>, Some(topic.to_owned()), options).map(RowStore)
}

pub async fn schema(store: &RowStore) -> Result<Schema> {
    let cx = Context::default();
    let dataset = store.0.list(&cx).await?.remove(0);
    Ok(store.0.describe(&cx, &dataset).await?.schema)
}

/// Columns with their types, `?` behind those of a key.
pub fn shown(schema: &Schema) -> String {
    let column = |column: &paritas_model::Column| {
        let key = if schema.key.contains(&column.name) { "*" } else { "" };
        format!("{}{key}:{}", column.name, column.logical)
    };
    schema.columns.iter().map(column).collect::<Vec<_>>().join(" ")
}

struct Collect(Vec<Block>);

impl BlockSink for Collect {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.0.push(block);
        Ok(())
    }
}

/// The canon of all columns of a store against another schema; the same schema for itself.
pub fn canon(own: &Schema, other: &Schema) -> Canon {
    let pairs: Vec<_> = own.columns.iter().map(|column| (column.name.clone(), column.name.clone())).collect();
    Canon::logical(own, other, &pairs, &own.key, Policies::default()).unwrap()
}

/// All rows of a view, with the split's label of each.
pub async fn read_with(store: &RowStore, canon: Canon) -> Result<Vec<FetchedRow>> {
    let cx = Context::default();
    let pair = |name: &str| ColumnPair { canonical: name.to_owned(), own: name.to_owned() };
    let dataset: Dataset = store.0.list(&cx).await?.remove(0);
    let columns = canon.columns.iter().map(|column| pair(&column.name)).collect();
    let request = ScanRequest { dataset, columns, canon: Arc::new(canon), filter: None, ranges: Vec::new() };
    let scan = store.0.open(&cx, &request).await?;
    let mut rows = Vec::new();
    for split in scan.splits() {
        let mut sink = Collect(Vec::new());
        let done = scan.read(&cx, split, &mut sink).await?;
        assert_eq!(done.rows, sink.0.iter().map(|block| block.rows() as u64).sum::<u64>());
        for block in &sink.0 {
            let all: Vec<usize> = (0..block.rows()).collect();
            rows.extend(scan.render(&cx, block, &all).await?);
        }
    }
    Ok(rows)
}

/// All rows as texts: values in the order of the canon, and the place.
pub async fn read(store: &RowStore) -> Result<Vec<String>> {
    let schema = schema(store).await?;
    let rows = read_with(store, canon(&schema, &schema)).await?;
    Ok(rows.iter().map(text).collect())
}

pub fn text(row: &FetchedRow) -> String {
    let values: Vec<String> = row.fields.iter().map(|field| field.shown.to_string()).collect();
    format!("{} @ {}", values.join("|"), row.place.as_deref().unwrap_or("?"))
}
