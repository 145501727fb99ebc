//! Settings of a log and of its mirror that differ and matter: for the records that are there, for whether
//! writes survive, for whether the mirror can write at all. How records are stored (compression, segments)
//! does not matter here.

use paritas_connect::logs::Settings;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a setting decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matters {
    /// Which records are there, or what is in them.
    Data,
    /// Whether writes survive the loss of a server after a failover.
    Durability,
    /// Whether the mirror can write what it reads.
    Mirror,
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingDifference {
    /// Its name.
    pub name: &'static str,
    /// What it decides.
    pub matters: Matters,
    /// Its value on the source.
    pub source: Option<String>,
    /// Its value on the replica.
    pub replica: Option<String>,
    /// What follows from it.
    pub consequence: &'static str,
}

impl fmt::Display for SettingDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{} is {} on the source and {} on the replica", self.name, text(&self.source), text(&self.replica))
    }
}

/// How values of a setting are compared.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// As they are.
    Text,
    /// As a list whose order means nothing.
    List,
    /// As a limit, where a negative one is none: which side keeps or takes less matters.
    Limit { less: &'static str, more: &'static str },
}

const SHORTER: &str = "the replica removes records that the source still has";
const LONGER: &str = "the replica has records that the source has removed";
const REFUSES: &str = "the replica refuses records that the source takes: the mirror stops there";

const SETTINGS: [(&str, Matters, Kind, &str); 12] = [
    ("cleanup.policy", Matters::Data, Kind::List, "the sides remove other records"),
    ("retention.ms", Matters::Data, Kind::Limit { less: SHORTER, more: LONGER }, ""),
    ("retention.bytes", Matters::Data, Kind::Limit { less: SHORTER, more: LONGER }, ""),
    ("delete.retention.ms", Matters::Data, Kind::Limit { less: SHORTER, more: LONGER }, ""),
    ("min.compaction.lag.ms", Matters::Data, Kind::Limit { less: SHORTER, more: LONGER }, ""),
    ("max.compaction.lag.ms", Matters::Data, Kind::Limit { less: SHORTER, more: LONGER }, ""),
    (
        "message.timestamp.type",
        Matters::Data,
        Kind::Text,
        "one side sets the times of records anew, so removal by age and look-ups by time differ",
    ),
    ("message.timestamp.before.max.ms", Matters::Mirror, Kind::Limit { less: REFUSES, more: "" }, ""),
    ("message.timestamp.after.max.ms", Matters::Mirror, Kind::Limit { less: REFUSES, more: "" }, ""),
    ("message.timestamp.difference.max.ms", Matters::Mirror, Kind::Limit { less: REFUSES, more: "" }, ""),
    ("max.message.bytes", Matters::Mirror, Kind::Limit { less: REFUSES, more: "" }, ""),
    (
        "min.insync.replicas",
        Matters::Durability,
        Kind::Limit {
            less: "after a failover, writes are acknowledged with fewer copies",
            more: "after a failover, writes need more servers",
        },
        "",
    ),
];

/// Settings that differ and matter. One that a side does not have (a release that does not know it) is not
/// compared.
pub fn compare(source: &Settings, replica: &Settings) -> Vec<SettingDifference> {
    let mut found = Vec::new();
    for (name, matters, kind, consequence) in SETTINGS {
        let (Some(here), Some(there)) = (source.get(name), replica.get(name)) else { continue };
        let Some(consequence) = differs(kind, here.trim(), there.trim(), consequence) else { continue };
        let (source, replica) = (Some(here.to_owned()), Some(there.to_owned()));
        found.push(SettingDifference { name, matters, source, replica, consequence });
    }
    found
}

fn differs(kind: Kind, here: &str, there: &str, otherwise: &'static str) -> Option<&'static str> {
    let list = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        parts.sort_unstable();
        parts
    };
    match kind {
        Kind::Text => (here != there).then_some(otherwise),
        Kind::List => (list(here) != list(there)).then_some(otherwise),
        Kind::Limit { less, more } => {
            let limit = |text: &str| text.parse::<i64>().ok().map(|number| u64::try_from(number).unwrap_or(u64::MAX));
            let (here, there) = (limit(here)?, limit(there)?);
            let said = match there.cmp(&here) {
                std::cmp::Ordering::Less => less,
                std::cmp::Ordering::Greater => more,
                std::cmp::Ordering::Equal => "",
            };
            (!said.is_empty()).then_some(said)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_connect::logs::Setting;
    use rstest::rstest;

    fn of(name: &str, value: &str) -> Settings {
        Settings([(name.to_owned(), Setting { value: Some(value.to_owned()), own: true })].into())
    }

    #[rstest]
    #[case("cleanup.policy", "compact,delete", "delete, compact", None)]
    #[case("cleanup.policy", "compact", "delete", Some("remove other records"))]
    #[case("retention.ms", "604800000", "604800000", None)]
    #[case("retention.ms", "-1", "604800000", Some("still has"))]
    #[case("retention.ms", "604800000", "-1", Some("has removed"))]
    #[case("message.timestamp.type", "CreateTime", "LogAppendTime", Some("anew"))]
    #[case("max.message.bytes", "2000000", "1048588", Some("refuses"))]
    #[case("max.message.bytes", "1048588", "2000000", None)]
    #[case("min.insync.replicas", "2", "1", Some("fewer copies"))]
    #[case("compression.type", "zstd", "none", None)]
    #[case("segment.bytes", "1", "2", None)]
    fn settings_that_matter_are_told(
        #[case] name: &str,
        #[case] source: &str,
        #[case] replica: &str,
        #[case] expected: Option<&str>,
    ) {
        let found = compare(&of(name, source), &of(name, replica));
        assert_eq!(found.len(), usize::from(expected.is_some()), "{found:?}");
        if let (Some(found), Some(expected)) = (found.first(), expected) {
            assert!(found.consequence.contains(expected), "{found:?}");
        }
    }

    #[test]
    fn a_setting_that_one_side_does_not_know_is_not_compared() {
        assert!(compare(&of("retention.ms", "1"), &Settings::default()).is_empty());
    }
}
