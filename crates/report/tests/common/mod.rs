//! Reports to write: one builder per situation.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

pub mod browser;
pub mod hostile;
pub mod sample;
pub mod vitals;

use paritas_model::{Class, Difference, DifferenceCounts, Proof, Region, Store, StoreKind, Tier, Value, Verdict};
use paritas_report::{
    BothSides, Check, FileDifference, FileFacts, FilesCheck, LinkReport, NotChecked, ParityCheck, Positions, Problem,
    Report, RowCounts, Run, SchemaCheck, SchemaDifference,
};

pub fn store(name: &str, kind: StoreKind, region: Option<&str>) -> Store {
    Store { name: name.into(), kind, region: region.map(|region| Region(region.into())) }
}

pub fn link(name: &str, checks: Vec<Check>) -> LinkReport {
    LinkReport {
        name: name.into(),
        tier: Some(Tier::Warm),
        verdict: LinkReport::combined(&checks),
        source: store("pg-east", StoreKind::Postgres, Some("us-east-1")),
        replica: store("pg-west", StoreKind::Postgres, Some("us-west-2")),
        checks,
        recovery: None,
        not_checked: Vec::new(),
    }
}

pub fn report(links: Vec<LinkReport>) -> Report {
    let run = Run {
        id: "01K00000000000000000000000".into(),
        command: "verify".into(),
        started_at: "2026-11-21T03:00:00Z".into(),
        ended_at: "2026-11-21T03:00:04.2Z".into(),
        version: "0.1.0".into(),
        config: Some("blake3:00".into()),
        resumed_from: None,
        drill: None,
    };
    Report::new(run, links, false)
}

pub fn ad_hoc(source: &str, replica: &str, kind: StoreKind, checks: Vec<Check>) -> Report {
    let mut link = link(&format!("{source} -> {replica}"), checks);
    link.tier = None;
    (link.source, link.replica) = (store(source, kind, None), store(replica, kind, None));
    let mut report = report(vec![link]);
    report.run.config = None;
    report
}

pub fn parity(dataset: &str, rows: u64) -> ParityCheck {
    ParityCheck {
        dataset: dataset.into(),
        replica_dataset: None,
        verdict: Verdict::Pass,
        complete: true,
        rows: RowCounts { source: Some(rows), replica: Some(rows), why: None },
        differences: DifferenceCounts::default(),
        items: Vec::new(),
        items_truncated: false,
        key: vec!["id".into()],
        columns: vec!["id".into(), "amount".into(), "status".into()],
        canon: Some("wire".into()),
        positions: Positions { source: Some("1/3000148".into()), replica: Some("1/3000148".into()), why: None },
        fence: Some("1/3000148".into()),
        bytes_read: BothSides { source: rows * 100, replica: rows * 100 },
        method: Some("rows".into()),
        pages: None,
        log: None,
        seconds: 3.5,
        notes: Vec::new(),
        slice: None,
        against: None,
        problem: None,
    }
}

/// A check that found these rows, with counts that fit.
pub fn differing(dataset: &str, rows: u64, items: Vec<Difference>) -> ParityCheck {
    let mut check = parity(dataset, rows);
    items.iter().for_each(|item| check.differences.add(item.class, item.proof, item.copies));
    check.verdict = if check.differences.proven() > 0 { Verdict::Fail } else { Verdict::Unknown };
    let missing = check.differences.lost;
    check.rows.replica = Some(rows - missing + check.differences.extra);
    check.items = items;
    check
}

pub fn values<const N: usize>(pairs: [(&str, Value); N]) -> Vec<(String, Value)> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub fn row(class: Class, id: i64, source: Vec<(String, Value)>, replica: Vec<(String, Value)>) -> Difference {
    let columns =
        if class == Class::Changed { source.iter().map(|(name, _)| name.clone()).collect() } else { Vec::new() };
    Difference {
        class,
        proof: Proof::Proven,
        key: values([("id", Value::Int(id))]),
        copies: 1,
        columns,
        source,
        replica,
        place: None,
        note: None,
    }
}

pub fn lost_extra_changed() -> Vec<Difference> {
    let whole =
        |id: i64, amount: &str| values([("id", Value::Int(id)), ("amount", amount.into()), ("status", "open".into())]);
    vec![
        row(Class::Lost, 7, whole(7, "12.50"), Vec::new()),
        row(Class::Extra, 1_000_001, Vec::new(), whole(1_000_001, "3.00")),
        row(
            Class::Changed,
            42,
            values([("amount", "10.00".into()), ("status", "open".into())]),
            values([("amount", "10.01".into()), ("status", Value::Null)]),
        ),
    ]
}

pub fn schema(dataset: &str, verdict: Verdict, differences: Vec<SchemaDifference>) -> Check {
    Check::Schema(SchemaCheck { dataset: dataset.into(), verdict, differences, problem: None })
}

pub fn files() -> FilesCheck {
    let facts = |size: u64, digit: &str| Some(FileFacts { size_bytes: size, blake3: Some(digit.repeat(64)) });
    let item = |path: &str, class: &str, source, replica, why: Option<&str>| FileDifference {
        path: path.into(),
        class: class.into(),
        source,
        replica,
        why: why.map(Into::into),
    };
    FilesCheck {
        dataset: "faiss".into(),
        verdict: Verdict::Fail,
        files: BothSides { source: 2_000, replica: 1_999 },
        bytes: BothSides { source: 2 << 30, replica: 2 << 30 },
        differences: DifferenceCounts { lost: 2, extra: 1, changed: 1, unverifiable: 1, ..DifferenceCounts::default() },
        items: vec![
            item("tenant-7/2026-11-20.tar.gz", "lost", facts(1_258_291, "a"), None, None),
            item("tenant-8/2026-11-20.tar.gz", "lost", facts(0, "b"), None, None),
            item("tenant-9/old.tar.gz", "extra", None, facts(512, "c"), None),
            item("tenant-9/index.bin", "changed", facts(4_096, "d"), facts(4_096, "e"), None),
            item(
                "tenant-1/locked.bin",
                "unverifiable",
                None,
                None,
                Some("the replica's file cannot be read: permission denied"),
            ),
        ],
        items_truncated: false,
        bytes_read: BothSides { source: 2 << 30, replica: 2 << 30 },
        seconds: 1.1,
        against: None,
        problem: None,
    }
}

pub fn unreachable() -> ParityCheck {
    let mut check = parity("public.orders", 0);
    check.verdict = Verdict::Unknown;
    check.complete = false;
    check.rows = RowCounts { source: None, replica: None, why: Some("the replica was not read".into()) };
    check.problem = Some(Problem {
        code: "store.unreachable".into(),
        message: "cannot connect to pg-west".into(),
        detail: Some("connection to 10.0.0.6:5432 refused (os error 111)".into()),
        hint: Some("check that the server runs and that this machine may reach port 5432".into()),
    });
    check
}

pub fn left_out(what: &str, why: &str) -> NotChecked {
    NotChecked { what: what.into(), why: why.into() }
}
