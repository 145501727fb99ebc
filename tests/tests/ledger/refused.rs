//! What cannot be reconciled, each with a reason and a hint.

use crate::stage::{Two, check, ledger};
use paritas_tests::paritas;
use rstest::rstest;

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, name text, ratio float8, doc jsonb, amount numeric, price money); \
    CREATE TABLE u (id int PRIMARY KEY, name uuid, amount text)";

#[rstest]
#[case::no_number("t", "t", &["--sum", "name"], "ledger.amount", "\"name\" is text, which is no number")]
#[case::float("t", "t", &["--sum", "ratio"], "ledger.amount", "a binary float, whose sums are not exact")]
#[case::money("t", "t", &["--sum", "price"], "ledger.amount", "money, which is no number")]
#[case::missing("t", "t", &["--sum", "amuont"], "ledger.column", "there is no column \"amuont\" on the source")]
#[case::missing_group("t", "t", &["--group-by", "nobody"], "ledger.column", "there is no column \"nobody\"")]
#[case::float_group("t", "t", &["--group-by", "ratio"], "ledger.group", "a binary float makes no exact groups")]
#[case::document_group("t", "t", &["--group-by", "doc"], "ledger.group", "groups are made by plain values")]
#[case::unlike_amounts("t", "u", &["--sum", "amount"], "ledger.amount", "replica: \"amount\" is text")]
#[case::unlike_groups("t", "u", &["--group-by", "name"], "ledger.types", "of unlike types")]
#[case::no_table("t", "nowhere", &[], "dataset.missing", "nowhere")]
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reconciled_is_unknown_with_a_hint(
    #[case] source: &str,
    #[case] replica: &str,
    #[case] asked: &[&str],
    #[case] code: &str,
    #[case] message: &str,
) {
    let two = Two::start(TABLES, "SELECT").await;
    let urls = (two.url("east", &format!("table={source}")), two.url("west", &format!("table={replica}")));
    let found = check(&ledger(&urls, asked).expect_code(3));
    let problem = &found["problem"];
    assert_eq!((problem["code"].as_str(), found["verdict"].as_str()), (Some(code), Some("unknown")), "{found:#}");
    assert!(problem["message"].as_str().unwrap().contains(message), "{problem:#}");
    assert!(!found["complete"].as_bool().unwrap() && found["groups"].is_null(), "{found:#}");
    if code.starts_with("ledger.") {
        assert!(!problem["hint"].as_str().unwrap().is_empty(), "{problem:#}");
    }
}

#[rstest]
#[case(&["--group-by", "a", "--sum", "b,a"], "named by --group-by and by --sum")]
#[case(&["--sum", "a,a"], "names `a` twice")]
#[case(&["--sum", ""], "a column without a name")]
#[case(&["--no-count"], "nothing is reconciled")]
#[case(&["--memory", "1kB"], "1MiB at least")]
fn options_that_contradict_each_other_are_usage_errors(#[case] asked: &[&str], #[case] message: &str) {
    let run = paritas(&[&["ledger", "csv:a", "csv:b"], asked].concat()).expect_code(2);
    assert!(run.stderr.contains(message), "{run:#?}");
}
