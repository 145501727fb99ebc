//! Across kinds of store: tables, Parquet, CSV.

use crate::stage::{Two, broken, check, counts, ledger, total};
use arrow_array::{ArrayRef, Decimal128Array, Decimal256Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

/// `sum` hundredths for each row, in accounts and currencies.
fn rows() -> Vec<(i64, Option<&'static str>, i128)> {
    let currencies = [Some("EUR"), Some("USD"), None];
    (0..3_000_i64).map(|n| (n % 7, currencies[(n % 3) as usize], i128::from(n) * 1_001 - 70_000)).collect()
}

fn write_parquet(folder: &Path, rows: &[(i64, Option<&str>, i128)]) -> String {
    fs::create_dir_all(folder).unwrap();
    for (at, part) in rows.chunks(1_100).enumerate() {
        let amounts = Decimal128Array::from_iter_values(part.iter().map(|row| row.2));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("account", Arc::new(Int64Array::from_iter_values(part.iter().map(|row| row.0)))),
            ("currency", Arc::new(StringArray::from_iter(part.iter().map(|row| row.1)))),
            ("amount", Arc::new(amounts.with_precision_and_scale(30, 2).unwrap())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = File::create(folder.join(format!("{at}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    format!("parquet:{}", folder.display())
}

fn write_csv(folder: &Path, rows: &[(i64, Option<&str>, i128)]) -> String {
    fs::create_dir_all(folder).unwrap();
    let line = |row: &(i64, Option<&str>, i128)| {
        let (sign, cents) = (if row.2 < 0 { "-" } else { "" }, row.2.unsigned_abs());
        format!("{},{},{sign}{}.{:02}\n", row.0, row.1.unwrap_or(""), cents / 100, cents % 100)
    };
    let text = rows.iter().rev().map(line).collect::<String>();
    fs::write(folder.join("all.csv"), format!("account,currency,amount\n{text}")).unwrap();
    format!("csv:{}", folder.display())
}

fn insert(rows: &[(i64, Option<&str>, i128)]) -> String {
    let value = |row: &(i64, Option<&str>, i128)| {
        let currency = row.1.map_or_else(|| "NULL".to_owned(), |currency| format!("'{currency}'"));
        format!("({}, {currency}, {} * 0.01)", row.0, row.2)
    };
    let values: Vec<String> = rows.iter().map(value).collect();
    format!(
        "CREATE TABLE ledger (account bigint, currency text, amount numeric); INSERT INTO ledger VALUES {}",
        values.join(", ")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_agrees_with_its_exports_and_a_cent_less_in_one_of_them_is_named() {
    let mut all = rows();
    let two = Two::start(&insert(&all), "SELECT").await;
    let asked = ["--group-by", "account,currency", "--sum", "amount", "--min", "amount", "--max", "amount"];
    let table = two.url("east", "table=ledger");
    let folder = |name: &str| two.scratch.path().join(name);
    let exports = [write_parquet(&folder("parquet"), &all), write_csv(&folder("csv"), &all)];
    for export in &exports {
        let same = check(&ledger(&(table.clone(), export.clone()), &asked).expect_code(0));
        assert_eq!((same["groups"].as_u64(), counts(&same)), (Some(21), (0, 0)), "{same:#}");
        assert_eq!(total(&same, "source"), total(&same, "replica"), "{same:#}");
        assert_eq!((&same["source"]["method"], &same["replica"]["method"]), (&json!("store"), &json!("rows")));
        ledger(&(export.clone(), table.clone()), &asked).expect_code(0);
    }
    ledger(&(exports[0].clone(), exports[1].clone()), &asked).expect_code(0);
    all[1_000].2 -= 1;
    let faulty = [write_parquet(&folder("faulty"), &all), write_csv(&folder("faulty.csv"), &all)];
    let (account, currency) = (all[1_000].0, all[1_000].1.unwrap());
    for export in faulty {
        let found = check(&ledger(&(table.clone(), export), &asked).expect_code(1));
        assert_eq!(broken(&found), [format!("account={account} currency={currency}: sum of amount")], "{found:#}");
        assert_eq!(found["items"][0]["difference"]["amount"], "-0.01");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals_wider_than_any_machine_number_add_up_in_files() {
    let two = Two::start(
        "CREATE TABLE w (a numeric); INSERT INTO w SELECT 10::numeric ^ 70 + n * 0.000001 FROM generate_series(1, 500) n",
        "SELECT",
    )
    .await;
    let folder = two.scratch.path().join("wide");
    fs::create_dir_all(&folder).unwrap();
    let ten = arrow_cast::parse::parse_decimal::<arrow_array::types::Decimal256Type>;
    let values = (1..=500).map(|n| ten(&format!("1{}.{n:06}", "0".repeat(69)), 76, 6).unwrap());
    let array = Decimal256Array::from_iter_values(values).with_precision_and_scale(76, 6).unwrap();
    let batch = RecordBatch::try_from_iter(vec![("a", Arc::new(array) as ArrayRef)]).unwrap();
    let file = File::create(folder.join("a.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let urls = (two.url("east", "table=w"), format!("parquet:{}", folder.display()));
    let found = check(&ledger(&urls, &["--sum", "a"]).expect_code(1));
    // The table has 10^70 and the file 10^69.
    assert_eq!(total(&found, "source"), two.value("east", "SELECT sum(a) FROM w").await, "{found:#}");
    assert_eq!(total(&found, "replica"), format!("5{}.125250", "0".repeat(71)), "{found:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_files_that_do_not_fit_into_memory_come_to_the_same() {
    let scratch = paritas_testbed::Scratch::new().unwrap();
    let many = |fault: i128| -> Vec<(i64, Option<&str>, i128)> {
        (0..120_000).map(|n| (n / 2, None, i128::from(n) + if n == 77_777 { fault } else { 0 })).collect()
    };
    let urls = (write_parquet(&scratch.path().join("a"), &many(0)), write_csv(&scratch.path().join("b"), &many(1)));
    let asked = ["--group-by", "account", "--sum", "amount", "--memory", "1MiB"];
    let found = check(&ledger(&urls, &asked).expect_code(1));
    assert_eq!((found["groups"].as_u64(), counts(&found)), (Some(60_000), (1, 0)), "{found:#}");
    assert_eq!(broken(&found), ["account=38888: sum of amount"]);
}
