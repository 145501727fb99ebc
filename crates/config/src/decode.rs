//! From a tree to a configuration: every section, its keys and their types.

mod freshness;
mod keeping;
mod link;
mod objectives;
mod store;

pub(crate) use link::Declared as DeclaredLink;
pub(crate) use objectives::Defaults;
pub(crate) use store::Declared as DeclaredStore;

use crate::reader::{Mistakes, Section};
use crate::source::{Place, Sources, Span};
use crate::tree::Table;
use crate::types::{
    Config, CopyConfig, OptionValue, RetentionConfig, Schedule, StoreConfig, ValuePrivacy, VerifySchedule,
};
use crate::{ConfigError, ConfigWarning, check, show};
use paritas_connect::SecretRef;
use paritas_model::{Region, StoreKind, parse_duration, parse_size};
use std::path::{Path, PathBuf};

/// No verification is cut into more parts.
const SLICES_MAX: i64 = 100_000;

/// What decoding needs to know besides the tree.
pub(crate) struct Decoder<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) mistakes: &'a Mistakes<'a>,
    pub(crate) warnings: Vec<ConfigWarning>,
}

impl Decoder<'_> {
    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        self.sources.place(span)
    }

    pub(crate) fn warn(&mut self, span: Span, message: String, hint: &str) {
        let (place, hint) = (self.place(span), Some(hint.to_owned()));
        self.warnings.push(ConfigWarning { message, hint, place });
    }
}

/// Reads everything. All mistakes are found at once.
pub(crate) fn decode(path: &Path, tree: &Table, sources: &Sources) -> Result<Config, Vec<ConfigError>> {
    let mistakes = Mistakes::new(sources);
    let mut decoder = Decoder { sources, mistakes: &mistakes, warnings: Vec::new() };
    let root = Section::new("the configuration", Span { file: 0, start: 0, end: 0 }, tree, &mistakes);
    let mut state = None;
    let mut region = None;
    let mut digest_key = None;
    let mut retention = RetentionConfig::default();
    let mut snapshot_copy = None;
    let (mut snapshot_reread, mut snapshot_keep_max) = (None, None);
    if let Some(section) = root.section("paritas", "[paritas]".to_owned()) {
        state = section.text("state").map(|text| PathBuf::from(text.value));
        region = section.text("region").map(|text| Region(text.value));
        digest_key = section.secret("digest_key").map(|secret| secret.value);
        retention = keeping::decode(&section);
        snapshot_copy = store::decode_copy(&section, "snapshot_copy");
        (snapshot_reread, snapshot_keep_max) = keeping::decode_thrift(&section);
        // Already followed when the layers were read.
        let _ = section.entry("extends");
        section.finish();
    }
    let stores = store::decode(&mut decoder, &root);
    let defaults = Defaults::decode(&root);
    let promises = freshness::Promises::decode(&root);
    let links = link::decode(&mut decoder, &root, &promises);
    let schedule = root.section("schedule", "[schedule]".to_owned()).map(decode_schedule);
    let values = root.section("privacy", "[privacy]".to_owned()).and_then(decode_privacy).unwrap_or_default();
    root.finish();
    let links = check::links(&mut decoder, &stores, links, &defaults);
    let warnings = std::mem::take(&mut decoder.warnings);
    let list = mistakes.into_list();
    if !list.is_empty() {
        return Err(list);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(Config {
        path: path.to_owned(),
        state: state.map(|path| folder.join(path)),
        region,
        retention,
        snapshot_copy: snapshot_copy.map(|copy| beside_copy(folder, copy)),
        snapshot_reread,
        snapshot_keep_max,
        digest_key: digest_key.map(|key| beside_secret(folder, key)),
        stores: stores.into_iter().map(|store| beside(folder, store.config)).collect(),
        links,
        schedule,
        values,
        warnings,
        with_origins: show::with_origins(tree, sources),
        plain: show::plain_text(tree),
    })
}

/// Relative paths are meant from the configuration's folder, wherever paritas is started.
fn beside(folder: &Path, mut store: StoreConfig) -> StoreConfig {
    if store.kind != StoreKind::Postgres && !store.url.contains("://") {
        store.url = folder.join(&store.url).display().to_string();
    }
    store.password = store.password.map(|secret| beside_secret(folder, secret));
    for value in store.options.values_mut() {
        if let OptionValue::Secret(secret) = value {
            *secret = beside_secret(folder, secret.clone());
        }
    }
    store
}

fn beside_copy(folder: &Path, mut copy: CopyConfig) -> CopyConfig {
    if !copy.url.contains("://") {
        copy.url = folder.join(&copy.url).display().to_string();
    }
    for value in copy.options.values_mut() {
        if let OptionValue::Secret(secret) = value {
            *secret = beside_secret(folder, secret.clone());
        }
    }
    copy
}

fn beside_secret(folder: &Path, secret: SecretRef) -> SecretRef {
    match secret {
        SecretRef::File(path) => SecretRef::File(folder.join(path)),
        other => other,
    }
}

fn decode_privacy(section: Section<'_>) -> Option<ValuePrivacy> {
    let words = [("show", ValuePrivacy::Show), ("mask", ValuePrivacy::Mask), ("hash", ValuePrivacy::Hash)];
    let values = section.word("values", &words).map(|word| word.value);
    section.finish();
    values
}

fn decode_schedule(section: Section<'_>) -> Schedule {
    let lag = section.duration("lag").map(|at| at.value);
    let snapshot = section.duration("snapshot").map(|at| at.value);
    let verify = match section.entry("verify") {
        Some(entry) if matches!(entry.node.value, crate::tree::Value::Table(_)) => {
            section.section_of("verify", "verify of [schedule]".to_owned(), entry).and_then(decode_verify)
        }
        Some(entry) => section.duration_of("verify", &entry.node).map(|at| VerifySchedule {
            every: at.value,
            slices: 1,
            budget: None,
        }),
        None => None,
    };
    section.finish();
    Schedule { lag, snapshot, verify }
}

fn decode_verify(section: Section<'_>) -> Option<VerifySchedule> {
    let every = section.required("every", section.duration("every"));
    let slices = section.integer("slices", 1, SLICES_MAX).map_or(1, |at| at.value);
    let budget = section.text("budget").and_then(|text| {
        if is_budget(&text.value) {
            return Some(text.value);
        }
        let message = format!("budget in {} cannot be {:?}", section.title, text.value);
        let error = ConfigError::new("config.value", message);
        section.mistake(text.span, error.hint("write a time, a size or a number of rows: 10m, 5GiB or 1e8rows"));
        None
    });
    section.finish();
    Some(VerifySchedule { every: every?.value, slices: u32::try_from(slices).unwrap_or(1), budget })
}

/// A time, a size, or a whole number of rows, more than zero.
fn is_budget(text: &str) -> bool {
    if let Some(number) = text.strip_suffix("rows") {
        return number.trim().parse::<f64>().is_ok_and(|rows| (1.0..=1e18).contains(&rows) && rows.fract() == 0.0);
    }
    parse_duration(text).is_ok_and(|time| !time.is_zero()) || parse_size(text).is_ok_and(|size| size > 0)
}
