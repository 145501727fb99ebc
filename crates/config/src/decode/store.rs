//! Stores.

use super::Decoder;
use crate::ConfigError;
use crate::reader::{Section, known_words};
use crate::source::Span;
use crate::tree::{Entry, Value};
use crate::types::{CopyConfig, OptionValue, RecoveryConfig, StoreConfig};
use paritas_connect::{is_secret_name, redact_url};
use paritas_model::{Region, StoreKind};
use std::collections::BTreeMap;

/// Kinds that a configuration may name.
const KINDS: [(&str, StoreKind); 5] = [
    ("postgres", StoreKind::Postgres),
    ("kafka", StoreKind::Kafka),
    ("files", StoreKind::Files),
    ("parquet", StoreKind::Parquet),
    ("csv", StoreKind::Csv),
];

/// Kinds of the contract that this version cannot open.
const KINDS_LATER: [&str; 4] = ["redis", "iceberg", "delta", "opensearch"];

/// A store and where its parts stand. A store with mistakes keeps its name, so that links to it are
/// not called mistakes as well.
pub(crate) struct Declared {
    pub(crate) config: StoreConfig,
    pub(crate) url_span: Option<Span>,
}

pub(super) fn decode(decoder: &mut Decoder<'_>, root: &Section<'_>) -> Vec<Declared> {
    let Some(all) = root.section("store", "[store]".to_owned()) else { return Vec::new() };
    let mut stores = Vec::new();
    for entry in all.entries() {
        let title = format!("[store.{}]", entry.name);
        if entry.name.trim().is_empty() {
            all.mistake(entry.name_span, ConfigError::new("config.value", "a store has an empty name"));
        }
        if let Some(section) = all.section_of(&entry.name, title, entry) {
            stores.push(decode_one(decoder, entry, section));
        }
    }
    stores
}

fn decode_one(decoder: &mut Decoder<'_>, entry: &Entry, section: Section<'_>) -> Declared {
    let kind = section.required("kind", decode_kind(&section));
    let region = section.text("region").map(|text| Region(text.value));
    let url = section.required("url", section.text("url"));
    let url_span = url.as_ref().map(|url| url.span);
    if let Some(url) = &url {
        check_url(&section, &url.value, url.span);
    }
    let password = section.secret("password").map(|secret| secret.value);
    let recovery = section.section("recovery", format!("recovery of {}", section.title)).map(decode_recovery);
    let options = section.section("options", format!("options of {}", section.title));
    let options = options.map(|options| decode_options(&options)).unwrap_or_default();
    let is_file = kind.is_some_and(|kind| !matches!(kind, StoreKind::Postgres | StoreKind::Kafka));
    if is_file && password.is_some() {
        let hint = "put the keys of an object store into options, such as aws_secret_access_key = { env = \"…\" }";
        decoder.warn(section.span, format!("{} has a password that its kind does not use", section.title), hint);
    }
    section.finish();
    let config = StoreConfig {
        name: entry.name.clone(),
        // With a mistake in it the configuration is never returned.
        kind: kind.unwrap_or(StoreKind::Memory),
        region,
        url: url.map(|url| url.value).unwrap_or_default(),
        password,
        recovery,
        options,
        place: decoder.place(entry.name_span),
    };
    Declared { config, url_span }
}

/// `snapshot_copy = "s3://bucket/prefix"`, or a table with `url` and `options`.
pub(super) fn decode_copy(section: &Section<'_>, name: &'static str) -> Option<CopyConfig> {
    let entry = section.entry(name)?;
    if !matches!(entry.node.value, Value::Table(_)) {
        let url = section.text_of(name, &entry.node)?;
        check_url(section, &url.value, url.span);
        return Some(CopyConfig { url: url.value, options: BTreeMap::new() });
    }
    let inner = section.section_of(name, format!("{name} of {}", section.title), entry)?;
    let url = inner.required("url", inner.text("url"));
    if let Some(url) = &url {
        check_url(&inner, &url.value, url.span);
    }
    let options = inner.section("options", format!("options of {}", inner.title));
    let options = options.map(|options| decode_options(&options)).unwrap_or_default();
    inner.finish();
    Some(CopyConfig { url: url?.value, options })
}

fn decode_kind(section: &Section<'_>) -> Option<StoreKind> {
    let text = section.text("kind")?;
    if let Some((_, kind)) = KINDS.iter().find(|(word, _)| *word == text.value) {
        return Some(*kind);
    }
    let known: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
    let error = if KINDS_LATER.contains(&text.value.as_str()) {
        let message = format!("{} stores are not supported by this version", text.value);
        ConfigError::new("config.unsupported", message).hint(format!("supported are {}", known.join(", ")))
    } else {
        let error =
            ConfigError::new("config.value", format!("unknown kind of store {:?} in {}", text.value, section.title));
        error.hint(known_words(&text.value, &known))
    };
    section.mistake(text.span, error);
    None
}

/// An address is printed in reports, so there may be nothing secret in it.
fn check_url(section: &Section<'_>, url: &str, span: Span) {
    if redact_url(url) != url {
        let error = ConfigError::new("config.secret", format!("url in {} holds a secret", section.title));
        let hint = "take it out of the address and write password = { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", …] }";
        section.mistake(span, error.hint(hint));
    }
}

fn decode_recovery(section: Section<'_>) -> RecoveryConfig {
    let data_directory = section.text("data_directory").map(|text| text.value);
    let wal_archive = section.text("wal_archive");
    if let Some(text) = &wal_archive {
        check_url(&section, &text.value, text.span);
    }
    section.finish();
    RecoveryConfig { data_directory, wal_archive: wal_archive.map(|text| text.value) }
}

/// Names are left to the connector; values are texts, numbers, booleans, or references to secrets.
fn decode_options(section: &Section<'_>) -> BTreeMap<String, OptionValue> {
    let mut options = BTreeMap::new();
    for entry in section.entries() {
        let name = entry.name.as_str();
        let value = match &entry.node.value {
            Value::Table(_) => section.secret_of(name, &entry.node).map(|at| OptionValue::Secret(at.value)),
            _ if is_secret_name(name) => section.secret_of(name, &entry.node).map(|at| OptionValue::Secret(at.value)),
            Value::Text(text) => {
                if text.contains("://") {
                    check_url(section, text, entry.node.span);
                }
                Some(OptionValue::Plain(text.clone()))
            }
            Value::Integer(Some(number)) => Some(OptionValue::Plain(number.to_string())),
            Value::Bool(value) => Some(OptionValue::Plain(value.to_string())),
            _ => {
                section.wrong(name, &entry.node, "a text, an integer, true or false");
                None
            }
        };
        options.extend(value.map(|value| (entry.name.clone(), value)));
    }
    options
}
