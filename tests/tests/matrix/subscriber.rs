//! Faults of a logical replica that are more than rows and values: planted on the subscriber, or in what it is
//! subscribed to.

use crate::data::Table;
use crate::files;
use crate::logical::{LOGICAL, Servers};
use crate::stage::{Placed, Stage, World, demand_urls, owned};
use crate::tables::many;
use paritas_testbed::faults;
use paritas_testbed::postgres::{self, Mode, Options};
use paritas_tests::verify;

/// A schema of its own name on both sides, for tables that a cell makes by SQL.
fn schema(world: &World) -> String {
    format!("s{}", world.number())
}

/// Compares a table of both sides.
fn demand(world: &World, table: &str, code: i32, lines: &[&str], what: &str) {
    let (source, replica) = world.logical().urls(&format!("table={table}"));
    demand_urls(&source, &replica, &[], code, &owned(lines), what);
}

fn plant(world: &World, sql: &str) {
    world.run(world.logical().plant(sql));
}

pub fn bit_in_a_value(world: &World) {
    let table = Table::new(
        "id int64!, mark int64, note text, ratio float64, blob bytes",
        &[
            &["1", "5", "first", "1", "\\x00"],
            &["2", "1234605616436508552", "needle", "1.5", "\\x61ff"],
            &["3", "7", "last", "∅", "∅"],
        ],
    );
    let stage = Stage::new(world, LOGICAL[0], &table);
    for (set, line) in [
        ("mark = mark # 1", "mark '1234605616436508552' -> '1234605616436508553'"),
        ("mark = mark # (1::bigint << 62)", "mark '1234605616436508552' -> '5846291634863896456'"),
        ("note = 'oeedle'", "note 'needle' -> 'oeedle'"),
        ("ratio = 1.5000000000000002", "ratio '1.5' -> '1.5000000000000002'"),
        ("ratio = -1.5", "ratio '1.5' -> '-1.5'"),
        ("blob = set_bit(blob, 15, 0)", "blob '\\x61ff' -> '\\x617f'"),
    ] {
        let sql = |replica: &Placed| plant(world, &format!("UPDATE {}.t SET {set} WHERE id = 2", replica.place));
        stage.finds_behind(set, sql, &[&format!("changed id='2': {line}")]);
    }
}

pub fn bit_on_disk(world: &World) {
    for (name, options, line) in [
        ("sums", Options::default(), "problem data.damaged replica:"),
        // Without a look at checksums only the value tells.
        ("blind", Options::default().set("ignore_checksum_failure", "on"), "changed id='7': note 'needle' -> 'oeedle'"),
    ] {
        let (east, west) = (format!("{name}_publisher"), format!("{name}_subscriber"));
        let mut servers = world.run(Servers::start(world.scratch(), &east, &west, options));
        let (source, replica) = servers.urls("table=t");
        world.run(async {
            servers.make("CREATE TABLE t (id bigint PRIMARY KEY, note text)").await;
            servers.publish("INSERT INTO t SELECT g, CASE g WHEN 7 THEN 'needle' ELSE 'x' || g END FROM generate_series(1, 9) g").await;
        });
        demand_urls(&source, &replica, &[], 0, &[], "without any fault");
        world.run(async {
            let client = servers.subscriber.client("postgres").await.unwrap();
            let row = client.query_one("SELECT pg_relation_filepath('t')", &[]).await.unwrap();
            let file = servers.subscriber.data_dir().join(row.get::<_, String>(0));
            drop(client);
            servers.subscriber.stop(Mode::Fast).await.unwrap();
            faults::files::flip_bit(&file, files::find(&file, b"needle"), 0).unwrap();
            servers.subscriber.start_again().await.unwrap();
            postgres::wait_subscribed(&servers.publisher, &servers.subscriber).await.unwrap();
        });
        demand_urls(&source, &replica, &[], 1, &owned(&[line]), name);
    }
}

pub fn columns(world: &World) {
    let table = Table::new(
        "id int64!, amount decimal(12,2), quantity int32, note text",
        &[&["1", "1.00", "10", "a"], &["2", "2.00", "20", "∅"]],
    );
    let stage = Stage::new(world, LOGICAL[0], &table);
    let left_out = |column: &str| format!("not checked column {column} of {}", stage.dataset());
    let (dropped, remark) = ("schema column note: text -> none", "schema column remark: none -> text");
    let change = "changed id='2': amount '2.00' -> '2.01'";
    stage.finds("dropped", |t| t.drop("note"), &[dropped, &left_out("note")]);
    stage.finds(
        "dropped, and a row changed",
        |t| {
            t.drop("note");
            t.set(1, "amount", "2.01");
        },
        &[dropped, &left_out("note"), change],
    );
    stage.finds("added", |t| t.add("more", "text", "x"), &["schema column more: none -> text", &left_out("more")]);
    stage.finds("renamed", |t| t.rename("note", "remark"), &[dropped, remark, &left_out("note"), &left_out("remark")]);
    stage.passes("reordered", Table::reverse_columns, &[]);
    stage.finds(
        "reordered, and a row changed",
        |t| {
            t.set(1, "amount", "2.01");
            t.reverse_columns();
        },
        &[change],
    );
    // Between two stores of one kind a type is part of what is replicated.
    let widened = "schema column quantity: integer -> bigint";
    stage.finds("widened", |t| t.retype("quantity", "int64"), &[widened]);
    stage.finds(
        "widened, and beyond 32 bits",
        |t| {
            t.retype("quantity", "int64");
            t.set(0, "quantity", "4294967306");
        },
        // As 32 bits it would be 10 again.
        &[widened, "changed id='1': quantity '10' -> '4294967306'"],
    );
    stage.finds("scale", |t| t.retype("amount", "decimal(12,3)"), &["schema? column amount"]);
}

/// The subscriber computes generated columns and defaults by its own definitions.
pub fn defaults(world: &World) {
    let servers = world.logical();
    let s = schema(world);
    let create = |total: &str| {
        format!(
            "CREATE SCHEMA {s}; CREATE TABLE {s}.t (id bigint PRIMARY KEY, quantity bigint, price bigint, \
               total bigint GENERATED ALWAYS AS ({total}) STORED, status text DEFAULT 'done')"
        )
    };
    world.run(async {
        servers.make(&create("quantity * price")).await;
        servers.publish(&format!(
            "INSERT INTO {s}.t (id, quantity, price, status) VALUES (1, 2, 3, 'open'), (2, 4, 5, 'done'), (3, 2, 2, NULL)"
        ))
        .await;
    });
    let table = format!("{s}.t");
    demand(world, &table, 0, &[], "generated alike");
    plant(world, &format!("ALTER TABLE {s}.t DROP COLUMN total"));
    plant(world, &format!("ALTER TABLE {s}.t ADD COLUMN total bigint GENERATED ALWAYS AS (quantity + price) STORED"));
    let totals = ["changed id='1': total '6' -> '5'", "changed id='2': total '20' -> '9'", "schema? total generated"];
    demand(world, &table, 1, &totals, "generated otherwise");
    plant(world, &format!("ALTER TABLE {s}.t DROP COLUMN total"));
    plant(world, &format!("ALTER TABLE {s}.t ADD COLUMN total bigint GENERATED ALWAYS AS (quantity * price) STORED"));
    demand(world, &table, 0, &[], "generated alike again");

    plant(world, &format!("UPDATE {s}.t SET status = DEFAULT"));
    let status = ["changed id='1': status 'open' -> 'done'", "changed id='3': status NULL -> 'done'"];
    demand(world, &table, 1, &status, "a default in the place of a value");
    plant(world, &format!("UPDATE {s}.t SET status = CASE id WHEN 1 THEN 'open' END WHERE id <> 2"));
    demand(world, &table, 0, &[], "as it was");
    // A default that differs changes no row yet: it is told, and no violation.
    plant(world, &format!("ALTER TABLE {s}.t ALTER status SET DEFAULT 'open'"));
    demand(world, &table, 0, &["schema? status default"], "another default");
    // The next row that the subscriber's own default fills is one.
    plant(world, &format!("INSERT INTO {s}.t (id, quantity, price) VALUES (4, 1, 1)"));
    let lines = ["schema? status default", "extra id='4'"];
    demand(world, &table, 1, &lines, "a row of its own");
    sequences(world);
}

/// Replication writes the values that a sequence gave, and leaves the subscriber's own sequence where it is: after a
/// promotion it gives them again. No row differs yet, so that is a warning.
fn sequences(world: &World) {
    let sql = "CREATE TABLE t (id bigserial PRIMARY KEY, v text)";
    let (east, west) = databases(world, "sequences", sql, &[("sequences", "TABLE t")]);
    demand_urls(&east, &west, &[], 0, &[], "nothing was given yet");
    on(world, true, "sequences", "INSERT INTO t (v) SELECT 'v' || g FROM generate_series(1, 40) g");
    let behind = owned(&["schema? sequence public.t_id_seq: behind"]);
    demand_urls(&east, &west, &[], 0, &behind, "behind");
    verify(&east, &west, &["--deny", "warnings"]).expect_code(1);
    on(world, false, "sequences", "SELECT setval('t_id_seq', 40)");
    demand_urls(&east, &west, &[], 0, &[], "as far");
    on(world, false, "sequences", "ALTER SEQUENCE t_id_seq INCREMENT 5");
    demand_urls(&east, &west, &[], 0, &owned(&["schema? sequence"]), "another step");
}

/// Databases of their own on both servers; the subscriber's is subscribed as the cell says.
pub fn databases(world: &World, name: &str, sql: &str, publications: &[(&str, &str)]) -> (String, String) {
    let servers = world.logical();
    world.run(async {
        for server in [&servers.publisher, &servers.subscriber] {
            server.create_database(name).await.unwrap();
            server.batch(name, sql).await.unwrap();
        }
        let (host, port) = (servers.publisher.socket_dir().display(), servers.publisher.port());
        for (publication, what) in publications {
            servers.publisher.batch(name, &format!("CREATE PUBLICATION {publication} FOR {what}")).await.unwrap();
            let subscribe = format!(
                "CREATE SUBSCRIPTION {publication} CONNECTION 'host={host} port={port} user=postgres dbname={name}' \
                 PUBLICATION {publication}"
            );
            servers.subscriber.batch(name, &subscribe).await.unwrap();
        }
    });
    (servers.publisher.url(name), servers.subscriber.url(name))
}

pub fn on(world: &World, source: bool, database: &str, sql: &str) {
    let servers = world.logical();
    let server = if source { &servers.publisher } else { &servers.subscriber };
    world.run(server.batch(database, sql)).unwrap();
}

pub fn partial(world: &World) {
    let sql = "CREATE TABLE fills (id bigint PRIMARY KEY, amount numeric(12,2)); \
               CREATE TABLE orders (id bigint PRIMARY KEY)";
    let (east, west) = databases(world, "partial", sql, &[("half", "TABLE fills")]);
    on(world, true, "partial", "INSERT INTO fills SELECT g, g + 0.25 FROM generate_series(0, 8) g");
    demand_urls(&east, &west, &[], 0, &[], "the other table is empty as yet");
    on(world, true, "partial", "INSERT INTO orders VALUES (1), (2)");
    let lost = owned(&["lost id='1'", "lost id='2'"]);
    demand_urls(&east, &west, &[], 1, &lost, "a table that is not published");
    on(world, false, "partial", "DROP TABLE orders");
    let none = owned(&["schema dataset public.orders: exists -> none"]);
    demand_urls(&east, &west, &[], 1, &none, "a table that the subscriber does not have");
    on(world, false, "partial", "CREATE TABLE orders (id bigint PRIMARY KEY); INSERT INTO orders VALUES (1), (2)");
    demand_urls(&east, &west, &[], 0, &[], "filled by hand");

    // Rows that a filter of the publication keeps back.
    on(world, true, "partial", "ALTER PUBLICATION half SET TABLE fills WHERE (id < 100)");
    on(world, true, "partial", "INSERT INTO fills VALUES (99, 1.00), (100, 2.00)");
    demand_urls(&east, &west, &[], 1, &owned(&["lost id='100'"]), "a row that is filtered out");
    // Changes of one kind that are not published.
    on(world, true, "partial", "ALTER PUBLICATION half SET TABLE fills");
    on(world, true, "partial", "ALTER PUBLICATION half SET (publish = 'insert')");
    on(world, true, "partial", "UPDATE fills SET amount = 3.00 WHERE id = 99; DELETE FROM fills WHERE id IN (0, 100)");
    let lines = owned(&["changed id='99': amount '3.00' -> '1.00'", "extra id='0'"]);
    demand_urls(&east, &west, &[], 1, &lines, "updates and deletes are not published");

    let sql = "CREATE TABLE parts (id bigint PRIMARY KEY, v text) PARTITION BY RANGE (id); \
               CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (3); \
               CREATE TABLE high PARTITION OF parts FOR VALUES FROM (3) TO (9)";
    let (east, west) = databases(world, "partitions", sql, &[("parts", "TABLE low")]);
    on(world, true, "partitions", "INSERT INTO parts SELECT g, 'v' || g FROM generate_series(0, 4) g");
    let (east, west) = (format!("{east}?table=parts"), format!("{west}?table=parts"));
    demand_urls(&east, &west, &[], 1, &owned(&["lost id='3'", "lost id='4'"]), "a partition that is not published");
}

/// A batch is applied again by hand; or the subscriber's own trigger writes what was written already.
pub fn replayed(world: &World) {
    crate::cross_state::replayed(world, &LOGICAL);
    let servers = world.logical();
    let s = schema(world);
    world.run(servers.make(&format!("CREATE SCHEMA {s}; CREATE TABLE {s}.t (id bigint PRIMARY KEY, total bigint)")));
    // A batch that adds to what is there, applied twice.
    world.run(servers.publish(&format!("INSERT INTO {s}.t SELECT g, 10 * g FROM generate_series(1, 4) g")));
    demand(world, &format!("{s}.t"), 0, &[], "once");
    plant(world, &format!("UPDATE {s}.t SET total = total + 5 WHERE id IN (1, 3)"));
    let lines = ["changed id='1': total '10' -> '15'", "changed id='3': total '30' -> '35'"];
    demand(world, &format!("{s}.t"), 1, &lines, "a batch that adds, twice");
}

/// Updates that arrive in the wrong order leave the older value; a delete before its insert leaves a row.
pub fn out_of_order(world: &World) {
    let stage = Stage::new(world, LOGICAL[0], &many(4));
    let in_order = |statements: [&'static str; 4]| {
        move |replica: &Placed| {
            let schema = &replica.place;
            plant(world, &statements.map(|one| one.replace("{t}", &format!("{schema}.t"))).join("; "));
        }
    };
    let (first, second) = ("UPDATE {t} SET amount = 1.50 WHERE id = 1", "UPDATE {t} SET amount = 1.25 WHERE id = 1");
    let (insert, delete) = ("INSERT INTO {t} VALUES (8, 8.25, 'x')", "DELETE FROM {t} WHERE id = 8");
    stage.passes_behind("in order", in_order([first, second, insert, delete]), &[]);
    let lines = ["changed id='1': amount '1.25' -> '1.50'", "extra id='8'"];
    stage.finds_behind("out of order", in_order([second, first, delete, insert]), &lines);
}

/// One transaction writes an entry and a balance; a trigger of the subscriber keeps one of them back.
pub fn torn(world: &World) {
    let servers = world.logical();
    let s = schema(world);
    world.run(async {
        servers
            .make(&format!(
                "CREATE SCHEMA {s}; CREATE TABLE {s}.entries (id bigint PRIMARY KEY, amount numeric(12,2)); \
                 CREATE TABLE {s}.balances (id bigint PRIMARY KEY, amount numeric(12,2)); \
                 CREATE TABLE {s}.parts (id bigint PRIMARY KEY, v text) PARTITION BY RANGE (id); \
                 CREATE TABLE {s}.low PARTITION OF {s}.parts FOR VALUES FROM (0) TO (3); \
                 CREATE TABLE {s}.high PARTITION OF {s}.parts FOR VALUES FROM (3) TO (9)"
            ))
            .await;
        servers.publish(&format!("INSERT INTO {s}.balances VALUES (1, 10.00), (2, 20.00)")).await;
    });
    let transfer = |entry: u8, by: &str| {
        format!(
            "BEGIN; INSERT INTO {s}.entries VALUES ({entry}, {by}); \
             UPDATE {s}.balances SET amount = amount - {by} WHERE id = 1; \
             UPDATE {s}.balances SET amount = amount + {by} WHERE id = 2; COMMIT"
        )
    };
    let (entries, balances) = (format!("{s}.entries"), format!("{s}.balances"));
    world.run(servers.publish(&transfer(1, "1.00")));
    demand(world, &entries, 0, &[], "whole");
    demand(world, &balances, 0, &[], "whole");
    plant(
        world,
        &format!(
            "CREATE FUNCTION {s}.keep_back() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER keep_back BEFORE UPDATE ON {s}.balances FOR EACH ROW WHEN (OLD.id = 2) \
               EXECUTE FUNCTION {s}.keep_back(); \
             ALTER TABLE {s}.balances ENABLE ALWAYS TRIGGER keep_back; \
             CREATE TRIGGER keep_back BEFORE INSERT ON {s}.high FOR EACH ROW EXECUTE FUNCTION {s}.keep_back(); \
             ALTER TABLE {s}.high ENABLE ALWAYS TRIGGER keep_back"
        ),
    );
    world.run(servers.publish(&transfer(2, "0.50")));
    // How it was kept back is no matter of this cell; the schema check would name it.
    plant(world, &format!("DROP TRIGGER keep_back ON {s}.balances"));
    demand(world, &entries, 0, &[], "the half that arrived");
    let line = ["changed id='2': amount '21.50' -> '21.00'"];
    demand(world, &balances, 1, &line, "the half that did not arrive");
    // Money is neither made nor lost on the publisher; on the subscriber it is.
    world.run(servers.publish(&format!("INSERT INTO {s}.parts VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")));
    let lines = ["lost id='3'", "lost id='4'"];
    demand(world, &format!("{s}.parts"), 1, &lines, "one partition of two");
}

/// What the catalog says about a table is not what is in it.
pub fn lies(world: &World) {
    let stage = Stage::new(world, LOGICAL[0], &many(300));
    for (pages, rows) in [(0, -1), (1, 7), (100_000, 1_000_000)] {
        let lie = |replica: &Placed, more: &str| {
            let place = &replica.place;
            world.run(world.logical().subscriber.batch("postgres", &format!("VACUUM ANALYZE {place}.t"))).unwrap();
            plant(
                world,
                &format!(
                    "UPDATE pg_class SET relpages = {pages}, reltuples = {rows}, relallvisible = 0 \
                 WHERE oid = '{place}.t'::regclass; {more}"
                ),
            );
        };
        stage.passes_behind("wrong sizes in the catalog", |replica| lie(replica, ""), &[]);
        let changed = |replica: &Placed| {
            lie(replica, &format!("UPDATE {}.t SET amount = 299.26 WHERE id = 299", replica.place));
        };
        let line = "changed id='299': amount '299.25' -> '299.26'";
        stage.finds_behind("wrong sizes and a changed row", changed, &[line]);
    }
    // The table counts as copied, and nothing was.
    let sql = "CREATE TABLE t (id bigint PRIMARY KEY)";
    let (east, west) = databases(world, "copied", sql, &[]);
    let servers = world.logical();
    on(world, true, "copied", "INSERT INTO t VALUES (1), (2); CREATE PUBLICATION copied FOR TABLE t");
    on(
        world,
        false,
        "copied",
        &format!(
            "CREATE SUBSCRIPTION copied CONNECTION 'host={} port={} user=postgres dbname=copied' PUBLICATION copied \
           WITH (copy_data = false)",
            servers.publisher.socket_dir().display(),
            servers.publisher.port()
        ),
    );
    on(world, true, "copied", "INSERT INTO t VALUES (3)");
    demand_urls(&east, &west, &[], 1, &owned(&["lost id='1'", "lost id='2'"]), "ready without a copy");
}
