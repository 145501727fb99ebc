//! Object storage that fails, and objects that change while they are read: never a pass, never a difference that is
//! none, and the exit code of the contract.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use paritas_testbed::Scratch;
use paritas_testbed::ledger::{self, ParquetOptions, Plan};
use paritas_testbed::proxy::{Behaviour, Proxy};
use paritas_testbed::seaweed::S3;
use paritas_tests::{Run, command};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Every 16 KiB of a slow answer take this long.
const SLOW: Duration = Duration::from_millis(10);
/// Answers of a failing service before it recovers; fewer than the client's tries.
const FAILURES: u64 = 3;
/// Bytes of the object whose checksum is taken: more than one request asks for, because one answer is of one content.
const LARGE_BYTES: usize = 9 << 20;

/// A bucket behind a proxy, and the same content in local folders.
struct Bucket {
    server: S3,
    proxy: Proxy,
    _scratch: Scratch,
    /// Parquet files.
    rows: PathBuf,
    /// One large file.
    archive: PathBuf,
}

impl Bucket {
    /// Nothing where no server is installed.
    async fn start() -> Option<Self> {
        if S3::find().is_err() {
            eprintln!("left out: no S3 server is installed");
            return None;
        }
        let scratch = Scratch::new().unwrap();
        let server = S3::start(&scratch, "s3").await.unwrap();
        server.create_bucket("lake").await.unwrap();
        let proxy = Proxy::start(server.port()).await.unwrap();
        let (rows, archive) = (scratch.path().join("rows"), scratch.folder("archive").unwrap());
        let plan = Plan::default();
        ledger::write_parquet(&ledger::FILLS, &plan, &rows, &ParquetOptions::default()).unwrap();
        let noise: Vec<u8> =
            (0..LARGE_BYTES as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
        fs::write(archive.join("large.bin"), noise).unwrap();
        let bucket = Self { server, proxy, _scratch: scratch, rows, archive };
        bucket.upload().await;
        Some(bucket)
    }

    async fn upload(&self) {
        self.server.upload_folder(&self.rows, "lake", "rows").await.unwrap();
        self.server.upload_folder(&self.archive, "lake", "archive").await.unwrap();
    }

    /// Verifies local files against the bucket.
    fn begin(&self, what: &str) -> Child {
        let (source, replica) = match what {
            "rows" => (format!("parquet:{}?key=fill_id", self.rows.display()), "parquet:s3://lake/rows".to_owned()),
            _ => (self.archive.display().to_string(), "s3://lake/archive".to_owned()),
        };
        let mut call = command(&["verify", "--json", &source, &replica]);
        call.env("AWS_ACCESS_KEY_ID", self.server.access_key())
            .env("AWS_SECRET_ACCESS_KEY", self.server.secret_key())
            .env("AWS_REGION", self.server.region())
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.proxy.port()));
        call.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Verifies without a disturbance, and says how many bytes that takes.
    async fn bytes(&self, what: &str) -> u64 {
        self.proxy.set(Behaviour::Pass);
        let before = self.proxy.bytes_from_server();
        ended(self.begin(what)).await.expect_code(0);
        self.proxy.bytes_from_server() - before
    }

    /// Verifies slowly, and returns when most has been read: listings and footers come first, the last object is still
    /// to be read or finished.
    async fn reading(&self, what: &str) -> Child {
        let most = self.bytes(what).await * 3 / 5;
        self.proxy.set(Behaviour::Delay(SLOW));
        let before = self.proxy.bytes_from_server();
        let child = self.begin(what);
        while self.proxy.bytes_from_server() < before + most {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child
    }

    /// Waits until a service that answers so has been asked so often.
    async fn refuse(&self, status: u16, times: u64) {
        let before = self.proxy.answers();
        self.proxy.set(Behaviour::Answer(status));
        while self.proxy.answers() < before + times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn ended(child: Child) -> Run {
    tokio::task::spawn_blocking(move || paritas_tests::ended(child)).await.unwrap()
}

/// Nothing is proven, and the report says why.
fn inconclusive(run: Run, why: &str) {
    let run = run.expect_code(3);
    let report = run.json();
    assert_eq!(report["verdict"], "unknown", "{report}");
    assert!(report.to_string().contains(why), "nothing about {why:?} in {report}");
    run.expect_no_difference();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_recovers_is_asked_again_and_one_that_does_not_is_inconclusive() {
    let Some(bucket) = Bucket::start().await else { return };
    for what in ["rows", "archive"] {
        for status in [503, 500] {
            // From the first request on, and in the middle.
            let (_, run) = tokio::join!(
                async {
                    bucket.refuse(status, FAILURES).await;
                    bucket.proxy.set(Behaviour::Pass);
                },
                ended(bucket.begin(what))
            );
            run.expect_code(0);
            let child = bucket.reading(what).await;
            bucket.refuse(status, FAILURES).await;
            bucket.proxy.set(Behaviour::Pass);
            ended(child).await.expect_code(0);
        }
    }
    let child = bucket.reading("rows").await;
    bucket.proxy.set(Behaviour::Answer(503));
    inconclusive(ended(child).await, "check the endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_in_an_answer_is_opened_again() {
    let Some(bucket) = Bucket::start().await else { return };
    for what in ["rows", "archive"] {
        let child = bucket.reading(what).await;
        // Inside of the answers that are under way, and of a few that follow.
        bucket.proxy.set(Behaviour::CutAfter(1_000));
        let cut = bucket.proxy.connections();
        while bucket.proxy.connections() < cut + 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bucket.proxy.set(Behaviour::Pass);
        ended(child).await.expect_code(0);
    }
    let child = bucket.reading("archive").await;
    bucket.proxy.set(Behaviour::CutAfter(1_000));
    inconclusive(ended(child).await, "check the endpoint");
}

/// Pause between two rounds of changes.
const BETWEEN_CHANGES: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_change_or_vanish_while_they_are_read_prove_nothing() {
    let Some(bucket) = Bucket::start().await else { return };
    for what in ["rows", "archive"] {
        let folder = if what == "rows" { &bucket.rows } else { &bucket.archive };
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
        let mut objects: Vec<_> =
            names.iter().map(|name| (format!("{what}/{name}"), fs::read(folder.join(name)).unwrap())).collect();
        for step in ["changed", "gone"] {
            let child = bucket.reading(what).await;
            let waiting = tokio::spawn(ended(child));
            // Again and again, so that reading them once more does not help either.
            while !waiting.is_finished() {
                for (key, bytes) in &mut objects {
                    if step == "gone" {
                        bucket.server.delete("lake", key).await.unwrap();
                    }
                    // Of the same size: only the tag tells.
                    let middle = bytes.len() / 2;
                    bytes[middle] = bytes[middle].wrapping_add(1);
                    bucket.server.put("lake", key, bytes).await.unwrap();
                }
                // Every version stays on the server's disk; the readings are far slower than this.
                tokio::time::sleep(BETWEEN_CHANGES).await;
            }
            let why = if step == "gone" { "changed while it was read" } else { "Its tag or time of change" };
            inconclusive(waiting.await.unwrap(), why);
            bucket.upload().await;
        }
        bucket.bytes(what).await;
    }
}
