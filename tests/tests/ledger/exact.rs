//! Exactness: against the database's own arithmetic, and of every kind of value.

use crate::stage::{Two, broken, check, counts, ledger, total};
use rstest::rstest;
use serde_json::json;

/// Decimals of 40 digits with 20 after the point, and some without a value; in groups that the server makes (`account`)
/// and in ones that only we do (`account_text`, whose equality is the server's own).
fn entries(rows: u32, groups: u32) -> String {
    format!(
        "CREATE TABLE entries (id int PRIMARY KEY, account int NOT NULL, account_text char(8) NOT NULL, amount numeric); \
         INSERT INTO entries SELECT n, n % {groups}, n % {groups}, CASE WHEN n % 97 <> 0 THEN \
           (hashint8extended(n, 1)::numeric * 1000000000000000000000 + hashint8extended(n, 2)) * 0.00000000000000000001 END \
         FROM generate_series(1, {rows}) AS n; \
         CREATE TABLE balances (account int, account_text char(8), amount numeric); \
         INSERT INTO balances SELECT account, account_text, sum(amount) FROM entries GROUP BY account, account_text"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_decimals_of_40_digits_add_up_to_what_the_database_says() {
    let cent = "UPDATE entries SET amount = amount + 0.01 WHERE id = 424243";
    let two = Two::start(&entries(1_000_000, 10_000), cent).await;
    // Our sums of the rows on one side, the sums that the database made on the other.
    let by_text = ["--group-by", "account_text", "--sum", "amount", "--no-count"];
    let ours = two.url("east", "table=entries");
    let balances = (ours.clone(), two.url("west", "table=balances"));
    let run = ledger(&balances, &by_text).expect_code(0);
    let own = check(&run);
    assert_eq!((own["groups"].as_u64(), counts(&own)), (Some(10_000), (0, 0)), "{own:#}");
    assert_eq!(own["source"]["method"], "rows");
    assert_eq!(total(&own, "source"), two.value("east", "SELECT sum(amount) FROM entries").await);
    // The server's figures, with the planted cent and nothing else.
    let found = ledger(&two.urls("table=entries"), &["--group-by", "account", "--sum", "amount", "--max", "amount"]);
    let found = check(&found.expect_code(1));
    assert_eq!((found["source"]["method"].as_str(), counts(&found)), (Some("store"), (1, 0)), "{found:#}");
    let item = &found["items"][0];
    assert_eq!(
        (&item["group"], &item["difference"]["amount"]),
        (&json!({"account": 4243}), &json!("0.01000000000000000000"))
    );
    for (side, database) in [("source", "east"), ("replica", "west")] {
        let sum = two.value(database, "SELECT sum(amount) FROM entries WHERE account = 4243").await;
        assert_eq!(item[side]["columns"][0]["sum"], sum, "{side}");
        assert_eq!(item[side]["rows"], 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_do_not_fit_into_memory_come_to_the_same() {
    let change = "UPDATE entries SET amount = amount - 0.00000000000000000001 WHERE id IN (10, 1000, 77777); \
        DELETE FROM entries WHERE id = 5";
    let two = Two::start(&entries(200_000, 150_000), change).await;
    for group in ["account", "account_text"] {
        let asked = ["--group-by", group, "--sum", "amount", "--min", "amount"];
        let whole = check(&ledger(&two.urls("table=entries"), &asked).expect_code(1));
        let little =
            check(&ledger(&two.urls("table=entries"), &[&asked[..], &["--memory", "1MiB"]].concat()).expect_code(1));
        for part in ["groups", "mismatched", "items", "source", "replica"] {
            assert_eq!(little[part], whole[part], "{part}");
        }
        assert_eq!((whole["groups"].as_u64(), counts(&whole)), (Some(150_000), (4, 0)), "{whole:#}");
    }
}

#[rstest]
#[case::one_cent("UPDATE t SET a = a + 0.01 WHERE id = 3", &["g=x: sum of a, max of a"])]
#[case::moved_between_groups("UPDATE t SET g = 'y' WHERE id = 3", &["g=x: rows, sum of a, max of a", "g=y: rows, sum of a"])]
#[case::same_sum_other_values("UPDATE t SET a = a + CASE id WHEN 1 THEN -1 ELSE 1 END WHERE id IN (1, 2)", &["g=x: min of a, max of a"])]
#[case::null_for_zero("UPDATE t SET a = NULL WHERE id = 4", &["g=y: nulls of a, min of a"])]
#[case::not_a_number("UPDATE t SET a = 'NaN' WHERE id = 3", &["g=x: NaN and infinities of a, sum of a, max of a"])]
#[case::infinity("UPDATE t SET a = '-Infinity' WHERE id = 6", &["g=null: NaN and infinities of a"])]
#[case::group_lost("DELETE FROM t WHERE g = 'y'", &["g=y: missing"])]
#[case::group_extra("INSERT INTO t VALUES (9, 'z', 0)", &["g=z: missing"])]
#[case::another_scale("UPDATE t SET a = a * 1.0000", &[])]
#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_named_with_its_group(#[case] change: &str, #[case] expected: &[&str]) {
    let tables = "CREATE TABLE t (id int PRIMARY KEY, g text, a numeric); \
        INSERT INTO t VALUES (1, 'x', 1.5), (2, 'x', 2.5), (3, 'x', 3), (4, 'y', 0), (5, 'y', 7), (6, NULL, 'Infinity'), \
        (7, NULL, 4), (8, 'n', 'NaN')";
    let two = Two::start(tables, change).await;
    let asked = ["--group-by", "g", "--sum", "a", "--min", "a", "--max", "a"];
    let code = i32::from(!expected.is_empty());
    let grouped = check(&ledger(&two.urls("table=t"), &asked).expect_code(code));
    let mut found = broken(&grouped);
    found.sort();
    let mut wanted: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    wanted.sort();
    assert_eq!(found, wanted, "{grouped:#}");
    // Rows that are read say the same as figures that the server makes.
    let view = "CREATE VIEW v AS SELECT id, g::char(4) AS g, a FROM t";
    for database in ["east", "west"] {
        two.server.batch(database, view).await.unwrap();
    }
    let rows = check(&ledger(&two.urls("table=v"), &asked).expect_code(code));
    assert_eq!((&rows["source"]["method"], counts(&rows)), (&json!("rows"), counts(&grouped)), "{rows:#}");
    for side in ["source", "replica"] {
        assert_eq!(rows[side]["total"]["rows"], grouped[side]["total"]["rows"]);
        let columns = |check: &serde_json::Value| check[side]["total"]["columns"][0].clone();
        let (a, b) = (columns(&rows), columns(&grouped));
        for figure in ["nulls", "nan", "infinite"] {
            assert_eq!(a[figure], b[figure], "{side} {figure}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_do_not_balance_are_found_on_the_side_that_has_them() {
    let tables = "CREATE TABLE t (id int PRIMARY KEY, transfer int, amount numeric(20,2)); \
        INSERT INTO t SELECT n, n / 2, CASE WHEN n % 2 = 0 THEN 12.34 ELSE -12.34 END FROM generate_series(2, 2001) n; \
        INSERT INTO t VALUES (3000, 5000, 0.01)";
    let two = Two::start(tables, "UPDATE t SET amount = amount - 0.01 WHERE id = 100").await;
    let found =
        check(&ledger(&two.urls("table=t"), &["--group-by", "transfer", "--zero-sum", "amount"]).expect_code(1));
    assert_eq!(
        broken(&found),
        [
            "transfer=50: replica: sum of amount is not zero",
            "transfer=5000: source: sum of amount is not zero, replica: sum of amount is not zero"
        ],
        "{found:#}"
    );
    let all = check(&ledger(&two.urls("table=t"), &["--zero-sum", "amount", "--sum", "amount"]).expect_code(1));
    assert_eq!((total(&all, "source"), total(&all, "replica"), all["groups"].as_u64()), ("0.01", "0.00", Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_domains_enums_and_partitions_are_grouped_by_the_server() {
    let tables = "CREATE DOMAIN money_amount AS numeric CHECK (VALUE > -1000000); CREATE TYPE side AS ENUM ('sell', 'buy'); \
        CREATE TABLE t (id int, day date, side side, amount money_amount, small smallint, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); \
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); \
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2026-02-01') TO ('2026-03-01'); \
        INSERT INTO t SELECT n, '2026-01-01'::date + n % 59, CASE WHEN n % 3 = 0 THEN 'buy' ELSE 'sell' END::side, n * 0.1, n % 100 \
        FROM generate_series(1, 10000) n";
    let two = Two::start(tables, "UPDATE t SET small = small + 1 WHERE id = 4711").await;
    let asked = ["--group-by", "day,side", "--sum", "amount,small"];
    let found = check(&ledger(&two.urls("table=t&where=id%3E4000"), &asked).expect_code(1));
    assert_eq!(broken(&found), ["day=2026-02-20 side=sell: sum of small"], "{found:#}");
    assert_eq!((found["source"]["method"].as_str(), found["groups"].as_u64()), (Some("store"), Some(118)), "{found:#}");
    assert_eq!(found["source"]["total"]["rows"], 6_000);
    ledger(&two.urls("table=t&where=id%3C4000"), &asked).expect_code(0);
}
