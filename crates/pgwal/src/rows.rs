//! From versions of rows to rows: what a set of transactions did to each row in the end.

use std::collections::{BTreeMap, HashMap};

use crate::heap::Deed;
pub use crate::heap::Place;
use crate::record::Relation;

/// Places that are followed at a time; rows beyond are counted and not named.
const PLACES_MAX: usize = 2_000_000;

/// Changes of rows as the log has them: each version once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows that were inserted.
    pub inserts: u64,
    /// Updates; several of one row count as several.
    pub updates: u64,
    /// Rows that were deleted, those that were inserted just before included.
    pub deletes: u64,
}

impl Changes {
    fn add(&mut self, deed: &Deed) {
        match deed {
            Deed::Insert(_, places) => self.inserts += places.len() as u64,
            Deed::Update(..) => self.updates += 1,
            Deed::Delete(..) => self.deletes += 1,
            _ => {}
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.inserts.saturating_add(self.updates).saturating_add(self.deletes)
    }
}

/// What became of one row in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It was not there before, and is here now.
    Inserted {
        /// Its last version.
        at: Place,
    },
    /// It was there before, and was changed.
    Updated {
        /// The version before, which the other side has at the same place.
        from: Place,
        /// Its last version.
        at: Place,
    },
    /// It was there before, and is gone.
    Deleted {
        /// The version before, which the other side has at the same place.
        from: Place,
    },
}

/// One row, and the transaction that wrote its last version or deleted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowChange {
    /// What became of it.
    pub effect: Effect,
    /// The transaction.
    pub xid: u32,
    /// The transaction or subtransaction: what the row says as `xmin`.
    pub writer: u32,
}

/// What lost transactions did to one relation's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The file.
    pub relation: Relation,
    /// All changes.
    pub changes: Changes,
    /// What became of each row in the end.
    pub rows: Vec<RowChange>,
}

/// What each transaction did to each relation's file.
pub(crate) type ByTransaction = BTreeMap<u32, Vec<(Relation, Changes)>>;

#[derive(Debug, Clone, Copy)]
struct Version {
    /// Where the row was before all this, if it was.
    origin: Option<Place>,
    xid: u32,
    writer: u32,
}

#[derive(Debug, Default)]
struct OneTable {
    changes: Changes,
    versions: HashMap<Place, Version>,
    deleted: Vec<RowChange>,
}

/// Follows rows through the log.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    tables: BTreeMap<Relation, OneTable>,
    transactions: BTreeMap<u32, BTreeMap<Relation, Changes>>,
    places: usize,
    pub(crate) created: Vec<Relation>,
    pub(crate) foreign: Option<u8>,
    pub(crate) overflowed: bool,
}

impl Rows {
    /// Takes a deed of a committed transaction `xid`, done by itself or a subtransaction.
    pub(crate) fn add(&mut self, deed: &Deed, xid: u32, writer: u32) {
        let relation = match deed {
            Deed::Insert(relation, _) | Deed::Update(relation, ..) | Deed::Delete(relation, _) => *relation,
            Deed::Create(relation) => return self.created.push(*relation),
            Deed::Truncate(relation, block) => return self.truncate(*relation, *block),
            Deed::Foreign(manager) => {
                self.foreign = Some(*manager);
                return;
            }
            Deed::Nothing => return,
        };
        self.transactions.entry(xid).or_default().entry(relation).or_default().add(deed);
        let full = self.places >= PLACES_MAX;
        let table = self.tables.entry(relation).or_default();
        table.changes.add(deed);
        if full {
            self.overflowed = true;
            return;
        }
        let before = table.versions.len() + table.deleted.len();
        match deed {
            Deed::Insert(_, places) => {
                table.versions.extend(places.iter().map(|place| (*place, Version { origin: None, xid, writer })));
            }
            Deed::Update(_, old, new) => {
                let origin = table.versions.remove(old).map_or(Some(*old), |version| version.origin);
                table.versions.insert(*new, Version { origin, xid, writer });
            }
            Deed::Delete(_, old) => {
                let origin = table.versions.remove(old).map_or(Some(*old), |version| version.origin);
                let change = |from| RowChange { effect: Effect::Deleted { from }, xid, writer };
                table.deleted.extend(origin.map(change));
            }
            _ => {}
        }
        self.places = (self.places + table.versions.len() + table.deleted.len()).saturating_sub(before);
    }

    /// Only what is empty or was made by the same transaction is ever cut off while its file stays.
    fn truncate(&mut self, relation: Relation, block: u32) {
        if let Some(table) = self.tables.get_mut(&relation) {
            let before = table.versions.len();
            table.versions.retain(|place, _| place.block < block);
            self.places = self.places.saturating_sub(before - table.versions.len());
        }
    }

    /// What is left of each table in the end, and what each transaction did to each.
    pub(crate) fn finish(self) -> (Vec<Table>, ByTransaction) {
        let tables = self.tables.into_iter().map(|(relation, table)| {
            let mut rows = table.deleted;
            rows.extend(table.versions.into_iter().map(|(at, version)| {
                let effect = match version.origin {
                    Some(from) => Effect::Updated { from, at },
                    None => Effect::Inserted { at },
                };
                RowChange { effect, xid: version.xid, writer: version.writer }
            }));
            rows.sort_by_key(|row| row.effect);
            Table { relation, changes: table.changes, rows }
        });
        let transactions = self.transactions.into_iter().map(|(xid, tables)| (xid, tables.into_iter().collect()));
        (tables.collect(), transactions.collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const RELATION: Relation = Relation { tablespace: 1, database: 2, number: 3 };

    fn at(block: u32) -> Place {
        Place { block, item: 1 }
    }

    fn effects(deeds: &[Deed]) -> Vec<Effect> {
        let mut rows = Rows::default();
        for deed in deeds {
            rows.add(deed, 700, 701);
        }
        let (tables, _) = rows.finish();
        tables.into_iter().flat_map(|table| table.rows).map(|row| row.effect).collect()
    }

    #[test]
    fn several_changes_of_a_row_are_one() {
        let (insert, delete) = (Deed::Insert(RELATION, vec![at(1)]), Deed::Delete(RELATION, at(1)));
        let update = |from, to| Deed::Update(RELATION, at(from), at(to));
        assert_eq!(effects(&[insert.clone(), update(1, 2)]), [Effect::Inserted { at: at(2) }]);
        assert_eq!(effects(&[update(1, 2), update(2, 3)]), [Effect::Updated { from: at(1), at: at(3) }]);
        assert_eq!(effects(&[insert.clone(), delete.clone()]), []);
        assert_eq!(effects(&[update(5, 1), delete.clone()]), [Effect::Deleted { from: at(5) }]);
        // The place of a row that was deleted is given to another one.
        assert_eq!(effects(&[delete, insert]), [Effect::Inserted { at: at(1) }, Effect::Deleted { from: at(1) }]);
        let many = Deed::Insert(RELATION, vec![at(1), at(2)]);
        assert_eq!(effects(&[many, Deed::Truncate(RELATION, 2)]), [Effect::Inserted { at: at(1) }]);
    }

    proptest! {
        /// Against a table that knows its rows by name: what was there before and what is there after.
        #[test]
        fn what_is_left_is_the_difference_of_before_and_after(steps in prop::collection::vec((0_u8..3, 0_usize..64), 0..60)) {
            let mut now: BTreeMap<u32, u32> = (0..8).map(|row| (row, row)).collect();
            let before = now.clone();
            let (mut touched, mut free, mut deeds) = (BTreeSet::new(), 8_u32, Vec::new());
            for (kind, pick) in steps {
                let chosen = now.iter().nth(pick % now.len().max(1)).map(|(row, place)| (*row, *place));
                match (kind, chosen) {
                    (0, _) | (_, None) => {
                        deeds.push(Deed::Insert(RELATION, vec![at(free)]));
                        now.insert(1_000 + free, free);
                    }
                    (1, Some((row, place))) => {
                        deeds.push(Deed::Update(RELATION, at(place), at(free)));
                        now.insert(row, free);
                        touched.insert(row);
                    }
                    (_, Some((row, place))) => {
                        deeds.push(Deed::Delete(RELATION, at(place)));
                        now.remove(&row);
                    }
                }
                free += 1;
            }
            let mut expected = Vec::new();
            for (row, place) in &now {
                match before.get(row) {
                    None => expected.push(Effect::Inserted { at: at(*place) }),
                    Some(from) if touched.contains(row) => {
                        expected.push(Effect::Updated { from: at(*from), at: at(*place) });
                    }
                    Some(_) => {}
                }
            }
            let gone = before.iter().filter(|(row, _)| !now.contains_key(row));
            expected.extend(gone.map(|(_, from)| Effect::Deleted { from: at(*from) }));
            expected.sort();
            prop_assert_eq!(effects(&deeds), expected);
        }
    }
}
