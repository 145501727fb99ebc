//! Faults of whole rows, the same for every pair of stores.

use crate::stage::{Kind, Stage, World};
use crate::tables::{fills, orders, positions, quotes};

/// A source and a replica.
pub type Pair = (Kind, Kind);

/// Files against files.
pub const LAKE: [Pair; 2] = [(Kind::Parquet, Kind::Parquet), (Kind::Csv, Kind::Csv)];

/// Two kinds of store, in both directions.
pub const CROSS: [Pair; 6] = [
    (Kind::Postgres, Kind::Parquet),
    (Kind::Parquet, Kind::Postgres),
    (Kind::Csv, Kind::Parquet),
    (Kind::Parquet, Kind::Csv),
    (Kind::Postgres, Kind::Csv),
    (Kind::Csv, Kind::Postgres),
];

pub fn lost_insert(world: &World, pairs: &[Pair]) {
    for &pair in pairs {
        let stage = Stage::new(world, pair, &fills());
        stage.misses(
            "one",
            |t| t.push(&["8", "x", "1.00", "1.00000000", "2026-01-05T09:00:00Z", "2026-01-05", "true", "y"]),
            &["lost id='8'"],
        );
        stage.finds(
            "first, last and beyond 2^53",
            |t| t.rows.retain(|row| ["2", "3", "7"].contains(&text(&row[0]))),
            &["lost id='1'", "lost id='5'", "lost id='9007199254740993'", "lost id='-4'"],
        );
        stage.finds(
            "all rows",
            |t| t.rows.clear(),
            &[
                "lost id='1'",
                "lost id='2'",
                "lost id='3'",
                "lost id='5'",
                "lost id='7'",
                "lost id='9007199254740993'",
                "lost id='-4'",
            ],
        );
        Stage::new(world, pair, &positions()).finds(
            "composite key",
            |t| drop(t.rows.remove(1)),
            &["lost account='a' symbol='b|c' day='2026-01-05'"],
        );
        Stage::new(world, pair, &orders()).finds(
            "UUID key",
            |t| drop(t.rows.remove(1)),
            &["lost id='00112233-4455-6677-8899-aabbccddeefe'"],
        );
        Stage::new(world, pair, &quotes()).finds(
            "no key",
            |t| drop(t.rows.remove(5)),
            &["lost {bid=NULL sequence='4' symbol='VOD'}"],
        );
    }
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

pub fn lost_update(world: &World, pairs: &[Pair]) {
    for &pair in pairs {
        let stage = Stage::new(world, pair, &fills());
        stage.misses(
            "one cent in ten digits",
            |t| t.set(2, "amount", "1234567890.13"),
            &["changed id='3': amount '1234567890.13' -> '1234567890.12'"],
        );
        stage.misses(
            "several columns and rows",
            |t| {
                t.set(0, "active", "false");
                t.set(0, "day", "2026-01-06");
                t.set(4, "note", " y ");
            },
            &[
                "changed id='1': active 'false' -> 'true', day '2026-01-06' -> '2026-01-05'",
                "changed id='7': note ' y ' -> ' x '",
            ],
        );
        Stage::new(world, pair, &positions()).misses(
            "composite key",
            |t| t.set(3, "quantity", "3.50000000"),
            &["changed account='ab' symbol='c' day='2026-01-06': quantity '3.50000000' -> '-3.50000000'"],
        );
        Stage::new(world, pair, &quotes()).misses(
            "no key",
            |t| t.set(2, "bid", "1.00000001"),
            &[
                "lost {bid='1.00000001' sequence='2' symbol='XAU'}",
                "extra {bid='1.00000000' sequence='2' symbol='XAU'}",
            ],
        );
    }
}

pub fn lost_delete(world: &World, pairs: &[Pair]) {
    for &pair in pairs {
        let stage = Stage::new(world, pair, &fills());
        stage.misses("one", |t| drop(t.rows.remove(4)), &["extra id='7'"]);
        stage.misses("delete and insert of another row", |t| t.set(4, "id", "8"), &["lost id='8'", "extra id='7'"]);
        Stage::new(world, pair, &quotes()).misses(
            "one of two copies",
            |t| drop(t.rows.remove(0)),
            &["extra {bid='7.00000000' sequence='1' symbol='XAU'}"],
        );
    }
}

pub fn phantom(world: &World, pairs: &[Pair]) {
    for &pair in pairs {
        let stage = Stage::new(world, pair, &fills());
        let row = ["6", "x", "0.00", "0.00000000", "2026-01-05T09:00:00Z", "2026-01-05", "true", "y"];
        stage.finds("one", |t| t.push(&row), &["extra id='6'"]);
        let zero = ["0", "", "0.00", "0.00000000", "1970-01-01T00:00:00Z", "1970-01-01", "false", "∅"];
        stage.finds("a row of zeros", |t| t.push(&zero), &["extra id='0'"]);
        Stage::new(world, pair, &positions()).finds(
            "composite key",
            |t| t.push(&["a", "bc", "2026-01-05", "3.00000000", "2026-01-05T17:00:01"]),
            &["extra account='a' symbol='bc' day='2026-01-05'"],
        );
        Stage::new(world, pair, &quotes()).finds(
            "no key",
            |t| t.push(&["NEW", "0.00000001", "5"]),
            &["extra {bid='0.00000001' sequence='5' symbol='NEW'}"],
        );
    }
}

pub fn duplicates(world: &World, pairs: &[Pair]) {
    for &pair in pairs {
        let stage = Stage::new(world, pair, &quotes());
        let (seven, nine, one) = (
            "{bid='7.00000000' sequence='1' symbol='XAU'}",
            "{bid='9.00000000' sequence='3' symbol='VOD'}",
            "{bid='1.00000000' sequence='2' symbol='XAU'}",
        );
        stage.finds("once more", |t| t.again(2), &[&format!("extra {one}")]);
        stage.finds("twice more", |t| (0..2).for_each(|_| t.again(2)), &[&format!("extra {one} x2")]);
        stage.finds("256 times more", |t| (0..256).for_each(|_| t.again(2)), &[&format!("extra {one} x256")]);
        stage.finds(
            "a pair in the place of another pair",
            |t| {
                t.rows.drain(0..2);
                t.again(2);
                t.again(2);
            },
            &[&format!("lost {seven} x2"), &format!("extra {nine} x2")],
        );
        stage.finds(
            "another row twice",
            |t| {
                t.rows.remove(0);
                t.again(2);
            },
            &[&format!("lost {seven}"), &format!("extra {nine}")],
        );
        // A table with a primary key cannot hold a key twice.
        if pair.1 != Kind::Postgres {
            let stage = Stage::new(world, pair, &fills());
            stage.finds("with a key", |t| t.again(1), &["extra id='2'"]);
            stage.finds("with a key, twice more", |t| (0..2).for_each(|_| t.again(1)), &["extra id='2' x2"]);
            stage.finds(
                "with a key, and changed",
                |t| {
                    t.again(1);
                    let last = t.rows.len() - 1;
                    t.set(last, "amount", "-0.02");
                },
                &["extra id='2'"],
            );
        }
    }
}

pub fn swapped(world: &World, pairs: &[Pair]) {
    for &pair in pairs {
        let stage = Stage::new(world, pair, &fills());
        stage.finds(
            "amounts",
            |t| t.swap(0, 4, "amount"),
            &["changed id='1': amount '10.00' -> '5.05'", "changed id='7': amount '5.05' -> '10.00'"],
        );
        stage.finds(
            "notes, one of them NULL",
            |t| t.swap(1, 3, "note"),
            &["changed id='2': note NULL -> 'two\nlines'", "changed id='5': note 'two\nlines' -> NULL"],
        );
        let stage = Stage::new(world, pair, &positions());
        stage.finds(
            "in a composite key",
            |t| t.swap(0, 1, "quantity"),
            &[
                "changed account='a|b' symbol='c' day='2026-01-05': quantity '1.00000000' -> '2.00000000'",
                "changed account='a' symbol='b|c' day='2026-01-05': quantity '2.00000000' -> '1.00000000'",
            ],
        );
        let neighbours = crate::data::Table::new(
            "id int64!, a text, b text, c text, m int64, n int64",
            &[&["1", "a|b", "c", "x", "12", "3"], &["2", "ab", "", "x", "0", "1"]],
        );
        let stage = Stage::new(world, pair, &neighbours);
        stage.finds(
            "between the columns of one row",
            |t| {
                t.set(0, "a", "a");
                t.set(0, "b", "b|c");
            },
            &["changed id='1': a 'a|b' -> 'a', b 'c' -> 'b|c'"],
        );
        stage.finds(
            "digits between two numbers",
            |t| {
                t.set(0, "m", "1");
                t.set(0, "n", "23");
            },
            &["changed id='1': m '12' -> '1', n '3' -> '23'"],
        );
        stage.finds(
            "to the next column",
            |t| {
                t.set(1, "a", "a");
                t.set(1, "b", "b");
            },
            &["changed id='2': a 'ab' -> 'a', b '' -> 'b'"],
        );
    }
}
