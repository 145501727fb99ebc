//! A failover in every format: what decides, what is listed, what hostile names and privacy do to it.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use paritas_model::{Class, StoreKind, Value, Verdict};
use paritas_report::{
    Bounds, Check, Format, Human, Json, LeftTimeline, LineageCheck, LostAmount, LostRow, LostRows, LostTable,
    LostTransaction, Nagios, Privacy, Reason, Recovery, RenderOptions, Report, RowChanges, Rpo, Rto,
    UndecidedTransaction, apply_privacy,
};
use rstest::rstest;

fn lineage(verdict: Verdict) -> Check {
    Check::Lineage(LineageCheck {
        verdict,
        relation: "promoted".to_owned(),
        forked_at: Some("1/0/5000148".to_owned()),
        source: None,
        replica: None,
        summary: "west left timeline 1 at 0/5000148".to_owned(),
        problem: None,
    })
}

fn lost(xid: u32) -> LostTransaction {
    LostTransaction {
        xid,
        lsn: "0/5000190".to_owned(),
        committed_at: "2026-01-02T03:04:05Z".to_owned(),
        database: Some("trading".to_owned()),
        bytes: 1_186,
        subtransactions: (xid + 1..xid + 8).collect(),
        prepared: true,
        gid: Some("client 4711".to_owned()),
        touched: Vec::new(),
    }
}

fn rows() -> LostRows {
    let named = |name: &str, text: &str| (name.to_owned(), Value::from(text));
    let mut item = LostRow::new("insert", 700, Class::Lost);
    item.row.key = vec![("id".to_owned(), Value::Int(42))];
    item.row.source = vec![named("id", "42"), named("amount", "1234.50"), named("who", "alice\u{1b}[31m")];
    let table = LostTable {
        dataset: "public.orders".to_owned(),
        complete: true,
        key: vec!["id".to_owned()],
        log: RowChanges { inserted: 1, updated: 2, deleted: 0 },
        rows: RowChanges { inserted: 1, updated: 1, deleted: 0 },
        lost: RowChanges { inserted: 1, updated: 0, deleted: 0 },
        present: 1,
        amounts: vec![LostAmount {
            column: "amount".to_owned(),
            inserted: Some("1234.50".to_owned()),
            updated: Some("0".to_owned()),
            deleted: Some("0".to_owned()),
            net: Some("1234.50".to_owned()),
            why: None,
        }],
        items: vec![item],
        ..LostTable::default()
    };
    LostRows { complete: true, tables: vec![table], ..LostRows::default() }
}

fn recovery(exact: bool, count: u64, verdict: Verdict) -> Recovery {
    let reason = Reason::new(verdict, format!("{count} transactions")).hinted(Some("look".to_owned()));
    let timeline = LeftTimeline {
        timeline: 1,
        switchpoint: "0/5000148".to_owned(),
        end: Some("0/50F9440".to_owned()),
        read_from: "/old/main (in production)".to_owned(),
        exact,
        doubts: if exact { Vec::new() } else { vec!["the log has a hole".to_owned()] },
        transactions: count,
        bytes: 1_020_680,
        rolled_back: 3,
        last_surviving: Some("2026-01-02T03:04:04Z".to_owned()),
        surviving_to_failure: Bounds { low: Some(0.5), high: Some(2.0) },
        surviving_to_last_lost: Some(0.4),
        first_to_last_lost: Some(0.3),
        lost: (0..count).map(|number| lost(700 + number as u32)).collect(),
        lost_truncated: false,
        undecided: vec![UndecidedTransaction {
            xid: 9,
            gid: "client 4712".to_owned(),
            prepared_at: "2026-01-02T03:04:05Z".to_owned(),
            database: None,
        }],
        rows: Some(rows()),
    };
    Recovery {
        decision: if verdict == Verdict::Pass { "go" } else { "no-go" }.to_owned(),
        planned: false,
        reasons: vec![reason],
        steps: Vec::new(),
        rpo: Rpo {
            verdict,
            objective: Some(60.0),
            seconds: Bounds { low: Some(0.3), high: exact.then_some(0.4) },
            transactions: exact.then_some(count),
            transactions_at_least: count,
            records: None,
            bytes: exact.then_some(1_020_680),
            bytes_at_least: 0,
            records_at_least: 0,
            seconds_if_down: None,
            method: "wal".to_owned(),
            why: (!exact).then(|| "the log has a hole".to_owned()),
        },
        prepared: Vec::new(),
        rto: Rto { why: Some("no probe".to_owned()), ..Rto::default() },
        timelines: vec![timeline],
    }
}

fn failover(exact: bool, count: u64, verdict: Verdict) -> Report {
    let mut link = link("trading", vec![lineage(verdict)]);
    (link.verdict, link.recovery) = (verdict, Some(recovery(exact, count, verdict)));
    link.source = store("pg-east", StoreKind::Postgres, None);
    report(vec![link])
}

fn written(format: &dyn Format, report: &Report, options: RenderOptions) -> String {
    let mut out = Vec::new();
    format.write(report, &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn text(report: &Report) -> String {
    written(&Human::default(), report, RenderOptions::default())
}

#[rstest]
#[case::go(
    true,
    3,
    Verdict::Pass,
    "GO  trading: exactly 3 committed transactions lost",
    "lost_transactions=3;;0 rpo=0.400s"
)]
#[case::breached(true, 3, Verdict::Fail, "NO-GO  trading: 3 transactions", "lost_transactions=3;;0 rpo=0.400s")]
#[case::unknown(false, 3, Verdict::Unknown, "NO-GO  trading: 3 transactions", "| time=")]
fn the_decision_comes_first_and_unknown_numbers_are_left_out(
    #[case] exact: bool,
    #[case] count: u64,
    #[case] verdict: Verdict,
    #[case] headline: &str,
    #[case] performance: &str,
) {
    let report = failover(exact, count, verdict);
    let text = text(&report);
    assert!(text.starts_with(headline), "{text}");
    assert_eq!(text.contains("at least 3 commits"), !exact, "{text}");
    assert_eq!(text.contains("! the log has a hole"), !exact, "{text}");
    assert_eq!(text.contains("\nnext: paritas failover"), verdict == Verdict::Unknown, "{text}");
    assert!(
        text.contains("public.orders: 1 row inserted and not on the new primary, 1 row there by now; amount +1234.50")
    );
    assert!(text.contains("id=42"), "{text}");
    assert!(text.contains("with subtransactions 701, 702, 703, 704, 705 and 2 more"), "{text}");
    let nagios = written(&Nagios { deny_warnings: false }, &report, RenderOptions::default());
    assert!(nagios.contains(performance) && nagios.lines().count() == 1, "{nagios}");
    let json = written(&Json { pretty: true }, &report, RenderOptions::default());
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn a_long_list_is_cut_and_says_so() {
    let report = failover(true, 50, Verdict::Fail);
    let options = RenderOptions { max_items: 5, ..RenderOptions::default() };
    let text = written(&Human::default(), &report, options);
    assert!(text.contains("  704  ") && !text.contains("  705  "), "{text}");
    assert!(text.contains("… 45 more; see them with --max-differences 50"), "{text}");
}

#[test]
fn names_from_servers_and_files_cannot_write_to_the_terminal() {
    let hostile = "\u{1b}]0;x\u{7}|\n\u{202e}";
    let mut report = failover(false, 1, Verdict::Unknown);
    let link = &mut report.links[0];
    link.name = hostile.to_owned();
    let recovery = link.recovery.as_mut().unwrap();
    let reason = Reason {
        verdict: Verdict::Unknown,
        text: hostile.to_owned(),
        hint: Some(hostile.to_owned()),
        next: Some(hostile.to_owned()),
    };
    recovery.reasons.push(reason);
    let timeline = &mut recovery.timelines[0];
    for place in [&mut timeline.read_from, &mut timeline.doubts[0], &mut timeline.undecided[0].gid] {
        hostile.clone_into(place);
    }
    timeline.lost[0].database = Some(hostile.to_owned());
    timeline.lost[0].gid = Some(hostile.to_owned());
    let rows = timeline.rows.as_mut().unwrap();
    (rows.why, rows.tables[0].dataset) = (vec![hostile.to_owned()], hostile.to_owned());
    rows.tables[0].notes = vec![hostile.to_owned()];
    rows.tables[0].amounts[0].column = hostile.to_owned();
    let nagios = written(&Nagios { deny_warnings: false }, &report, RenderOptions::default());
    assert!(nagios.lines().count() == 1 && nagios.matches('|').count() == 1, "{nagios:?}");
    for text in [text(&report), nagios] {
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    }
}

#[test]
fn names_of_prepared_transactions_are_values() {
    for privacy in [Privacy::Mask, Privacy::Hash { key: [7; 32] }] {
        let mut report = failover(true, 2, Verdict::Fail);
        apply_privacy(&mut report, privacy);
        let json = written(&Json { pretty: false }, &report, RenderOptions::default());
        assert!(!json.contains("client") && json.contains("\"xid\":700"), "{json}");
        assert!(!json.contains("1234.50") && !json.contains("alice") && json.contains("public.orders"), "{json}");
    }
}
