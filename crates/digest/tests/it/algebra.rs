//! Sums are a commutative group, and agree with sorting and comparing.

use crate::support::{FORMS, Row, block, digest, expected, oracle, spec, sums};
use paritas_digest::{Capacity, Digester, KeyForm, Sums, compare, decode};
use proptest::prelude::*;
use std::sync::Arc;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    // Few keys and values, so that duplicates and equal keys occur all the time.
    prop::collection::vec((0..40_u64, 0..4_u32), 0..60)
}

fn form() -> impl Strategy<Value = KeyForm> {
    prop::sample::select(FORMS.to_vec())
}

fn small() -> Capacity {
    Capacity::from_slots(128).unwrap()
}

fn merged(mut a: Sums, b: &Sums) -> Sums {
    a.merge(b).unwrap();
    a
}

fn subtracted(mut a: Sums, b: &Sums) -> Sums {
    a.subtract(b).unwrap();
    a
}

fn folded(mut a: Sums) -> Sums {
    assert!(a.fold());
    a
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn merging_is_commutative_and_associative(form in form(), a in rows(), b in rows(), c in rows()) {
        let spec = spec(form);
        let [a, b, c] = [a, b, c].map(|rows| sums(&spec, small(), &rows));
        prop_assert_eq!(merged(a.clone(), &b), merged(b.clone(), &a));
        prop_assert_eq!(merged(merged(a.clone(), &b), &c), merged(a, &merged(b, &c)));
    }

    #[test]
    fn zero_is_neutral_and_subtracting_undoes_merging(form in form(), a in rows(), b in rows()) {
        let spec = spec(form);
        let [a, b] = [a, b].map(|rows| sums(&spec, small(), &rows));
        prop_assert_eq!(&merged(a.clone(), &Sums::new(form, small())), &a);
        prop_assert_eq!(&subtracted(merged(a.clone(), &b), &b), &a);
        prop_assert!(subtracted(a.clone(), &a).is_zero());
    }

    #[test]
    fn folding_commutes_with_merging(form in form(), a in rows(), b in rows()) {
        let spec = spec(form);
        let [x, y] = [&a, &b].map(|rows| sums(&spec, small(), rows));
        prop_assert_eq!(folded(merged(x.clone(), &y)), merged(folded(x.clone()), &folded(y)));
        prop_assert_eq!(folded(x), sums(&spec, Capacity::MIN, &a));
    }

    #[test]
    fn blinding_commutes_with_merging_and_folding(form in form(), a in rows(), b in rows()) {
        let spec = spec(form);
        let [a, b] = [a, b].map(|rows| sums(&spec, small(), &rows));
        let blind = |mut sums: Sums| { sums.blind(); sums };
        prop_assert_eq!(blind(merged(a.clone(), &b)), merged(blind(a.clone()), &blind(b)));
        prop_assert_eq!(blind(folded(a.clone())), folded(blind(a)));
    }

    #[test]
    fn neither_order_nor_splits_nor_blocks_matter(form in form(), rows in rows(), cut in 0..60_usize) {
        let spec = spec(form);
        let whole = sums(&spec, small(), &rows);
        let mut shuffled = rows.clone();
        shuffled.reverse();
        shuffled.rotate_left(cut.min(rows.len()));
        let (left, right) = shuffled.split_at(cut.min(rows.len()));
        prop_assert_eq!(&merged(sums(&spec, small(), left), &sums(&spec, small(), right)), &whole);
        let mut digester = Digester::new(Arc::clone(&spec), small());
        for row in &shuffled {
            digester.add(&block(form, &[*row])).unwrap();
        }
        prop_assert_eq!(digester.finish(), whole);
    }

    #[test]
    fn subtracting_old_and_adding_new_rows_equals_reading_again(
        form in form(), before in rows(), removed in 0..60_usize, added in rows(),
    ) {
        let spec = spec(form);
        let (gone, kept) = before.split_at(removed.min(before.len()));
        let mut current = sums(&spec, small(), &before);
        current.subtract(&sums(&spec, small(), gone)).unwrap();
        current.merge(&sums(&spec, small(), &added)).unwrap();
        prop_assert_eq!(current, sums(&spec, small(), &[kept, &added].concat()));
    }

    #[test]
    fn comparing_agrees_with_sorting(form in form(), source in rows(), replica in rows()) {
        let spec = spec(form);
        let capacity = Capacity::default();
        let result = compare(&digest(&spec, capacity, &source), &digest(&spec, capacity, &replica)).unwrap();
        let differing = oracle(form, &source, &replica);
        prop_assert_eq!(result.equal, differing.is_empty());
        prop_assert!(result.complete);
        prop_assert_eq!(result.unexplained_buckets, 0);
        prop_assert_eq!(result.estimate.value().copied(), Some(differing.len() as u64));
        prop_assert_eq!(result.net_lost, source.len() as i128 - replica.len() as i128);
        prop_assert_eq!(result.found, expected(&spec, &source, &replica));
    }

    #[test]
    fn a_second_pass_over_dirty_buckets_finds_the_same(form in form(), source in rows(), replica in rows()) {
        let spec = spec(form);
        let whole = subtracted(sums(&spec, small(), &source), &sums(&spec, small(), &replica));
        let dirty = Arc::new(whole.dirty());
        let pass = |rows: &[Row]| {
            let mut digester = Digester::new(Arc::clone(&spec), Capacity::default()).only_buckets(Arc::clone(&dirty));
            digester.add(&block(form, rows)).unwrap();
            digester.finish()
        };
        let delta = subtracted(pass(&source), &pass(&replica));
        let decoded = decode(&spec, &delta);
        prop_assert!(decoded.complete);
        prop_assert_eq!(decoded.found, expected(&spec, &source, &replica));
        prop_assert_eq!(decoded.dirty, (*dirty).clone());
    }
}

#[test]
fn sums_of_different_shapes_do_not_add_up() {
    let mut sums = Sums::new(KeyForm::Inline8, small());
    let before = sums.clone();
    let error = sums.merge(&Sums::new(KeyForm::Inline16, Capacity::MIN)).unwrap_err();
    assert_eq!(error.fields.iter().map(|delta| delta.field).collect::<Vec<_>>(), ["key_form", "sub"]);
    let mut blind = Sums::new(KeyForm::Inline8, small());
    blind.blind();
    assert_eq!(sums.subtract(&blind).unwrap_err().fields[0].field, "blind");
    assert_eq!(sums, before);
}

#[test]
fn equal_counts_and_equal_xor_do_not_make_rows_equal() {
    for form in FORMS {
        let spec = spec(form);
        let [a, b] = [[(7, 0), (7, 0), (1, 0)], [(9, 0), (9, 0), (1, 0)]].map(|rows| digest(&spec, small(), &rows));
        let result = compare(&a, &b).unwrap();
        assert!(!result.equal && result.complete && result.found.len() == 2, "{form:?}");
        assert!(result.found.iter().all(|found| found.copies == 2));
    }
}
