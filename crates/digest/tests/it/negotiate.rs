//! In which slot two types meet, or why they do not.

use paritas_digest::{Canon, DecimalPolicy, KeyForm, Policies, Slot, ZonePolicy};
use paritas_model::{Column, Field, LogicalType as L, Schema, TimeUnit};
use rstest::rstest;

fn column(name: &str, logical: L) -> Column {
    Column { name: name.into(), engine_type: logical.to_string(), logical, nullable: true }
}

fn schema(columns: Vec<Column>) -> Schema {
    Schema { columns, key: Vec::new(), facts: Vec::new() }
}

fn meet(a: L, b: L, policies: Policies) -> Result<Slot, String> {
    let pairs = [("x".to_owned(), "y".to_owned())];
    let result = Canon::logical(&schema(vec![column("x", a)]), &schema(vec![column("y", b)]), &pairs, &[], policies);
    match result {
        Ok(canon) => Ok(canon.columns[0].slot.clone()),
        Err(problems) => {
            assert_eq!((problems.len(), problems[0].column.as_str()), (1, "x"));
            assert!(!problems[0].hint.is_empty() && !problems[0].why.is_empty());
            Err(problems[0].why.clone())
        }
    }
}

const fn int(bits: u8) -> L {
    L::Int { bits, signed: true }
}

const fn uint(bits: u8) -> L {
    L::Int { bits, signed: false }
}

const fn decimal(precision: u8, scale: i8) -> L {
    L::Decimal { precision, scale }
}

const fn timestamp(unit: TimeUnit, zoned: bool) -> L {
    L::Timestamp { unit, zoned }
}

fn list(item: L) -> L {
    L::List(Box::new(item))
}

fn fields(fields: &[(&str, L)]) -> L {
    L::Struct(fields.iter().map(|(name, logical)| Field { name: (*name).into(), logical: logical.clone() }).collect())
}

#[rstest]
#[case(L::Bool, L::Bool, Slot::Bool)]
#[case(int(16), int(64), Slot::Int)]
#[case(uint(32), int(8), Slot::Int)]
#[case(uint(64), int(8), Slot::BigInt)]
#[case(uint(64), uint(64), Slot::BigInt)]
#[case(decimal(18, 4), decimal(18, 4), Slot::Decimal { scale: 4 })]
#[case(decimal(18, 4), decimal(20, 8), Slot::Decimal { scale: 8 })]
#[case(decimal(38, 4), decimal(20, 8), Slot::WideDecimal { scale: 8 })]
#[case(decimal(76, 4), decimal(20, 8), Slot::DecimalAny)]
#[case(decimal(10, -2), decimal(10, 0), Slot::Decimal { scale: 0 })]
#[case(int(64), decimal(18, 4), Slot::Decimal { scale: 4 })]
#[case(uint(64), decimal(30, 20), Slot::WideDecimal { scale: 20 })]
#[case(int(32), L::DecimalAny, Slot::DecimalAny)]
#[case(decimal(18, 4), L::DecimalAny, Slot::DecimalAny)]
#[case(L::DecimalAny, L::DecimalAny, Slot::DecimalExact)]
#[case(L::DecimalAny, L::Untyped, Slot::DecimalExact)]
#[case(L::Float { bits: 32 }, L::Float { bits: 64 }, Slot::Float)]
#[case(L::Float { bits: 64 }, L::Untyped, Slot::Float)]
#[case(L::Float { bits: 32 }, L::Untyped, Slot::Float32)]
#[case(L::Float { bits: 32 }, L::Float { bits: 32 }, Slot::Float32)]
#[case(L::Text, L::Text, Slot::Text)]
#[case(L::Json, L::Json, Slot::Json)]
#[case(L::Json, L::Untyped, Slot::Json)]
#[case(L::Bytes, L::FixedBytes { length: 4 }, Slot::Bytes)]
#[case(L::FixedBytes { length: 16 }, L::FixedBytes { length: 16 }, Slot::Bytes)]
#[case(L::FixedBytes { length: 16 }, L::Uuid, Slot::Uuid)]
#[case(L::Uuid, L::Uuid, Slot::Uuid)]
#[case(L::Date, L::Date, Slot::Date)]
#[case(L::Time { unit: TimeUnit::Milli }, L::Time { unit: TimeUnit::Nano }, Slot::Time(TimeUnit::Nano))]
#[case(
    timestamp(TimeUnit::Second, true),
    timestamp(TimeUnit::Micro, true),
    Slot::Timestamp { unit: TimeUnit::Micro, zoned: true }
)]
#[case(
    L::Duration { unit: TimeUnit::Second },
    L::Duration { unit: TimeUnit::Milli },
    Slot::Duration(TimeUnit::Milli)
)]
#[case(L::Interval, L::Interval, Slot::Interval)]
#[case(L::Untyped, int(32), Slot::Int)]
#[case(L::Untyped, L::Untyped, Slot::Text)]
#[case(L::Untyped, L::Text, Slot::Text)]
#[case(L::Null, L::Date, Slot::Date)]
#[case(L::Null, L::Null, Slot::Text)]
#[case(list(int(8)), list(uint(64)), Slot::Nested(list(uint(64))))]
#[case(
    fields(&[("b", int(8)), ("a", L::Text)]),
    fields(&[("a", L::Text), ("b", int(64))]),
    Slot::Nested(fields(&[("a", L::Text), ("b", int(64))]))
)]
fn types_meet_in_the_slot_that_loses_nothing(#[case] a: L, #[case] b: L, #[case] slot: Slot) {
    assert_eq!(meet(a.clone(), b.clone(), Policies::default()), Ok(slot.clone()));
    assert_eq!(meet(b, a, Policies::default()), Ok(slot));
}

#[rstest]
#[case(L::Float { bits: 64 }, decimal(10, 2))]
#[case(L::Float { bits: 64 }, int(64))]
#[case(L::Text, L::Uuid)]
#[case(L::Text, L::Json)]
#[case(L::Text, int(64))]
#[case(L::Text, L::Bytes)]
#[case(L::Bytes, L::Uuid)]
#[case(L::FixedBytes { length: 8 }, L::Uuid)]
#[case(L::Bool, int(8))]
#[case(L::Date, timestamp(TimeUnit::Micro, false))]
#[case(timestamp(TimeUnit::Micro, false), timestamp(TimeUnit::Micro, true))]
#[case(L::Time { unit: TimeUnit::Micro }, L::Duration { unit: TimeUnit::Micro })]
#[case(list(int(8)), int(8))]
#[case(list(L::Text), list(L::Uuid))]
#[case(fields(&[("a", L::Text)]), fields(&[("b", L::Text)]))]
#[case(fields(&[("a", L::Text)]), fields(&[("a", L::Text), ("b", L::Text)]))]
#[case(fields(&[("a", L::Text), ("a", L::Text)]), fields(&[("a", L::Text), ("a", L::Text)]))]
#[case(L::Other("tsvector".into()), L::Other("tsvector".into()))]
#[case(L::Other("tsvector".into()), L::Untyped)]
fn what_cannot_be_compared_without_guessing_is_refused(#[case] a: L, #[case] b: L) {
    assert!(meet(a.clone(), b.clone(), Policies::default()).is_err());
    assert!(meet(b, a, Policies::default()).is_err());
}

#[test]
fn policies_let_types_meet_by_declaration() {
    let utc = Policies { zone: ZonePolicy::AssumeUtc, ..Policies::default() };
    let (local, instant) = (timestamp(TimeUnit::Micro, false), timestamp(TimeUnit::Milli, true));
    assert_eq!(meet(local, instant, utc), Ok(Slot::Timestamp { unit: TimeUnit::Micro, zoned: true }));
    let value = Policies { decimal: DecimalPolicy::Value, ..Policies::default() };
    assert_eq!(meet(L::DecimalAny, L::DecimalAny, value), Ok(Slot::DecimalAny));
}

#[test]
fn key_columns_come_first_in_key_order_and_the_rest_by_name() {
    let names = ["b", "Z", "a", "k2", "k1"];
    let schema = schema(names.iter().map(|name| column(name, int(32))).collect());
    let pairs: Vec<(String, String)> = names.iter().map(|name| ((*name).into(), (*name).into())).collect();
    let key = ["k2".to_owned(), "k1".to_owned()];
    let canon = Canon::logical(&schema, &schema, &pairs, &key, Policies::default()).unwrap();
    assert_eq!(canon.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["k2", "k1", "Z", "a", "b"]);
    assert_eq!((canon.key_columns, canon.key_form()), (2, KeyForm::Inline16));
}

#[test]
fn every_problem_is_listed() {
    let ours = schema(vec![column("a", L::Text), column("b", L::Bool), column("c", int(8))]);
    let theirs = schema(vec![column("a", L::Uuid), column("b", L::Bool)]);
    let pair = |name: &str| (name.to_owned(), name.to_owned());
    let key = ["missing".to_owned()];
    let problems =
        Canon::logical(&ours, &theirs, &[pair("a"), pair("b"), pair("c"), pair("b")], &key, Policies::default())
            .unwrap_err();
    assert_eq!(problems.iter().map(|p| p.column.as_str()).collect::<Vec<_>>(), ["a", "c", "b", "missing"]);
}

#[test]
fn hopelessly_nested_types_are_refused() {
    let deep = (0..100).fold(int(8), |logical, _| list(logical));
    assert!(meet(deep.clone(), deep, Policies::default()).unwrap_err().contains("nested"));
}
