//! Which topics MirrorMaker 2 keeps for itself, by their names.
//!
//! The separator between the parts of these names is `.` unless `replication.policy.separator` says otherwise, and
//! then also where `replication.policy.internal.topic.separator.enabled` is not switched off. It is found out from
//! the name: whatever stands on both sides of the alias.

/// What a topic is for, as far as its name says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Pairs of offsets. `mm2-offset-syncs.<other>.internal`, on the source by default, where the other cluster is
    /// the target, or on the target, where it is the source.
    Syncs {
        /// The other cluster; `None` where the name can be taken apart in several ways.
        alias: Option<String>,
    },
    /// Translated offsets of groups. `<source>.checkpoints.internal`, on the target.
    Checkpoints {
        /// The source.
        alias: String,
    },
    /// Signs of life. `heartbeats`, and `<source>.heartbeats` where they were mirrored, also several times.
    Heartbeats,
    /// Where Kafka Connect keeps how far its connectors have come. `mm2-offsets.<source>.internal` on the target in
    /// dedicated mode, or whatever the workers of a Connect cluster use.
    Offsets {
        /// Whether only MirrorMaker uses a topic of this name.
        dedicated: bool,
    },
    /// Configuration and state of MirrorMaker's workers: nothing to learn from, and no data either.
    Workers,
}

impl Kind {
    /// Whether a topic of this kind has traces to be read.
    pub fn has_traces(&self) -> bool {
        *self != Self::Workers
    }

    /// What its records are, in the plural.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Syncs { .. } => "offset syncs",
            Self::Checkpoints { .. } => "checkpoints",
            Self::Heartbeats => "heartbeats",
            Self::Offsets { .. } => "offsets of connectors",
            Self::Workers => "state of workers",
        }
    }
}

/// The end of internal names.
const INTERNAL: &str = "internal";
/// The name of every topic of heartbeats, or its last part.
const HEARTBEATS: &str = "heartbeats";
/// Topics of offsets that Connect clusters have by default: Kafka's own example and the Strimzi operator's.
const CONNECT_OFFSETS: [&str; 2] = ["connect-offsets", "mirrormaker2-cluster-offsets"];
/// What topic names are made of, besides letters and digits; separators usually as well.
const PUNCTUATION: [char; 3] = ['.', '-', '_'];

/// What a topic of this name is for, if it is MirrorMaker's own. Names that other policies of replication may have
/// are unknown here. A user's topic may be called so as well: what is in it decides, see
/// [`Collector`](super::Collector).
pub fn topic_kind(name: &str) -> Option<Kind> {
    if let Some(rest) = inner(name, "mm2-offset-syncs") {
        return Some(Kind::Syncs { alias: alias(rest) });
    }
    if inner(name, "mm2-offsets").is_some() {
        return Some(Kind::Offsets { dedicated: true });
    }
    if ["mm2-configs", "mm2-status"].iter().any(|start| inner(name, start).is_some()) {
        return Some(Kind::Workers);
    }
    if let Some(alias) = checkpoints(name) {
        return Some(Kind::Checkpoints { alias: alias.to_owned() });
    }
    if is_heartbeats(name) {
        return Some(Kind::Heartbeats);
    }
    CONNECT_OFFSETS.contains(&name).then_some(Kind::Offsets { dedicated: false })
}

/// Separator, alias and separator of `<start><separator><alias><separator>internal`.
fn inner<'a>(name: &'a str, start: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(start)?.strip_suffix(INTERNAL)?;
    borders(rest).next().map(|_| rest)
}

/// The texts that `text` both begins and ends with, shortest first, which leave something between them.
fn borders(text: &str) -> impl Iterator<Item = &str> {
    let lengths = 1..text.len().div_ceil(2);
    lengths.filter_map(move |length| text.get(..length).filter(|border| text.ends_with(border)))
}

/// The alias between two separators: the longest border of punctuation is the separator, or else the only border.
fn alias(rest: &str) -> Option<String> {
    let between = |border: &str| rest.get(border.len()..rest.len() - border.len()).map(str::to_owned);
    if let Some(border) = borders(rest).filter(|border| border.chars().all(|c| PUNCTUATION.contains(&c))).last() {
        return between(border);
    }
    let mut all = borders(rest);
    match (all.next(), all.next()) {
        (Some(border), None) => between(border),
        _ => None,
    }
}

/// The alias of `<alias><separator>checkpoints<separator>internal`.
fn checkpoints(name: &str) -> Option<&str> {
    let (before, separator) = name.strip_suffix(INTERNAL)?.rsplit_once("checkpoints")?;
    let alias = before.strip_suffix(separator).filter(|_| !separator.is_empty())?;
    (!alias.is_empty()).then_some(alias)
}

/// Heartbeats of this cluster or mirrored ones. A separator that ends in a letter or digit cannot be told from the
/// name of a user's topic.
fn is_heartbeats(name: &str) -> bool {
    let Some(before) = name.strip_suffix(HEARTBEATS) else { return false };
    before.is_empty() || before.ends_with(PUNCTUATION) && !before.trim_end_matches(PUNCTUATION).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn syncs(alias: &str) -> Option<Kind> {
        Some(Kind::Syncs { alias: Some(alias.to_owned()) })
    }

    fn points(alias: &str) -> Option<Kind> {
        Some(Kind::Checkpoints { alias: alias.to_owned() })
    }

    #[rstest]
    #[case("mm2-offset-syncs.B.internal", syncs("B"))]
    #[case("mm2-offset-syncs.us-west.1.internal", syncs("us-west.1"))]
    #[case("mm2-offset-syncs_B_internal", syncs("B"))]
    #[case("mm2-offset-syncs--a-b--internal", syncs("a-b"))]
    #[case("mm2-offset-syncs.b.a.b.internal", syncs("b.a.b"))]
    #[case("mm2-offset-syncsXBXinternal", syncs("B"))]
    #[case("mm2-offset-syncsXYXYBXYXYinternal", Some(Kind::Syncs { alias: None }))]
    #[case("A.checkpoints.internal", points("A"))]
    #[case("us.east_checkpoints_internal", points("us.east"))]
    #[case("A.checkpoints.checkpoints.internal", points("A.checkpoints"))]
    #[case("heartbeats", Some(Kind::Heartbeats))]
    #[case("A.heartbeats", Some(Kind::Heartbeats))]
    #[case("C.A.heartbeats", Some(Kind::Heartbeats))]
    #[case("A__heartbeats", Some(Kind::Heartbeats))]
    #[case("mm2-offsets.A.internal", Some(Kind::Offsets { dedicated: true }))]
    #[case("connect-offsets", Some(Kind::Offsets { dedicated: false }))]
    #[case("mm2-configs.A.internal", Some(Kind::Workers))]
    #[case("mm2-status.A.internal", Some(Kind::Workers))]
    #[case("mm2-offset-syncs.internal", None)]
    #[case("mm2-offset-syncs..internal", None)]
    #[case("mm2-offset-syncs.B-internal", None)]
    #[case("mm2-offset-syncs", None)]
    #[case("checkpoints.internal", None)]
    #[case(".checkpoints.internal", None)]
    #[case("A.checkpoints_internal", None)]
    #[case("Acheckpointsinternal", None)]
    #[case("myheartbeats", None)]
    #[case(".heartbeats", None)]
    #[case("heartbeats.orders", None)]
    #[case("orders", None)]
    #[case("__consumer_offsets", None)]
    #[case("", None)]
    fn topics_are_told_by_their_names(#[case] name: &str, #[case] kind: Option<Kind>) {
        assert_eq!(topic_kind(name), kind);
    }

    proptest! {
        #[test]
        fn any_separator_and_alias_are_recognised(alias in "[a-z0-9]{1,6}([._-][a-z0-9]{1,6}){0,2}", separator in "[._-]{1,3}") {
            let name = format!("mm2-offset-syncs{separator}{alias}{separator}internal");
            prop_assert_eq!(topic_kind(&name), syncs(&alias));
            let name = format!("{alias}{separator}checkpoints{separator}internal");
            prop_assert_eq!(topic_kind(&name), points(&alias));
            prop_assert_eq!(topic_kind(&format!("{alias}{separator}heartbeats")), Some(Kind::Heartbeats));
        }

        #[test]
        fn no_name_is_too_odd(name in "(mm2-offset-syncs|mm2-offsets)?\\PC{0,12}(checkpoints)?\\PC{0,6}(internal|heartbeats)?") {
            topic_kind(&name);
        }
    }
}
