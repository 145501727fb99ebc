//! Reading ranges: threads that read, one for each isolation, and the task that hands records to a sink.

use crate::bindings::TopicSeen;
use crate::client::{Line, apart};
use crate::errors::{On, missing};
use crate::reader::{self, Fed, Task};
use crate::{codes, survey};
use paritas_connect::logs::{Isolation, Range, RangeRead, RecordSink, Records as _, Want};
use paritas_connect::{Context, Error, FailureKind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Batches that wait for the sink.
const WAITING_MAX: usize = 4;

/// Reads ranges into a sink.
pub(crate) async fn read(
    line: &Arc<Line>,
    cx: &Context,
    ranges: &[Range],
    sink: &mut dyn RecordSink,
) -> Result<Vec<RangeRead>> {
    let mut results: Vec<RangeRead> = Vec::with_capacity(ranges.len());
    let mut wanted = Vec::new();
    for (number, range) in ranges.iter().enumerate() {
        if range.from > range.to || i64::try_from(range.to).is_err() {
            let message = format!("{} has no range {}..{}", range.partition, range.from, range.to);
            return Err(Error::new(FailureKind::Permanent, "usage.range", message));
        }
        results.push(RangeRead { records: 0, bytes: 0, next: range.from });
        if range.from < range.to {
            wanted.push((number, range.clone()));
        }
    }
    if wanted.is_empty() {
        return Ok(results);
    }
    same(line, cx, ranges).await?;
    hand_out(line, cx, wanted, sink, &mut results).await?;
    same(line, cx, ranges).await?;
    Ok(results)
}

/// All topics that are read are those that were surveyed. Fails also where a partition is not there or has no leader.
async fn same(line: &Arc<Line>, cx: &Context, ranges: &[Range]) -> Result<()> {
    let names: Vec<String> =
        ranges.iter().map(|range| &range.partition.log).collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let inside = Arc::clone(line);
    let topics = apart(cx, "describe", move |cx| survey::topics(&inside, cx, &names)).await?;
    let other = line.pins.other(&topics).map(str::to_owned);
    if other.is_some() || topics.iter().any(|topic| topic.id.is_none()) {
        let inside = Arc::clone(line);
        // Another cluster has other topics of the same names.
        apart(cx, "look", move |cx| inside.overview(cx).map(|_| ())).await?;
    }
    if let Some(name) = other {
        let message = format!("topic {name} was deleted and made again while it was looked at");
        return Err(Error::new(FailureKind::Permanent, "data.changed", message).hint("run it again"));
    }
    let topics: BTreeMap<String, TopicSeen> = topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
    for range in ranges {
        let partition = &range.partition;
        let topic =
            topics.get(&partition.log).ok_or_else(|| missing(format!("there is no topic {}", partition.log)))?;
        match &topic.fault {
            Some(fault) if fault.code == codes::UNKNOWN_TOPIC => {
                return Err(missing(format!("there is no topic {}", partition.log)));
            }
            Some(fault) => {
                let doing = format!("describe topic {}", partition.log);
                return Err(line.failed(cx, &doing, fault, "Describe", On::Topic(&partition.log)));
            }
            None => {}
        }
        let state = topic.partitions.iter().find(|state| state.index == partition.index);
        let state =
            state.ok_or_else(|| missing(format!("topic {} has no partition {}", partition.log, partition.index)))?;
        if state.leader.is_none() {
            let message = format!("no broker leads {partition}");
            return Err(Error::new(FailureKind::Transient, "store.unreachable", message)
                .hint("the brokers that hold it are down: start one of its replicas"));
        }
    }
    Ok(())
}

async fn hand_out(
    line: &Arc<Line>,
    cx: &Context,
    wanted: Vec<(usize, Range)>,
    sink: &mut dyn RecordSink,
    results: &mut [RangeRead],
) -> Result<()> {
    let enough: Arc<[AtomicBool]> = results.iter().map(|_| AtomicBool::new(false)).collect();
    let ends: BTreeMap<usize, u64> = wanted.iter().map(|(number, range)| (*number, range.to)).collect();
    let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
    let mut threads = Vec::new();
    for isolation in [Isolation::Committed, Isolation::Uncommitted] {
        let of = wanted.iter().filter(|(_, range)| range.isolation == isolation);
        let ranges: Vec<(usize, Range)> = of.cloned().collect();
        if !ranges.is_empty() {
            let task = Task { isolation, ranges, enough: Arc::clone(&enough) };
            threads.push(start(line, cx, task, sender.clone())?);
        }
    }
    drop(sender);
    let mut open = ends.len();
    while open > 0 {
        let Some(fed) = cx.bound(async { Ok(receiver.recv().await) }).await? else { break };
        match fed {
            Fed::Done(range) if !is_set(&enough, range) => {
                set(&enough, range);
                open -= 1;
                if let (Some(result), Some(to)) = (results.get_mut(range), ends.get(&range)) {
                    result.next = *to;
                }
            }
            Fed::Batch(range, batch) if !is_set(&enough, range) => {
                let want = sink.accept(range, &batch)?;
                batch.check()?;
                let (records, bytes) = (batch.len() as u64, batch.bytes());
                if let Some(result) = results.get_mut(range) {
                    result.records += records;
                    result.bytes += bytes;
                    result.next = batch.next().unwrap_or(result.next);
                }
                drop(batch);
                cx.count(records, bytes);
                if want == Want::Enough {
                    set(&enough, range);
                    open -= 1;
                }
                cx.breathe().await?;
            }
            // What comes behind the end of a range.
            Fed::Done(_) | Fed::Batch(..) => {}
        }
    }
    // Threads see that nobody listens any more, where sinks had enough.
    drop(receiver);
    for thread in threads {
        let lost =
            || Error::new(FailureKind::Permanent, "store.unexpected", "a thread that reads ended without a word");
        cx.bound(async { thread.await.unwrap_or_else(|_| Err(lost())) }).await?;
    }
    if open > 0 {
        let message = "reading ended before all ranges did";
        return Err(Error::new(FailureKind::Permanent, "store.unexpected", message));
    }
    Ok(())
}

fn is_set(flags: &[AtomicBool], at: usize) -> bool {
    flags.get(at).is_none_or(|flag| flag.load(Ordering::Relaxed))
}

fn set(flags: &[AtomicBool], at: usize) {
    if let Some(flag) = flags.get(at) {
        flag.store(true, Ordering::Relaxed);
    }
}

/// Starts a thread that reads. Its client is kept for the next ranges when it has read to the end.
fn start(
    line: &Arc<Line>,
    cx: &Context,
    task: Task,
    sender: mpsc::Sender<Fed>,
) -> Result<oneshot::Receiver<Result<()>>> {
    let (done, receiver) = oneshot::channel();
    let (line, cx) = (Arc::clone(line), cx.clone());
    let work = move || {
        let isolation = task.isolation;
        let result = line.reader(isolation).and_then(|open| {
            reader::read(&line, &cx, &open, task, &sender)?;
            line.give_back(isolation, open);
            Ok(())
        });
        // The result is there before whoever listens hears that nothing comes any more.
        let _ = done.send(result);
        drop(sender);
    };
    let failed = |error: std::io::Error| {
        Error::new(FailureKind::Transient, "store.busy", "no thread can be started to read").because(error)
    };
    std::thread::Builder::new().name("kafka-read".to_owned()).spawn(work).map_err(failed)?;
    Ok(receiver)
}
