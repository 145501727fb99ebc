//! Object storage: the same answers as from local files, and failures that say what is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{canon, csv, dataset, digest, fixtures, parquet, schema, write};
use paritas_connect::{Context, FailureKind, Store};
use paritas_connect_lake::{CsvStore, FilesStore, LakeOptions, Location, ParquetStore};
use paritas_digest::Policies;
use paritas_testbed::Scratch;
use paritas_testbed::seaweed::S3;
use std::collections::BTreeMap;
use std::fs;
use tempfile::tempdir;

/// A server with a bucket, or nothing where none is installed.
async fn server(scratch: &Scratch) -> Option<S3> {
    if S3::find().is_err() {
        eprintln!("left out: no S3 server is installed");
        return None;
    }
    let server = S3::start(scratch, "s3").await.unwrap();
    server.create_bucket("lake").await.unwrap();
    Some(server)
}

fn options(server: &S3, secret: &str) -> LakeOptions {
    let endpoint = server.endpoint();
    LakeOptions::from_pairs([
        ("aws_access_key_id", server.access_key()),
        ("aws_secret_access_key", secret),
        ("aws_endpoint_url", endpoint.as_str()),
        ("aws_region", server.region()),
    ])
    .unwrap()
}

fn at(path: &str) -> Location {
    Location::parse(path).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_give_the_answers_of_local_files() {
    let scratch = Scratch::new().unwrap();
    let Some(server) = server(&scratch).await else { return };
    let good = options(&server, server.secret_key());
    let cx = Context::default();

    // Manifests, with names that need care and an object of several ranges.
    let folder = tempdir().unwrap();
    for name in ["a b.txt", "größe", "sub/100%.txt", "sub/plus+and=", "_SUCCESS"] {
        write(folder.path(), name, name);
    }
    write(folder.path(), "large", (0..9_000_001_u32).map(|i| (i % 251) as u8).collect::<Vec<u8>>());
    server.upload_folder(folder.path(), "lake", "any").await.unwrap();
    server.put("lake", "anything-else", b"not below the prefix").await.unwrap();
    let local = common::files(folder.path()).files().unwrap().manifest(&cx).await.unwrap();
    let remote = FilesStore::new(at("s3://lake/any"), good.clone()).unwrap();
    assert_eq!(remote.files().unwrap().manifest(&cx).await.unwrap(), local);
    assert_eq!(remote.probe(&cx).await.unwrap().version, "S3");

    // Parquet, with row groups and pages that are read by ranges.
    server.upload_folder(&fixtures().join("codec"), "lake", "codec").await.unwrap();
    let whole = parquet(fixtures().join("codec"));
    let schema_of_all = schema(&whole).await.unwrap();
    let one = canon(&schema_of_all, &schema_of_all, &["id"], Policies::default());
    let expected = digest(&whole, &one).await.unwrap();
    for url in ["s3://lake/codec", "s3://lake/codec/*.parquet"] {
        let store = ParquetStore::new(at(url), good.clone()).unwrap();
        assert!(digest(&store, &one).await.unwrap() == expected, "{url}");
    }
    let single = ParquetStore::new(at("s3://lake/codec/zstd.parquet"), good.clone()).unwrap();
    assert_eq!(digest(&single, &one).await.unwrap().rows(), 600);

    // CSV.
    write(folder.path(), "csv/a.csv", "id,note\n1,x\n2,\"y\nz\"\n");
    server.upload_folder(&folder.path().join("csv"), "lake", "csv").await.unwrap();
    let text = csv(folder.path().join("csv"));
    let columns = schema(&text).await.unwrap();
    let untyped = canon(&columns, &columns, &["id"], Policies::default());
    let remote = CsvStore::new(at("s3://lake/csv"), good.clone()).unwrap();
    assert!(digest(&remote, &untyped).await.unwrap() == digest(&text, &untyped).await.unwrap());

    // An object that changes or vanishes after it was listed.
    server.put("lake", "changing/a.parquet", &fs::read(fixtures().join("codec/gzip.parquet")).unwrap()).await.unwrap();
    let store = ParquetStore::new(at("s3://lake/changing"), good.clone()).unwrap();
    for step in ["changed", "gone"] {
        let scan = common::open(&store, one.clone()).await.unwrap();
        match step {
            "gone" => server.delete("lake", "changing/a.parquet").await.unwrap(),
            _ => {
                let other = fs::read(fixtures().join("codec/zstd.parquet")).unwrap();
                server.put("lake", "changing/a.parquet", &other).await.unwrap();
            }
        }
        let error = common::digest_scan(&*scan, &one).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("data.changed", FailureKind::Transient), "{step}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_object_stores_say_what_is_wrong_and_no_secret() {
    let scratch = Scratch::new().unwrap();
    let Some(server) = server(&scratch).await else { return };
    server.put("lake", "x/a.parquet", b"no parquet at all").await.unwrap();
    let good = options(&server, server.secret_key());
    let wrong_key = options(&server, "canary-secret");
    let nobody = {
        let port = paritas_testbed::ports::free_port().unwrap();
        LakeOptions { settings: BTreeMap::new(), ..good.clone() }
            .with("aws_endpoint_url", &format!("http://127.0.0.1:{port}"))
    };
    let cases = [
        ("s3://lake/x", &wrong_key, "store.denied", FailureKind::Denied),
        ("s3://lake/nothing", &good, "dataset.missing", FailureKind::Permanent),
        ("s3://no-such-bucket/x", &good, "dataset.missing", FailureKind::Permanent),
        ("s3://lake/x", &nobody, "store.unreachable", FailureKind::Transient),
    ];
    for (url, options, code, kind) in cases {
        let store = ParquetStore::new(at(url), options.clone()).unwrap();
        let error = dataset(&store).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, kind), "{url}: {error:?}");
        assert!(error.hint_text().is_some(), "{url}");
        assert!(!format!("{error:?} {error}").contains("canary"), "{url}");
    }
    let store = ParquetStore::new(at("s3://lake/x"), good).unwrap();
    let error = schema(&store).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("data.damaged", FailureKind::Damaged), "{error}");
}

/// Explicit settings for a client that needs no server.
trait With {
    fn with(self, name: &str, value: &str) -> Self;
}

impl With for LakeOptions {
    fn with(mut self, name: &str, value: &str) -> Self {
        for (name, value) in
            [(name, value), ("aws_access_key_id", "x"), ("aws_secret_access_key", "y"), ("aws_region", "z")]
        {
            self.set(name, value).unwrap();
        }
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_an_object_store_is_read_from_its_answers() {
    let scratch = Scratch::new().unwrap();
    let Some(server) = server(&scratch).await else { return };
    let good = options(&server, server.secret_key());
    // What is there, what is not, and the whole bucket: every answer is dated.
    for path in ["s3://lake/a", "s3://lake/not/there", "s3://lake"] {
        let store = FilesStore::new(at(path), good.clone()).unwrap();
        let clock = store.clocks().unwrap();
        assert_eq!(clock.method(), "HTTP Date");
        let reading = clock.clock(&Context::default()).await.unwrap();
        let paritas_connect::ClockShows::Time { low_us, high_us } = reading.shows else {
            panic!("{path}: {reading:?}")
        };
        // The server runs on this machine: between question and answer our clock was within what the answer says.
        assert!(low_us <= reading.end.wall_us && reading.begin.wall_us <= high_us, "{path}: {reading:?}");
        assert!(reading.begin.at <= reading.end.at);
    }
    let denied = FilesStore::new(at("s3://lake/a"), options(&server, "wrong")).unwrap();
    let error = denied.clocks().unwrap().clock(&Context::default()).await.unwrap_err();
    assert_eq!(error.code(), "store.denied", "{error:?}");
}
