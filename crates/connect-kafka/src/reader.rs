//! Reading ranges of one isolation with one client, in a thread that may block.
//!
//! A partition is read from one offset at a time, so ranges of one partition follow each other. A range is
//! complete when a record at its end or beyond was seen, when its last record was, or when the partition
//! ended there: markers, aborted records and what was compacted away are never seen, and only move that end.

use crate::batch::Batch;
use crate::bindings::{Fault, Feed, Message, Topic};
use crate::client::{Line, Open};
use crate::errors::On;
use crate::{codes, ends};
use paritas_connect::logs::{Ends, Isolation, Partition, Range};
use paritas_connect::{Context, Error, FailureKind, Result};
use paritas_model::Known;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;

/// Records in one batch, at most.
const BATCH_RECORDS_MAX: usize = 2_000;
/// Bytes that one batch should not exceed; one record may.
const BATCH_BYTES: u64 = 2 << 20;
/// Without any sign of progress for this long, the partition is given up.
const QUIET_MAX: Duration = Duration::from_secs(30);

/// So long before the end of time it is said what keeps records from coming, where that is known.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Without records the thread looks this often whether more are wanted.
const LOOK: Duration = Duration::from_millis(20);

/// What the thread hands over.
#[derive(Debug)]
pub(crate) enum Fed {
    /// Records of a range, in order.
    Batch(usize, Batch),
    /// Everything of a range was handed over.
    Done(usize),
}

/// What is to be read.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) isolation: Isolation,
    /// Ranges with their numbers.
    pub(crate) ranges: Vec<(usize, Range)>,
    /// By the number of a range: nobody wants more of it.
    pub(crate) enough: Arc<[AtomicBool]>,
}

/// A partition and its ranges.
#[derive(Debug)]
struct Lane {
    topic: usize,
    partition: Partition,
    waiting: VecDeque<(usize, Range)>,
    reading: Option<Reading>,
}

/// A range that is being read.
#[derive(Debug)]
struct Reading {
    range: usize,
    /// Everything before this was handed over.
    next: u64,
    to: u64,
}

/// Records of one lane that are not handed over yet.
#[derive(Debug, Default)]
struct Run {
    lane: usize,
    messages: Vec<Message>,
    bytes: u64,
}

/// One client at work.
struct Reader<'a> {
    line: &'a Line,
    cx: &'a Context,
    open: &'a Open,
    feed: Feed,
    topics: Vec<Topic>,
    lanes: Vec<Lane>,
    /// Lanes by the library's address of a topic, and by partition.
    by_place: HashMap<(usize, i32), Option<usize>>,
    sender: &'a Sender<Fed>,
    enough: Arc<[AtomicBool]>,
    isolation: Isolation,
    /// Records so far and their bytes, to guess the size of a batch.
    size: (u64, u64),
    quiet_since: Instant,
    /// Where partitions stood when it was last looked.
    stood: Vec<i64>,
}

/// Reads all ranges of a task to their ends, or until nobody listens any more. Blocks.
///
/// # Errors
/// `log.short`, `log.truncated`, `data.damaged`, and what keeps the cluster from being read.
pub(crate) fn read(line: &Line, cx: &Context, open: &Open, task: Task, sender: &Sender<Fed>) -> Result<()> {
    let failed = |fault: Fault| line.failure(cx, "read", &fault, "Read", On::Cluster, &open.heard);
    let feed = Feed::new(&open.client).map_err(failed)?;
    let (mut topics, mut names, mut lanes) = (Vec::new(), HashMap::new(), HashMap::new());
    for (number, range) in task.ranges {
        let name = &range.partition.log;
        let topic = match names.get(name) {
            Some(topic) => *topic,
            None => {
                topics.push(Topic::new(&open.client, name).map_err(failed)?);
                names.insert(name.clone(), topics.len() - 1);
                topics.len() - 1
            }
        };
        let lane = lanes.entry(range.partition.clone()).or_insert_with(|| Lane {
            topic,
            partition: range.partition.clone(),
            waiting: VecDeque::new(),
            reading: None,
        });
        lane.waiting.push_back((number, range));
    }
    let mut lanes: Vec<Lane> = lanes.into_values().collect();
    for lane in &mut lanes {
        lane.waiting.make_contiguous().sort_by_key(|(_, range)| range.from);
    }
    let reader = Reader {
        line,
        cx,
        open,
        feed,
        topics,
        lanes,
        by_place: HashMap::new(),
        sender,
        enough: task.enough,
        isolation: task.isolation,
        size: (0, 0),
        quiet_since: Instant::now(),
        stood: Vec::new(),
    };
    reader.run()
}

impl Reader<'_> {
    fn run(mut self) -> Result<()> {
        let result = self.work();
        for lane in self.lanes.iter().filter(|lane| lane.reading.is_some()) {
            self.stop(lane);
        }
        result
    }

    fn work(&mut self) -> Result<()> {
        let mut taken = Vec::new();
        while self.advance()? {
            self.cx.check()?;
            if self.sender.is_closed() {
                return Ok(());
            }
            // One first: the library waits until it has all that it is asked for, or until time is over.
            self.feed.take(&mut taken, 1, LOOK);
            if taken.is_empty() {
                self.wait_on()?;
                continue;
            }
            let more = self.batch_size() - 1;
            self.feed.take(&mut taken, more, Duration::ZERO);
            self.quiet_since = Instant::now();
            self.sort(&mut taken)?;
        }
        Ok(())
    }

    /// How many records make a batch, by the size of those before.
    fn batch_size(&self) -> usize {
        let (records, bytes) = self.size;
        let mean = (bytes / records.max(1)).max(1);
        usize::try_from(BATCH_BYTES / mean).unwrap_or(usize::MAX).clamp(1, BATCH_RECORDS_MAX)
    }

    /// Ends what nobody wants more of and begins what waits; false when there is nothing left to read.
    fn advance(&mut self) -> Result<bool> {
        let mut work = false;
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get(index) else { break };
            let unwanted = |reading: &Reading| self.is_enough(reading.range);
            if lane.reading.as_ref().is_some_and(unwanted) {
                self.finish(index);
            }
            let Some(lane) = self.lanes.get_mut(index) else { break };
            while lane.reading.is_none() {
                let Some((number, range)) = lane.waiting.pop_front() else { break };
                if self.enough.get(number).is_some_and(|enough| enough.load(Ordering::Relaxed)) {
                    continue;
                }
                let from = i64::try_from(range.from).unwrap_or(i64::MAX);
                let Some(topic) = self.topics.get(lane.topic) else { break };
                self.feed.start(topic, lane.partition.index, from).map_err(|fault| {
                    let doing = format!("read {}", range.partition);
                    self.line.failure(
                        self.cx,
                        &doing,
                        &fault,
                        "Read",
                        On::Topic(&range.partition.log),
                        &self.open.heard,
                    )
                })?;
                lane.reading = Some(Reading { range: number, next: range.from, to: range.to });
            }
            work |= lane.reading.is_some();
        }
        Ok(work)
    }

    fn is_enough(&self, range: usize) -> bool {
        self.enough.get(range).is_some_and(|enough| enough.load(Ordering::Relaxed))
    }

    fn stop(&self, lane: &Lane) {
        if let Some(topic) = self.topics.get(lane.topic) {
            Feed::stop(topic, lane.partition.index);
        }
    }

    /// Ends the range of a lane. What the partition has fed beyond it is dropped.
    fn finish(&mut self, index: usize) {
        let Some(lane) = self.lanes.get(index) else { return };
        self.stop(lane);
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.reading = None;
        }
    }

    /// The lane of a message.
    fn lane_of(&mut self, message: &Message) -> Option<usize> {
        let place = (message.topic(), message.partition());
        if let Some(lane) = self.by_place.get(&place) {
            return *lane;
        }
        let name = message.topic_name();
        let is = |lane: &Lane| {
            lane.partition.index == place.1 && name.as_ref().is_some_and(|name| *name == lane.partition.log)
        };
        let lane = self.lanes.iter().position(is);
        self.by_place.insert(place, lane);
        lane
    }

    /// Gives messages to their ranges.
    fn sort(&mut self, taken: &mut Vec<Message>) -> Result<()> {
        let mut run = Run::default();
        let mut last: Option<((usize, i32), usize)> = None;
        for message in taken.drain(..) {
            let place = (message.topic(), message.partition());
            let lane = match last {
                Some((of, lane)) if of == place => lane,
                _ => {
                    let Some(lane) = self.lane_of(&message) else { continue };
                    last = Some((place, lane));
                    lane
                }
            };
            if lane != run.lane {
                self.hand_over(&mut run)?;
                run.lane = lane;
            }
            if let Some(fault) = message.fault() {
                self.hand_over(&mut run)?;
                self.said(lane, &fault, message.offset())?;
                continue;
            }
            let Some(Lane { reading: Some(reading), .. }) = self.lanes.get_mut(lane) else { continue };
            let offset = u64::try_from(message.offset()).unwrap_or(0);
            if offset < reading.next {
                return Err(backwards(&self.lanes, lane, offset));
            }
            if offset < reading.to {
                reading.next = offset + 1;
                run.bytes += (message.key().map_or(0, <[u8]>::len) + message.value().map_or(0, <[u8]>::len)) as u64;
                run.messages.push(message);
            }
            if offset + 1 >= reading.to {
                self.hand_over(&mut run)?;
                self.complete(lane)?;
            }
        }
        self.hand_over(&mut run)
    }

    /// Sends what was collected.
    fn hand_over(&mut self, run: &mut Run) -> Result<()> {
        let (messages, bytes) = (std::mem::take(&mut run.messages), std::mem::take(&mut run.bytes));
        if messages.is_empty() {
            return Ok(());
        }
        self.size = (self.size.0 + messages.len() as u64, self.size.1 + bytes);
        let Some(range) = self.lanes.get(run.lane).and_then(|lane| lane.reading.as_ref()).map(|reading| reading.range)
        else {
            return Ok(());
        };
        self.send(Fed::Batch(range, Batch::new(messages, bytes, &self.open.client)))
    }

    /// Waits until there is room. That nobody listens any more is found out by whoever looks next.
    fn send(&mut self, fed: Fed) -> Result<()> {
        let _ = self.sender.blocking_send(fed);
        self.quiet_since = Instant::now();
        self.cx.check()
    }

    fn complete(&mut self, lane: usize) -> Result<()> {
        let range = self.lanes.get(lane).and_then(|lane| lane.reading.as_ref()).map(|reading| reading.range);
        self.finish(lane);
        range.map_or(Ok(()), |range| self.send(Fed::Done(range)))
    }

    /// Something was said about a partition instead of a record.
    fn said(&mut self, index: usize, fault: &Fault, offset: i64) -> Result<()> {
        let Some(lane) = self.lanes.get(index) else { return Ok(()) };
        let Some(reading) = &lane.reading else { return Ok(()) };
        let (to, next) = (reading.to, reading.next);
        match fault.code {
            codes::PARTITION_EOF if u64::try_from(offset).is_ok_and(|offset| offset >= to) => self.complete(index),
            // A replica that is behind, or a leader that is new, may see an end that is too early.
            codes::PARTITION_EOF => self.is_long_enough(&lane.partition, to),
            codes::AUTO_OFFSET_RESET => Err(self.lost(&lane.partition, next, to, fault)),
            _ => {
                let (doing, topic) = (format!("read {}", lane.partition), &lane.partition.log);
                Err(self.line.failure(self.cx, &doing, fault, "Read", On::Topic(topic), &self.open.heard))
            }
        }
    }

    /// Asks where a partition ends, for the records that are read.
    fn ends(&self, partition: &Partition) -> Result<Known<Ends>> {
        let found = ends::ends(self.line, self.cx, std::slice::from_ref(partition))?;
        Ok(found.into_iter().next().unwrap_or_else(|| Known::unknown("the brokers did not say")))
    }

    fn is_long_enough(&self, partition: &Partition, to: u64) -> Result<()> {
        let Known::Known(ends) = self.ends(partition)? else { return Ok(()) };
        let end = match self.isolation {
            Isolation::Committed => ends.stable,
            Isolation::Uncommitted => ends.end,
        };
        if end < to { Err(short(partition, to, end)) } else { Ok(()) }
    }

    /// Why the offset that is next is not there.
    fn lost(&self, partition: &Partition, next: u64, to: u64, fault: &Fault) -> Error {
        match self.ends(partition) {
            Err(error) => error,
            Ok(Known::Known(ends)) if ends.start > next => {
                let message = format!("{partition} begins at offset {}, behind offset {next}", ends.start);
                truncated(message).hint("its records were deleted: raise retention, or read from the start")
            }
            Ok(Known::Known(ends)) if ends.end < next => short(partition, to, ends.end),
            Ok(_) => truncated(format!("{partition} has other records at offset {next} than before"))
                .detail(fault.said.clone())
                .hint("a leader without all records was elected (unclean.leader.election.enable): read again"),
        }
    }

    /// Nothing came. Looks now and then whether something moves all the same: whole transactions can be skipped.
    fn wait_on(&mut self) -> Result<()> {
        let quiet = self.quiet_since.elapsed();
        // Why nothing comes is worth more than that time ran out.
        if quiet > LAST_WORDS && self.cx.remaining().is_some_and(|left| left < LAST_WORDS) {
            return match self.open.heard.failures().is_empty() {
                true => Ok(()),
                false => Err(self.line.unreached(self.cx, "read records", &self.open.heard, None)),
            };
        }
        if quiet < QUIET_MAX {
            return Ok(());
        }
        let stand = |lane: &Lane| match (&lane.reading, self.topics.get(lane.topic)) {
            (Some(_), Some(topic)) => topic.position(lane.partition.index).unwrap_or(-1),
            _ => -1,
        };
        let stood: Vec<i64> = self.lanes.iter().map(stand).collect();
        if stood != std::mem::replace(&mut self.stood, stood.clone()) {
            self.quiet_since = Instant::now();
            return Ok(());
        }
        let waiting = self.lanes.iter().find_map(|lane| lane.reading.as_ref().map(|reading| (lane, reading.to)));
        let Some((lane, to)) = waiting else { return Ok(()) };
        self.is_long_enough(&lane.partition, to)?;
        let doing = format!("read {}", lane.partition);
        Err(self.line.unreached(self.cx, &doing, &self.open.heard, None))
    }
}

fn short(partition: &Partition, to: u64, end: u64) -> Error {
    let message = format!("{partition} ends at offset {end}, before offset {to}");
    Error::new(FailureKind::Permanent, "log.short", message)
        .hint("the log lost its newest records, or the range was taken from another one")
}

fn truncated(message: String) -> Error {
    Error::new(FailureKind::Permanent, "log.truncated", message)
}

fn backwards(lanes: &[Lane], lane: usize, offset: u64) -> Error {
    let partition = lanes.get(lane).map(|lane| lane.partition.to_string()).unwrap_or_default();
    let message = format!("{partition} gave the record at offset {offset} a second time");
    Error::new(FailureKind::Transient, "data.changed", message)
        .hint("the log was cut and written anew while it was read")
}
