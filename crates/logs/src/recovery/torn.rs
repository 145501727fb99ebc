//! Transactions that a failover has torn: some of their records are on the replica and some are not.
//!
//! No record says to which transaction of its producer it belongs. So a torn one is seen only where records
//! carry an identity of the transaction themselves, in a field; without one nobody can say that there is
//! none.

use crate::sequence::FieldAt;
use paritas_connect::logs::{Partition, Record};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A torn transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornTransaction {
    /// Its identity.
    pub id: String,
    /// Records of it that the replica has, among those that were read.
    pub present: u64,
    /// Records of it that the replica does not have.
    pub absent: u64,
    /// Partitions of the source with records that the replica has.
    pub present_in: Vec<Partition>,
    /// Partitions of the source with records that the replica does not have.
    pub absent_in: Vec<Partition>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornReport {
    /// Transactions that are on the replica in part, as many as are kept.
    pub torn: Vec<TornTransaction>,
    /// How many there are.
    pub torn_all: u64,
    /// Transactions of which the replica has nothing.
    pub lost: u64,
    /// Records without an identity, and those of transactions beyond the limit: nothing is known of them.
    pub unknown: u64,
}

/// One transaction while records are read.
#[derive(Debug, Clone, Default)]
struct Parts {
    present: u64,
    absent: u64,
    present_in: BTreeSet<usize>,
    absent_in: BTreeSet<usize>,
}

/// Takes records of the source around the place where the replica ends: first all that the replica does not
/// have, then those before.
#[derive(Debug)]
pub struct Transactions {
    field: FieldAt,
    partitions: Vec<Partition>,
    by: HashMap<String, Parts>,
    unknown: u64,
}

impl Transactions {
    /// Transactions that are kept; a replica that lacks more of them has lost more than a tail.
    pub const KEPT_MAX: usize = 100_000;

    /// Identities stand in `field`; partitions are known by their place in the list.
    pub fn new(field: FieldAt, partitions: Vec<Partition>) -> Self {
        Self { field, partitions, by: HashMap::new(), unknown: 0 }
    }

    /// Takes a record that the replica does not have.
    pub fn absent(&mut self, partition: usize, record: &Record<'_>) {
        let Ok(id) = self.field.name(record) else {
            self.unknown += 1;
            return;
        };
        if self.by.len() >= Self::KEPT_MAX && !self.by.contains_key(&id) {
            self.unknown += 1;
            return;
        }
        let parts = self.by.entry(id).or_default();
        parts.absent += 1;
        parts.absent_in.insert(partition);
    }

    /// Takes a record that the replica has, after all those that it does not have.
    pub fn present(&mut self, partition: usize, record: &Record<'_>) {
        let Ok(id) = self.field.name(record) else { return };
        if let Some(parts) = self.by.get_mut(&id) {
            parts.present += 1;
            parts.present_in.insert(partition);
        }
    }

    /// What was found; lists at most `max` transactions, in the order of their identities.
    pub fn finish(self, max: usize) -> TornReport {
        let Self { partitions, by, unknown, .. } = self;
        let named = |indices: &BTreeSet<usize>| indices.iter().filter_map(|at| partitions.get(*at)).cloned().collect();
        let (mut torn_all, mut lost, mut torn) = (0, 0, Vec::new());
        for (id, parts) in by.into_iter().collect::<BTreeMap<_, _>>() {
            if parts.present == 0 {
                lost += 1;
                continue;
            }
            torn_all += 1;
            if torn.len() < max {
                let (present_in, absent_in) = (named(&parts.present_in), named(&parts.absent_in));
                torn.push(TornTransaction { id, present: parts.present, absent: parts.absent, present_in, absent_in });
            }
        }
        TornReport { torn, torn_all, lost, unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::{Part, Written};

    fn record(id: Option<&str>) -> Record<'_> {
        let key = id.map(str::as_bytes);
        Record { offset: 0, timestamp: None, appended: false, key, value: None, headers: Vec::new() }
    }

    #[test]
    fn a_transaction_that_is_there_in_part_is_torn_and_one_that_is_gone_is_lost() {
        let partitions = vec![Partition::new("orders", 0), Partition::new("fills", 0)];
        let mut transactions =
            Transactions::new(FieldAt { part: Part::Key, written: Written::Text }, partitions.clone());
        for (partition, id) in [(1, "t1"), (1, "t1"), (0, "t2"), (1, "t2")] {
            transactions.absent(partition, &record(Some(id)));
        }
        transactions.absent(0, &record(None));
        for (partition, id) in [(0, "t1"), (0, "t0"), (1, "t0")] {
            transactions.present(partition, &record(Some(id)));
        }
        let report = transactions.finish(10);
        assert_eq!((report.torn_all, report.lost, report.unknown), (1, 1, 1));
        let torn = &report.torn[0];
        assert_eq!((torn.id.as_str(), torn.present, torn.absent), ("t1", 1, 2));
        assert_eq!((&torn.present_in, &torn.absent_in), (&partitions[..1].to_vec(), &partitions[1..].to_vec()));
    }
}
