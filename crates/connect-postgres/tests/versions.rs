//! Servers of different versions: what is equal on them looks equal, and every version can be reached and read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::*;
use paritas_connect::{Datasets, ReplicaRole, Store};
use paritas_connect_postgres::{Options, PostgresStore};
use paritas_digest::{DecimalPolicy, FloatPolicy, ImagePolicy, JsonPolicy, Policies, ZonePolicy};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, MAJORS, Server};
use paritas_testbed::tls::Authority;
use rstest::rstest;

const STRICT: Policies = Policies {
    decimal: DecimalPolicy::Exact,
    float: FloatPolicy::Bits,
    json: JsonPolicy::Bytes,
    zone: ZonePolicy::Strict,
    image: ImagePolicy::Compact,
};

/// A type, an expression, and the first version that knows it. What release notes say about input, output and storage
/// of types since 14, and what values at the edges of their types are made of.
const VALUES: &[(&str, &str, u32)] = &[
    // Infinite since 17, and before that the largest and the smallest that could be written.
    ("interval", "'infinity'", 17),
    ("interval", "'-infinity'", 17),
    ("interval", "'178000000 years 7 mons -2000000000 days 500000:00:00.000001'", 14),
    ("interval", "'-178000000 years'", 14),
    ("interval[]", "'{1 mon,30 days,NULL}'", 14),
    ("numeric", "'Infinity'", 14),
    ("numeric", "'-Infinity'", 14),
    // Other signs, and more digits behind the point than digits, since 15.
    ("numeric(2,-3)", "12345", 15),
    ("numeric(3,5)", "0.00123", 15),
    ("numeric", "1e16383", 14),
    ("numeric", "1e-16383", 14),
    // Bytes above 127 are shown as octal numbers since 16.
    ("\"char\"", "'\\351'", 16),
    ("\"char\"", "chr(200)::bytea::text::\"char\"", 14),
    ("\"char\"[]", "ARRAY['a', '']::\"char\"[]", 14),
    // Numbers of other bases and with underscores since 16, methods since 17; the stored form is the same.
    ("jsonpath", "'strict $.a[*] ? (@.b > 1.50 && !(@.c like_regex \"^x\" flag \"i\"))'", 14),
    ("jsonpath", "'-$.a + 2 * 3 - (4 % 2)'", 14),
    ("jsonpath", "'lax $.**{2 to last}.x[0, 3 to 5]'", 14),
    ("jsonpath", "'$.keyvalue().key.datetime(\"HH24:MI\").double().ceiling()'", 14),
    ("jsonpath", "'$ ? (exists (@.a) || (@.b == null) is unknown || @.c starts with \"x\")'", 14),
    ("jsonpath", "'$.\"a b\".\"\\u00e9\\n\\\\\"'", 14),
    ("jsonpath", "'$.a == 1000'", 14),
    ("json", "'{\"a\": \"\\u00e9\\ud83d\\ude00\\u0000\", \"a\": 1e400}'", 14),
    ("jsonb", "'{\"a\": \"\\u00e9\\ud83d\\ude00\", \"b\": [1e2, -0.0, 1.10, null, true], \"\": {}}'", 14),
    ("jsonb", "'1e300'", 14),
    ("jsonb", "to_jsonb('infinity'::timestamptz)", 14),
    ("xid8", "'18446744073709551615'", 14),
    ("pg_snapshot", "'4294967297:4294967299:4294967298'", 14),
    ("tid", "'(4294967295,65535)'", 14),
    // 64 bits of privileges since 16; names of roles and letters of old privileges stay.
    ("aclitem", "'postgres=arwdDxtXUCTc/postgres'", 14),
    ("aclitem[]", "'{=r/postgres,postgres=a*r*/postgres}'", 14),
    ("timestamptz", "'4714-11-24 00:00:00+00 BC'", 14),
    ("timestamptz", "'294276-12-31 23:59:59.999999+00'", 14),
    ("timestamp", "'1883-11-18 12:03:58'", 14),
    ("timestamptz", "'1883-11-18 12:03:58 America/New_York'", 14),
    ("timetz", "'23:59:59.999999-15:59'", 14),
    ("date", "'5874897-12-31'", 14),
    ("float8", "'4.9406564584124654e-324'", 14),
    ("float4", "'3.4028235e38'", 14),
    ("money", "'-92233720368547758.08'", 14),
    ("text", "U&'\\00C5 \\212B A\\030A \\+01F600 \\FEFF'", 14),
    ("citext", "'Straße'", 14),
    ("char(3)", "U&'\\00E9'", 14),
    ("name", "repeat('é', 31)", 14),
    ("varbit", "repeat('10', 1000)::varbit", 14),
    ("inet", "'::ffff:1.2.3.4/128'", 14),
    ("tsvector", "'''a b'':1A,2B,16383 c:3'::tsvector", 14),
    ("tsquery", "'a:AB* & !(b <2> c) | ''d e'''::tsquery", 14),
    ("int4multirange", "'{(,3),[5,7),[9,)}'", 14),
    ("datemultirange", "'{[infinity,)}'", 14),
    ("tstzrange", "'[-infinity,infinity]'", 14),
    ("numrange", "'(,Infinity]'", 14),
    ("regproc", "'pg_catalog.now'", 14),
    ("regprocedure", "'pg_catalog.substring(text,int4)'", 14),
    ("regtype", "'timestamp(3) with time zone'", 14),
    ("regtype[]", "'{int4,mood[]}'", 14),
    ("path", "'((1e-300,-0),(1e300,NaN))'", 14),
    ("circle", "'<(1,2),Infinity>'", 14),
    ("hstore", "'a=>\"x y\", \"\"=>NULL'", 14),
    ("ltree", "'Top.Science_1.x'", 14),
    ("mood", "'ok'", 14),
    ("bytea", "decode(repeat('00ff', 5000), 'hex')", 14),
];

const OBJECTS: &str = "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
    CREATE TYPE mood AS ENUM ('sad', 'ok')";

/// Which of the values a pair of versions has.
fn known(left: u32, right: u32) -> impl Iterator<Item = (usize, &'static str, &'static str)> {
    let both = left.min(right);
    VALUES
        .iter()
        .enumerate()
        .filter(move |(_, value)| value.2 <= both)
        .map(|(at, (kind, value, _))| (at, *kind, *value))
}

#[rstest]
#[case(14, 18)]
#[case(15, 16)]
#[case(17, 18)]
#[tokio::test(flavor = "multi_thread")]
async fn values_look_alike_on_servers_of_different_versions(#[case] left: u32, #[case] right: u32) {
    let (Some(left_db), Some(right_db)) = (Db::of(left, OBJECTS).await, Db::of(right, OBJECTS).await) else { return };
    let mut wrong = Vec::new();
    for (number, kind, value) in known(left, right) {
        let sql = format!("CREATE TABLE v{number} (v {kind}); INSERT INTO v{number} VALUES ({value})");
        let table = format!("v{number}");
        let mut found = Vec::new();
        for db in [&left_db, &right_db] {
            db.run(&sql).await;
            found.push((images(db, &table, STRICT).await, db.describe(&table).await));
        }
        if found[0].0 != found[1].0 || found[0].1.schema != found[1].1.schema {
            wrong.push(format!("{kind} {value}: {found:?}"));
        }
        let pairs = [("v".to_owned(), "v".to_owned())];
        if let Err(why) = left_db.store.wire_canon(&found[0].1, &found[1].1, &pairs, &[], STRICT) {
            wrong.push(format!("{kind} {value}: {why:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Expressions as tables have them in defaults, generated columns and constraints: servers write them out, and not
/// every version the same way.
const TABLE: &str = r#"
    CREATE EXTENSION btree_gist; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE SEQUENCE numbers;
    CREATE DOMAIN price AS numeric(18,8) NOT NULL CHECK (VALUE > 0); CREATE TABLE parent (id int PRIMARY KEY, b int);
    CREATE FUNCTION checked(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
    CREATE TABLE t (id serial PRIMARY KEY, n int DEFAULT nextval('numbers'), i int GENERATED BY DEFAULT AS IDENTITY,
      a int DEFAULT (1 + 2) * 3, b int DEFAULT -1, s text DEFAULT 'it''s', m mood DEFAULT 'ok', p price DEFAULT 1.5,
      at timestamptz DEFAULT now(), at2 timestamptz DEFAULT CURRENT_TIMESTAMP, at3 timestamp(3) DEFAULT LOCALTIMESTAMP(3),
      at4 timestamp DEFAULT (now() AT TIME ZONE 'utc'), d date DEFAULT CURRENT_DATE, e date DEFAULT 'infinity',
      w text DEFAULT CURRENT_USER, u uuid DEFAULT gen_random_uuid(), j jsonb DEFAULT '{"a": 1}', l int[] DEFAULT '{1,2}',
      l2 text[] DEFAULT ARRAY['a', NULL]::text[], v interval DEFAULT '1 day', f float8 DEFAULT 1e-3, t time DEFAULT '12:00',
      c char(3) DEFAULT 'x', vc varchar(9) DEFAULT upper('x'), bo bool DEFAULT true, by bytea DEFAULT '\x00', z bit(3) DEFAULT B'101',
      r int REFERENCES parent ON UPDATE RESTRICT ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, span int4range,
      g1 int GENERATED ALWAYS AS (a * 2 + coalesce(b, 0)) STORED, g2 text GENERATED ALWAYS AS (lower(s) || '-' || a::text) STORED,
      g3 bool GENERATED ALWAYS AS (CASE WHEN a > 1 THEN s IS NOT NULL ELSE NOT bo END) STORED,
      g4 int GENERATED ALWAYS AS (EXTRACT(year FROM d)::int) STORED, g5 text GENERATED ALWAYS AS (j ->> 'a') STORED,
      CHECK (a IN (1, 2, 9)), CHECK (a BETWEEN 0 AND 10 OR b IS NULL), CHECK (s LIKE 'i%' AND s NOT ILIKE 'X_'), CHECK (s ~ '^i' AND s !~* 'q$'),
      CHECK (s SIMILAR TO '(i|j)%'), CHECK (EXTRACT(epoch FROM at) > 0), CHECK (substring(s FROM 1 FOR 2) <> 'zz'),
      CHECK (position('q' IN s) = 0), CHECK (trim(BOTH FROM s) <> ''), CHECK (overlay(s PLACING 'x' FROM 2 FOR 1) <> ''),
      CHECK ((d, e) OVERLAPS (d, e) OR true), CHECK (num_nonnulls(a, b) > 0), CHECK (s IS DISTINCT FROM 'q'), CHECK (s COLLATE "C" > 'A'),
      CHECK (s IS NFC NORMALIZED), CHECK (j['a'] IS NOT NULL), CHECK (date_trunc('day', d::timestamp) <= e), CHECK (greatest(a, b) > least(1, b)),
      CHECK (ROW(a, b) <> ROW(0, 0)), CHECK (a = ANY (l) OR b <> ALL (l) OR a IS NOT NULL), CHECK (nullif(a, 0) IS NOT NULL),
      CHECK (bo IS TRUE AND (NOT bo) IS NOT TRUE), CHECK (checked(a)), CHECK (j @> '{}' AND j ? 'a'), CHECK (f::numeric(9,3) >= 0.001),
      CHECK (char_length(c) <= 3 AND octet_length(by) < 9), CHECK (m = ANY (ARRAY['sad', 'ok']::mood[])), CHECK (v < '2 days'::interval),
      CHECK (at > '2000-01-01 00:00:00+00'::timestamptz), CHECK (timezone('utc', at) IS NOT NULL), CHECK (l[1] > 0 OR cardinality(l[1:2]) = 2),
      UNIQUE (a, b) INCLUDE (s), UNIQUE (n) DEFERRABLE, EXCLUDE USING gist (i WITH =, span WITH &&) WHERE (i > 0));
    ALTER TABLE t ADD CHECK (a <> 77) NOT VALID;
    CREATE TABLE parts (id int, at date NOT NULL, v text NOT NULL DEFAULT '', PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE parts_one PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)"#;

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_a_schema_are_written_alike_by_all_versions() {
    let mut seen: Vec<(u32, Vec<_>)> = Vec::new();
    for &major in MAJORS {
        let Some(db) = Db::of(major, TABLE).await else { continue };
        let schemas = [db.describe("t").await.schema, db.describe("parts").await.schema];
        seen.push((major, schemas.to_vec()));
    }
    let (first, expected) = &seen[0];
    for (major, found) in &seen {
        for (one, other) in expected.iter().zip(found) {
            let missing: Vec<_> = one.facts.iter().filter(|fact| !other.facts.contains(fact)).collect();
            let added: Vec<_> = other.facts.iter().filter(|fact| !one.facts.contains(fact)).collect();
            assert!(missing.is_empty() && added.is_empty(), "{first}: {missing:#?}\n{major}: {added:#?}");
            assert_eq!(one, other, "{first} and {major}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_is_reached_by_a_password_over_tls() {
    let scratch = Scratch::new().unwrap();
    let authority = Authority::new(&scratch, "authority").unwrap();
    let pair = authority.server("server").unwrap();
    let ran = postgres::for_each_version(MAJORS, async |install| {
        let options = postgres::Options::default().tls(pair.for_postgres(None));
        let options =
            options.hba("hostssl all scram 127.0.0.1/32 scram-sha-256").set("ssl_min_protocol_version", "TLSv1.3");
        let name = format!("tls{}", install.major());
        let server = Server::start(&install, &scratch, &name, options).await.unwrap();
        server.batch("postgres", "CREATE ROLE scram LOGIN PASSWORD 'secret'; CREATE TABLE t (id int)").await.unwrap();
        let root = authority.certificate().display();
        let url = format!(
            "postgres://scram@127.0.0.1:{}/postgres?sslmode=verify-full&channel_binding=require&sslrootcert={root}",
            server.port()
        );
        let reach = async |password: &str| {
            let options = Options { password: Some(password.to_owned().into()), ..Options::default() };
            PostgresStore::from_url(&url, options).unwrap().probe(&cx()).await
        };
        let identity = reach("secret").await.unwrap();
        assert!(identity.version.starts_with(&format!("PostgreSQL {}.", install.major())), "{identity:?}");
        assert_eq!(identity.role, ReplicaRole::Primary);
        assert_eq!(reach("wrong").await.unwrap_err().code(), "store.denied", "{}", install.version());
    })
    .await
    .unwrap();
    assert!(ran.contains(&15), "{ran:?}");
}
