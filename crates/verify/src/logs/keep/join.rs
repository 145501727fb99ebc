//! Chains that begin where their logs do now, and go on with what was kept.

use super::super::extend::again;
use super::super::pair::Log;
use super::super::reading::{Detail, Hashed, Job, Take, read};
use super::super::request::Request;
use super::{KeptChain, Part};
use paritas_connect::Result;
use paritas_connect::logs::{Isolation, Range};
use paritas_logs::content::splice::{meeting, standing};
use paritas_logs::content::{Builder, Chain, Namer, Segment, Step};
use std::sync::Arc;

/// Kept segments that are read beside a beginning that was cut, at first; doubled each time.
const STEP: usize = 2;
/// Times that more of them are read.
const STEPS_MAX: usize = 24;

/// Begins the chain of every partition of which something stands with that. Where the log begins inside of a segment
/// now, it is read until its cuts meet those that were kept.
pub(super) async fn join(request: &Request<'_>, parts: &mut [Part]) {
    let mut cut: Vec<Cut<'_>> = Vec::new();
    for part in parts.iter_mut().filter(|part| part.log.problem.is_none()) {
        let Some(mut kept) = part.kept.take() else { continue };
        let (first, is_cut) = standing(&kept.chain.segments, part.log.start);
        kept.chain.segments.drain(..first);
        kept.read_at.drain(..first);
        kept.chain.from = part.log.start;
        kept.chain.next = kept.chain.next.max(part.log.start);
        kept.chain.trail.retain(|step| step.offset >= part.log.start);
        let start = part.log.start;
        let tail_cut = kept.chain.tail.as_ref().is_some_and(|tail| tail.first < start);
        match (is_cut, tail_cut) {
            (false, false) => part.go_on(kept),
            // Nothing but a part of the tail is left.
            (false, true) => part.refuse("the beginning of the only segment that is left is gone"),
            (true, _) => {
                let mut builder = Builder::new(kept.chain.terms.clone(), start, part.log.trail);
                builder.read_to(start);
                cut.push(Cut { part, kept, builder, goal: STEP });
            }
        }
    }
    for _ in 0..STEPS_MAX {
        if cut.is_empty() {
            return;
        }
        for group in cut.chunks_mut(request.partitions_at_once.max(1)) {
            if let Err(error) = advance(request, group).await {
                // What is the matter will be seen when the log is read from its beginning.
                for one in group {
                    one.part.refuse(format!("its beginning could not be read beside what was kept: {error}"));
                }
            }
        }
        cut = cut.into_iter().filter_map(Cut::settle).collect();
    }
    for one in cut {
        one.give_up();
    }
}

/// A partition that lost the beginning of a segment.
struct Cut<'a> {
    part: &'a mut Part,
    /// What was kept, from the segment on that is cut.
    kept: KeptChain,
    /// What is read from the beginning on.
    builder: Builder,
    /// The number of the kept segment behind the last one that is read.
    goal: usize,
}

impl Cut<'_> {
    /// Where the next step ends.
    fn end(&self) -> u64 {
        let last = self.goal.checked_sub(1).and_then(|last| self.kept.chain.segments.get(last));
        last.map_or(self.kept.chain.next, |last| last.last.saturating_add(1))
    }

    /// Goes on with what was kept, if that was met. Hands back what has to be read further.
    fn settle(mut self) -> Option<Self> {
        if self.part.why.is_some() {
            return None;
        }
        let segments = &self.kept.chain.segments;
        if let Some((read, kept)) = meeting(self.builder.finished(), segments) {
            let begun: Vec<Segment> = self.builder.finished().iter().take(read + 1).copied().collect();
            let fresh = begun.len();
            let Self { part, kept: mut whole, .. } = self;
            drop(whole.chain.segments.splice(..=kept, begun));
            // Those in front were read now; they are not taken over.
            let behind = whole.read_at.split_off((kept + 1).min(whole.read_at.len()));
            whole.read_at = std::iter::repeat_n(i64::MIN, fresh).chain(behind).collect();
            part.go_on(whole);
            return None;
        }
        if self.goal >= segments.len() {
            self.give_up();
            return None;
        }
        self.goal = self.goal.saturating_mul(2);
        Some(self)
    }

    /// Everything is read from here on.
    fn give_up(self) {
        let Self { part, builder, .. } = self;
        part.refuse("its beginning is gone, and the segments behind are no longer cut as they were");
        part.log.builder = Some(builder);
    }
}

impl Part {
    /// Begins with what was kept. Segments whose time is the earliest one there is were read now.
    fn go_on(&mut self, kept: KeptChain) {
        let whole = kept.chain.next == self.log.stable;
        let taken = kept.chain.all().zip(&kept.read_at).filter(|(_, read_at)| **read_at != i64::MIN);
        let tail = kept.chain.tail.as_ref().map(|tail| tail.first).filter(|_| !whole);
        self.over = taken
            .filter(|(segment, _)| Some(segment.first) != tail)
            .map(|(segment, read_at)| (segment.first, (*segment, *read_at, false)))
            .collect();
        if whole {
            self.finished = Some(kept.chain.clone());
        } else {
            self.log.builder = Some(Builder::resume(kept.chain.clone(), self.log.trail));
        }
        self.kept = Some(kept);
    }
}

/// Chains that are read into.
pub(super) struct Chains {
    pub(super) builders: Vec<Builder>,
    pub(super) namers: Vec<Arc<Namer>>,
}

impl Take for Chains {
    fn take(&mut self, range: usize, record: &Hashed) {
        if let (Some(builder), Some(namer)) = (self.builders.get_mut(range), self.namers.get(range)) {
            let step = Step { offset: record.offset, id: record.id, time: record.time };
            builder.push(namer, step, record.bytes);
        }
    }
}

/// A range of a log, as committed readers see it.
pub(super) fn job(log: &Log, from: u64, to: u64) -> Job {
    let range = Range { partition: log.partition().clone(), from, to, isolation: Isolation::Committed };
    Job { range, namer: Arc::clone(&log.namer), limit: u64::MAX }
}

async fn advance(request: &Request<'_>, group: &mut [Cut<'_>]) -> Result<()> {
    let jobs: Vec<Job> = group.iter().map(|one| job(&one.part.log, one.builder.next(), one.end())).collect();
    let placeholder = |one: &Cut<'_>| Builder::resume(Chain::new(one.kept.chain.terms.clone(), 0), 0);
    let builders = group.iter_mut().map(|one| {
        let empty = placeholder(one);
        std::mem::replace(&mut one.builder, empty)
    });
    let chains = Chains {
        builders: builders.collect(),
        namers: group.iter().map(|one| Arc::clone(&one.part.log.namer)).collect(),
    };
    let done = read(request.source, &jobs, Detail::Record, chains, &mut || {}).await?;
    for ((one, mut builder), (came, last)) in
        group.iter_mut().zip(done.taken.builders).zip(done.records.into_iter().zip(done.last))
    {
        builder.read_to(one.end());
        one.builder = builder;
        one.part.log.came += came;
        one.part.log.anchor = last.or(one.part.log.anchor);
    }
    done.result.map_err(|error| again(&error))
}
