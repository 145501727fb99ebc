//! The figures of one group of rows.

use crate::{Amount, Decimal, Malformed, Rule, take_array};

/// What a group of rows amounts to. Figures of parts add up to those of the whole, in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Rows.
    pub rows: u64,
    /// One for each column of the [`Rule`].
    pub columns: Vec<ColumnFigures>,
}

/// What one column of a group amounts to. NULL and what is no finite number is counted apart and is in
/// no sum and no extreme.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnFigures {
    /// Rows without a value.
    pub nulls: u64,
    /// Values that are `NaN`.
    pub not_a_number: u64,
    /// Values that are `Infinity`.
    pub infinite: u64,
    /// Values that are `-Infinity`.
    pub negative_infinite: u64,
    /// The sum of all finite values, 0 without any.
    pub sum: Decimal,
    /// The smallest finite value, where it is asked for.
    pub min: Option<Decimal>,
    /// The largest finite value, where it is asked for.
    pub max: Option<Decimal>,
}

impl ColumnFigures {
    /// Whether there are values that are no finite numbers.
    pub fn has_specials(&self) -> bool {
        self.not_a_number > 0 || self.infinite > 0 || self.negative_infinite > 0
    }

    /// Takes a value in; with `extremes`, it may become the smallest or largest.
    pub fn add(&mut self, amount: &Amount, extremes: bool) {
        match amount {
            Amount::Finite(value) => {
                self.sum.add(value);
                if extremes {
                    self.stretch(value, value);
                }
            }
            Amount::NotANumber => self.not_a_number += 1,
            Amount::Infinity => self.infinite += 1,
            Amount::NegativeInfinity => self.negative_infinite += 1,
        }
    }

    fn stretch(&mut self, min: &Decimal, max: &Decimal) {
        if self.min.as_ref().is_none_or(|own| min < own) {
            self.min = Some(min.clone());
        }
        if self.max.as_ref().is_none_or(|own| max > own) {
            self.max = Some(max.clone());
        }
    }

    fn merge(&mut self, other: &Self) {
        self.nulls = self.nulls.saturating_add(other.nulls);
        self.not_a_number = self.not_a_number.saturating_add(other.not_a_number);
        self.infinite = self.infinite.saturating_add(other.infinite);
        self.negative_infinite = self.negative_infinite.saturating_add(other.negative_infinite);
        self.sum.add(&other.sum);
        if let (Some(min), Some(max)) = (&other.min, &other.max) {
            self.stretch(min, max);
        }
    }
}

impl Figures {
    /// Figures of no rows.
    pub fn of(rule: &Rule) -> Self {
        Self { rows: 0, columns: vec![ColumnFigures::default(); rule.columns.len()] }
    }

    /// Takes the figures of other rows of the group in.
    pub fn merge(&mut self, other: &Self) {
        self.rows = self.rows.saturating_add(other.rows);
        if self.columns.len() < other.columns.len() {
            self.columns.resize(other.columns.len(), ColumnFigures::default());
        }
        for (own, other) in self.columns.iter_mut().zip(&other.columns) {
            own.merge(other);
        }
    }

    /// Roughly the bytes that they take in memory.
    pub fn memory_bytes(&self) -> usize {
        let numbers = |column: &ColumnFigures| {
            let extremes = [&column.min, &column.max].into_iter().flatten().map(Decimal::heap_bytes);
            column.sum.heap_bytes() + extremes.sum::<usize>()
        };
        let heap: usize = self.columns.iter().map(numbers).sum();
        size_of::<Self>() + self.columns.len() * size_of::<ColumnFigures>() + heap
    }

    /// Appends them as bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rows.to_le_bytes());
        for column in &self.columns {
            for count in [column.nulls, column.not_a_number, column.infinite, column.negative_infinite] {
                out.extend_from_slice(&count.to_le_bytes());
            }
            column.sum.encode(out);
            match (&column.min, &column.max) {
                (Some(min), Some(max)) => {
                    out.push(1);
                    min.encode(out);
                    max.encode(out);
                }
                _ => out.push(0),
            }
        }
    }

    /// Reads figures of so many columns back from the front.
    ///
    /// # Errors
    /// Bytes that are no such figures.
    pub fn decode(columns: usize, bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let count = |bytes: &mut &[u8]| take_array(bytes).map(u64::from_le_bytes);
        let mut figures = Self { rows: count(bytes)?, columns: Vec::new() };
        for _ in 0..columns {
            let mut column = ColumnFigures {
                nulls: count(bytes)?,
                not_a_number: count(bytes)?,
                infinite: count(bytes)?,
                negative_infinite: count(bytes)?,
                sum: Decimal::decode(bytes)?,
                ..ColumnFigures::default()
            };
            match take_array(bytes)? {
                [0] => {}
                [1] => (column.min, column.max) = (Some(Decimal::decode(bytes)?), Some(Decimal::decode(bytes)?)),
                _ => return Err(Malformed),
            }
            figures.columns.push(column);
        }
        Ok(figures)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ColumnRule;
    use proptest::prelude::*;

    fn rule(columns: usize) -> Rule {
        let column = |at| ColumnRule { sum: true, min: true, max: true, ..ColumnRule::named(&format!("c{at}")) };
        Rule { count: true, columns: (0..columns).map(column).collect() }
    }

    fn amount() -> impl Strategy<Value = Option<Amount>> {
        prop_oneof![
            1 => Just(None),
            1 => Just(Some(Amount::NotANumber)),
            1 => Just(Some(Amount::Infinity)),
            1 => Just(Some(Amount::NegativeInfinity)),
            12 => "-?[0-9]{1,45}(\\.[0-9]{0,20})?".prop_map(|text| Some(text.parse().unwrap())),
        ]
    }

    fn of_rows(rows: &[Vec<Option<Amount>>]) -> Figures {
        let mut figures = Figures::of(&rule(2));
        for row in rows {
            figures.rows += 1;
            for (column, amount) in figures.columns.iter_mut().zip(row) {
                match amount {
                    Some(amount) => column.add(amount, true),
                    None => column.nulls += 1,
                }
            }
        }
        figures
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<Option<Amount>>>> {
        proptest::collection::vec(proptest::collection::vec(amount(), 2), 0..30)
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_whole_wherever_they_are_cut(all in rows(), cut in 0_usize..30) {
            let cut = cut.min(all.len());
            let (mut front, back) = (of_rows(&all[..cut]), of_rows(&all[cut..]));
            let mut other = back.clone();
            other.merge(&front);
            front.merge(&back);
            prop_assert_eq!(&front, &of_rows(&all));
            prop_assert_eq!(&other, &front);
        }

        #[test]
        fn figures_are_read_back_from_their_bytes(all in rows()) {
            let figures = of_rows(&all);
            let mut bytes = Vec::new();
            figures.encode(&mut bytes);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(Figures::decode(2, &mut rest).unwrap(), figures);
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn cut_bytes_are_an_error_and_no_figures(all in rows(), kept in 0.0..1.0_f64) {
            let mut bytes = Vec::new();
            of_rows(&all).encode(&mut bytes);
            let kept = (bytes.len() as f64 * kept) as usize;
            prop_assert_eq!(Figures::decode(2, &mut &bytes[..kept]), Err(Malformed));
        }

        #[test]
        fn extremes_are_those_of_the_finite_values(all in rows()) {
            let finite: Vec<Decimal> = all.iter().filter_map(|row| match &row[0] {
                Some(Amount::Finite(value)) => Some(value.clone()),
                _ => None,
            }).collect();
            let figures = of_rows(&all);
            prop_assert_eq!(&figures.columns[0].min, &finite.iter().min().cloned());
            prop_assert_eq!(&figures.columns[0].max, &finite.iter().max().cloned());
        }
    }
}
