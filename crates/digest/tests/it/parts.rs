//! Parts of a dataset, as lists of rows or as sums, add up to the digest and can be taken out of it.

use crate::support::{FORMS, Row, block, spec, sums};
use paritas_digest::{Capacity, KeyForm, PartSum, PartSummer, Spec, Sums};
use proptest::prelude::*;
use std::sync::Arc;

const CAPACITY: Capacity = Capacity::MIN;

fn rows(most: u64) -> impl Strategy<Value = Vec<Row>> {
    (0..most, any::<u32>()).prop_map(|(count, salt)| {
        (0..count).map(|row| (row * 7 + u64::from(salt % 5), salt.wrapping_add(row as u32) % 9)).collect()
    })
}

fn part(spec: &Arc<Spec>, rows: &[Row], block_rows: usize) -> PartSum {
    let mut summer = PartSummer::new(Arc::clone(spec), CAPACITY);
    for rows in rows.chunks(block_rows) {
        summer.add(&block(spec.key_form(), rows)).unwrap();
    }
    summer.finish()
}

fn added(spec: &Spec, parts: &[&PartSum]) -> Sums {
    let mut total = Sums::new(spec.key_form(), CAPACITY);
    parts.iter().for_each(|part| part.add_to(&mut total).unwrap());
    total
}

fn form() -> impl Strategy<Value = KeyForm> {
    prop::sample::select(FORMS.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parts_of_any_size_add_what_their_rows_add_and_come_back_from_bytes(
        form in form(), a in rows(9_000), b in rows(300), size in 1..5_000_usize,
    ) {
        let spec = spec(form);
        let [first, second] = [&a, &b].map(|rows| {
            let part = part(&spec, rows, size);
            assert_eq!(part.rows(), rows.len() as u64);
            let bytes = part.encode(&spec);
            // A form (1 byte), and in front of sums the number of rows.
            assert!(bytes.len() as u64 <= PartSum::bytes_of(&spec, CAPACITY, part.rows()) + 9);
            let again = PartSum::decode(&spec, CAPACITY, &bytes).unwrap();
            assert!(again.is_same(&spec, &part) && again.rows() == part.rows());
            again
        });
        let both: Vec<Row> = a.iter().chain(&b).copied().collect();
        let whole = sums(&spec, CAPACITY, &both);
        prop_assert_eq!(&added(&spec, &[&first, &second]), &whole);
        let mut merged = first.clone();
        merged.merge(&spec, second.clone()).unwrap();
        prop_assert_eq!(&added(&spec, &[&merged]), &whole);
        // The form depends on the number of rows alone.
        prop_assert_eq!(merged.encode(&spec).first().copied(), part(&spec, &both, 777).encode(&spec).first().copied());
        let mut rest = whole;
        rest.subtract(&added(&spec, &[&first])).unwrap();
        prop_assert_eq!(rest, sums(&spec, CAPACITY, &b));
    }

    #[test]
    fn another_row_makes_another_part(form in form(), a in rows(9_000), at in any::<prop::sample::Index>()) {
        prop_assume!(!a.is_empty());
        let spec = spec(form);
        let mut changed = a.clone();
        let row = at.index(a.len());
        changed[row].1 ^= 1;
        let (one, other) = (part(&spec, &a, 1_000), part(&spec, &changed, 1_000));
        prop_assert!(one.is_same(&spec, &part(&spec, &a, 333)));
        prop_assert!(!one.is_same(&spec, &other));
    }

    #[test]
    fn no_bytes_make_it_panic_and_a_cut_is_no_part(
        form in form(), a in rows(6_000), cut in 1..50_usize, any in any::<Vec<u8>>(),
    ) {
        let spec = spec(form);
        let bytes = part(&spec, &a, 1_000).encode(&spec);
        prop_assert!(PartSum::decode(&spec, CAPACITY, &bytes[..bytes.len() - cut.min(bytes.len())]).is_none());
        let _ = PartSum::decode(&spec, CAPACITY, &any);
    }
}
