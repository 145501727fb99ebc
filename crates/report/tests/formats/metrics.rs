//! The textfile: read by a strict reader of the text format.

use super::{hostile_report, sample, samples, written};
use paritas_report::{Check, Metrics, Report};
use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What stands between braces.
fn labels(text: &str) -> Labels {
    let (mut labels, mut rest) = (Labels::new(), text);
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("a label has a value");
        assert!(is_name(name), "{name:?}");
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next().expect("a value is ended") {
                (at, '"') => break at,
                (_, '\\') => match chars.next().expect("something is escaped").1 {
                    'n' => value.push('\n'),
                    c @ ('\\' | '"') => value.push(c),
                    c => panic!("an escaped {c:?}"),
                },
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} twice");
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

/// All samples; each family is told once, before its samples, which follow each other.
fn samples_of(text: &str) -> BTreeMap<(String, Labels), f64> {
    let (mut all, mut told, mut family) = (BTreeMap::new(), BTreeSet::new(), String::new());
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split_once(' ').unwrap().0.to_owned();
            assert!(is_name(&family) && told.insert(family.clone()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(name == family && ["gauge", "counter"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, inside) = match series.split_once('{') {
                Some((name, inside)) => (name, inside.strip_suffix('}').expect("ends")),
                None => (series, ""),
            };
            assert_eq!(name, family, "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite());
            assert!(all.insert((name.to_owned(), labels(inside)), value).is_none(), "twice: {line}");
        }
    }
    all
}

fn read(report: &Report) -> BTreeMap<(String, Labels), f64> {
    samples_of(&written(&Metrics::default(), report))
}

fn value(all: &BTreeMap<(String, Labels), f64>, name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
    let fits = |labels: &Labels| wanted.iter().all(|(name, text)| labels.get(*name).is_some_and(|found| found == text));
    let mut found = all.iter().filter(|((one, labels), _)| one == name && fits(labels)).map(|(_, value)| *value);
    let first = found.next();
    assert_eq!(found.next(), None, "several samples of {name} {wanted:?}");
    first
}

#[test]
fn figures_are_samples_and_what_is_unknown_is_none() {
    let all = read(&sample::everything());
    let of = |name: &str, labels: &[(&str, &str)]| value(&all, name, labels);
    let wal = [("link", "trading"), ("stream", "wal/1")];
    assert_eq!(of("paritas_link_lag_seconds", &wal), None);
    assert_eq!(of("paritas_link_lag_low_seconds", &wal), Some(12.31));
    assert_eq!(of("paritas_link_lag_bytes", &wal), Some(16_777_216.0));
    assert_eq!(of("paritas_link_lag_records", &wal), None);
    let orders = [("link", "trading"), ("stream", "subscription/orders")];
    assert_eq!(of("paritas_link_lag_seconds", &orders), Some(0.9));
    assert_eq!(of("paritas_link_objective_seconds", &[("link", "trading"), ("objective", "lag")]), Some(5.0));
    // One of two checks of this dataset failed, the other is unknown: what is proven wins.
    let parity = [("link", "trading"), ("check", "parity"), ("dataset", "public.orders")];
    assert_eq!(of("paritas_check_verdict", &parity), Some(2.0));
    assert_eq!(of("paritas_check_last_pass_timestamp_seconds", &parity), None);
    let fills = [("link", "trading"), ("check", "parity"), ("dataset", "public.fills")];
    assert_eq!(of("paritas_check_last_pass_timestamp_seconds", &fills), Some(1_795_230_004.2));
    let groups = [("link", "orders"), ("check", "groups"), ("side", "source")];
    assert_eq!(of("paritas_check_verdict", &groups), Some(3.0));
    assert_eq!(of("paritas_group_lag_offsets", &[("group", "billing")]), Some(100.0));
    assert_eq!(of("paritas_group_lag_offsets", &[("group", "risk")]), None);
    assert_eq!(of("paritas_run_duration_seconds", &[("command", "verify")]), Some(4.2));
    let all = read(&sample::failover());
    assert_eq!(value(&all, "paritas_achieved_rpo_seconds", &[("link", "trading")]), Some(0.4));
    assert_eq!(value(&all, "paritas_achieved_rto_low_seconds", &[("link", "trading")]), Some(41.0));
    assert_eq!(value(&all, "paritas_failover_go", &[("link", "trading")]), Some(0.0));
    assert_eq!(value(&all, "paritas_probe_success", &[]), Some(0.0));
}

#[test]
fn figures_of_a_whole_failover_say_their_scope_and_are_exact_or_absent() {
    let all = read(&sample::drill());
    let of = |name: &str, labels: &[(&str, &str)]| value(&all, name, labels);
    let (whole, hot) = ([("scope", "all")], [("scope", "tier"), ("tier", "hot")]);
    assert_eq!(of("paritas_failover_go", &whole), Some(0.0));
    // One link without an upper end leaves the whole without one.
    assert_eq!(of("paritas_achieved_rpo_seconds", &whole), None);
    assert_eq!(of("paritas_achieved_rpo_low_seconds", &whole), Some(1.5));
    assert_eq!(of("paritas_achieved_rto_seconds", &hot), Some(41.4));
    assert_eq!(of("paritas_achieved_rpo_seconds", &[("scope", "store"), ("source", "pg-east")]), Some(0.4));
    let unit = |unit: &'static str| [("scope", "all"), ("unit", unit)];
    assert_eq!(of("paritas_achieved_lost", &unit("transactions")), Some(37.0));
    assert_eq!(of("paritas_achieved_lost", &unit("records")), None);
    assert_eq!(of("paritas_achieved_lost_at_least", &unit("records")), Some(51.0));
    assert_eq!(of("paritas_achieved_lost", &[("link", "trading"), ("unit", "bytes")]), Some(1_020_680.0));
    assert_eq!(of("paritas_check_verdict", &[("link", "trading"), ("check", "sequences")]), Some(2.0));
}

#[test]
fn figures_of_a_drill_say_so_and_those_of_an_incident_do_not() {
    let named = |report: &Report| {
        let of_failover = |name: &str| name.contains("_achieved_") || name.contains("_failover_");
        let all = read(report).into_keys().filter(|(name, _)| of_failover(name));
        all.map(|(_, labels)| labels.get("drill").cloned()).collect::<BTreeSet<_>>()
    };
    let mut report = sample::drill();
    assert_eq!(named(&report), BTreeSet::from([Some("west, fourth quarter".to_owned())]));
    report.run.drill = Some(String::new());
    assert_eq!(named(&report), BTreeSet::from([Some("unnamed".to_owned())]));
    report.run.drill = None;
    assert_eq!(named(&report), BTreeSet::from([None]));
}

#[test]
fn of_two_failovers_the_worse_one_stays() {
    let (bad, mut good) = (sample::failover(), sample::failover());
    good.links[0].recovery.as_mut().unwrap().decision = "go".into();
    let mut out = Vec::new();
    Metrics::default().write_all(&[bad, good], &mut out).unwrap();
    let all = samples_of(&String::from_utf8(out).unwrap());
    assert_eq!(value(&all, "paritas_failover_go", &[("link", "trading")]), Some(0.0));
}

#[test]
fn counts_that_may_be_too_low_are_not_given_as_counts() {
    let mut report = sample::large(450);
    for check in &mut report.links[0].checks {
        if let Check::Parity(check) = check {
            check.complete = false;
        }
    }
    let all = read(&report);
    assert!(!all.keys().any(|(name, _)| name == "paritas_differences"));
    let lost = [("dataset", "public.orders"), ("class", "lost")];
    assert_eq!(value(&all, "paritas_differences_at_least", &lost), Some(150.0));
    assert_eq!(value(&all, "paritas_differences_at_least", &[("class", "in_flight")]), None);
}

#[test]
fn hostile_texts_stay_labels() {
    for report in samples() {
        read(&report);
    }
    let plain = super::with_texts(&["plain".to_owned()]);
    let names = |report: &Report| read(report).into_keys().map(|(name, _)| name).collect::<BTreeSet<_>>();
    // Checks whose names became the same share a sample.
    assert!(names(&hostile_report()).is_superset(&names(&plain)));
    let text = written(&Metrics { prefix: "east_".to_owned() }, &sample::large(0));
    assert!(text.contains("\neast_check_verdict{"), "{text}");
}
