//! A primary and its physical standby, and damage to the standby's files.

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Mode, Options, Server, standby, wait_replayed};
use paritas_tests::{Run, verify};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

pub const PAGE: usize = 8192;

/// Rows of several pages, with a primary key and values stored out of line.
pub const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, amount int NOT NULL, pad text, big text);
    ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
    INSERT INTO t SELECT n, n * 10, repeat('x', 100), CASE WHEN n % 50 = 0 THEN repeat('b', 9000) END
        FROM generate_series(1, 5000) n";

/// A primary and a standby with `pageinspect`.
pub struct Stage {
    pub primary: Server,
    pub standby: Server,
    _scratch: Scratch,
}

/// Settings under which nothing runs by itself.
pub fn quiet() -> Options {
    Options::default().set("autovacuum", "off").set("checkpoint_timeout", "1d")
}

/// Pages are read although their checksums are wrong, so that damage can be told from its detection.
pub fn unchecked() -> Options {
    quiet().set("ignore_checksum_failure", "on")
}

impl Stage {
    pub async fn new(options: Options, sql: &str) -> Self {
        Self::with(&Install::find().unwrap(), options, sql).await
    }

    pub async fn with(install: &Install, options: Options, sql: &str) -> Self {
        let scratch = Scratch::new().unwrap();
        let primary = Server::start(install, &scratch, "primary", options).await.unwrap();
        primary.batch("postgres", &format!("CREATE EXTENSION pageinspect; {sql}")).await.unwrap();
        let standby = standby(&primary, "standby").await.unwrap();
        let stage = Self { primary, standby, _scratch: scratch };
        stage.replayed().await;
        stage
    }

    pub async fn run(&self, sql: &str) {
        self.primary.batch("postgres", sql).await.unwrap();
    }

    pub async fn replayed(&self) {
        wait_replayed(&self.primary, &self.standby).await.unwrap();
    }

    /// Verifies one table with further options.
    pub fn verify(&self, table: &str, more: &[&str]) -> Run {
        let url = |server: &Server| format!("{}?table={table}", server.url("postgres"));
        verify(&url(&self.primary), &url(&self.standby), more)
    }

    /// Everything that the standby has replayed is in its files, and nothing of it is replayed again
    /// when it starts: a full-page image would heal what is damaged meanwhile.
    pub async fn stopped(&mut self) {
        self.run("CHECKPOINT").await;
        self.replayed().await;
        self.standby.batch("postgres", "CHECKPOINT").await.unwrap();
        self.standby.stop(Mode::Fast).await.unwrap();
    }

    pub async fn started(&mut self) {
        self.standby.start_again().await.unwrap();
        self.replayed().await;
    }

    /// The file of a relation on the standby.
    pub async fn file(&self, relation: &str) -> PathBuf {
        let client = self.primary.client("postgres").await.unwrap();
        let row = client.query_one("SELECT pg_relation_filepath($1::text::regclass)", &[&relation]).await.unwrap();
        self.standby.data_dir().join(row.get::<_, String>(0))
    }

    /// Stops the standby, changes the file of a relation, and starts it again.
    pub async fn damage(&mut self, relation: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.file(relation).await;
        self.stopped().await;
        let mut bytes = fs::read(&file).unwrap();
        change(&mut bytes);
        write(&file, &bytes);
        self.started().await;
    }

    /// Stops the primary, changes the file of a relation of its own, and starts it again.
    pub async fn damage_primary(&mut self, relation: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let client = self.primary.client("postgres").await.unwrap();
        let row = client.query_one("SELECT pg_relation_filepath($1::text::regclass)", &[&relation]).await.unwrap();
        let file = self.primary.data_dir().join(row.get::<_, String>(0));
        self.primary.stop(Mode::Fast).await.unwrap();
        let mut bytes = fs::read(&file).unwrap();
        change(&mut bytes);
        write(&file, &bytes);
        self.primary.start_again().await.unwrap();
        self.replayed().await;
    }

    /// Where the row of that number stands: block and item.
    pub async fn place(&self, id: i32) -> (usize, usize) {
        let sql = "SELECT (ctid::text::point)[0]::int8, (ctid::text::point)[1]::int8 FROM t WHERE id = $1";
        let row = self.primary.client("postgres").await.unwrap().query_one(sql, &[&id]).await.unwrap();
        (row.get::<_, i64>(0) as usize, row.get::<_, i64>(1) as usize)
    }
}

/// Writes over a file without changing its owner.
pub fn write(file: &PathBuf, bytes: &[u8]) {
    use std::io::Write as _;
    let mut open = fs::OpenOptions::new().write(true).truncate(true).open(file).unwrap();
    open.write_all(bytes).unwrap();
}

/// Makes a file that belongs to whom the other one belongs to.
pub fn create_beside(other: &PathBuf, file: &PathBuf, bytes: &[u8]) {
    use std::os::unix::fs::{MetadataExt as _, chown};
    fs::write(file, bytes).unwrap();
    let owner = fs::metadata(other).unwrap();
    chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// Where in its file a tuple begins.
pub fn tuple(bytes: &[u8], (block, item): (usize, usize)) -> usize {
    let pointer = block * PAGE + 24 + 4 * (item - 1);
    let word = u32::from_le_bytes(bytes[pointer..pointer + 4].try_into().unwrap());
    block * PAGE + (word & 0x7FFF) as usize
}

/// Demands that pages were compared, and gives the check.
pub fn by_pages(run: Run, code: i32) -> Value {
    let check = run.expect_code(code).parity();
    assert_eq!(check["method"], "pages", "{check:#}");
    check
}

/// Keys of all items of a class.
pub fn keys(check: &Value, class: &str) -> Vec<i64> {
    let items = check["items"].as_array().unwrap().iter();
    let of_class = items.filter(|item| item["class"] == class && item["proof"] == "proven");
    let mut keys: Vec<i64> = of_class.filter_map(|item| item["key"]["id"].as_i64()).collect();
    keys.sort_unstable();
    keys
}

/// All notes in one text.
pub fn notes(check: &Value) -> String {
    check["notes"].to_string()
}
