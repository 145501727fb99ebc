//! A cluster, a client that may do everything, and what was read.

use paritas_connect::logs::{Isolation, Logs as _, Partition, Range, RangeRead, Record, RecordSink, Records, Want};
use paritas_connect::{Context, Result};
use paritas_connect_kafka::{KafkaOptions, KafkaStore};
use paritas_testbed::Scratch;
use paritas_testbed::kafka::{Client, Cluster, Install, Options};
use std::time::Duration;

/// Longest time for a call that is to succeed. The machine may be busy.
const CALL_MAX: Duration = Duration::from_secs(60);

/// A cluster for one test.
pub struct Bed {
    pub cluster: Cluster,
    pub client: Client,
    _scratch: Scratch,
}

/// Starts a cluster; nothing where Kafka is missing and tests may be left out.
pub async fn bed(options: Options) -> Option<Bed> {
    let scratch = Scratch::new().unwrap();
    bed_in(scratch, options).await
}

/// The same in a folder that holds certificates already.
pub async fn bed_in(scratch: Scratch, options: Options) -> Option<Bed> {
    let install = Install::unless_missing().unwrap()?;
    let cluster = Cluster::start(&install, &scratch, "k", options).await.unwrap();
    let client = cluster.client().unwrap();
    Some(Bed { cluster, client, _scratch: scratch })
}

impl Bed {
    /// The connector's store of the cluster.
    pub fn store(&self) -> KafkaStore {
        store(&self.cluster.bootstrap(), "")
    }
}

/// A store at these brokers, with settings as they stand in a URL.
pub fn store(bootstrap: &str, query: &str) -> KafkaStore {
    KafkaStore::from_url(&format!("kafka://{bootstrap}?{query}"), &KafkaOptions::default()).unwrap()
}

/// Time enough.
pub fn cx() -> Context {
    Context::default().with_timeout(CALL_MAX)
}

/// A record that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub offset: u64,
    pub timestamp: Option<i64>,
    pub appended: bool,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl From<Record<'_>> for Kept {
    fn from(record: Record<'_>) -> Self {
        let headers = record.headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec)));
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            appended: record.appended,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers.collect(),
        }
    }
}

/// Keeps records by range, at most so many of each.
pub struct Keeping {
    pub ranges: Vec<Vec<Kept>>,
    pub max: usize,
}

impl Keeping {
    pub fn new(ranges: usize) -> Self {
        Self { ranges: vec![Vec::new(); ranges], max: usize::MAX }
    }
}

impl RecordSink for Keeping {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        assert!(!records.is_empty() && records.get(records.len()).is_none());
        let kept = &mut self.ranges[range];
        kept.extend((0..records.len()).map(|index| Kept::from(records.get(index).unwrap())));
        Ok(if kept.len() < self.max { Want::More } else { Want::Enough })
    }
}

/// Some records of a partition.
pub fn range(log: &str, index: i32, from: u64, to: u64, isolation: Isolation) -> Range {
    Range { partition: Partition::new(log, index), from, to, isolation }
}

/// Reads ranges to their ends.
pub async fn read(store: &KafkaStore, ranges: &[Range]) -> Result<(Vec<RangeRead>, Vec<Vec<Kept>>)> {
    let mut keeping = Keeping::new(ranges.len());
    let read = store.read(&cx(), ranges, &mut keeping).await?;
    for (kept, (range, read)) in keeping.ranges.iter().zip(ranges.iter().zip(&read)) {
        assert_eq!((read.records, read.next), (kept.len() as u64, range.to), "{range:?}");
        let size = |kept: &Kept| {
            let headers = kept.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len));
            kept.key.as_ref().map_or(0, Vec::len) + kept.value.as_ref().map_or(0, Vec::len) + headers.sum::<usize>()
        };
        assert_eq!(read.bytes, kept.iter().map(size).sum::<usize>() as u64, "{range:?}");
        assert!(kept.is_sorted_by(|a, b| a.offset < b.offset), "{range:?}");
        assert!(kept.iter().all(|kept| (range.from..range.to).contains(&kept.offset)), "{range:?}");
    }
    Ok((read, keeping.ranges))
}

/// The offsets of records.
pub fn offsets(kept: &[Kept]) -> Vec<u64> {
    kept.iter().map(|kept| kept.offset).collect()
}
