//! Reading short ranges of many partitions, with the records' names: tails, and what stands around positions.

use super::side::LogSide;
use paritas_connect::logs::{Partition, Range, RangeRead, RecordSink, Records, Want};
use paritas_connect::{Error, FailureKind, Result};
use paritas_logs::ages::Found;
use paritas_logs::content::{Content, Images, Namer, Names};
use paritas_logs::items::{Item, Window};
use std::sync::Arc;

/// Times that ranges are read in parts because one of them fails; after that the rest fails as well.
const FAILURES_MAX: usize = 32;

/// A range, and how its records are named.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) range: Range,
    pub(super) namer: Arc<Namer>,
    /// Reading ends with that many records.
    pub(super) records_max: u64,
}

/// Reads ranges, each into a window or the reason why it could not be read. A range that nobody can read any
/// more does not keep the others from being read.
///
/// # Errors
/// What concerns the store as a whole: a deadline, a privilege, the network.
pub(super) async fn read(side: &LogSide, jobs: &[Job]) -> Result<Vec<Result<Window, String>>> {
    let mut done: Vec<Option<Result<Window, String>>> = jobs.iter().map(|_| None).collect();
    let mut open: Vec<(usize, usize)> = vec![(0, jobs.len())];
    let mut failures = 0;
    while let Some((from, to)) = open.pop() {
        let part = jobs.get(from..to).unwrap_or_default();
        if part.is_empty() {
            continue;
        }
        match part_of(side, part).await {
            Ok(windows) => {
                for (slot, window) in done.iter_mut().skip(from).zip(windows) {
                    *slot = Some(Ok(window));
                }
            }
            Err(error) if concerns_all(&error) => return Err(error),
            Err(error) => {
                failures += 1;
                if part.len() == 1 || failures >= FAILURES_MAX {
                    for slot in done.iter_mut().take(to).skip(from) {
                        *slot = Some(Err(error.to_string()));
                    }
                } else {
                    let middle = from + part.len() / 2;
                    open.extend([(from, middle), (middle, to)]);
                }
            }
        }
    }
    Ok(done.into_iter().map(|one| one.unwrap_or_else(|| Err("it was not read".to_owned()))).collect())
}

/// Whether other ranges would fail as well.
fn concerns_all(error: &Error) -> bool {
    matches!(error.kind(), FailureKind::Cancelled | FailureKind::Deadline)
}

async fn part_of(side: &LogSide, jobs: &[Job]) -> Result<Vec<Window>> {
    let ranges: Vec<Range> = jobs.iter().map(|job| job.range.clone()).collect();
    let mut attempt = 1;
    loop {
        let mut sink = Sink::new(side, jobs);
        match side.cx.bound(side.logs.read(&side.cx, &ranges, &mut sink)).await {
            Ok(read) => return sink.finish(&read),
            Err(error) if error.is_transient() && attempt < side.retry.attempts_max => {
                tracing::info!(store = side.name, %error, attempt, "reading failed, trying again");
                attempt += 1;
                let pause = async {
                    tokio::time::sleep(side.retry.pause).await;
                    Ok(())
                };
                side.cx.bound(pause).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Names records as they come.
struct Sink<'a> {
    side: &'a LogSide,
    jobs: &'a [Job],
    items: Vec<Vec<Item>>,
    enough: Vec<bool>,
    images: Images,
    names: Names,
}

impl<'a> Sink<'a> {
    fn new(side: &'a LogSide, jobs: &'a [Job]) -> Self {
        let items = jobs.iter().map(|_| Vec::new()).collect();
        let enough = vec![false; jobs.len()];
        Self { side, jobs, items, enough, images: Images::default(), names: Names::default() }
    }

    fn finish(self, read: &[RangeRead]) -> Result<Vec<Window>> {
        if read.len() != self.jobs.len() {
            let what = format!("{} ranges were asked for and {} read", self.jobs.len(), read.len());
            return Err(Error::new(FailureKind::Permanent, "log.short", what));
        }
        let mut windows = Vec::with_capacity(self.jobs.len());
        for ((job, items), (enough, read)) in self.jobs.iter().zip(self.items).zip(self.enough.iter().zip(read)) {
            let Range { partition, from, to, isolation } = &job.range;
            let to = match (enough, items.last()) {
                (true, Some(last)) => last.offset().saturating_add(1),
                (false, _) if read.next < *to => {
                    let what = format!("{partition}: read up to {} instead of {to}", read.next);
                    return Err(Error::new(FailureKind::Permanent, "log.short", what));
                }
                _ => *to,
            };
            windows.push(Window { from: *from, to, isolation: *isolation, items });
        }
        Ok(windows)
    }
}

impl RecordSink for Sink<'_> {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        let (Some(job), Some(items), Some(enough)) =
            (self.jobs.get(range), self.items.get_mut(range), self.enough.get_mut(range))
        else {
            let what = "records of a range came that was not asked for";
            return Err(Error::new(FailureKind::Permanent, "log.order", what));
        };
        if *enough {
            return Ok(Want::Enough);
        }
        self.images.clear();
        let (first, mut bytes) = (items.len(), 0_u64);
        for at in 0..records.len() {
            let unreadable = || Error::new(FailureKind::Permanent, "data.unreadable", "a record cannot be read");
            let record = records.get(at).ok_or_else(unreadable)?;
            let last = items.last().map(Item::offset);
            if record.offset < job.range.from || record.offset >= job.range.to || last >= Some(record.offset) {
                let what = format!("{}: offset {} came out of order", job.range.partition, record.offset);
                return Err(Error::new(FailureKind::Permanent, "log.order", what));
            }
            let content =
                Content { time: record.timestamp, key: record.key, value: record.value, headers: &record.headers };
            bytes = bytes.saturating_add(content.bytes());
            job.namer.push(&content, &mut self.images);
            let found = Found { offset: record.offset, timestamp: record.timestamp, appended: record.appended };
            items.push(Item { found, hash: Default::default() });
            if items.len() as u64 >= job.records_max {
                *enough = true;
                break;
            }
        }
        job.namer.name(&self.images, &mut self.names);
        for (item, id) in items.iter_mut().skip(first).zip(self.names.ids()) {
            item.hash = id;
        }
        self.side.budget.charge((items.len() - first) as u64, bytes)?;
        Ok(if *enough { Want::Enough } else { Want::More })
    }
}

/// A pair of partitions, and how their records are named.
#[derive(Debug, Clone)]
pub struct NamedPair {
    /// On the source.
    pub source: Partition,
    /// On the replica.
    pub replica: Partition,
    /// What tells the source's log from every other that was ever made.
    pub source_id: Option<String>,
    /// How records are named: the same on both sides.
    pub namer: Arc<Namer>,
    /// Whether the replica keeps the times of records, so that they can be looked for by time.
    pub times_kept: bool,
}
