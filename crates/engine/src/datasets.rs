//! Which dataset of the source faces which dataset of the replica.

use paritas_model::Dataset;
use std::collections::BTreeMap;

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

/// Named datasets face each other in the order in which they were named. A name on one side only is
/// used on both, or faces the other side's only dataset.
pub(crate) fn named(
    source: &[String],
    replica: &[String],
    source_all: &[Dataset],
    replica_all: &[Dataset],
) -> Result<Facings, String> {
    let only = |all: &[Dataset]| match all {
        [one] => Some(one.0.clone()),
        _ => None,
    };
    let (ours, theirs): (Vec<String>, Vec<String>) = match (source, replica) {
        (ours, theirs) if ours.len() == theirs.len() => (ours.to_vec(), theirs.to_vec()),
        ([one], []) => (vec![one.clone()], vec![only(replica_all).unwrap_or_else(|| one.clone())]),
        ([], [one]) => (vec![only(source_all).unwrap_or_else(|| one.clone())], vec![one.clone()]),
        (ours, []) => (ours.to_vec(), ours.to_vec()),
        ([], theirs) => (theirs.to_vec(), theirs.to_vec()),
        (ours, theirs) => {
            return Err(format!("{} datasets are named on the source and {} on the replica", ours.len(), theirs.len()));
        }
    };
    let pairs = ours.into_iter().zip(theirs);
    let pairs = pairs.map(|(source, replica)| Facing { source: Dataset(source), replica: Dataset(replica) }).collect();
    Ok(Facings { pairs, ..Facings::default() })
}

/// All datasets of both sides, matched by name; a store that has just one faces the only one of the
/// other side whatever their names are.
pub(crate) fn all(source: &[Dataset], replica: &[Dataset]) -> Facings {
    if let ([ours], [theirs]) = (source, replica) {
        let pair = Facing { source: ours.clone(), replica: theirs.clone() };
        return Facings { pairs: vec![pair], ..Facings::default() };
    }
    let mut theirs: BTreeMap<&str, &Dataset> = replica.iter().map(|dataset| (dataset.0.as_str(), dataset)).collect();
    let mut facings = Facings::default();
    for ours in source {
        // A table `public.fills` faces an export named `fills` when nothing else does.
        let bare = ours.0.rsplit('.').next().unwrap_or(&ours.0);
        match theirs.remove(ours.0.as_str()).or_else(|| theirs.remove(bare)) {
            Some(other) => facings.pairs.push(Facing { source: ours.clone(), replica: other.clone() }),
            None => facings.source_only.push(ours.clone()),
        }
    }
    for other in theirs.into_values() {
        let suffix = format!(".{}", other.0);
        let mut partners = facings.source_only.iter().enumerate().filter(|(_, ours)| ours.0.ends_with(&suffix));
        match (partners.next(), partners.next()) {
            (Some((index, _)), None) => {
                let source = facings.source_only.remove(index);
                facings.pairs.push(Facing { source, replica: other.clone() });
            }
            _ => facings.replica_only.push(other.clone()),
        }
    }
    facings.pairs.sort();
    facings
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

    #[test]
    fn the_only_datasets_of_two_stores_face_each_other() {
        let facings = all(&sets(&["east"]), &sets(&["west"]));
        assert_eq!(facings.pairs.len(), 1);
        let facings = named(&["public.fills".into()], &[], &[], &sets(&["export"])).unwrap();
        assert_eq!(facings.pairs.first().unwrap().replica.0, "export");
        assert!(named(&["a".into(), "b".into()], &["c".into()], &[], &[]).is_err());
    }
}
