//! Reading again, in turn, what need not be read, to see that it is what was kept.

use super::super::reading::{Detail, Job, read};
use super::super::request::Request;
use super::join::{Chains, job};
use super::{Part, Turns, proved_wrong};
use paritas_connect::{Error, Result};
use paritas_logs::content::{Builder, Segment};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Some segments of one partition that follow one another.
struct Run {
    part: usize,
    /// From the end of the segment before.
    from: u64,
    segments: Vec<Segment>,
}

impl Run {
    fn end(&self) -> u64 {
        self.segments.last().map_or(self.from, |last| last.last.saturating_add(1))
    }
}

/// Reads the segments that have their turn. Partitions of which one is wrong are read whole; the first is the error.
pub(super) async fn look_again(
    request: &Request<'_>,
    parts: &mut [Part],
    turns: &Turns<'_>,
    now: i64,
) -> Option<Error> {
    let runs = runs(parts, turns);
    let mut wrong = None;
    for group in runs.chunks(request.partitions_at_once.max(1)) {
        // What was refused meanwhile is read whole.
        if !group.iter().any(|run| parts.get(run.part).is_some_and(|part| part.kept.is_some())) {
            continue;
        }
        match one_group(request, parts, group).await {
            Ok(found) => {
                for (run, same) in group.iter().zip(found) {
                    let part = parts.get_mut(run.part).filter(|part| part.kept.is_some());
                    let Some(part) = part else { continue };
                    match same {
                        None => {
                            for segment in &run.segments {
                                part.over.insert(segment.first, (*segment, now, true));
                            }
                        }
                        Some(segment) => {
                            let error = judge(request, part, &segment).await;
                            wrong = wrong.or(error);
                        }
                    }
                }
            }
            // Nothing may be taken over for longer than was promised: what cannot be read again is read as if nothing
            // had been kept, and that says what is the matter.
            Err(error) => {
                for run in group {
                    if let Some(part) = parts.get_mut(run.part) {
                        part.refuse(format!("a segment that had its turn could not be read: {error}"));
                        part.log.begin();
                    }
                }
            }
        }
    }
    wrong
}

/// What has its turn, as runs of neighbours.
fn runs(parts: &[Part], turns: &Turns<'_>) -> Vec<Run> {
    let mut units = Vec::new();
    let mut total = 0;
    for (number, part) in parts.iter().enumerate().filter(|(_, part)| part.log.problem.is_none()) {
        let Some(kept) = &part.kept else { continue };
        total += kept.chain.len();
        for (index, segment) in kept.chain.all().enumerate() {
            if let Some((_, read_at, _)) = part.over.get(&segment.first) {
                units.push(((number, index as u64), *read_at));
            }
        }
    }
    let due: BTreeSet<(usize, u64)> = turns(units, total);
    let mut runs: Vec<Run> = Vec::new();
    for (number, index) in due {
        let Some(kept) = parts.get(number).and_then(|part| part.kept.as_ref()) else { continue };
        let Ok(at) = usize::try_from(index) else { continue };
        let Some(segment) = kept.chain.get(at) else { continue };
        let before = at.checked_sub(1).and_then(|before| kept.chain.get(before));
        let from = before.map_or(kept.chain.from, |before| before.last.saturating_add(1));
        match runs.last_mut().filter(|run| run.part == number && run.end() == from) {
            Some(run) => run.segments.push(*segment),
            None => runs.push(Run { part: number, from, segments: vec![*segment] }),
        }
    }
    runs
}

/// The first segment of each run that is not what was kept.
async fn one_group(request: &Request<'_>, parts: &mut [Part], group: &[Run]) -> Result<Vec<Option<Segment>>> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut chains = Chains { builders: Vec::new(), namers: Vec::new() };
    for run in group {
        let Some(part) = parts.get(run.part) else { continue };
        jobs.push(job(&part.log, run.from, run.end()));
        chains.builders.push(Builder::new(part.log.what.terms.clone(), run.from, 0));
        chains.namers.push(Arc::clone(&part.log.namer));
    }
    let done = read(request.source, &jobs, Detail::Record, chains, &mut || {}).await?;
    for (run, came) in group.iter().zip(&done.records) {
        if let Some(part) = parts.get_mut(run.part) {
            part.log.came += came;
        }
    }
    done.result?;
    let mut found = Vec::with_capacity(group.len());
    for (run, builder) in group.iter().zip(done.taken.builders) {
        let Some(part) = parts.get(run.part) else { continue };
        let read = builder.finish(&part.log.namer);
        let differs = |(index, kept): (usize, &Segment)| (read.get(index) != Some(kept)).then_some(*kept);
        let first = run.segments.iter().enumerate().find_map(differs);
        // More than was kept is as wrong as less.
        let more = run.segments.last().filter(|_| read.len() > run.segments.len()).copied();
        found.push(first.or(more));
    }
    Ok(found)
}

/// A segment is not what was kept of it. Where its partition has another leader since, or begins later, that is why.
async fn judge(request: &Request<'_>, part: &mut Part, segment: &Segment) -> Option<Error> {
    let partition = part.log.partition().clone();
    let now = request.source.ends(std::slice::from_ref(&partition)).await.ok().and_then(|mut ends| ends.pop()?.ok());
    let (epoch, start) = (part.epoch, part.log.start);
    part.refuse("a segment of it is not what was kept");
    part.log.begin();
    match now {
        Some(now) if now.epoch == epoch && now.start <= start.max(segment.first) => {
            Some(proved_wrong(&partition, segment))
        }
        _ => None,
    }
}
