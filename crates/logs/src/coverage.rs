//! Which logs of a source should be on the replica and are not, and why; what is there and has no source;
//! partitions that are missing; settings that differ and matter.

use crate::naming::{Policy, is_trace};
use crate::settings;
use paritas_connect::logs::{Log, Settings, Survey, Traces};
use paritas_model::{Known, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What kind of gap it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// A log of the source is not on the replica.
    NotMirrored,
    /// The replica has fewer partitions of a log, or more.
    Partitions,
    /// A log of the replica was mirrored from one that the source does not have any more.
    Orphan,
    /// A log was deleted and made anew since it was looked at before.
    Recreated,
    /// A setting differs, and that matters.
    Setting,
    /// Settings could not be compared.
    Unreadable,
}

impl GapKind {
    /// The word for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotMirrored => "not_mirrored",
            Self::Partitions => "partitions",
            Self::Orphan => "orphan",
            Self::Recreated => "recreated",
            Self::Setting => "setting",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Something that is not mirrored whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The log, by its name on the source; for an orphan, by that on the replica.
    pub what: String,
    /// What kind of gap it is.
    pub kind: GapKind,
    /// How much it weighs.
    pub verdict: Verdict,
    /// What is the matter.
    pub why: String,
    /// What follows from it.
    pub consequence: String,
}

/// A log and its mirror.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// Its name on the source.
    pub source: String,
    /// Its name on the replica.
    pub replica: String,
    /// Partitions that both have.
    pub partitions: u32,
}

/// What is mirrored and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Logs with a mirror.
    pub pairs: Vec<Pair>,
    /// Everything that is not as it should be.
    pub gaps: Vec<Gap>,
    /// Logs of the source that nobody wants mirrored, each with the reason.
    pub left_out: Vec<(String, String)>,
}

impl Coverage {
    /// The worst of everything; unknown where the source has nothing to mirror.
    pub fn verdict(&self) -> Verdict {
        let gaps = self.gaps.iter().map(|gap| gap.verdict);
        Verdict::combine(gaps.chain(self.pairs.first().map(|_| Verdict::Pass)))
    }
}

/// Settings of logs, by name.
pub type ByName = BTreeMap<String, Known<Settings>>;

/// Everything that coverage is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The source.
    pub source: &'a Survey,
    /// The replica.
    pub replica: &'a Survey,
    /// What mirrors left on the source and on the replica.
    pub traces: (&'a Traces, &'a Traces),
    /// How the mirror names logs.
    pub policy: &'a Policy,
    /// The replica's name in the mirror's configuration.
    pub target: Option<&'a str>,
    /// Settings of logs of the source and of the replica.
    pub settings: (&'a ByName, &'a ByName),
    /// Logs of the source in which nothing is.
    pub empty: &'a BTreeSet<String>,
    /// Ids of logs when they were looked at before: of the source and of the replica, by name.
    pub ids: (&'a BTreeMap<String, String>, &'a BTreeMap<String, String>),
    /// Whether somebody said which logs are to be mirrored; then one that is not is a violation.
    pub told: bool,
}

/// Judges coverage. `wanted` says of a log of the source whether it is to be mirrored.
pub fn judge(sides: &Sides<'_>, wanted: &dyn Fn(&str) -> bool) -> Coverage {
    let mut coverage = Coverage { pairs: Vec::new(), gaps: Vec::new(), left_out: Vec::new() };
    for log in &sides.source.logs {
        if let Some(why) = left_out(log, sides, wanted) {
            coverage.left_out.push((log.name.clone(), why));
            continue;
        }
        let mirror = sides.policy.on_replica(&log.name).and_then(|name| sides.replica.log(&name));
        match mirror {
            Some(mirror) => pair(log, mirror, sides, &mut coverage),
            None => coverage.gaps.push(missing(log, sides)),
        }
    }
    orphans(sides, wanted, &mut coverage.gaps);
    coverage
}

fn left_out(log: &Log, sides: &Sides<'_>, wanted: &dyn Fn(&str) -> bool) -> Option<String> {
    let name = log.name.as_str();
    if log.internal {
        return Some("it belongs to the store itself".to_owned());
    }
    if is_trace(name, sides.traces.0) {
        return Some("it belongs to the mirror".to_owned());
    }
    // A mirror does not carry back what came from its target.
    let from_target = sides.target.filter(|_| matches!(sides.policy, Policy::Prefix { .. }));
    let separator = match sides.policy {
        Policy::Prefix { separator, .. } | Policy::Identity { separator, .. } => separator,
    };
    let back = from_target.and_then(|target| name.strip_prefix(target)?.strip_prefix(separator.as_str()));
    if back.is_some_and(|origin| sides.replica.log(origin).is_some()) {
        return Some("it was mirrored from the replica".to_owned());
    }
    (!wanted(name)).then(|| "it is excluded".to_owned())
}

fn missing(log: &Log, sides: &Sides<'_>) -> Gap {
    let name = log.name.as_str();
    let rule = rule(name);
    let empty = sides.empty.contains(name);
    let why = match (rule, empty) {
        (Some(rule), _) => format!("it is not on the replica: {rule}"),
        (None, true) => "it is not on the replica, and nothing is in it".to_owned(),
        (None, false) => "it is not on the replica: the mirror's configuration leaves it out, or it is new".to_owned(),
    };
    Gap {
        what: name.to_owned(),
        kind: GapKind::NotMirrored,
        verdict: if empty { Verdict::Warn } else { weight(sides) },
        why,
        consequence: "its records are lost with the source".to_owned(),
    }
}

/// Why MirrorMaker 2 may leave out a name whatever `topics` says. That depends on the release, so it
/// explains what is missing and decides nothing.
fn rule(name: &str) -> Option<&'static str> {
    if name.starts_with("__") {
        Some("MirrorMaker 2 mirrors no name that begins with two underscores")
    } else if name.starts_with("mm2") && name.ends_with(".internal") {
        Some("MirrorMaker 2 takes it for one of its own")
    } else if name.ends_with(".internal") || name.ends_with("-internal") {
        Some("MirrorMaker 2 before 4.0 mirrors no name that ends like this")
    } else if name.ends_with(".replica") {
        Some("MirrorMaker 2 excludes names that end like this unless told otherwise")
    } else {
        None
    }
}

fn weight(sides: &Sides<'_>) -> Verdict {
    if sides.told { Verdict::Fail } else { Verdict::Warn }
}

fn pair(log: &Log, mirror: &Log, sides: &Sides<'_>, coverage: &mut Coverage) {
    let count = |log: &Log| u32::try_from(log.partitions.len()).unwrap_or(u32::MAX);
    let (here, there) = (count(log), count(mirror));
    let gap = |kind, verdict, why: String, consequence: &str| Gap {
        what: log.name.clone(),
        kind,
        verdict,
        why,
        consequence: consequence.to_owned(),
    };
    if there < here {
        let why = format!("it has {here} partitions, and its mirror {there}");
        let consequence = "records of the partitions that are missing are lost with the source";
        coverage.gaps.push(gap(GapKind::Partitions, weight(sides), why, consequence));
    } else if there > here {
        let why =
            format!("it has {here} partitions, and its mirror {there}: it was made anew, or the mirror was changed");
        let consequence = "after a failover, keys go to other partitions than before";
        coverage.gaps.push(gap(GapKind::Partitions, Verdict::Warn, why, consequence));
    }
    for (side, old, now) in
        [("source", sides.ids.0.get(&log.name), &log.id), ("replica", sides.ids.1.get(&mirror.name), &mirror.id)]
    {
        let Some((old, new)) = old.zip(now.value()).filter(|(old, new)| old != new) else { continue };
        let why = format!("it was deleted and made anew on the {side}: its id was {old} and is {new}");
        let consequence = "the mirror may go on at its old offset, and what lies before it never arrives";
        coverage.gaps.push(gap(GapKind::Recreated, Verdict::Warn, why, consequence));
    }
    match (sides.settings.0.get(&log.name), sides.settings.1.get(&mirror.name)) {
        (Some(Known::Known(here)), Some(Known::Known(there))) => {
            for difference in settings::compare(here, there) {
                let why = difference.to_string();
                let consequence = difference.consequence;
                coverage.gaps.push(gap(GapKind::Setting, Verdict::Warn, why, consequence));
            }
        }
        (Some(Known::Unknown { why }), _) | (_, Some(Known::Unknown { why })) => {
            let consequence = "settings that differ are not seen";
            coverage.gaps.push(gap(GapKind::Unreadable, Verdict::Unknown, why.clone(), consequence));
        }
        _ => {}
    }
    let pair = Pair { source: log.name.clone(), replica: mirror.name.clone(), partitions: here.min(there) };
    coverage.pairs.push(pair);
}

fn orphans(sides: &Sides<'_>, wanted: &dyn Fn(&str) -> bool, gaps: &mut Vec<Gap>) {
    let copied = || sides.traces.1.copied.iter().map(|copied| copied.partition.log.as_str());
    for log in sides.replica.logs.iter().filter(|log| !log.internal && !is_trace(&log.name, sides.traces.1)) {
        let Some(name) = sides.policy.on_source(&log.name) else { continue };
        // Where names are kept, a log of the replica's own looks like a mirrored one.
        let mirrored = match sides.policy {
            Policy::Prefix { .. } => true,
            Policy::Identity { .. } => copied().any(|copied| copied == name),
        };
        if !mirrored || sides.source.log(name).is_some() || !wanted(name) {
            continue;
        }
        gaps.push(Gap {
            what: log.name.clone(),
            kind: GapKind::Orphan,
            verdict: Verdict::Warn,
            why: format!("the source has no log {name} any more"),
            consequence: "what readers find in it after a failover is old".to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_connect::logs::{Copied, Partition, PartitionState, Setting};
    use rstest::rstest;

    fn survey(logs: &[(&str, i32)]) -> Survey {
        let mut logs = logs.to_vec();
        logs.sort_unstable();
        let state = |index| PartitionState { index, leader: Some(1), replicas: vec![1], in_sync: vec![1] };
        let log = |(name, partitions): &(&str, i32)| Log {
            name: (*name).to_owned(),
            id: Known::Known(format!("id of {name}")),
            internal: *name == "__consumer_offsets",
            partitions: (0..*partitions).map(state).collect(),
        };
        Survey {
            cluster: Known::unknown("not asked"),
            controller: Known::unknown("not asked"),
            brokers: Vec::new(),
            logs: logs.iter().map(log).collect(),
            limits: Vec::new(),
        }
    }

    fn covered(source: &[(&str, i32)], replica: &[(&str, i32)], change: impl FnOnce(&mut Given)) -> Coverage {
        let mut given = Given { policy: Policy::prefix("A"), told: true, ..Given::default() };
        change(&mut given);
        let (source, replica) = (survey(source), survey(replica));
        let sides = Sides {
            source: &source,
            replica: &replica,
            traces: (&given.traces.0, &given.traces.1),
            policy: &given.policy,
            target: Some("B"),
            settings: (&given.settings.0, &given.settings.1),
            empty: &given.empty,
            ids: (&given.ids.0, &given.ids.1),
            told: given.told,
        };
        judge(&sides, &|name| !given.excluded.contains(name))
    }

    struct Given {
        traces: (Traces, Traces),
        policy: Policy,
        settings: (ByName, ByName),
        empty: BTreeSet<String>,
        ids: (BTreeMap<String, String>, BTreeMap<String, String>),
        excluded: BTreeSet<String>,
        told: bool,
    }

    impl Default for Given {
        fn default() -> Self {
            Self {
                traces: Default::default(),
                policy: Policy::identity(),
                settings: Default::default(),
                empty: BTreeSet::new(),
                ids: Default::default(),
                excluded: BTreeSet::new(),
                told: false,
            }
        }
    }

    fn kinds(coverage: &Coverage) -> Vec<(&str, GapKind, Verdict)> {
        coverage.gaps.iter().map(|gap| (gap.what.as_str(), gap.kind, gap.verdict)).collect()
    }

    #[test]
    fn a_source_that_is_mirrored_whole_passes() {
        let source = [("a", 3), ("heartbeats", 1), ("__consumer_offsets", 50), ("mm2-offset-syncs.B.internal", 1)];
        let coverage = covered(&source, &[("A.a", 3), ("A.heartbeats", 1), ("A.checkpoints.internal", 1)], |_| {});
        assert_eq!((coverage.verdict(), coverage.left_out.len()), (Verdict::Pass, 3), "{coverage:?}");
        assert_eq!(coverage.pairs, [Pair { source: "a".into(), replica: "A.a".into(), partitions: 3 }]);
    }

    #[rstest]
    #[case("orders", "configuration")]
    #[case("x-internal", "before 4.0")]
    #[case("y.internal", "before 4.0")]
    #[case("__x", "two underscores")]
    #[case("w.replica", "unless told otherwise")]
    fn a_log_that_is_not_on_the_replica_is_a_gap_with_a_reason(#[case] name: &str, #[case] why: &str) {
        let coverage = covered(&[("a", 1), (name, 1)], &[("A.a", 1)], |_| {});
        assert_eq!(kinds(&coverage), [(name, GapKind::NotMirrored, Verdict::Fail)]);
        assert!(coverage.gaps[0].why.contains(why), "{coverage:?}");
        let untold = covered(&[("a", 1), (name, 1)], &[("A.a", 1)], |given| given.told = false);
        assert_eq!(untold.verdict(), Verdict::Warn);
    }

    #[test]
    fn what_a_rule_leaves_out_and_is_there_all_the_same_is_no_gap() {
        let coverage = covered(&[("x-internal", 1)], &[("A.x-internal", 1)], |_| {});
        assert_eq!(coverage.verdict(), Verdict::Pass);
    }

    #[test]
    fn nothing_is_lost_with_an_empty_log_and_an_excluded_one_is_no_gap() {
        let coverage = covered(&[("a", 1), ("b", 1), ("c", 1)], &[("A.a", 1)], |given| {
            given.empty.insert("b".into());
            given.excluded.insert("c".into());
        });
        assert_eq!(kinds(&coverage), [("b", GapKind::NotMirrored, Verdict::Warn)]);
        assert_eq!(coverage.left_out.len(), 1);
    }

    #[test]
    fn what_came_from_the_replica_is_not_carried_back() {
        let coverage = covered(&[("a", 1), ("B.x", 1), ("B.other", 1)], &[("A.a", 1), ("x", 1)], |_| {});
        assert_eq!(kinds(&coverage), [("B.other", GapKind::NotMirrored, Verdict::Fail)]);
    }

    #[rstest]
    #[case(4, 3, Verdict::Fail)]
    #[case(3, 4, Verdict::Warn)]
    fn partition_counts_are_compared(#[case] source: i32, #[case] replica: i32, #[case] verdict: Verdict) {
        let coverage = covered(&[("a", source)], &[("A.a", replica)], |_| {});
        assert_eq!(kinds(&coverage), [("a", GapKind::Partitions, verdict)]);
        assert_eq!(coverage.pairs[0].partitions, 3);
    }

    #[test]
    fn a_mirror_without_a_source_is_an_orphan_and_a_log_of_the_replica_is_none() {
        let coverage = covered(&[("a", 1)], &[("A.a", 1), ("A.rec", 1), ("own", 1)], |_| {});
        assert_eq!(kinds(&coverage), [("A.rec", GapKind::Orphan, Verdict::Warn)]);
        let coverage = covered(&[("a", 1)], &[("a", 1), ("rec", 1), ("own", 1)], |given| {
            given.policy = Policy::identity();
            let partition = Partition::new("rec", 0);
            given.traces.1.copied = vec![Copied { alias: "A".into(), partition, last: 9, written: None }];
        });
        assert_eq!(kinds(&coverage), [("rec", GapKind::Orphan, Verdict::Warn)]);
    }

    #[test]
    fn another_id_under_the_same_name_is_another_log() {
        let coverage = covered(&[("a", 1)], &[("A.a", 1)], |given| {
            given.ids.0.insert("a".into(), "before".into());
            given.ids.1.insert("A.a".into(), "id of A.a".into());
        });
        assert_eq!(kinds(&coverage), [("a", GapKind::Recreated, Verdict::Warn)]);
        assert!(coverage.gaps[0].why.contains("on the source"));
    }

    #[test]
    fn settings_that_may_not_be_read_are_unknown_and_those_that_differ_are_named() {
        let setting = |name: &str, value: &str| {
            let setting = Setting { value: Some(value.to_owned()), own: true };
            Known::Known(Settings([(name.to_owned(), setting)].into()))
        };
        let coverage = covered(&[("a", 1), ("b", 1)], &[("A.a", 1), ("A.b", 1)], |given| {
            given.settings.0.insert("a".into(), setting("cleanup.policy", "compact"));
            given.settings.1.insert("A.a".into(), setting("cleanup.policy", "delete"));
            given.settings.0.insert("b".into(), Known::unknown("no privilege"));
        });
        let expected = [("a", GapKind::Setting, Verdict::Warn), ("b", GapKind::Unreadable, Verdict::Unknown)];
        assert_eq!(kinds(&coverage), expected);
    }

    #[test]
    fn a_source_without_logs_is_unknown() {
        assert_eq!(covered(&[("__consumer_offsets", 1)], &[], |_| {}).verdict(), Verdict::Unknown);
    }
}
