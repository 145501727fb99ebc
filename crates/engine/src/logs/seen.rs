//! What both sides of a link of logs show: who they are, what they hold, what mirrors left there, and which
//! log is a copy of which.

use super::LogOptions;
use super::of_store::OfStore;
use crate::error::problem_of;
use crate::job::Failure;
use paritas_connect::logs::{Ends, Log, Partition, Settings, Survey, Traces};
use paritas_connect::{Context, Store};
use paritas_digest::DigestKey;
use paritas_logs::content::{Namer, Timestamps};
use paritas_logs::coverage::{self, Coverage};
use paritas_logs::naming::{self, Policy};
use paritas_model::Known;
use paritas_report::Problem;
use paritas_verify::logs::{LogSide, NamedPair};
use paritas_verify::rows::Origin;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Both sides, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Both {
    pub(crate) source: LogSide,
    pub(crate) replica: LogSide,
}

impl Both {
    pub(crate) fn new(source: (&Arc<dyn Store>, &Context), replica: (&Arc<dyn Store>, &Context)) -> Self {
        Self { source: side(source.0, source.1), replica: side(replica.0, replica.1) }
    }
}

/// One side, ready to be asked.
pub(crate) fn side(store: &Arc<dyn Store>, cx: &Context) -> LogSide {
    LogSide::new(store.name(), Arc::new(OfStore(Arc::clone(store))), cx.clone())
}

/// What one side shows.
#[derive(Debug, Clone)]
pub(crate) struct Shows {
    pub(crate) survey: Survey,
    pub(crate) traces: Traces,
    pub(crate) settings: BTreeMap<String, Known<Settings>>,
    pub(crate) ends: BTreeMap<Partition, Known<Ends>>,
}

impl Shows {
    /// Asks a side for everything that it shows without reading any data.
    pub(crate) async fn of(side: &LogSide) -> paritas_connect::Result<Self> {
        let (logs, cx) = (&side.logs, &side.cx);
        let survey = cx.bound(logs.survey(cx)).await?;
        let data: Vec<&Log> = survey.logs.iter().filter(|log| !log.internal).collect();
        // Those of the store itself as well: its health depends on them.
        let names: Vec<String> = survey.logs.iter().map(|log| log.name.clone()).collect();
        let all = partitions(&data);
        let (traces, settings, ends) = tokio::join!(
            cx.bound(logs.traces(cx)),
            cx.bound(logs.settings(cx, &names)),
            cx.bound(logs.ends(cx, &all)),
        );
        let ends = all.into_iter().zip(ends?).collect();
        Ok(Self { survey, traces: traces?, settings: settings?, ends })
    }

    /// What cannot be seen.
    pub(crate) fn limits(&self) -> impl Iterator<Item = &String> {
        self.survey.limits.iter().chain(&self.traces.limits)
    }

    /// Whether a log belongs to the store itself or to a mirror, and is no data.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        let internal = self.survey.log(name).is_some_and(|log| log.internal);
        let mirrors = ["mm2-", "heartbeats"].iter().any(|prefix| name.starts_with(prefix));
        internal || mirrors || self.traces.logs.iter().any(|log| log == name)
    }

    /// The id of a log.
    pub(crate) fn id(&self, log: &str) -> Option<String> {
        self.survey.log(log)?.id.value().cloned()
    }

    /// A setting of a log.
    pub(crate) fn setting(&self, log: &str, name: &str) -> Option<&str> {
        self.settings.get(log)?.value()?.get(name)
    }

    /// The partitions of a log, and whether something may be in them.
    fn filled(&self, log: &str) -> Option<BTreeMap<i32, bool>> {
        let may_hold = |index: i32| {
            let ends = self.ends.get(&Partition::new(log, index)).and_then(Known::value);
            ends.is_none_or(|ends| ends.start < ends.end)
        };
        let states = self.survey.log(log)?.partitions.iter();
        Some(states.map(|state| (state.index, may_hold(state.index))).collect())
    }

    /// Logs in which nothing is.
    fn empty(&self) -> BTreeSet<String> {
        let mut filled = BTreeSet::new();
        for (partition, ends) in &self.ends {
            if ends.value().is_none_or(|ends| ends.start < ends.end) {
                filled.insert(partition.log.clone());
            }
        }
        self.survey.logs.iter().map(|log| log.name.clone()).filter(|name| !filled.contains(name)).collect()
    }
}

fn partitions(logs: &[&Log]) -> Vec<Partition> {
    let of = |log: &&Log| {
        let indices = log.partitions.iter().map(|state| state.index);
        indices.map(|index| Partition::new(log.name.clone(), index)).collect::<Vec<_>>()
    };
    logs.iter().flat_map(of).collect()
}

/// A log and its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirrored {
    pub(crate) source: String,
    pub(crate) replica: String,
    /// Partitions that both have, and those of one side alone that are not empty: what is in them has no copy.
    pub(crate) partitions: Vec<i32>,
}

/// What both sides show, and how they belong together.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) source: Shows,
    pub(crate) replica: Shows,
    pub(crate) policy: Policy,
    /// What the mirror calls the replica, where that is known.
    pub(crate) target: Option<String>,
    pub(crate) coverage: Coverage,
    pub(crate) notes: Vec<String>,
}

/// Which logs of a link are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Whether a log of the source is part of the link.
    pub(crate) takes: &'a (dyn Fn(&str) -> bool + Send + Sync),
    /// Whether somebody wrote down which are.
    pub(crate) told: bool,
    /// Names on the source that were given with their names on the replica.
    pub(crate) renamed: &'a [(String, String)],
}

/// Asks both sides, and finds out what is a copy of what.
pub(crate) async fn look(both: &Both, options: &LogOptions, wanted: &Wanted<'_>) -> Result<Seen, Failure> {
    let (ours, theirs) = tokio::join!(Shows::of(&both.source), Shows::of(&both.replica));
    let source = ours.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let replica = theirs.map_err(|error| (Origin::Replica, problem_of(&error)))?;
    if let (Some(ours), Some(theirs)) = (source.survey.cluster.value(), replica.survey.cluster.value())
        && ours == theirs
        && wanted.renamed.is_empty()
    {
        return Err((Origin::Comparison, one_cluster(ours)));
    }
    let naming = naming::detect(&source.survey, &replica.survey, (&source.traces, &replica.traces));
    let mut notes = naming.evidence.clone();
    let policy = match (told(options), naming.policy) {
        (Some(policy), _) => policy,
        (None, Known::Known(policy)) => policy,
        // Names that are given need no rule.
        (None, Known::Unknown { .. }) if !wanted.renamed.is_empty() => Policy::identity(),
        (None, Known::Unknown { why }) => return Err((Origin::Comparison, unnamed(&why))),
    };
    let nothing = BTreeMap::new();
    let judged = coverage::judge(
        &coverage::Sides {
            source: &source.survey,
            replica: &replica.survey,
            traces: (&source.traces, &replica.traces),
            policy: &policy,
            target: naming.target.as_deref(),
            settings: (&source.settings, &replica.settings),
            empty: &source.empty(),
            ids: (&nothing, &nothing),
            told: wanted.told,
        },
        &|name| (wanted.takes)(name),
    );
    let sides = [("source", &source), ("replica", &replica)];
    notes.extend(sides.iter().flat_map(|(name, side)| side.limits().map(move |limit| format!("{name}: {limit}"))));
    Ok(Seen { source, replica, policy, target: naming.target, coverage: judged, notes })
}

/// The rule that somebody wrote down.
fn told(options: &LogOptions) -> Option<Policy> {
    let separator = options.separator.clone().unwrap_or_else(|| naming::SEPARATOR.to_owned());
    match (options.identity, &options.alias) {
        (Some(true), alias) => Some(Policy::Identity { alias: alias.clone(), separator }),
        (_, Some(alias)) => Some(Policy::Prefix { alias: alias.clone(), separator }),
        (_, None) => None,
    }
}

fn one_cluster(cluster: &str) -> Problem {
    Problem {
        code: "usage.same".to_owned(),
        message: "source and replica are the same cluster".to_owned(),
        detail: Some(format!("Both say that they are {cluster}.")),
        hint: Some("name two clusters, or one topic of each: kafka://host/orders kafka://host/copy".to_owned()),
    }
}

fn unnamed(why: &str) -> Problem {
    Problem {
        code: "mirror.names".to_owned(),
        message: "it cannot be told which topic of the replica is a copy of which of the source".to_owned(),
        detail: Some(format!("{why}.")),
        hint: Some("write alias=A (the source's name in the mirror's configuration) or policy=identity".to_owned()),
    }
}

impl Seen {
    /// The logs of the link that both sides have, in the order of their names, those that were given by name first.
    pub(crate) fn mirrored(&self, wanted: &Wanted<'_>) -> Vec<Mirrored> {
        let mut all: Vec<Mirrored> = Vec::new();
        for (source, replica) in wanted.renamed {
            all.extend(self.both_have(source, replica));
        }
        for pair in &self.coverage.pairs {
            if !all.iter().any(|one| one.source == pair.source) {
                all.extend(self.both_have(&pair.source, &pair.replica));
            }
        }
        all
    }

    fn both_have(&self, source: &str, replica: &str) -> Option<Mirrored> {
        let (ours, theirs) = (self.source.filled(source)?, self.replica.filled(replica)?);
        let all: BTreeSet<i32> = ours.keys().chain(theirs.keys()).copied().collect();
        // One that only one side has, and that is empty, says nothing.
        let either = |index: &i32| match (ours.get(index), theirs.get(index)) {
            (Some(_), Some(_)) => true,
            (here, there) => here.or(there).is_some_and(|filled| *filled),
        };
        let partitions = all.into_iter().filter(either).collect();
        Some(Mirrored { source: source.to_owned(), replica: replica.to_owned(), partitions })
    }

    /// Their partitions and those of their copies, with how their records are named.
    pub(crate) fn pairs(&self, mirrored: &[Mirrored], options: &LogOptions, key: &DigestKey) -> Vec<NamedPair> {
        let of = |one: &Mirrored| {
            let policy = super::parity::policy(self, one, options);
            let namer = Arc::new(Namer::new(key, &one.source, policy.timestamps));
            let source_id = self.source.id(&one.source);
            let pair = move |index: &i32| NamedPair {
                source: Partition::new(one.source.clone(), *index),
                replica: Partition::new(one.replica.clone(), *index),
                source_id: source_id.clone(),
                namer: Arc::clone(&namer),
                times_kept: policy.timestamps == Timestamps::Compare,
            };
            one.partitions.iter().map(pair).collect::<Vec<_>>()
        };
        mirrored.iter().flat_map(of).collect()
    }

    /// Pairs of offsets that the mirror says belong together, in the order of the source's.
    pub(crate) fn syncs(&self, partition: &Partition) -> Vec<(u64, u64)> {
        let alias = self.policy.alias();
        let target = self.target.as_deref();
        // The source may be mirrored to other clusters as well.
        let here = self.source.traces.syncs.iter();
        let here = here.filter(|sync| sync.alias.is_none() || sync.alias.as_deref() == target);
        // On the replica syncs of several sources may lie side by side.
        let there = self.replica.traces.syncs.iter();
        let there = there.filter(|sync| alias.is_none() || sync.alias.is_none() || sync.alias.as_deref() == alias);
        let of = here.chain(there).filter(|sync| sync.partition == *partition);
        let mut pairs: Vec<(u64, u64)> = of
            .filter_map(|sync| Some((u64::try_from(sync.upstream).ok()?, u64::try_from(sync.downstream).ok()?)))
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}
