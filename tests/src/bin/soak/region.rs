//! The servers under load: a primary that is written all the time, a standby, a logical replica.

use crate::call::Disturbance;
use crate::drift::Drift;
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{
    Install, Options, Server, logical_replica, standby, wait_replayed, wait_streaming, wait_subscribed,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Rows of each table that nobody writes: drifts are planted among them.
pub const COLD: u64 = 20_000;
/// Numbers of rows that are written all the time begin here.
const HOT_FROM: u64 = 1_000_000;
/// So many rows are written all the time.
const HOT: u64 = 2_000;
/// Writers at a time.
const WRITERS: u64 = 2;
/// Between two transactions of a writer.
const PAUSE: Duration = Duration::from_millis(4);
/// How often a statement is tried that meets a recovery conflict.
const TRIES_MAX: usize = 20;
/// Before a writer tries a server again that is down.
const AGAIN: Duration = Duration::from_millis(200);

/// A table whose rows follow from their numbers.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Its columns.
    columns: &'static str,
    /// A row, made of the number `n`.
    values: &'static str,
    /// Finds the row with the number `$`.
    pub key: &'static str,
    /// The key's values of a row in a report.
    pub shown: fn(u64) -> String,
    /// Changes a row.
    pub change: &'static str,
}

/// Keys of 8 bytes, of 12, and of text.
pub const TABLES: [Table; 3] = [
    Table {
        name: "account",
        columns: "id bigint PRIMARY KEY, balance numeric(18,2) NOT NULL, note text, changed timestamptz NOT NULL",
        values: "n, (n % 1000) + 0.25, 'note ' || n, timestamptz '2026-01-01Z' + n * interval '1 s'",
        key: "id = $",
        shown: |row| row.to_string(),
        change: "balance = balance + 0.01",
    },
    Table {
        name: "leg",
        columns: "trade bigint, leg integer, quantity float8, doc jsonb, PRIMARY KEY (trade, leg)",
        values: "n / 2, n % 2, n / 7.0, jsonb_build_object('n', n)",
        key: "trade = $ / 2 AND leg = $ % 2",
        shown: |row| format!("{},{}", row / 2, row % 2),
        change: "quantity = quantity + 1",
    },
    Table {
        name: "venue",
        columns: "code text PRIMARY KEY, data bytea",
        values: "'code-' || n, decode(md5(n::text), 'hex')",
        key: "code = 'code-' || $",
        shown: |row| format!("code-{row}"),
        change: "data = data || 'x'::bytea",
    },
];

impl Table {
    /// Inserts the rows of these numbers.
    pub fn insert(&self, first: u64, last: u64) -> String {
        format!("INSERT INTO {} SELECT {} FROM generate_series({first}::bigint, {last}) n;", self.name, self.values)
    }
}

/// All servers, and their writers.
pub struct Regions {
    writers: Vec<JoinHandle<()>>,
    pub commits: Arc<AtomicU64>,
    // Replicas first: they stop before what they follow.
    pub logical: Server,
    pub standby: Server,
    pub primary: Server,
    pub scratch: Scratch,
}

impl Regions {
    pub async fn start() -> Self {
        let scratch = Scratch::new().unwrap();
        let install = Install::find().unwrap();
        let primary = Server::start(&install, &scratch, "east", Options::default()).await.unwrap();
        let create = |table: &Table| format!("CREATE TABLE {} ({});", table.name, table.columns);
        let schema: String = TABLES.iter().map(create).collect();
        let fill = |table: &Table| table.insert(0, COLD - 1) + &table.insert(HOT_FROM, HOT_FROM + HOT);
        let rows: String = TABLES.iter().map(fill).collect();
        primary.batch("postgres", &format!("{schema}{rows}")).await.unwrap();
        primary.batch("postgres", "VACUUM (FREEZE, ANALYZE)").await.unwrap();
        let standby = standby(&primary, "west_standby").await.unwrap();
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let logical = logical_replica(&primary, "west_logical", &schema, &names).await.unwrap();
        let commits = Arc::new(AtomicU64::new(0));
        let writer = |seed| tokio::spawn(write(primary.url("postgres"), seed, Arc::clone(&commits)));
        let writers = (0..WRITERS).map(writer).collect();
        Self { writers, commits, logical, standby, primary, scratch }
    }

    /// The replica of a link.
    pub fn replica(&mut self, standby: bool) -> &mut Server {
        if standby { &mut self.standby } else { &mut self.logical }
    }

    pub async fn plant(&self, drifts: &[Drift]) {
        let sql: String = drifts.iter().map(Drift::sql).collect();
        self.logical.batch("postgres", &sql).await.unwrap();
    }

    pub async fn heal(&self, drifts: &[Drift]) {
        let sql: String = drifts.iter().map(Drift::heal_sql).collect();
        self.logical.batch("postgres", &sql).await.unwrap();
    }

    /// Lets the standby `pause` or `resume`. The statement itself may meet a recovery conflict, so it is tried again.
    pub async fn replay(&self, what: &str) {
        for attempt in 1.. {
            match self.standby.batch("postgres", &format!("SELECT pg_wal_replay_{what}()")).await {
                Err(error) if attempt == TRIES_MAX => panic!("{error:?}"),
                Err(_) => {}
                Ok(()) => return,
            }
        }
    }

    /// Undoes what the disturbance did, and waits until replication runs again.
    pub async fn mend(&mut self, disturbance: Disturbance) {
        for server in [&mut self.primary, &mut self.standby, &mut self.logical] {
            if server.pid().is_none() {
                server.start_again().await.unwrap();
            }
        }
        if disturbance == Disturbance::PauseReplay {
            self.replay("resume").await;
        }
        if disturbance != Disturbance::None {
            wait_streaming(&self.primary, "west_standby").await.unwrap();
            wait_streaming(&self.primary, "west_logical").await.unwrap();
            wait_replayed(&self.primary, &self.standby).await.unwrap();
            wait_subscribed(&self.primary, &self.logical).await.unwrap();
        }
    }
}

impl Drop for Regions {
    fn drop(&mut self) {
        self.writers.iter().for_each(JoinHandle::abort);
    }
}

/// Writes hot rows of all tables: changed, there and back, deleted and made again, new ones for a while.
async fn write(url: String, seed: u64, commits: Arc<AtomicU64>) {
    let mut dice = crate::dice::Dice::new(seed);
    loop {
        let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let driver = tokio::spawn(connection);
        loop {
            let table = &TABLES[dice.below(TABLES.len() as u64) as usize];
            let row = HOT_FROM + dice.below(2 * HOT);
            let is = table.key.replace('$', &row.to_string());
            let (name, change) = (table.name, table.change);
            let delete = format!("DELETE FROM {name} WHERE {is};");
            let insert = format!("{} ON CONFLICT DO NOTHING;", table.insert(row, row).trim_end_matches(';'));
            let sql = match dice.below(4) {
                0 => delete,
                1 => insert,
                2 => format!("BEGIN; {delete} {insert} COMMIT;"),
                _ => format!("UPDATE {name} SET {change} WHERE {is};"),
            };
            if client.batch_execute(&sql).await.is_err() {
                break;
            }
            commits.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
        driver.abort();
    }
}
