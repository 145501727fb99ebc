//! A stored digest in place of the source.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{DATASET, Run, at, faulty, lines, many, orders, side, store, table};
use paritas_connect::{Call, FailureKind, Fault, MemoryStore, MemoryTable, Rule, Store, When};
use paritas_digest::{Digest, DigestKey};
use paritas_model::{Dataset, Known, Verdict};
use paritas_verify::rows::{Origin, Outcome};
use paritas_verify::stored::{Request, verify};
use rstest::rstest;
use std::collections::BTreeMap;
use std::sync::Arc;

async fn digest_of(table: MemoryTable, key: &[&str]) -> Digest {
    let digest = Run::of(table.clone(), table).key(key).go().await.digest.unwrap();
    // As it comes back from a file.
    let mut bytes = Vec::new();
    digest.write_to(&mut bytes).unwrap();
    Digest::read_from(bytes.as_slice()).unwrap()
}

async fn against(
    digest: &Digest,
    replica: Arc<dyn Store>,
    rename: &[(&str, &str)],
) -> paritas_connect::Result<Outcome> {
    let replica = side(replica);
    let rename: BTreeMap<String, String> = rename.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let request = Request {
        digest,
        replica: &replica,
        dataset: &Dataset(DATASET.to_owned()),
        rename: &rename,
        filter: None,
        read_filter: None,
        key: &DigestKey::unkeyed(),
        since: None,
        items_max: 1_000,
        watch: &|_| (),
    };
    verify(&request).await.map(|compared| compared.outcome)
}

fn west(rows: &[(i64, i64)]) -> MemoryStore {
    store("west", orders(rows))
}

#[tokio::test]
async fn lost_changed_and_extra_rows_are_named_without_the_source() {
    let digest = digest_of(orders(&many(500)), &[]).await;
    let equal = against(&digest, Arc::new(west(&many(500))), &[]).await.unwrap();
    assert_eq!((equal.verdict(), equal.complete, equal.items.len()), (Verdict::Pass, true, 0));

    let mut rows = many(499);
    rows.push((1_000, 1));
    rows.first_mut().unwrap().1 = -1;
    for by_key in [true, false] {
        let store = if by_key { west(&rows) } else { west(&rows).without_lookup() };
        let outcome = against(&digest, Arc::new(store), &[]).await.unwrap();
        assert_eq!(lines(&outcome), ["changed 0", "extra 1000", "lost 499"]);
        assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Fail, true));
        assert_eq!((outcome.source_rows, outcome.replica_rows), (Some(500), Some(500)));
        assert!(outcome.items.iter().all(|item| item.note.is_some()));
    }
}

#[tokio::test]
async fn a_digest_of_filtered_rows_is_not_compared_with_all_rows() {
    let digest = digest_of(orders(&many(5)), &[]).await.filtered(Some("id < 9".to_owned()));
    let mut bytes = Vec::new();
    digest.write_to(&mut bytes).unwrap();
    let digest = Digest::read_from(bytes.as_slice()).unwrap();
    let error = against(&digest, Arc::new(west(&many(5))), &[]).await.unwrap_err();
    assert_eq!(error.code(), "digest.incomparable");
    assert!(error.detail_text().unwrap().contains("id < 9") && error.hint_text().is_some());
}

#[tokio::test]
async fn a_lost_row_with_a_long_key_is_known_by_its_fingerprint() {
    let of = |rows: i64| {
        let names = common::Col::Text((0..rows).map(|id| Some(format!("a-long-name-{id}"))).collect());
        table(&[("name", names), ("v", common::ints(0..rows))], &["name"])
    };
    let digest = digest_of(of(50), &[]).await;
    let outcome = against(&digest, Arc::new(store("west", of(49))), &[]).await.unwrap();
    assert_eq!((outcome.verdict(), outcome.counts.lost), (Verdict::Fail, 1));
    let item = outcome.items.first().unwrap();
    assert_eq!(item.key.first().unwrap().0, "fingerprint");
    let outcome = against(&digest_of(of(49), &[]).await, Arc::new(store("west", of(50))), &[]).await.unwrap();
    assert_eq!(lines(&outcome), ["extra a-long-name-49"]);
}

#[tokio::test]
async fn more_than_the_digest_can_name_fails_and_is_not_complete() {
    let digest = digest_of(orders(&many(5_000)), &[]).await;
    let wrong: Vec<_> = many(5_000).iter().map(|(id, v)| (*id, v + 1)).collect();
    let outcome = against(&digest, Arc::new(west(&wrong)), &[]).await.unwrap();
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Fail, false));
    assert!(outcome.notes.iter().any(|note| note.contains("larger capacity")), "{:?}", outcome.notes);
}

#[rstest]
#[case::open(Call::Open, FailureKind::Permanent, Verdict::Unknown)]
#[case::read(Call::Read, FailureKind::Transient, Verdict::Unknown)]
#[case::damage(Call::Read, FailureKind::Damaged, Verdict::Fail)]
#[tokio::test]
async fn a_failing_replica_is_a_problem_of_the_replica(
    #[case] call: Call,
    #[case] kind: FailureKind,
    #[case] verdict: Verdict,
) {
    let digest = digest_of(orders(&many(300)), &[]).await;
    let rule = Rule::new(call, When::Always, Fault::Fail(kind, "test.gone"));
    let outcome = against(&digest, faulty(&west(&many(300)), vec![rule]), &[]).await.unwrap();
    assert_eq!((outcome.verdict(), outcome.complete), (verdict, false));
    assert_eq!(outcome.problem.unwrap().0, Origin::Replica);
}

#[tokio::test]
async fn an_error_while_locating_keeps_what_was_found() {
    let digest = digest_of(orders(&many(300)), &[]).await;
    let rule = Rule::new(Call::Fetch, When::Always, Fault::Fail(FailureKind::Permanent, "test.gone"));
    let mut rows = many(299);
    rows.push((999, 9));
    let outcome = against(&digest, faulty(&west(&rows), vec![rule]), &[]).await.unwrap();
    assert_eq!(lines(&outcome), ["extra 999", "lost 299"]);
    assert_eq!((outcome.verdict(), outcome.complete), (Verdict::Fail, false));
}

#[tokio::test]
async fn renamed_columns_are_read_under_their_names_on_the_replica() {
    let digest = digest_of(orders(&[(1, 1)]), &[]).await;
    let replica = || store("west", table(&[("nr", common::ints([1])), ("sum", common::ints([1]))], &[]));
    let outcome = against(&digest, Arc::new(replica()), &[("id", "nr"), ("amount", "sum")]).await.unwrap();
    assert_eq!(outcome.verdict(), Verdict::Pass);
    let outcome = against(&digest, Arc::new(replica()), &[]).await.unwrap();
    assert_eq!(outcome.verdict(), Verdict::Unknown);
    assert!(outcome.problem.is_some());
}

#[tokio::test]
async fn a_column_of_another_type_is_unknown_and_never_a_pass() {
    let digest = digest_of(orders(&[(1, 1)]), &[]).await;
    let replica = store("west", table(&[("id", common::ints([1])), ("amount", common::texts(["1"]))], &[]));
    let outcome = against(&digest, Arc::new(replica), &[]).await.unwrap();
    assert_eq!(outcome.verdict(), Verdict::Unknown);
}

#[tokio::test]
async fn a_digest_of_another_key_is_refused() {
    let digest = digest_of(orders(&[(1, 1)]), &[]).await;
    let replica = side(Arc::new(west(&[(1, 1)])));
    let request = Request {
        digest: &digest,
        replica: &replica,
        dataset: &Dataset(DATASET.to_owned()),
        rename: &BTreeMap::new(),
        filter: None,
        read_filter: None,
        key: &DigestKey::derive(b"another"),
        since: None,
        items_max: 10,
        watch: &|_| (),
    };
    assert_eq!(verify(&request).await.unwrap_err().code(), "digest.key");
}

#[rstest]
#[case::same(10, "sys/1", None)]
#[case::further(11, "sys/1", Some("written in between"))]
#[case::behind(9, "sys/1", Some("is missing"))]
#[case::promoted(11, "sys/2", Some("left the history"))]
#[tokio::test]
async fn it_is_said_when_the_replica_stands_elsewhere(
    #[case] value: u64,
    #[case] lineage: &str,
    #[case] expected: Option<&str>,
) {
    let mut digest = digest_of(orders(&[(1, 1), (2, 2)]), &[]).await;
    digest.header.position = Known::Known(at(10));
    let replica = west(&[(1, 1)]);
    let mut position = at(value);
    lineage.clone_into(&mut position.lineage.0);
    replica.set_position(position);
    let outcome = against(&digest, Arc::new(replica), &[]).await.unwrap();
    assert_eq!(lines(&outcome), ["lost 2"]);
    let said = outcome.notes.iter().skip(1).any(|note| expected.is_some_and(|words| note.contains(words)));
    assert_eq!(said, expected.is_some(), "{:?}", outcome.notes);
}
