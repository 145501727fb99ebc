//! The formats that programs read, and what privacy leaves of the values.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use paritas_model::{Class, Value, Verdict};
use paritas_report::{
    Check, ErrorDocument, Format, Human, Json, Nagios, Privacy, Problem, RenderOptions, Report, apply_privacy,
    nagios_code, nagios_error,
};
use rstest::rstest;

fn written(format: &dyn Format, report: &Report) -> String {
    let mut out = Vec::new();
    format.write(report, &RenderOptions::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn trading() -> Report {
    let checks =
        vec![Check::Parity(differing("public.orders", 1_000_000, lost_extra_changed())), Check::Files(files())];
    report(vec![link("trading", checks)])
}

#[test]
fn json_is_one_document_that_reads_back_the_same() {
    let report = trading();
    for pretty in [false, true] {
        let text = written(&Json { pretty }, &report);
        assert_eq!(text.lines().count() == 1, !pretty);
        assert!(text.ends_with("}\n"));
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}

#[test]
fn the_json_document_has_the_names_of_the_contract() {
    let value: serde_json::Value = serde_json::from_str(&written(&Json::default(), &trading())).unwrap();
    assert_eq!((&value["schema_version"], &value["message_type"]), (&1.into(), &"report".into()));
    let check = &value["links"][0]["checks"][0];
    assert_eq!((&check["check"], &check["dataset"]), (&"parity".into(), &"public.orders".into()));
    assert_eq!(check["items"][2]["source"]["amount"], "10.00");
    assert_eq!(value["links"][0]["source"]["store"], "pg-east");
}

#[test]
fn errors_are_one_document_too() {
    let problem = Problem { code: "usage".into(), message: "no".into(), detail: None, hint: Some("yes".into()) };
    let mut out = Vec::new();
    Json::default().error(&ErrorDocument::new(problem, 2), &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"schema_version\":1,\"message_type\":\"error\",\"code\":\"usage\",\"message\":\"no\",\"detail\":null,\
         \"hint\":\"yes\",\"exit_code\":2}\n"
    );
}

#[rstest]
#[case(Verdict::Pass, false, 0)]
#[case(Verdict::Warn, false, 1)]
#[case(Verdict::Warn, true, 2)]
#[case(Verdict::Fail, false, 2)]
#[case(Verdict::Unknown, false, 3)]
fn nagios_codes_are_those_of_the_plugin_guidelines(#[case] verdict: Verdict, #[case] deny: bool, #[case] code: u8) {
    assert_eq!(nagios_code(verdict, deny), code);
}

#[test]
fn the_nagios_line_is_one_line_with_one_bar() {
    let mut report = trading();
    report.links[0].name = "a|b\nc".into();
    insta::assert_snapshot!(written(&Nagios::default(), &report).trim_end());
    let line = nagios_error("bad | worse\nPARITAS OK");
    assert_eq!(line, r"PARITAS UNKNOWN - bad / worse\nPARITAS OK");
}

fn all_values(report: &Report) -> Vec<String> {
    let mut values = Vec::new();
    for check in report.links.iter().flat_map(|link| &link.checks) {
        if let Check::Parity(check) = check {
            for item in &check.items {
                let pairs = item.key.iter().chain(&item.source).chain(&item.replica);
                values.extend(pairs.map(|(_, value)| value.to_string()));
            }
        }
    }
    values
}

#[test]
fn masking_leaves_no_value() {
    let mut report = trading();
    apply_privacy(&mut report, Privacy::Mask);
    assert!(all_values(&report).iter().all(|value| value == "***"));
    let text = written(&Human::default(), &report);
    assert!(text.contains("amount: *** → ***"), "{text}");
}

#[test]
fn hashing_keeps_equality_within_a_key_and_nothing_else() {
    let hashed = |key: u8| {
        let whole = values([("id", Value::Int(7)), ("a", Value::Null), ("b", "NULL".into()), ("c", "7".into())]);
        let item = row(Class::Lost, 7, whole, Vec::new());
        let mut report = report(vec![link("trading", vec![Check::Parity(differing("o", 10, vec![item]))])]);
        apply_privacy(&mut report, Privacy::Hash { key: [key; 32] });
        all_values(&report)
    };
    let (one, two) = (hashed(1), hashed(2));
    let [key, id, null, text, same] = one.as_slice() else { panic!("{one:?}") };
    assert_eq!((key, key), (id, same));
    assert!(null != text && key != null);
    assert!(one.iter().zip(&two).all(|(a, b)| a != b && a.len() == "hash:".len() + 16));
}

#[test]
fn privacy_hides_what_a_system_says_and_shows_no_key_of_its_own() {
    let mut check = unreachable();
    check.problem.as_mut().unwrap().detail = Some("Key (id)=(4711) is wrong".into());
    let mut report = report(vec![link("trading", vec![Check::Parity(check)])]);
    apply_privacy(&mut report, Privacy::Mask);
    assert!(!written(&Json::default(), &report).contains("4711"));
    assert_eq!(format!("{:?}", Privacy::Hash { key: [7; 32] }), "Hash { key: *** }");
}
