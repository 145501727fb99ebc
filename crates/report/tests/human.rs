//! What people read, as snapshots: every text here was read by a person before it was accepted.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use paritas_model::{Class, Proof, StoreKind, Value, Verdict};
use paritas_report::{Check, Format, Human, RenderOptions, Report, SchemaDifference};

fn text(report: &Report, options: RenderOptions) -> String {
    let mut out = Vec::new();
    Human::default().write(report, &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn plain(report: &Report) -> String {
    text(report, RenderOptions { width: 100, ..RenderOptions::default() })
}

#[test]
fn all_equal() {
    let mut link = link(
        "trading",
        vec![
            schema("public.orders", Verdict::Pass, Vec::new()),
            Check::Parity(parity("public.orders", 1_000_000)),
            schema("public.fills", Verdict::Pass, Vec::new()),
            Check::Parity(parity("public.fills", 200_000)),
        ],
    );
    link.not_checked.push(left_out("public.sessions", "excluded"));
    insta::assert_snapshot!(plain(&report(vec![link])));
}

#[test]
fn a_dataset_that_was_read_in_part_is_not_simply_equal() {
    let Check::Parity(mut check) = sample::sliced() else { panic!("parity") };
    let line = |check: &paritas_report::ParityCheck| {
        plain(&report(vec![link("west", vec![Check::Parity(check.clone())])])).lines().next().unwrap().to_owned()
    };
    assert!(line(&check).contains("1 dataset equal, 1 dataset only in part so far"), "{}", line(&check));
    check.slice = Some(paritas_report::Slice { parts: 96, of: 96 });
    assert!(!line(&check).contains("in part"), "{}", line(&check));
}

#[test]
fn lost_extra_and_changed_rows() {
    let checks = vec![
        Check::Parity(differing("public.orders", 1_000_000, lost_extra_changed())),
        Check::Parity(parity("public.fills", 200_000)),
    ];
    insta::assert_snapshot!(plain(&report(vec![link("trading", checks)])));
}

#[test]
fn duplicates_without_a_key() {
    let mut twice = row(
        Class::Extra,
        0,
        Vec::new(),
        values([("venue", "XNAS".into()), ("price", "10.5".into()), ("note", "".into())]),
    );
    twice.key.clear();
    twice.copies = 2;
    twice.place = Some("part-3.parquet, row 17".into());
    let mut check = differing("trades", 10_000, vec![twice]);
    check.key.clear();
    let report = ad_hoc("parquet:/east/trades", "parquet:/west/trades", StoreKind::Parquet, vec![Check::Parity(check)]);
    insta::assert_snapshot!(plain(&report));
}

#[test]
fn file_differences() {
    let report = ad_hoc("/mnt/east/faiss", "/mnt/west/faiss", StoreKind::Files, vec![Check::Files(files())]);
    insta::assert_snapshot!(plain(&report));
}

#[test]
fn schema_difference() {
    let difference = |what: &str, source: Option<&str>, replica: Option<&str>, comparable| SchemaDifference {
        what: what.into(),
        source: source.map(Into::into),
        replica: replica.map(Into::into),
        comparable,
    };
    let differences = vec![
        difference("column amount", Some("numeric(18,8)"), Some("numeric(18,2)"), true),
        difference("column note", Some("text"), None, false),
        difference("index orders_by_day", None, Some("btree (day)"), true),
    ];
    let checks =
        vec![schema("public.orders", Verdict::Fail, differences), Check::Parity(parity("public.orders", 1_000))];
    insta::assert_snapshot!(plain(&report(vec![link("trading", checks)])));
}

#[test]
fn unreachable_store() {
    insta::assert_snapshot!(plain(&report(vec![link("trading", vec![Check::Parity(unreachable())])])));
}

#[test]
fn truncated_list() {
    let items: Vec<_> = (0..30)
        .map(|id| row(Class::Changed, id, values([("amount", "1.00".into())]), values([("amount", "1.01".into())])))
        .collect();
    let mut check = differing("public.orders", 1_000_000, items);
    check.items_truncated = true;
    check.differences.changed = 20_000;
    let options = RenderOptions { max_items: 3, width: 100, ..RenderOptions::default() };
    insta::assert_snapshot!(text(&report(vec![link("trading", vec![Check::Parity(check)])]), options));
}

#[test]
fn rows_still_in_flight() {
    let mut one = row(Class::Changed, 5, values([("amount", "1".into())]), values([("amount", "2".into())]));
    one.proof = Proof::InFlight;
    let mut two = row(Class::Lost, 6, Vec::new(), Vec::new());
    two.proof = Proof::Unproven;
    two.note = Some("the row could not be read again".into());
    let mut check = differing("public.orders", 1_000, vec![one, two]);
    check.complete = false;
    check.notes.push("the replica did not settle within 30s".into());
    insta::assert_snapshot!(plain(&report(vec![link("trading", vec![Check::Parity(check)])])));
}

#[test]
fn hostile_values() {
    let hostile = "\u{1b}[2J\u{1b}]0;pwned\u{7}\r\nPASS  everything: fine\u{202e}\u{200b}\u{9b}31m";
    let mut item = row(
        Class::Changed,
        1,
        values([(hostile, hostile.into()), ("same", Value::Int(42)), ("name", "caf\u{e9}".into())]),
        values([(hostile, "NULL".into()), ("same", "42".into()), ("name", "cafe\u{301}".into())]),
    );
    item.key = values([(hostile, hostile.into())]);
    item.place = Some(hostile.into());
    item.note = Some(hostile.into());
    let mut check = differing(hostile, 10, vec![item]);
    check.notes.push(hostile.into());
    let mut problem = unreachable();
    problem.dataset = format!("other{hostile}");
    problem.problem.as_mut().unwrap().detail = Some(hostile.into());
    let mut files = files();
    files.items[0].path = hostile.into();
    files.items[4].why = Some(hostile.into());
    let mut link = link(hostile, vec![Check::Parity(check), Check::Parity(problem), Check::Files(files)]);
    link.source.name = hostile.into();
    link.not_checked.push(left_out(hostile, hostile));
    for color in [false, true] {
        let shown = text(&report(vec![link.clone()]), RenderOptions { color, width: 100, ..RenderOptions::default() });
        let bare = if color { without_own_colors(&shown) } else { shown };
        assert!(bare.chars().all(|c| c == '\n' || !c.is_control()), "{bare:?}");
        assert!(!bare.contains(['\u{202e}', '\u{200b}']), "{bare:?}");
        assert!(bare.lines().skip(1).all(|line| !line.starts_with("PASS")), "{bare}");
    }
    insta::assert_snapshot!(plain(&report(vec![link])));
}

/// Removes exactly the colours that the human format uses itself.
fn without_own_colors(text: &str) -> String {
    let mut bare = text.to_owned();
    for code in ["0", "1", "2", "31", "32", "33", "35"] {
        bare = bare.replace(&format!("\u{1b}[{code}m"), "");
    }
    bare
}

#[test]
fn several_links() {
    let links = vec![
        link("ledger", vec![Check::Parity(parity("public.ledger", 5_000))]),
        link("trading", vec![Check::Parity(differing("public.orders", 1_000_000, lost_extra_changed()))]),
        link("search", vec![Check::Parity(unreachable())]),
    ];
    insta::assert_snapshot!(plain(&report(links)));
}

#[test]
fn many_passing_datasets() {
    let checks = (0..50).map(|n| Check::Parity(parity(&format!("public.t{n}"), 10))).collect();
    insta::assert_snapshot!(plain(&report(vec![link("trading", checks)])));
}

#[test]
fn narrow_terminals_get_shorter_values_and_whole_names() {
    let report = report(vec![link(
        "trading",
        vec![Check::Parity(differing("public.orders", 1_000_000, lost_extra_changed())), Check::Files(files())],
    )]);
    insta::assert_snapshot!(text(&report, RenderOptions { width: 50, ..RenderOptions::default() }));
}

#[test]
fn verbose_shows_positions_and_columns() {
    let report = report(vec![link("trading", vec![Check::Parity(parity("public.orders", 10))])]);
    insta::assert_snapshot!(text(&report, RenderOptions { verbose: true, width: 100, ..RenderOptions::default() }));
}

#[test]
fn nothing_verified_does_not_look_like_a_pass() {
    let text = plain(&report(vec![link("trading", Vec::new())]));
    assert!(text.starts_with("UNKNOWN  trading: nothing was verified"), "{text}");
    assert!(plain(&report(Vec::new())).starts_with("UNKNOWN"));
}

#[test]
fn colors_only_when_asked() {
    let report = report(vec![link("trading", vec![Check::Parity(differing("o", 10, lost_extra_changed()))])]);
    assert!(!plain(&report).contains('\u{1b}'));
    let colored = text(&report, RenderOptions { color: true, width: 100, ..RenderOptions::default() });
    assert_eq!(without_own_colors(&colored), plain(&report));
}
