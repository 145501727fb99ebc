//! How new rows have to be: promises with names, and what of a link is held against them.

use super::Decoder;
use super::objectives::decode_age;
use crate::ConfigError;
use crate::reader::{Section, suggestion};
use crate::source::Span;
use crate::types::{FreshnessConfig, Levels};
use std::collections::BTreeMap;

/// `[freshness.NAME]`: ages that links refer to by name, so that a pack can say them once.
#[derive(Debug, Default)]
pub(super) struct Promises(BTreeMap<String, Option<Levels>>);

impl Promises {
    pub(super) fn decode(root: &Section<'_>) -> Self {
        let mut promises = Self::default();
        let Some(all) = root.section("freshness", "[freshness]".to_owned()) else { return promises };
        for entry in all.entries() {
            let title = format!("[freshness.{}]", entry.name);
            let Some(section) = all.section_of(&entry.name, title, entry) else { continue };
            // One with a mistake keeps its name, so that links that refer to it are not called mistakes as well.
            promises.0.insert(entry.name.clone(), section.required("max_age", decode_age(&section)));
            section.finish();
        }
        promises
    }
}

pub(super) fn decode(
    decoder: &Decoder<'_>,
    section: Section<'_>,
    promises: &Promises,
) -> Option<(FreshnessConfig, Span)> {
    let name = section.required("name", section.text("name"));
    let dataset = section.required("dataset", section.text("dataset"));
    let replica_dataset = section.text("replica_dataset").map(|text| text.value);
    let column = section.text("column").map(|text| text.value);
    let filter = section.text("where").map(|text| text.value);
    let max_age = age(&section, promises);
    let span = section.span;
    section.finish();
    let (name, dataset, place) = (name?.value, dataset?.value, decoder.place(span));
    Some((FreshnessConfig { name, dataset, replica_dataset, column, max_age: max_age?, filter, place }, span))
}

/// `max_age`, or the one of a promise.
fn age(section: &Section<'_>, promises: &Promises) -> Option<Levels> {
    let own = decode_age(section);
    let Some(promise) = section.text("promise") else {
        if own.is_none() && !section.has("max_age") && !section.has("promise") {
            let error = ConfigError::new("config.missing", format!("{} has no max_age", section.title));
            section
                .mistake(section.span, error.hint("add max_age = \"5s\", or promise = the name of a [freshness.NAME]"));
        }
        return own;
    };
    if section.has("max_age") {
        let message = format!("{} has a max_age and a promise", section.title);
        section.mistake(promise.span, ConfigError::new("config.conflict", message).hint("remove one of the two"));
    }
    match promises.0.get(&promise.value) {
        Some(levels) => *levels,
        None => {
            let known: Vec<&str> = promises.0.keys().map(String::as_str).collect();
            let message = format!("there is no [freshness.{}] for {}", promise.value, section.title);
            let hint = match known.as_slice() {
                [] => "declare it, or write max_age = \"5s\"".to_owned(),
                known => suggestion(&promise.value, known),
            };
            section.mistake(promise.span, ConfigError::new("config.unknown_promise", message).hint(hint));
            None
        }
    }
}
