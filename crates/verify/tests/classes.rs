//! Every class of difference, under every form of key, with copies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Col, Run, ints, lines, many, orders, table, texts};
use paritas_model::{Value, Verdict};
use paritas_verify::Matching;
use rstest::rstest;

type Rows<'a> = &'a [(i64, i64)];

#[rstest]
#[case::both_empty(&[], &[], &[])]
#[case::one_row(&[(1, 1)], &[(1, 1)], &[])]
#[case::other_order(&[(1, 1), (2, 2)], &[(2, 2), (1, 1)], &[])]
#[case::changed(&[(1, 1), (2, 2)], &[(1, 1), (2, 3)], &["changed 2 amount"])]
#[case::lost(&[(1, 1), (2, 2)], &[(1, 1)], &["lost 2"])]
#[case::extra(&[(1, 1)], &[(1, 1), (2, 2)], &["extra 2"])]
#[case::all_lost(&[(1, 1), (2, 2)], &[], &["lost 1", "lost 2"])]
#[case::all_extra(&[], &[(1, 1)], &["extra 1"])]
#[case::swapped(&[(1, 1), (2, 2)], &[(1, 2), (2, 1)], &["changed 1 amount", "changed 2 amount"])]
#[case::second_copy(&[(1, 1)], &[(1, 1), (1, 1)], &["extra 1"])]
#[case::copies_lost(&[(1, 1), (1, 1), (1, 1), (1, 1)], &[(1, 1)], &["lost 1 x3"])]
#[case::pairs(&[(7, 7), (7, 7), (1, 1)], &[(9, 9), (9, 9), (1, 1)], &["extra 9 x2", "lost 7 x2"])]
#[case::changed_and_copied(&[(1, 1)], &[(1, 2), (1, 2)], &["changed 1 amount", "extra 1"])]
#[case::changed_and_lost(&[(1, 1), (1, 2)], &[(1, 3)], &["changed 1 amount", "lost 1"])]
#[case::two_changed(&[(1, 1), (1, 2)], &[(1, 3), (1, 4)], &["changed 1 amount", "changed 1 amount"])]
#[case::other_copies(&[(1, 1), (1, 1), (1, 2)], &[(1, 1), (1, 2), (1, 2)], &["changed 1 amount"])]
#[tokio::test]
async fn every_class_is_named(
    #[case] source: Rows<'_>,
    #[case] replica: Rows<'_>,
    #[case] expected: &[&str],
    #[values(true, false)] by_key: bool,
    #[values(2, 0)] items_max_less: usize,
) {
    let open = |name, rows| {
        let store = common::store(name, orders(rows));
        if by_key { store } else { store.without_lookup() }
    };
    let mut run = Run::new(std::sync::Arc::new(open("east", source)), std::sync::Arc::new(open("west", replica)));
    run.items_max = if items_max_less == 0 { 0 } else { run.items_max };
    let outcome = run.go().await;
    assert!(outcome.problem.is_none() && outcome.complete, "{outcome:?}");
    assert_eq!(outcome.verdict(), if expected.is_empty() { Verdict::Pass } else { Verdict::Fail });
    let copies = |line: &&str| line.rsplit_once(" x").map_or(1, |(_, n)| n.parse::<u64>().unwrap());
    let count = |class: &str| expected.iter().filter(|line| line.starts_with(class)).map(copies).sum::<u64>();
    let counts = outcome.counts;
    assert_eq!(
        (counts.lost, counts.extra, counts.changed, counts.unsettled()),
        (count("lost"), count("extra"), count("changed"), 0)
    );
    if run.items_max == 0 {
        assert_eq!((outcome.items.len(), outcome.items_truncated), (0, !expected.is_empty()));
    } else {
        assert_eq!(lines(&outcome), expected);
    }
    assert_eq!((outcome.source_rows, outcome.replica_rows), (Some(source.len() as u64), Some(replica.len() as u64)));
}

#[rstest]
#[case::changed(&[(1, 1), (2, 2)], &[(1, 1), (2, 3)], &["extra", "lost"])]
#[case::second_copy(&[(1, 1)], &[(1, 1), (1, 1)], &["extra"])]
#[case::copies_lost(&[(1, 1), (1, 1), (1, 1)], &[(1, 1)], &["lost  x2"])]
#[case::pairs(&[(7, 7), (7, 7)], &[(9, 9), (9, 9)], &["extra  x2", "lost  x2"])]
#[case::equal(&[(7, 7), (7, 7)], &[(7, 7), (7, 7)], &[])]
#[tokio::test]
async fn without_a_key_rows_are_a_multiset(
    #[case] source: Rows<'_>,
    #[case] replica: Rows<'_>,
    #[case] expected: &[&str],
) {
    let mut run = Run::of(orders(source), orders(replica));
    run.choice.matching = Matching::WholeRow;
    let outcome = run.go().await;
    assert_eq!(lines(&outcome), expected);
    assert!(outcome.complete && outcome.problem.is_none());
    assert_eq!(outcome.verdict(), if expected.is_empty() { Verdict::Pass } else { Verdict::Fail });
    for item in &outcome.items {
        assert_eq!(item.source.len() + item.replica.len(), 2, "all values of the row are shown");
    }
}

/// Rows 0..300 with a number, two texts and a value.
fn wide(rows: i64, change: impl Fn(i64) -> i64, skip: &[i64], nulls: bool) -> [(&'static str, Col); 4] {
    let ids: Vec<i64> = (0..rows).filter(|id| !skip.contains(id)).collect();
    let text = |prefix: &str| Col::Text(ids.iter().map(|id| Some(format!("{prefix}-{id}"))).collect());
    let number = ids.iter().map(|id| if nulls && id % 50 == 0 { None } else { Some(id % 250) }).collect();
    let values = ints(ids.iter().map(|id| change(*id)));
    [
        ("id", ints(ids.iter().copied())),
        ("part", Col::Int(number)),
        ("name", text("a-name-that-is-long")),
        ("v", values),
    ]
}

#[rstest]
#[case::eight_bytes(&["id"])]
#[case::sixteen_bytes(&["id", "part"])]
#[case::text(&["name"])]
#[case::composite(&["name", "id"])]
#[case::wide(&["id", "part", "name"])]
#[tokio::test]
async fn every_form_of_key_names_its_rows(
    #[case] key: &[&str],
    #[values(true, false)] nulls: bool,
    #[values(true, false)] by_key: bool,
) {
    let source = table(&wide(300, |id| id, &[299], nulls), key);
    let replica = table(&wide(300, |id| if id == 100 { -1 } else { id }, &[50, 7], nulls), key);
    let open = |name, table| {
        let store = common::store(name, table);
        if by_key { store } else { store.without_lookup() }
    };
    let run = Run::new(std::sync::Arc::new(open("east", source)), std::sync::Arc::new(open("west", replica)));
    let outcome = run.go().await;
    let ident = |id: i64| {
        let part = |name: &&str| match *name {
            "id" => id.to_string(),
            "part" if nulls && id % 50 == 0 => "NULL".to_owned(),
            "part" => (id % 250).to_string(),
            _ => format!("a-name-that-is-long-{id}"),
        };
        key.iter().map(part).collect::<Vec<_>>().join("|")
    };
    let mut expected =
        vec![format!("lost {}", ident(50)), format!("lost {}", ident(7)), format!("extra {}", ident(299))];
    expected.push(format!("changed {} v", ident(100)));
    expected.sort();
    assert_eq!(lines(&outcome), expected);
    assert_eq!(outcome.verdict(), Verdict::Fail);
}

#[tokio::test]
async fn null_empty_and_the_word_null_differ() {
    let text =
        |value: Option<&str>| table(&[("id", ints([1])), ("t", Col::Text(vec![value.map(str::to_owned)]))], &["id"]);
    for (a, b) in [(None, Some("")), (None, Some("null")), (Some(""), Some(" ")), (Some("a"), Some("a "))] {
        let outcome = Run::of(text(a), text(b)).go().await;
        assert_eq!(lines(&outcome), ["changed 1 t"], "{a:?} {b:?}");
    }
    assert_eq!(Run::of(text(None), text(None)).go().await.verdict(), Verdict::Pass);
}

#[tokio::test]
async fn a_null_key_is_a_key_like_any_other() {
    let of = |rows: &[(Option<i64>, i64)]| {
        let columns = [("id", Col::Int(rows.iter().map(|r| r.0).collect())), ("v", ints(rows.iter().map(|r| r.1)))];
        table(&columns, &["id"])
    };
    let run = Run::of(of(&[(None, 1), (Some(0), 2), (None, 3)]), of(&[(None, 3), (Some(0), 1), (None, 2)]));
    let outcome = run.go().await;
    assert_eq!(lines(&outcome), ["changed 0 v", "changed NULL v"]);
}

#[tokio::test]
async fn values_of_both_sides_are_shown_for_the_columns_that_differ() {
    let of = |v: i64, t: &str| {
        table(&[("id", ints([5])), ("same", ints([1])), ("t", texts([t])), ("v", ints([v]))], &["id"])
    };
    let outcome = Run::of(of(1, "x"), of(2, "y")).go().await;
    let item = outcome.items.first().unwrap();
    assert_eq!(item.key, [("id".to_owned(), Value::Int(5))]);
    assert_eq!(item.columns, ["t", "v"]);
    assert_eq!(item.source, [("t".to_owned(), "x".into()), ("v".to_owned(), Value::Int(1))]);
    assert_eq!(item.replica, [("t".to_owned(), "y".into()), ("v".to_owned(), Value::Int(2))]);
}

#[tokio::test]
async fn a_cut_list_leaves_the_counts_whole() {
    let source: Vec<(i64, i64)> = many(500);
    // Under every fourth key: one row changed and one copy lost, which sums alone take for one loss.
    let doubled: Vec<_> = source.iter().chain(source.iter().filter(|r| r.0 % 4 == 0)).copied().collect();
    let replica: Vec<_> = source.iter().map(|(id, v)| (*id, if id % 4 == 0 { -1 } else { *v })).collect();
    for by_key in [true, false] {
        let open = |name, rows: &[(i64, i64)]| {
            let store = common::store(name, orders(rows));
            if by_key { store } else { store.without_lookup() }
        };
        let stores = (open("east", &doubled), open("west", &replica));
        let mut run = Run::new(std::sync::Arc::new(stores.0), std::sync::Arc::new(stores.1));
        run.items_max = 7;
        let outcome = run.go().await;
        assert_eq!((outcome.items.len(), outcome.items_truncated), (7, true));
        assert_eq!((outcome.counts.changed, outcome.counts.lost, outcome.counts.extra), (125, 125, 0));
    }
}
