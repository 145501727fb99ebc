//! Rows of both sides under one key, held against each other.

use paritas_connect::FetchedRow;
use paritas_digest::FoundKey;
use paritas_model::Class;
use std::collections::{BTreeMap, HashMap};

/// One differing row, with what each side holds.
#[derive(Debug, Clone)]
pub(crate) struct Mismatch {
    pub(crate) class: Class,
    pub(crate) copies: u64,
    pub(crate) source: Option<FetchedRow>,
    pub(crate) replica: Option<FetchedRow>,
}

/// Rows by key: key bytes, or the fingerprint where the whole row is the key.
pub(crate) type Groups = BTreeMap<Vec<u8>, Vec<FetchedRow>>;

/// The canonical values of a row: what makes two rows equal.
pub(crate) type Values<'a> = Vec<Option<&'a [u8]>>;

/// Sorts rows into groups of one key.
pub(crate) fn group(rows: Vec<FetchedRow>) -> Groups {
    let mut groups = Groups::new();
    for row in rows {
        groups.entry(group_id(&row)).or_default().push(row);
    }
    groups
}

/// The bytes under which a row is grouped.
pub(crate) fn group_id(row: &FetchedRow) -> Vec<u8> {
    match (&row.found, row.key.is_empty()) {
        (Some(FoundKey::Fingerprint(fingerprint)), true) => fingerprint.to_vec(),
        _ => row.key.clone(),
    }
}

/// The canonical values of a row.
pub(crate) fn values(row: &FetchedRow) -> Values<'_> {
    row.fields.iter().map(|field| field.canonical.as_deref()).collect()
}

/// How often each of some values occurs.
pub(crate) fn tally<T: std::hash::Hash + Eq>(items: impl IntoIterator<Item = T>) -> HashMap<T, u64> {
    let mut counts = HashMap::new();
    for item in items {
        *counts.entry(item).or_insert(0) += 1;
    }
    counts
}

/// What differs between the rows of one key. Equal rows cancel one by one; with a key, what is left
/// on both sides is a change, otherwise it is lost or extra. Equal leftovers are counted together.
/// The result does not depend on the order of the rows.
pub(crate) fn mismatches(source: &[FetchedRow], replica: &[FetchedRow], keyed: bool) -> Vec<Mismatch> {
    let mut source_left = leftovers(source, replica);
    let mut replica_left = leftovers(replica, source);
    let changed = if keyed { source_left.len().min(replica_left.len()) } else { 0 };
    let mut result = Vec::new();
    for (row, other) in source_left.drain(..changed).zip(replica_left.drain(..changed)) {
        let (source, replica) = (Some(row.clone()), Some(other.clone()));
        result.push(Mismatch { class: Class::Changed, copies: 1, source, replica });
    }
    for (row, copies) in counted(source_left) {
        result.push(Mismatch { class: Class::Lost, copies, source: Some(row.clone()), replica: None });
    }
    for (row, copies) in counted(replica_left) {
        result.push(Mismatch { class: Class::Extra, copies, source: None, replica: Some(row.clone()) });
    }
    result
}

/// Rows for which `others` has no equal, sorted by value.
fn leftovers<'a>(rows: &'a [FetchedRow], others: &[FetchedRow]) -> Vec<&'a FetchedRow> {
    let mut cancel = tally(others.iter().map(values));
    let mut left: Vec<&FetchedRow> = Vec::new();
    for row in rows {
        match cancel.get_mut(&values(row)) {
            Some(equal @ 1..) => *equal -= 1,
            _ => left.push(row),
        }
    }
    left.sort_by_cached_key(|row| values(row));
    left
}

/// Equal neighbours together with how many there are.
fn counted(sorted: Vec<&FetchedRow>) -> Vec<(&FetchedRow, u64)> {
    let mut result: Vec<(&FetchedRow, u64)> = Vec::new();
    for row in sorted {
        match result.last_mut() {
            Some((other, copies)) if values(other) == values(row) => *copies += 1,
            _ => result.push((row, 1)),
        }
    }
    result
}

/// Whether two readings are the same rows, including that none was written in between.
pub(crate) fn unchanged(before: &[FetchedRow], after: &[FetchedRow]) -> bool {
    fn written(row: &FetchedRow) -> (Values<'_>, Option<u64>) {
        (values(row), row.version)
    }
    before.len() == after.len() && tally(before.iter().map(written)) == tally(after.iter().map(written))
}

/// Whether two sets of rows hold the same values the same number of times.
pub(crate) fn equal(a: &[FetchedRow], b: &[FetchedRow]) -> bool {
    a.len() == b.len() && tally(a.iter().map(values)) == tally(b.iter().map(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_connect::FetchedField;
    use paritas_model::Value;
    use rstest::rstest;

    fn row(key: u8, value: u8) -> FetchedRow {
        let field = |v: u8| FetchedField { canonical: Some(vec![v]), shown: Value::Int(i64::from(v)) };
        let fields = vec![field(key), field(value)];
        FetchedRow { found: None, key: vec![key], fields, place: None, version: Some(u64::from(value)) }
    }

    fn rows(values: &[u8]) -> Vec<FetchedRow> {
        values.iter().map(|value| row(9, *value)).collect()
    }

    #[rstest]
    #[case::equal(&[1], &[1], &[])]
    #[case::changed(&[1], &[2], &[(Class::Changed, 1)])]
    #[case::lost(&[1], &[], &[(Class::Lost, 1)])]
    #[case::extra(&[], &[1], &[(Class::Extra, 1)])]
    #[case::second_copy(&[1], &[1, 1], &[(Class::Extra, 1)])]
    #[case::two_copies_lost(&[1, 1, 1], &[1], &[(Class::Lost, 2)])]
    #[case::changed_and_copied(&[1], &[2, 2], &[(Class::Changed, 1), (Class::Extra, 1)])]
    #[case::order_does_not_matter(&[1, 2], &[2, 1], &[])]
    #[case::apart(&[1, 2, 1], &[3], &[(Class::Changed, 1), (Class::Lost, 1), (Class::Lost, 1)])]
    fn rows_of_one_key_are_held_against_each_other(
        #[case] source: &[u8],
        #[case] replica: &[u8],
        #[case] expected: &[(Class, u64)],
    ) {
        let found = mismatches(&rows(source), &rows(replica), true);
        assert_eq!(found.iter().map(|m| (m.class, m.copies)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_a_key_a_change_is_one_lost_and_one_extra_row() {
        let found = mismatches(&[row(1, 1)], &[row(1, 2)], false);
        assert_eq!(found.iter().map(|m| m.class).collect::<Vec<_>>(), [Class::Lost, Class::Extra]);
    }

    #[test]
    fn many_copies_under_one_key_take_no_quadratic_time() {
        let many = vec![row(1, 1); 200_000];
        let found = mismatches(&many, many.get(..199_999).unwrap_or_default(), true);
        assert_eq!(found.iter().map(|m| (m.class, m.copies)).collect::<Vec<_>>(), [(Class::Lost, 1)]);
    }

    #[test]
    fn a_row_written_back_to_its_old_values_is_not_unchanged() {
        let mut again = row(1, 1);
        again.version = Some(7);
        assert!(!unchanged(&[row(1, 1)], &[again]));
        assert!(unchanged(&[row(1, 1)], &[row(1, 1)]));
    }

    #[test]
    fn one_copy_replaced_by_another_row_is_not_unchanged() {
        assert!(!unchanged(&rows(&[1, 1]), &rows(&[1, 2])));
        assert!(!unchanged(&rows(&[1, 2]), &rows(&[1, 1])));
        assert!(unchanged(&rows(&[1, 2]), &rows(&[2, 1])));
    }
}
