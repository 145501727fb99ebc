//! The wire canon: two PostgreSQL tables compared by the server's own binary values.

use crate::facts::shape_prefix;
use paritas_connect::Description;
use paritas_digest::{Canon, CanonColumn, CanonKind, Incompatible, Policies, Slot};
use paritas_model::Column;

/// The engine's name in a canon.
pub(crate) const ENGINE: &str = "postgres";

/// The canon for the same table on two servers: key columns first, the others sorted by name.
pub(crate) fn canon(
    source: &Description,
    replica: &Description,
    pairs: &[(String, String)],
    key: &[String],
    policies: Policies,
) -> Result<Canon, Vec<Incompatible>> {
    let mut problems = Vec::new();
    let mut columns: Vec<CanonColumn> = Vec::with_capacity(pairs.len());
    for (own, other) in pairs {
        match column(source, replica, own, other) {
            Ok(column) => columns.push(column),
            Err(problem) => problems.push(problem),
        }
    }
    for name in key {
        if !pairs.iter().any(|(own, _)| own == name) {
            let why = "it is part of the key and is not compared".to_owned();
            let hint = "compare it too, or choose another key".to_owned();
            let known = |column: Option<&Column>| column.map_or_else(String::new, |column| column.engine_type.clone());
            let source = known(source.schema.column(name));
            problems.push(Incompatible { column: name.clone(), source, replica: String::new(), why, hint });
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let rank = |column: &CanonColumn| key.iter().position(|name| *name == column.name).unwrap_or(key.len());
    columns.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
    Ok(Canon { kind: CanonKind::Wire { engine: ENGINE.to_owned() }, columns, key_columns: key.len(), policies })
}

fn column(source: &Description, replica: &Description, own: &str, other: &str) -> Result<CanonColumn, Incompatible> {
    let problem = |a: &str, b: &str, why: &str, hint: String| Incompatible {
        column: own.to_owned(),
        source: a.to_owned(),
        replica: b.to_owned(),
        why: why.to_owned(),
        hint,
    };
    let (a, b) = match (source.schema.column(own), replica.schema.column(other)) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => {
            let name = |column: Option<&Column>| column.map_or("missing".to_owned(), |found| found.engine_type.clone());
            return Err(problem(&name(a), &name(b), "a side lacks the column", "leave it out of --columns".to_owned()));
        }
    };
    if a.engine_type != b.engine_type {
        let hint = format!("give both sides the same type, or compare through views that cast {own} to one type");
        return Err(problem(&a.engine_type, &b.engine_type, "the types differ", hint));
    }
    let (shape_a, shape_b) = (shape(source, own), shape(replica, other));
    if shape_a != shape_b {
        let name = |shape: Option<&str>| shape.unwrap_or(&a.engine_type).to_owned();
        let hint = format!("define {} alike on both sides", a.engine_type);
        return Err(problem(&name(shape_a), &name(shape_b), "types of one name are made of different parts", hint));
    }
    let as_text = shape_a.is_some_and(|shape| shape.ends_with(" as text"));
    Ok(CanonColumn {
        name: own.to_owned(),
        slot: Slot::Wire {
            type_name: a.engine_type.clone(),
            fixed_width: if as_text { None } else { fixed_width(&a.engine_type) },
            nullable: a.nullable || b.nullable,
        },
    })
}

/// What the column's values are made of, where the type's name does not say it all.
fn shape<'a>(description: &'a Description, column: &str) -> Option<&'a str> {
    let prefix = shape_prefix(column);
    description.schema.facts.iter().find_map(|fact| fact.strip_prefix(&prefix))
}

/// Bytes of every value of a built-in type, by the name that `format_type` gives it.
fn fixed_width(engine_type: &str) -> Option<u32> {
    // `timestamp(3) with time zone` is as wide as without the modifier.
    let (before, rest) = engine_type.split_once('(').unwrap_or((engine_type, ""));
    let after = rest.split_once(')').map_or("", |(_, after)| after);
    match (before, after) {
        ("boolean" | "\"char\"", "") => Some(1),
        ("smallint", "") => Some(2),
        ("integer" | "real" | "date" | "oid" | "xid" | "cid", "") => Some(4),
        ("bigint" | "double precision" | "money" | "pg_lsn" | "xid8" | "macaddr8", "") => Some(8),
        ("timestamp without time zone" | "timestamp with time zone" | "time without time zone", "") => Some(8),
        ("timestamp" | "time", " without time zone") | ("timestamp", " with time zone") => Some(8),
        ("macaddr" | "tid", "") => Some(6),
        ("time with time zone", "") | ("time", " with time zone") => Some(12),
        ("uuid" | "point", "") => Some(16),
        _ if is_interval(before, after) => Some(16),
        _ => None,
    }
}

/// `interval`, `interval(3)`, `interval day to second(3)` and the like, but no array of them.
fn is_interval(before: &str, after: &str) -> bool {
    let plain = before.bytes().all(|b| b.is_ascii_lowercase() || b == b' ');
    (before == "interval" || before.starts_with("interval ")) && plain && after.is_empty()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_digest::KeyForm;
    use paritas_model::{Dataset, Known, LogicalType, Schema};
    use rstest::rstest;

    fn described(columns: &[(&str, &str, bool)], facts: &[String]) -> Description {
        let columns = columns.iter().map(|(name, engine_type, nullable)| Column {
            name: (*name).to_owned(),
            engine_type: (*engine_type).to_owned(),
            logical: LogicalType::Text,
            nullable: *nullable,
        });
        Description {
            dataset: Dataset("public.t".to_owned()),
            schema: Schema { columns: columns.collect(), key: Vec::new(), facts: facts.to_vec() },
            rows_estimate: Known::Known(0),
            bytes_estimate: Known::Known(0),
        }
    }

    fn pairs(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect()
    }

    #[rstest]
    #[case("integer", Some(4))]
    #[case("timestamp(3) with time zone", Some(8))]
    #[case("time(0) without time zone", Some(8))]
    #[case("time(0) with time zone", Some(12))]
    #[case("interval day to second(3)", Some(16))]
    #[case("interval[]", None)]
    #[case("interval(3)[]", None)]
    #[case("integer[]", None)]
    #[case("timestamp(3) with time zone[]", None)]
    #[case("numeric(18,8)", None)]
    #[case("character varying(8)", None)]
    #[case("public.uuid", None)]
    fn widths_are_known_for_built_in_types(#[case] engine_type: &str, #[case] width: Option<u32>) {
        assert_eq!(fixed_width(engine_type), width);
    }

    #[test]
    fn key_columns_come_first_in_key_order_and_the_rest_by_name() {
        let side = described(
            &[("b", "text", true), ("a", "text", true), ("y", "integer", false), ("x", "integer", false)],
            &[],
        );
        let key = ["y".to_owned(), "x".to_owned()];
        let canon = canon(&side, &side, &pairs(&["a", "b", "x", "y"]), &key, Policies::default()).unwrap();
        let names: Vec<&str> = canon.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["y", "x", "a", "b"]);
        assert_eq!(canon.key_form(), KeyForm::Inline8);
    }

    #[test]
    fn a_key_that_may_be_null_on_one_side_is_not_inline() {
        let (a, b) = (described(&[("id", "integer", false)], &[]), described(&[("id", "integer", true)], &[]));
        let canon = canon(&a, &b, &pairs(&["id"]), &["id".to_owned()], Policies::default()).unwrap();
        assert_eq!(canon.key_form(), KeyForm::Fingerprint);
    }

    #[rstest]
    #[case("numeric(18,8)", "", "numeric(18,2)", "", false)]
    #[case("integer", "", "bigint", "", false)]
    #[case("character varying(8)", "", "text", "", false)]
    #[case("public.p", "public.p(x integer)", "public.p", "public.p(x bigint)", false)]
    #[case("public.p", "public.p(x integer)", "public.p", "public.p(x integer)", true)]
    fn types_must_be_the_same(
        #[case] type_a: &str,
        #[case] shape_a: &str,
        #[case] type_b: &str,
        #[case] shape_b: &str,
        #[case] fits: bool,
    ) {
        let side = |engine_type: &str, shape: &str| {
            let fact = format!("{}{shape}", shape_prefix("c"));
            described(&[("c", engine_type, true)], if shape.is_empty() { &[] } else { std::slice::from_ref(&fact) })
        };
        let (a, b) = (side(type_a, shape_a), side(type_b, shape_b));
        let result = canon(&a, &b, &pairs(&["c"]), &[], Policies::default());
        assert_eq!(result.is_ok(), fits);
        if let Err(problems) = result {
            assert_eq!(problems[0].column, "c");
            assert!(!problems[0].hint.is_empty());
        }
    }
}
