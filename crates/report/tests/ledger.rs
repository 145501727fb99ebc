//! A reconciliation of figures in every format, and what privacy leaves of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::*;
use paritas_model::{Proof, Value, Verdict};
use paritas_report::{
    BothSides, Check, Format, Human, Json, LedgerCheck, LedgerColumn, LedgerFigures, LedgerItem, LedgerRule,
    LedgerSide, Nagios, Positions, Privacy, Problem, RenderOptions, Report, apply_privacy,
};

fn figures(rows: u64, sum: &str) -> LedgerFigures {
    let column = LedgerColumn { column: "amount".into(), sum: sum.into(), ..LedgerColumn::default() };
    LedgerFigures { rows, columns: vec![column] }
}

fn item(account: i64, deviation: &str, source: Option<LedgerFigures>, replica: Option<LedgerFigures>) -> LedgerItem {
    LedgerItem {
        group: vec![("account".into(), Value::Int(account)), ("currency".into(), "EUR".into())],
        proof: Proof::Proven,
        deviations: vec![deviation.into()],
        source,
        replica,
        difference: Vec::new(),
    }
}

fn side(total: LedgerFigures, method: &str) -> LedgerSide {
    let why = (method == "rows").then(|| "this kind of store makes no figures of groups".to_owned());
    LedgerSide { groups: Some(1_200), total: Some(total), method: Some(method.into()), why }
}

fn check(verdict: Verdict, items: Vec<LedgerItem>) -> LedgerCheck {
    let unproven = items.iter().filter(|item| item.proof != Proof::Proven).count() as u64;
    LedgerCheck {
        name: "balance by account".into(),
        dataset: "public.ledger".into(),
        replica_dataset: None,
        verdict,
        complete: true,
        group_by: vec!["account".into(), "currency".into()],
        rule: LedgerRule { count: true, sum: vec!["amount".into()], ..LedgerRule::default() },
        groups: Some(1_200),
        mismatched: items.len() as u64 - unproven,
        unproven,
        source: side(figures(1_000_000, "90071992547409.93"), "store"),
        replica: side(figures(1_000_000, "90071992547409.93"), "store"),
        items,
        items_truncated: false,
        rows: Vec::new(),
        difference: Vec::new(),
        against: None,
        positions: Positions { source: Some("0/3000148".into()), replica: Some("0/3000148".into()), why: None },
        fence: Some("0/3000148".into()),
        bytes_read: BothSides { source: 48_211, replica: 48_211 },
        seconds: 0.31,
        notes: Vec::new(),
        problem: None,
    }
}

fn broken() -> Report {
    let mut sum = item(7, "sum of amount", Some(figures(2, "10.00")), Some(figures(2, "10.01")));
    sum.difference = vec![("amount".into(), "0.01".into())];
    let mut moving = item(9, "rows", Some(figures(5, "1.00")), Some(figures(4, "1.00")));
    moving.proof = Proof::Unproven;
    let items = vec![
        sum,
        item(8, "missing", Some(figures(3, "4.50")), None),
        item(11, "replica: sum of amount is not zero", Some(figures(2, "0.00")), Some(figures(2, "0.02"))),
        moving,
    ];
    let mut check = check(Verdict::Fail, items);
    check.replica.total = Some(figures(999_996, "90071992547405.44"));
    let mut report = report(vec![link("trading", vec![Check::Ledger(Box::new(check))])]);
    report.run.command = "ledger".into();
    report
}

fn written(format: &dyn Format, report: &Report) -> String {
    let mut out = Vec::new();
    format.write(report, &RenderOptions { width: 100, ..RenderOptions::default() }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn groups_that_break_the_rule_are_listed_with_both_figures() {
    insta::assert_snapshot!(written(&Human::default(), &broken()));
}

#[test]
fn a_ledger_that_passes_is_one_line_and_one_that_could_not_begin_says_why() {
    let mut unknown = check(Verdict::Unknown, Vec::new());
    (unknown.name, unknown.complete, unknown.groups) = ("double entry".into(), false, None);
    (unknown.source, unknown.replica) = (LedgerSide::default(), LedgerSide::default());
    unknown.problem = Some(Problem {
        code: "ledger.amount".into(),
        message: "source: \"note\" is text, which is no number".into(),
        detail: None,
        hint: Some("name a decimal or integer column".into()),
    });
    let pass = check(Verdict::Pass, Vec::new());
    let checks = vec![Check::Ledger(Box::new(pass)), Check::Ledger(Box::new(unknown))];
    insta::assert_snapshot!(written(&Human::default(), &report(vec![link("trading", checks)])));
}

#[test]
fn the_document_reads_back_and_has_the_names_of_the_contract() {
    let report = broken();
    let text = written(&Json::default(), &report);
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let check = &json["links"][0]["checks"][0];
    assert_eq!((&check["check"], &check["name"]), (&"ledger".into(), &"balance by account".into()));
    assert_eq!((&check["groups"], &check["mismatched"], &check["unproven"]), (&1200.into(), &3.into(), &1.into()));
    assert_eq!(check["items"][0]["group"], serde_json::json!({"account": 7, "currency": "EUR"}));
    assert_eq!(check["items"][0]["difference"]["amount"], "0.01");
    assert!(check["items"][1]["replica"].is_null());
}

#[test]
fn a_plugin_counts_groups_and_their_mismatches() {
    let line = written(&Nagios::default(), &broken());
    assert!(line.starts_with("PARITAS CRITICAL - "), "{line}");
    assert!(line.contains(" groups=1200 groups_mismatched=3;;0 groups_unproven=1;0 "), "{line}");
    // A report without ledgers has no such figures.
    let plain = written(&Nagios::default(), &report(vec![link("trading", vec![])]));
    assert!(!plain.contains("groups"), "{plain}");
}

#[test]
fn hidden_values_leave_counts_and_names_only() {
    for privacy in [Privacy::Mask, Privacy::Hash { key: [7; 32] }] {
        let mut report = broken();
        apply_privacy(&mut report, privacy);
        for format in [&Human::default() as &dyn Format, &Json::default()] {
            let text = written(format, &report);
            for secret in ["10.01", "0.01", "EUR", "90071992547409", "4.50"] {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
            assert!(text.contains("account") && text.contains("sum of amount"), "{text}");
        }
    }
}
