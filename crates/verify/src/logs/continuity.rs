//! Whether numbers that records carry are whole: the driver of [`paritas_logs::sequence`]. Reads partitions
//! from their start to their end, several at a time, and keeps no records.

use super::mirrors::ends;
use super::side::LogSide;
use crate::rows::{Failure, Origin};
use paritas_connect::logs::{Isolation, Partition, Range, RangeRead, RecordSink, Records, Want};
use paritas_connect::{Error, FailureKind, Result};
use paritas_logs::sequence::{Continuity, Counting, Sequences};
use paritas_model::Known;

/// Everything that counting needs.
#[derive(Debug, Clone)]
pub struct ContinuityAsk<'a> {
    /// The side that is read.
    pub side: &'a LogSide,
    /// Which one it is, for messages.
    pub origin: Origin,
    /// The partitions.
    pub partitions: &'a [Partition],
    /// What is counted.
    pub counting: &'a Counting,
    /// Which records are read.
    pub isolation: Isolation,
    /// Partitions that are read by one call, at most (at least 1).
    pub partitions_at_once: usize,
}

/// What counting came to.
#[derive(Debug)]
pub struct Counted {
    /// What follows from the records that were read.
    pub continuity: Continuity,
    /// What was read: the first offset and the end, in the order of the partitions; `None` where a partition
    /// could not be read, with the reason in `problems`.
    pub read: Vec<Option<(u64, u64)>>,
    /// Why partitions were not read to their ends. With any of them, nothing more than what was found is
    /// proven.
    pub problems: Vec<String>,
}

/// Readings that made no headway before they failed, at most.
const FAILURES_MAX: u32 = 5;

/// Reads the partitions and counts.
///
/// # Errors
/// Where the side cannot be asked at all.
pub async fn continuity(ask: &ContinuityAsk<'_>) -> Result<Counted, Failure> {
    let ends = ends(ask.side, ask.partitions, ask.origin).await?;
    let mut sink = Sink {
        side: ask.side,
        sequences: Sequences::new(ask.counting.clone(), ask.partitions.to_vec()),
        parts: Vec::with_capacity(ends.len()),
        chosen: Vec::new(),
    };
    let mut problems = Vec::new();
    for (partition, ends) in ask.partitions.iter().zip(&ends) {
        sink.parts.push(match ends {
            Known::Known(ends) => {
                let to = match ask.isolation {
                    Isolation::Committed => ends.stable,
                    Isolation::Uncommitted => ends.end,
                };
                Some(Part { from: ends.start, next: ends.start, to: to.max(ends.start), taken: false })
            }
            Known::Unknown { why } => {
                problems.push(format!("{partition}: {why}"));
                None
            }
        });
    }
    let all: Vec<usize> = (0..sink.parts.len()).filter(|at| matches!(sink.parts.get(*at), Some(Some(_)))).collect();
    for chosen in all.chunks(ask.partitions_at_once.max(1)) {
        if let Err(error) = read_whole(ask, &mut sink, chosen).await {
            let lost = matches!(error.kind(), FailureKind::Cancelled | FailureKind::Deadline);
            problems.push(error.to_string());
            if lost {
                break;
            }
        }
    }
    let whole = |part: &Option<Part>| part.as_ref().map(|part| (part.from, part.next));
    Ok(Counted { read: sink.parts.iter().map(whole).collect(), continuity: sink.sequences.finish(), problems })
}

/// Reads some partitions to their ends; after a failure that may go away it goes on where it was.
async fn read_whole(ask: &ContinuityAsk<'_>, sink: &mut Sink<'_>, chosen: &[usize]) -> Result<()> {
    let (mut failures, mut pause) = (0, ask.side.retry.pause);
    loop {
        let ranges = sink.choose(ask, chosen);
        if ranges.is_empty() {
            return Ok(());
        }
        let before = sink.progress();
        let result = ask.side.cx.bound(ask.side.logs.read(&ask.side.cx, &ranges, sink)).await;
        if sink.progress() > before {
            (failures, pause) = (0, ask.side.retry.pause);
        }
        match result {
            Ok(read) => return sink.finish(ask, &read),
            Err(error) if error.code() == "log.truncated" && failures < FAILURES_MAX => {
                failures += 1;
                begin_later(ask, sink, chosen, error).await?;
            }
            Err(error) if error.is_transient() && failures < FAILURES_MAX => {
                failures += 1;
                let wait = async {
                    tokio::time::sleep(pause).await;
                    Ok(())
                };
                ask.side.cx.bound(wait).await?;
                pause = pause.saturating_mul(2);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Partitions of which nothing was read yet begin where they begin now. What was removed under a reading is an
/// error.
async fn begin_later(ask: &ContinuityAsk<'_>, sink: &mut Sink<'_>, chosen: &[usize], error: Error) -> Result<()> {
    let named: Vec<Partition> = chosen.iter().filter_map(|at| ask.partitions.get(*at)).cloned().collect();
    let ends = ends(ask.side, &named, ask.origin).await.map_err(|(_, error)| error)?;
    let mut moved = false;
    for (at, ends) in chosen.iter().zip(ends) {
        let (Some(Some(part)), Known::Known(ends)) = (sink.parts.get_mut(*at), ends) else { continue };
        if part.next >= ends.start || part.next >= part.to {
            continue;
        }
        if part.taken {
            return Err(error);
        }
        (part.from, part.next, part.to) = (ends.start, ends.start, part.to.max(ends.start));
        moved = true;
    }
    if moved { Ok(()) } else { Err(error) }
}

/// How far one partition was read.
#[derive(Debug)]
struct Part {
    from: u64,
    next: u64,
    to: u64,
    taken: bool,
}

/// Hands records to the counters.
struct Sink<'a> {
    side: &'a LogSide,
    sequences: Sequences,
    parts: Vec<Option<Part>>,
    /// Which partitions the ranges of the call are.
    chosen: Vec<usize>,
}

impl Sink<'_> {
    fn choose(&mut self, ask: &ContinuityAsk<'_>, among: &[usize]) -> Vec<Range> {
        self.chosen.clear();
        let mut ranges = Vec::new();
        for at in among {
            let (Some(Some(part)), Some(partition)) = (self.parts.get(*at), ask.partitions.get(*at)) else { continue };
            if part.next < part.to {
                self.chosen.push(*at);
                let (partition, isolation) = (partition.clone(), ask.isolation);
                ranges.push(Range { partition, from: part.next, to: part.to, isolation });
            }
        }
        ranges
    }

    fn progress(&self) -> u64 {
        self.parts.iter().flatten().map(|part| part.next - part.from).sum()
    }

    fn finish(&mut self, ask: &ContinuityAsk<'_>, read: &[RangeRead]) -> Result<()> {
        let short = |what: String| Error::new(FailureKind::Permanent, "log.short", what);
        if read.len() != self.chosen.len() {
            return Err(short(format!("{} ranges were asked for and {} read", self.chosen.len(), read.len())));
        }
        for (at, read) in self.chosen.iter().zip(read) {
            let (Some(Some(part)), Some(partition)) = (self.parts.get_mut(*at), ask.partitions.get(*at)) else {
                continue;
            };
            if read.next < part.to {
                return Err(short(format!("{partition}: read up to {} instead of {}", read.next, part.to)));
            }
            part.next = part.to;
        }
        Ok(())
    }
}

impl RecordSink for Sink<'_> {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        let failed = |what: &str| Error::new(FailureKind::Permanent, "log.order", what.to_owned());
        let at = *self.chosen.get(range).ok_or_else(|| failed("records of a range came that was not asked for"))?;
        let Some(Some(part)) = self.parts.get_mut(at) else {
            return Err(failed("records of a range came that was not asked for"));
        };
        let mut bytes = 0_u64;
        for index in 0..records.len() {
            let record = records.get(index).ok_or_else(|| failed("a record cannot be read"))?;
            if record.offset < part.next || record.offset >= part.to {
                return Err(failed("an offset came out of order"));
            }
            let size = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| bytes.len() as u64);
            bytes = bytes.saturating_add(size(record.key)).saturating_add(size(record.value));
            self.sequences.take(at, &record);
            (part.next, part.taken) = (record.offset + 1, true);
        }
        self.side.budget.charge(records.len() as u64, bytes)?;
        Ok(Want::More)
    }
}
