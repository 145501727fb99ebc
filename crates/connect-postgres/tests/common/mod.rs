//! One server for each test binary, a database for each test, and short ways to read tables.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use paritas_connect::{BlockSink, ColumnPair, Context, Datasets, Description, FetchedRow, Result, Scan, ScanRequest};
use paritas_connect_postgres::{Options, PostgresStore};
use paritas_digest::{Block, Canon, Capacity, DigestKey, Digester, Policies, Spec, Sums};
use paritas_model::Dataset;
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Install, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

/// The server that all tests of a binary share. It ends with the process.
pub async fn server() -> &'static Server {
    static SERVER: Shared = Shared::const_new();
    shared(&SERVER, async || Some(Install::find().unwrap())).await.unwrap()
}

type Shared = OnceCell<Option<(Scratch, Server)>>;

/// As [`server`], of a major version; nothing where the test is to be left out.
pub async fn server_of(major: u32) -> Option<&'static Server> {
    static SERVERS: [Shared; postgres::MAJORS.len()] = [const { Shared::const_new() }; postgres::MAJORS.len()];
    let at = postgres::MAJORS.iter().position(|&other| other == major).expect("a version that is tested");
    shared(&SERVERS[at], async || install(major)).await
}

/// The installation of a major version; nothing where the test is to be left out.
pub fn install(major: u32) -> Option<Install> {
    let found = Install::unless_missing(major).unwrap();
    if found.is_none() {
        eprintln!("left out: PostgreSQL {major} is not installed; run `make setup`");
    }
    found
}

async fn shared(place: &'static Shared, install: impl AsyncFnOnce() -> Option<Install>) -> Option<&'static Server> {
    let start = || async {
        let install = install().await?;
        let scratch = Scratch::new().unwrap();
        let server = Server::start(&install, &scratch, "shared", postgres::Options::default()).await.unwrap();
        Some((scratch, server))
    };
    place.get_or_init(start).await.as_ref().map(|(_, server)| server)
}

pub async fn start(scratch: &Scratch, name: &str, options: postgres::Options) -> Server {
    Server::start(&Install::find().unwrap(), scratch, name, options).await.unwrap()
}

/// A fresh database with these objects in it.
pub struct Db {
    pub server: &'static Server,
    pub name: String,
    pub store: PostgresStore,
}

impl Db {
    pub async fn new(sql: &str) -> Self {
        Self::on(server().await, sql).await
    }

    /// On the server of a major version; nothing where the test is to be left out.
    pub async fn of(major: u32, sql: &str) -> Option<Self> {
        Some(Self::on(server_of(major).await?, sql).await)
    }

    async fn on(server: &'static Server, sql: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("d{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        server.create_database(&name).await.unwrap();
        let db = Self { server, store: store(&server.url(&name)), name };
        db.run(sql).await;
        db
    }

    pub async fn run(&self, sql: &str) {
        self.server.batch(&self.name, sql).await.unwrap();
    }

    pub async fn describe(&self, table: &str) -> Description {
        self.store.describe(&cx(), &dataset(table)).await.unwrap()
    }
}

pub fn store(url: &str) -> PostgresStore {
    PostgresStore::from_url(url, Options::default()).unwrap()
}

pub fn cx() -> Context {
    Context::default().with_timeout(std::time::Duration::from_secs(60))
}

pub fn dataset(name: &str) -> Dataset {
    Dataset(name.to_owned())
}

/// The wire canon of a table with itself, over all columns and its own key.
pub fn canon_of(store: &PostgresStore, description: &Description, policies: Policies) -> Canon {
    let names = description.schema.columns.iter().map(|column| column.name.clone());
    let pairs: Vec<(String, String)> = names.map(|name| (name.clone(), name)).collect();
    store.wire_canon(description, description, &pairs, &description.schema.key, policies).unwrap()
}

pub fn request(table: &str, canon: Canon) -> ScanRequest {
    let columns = canon
        .columns
        .iter()
        .map(|column| ColumnPair { canonical: column.name.clone(), own: column.name.clone() })
        .collect();
    ScanRequest { dataset: dataset(table), columns, canon: Arc::new(canon), filter: None, ranges: Vec::new() }
}

/// Keeps all blocks.
#[derive(Default)]
pub struct Collect {
    pub blocks: Vec<Block>,
}

impl BlockSink for Collect {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.blocks.push(block);
        Ok(())
    }
}

impl Collect {
    /// All wire images, sorted.
    pub fn images(&self) -> Vec<Vec<u8>> {
        let mut images: Vec<Vec<u8>> = self
            .blocks
            .iter()
            .flat_map(|block| match block {
                Block::Wire(rows) => (0..rows.len()).map(|row| rows.image(row).unwrap().to_vec()).collect::<Vec<_>>(),
                Block::Arrow(_) => panic!("an Arrow block in the wire canon"),
            })
            .collect();
        images.sort();
        images
    }

    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.blocks
            .iter()
            .flat_map(|block| match block {
                Block::Wire(rows) => (0..rows.len()).map(|row| rows.key(row).unwrap().to_vec()).collect::<Vec<_>>(),
                Block::Arrow(_) => panic!("an Arrow block in the wire canon"),
            })
            .collect()
    }

    pub fn rows(&self) -> usize {
        self.blocks.iter().map(Block::rows).sum()
    }
}

/// Reads all splits into one collection.
pub async fn read_all(scan: &dyn Scan) -> Result<Collect> {
    let mut sink = Collect::default();
    for split in scan.splits() {
        let before = sink.rows() as u64;
        let done = scan.read(&cx(), split, &mut sink).await?;
        assert_eq!(done.rows, sink.rows() as u64 - before);
    }
    Ok(sink)
}

/// All wire images of a table under default policies.
pub async fn images(db: &Db, table: &str, policies: Policies) -> Vec<Vec<u8>> {
    let description = db.describe(table).await;
    let canon = canon_of(&db.store, &description, policies);
    let scan = db.store.open(&cx(), &request(table, canon)).await.unwrap();
    read_all(&*scan).await.unwrap().images()
}

struct DigestSink(Digester);

impl BlockSink for DigestSink {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.0.add(&block).map_err(Into::into)
    }
}

/// Sums over all splits of a request.
pub async fn digest(store: &PostgresStore, cx: &Context, request: &ScanRequest) -> Result<Sums> {
    let spec = Spec::new(&DigestKey::unkeyed(), "t", (*request.canon).clone()).unwrap();
    let scan = store.open(cx, request).await?;
    let capacity = Capacity::for_differences(100);
    let mut total = Sums::new(spec.key_form(), capacity);
    for split in scan.splits() {
        let mut sink = DigestSink(Digester::new(Arc::clone(&spec), capacity));
        scan.read(cx, split, &mut sink).await?;
        total.merge(&sink.0.finish()).unwrap();
    }
    Ok(total)
}

/// Rows by key as texts, for comparing in tests.
pub fn shown(rows: &[FetchedRow]) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.fields.iter().map(|field| field.shown.to_string()).collect()).collect();
    rows.sort();
    rows
}
