//! Too many differences: reported as incomplete, never named wrongly.

use crate::support::{FORMS, Row, digest, key_bytes, spec, sums};
use paritas_digest::{Capacity, FoundKey, KeyForm, compare, decode};
use paritas_model::Class;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::HashMap;

/// Trials: few in an ordinary test run, as many as `PARITAS_TRIALS` says otherwise.
fn trials() -> u64 {
    std::env::var("PARITAS_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

#[test]
fn an_overloaded_sketch_never_names_a_wrong_row() {
    let mut complete = 0;
    for trial in 0..trials() {
        let mut random = StdRng::seed_from_u64(trial);
        let form = [KeyForm::Inline8, KeyForm::Inline16][(trial % 2) as usize];
        let spec = spec(form);
        // From comfortable to hopeless: 216 cells, so that 140 to 190 differences are on the brink.
        let count = random.random_range(100..400);
        let mut truth = HashMap::new();
        let (mut source, mut replica): (Vec<Row>, Vec<Row>) = (Vec::new(), Vec::new());
        for _ in 0..count {
            // Small keys share most of their limbs, which is the harder case for the purity test.
            let key = if random.random_bool(0.5) { random.random_range(0..10_000) } else { random.random() };
            let copies = 1 + random.random_range(0..20) / 19;
            let (class, copies) = match random.random_range(0..3) {
                0 => (Class::Changed, 1),
                1 => (Class::Lost, copies),
                _ => (Class::Extra, copies),
            };
            if truth.insert(key_bytes(form, key), (class, copies)).is_some() {
                // Drawn twice: what was pushed for it no longer is what is written down.
                truth.remove(&key_bytes(form, key));
                source.retain(|row| row.0 != key);
                replica.retain(|row| row.0 != key);
                continue;
            }
            match class {
                Class::Changed => {
                    source.push((key, 1));
                    replica.push((key, 2));
                }
                Class::Lost => source.extend((0..copies).map(|_| (key, 1))),
                Class::Extra => replica.extend((0..copies).map(|_| (key, 1))),
            }
        }
        let mut delta = sums(&spec, Capacity::MIN, &source);
        delta.subtract(&sums(&spec, Capacity::MIN, &replica)).unwrap();
        let decoded = decode(&spec, &delta);
        for found in &decoded.found {
            let FoundKey::Inline(key) = &found.key else { panic!("trial {trial}: {found:?}") };
            assert_eq!(truth.get(key), Some(&(found.class, found.copies)), "trial {trial}: {found:?}");
        }
        assert_eq!(decoded.complete, decoded.found.len() == truth.len(), "trial {trial}");
        assert!(decoded.complete || decoded.unexplained_buckets > 0, "trial {trial}");
        complete += u64::from(decoded.complete);
    }
    assert!(complete > trials() / 20 && complete < trials() / 2, "{complete} of {} were decoded", trials());
}

#[test]
fn the_stated_capacity_is_decoded_almost_always() {
    for (slots, rounds) in [(64, trials() / 4), (128, trials() / 8), (512, trials() / 40)] {
        let capacity = Capacity::from_slots(slots).unwrap();
        let spec = spec(KeyForm::Inline8);
        let failed = (0..rounds).filter(|round| {
            let first = round * 1_000_000;
            let rows: Vec<Row> = (first..first + capacity.differences()).map(|key| (key, 1)).collect();
            !decode(&spec, &sums(&spec, capacity, &rows)).complete
        });
        let failed = failed.count() as u64;
        assert!(failed * 2_000 <= rounds, "{slots} slots: {failed} of {rounds} not decoded");
    }
}

#[test]
fn far_too_many_differences_are_estimated() {
    for form in FORMS {
        let spec = spec(form);
        let source: Vec<Row> = (0..12_000).map(|key| (key, 1)).collect();
        let result = compare(&digest(&spec, Capacity::MIN, &source), &digest(&spec, Capacity::MIN, &[])).unwrap();
        assert!(!result.complete && !result.equal);
        let estimate = *result.estimate.value().unwrap() as f64;
        assert!((estimate / 12_000.0 - 1.0).abs() < 0.1, "{form:?}: {estimate}");
        assert_eq!((result.net_lost, result.lost_at_least, result.extra_at_least), (12_000, 12_000, 0));
        let large = digest(&spec, Capacity::from_slots(65_536).unwrap(), &source);
        let empty = digest(&spec, Capacity::from_slots(65_536).unwrap(), &[]);
        assert_eq!(compare(&large, &empty).unwrap().found.len(), 12_000);
    }
}

#[test]
fn a_saturated_digest_says_that_it_cannot_estimate() {
    let spec = spec(KeyForm::Inline8);
    let side = |value| (0..60_000).map(|key| (key, value)).collect::<Vec<Row>>();
    let result = compare(&digest(&spec, Capacity::MIN, &side(1)), &digest(&spec, Capacity::MIN, &side(2))).unwrap();
    assert!(result.estimate.why().unwrap().contains("more than about"), "{:?}", result.estimate);
    assert_eq!(result.dirty.len(), paritas_digest::BUCKETS);
}
