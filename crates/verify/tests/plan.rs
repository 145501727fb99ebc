//! What is compared with what: renames, left-out columns, types that do not meet, schemas.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Run, ints, lines, orders, table, texts};
use paritas_connect::MemoryTable;
use paritas_model::{Column, LogicalType, Schema, TimeUnit, Verdict};
use paritas_verify::{Choice, Matching, Typing, compare_schemas};
use rstest::rstest;
use std::collections::BTreeMap;

fn renames(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn named(names: [&str; 3], rows: &[(i64, i64, i64)]) -> MemoryTable {
    let [a, b, c] = names;
    let columns =
        [(a, ints(rows.iter().map(|r| r.0))), (b, ints(rows.iter().map(|r| r.1))), (c, ints(rows.iter().map(|r| r.2)))];
    table(&columns, &[a])
}

#[tokio::test]
async fn renamed_columns_are_compared_under_the_source_name() {
    let source = named(["id", "x", "y"], &[(1, 10, 20), (2, 11, 21)]);
    let replica = named(["nr", "ix", "y"], &[(1, 10, 20), (2, 12, 21)]);
    let mut run = Run::of(source, replica);
    run.choice.rename = renames(&[("id", "nr"), ("x", "ix")]);
    let outcome = run.go().await;
    assert_eq!(lines(&outcome), ["changed 2 x"]);
}

#[tokio::test]
async fn columns_may_trade_names() {
    let mut run = Run::of(named(["id", "x", "y"], &[(1, 10, 20)]), named(["id", "y", "x"], &[(1, 10, 20)]));
    run.choice.rename = renames(&[("x", "y"), ("y", "x")]);
    assert_eq!(run.go().await.verdict(), Verdict::Pass);
    run.choice.rename = BTreeMap::new();
    assert_eq!(run.go().await.verdict(), Verdict::Fail);
}

#[tokio::test]
async fn a_replica_column_is_compared_with_one_source_column_only() {
    let run = |rename: &[(&str, &str)]| {
        let mut run = Run::of(named(["id", "x", "y"], &[(1, 10, 20)]), named(["id", "x", "y"], &[(1, 10, 10)]));
        run.choice.rename = renames(rename);
        run
    };
    // x goes to y, so the source's own y has no counterpart any more.
    let plan = run(&[("x", "y")]).plan().await.unwrap();
    let left_out: Vec<&str> = plan.left_out.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(left_out, ["y", "x"]);
    assert_eq!(plan.replica.columns.iter().map(|pair| pair.own.as_str()).collect::<Vec<_>>(), ["id", "y"]);
    let error = run(&[("x", "y"), ("y", "y")]).plan().await.unwrap_err();
    assert_eq!(error.code, "dataset.columns");
}

#[tokio::test]
async fn columns_of_one_side_are_left_out_and_listed() {
    let run = Run::of(named(["id", "x", "old"], &[(1, 10, 20)]), named(["id", "x", "new"], &[(1, 10, 99)]));
    let plan = run.plan().await.unwrap();
    assert_eq!(
        plan.left_out,
        [("old".to_owned(), "not on the replica".to_owned()), ("new".to_owned(), "not on the source".to_owned())]
    );
    assert_eq!(run.go().await.verdict(), Verdict::Pass);
}

#[tokio::test]
async fn types_that_do_not_meet_are_left_out_unless_they_were_asked_for() {
    let source = table(&[("id", ints([1])), ("v", ints([1])), ("w", ints([5]))], &["id"]);
    let replica = table(&[("id", ints([1])), ("v", texts(["1"])), ("w", ints([6]))], &["id"]);
    let mut run = Run::of(source, replica);
    let plan = run.plan().await.unwrap();
    assert_eq!(plan.left_out.len(), 1);
    assert_eq!(plan.left_out.first().unwrap().0, "v");
    assert_eq!(plan.incomparable, ["v"]);
    assert_eq!(lines(&run.go().await), ["changed 1 w"]);
    run.choice.columns = vec!["id".to_owned(), "v".to_owned()];
    assert_eq!(run.plan().await.unwrap_err().code, "dataset.columns");
    run.choice.columns = Vec::new();
    assert_eq!(run.key(&["v"]).plan().await.unwrap_err().code, "dataset.columns");
}

#[rstest]
#[case::unknown_key(&["nope"], &[], &[], "dataset.key")]
#[case::key_twice(&["id", "id"], &[], &[], "dataset.key")]
#[case::key_not_chosen(&["id"], &["amount"], &[], "dataset.key")]
#[case::unknown_column(&[], &["nope"], &[], "dataset.columns")]
#[case::rename_from_nowhere(&[], &[], &[("nope", "amount")], "dataset.columns")]
#[case::rename_to_nowhere(&[], &[], &[("amount", "nope")], "dataset.columns")]
#[tokio::test]
async fn what_the_user_named_must_exist(
    #[case] key: &[&str],
    #[case] columns: &[&str],
    #[case] rename: &[(&str, &str)],
    #[case] code: &str,
) {
    let mut run = Run::of(orders(&[(1, 1)]), orders(&[(1, 1)])).key(key);
    run.choice.columns = columns.iter().map(|name| (*name).to_owned()).collect();
    run.choice.rename = renames(rename);
    let error = run.plan().await.unwrap_err();
    assert_eq!(error.code, code);
    assert!(error.hint.is_some());
}

#[tokio::test]
async fn no_common_column_is_an_error_and_never_a_pass() {
    let run = Run::of(table(&[("a", ints([1]))], &[]), table(&[("b", ints([1]))], &[]));
    assert_eq!(run.plan().await.unwrap_err().code, "dataset.columns");
}

#[tokio::test]
async fn the_key_comes_from_the_choice_then_the_source_then_the_replica() {
    let rows = [(1, 2, 3)];
    let of = |key: &[&str]| table(&[("a", ints([1])), ("b", ints([2])), ("c", ints([3]))], key);
    assert_eq!(Run::of(of(&["a"]), of(&["b"])).plan().await.unwrap().key, ["a"]);
    assert_eq!(Run::of(of(&[]), of(&["b"])).plan().await.unwrap().key, ["b"]);
    assert_eq!(Run::of(of(&["a"]), of(&["b"])).key(&["c", "a"]).plan().await.unwrap().key, ["c", "a"]);
    assert!(Run::of(of(&[]), of(&[])).plan().await.unwrap().key.is_empty());
    let mut keyed = Run::of(of(&[]), of(&[]));
    keyed.choice.matching = Matching::Keyed;
    assert_eq!(keyed.plan().await.unwrap_err().code, "dataset.key");
    let mut renamed = Run::of(of(&[]), named(["k", "b", "c"], &rows));
    renamed.choice.rename = renames(&[("a", "k")]);
    assert_eq!(renamed.plan().await.unwrap().key, ["a"]);
}

#[tokio::test]
async fn chosen_columns_alone_are_compared() {
    let mut run = Run::of(named(["id", "x", "y"], &[(1, 10, 20)]), named(["id", "x", "y"], &[(1, 10, 99)]));
    run.choice.columns = vec!["id".to_owned(), "x".to_owned()];
    assert_eq!(run.plan().await.unwrap().left_out, [("y".to_owned(), "not among the chosen columns".to_owned())]);
    assert_eq!(run.go().await.verdict(), Verdict::Pass);
    run.choice.columns = vec!["id".to_owned(), "y".to_owned()];
    assert_eq!(lines(&run.go().await), ["changed 1 y"]);
}

#[tokio::test]
async fn differences_between_schemas_are_named() {
    let source = table(&[("id", ints([1])), ("v", ints([1])), ("old", ints([1]))], &["id"]);
    let mut replica = table(&[("id", ints([1])), ("v", texts(["1"])), ("new", ints([1]))], &["v"]);
    replica.schema.facts.push("check (v > 0)".to_owned());
    replica.schema.columns.first_mut().unwrap().nullable = false;
    let run = Run::of(source, replica);
    let (ours, theirs) = run.describe().await;
    let deltas = compare_schemas(&ours.schema, &theirs.schema, &Choice::default(), Typing::Engine);
    let named: Vec<(&str, bool, bool)> = deltas.iter().map(|d| (d.what.as_str(), d.data, d.comparable)).collect();
    let expected = [
        ("column id", false, true),
        ("column v", true, true),
        ("column old", true, false),
        ("column new", true, false),
        ("key", false, true),
        ("check (v > 0)", false, true),
    ];
    assert_eq!(named, expected);
    assert!(compare_schemas(&ours.schema, &ours.schema, &Choice::default(), Typing::Engine).is_empty());
}

#[rstest]
#[case::integers_of_two_widths(LogicalType::Int { bits: 32, signed: true }, LogicalType::Int { bits: 64, signed: true }, false)]
#[case::units(LogicalType::Timestamp { unit: TimeUnit::Micro, zoned: true }, LogicalType::Timestamp { unit: TimeUnit::Nano, zoned: true }, false)]
#[case::zones(LogicalType::Timestamp { unit: TimeUnit::Micro, zoned: true }, LogicalType::Timestamp { unit: TimeUnit::Nano, zoned: false }, false)]
#[case::floats(LogicalType::Float { bits: 32 }, LogicalType::Float { bits: 64 }, false)]
#[case::one_meaning_in_two_encodings(LogicalType::Text, LogicalType::Text, false)]
#[case::numbers_and_texts(LogicalType::Int { bits: 32, signed: true }, LogicalType::Text, true)]
fn types_of_one_file_format_are_data_only_where_values_cannot_meet(
    #[case] ours: LogicalType,
    #[case] theirs: LogicalType,
    #[case] data: bool,
) {
    let schema = |logical: LogicalType, engine_type: &str| Schema {
        columns: vec![Column { name: "v".into(), engine_type: engine_type.into(), logical, nullable: true }],
        ..Schema::default()
    };
    let (ours, theirs) = (schema(ours, "A"), schema(theirs, "B"));
    let of = |typing| compare_schemas(&ours, &theirs, &Choice::default(), typing);
    assert_eq!(of(Typing::Format).iter().map(|delta| delta.data).collect::<Vec<_>>(), [data]);
    assert!(of(Typing::Engine).iter().all(|delta| delta.data));
    assert!(of(Typing::Meaning).iter().all(|delta| !delta.data));
}
