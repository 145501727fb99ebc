//! Faults between two kinds of store in what was replicated when: parts, snapshots, batches, history.

use crate::data::Table;
use crate::files::{self, Layout, part};
use crate::lake_meta::{age, footers};
use crate::rows::{CROSS, Pair};
use crate::stage::{Kind, Placed, Stage, World, demand, demand_urls, owned, postgres, put};
use crate::tables::{many, quotes};
use std::fs;

fn each(class: &str, ids: impl IntoIterator<Item = usize>) -> Vec<String> {
    ids.into_iter().map(|id| format!("{class} id='{id}'")).collect()
}

pub fn partial(world: &World) {
    // Of two tables one is exported.
    world.run(world.server().create_database("two")).unwrap();
    let sql = "CREATE TABLE fills (id bigint PRIMARY KEY, amount numeric(12,2), note text); \
               INSERT INTO fills SELECT g, g + 0.25, 'note ' || g FROM generate_series(0, 8) g; \
               CREATE TABLE orders (id bigint PRIMARY KEY); INSERT INTO orders VALUES (1)";
    world.sql("two", sql);
    for (kind, prefix) in [(Kind::Parquet, "parquet"), (Kind::Csv, "csv")] {
        let west = world.folder("fills");
        match kind {
            Kind::Csv => files::write_csv(&many(9), &west, Layout::Plain),
            _ => files::write_parquet(&many(9), &west, Layout::Plain),
        }
        let two = world.server().url("two");
        let west = format!("{prefix}:{}", west.display());
        let one = format!("{two}?table=fills");
        demand_urls(&one, &west, &[], 0, &[], "the table that is there");
        let lost = owned(&["schema dataset public.orders: exists -> none"]);
        demand_urls(&two, &west, &[], 1, &lost, "a table left out");
        let extra = owned(&["schema dataset public.orders: none -> exists"]);
        demand_urls(&west, &two, &[], 1, &extra, "a table that the source does not have");
    }
    // A file, and a partition, left out.
    for (from, to) in [(Kind::Postgres, Kind::Parquet), (Kind::Postgres, Kind::Csv)] {
        let stage = Stage::new(world, (from, to), &many(9));
        let ending = if to == Kind::Csv { "csv" } else { "parquet" };
        let drop = |replica: &Placed| fs::remove_file(part(replica.path(), 1, ending)).unwrap();
        stage.finds_behind("a file left out", drop, &["lost id='3'", "lost id='4'", "lost id='5'"]);
    }
    let source = put(world, Kind::Parquet, &many(9), Layout::Source);
    let replica = partitioned(world);
    demand(&source, &replica, &[], 0, &[], "partitions");
    world.sql("west", &format!("ALTER TABLE {0}.t DETACH PARTITION {0}.middle", replica.place));
    demand(&source, &replica, &[], 1, &each("lost", 3..6), "a partition left out");
}

/// The rows of `many(9)` in three partitions.
fn partitioned(world: &World) -> Placed {
    let schema = format!("s{}", world.number());
    let partition = |name: &str, from: u8, to: u8| {
        format!("CREATE TABLE {schema}.{name} PARTITION OF {schema}.t FOR VALUES FROM ({from}) TO ({to});")
    };
    world.sql("west", &format!(
        "CREATE SCHEMA {schema}; \
         CREATE TABLE {schema}.t (id bigint PRIMARY KEY, amount numeric(12,2), note text) PARTITION BY RANGE (id); {}{}{} \
         INSERT INTO {schema}.t SELECT g, g + 0.25, 'note ' || g FROM generate_series(0, 8) g",
        partition("oldest", 0, 3), partition("middle", 3, 6), partition("newest", 6, 9)));
    postgres(world, "west", &schema)
}

/// The heartbeat arrives all the time; the data do not.
pub fn stuck(world: &World) {
    let beat = |time: &str| Table::new("id int64!, at timestamptz", &[&["1", time]]);
    for pair in CROSS {
        let stage = Stage::new(world, pair, &many(6));
        let (early, late) = ("2026-01-05T09:00:00Z", "2026-01-05T10:00:00Z");
        Stage::new(world, pair, &beat(early));
        // An hour later.
        Stage::new(world, pair, &beat(late));
        stage.misses(
            "data stuck",
            |t| t.rows.extend(many(9).rows.split_off(6)),
            &["lost id='6'", "lost id='7'", "lost id='8'"],
        );
    }
}

pub fn stale(world: &World, pairs: &[Pair]) {
    for &pair in pairs {
        let stage = Stage::new(world, pair, &many(6));
        let newer = |t: &mut Table| {
            t.set(1, "amount", "1.26");
            t.set(2, "note", "∅");
            t.rows.remove(4);
            t.push(&["9", "9.25", "new"]);
        };
        stage.misses(
            "an old export",
            newer,
            &[
                "changed id='1': amount '1.26' -> '1.25'",
                "changed id='2': note NULL -> 'note 2'",
                "extra id='4'",
                "lost id='9'",
            ],
        );
    }
}

pub fn replayed(world: &World, pairs: &[Pair]) {
    for &pair in pairs {
        let stage = Stage::new(world, pair, &quotes());
        let lines = [
            "extra {bid='1.00000000' sequence='2' symbol='XAU'}",
            "extra {bid='9.00000000' sequence='3' symbol='VOD'} x2",
            "extra {bid=NULL sequence='4' symbol='VOD'}",
        ];
        stage.finds("a batch twice", |t| (2..6).for_each(|row| t.again(row)), &lines);
        if pair.1 != Kind::Postgres {
            let stage = Stage::new(world, pair, &many(9));
            let ending = if pair.1 == Kind::Csv { "csv" } else { "parquet" };
            let again = |replica: &Placed| {
                fs::copy(part(replica.path(), 0, ending), part(replica.path(), 3, ending)).unwrap();
            };
            stage.finds_behind("a file twice", again, &["extra id='6'", "extra id='7'", "extra id='8'"]);
        }
    }
}

/// Updates that arrive in the wrong order leave the older value; a delete before its insert leaves a row.
pub fn out_of_order(world: &World) {
    for kind in [Kind::Parquet, Kind::Csv] {
        let apply = |statements: [&str; 4]| {
            let replica = put(world, Kind::Postgres, &many(4), Layout::Replica);
            statements.iter().for_each(|one| world.sql("west", &one.replace("{t}", &format!("{}.t", replica.place))));
            replica
        };
        let (first, second) =
            ("UPDATE {t} SET amount = 1.50 WHERE id = 1", "UPDATE {t} SET amount = 1.75 WHERE id = 1");
        let (insert, delete) = ("INSERT INTO {t} VALUES (8, 8.25, 'x')", "DELETE FROM {t} WHERE id = 8");
        let mut after = many(4);
        after.set(1, "amount", "1.75");
        let source = put(world, kind, &after, Layout::Source);
        demand(&source, &apply([first, second, insert, delete]), &[], 0, &[], "in order");
        let wrong = apply([second, first, delete, insert]);
        let lines = owned(&["changed id='1': amount '1.75' -> '1.50'", "extra id='8'"]);
        demand(&source, &wrong, &[], 1, &lines, "out of order");
    }
}

/// One transaction writes an entry and a balance; only one of them arrives.
pub fn torn(world: &World) {
    for pair in CROSS {
        let entries = |t: &mut Table| t.push(&["9", "10.00", "transfer"]);
        let balances = |t: &mut Table| t.set(2, "amount", "12.25");
        let ledger = Stage::new(world, pair, &many(6));
        let balance = Stage::new(world, pair, &many(3));
        // Whole on the source; on the replica the entry is there, and the balance is not.
        let mut with_entry = many(6);
        entries(&mut with_entry);
        let source = put(world, pair.0, &with_entry, Layout::Source);
        let replica = put(world, pair.1, &with_entry, Layout::Replica);
        demand(&source, &replica, &[], 0, &[], "the half that arrived");
        balance.misses("the half that did not arrive", balances, &["changed id='2': amount '12.25' -> '2.25'"]);
        ledger.misses("torn the other way", entries, &["lost id='9'"]);
    }
}

pub fn clocks(world: &World) {
    let table = Table::new(
        "id int64!, at timestamptz, local timestamp, day date",
        &[
            &["1", "2026-03-29T00:30:00Z", "2026-03-29T02:30:00", "2026-03-29"],
            &["2", "2026-10-25T00:30:00.000001Z", "2026-10-25T02:30:00", "2026-10-25"],
        ],
    );
    for zone in ["Europe/Zurich", "America/New_York"] {
        world.sql("west", &format!("ALTER DATABASE west SET timezone = '{zone}'"));
        for pair in CROSS {
            let stage = Stage::new(world, pair, &table);
            let plant = |replica: &Placed| {
                if pair.1 != Kind::Postgres {
                    age(replica.path(), 1, zone == "Europe/Zurich");
                }
            };
            stage.passes_behind("clocks an hour apart", plant, &[]);
            stage.finds(
                "a time an hour apart",
                |t| t.set(0, "at", "2026-03-29T01:30:00Z"),
                &["changed id='1': at '2026-03-29T00:30:00Z' -> '2026-03-29T01:30:00Z'"],
            );
        }
    }
    world.sql("west", "ALTER DATABASE west RESET timezone");
}

pub fn expired(world: &World) {
    let source = put(world, Kind::Parquet, &many(9), Layout::Source);
    let replica = partitioned(world);
    demand(&source, &replica, &[], 0, &[], "partitions");
    world.sql("west", &format!("DROP TABLE {}.oldest", replica.place));
    demand(&source, &replica, &[], 1, &each("lost", 0..3), "the oldest partition dropped");
    world.sql("west", &format!("TRUNCATE {}.t", replica.place));
    demand(&source, &replica, &[], 1, &each("lost", 0..9), "everything gone");
    // Updated and vacuumed again and again, with nothing left of the old versions.
    let replica = put(world, Kind::Postgres, &many(9), Layout::Replica);
    for _ in 0..3 {
        world.sql("west", &format!("UPDATE {}.t SET note = note", replica.place));
        world.sql("west", &format!("VACUUM FULL {}.t", replica.place));
    }
    demand(&source, &replica, &[], 0, &[], "rewritten by vacuum");
    for kind in [Kind::Parquet, Kind::Csv] {
        let stage = Stage::new(world, (Kind::Postgres, kind), &many(9));
        let ending = if kind == Kind::Csv { "csv" } else { "parquet" };
        // The last file holds the oldest rows.
        let expire = |replica: &Placed| fs::remove_file(part(replica.path(), 2, ending)).unwrap();
        stage.finds_behind("the oldest file expired", expire, &["lost id='0'", "lost id='1'", "lost id='2'"]);
    }
}

pub fn lies(world: &World) {
    footers(world, (Kind::Postgres, Kind::Parquet));
    footers(world, (Kind::Csv, Kind::Parquet));
    // What the catalog believes about the size of a table is an estimate, and may be wrong.
    let stage = Stage::new(world, (Kind::Parquet, Kind::Postgres), &many(600));
    for (pages, rows) in [(0, -1), (1, 7), (100_000, 1_000_000)] {
        let lie = |replica: &Placed| {
            world.sql("west", &format!("VACUUM ANALYZE {}.t", replica.place));
            world.sql(
                "west",
                &format!(
                    "UPDATE pg_class SET relpages = {pages}, reltuples = {rows}, relallvisible = 0 \
                 WHERE oid = '{}.t'::regclass",
                    replica.place
                ),
            );
        };
        stage.passes_behind("wrong sizes in the catalog", lie, &[]);
        let replica = stage.replica(|t| t.set(599, "amount", "599.26"));
        lie(&replica);
        let lines = owned(&["changed id='599': amount '599.25' -> '599.26'"]);
        demand(&stage.source, &replica, &[], 1, &lines, "wrong sizes and a changed row");
    }
    // A key that is declared and not true: without a check of the index, copies are found all the same.
    let stage = Stage::new(world, (Kind::Parquet, Kind::Postgres), &many(3));
    let twice = |replica: &Placed| {
        let schema = &replica.place;
        world.sql(
            "west",
            &format!(
                "ALTER TABLE {schema}.t DROP CONSTRAINT t_pkey; INSERT INTO {schema}.t VALUES (1, 1.25, 'note 1')"
            ),
        );
    };
    stage.finds_behind("a key that is none", twice, &["extra id='1'"]);
}
