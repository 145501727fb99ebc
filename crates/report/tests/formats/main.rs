//! Every format of a report but text: what it holds, and what no name and no value can do to it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod browser;
#[path = "../common/mod.rs"]
mod common;
mod csv;
mod html;
mod junit;
mod markdown;
mod metrics;
mod schema;

use common::{hostile, sample};
use paritas_report::{Format, RenderOptions, Report};

pub fn written(format: &dyn Format, report: &Report) -> String {
    let mut out = Vec::new();
    format.write(report, &RenderOptions::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// All kinds of reports.
pub fn samples() -> Vec<Report> {
    vec![
        sample::large(0),
        sample::large(450),
        sample::failover(),
        sample::drill(),
        sample::everything(),
        common::report(Vec::new()),
    ]
}

/// A report with everything in it, and every text of it one of these, one after the other.
pub fn with_texts(texts: &[String]) -> Report {
    let mut document = serde_json::to_value(sample::everything()).unwrap();
    let drill = serde_json::to_value(sample::drill()).unwrap();
    document["links"].as_array_mut().unwrap().extend(drill["links"].as_array().unwrap().clone());
    document["recovery"] = drill["recovery"].clone();
    let mut next = texts.iter().cycle().cloned();
    hostile::replace(&mut document, &mut || next.next().unwrap_or_default());
    document["run"]["drill"] = texts[0].clone().into();
    serde_json::from_value(document).unwrap()
}

pub fn hostile_report() -> Report {
    with_texts(&hostile::TEXTS.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}
