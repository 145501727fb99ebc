//! Topics compared with tables and files: records as rows, on real brokers and servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use paritas_testbed::kafka::{Client, Cluster, Install as KafkaInstall, Options as KafkaOptions, Record, Topic};
use paritas_testbed::ledger::{self, CsvOptions, ParquetOptions, Plan};
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_testbed::{Scratch, kafka};
use paritas_tests::{Run, verify};
use serde_json::Value;

/// The partitions of every topic.
const PARTITIONS: i32 = 3;

/// A broker, a server with the ledger, and its rows as JSON in topics of the same names.
struct World {
    server: Server,
    cluster: Cluster,
    client: Client,
    scratch: Scratch,
}

impl World {
    async fn start() -> Option<Self> {
        let Some(install) = KafkaInstall::unless_missing().unwrap() else {
            eprintln!("left out: Kafka is not installed; run `make setup`");
            return None;
        };
        let scratch = Scratch::new().unwrap();
        let postgres = Install::find().unwrap();
        let (cluster, server) = tokio::join!(
            Cluster::start(&install, &scratch, "a", KafkaOptions::default()),
            Server::start(&postgres, &scratch, "east", Options::default()),
        );
        let (cluster, server) = (cluster.unwrap(), server.unwrap());
        ledger::load(&server.client("postgres").await.unwrap(), &Plan::small()).await.unwrap();
        let client = cluster.client().unwrap();
        Some(Self { server, cluster, client, scratch })
    }

    async fn topic(&self, name: &str) {
        self.client.create(&Topic::new(name).partitions(PARTITIONS).set("retention.ms", "-1")).await.unwrap();
    }

    /// Key and row of each row of a table, as PostgreSQL writes JSON.
    async fn rows(&self, table: &str, key: &str) -> Vec<(String, String)> {
        self.rows_as(table, key, "row_to_json(t)").await
    }

    /// The same with another expression for the row, in which numbers stay exact.
    async fn rows_as(&self, table: &str, key: &str, row: &str) -> Vec<(String, String)> {
        let client = self.server.client("postgres").await.unwrap();
        let sql = format!("SELECT {key}::text, ({row})::text FROM {table} t ORDER BY 1");
        client.query(&sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Writes rows to the partitions of a topic in turn, by their keys.
    async fn publish(&self, topic: &str, rows: Vec<(String, String)>) {
        self.topic(topic).await;
        let records: Vec<Record> = rows.into_iter().map(|(key, row)| placed(&key, Some(&row))).collect();
        self.client.produce(topic, records).await.unwrap();
    }

    fn of_topic(&self, topic: &str, options: &str) -> String {
        format!("kafka://{}/{topic}?{options}", self.cluster.bootstrap())
    }

    fn of_table(&self, table: &str) -> String {
        format!("{}?table=public.{table}", self.server.url("postgres"))
    }
}

/// A record in the partition that its key always goes to.
fn placed(key: &str, value: Option<&str>) -> Record {
    let sum = key.bytes().fold(0_i32, |sum, byte| (sum + i32::from(byte)) % PARTITIONS);
    let record = match value {
        Some(value) => Record::new(key, value),
        None => Record::tombstone(key),
    };
    record.on(sum)
}

fn passes(run: &Run, rows: u64) {
    assert_eq!(run.code, 0, "{run:#?}");
    let parity = run.parity();
    assert_eq!((parity["verdict"].as_str(), parity["rows"]["source"].as_u64()), (Some("pass"), Some(rows)), "{parity}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_holds_the_rows_of_a_table_and_of_files() {
    let Some(world) = World::start().await else { return };
    let plan = Plan::small();
    for (table, key) in [("fills", "fill_id"), ("ledger", "entry_ref"), ("orders", "order_id")] {
        world.publish(table, world.rows(table, key).await).await;
    }
    let fills = world.of_topic("fills", "format=json&key=fill_id");
    passes(&verify(&fills, &world.of_table("fills"), &[]), plan.fills);
    passes(&verify(&world.of_table("fills"), &fills, &[]), plan.fills);
    let orders = world.of_topic("orders", "format=json&key=order_id");
    passes(&verify(&world.of_table("orders"), &orders, &[]), plan.orders);

    let folder = world.scratch.path().join("parquet/fills");
    ledger::write_parquet(&ledger::FILLS, &plan, &folder, &ParquetOptions::default()).unwrap();
    passes(&verify(&fills, &format!("parquet:{}", folder.display()), &[]), plan.fills);
    let folder = world.scratch.path().join("csv/ledger");
    ledger::write_csv(&ledger::LEDGER, &plan, &folder, &CsvOptions::default()).unwrap();
    let declared = "entry_ref:text,account:text,currency:text,amount:decimal(20,2),posted_at:timestamptz,\
                    value_date:date,reversed:bool,memo:text,proof:bytes";
    let topic = world.of_topic("ledger", &format!("format=json&key=entry_ref&fields={declared}"));
    passes(&verify(&topic, &format!("csv:{}", folder.display()), &[]), plan.ledger);
    passes(&verify(&topic, &world.of_table("ledger"), &[]), plan.ledger);
}

/// Everything that the parity check names: class, key, and the place on the side that has it.
fn named(run: &Run) -> Vec<String> {
    let parity = run.parity();
    let items = parity["items"].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<String> = items
        .iter()
        .map(|item| format!("{} {} {}", text(&item["class"]), text(&item["key"]["order_id"]), item["columns"]))
        .collect();
    lines.sort();
    lines
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_topic_lost_added_or_altered_is_named() {
    let Some(world) = World::start().await else { return };
    let ids: Vec<String> = world.rows("orders", "order_id").await.into_iter().map(|(key, _)| key).collect();
    let (lost, changed) = (ids[7].clone(), ids[11].clone());
    let altered =
        format!("CASE order_id WHEN {changed} THEN to_jsonb(t) || '{{\"amount\": 0.01}}' ELSE to_jsonb(t) END");
    let mut rows = world.rows_as("orders", "order_id", &altered).await;
    let added = rows.first().map(|(key, row)| (key.clone(), row.clone())).unwrap();
    let renamed = added.1.replacen(&format!("\"order_id\": {}", added.0), "\"order_id\": 1000000", 1);
    assert_ne!(renamed, added.1);
    rows.retain(|(key, _)| *key != lost);
    rows.push(("1000000".to_owned(), renamed));
    world.publish("orders", rows).await;

    let topic = world.of_topic("orders", "format=json&key=order_id");
    let run = verify(&world.of_table("orders"), &topic, &[]);
    assert_eq!((run.code, Run::counts(&run.parity())), (1, (1, 1, 1)), "{run:#?}");
    assert_eq!(
        named(&run),
        [format!("changed {changed} [\"amount\"]"), "extra 1000000 []".to_owned(), format!("lost {lost} []"),]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_of_a_topic_amount_to_the_rows_of_a_table() {
    let Some(world) = World::start().await else { return };
    let before = world.rows("orders", "order_id").await;
    world.publish("orders", before.clone()).await;
    let sql = "UPDATE orders SET amount = amount + 0.01, note = 'again' WHERE order_id % 5 = 0; \
               DELETE FROM orders WHERE order_id % 7 = 0";
    world.server.batch("postgres", sql).await.unwrap();
    let now = world.rows("orders", "order_id").await;
    let mut records: Vec<Record> = now.iter().map(|(key, row)| placed(key, Some(row))).collect();
    let count = now.len() as u64;
    let is_gone = |key: &&String| now.iter().all(|(kept, _)| kept != *key);
    let gone = before.iter().map(|(key, _)| key).filter(is_gone).map(|key| placed(key, None));
    records.extend(gone);
    world.client.produce("orders", records).await.unwrap();

    let latest = world.of_topic("orders", "format=json&key=order_id&latest=key");
    passes(&verify(&latest, &world.of_table("orders"), &[]), count);
    // Records of aborted transactions are no updates.
    let transaction = world.client.transaction("aborted").await.unwrap();
    let key = &now.first().unwrap().0;
    transaction.produce("orders", vec![placed(key, Some("{\"order_id\":1}"))]).await.unwrap();
    transaction.abort().await.unwrap();
    passes(&verify(&latest, &world.of_table("orders"), &[]), count);

    let run = verify(&world.of_topic("orders", "format=json&key=order_id"), &world.of_table("orders"), &[]);
    assert_eq!(run.code, 3, "a record without a value is no row, and proves nothing: {run:#?}");
    assert!(run.stdout.contains("latest=key"), "{run:#?}");
    let run = verify(&format!("{latest}&latest_max=3"), &world.of_table("orders"), &[]);
    assert_eq!(run.code, 3, "more keys than allowed are no verdict: {run:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_topics_are_compared_as_rows_whatever_their_layout() {
    let Some(world) = World::start().await else { return };
    world.publish("plain", world.rows("ledger", "entry_ref").await).await;
    // The same rows inside of an envelope, with the members in another order.
    let envelope = "jsonb_build_object('op', 'c', 'after', to_jsonb(t))";
    world.publish("wrapped", world.rows_as("ledger", "entry_ref", envelope).await).await;
    let plain = world.of_topic("plain", "format=json&key=entry_ref");
    let wrapped = world.of_topic("wrapped", "format=json&inside=after");
    passes(&verify(&plain, &wrapped, &[]), Plan::small().ledger);

    // As bytes they differ, and a broken record is a finding with its place.
    let run = verify(&world.of_topic("plain", "format=raw&key=key"), &world.of_topic("wrapped", "format=raw"), &[]);
    assert_eq!(run.code, 1, "{run:#?}");
    let broken: kafka::Place = world.client.produce("wrapped", vec![Record::of("{").on(1)]).await.unwrap().remove(0);
    let run = verify(&plain, &wrapped, &[]);
    assert_ne!(run.code, 0, "{run:#?}");
    assert!(run.stdout.contains(&format!("wrapped/1 offset {}", broken.offset)), "{run:#?}");
}
