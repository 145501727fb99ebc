//! Lost rows as they are listed, counted and added up.

use super::{NO_OLD, NOT_AS_LEFT, Work};
use crate::failover::rows::sums::Part;
use paritas_connect::{PlacedColumn, PlacedRow};
use paritas_model::{Class, LogicalType, Value};
use paritas_pgwal::RowChange;
use paritas_report::LostRow;

impl Work<'_> {
    pub(super) fn list(&mut self, item: LostRow) {
        if self.table.items.len() < self.sides.max {
            self.table.items.push(item);
        } else {
            self.table.items_truncated = true;
        }
    }

    pub(super) fn inserted(&mut self, change: &RowChange, row: &PlacedRow) {
        self.table.lost.inserted += 1;
        self.sums.iter_mut().for_each(|sum| sum.add(Part::Inserted, Some(&row.values), None));
        let mut item = LostRow::new("insert", change.xid, Class::Lost);
        (item.row.key, item.row.source) = (self.key_values(row), self.all_values(row));
        self.list(item);
    }

    /// An insert whose key belongs to a row with other values on the new primary.
    pub(super) fn taken(&mut self, change: &RowChange, row: &PlacedRow, twin: &PlacedRow) {
        self.table.lost.inserted += 1;
        self.table.conflicting += 1;
        self.sums.iter_mut().for_each(|sum| sum.add(Part::Inserted, Some(&row.values), None));
        let mut item = self.differing("insert", change, row, twin);
        item.row.note = Some("the new primary has this key with other values".to_owned());
        self.list(item);
    }

    pub(super) fn updated(&mut self, change: &RowChange, row: &PlacedRow, other: &PlacedRow, since: bool) {
        if row.values == other.values {
            self.table.present += 1;
            return;
        }
        self.table.lost.updated += 1;
        self.sums.iter_mut().for_each(|sum| sum.add(Part::Updated, Some(&row.values), Some(&other.values)));
        let mut item = self.differing("update", change, row, other);
        if since {
            self.table.conflicting += 1;
            item.row.note = Some("the new primary has changed this row since".to_owned());
        }
        self.list(item);
    }

    /// An update of a row that the new primary does not have any more.
    pub(super) fn vanished(&mut self, change: &RowChange, row: &PlacedRow) {
        self.table.lost.updated += 1;
        self.table.conflicting += 1;
        self.sums
            .iter_mut()
            .for_each(|sum| sum.miss("updates of rows that the new primary does not have are left out"));
        let mut item = LostRow::new("update", change.xid, Class::Lost);
        (item.row.key, item.row.source) = (self.key_values(row), self.all_values(row));
        item.row.note = Some("the new primary has no such row".to_owned());
        self.list(item);
    }

    /// An update of which only the row before is known.
    pub(super) fn unread(&mut self, change: &RowChange, old: &PlacedRow) {
        self.table.lost.updated += 1;
        let why = if self.sides.old.is_none() { NO_OLD } else { NOT_AS_LEFT };
        self.sums.iter_mut().for_each(|sum| sum.miss("updates whose values are not known are left out"));
        let text = format!("what rows were updated to is not known: {why}");
        if !self.table.why.contains(&text) {
            self.table.why.push(text);
        }
        let mut item = LostRow::new("update", change.xid, Class::Changed);
        (item.row.key, item.row.replica) = (self.key_values(old), self.all_values(old));
        item.row.note = Some("what it was updated to is not known".to_owned());
        self.list(item);
    }

    fn differing(&self, kind: &str, change: &RowChange, row: &PlacedRow, other: &PlacedRow) -> LostRow {
        let mut item = LostRow::new(kind, change.xid, Class::Changed);
        // Where the key itself was changed, the row is found by the one that it has.
        item.row.key = self.key_values(other);
        for (index, column) in self.ours.iter().enumerate() {
            let of = |row: &PlacedRow| row.values.get(index).cloned().flatten();
            let (ours, theirs) = (of(row), of(other));
            if ours != theirs {
                item.row.columns.push(column.name.clone());
                item.row.source.push((column.name.clone(), value(column, ours)));
                item.row.replica.push((column.name.clone(), value(column, theirs)));
            }
        }
        item
    }

    pub(super) fn key_values(&self, row: &PlacedRow) -> Vec<(String, Value)> {
        self.key.iter().filter_map(|index| self.named(row, *index)).collect()
    }

    pub(super) fn all_values(&self, row: &PlacedRow) -> Vec<(String, Value)> {
        (0..self.ours.len()).filter_map(|index| self.named(row, index)).collect()
    }

    fn named(&self, row: &PlacedRow, index: usize) -> Option<(String, Value)> {
        let column = self.ours.get(index)?;
        Some((column.name.clone(), value(column, row.values.get(index)?.clone())))
    }
}

fn value(column: &PlacedColumn, text: Option<String>) -> Value {
    let Some(text) = text else { return Value::Null };
    match column.logical {
        LogicalType::Bool => Value::Bool(text == "true"),
        LogicalType::Int { .. } => text.parse().map_or_else(|_| Value::Text(text), Value::integer),
        _ => Value::Text(text),
    }
}
