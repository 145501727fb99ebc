//! Every planted difference is named, with its class.

use crate::support::{FORMS, Row, block, digest, expected, found_key, spec};
use paritas_digest::{Capacity, Digest, FoundKey, KeyForm, Locator, compare};
use paritas_model::Class;
use rstest::rstest;
use std::collections::BTreeSet;
use std::sync::Arc;

/// `keep` equal rows, then per key number one of: changed, lost, extra, doubled.
fn planted(equal: u64, differing: u64) -> (Vec<Row>, Vec<Row>) {
    let (mut source, mut replica): (Vec<Row>, Vec<Row>) = (0..equal).map(|key| ((key, 1), (key, 1))).unzip();
    for key in equal..equal + differing {
        match key % 5 {
            0 => {
                source.push((key, 1));
                replica.push((key, 2));
            }
            1 => source.push((key, 1)),
            2 => replica.push((key, 1)),
            3 => {
                source.push((key, 1));
                replica.extend([(key, 1), (key, 1), (key, 1)]);
            }
            // A duplicated row of which the replica has one copy, and another value.
            _ => {
                source.extend([(key, 1), (key, 1)]);
                replica.extend([(key, 1), (key, 3)]);
            }
        }
    }
    (source, replica)
}

#[rstest]
fn everything_planted_is_named_up_to_capacity(
    #[values(64, 512, 4_096)] slots: u32,
    #[values(0, 1, 2, 3)] form: usize,
    #[values(1, 10, 50, 90)] percent: u64,
) {
    let form = FORMS[form];
    let capacity = Capacity::from_slots(slots).unwrap();
    let mut keys = capacity.differences() * percent / 100;
    if form == KeyForm::WholeRow {
        // A change is one row lost and one extra there.
        keys = keys * 5 / 7;
    }
    let spec = spec(form);
    let (source, replica) = planted(1_000, keys);
    let result = compare(&digest(&spec, capacity, &source), &digest(&spec, capacity, &replica)).unwrap();
    assert!(result.complete, "{keys} differences: {} found", result.found.len());
    assert_eq!(result.found, expected(&spec, &source, &replica));
    let net: i128 = result
        .found
        .iter()
        .map(|f| match f.class {
            Class::Lost => i128::from(f.copies),
            Class::Extra => -i128::from(f.copies),
            Class::Changed => 0,
        })
        .sum();
    assert_eq!(net, result.net_lost);
    assert!(i128::from(result.lost_at_least) - i128::from(result.extra_at_least) == result.net_lost);
}

#[rstest]
fn a_digest_read_from_a_file_names_the_same(#[values(0, 1, 2, 3)] form: usize) {
    let spec = spec(FORMS[form]);
    let (source, replica) = planted(500, 60);
    let mut file = Vec::new();
    digest(&spec, Capacity::default(), &source).write_to(&mut file).unwrap();
    let mut stored = Digest::read_from(file.as_slice()).unwrap();
    let live = digest(&spec, Capacity::default(), &replica);
    let with_live_keys = compare(&stored, &live).unwrap();
    let mut other = Vec::new();
    live.write_to(&mut other).unwrap();
    let without_keys = compare(&stored, &Digest::read_from(other.as_slice()).unwrap()).unwrap();
    stored.attach(&spec).unwrap();
    assert_eq!(with_live_keys, without_keys);
    assert_eq!(with_live_keys.found, expected(&spec, &source, &replica));
}

#[rstest]
fn rows_are_found_again_by_what_the_sketch_names(
    #[values(0, 1, 2, 3)] form: usize,
    #[values(false, true)] blind: bool,
) {
    let form = FORMS[form];
    let spec = spec(form);
    let (source, replica) = planted(700, 60);
    let (mut ours, theirs) =
        (digest(&spec, Capacity::default(), &source), digest(&spec, Capacity::default(), &replica));
    if blind {
        ours = ours.blind();
    }
    let result = compare(&ours, &theirs).unwrap();
    assert!(result.complete && !result.found.is_empty());
    if blind {
        assert!(result.found.iter().all(|found| matches!(found.key, FoundKey::Fingerprint(_))));
    }
    let wanted: Vec<FoundKey> = result.found.iter().map(|found| found.key.clone()).collect();
    let locator = Locator::new(Arc::clone(&spec), &wanted);
    let differing: BTreeSet<Row> =
        crate::support::oracle(form, &source, &replica).into_iter().map(|(row, ..)| row).collect();
    let id = |row: &Row| if form == KeyForm::WholeRow { *row } else { (row.0, 0) };
    let mut seen = BTreeSet::new();
    for rows in [&source, &replica] {
        let matches = locator.matches(&block(form, rows)).unwrap();
        let hit: Vec<usize> = matches.iter().map(|(row, _)| *row).collect();
        let should: Vec<usize> = (0..rows.len()).filter(|row| differing.contains(&id(&rows[*row]))).collect();
        assert_eq!(hit, should);
        for (row, key) in matches {
            assert!(wanted.contains(&key));
            if !blind {
                assert_eq!(key, found_key(&spec, rows[row]));
            }
            seen.insert(key);
        }
    }
    assert_eq!(seen.len(), wanted.len(), "every wanted key is found somewhere");
}

#[test]
fn sketches_of_different_sizes_are_folded_to_the_smaller() {
    let spec = spec(KeyForm::Inline8);
    let (source, replica) = planted(100, 60);
    let big = digest(&spec, Capacity::from_slots(65_536).unwrap(), &source);
    let small = digest(&spec, Capacity::MIN, &replica);
    assert_eq!(compare(&big, &small).unwrap().found, expected(&spec, &source, &replica));
    let swapped = compare(&small, &big).unwrap();
    assert_eq!(swapped.found, expected(&spec, &replica, &source));
}

#[rstest]
#[case::two_copies(1)]
#[case::a_thousand(999)]
#[case::a_power_of_two(1 << 10)]
#[case::many(100_000)]
fn exact_duplicates_are_counted(#[case] more: usize) {
    for form in FORMS {
        let spec = spec(form);
        let replica = vec![(5, 1); more + 1];
        let result =
            compare(&digest(&spec, Capacity::MIN, &[(5, 1)]), &digest(&spec, Capacity::MIN, &replica)).unwrap();
        assert!(result.complete && !result.equal, "{form:?}");
        assert_eq!((result.found[0].class, result.found[0].copies), (Class::Extra, more as u64));
    }
}

#[test]
fn digests_that_say_nothing_about_each_other_are_incomparable_by_name() {
    let inline = spec(KeyForm::Inline8);
    let other = spec(KeyForm::Inline16);
    let (a, mut b) = (digest(&inline, Capacity::MIN, &[]), digest(&other, Capacity::MIN, &[]));
    b.header.dataset = "other".into();
    let error = compare(&a, &b).unwrap_err();
    let fields: Vec<&str> = error.fields.iter().map(|delta| delta.field).collect();
    assert_eq!(fields, ["dataset", "columns", "key_form"]);
    assert!(error.to_string().starts_with("the digests cannot be compared: dataset is \"test.rows\" on the source"));
}
