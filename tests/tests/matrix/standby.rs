//! Faults of a physical replica: planted in the standby's own files while it is stopped, or in how it follows.

use crate::data::Table;
use crate::files;
use crate::stage::{World, demand_urls, owned, postgres_sql};
use crate::tables::many;
use paritas_testbed::faults;
use paritas_testbed::postgres::{self, Install, Mode, Options, Server};
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: u64 = 8192;
/// What a tuple has in front of its values, without NULLs among them, and where its second byte of flags is.
const TUPLE_HEADER: u64 = 24;
const FLAGS: u64 = 21;

/// A primary and its standby.
pub struct Pair {
    pub primary: Server,
    pub standby: Server,
}

impl Pair {
    /// Starts both with this table in the schema `s`, everything on disk and nothing left to replay.
    pub fn new(world: &World, name: &str, options: Options, table: &Table) -> Self {
        world.run(async {
            let primary = Self::begin(world, name, options, table).await;
            let standby = postgres::standby(&primary, &format!("{name}_west")).await.unwrap();
            Self { primary, standby }
        })
    }

    /// The primary alone.
    pub async fn begin(world: &World, name: &str, options: Options, table: &Table) -> Server {
        let install = Install::find().unwrap();
        let primary = Server::start(&install, world.scratch(), &format!("{name}_east"), options).await.unwrap();
        primary.batch("postgres", &postgres_sql(table, "s")).await.unwrap();
        primary.batch("postgres", "VACUUM FREEZE s.t").await.unwrap();
        primary
    }

    /// The addresses of the table.
    pub fn urls(&self) -> (String, String) {
        let of = |server: &Server| format!("{}?table=s.t", server.url("postgres"));
        (of(&self.primary), of(&self.standby))
    }

    /// Compares the two, as a user would.
    pub fn demand(&self, code: i32, lines: &[&str], what: &str) {
        let (source, replica) = self.urls();
        demand_urls(&source, &replica, &[], code, &owned(lines), what);
    }

    pub fn sql(&self, world: &World, sql: &str) {
        world.run(self.primary.batch("postgres", sql)).unwrap();
    }

    /// A file of the standby: what this query names, without its folder.
    fn file(&self, world: &World, path: &str) -> PathBuf {
        world.run(async {
            let client = self.standby.client("postgres").await.unwrap();
            let row = client.query_one(&format!("SELECT {path}"), &[]).await.unwrap();
            self.standby.data_dir().join(row.get::<_, String>(0))
        })
    }

    /// Changes a file while the standby is stopped. A restart point comes first: what would be replayed again could
    /// bring the whole page back.
    pub fn plant(&mut self, world: &World, path: &str, plant: impl FnOnce(&Path)) {
        let file = self.file(world, path);
        world.run(async {
            self.primary.batch("postgres", "CHECKPOINT").await.unwrap();
            postgres::wait_replayed(&self.primary, &self.standby).await.unwrap();
            self.standby.batch("postgres", "CHECKPOINT").await.unwrap();
            self.standby.stop(Mode::Fast).await.unwrap();
            plant(&file);
            self.standby.start_again().await.unwrap();
            postgres::wait_streaming(&self.primary, self.standby.name()).await.unwrap();
        });
    }
}

pub const TABLE: &str = "pg_relation_filepath('s.t')";
const TOAST: &str = "(SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE oid = 's.t'::regclass)";

fn table() -> Table {
    let long = format!("{}needle", "x".repeat(5_000));
    Table::new(
        "id int64!, mark int64, note text, blob bytes, long text",
        &[
            &["1", "5", "first", "\\x00", "short"],
            &["2", "1234605616436508552", "needle", "\\x61ff", &long],
            &["3", "7", "last", "∅", "∅"],
        ],
    )
}

/// As it is, with long values uncompressed in their own file.
fn with_toast(world: &World, name: &str, options: Options) -> Pair {
    let mut table = table();
    let rows = std::mem::take(&mut table.rows);
    let pair = Pair::new(world, name, options, &table);
    table.rows = rows;
    let inserts = postgres_sql(&table, "s");
    let inserts = inserts.split_once("INSERT").unwrap().1;
    pair.sql(world, &format!("ALTER TABLE s.t ALTER long SET STORAGE EXTERNAL; INSERT{inserts}"));
    pair.sql(world, "VACUUM FREEZE s.t");
    pair.demand(0, &[], "without any fault");
    pair
}

/// Servers that do not look at their checksums, as before a version or a choice that has none.
pub fn blind() -> Options {
    Options::default().set("ignore_checksum_failure", "on")
}

fn flip(what: &'static [u8], bit: u8) -> impl Fn(&Path) {
    move |file| drop(faults::files::flip_bit(file, files::find(file, what), bit).unwrap())
}

/// Only the values tell.
pub fn bit_in_a_value(world: &World) {
    let mut pair = with_toast(world, "value", blind());
    let number: &[u8] = &[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11];
    let note = "note 'needle' -> 'oeedle'";
    let mark = "mark '1234605616436508552' -> '1234605616436508553'";
    pair.plant(world, TABLE, flip(b"needle", 0));
    pair.demand(1, &[&format!("changed id='2': {note}")], "a bit of a text");
    pair.plant(world, TABLE, flip(number, 0));
    pair.demand(1, &[&format!("changed id='2': {mark}, {note}")], "a bit of a number");
    pair.plant(world, TABLE, flip(number_flipped(), 0));
    pair.plant(world, TABLE, flip(b"oeedle", 0));
    pair.demand(0, &[], "both as they were");
    pair.plant(world, TOAST, flip(b"needle", 0));
    let long = "changed id='2': long <5006 characters> -> <5006 characters>";
    pair.demand(1, &[long], "a bit of a value kept apart");
}

fn number_flipped() -> &'static [u8] {
    &[0x89, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]
}

pub fn bit_on_disk(world: &World) {
    // The page's checksum does not fit any more, and the server says so.
    let mut pair = with_toast(world, "page", Options::default());
    pair.plant(world, TABLE, flip(b"needle", 3));
    pair.demand(1, &["problem data.damaged replica:"], "a bit of a page with checksums");
    pair.plant(world, TABLE, flip(b"feedle", 3));
    pair.demand(0, &[], "as it was");
    pair.plant(world, TOAST, flip(b"needle", 3));
    pair.demand(1, &["problem data.damaged replica:"], "a bit of a value kept apart");

    // A flag of a row without a look at checksums: the row is not there for anybody.
    let mut pair = with_toast(world, "flag", blind());
    pair.plant(world, TABLE, |file| {
        let values = files::find(file, b"needle") - 17;
        faults::files::flip_bit(file, values - TUPLE_HEADER + FLAGS, 0).unwrap();
    });
    pair.demand(1, &["lost id='2'"], "a flag of a row");
}

pub fn tail_cut(world: &World) {
    let mut pair = Pair::new(world, "tail", Options::default(), &many(2_000));
    pair.demand(0, &[], "without any fault");
    let mut last = 2_000;
    // Of half a page the server takes no notice, and reads the pages that are whole.
    for (what, bytes) in [("the last page of a table cut", PAGE), ("half a page cut", PAGE / 2)] {
        pair.plant(world, TABLE, |file| {
            let length = fs::metadata(file).unwrap().len();
            faults::files::truncate(file, length - bytes).unwrap();
        });
        let left = world.run(async {
            let client = pair.standby.client("postgres").await.unwrap();
            let sql = "SELECT coalesce(max(id), -1) FROM (SELECT id FROM s.t OFFSET 0) x";
            client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
        });
        assert!((1_000..last - 1).contains(&left), "{left}");
        last = left + 1;
        let lost: Vec<String> = (last..2_000).map(|id| format!("lost id='{id}'")).collect();
        let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
        pair.demand(1, &lost, what);
    }

    let mut pair = with_toast(world, "chunks", Options::default());
    pair.plant(world, TOAST, |file| drop(faults::files::truncate(file, 0).unwrap()));
    pair.demand(1, &["problem data.damaged replica:"], "the file of long values cut");
}
