//! Which dataset of the source faces which dataset of the replica.

use paritas_model::Dataset;
use std::collections::{BTreeMap, BTreeSet};

/// Two datasets that are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Facing {
    pub(crate) source: Dataset,
    pub(crate) replica: Dataset,
}

/// The pairs, and what has no partner.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facings {
    pub(crate) pairs: Vec<Facing>,
    pub(crate) source_only: Vec<Dataset>,
    pub(crate) replica_only: Vec<Dataset>,
}

/// One side of a link as it is named and listed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a> {
    /// The datasets that were named, as they were written.
    pub(crate) named: &'a [String],
    /// All datasets of the store.
    pub(crate) all: &'a [Dataset],
    /// Whether its datasets have names of their own, as tables of a database have. The name of a folder
    /// of files says nothing.
    pub(crate) database: bool,
}

/// Named datasets face each other in the order in which they were named. A name on one side only faces
/// the dataset of the same name on the other; a store whose names say nothing gives its only one.
pub(crate) fn named(source: Listed<'_>, replica: Listed<'_>) -> Result<Facings, String> {
    let (ours, theirs): (Vec<String>, Vec<String>) = match (source.named, replica.named) {
        (ours, theirs) if ours.len() == theirs.len() => (ours.to_vec(), theirs.to_vec()),
        (ours, []) => (ours.to_vec(), partners(ours, replica)?),
        ([], theirs) => (partners(theirs, source)?, theirs.to_vec()),
        (ours, theirs) => {
            return Err(format!("{} datasets are named on the source and {} on the replica", ours.len(), theirs.len()));
        }
    };
    let pairs = ours.into_iter().zip(theirs);
    let pairs = pairs.map(|(source, replica)| Facing { source: Dataset(source), replica: Dataset(replica) }).collect();
    Ok(Facings { pairs, ..Facings::default() })
}

/// What faces datasets of these names on a side where none was named.
fn partners(names: &[String], other: Listed<'_>) -> Result<Vec<String>, String> {
    if other.database {
        // It looks names up by itself, by its search path, and says which are missing.
        return Ok(names.to_vec());
    }
    let others: Vec<&Dataset> = other.all.iter().collect();
    let by_name = by_name(&others);
    let partner = |name: &String| {
        let dataset = Dataset(name.clone());
        if other.all.contains(&dataset) {
            return Ok(name.clone());
        }
        match (alike(&dataset, &by_name).as_slice(), other.all) {
            ([only], _) => Ok(only.0.clone()),
            ([], [only]) if names.len() == 1 => Ok(only.0.clone()),
            ([], _) => Err(format!("there is no dataset {name:?} on the other side")),
            _ => Err(format!("{name:?} is the name of more than one dataset of the other side")),
        }
    };
    names.iter().map(partner).collect()
}

/// All datasets of both sides, matched by name; a store that has just one faces the only one of the
/// other side whatever their names are.
pub(crate) fn all(source: &[Dataset], replica: &[Dataset]) -> Facings {
    if let ([ours], [theirs]) = (source, replica) {
        let pair = Facing { source: ours.clone(), replica: theirs.clone() };
        return Facings { pairs: vec![pair], ..Facings::default() };
    }
    matched(source, replica)
}

/// All datasets of both sides, matched by name alone: between two databases even the only table of
/// each is another one under another name.
pub(crate) fn matched(source: &[Dataset], replica: &[Dataset]) -> Facings {
    let mut facings = Facings::default();
    let names = |all: &[Dataset]| all.iter().map(|dataset| dataset.0.clone()).collect::<BTreeSet<String>>();
    let (source_names, replica_names) = (names(source), names(replica));
    let (equal, ours_left): (Vec<&Dataset>, Vec<&Dataset>) =
        source.iter().partition(|ours| replica_names.contains(&ours.0));
    let theirs_left: Vec<&Dataset> = replica.iter().filter(|theirs| !source_names.contains(&theirs.0)).collect();
    facings.pairs.extend(equal.into_iter().map(|both| Facing { source: both.clone(), replica: both.clone() }));
    let (ours_by_name, theirs_by_name) = (by_name(&ours_left), by_name(&theirs_left));
    for ours in &ours_left {
        // A table `public.fills` faces an export named `fills`, on either side, when nothing else could.
        match alike(ours, &theirs_by_name).as_slice() {
            [only] if alike(only, &ours_by_name).len() == 1 => {
                facings.pairs.push(Facing { source: (*ours).clone(), replica: (*only).clone() });
            }
            _ => facings.source_only.push((*ours).clone()),
        }
    }
    let faced: BTreeSet<&Dataset> = facings.pairs.iter().map(|pair| &pair.replica).collect();
    let alone = theirs_left.into_iter().filter(|theirs| !faced.contains(theirs)).cloned().collect();
    facings.replica_only = alone;
    facings.pairs.sort();
    facings
}

fn bare(dataset: &Dataset) -> &str {
    dataset.0.rsplit('.').next().unwrap_or_default()
}

/// Datasets under their whole names and under those without a schema.
fn by_name<'d>(all: &[&'d Dataset]) -> BTreeMap<&'d str, Vec<&'d Dataset>> {
    let mut map = BTreeMap::<&str, Vec<&Dataset>>::new();
    for dataset in all {
        map.entry(&dataset.0).or_default().push(dataset);
        if bare(dataset) != dataset.0 {
            map.entry(bare(dataset)).or_default().push(dataset);
        }
    }
    map
}

/// The datasets of the other side that have this name with a schema before it, or without its schema.
fn alike<'d>(dataset: &Dataset, others: &BTreeMap<&str, Vec<&'d Dataset>>) -> Vec<&'d Dataset> {
    let named = |name: &str| others.get(name).into_iter().flatten().copied();
    let qualified = named(&dataset.0).filter(|other| other.0 != dataset.0);
    qualified.chain(named(bare(dataset)).filter(|other| other.0 == bare(dataset) && other.0 != dataset.0)).collect()
}

/// Whether `name` matches a pattern in which `*` stands for any text and `?` for one character.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The classic two-pointer walk: remembers the last star and how much it has swallowed.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    n = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn sets(names: &[&str]) -> Vec<Dataset> {
        names.iter().map(|name| Dataset((*name).to_owned())).collect()
    }

    #[rstest]
    #[case("public.*", "public.orders", true)]
    #[case("*", "", true)]
    #[case("a*b*c", "axxbyyc", true)]
    #[case("a*b*c", "axxbyy", false)]
    #[case("a?c", "abc", true)]
    #[case("a?c", "ac", false)]
    #[case("public.o", "public.orders", false)]
    fn patterns_match_whole_names(#[case] pattern: &str, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(matches(pattern, name), expected);
    }

    #[test]
    fn datasets_are_matched_by_name_and_the_rest_is_listed() {
        let facings = all(&sets(&["public.a", "public.b", "public.c"]), &sets(&["b", "public.a", "x"]));
        let pairs: Vec<_> = facings.pairs.iter().map(|p| (p.source.0.as_str(), p.replica.0.as_str())).collect();
        assert_eq!(pairs, [("public.a", "public.a"), ("public.b", "b")]);
        assert_eq!((facings.source_only, facings.replica_only), (sets(&["public.c"]), sets(&["x"])));
    }

    #[rstest]
    #[case(&["fills"], &["public.fills", "public.orders"], &[("fills", "public.fills")])]
    #[case(&["public.fills", "public.orders"], &["fills"], &[("public.fills", "fills")])]
    #[case(&["x.fills", "fills"], &["fills"], &[("fills", "fills")])]
    #[case(&["fills", "x.fills"], &["x.fills", "y.fills"], &[("fills", "y.fills"), ("x.fills", "x.fills")])]
    #[case(&["x.fills", "y.fills"], &["fills"], &[])]
    #[case(&["fills"], &["x.fills", "y.fills"], &[])]
    #[case(&["x.fills", "a"], &["y.fills"], &[])]
    fn names_without_a_schema_face_the_only_table_of_that_name(
        #[case] source: &[&str],
        #[case] replica: &[&str],
        #[case] expected: &[(&str, &str)],
    ) {
        let facings = all(&sets(source), &sets(replica));
        let pairs: Vec<_> = facings.pairs.iter().map(|p| (p.source.0.as_str(), p.replica.0.as_str())).collect();
        assert_eq!(pairs, expected);
        assert_eq!(facings.source_only.len() + pairs.len(), source.len());
        assert_eq!(facings.replica_only.len() + pairs.len(), replica.len());
    }

    #[test]
    fn the_only_datasets_of_two_stores_face_each_other() {
        let facings = all(&sets(&["east"]), &sets(&["west"]));
        assert_eq!(facings.pairs.len(), 1);
    }

    #[rstest]
    #[case(&["public.fills"], &["export"], false, Ok("export"))]
    #[case(&["public.fills"], &["public.orders"], true, Ok("public.fills"))]
    #[case(&["public.fills"], &["public.fills", "public.orders"], true, Ok("public.fills"))]
    #[case(&["fills"], &["public.fills", "public.orders"], true, Ok("fills"))]
    #[case(&["public.fills"], &["fills", "orders"], false, Ok("fills"))]
    #[case(&["fills"], &["a.fills", "b.fills"], false, Err(()))]
    #[case(&["fills"], &["a", "b"], false, Err(()))]
    fn a_name_on_one_side_faces_the_same_name_on_the_other(
        #[case] names: &[&str],
        #[case] others: &[&str],
        #[case] database: bool,
        #[case] expected: Result<&str, ()>,
    ) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (ours, theirs) = (sets(&["x", "y"]), sets(others));
        let source = Listed { named: &names, all: &ours, database: true };
        let replica = Listed { named: &[], all: &theirs, database };
        let there = named(source, replica).map(|facings| facings.pairs.first().unwrap().replica.0.clone());
        assert_eq!(there.as_deref().map_err(|_| ()), expected);
        let back = named(replica, source).map(|facings| facings.pairs.first().unwrap().source.0.clone());
        assert_eq!(back.as_deref().map_err(|_| ()), expected);
    }

    #[test]
    fn as_many_names_are_needed_on_both_sides() {
        let (two, one) = (["a".to_owned(), "b".to_owned()], ["c".to_owned()]);
        let side = |named| Listed { named, all: &[], database: true };
        assert!(named(side(&two), side(&one)).is_err());
    }
}
