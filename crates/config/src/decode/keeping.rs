//! How long what is kept.

use crate::ConfigError;
use crate::reader::{At, Section};
use crate::types::RetentionConfig;
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
