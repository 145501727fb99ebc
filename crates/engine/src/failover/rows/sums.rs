//! Sums per column over lost inserts, updates and deletes.

use super::amount::Amount;
use paritas_connect::PlacedColumn;
use paritas_report::LostAmount;

/// What a row's change adds to a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Inserted = 0,
    Updated = 1,
    Deleted = 2,
}

/// The sums of one column.
#[derive(Debug)]
pub(super) struct Sum {
    column: String,
    /// Where it is among the columns that are read.
    index: usize,
    parts: [Option<Amount>; 3],
    why: Option<String>,
}

/// One for each column that holds amounts.
pub(super) fn sums(columns: &[PlacedColumn]) -> Vec<Sum> {
    let amounts = columns.iter().enumerate().filter(|(_, column)| column.amount);
    amounts
        .map(|(index, column)| Sum {
            column: column.name.clone(),
            index,
            parts: [Some(Amount::default()); 3],
            why: None,
        })
        .collect()
}

impl Sum {
    /// Adds what the old primary has more than the new one; a row that a side does not have counts nothing there.
    pub(super) fn add(&mut self, part: Part, ours: Option<&[Option<String>]>, theirs: Option<&[Option<String>]>) {
        let index = self.index;
        let mut read = |row: Option<&[Option<String>]>| match row.and_then(|row| row.get(index)?.as_deref()) {
            None => Some(Amount::default()),
            Some(text) => {
                let amount = Amount::parse(text);
                if amount.is_none() {
                    self.why = Some("a value is no decimal number, or has too many digits to add it up".to_owned());
                }
                amount
            }
        };
        let change = read(ours).zip(read(theirs)).and_then(|(ours, theirs)| ours.minus(theirs));
        if let Some(slot) = self.parts.get_mut(part as usize) {
            *slot = slot.zip(change).and_then(|(sum, change)| sum.plus(change));
            if slot.is_none() {
                self.why.get_or_insert_with(|| "the sum has too many digits".to_owned());
            }
        }
    }

    /// A change whose amount is not known.
    pub(super) fn miss(&mut self, why: &str) {
        self.why.get_or_insert_with(|| why.to_owned());
    }

    pub(super) fn finish(self) -> LostAmount {
        let [inserted, updated, deleted] = self.parts;
        let net = inserted.zip(updated).zip(deleted).and_then(|((a, b), c)| a.plus(b)?.plus(c));
        let text = |amount: Option<Amount>| amount.map(|amount| amount.to_string());
        LostAmount {
            column: self.column,
            inserted: text(inserted),
            updated: text(updated),
            deleted: text(deleted),
            net: text(net),
            why: self.why,
        }
    }
}
