//! A publisher and a subscriber that every cell of the column PGl shares. Honest rows come by replication; faults are
//! planted on the subscriber.

use crate::data::Table;
use crate::rows::Pair;
use crate::stage::{Kind, Placed, World, ident};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Install, Options, Server};
use tokio::sync::Mutex;

/// The pair of stores of that column.
pub const LOGICAL: [Pair; 1] = [(Kind::Postgres, Kind::Postgres)];

/// Two servers, the second one subscribed to all tables of the first.
pub struct Servers {
    pub publisher: Server,
    pub subscriber: Server,
    /// Tables are made on both sides before the subscriber looks for new ones.
    making: Mutex<()>,
}

impl Servers {
    /// Starts them under these names.
    pub async fn start(scratch: &Scratch, publisher: &str, subscriber: &str, options: Options) -> Self {
        let install = Install::find().unwrap();
        let publisher = Server::start(&install, scratch, publisher, options.clone()).await.unwrap();
        let subscriber = Server::start(&install, scratch, subscriber, options).await.unwrap();
        publisher.batch("postgres", "CREATE PUBLICATION everything FOR ALL TABLES").await.unwrap();
        // The slot, and the name of the connection, is that of the server: so the test bed can wait for it.
        let sql = format!(
            "CREATE SUBSCRIPTION {} CONNECTION 'host={} port={} user=postgres dbname=postgres' PUBLICATION everything",
            subscriber.name(),
            publisher.socket_dir().display(),
            publisher.port()
        );
        subscriber.batch("postgres", &sql).await.unwrap();
        Self { publisher, subscriber, making: Mutex::new(()) }
    }

    /// Runs statements on both sides, and subscribes to the tables that they made.
    pub async fn make(&self, sql: &str) {
        let _alone = self.making.lock().await;
        self.publisher.batch("postgres", sql).await.unwrap();
        self.subscriber.batch("postgres", sql).await.unwrap();
        let refresh = format!("ALTER SUBSCRIPTION {} REFRESH PUBLICATION", self.subscriber.name());
        self.subscriber.batch("postgres", &refresh).await.unwrap();
        postgres::wait_copied(&self.subscriber, "postgres").await.unwrap();
    }

    /// Runs statements on the publisher, and waits until the subscriber has applied them.
    pub async fn publish(&self, sql: &str) {
        self.publisher.batch("postgres", sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
        postgres::wait_subscribed(&self.publisher, &self.subscriber).await.unwrap();
    }

    /// Runs statements on the subscriber as its apply worker would: no triggers, no foreign keys.
    pub async fn plant(&self, sql: &str) {
        let sql = format!("SET session_replication_role = replica; {sql}");
        self.subscriber.batch("postgres", &sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    }

    /// The addresses of a table on both sides.
    pub fn urls(&self, options: &str) -> (String, String) {
        let of = |server: &Server| format!("{}?{options}", server.url("postgres"));
        (of(&self.publisher), of(&self.subscriber))
    }
}

/// Puts a table on both sides, its rows by replication.
pub fn put(world: &World, table: &Table) -> (Placed, Placed) {
    let schema = format!("s{}", world.number());
    let servers = world.logical();
    let columns: Vec<String> = table.columns.iter().map(definition).collect();
    let key: Vec<String> = table.columns.iter().filter(|column| column.key).map(|c| ident(&c.name)).collect();
    // Without a key the publisher sends whole rows, so that they can be found.
    let key = match key.as_slice() {
        [] => format!("; ALTER TABLE {schema}.t REPLICA IDENTITY FULL"),
        key => format!("; ALTER TABLE {schema}.t ADD PRIMARY KEY ({})", key.join(", ")),
    };
    world.run(async {
        let create = format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.t ({}){key}", columns.join(", "));
        servers.make(&create).await;
        servers.publish(&inserts(table, &schema)).await;
    });
    let (source, replica) = servers.urls(&format!("table={schema}.t"));
    let placed = |url| Placed { url, place: schema.clone() };
    (placed(source), placed(replica))
}

/// Gives the publisher other rows, which the subscriber gets.
pub fn republish(world: &World, place: &str, rows: &Table) {
    let sql = format!("BEGIN; TRUNCATE {place}.t; {} COMMIT", inserts(rows, place));
    world.run(world.logical().publish(&sql));
}

/// Gives the subscriber other rows, and other columns where they differ, past the replication.
pub fn rewrite(world: &World, place: &str, from: &Table, to: &Table) {
    let mut sql = format!("BEGIN; TRUNCATE {place}.t;");
    if from.columns != to.columns {
        let of = |table: &Table| table.columns.clone().into_iter().filter(|column| !column.key);
        of(from).for_each(|column| sql += &format!("ALTER TABLE {place}.t DROP COLUMN {};", ident(&column.name)));
        of(to).for_each(|column| sql += &format!("ALTER TABLE {place}.t ADD COLUMN {};", definition(&column)));
    }
    sql += &inserts(to, place);
    world.run(world.logical().plant(&(sql + "COMMIT")));
}

fn definition(column: &crate::data::Column) -> String {
    format!("{} {}", ident(&column.name), column.sql())
}

/// One statement for each row; by the columns' names, as their order may be another one.
fn inserts(table: &Table, schema: &str) -> String {
    let names: Vec<String> = table.columns.iter().map(|column| ident(&column.name)).collect();
    let mut sql = String::new();
    for row in &table.rows {
        let values = row.iter().zip(&table.columns).map(|(text, column)| match text {
            Some(text) => format!("'{}'::{}", text.replace('\'', "''"), column.sql()),
            None => "NULL".to_owned(),
        });
        let values: Vec<String> = values.collect();
        sql += &format!("INSERT INTO {schema}.t ({}) VALUES ({});", names.join(", "), values.join(", "));
    }
    sql
}

/// A line of a report with times as PostgreSQL writes them, which it does where both stores are its own.
pub fn shown(line: &str) -> String {
    let time = |text: &str| {
        let bytes = text.as_bytes();
        let is_time = text.len() >= 19 && bytes[4] == b'-' && bytes[10] == b'T' && bytes[13] == b':';
        is_time.then(|| text.replace('T', " ").replace('Z', "+00"))
    };
    // Every second piece is inside of quotes; pieces that are no times stay as they are.
    line.split('\'').map(|piece| time(piece).unwrap_or_else(|| piece.to_owned())).collect::<Vec<_>>().join("'")
}
