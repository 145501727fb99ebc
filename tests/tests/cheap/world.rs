//! A table, the rows of it that are kept, and snapshots of both kinds in one view.

use paritas_connect::{ColumnPair, Context, Datasets, LogMark, ScanRequest};
use paritas_connect_postgres::{Options, PostgresStore};
use paritas_digest::{DigestKey, Policies, Spec, schema_fingerprint};
use paritas_engine::thrift::{self, Thrift};
use paritas_model::{Dataset, Known};
use paritas_state::{RangesFolder, State};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Install, Server};
use paritas_verify::Side;
use paritas_verify::keep::{self, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_postgres::Client;

pub const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How long a snapshot waits for what runs.
const SETTLE: Duration = Duration::from_millis(50);

/// How it is decided up to where in the log what was read stays valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// As the product does.
    Horizon,
    /// The obvious one: up to the place of the snapshot itself.
    Obvious,
    /// The bound is one more than the newest transaction that has ended, not the next one to be given out.
    Ended,
}

/// A snapshot that reads less, and one that reads everything, of the same view.
#[derive(Debug)]
pub struct Taken {
    pub reading: paritas_report::KeptReading,
    pub equal: bool,
    pub rows: u64,
}

impl Taken {
    /// The digest is right, and something was looked for.
    pub fn right(self) -> Self {
        assert!(self.equal, "the digest is wrong: {:?}", self.reading);
        self
    }

    /// Everything was read, for a reason that says this.
    pub fn all_read(self, why: &str) -> Self {
        let taken = self.right();
        let said = taken.reading.why.clone().unwrap_or_default();
        assert!(said.contains(why), "{said:?} does not say {why:?}");
        assert_eq!((taken.reading.rows_read, taken.reading.rows_kept), (taken.rows, 0));
        taken
    }

    /// No more than so many rows were read.
    pub fn read_at_most(self, rows: u64) -> Self {
        let taken = self.right();
        assert_eq!(taken.reading.why, None);
        // Those that had their turn come on top: eight pages of the narrowest rows.
        let turn = taken.reading.ranges_reread * 2_000;
        assert!(taken.reading.rows_read <= rows + turn, "{:?}", taken.reading);
        assert_eq!(taken.reading.rows_read + taken.reading.rows_kept, taken.rows);
        taken
    }
}

pub struct World {
    pub server: Server,
    pub scratch: Scratch,
    pub client: Client,
    pub within: Duration,
    table: String,
    store: PostgresStore,
    state: State,
}

impl World {
    /// A server with a table.
    pub async fn new(sql: &str) -> Self {
        Self::with(&[], sql).await
    }

    /// The same with settings.
    pub async fn with(settings: &[(&str, &str)], sql: &str) -> Self {
        let scratch = Scratch::new().unwrap();
        let mut options = postgres::Options::default()
            .set("max_prepared_transactions", "32")
            .set("autovacuum", "off")
            .set("wal_log_hints", "off");
        for (name, value) in settings {
            options = options.set(name, value);
        }
        let server = Server::start(&Install::find().unwrap(), &scratch, "cheap", options).await.unwrap();
        let client = server.client("postgres").await.unwrap();
        client.batch_execute(&format!("CREATE EXTENSION pageinspect; {sql}")).await.unwrap();
        // Hints that the first reader would leave in the pages are logged where pages have checksums.
        client.batch_execute("VACUUM").await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
        Self::of(server, scratch, client)
    }

    pub fn of(server: Server, scratch: Scratch, client: Client) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = scratch.path().join(format!("state{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let state = State::open(folder).unwrap();
        let store = PostgresStore::from_url(&server.url("postgres"), Options::default()).unwrap();
        Self { server, scratch, client, within: DAY, table: "t".to_owned(), store, state }
    }

    pub async fn sql(&self, sql: &str) {
        // VACUUM is not run among other statements.
        let alone = sql.contains("VACUUM") && !sql.contains("BEGIN");
        let statements = if alone { sql.split("; ").collect() } else { vec![sql] };
        for statement in statements {
            self.client.batch_execute(statement).await.unwrap();
        }
    }

    /// Another session.
    pub async fn session(&self) -> Client {
        self.server.client("postgres").await.unwrap()
    }

    /// Where rows are kept under a rule.
    pub fn folder(&self, rule: Rule) -> RangesFolder {
        self.state.ranges(&format!("{rule:?}"), "t")
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// A snapshot as the product takes it.
    pub async fn take(&self) -> Taken {
        self.take_by(&[Rule::Horizon]).await.remove(0)
    }

    /// Nothing is written any more: what readers tidied up is settled, and then nothing is read.
    pub async fn still(&self) {
        for _ in 0..2 {
            self.take().await.right();
        }
        self.take().await.read_at_most(0);
    }

    pub async fn take_by(&self, rules: &[Rule]) -> Vec<Taken> {
        self.try_take(rules).await.unwrap()
    }

    /// Snapshots under rules, each held against a reading of everything in the one view of all of them.
    pub async fn try_take(&self, rules: &[Rule]) -> Result<Vec<Taken>, paritas_connect::Error> {
        let cx = Context::default().with_timeout(Duration::from_secs(120)).with_parallel(2);
        let side = Side::new(Arc::new(self.store.clone()), cx.clone());
        let description = self.store.describe(&cx, &Dataset(self.table.clone())).await?;
        let schema = &description.schema;
        let names: Vec<String> = schema.columns.iter().map(|column| column.name.clone()).collect();
        let pairs: Vec<_> = names.iter().map(|name| (name.clone(), name.clone())).collect();
        let canon = self.store.wire_canon(&description, &description, &pairs, &schema.key, Policies::default());
        let canon = canon.unwrap();
        let own = |name: &String| ColumnPair { canonical: name.clone(), own: name.clone() };
        let columns = canon.columns.iter().map(|column| own(&column.name)).collect();
        let spec = Spec::new(&DigestKey::unkeyed(), "t", canon.clone()).unwrap();
        let (dataset, canon) = (Dataset(self.table.clone()), Arc::new(canon));
        let scan = ScanRequest { dataset, columns, canon, filter: None, ranges: Vec::new() };
        let mark = match self.store.mark(&cx, SETTLE).await?.unwrap() {
            Known::Known(mark) => mark,
            Known::Unknown { why } => panic!("no mark: {why}"),
        };
        let ended = self.ended().await;
        let held = self.store.hold(&cx).await?.unwrap();
        let after = self.insert_lsn().await;
        let request = Request {
            side: &side,
            held: Some(&*held),
            scan: &scan,
            spec: &spec,
            schema: schema_fingerprint(schema),
            capacity: 1_000,
        };
        let mut taken = Vec::new();
        let mut read = Vec::new();
        for rule in rules {
            let mark = match rule {
                Rule::Horizon => mark,
                Rule::Obvious => LogMark { at: after, next: 0 },
                Rule::Ended => LogMark { next: ended, ..mark },
            };
            let (folder, mark) = (self.folder(*rule), Known::Known(mark));
            let thrift = Thrift { folder, mark, within: self.within, bytes_max: 1 << 30, rows_estimate: 0 };
            read.push(thrift::keep(&request, &thrift).await?);
        }
        let full = keep::keep(&request).await?;
        for (kept, reading) in read {
            let (reading, rows) = (reading.expect("PostgreSQL has ranges"), full.digest.header.rows);
            taken.push(Taken { reading, equal: kept.digest.sums == full.digest.sums, rows });
        }
        Ok(taken)
    }

    async fn insert_lsn(&self) -> u64 {
        let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8";
        self.client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0).unsigned_abs()
    }

    async fn ended(&self) -> u64 {
        let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8";
        self.client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0).unsigned_abs()
    }
}

impl World {
    /// The same with the state of another.
    pub fn keeping(self, state: State) -> Self {
        Self { state, ..self }
    }
}
