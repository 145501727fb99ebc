//! Many snapshots under writers of every kind: none of them is wrong, while those of the obvious rule are.

use crate::world::{Rule, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::RwLock;
use tokio_postgres::Client;

/// Snapshots in the short form; `PARITAS_CHEAP_SNAPSHOTS` makes it longer.
const SNAPSHOTS: u64 = 25;
/// Rows at the beginning.
const ROWS: u64 = 90_000;

const SETUP: &str = "
    CREATE TYPE kind AS ENUM ('k0', 'other');
    CREATE TABLE t (id int8, part int4, n int8, k kind DEFAULT 'k0', long text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
    CREATE TABLE t0 PARTITION OF t FOR VALUES IN (0) WITH (fillfactor = 80);
    CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
    CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2);
    ALTER TABLE t0 ALTER long SET STORAGE EXTERNAL;
    INSERT INTO t SELECT i, i % 3, 0, 'k0', CASE WHEN i % 500 = 0 THEN repeat('long', 3000) END
      FROM generate_series(1, 90000) i;";

/// A sequence of numbers that looks random, and is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What writers and snapshots share.
struct Shared {
    stop: AtomicBool,
    /// Held by snapshots for reading, and by whoever changes a definition for writing: the two readings of one view
    /// must find the same definitions.
    definitions: RwLock<()>,
    done: AtomicU64,
    failed: AtomicU64,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Runs statements; writers may wait for each other for ever, and then one of them fails.
    async fn run(&self, client: &Client, sql: &str) -> bool {
        let went = client.batch_execute(sql).await.is_ok();
        if !went {
            let _ = client.batch_execute("ROLLBACK").await;
        }
        let counter = if went { &self.done } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        went
    }
}

/// One statement or short transaction.
fn short(dice: &mut Dice) -> String {
    // Most of what is written is written in one place, so that other places are left alone for a while.
    let hot = if dice.roll(5) == 0 { ROWS } else { 3_000 };
    let (id, other, x) = (dice.roll(hot), dice.roll(hot), dice.roll(1_000));
    match dice.roll(14) {
        0..4 => format!("UPDATE t SET n = {x} WHERE id = {id}"),
        4 => format!(
            "INSERT INTO t (id, part, n) SELECT {} + g, g % 3, {x} FROM generate_series(1, 20) g ON CONFLICT DO NOTHING",
            100_000 + id * 20
        ),
        5 => format!("DELETE FROM t WHERE id = {id} OR id = {}", 100_000 + other * 20),
        6 => format!("BEGIN; UPDATE t SET n = {x} WHERE id = {id}; ROLLBACK"),
        7 => format!(
            "BEGIN; SAVEPOINT a; UPDATE t SET n = {x} WHERE id = {id}; SAVEPOINT b; DELETE FROM t WHERE id = {other}; \
             ROLLBACK TO b; UPDATE t SET n = n + 1 WHERE id = {other}; RELEASE a; COMMIT"
        ),
        8 => format!(
            "BEGIN; SELECT FROM t WHERE id = {id} FOR UPDATE; SELECT FROM t WHERE id = {other} FOR KEY SHARE; COMMIT"
        ),
        9 => format!("UPDATE t SET part = (part + 1) % 3 WHERE id = {id}"),
        10 => format!("UPDATE t SET long = repeat(chr(65 + {x} % 26), 9000) WHERE id = {}", id / 500 * 500),
        11 => format!("UPDATE t SET long = overlay(long placing 'x' from 8000) WHERE id = {}", other / 500 * 500),
        12 => format!("BEGIN; SELECT FROM t WHERE id BETWEEN {id} AND {id} + 30 FOR SHARE; ROLLBACK"),
        _ => format!("UPDATE t SET n = n + 1 WHERE id BETWEEN {id} AND {id} + 50"),
    }
}

async fn writer(world: Arc<World>, shared: Arc<Shared>, seed: u64) {
    let client = world.session().await;
    client.batch_execute("SET lock_timeout = '300ms'; SET deadlock_timeout = '50ms'").await.unwrap();
    let mut dice = Dice(seed);
    while shared.goes_on() {
        shared.run(&client, &short(&mut dice)).await;
        tokio::time::sleep(Duration::from_millis(10 + dice.roll(60))).await;
    }
}

/// Transactions that last for some snapshots, by themselves or prepared.
async fn long(world: Arc<World>, shared: Arc<Shared>, seed: u64) {
    let client = world.session().await;
    client.batch_execute("SET lock_timeout = '300ms'; SET deadlock_timeout = '50ms'").await.unwrap();
    let mut dice = Dice(seed);
    let mut number = 0;
    while shared.goes_on() {
        number += 1;
        let (id, x) = (dice.roll(ROWS), dice.roll(1_000));
        let begun = format!(
            "BEGIN; UPDATE t SET n = -{x} WHERE id BETWEEN {id} AND {id} + 5; SAVEPOINT s; DELETE FROM t WHERE id = {id} + 6"
        );
        if !shared.run(&client, &begun).await {
            continue;
        }
        let pause = Duration::from_millis(100 + dice.roll(700));
        let end = match dice.roll(4) {
            0 => "COMMIT".to_owned(),
            1 => "ROLLBACK".to_owned(),
            2 => "ROLLBACK TO s; COMMIT".to_owned(),
            _ => {
                let name = format!("p{seed}_{number}");
                if !shared.run(&client, &format!("PREPARE TRANSACTION '{name}'")).await {
                    continue;
                }
                let word = if dice.roll(2) == 0 { "COMMIT" } else { "ROLLBACK" };
                format!("{word} PREPARED '{name}'")
            }
        };
        tokio::time::sleep(pause).await;
        shared.run(&client, &end).await;
    }
}

/// What the keeper of the database does: it tidies up, rewrites, cuts off, and changes definitions.
async fn keeper(world: Arc<World>, shared: Arc<Shared>, seed: u64) {
    let client = world.session().await;
    client.batch_execute("SET lock_timeout = '200ms'").await.unwrap();
    let mut dice = Dice(seed);
    let mut label = 0;
    while shared.goes_on() {
        let part = dice.roll(3);
        let sql = match dice.roll(24) {
            12..20 => "CHECKPOINT".to_owned(),
            0..3 => format!("VACUUM t{part}"),
            3 => format!("VACUUM (FREEZE) t{part}"),
            4 => "CHECKPOINT".to_owned(),
            5 => format!("VACUUM FULL t{part}"),
            6 => format!("CLUSTER t{part} USING t{part}_pkey"),
            7 => format!("BEGIN; TRUNCATE t{part}; ROLLBACK"),
            8 => format!("BEGIN; DELETE FROM t{part} WHERE id > 80000; COMMIT; VACUUM (TRUNCATE) t{part}"),
            9 => format!(
                "BEGIN; TRUNCATE t2; INSERT INTO t2 SELECT i, 2, {part} FROM generate_series(2, 60000, 3) i; COMMIT"
            ),
            10 => "ALTER TABLE t ADD COLUMN IF NOT EXISTS d int DEFAULT 1; ALTER TABLE t DROP COLUMN d".to_owned(),
            _ => {
                label += 1;
                let _alone = shared.definitions.write().await;
                shared.run(&client, &format!("ALTER TYPE kind RENAME VALUE 'k{}' TO 'k{label}'", label - 1)).await;
                continue;
            }
        };
        for statement in separate(&sql) {
            shared.run(&client, statement).await;
        }
        tokio::time::sleep(Duration::from_millis(300 + dice.roll(900))).await;
    }
}

/// VACUUM is not run among other statements.
fn separate(sql: &str) -> Vec<&str> {
    match sql.split_once("; VACUUM") {
        Some((before, _)) => vec![before, &sql[before.len() + 2..]],
        None => vec![sql],
    }
}

fn snapshots() -> u64 {
    std::env::var("PARITAS_CHEAP_SNAPSHOTS").map_or(SNAPSHOTS, |text| text.parse().expect("a number of snapshots"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_digest_is_wrong_under_writers_of_every_kind_and_those_of_the_obvious_rule_are() {
    let world = Arc::new(World::new(SETUP).await);
    let shared = Arc::new(Shared {
        stop: AtomicBool::new(false),
        definitions: RwLock::new(()),
        done: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    });
    let mut tasks = tokio::task::JoinSet::new();
    for seed in [11, 12] {
        tasks.spawn(writer(Arc::clone(&world), Arc::clone(&shared), seed));
    }
    for seed in [21, 22, 23] {
        tasks.spawn(long(Arc::clone(&world), Arc::clone(&shared), seed));
    }
    tasks.spawn(keeper(Arc::clone(&world), Arc::clone(&shared), 31));
    let (mut kept, mut read, mut obvious, mut taken) = (0, 0, 0, 0);
    let wanted = snapshots();
    // Beside those whose time is a matter of luck, one that writes before a snapshot and ends after it.
    let across = world.session().await;
    across.batch_execute("SET lock_timeout = '300ms'").await.unwrap();
    // The obvious rule has to be caught; that is no matter of luck for long.
    let limit = wanted * 3;
    for number in 0..limit {
        match number % 4 {
            1 => drop(
                shared.run(&across, &format!("BEGIN; UPDATE t SET n = n + 1 WHERE id = {}", 40_000 + number)).await,
            ),
            2 => drop(shared.run(&across, "COMMIT").await),
            _ => {}
        }
        let definitions = shared.definitions.read().await;
        let both = world.try_take(&[Rule::Horizon, Rule::Obvious]).await;
        drop(definitions);
        match both {
            Ok(both) => {
                let [horizon, other] = <[_; 2]>::try_from(both).unwrap();
                assert!(horizon.equal, "snapshot {number}: {:?}", horizon.reading);
                kept += horizon.reading.ranges_kept;
                read += horizon.reading.ranges_read;
                if !other.equal {
                    obvious += 1;
                    world.folder(Rule::Obvious).remove().unwrap();
                }
                taken += 1;
            }
            // A definition was changed between describing and reading.
            Err(error) => eprintln!("snapshot {number}: {error}"),
        }
        if taken >= wanted && obvious > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    shared.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let (done, failed) = (shared.done.load(Ordering::Relaxed), shared.failed.load(Ordering::Relaxed));
    eprintln!(
        "{taken} snapshots, {kept} ranges taken over, {read} read, {obvious} wrong by the obvious rule; {done} statements, {failed} refused"
    );
    assert!(taken >= wanted && kept > 5 * wanted && done > 10 * wanted, "{taken} {kept} {done}");
    assert!(obvious > 0, "the obvious rule was never wrong: this test cannot fail");
}
