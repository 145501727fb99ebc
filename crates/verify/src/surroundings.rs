//! What belongs to a store beside its datasets: sequences, extensions.

use crate::SchemaDelta;
use paritas_connect::{Counter, Surrounding};
use paritas_model::Known;
use std::collections::BTreeMap;

/// What comparing came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What differs.
    pub deltas: Vec<SchemaDelta>,
    /// What could not be compared, each with the reason.
    pub not_checked: Vec<(String, String)>,
}

/// Compares them by name. A counter of the replica that is behind would hand out numbers again; one
/// that is ahead only leaves a gap, as standbys do by design.
pub fn compare_surroundings(source: &[Surrounding], replica: &[Surrounding]) -> Surroundings {
    let theirs: BTreeMap<&str, &Surrounding> = replica.iter().map(|one| (one.what.as_str(), one)).collect();
    let ours: BTreeMap<&str, &Surrounding> = source.iter().map(|one| (one.what.as_str(), one)).collect();
    let mut found = Surroundings::default();
    for (what, one) in &ours {
        match theirs.get(what) {
            None => found.deltas.push(delta(what, Some(one.definition.clone()), None)),
            Some(other) if one.definition != other.definition => {
                found.deltas.push(delta(what, Some(one.definition.clone()), Some(other.definition.clone())));
            }
            Some(other) => counters(what, one, other, &mut found),
        }
    }
    let extra = theirs.iter().filter(|(what, _)| !ours.contains_key(*what));
    found.deltas.extend(extra.map(|(what, one)| delta(what, None, Some(one.definition.clone()))));
    found
}

fn delta(what: &str, source: Option<String>, replica: Option<String>) -> SchemaDelta {
    SchemaDelta { what: what.to_owned(), source, replica, data: false, comparable: true }
}

fn counters(what: &str, source: &Surrounding, replica: &Surrounding, found: &mut Surroundings) {
    let (ours, theirs) = match (&source.counter, &replica.counter) {
        (Some(Known::Known(ours)), Some(Known::Known(theirs))) => (ours, theirs),
        (Some(Known::Unknown { why }), _) => {
            return found.not_checked.push((format!("value of {what} on the source"), why.clone()));
        }
        (_, Some(Known::Unknown { why })) => {
            return found.not_checked.push((format!("value of {what} on the replica"), why.clone()));
        }
        _ => return,
    };
    if is_behind(theirs, ours) {
        let next = |counter: &Counter| Some(format!("next value {}", counter.next));
        let what = format!("{what}: behind on the replica, which would hand out values again");
        found.deltas.push(delta(&what, next(ours), next(theirs)));
    }
}

fn is_behind(one: &Counter, other: &Counter) -> bool {
    if other.step < 0 { one.next > other.next } else { one.next < other.next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn sequence(next: i64, step: i64) -> Vec<Surrounding> {
        let counter = Some(Known::Known(Counter { next, step }));
        vec![Surrounding { what: "sequence s".into(), definition: "bigint".into(), counter, copies_only: false }]
    }

    #[rstest]
    #[case::equal(10, 10, 1, 0)]
    #[case::ahead(10, 42, 1, 0)]
    #[case::behind(10, 9, 1, 1)]
    #[case::falling_and_equal(-5, -5, -1, 0)]
    #[case::falling_and_ahead(-5, -6, -1, 0)]
    #[case::falling_and_behind(-5, -4, -1, 1)]
    fn a_sequence_behind_is_found(#[case] ours: i64, #[case] theirs: i64, #[case] step: i64, #[case] deltas: usize) {
        let found = compare_surroundings(&sequence(ours, step), &sequence(theirs, step));
        assert_eq!((found.deltas.len(), found.not_checked.len()), (deltas, 0), "{found:?}");
    }

    #[test]
    fn what_one_side_lacks_and_what_is_defined_otherwise_is_found() {
        let thing = |what: &str, version: &str| Surrounding {
            what: what.into(),
            definition: version.into(),
            counter: None,
            copies_only: false,
        };
        let (ours, theirs) =
            ([thing("a", "1"), thing("b", "1"), thing("c", "1")], [thing("b", "2"), thing("c", "1"), thing("d", "1")]);
        let found = compare_surroundings(&ours, &theirs);
        let names: Vec<_> = found
            .deltas
            .iter()
            .map(|delta| (delta.what.as_str(), delta.source.is_some(), delta.replica.is_some()))
            .collect();
        assert_eq!(names, [("a", true, false), ("b", true, true), ("d", false, true)]);
    }

    #[test]
    fn a_value_that_may_not_be_read_is_not_checked() {
        let mut hidden = sequence(1, 1);
        if let Some(one) = hidden.first_mut() {
            one.counter = Some(Known::unknown("no privilege"));
        }
        let found = compare_surroundings(&sequence(1, 1), &hidden);
        assert_eq!(found.not_checked, [("value of sequence s on the replica".to_owned(), "no privilege".to_owned())]);
    }
}
