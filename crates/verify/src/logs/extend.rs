//! Reading partitions into their chains, many by one call.

use super::ledger::ChainOf;
use super::pair::Log;
use super::reading::{Detail, Done, Hashed, Job, Take, read};
use super::request::Request;
use super::side::LogSide;
use futures_util::StreamExt as _;
use paritas_connect::logs::{Isolation, Range};
use paritas_connect::{Error, FailureKind, Result};
use paritas_logs::content::{Builder, Namer, Segment, Step};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// How often reading begins anew because a log lost its beginning in the meantime, at most.
const RESTARTS_MAX: u32 = 20;
/// Finished segments of a partition that are kept together.
const KEPT_TOGETHER: usize = 64;

/// Reads all logs of a side up to what is to be read. What fails is noted in the log that it concerns.
pub(super) async fn extend(request: &Request<'_>, side: &LogSide, logs: Vec<&mut Log>) {
    let mut open: Vec<&mut Log> = logs.into_iter().filter(|log| log.is_open()).collect();
    let at_once = request.partitions_at_once.max(1);
    let groups = open.chunks_mut(at_once).map(|group| extend_group(request, side, group));
    futures_util::stream::iter(groups).buffer_unordered(side.cx.parallel()).collect::<Vec<()>>().await;
}

async fn extend_group(request: &Request<'_>, side: &LogSide, group: &mut [&mut Log]) {
    let mut parts = vec![(0, group.len())];
    let mut restarts = 0;
    while let Some((from, to)) = parts.pop() {
        let Some(part) = group.get_mut(from..to) else { continue };
        let Err(error) = read_group(request, side, part).await else { continue };
        let ended = matches!(error.kind(), FailureKind::Deadline | FailureKind::Cancelled);
        if error.code() == "log.truncated" && restarts < RESTARTS_MAX {
            restarts += 1;
            match begin_again(side, part).await {
                Ok(0) => {}
                Ok(_) => {
                    parts.push((from, to));
                    continue;
                }
                Err(error) => {
                    part.iter_mut().for_each(|log| log.problem = Some(again(&error)));
                    continue;
                }
            }
        }
        if error.code() == "data.changed" {
            // It cannot be told which log is another one now, so nothing that was read counts.
            for log in part.iter_mut().filter(|log| log.problem.is_none()) {
                log.begin();
                request.ledger.inspect(|ledger| ledger.keep(&log.what, log.start, 0, &[]));
            }
        }
        if !ended && error.code() != "store.changed" && to - from > 1 {
            // One partition must not keep the others from being read.
            let middle = from + (to - from) / 2;
            parts.extend([(from, middle), (middle, to)]);
            continue;
        }
        let all = error.code() == "store.changed";
        for log in part.iter_mut().filter(|log| log.is_open() || (all && log.problem.is_none())) {
            log.problem = Some(again(&error));
        }
    }
}

/// The same error for another partition.
pub(super) fn again(error: &Error) -> Error {
    let mut copy = Error::new(error.kind(), error.code(), error.message());
    if let Some(detail) = error.detail_text() {
        copy = copy.detail(detail);
    }
    if let Some(hint) = error.hint_text() {
        copy = copy.hint(hint);
    }
    copy
}

/// Begins anew with the logs that have lost what would be read next; says how many those are.
async fn begin_again(side: &LogSide, part: &mut [&mut Log]) -> Result<usize> {
    let partitions: Vec<_> = part.iter().map(|log| log.partition().clone()).collect();
    let mut moved = 0;
    for (log, ends) in part.iter_mut().zip(side.ends(&partitions).await?) {
        match ends {
            Ok(ends) if ends.start > log.next() => {
                // What was read before does not join on to what is there now.
                log.start = ends.start;
                log.stable = log.stable.max(ends.start);
                log.end = log.end.max(log.stable);
                log.begin();
                moved += 1;
            }
            Ok(ends) => log.start = log.start.max(ends.start),
            Err(error) => log.problem = Some(error),
        }
    }
    Ok(moved)
}

/// Chains that are being read into.
struct Chains {
    builders: Vec<Builder>,
    namers: Vec<Arc<Namer>>,
    finished: Option<Sender<(usize, Segment)>>,
}

impl Take for Chains {
    fn take(&mut self, range: usize, record: &Hashed) {
        let (Some(builder), Some(namer)) = (self.builders.get_mut(range), self.namers.get(range)) else { return };
        let before = builder.finished().len();
        let step = Step { offset: record.offset, id: record.id, time: record.time };
        builder.push(namer, step, record.bytes);
        if let (Some(finished), Some(segment)) = (&self.finished, builder.finished().get(before)) {
            // Where nobody listens any more the segment is read again by the next run.
            let _ = finished.send((range, *segment));
        }
    }
}

async fn read_group(request: &Request<'_>, side: &LogSide, part: &mut [&mut Log]) -> Result<()> {
    let mut open: Vec<&mut Log> = part.iter_mut().filter(|log| log.is_open()).map(|log| &mut **log).collect();
    if open.is_empty() {
        return Ok(());
    }
    let job = |log: &&mut Log| Job {
        range: Range {
            partition: log.partition().clone(),
            from: log.next(),
            to: log.stable,
            isolation: Isolation::Committed,
        },
        namer: Arc::clone(&log.namer),
        limit: u64::MAX,
    };
    let jobs: Vec<Job> = open.iter().map(job).collect();
    let (sender, finished) = channel();
    let mut builders = Vec::with_capacity(open.len());
    for log in &mut open {
        if log.builder.is_none() {
            log.begin();
        }
        builders.extend(log.builder.take());
    }
    let chains = Chains {
        builders,
        namers: open.iter().map(|log| Arc::clone(&log.namer)).collect(),
        finished: request.ledger.is_some().then_some(sender),
    };
    let mut keeper = Keeper::new(request, finished, &open, &chains.builders);
    let done = read(side, &jobs, Detail::Record, chains, &mut || keeper.take(KEPT_TOGETHER)).await;
    let Done { taken, result, last, records } = done?;
    keeper.take(1);
    open.iter_mut().zip(records).for_each(|(log, records)| log.came += records);
    let kept = keeper.kept;
    for (((log, mut builder), kept), last) in open.iter_mut().zip(taken.builders).zip(kept).zip(last) {
        if result.is_ok() {
            builder.read_to(log.stable);
        }
        log.anchor = last.or(log.anchor);
        log.builder = Some(builder);
        log.kept = kept;
    }
    result
}

/// Hands finished segments to the ledger.
struct Keeper<'a, 'b> {
    request: &'a Request<'b>,
    finished: Receiver<(usize, Segment)>,
    whats: Vec<ChainOf>,
    from: Vec<u64>,
    kept: Vec<usize>,
    waiting: Vec<Vec<Segment>>,
}

impl<'a, 'b> Keeper<'a, 'b> {
    fn new(
        request: &'a Request<'b>,
        finished: Receiver<(usize, Segment)>,
        logs: &[&mut Log],
        builders: &[Builder],
    ) -> Self {
        Self {
            request,
            finished,
            whats: logs.iter().map(|log| log.what.clone()).collect(),
            from: builders.iter().map(Builder::from).collect(),
            kept: logs.iter().map(|log| log.kept).collect(),
            waiting: vec![Vec::new(); logs.len()],
        }
    }

    /// Takes what is finished and keeps it once there is enough of a chain.
    fn take(&mut self, enough: usize) {
        let Some(ledger) = self.request.ledger else { return };
        while let Ok((range, segment)) = self.finished.try_recv() {
            if let Some(waiting) = self.waiting.get_mut(range) {
                waiting.push(segment);
            }
        }
        let chains = self.whats.iter().zip(&self.from).zip(&mut self.kept).zip(&mut self.waiting);
        for (((what, from), kept), waiting) in chains {
            if waiting.len() >= enough {
                ledger.keep(what, *from, *kept, waiting);
                *kept += waiting.len();
                waiting.clear();
            }
        }
    }
}
