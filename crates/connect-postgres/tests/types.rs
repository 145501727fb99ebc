//! Every built-in type and every trap: equal values have equal images on two servers' databases
//! whose own type numbers differ, and different values never do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::Datasets;
use paritas_digest::{DecimalPolicy, FloatPolicy, JsonPolicy, Policies};
use rstest::rstest;

const STRICT: Policies = Policies {
    decimal: DecimalPolicy::Exact,
    float: FloatPolicy::Bits,
    json: JsonPolicy::Bytes,
    zone: paritas_digest::ZonePolicy::Strict,
    image: paritas_digest::ImagePolicy::Compact,
};

/// Objects that both databases have; the second one makes them after others, with other numbers.
const OBJECTS: &str = "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN price AS numeric(18,8) CHECK (VALUE > 0); CREATE DOMAIN prices AS price[];
    CREATE TYPE place AS (street text, number int, feel mood);
    CREATE TYPE house AS (at place, floors int[], worth price);
    CREATE TYPE floatrange AS RANGE (subtype = float8);
    CREATE TYPE moods AS RANGE (subtype = mood);
    CREATE TABLE referenced (id int)";

/// Type, a value, the same value written differently, values that must differ from it.
const CASES: &[(&str, &str, &str, &[&str])] = &[
    ("bool", "true", "'t'", &["false", "NULL"]),
    ("int2", "-1", "'-1'", &["1", "0", "NULL"]),
    ("int4", "2147483647", "'2147483647'", &["2147483646"]),
    ("int8", "9007199254740993", "9007199254740992 + 1", &["9007199254740992"]),
    ("oid", "4294967295", "'4294967295'", &["0"]),
    ("xid8", "'5'", "'5'", &["'6'"]),
    ("xid", "'4294967295'", "'-1'", &["'7'", "NULL"]),
    ("cid", "'7'", "'7'", &["'8'"]),
    ("tid", "'(1,2)'", "'(1,2)'::tid", &["'(2,1)'", "'(1,3)'"]),
    ("numeric", "1.0", "'1.0'", &["1.00", "1", "10", "NULL", "'NaN'"]),
    ("numeric", "'NaN'", "'nan'", &["'Infinity'", "'-Infinity'", "0"]),
    ("numeric(18,8)", "1234567890.12", "'1234567890.12000000'", &["1234567890.13", "-1234567890.12"]),
    ("numeric", "1e-20", "'0.00000000000000000001'", &["1e-21", "0"]),
    ("numeric", "1e131071 + 0.5", "'1e131071'::numeric + 0.5", &["1e131071"]),
    ("float4", "'1e-20'", "1e-20::float4", &["'1.0000001e-20'", "0"]),
    ("float8", "'-0'", "'-0.0'", &["0", "'NaN'"]),
    ("float8", "0.1", "'0.1'", &["0.1 + 1.4e-17", "0.30000000000000004"]),
    ("float8", "'Infinity'", "'inf'", &["'-Infinity'", "'NaN'"]),
    ("money", "'12.34'", "12.34::numeric::money", &["'12.35'"]),
    ("text", "''", "repeat('x', 0)", &["NULL", "' '", "'  '", "'<null>'", "'NULL'"]),
    ("text", "'a|b'", "'a' || '|b'", &["'a|c'", "'a|b '", "' a|b'", "'A|b'"]),
    ("text", "U&'\\00e9'", "'é'", &["U&'e\\0301'"]),
    ("varchar(20)", "'abc'", "'abc'::text", &["'abc '"]),
    ("char(5)", "'ab'", "'ab   '", &["'ab  x'", "NULL"]),
    ("\"char\"", "'a'", "'a'::text::\"char\"", &["'b'", "''"]),
    ("name", "'tab'", "'tab'::text", &["'tac'"]),
    ("citext", "'ABC'", "'ABC'::text", &["'abc'"]),
    ("bytea", "'\\x00ff'", "decode('AP8=', 'base64')", &["'\\x00'", "''", "NULL"]),
    (
        "bytea",
        "convert_to(repeat('q', 2000000), 'UTF8')",
        "decode(repeat('71', 2000000), 'hex')",
        &["convert_to(repeat('q', 1999999) || 'r', 'UTF8')", "convert_to(repeat('q', 65536), 'UTF8')"],
    ),
    ("bit(5)", "B'10101'", "'10101'", &["B'10100'"]),
    ("varbit", "B'1010'", "'1010'", &["B'10100'", "B'101'", "B''"]),
    ("date", "'2000-02-29'", "'2000-03-01'::date - 1", &["'2000-02-28'", "'infinity'", "'-infinity'"]),
    ("date", "'0044-03-15 BC'", "make_date(-44, 3, 15)", &["'0044-03-15'"]),
    ("time", "'24:00'", "'24:00:00'", &["'00:00'", "'23:59:59.999999'"]),
    ("timetz", "'12:00+02'", "'12:00:00+02:00'", &["'10:00+00'", "'12:00+01'"]),
    (
        "timestamp",
        "'2026-03-29 02:30:00.000001'",
        "'2026-03-29 02:30'::timestamp + '1 us'",
        &["'2026-03-29 02:30:00.000002'", "'2026-03-29 02:30'", "'infinity'"],
    ),
    ("timestamptz", "'2026-10-25 02:30+02'", "'2026-10-25 00:30Z'", &["'2026-10-25 02:30+01'", "'-infinity'"]),
    ("timestamptz", "'0044-03-15 12:00 BC Z'", "'0044-03-15 14:00 BC +02'", &["'0044-03-15 12:00 Z'"]),
    ("interval", "'1 mon'", "'1 month'", &["'30 days'", "'720 hours'", "'31 days'"]),
    ("interval day to second(3)", "'1 day 00:00:00.123'", "'1 day 0.1231 s'", &["'24:00:00.123'"]),
    (
        "uuid",
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        "'a0eebc999c0b4ef8bb6d6bb9bd380a11'",
        &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'"],
    ),
    ("json", "'{\"a\": 1}'", "'{\"a\": 1}'", &["'{\"a\":1}'", "'{\"a\": 2}'", "'null'", "NULL"]),
    ("jsonb", "'{\"b\":1,\"a\":2}'", "'{ \"a\" : 2, \"b\":1 }'", &["'{\"a\":2,\"b\":1.0}'", "'null'", "NULL", "'{}'"]),
    ("jsonpath", "'$.a'", "'$.\"a\"'", &["'$.b'"]),
    ("xml", "'<a/>'", "'<a/>'::text::xml", &["'<a></a>'", "'<b/>'"]),
    ("inet", "'10.0.0.1'", "'10.0.0.1/32'", &["'10.0.0.1/24'", "'::1'"]),
    ("cidr", "'10.0.0.0/8'", "'10/8'", &["'10.0.0.0/9'"]),
    ("macaddr", "'08:00:2b:01:02:03'", "'08002b010203'", &["'08:00:2b:01:02:04'"]),
    ("macaddr8", "'08:00:2b:01:02:03:04:05'", "'08002b0102030405'", &["'08:00:2b:01:02:03:04:06'"]),
    ("point", "'(1,2)'", "point(1, 2)", &["'(2,1)'", "'(1,2.0000000000000004)'"]),
    ("line", "'{1,2,3}'", "'{1,2,3}'", &["'{1,2,4}'"]),
    ("lseg", "'[(1,2),(3,4)]'", "lseg(point(1,2), point(3,4))", &["'[(3,4),(1,2)]'"]),
    ("box", "'(3,4),(1,2)'", "'(1,2),(3,4)'", &["'(3,4),(1,1)'"]),
    ("path", "'[(1,2),(3,4)]'", "'[(1,2),(3,4)]'", &["'((1,2),(3,4))'"]),
    ("polygon", "'((1,2),(3,4))'", "'((1,2),(3,4))'", &["'((3,4),(1,2))'"]),
    ("circle", "'<(1,2),3>'", "circle(point(1,2), 3)", &["'<(1,2),4>'"]),
    ("tsvector", "'b a'", "'a b'", &["'a b c'", "'a:1 b'"]),
    ("tsquery", "'a & b'", "'a&b'", &["'a | b'"]),
    ("pg_lsn", "'0/10'", "'00000000/00000010'", &["'0/11'"]),
    ("pg_snapshot", "'10:20:10,14'", "'10:20:10,14'", &["'10:20:10'"]),
    ("txid_snapshot", "'10:20:10,14'", "'10:20:10,14'", &["'10:20:10'"]),
    ("refcursor", "'c'", "'c'", &["'d'"]),
    ("regclass", "'referenced'", "'public.referenced'", &["'pg_class'"]),
    ("regtype", "'mood'", "'public.mood'", &["'int4'"]),
    ("regclass[]", "'{referenced}'", "ARRAY['referenced'::regclass]", &["'{pg_class}'", "'{}'"]),
    ("aclitem", "'postgres=r/postgres'", "makeaclitem(10, 10, 'SELECT', false)", &["'postgres=w/postgres'"]),
    ("regproc", "'now'", "'pg_catalog.now'", &["'clock_timestamp'"]),
    ("regprocedure", "'abs(int4)'", "'pg_catalog.abs(integer)'", &["'abs(int8)'"]),
    ("regoper", "'||/'", "'pg_catalog.||/'", &["'|/'"]),
    ("regoperator", "'+(int4,int4)'", "'pg_catalog.+(integer,integer)'", &["'-(int4,int4)'"]),
    ("regrole", "'postgres'", "'postgres'", &["'pg_monitor'"]),
    ("regnamespace", "'public'", "'public'", &["'pg_catalog'"]),
    ("regcollation", "'\"C\"'", "'pg_catalog.\"C\"'", &["'\"POSIX\"'"]),
    ("regconfig", "'english'", "'pg_catalog.english'", &["'simple'"]),
    ("regdictionary", "'simple'", "'pg_catalog.simple'", &["'english_stem'"]),
    ("oidvector", "'1 2'", "'1 2'", &["'2 1'", "'1'", "''"]),
    ("int2vector", "'1 2'", "'1 2'", &["'2 1'"]),
    ("mood", "'ok'", "'ok'", &["'sad'", "NULL"]),
    ("mood[]", "'{ok,NULL}'", "ARRAY['ok', NULL]::mood[]", &["'{ok}'", "'{NULL,ok}'", "'{}'"]),
    ("price", "1.5", "1.50000000", &["1.6"]),
    ("price[]", "'{1.5}'", "ARRAY[1.50000000]", &["'{1.6}'"]),
    ("prices", "'{1.5}'", "ARRAY[1.50000000]", &["'{1.6}'"]),
    ("int4[]", "'{1,NULL,3}'", "ARRAY[1, NULL, 3]", &["'{1,3}'", "'[0:2]={1,NULL,3}'", "'{{1,NULL,3}}'", "'{1,2,3}'"]),
    // The flag that there may be NULLs stays set after the NULL is overwritten.
    (
        "int4[]",
        "'{1,2}'",
        "(SELECT a FROM (SELECT array_replace('{1,NULL}'::int4[], NULL, 2) AS a) x)",
        &["'{1,NULL}'"],
    ),
    ("text[]", "'{\"\",NULL}'", "ARRAY['', NULL]", &["'{NULL,\"\"}'", "'{\"NULL\",NULL}'", "'{}'", "NULL"]),
    ("text[][]", "'{{a,b},{c,d}}'", "ARRAY[ARRAY['a','b'], ARRAY['c','d']]", &["'{{a,b,c,d}}'", "'{a,b,c,d}'"]),
    ("place", "ROW('x', 1, 'ok')", "'(x,1,ok)'", &["ROW('x', 1, 'sad')", "ROW('x', NULL, 'ok')", "ROW('', 1, 'ok')"]),
    ("place[]", "ARRAY[ROW('x', 1, 'ok')::place]", "'{\"(x,1,ok)\"}'", &["'{}'"]),
    (
        "house",
        "ROW(ROW('x', 1, 'ok'), '{1,NULL}', 2)",
        "'(\"(x,1,ok)\",\"{1,NULL}\",2.00000000)'",
        &[
            "ROW(ROW('x', 1, 'sad'), '{1,NULL}', 2)",
            "ROW(ROW('x', 1, 'ok'), '{1}', 2)",
            "ROW(ROW('x', 1, 'ok'), '{1,NULL}', 3)",
        ],
    ),
    ("int4range", "'[1,5)'", "'[1,4]'", &["'[1,5]'", "'empty'", "'[1,)'", "'(,)'"]),
    ("numrange", "'[1.0,2)'", "numrange(1.0, 2)", &["'[1.00,2)'", "'(1.0,2)'"]),
    ("tstzrange", "'[2026-01-01Z,)'", "'[2026-01-01 01:00+01,)'", &["'[2026-01-01Z,infinity)'"]),
    ("int8range", "'[1,5)'", "'[1,4]'", &["'[1,5]'", "'empty'"]),
    ("daterange", "'[2026-01-01,2026-02-01)'", "'[2026-01-01,2026-01-31]'", &["'[2026-01-01,2026-02-01]'", "'empty'"]),
    ("tsrange", "'[2026-01-01,)'", "tsrange('2026-01-01', NULL)", &["'[2026-01-01,infinity)'", "'(2026-01-01,)'"]),
    ("floatrange", "'[1,2)'", "floatrange(1, 2)", &["'[1,2]'"]),
    ("moods", "'[sad,ok]'", "moods('sad', 'ok', '[]')", &["'[sad,happy]'"]),
    ("int4multirange", "'{[1,3),[5,7)}'", "int4multirange(int4range(5,7), int4range(1,3))", &["'{[1,7)}'", "'{}'"]),
    ("int8multirange", "'{[1,3)}'", "'{[1,2]}'", &["'{[1,3]}'", "'{}'"]),
    ("nummultirange", "'{[1.0,2)}'", "nummultirange(numrange(1.0, 2))", &["'{[1.00,2)}'", "'{(1.0,2)}'"]),
    ("datemultirange", "'{[2026-01-01,2026-02-01)}'", "'{[2026-01-01,2026-01-31]}'", &["'{[2026-01-01,2026-01-31)}'"]),
    ("tsmultirange", "'{[2026-01-01,)}'", "'{[2026-01-01 00:00,)}'", &["'{[2026-01-01,infinity)}'", "'{}'"]),
    ("tstzmultirange", "'{[2026-01-01Z,)}'", "'{[2026-01-01 01:00+01,)}'", &["'{[2026-01-01 01:00Z,)}'"]),
    ("hstore", "'a=>1, b=>NULL'", "'b=>NULL, a=>1'", &["'a=>1'", "'a=>1, b=>\"NULL\"'"]),
    ("ltree", "'a.b'", "'a.b'", &["'a.c'"]),
];

/// Values that only a declared policy makes equal.
const LOOSE: &[(&str, &str, &str, &str)] = &[
    ("numeric", "1.0", "1.00", "1.01"),
    ("numeric", "100", "'1e2'::numeric + 0.00", "1000"),
    ("numeric[]", "'{1.0,NULL}'", "'{1,NULL}'", "'{1.1,NULL}'"),
    ("numrange", "'[1.0,2)'", "'[1,2.00)'", "'[1,2.01)'"),
    ("nummultirange", "'{[1.0,2)}'", "'{[1,2.00)}'", "'{[1,2.01)}'"),
    ("price[]", "'{1}'", "'{1.0}'", "'{1.1}'"),
    ("float8", "'-0'", "0", "1e-300"),
    ("float4[]", "'{-0}'", "'{0}'", "'{1}'"),
    ("point", "'(-0,1)'", "'(0,1)'", "'(0,2)'"),
    ("path", "'[(-0,1)]'", "'[(0,1)]'", "'((0,1))'"),
    ("json", "'{\"b\":1, \"a\":\"\\u0041\"}'", "'{\"a\":\"A\",\"b\":1}'", "'{\"a\":\"A\",\"b\":1.0}'"),
    ("jsonb", "'{\"bb\":1,\"c\":2}'", "'{\"c\":2,\"bb\":1}'", "'{\"c\":2,\"bb\":2}'"),
];

/// Types that no table of a user's can hold a value of: they have no input, or are made by the
/// server for its own catalogs and indexes.
const WITHOUT_VALUES: &[&str] = &[
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
];

#[rstest]
#[case(14)]
#[case(15)]
#[case(16)]
#[case(17)]
#[case(18)]
#[tokio::test(flavor = "multi_thread")]
async fn every_built_in_type_has_a_case(#[case] major: u32) {
    let Some(left) = Db::of(major, OBJECTS).await else { return };
    let client = left.server.client(&left.name).await.unwrap();
    let kinds: Vec<&str> = CASES.iter().map(|(kind, ..)| *kind).collect();
    let sql = "SELECT t.typname::text FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace
        AND t.typtype IN ('b', 'r', 'm') AND t.typname !~ '^_'
        AND NOT EXISTS (SELECT FROM unnest($1::text[]) AS kind WHERE to_regtype(kind) = t.oid) ORDER BY 1";
    let rows = client.query(sql, &[&kinds]).await.unwrap();
    let missing: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let expected: Vec<&str> = WITHOUT_VALUES.to_vec();
    assert_eq!(missing, expected);
}

/// Databases on servers of these versions; nothing where one is to be left out.
async fn databases(left: u32, right: u32) -> Option<(Db, Db)> {
    let others = format!("CREATE TYPE other AS (a int); CREATE TYPE more AS ENUM ('x'); {OBJECTS}");
    Some((Db::of(left, OBJECTS).await?, Db::of(right, &others).await?))
}

/// The image of one value in a table of one row.
async fn image(db: &Db, table: &str, kind: &str, value: &str, policies: Policies) -> Vec<u8> {
    db.run(&format!("CREATE TABLE {table} (v {kind}); INSERT INTO {table} VALUES ({value})")).await;
    let found = images(db, table, policies).await;
    assert_eq!(found.len(), 1, "{kind} {value}");
    found.into_iter().next().unwrap()
}

#[rstest]
#[case(15, 15)]
#[case(14, 18)]
#[case(16, 17)]
#[tokio::test(flavor = "multi_thread")]
async fn equal_values_have_equal_images_and_different_ones_do_not(#[case] left: u32, #[case] right: u32) {
    let Some((left, right)) = databases(left, right).await else { return };
    for (number, (kind, value, same, others)) in CASES.iter().enumerate() {
        let first = image(&left, &format!("a{number}"), kind, value, STRICT).await;
        let second = image(&right, &format!("a{number}"), kind, same, STRICT).await;
        assert_eq!(first, second, "{kind}: {value} and {same} on two databases");
        for (other_number, other) in others.iter().enumerate() {
            let table = format!("b{number}_{other_number}");
            let different = image(&right, &table, kind, other, STRICT).await;
            assert_ne!(first, different, "{kind}: {value} and {other}");
        }
        // Both sides must also agree on the canon.
        let (a, b) = (left.describe(&format!("a{number}")).await, right.describe(&format!("a{number}")).await);
        let pairs = [("v".to_owned(), "v".to_owned())];
        assert!(left.store.wire_canon(&a, &b, &pairs, &[], STRICT).is_ok(), "{kind}");
    }
}

#[rstest]
#[case(15, 15)]
#[case(14, 18)]
#[case(16, 17)]
#[tokio::test(flavor = "multi_thread")]
async fn declared_policies_make_values_equal_and_no_others(#[case] left: u32, #[case] right: u32) {
    let Some((left, right)) = databases(left, right).await else { return };
    let loose = Policies {
        decimal: DecimalPolicy::Value,
        float: FloatPolicy::Canonical,
        json: JsonPolicy::Canonical,
        ..STRICT
    };
    for (number, (kind, value, same, other)) in LOOSE.iter().enumerate() {
        let first = image(&left, &format!("a{number}"), kind, value, loose).await;
        let second = image(&right, &format!("a{number}"), kind, same, loose).await;
        let third = image(&right, &format!("b{number}"), kind, other, loose).await;
        assert_eq!(first, second, "{kind}: {value} and {same}");
        assert_ne!(first, third, "{kind}: {value} and {other}");
    }
}

#[rstest]
#[case(14)]
#[case(15)]
#[case(18)]
#[tokio::test(flavor = "multi_thread")]
async fn rendered_and_fetched_rows_show_the_servers_own_text(#[case] major: u32) {
    let Some(left) = Db::of(major, OBJECTS).await else { return };
    for (number, (kind, value, _, _)) in CASES.iter().enumerate() {
        let table = format!("r{number}");
        left.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, v {kind}); INSERT INTO {table} VALUES (7, {value})"
        ))
        .await;
        let canon = canon_of(&left.store, &left.describe(&table).await, STRICT);
        let scan = left.store.open(&cx(), &request(&table, canon)).await.unwrap();
        let all = read_all(&*scan).await.unwrap();
        let rendered = scan.render(&cx(), &all.blocks[0], &[0]).await.unwrap();
        let keys = [7_i32.to_be_bytes().to_vec()];
        let fetched = scan.lookup().unwrap().fetch(&cx(), &keys).await.unwrap();
        assert_eq!(fetched.len(), 1, "{kind}");
        assert_eq!(rendered[0].fields, fetched[0].fields, "{kind}");
        let client = left.server.client(&left.name).await.unwrap();
        let sql = "SET search_path = pg_catalog; SET timezone = 'UTC'; SET extra_float_digits = 3";
        client.batch_execute(sql).await.unwrap();
        let row = client
            .query_one(
                &format!(
                    "SELECT {} FROM public.{table}",
                    if *kind == "inet" { "textin(inet_out(v))" } else { "v::text" }
                ),
                &[],
            )
            .await
            .unwrap();
        let text: Option<String> = row.get(0);
        // The text of char(n) has no padding, and a bytea is shown the same way.
        let shown = fetched[0].fields[1].shown.to_string();
        assert_eq!(shown.trim_end(), text.unwrap_or_default().trim_end(), "{kind}: {value}");
    }
}
