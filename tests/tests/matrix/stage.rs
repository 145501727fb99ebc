//! A stage: an honest pair of stores that verifies, and replicas with one fault each.

use crate::data::Table;
use crate::files::{self, Layout};
use crate::finding::{lines, misfit};
use crate::logical::{self, LOGICAL, Servers};
use crate::mirror::Clusters;
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_tests::{Run, verify};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Runtime;

/// What all cells share: a folder, and one PostgreSQL server for those that need it.
pub struct World {
    // First, so that it stops before its folder and its runtime go.
    server: OnceLock<Server>,
    logical: OnceLock<Servers>,
    clusters: OnceLock<Clusters>,
    runtime: Runtime,
    scratch: Scratch,
    numbers: AtomicUsize,
}

impl World {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (server, logical, clusters) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { server, logical, clusters, runtime, scratch: Scratch::new().unwrap(), numbers: AtomicUsize::new(0) }
    }

    /// A new empty folder of this name.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.scratch.path().join(self.number().to_string()).join(name);
        std::fs::create_dir_all(&path).expect("folder");
        path
    }

    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    pub fn number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Goes on beside the cell until it is aborted, or until all cells are done.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(work)
    }

    /// The server, started at the first call.
    pub fn server(&self) -> &Server {
        self.server.get_or_init(|| {
            self.run(async {
                let server = Server::start(&Install::find().unwrap(), &self.scratch, "matrix", Options::default())
                    .await
                    .unwrap();
                for database in ["east", "west"] {
                    server.create_database(database).await.unwrap();
                }
                server
            })
        })
    }

    /// A publisher and its subscriber, started at the first call.
    pub fn logical(&self) -> &Servers {
        let start = || self.run(Servers::start(&self.scratch, "publisher", "subscriber", Options::default()));
        self.logical.get_or_init(start)
    }

    /// Two Kafka clusters, started at the first call.
    pub fn clusters(&self) -> &Clusters {
        self.clusters.get_or_init(|| self.run(Clusters::start(&self.scratch)))
    }

    /// Runs statements in a database of the server.
    pub fn sql(&self, database: &str, sql: &str) {
        let server = self.server();
        self.run(server.batch(database, sql)).unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    }
}

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Parquet,
    Csv,
    Postgres,
}

/// A table in a store.
#[derive(Debug, Clone)]
pub struct Placed {
    /// As on the command line.
    pub url: String,
    /// The folder of its files, or the schema of its table.
    pub place: String,
}

impl Placed {
    pub fn path(&self) -> &Path {
        Path::new(&self.place)
    }

    /// With one more option.
    pub fn with(&self, option: &str) -> Self {
        let joint = if self.url.contains('?') { '&' } else { '?' };
        Self { url: format!("{}{joint}{option}", self.url), place: self.place.clone() }
    }
}

/// Puts a table into a store. Every table is called `t`.
pub fn put(world: &World, kind: Kind, table: &Table, layout: Layout) -> Placed {
    let key = table.key();
    let key = if key.is_empty() { String::new() } else { format!("key={key}") };
    let placed = |url: String, place: String| {
        let placed = Placed { url, place };
        if key.is_empty() { placed } else { placed.with(&key) }
    };
    match kind {
        Kind::Parquet => {
            let folder = world.folder("t");
            files::write_parquet(table, &folder, layout);
            placed(format!("parquet:{}", folder.display()), folder.display().to_string())
        }
        Kind::Csv => {
            let folder = world.folder("t");
            files::write_csv(table, &folder, layout);
            let url = placed(format!("csv:{}", folder.display()), folder.display().to_string());
            match files::csv_options(layout) {
                "" => url,
                options => url.with(options),
            }
        }
        Kind::Postgres => {
            let database = if layout == Layout::Source { "east" } else { "west" };
            let schema = format!("s{}", world.number());
            let sql = postgres_sql(table, &schema);
            world.sql(database, &sql);
            postgres(world, database, &schema)
        }
    }
}

/// The table `t` of a schema.
pub fn postgres(world: &World, database: &str, schema: &str) -> Placed {
    let url = world.server().url(database);
    Placed { url, place: schema.to_owned() }.with(&format!("table={schema}.t"))
}

/// Statements that make a schema with the table in it.
pub fn postgres_sql(table: &Table, schema: &str) -> String {
    let columns: Vec<String> = table.columns.iter().map(|c| format!("{} {}", ident(&c.name), c.sql())).collect();
    let key: Vec<String> = table.columns.iter().filter(|c| c.key).map(|c| ident(&c.name)).collect();
    let key = if key.is_empty() { String::new() } else { format!(", PRIMARY KEY ({})", key.join(", ")) };
    let mut sql = format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.t ({}{key});", columns.join(", "));
    for row in &table.rows {
        let values = row.iter().zip(&table.columns).map(|(text, column)| match text {
            Some(text) => format!("'{}'::{}", text.replace('\'', "''"), column.sql()),
            None => "NULL".to_owned(),
        });
        sql += &format!("INSERT INTO {schema}.t VALUES ({});", values.collect::<Vec<_>>().join(", "));
    }
    sql
}

pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Verifies two stores and demands an exit code, the verdict that belongs to it, and exactly these lines.
pub fn demand(source: &Placed, replica: &Placed, more: &[&str], code: i32, lines: &[String], what: &str) -> Run {
    demand_urls(&source.url, &replica.url, more, code, lines, what)
}

/// As [`demand`], for stores by their names.
pub fn demand_urls(source: &str, replica: &str, more: &[&str], code: i32, demanded: &[String], what: &str) -> Run {
    let run = verify(source, replica, more);
    let complain = |why: &str| {
        let line = format!("paritas verify --json '{source}' '{replica}' {}", more.join(" "));
        panic!("{what}: {why}\n  {line}\n  exit code {}\n{}{}", run.code, run.stdout, run.stderr)
    };
    if run.code != code {
        complain(&format!("exit code {} instead of {code}", run.code));
    }
    let found = std::panic::catch_unwind(|| {
        let found = lines(&run);
        let verdict = run.json()["verdict"].as_str().unwrap_or_default().to_owned();
        let right = match code {
            0 => verdict == "pass" || verdict == "warn",
            1 => verdict == "fail",
            3 => verdict == "unknown",
            _ => verdict.is_empty(),
        };
        assert!(right, "the verdict {verdict:?} does not belong to exit code {code}");
        found
    });
    match found {
        Ok(found) => {
            if let Some(misfit) = misfit(&found, demanded) {
                complain(&format!("the report says something else\n{misfit}"));
            }
        }
        Err(why) => complain(&reason(why.as_ref())),
    }
    run
}

/// What a panic said.
pub fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

pub fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

/// An honest pair.
pub struct Stage<'w> {
    pub world: &'w World,
    pub kinds: (Kind, Kind),
    pub honest: Table,
    pub source: Placed,
    /// The replica without any fault.
    pub faithful: Placed,
    options: Vec<&'static str>,
    /// What every report says about this pair, without any fault.
    always: Vec<String>,
    /// What is published, and what the subscriber has, where the pair is one of servers.
    held: RefCell<(Table, Table)>,
}

impl<'w> Stage<'w> {
    /// Puts a table into both stores, in different layouts, and demands that they verify.
    pub fn new(world: &'w World, kinds: (Kind, Kind), honest: &Table) -> Self {
        Self::with(world, kinds, honest, &[], &[])
    }

    /// As [`Stage::new`], with options for every run, and lines that are in every report.
    pub fn with(
        world: &'w World,
        kinds: (Kind, Kind),
        honest: &Table,
        options: &[&'static str],
        always: &[&str],
    ) -> Self {
        let (source, faithful) = if kinds == LOGICAL[0] {
            logical::put(world, honest)
        } else {
            (put(world, kinds.0, honest, Layout::Source), put(world, kinds.1, honest, Layout::Replica))
        };
        let (options, always) = (options.to_vec(), owned(always));
        let held = RefCell::new((honest.clone(), honest.clone()));
        let stage = Self { world, kinds, honest: honest.clone(), source, faithful, options, always, held };
        stage.demand("without any fault", &stage.faithful, 0, &[]);
        stage
    }

    /// The dataset's name in reports.
    pub fn dataset(&self) -> String {
        if self.kinds.0 == Kind::Postgres { format!("{}.t", self.source.place) } else { "t".to_owned() }
    }

    fn what(&self, fault: &str) -> String {
        format!("{:?} -> {:?}, {fault}", self.kinds.0, self.kinds.1)
    }

    /// What a report must say: what it always says, and these lines, in the words of the stores.
    fn lines(&self, lines: &[&str]) -> Vec<String> {
        let own = |line: &&str| if self.kinds == LOGICAL[0] { logical::shown(line) } else { (*line).to_owned() };
        self.always.iter().cloned().chain(lines.iter().map(own)).collect()
    }

    /// A replica with a fault.
    pub fn replica(&self, plant: impl FnOnce(&mut Table)) -> Placed {
        let mut faulty = self.honest.clone();
        plant(&mut faulty);
        if self.kinds == LOGICAL[0] {
            self.hold(&self.honest, &faulty);
            return self.faithful.clone();
        }
        put(self.world, self.kinds.1, &faulty, Layout::Replica)
    }

    /// Publishes one table, and gives the subscriber another one.
    fn hold(&self, source: &Table, replica: &Table) {
        let place = &self.source.place;
        let (published, has) = self.held.replace((source.clone(), replica.clone()));
        // What was planted before, also by SQL that nobody noted, goes.
        logical::rewrite(self.world, place, &has, &self.honest);
        if published != *source {
            logical::republish(self.world, place, source);
        }
        if *replica != self.honest || *source != self.honest {
            logical::rewrite(self.world, place, &self.honest, replica);
        }
    }

    fn demand(&self, fault: &str, replica: &Placed, code: i32, lines: &[&str]) -> Run {
        let lines = self.lines(lines);
        demand(&self.source, replica, &self.options, code, &lines, &self.what(fault))
    }

    /// The fault is found, and nothing else.
    pub fn finds(&self, fault: &str, plant: impl FnOnce(&mut Table), lines: &[&str]) -> &Self {
        self.demand(fault, &self.replica(plant), 1, lines);
        self
    }

    /// A change of the source that the replica never got is found, and nothing else.
    pub fn misses(&self, fault: &str, change: impl FnOnce(&mut Table), lines: &[&str]) -> &Self {
        let mut changed = self.honest.clone();
        change(&mut changed);
        let source = if self.kinds == LOGICAL[0] {
            self.hold(&changed, &self.honest);
            self.source.clone()
        } else {
            put(self.world, self.kinds.0, &changed, Layout::Source)
        };
        let lines = self.lines(lines);
        demand(&source, &self.faithful, &self.options, 1, &lines, &self.what(fault));
        self
    }

    /// What was done makes no difference (for the rows), apart from these lines.
    pub fn passes(&self, fault: &str, plant: impl FnOnce(&mut Table), lines: &[&str]) -> &Self {
        self.demand(fault, &self.replica(plant), 0, lines);
        self
    }

    /// The fault is planted behind the table, in the replica's files or by SQL.
    pub fn finds_behind(&self, fault: &str, plant: impl FnOnce(&Placed), lines: &[&str]) -> &Self {
        let replica = self.replica(|_| {});
        plant(&replica);
        self.demand(fault, &replica, 1, lines);
        self
    }

    /// What was done to the replica's files or by SQL makes no difference.
    pub fn passes_behind(&self, fault: &str, plant: impl FnOnce(&Placed), lines: &[&str]) -> &Self {
        let replica = self.replica(|_| {});
        plant(&replica);
        self.demand(fault, &replica, 0, lines);
        self
    }

    /// As [`Stage::finds`] with other options for this one run.
    pub fn finds_with(&self, options: &[&str], plant: impl FnOnce(&mut Table), lines: &[&str]) -> &Self {
        let lines = self.lines(lines);
        demand(&self.source, &self.replica(plant), options, 1, &lines, &self.what(&options.join(" ")));
        self
    }

    /// As [`Stage::passes`] with other options for this one run.
    pub fn passes_with(&self, options: &[&str], plant: impl FnOnce(&mut Table), lines: &[&str]) -> &Self {
        let lines = self.lines(lines);
        demand(&self.source, &self.replica(plant), options, 0, &lines, &self.what(&options.join(" ")));
        self
    }
}
