//! Logs in memory: a store for tests of everything above the connectors.
//!
//! It keeps the contract of the trait to the letter: isolation, transactions, markers, gaps, beginnings and ends. Its logs
//! may change at any time, also between two calls, by [`MemoryLogs::before_each`].

use super::{
    Broker, Ends, Group, Isolation, Log, Logs, Partition, PartitionState, Range, RangeRead, Record, RecordSink,
    Records, Setting, Settings, Survey, Traces, Want,
};
use crate::{Context, Error, FailureKind, Result};
use async_trait::async_trait;
use paritas_model::Known;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Records in one batch unless the test says otherwise: few, so that small tests have several.
const BATCH_RECORDS: usize = 7;

/// A record in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryRecord {
    /// Its time in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Whether the store set that time.
    pub appended: bool,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What became of the transaction of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fate {
    /// It was committed, or there was none.
    #[default]
    Committed,
    /// It was aborted.
    Aborted,
    /// It is still open.
    Open,
}

/// A call into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogCall {
    /// [`Logs::ends`].
    Ends,
    /// [`Logs::read`].
    Read,
}

type Hook = Box<dyn FnMut(&MemoryLogs, LogCall) -> Result<()> + Send>;

/// Logs in memory. Clones share everything.
#[derive(Clone)]
pub struct MemoryLogs {
    cluster: Arc<Mutex<Cluster>>,
    hook: Arc<Mutex<Option<Hook>>>,
    batch: usize,
}

#[derive(Debug, Default)]
struct Cluster {
    logs: BTreeMap<String, OneLog>,
    made: u64,
    traces: Traces,
}

#[derive(Debug, Default)]
struct OneLog {
    id: u64,
    partitions: Vec<OnePartition>,
    settings: Settings,
}

#[derive(Debug, Clone, Default)]
struct OnePartition {
    start: u64,
    next: u64,
    records: BTreeMap<u64, (MemoryRecord, Fate)>,
    /// The first offset of each leadership but the first, which began at 0.
    elected: Vec<u64>,
    /// Records of open transactions there may be; where there were none ever, nobody has to look.
    opened: bool,
}

impl OnePartition {
    fn stable(&self) -> u64 {
        let open = self.opened.then(|| self.records.iter().find(|(_, (_, fate))| *fate == Fate::Open)).flatten();
        open.map_or(self.next, |(offset, _)| *offset)
    }

    /// The leadership under which an offset was written.
    fn epoch(&self, offset: u64) -> i32 {
        i32::try_from(self.elected.iter().filter(|first| **first <= offset).count()).unwrap_or(i32::MAX)
    }

    /// Another leader, with everything before its end.
    fn elect(&mut self) {
        self.elected.iter_mut().for_each(|first| *first = (*first).min(self.next));
        self.elected.push(self.next);
    }
}

impl fmt::Debug for MemoryLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLogs").field("cluster", &*self.lock()).finish_non_exhaustive()
    }
}

impl Default for MemoryLogs {
    fn default() -> Self {
        Self { cluster: Arc::default(), hook: Arc::default(), batch: BATCH_RECORDS }
    }
}

impl MemoryLogs {
    /// No log yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands out so many records at a time (at least 1).
    #[must_use]
    pub fn with_batch(mut self, records: usize) -> Self {
        self.batch = records.max(1);
        self
    }

    /// Is called before every call into the store, may change the logs, and its error is the answer.
    #[must_use]
    pub fn before_each(self, hook: impl FnMut(&Self, LogCall) -> Result<()> + Send + 'static) -> Self {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
        self
    }

    /// Makes a log, another one if there is one of that name.
    pub fn create(&self, log: &str, partitions: usize) {
        let mut cluster = self.lock();
        cluster.made += 1;
        let made =
            OneLog { id: cluster.made, partitions: vec![OnePartition::default(); partitions], ..OneLog::default() };
        cluster.logs.insert(log.to_owned(), made);
    }

    /// Sets a setting of a log that exists.
    pub fn set(&self, log: &str, name: &str, value: &str) {
        if let Some(log) = self.lock().logs.get_mut(log) {
            let setting = Setting { value: Some(value.to_owned()), own: true };
            log.settings.0.insert(name.to_owned(), setting);
        }
    }

    /// Leaves traces of a mirror.
    pub fn leave(&self, traces: Traces) {
        self.lock().traces = traces;
    }

    /// Appends a record and says its offset; `None` where there is no such partition.
    pub fn append(&self, at: &Partition, record: MemoryRecord, fate: Fate) -> Option<u64> {
        self.edit(at, |partition| {
            let offset = partition.next;
            partition.opened |= fate == Fate::Open;
            partition.records.insert(offset, (record, fate));
            partition.next += 1;
            offset
        })
    }

    /// Appends something that takes up an offset and that nobody can read.
    pub fn mark(&self, at: &Partition) {
        self.edit(at, |partition| partition.next += 1);
    }

    /// Ends all open transactions of a partition, with a marker.
    pub fn end(&self, at: &Partition, fate: Fate) {
        self.edit(at, |partition| {
            for (_, own) in partition.records.values_mut().filter(|(_, own)| *own == Fate::Open) {
                *own = fate;
            }
            partition.opened = fate == Fate::Open;
            partition.next += 1;
        });
    }

    /// Loses everything before an offset, as by retention.
    pub fn trim(&self, at: &Partition, start: u64) {
        self.edit(at, |partition| {
            partition.start = partition.start.max(start.min(partition.next));
            partition.records.retain(|offset, _| *offset >= partition.start);
        });
    }

    /// Loses everything from an offset on, as by the election of a leader that had not got it.
    pub fn truncate(&self, at: &Partition, end: u64) {
        self.edit(at, |partition| {
            partition.next = partition.next.min(end).max(partition.start);
            partition.records.retain(|offset, _| *offset < partition.next);
            partition.elect();
        });
    }

    /// Loses a record and keeps its offset, as by compaction.
    pub fn remove(&self, at: &Partition, offset: u64) -> Option<MemoryRecord> {
        self.edit(at, |partition| partition.records.remove(&offset)).flatten().map(|(record, _)| record)
    }

    /// Changes a record where it stands.
    pub fn change(&self, at: &Partition, offset: u64, change: impl FnOnce(&mut MemoryRecord)) {
        self.edit(at, |partition| partition.records.get_mut(&offset).map(|(record, _)| change(record)));
    }

    /// All records of a partition with their offsets.
    pub fn records(&self, at: &Partition) -> Vec<(u64, MemoryRecord, Fate)> {
        let all = |partition: &mut OnePartition| {
            partition.records.iter().map(|(offset, (record, fate))| (*offset, record.clone(), *fate)).collect()
        };
        self.edit(at, all).unwrap_or_default()
    }

    fn edit<T>(&self, at: &Partition, change: impl FnOnce(&mut OnePartition) -> T) -> Option<T> {
        let index = usize::try_from(at.index).ok()?;
        self.lock().logs.get_mut(&at.log)?.partitions.get_mut(index).map(change)
    }

    fn find<T>(&self, at: &Partition, look: impl FnOnce(&mut OnePartition) -> T) -> Result<T> {
        let missing = || Error::new(FailureKind::Permanent, "log.missing", format!("there is no partition {at}"));
        self.edit(at, look).ok_or_else(missing)
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self, cx: &Context, call: LogCall) -> Result<()> {
        cx.check()?;
        // Taken out while it runs, so that it may call the store itself.
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut hook) = hook else { return Ok(()) };
        let result = hook(self, call);
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
        result
    }

    /// The next records of a range, and where it goes on.
    fn batch(&self, range: &Range, next: u64) -> Result<(Batch, u64)> {
        self.find(&range.partition, |partition| partition.batch(range, next, self.batch))?
    }
}

impl OnePartition {
    fn batch(&self, range: &Range, next: u64, max: usize) -> Result<(Batch, u64)> {
        let (at, committed) = (&range.partition, range.isolation == Isolation::Committed);
        let end = if committed { self.stable() } else { self.next };
        let failed = |code, what: String| Err(Error::new(FailureKind::Permanent, code, what));
        if next < range.to && next < self.start {
            return failed("log.truncated", format!("{at} begins at {}, behind {next}", self.start));
        }
        if range.to > end {
            return failed("log.short", format!("{at} ends at {end}, before {}", range.to));
        }
        let found = self.records.range(next..range.to.max(next));
        let found = found.filter(|(_, (_, fate))| !committed || *fate == Fate::Committed);
        let batch: Vec<_> =
            found.take(max).map(|(offset, (record, _))| (*offset, record.clone(), self.epoch(*offset))).collect();
        let next = batch.last().filter(|_| batch.len() == max).map_or(range.to.max(next), |last| last.0 + 1);
        Ok((Batch(batch), next))
    }
}

struct Batch(Vec<(u64, MemoryRecord, i32)>);

impl Records for Batch {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<Record<'_>> {
        let (offset, record, _) = self.0.get(index)?;
        Some(Record {
            offset: *offset,
            timestamp: record.timestamp,
            appended: record.appended,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
        })
    }

    fn epoch(&self, index: usize) -> Option<i32> {
        self.0.get(index).map(|(_, _, epoch)| *epoch)
    }
}

impl Batch {
    fn bytes(&self) -> u64 {
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = |record: &MemoryRecord| -> usize {
            record.headers.iter().map(|(name, value)| name.len() + len(value)).sum()
        };
        let bytes = |record: &MemoryRecord| len(&record.key) + len(&record.value) + headers(record);
        self.0.iter().map(|(_, record, _)| bytes(record) as u64).sum()
    }
}

#[async_trait]
impl Logs for MemoryLogs {
    async fn survey(&self, cx: &Context) -> Result<Survey> {
        cx.check()?;
        let cluster = self.lock();
        let partition = |index: usize| PartitionState {
            index: i32::try_from(index).unwrap_or(i32::MAX),
            leader: Some(0),
            replicas: vec![0],
            in_sync: vec![0],
        };
        let log = |(name, log): (&String, &OneLog)| Log {
            name: name.clone(),
            id: Known::Known(log.id.to_string()),
            internal: false,
            partitions: (0..log.partitions.len()).map(partition).collect(),
        };
        Ok(Survey {
            cluster: Known::Known("memory".to_owned()),
            controller: Known::Known(0),
            brokers: vec![Broker { id: 0, address: "memory:0".to_owned() }],
            logs: cluster.logs.iter().map(log).collect(),
            limits: Vec::new(),
        })
    }

    async fn settings(&self, cx: &Context, logs: &[String]) -> Result<BTreeMap<String, Known<Settings>>> {
        cx.check()?;
        let cluster = self.lock();
        let settings = |name: &String| Some((name.clone(), Known::Known(cluster.logs.get(name)?.settings.clone())));
        Ok(logs.iter().filter_map(settings).collect())
    }

    async fn ends(&self, cx: &Context, partitions: &[Partition]) -> Result<Vec<Known<Ends>>> {
        self.called(cx, LogCall::Ends)?;
        let now = Instant::now();
        let ends = |found: &mut OnePartition| Ends {
            start: found.start,
            end: found.next,
            stable: found.stable(),
            epoch: i32::try_from(found.elected.len()).ok(),
            asked: now,
            answered: now,
        };
        let known = |at: &Partition| match self.find(at, ends) {
            Err(error) => Known::unknown(error.to_string()),
            Ok(ends) => Known::Known(ends),
        };
        Ok(partitions.iter().map(known).collect())
    }

    async fn offsets_at(&self, cx: &Context, wanted: &[(Partition, i64)]) -> Result<Vec<Known<Option<u64>>>> {
        cx.check()?;
        let first = |(at, time): &(Partition, i64)| {
            let late = |(_, (record, _)): &(&u64, &(MemoryRecord, Fate))| record.timestamp >= Some(*time);
            let offset = |found: &mut OnePartition| found.records.iter().find(late).map(|(offset, _)| *offset);
            match self.find(at, offset) {
                Err(error) => Known::unknown(error.to_string()),
                Ok(offset) => Known::Known(offset),
            }
        };
        Ok(wanted.iter().map(first).collect())
    }

    async fn groups(&self, cx: &Context, _names: Option<&[String]>) -> Result<Vec<Group>> {
        cx.check()?;
        Ok(Vec::new())
    }

    async fn read(&self, cx: &Context, ranges: &[Range], sink: &mut dyn RecordSink) -> Result<Vec<RangeRead>> {
        self.called(cx, LogCall::Read)?;
        let mut read: Vec<RangeRead> =
            ranges.iter().map(|range| RangeRead { next: range.from, ..RangeRead::default() }).collect();
        let mut enough = vec![false; ranges.len()];
        loop {
            let mut idle = true;
            for (index, ((range, read), enough)) in ranges.iter().zip(&mut read).zip(&mut enough).enumerate() {
                if *enough || read.next >= range.to {
                    continue;
                }
                cx.check()?;
                idle = false;
                let (batch, next) = self.batch(range, read.next)?;
                read.next = next;
                read.records += batch.len() as u64;
                read.bytes += batch.bytes();
                cx.count(batch.len() as u64, batch.bytes());
                *enough = !batch.is_empty() && sink.accept(index, &batch)? == Want::Enough;
                cx.breathe().await?;
            }
            if idle {
                return Ok(read);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn traces(&self, cx: &Context) -> Result<Traces> {
        cx.check()?;
        Ok(self.lock().traces.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Offsets(Vec<u64>);

    impl RecordSink for Offsets {
        fn accept(&mut self, _: usize, records: &dyn Records) -> Result<Want> {
            self.0.extend((0..records.len()).filter_map(|index| Some(records.get(index)?.offset)));
            Ok(Want::More)
        }
    }

    async fn offsets(logs: &MemoryLogs, from: u64, to: u64, isolation: Isolation) -> Result<Vec<u64>> {
        let range = Range { partition: Partition::new("a", 0), from, to, isolation };
        let mut sink = Offsets::default();
        let read = logs.read(&Context::default(), &[range], &mut sink).await?;
        assert_eq!((read[0].records, read[0].next), (sink.0.len() as u64, to));
        Ok(sink.0)
    }

    #[tokio::test]
    async fn readers_get_what_their_isolation_shows_and_errors_at_both_ends() {
        let logs = MemoryLogs::new();
        logs.create("a", 1);
        let at = Partition::new("a", 0);
        for fate in [Fate::Committed, Fate::Aborted, Fate::Committed, Fate::Open, Fate::Committed] {
            logs.append(&at, MemoryRecord::default(), fate);
        }
        let ends = logs.ends(&Context::default(), std::slice::from_ref(&at)).await.unwrap();
        let ends = ends[0].value().unwrap();
        assert_eq!((ends.start, ends.stable, ends.end), (0, 3, 5));
        assert_eq!(offsets(&logs, 0, 3, Isolation::Committed).await.unwrap(), [0, 2]);
        assert_eq!(offsets(&logs, 0, 5, Isolation::Uncommitted).await.unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(offsets(&logs, 0, 4, Isolation::Committed).await.unwrap_err().code(), "log.short");
        logs.end(&at, Fate::Committed);
        logs.trim(&at, 1);
        assert_eq!(offsets(&logs, 0, 4, Isolation::Committed).await.unwrap_err().code(), "log.truncated");
        assert_eq!(offsets(&logs, 1, 6, Isolation::Committed).await.unwrap(), [2, 3, 4]);
    }
}
