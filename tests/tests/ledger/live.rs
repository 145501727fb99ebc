//! Live links: no false mismatch while writers run, and a planted fault is found all the same.

use crate::stage::{broken, check, counts, ledger, total};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{
    Install, Mode, Options, Server, logical_replica, standby, wait_replayed, wait_subscribed,
};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// Calls under load on each link.
const PASSES: u32 = 6;
/// Accounts that are written all the time; account 999 and bucket 9999 never are.
const TABLE: &str = "CREATE TABLE entries (id bigserial PRIMARY KEY, account int NOT NULL, bucket int NOT NULL, \
      amount numeric(30,2), cents bigint NOT NULL)";
/// Rows 1 to 100 fill a block that no writer touches.
const ROWS: &str = "INSERT INTO entries (account, bucket, amount, cents) \
      SELECT CASE WHEN n <= 200 THEN 999 ELSE n % 20 END, CASE WHEN n <= 200 THEN 9999 ELSE n % 500 END, n * 1.01, n \
      FROM generate_series(1, 20000) n";

/// Writers on a server until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Transfers between accounts, rows that come, move and go, and transactions that are rolled back.
    async fn start(server: &Server) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for seed in 0..3_u64 {
            let client = server.client("postgres").await.unwrap();
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                let mut state = seed * 7_919 + 1;
                while !stop.load(Ordering::Relaxed) {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // A deadlock ends a transaction of somebody else.
                    if client.batch_execute(&statement(state)).await.is_err() {
                        client.batch_execute("ROLLBACK").await.unwrap();
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { stop, done, tasks }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.done.load(Ordering::Relaxed)
    }
}

fn statement(state: u64) -> String {
    let (a, b, cents) = (state >> 20 & 0x3FFF, state >> 34 & 0x3FFF, state >> 48 & 0xFF);
    let (row, other) = (1_000 + a, 1_000 + b);
    match state >> 60 {
        0..5 => format!(
            "BEGIN; INSERT INTO entries (account, bucket, amount, cents) VALUES ({a} % 20, {a} % 500, {cents} * 0.01, {cents}), \
             ({b} % 20, {b} % 500, {cents} * -0.01, -{cents}); COMMIT"
        ),
        5..9 => {
            format!("UPDATE entries SET amount = amount + {cents} * 0.01, cents = cents + {cents} WHERE id = {row}")
        }
        9..11 => format!("UPDATE entries SET account = {b} % 20 WHERE id = {row}"),
        11..13 => format!("DELETE FROM entries WHERE id = {row}"),
        13 => format!(
            "BEGIN; UPDATE entries SET cents = 0 WHERE id = {row}; DELETE FROM entries WHERE id = {other}; ROLLBACK"
        ),
        14 => format!(
            "BEGIN; INSERT INTO entries (account, bucket, amount, cents) VALUES (1, 1, 1, 1); DELETE FROM entries WHERE id = {row}; COMMIT"
        ),
        _ => "VACUUM entries".to_owned(),
    }
}

fn urls(source: &Server, replica: &Server) -> (String, String) {
    let of = |server: &Server| format!("{}?table=public.entries", server.url("postgres"));
    (of(source), of(replica))
}

/// The figures of a loaded link, again and again: never a mismatch. Says how often they passed.
fn passes(urls: &(String, String), group: &str) -> u32 {
    let mut passed = 0;
    for _ in 0..PASSES {
        let run = ledger(urls, &["--group-by", group, "--sum", "amount,cents", "--max", "amount", "--settle", "60s"]);
        let found = check(&run);
        assert_eq!((found["mismatched"].as_u64(), found["rows"].as_array()), (Some(0), None), "{found:#}");
        assert!(run.code == 0 || run.code == 3, "{run:#?}");
        passed += u32::from(run.code == 0);
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_under_load_has_no_false_mismatch_and_a_damaged_amount_is_found() {
    let scratch = Scratch::new().unwrap();
    let options = Options::default().set("autovacuum", "off").set("checkpoint_timeout", "1d");
    // The page is read although its checksum is wrong, so that the figure is found and not the damage.
    let options = options.set("ignore_checksum_failure", "on");
    let primary = Server::start(&Install::find().unwrap(), &scratch, "primary", options).await.unwrap();
    let damaged: i64 = 0x1122_3344_5566_7700;
    let one = format!(
        "{TABLE}; {ROWS}; UPDATE entries SET cents = {damaged} WHERE id = 17; CLUSTER entries USING entries_pkey; ANALYZE entries"
    );
    primary.batch("postgres", &one).await.unwrap();
    let mut replica = standby(&primary, "replica").await.unwrap();
    wait_replayed(&primary, &replica).await.unwrap();
    let load = Load::start(&primary).await;
    let urls = urls(&primary, &replica);
    // Few groups, each written all the time, and many that stand still now and then.
    let (hot, warm) = (passes(&urls, "account"), passes(&urls, "bucket"));
    let written = load.end().await;
    assert!(written > 100, "{written} writes");
    assert!(hot + warm >= PASSES, "{hot} and {warm} of {PASSES} passes each were conclusive");
    // The last cent of a value on the standby's disk.
    primary.batch("postgres", "CHECKPOINT").await.unwrap();
    wait_replayed(&primary, &replica).await.unwrap();
    replica.batch("postgres", "CHECKPOINT").await.unwrap();
    let client = primary.client("postgres").await.unwrap();
    let path: String = client.query_one("SELECT pg_relation_filepath('entries')", &[]).await.unwrap().get(0);
    replica.stop(Mode::Fast).await.unwrap();
    let file = replica.data_dir().join(path);
    let bytes = fs::read(&file).unwrap();
    let pattern = damaged.to_le_bytes();
    let places: Vec<usize> =
        bytes.windows(8).enumerate().filter(|(_, own)| *own == pattern).map(|(at, _)| at).collect();
    let at = *places.last().expect("the value stands in the file");
    fs::OpenOptions::new().write(true).open(&file).unwrap().write_all_at(&[1], at as u64).unwrap();
    replica.start_again().await.unwrap();
    wait_replayed(&primary, &replica).await.unwrap();
    let load = Load::start(&primary).await;
    let found = check(&ledger(&urls, &["--group-by", "account", "--sum", "cents"]).expect_code(1));
    load.end().await;
    assert_eq!((broken(&found), counts(&found).0), (vec!["account=999: sum of cents".to_owned()], 1), "{found:#}");
    assert_eq!(found["items"][0]["difference"]["cents"], "1");
    assert!(found["fence"].is_string(), "{found:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_under_load_has_no_false_mismatch_and_a_planted_cent_is_found_with_its_group() {
    let scratch = Scratch::new().unwrap();
    let primary = Server::start(&Install::find().unwrap(), &scratch, "primary", Options::default()).await.unwrap();
    primary.batch("postgres", &format!("{TABLE}; {ROWS}")).await.unwrap();
    let replica = logical_replica(&primary, "replica", TABLE, &["entries"]).await.unwrap();
    wait_subscribed(&primary, &replica).await.unwrap();
    let urls = urls(&primary, &replica);
    let load = Load::start(&primary).await;
    let warm = passes(&urls, "bucket");
    assert!(warm > 0, "no pass was conclusive");
    // A quiet group, by its figures; and a row of a group that never stands still, by its rows.
    let plant = |id: u32| {
        format!("SET session_replication_role = replica; UPDATE entries SET amount = amount + 0.01 WHERE id = {id}")
    };
    replica.batch("postgres", &plant(17)).await.unwrap();
    let asked = ["--group-by", "account", "--sum", "amount", "--settle", "60s"];
    let quiet = check(&ledger(&urls, &asked).expect_code(1));
    assert_eq!(broken(&quiet).first().map(String::as_str), Some("account=999: sum of amount"), "{quiet:#}");
    assert_eq!((counts(&quiet).0, &quiet["items"][0]["difference"]["amount"]), (1, &Value::from("0.01")), "{quiet:#}");
    replica.batch("postgres", &plant(203)).await.unwrap();
    let hot = check(&ledger(&urls, &asked).expect_code(1));
    load.end().await;
    wait_subscribed(&primary, &replica).await.unwrap();
    let all = check(&ledger(&urls, &asked).expect_code(1));
    assert_eq!(broken(&all), ["account=3: sum of amount", "account=999: sum of amount"], "{all:#}");
    assert_ne!(total(&all, "source"), total(&all, "replica"));
    assert_eq!(counts(&hot), (2, 0), "{hot:#}");
    let lines = broken(&hot);
    assert!(lines.contains(&"account=999: sum of amount".to_owned()), "{hot:#}");
    // Either the group stood still for two rounds, or its row is named.
    let row = hot["rows"].as_array().is_some_and(|rows| rows.iter().any(|row| row["key"]["id"] == 203));
    let still = lines.contains(&"account=3: sum of amount".to_owned());
    assert!(still || (row && lines.contains(&"account=3: its rows differ".to_owned())), "{hot:#}");
}
