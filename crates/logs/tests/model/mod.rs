//! A partition whose whole history is known, for tests of what can be said about it from outside.

use paritas_connect::logs::{Ends, Isolation};
use paritas_logs::ages::{Ahead, Found};
use paritas_logs::content::Id;
use paritas_logs::items::{Item, Window};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Plain,
    /// A record of the transaction with that number.
    Part(usize),
    Marker,
}

/// One offset.
#[derive(Debug, Clone)]
struct Slot {
    at: u64,
    what: What,
    stamp: i64,
    payload: u8,
}

/// A transaction: its first record, its marker, whether it was committed.
#[derive(Debug, Clone)]
struct Transaction {
    first: usize,
    marker: usize,
    committed: bool,
}

/// A partition, in milliseconds from the origin.
#[derive(Debug, Clone)]
pub struct Log {
    slots: Vec<Slot>,
    transactions: Vec<Transaction>,
}

/// What somebody writes: when, how many records, how long the transaction takes (none: outside of any),
/// whether it is committed, how long before the record was made, a payload.
type Write = (u64, usize, Option<u64>, bool, u64, u8);

impl Log {
    fn of(writes: &[Write], alike: bool) -> Self {
        let mut all: Vec<(u64, What, u64, u8)> = Vec::new();
        for (number, (at, records, takes, _, made, payload)) in writes.iter().enumerate() {
            let what = if takes.is_some() { What::Part(number) } else { What::Plain };
            all.extend((0..*records).map(|_| (*at, what, *made, *payload)));
            if let Some(takes) = takes {
                all.push((at + takes, What::Marker, number as u64, 0));
            }
        }
        all.sort_by_key(|(at, ..)| *at);
        let mut transactions = Vec::new();
        for (number, (_, records, takes, committed, ..)) in writes.iter().enumerate() {
            let (Some(_), true) = (takes, *records > 0) else { continue };
            let first = all.iter().position(|(_, what, ..)| *what == What::Part(number)).unwrap();
            let is_end = |(_, what, of, _): &(u64, What, u64, u8)| *what == What::Marker && *of == number as u64;
            transactions.push(Transaction {
                first,
                marker: all.iter().position(is_end).unwrap(),
                committed: *committed,
            });
        }
        let slot = |(index, (at, what, made, payload)): (usize, &(u64, What, u64, u8))| Slot {
            at: *at,
            what: *what,
            stamp: *at as i64 - *made as i64,
            payload: if alike { *payload } else { index as u8 },
        };
        let slots = all.iter().enumerate().map(slot).collect();
        let numbers: Vec<usize> = (0..writes.len()).filter(|at| writes[*at].2.is_some() && writes[*at].1 > 0).collect();
        let mut log = Self { slots, transactions };
        for slot in &mut log.slots {
            if let What::Part(number) = slot.what {
                slot.what = What::Part(numbers.iter().position(|own| *own == number).unwrap());
            }
        }
        log
    }

    pub fn end(&self, at: u64) -> u64 {
        self.slots.iter().take_while(|slot| slot.at <= at).count() as u64
    }

    pub fn stable(&self, at: u64) -> u64 {
        let time = |index: usize| self.slots[index].at;
        let open = self.transactions.iter().filter(|own| time(own.first) <= at && at < time(own.marker));
        open.map(|own| own.first as u64).min().unwrap_or_else(|| self.end(at))
    }

    pub fn visible(&self, isolation: Isolation, at: u64) -> u64 {
        match isolation {
            Isolation::Committed => self.stable(at),
            Isolation::Uncommitted => self.end(at),
        }
    }

    fn is_record(&self, isolation: Isolation, offset: u64) -> bool {
        match (self.slots[offset as usize].what, isolation) {
            (What::Marker, _) => false,
            (What::Part(number), Isolation::Committed) => self.transactions[number].committed,
            _ => true,
        }
    }

    /// Records that can be read then, from an offset on.
    pub fn records(&self, isolation: Isolation, from: u64, at: u64) -> Vec<u64> {
        (from..self.visible(isolation, at)).filter(|offset| self.is_record(isolation, *offset)).collect()
    }

    /// When readers could have what stands at an offset.
    fn shown(&self, isolation: Isolation, offset: u64) -> u64 {
        let times = self.slots.iter().map(|slot| slot.at);
        times.filter(|at| self.visible(isolation, *at) > offset).min().unwrap()
    }

    /// Age of the oldest record at or behind an offset; zero if there is none.
    pub fn age(&self, isolation: Isolation, from: u64, at: u64) -> Duration {
        let first = self.records(isolation, from, at).first().copied();
        first.map_or(Duration::ZERO, |first| ms(at - self.shown(isolation, first)))
    }

    pub fn found(&self, offset: u64) -> Found {
        Found { offset, timestamp: Some(self.slots[offset as usize].stamp), appended: false }
    }

    pub fn window(&self, isolation: Isolation, from: u64, at: u64) -> Window {
        let item = |offset: u64| {
            let slot = &self.slots[offset as usize];
            let hash = Id(u128::from(slot.stamp as u64) << 8 | u128::from(slot.payload));
            Item { found: self.found(offset), hash }
        };
        let to = self.visible(isolation, at).max(from);
        Window { from, to, isolation, items: self.records(isolation, from, at).into_iter().map(item).collect() }
    }

    /// What somebody sees who reads on from an offset, up to the first record or to the end.
    pub fn ahead(&self, isolation: Isolation, from: u64, at: u64, whole: bool) -> Ahead {
        let records = self.records(isolation, from, at);
        let first = records.first().map(|offset| self.found(*offset));
        match first.filter(|_| !whole) {
            Some(first) => Ahead { isolation, to: first.offset + 1, first: Some(first), records: 1 },
            None => {
                Ahead { isolation, to: self.visible(isolation, at).max(from), first, records: records.len() as u64 }
            }
        }
    }

    pub fn ends(&self, origin: Instant, begin: u64, at: u64, end: u64) -> Ends {
        let (asked, answered) = (origin + ms(begin), origin + ms(end));
        Ends { start: 0, end: self.end(at), stable: self.stable(at), epoch: None, asked, answered }
    }
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

prop_compose! {
    /// Writes of up to ten seconds, some of them in transactions.
    pub fn log()(writes in prop::collection::vec(
        (0_u64..10_000, 0_usize..4, prop::option::weighted(0.3, 0_u64..3_000), any::<bool>(), 0_u64..2_000, 0_u8..3), 0..40,
    ), alike: bool) -> Log {
        Log::of(&writes, alike)
    }
}

/// Moments at which something is asked: the gap before, then until it is read, then until it is answered.
pub fn questions() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
    prop::collection::vec((0_u64..800, 0_u64..60, 0_u64..60), 1..40)
}

pub fn isolation() -> impl Strategy<Value = Isolation> {
    prop_oneof![Just(Isolation::Committed), Just(Isolation::Uncommitted)]
}
