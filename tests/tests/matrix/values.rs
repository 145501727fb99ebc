//! Faults of single values, the same for every pair of stores.

use crate::data::{NULL, Table};
use crate::logical::LOGICAL;
use crate::rows::Pair;
use crate::stage::{Kind, Stage, World, reason};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Sets one value of the only row, and demands that exactly this is found.
fn changes(stage: &Stage<'_>, changes: &[(&str, &str)]) {
    for &(column, to) in changes {
        let from = stage.honest.rows[0][stage.honest.at(column)].clone();
        let shown = |text: Option<&str>| match text {
            None => "NULL".to_owned(),
            Some(long) if long.chars().count() > 100 => format!("<{} characters>", long.chars().count()),
            Some(text) => format!("'{text}'"),
        };
        let to_shown = shown((to != NULL).then_some(to));
        let line = format!("changed id='1': {column} {} -> {to_shown}", shown(from.as_deref()));
        stage.finds(&format!("{column} becomes {to_shown}"), |t| t.set(0, column, to), &[&line]);
    }
}

pub fn truncated(world: &World, pairs: &[Pair]) {
    let (kib64, mib) = ("0123456789abcdef".repeat(4097), "x".repeat(1_048_577));
    let row = [
        "1",
        "abcdefghijkl",
        "東京",
        "123456789012345y",
        "1234567890123456789012345678901z",
        &kib64,
        &mib,
        "\\x00ff00",
    ];
    let columns = "id int64!, ten text, city text, sixteen text, thirty_two text, kib64 text, mib text, blob bytes";
    for &pair in pairs {
        let table = Table::new(columns, &[&row]);
        let stage = Stage::new(world, pair, &table);
        changes(
            &stage,
            &[
                ("ten", "abcdefghij"),
                ("ten", ""),
                ("city", "東"),
                ("sixteen", "123456789012345"),
                ("thirty_two", "1234567890123456789012345678901"),
                ("kib64", &kib64[..65_535]),
                ("kib64", &kib64[..65_536]),
                ("mib", &mib[..1_048_576]),
                ("blob", "\\x00ff"),
                ("blob", "\\x"),
            ],
        );
        // The usual culprit: the copy's column is shorter.
        let by_type = |t: &mut Table| {
            t.retype("ten", "varchar(10)");
            t.set(0, "ten", "abcdefghij");
        };
        let change = "changed id='1': ten 'abcdefghijkl' -> 'abcdefghij'";
        // Two stores of one kind have one vocabulary of types.
        let schema = (pair == LOGICAL[0]).then_some("schema column ten: text -> character varying(10)");
        stage.finds("cut by the type", by_type, &schema.into_iter().chain([change]).collect::<Vec<_>>());
    }
}

pub fn null_and_empty(world: &World, pairs: &[Pair]) {
    let columns = "id int64!, empty text, absent text, number int64, amount decimal(12,2), ratio float64, flag bool, \
                   day date, at timestamptz, blob bytes, none bytes";
    let row = ["1", "", NULL, NULL, NULL, NULL, NULL, NULL, NULL, "\\x", NULL];
    for &pair in pairs {
        let stage = Stage::new(world, pair, &Table::new(columns, &[&row]));
        changes(
            &stage,
            &[
                ("empty", NULL),
                ("empty", " "),
                ("empty", "NULL"),
                ("absent", ""),
                ("absent", "NULL"),
                ("absent", "null"),
                ("absent", "\\N"),
                ("number", "0"),
                ("amount", "0.00"),
                ("ratio", "0"),
                ("ratio", "NaN"),
                ("flag", "false"),
                ("day", "1970-01-01"),
                ("at", "1970-01-01T00:00:00Z"),
                ("blob", NULL),
                ("none", "\\x"),
                ("none", "\\x00"),
            ],
        );
        stage.finds(
            "empty and absent exchanged",
            |t| {
                t.set(0, "empty", NULL);
                t.set(0, "absent", "");
            },
            &["changed id='1': absent NULL -> '', empty '' -> NULL"],
        );
    }
}

pub fn precision(world: &World, pairs: &[Pair]) {
    let columns = "id int64!, amount decimal(18,8), money decimal(20,2), ratio float64, tiny float64, \
                   at timestamptz, local timestamp, number int64";
    let row = [
        "1",
        "1.23456789",
        "1234567890.12",
        "0.1",
        "1e-20",
        "2026-01-05T09:00:00.123456Z",
        "2026-01-05T09:00:00.999999",
        "9007199254740993",
    ];
    let mut failures = each(pairs, |pair| {
        let stage = Stage::new(world, pair, &Table::new(columns, &[&row]));
        changes(
            &stage,
            &[
                ("amount", "1.23000000"),
                ("amount", "1.23456790"),
                ("amount", "1.23456788"),
                ("money", "1234567890.13"),
                ("money", "1234567936.00"),
                ("ratio", "0.10000000149011612"),
                ("ratio", "0.10000000000000002"),
                ("tiny", "0"),
                ("tiny", "1.0000000000000001e-20"),
                ("at", "2026-01-05T09:00:00.123Z"),
                ("at", "2026-01-05T09:00:00.123457Z"),
                ("at", "2026-01-05T09:00:00Z"),
                ("local", "2026-01-05T09:00:01"),
                ("number", "9007199254740992"),
                ("number", "9007199254740994"),
            ],
        );
        if pair.1 == Kind::Parquet {
            by_type(&stage);
        }
    });
    failures.extend(each(pairs, |pair| narrow_floats(world, pair)));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Floats of 32 bits.
fn narrow_floats(world: &World, pair: Pair) {
    let from = "0.33333334";
    let stage = Stage::new(world, pair, &Table::new("id int64!, third float32", &[&["1", from]]));
    for to in ["0.33333337", "0.3333333", "0.3333"] {
        let line = format!("changed id='1': third '{from}' -> '{to}'");
        stage.finds(&format!("third becomes {to}"), |t| t.set(0, "third", to), &[&line]);
    }
}

/// The copy's own types hold less.
fn by_type(stage: &Stage<'_>) {
    // A CSV file declares no types, so nothing can be said about them.
    let schema = |column: &str, postgres: &str, parquet: &str, narrow: &str| match stage.kinds.0 {
        Kind::Csv => None,
        Kind::Postgres => Some(format!("schema column {column}: {postgres} -> {narrow}")),
        Kind::Parquet => Some(format!("schema column {column}: {parquet} -> {narrow}")),
    };
    let finds = |what: &str, plant: &dyn Fn(&mut Table), schema: Option<String>, line: &str| {
        let lines: Vec<&str> = schema.as_deref().into_iter().chain([line]).collect();
        stage.finds(what, plant, &lines);
    };
    let single = |t: &mut Table| t.retype("ratio", "float32");
    let schema_line = schema("ratio", "double precision", "DOUBLE", "FLOAT");
    if stage.kinds.0 == Kind::Csv {
        // A text of few digits is the float nearest to it, in either width.
        stage.passes("f64 to f32", single, &[]);
    } else {
        finds("f64 to f32", &single, schema_line, "changed id='1': ratio '0.1' -> '0.1'");
    }
    let millis = |t: &mut Table| {
        t.retype("at", "timestamptz_ms");
        t.set(0, "at", "2026-01-05T09:00:00.123Z");
    };
    let (micro, milli) = ("INT64 (TIMESTAMP(MICROS,UTC))", "INT64 (TIMESTAMP(MILLIS,UTC))");
    let line = "changed id='1': at '2026-01-05T09:00:00.123456Z' -> '2026-01-05T09:00:00.123Z'";
    // CSV text takes the copy's types. Where they hold less, it is a value that they do not have.
    finds("us to ms", &millis, schema("at", "timestamp with time zone", micro, milli), line);
    let scale = |t: &mut Table| {
        t.retype("amount", "decimal(18,2)");
        t.set(0, "amount", "1.23");
    };
    let line = "changed id='1': amount '1.23456789' -> '1.23'";
    let (eight, two) = ("INT64 (DECIMAL(18,8))", "INT64 (DECIMAL(18,2))");
    finds("scale", &scale, schema("amount", "numeric(18,8)", eight, two), line);
}

/// Does the same for every pair, and says what failed.
fn each(pairs: &[Pair], stage: impl Fn(Pair)) -> Vec<String> {
    let failed = |pair: &Pair| catch_unwind(AssertUnwindSafe(|| stage(*pair))).err();
    pairs.iter().filter_map(failed).map(|panic| reason(panic.as_ref())).collect()
}

pub fn zones(world: &World, pairs: &[Pair]) {
    let table = Table::new(
        "id int64!, at timestamptz, local timestamp, day date",
        &[
            &["1", "2026-01-15T12:00:00Z", "2026-01-15T13:00:00", "2026-01-15"],
            &["2", "2026-07-15T12:00:00Z", "2026-07-15T14:00:00", "2026-07-15"],
            &["3", "2026-03-29T00:30:00.5Z", "2026-03-29T01:30:00.5", "2026-03-29"],
            &["4", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00", "2026-10-25"],
        ],
    );
    for &pair in pairs {
        let stage = Stage::new(world, pair, &table);
        stage.finds(
            "instants an hour late",
            |t| {
                t.set(0, "at", "2026-01-15T13:00:00Z");
                t.set(1, "at", "2026-07-15T13:00:00Z");
                t.set(2, "at", "2026-03-29T01:30:00.5Z");
                t.set(3, "at", "2026-10-25T01:30:00Z");
            },
            &[
                "changed id='1': at '2026-01-15T12:00:00Z' -> '2026-01-15T13:00:00Z'",
                "changed id='2': at '2026-07-15T12:00:00Z' -> '2026-07-15T13:00:00Z'",
                "changed id='3': at '2026-03-29T00:30:00.5Z' -> '2026-03-29T01:30:00.5Z'",
                "changed id='4': at '2026-10-25T00:30:00Z' -> '2026-10-25T01:30:00Z'",
            ],
        );
        stage.finds(
            "one hour in summer only",
            |t| t.set(1, "local", "2026-07-15T13:00:00"),
            &["changed id='2': local '2026-07-15T14:00:00' -> '2026-07-15T13:00:00'"],
        );
        stage.finds(
            "the hour that is there twice",
            |t| t.set(3, "at", "2026-10-25T01:30:00Z"),
            &["changed id='4': at '2026-10-25T00:30:00Z' -> '2026-10-25T01:30:00Z'"],
        );
        stage.finds(
            "the hour that is not there",
            |t| t.set(2, "local", "2026-03-29T02:30:00.5"),
            &["changed id='3': local '2026-03-29T01:30:00.5' -> '2026-03-29T02:30:00.5'"],
        );
        stage.finds(
            "midnight in another zone",
            |t| t.set(0, "day", "2026-01-14"),
            &["changed id='1': day '2026-01-15' -> '2026-01-14'"],
        );
    }
}

pub fn encoding(world: &World, pairs: &[Pair]) {
    let columns = "id int64!, cafe text, city text, street text, word text, angstrom text, lines text, \
                   zero float64, minus float64, document json";
    let row =
        ["1", "caf\u{e9}", "Zürich", "Straße", "Word", "\u{c5}", "a\nb\tc", "0", "-0", r#"{"b": 1, "a": [1.0, "é"]}"#];
    for &pair in pairs {
        let stage = Stage::new(world, pair, &Table::new(columns, &[&row]));
        changes(
            &stage,
            &[
                ("cafe", "cafe\u{301}"),
                ("city", "ZÃ¼rich"),
                ("city", "Z?rich"),
                ("city", "Z\u{fffd}rich"),
                ("street", "Strasse"),
                ("word", "word"),
                ("word", "Word "),
                ("word", " Word"),
                ("word", "Word\u{200b}"),
                ("word", "\u{feff}Word"),
                ("angstrom", "\u{212b}"),
                ("lines", "a\r\nb\tc"),
                ("lines", "a\nb c"),
                ("zero", "-0"),
                ("minus", "0"),
                ("document", r#"{"a": [1.0, "é"], "b": 1}"#),
                ("document", r#"{"b":1,"a":[1.0,"é"]}"#),
                ("document", r#"{"b": 1, "a": [1.0, "\u00e9"]}"#),
                ("document", r#"{"b": 1, "a": [1.5, "é"]}"#),
            ],
        );
        policies(&stage, pair);
    }
}

/// What is strict by default can be declared to be equal, and only that.
fn policies(stage: &Stage<'_>, pair: Pair) {
    // Two CSV files have texts only.
    if pair == (Kind::Csv, Kind::Csv) {
        return;
    }
    let (float, json): (&[&str], &[&str]) = (&["--policy", "float=canonical"], &["--policy", "json=canonical"]);
    stage.passes_with(float, |t| t.set(0, "zero", "-0"), &[]);
    stage.finds_with(float, |t| t.set(0, "zero", "5e-324"), &["changed id='1': zero '0' -> '5e-324'"]);
    stage.passes_with(json, |t| t.set(0, "document", r#"{"a":[1.0,"\u00e9"],"b":1}"#), &[]);
    // Between two stores of one kind what was compared is shown: the canonical text.
    let line = match pair == LOGICAL[0] {
        true => r#"changed id='1': document '{"a":[1.0,"é"],"b":1}' -> '{"a":[1.0,"é"],"b":2}'"#,
        false => r#"changed id='1': document '{"b": 1, "a": [1.0, "é"]}' -> '{"a": [1.0, "é"], "b": 2}'"#,
    };
    stage.finds_with(json, |t| t.set(0, "document", r#"{"a": [1.0, "é"], "b": 2}"#), &[line]);
    if pair.1 == Kind::Parquet {
        let other = "bits 7ff8000000000001";
        let nan = |kind: &str| format!("id int64!, v {kind}");
        let stage = Stage::new(stage.world, pair, &Table::new(&nan("float64"), &[&["1", "NaN"]]));
        stage.finds("other bits of NaN", |t| t.set(0, "v", other), &["changed id='1': v 'NaN' -> 'NaN'"]);
        stage.passes_with(float, |t| t.set(0, "v", other), &[]);
    }
}
