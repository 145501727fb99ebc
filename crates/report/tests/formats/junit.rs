//! Test cases for build servers: read back by an XML reader.

use super::{hostile_report, sample, samples, written};
use paritas_report::{Junit, Report};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::collections::BTreeMap;

/// All elements in their order with their attributes, and the numbers that suites say about their cases held against
/// the cases.
fn elements(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let legal = |c: char| matches!(c, '\n' | '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
    assert!(text.chars().all(legal), "{:?}", text.chars().find(|c| !legal(*c)));
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut all, mut depth) = (Vec::new(), 0_i64);
    let element = |start: &BytesStart<'_>| {
        let attribute = |one: quick_xml::events::attributes::Attribute<'_>| {
            (String::from_utf8(one.key.as_ref().to_vec()).unwrap(), one.unescape_value().unwrap().into_owned())
        };
        let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
        (name, start.attributes().map(|one| attribute(one.unwrap())).collect())
    };
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                depth += 1;
                all.push(element(&start));
            }
            Event::Empty(start) => all.push(element(&start)),
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    all
}

fn counted(report: &Report) -> BTreeMap<String, u64> {
    let all = elements(&written(&Junit, report));
    let count = |name: &str| all.iter().filter(|(element, _)| element == name).count() as u64;
    let whole = &all[0].1;
    let names = [("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")];
    names
        .iter()
        .map(|(said, element)| {
            assert_eq!(whole[*said], count(element).to_string(), "{said}");
            ((*said).to_owned(), count(element))
        })
        .collect()
}

#[test]
fn checks_are_cases_and_what_is_unknown_is_an_error_and_no_success() {
    let counts = counted(&sample::everything());
    assert_eq!(counts["skipped"], 3, "{counts:?}");
    assert_eq!((counts["failures"], counts["errors"]), (15, 4), "{counts:?}");
    assert_eq!(counted(&sample::large(0))["failures"], 0);
    let text = written(&Junit, &sample::everything());
    assert!(text.contains("<testcase classname=\"trading\" name=\"parity of public.orders\""), "{text}");
    assert!(text.contains("<error type=\"store.unreachable\" message=\"cannot connect to pg-west"), "{text}");
    assert!(text.contains("name=\"sequences\" time=\"0.250\""), "{text}");
    assert!(text.contains("public.orders_id: it hands out numbers in use"), "{text}");
    let drill = written(&Junit, &sample::drill());
    assert!(drill.contains("<testsuites name=\"paritas failover (drill west, fourth quarter)\""), "{drill}");
    assert!(drill.contains("next: paritas failover trading --max-differences 37"), "{drill}");
    assert!(written(&Junit, &sample::failover()).contains("name=\"failover decision\""));
}

#[test]
fn hostile_texts_stay_texts() {
    for report in samples() {
        counted(&report);
    }
    let plain = super::with_texts(&["plain".to_owned()]);
    assert_eq!(counted(&hostile_report()), counted(&plain));
}
