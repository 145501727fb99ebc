//! Where partitions begin and end, and which of what was read before is still true.

use super::extend::again;
use super::pair::{Log, Pair};
use super::reading::{Detail, Hashed, Job, Take, read};
use super::request::Request;
use super::side::LogSide;
use paritas_connect::Result;
use paritas_connect::logs::{Ends, Isolation, Partition, Range};
use paritas_logs::content::{Builder, Chain, Namer, Of, Step};
use std::sync::Arc;

/// Asks for the ends of all partitions and begins their chains.
///
/// The replica is asked before the source: whatever a faithful replica has then was on the source before. What the
/// source had even earlier is the fence: up to there the replica is expected to get while the run lasts.
pub(super) async fn begin(request: &Request<'_>, pairs: &mut [Pair<'_>]) {
    let names = |of: Of| pairs.iter().map(|pair| pair.log(of).partition().clone()).collect::<Vec<Partition>>();
    let (sources, replicas) = (names(Of::Source), names(Of::Replica));
    let fences = request.source.ends(&sources).await;
    take(pairs, fences, |pair, ends| match ends {
        Ok(ends) => pair.fence = ends.stable,
        Err(error) => pair.source.problem = Some(error),
    });
    let ends = request.replica.ends(&replicas).await;
    take(pairs, ends, |pair, ends| pair.replica.found(ends));
    let ends = request.source.ends(&sources).await;
    take(pairs, ends, |pair, ends| pair.source.found(ends));
    for pair in pairs.iter_mut() {
        if pair.is_sound() {
            pair.fence = pair.fence.min(pair.source.stable);
        }
    }
    if request.ledger.is_some() {
        for (of, side) in [(Of::Source, request.source), (Of::Replica, request.replica)] {
            let logs: Vec<&mut Log> =
                pairs.iter_mut().filter(|pair| pair.problem.is_none()).map(|pair| pair.log_mut(of)).collect();
            resume(request, side, logs).await;
        }
    }
    for pair in pairs.iter_mut().filter(|pair| pair.problem.is_none()) {
        for of in [Of::Source, Of::Replica] {
            let log = pair.log_mut(of);
            if log.builder.is_none() {
                log.begin();
            }
        }
    }
}

/// Gives every pair its answer; where there is none at all, every pair its error.
fn take<T>(pairs: &mut [Pair<'_>], answers: Result<Vec<Result<T>>>, mut give: impl FnMut(&mut Pair<'_>, Result<T>)) {
    match answers {
        Ok(answers) => pairs.iter_mut().zip(answers).for_each(|(pair, answer)| give(pair, answer)),
        Err(error) => pairs.iter_mut().for_each(|pair| give(pair, Err(again(&error)))),
    }
}

impl Log {
    pub(super) fn found(&mut self, ends: Result<Ends>) {
        match ends {
            Ok(ends) => {
                self.start = ends.start;
                self.saw(&ends);
            }
            Err(error) => self.problem = Some(error),
        }
    }
}

/// Goes on with the chains of an earlier run, as far as they are still true: the log is the same one, still as long,
/// and the last segment that was kept is still there. A log that lost its end and got another one since then would
/// show there.
async fn resume(request: &Request<'_>, side: &LogSide, mut logs: Vec<&mut Log>) {
    let Some(ledger) = request.ledger else { return };
    for group in logs.chunks_mut(request.partitions_at_once.max(1)) {
        let mut found: Vec<(&mut Log, Chain)> = Vec::new();
        for log in group.iter_mut() {
            let kept = ledger.finished(&log.what).filter(|chain| chain.terms == log.what.terms);
            let kept = kept.filter(|chain| chain.next <= log.stable && chain.from <= log.stable);
            let chain = kept.map(|chain| (chain.from, chain.without_before(log.start)));
            if let Some((from, chain)) = chain.filter(|(_, chain)| !chain.segments.is_empty()) {
                if chain.from != from {
                    ledger.keep(&log.what, chain.from, 0, &chain.segments);
                }
                found.push((log, chain));
            }
        }
        let still = still_there(side, &found).await;
        for ((log, chain), still) in found.into_iter().zip(still) {
            if still {
                log.kept = chain.segments.len();
                log.builder = Some(Builder::resume(chain, 0));
            }
        }
    }
}

/// Reads one segment of each log.
struct Again {
    builders: Vec<Builder>,
    namers: Vec<Arc<Namer>>,
}

impl Take for Again {
    fn take(&mut self, range: usize, record: &Hashed) {
        if let (Some(builder), Some(namer)) = (self.builders.get_mut(range), self.namers.get(range)) {
            let step = Step { offset: record.offset, id: record.id, time: record.time };
            builder.push(namer, step, record.bytes);
        }
    }
}

/// Which chains end with a segment that the log still has. Where that cannot be said the chain is not gone on with;
/// what is the matter will be seen when the log is read.
pub(super) async fn still_there(side: &LogSide, chains: &[(&mut Log, Chain)]) -> Vec<bool> {
    let last = |chain: &Chain| chain.segments.last().copied();
    let mut jobs = Vec::new();
    let mut again = Again { builders: Vec::new(), namers: Vec::new() };
    for (log, chain) in chains {
        let Some(segment) = last(chain) else { return vec![false; chains.len()] };
        let range = Range {
            partition: log.partition().clone(),
            from: segment.first,
            to: segment.last.saturating_add(1),
            isolation: Isolation::Committed,
        };
        jobs.push(Job { range, namer: Arc::clone(&log.namer), limit: u64::MAX });
        again.builders.push(Builder::new(chain.terms.clone(), segment.first, 0));
        again.namers.push(Arc::clone(&log.namer));
    }
    let Ok(done) = read(side, &jobs, Detail::Record, again, &mut || {}).await else { return vec![false; chains.len()] };
    if done.result.is_err() {
        return vec![false; chains.len()];
    }
    let same = |(builder, (log, chain)): (Builder, &(&mut Log, Chain))| {
        let read = builder.finish(&log.namer);
        read.len() == 1 && read.get(0).zip(last(chain)).is_some_and(|(read, kept)| read.is_like(&kept))
    };
    done.taken.builders.into_iter().zip(chains).map(same).collect()
}
