//! The sums of a digest file whose checksum is right: decoding ends, and two equal ones are equal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_digest::{Canon, CanonColumn, CanonKind, Capacity, Digest, DigestKey, Digester, HeaderFacts, Policies};
use paritas_digest::{Slot, Spec, compare, schema_fingerprint};
use paritas_fuzz::{Forged, Words, digest_bytes};
use paritas_model::{Known, Schema};
use std::sync::Arc;

/// Words that one input sets.
const BYTES_PER_WORD: usize = 12;

fn head(slots: Vec<Slot>, keys: usize) -> Vec<u8> {
    let columns = slots.into_iter().enumerate().map(|(at, slot)| CanonColumn { name: format!("c{at}"), slot });
    let columns = columns.collect();
    let canon = Canon { kind: CanonKind::Logical, columns, key_columns: keys, policies: Policies::default() };
    let spec = Spec::new(&DigestKey::unkeyed(), "fuzz", canon).expect("a canon");
    let sums = Digester::new(Arc::clone(&spec), Capacity::for_differences(1)).finish();
    let facts = HeaderFacts {
        schema: schema_fingerprint(&Schema::default()),
        position: Known::unknown("fuzz"),
        store: "fuzz".into(),
    };
    let digest = Digest::taken_at(&spec, facts, sums, "2026-01-01T00:00:00Z".into());
    digest_bytes(&serde_json::to_vec(&digest.header).expect("a header"))
}

fuzz_target!(|data: &[u8]| {
    let Some((form, rest)) = data.split_first() else { return };
    let head = match form % 4 {
        0 => head(vec![Slot::Int, Slot::Text], 1),
        1 => head(vec![Slot::Uuid, Slot::Text], 1),
        2 => head(vec![Slot::Text, Slot::Text], 1),
        _ => head(vec![Slot::Int, Slot::Text], 0),
    };
    let set = rest.as_chunks::<BYTES_PER_WORD>().0.iter().map(|chunk| {
        let (place, word) = chunk.split_at(4);
        let place = u32::from_le_bytes(place.try_into().expect("four bytes"));
        (u64::from(place % (1 << 20)), u64::from_le_bytes(word.try_into().expect("eight bytes")))
    });
    let source = Digest::read_from(Forged::new(&head, Words { set: set.collect() })).expect("a right digest");
    let replica = Digest::read_from(Forged::new(&head, Words { set: Vec::new() })).expect("a right digest");
    for (a, b) in [(&source, &replica), (&replica, &source), (&source.blind(), &replica)] {
        let said = compare(a, b).expect("they have one header");
        assert!(!said.equal || (said.complete && said.found.is_empty()));
        assert!(said.equal || !said.complete || !said.found.is_empty() || said.dirty.iter().next().is_none());
    }
    assert!(compare(&source, &source).expect("it has one header").equal);
});
