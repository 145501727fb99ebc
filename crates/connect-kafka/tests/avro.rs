//! Topics of Avro records, with values that another writer made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Kept, MemoryLogs, read, read_with, rows, schema, shown};
use paritas_connect::FailureKind;
use rstest::rstest;
use std::path::Path;
use std::sync::Arc;

/// Values of `fill.avsc`, made by fastavro.
fn fills() -> Vec<Vec<u8>> {
    let digits = include_str!("../../../fixtures/kafka/fill.hex");
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.lines().map(|line| line.as_bytes().chunks(2).map(pair).collect()).collect()
}

fn avsc() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/kafka/fill.avsc").to_str().unwrap().to_owned()
}

fn with_id(id: u32, value: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), value].concat()
}

fn topic(values: impl IntoIterator<Item = Vec<u8>>) -> Arc<MemoryLogs> {
    let logs = MemoryLogs::default();
    logs.topic("fills", 1);
    for value in values {
        logs.append("fills", 0, 0, Kept { key: Some(b"k".to_vec()), value: Some(value), ..Kept::default() });
    }
    Arc::new(logs)
}

const COLUMNS: &[(&str, &str, &str, &str)] = &[
    ("id", "int64", "-1", "9223372036854775807"),
    ("small", "int32", "2147483647", "-2147483648"),
    ("ok", "bool", "true", "false"),
    ("price", "decimal(38,10)", "-12345678901234567890.0123456789", "0.0000000001"),
    ("wide", "decimal(60,4)", "-99999999999999999999999999999999999999999999999999999999.9999", "0.0001"),
    ("fee", "decimal(18,2)", "12.50", "NULL"),
    ("ratio", "float64", "0.1", "-1e300"),
    ("narrow", "float32", "0.5", "-2.25"),
    ("venue", "text", "XTKS", "XNYS"),
    ("note", "text", "é\"\n", "NULL"),
    ("raw", "bytes", r"\x00ff", r"\x"),
    ("mac", "bytes(6)", r"\x616263646566", r"\x000000000000"),
    ("ref", "uuid", "00112233-4455-6677-8899-aabbccddeeff", "00000000-0000-0000-0000-000000000000"),
    ("day", "date", "2026-11-21", "0001-01-01"),
    ("t_ms", "time(ms)", "23:59:59.999", "00:00:00"),
    ("t_us", "time(us)", "00:00:00.000001", "23:59:59.999999"),
    ("at_ms", "timestamp(ms, UTC)", "2026-11-21T01:02:03.004Z", "0001-01-01T00:00:00Z"),
    ("at_us", "timestamp(us, UTC)", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ("local_us", "timestamp(us)", "2026-11-21T01:02:03", "1970-01-01T00:00:00"),
    ("tags", "json", r#"["a",null,7]"#, "[]"),
    ("limits", "json", r#"{"x":1.50}"#, "{}"),
    ("leg", "json", r#"{"n":1,"next":{"n":2,"next":null,"when":"1970-01-01"},"when":"1970-01-02"}"#, "NULL"),
    ("choice", "json", "\"two\"", "NULL"),
];

#[tokio::test]
async fn values_of_another_writer_are_read_in_every_type() {
    let logs = topic(fills());
    let store = rows(&logs, "fills", &format!("format=avro&prefix=none&schema={}", avsc()));
    let found = schema(&store).await.unwrap();
    let expected: Vec<String> = COLUMNS.iter().map(|(name, logical, ..)| format!("{name}:{logical}")).collect();
    assert_eq!(shown(&found), expected.join(" "));
    let canon = common::canon(&found, &found);
    let names: Vec<String> = canon.columns.iter().map(|column| column.name.clone()).collect();
    let rows = read_with(&store, canon).await.unwrap();
    for (index, name) in names.iter().enumerate() {
        let (_, _, first, second) = COLUMNS.iter().find(|(column, ..)| column == name).unwrap();
        let values: Vec<String> = rows.iter().map(|row| row.fields[index].shown.to_string()).collect();
        assert_eq!(values, [first.to_string(), second.to_string()], "{name}");
    }
}

#[tokio::test]
async fn the_prefix_of_a_schema_registry_is_taken_off() {
    let logs = topic(fills().iter().map(|value| with_id(7, value)));
    let options = format!("format=avro&schema={}", avsc());
    assert_eq!(read(&rows(&logs, "fills", &options)).await.unwrap().len(), 2);
    assert_eq!(read(&rows(&logs, "fills", &format!("{options}&schema_id=7"))).await.unwrap().len(), 2);
    let error = read(&rows(&logs, "fills", &format!("{options}&schema_id=8"))).await.unwrap_err();
    assert!(error.to_string().contains("it is of schema 7, and others are of schema 8"), "{error}");
}

#[rstest]
#[case::no_prefix(|value: &[u8]| value.to_vec(), "zero byte")]
#[case::another_schema(|value: &[u8]| with_id(8, value), "schema 8")]
#[case::cut(|value: &[u8]| with_id(7, &value[..value.len() - 1]), "ends early")]
#[case::more(|value: &[u8]| with_id(7, &[value, b"x"].concat()), "1 bytes are left over")]
#[case::nothing(|_: &[u8]| Vec::new(), "too short")]
#[tokio::test]
async fn what_is_no_value_of_the_schema_is_named_with_its_place(
    #[case] broken: fn(&[u8]) -> Vec<u8>,
    #[case] why: &str,
) {
    let fill = fills().remove(0);
    let logs = topic([with_id(7, &fill), broken(&fill)]);
    let error = read(&rows(&logs, "fills", &format!("format=avro&schema={}", avsc()))).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("data.unparsable", FailureKind::Permanent));
    assert!(error.to_string().contains("fills/0 offset 1") && error.to_string().contains(why), "{error}");
}

#[tokio::test]
async fn a_key_may_be_avro_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.avsc");
    std::fs::write(&path, r#"{"type":"record","name":"key","fields":[{"name":"account","type":"long"}]}"#).unwrap();
    let logs = MemoryLogs::default();
    logs.topic("fills", 1);
    let key = Some(with_id(3, &[42]));
    logs.append("fills", 0, 0, Kept { key, value: Some(b"{\"n\":1}".to_vec()), ..Kept::default() });
    let store =
        rows(&Arc::new(logs), "fills", &format!("format=json&prefix=confluent&fields=n&key_schema={}", path.display()));
    // The key has a prefix, and the value was said to have one.
    assert!(read(&store).await.is_err());
    let logs = MemoryLogs::default();
    logs.topic("fills", 1);
    logs.append(
        "fills",
        0,
        0,
        Kept { key: Some(with_id(3, &[42])), value: Some(with_id(4, b"{\"n\":1}")), ..Kept::default() },
    );
    let store =
        rows(&Arc::new(logs), "fills", &format!("format=json&prefix=confluent&fields=n&key_schema={}", path.display()));
    assert_eq!(shown(&schema(&store).await.unwrap()), "account*:int64 n:untyped text");
    assert_eq!(read(&store).await.unwrap(), ["21|1 @ fills/0 offset 0"]);
}
