//! Records as far as positions need them: where they stand and a hash of what they are.

use crate::ages::{Ahead, Found};
use crate::content::Id;
use paritas_connect::logs::Isolation;
use std::collections::HashMap;

/// The name of a record by what both sides must agree on in it.
pub type Hash = Id;

/// A record by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Where it stands and when it was made.
    pub found: Found,
    /// What it is.
    pub hash: Hash,
}

impl Item {
    /// Where it stands.
    pub fn offset(&self) -> u64 {
        self.found.offset
    }
}

/// All records of a range of offsets that can be read with an isolation, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The first offset.
    pub from: u64,
    /// The end, not part of it.
    pub to: u64,
    /// Which records were read.
    pub isolation: Isolation,
    /// The records.
    pub items: Vec<Item>,
}

impl Window {
    /// Nothing was read, from there on.
    pub fn empty(from: u64, isolation: Isolation) -> Self {
        Self { from, to: from, isolation, items: Vec::new() }
    }

    /// What lies at an offset and behind it, as far as the window goes; `None` where the window begins
    /// behind the offset or ends before it.
    pub fn ahead(&self, offset: u64) -> Option<Ahead> {
        if offset < self.from || offset > self.to {
            return None;
        }
        let at = self.items.partition_point(|item| item.offset() < offset);
        let rest = self.items.get(at..).unwrap_or_default();
        let first = rest.first().map(|item| item.found);
        Some(Ahead { isolation: self.isolation, to: self.to, first, records: rest.len() as u64 })
    }

    /// Where in `items` each hash stands, in order.
    pub(crate) fn places(&self) -> HashMap<Hash, Vec<usize>> {
        let mut places: HashMap<Hash, Vec<usize>> = HashMap::new();
        for (at, item) in self.items.iter().enumerate() {
            places.entry(item.hash).or_default().push(at);
        }
        places
    }
}
