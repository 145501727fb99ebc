//! Links, their datasets and ledgers.

use super::{Decoder, freshness, objectives};
use crate::ConfigError;
use crate::policies;
use crate::reader::{At, Section};
use crate::source::Span;
use crate::tree::Value;
use crate::types::{DatasetConfig, LedgerConfig, LinkConfig, Mode};
use paritas_connect::{Manners, Rate, RateLimit};
use paritas_model::{Writes, parse_size};
use std::collections::{BTreeMap, BTreeSet};

/// A link and where its parts stand, before its references are checked.
pub(crate) struct Declared {
    pub(crate) config: LinkConfig,
    pub(crate) span: Span,
    pub(crate) name_span: Span,
    pub(crate) source_span: Option<Span>,
    pub(crate) replica_span: Option<Span>,
}

pub(super) fn decode(decoder: &mut Decoder<'_>, root: &Section<'_>, promises: &freshness::Promises) -> Vec<Declared> {
    let sections = root.sections("link", |name| format!("[[link]]{name}"));
    sections.into_iter().map(|section| decode_one(decoder, section, promises)).collect()
}

fn decode_one(decoder: &mut Decoder<'_>, section: Section<'_>, promises: &freshness::Promises) -> Declared {
    let name = section.required("name", section.text("name"));
    let source = section.required("source", section.text("source"));
    let replica = section.required("replica", section.text("replica"));
    let tier = section.word("tier", &objectives::TIERS).map(|word| word.value);
    let include = values(section.texts("include"));
    let exclude = values(section.texts("exclude"));
    let own_objectives = objectives::decode(&section);
    let manners = decode_manners(&section);
    let owner = section.title.clone();
    let datasets = section.sections("dataset", |name| format!("[[link.dataset]]{name} of {owner}"));
    let datasets: Vec<_> = datasets.into_iter().filter_map(|dataset| decode_dataset(decoder, dataset)).collect();
    let ledgers = section.sections("ledger", |name| format!("[[link.ledger]]{name} of {owner}"));
    let ledgers: Vec<_> = ledgers.into_iter().filter_map(|ledger| decode_ledger(decoder, ledger)).collect();
    let fresh = section.sections("freshness", |name| format!("[[link.freshness]]{name} of {owner}"));
    let fresh: Vec<_> = fresh.into_iter().filter_map(|one| freshness::decode(decoder, one, promises)).collect();
    let (span, mistakes) = (section.span, section.mistakes());
    section.finish();
    unique(mistakes, "freshness", &owner, fresh.iter().map(|(one, span)| (one.name.as_str(), *span)));
    unique(mistakes, "dataset", &owner, datasets.iter().map(|(dataset, span)| (dataset.source_name.as_str(), *span)));
    unique(mistakes, "ledger", &owner, ledgers.iter().map(|(ledger, span)| (ledger.name.as_str(), *span)));
    let config = LinkConfig {
        name: name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        source: source.as_ref().map(|source| source.value.clone()).unwrap_or_default(),
        replica: replica.as_ref().map(|replica| replica.value.clone()).unwrap_or_default(),
        tier,
        include,
        exclude,
        objectives: own_objectives,
        manners,
        datasets: datasets.into_iter().map(|(dataset, _)| dataset).collect(),
        ledgers: ledgers.into_iter().map(|(ledger, _)| ledger).collect(),
        freshness: fresh.into_iter().map(|(one, _)| one).collect(),
        place: decoder.place(span),
    };
    Declared {
        config,
        span,
        name_span: name.map_or(span, |name| name.span),
        source_span: source.map(|source| source.span),
        replica_span: replica.map(|replica| replica.span),
    }
}

/// `manners = { rate = ["50MiB/s"], pause_lag = "64MiB", view_max = "60s" }`.
fn decode_manners(parent: &Section<'_>) -> Manners {
    let Some(section) = parent.section("manners", format!("manners of {}", parent.title)) else {
        return Manners::default();
    };
    let read = |name: &str, text: &At<String>, error| section.quantity(name, text.span, &error);
    let limits = section.texts("rate").unwrap_or_default();
    let rate: Rate = limits
        .iter()
        .filter_map(|text| text.value.parse::<RateLimit>().map_err(|error| read("rate", text, error)).ok())
        .collect();
    let pause_lag = section
        .text("pause_lag")
        .and_then(|text| parse_size(&text.value).map_err(|error| read("pause_lag", &text, error)).ok());
    let view_max = section.duration("view_max").map(|time| time.value);
    section.finish();
    Manners { rate, pause_lag, view_max }
}

fn values(texts: Option<Vec<At<String>>>) -> Vec<String> {
    texts.unwrap_or_default().into_iter().map(|text| text.value).collect()
}

/// Reports names that occur twice.
fn unique<'n>(
    mistakes: &crate::reader::Mistakes<'_>,
    what: &str,
    owner: &str,
    names: impl Iterator<Item = (&'n str, Span)>,
) {
    let mut seen = BTreeSet::new();
    for (name, span) in names {
        if !seen.insert(name) {
            let message = format!("{what} {name:?} of {owner} is declared twice");
            mistakes.add(span, ConfigError::new("config.duplicate", message));
        }
    }
}

fn decode_dataset(decoder: &Decoder<'_>, section: Section<'_>) -> Option<(DatasetConfig, Span)> {
    let name = section.text("name");
    let source_name = section.text("source_name").or_else(|| name.clone());
    let replica_name = section.text("replica_name").or(name);
    let span = section.span;
    if source_name.is_none() && !section.has("name") && !section.has("source_name") {
        let error = ConfigError::new("config.missing", format!("{} has no name", section.title));
        section.mistake(span, error.hint("add name = …, or source_name = … and replica_name = …"));
    }
    let modes = [("auto", Mode::Auto), ("keyed", Mode::Keyed), ("multiset", Mode::Multiset)];
    let mode = section.word("mode", &modes).map(|word| (word.value, word.span));
    let key = section.texts("key");
    if let (Some((Mode::Multiset, span)), Some([_, ..])) = (mode, key.as_deref()) {
        let message = format!("{} has a key, which mode = \"multiset\" does not use", section.title);
        section.mistake(span, ConfigError::new("config.conflict", message).hint("remove one of the two"));
    }
    let columns = section.texts("columns");
    for (what, list) in [("key", &key), ("columns", &columns)] {
        let names = list.iter().flatten().map(|name| (name.value.as_str(), name.span));
        unique(section.mistakes(), what, &section.title, names);
    }
    let rename = decode_rename(&section);
    let filter = section.text("where").map(|text| text.value);
    let words = [Writes::Any, Writes::Upserts, Writes::Inserts, Writes::None].map(|writes| (writes.as_str(), writes));
    let writes = section.word("writes", &words).map(|word| word.value);
    let changed_at = section.text("changed_at").map(|text| text.value);
    let own = section.section("policies", format!("policies of {}", section.title));
    let own_policies = own.is_some();
    let policies = own.map(policies::decode).unwrap_or_default();
    section.finish();
    let (source_name, replica_name) = match (source_name, replica_name) {
        (Some(source), Some(replica)) => (source.value, replica.value),
        (Some(one), None) | (None, Some(one)) => (one.value.clone(), one.value),
        (None, None) => return None,
    };
    let config = DatasetConfig {
        source_name,
        replica_name,
        mode: mode.map(|(mode, _)| mode).unwrap_or_default(),
        key: values(key),
        columns: values(columns),
        rename,
        filter,
        writes,
        changed_at,
        policies,
        own_policies,
        place: decoder.place(span),
    };
    Some((config, span))
}

/// `rename = { source_column = "replica_column" }`; no two columns may meet in one.
fn decode_rename(parent: &Section<'_>) -> BTreeMap<String, String> {
    let mut rename = BTreeMap::new();
    let Some(section) = parent.section("rename", format!("rename of {}", parent.title)) else { return rename };
    for entry in section.entries() {
        let Value::Text(to) = &entry.node.value else {
            section.wrong(&entry.name, &entry.node, "a text");
            continue;
        };
        if rename.values().any(|taken| taken == to) {
            let message = format!("two columns in {} are renamed to {to:?}", section.title);
            section.mistake(entry.node.span, ConfigError::new("config.duplicate", message));
        }
        rename.insert(entry.name.clone(), to.clone());
    }
    rename
}

fn decode_ledger(decoder: &Decoder<'_>, section: Section<'_>) -> Option<(LedgerConfig, Span)> {
    let name = section.required("name", section.text("name"));
    let dataset = section.required("dataset", section.text("dataset"));
    let replica_dataset = section.text("replica_dataset").map(|text| text.value);
    let count = section.boolean("count").map(|at| at.value);
    let lists = ["group_by", "sum", "min", "max", "zero_sum"].map(|key| (key, section.texts(key).unwrap_or_default()));
    let span = section.span;
    check_ledger(&section, count, &lists);
    let rename = decode_rename(&section);
    let filter = section.text("where").map(|text| text.value);
    section.finish();
    let [group_by, sum, min, max, zero_sum] = lists.map(|(_, list)| values(Some(list)));
    let (name, dataset, place) = (name?.value, dataset?.value, decoder.place(span));
    let config = LedgerConfig {
        name,
        dataset,
        replica_dataset,
        group_by,
        count: count.unwrap_or(false),
        sum,
        min,
        max,
        zero_sum,
        rename,
        filter,
        place,
    };
    Some((config, span))
}

/// What contradicts itself in a ledger, or asks for nothing.
fn check_ledger(section: &Section<'_>, count: Option<bool>, lists: &[(&str, Vec<At<String>>); 5]) {
    let [(_, groups), amounts @ ..] = lists;
    for (key, list) in lists {
        let names = list.iter().map(|name| (name.value.as_str(), name.span));
        unique(section.mistakes(), &format!("column of {key}"), &section.title, names);
    }
    for (key, list) in amounts {
        for name in list.iter().filter(|name| groups.iter().any(|group| group.value == name.value)) {
            let message = format!("{:?} is in group_by and in {key} of {}", name.value, section.title);
            let error = ConfigError::new("config.conflict", message);
            section
                .mistake(name.span, error.hint("remove it from one of the two: its values in a group are all equal"));
        }
    }
    // A mistake in one of them is reported already.
    let says_something = ["count", "sum", "min", "max", "zero_sum"].iter().any(|key| section.has(key));
    let asks = count == Some(true) || amounts.iter().any(|(_, list)| !list.is_empty());
    let only_no_count = count == Some(false) && !amounts.iter().any(|(key, _)| section.has(key));
    if !asks && (!says_something || only_no_count) {
        let error = ConfigError::new("config.missing", format!("{} reconciles nothing", section.title));
        section.mistake(section.span, error.hint("add count = true, sum = [\"column\"] or zero_sum = [\"column\"]"));
    }
}
