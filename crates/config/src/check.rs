//! Whether the parts of a configuration fit together.

use crate::ConfigError;
use crate::decode::{DeclaredLink, DeclaredStore, Decoder, Defaults};
use crate::reader::nearest;
use crate::source::Span;
use crate::types::LinkConfig;
use std::collections::BTreeMap;

/// Checks what links refer to, and gives each the objectives of its tier and kind.
pub(crate) fn links(
    decoder: &mut Decoder<'_>,
    stores: &[DeclaredStore],
    links: Vec<DeclaredLink>,
    defaults: &Defaults,
) -> Vec<LinkConfig> {
    let mut first_of: BTreeMap<String, Span> = BTreeMap::new();
    let mut checked = Vec::new();
    for link in links {
        if !link.config.name.is_empty() {
            if let Some(first) = first_of.get(&link.config.name) {
                let mut error =
                    ConfigError::new("config.duplicate", format!("link {:?} is declared twice", link.config.name));
                if let Some(place) = decoder.place(*first) {
                    error = error.detail(format!("The first one is at {place}."));
                }
                decoder.mistakes.add(link.name_span, error);
            }
            first_of.entry(link.config.name.clone()).or_insert(link.name_span);
        }
        let source = refer(decoder, stores, &link.config.source, link.source_span);
        let replica = refer(decoder, stores, &link.config.replica, link.replica_span);
        same_side(decoder, &link, source, replica);
        let mut config = link.config;
        let kind = source.map_or("", |store| store.config.kind.as_str());
        config.objectives = config.objectives.or(defaults.for_link(config.tier, kind));
        for found in config.objectives.contradictions() {
            let [one, other] = found.names;
            let message = format!("{one} and {other} of link {:?} contradict each other: {}", config.name, found.why);
            decoder.warn(link.span, message, found.hint);
        }
        checked.push(config);
    }
    checked
}

/// The store of that name, or a mistake with the nearest name.
fn refer<'s>(
    decoder: &Decoder<'_>,
    stores: &'s [DeclaredStore],
    name: &str,
    span: Option<Span>,
) -> Option<&'s DeclaredStore> {
    let found = stores.iter().find(|store| store.config.name == name);
    if let (None, Some(span)) = (found, span) {
        let error = ConfigError::new("config.unknown_store", format!("there is no store {name:?}"));
        let known: Vec<&str> = stores.iter().map(|store| store.config.name.as_str()).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.is_empty() => format!("declare it: [store.{name}]"),
            None => format!("declared are {}", known.join(", ")),
        };
        decoder.mistakes.add(span, error.hint(hint));
    }
    found
}

/// A link from a store to itself is a mistake; two stores at one address deserve a look.
fn same_side(
    decoder: &mut Decoder<'_>,
    link: &DeclaredLink,
    source: Option<&DeclaredStore>,
    replica: Option<&DeclaredStore>,
) {
    let (Some(source), Some(replica)) = (source, replica) else { return };
    let name = &link.config.name;
    if source.config.name == replica.config.name {
        let message = format!("link {name:?} has the same store as source and replica");
        let hint = "a store compared with itself proves nothing: name the store of the other region";
        decoder
            .mistakes
            .add(link.replica_span.unwrap_or(link.span), ConfigError::new("config.same_store", message).hint(hint));
    } else if source.config.url == replica.config.url && !source.config.url.is_empty() {
        let message = format!("source and replica of link {name:?} have the same address");
        let hint = "a store compared with itself proves nothing: check the url of both stores";
        decoder.warn(replica.url_span.unwrap_or(link.span), message, hint);
    }
}
