//! Topics as rows, over logs in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Kept, MemoryLogs, Topics, canon, read, read_with, rows, schema, shown, text, try_rows};
use paritas_connect::conformance::{self, Fixture};
use paritas_connect::logs::Logs;
use paritas_connect::{Context, Datasets as _, FailureKind, ScanRequest};
use paritas_connect_kafka::rows::{RowOptions, Rows};
use paritas_model::{Column, LogicalType, Schema};
use rstest::rstest;
use std::sync::Arc;

fn logs() -> Arc<MemoryLogs> {
    let logs = MemoryLogs::default();
    logs.topic("orders", 2);
    Arc::new(logs)
}

#[tokio::test]
async fn declared_columns_come_out_in_full() {
    let logs = logs();
    logs.put(
        "orders",
        0,
        Some("1"),
        Some(r#"{"id":1,"amount":12345678901234567890.1234567891,"at":1500,"x":{"a":[1, 2]}}"#),
    );
    logs.put("orders", 1, None, Some(r#"{"amount":"-0.5","id":9007199254740993,"more":true}"#));
    let store = rows(&logs, "orders", "format=json&fields=id:int64,amount:decimal(38,10),at:timestamp(ms, UTC),x:json");
    let found = schema(&store).await.unwrap();
    assert_eq!(shown(&found), "id:int64 amount:decimal(38,10) at:timestamp(ms, UTC) x:json");
    let rows = read(&store).await.unwrap();
    assert_eq!(
        rows,
        [
            r#"12345678901234567890.1234567891|1970-01-01T00:00:01.5Z|1|{"a":[1, 2]} @ orders/0 offset 0"#,
            "-0.5000000000|NULL|9007199254740993|NULL @ orders/1 offset 0",
        ]
    );
}

#[tokio::test]
async fn columns_that_nobody_declared_are_found_and_take_the_types_of_the_other_side() {
    let logs = logs();
    logs.put("orders", 0, None, Some(r#"{"id":1,"amount":10.5}"#));
    logs.put("orders", 1, None, Some(r#"{"id":2,"note":"a\nb"}"#));
    let store = rows(&logs, "orders", "format=json");
    let found = schema(&store).await.unwrap();
    assert_eq!(shown(&found), "id:untyped text amount:untyped text note:untyped text");

    let typed = |name: &str, logical| Column { name: name.into(), engine_type: String::new(), logical, nullable: true };
    let table = Schema {
        columns: vec![
            typed("id", LogicalType::Int { bits: 64, signed: true }),
            typed("amount", LogicalType::Decimal { precision: 18, scale: 2 }),
            typed("note", LogicalType::Text),
        ],
        ..Schema::default()
    };
    let rows = read_with(&store, canon(&found, &table)).await.unwrap();
    let rows: Vec<String> = rows.iter().map(text).collect();
    assert_eq!(rows, ["10.50|1|NULL @ orders/0 offset 0", "NULL|2|a\nb @ orders/1 offset 0"]);
}

#[tokio::test]
async fn a_member_that_the_first_records_did_not_have_is_an_error_and_never_left_out() {
    let logs = logs();
    for id in 0..1_000 {
        let more = if id == 500 { r#","surprise":1"# } else { "" };
        logs.put("orders", 0, None, Some(&format!("{{\"id\":{id}{more}}}")));
    }
    let error = read(&rows(&logs, "orders", "format=json")).await.unwrap_err();
    // Nothing is wrong with the record, so nothing is proven.
    assert_eq!((error.code(), error.kind()), ("data.unparsable", FailureKind::Permanent));
    assert!(error.to_string().contains("orders/0 offset 500") && error.to_string().contains("surprise"), "{error}");
    assert_eq!(read(&rows(&logs, "orders", "format=json&fields=id:int64")).await.unwrap().len(), 1_000);
}

#[rstest]
#[case::no_json("x", "expected")]
#[case::cut(r#"{"id":1"#, "EOF")]
#[case::list("[1]", "an object")]
#[case::another_type(r#"{"id":"one"}"#, "column \"id\"")]
#[case::too_large(r#"{"id":9223372036854775808}"#, "does not fit into int64")]
#[case::twice(r#"{"id":1,"id":2}"#, "twice")]
#[tokio::test]
async fn a_record_that_does_not_fit_is_named_with_its_place(#[case] value: &str, #[case] why: &str) {
    let logs = logs();
    logs.put("orders", 1, None, Some(r#"{"id":1}"#));
    logs.append("orders", 1, 6, Kept { value: Some(value.as_bytes().to_vec()), ..Kept::default() });
    let error = read(&rows(&logs, "orders", "format=json&fields=id:int64")).await.unwrap_err();
    let shown = error.to_string();
    assert_eq!((error.code(), error.kind()), ("data.unparsable", FailureKind::Damaged));
    assert!(shown.starts_with("orders/1 offset 7 does not fit") && shown.contains(why), "{shown}");
    assert!(error.hint_text().is_some());
}

#[tokio::test]
async fn a_record_without_a_value_is_a_row_only_where_records_are_raw() {
    let logs = logs();
    logs.put("orders", 0, Some("k"), None);
    let error = read(&rows(&logs, "orders", "format=json&fields=id")).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Permanent);
    assert!(error.hint_text().unwrap().contains("latest=key"), "{error}");
    assert_eq!(
        read(&rows(&logs, "orders", "")).await.unwrap(),
        [r"[]|\x6b|1970-01-01T00:00:01Z|NULL @ orders/0 offset 0"]
    );
}

#[tokio::test]
async fn raw_records_keep_everything_that_a_copy_keeps() {
    let logs = logs();
    let headers = vec![
        ("trace".to_owned(), Some(b"a\"b".to_vec())),
        ("trace".to_owned(), None),
        ("bytes".to_owned(), Some(vec![0xFF, 0])),
        ("empty".to_owned(), Some(Vec::new())),
    ];
    let record = Kept { key: Some(Vec::new()), value: Some(vec![0, 255]), headers, timestamp: None, ..Kept::default() };
    logs.append("orders", 1, 4, record);
    let headers = r#"[["trace","a\"b"],["trace",null],["bytes",{"hex":"ff00"}],["empty",""]]"#;
    assert_eq!(
        read(&rows(&logs, "orders", "")).await.unwrap(),
        [format!(r"{headers}|\x|NULL|\x00ff @ orders/1 offset 4")]
    );
    let store = rows(&logs, "orders", "with=offset,partition");
    assert_eq!(shown(&schema(&store).await.unwrap()), "value:bytes offset:int64 partition:int32");
    assert_eq!(read(&store).await.unwrap(), [r"4|1|\x00ff @ orders/1 offset 4"]);
}

#[rstest]
#[case("format=json&fields=n&key_fields=id:int64", "17")]
#[case("format=json&fields=n&key_fields=id:text", "17")]
#[case("format=json&fields=n&key_fields=id:int64&key_format=json", "17")]
#[case("format=json&fields=n&key_fields=id:int64&key_format=json", r#"{"id":17}"#)]
#[case("format=json&fields=n&key_fields=id:int64&key_format=integer", "\0\0\0\0\0\0\0\u{11}")]
#[case("format=json&fields=n&key_fields=id:int64&key_format=integer", "\0\0\0\u{11}")]
#[tokio::test]
async fn columns_of_the_key_are_the_key(#[case] options: &str, #[case] key: &str) {
    let logs = logs();
    logs.put("orders", 0, Some(key), Some(r#"{"n":"x"}"#));
    let store = rows(&logs, "orders", options);
    assert!(shown(&schema(&store).await.unwrap()).starts_with("id*:"));
    assert_eq!(read(&store).await.unwrap(), ["17|x @ orders/0 offset 0"]);
}

#[tokio::test]
async fn the_object_that_counts_may_stand_inside_another() {
    let logs = logs();
    logs.put("orders", 0, Some("1"), Some(r#"{"payload":{"op":"c","after":{"id":1,"n":"a"}}}"#));
    logs.put("orders", 0, Some("2"), Some(r#"{"payload":{"op":"c","after":{"id":2,"n":"b"}}}"#));
    let options = "format=json&inside=payload.after";
    assert_eq!(read(&rows(&logs, "orders", options)).await.unwrap().len(), 2);
    logs.put("orders", 0, Some("1"), Some(r#"{"payload":{"op":"d","after":null}}"#));
    assert!(read(&rows(&logs, "orders", options)).await.is_err());
    let latest = read(&rows(&logs, "orders", &format!("{options}&latest=key"))).await.unwrap();
    assert_eq!(latest, ["2|b @ orders/0 offset 1"]);
}

#[tokio::test]
async fn of_updates_the_latest_of_each_key_counts() {
    let logs = logs();
    let put = |partition, key: &str, value: Option<&str>| {
        logs.put("orders", partition, Some(key), value.map(|n| format!("{{\"n\":\"{n}\"}}")).as_deref());
    };
    put(0, "a", Some("old"));
    put(0, "b", Some("kept"));
    put(1, "c", Some("other partition"));
    put(0, "a", Some("new"));
    put(1, "d", Some("deleted"));
    put(1, "d", None);
    put(1, "e", None);
    put(1, "e", Some("again"));
    let store = rows(&logs, "orders", "format=json&latest=key&key_fields=id:text&fields=n");
    let mut all = read(&store).await.unwrap();
    all.sort();
    assert_eq!(
        all,
        [
            "a|new @ orders/0 offset 2",
            "b|kept @ orders/0 offset 1",
            "c|other partition @ orders/1 offset 0",
            "e|again @ orders/1 offset 4",
        ]
    );
}

#[tokio::test]
async fn more_keys_than_the_limit_are_an_error_and_not_a_wrong_answer() {
    let logs = logs();
    (0..5).for_each(|key| logs.put("orders", 0, Some(&key.to_string()), Some(r#"{"n":1}"#)));
    let options = |max: u32| format!("format=json&latest=key&fields=n&latest_max={max}");
    assert_eq!(read(&rows(&logs, "orders", &options(5))).await.unwrap().len(), 5);
    let error = read(&rows(&logs, "orders", &options(4))).await.unwrap_err();
    assert_eq!(error.code(), "rows.too_many_keys");
    assert!(error.hint_text().unwrap().contains("latest_max"));
}

#[tokio::test]
async fn a_key_in_two_partitions_has_no_latest_value() {
    let logs = logs();
    let options = "format=json&latest=key&fields=n";
    logs.put("orders", 0, Some("a"), Some(r#"{"n":1}"#));
    logs.put("orders", 1, Some("a"), Some(r#"{"n":2}"#));
    let error = read(&rows(&logs, "orders", options)).await.unwrap_err();
    assert_eq!(error.code(), "data.ambiguous");
    assert!(
        error.to_string().contains("orders/0 offset 0") && error.to_string().contains("orders/1 offset 0"),
        "{error}"
    );
    // Gone is gone, in whatever order.
    logs.put("orders", 0, Some("a"), None);
    assert_eq!(read(&rows(&logs, "orders", options)).await.unwrap_err().code(), "data.ambiguous");
    logs.put("orders", 1, Some("a"), None);
    assert!(read(&rows(&logs, "orders", options)).await.unwrap().is_empty());
}

#[tokio::test]
async fn updates_without_a_key_have_no_latest_value() {
    let logs = logs();
    logs.put("orders", 0, None, Some(r#"{"n":1}"#));
    let error = read(&rows(&logs, "orders", "format=json&latest=key&fields=n")).await.unwrap_err();
    assert!(error.to_string().contains("orders/0 offset 0") && error.to_string().contains("no key"), "{error}");
}

#[tokio::test]
async fn a_topic_that_is_compacted_between_two_looks_is_read_again() {
    let logs = logs();
    logs.put("orders", 0, Some("a"), Some(r#"{"n":1}"#));
    logs.put("orders", 1, Some("b"), Some(r#"{"n":2}"#));
    let store = rows(&logs, "orders", "format=json&latest=key&fields=n");
    let schema = schema(&store).await.unwrap();
    let canon = canon(&schema, &schema);
    let cx = Context::default();
    let columns = vec![paritas_connect::ColumnPair { canonical: "n".into(), own: "n".into() }];
    let dataset = store.0.list(&cx).await.unwrap().remove(0);
    let request = ScanRequest { dataset, columns, canon: Arc::new(canon), filter: None, ranges: Vec::new() };
    let scan = store.0.open(&cx, &request).await.unwrap();
    struct Ignore;
    impl paritas_connect::BlockSink for Ignore {
        fn accept(&mut self, _: paritas_digest::Block) -> paritas_connect::Result<()> {
            Ok(())
        }
    }
    scan.read(&cx, &scan.splits()[0], &mut Ignore).await.unwrap();
    logs.topics.lock().unwrap().get_mut("orders").unwrap()[1].records.clear();
    let error = scan.read(&cx, &scan.splits()[1], &mut Ignore).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("data.changed", FailureKind::Transient));
}

/// A newer record comes for a key, and the cleaner takes the older one away.
fn superseded(topics: &mut Topics) {
    let shelf = &mut topics.get_mut("orders").unwrap()[0];
    let old = shelf.records.iter().position(|kept| kept.key.as_deref() == Some(b"a")).unwrap();
    let mut record = shelf.records.remove(old);
    record.offset = shelf.end;
    shelf.records.push(record);
    (shelf.end, shelf.stable) = (shelf.end + 1, shelf.end + 1);
}

#[tokio::test]
async fn a_value_that_is_replaced_while_keys_are_read_is_found_again() {
    let logs = logs();
    logs.put("orders", 0, Some("a"), Some(r#"{"n":1}"#));
    logs.put("orders", 0, Some("b"), Some(r#"{"n":2}"#));
    logs.before.lock().unwrap().push_back(superseded);
    let store = rows(&logs, "orders", "format=json&latest=key&fields=n");
    assert_eq!(read(&store).await.unwrap(), ["2 @ orders/0 offset 1", "1 @ orders/0 offset 2"]);

    // Again and again, so that no view is ever whole.
    logs.before.lock().unwrap().extend([superseded as fn(&mut Topics); 20]);
    let error = read(&store).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("data.changed", FailureKind::Transient));
}

#[tokio::test]
async fn a_view_ends_where_the_topic_ended_when_it_was_opened() {
    let logs = logs();
    logs.put("orders", 0, None, Some("1"));
    logs.put("orders", 1, None, Some("2"));
    logs.put("orders", 1, None, Some("open"));
    logs.topics.lock().unwrap().get_mut("orders").unwrap()[1].stable = 1;
    let committed = rows(&logs, "orders", "with=");
    let schema = schema(&committed).await.unwrap();
    let cx = Context::default();
    let columns = vec![paritas_connect::ColumnPair { canonical: "value".into(), own: "value".into() }];
    let dataset = committed.0.list(&cx).await.unwrap().remove(0);
    let canon = Arc::new(canon(&schema, &schema));
    let request = ScanRequest { dataset, columns, canon, filter: None, ranges: Vec::new() };
    let scan = committed.0.open(&cx, &request).await.unwrap();
    let position = scan.position().value().cloned().unwrap();
    assert_eq!((position.text.as_str(), position.value), ("0:1 1:1", 2));
    assert_eq!(read(&rows(&logs, "orders", "with=&isolation=uncommitted")).await.unwrap().len(), 3);
    assert_eq!(read(&committed).await.unwrap().len(), 2);
}

#[tokio::test]
async fn only_topics_with_data_are_datasets() {
    let logs = logs();
    for topic in ["__consumer_offsets", "heartbeats", "A.checkpoints.internal", "trades"] {
        logs.topic(topic, 1);
    }
    let rows = Rows::new(Arc::clone(&logs) as Arc<dyn Logs>, None, RowOptions::default()).unwrap();
    let cx = Context::default();
    let names: Vec<String> = rows.list(&cx).await.unwrap().into_iter().map(|dataset| dataset.0).collect();
    assert_eq!(names, ["orders", "trades"]);
    assert_eq!(rows.beside(&cx).await.unwrap()[0].count, 3);
}

#[rstest]
#[case::missing_topic("nothing", "", "dataset.missing")]
#[case::missing_file("orders", "format=avro&schema=/nowhere/x.avsc", "config.file")]
#[case::two_names("orders", "format=json&fields=id&key_fields=id", "config.option")]
#[case::nothing_known("orders", "format=json", "schema.unknown")]
#[tokio::test]
async fn what_cannot_be_is_said_before_anything_is_read(
    #[case] topic: &str,
    #[case] options: &str,
    #[case] code: &str,
) {
    let logs = logs();
    let error = match try_rows(&logs, topic, options) {
        Ok(store) => schema(&store).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!((error.code(), error.hint_text().is_some()), (code, true), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_topics_conform() {
    let logs = logs();
    for id in 0..2_000_usize {
        let value = format!("{{\"id\":{id},\"note\":\"{}\"}}", "x".repeat(id % 50));
        logs.put("orders", id % 2, Some(&(id % 700).to_string()), Some(&value));
    }
    for (options, count) in [("", 2_000), ("format=json&key_fields=k:int64", 2_000), ("format=json&latest=key", 700)] {
        let store = rows(&logs, "orders", options);
        if let Err(violations) = conformance::run(&Fixture::new(&store).dataset("orders", count)).await {
            panic!("{options}: {}", violations.join("\n"));
        }
    }
}
