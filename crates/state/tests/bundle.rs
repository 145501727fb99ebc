//! Snapshots of datasets are there whole or not at all, and every change of one is seen.
#![allow(clippy::unwrap_used, clippy::panic)]

use paritas_digest::{
    Canon, CanonColumn, CanonKind, Capacity, Digest, DigestKey, HeaderFacts, KeyForm, Policies, Slot, Spec, Sums,
    schema_fingerprint,
};
use paritas_model::{Known, Schema};
use paritas_state::{Bundle, State, Which};
use serde_json::json;
use std::path::{Path, PathBuf};
use ulid::Ulid;

const LINK: &str = "trading";

fn state() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path().join("state")).unwrap();
    (dir, state)
}

fn digest(dataset: &str) -> Digest {
    let canon = Canon {
        kind: CanonKind::Logical,
        columns: vec![CanonColumn { name: "id".into(), slot: Slot::Int }],
        key_columns: 1,
        policies: Policies::default(),
    };
    let spec = Spec::new(&DigestKey::unkeyed(), dataset, canon).unwrap();
    let sums = Sums::new(KeyForm::Inline8, Capacity::for_differences(1));
    let schema = schema_fingerprint(&Schema::default());
    let facts = HeaderFacts { schema, position: Known::unknown("a test"), store: "pg-east".into() };
    Digest::taken_at(&spec, facts, sums, "2026-11-21T12:00:00Z".into())
}

fn id(number: u64) -> Ulid {
    Ulid::from_parts(number, 1)
}

fn take(state: &State, number: u64) -> PathBuf {
    let mut writer = state.begin_bundle(LINK, id(number)).unwrap();
    assert_eq!(writer.add(&digest("public.orders")).unwrap(), 0);
    assert_eq!(writer.add(&digest("public.fills")).unwrap(), 1);
    writer.finish(json!({"number": number})).unwrap().0
}

fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn digests_and_the_document_come_back_as_they_were() {
    let (_dir, state) = state();
    let path = take(&state, 7);
    let (found, bundle) = state.load_bundle(LINK, Which::Last).unwrap();
    assert_eq!((found, bundle.document()), (id(7), &json!({"number": 7})));
    assert_eq!(bundle.digest(1).unwrap().header.dataset, "public.fills");
    assert_eq!(bundle.digest(0).unwrap().root().unwrap(), digest("public.orders").root().unwrap());
    assert_eq!(bundle.digest(2).unwrap_err().code(), "state.damaged");
    assert_eq!(Bundle::open(&path).unwrap().bytes(), std::fs::metadata(&path).unwrap().len());
}

#[test]
fn one_that_was_not_finished_is_not_there_and_the_old_one_stays() {
    let (_dir, state) = state();
    assert_eq!(state.load_bundle(LINK, Which::Last).unwrap_err().code(), "state.missing");
    let path = take(&state, 1);
    let mut writer = state.begin_bundle(LINK, id(2)).unwrap();
    writer.add(&digest("public.orders")).unwrap();
    assert_eq!(state.load_bundle(LINK, Which::Last).unwrap().0, id(1));
    drop(writer);
    assert_eq!(state.load_bundle(LINK, Which::Id(id(2))).unwrap_err().code(), "state.missing");
    assert_eq!(names(path.parent().unwrap()), 1);
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let (_dir, state) = state();
    for number in 0..103 {
        let writer = state.begin_bundle(LINK, id(number)).unwrap();
        writer.finish(json!({})).unwrap();
    }
    let kept = state.list_bundles(LINK).unwrap();
    assert_eq!((kept.len(), kept.first().copied()), (100, Some(id(3))));
}

#[test]
fn every_cut_and_every_flipped_byte_is_seen() {
    let (dir, state) = state();
    let whole = std::fs::read(take(&state, 1)).unwrap();
    let other = dir.path().join("other.snapshot");
    let code = |bytes: &[u8]| {
        std::fs::write(&other, bytes).unwrap();
        Bundle::open(&other).unwrap_err().code()
    };
    let length = whole.len();
    for cut in (0..200).chain((200..length).step_by(4_999)).chain(length - 100..length) {
        let expected = if cut < 8 { "state.foreign" } else { "state.damaged" };
        assert_eq!(code(&whole[..cut]), expected, "{cut} bytes");
    }
    for at in (0..20).chain((20..length).step_by(4_999)).chain(length - 100..length) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let expected = match at {
            0..8 => "state.foreign",
            8..12 => "state.version",
            _ => "state.damaged",
        };
        assert_eq!(code(&bytes), expected, "byte {at}");
    }
    assert_eq!(code(&[whole.as_slice(), b"x"].concat()), "state.damaged");
    assert_eq!(code(b"{\"json\":1}"), "state.foreign");
}
