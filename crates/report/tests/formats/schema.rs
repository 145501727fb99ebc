//! `docs/report.schema.json` is made from the types, and every document keeps it.

use super::common::sample;
use super::{hostile_report, samples};
use paritas_report::document_schema as schema;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_published_schema_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/report.schema.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(published == text, "write it again: UPDATE=1 cargo test -p paritas-report --test formats schema");
}

#[test]
fn every_report_keeps_the_schema_and_what_is_no_report_does_not() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for report in samples().into_iter().chain([hostile_report()]) {
        let document = serde_json::to_value(&report).unwrap();
        let wrong: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert_eq!(wrong, Vec::<String>::new());
    }
    let report = serde_json::to_value(&samples()[1]).unwrap();
    let changed: [fn(&mut serde_json::Value); 4] = [
        |document| document["verdict"] = "fine".into(),
        |document| document["links"][0]["checks"][1]["rows"]["source"] = (-1).into(),
        |document| drop(document.as_object_mut().unwrap().remove("exit_code")),
        |document| document["links"][0]["checks"][1]["check"] = "guess".into(),
    ];
    for change in changed {
        let mut document = report.clone();
        change(&mut document);
        assert!(!validator.is_valid(&document));
    }
}

/// Names of all members that the schema knows, and kinds of checks.
fn told(schema: &serde_json::Value, names: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(members) => {
            for (name, inner) in members {
                if let ("properties", serde_json::Value::Object(all)) = (name.as_str(), inner) {
                    names.extend(all.keys().cloned());
                    names.extend(all.get("check").and_then(|check| check["const"].as_str()).map(str::to_owned));
                }
                told(inner, names);
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|one| told(one, names)),
        _ => {}
    }
}

/// Names of all members that a document has, and kinds of checks.
fn held(document: &serde_json::Value, names: &mut BTreeSet<String>) {
    match document {
        serde_json::Value::Object(members) => {
            for (name, inner) in members {
                names.insert(name.clone());
                if let ("check", Some(kind)) = (name.as_str(), inner.as_str()) {
                    names.insert(kind.to_owned());
                }
                held(inner, names);
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|one| held(one, names)),
        _ => {}
    }
}

#[test]
fn samples_hold_every_member_and_every_kind_of_check() {
    let (mut wanted, mut found) = (BTreeSet::new(), BTreeSet::new());
    told(&schema(), &mut wanted);
    let mut planned = sample::failover();
    planned.links[0].recovery.as_mut().unwrap().planned = true;
    let reports = samples().into_iter().chain([planned]);
    reports.for_each(|report| held(&serde_json::to_value(report).unwrap(), &mut found));
    assert_eq!(wanted.difference(&found).collect::<Vec<_>>(), Vec::<&String>::new());
}
