//! Drifts: rows of the replica that replication did not make, and how they are healed.

use crate::dice::Dice;
use crate::region::{COLD, TABLES, Table};
use paritas_model::Class;
use std::collections::BTreeSet;

/// Drifts of one round, at most.
const DRIFTS_MAX: u64 = 6;

/// One row of the replica that is wrong.
#[derive(Debug, Clone)]
pub struct Drift {
    pub class: Class,
    pub table: &'static Table,
    /// The row's number; for an extra row one that the source does not have.
    pub row: u64,
}

impl Drift {
    /// One to some drifts in rows of their own.
    pub fn draw(dice: &mut Dice) -> Vec<Self> {
        let mut taken = BTreeSet::new();
        let mut drifts = Vec::new();
        for _ in 0..=dice.below(DRIFTS_MAX) {
            let at = dice.below(TABLES.len() as u64) as usize;
            let (class, row) = match dice.below(3) {
                0 => (Class::Lost, dice.below(COLD)),
                1 => (Class::Changed, dice.below(COLD)),
                _ => (Class::Extra, COLD + dice.below(COLD)),
            };
            if taken.insert((at, row)) {
                drifts.push(Self { class, table: &TABLES[at], row });
            }
        }
        drifts
    }

    /// Plants it.
    pub fn sql(&self) -> String {
        let Table { name, key, change, .. } = self.table;
        let (row, is) = (self.row, key.replace('$', &self.row.to_string()));
        match self.class {
            Class::Lost => format!("DELETE FROM {name} WHERE {is};"),
            Class::Changed => format!("UPDATE {name} SET {change} WHERE {is};"),
            Class::Extra => self.table.insert(row, row),
        }
    }

    /// Makes the row what it is on the source.
    pub fn heal_sql(&self) -> String {
        let is = self.table.key.replace('$', &self.row.to_string());
        let again = if self.class == Class::Extra { String::new() } else { self.table.insert(self.row, self.row) };
        format!("DELETE FROM {} WHERE {is}; {again}", self.table.name)
    }

    /// As a report names it: dataset, class, the key's values.
    pub fn named(&self) -> String {
        format!("{} {} {}", self.table.name, self.class.as_str(), (self.table.shown)(self.row))
    }
}
