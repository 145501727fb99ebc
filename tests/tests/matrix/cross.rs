//! Faults between two kinds of store that are more than rows or values.

use crate::data::Table;
use crate::files::{self, Layout, part};
use crate::lake::bits_all_over;
use crate::rows::CROSS;
use crate::stage::{Kind, Placed, Stage, World, demand, demand_urls, owned, postgres, put};
use crate::tables::{fills, many};
use paritas_testbed::faults;
use paritas_testbed::postgres::{Install, Mode, Options, Server};
use std::fs;

fn ending(kind: Kind) -> &'static str {
    if kind == Kind::Csv { "csv" } else { "parquet" }
}

fn table() -> Table {
    Table::new(
        "id int64!, mark int64, note text, blob bytes",
        &[&["1", "5", "first", "\\x00"], &["2", "1234605616436508552", "needle", "\\x61ff"], &["3", "7", "last", "∅"]],
    )
}

pub fn bit_in_a_value(world: &World) {
    for kind in [Kind::Parquet, Kind::Csv] {
        let stage = Stage::new(world, (Kind::Postgres, kind), &table());
        let replica = put(world, kind, &table(), Layout::Plain);
        let file = part(replica.path(), 0, ending(kind));
        faults::files::flip_bit(&file, files::find(&file, b"needle"), 0).unwrap();
        let lines = owned(&["changed id='2': note 'needle' -> 'oeedle'"]);
        demand(&stage.source, &replica, &[], 1, &lines, "one bit of a value in a file");

        let stage = Stage::new(world, (kind, Kind::Postgres), &table());
        for (set, line) in [
            ("mark = mark # 1", "changed id='2': mark '1234605616436508552' -> '1234605616436508553'"),
            ("mark = mark # (1::bigint << 62)", "changed id='2': mark '1234605616436508552' -> '5846291634863896456'"),
            ("note = 'oeedle'", "changed id='2': note 'needle' -> 'oeedle'"),
            ("blob = set_bit(blob, 15, 0)", "changed id='2': blob '\\x61ff' -> '\\x617f'"),
        ] {
            let sql =
                |replica: &Placed| world.sql("west", &format!("UPDATE {}.t SET {set} WHERE id = 2", replica.place));
            stage.finds_behind(set, sql, &[line]);
        }
    }
}

/// A server of its own that may be stopped, with the table, and the table's file.
struct Own {
    server: Server,
    file: std::path::PathBuf,
    url: String,
}

impl Own {
    fn new(world: &World, name: &str, settings: Options, table: &Table) -> Self {
        world.run(async {
            let server = Server::start(&Install::find().unwrap(), world.scratch(), name, settings).await.unwrap();
            server.batch("postgres", &crate::stage::postgres_sql(table, "s")).await.unwrap();
            server.batch("postgres", "CHECKPOINT").await.unwrap();
            let client = server.client("postgres").await.unwrap();
            let row = client.query_one("SELECT pg_relation_filepath('s.t')", &[]).await.unwrap();
            let file = server.data_dir().join(row.get::<_, String>(0));
            let url = format!("{}?table=s.t", server.url("postgres"));
            Self { server, file, url }
        })
    }

    /// Plants something in the table's file while the server is stopped.
    fn plant(&mut self, world: &World, plant: impl FnOnce(&std::path::Path)) {
        world.run(self.server.stop(Mode::Fast)).unwrap();
        plant(&self.file);
        world.run(self.server.start_again()).unwrap();
    }
}

pub fn bit_on_disk(world: &World) {
    // The page's checksum does not fit any more, and the server says so.
    let source = put(world, Kind::Parquet, &table(), Layout::Source);
    let mut own = Own::new(world, "disk", Options::default(), &table());
    demand_urls(&source.url, &own.url, &[], 0, &[], "without any fault");
    let flip = |file: &std::path::Path| {
        faults::files::flip_bit(file, files::find(file, b"needle"), 0).unwrap();
    };
    own.plant(world, flip);
    let lines = owned(&["problem data.damaged replica:"]);
    demand_urls(&source.url, &own.url, &[], 1, &lines, "a bit of a page with checksums");
    let lines = owned(&["problem data.damaged source:"]);
    demand_urls(&own.url, &source.url, &[], 3, &lines, "the same, on the source");

    // Without a look at checksums only the value tells.
    let mut own = Own::new(world, "blind", Options::default().set("ignore_checksum_failure", "on"), &table());
    own.plant(world, flip);
    let lines = owned(&["changed id='2': note 'needle' -> 'oeedle'"]);
    demand_urls(&source.url, &own.url, &[], 1, &lines, "a bit of a page without checksums");

    bits_all_over(world, Kind::Postgres);
    bits_all_over(world, Kind::Csv);
}

pub fn tail_cut(world: &World) {
    let stage = Stage::new(world, (Kind::Postgres, Kind::Parquet), &fills());
    let cut = |replica: &Placed| drop(faults::files::truncate(&part(replica.path(), 1, "parquet"), 400).unwrap());
    let rows = format!("not checked rows of {}", stage.dataset());
    stage.finds_behind("a Parquet file cut", cut, &["problem data.damaged replica: part-00001.parquet", &rows]);

    let stage = Stage::new(world, (Kind::Postgres, Kind::Csv), &many(9));
    let cut = |keep: &'static str| {
        move |replica: &Placed| {
            let file = part(replica.path(), 2, "csv");
            let place = files::find(&file, keep.as_bytes());
            faults::files::truncate(&file, place).unwrap();
        }
    };
    // The last file holds the rows 2, 1 and 0.
    stage.finds_behind("a CSV file cut between two rows", cut("0;0.25"), &["lost id='0'"]);
    stage.finds_behind(
        "a CSV file cut inside of a row",
        cut(";note 0"),
        &["problem data.ragged replica: part-00002.csv line"],
    );
    stage.finds_behind("a CSV file cut inside of a value", cut(" 0\r\n"), &["changed id='0': note 'note 0' -> 'note'"]);

    // A table's file that is shorter holds less rows, and the server cannot know.
    let table = many(2_000);
    let source = put(world, Kind::Parquet, &table, Layout::Source);
    let mut own = Own::new(world, "short", Options::default(), &table);
    demand_urls(&source.url, &own.url, &[], 0, &[], "without any fault");
    own.plant(world, |file| {
        let pages = fs::metadata(file).unwrap().len() / 8192;
        faults::files::truncate(file, (pages - 1) * 8192).unwrap();
    });
    let left = world.run(async {
        let client = own.server.client("postgres").await.unwrap();
        client
            .query_one("SELECT coalesce(max(id), -1) FROM (SELECT id FROM s.t OFFSET 0) x", &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
    });
    assert!((1_000..1_999).contains(&left), "{left}");
    let lines: Vec<String> = (left + 1..2_000).map(|id| format!("lost id='{id}'")).collect();
    demand_urls(&source.url, &own.url, &[], 1, &lines, "the last page of a table cut");
}

pub fn order_changed(world: &World) {
    let table = Table::new(
        "id int64!, step int64, document json",
        &[
            &["1", "10", r#"{"legs": [1, 2, 3]}"#],
            &["2", "20", r#"{"legs": []}"#],
            &["3", "30", r#"{"legs": [{"a": 1}, {"b": 2}]}"#],
        ],
    );
    for pair in CROSS {
        // The replica's rows always stand in the reverse order.
        let stage = Stage::new(world, pair, &table);
        stage.passes("rows in another order", |t| t.rows.swap(0, 1), &[]);
        let json = ["--policy", "json=canonical"];
        stage.finds_with(
            &json,
            |t| t.set(0, "document", r#"{"legs": [3, 2, 1]}"#),
            &[r#"changed id='1': document '{"legs": [1, 2, 3]}' -> '{"legs": [3, 2, 1]}'"#],
        );
        stage.finds(
            "steps exchanged",
            |t| t.swap(0, 2, "step"),
            &["changed id='1': step '10' -> '30'", "changed id='3': step '30' -> '10'"],
        );
    }
}

pub fn columns(world: &World) {
    let table = Table::new(
        "id int64!, amount decimal(12,2), quantity int32, note text",
        &[&["1", "1.00", "10", "a"], &["2", "2.00", "20", "∅"]],
    );
    let kind = |kind: Kind| match kind {
        Kind::Csv => "CSV field",
        Kind::Parquet => "BYTE_ARRAY (STRING)",
        Kind::Postgres => "text",
    };
    for pair in CROSS {
        let stage = Stage::new(world, pair, &table);
        let dataset = stage.dataset();
        let left_out = |column: &str| format!("not checked column {column} of {dataset}");
        let (ours, theirs) = (kind(pair.0), kind(pair.1));
        let dropped = format!("schema column note: {ours} -> none");
        stage.finds("dropped", |t| t.drop("note"), &[&dropped, &left_out("note")]);
        let added = format!("schema column more: none -> {theirs}");
        stage.finds("added", |t| t.add("more", "text", "x"), &[&added, &left_out("more")]);
        let other = format!("schema column remark: none -> {theirs}");
        stage.finds(
            "renamed",
            |t| t.rename("note", "remark"),
            &[&dropped, &other, &left_out("note"), &left_out("remark")],
        );
        let declared = stage.replica(|t| t.rename("note", "remark")).with("rename=note:remark");
        demand(&stage.source, &declared, &[], 0, &[], "renamed, and declared");
        stage.passes("reordered", Table::reverse_columns, &[]);
        // Between two kinds of store other types are worth a warning, as long as the values are equal.
        let widened = match pair {
            (Kind::Postgres, Kind::Parquet) => vec!["schema column quantity: integer -> INT64"],
            (Kind::Parquet, Kind::Postgres) => vec!["schema column quantity: INT32 -> bigint"],
            _ => Vec::new(),
        };
        stage.passes("widened", |t| t.retype("quantity", "int64"), &widened);
        let beyond = |t: &mut Table| {
            t.retype("quantity", "int64");
            t.set(0, "quantity", "4294967306");
        };
        // As 32 bits it would be 10 again.
        let change = "changed id='1': quantity '10' -> '4294967306'";
        stage.finds("widened, and beyond 32 bits", beyond, &[&widened[..], &[change]].concat());
        let both = |t: &mut Table| {
            t.drop("note");
            t.set(1, "amount", "2.01");
        };
        stage.finds(
            "dropped, and a row changed",
            both,
            &[&dropped, &left_out("note"), "changed id='2': amount '2.00' -> '2.01'"],
        );
    }
}

/// A load that names too few columns takes the copy's defaults; generated columns follow the copy's own
/// expression.
pub fn defaults(world: &World) {
    let table = Table::new(
        "id int64!, quantity int64, price int64, total int64, status text",
        &[&["1", "2", "3", "6", "open"], &["2", "4", "5", "20", "done"], &["3", "6", "7", "42", "done"]],
    );
    for kind in [Kind::Parquet, Kind::Csv] {
        let stage = Stage::new(world, (kind, Kind::Postgres), &table);
        let made = |total: &str, load: &str| {
            let schema = format!("s{}", world.number());
            world.sql("west", &format!(
                "CREATE SCHEMA {schema}; CREATE TABLE {schema}.t (id bigint PRIMARY KEY, quantity bigint, price bigint, \
                   total bigint GENERATED ALWAYS AS ({total}) STORED, status text DEFAULT 'done'); \
                 INSERT INTO {schema}.t {load}"));
            postgres(world, "west", &schema)
        };
        let rows = "VALUES (1, 2, 3, DEFAULT, 'open'), (2, 4, 5, DEFAULT, 'done'), (3, 6, 7, DEFAULT, 'done')";
        demand(&stage.source, &made("quantity * price", rows), &[], 0, &[], "generated alike");
        demand(
            &stage.source,
            &made("quantity + price", rows),
            &[],
            1,
            &owned(&[
                "changed id='1': total '6' -> '5'",
                "changed id='2': total '20' -> '9'",
                "changed id='3': total '42' -> '13'",
            ]),
            "generated otherwise",
        );
        let less = "(id, quantity, price) VALUES (1, 2, 3), (2, 4, 5), (3, 6, 7)";
        let lines = owned(&["changed id='1': status 'open' -> 'done'"]);
        demand(&stage.source, &made("quantity * price", less), &[], 1, &lines, "a default in the place of a value");
        let stage = Stage::new(world, (Kind::Postgres, kind), &table);
        stage.finds(
            "exported before it was generated",
            |t| t.set(1, "total", "∅"),
            &["changed id='2': total '20' -> NULL"],
        );
    }
}
