//! Reading ranges of logs into something, with hashing on a thread of its own.
//!
//! Whoever hands out records waits for the network and for its own parsing; names are computed beside it, a block of
//! records at a time, in the lanes of the processor.

use super::side::LogSide;
use paritas_connect::logs::{Anchor, Range, RangeRead, RecordSink, Records, Want, last_of};
use paritas_connect::{Error, FailureKind, Result};
use paritas_logs::content::{Content, Id, Images, Namer, Names, Parts};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Bytes of images that are hashed in one go.
const BLOCK_BYTES: usize = 1 << 20;
/// Records that are hashed in one go, at most.
const BLOCK_RECORDS: usize = 8_192;
/// Blocks that wait for the hashing thread, at most.
const BLOCKS_WAITING_MAX: usize = 4;
/// Readings of a set of ranges that made some headway before they failed, at most.
const READINGS_MAX: u32 = 1_000;

/// A record with its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hashed {
    pub(super) offset: u64,
    pub(super) time: Option<i64>,
    /// Bytes of key, value and headers.
    pub(super) bytes: u64,
    pub(super) keyed: bool,
    pub(super) valued: bool,
    pub(super) id: Id,
    /// Names of its parts, where they were asked for.
    pub(super) parts: Parts,
}

/// Takes named records of ranges, each range in order.
pub(super) trait Take: Send + 'static {
    fn take(&mut self, range: usize, record: &Hashed);
}

/// Which names of a record are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Its own.
    Record,
    /// Its own and that of its key.
    Keyed,
    /// Its own and those of all parts.
    Parts,
}

/// A range to read and how its records are named.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) range: Range,
    pub(super) namer: Arc<Namer>,
    /// Records that are enough.
    pub(super) limit: u64,
}

/// What reading amounted to: whatever was taken before a failure is in `taken`.
#[derive(Debug)]
pub(super) struct Done<T> {
    pub(super) taken: T,
    pub(super) result: Result<()>,
    /// The last record that came of each range, where the store says under which leadership it was appended.
    pub(super) last: Vec<Option<Anchor>>,
    /// Records that came of each range.
    pub(super) records: Vec<u64>,
}

/// Reads ranges. After a transient failure it goes on where it was. `between` is called from time to time.
pub(super) async fn read<T: Take>(
    side: &LogSide,
    jobs: &[Job],
    detail: Detail,
    taken: T,
    between: &mut (dyn FnMut() + Send),
) -> std::result::Result<Done<T>, Error> {
    let (sender, blocks) = sync_channel(BLOCKS_WAITING_MAX);
    let (back, recycled) = sync_channel(BLOCKS_WAITING_MAX + 2);
    let hashing = tokio::task::spawn_blocking(move || hash(&blocks, &back, detail, taken));
    let progress = |job: &Job| RangeRead { next: job.range.from, ..RangeRead::default() };
    let mut feeder = Feeder {
        side,
        jobs,
        detail,
        read: jobs.iter().map(progress).collect(),
        enough: vec![false; jobs.len()],
        last: vec![None; jobs.len()],
        chosen: Vec::new(),
        block: None,
        sender,
        recycled,
        between,
    };
    let mut result = read_all(side, &mut feeder).await;
    result = result.and_then(|()| feeder.flush());
    let Feeder { sender, between, last, read, .. } = feeder;
    let records = read.iter().map(|read| read.records).collect();
    drop(sender);
    let taken = hashing.await.map_err(|error| {
        Error::new(FailureKind::Permanent, "internal.task", "the naming of records ended early").because(error)
    })?;
    between();
    Ok(Done { taken, result, last, records })
}

async fn read_all(side: &LogSide, feeder: &mut Feeder<'_>) -> Result<()> {
    let (mut attempt, mut pause) = (1, side.retry.pause);
    for _ in 0..READINGS_MAX {
        let ranges = feeder.choose();
        if ranges.is_empty() {
            return Ok(());
        }
        let before: u64 = feeder.read.iter().map(|read| read.records).sum();
        let result = side.cx.bound(side.logs.read(&side.cx, &ranges, feeder)).await;
        let headway = feeder.read.iter().map(|read| read.records).sum::<u64>() > before;
        match result {
            Ok(read) => feeder.finish(&read)?,
            Err(error) if error.is_transient() && (headway || attempt < side.retry.attempts_max) => {
                tracing::info!(store = side.name, %error, attempt, "reading failed, going on");
                (attempt, pause) = if headway { (1, side.retry.pause) } else { (attempt + 1, pause.saturating_mul(2)) };
                side.pause(pause).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(FailureKind::Transient, "store.unreachable", format!("{} fails again and again", side.name))
        .hint("look at the brokers and the network between them and here"))
}

/// Records on their way to the hashing thread, all named alike.
struct Block {
    namer: Arc<Namer>,
    images: Images,
    records: Vec<Hashed>,
    /// How many records of which range, in order.
    runs: Vec<(usize, usize)>,
}

/// Copies records into blocks.
struct Feeder<'a> {
    side: &'a LogSide,
    jobs: &'a [Job],
    detail: Detail,
    read: Vec<RangeRead>,
    enough: Vec<bool>,
    /// The last record of each range.
    last: Vec<Option<Anchor>>,
    /// Which of the jobs are being read.
    chosen: Vec<usize>,
    block: Option<Block>,
    sender: SyncSender<Block>,
    recycled: Receiver<Block>,
    between: &'a mut (dyn FnMut() + Send),
}

impl Feeder<'_> {
    /// What is left to be read.
    fn choose(&mut self) -> Vec<Range> {
        let open = self.jobs.iter().zip(&self.read).zip(&self.enough).enumerate();
        let open = open.filter(|(_, ((job, read), enough))| !**enough && read.next < job.range.to);
        let open: Vec<(usize, Range)> =
            open.map(|(index, ((job, read), _))| (index, Range { from: read.next, ..job.range.clone() })).collect();
        self.chosen = open.iter().map(|(index, _)| *index).collect();
        open.into_iter().map(|(_, range)| range).collect()
    }

    /// Holds what the store says it handed out against what came.
    fn finish(&mut self, done: &[RangeRead]) -> Result<()> {
        for (index, done) in self.chosen.iter().zip(done) {
            let (Some(job), Some(read)) = (self.jobs.get(*index), self.read.get_mut(*index)) else { continue };
            let enough = self.enough.get(*index) == Some(&true);
            if !enough && done.next < job.range.to {
                let what = format!("{}: read up to {} instead of {}", job.range.partition, done.next, job.range.to);
                return Err(Error::new(FailureKind::Permanent, "log.short", what));
            }
            if !enough {
                read.next = job.range.to;
            }
        }
        if done.len() != self.chosen.len() {
            let what = format!("{} ranges were asked for and {} read", self.chosen.len(), done.len());
            return Err(Error::new(FailureKind::Permanent, "log.short", what));
        }
        Ok(())
    }

    /// The block that takes records named by `namer`.
    fn block(&mut self, namer: &Arc<Namer>) -> Result<&mut Block> {
        let full = |block: &Block| block.images.bytes() >= BLOCK_BYTES || block.records.len() >= BLOCK_RECORDS;
        if self.block.as_ref().is_some_and(|block| full(block) || !Arc::ptr_eq(&block.namer, namer)) {
            self.flush()?;
            (self.between)();
        }
        let recycled = &self.recycled;
        Ok(self.block.get_or_insert_with(|| {
            let mut block = match recycled.try_recv() {
                Ok(block) => block,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                    Block { namer: Arc::clone(namer), images: Images::default(), records: Vec::new(), runs: Vec::new() }
                }
            };
            block.namer = Arc::clone(namer);
            block
        }))
    }

    fn flush(&mut self) -> Result<()> {
        let Some(block) = self.block.take() else { return Ok(()) };
        self.sender
            .send(block)
            .map_err(|_| Error::new(FailureKind::Permanent, "internal.task", "the naming of records ended early"))
    }

    fn push(&mut self, index: usize, job: &Job, records: &dyn Records, at: usize) -> Result<()> {
        let unreadable = || Error::new(FailureKind::Permanent, "data.unreadable", "a record cannot be read");
        let record = records.get(at).ok_or_else(unreadable)?;
        let read = self.read.get_mut(index).ok_or_else(unreadable)?;
        if record.offset < read.next || record.offset >= job.range.to {
            let what = format!("{}: offset {} came behind {}", job.range.partition, record.offset, read.next);
            return Err(Error::new(FailureKind::Permanent, "log.order", what));
        }
        let content =
            Content { time: record.timestamp, key: record.key, value: record.value, headers: &record.headers };
        let bytes = content.bytes();
        read.next = record.offset.saturating_add(1);
        read.records += 1;
        read.bytes = read.bytes.saturating_add(bytes);
        let detail = self.detail;
        let block = self.block(&job.namer)?;
        match detail {
            Detail::Record => job.namer.push(&content, &mut block.images),
            Detail::Keyed => job.namer.push_keyed(&content, &mut block.images),
            Detail::Parts => job.namer.push_parts(&content, &mut block.images),
        }
        block.records.push(Hashed {
            offset: record.offset,
            time: record.timestamp,
            bytes,
            keyed: record.key.is_some(),
            valued: record.value.is_some(),
            id: Id::default(),
            parts: Parts::default(),
        });
        match block.runs.last_mut() {
            Some((range, count)) if *range == index => *count += 1,
            _ => block.runs.push((index, 1)),
        }
        self.side.budget.charge(1, bytes)
    }
}

impl RecordSink for Feeder<'_> {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        let jobs = self.jobs;
        let job = self.chosen.get(range).and_then(|index| Some((*index, jobs.get(*index)?)));
        let Some((index, job)) = job else {
            return Err(Error::new(
                FailureKind::Permanent,
                "log.order",
                "records of a range came that was not asked for",
            ));
        };
        if self.enough.get(index) == Some(&true) {
            return Ok(Want::Enough);
        }
        if let Some(last) = self.last.get_mut(index) {
            *last = last_of(records);
        }
        for at in 0..records.len() {
            self.push(index, job, records, at)?;
            if self.read.get(index).is_some_and(|read| read.records >= job.limit) {
                if let Some(enough) = self.enough.get_mut(index) {
                    *enough = true;
                }
                return Ok(Want::Enough);
            }
        }
        Ok(Want::More)
    }
}

/// Names the records of blocks until there are no more.
fn hash<T: Take>(blocks: &Receiver<Block>, back: &SyncSender<Block>, detail: Detail, mut taken: T) -> T {
    let mut names = Names::default();
    while let Ok(mut block) = blocks.recv() {
        block.namer.name(&block.images, &mut names);
        let ranges = block.runs.iter().flat_map(|(range, count)| std::iter::repeat_n(*range, *count));
        for (index, ((record, id), range)) in block.records.iter_mut().zip(names.ids()).zip(ranges).enumerate() {
            record.id = id;
            record.parts = match detail {
                Detail::Record => Parts::default(),
                Detail::Keyed => Parts { key: names.key(index).unwrap_or_default(), ..Parts::default() },
                Detail::Parts => names.parts(index).unwrap_or_default(),
            };
            taken.take(range, record);
        }
        block.images.clear();
        block.records.clear();
        block.runs.clear();
        // Nobody waits for it: where the way back is full the block is dropped.
        let _ = back.try_send(block);
    }
    taken
}
