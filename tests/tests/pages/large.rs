//! Large objects: compared on a physical standby, and named where nothing carries them.

use crate::stage::{Stage, quiet, unchecked};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_tests::{Run, verify};
use rstest::rstest;
use serde_json::Value;

const DATA: &str = "pg_catalog.pg_largeobject";
const OBJECTS: &str = "CREATE TABLE files (name text PRIMARY KEY, content oid NOT NULL);
    INSERT INTO files SELECT 'file ' || n, lo_from_bytea(0, convert_to(repeat('content ' || n, 20), 'UTF8'))
        FROM generate_series(1, 20) n";
/// In the middle of every object.
const CONTENT: &[u8] = b"content 7content 7";

/// Verifies whole databases.
fn whole(source: &Server, replica: &Server, more: &[&str]) -> Run {
    verify(&source.url("postgres"), &replica.url("postgres"), more)
}

fn parity<'a>(json: &'a Value, dataset: &str) -> Option<&'a Value> {
    let mut checks = json["links"][0]["checks"].as_array().unwrap().iter();
    checks.find(|check| check["check"] == "parity" && check["dataset"] == dataset)
}

#[rstest]
#[case::by_pages("pages")]
#[case::by_rows("rows")]
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_compared_with_its_large_objects(#[case] method: &str) {
    let mut stage = Stage::new(unchecked(), OBJECTS).await;
    let options = ["--method", method];
    let json = whole(&stage.primary, &stage.standby, &options).expect_code(0).json();
    for dataset in ["public.files", DATA, "pg_catalog.pg_largeobject_metadata"] {
        let check = parity(&json, dataset).unwrap_or_else(|| panic!("{dataset}: {json:#}"));
        assert_eq!((&check["verdict"], &check["method"]), (&"pass".into(), &method.into()), "{check:#}");
    }
    assert!(!json["links"][0]["not_checked"].to_string().contains("large objects"), "{json:#}");
    stage
        .damage("pg_largeobject", |bytes| {
            let at = bytes.windows(CONTENT.len()).position(|found| found == CONTENT).unwrap();
            bytes[at] = b'C';
        })
        .await;
    let json = whole(&stage.primary, &stage.standby, &options).expect_code(1).json();
    let check = parity(&json, DATA).unwrap();
    assert_eq!(check["items"][0]["columns"], serde_json::json!(["data"]), "{check:#}");
    assert_eq!(parity(&json, "public.files").unwrap()["verdict"], "pass", "{json:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_without_large_objects_has_nothing_of_the_kind_in_its_report() {
    let stage = Stage::new(quiet(), "CREATE TABLE t (id int PRIMARY KEY)").await;
    let json = whole(&stage.primary, &stage.standby, &[]).expect_code(0).json();
    assert!(parity(&json, "public.t").is_some() && parity(&json, DATA).is_none(), "{json:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_are_named_where_nothing_carries_them_and_compared_by_name() {
    let (install, scratch) = (Install::find().unwrap(), Scratch::new().unwrap());
    let start = |name: &'static str| Server::start(&install, &scratch, name, Options::default());
    let (east, west) = (start("east").await.unwrap(), start("west").await.unwrap());
    for (server, last) in [(&east, "a"), (&west, "b")] {
        let sql = format!(
            "CREATE TABLE t (id int PRIMARY KEY); SELECT lo_from_bytea(70001, 'same'), lo_from_bytea(70002, '{last}')"
        );
        server.batch("postgres", &sql).await.unwrap();
    }
    let json = whole(&east, &west, &[]).expect_code(0).json();
    let named = json["links"][0]["not_checked"].to_string();
    assert!(named.contains("source: 2 large objects\"") && named.contains("logical replication"), "{json:#}");
    let url = |server: &Server| format!("{}?table={DATA}", server.url("postgres"));
    let check = verify(&url(&east), &url(&west), &[]).expect_code(1).parity();
    assert_eq!(Run::counts(&check), (0, 0, 1), "{check:#}");
    assert_eq!(check["items"][0]["key"]["loid"], 70002, "{check:#}");
}
