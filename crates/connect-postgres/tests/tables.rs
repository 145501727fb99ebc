//! Tables of every shape: keys, partitions, dropped and generated columns, privileges, names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::{Datasets, FailureKind, Store};
use paritas_connect_postgres::{Options, PostgresStore};
use paritas_digest::{KeyForm, Policies};
use paritas_model::{LogicalType, Value};
use rstest::rstest;

fn strict() -> Policies {
    Policies::default()
}

/// Opens the table, reads everything, and looks every row up by its own key.
async fn read_and_look_up(db: &Db, table: &str, key: &[&str]) -> (KeyForm, usize, usize) {
    let mut description = db.describe(table).await;
    assert_eq!(description.schema.key, key, "{table}");
    description.schema.key = key.iter().map(|name| (*name).to_owned()).collect();
    let canon = canon_of(&db.store, &description, strict());
    let form = canon.key_form();
    let scan = db.store.open(&cx(), &request(table, canon)).await.unwrap();
    let all = read_all(&*scan).await.unwrap();
    let found = scan.lookup().unwrap().fetch(&cx(), &all.keys()).await.unwrap();
    let mut keys: Vec<Vec<u8>> = found.iter().map(|row| row.key.clone()).collect();
    keys.sort();
    let mut expected = all.keys();
    expected.sort();
    assert_eq!(keys, expected, "{table}");
    (form, all.rows(), found.len())
}

const SIX: &str = "SELECT n FROM generate_series(1, 6) n";

#[rstest]
#[case("id int8 PRIMARY KEY", "n", &["id"], KeyForm::Inline8)]
#[case("a int4, b int2, PRIMARY KEY (b, a)", "n, n", &["b", "a"], KeyForm::Inline8)]
#[case("a uuid PRIMARY KEY", "md5(n::text)::uuid", &["a"], KeyForm::Inline16)]
#[case("a int8, b timestamptz, PRIMARY KEY (a, b)", "n, now()", &["a", "b"], KeyForm::Inline16)]
#[case("a int8, b int8, c int8, PRIMARY KEY (a, b, c)", "n, n, n", &["a", "b", "c"], KeyForm::Fingerprint)]
#[case("a text PRIMARY KEY", "repeat('é', n)", &["a"], KeyForm::Fingerprint)]
#[case("a numeric PRIMARY KEY", "n * 1.10", &["a"], KeyForm::Fingerprint)]
#[case("a numeric(10,2)[] PRIMARY KEY", "ARRAY[n, NULL]", &["a"], KeyForm::Fingerprint)]
#[case("a char(8) PRIMARY KEY", "'k' || n", &["a"], KeyForm::Fingerprint)]
#[case("a bit(6) PRIMARY KEY", "n::bit(6)", &["a"], KeyForm::Fingerprint)]
#[case("a citext PRIMARY KEY", "'K' || n", &["a"], KeyForm::Fingerprint)]
#[case("a ltree PRIMARY KEY", "('a.b' || n)::ltree", &["a"], KeyForm::Fingerprint)]
#[case("a mood, b bytea, PRIMARY KEY (a, b)", "'ok', decode(lpad(n::text, 4, '0'), 'hex')", &["a", "b"], KeyForm::Fingerprint)]
#[case("a pair PRIMARY KEY", "ROW(n, 'x')::pair", &["a"], KeyForm::Fingerprint)]
#[case("a int4range PRIMARY KEY", "int4range(n, n + 2)", &["a"], KeyForm::Fingerprint)]
#[case("a regclass PRIMARY KEY", "(n + 1246)::regclass", &["a"], KeyForm::Fingerprint)]
#[case("a jsonb PRIMARY KEY", "jsonb_build_object('n', n)", &["a"], KeyForm::Fingerprint)]
#[case("a positive PRIMARY KEY", "n", &["a"], KeyForm::Inline8)]
#[case("a int UNIQUE", "nullif(n, 3)", &["a"], KeyForm::Fingerprint)]
#[case("a int, b text, UNIQUE (a, b)", "nullif(n % 3, 1), nullif('x' || n, 'x4')", &["a", "b"], KeyForm::Fingerprint)]
#[case("a int, b int NOT NULL UNIQUE, UNIQUE (a)", "n, n", &["b"], KeyForm::Inline8)]
#[case("a int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int", "n", &["a"], KeyForm::Inline8)]
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_again_by_their_keys(
    #[case] columns: &str,
    #[case] values: &str,
    #[case] key: &[&str],
    #[case] form: KeyForm,
) {
    let db = Db::new(&format!(
        "CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE TYPE mood AS ENUM ('ok');
         CREATE TYPE pair AS (a int, b text); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
         CREATE TABLE t ({columns})"
    ))
    .await;
    let target = if columns.contains("IDENTITY") { "t (n)" } else { "t" };
    db.run(&format!("INSERT INTO {target} SELECT {values} FROM ({SIX}) x")).await;
    assert_eq!(read_and_look_up(&db, "t", key).await, (form, 6, 6));
}

#[rstest]
#[case("a int UNIQUE DEFERRABLE")]
#[case("a int, EXCLUDE USING gist (int4range(a, a) WITH &&)")]
#[case("a int")]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_unique_at_every_moment_is_no_key(#[case] columns: &str) {
    let db = Db::new(&format!("CREATE TABLE t ({columns}); INSERT INTO t VALUES (1), (NULL)")).await;
    db.run("CREATE UNIQUE INDEX ON t (a) WHERE a > 5; CREATE UNIQUE INDEX ON t (abs(a))").await;
    let description = db.describe("t").await;
    assert!(description.schema.key.is_empty());
    let canon = canon_of(&db.store, &description, strict());
    assert_eq!(canon.key_form(), KeyForm::WholeRow);
    let scan = db.store.open(&cx(), &request("t", canon)).await.unwrap();
    assert!(scan.lookup().is_none());
    assert_eq!(read_all(&*scan).await.unwrap().rows(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_equal_in_the_servers_eyes_finds_the_row() {
    let db = Db::new(
        "CREATE EXTENSION citext; CREATE TABLE n (k numeric PRIMARY KEY); INSERT INTO n VALUES (1.00);
         CREATE TABLE f (k float8 PRIMARY KEY); INSERT INTO f VALUES ('-0');
         CREATE TABLE c (k citext PRIMARY KEY); INSERT INTO c VALUES ('ABC')",
    )
    .await;
    let other = Db::new(
        "CREATE EXTENSION citext; CREATE TABLE n (k numeric PRIMARY KEY); INSERT INTO n VALUES (1.0);
         CREATE TABLE f (k float8 PRIMARY KEY); INSERT INTO f VALUES (0);
         CREATE TABLE c (k citext PRIMARY KEY); INSERT INTO c VALUES ('abc')",
    )
    .await;
    for table in ["n", "f", "c"] {
        let canon = canon_of(&db.store, &db.describe(table).await, strict());
        let scan = db.store.open(&cx(), &request(table, canon.clone())).await.unwrap();
        let keys = read_all(&*scan).await.unwrap().keys();
        let there = other.store.open(&cx(), &request(table, canon)).await.unwrap();
        let theirs = read_all(&*there).await.unwrap().keys();
        // Asked with both spellings, the row still comes once, with its own key.
        let found = there.lookup().unwrap().fetch(&cx(), &[keys[0].clone(), theirs[0].clone()]).await.unwrap();
        assert_eq!(found.len(), 1, "{table}");
        assert_eq!(found[0].key, theirs[0], "{table}");
        assert_ne!(found[0].key, keys[0], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_and_children_are_read_as_one_table() {
    let db = Db::new(
        "CREATE TABLE p (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
         CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY HASH (id);
         CREATE TABLE p2a PARTITION OF p2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE p2b PARTITION OF p2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         CREATE TABLE odd (gone int, at date NOT NULL, id int NOT NULL); ALTER TABLE odd DROP COLUMN gone;
         ALTER TABLE p ATTACH PARTITION odd FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
         INSERT INTO p SELECT n, '2026-01-01'::date + n % 90 FROM generate_series(0, 8999) n;
         CREATE TABLE parent (id int); CREATE TABLE child (extra int) INHERITS (parent);
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3); CREATE TABLE empty (LIKE p) PARTITION BY LIST (id)",
    )
    .await;
    let listed = db.store.list(&cx()).await.unwrap();
    let names = ["public.child", "public.empty", "public.p", "public.parent"].map(dataset);
    assert_eq!(listed, names);
    let (form, rows, _) = read_and_look_up(&db, "p", &["id", "at"]).await;
    assert_eq!((form, rows), (KeyForm::Inline8, 9_000));
    assert_eq!(images(&db, "parent", strict()).await.len(), 2);
    assert_eq!(images(&db, "empty", strict()).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_compared_by_name_whatever_their_history() {
    let one = Db::new(
        "CREATE TABLE t (id int PRIMARY KEY, gone text, a text, b int, c int GENERATED ALWAYS AS (b * 2) STORED);
         INSERT INTO t VALUES (1, 'x', 'a', 5), (2, 'y', NULL, 6); ALTER TABLE t DROP COLUMN gone;
         ALTER TABLE t ADD COLUMN late int DEFAULT 7",
    )
    .await;
    let other = Db::new(
        "CREATE TABLE t (late int, c int GENERATED ALWAYS AS (b * 2) STORED, b int, a text, id int PRIMARY KEY);
         INSERT INTO t (id, a, b, late) VALUES (2, NULL, 6, 7), (1, 'a', 5, 7)",
    )
    .await;
    assert_eq!(images(&one, "t", strict()).await, images(&other, "t", strict()).await);
    let names: Vec<String> = one.describe("t").await.schema.columns.iter().map(|c| c.name.clone()).collect();
    assert_eq!(names, ["id", "a", "b", "c", "late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_that_once_held_a_null_equals_one_that_never_did() {
    let db =
        Db::new("CREATE TABLE t (v int[]); INSERT INTO t VALUES ('{1,NULL}'), ('{1,2}'); UPDATE t SET v[2] = 2").await;
    let client = db.server.client(&db.name).await.unwrap();
    let row = client.query_one("SELECT count(DISTINCT array_send(v)) FROM t", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 2, "the server's own forms differ");
    let images = images(&db, "t", strict()).await;
    assert_eq!(images[0], images[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_with_types_of_ones_own_are_looked_up() {
    // Asked for on the same connection, behind rows that nobody takes, these types would never be known.
    let db = Db::new(
        "CREATE TYPE side AS ENUM ('buy', 'sell'); CREATE TABLE t (id int PRIMARY KEY, side side, note text);
         INSERT INTO t SELECT n, 'buy', repeat('x', 500) FROM generate_series(1, 900) n",
    )
    .await;
    assert_eq!(read_and_look_up(&db, "t", &["id"]).await.1, 900);
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_rows_and_empty_tables_are_read() {
    let columns: Vec<String> = (0..1_599).map(|n| format!("c{n} int DEFAULT {n}")).collect();
    let db = Db::new(&format!(
        "CREATE TABLE wide (id int PRIMARY KEY, {}); INSERT INTO wide (id) SELECT generate_series(1, 500);
         CREATE TABLE none (id int PRIMARY KEY); CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES",
        columns.join(", ")
    ))
    .await;
    assert_eq!(read_and_look_up(&db, "wide", &["id"]).await.1, 500);
    assert_eq!(images(&db, "none", strict()).await.len(), 0);
    assert_eq!(images(&db, "bare", strict()).await, [Vec::<u8>::new()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_read_in_one_part_and_filters_hold_in_every_part() {
    let db = Db::new(
        "CREATE TABLE t (id int PRIMARY KEY, pad text); ANALYZE t;
         INSERT INTO t SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n;
         CREATE VIEW v AS SELECT id, id * 2 AS twice FROM t WHERE id <= 10;
         CREATE MATERIALIZED VIEW m AS SELECT * FROM v",
    )
    .await;
    assert_eq!(images(&db, "v", strict()).await.len(), 10);
    assert_eq!(images(&db, "m", strict()).await.len(), 10);
    assert_eq!(db.store.list(&cx()).await.unwrap(), [dataset("public.t")]);
    let options = Options { materialized_views: true, ..Options::default() };
    let with_views = PostgresStore::from_url(&db.server.url(&db.name), options).unwrap();
    assert_eq!(with_views.list(&cx()).await.unwrap(), ["public.m", "public.t"].map(dataset));

    let canon = canon_of(&db.store, &db.describe("t").await, strict());
    let mut request = request("t", canon);
    request.filter = Some("id % 100 = 0 OR id = 7 -- a remark".to_owned());
    let scan = db.store.open(&cx().with_parallel(4), &request).await.unwrap();
    assert!(scan.splits().len() > 2);
    let all = read_all(&*scan).await.unwrap();
    assert_eq!(all.rows(), 201);
    let found = scan.lookup().unwrap().fetch(&cx(), &[vec![0, 0, 0, 8], vec![0, 0, 0, 7]]).await.unwrap();
    assert_eq!(found.len(), 1, "what the filter leaves out is not there");

    request.filter = Some("nonsense".to_owned());
    let scan = db.store.open(&cx(), &request).await.unwrap();
    let error = scan.read(&cx(), &scan.splits()[0], &mut Collect::default()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("store.refused", FailureKind::Permanent));
}

#[tokio::test(flavor = "multi_thread")]
async fn block_ranges_are_scanned_and_not_filtered() {
    let db = Db::new(
        "CREATE TABLE t (id int PRIMARY KEY, pad text);
         INSERT INTO t SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n; ANALYZE t",
    )
    .await;
    let client = db.server.client(&db.name).await.unwrap();
    for range in
        ["t.ctid < '(600,0)'::tid", "t.ctid >= '(900,0)'::tid", "t.ctid >= '(1,0)'::tid AND t.ctid < '(300,0)'::tid"]
    {
        let plan = client.query(&format!("EXPLAIN SELECT id FROM ONLY t WHERE {range}"), &[]).await.unwrap();
        let plan: String = plan.iter().map(|row| row.get::<_, String>(0)).collect();
        assert!(plan.contains("Tid Range Scan"), "{range}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_lookups_use_the_index() {
    let db = Db::new(
        "CREATE TABLE t (a int8, b text, PRIMARY KEY (a, b)); ANALYZE t;
         INSERT INTO t SELECT n, 'x' || n FROM generate_series(1, 200000) n; ANALYZE t",
    )
    .await;
    let client = db.server.client(&db.name).await.unwrap();
    let values: Vec<String> = (1..=100).map(|n| format!("({n}::int8, 'x{n}'::text)")).collect();
    let sql = format!(
        "EXPLAIN SELECT * FROM public.t AS t WHERE EXISTS (SELECT FROM (VALUES {}) AS keys(k0, k1) WHERE t.a = keys.k0 AND t.b = keys.k1)",
        values.join(", ")
    );
    let plan: Vec<String> = client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(plan.join("\n").contains("Index"), "{plan:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_mean_what_the_user_would_see() {
    let db = Db::new(
        "CREATE SCHEMA \"Odd.one\"; CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE TABLE \"Odd.one\".\"T\"\"x\" (id int);
         CREATE TABLE fills (id int); CREATE TABLE s1.only (id int); CREATE TABLE s1.both (id int);
         CREATE TABLE s2.both (a int); CREATE TABLE \"Mixed\" (id int)",
    )
    .await;
    let expected =
        [r#""Odd.one"."T""x""#, r#"public."Mixed""#, "public.fills", "s1.both", "s1.only", "s2.both"].map(dataset);
    assert_eq!(db.store.list(&cx()).await.unwrap(), expected);
    for name in &expected {
        assert_eq!(db.describe(&name.0).await.dataset, *name);
    }
    assert_eq!(db.describe("FILLS").await.dataset, dataset("public.fills"));
    assert_eq!(db.describe("Mixed").await.dataset, dataset(r#"public."Mixed""#));
    for (name, hint) in [
        ("only", "did you mean s1.only?"),
        ("both", "name the schema too"),
        ("s2.only", "did you mean s1.only?"),
        ("nothing", "check the name"),
        ("a.b.c", "write table"),
    ] {
        let error = db.store.describe(&cx(), &dataset(name)).await.unwrap_err();
        assert_eq!(error.code(), "dataset.missing", "{name}");
        assert!(error.hint_text().unwrap().contains(hint), "{name}: {error:?}");
    }
    let url = format!("{}?options=-c%20search_path%3Ds2,s1", db.server.url(&db.name));
    assert_eq!(store(&url).describe(&cx(), &dataset("both")).await.unwrap().dataset, dataset("s2.both"));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_privileges_are_named_with_the_grant() {
    let db = Db::new(
        "CREATE TABLE open (id int); CREATE TABLE closed (id int); CREATE TABLE rls (id int);
         ALTER TABLE rls ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON rls USING (false); INSERT INTO rls VALUES (1);
         CREATE TABLE part (id int) PARTITION BY LIST (id); CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
         INSERT INTO part VALUES (1);
         DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         GRANT SELECT ON open, rls, part TO reader",
    )
    .await;
    let url = db.server.url(&db.name).replace("postgres@", "reader@");
    let reader = store(&url);
    let canon = |table: &'static str| async move { dataset(table) };
    let open = async |table: &'static str| {
        let description = reader.describe(&cx(), &canon(table).await).await?;
        let canon = canon_of(&reader, &description, strict());
        let scan = reader.open(&cx(), &request(table, canon)).await?;
        read_all(&*scan).await.map(|all| all.rows())
    };
    assert_eq!(open("open").await.unwrap(), 0);
    assert_eq!(open("part").await.unwrap(), 1);
    let error = open("closed").await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("dataset.denied", FailureKind::Denied));
    assert!(error.hint_text().unwrap().contains("GRANT SELECT ON \"public\".\"closed\" TO \"reader\""), "{error:?}");
    // Rows that a policy hides are never taken for missing ones.
    let error = open("rls").await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Denied, "{error:?}");
    assert!(error.hint_text().unwrap().contains("BYPASSRLS"), "{error:?}");

    let limits = reader.probe(&cx()).await.unwrap().limits.join("\n");
    assert!(limits.contains("1 tables may not be read (public.closed)"), "{limits}");
    assert!(limits.contains("GRANT pg_monitor TO reader"), "{limits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_tell_their_facts_in_lines_that_do_not_depend_on_names() {
    let sql = |constraint: &str| {
        format!(
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(18,8) NOT NULL CHECK (VALUE > 0);
             CREATE TABLE parent (id int PRIMARY KEY);
             CREATE TABLE t (id serial PRIMARY KEY, m mood DEFAULT 'ok', p price, q numeric(10,2)[], s text COLLATE \"C\",
               g int GENERATED ALWAYS AS (id * 2) STORED, i int GENERATED BY DEFAULT AS IDENTITY,
               r int CONSTRAINT {constraint} REFERENCES parent, CHECK (r > 0))"
        )
    };
    let (one, other) = (Db::new(&sql("first")).await, Db::new(&sql("second")).await);
    let schema = one.describe("t").await.schema;
    assert_eq!(schema, other.describe("t").await.schema);
    let facts = schema.facts.join("\n");
    for line in [
        "column \"g\" generated as (id * 2)",
        "column \"i\" identity by default",
        "column \"id\" default from a sequence",
        "column \"m\" default 'ok'::public.mood",
        "column \"p\" domain public.price",
        "column \"s\" collation \"C\"",
        "constraint CHECK ((r > 0))",
        "constraint FOREIGN KEY (r) REFERENCES public.parent(id)",
        "constraint PRIMARY KEY (id)",
        "domain public.price: numeric(18,8) NOT NULL CHECK ((VALUE > (0)::numeric))",
        "enum public.mood: 'sad', 'ok'",
        "sequence of \"id\" integer (start, step, min, max, cache: 1, 1, 1, 2147483647, 1, no cycle)",
    ] {
        assert!(facts.contains(line), "{line} is not in\n{facts}");
    }
    let price = schema.column("p").unwrap();
    assert_eq!((price.engine_type.as_str(), price.nullable), ("numeric(18,8)", false));
    assert_eq!(price.logical, LogicalType::Decimal { precision: 18, scale: 8 });
    assert_eq!(schema.column("q").unwrap().logical.to_string(), "list<decimal(10,2)>");

    other.run("ALTER TABLE t ADD CHECK (id < 5)").await;
    assert_ne!(schema, other.describe("t").await.schema);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_being_written_has_no_version() {
    let db = Db::new("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)").await;
    let canon = canon_of(&db.store, &db.describe("t").await, strict());
    let scan = db.store.open(&cx(), &request("t", canon)).await.unwrap();
    let keys = [vec![0, 0, 0, 1], vec![0, 0, 0, 2]];
    let versions = async || {
        let mut rows = scan.lookup().unwrap().fetch(&cx(), &keys).await.unwrap();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows.into_iter().map(|row| (row.fields[1].shown.clone(), row.version)).collect::<Vec<_>>()
    };
    let before = versions().await;
    assert!(before.iter().all(|(_, version)| version.is_some()));
    let writer = db.server.client(&db.name).await.unwrap();
    writer.batch_execute("BEGIN; UPDATE t SET v = 5 WHERE id = 1").await.unwrap();
    let during = versions().await;
    assert_eq!(during, [(Value::Int(1), None), before[1].clone()]);
    writer.batch_execute("COMMIT").await.unwrap();
    let after = versions().await;
    assert_eq!(after[0].0, Value::Int(5));
    assert!(after[0].1.is_some() && after[0].1 != before[0].1);
    // An update that was undone leaves its number in the row, and no doubt.
    writer.batch_execute("BEGIN; UPDATE t SET v = 6 WHERE id = 2; ROLLBACK").await.unwrap();
    assert_eq!(versions().await[1], before[1]);
}
