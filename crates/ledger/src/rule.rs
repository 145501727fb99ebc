//! What is asked of the figures of a group, and where two sides deviate.

use crate::{ColumnFigures, Figures};

/// What two sides have to agree on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Whether numbers of rows are, and of rows without a value in a column.
    pub count: bool,
    /// Columns, each with what is asked of it.
    pub columns: Vec<ColumnRule>,
}

/// What is asked of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnRule {
    /// Its name on the source.
    pub name: String,
    /// Both sides have the same sum.
    pub sum: bool,
    /// Both sides have the same smallest value.
    pub min: bool,
    /// Both sides have the same largest value.
    pub max: bool,
    /// The sum is 0 on either side: the rule of double entry.
    pub zero_sum: bool,
}

impl ColumnRule {
    /// A column of which nothing is asked yet.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Whether extremes have to be kept.
    pub fn extremes(&self) -> bool {
        self.min || self.max
    }
}

/// Something in which the figures of a group break the rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    /// One side has no row of the group.
    Missing,
    /// Other numbers of rows.
    Rows,
    /// Other numbers of rows without a value in this column.
    Nulls(usize),
    /// Other numbers of values in this column that are `NaN` or infinite.
    Specials(usize),
    /// Other sums of this column.
    Sum(usize),
    /// Other smallest values of this column.
    Min(usize),
    /// Other largest values of this column.
    Max(usize),
    /// The sum of this column is not 0, on the source.
    SourceUnbalanced(usize),
    /// The sum of this column is not 0, on the replica.
    ReplicaUnbalanced(usize),
    /// Rows of the group differ. The group itself was written all the time, so its figures were never seen to stand
    /// still.
    Behind,
}

impl Deviation {
    /// Whether it lies between the two sides, rather than in one of them.
    pub fn is_between(&self) -> bool {
        !matches!(self, Self::SourceUnbalanced(_) | Self::ReplicaUnbalanced(_))
    }

    /// What it is, for people: `sum of amount`.
    pub fn describe(&self, rule: &Rule) -> String {
        let name = |at: &usize| rule.columns.get(*at).map_or("?", |column| column.name.as_str());
        match self {
            Self::Missing => "missing".to_owned(),
            Self::Rows => "rows".to_owned(),
            Self::Nulls(at) => format!("nulls of {}", name(at)),
            Self::Specials(at) => format!("NaN and infinities of {}", name(at)),
            Self::Sum(at) => format!("sum of {}", name(at)),
            Self::Min(at) => format!("min of {}", name(at)),
            Self::Max(at) => format!("max of {}", name(at)),
            Self::Behind => "its rows differ".to_owned(),
            Self::SourceUnbalanced(at) => format!("source: sum of {} is not zero", name(at)),
            Self::ReplicaUnbalanced(at) => format!("replica: sum of {} is not zero", name(at)),
        }
    }
}

impl Rule {
    /// Everything in which the figures of one group break the rule; `None` for a side without a row of it.
    pub fn deviations(&self, source: Option<&Figures>, replica: Option<&Figures>) -> Vec<Deviation> {
        let mut found = self.between(source, replica);
        found.extend(self.unbalanced(source).map(Deviation::SourceUnbalanced));
        found.extend(self.unbalanced(replica).map(Deviation::ReplicaUnbalanced));
        found
    }

    /// Whether both sides agree, whatever the balance of each is.
    pub fn agree(&self, source: Option<&Figures>, replica: Option<&Figures>) -> bool {
        self.between(source, replica).is_empty()
    }

    fn between(&self, source: Option<&Figures>, replica: Option<&Figures>) -> Vec<Deviation> {
        let (a, b) = match (source, replica) {
            (Some(a), Some(b)) => (a, b),
            (None, None) => return Vec::new(),
            _ => return vec![Deviation::Missing],
        };
        let mut found = Vec::new();
        if self.count && a.rows != b.rows {
            found.push(Deviation::Rows);
        }
        for (at, (rule, (a, b))) in self.columns.iter().zip(a.columns.iter().zip(&b.columns)).enumerate() {
            if self.count && a.nulls != b.nulls {
                found.push(Deviation::Nulls(at));
            }
            if specials(a) != specials(b) {
                found.push(Deviation::Specials(at));
            }
            if rule.sum && a.sum != b.sum {
                found.push(Deviation::Sum(at));
            }
            if rule.min && a.min != b.min {
                found.push(Deviation::Min(at));
            }
            if rule.max && a.max != b.max {
                found.push(Deviation::Max(at));
            }
        }
        found
    }

    /// Columns that are to add up to 0 and do not.
    fn unbalanced<'a>(&'a self, figures: Option<&'a Figures>) -> impl Iterator<Item = usize> + 'a {
        let columns = figures.map_or(&[][..], |figures| &figures.columns);
        let pairs = self.columns.iter().zip(columns).enumerate();
        pairs.filter(|(_, (rule, own))| rule.zero_sum && (!own.sum.is_zero() || own.has_specials())).map(|(at, _)| at)
    }
}

fn specials(column: &ColumnFigures) -> [u64; 3] {
    [column.not_a_number, column.infinite, column.negative_infinite]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Amount;
    use rstest::rstest;

    fn rule() -> Rule {
        let amount = ColumnRule { sum: true, min: true, max: true, zero_sum: true, ..ColumnRule::named("amount") };
        Rule { count: true, columns: vec![amount] }
    }

    fn figures(amounts: &str) -> Figures {
        let mut figures = Figures::of(&rule());
        for text in amounts.split_whitespace() {
            figures.rows += 1;
            match text {
                "NULL" => figures.columns[0].nulls += 1,
                text => figures.columns[0].add(&text.parse::<Amount>().unwrap(), true),
            }
        }
        figures
    }

    #[rstest]
    #[case::equal("1 -1.00", "1.0 -1", &[])]
    #[case::one_cent("5 -5.00", "5 -4.99", &["sum of amount", "min of amount", "replica: sum of amount is not zero"])]
    #[case::swapped_with_the_same_sum("2 -1 -1", "1 1 -2", &["min of amount", "max of amount"])]
    #[case::a_null_more("1 -1", "1 -1 NULL", &["rows", "nulls of amount"])]
    #[case::null_for_zero("1 -1 0", "1 -1 NULL", &["nulls of amount"])]
    #[case::not_a_number("1 -1", "1 -1 NaN", &["rows", "NaN and infinities of amount", "replica: sum of amount is not zero"])]
    #[case::infinities_apart("1 -1 inf", "1 -1 -inf", &["NaN and infinities of amount", "source: sum of amount is not zero", "replica: sum of amount is not zero"])]
    fn every_deviation_is_named(#[case] source: &str, #[case] replica: &str, #[case] expected: &[&str]) {
        let rule = rule();
        let mut found = rule.deviations(Some(&figures(source)), Some(&figures(replica)));
        let mut texts: Vec<String> = found.iter().map(|one| one.describe(&rule)).collect();
        let mut wanted: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        texts.sort();
        wanted.sort();
        assert_eq!(texts, wanted);
        found.retain(Deviation::is_between);
        assert_eq!(rule.agree(Some(&figures(source)), Some(&figures(replica))), found.is_empty());
    }

    #[test]
    fn a_group_that_one_side_has_not_deviates_even_with_a_sum_of_zero() {
        let rule = Rule { count: false, ..rule() };
        assert_eq!(rule.deviations(Some(&figures("1 -1")), None), [Deviation::Missing]);
        assert_eq!(rule.deviations(None, Some(&figures("0"))), [Deviation::Missing]);
        assert!(rule.deviations(None, None).is_empty());
    }

    #[test]
    fn without_counts_only_amounts_matter() {
        let rule = Rule { count: false, columns: vec![ColumnRule { sum: true, ..ColumnRule::named("amount") }] };
        assert!(rule.agree(Some(&figures("3 NULL")), Some(&figures("1 2"))));
        assert!(!rule.agree(Some(&figures("3 NaN")), Some(&figures("1 2"))));
    }
}
