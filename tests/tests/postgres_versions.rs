//! Logical replication between major versions, verified as a user would: what is equal passes, a drift is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use paritas_testbed::Scratch;
use paritas_testbed::ledger::{self, Plan};
use paritas_testbed::postgres::{self, Install, Options, Server};
use paritas_tests::{Run, verify};
use rstest::rstest;

/// A column for each kind of value that a server could send or write in its own way.
const TABLE: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(18,8) CHECK (VALUE > 0);
    CREATE TYPE place AS (street text, number int, feel mood);
    CREATE TABLE kinds (id bigint PRIMARY KEY, n numeric, p price, f8 float8, f4 float4, m money, t text, c char(5),
      vc varchar(20) DEFAULT upper('x'), b bytea, bo bool, d date, ti time, tz timetz, ts timestamp, tstz timestamptz,
      iv interval, u uuid, j json, jb jsonb, jp jsonpath, i inet, ci cidr, ma macaddr, bi bit(5), vb varbit, po point,
      pa path, tv tsvector, tq tsquery, l pg_lsn, sn pg_snapshot, x8 xid8, ac aclitem, mo mood, moa mood[], pl place,
      ia int[], ta text[], r int4range, mr nummultirange, tr tstzrange, ch "char", rt regtype,
      at timestamptz DEFAULT CURRENT_TIMESTAMP, CHECK (n IS NULL OR n > -1 OR n = 'NaN'), CHECK (t IS DISTINCT FROM 'never'),
      CHECK (EXTRACT(year FROM d) <> 0 OR d IS NULL));
    CREATE TABLE keyless (a int, b text); ALTER TABLE keyless REPLICA IDENTITY FULL;
    CREATE TABLE parts (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
    CREATE TABLE parts_new PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)"#;

const ROWS: &str = r#"
    INSERT INTO kinds VALUES (1, 1.10, 1.5, '-0', '1e-20', '12.34', 'é', 'ab', 'v', '\x00ff', true, '2026-03-29', '24:00',
      '12:00+02', '2026-03-29 02:30:00.000001', '2026-10-25 02:30+02', '1 mon 30 days 720:00', 'a0eebc999c0b4ef8bb6d6bb9bd380a11',
      '{"b": 1, "a": "\u00e9"}', '{"b": 1.0, "a": "\u00e9"}', 'strict $.a[*] ? (@.b > 1.5)', '10.0.0.1/24', '10.0.0.0/8',
      '08:00:2b:01:02:03', B'10101', B'1010', '(1,-0)', '[(1,2),(3,4)]', 'b:2A a', 'a & !b', '16/B374D848', '10:20:10,14', '5',
      'postgres=r*w/postgres', 'ok', '{ok,NULL}', '(x,1,ok)', '[0:2]={1,NULL,3}', '{"",NULL}', '[1,5)', '{[1.0,2),[5,)}',
      '[2026-01-01Z,infinity)', 'a', 'mood', '2026-01-01Z');
    INSERT INTO kinds (id, n, f8, d, ts, tstz, iv) VALUES (2, 'NaN', 'NaN', 'infinity', 'infinity', '-infinity', '-178000000 years'),
      (3, 'Infinity', 'Infinity', '0044-03-15 BC', '0044-03-15 12:00 BC', '294276-12-31 23:59:59.999999+00', '0'),
      (9007199254740993, 1e300, 4.9406564584124654e-324, '5874897-12-31', '4713-01-01 BC', '1883-11-18 17:00Z', '00:00:00.000001');
    INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
    INSERT INTO parts SELECT g, '2025-12-30'::date + g, 'v' || g FROM generate_series(1, 9) g"#;

const TABLES: [&str; 4] = ["kinds", "keyless", "parts", "bulk"];
/// Long values, and enough rows for several transactions to be streamed before they end.
const BULK: &str = "CREATE TABLE bulk (id int PRIMARY KEY, v text)";
const BULK_ROWS: &str = "INSERT INTO bulk SELECT g, repeat(md5(g::text), 1 + g % 200) FROM generate_series(1, 5000) g";

fn install(major: u32) -> Option<Install> {
    let found = Install::unless_missing(major).unwrap();
    if found.is_none() {
        eprintln!("left out: PostgreSQL {major} is not installed; run `make setup`");
    }
    found
}

fn compare(source: &Server, replica: &Server, code: i32) -> Run {
    verify(&source.url("postgres"), &replica.url("postgres"), &[]).expect_code(code)
}

/// `class key` of every difference of all tables.
fn differences(run: &Run) -> Vec<String> {
    let items = |check: serde_json::Value| check["items"].as_array().cloned().unwrap_or_default();
    let item = |item: serde_json::Value| {
        assert_eq!(item["proof"], "proven", "{item}");
        let key = item["key"].as_object().unwrap().iter().map(|(name, value)| format!(" {name}={value}"));
        let mut key: Vec<String> = key.collect();
        key.sort_unstable();
        format!("{}{} {}", item["class"].as_str().unwrap(), key.concat(), item["columns"])
    };
    run.checks("parity").into_iter().flat_map(items).map(item).collect()
}

async fn schema(server: &Server) {
    server.batch("postgres", TABLE).await.unwrap();
    server.batch("postgres", BULK).await.unwrap();
    ledger::create(&server.client("postgres").await.unwrap()).await.unwrap();
}

/// An honest pair passes; faults planted on the subscriber are found, and nothing else.
fn passes_and_finds(source: &Server, replica: &Server, runtime: &tokio::runtime::Runtime) {
    let run = compare(source, replica, 0);
    for check in run.checks("schema") {
        assert_eq!((&check["verdict"], &check["differences"]), (&"pass".into(), &serde_json::json!([])), "{check}");
    }
    assert!(run.checks("parity").len() > TABLES.len(), "{run:#?}");
    let plant = "SET session_replication_role = replica; UPDATE kinds SET iv = '1 mon 30 days 720:00:00.000001' WHERE id = 1; \
                 UPDATE kinds SET tstz = 'infinity' WHERE id = 2; DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless); \
                 INSERT INTO parts VALUES (10, '2027-01-01', 'x'); DELETE FROM bulk WHERE id = 777";
    runtime.block_on(replica.batch("postgres", plant)).unwrap();
    let found = differences(&compare(source, replica, 1));
    let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
    found.sort_unstable();
    let expected = [
        r#"changed id=1 ["iv"]"#,
        r#"changed id=2 ["tstz"]"#,
        r#"extra at="2027-01-01" id=10 []"#,
        r#"lost []"#,
        r#"lost id=777 []"#,
    ];
    assert_eq!(found, expected);
    let undo = "SET session_replication_role = replica; UPDATE kinds SET iv = '1 mon 30 days 720:00' WHERE id = 1; \
                UPDATE kinds SET tstz = '-infinity' WHERE id = 2; INSERT INTO keyless VALUES (1, 'x'); \
                DELETE FROM parts WHERE id = 10; INSERT INTO bulk VALUES (777, repeat(md5('777'), 178))";
    runtime.block_on(replica.batch("postgres", undo)).unwrap();
    compare(source, replica, 0);
}

#[rstest]
#[case(&[14, 18])]
#[case(&[15, 17, 18])]
fn subscribers_of_other_versions_pass_and_their_drift_is_found(#[case] majors: &[u32]) {
    let Some(installs) = majors.iter().map(|&major| install(major)).collect::<Option<Vec<_>>>() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scratch = Scratch::new().unwrap();
    let servers: Vec<Server> = runtime.block_on(async {
        let mut servers = Vec::<Server>::new();
        for install in &installs {
            let name = format!("v{}", install.major());
            let server = Server::start(install, &scratch, &name, Options::default()).await.unwrap();
            schema(&server).await;
            match servers.last() {
                Some(before) => {
                    let tables = TABLES.iter().copied().chain(ledger::TABLES.iter().map(|table| table.name));
                    let tables: Vec<&str> = tables.collect();
                    postgres::subscribe(before, &server, "postgres", &tables).await.unwrap();
                }
                None => {
                    server.batch("postgres", ROWS).await.unwrap();
                    ledger::fill(&server.client("postgres").await.unwrap(), &Plan::small()).await.unwrap();
                }
            }
            servers.push(server);
        }
        // Half by the first copy, half by changes, each applied by every server in turn.
        servers[0].batch("postgres", BULK_ROWS).await.unwrap();
        let changes = "UPDATE kinds SET jb = jb || '{\"c\": [1e2, null]}', ta = ta || '{x}' WHERE id = 1; \
                       UPDATE keyless SET b = 'y' WHERE a IS NULL; UPDATE bulk SET v = v || 'z' WHERE id % 100 = 0";
        servers[0].batch("postgres", changes).await.unwrap();
        for pair in servers.windows(2) {
            postgres::wait_subscribed(&pair[0], &pair[1]).await.unwrap();
        }
        servers
    });
    for pair in servers.windows(2) {
        passes_and_finds(&pair[0], &pair[1], &runtime);
    }
}
