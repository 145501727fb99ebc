//! Whether the sequence numbers that records carry are without gaps, repetitions and changes of order.
//!
//! A counter counts in one partition, or for one source of records (a venue, an instrument) in one or in all
//! partitions. Records are taken as they are read; memory is limited, and what was forgotten is counted and
//! never called whole. What lies before the first number of a window is not missing.

mod number;
mod parse;
mod report;
mod seen;

pub use number::{FieldAt, Part, Written};
pub use report::{Continuity, CounterReport, NumberRun, Unreadable, missing_only_in};

use paritas_connect::logs::{Partition, Record};
use seen::{Arrival, Seen};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// In what a counter counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// In each partition by itself, in the order of its offsets.
    #[default]
    Partition,
    /// In all partitions together: numbers have no order there, and there are no changes of it.
    Log,
}

/// What is counted, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counting {
    /// Where records carry the number.
    pub number: FieldAt,
    /// Where they carry the name of whoever counts; `None` where one counter counts everything.
    pub counter: Option<FieldAt>,
    /// In what it counts.
    pub scope: Scope,
    /// The number with which a counter begins anew, every day for instance; only in partitions.
    pub restarts_at: Option<u64>,
    /// Whether a number may come more than once.
    pub duplicates_allowed: bool,
    /// Whether numbers may come in another order.
    pub reorder_allowed: bool,
    /// Ranges that are kept and reported of each counter and kind.
    pub ranges_max: usize,
    /// Counters that are kept.
    pub counters_max: usize,
}

impl Counting {
    /// One counter a partition, with the usual limits.
    pub fn of(number: FieldAt) -> Self {
        Self {
            number,
            counter: None,
            scope: Scope::Partition,
            restarts_at: None,
            duplicates_allowed: false,
            reorder_allowed: false,
            ranges_max: 1_000,
            counters_max: 10_000,
        }
    }
}

/// Runs of numbers that were found, as many as are kept.
#[derive(Debug, Clone, Default)]
struct Runs {
    runs: Vec<NumberRun>,
    numbers: u64,
    cut: bool,
}

impl Runs {
    fn add(&mut self, number: u64, at: u64, max: usize) {
        self.numbers += 1;
        if let Some(last) = self.runs.last_mut()
            && last.to.checked_add(1) == Some(number)
        {
            (last.to, last.last_offset) = (number, at);
        } else if self.runs.len() < max {
            self.runs.push(NumberRun { from: number, to: number, first_offset: at, last_offset: at });
        } else {
            self.cut = true;
        }
    }
}

/// One counter.
#[derive(Debug, Clone, Default)]
struct Counter {
    seen: Seen,
    /// Of sessions that have ended.
    gaps: Vec<NumberRun>,
    missing: u64,
    forgotten: u64,
    first: Option<u64>,
    records: u64,
    again: Runs,
    late: Runs,
    early: u64,
    unclear: u64,
    restarts: u64,
    cut: bool,
    /// In all partitions together: the first and the last number in each.
    parts: HashMap<usize, (u64, u64)>,
}

impl Counter {
    fn take(&mut self, range: usize, number: u64, at: u64, counting: &Counting) {
        self.records += 1;
        let ordered = counting.scope == Scope::Partition;
        if ordered && counting.restarts_at == Some(number) && self.seen.ends().is_some_and(|(_, last)| number <= last) {
            self.restarts += 1;
            self.close(counting.ranges_max);
        }
        self.first = self.first.or(Some(number));
        if !ordered {
            let part = self.parts.entry(range).or_insert((number, number));
            *part = (part.0.min(number), part.1.max(number));
        }
        match self.seen.take(number, at, ordered, counting.ranges_max) {
            Arrival::Again => self.again.add(number, at, counting.ranges_max),
            Arrival::Late if ordered => self.late.add(number, at, counting.ranges_max),
            Arrival::Early if ordered => self.early += 1,
            Arrival::Forgotten => self.unclear += 1,
            Arrival::Next | Arrival::Jump | Arrival::Late | Arrival::Early => {}
        }
    }

    /// Ends a session: what is missing in it will not come any more.
    fn close(&mut self, max: usize) {
        let seen = std::mem::take(&mut self.seen);
        self.forgotten = self.forgotten.saturating_add(seen.forgotten());
        for (from, to, at) in seen.gaps() {
            self.missing = self.missing.saturating_add(to - from).saturating_add(1);
            if self.gaps.len() < max {
                self.gaps.push(NumberRun { from, to, first_offset: at, last_offset: at });
            } else {
                self.cut = true;
            }
        }
    }
}

/// Takes records and says whether their numbers are whole.
#[derive(Debug)]
pub struct Sequences {
    counting: Counting,
    partitions: Vec<Partition>,
    counters: HashMap<(Option<usize>, Option<String>), Counter>,
    records: u64,
    unreadable: u64,
    examples: Vec<Unreadable>,
    left_out: u64,
}

impl Sequences {
    /// Records without a number of which the place is kept.
    pub const EXAMPLES_MAX: usize = 10;

    /// For windows of these partitions, which are known by their place in the list from here on.
    pub fn new(counting: Counting, partitions: Vec<Partition>) -> Self {
        let counters = HashMap::new();
        Self { counting, partitions, counters, records: 0, unreadable: 0, examples: Vec::new(), left_out: 0 }
    }

    /// Takes a record of a window. Those of one window come in the order of their offsets.
    pub fn take(&mut self, range: usize, record: &Record<'_>) {
        self.records += 1;
        let name = self.counting.counter.as_ref().map(|field| field.name(record)).transpose();
        let (number, name) = match self.counting.number.number(record).and_then(|number| Ok((number, name?))) {
            Ok(read) => read,
            Err(why) => {
                self.unreadable += 1;
                if self.examples.len() < Self::EXAMPLES_MAX
                    && let Some(partition) = self.partitions.get(range)
                {
                    let partition = partition.clone();
                    self.examples.push(Unreadable { partition, offset: record.offset, why: why.to_owned() });
                }
                return;
            }
        };
        let part = (self.counting.scope == Scope::Partition).then_some(range);
        let key = (part, name);
        if self.counters.len() >= self.counting.counters_max && !self.counters.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        self.counters.entry(key).or_default().take(range, number, record.offset, &self.counting);
    }

    /// What follows from all records.
    pub fn finish(self) -> Continuity {
        report::continuity(self)
    }
}
