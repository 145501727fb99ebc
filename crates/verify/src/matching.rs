//! Rows of both sides under one key, held against each other.

use paritas_connect::FetchedRow;
use paritas_digest::FoundKey;
use paritas_model::Class;
use std::collections::BTreeMap;

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

/// What differs between the rows of one key. Equal rows cancel one by one; with a key, what is left
/// on both sides is a change, otherwise it is lost or extra. Equal leftovers are counted together.
pub(crate) fn mismatches(source: &[FetchedRow], replica: &[FetchedRow], keyed: bool) -> Vec<Mismatch> {
    let mut replica_left: Vec<&FetchedRow> = replica.iter().collect();
    let mut source_left: Vec<&FetchedRow> = Vec::new();
    for row in source {
        match replica_left.iter().position(|other| same_values(row, other)) {
            Some(index) => {
                replica_left.swap_remove(index);
            }
            None => source_left.push(row),
        }
    }
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

/// Whether two rows hold the same values.
pub(crate) fn same_values(a: &FetchedRow, b: &FetchedRow) -> bool {
    a.fields.len() == b.fields.len() && a.fields.iter().zip(&b.fields).all(|(x, y)| x.canonical == y.canonical)
}

/// Whether two sets of rows are the same, including that none was written in between.
pub(crate) fn unchanged(before: &[FetchedRow], after: &[FetchedRow]) -> bool {
    before.len() == after.len()
        && before.iter().all(|row| after.iter().any(|other| same_values(row, other) && row.version == other.version))
}

/// Whether two sets of rows hold the same values the same number of times.
pub(crate) fn equal(a: &[FetchedRow], b: &[FetchedRow]) -> bool {
    a.len() == b.len() && mismatches(a, b, false).is_empty()
}

fn counted(rows: Vec<&FetchedRow>) -> Vec<(&FetchedRow, u64)> {
    let mut result: Vec<(&FetchedRow, u64)> = Vec::new();
    for row in rows {
        match result.iter_mut().find(|(other, _)| same_values(row, other)) {
            Some((_, copies)) => *copies += 1,
            None => result.push((row, 1)),
        }
    }
    result
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

    #[rstest]
    #[case::equal(&[1], &[1], &[])]
    #[case::changed(&[1], &[2], &[(Class::Changed, 1)])]
    #[case::lost(&[1], &[], &[(Class::Lost, 1)])]
    #[case::extra(&[], &[1], &[(Class::Extra, 1)])]
    #[case::second_copy(&[1], &[1, 1], &[(Class::Extra, 1)])]
    #[case::two_copies_lost(&[1, 1, 1], &[1], &[(Class::Lost, 2)])]
    #[case::changed_and_copied(&[1], &[2, 2], &[(Class::Changed, 1), (Class::Extra, 1)])]
    #[case::order_does_not_matter(&[1, 2], &[2, 1], &[])]
    fn rows_of_one_key_are_held_against_each_other(
        #[case] source: &[u8],
        #[case] replica: &[u8],
        #[case] expected: &[(Class, u64)],
    ) {
        let rows = |values: &[u8]| values.iter().map(|v| row(9, *v)).collect::<Vec<_>>();
        let found = mismatches(&rows(source), &rows(replica), true);
        assert_eq!(found.iter().map(|m| (m.class, m.copies)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_a_key_a_change_is_one_lost_and_one_extra_row() {
        let found = mismatches(&[row(1, 1)], &[row(1, 2)], false);
        assert_eq!(found.iter().map(|m| m.class).collect::<Vec<_>>(), [Class::Lost, Class::Extra]);
    }

    #[test]
    fn a_row_written_back_to_its_old_values_is_not_unchanged() {
        let mut again = row(1, 1);
        again.version = Some(7);
        assert!(!unchanged(&[row(1, 1)], &[again]));
        assert!(unchanged(&[row(1, 1)], &[row(1, 1)]));
    }
}
