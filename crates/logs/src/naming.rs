//! How a mirror names logs on the replica, and finding that out from what both sides show.
//!
//! MirrorMaker 2 knows two ways: the default one puts the source's alias and a separator in front, the
//! identity one keeps names except those that end in `heartbeats`.

use paritas_connect::logs::{Survey, Traces};
use paritas_model::Known;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The end of names that MirrorMaker 2 renames under every policy.
const HEARTBEATS: &str = "heartbeats";
/// What stands between alias and name unless configured otherwise.
pub const SEPARATOR: &str = ".";
/// A separator that is found rather than told has no more characters than this.
const SEPARATOR_MAX: usize = 4;

/// How logs of a source are named on the replica.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The source's alias, a separator, the name.
    Prefix {
        /// The source's name in the mirror's configuration.
        alias: String,
        /// What stands in between.
        separator: String,
    },
    /// The same name, except for heartbeats.
    Identity {
        /// The source's name in the mirror's configuration, as far as it is known.
        alias: Option<String>,
        /// What stands between it and the name of heartbeats.
        separator: String,
    },
}

impl Policy {
    /// MirrorMaker 2's default for that alias.
    pub fn prefix(alias: impl Into<String>) -> Self {
        Self::Prefix { alias: alias.into(), separator: SEPARATOR.to_owned() }
    }

    /// Names are kept.
    pub fn identity() -> Self {
        Self::Identity { alias: None, separator: SEPARATOR.to_owned() }
    }

    /// The name on the replica of a log of the source; `None` for heartbeats of a source without a known
    /// alias.
    pub fn on_replica(&self, source: &str) -> Option<String> {
        match self {
            Self::Prefix { alias, separator } => Some(format!("{alias}{separator}{source}")),
            Self::Identity { alias, separator } if source.ends_with(HEARTBEATS) => {
                alias.as_ref().map(|alias| format!("{alias}{separator}{source}"))
            }
            Self::Identity { .. } => Some(source.to_owned()),
        }
    }

    /// The name on the source of a log of the replica; `None` for one that does not come from there.
    pub fn on_source<'a>(&self, replica: &'a str) -> Option<&'a str> {
        let stripped = |alias: &str, separator: &str| replica.strip_prefix(alias)?.strip_prefix(separator);
        let name = match self {
            Self::Prefix { alias, separator } => stripped(alias, separator)?,
            Self::Identity { alias, separator } if replica.ends_with(HEARTBEATS) => {
                stripped(alias.as_deref()?, separator)?
            }
            Self::Identity { .. } => replica,
        };
        (!name.is_empty()).then_some(name)
    }

    /// The source's name in the mirror's configuration.
    pub fn alias(&self) -> Option<&str> {
        match self {
            Self::Prefix { alias, .. } => Some(alias),
            Self::Identity { alias, .. } => alias.as_deref(),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix { alias, separator } => write!(f, "{alias}{separator}NAME"),
            Self::Identity { .. } => f.write_str("the same names"),
        }
    }
}

/// What was found out about the names of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Naming {
    /// How it names logs.
    pub policy: Known<Policy>,
    /// The replica's name in the mirror's configuration, where heartbeats or the names of traces say it.
    pub target: Option<String>,
    /// What that follows from, in sentences.
    pub evidence: Vec<String>,
}

/// The names of the logs of both sides, without those that are no data.
struct Names<'a> {
    source: BTreeSet<&'a str>,
    replica: BTreeSet<&'a str>,
    /// Names on the source of logs of which the mirror noted something.
    noted: BTreeSet<&'a str>,
}

/// Finds out how a mirror names logs. `traces` are those of the source and those of the replica.
pub fn detect(source: &Survey, replica: &Survey, traces: (&Traces, &Traces)) -> Naming {
    let (here, there) = traces;
    let names = Names { source: data(source, here), replica: data(replica, there), noted: BTreeSet::new() };
    let aliases = aliases(here, there);
    let target = target(here, there);
    let mut scored = Vec::new();
    for policy in candidates(&names, &aliases) {
        let noted = policy.alias().map(|alias| noted(alias, here, there)).unwrap_or_default();
        let names = Names { noted, source: names.source.clone(), replica: names.replica.clone() };
        let explained = explained(&policy, &names);
        if explained > 0 {
            scored.push((explained, policy));
        }
    }
    scored.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut evidence = Vec::new();
    let best = scored.first().map_or(0, |(explained, _)| *explained);
    let equals: Vec<&Policy> =
        scored.iter().filter(|(explained, _)| *explained == best).map(|(_, policy)| policy).collect();
    let policy = match equals.as_slice() {
        [] => Known::unknown(
            "no log of the replica has the name of one of the source, with or without something in front: say how \
             the mirror names logs",
        ),
        [policy] => {
            evidence.push(format!("{best} logs of the source are on the replica under {policy}"));
            Known::Known((*policy).clone())
        }
        [first, second, ..] => {
            Known::unknown(format!("both {first} and {second} fit {best} logs: say how the mirror names logs"))
        }
    };
    if let Some(target) = &target {
        evidence.push(format!("the mirror calls the replica {target}"));
    } else if targets(here).len() > 1 {
        let all = targets(here).into_iter().collect::<Vec<_>>().join(", ");
        evidence.push(format!(
            "mirrors to several clusters ({all}) noted pairs of offsets on the source, and which one the replica is \
             is not known: none of them is used"
        ));
    }
    Naming { policy, target, evidence }
}

fn data<'a>(survey: &'a Survey, traces: &Traces) -> BTreeSet<&'a str> {
    let names = survey.logs.iter().filter(|log| !log.internal).map(|log| log.name.as_str());
    names.filter(|name| !is_trace(name, traces)).collect()
}

/// Whether a log belongs to the mirror itself.
pub(crate) fn is_trace(name: &str, traces: &Traces) -> bool {
    let own = name.starts_with("mm2-") && name.ends_with(".internal");
    own || name.ends_with(".checkpoints.internal")
        || name.ends_with(HEARTBEATS)
        || traces.logs.iter().any(|log| log == name)
}

/// The name that a cluster has in the mirror's configuration: mirrors write heartbeats to their target.
fn own_alias(traces: &Traces) -> Option<String> {
    let written_here = traces.heartbeats.iter().filter(|beat| beat.held_in == HEARTBEATS);
    let targets: BTreeSet<&str> = written_here.map(|beat| beat.target.as_str()).collect();
    match targets.iter().collect::<Vec<_>>().as_slice() {
        [target] => Some((**target).to_owned()),
        _ => None,
    }
}

/// The clusters to which mirrors noted pairs of offsets on their source.
fn targets(here: &Traces) -> BTreeSet<&str> {
    here.syncs.iter().filter_map(|sync| sync.alias.as_deref()).collect()
}

/// What the mirror calls the replica. A source may have mirrors to several clusters, so one name that was found there is
/// that of the replica only if it is alone.
fn target(here: &Traces, there: &Traces) -> Option<String> {
    let noted = targets(here);
    let alone = || noted.first().filter(|_| noted.len() == 1).map(|alone| (*alone).to_owned());
    own_alias(there).or_else(alone)
}

/// Names that the source may have in the mirror's configuration, likely ones first.
fn aliases(here: &Traces, there: &Traces) -> Vec<String> {
    // Whoever writes to the source calls it by this name, and all parts of one configuration agree.
    if let Some(own) = own_alias(here) {
        return vec![own];
    }
    let copied = there.copied.iter().map(|copied| copied.alias.clone());
    let checkpoints = there.checkpoints.iter().map(|checkpoint| checkpoint.alias.clone());
    let syncs = there.syncs.iter().filter_map(|sync| sync.alias.clone());
    let beats = there.heartbeats.iter().filter(|beat| beat.held_in == HEARTBEATS).map(|beat| beat.source.clone());
    let mut seen = BTreeSet::new();
    let all = copied.chain(checkpoints).chain(syncs).chain(beats);
    all.filter(|alias| !alias.is_empty() && seen.insert(alias.clone())).collect()
}

/// Logs of the source that the mirror noted something about.
fn noted<'a>(alias: &str, here: &'a Traces, there: &'a Traces) -> BTreeSet<&'a str> {
    let copied = there.copied.iter().filter(|copied| copied.alias == alias).map(|copied| &copied.partition);
    let syncs = there.syncs.iter().filter(|sync| sync.alias.as_deref() == Some(alias)).map(|sync| &sync.partition);
    let on_source = here.syncs.iter().map(|sync| &sync.partition);
    let all = copied.chain(syncs).chain(on_source).map(|partition| partition.log.as_str());
    all.filter(|name| !name.ends_with(HEARTBEATS)).collect()
}

fn candidates(names: &Names<'_>, aliases: &[String]) -> BTreeSet<Policy> {
    let mut prefixes: BTreeMap<&str, u64> = BTreeMap::new();
    for replica in &names.replica {
        for (at, _) in replica.char_indices().skip(1) {
            let (prefix, rest) = replica.split_at(at);
            if names.source.contains(rest) {
                *prefixes.entry(prefix).or_default() += 1;
            }
        }
    }
    let mut found = BTreeSet::new();
    for prefix in prefixes.keys() {
        let of_alias = aliases.iter().filter_map(|alias| Some((alias.as_str(), prefix.strip_prefix(alias.as_str())?)));
        let mut told = of_alias.filter(|(_, separator)| (1..=SEPARATOR_MAX).contains(&separator.len())).peekable();
        if told.peek().is_some() {
            found.extend(told.map(|(alias, separator)| prefix_policy(alias, separator)));
        } else if aliases.is_empty() {
            // Without any trace: one character that no name is made of separates.
            let separator = prefix.char_indices().next_back().filter(|(at, last)| *at > 0 && !last.is_alphanumeric());
            found.extend(separator.map(|(at, _)| prefix.split_at(at)).map(|(alias, last)| prefix_policy(alias, last)));
        }
    }
    let alias = aliases.first().cloned();
    found.insert(Policy::Identity { alias, separator: SEPARATOR.to_owned() });
    found
}

fn prefix_policy(alias: &str, separator: &str) -> Policy {
    Policy::Prefix { alias: alias.to_owned(), separator: separator.to_owned() }
}

/// Logs of the source that are on the replica under that policy's names and under no other's.
fn explained(policy: &Policy, names: &Names<'_>) -> u64 {
    let all = if names.noted.is_empty() { &names.source } else { &names.noted };
    let there = |name: &&&str| {
        let Some(replica) = policy.on_replica(name) else { return false };
        let is_there = names.replica.contains(replica.as_str());
        // A name that the source has as well is explained by itself.
        let own = matches!(policy, Policy::Prefix { .. }) && names.source.contains(replica.as_str());
        is_there && !own
    };
    let count = all.iter().filter(there).count() as u64;
    // What has a prefix was named by the other policy; the bare name beside it is a log of the replica's own.
    let named_otherwise = |name: &&&str| match policy {
        Policy::Identity { alias: Some(alias), separator } => {
            let prefixed = format!("{alias}{separator}{name}");
            names.replica.contains(prefixed.as_str()) && !names.source.contains(prefixed.as_str())
        }
        _ => false,
    };
    count.saturating_sub(all.iter().filter(there).filter(named_otherwise).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_connect::logs::{Copied, Heartbeat, Log, Partition, Sync};
    use proptest::prelude::*;
    use rstest::rstest;

    fn survey(names: &[&str]) -> Survey {
        let mut names = names.to_vec();
        names.sort_unstable();
        let log = |name: &&str| Log {
            name: (*name).to_owned(),
            id: Known::unknown("not asked"),
            internal: name.starts_with("__"),
            partitions: Vec::new(),
        };
        Survey {
            cluster: Known::unknown("not asked"),
            controller: Known::unknown("not asked"),
            brokers: Vec::new(),
            logs: names.iter().map(log).collect(),
            limits: Vec::new(),
        }
    }

    fn copied(alias: &str, names: &[&str]) -> Traces {
        let copied =
            |name: &&str| Copied { alias: alias.into(), partition: Partition::new(*name, 0), last: 1, written: None };
        Traces { copied: names.iter().map(copied).collect(), ..Traces::default() }
    }

    fn beats(held: &str, source: &str, target: &str) -> Traces {
        let (held_in, source, target) = (held.to_owned(), source.to_owned(), target.to_owned());
        Traces { heartbeats: vec![Heartbeat { held_in, source, target, sent: 0 }], ..Traces::default() }
    }

    #[rstest]
    #[case::default("A", ".", "orders", "A.orders")]
    #[case::dotted("A", ".", "a.b", "A.a.b")]
    #[case::custom("east", "__", "orders", "east__orders")]
    #[case::heartbeats("A", ".", "heartbeats", "A.heartbeats")]
    fn the_default_policy_puts_the_alias_in_front(
        #[case] alias: &str,
        #[case] separator: &str,
        #[case] source: &str,
        #[case] replica: &str,
    ) {
        let policy = prefix_policy(alias, separator);
        assert_eq!(policy.on_replica(source).as_deref(), Some(replica));
        assert_eq!(policy.on_source(replica), Some(source));
        assert_eq!(policy.on_source(source), None);
    }

    #[rstest]
    #[case("orders", "orders")]
    #[case("a.b", "a.b")]
    #[case("x-internal", "x-internal")]
    #[case("heartbeats", "A.heartbeats")]
    #[case("myheartbeats", "A.myheartbeats")]
    fn the_identity_policy_keeps_names_except_those_of_heartbeats(#[case] source: &str, #[case] replica: &str) {
        let policy = Policy::Identity { alias: Some("A".into()), separator: ".".into() };
        assert_eq!(policy.on_replica(source).as_deref(), Some(replica));
        assert_eq!(policy.on_source(replica), Some(source));
    }

    #[rstest]
    #[case::default(&["a", "b.c"], &["A.a", "A.b.c"], copied("A", &["a", "b.c"]), Some("A.NAME"))]
    #[case::separator(&["a", "b"], &["A-x-a", "A-x-b"], copied("A", &["a", "b"]), Some("A-x-NAME"))]
    #[case::no_traces(&["a", "b"], &["east_a", "east_b"], Traces::default(), Some("east_NAME"))]
    #[case::identity(&["a", "b"], &["a", "b"], copied("A", &["a", "b"]), Some("the same names"))]
    #[case::identity_no_traces(&["a", "b"], &["a"], Traces::default(), Some("the same names"))]
    #[case::identity_with_a_log_that_looks_prefixed(&["a", "A.a"], &["a", "A.a"], copied("A", &["a", "A.a"]), Some("the same names"))]
    #[case::the_replica_has_one_of_its_own(&["a"], &["a", "A.a"], copied("A", &["a"]), Some("A.NAME"))]
    #[case::both_ways(&["a", "B.x"], &["x", "A.a"], copied("A", &["a"]), Some("A.NAME"))]
    #[case::two_sources(&["a"], &["A.a", "C.a"], Traces { heartbeats: beats("heartbeats", "C", "B").heartbeats, ..copied("A", &["a"]) }, None)]
    #[case::nothing_fits(&["a"], &["z"], copied("A", &["a"]), None)]
    #[case::a_copy_of_copies(&["A.a", "A.b", "c"], &["B.A.a", "B.A.b", "B.c"], copied("B", &["A.a", "A.b", "c"]), Some("B.NAME"))]
    #[case::a_copy_of_copies_without_traces(&["A.a", "c"], &["B.A.a", "B.c"], Traces::default(), Some("B.NAME"))]
    // What the second mirror noted is about names that the first cluster does not have.
    #[case::across_two_mirrors(&["a"], &["B.A.a"], copied("B", &["A.a"]), None)]
    fn the_policy_follows_from_both_sides(
        #[case] source: &[&str],
        #[case] replica: &[&str],
        #[case] traces: Traces,
        #[case] expected: Option<&str>,
    ) {
        let naming = detect(&survey(source), &survey(replica), (&Traces::default(), &traces));
        assert_eq!(naming.policy.value().map(ToString::to_string).as_deref(), expected, "{naming:?}");
    }

    #[test]
    fn heartbeats_of_the_source_say_its_alias_where_two_sources_have_the_same_logs() {
        let mut here = beats("heartbeats", "B", "A");
        here.heartbeats.extend(beats("B.heartbeats", "A", "B").heartbeats);
        let there = Traces {
            heartbeats: beats("heartbeats", "A", "B").heartbeats,
            copied: [copied("A", &["a"]).copied, copied("C", &["a", "zz"]).copied].concat(),
            ..Traces::default()
        };
        let naming = detect(&survey(&["a"]), &survey(&["A.a", "C.a"]), (&here, &there));
        assert_eq!(naming.target.as_deref(), Some("B"));
        assert_eq!(naming.policy.value(), Some(&Policy::prefix("A")), "{naming:?}");
    }

    #[rstest]
    #[case::the_replica_says_it(&["B", "C"], beats("heartbeats", "A", "C"), Some("C"))]
    #[case::another_one_than_all_that_are_noted(&["B"], beats("heartbeats", "A", "C"), Some("C"))]
    #[case::there_is_but_one(&["B", "B"], Traces::default(), Some("B"))]
    #[case::nobody_says_which(&["B", "C"], Traces::default(), None)]
    fn a_source_that_is_mirrored_to_several_clusters_does_not_say_which_one_the_replica_is(
        #[case] noted: &[&str],
        #[case] there: Traces,
        #[case] expected: Option<&str>,
    ) {
        let sync = |alias: &&str| Sync {
            held_in: format!("mm2-offset-syncs.{alias}.internal"),
            alias: Some((*alias).to_owned()),
            partition: Partition::new("a", 0),
            upstream: 1,
            downstream: 1,
        };
        let here = Traces { syncs: noted.iter().map(sync).collect(), ..Traces::default() };
        let naming = detect(&survey(&["a"]), &survey(&["A.a"]), (&here, &there));
        assert_eq!(naming.target.as_deref(), expected);
        assert_eq!(naming.evidence.iter().any(|said| said.contains("several clusters (B, C)")), expected.is_none());
    }

    proptest! {
        #[test]
        fn names_survive_the_way_to_the_replica_and_back(name in "[a-z.]{1,12}", alias in "[A-Z]{1,4}",
                                                         separator in "[._-]{1,3}", identity: bool) {
            let policy = if identity {
                Policy::Identity { alias: Some(alias), separator }
            } else {
                Policy::Prefix { alias, separator }
            };
            let replica = policy.on_replica(&name).unwrap_or_default();
            prop_assert_eq!(policy.on_source(&replica), Some(name.as_str()));
        }
    }
}
