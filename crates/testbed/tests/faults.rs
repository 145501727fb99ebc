//! A planted fault changes exactly what its description says, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;
use paritas_testbed::Scratch;
use paritas_testbed::faults::{Class, Injected, files, lake, postgres};
use paritas_testbed::ledger::{self, FILLS, LEDGER, ORDERS, POSITIONS, ParquetOptions, Plan, QUOTES, Table, UuidAs};
use paritas_testbed::postgres::{Install, Options, Server, logical_replica, wait_subscribed};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Key texts to row texts, with how often the row is there.
type Rows = BTreeMap<Vec<String>, (Vec<Option<String>>, usize)>;

fn rows_of(table: &Table, all: impl IntoIterator<Item = Vec<Option<String>>>) -> Rows {
    let mut rows = Rows::new();
    for row in all {
        let key_at = |name: &&str| table.columns.iter().position(|c| c.name == *name).unwrap();
        let at: Vec<usize> =
            if table.key.is_empty() { (0..row.len()).collect() } else { table.key.iter().map(key_at).collect() };
        let key = at.iter().map(|i| row[*i].clone().unwrap_or("NULL".into())).collect();
        rows.entry(key).or_insert((row, 0)).1 += 1;
    }
    rows
}

async fn postgres_rows(server: &Server, table: &Table) -> Rows {
    let client = server.client("postgres").await.unwrap();
    let texts: Vec<String> = table.columns.iter().map(|c| format!("{}::text", c.name)).collect();
    let rows = client.query(&format!("SELECT {} FROM {}", texts.join(", "), table.name), &[]).await.unwrap();
    rows_of(table, rows.iter().map(|row| (0..texts.len()).map(|i| row.get(i)).collect()))
}

fn parquet_rows(path: &Path, table: &Table) -> Rows {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let zoned = FormatOptions::default().with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"));
    let plain = FormatOptions::default().with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6f"));
    let mut all = Vec::new();
    for batch in reader.map(Result::unwrap) {
        let shown = batch.columns().iter().map(|column| match column.data_type() {
            DataType::Timestamp(unit, Some(_)) => (cast(column, &DataType::Timestamp(*unit, None)).unwrap(), &zoned),
            _ => (column.clone(), &plain),
        });
        let shown: Vec<_> = shown.collect();
        let columns: Vec<_> = shown.iter().map(|(c, o)| (c, ArrayFormatter::try_new(c, o).unwrap())).collect();
        for row in 0..batch.num_rows() {
            all.push(columns.iter().map(|(c, f)| (!c.is_null(row)).then(|| f.value(row).to_string())).collect());
        }
    }
    rows_of(table, all)
}

/// What a comparison finds, as class and key.
fn differences(source: &Rows, copy: &Rows) -> Vec<(Class, Vec<String>)> {
    let mut found = Vec::new();
    for (key, (row, count)) in source {
        match copy.get(key) {
            None => found.push((Class::Lost, key.clone())),
            Some((other, _)) if other != row => found.push((Class::Changed, key.clone())),
            Some((_, other)) if other > count => found.push((Class::Duplicated, key.clone())),
            Some((_, other)) => assert_eq!(other, count),
        }
    }
    found.extend(copy.keys().filter(|key| !source.contains_key(*key)).map(|key| (Class::Extra, key.clone())));
    found.sort_by_key(|found| format!("{found:?}"));
    found
}

fn described(injected: &[Injected]) -> Vec<(Class, Vec<String>)> {
    let mut all: Vec<_> =
        injected.iter().map(|i| (i.class, i.key.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>())).collect();
    all.sort_by_key(|found| format!("{found:?}"));
    all
}

#[tokio::test]
async fn postgres_faults_are_exactly_what_they_say() {
    let scratch = Scratch::new().unwrap();
    let install = Install::find().unwrap();
    let primary = Server::start(&install, &scratch, "p", Options::default()).await.unwrap();
    let plan = Plan::small();
    ledger::load(&primary.client("postgres").await.unwrap(), &plan).await.unwrap();
    let tables = ledger::table_names();
    let replica = logical_replica(&primary, "l", &ledger::schema_sql(), &tables).await.unwrap();
    let client = replica.client("postgres").await.unwrap();
    for table in [&ORDERS, &FILLS, &POSITIONS, &LEDGER, &QUOTES] {
        let source = postgres_rows(&primary, table).await;
        assert!(differences(&source, &postgres_rows(&replica, table).await).is_empty());
        let mut target = postgres::Target::of(&client, table);
        let amount = table.columns.iter().find(|c| c.kind.scale() > 0).unwrap().name;
        let mut done = vec![target.lose(0).await.unwrap(), target.lose(40).await.unwrap()];
        if table.key.is_empty() {
            let row: Vec<u32> = vec![3, 30];
            for nth in row {
                done.push(target.duplicate(nth).await.unwrap());
            }
            // Without a key a changed row is one lost and one extra, so only its own words can be looked at.
            let changed = target.change_amount(20, amount).await.unwrap();
            assert_eq!(changed.column.as_deref(), Some(amount));
            assert!(
                changed.key.iter().any(|(column, value)| column == amount && Some(value) == changed.before.as_ref())
            );
            continue;
        }
        done.push(target.add(0).await.unwrap());
        done.push(target.add(41).await.unwrap());
        done.push(target.change_amount(0, amount).await.unwrap());
        done.push(target.change_where(5, amount, "1.5", &format!("{amount} <> 1.5")).await.unwrap());
        done.extend(target.swap(50, amount).await.unwrap());
        assert_eq!(differences(&source, &postgres_rows(&replica, table).await), described(&done), "{}", table.name);
    }
    let mut orders = postgres::Target::of(&client, &ORDERS);
    let null = orders.change_where(0, "note", "''", "note IS NULL").await.unwrap();
    assert_eq!((null.before, null.after), (None, Some(String::new())));
    assert!(orders.change(0, "symbol", "symbol").await.is_err(), "a fault that changes nothing is refused");
    let retyped = orders.retype("limit_price", "numeric(20,4)").await.unwrap();
    assert_eq!((retyped.class, retyped.before.as_deref()), (Class::Schema, Some("numeric(18,8)")));
    wait_subscribed(&primary, &replica).await.unwrap();
}

#[test]
fn parquet_faults_are_exactly_what_they_say() {
    let scratch = Scratch::new().unwrap();
    let plan = Plan::small();
    // Keys as text, so that the plain reader above and the descriptions use the same words.
    let options = ParquetOptions { files: 1, uuid: UuidAs::Text, ..ParquetOptions::default() };
    for table in [&ORDERS, &FILLS, &POSITIONS, &LEDGER, &QUOTES] {
        let path = ledger::write_parquet(table, &plan, &scratch.path().join(table.name), &options).unwrap().remove(0);
        let source = parquet_rows(&path, table);
        let target = lake::Target::new(&path, table.name, table.key);
        let amount = table.columns.iter().find(|c| c.kind.scale() > 0).unwrap().name;
        if table.key.is_empty() {
            assert!(target.add(1).is_err());
            let done = [target.duplicate(4).unwrap()];
            assert_eq!(target.rows().unwrap(), 101);
            assert_eq!(differences(&source, &parquet_rows(&path, table)), described(&done));
            continue;
        }
        // The appended rows come last, and the removed one is taken after them, so that no number moves.
        let mut done = vec![target.add(7).unwrap(), target.change(11, amount).unwrap()];
        done.extend(target.swap(15, 16, amount).unwrap());
        done.push(target.set_null(20, amount).unwrap());
        done.push(target.lose(30).unwrap());
        assert_eq!(differences(&source, &parquet_rows(&path, table)), described(&done), "{}", table.name);
        assert!(target.lose(1_000_000).is_err());
    }
}

#[test]
fn a_parquet_column_changes_its_type_in_one_file() {
    let scratch = Scratch::new().unwrap();
    let files = ledger::write_parquet(&ORDERS, &Plan::small(), scratch.path(), &ParquetOptions::default()).unwrap();
    let done = lake::Target::new(&files[1], "orders", &["order_id"]).retype("amount", &DataType::Float64).unwrap();
    assert_eq!(done.class, Class::Schema);
    let types = files.iter().map(|path| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        reader.schema().field_with_name("amount").unwrap().data_type().clone()
    });
    let types: Vec<DataType> = types.collect();
    assert_eq!(types[1], DataType::Float64);
    assert!([0, 2, 3].iter().all(|i| types[*i] == DataType::Decimal128(20, 2)), "{types:?}");
}

#[test]
fn file_faults_touch_what_they_say() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.path().join("f");
    fs::write(&path, [0_u8; 10]).unwrap();
    files::flip_bit(&path, 3, 7).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [0, 0, 0, 128, 0, 0, 0, 0, 0, 0]);
    assert!(files::flip_bit(&path, 10, 0).is_err());
    assert_eq!(files::truncate(&path, 4).unwrap().class, Class::File);
    assert!(files::truncate(&path, 4).is_err());
    assert_eq!(fs::read(&path).unwrap().len(), 4);
    files::delete(&path).unwrap();
    assert!(!path.exists() && files::delete(&path).is_err());
}
