//! Aligning two sequences of names: which items of one are which items of the other, in order.
//!
//! What both have at their ends is taken off; if one is then a part of the other, that is the answer; otherwise names
//! that each has once are anchors, and what is between them is aligned by itself. Only what repeats itself and differs
//! as well is left to a bounded search for a longest common subsequence, and beyond its bounds to the order of
//! occurrences, which finds as many equal items though not always in the best order.

mod common;
mod overlap;
mod search;

use super::Id;
use common::{increasing, unique_pairs};
use search::{by_occurrence, shortest_edit};
use std::ops::Range;

/// Items of both sequences that are looked at, for each item that there is, before parts are aligned by occurrence.
const WORK_FACTOR: usize = 40;
/// The same for short sequences.
const WORK_MIN: usize = 1 << 20;

/// Items that both sequences have, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first in the source's sequence.
    pub source: usize,
    /// The first in the replica's sequence.
    pub replica: usize,
    /// How many.
    pub len: usize,
}

/// How two sequences may lie to one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lie {
    /// The source's sequence begins in the middle: what was before is gone.
    pub source_cut: bool,
    /// The replica's sequence begins in the middle.
    pub replica_cut: bool,
    /// What follows both sequences is the same.
    pub meets_behind: bool,
}

impl Lie {
    /// Between two items that both have.
    pub const BETWEEN: Self = Self { source_cut: false, replica_cut: false, meets_behind: true };

    /// Whether the sequences need not meet at their starts.
    pub(crate) fn begins_open(self) -> bool {
        self.source_cut || self.replica_cut
    }
}

/// A pair of ranges that is still to be aligned.
#[derive(Debug, Clone)]
struct Task {
    source: Range<usize>,
    replica: Range<usize>,
    /// Whether the ranges need not meet at their starts.
    open: bool,
}

/// Two sequences laid beside each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alignment {
    /// Runs of equal items, in order and as long as they can be.
    pub runs: Vec<Run>,
    /// Something is left over that a faithful copy would not have, and yet the replica may be one: the sequences begin
    /// in the middle, and records repeat in such a way that those that are alike need not be the same.
    pub ambiguous: bool,
    /// The replica is a faithful copy, as far as both sides still have it.
    pub faithful: bool,
}

/// Lays two sequences beside each other. Where items repeat, the later ones are left over, unless the sequences begin
/// in the middle: then those at the beginning are, which may face what is gone.
pub fn align(source: &[Id], replica: &[Id], lie: Lie) -> Alignment {
    let runs = Aligner::new(source, replica).run(lie.begins_open());
    let mut aligned = Alignment { runs, ..Alignment::default() };
    if lie.begins_open() && !lie.meets_behind {
        let matched: usize = aligned.runs.iter().map(|run| run.len).sum();
        match overlap::faithful(source, replica, lie) {
            // What a faithful copy would look like wins, where it explains about as much.
            Some(run) if run.len >= matched.div_ceil(2) => {
                aligned.runs = vec![run];
                aligned.faithful = true;
            }
            found => aligned.ambiguous = found.is_some(),
        }
    }
    aligned.runs = settle(source, replica, aligned.runs, lie.begins_open());
    aligned
}

struct Aligner<'a> {
    source: &'a [Id],
    replica: &'a [Id],
    runs: Vec<Run>,
    tasks: Vec<Task>,
    work: usize,
}

impl<'a> Aligner<'a> {
    fn new(source: &'a [Id], replica: &'a [Id]) -> Self {
        let items = source.len().saturating_add(replica.len());
        let work = items.saturating_mul(WORK_FACTOR).max(WORK_MIN);
        Self { source, replica, runs: Vec::new(), tasks: Vec::new(), work }
    }

    fn run(mut self, open: bool) -> Vec<Run> {
        self.tasks.push(Task { source: 0..self.source.len(), replica: 0..self.replica.len(), open });
        while let Some(task) = self.tasks.pop() {
            self.part(task);
        }
        self.runs.sort_unstable_by_key(|run| run.source);
        self.runs
    }

    fn items(&self, task: &Task) -> (&'a [Id], &'a [Id]) {
        let source = self.source.get(task.source.clone()).unwrap_or_default();
        (source, self.replica.get(task.replica.clone()).unwrap_or_default())
    }

    fn found(&mut self, source: usize, replica: usize, len: usize) {
        if len > 0 {
            self.runs.push(Run { source, replica, len });
        }
    }

    fn part(&mut self, mut task: Task) {
        if task.open {
            self.trim_end(&mut task);
            self.trim_start(&mut task);
        } else {
            self.trim_start(&mut task);
            self.trim_end(&mut task);
        }
        let (source, replica) = self.items(&task);
        if source.is_empty() || replica.is_empty() {
            return;
        }
        let at = |pair: (usize, usize)| (task.source.start + pair.0, task.replica.start + pair.1);
        if let Some(pairs) = common::contained(source, replica, task.open) {
            return pairs.into_iter().map(at).for_each(|(s, r)| self.found(s, r, 1));
        }
        self.work = self.work.saturating_sub(source.len() + replica.len());
        let anchors = if self.work > 0 { increasing(&unique_pairs(source, replica)) } else { Vec::new() };
        if anchors.is_empty() {
            let pairs =
                shortest_edit(source, replica, &mut self.work).unwrap_or_else(|| by_occurrence(source, replica));
            return pairs.into_iter().map(at).for_each(|(s, r)| self.found(s, r, 1));
        }
        let (mut source, mut replica, mut open) = (task.source.start, task.replica.start, task.open);
        for (s, r) in anchors.into_iter().map(at) {
            self.tasks.push(Task { source: source..s, replica: replica..r, open });
            self.found(s, r, 1);
            (source, replica, open) = (s + 1, r + 1, false);
        }
        self.tasks.push(Task { source: source..task.source.end, replica: replica..task.replica.end, open });
    }

    fn trim_start(&mut self, task: &mut Task) {
        let (source, replica) = self.items(task);
        let len = source.iter().zip(replica).take_while(|(s, r)| s == r).count();
        self.found(task.source.start, task.replica.start, len);
        task.source.start += len;
        task.replica.start += len;
    }

    fn trim_end(&mut self, task: &mut Task) {
        let (source, replica) = self.items(task);
        let len = source.iter().rev().zip(replica.iter().rev()).take_while(|(s, r)| s == r).count();
        task.source.end -= len;
        task.replica.end -= len;
        self.found(task.source.end, task.replica.end, len);
    }
}

/// Joins runs that touch, and moves what is left over behind the items that it is equal to, as far as that goes.
fn settle(source: &[Id], replica: &[Id], runs: Vec<Run>, open: bool) -> Vec<Run> {
    let mut settled: Vec<Run> = Vec::with_capacity(runs.len());
    if !open {
        settled.push(Run { source: 0, replica: 0, len: 0 });
    }
    for mut run in runs {
        if let Some(last) = settled.last_mut() {
            let (s, r) = (last.source + last.len, last.replica + last.len);
            let items = match (run.source > s, run.replica > r) {
                (true, false) => Some((source, s, run.source)),
                (false, true) => Some((replica, r, run.replica)),
                _ => None,
            };
            if let Some((items, left, next)) = items {
                let ahead = items.get(left..).unwrap_or_default().iter();
                let behind = items.get(next..).unwrap_or_default().iter().take(run.len);
                let len = ahead.zip(behind).take_while(|(a, b)| a == b).count();
                last.len += len;
                run = Run { source: run.source + len, replica: run.replica + len, len: run.len - len };
            }
            let touches = last.source + last.len == run.source && last.replica + last.len == run.replica;
            if touches {
                last.len += run.len;
                continue;
            }
        }
        if run.len > 0 {
            settled.push(run);
        }
    }
    settled.retain(|run| run.len > 0);
    settled
}

#[cfg(test)]
mod tests;
