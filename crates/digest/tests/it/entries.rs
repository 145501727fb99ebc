//! Rows that are remembered one by one add up to the digest, and can be taken out of it.

use crate::support::{FORMS, Row, block, spec, sums};
use paritas_digest::{Capacity, KeyForm, Recorder, RowEntries, Spec, Sums};
use proptest::prelude::*;
use std::sync::Arc;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((0..40_u64, 0..4_u32), 0..600)
}

fn form() -> impl Strategy<Value = KeyForm> {
    prop::sample::select(FORMS.to_vec())
}

fn entries(spec: &Arc<Spec>, rows: &[Row]) -> RowEntries {
    let mut entries = RowEntries::default();
    let mut recorder = Recorder::new(Arc::clone(spec));
    let mut next = 0;
    recorder
        .record(&block(spec.key_form(), rows), &mut |row, entry| {
            assert_eq!(row, next);
            next += 1;
            entries.push(entry);
        })
        .unwrap();
    entries
}

fn added(spec: &Spec, capacity: Capacity, parts: &[&RowEntries]) -> Sums {
    let mut total = Sums::new(spec.key_form(), capacity);
    for part in parts {
        total.add_entries(part);
    }
    total
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_was_written_down_adds_what_the_rows_add(form in form(), a in rows(), b in rows()) {
        let spec = spec(form);
        let capacity = Capacity::MIN;
        let [first, second] = [&a, &b].map(|rows| {
            let entries = entries(&spec, rows);
            let bytes = entries.encode(&spec);
            assert!(bytes.len() as u64 <= RowEntries::bytes_of(&spec, entries.rows()));
            let again = RowEntries::decode(&spec, &bytes).unwrap();
            assert_eq!(again, entries);
            again
        });
        let both: Vec<Row> = a.iter().chain(&b).copied().collect();
        let whole = sums(&spec, capacity, &both);
        prop_assert_eq!(&added(&spec, capacity, &[&first, &second]), &whole);
        let mut rest = whole;
        rest.subtract(&added(&spec, capacity, &[&first])).unwrap();
        prop_assert_eq!(rest, sums(&spec, capacity, &b));
    }

    #[test]
    fn the_same_rows_are_so_in_any_order_and_no_others_are(form in form(), a in rows(), b in rows()) {
        let spec = spec(form);
        let mut backwards = a.clone();
        backwards.reverse();
        let [one, other, more] = [&a, &backwards, &b].map(|rows| entries(&spec, rows));
        prop_assert!(one.is_same(&other));
        let sorted = |rows: &[Row]| { let mut rows = rows.to_vec(); rows.sort_unstable(); rows };
        prop_assert_eq!(one.is_same(&more), sorted(&a) == sorted(&b));
    }

    #[test]
    fn no_bytes_make_it_panic_and_a_cut_is_no_rows(form in form(), a in rows(), cut in 1..50_usize, any in any::<Vec<u8>>()) {
        let spec = spec(form);
        let bytes = entries(&spec, &a).encode(&spec);
        let end = bytes.len().saturating_sub(cut);
        prop_assert!(RowEntries::decode(&spec, &bytes[..end]).is_none());
        let _ = RowEntries::decode(&spec, &any);
    }
}
