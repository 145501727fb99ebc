//! Objectives: of a link, of a tier, of a kind of store.

use crate::ConfigError;
use crate::reader::{Section, suggestion};
use crate::tree::{Node, Value};
use crate::types::{Levels, Objectives};
use paritas_model::Tier;
use std::collections::BTreeMap;

/// Kinds that a pack may speak of, also those that this version cannot open.
const KINDS: [&str; 8] = ["postgres", "kafka", "redis", "files", "parquet", "csv", "iceberg", "delta"];

/// The tiers and their words.
pub(super) const TIERS: [(&str, Tier); 3] = [("hot", Tier::Hot), ("warm", Tier::Warm), ("cold", Tier::Cold)];

/// Objectives by tier and by kind of store.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    tiers: BTreeMap<&'static str, Objectives>,
    kinds: BTreeMap<String, Objectives>,
}

impl Defaults {
    pub(crate) fn decode(root: &Section<'_>) -> Self {
        let mut defaults = Self::default();
        let tiers: Vec<&'static str> = TIERS.iter().map(|(word, _)| *word).collect();
        for (name, objectives) in each(root, "tier", &tiers) {
            if let Some(word) = tiers.iter().find(|word| **word == name) {
                defaults.tiers.insert(word, objectives);
            }
        }
        defaults.kinds.extend(each(root, "kind", &KINDS));
        defaults
    }

    /// What applies to a link of this tier whose source is of this kind: the tier is what was said of
    /// this very link, so it comes first.
    pub(crate) fn for_link(&self, tier: Option<Tier>, kind: &str) -> Objectives {
        let word = TIERS.iter().find(|(_, own)| Some(*own) == tier).map(|(word, _)| *word);
        let of_tier = word.and_then(|word| self.tiers.get(word)).copied().unwrap_or_default();
        of_tier.or(self.kinds.get(kind).copied().unwrap_or_default())
    }
}

/// Every `[tier.NAME]` or `[kind.NAME]` with its objectives.
fn each(root: &Section<'_>, name: &'static str, known: &[&str]) -> Vec<(String, Objectives)> {
    let Some(all) = root.section(name, format!("[{name}]")) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in all.entries() {
        if !known.contains(&entry.name.as_str()) {
            let error = ConfigError::new("config.unknown_key", format!("unknown {name} {:?}", entry.name));
            all.mistake(entry.name_span, error.hint(suggestion(&entry.name, known)));
            continue;
        }
        let Some(section) = all.section_of(&entry.name, format!("[{name}.{}]", entry.name), entry) else { continue };
        found.push((entry.name.clone(), decode(&section)));
        section.finish();
    }
    found
}

/// `objectives = { lag = "5s", rpo = "60s", rto = "10m" }`.
pub(super) fn decode(parent: &Section<'_>) -> Objectives {
    let Some(section) = parent.section("objectives", format!("objectives of {}", parent.title)) else {
        return Objectives::default();
    };
    let levels = |name| section.entry(name).and_then(|entry| decode_levels(&section, name, &entry.node));
    let objectives = Objectives {
        lag: levels("lag"),
        rpo: levels("rpo"),
        rto: levels("rto"),
        clock_skew: levels("clock_skew"),
        rtt: levels("rtt"),
        quarantine: section.duration("quarantine").map(|at| at.value),
    };
    for found in objectives.contradictions() {
        let spans = found.names.map(|name| section.entry(name).map(|entry| entry.node.span));
        // What two files say is what one of them laid over the other: that deserves a look, and is no mistake of either.
        let [Some(first), second] = spans else { continue };
        let second = second.unwrap_or(first);
        if first.file == second.file {
            let [one, other] = found.names;
            let message = format!("{one} and {other} in {} contradict each other: {}", section.title, found.why);
            section.mistake(second, ConfigError::new("config.conflict", message).hint(found.hint));
        }
    }
    section.finish();
    objectives
}

/// `max_age` of a freshness check, or of a promise.
pub(super) fn decode_age(section: &Section<'_>) -> Option<Levels> {
    section.entry("max_age").and_then(|entry| decode_levels(section, "max_age", &entry.node))
}

/// A duration, or `{ target = "500ms", warning = "1s", critical = "5s" }`.
fn decode_levels(section: &Section<'_>, name: &'static str, node: &Node) -> Option<Levels> {
    let Value::Table(table) = &node.value else {
        let critical = section.duration_of(name, node)?.value;
        return Some(Levels { target: None, warning: None, critical });
    };
    let inner = Section::new(format!("{name} of {}", section.title), node.span, table, section.mistakes());
    let target = inner.duration("target");
    let warning = inner.duration("warning");
    let critical = inner.required("critical", inner.duration("critical"));
    let steps: Vec<_> = [&target, &warning, &critical].into_iter().flatten().collect();
    for pair in steps.windows(2) {
        if let [low, high] = pair
            && low.value > high.value
        {
            let message = format!("levels in {} must grow from target to warning to critical", inner.title);
            inner.mistake(high.span, ConfigError::new("config.value", message));
        }
    }
    inner.finish();
    Some(Levels { target: target.map(|at| at.value), warning: warning.map(|at| at.value), critical: critical?.value })
}
