//! How long what is kept.

use crate::ConfigError;
use crate::reader::{At, Section};
use crate::types::{Reread, RetentionConfig};
use paritas_model::parse_size;
use std::time::Duration;

/// `retention = { raw = "48h", minutes = "30d", hours = "730d", lag_runs = "30d", runs = "400d", recoveries = "730d" }`.
pub(super) fn decode(parent: &Section<'_>) -> RetentionConfig {
    let Some(section) = parent.section("retention", format!("retention of {}", parent.title)) else {
        return RetentionConfig::default();
    };
    let [raw, minutes, hours] = ["raw", "minutes", "hours"].map(|name| section.duration(name));
    let [lag_runs, runs, recoveries] = ["lag_runs", "runs", "recoveries"].map(|name| section.duration(name));
    growing(&section, [("raw", &raw), ("minutes", &minutes), ("hours", &hours)]);
    growing(&section, [("lag_runs", &lag_runs), ("runs", &runs), ("recoveries", &recoveries)]);
    section.finish();
    let value = |at: Option<At<Duration>>| at.map(|at| at.value);
    RetentionConfig {
        raw: value(raw),
        minutes: value(minutes),
        hours: value(hours),
        lag_runs: value(lag_runs),
        runs: value(runs),
        recoveries: value(recoveries),
    }
}

/// `snapshot_reread = "1d"`, or `"always"`; `snapshot_keep_max = "1GiB"`.
pub(super) fn decode_thrift(section: &Section<'_>) -> (Option<Reread>, Option<u64>) {
    let reread =
        section.entry("snapshot_reread").and_then(|entry| match section.text_of("snapshot_reread", &entry.node) {
            Some(text) if text.value == "always" => Some(Reread::Always),
            Some(_) => section.duration_of("snapshot_reread", &entry.node).map(|at| Reread::Within(at.value)),
            None => None,
        });
    let keep = section.text("snapshot_keep_max").and_then(|text| match parse_size(&text.value) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            section.quantity("snapshot_keep_max", text.span, &error);
            None
        }
    });
    (reread, keep)
}

/// What is made of something is kept at least as long.
fn growing(section: &Section<'_>, named: [(&str, &Option<At<Duration>>); 3]) {
    let given: Vec<(&str, &At<Duration>)> =
        named.into_iter().filter_map(|(name, at)| at.as_ref().map(|at| (name, at))).collect();
    for pair in given.windows(2) {
        if let [(short, first), (long, second)] = pair
            && first.value > second.value
        {
            let message = format!("{long} of {} is shorter than {short}", section.title);
            section.mistake(second.span, ConfigError::new("config.value", message));
        }
    }
}
