//! Snapshots of sources of logs: what is kept for the time when a source is gone.

use super::LogOptions;
use super::parity::{Terms, policy, policy_of};
use super::seen::{Both, Mirrored, Seen, Shows, Wanted, look, side};
use super::sparing::{Before, cleaned, noted, reading, sparing};
use crate::ThriftOptions;
use crate::error::problem_of;
use crate::job::Failure;
use crate::keep::Keeper;
use crate::record::sided;
use jiff::Timestamp;
use paritas_connect::logs::{Ends, Group, Partition};
use paritas_connect::{Context, FailureKind};
use paritas_logs::content::Chain;
use paritas_logs::naming::Policy as Naming;
use paritas_model::{Known, Verdict};
use paritas_report::{Check, NotChecked, Problem, SnapshotCheck};
use paritas_state::{State, Which};
use paritas_verify::logs::{self, Facing, KeptChain, Led, TakenTopic, Topic, Turn};
use paritas_verify::rows::Origin;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The version of the document.
const SNAPSHOT_VERSION: u32 = 1;
/// Records at the end of every partition that are kept one by one, so that what was lost behind the last mirrored
/// record can be counted and found by its offset, and groups can be placed by content.
const TRAIL: usize = 10_000;

/// What a source of logs held at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Version of this document.
    pub(crate) version: u32,
    /// When it was begun, RFC 3339 in UTC, by the clock of the machine that runs Paritas.
    pub(crate) taken_at: String,
    /// What tells the cluster from every other.
    pub(crate) cluster: Option<String>,
    /// How the mirror names logs, where that could be found out.
    pub(crate) naming: Option<Naming>,
    /// The logs.
    pub(crate) logs: Vec<LogKept>,
    /// Offsets of groups.
    pub(crate) groups: Vec<GroupKept>,
}

/// One log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LogKept {
    /// Its name on the source.
    pub(crate) name: String,
    /// Another one for every log that was ever made.
    pub(crate) id: Option<String>,
    /// How it is cleaned, where that leaves records between others as they are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) cleaned: Option<String>,
    /// Its partitions.
    pub(crate) partitions: Vec<PartitionKept>,
}

/// One partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PartitionKept {
    /// Its number.
    pub(crate) index: i32,
    /// The first offset that could be read.
    pub(crate) start: u64,
    /// The end of all records.
    pub(crate) end: u64,
    /// The end of those that readers of committed records can have.
    pub(crate) stable: u64,
    /// Its content; absent where only positions were asked for, or it could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) chain: Option<Chain>,
    /// When its segments were read, in seconds since 1970: how many in order, and when.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) read_at: Vec<(u64, i64)>,
    /// How it was led then.
    #[serde(default)]
    pub(crate) led: Led,
}

/// What a group had committed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GroupKept {
    /// Its name.
    pub(crate) name: String,
    /// Partition and the next offset that it wants.
    pub(crate) offsets: Vec<(Partition, u64)>,
}

impl Snapshot {
    /// The newest snapshot of a link that can be used.
    pub(crate) fn newest(state: Option<&State>, link: &str) -> Option<(ulid::Ulid, Self)> {
        let (id, json) = state?.load_snapshot(link, Which::Last).ok()?;
        Self::read(&json).map(|snapshot| (id, snapshot))
    }

    /// The same, or why it cannot be used.
    pub(super) fn last(state: Option<&State>, link: &str) -> Result<Option<(ulid::Ulid, Self)>, String> {
        let Some(state) = state else { return Ok(None) };
        match state.load_snapshot(link, Which::Last) {
            Ok((id, json)) => match Self::read(&json) {
                Some(snapshot) => Ok(Some((id, snapshot))),
                None => Err("it cannot be understood, or is of another version".to_owned()),
            },
            Err(error) if error.code() == "state.missing" => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A snapshot from its document.
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        let snapshot: Self = serde_json::from_slice(json).ok()?;
        (snapshot.version == SNAPSHOT_VERSION).then_some(snapshot)
    }

    /// The chains of logs that are still the same, by partition.
    pub(crate) fn chains(&self, id: &dyn Fn(&str) -> Option<String>) -> BTreeMap<Partition, Chain> {
        let mut chains = BTreeMap::new();
        for log in self.logs.iter().filter(|log| log.id == id(&log.name)) {
            for partition in &log.partitions {
                if let Some(chain) = &partition.chain {
                    chains.insert(Partition::new(log.name.clone(), partition.index), chain.clone());
                }
            }
        }
        chains
    }

    /// Partitions, records and groups.
    fn sizes(&self) -> (u64, u64, u64) {
        let partitions = || self.logs.iter().flat_map(|log| &log.partitions);
        let records = partitions().filter_map(|partition| partition.chain.as_ref()).map(Chain::records).sum();
        (partitions().count() as u64, records, self.groups.len() as u64)
    }
}

/// What is asked of a snapshot.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) link: &'a str,
    pub(crate) options: &'a LogOptions,
    pub(crate) wanted: &'a Wanted<'a>,
    /// Whether content is read, and not only positions.
    pub(crate) content: bool,
    /// What is taken over from the snapshot before.
    pub(crate) thrift: ThriftOptions,
}

/// Takes a snapshot of the source and keeps it. The replica may be away.
pub(crate) async fn take(
    both: &Both,
    asked: &Asked<'_>,
    terms: &Terms<'_>,
    keeper: &Keeper,
) -> (Check, Vec<NotChecked>) {
    let began = Instant::now();
    let (mut check, mut not_checked) = match made(both, asked, terms, keeper).await {
        Ok(made) => made,
        Err((origin, problem)) => {
            let problem = Some(sided(origin, problem));
            (SnapshotCheck { problem, ..empty() }, Vec::new())
        }
    };
    if keeper.state().is_none() {
        let why = "there is no state folder: name one with --state DIR, or set `state` in [paritas]".to_owned();
        not_checked.push(NotChecked { what: "snapshot".to_owned(), why });
    }
    check.seconds = began.elapsed().as_secs_f64();
    (Check::Snapshot(check), not_checked)
}

fn empty() -> SnapshotCheck {
    SnapshotCheck {
        verdict: Verdict::Unknown,
        snapshot: None,
        after: None,
        logs: 0,
        partitions: 0,
        records: 0,
        records_read: 0,
        reading: None,
        groups: 0,
        bytes: 0,
        seconds: 0.0,
        kept: None,
        notes: Vec::new(),
        problem: None,
    }
}

async fn made(
    both: &Both,
    asked: &Asked<'_>,
    terms: &Terms<'_>,
    keeper: &Keeper,
) -> Result<(SnapshotCheck, Vec<NotChecked>), Failure> {
    let taken_at = Timestamp::now().to_string();
    let of_source = |error: paritas_connect::Error| (Origin::Source, problem_of(&error));
    // Groups first: what they have committed lies before the ends.
    let (groups, unlisted) = groups(both, asked.options).await.map_err(of_source)?;
    let shows = Shows::of(&both.source).await.map_err(of_source)?;
    let mut check = empty();
    let seen = match look(both, asked.options, asked.wanted).await {
        Ok(seen) => Some(seen),
        Err((origin, problem)) => {
            let problem = sided(origin, problem);
            check.notes.push(format!("how the mirror names topics is not part of it: {}", problem.message));
            None
        }
    };
    let (before_id, before) = match Snapshot::last(keeper.state(), asked.link) {
        Ok(Some((id, old))) => (Some(id), Ok(Some(old))),
        Ok(None) => (None, Ok(None)),
        Err(why) => (None, Err(why)),
    };
    let topics = topics(&shows, seen.as_ref(), asked);
    let due = turns(&before, asked.thrift);
    let mut sparing = sparing(&before, (&shows, asked.options), asked.thrift, &due);
    let mut snapshot = Snapshot {
        version: SNAPSHOT_VERSION,
        taken_at,
        cluster: shows.survey.cluster.value().cloned(),
        naming: seen.map(|seen| seen.policy),
        logs: Vec::new(),
        groups: kept_groups(&groups, asked.options),
    };
    let mut whole = unlisted.is_none() && groups.iter().all(|group| group.offsets.value().is_some());
    let mut not_checked: Vec<NotChecked> = unlisted.iter().map(unlisted_groups).collect();
    let read: Vec<TakenTopic> = if asked.content {
        let (taken, spared) = logs::snapshot_sparing(&terms.request(both, &topics), TRAIL, sparing).await;
        check.reading = Some(reading(&spared));
        check.problem = spared.wrong.as_ref().map(|error| sided(Origin::Source, problem_of(error)));
        whole &= spared.wrong.is_none();
        taken
    } else {
        // What an earlier snapshot says of the content is still true, as far as it went.
        let mut stored = |facing: &Facing| sparing.kept.remove(&facing.source);
        topics.iter().map(|topic| (logs::Outcome::default(), topic.facing.iter().map(&mut stored).collect())).collect()
    };
    let mut read = read.into_iter();
    for topic in &topics {
        let (outcome, chains) = read.next().unwrap_or_default();
        let reads = outcome.partitions.iter().filter_map(|window| window.source_read.as_ref());
        check.records_read += reads.map(|read| read.records.saturating_sub(read.stored)).sum::<u64>();
        let problems = unread(topic, &outcome);
        whole &= problems.is_empty();
        not_checked.extend(problems);
        snapshot.logs.push(kept(topic, &shows, asked.options, chains));
    }
    (check.partitions, check.records, check.groups) = snapshot.sizes();
    check.logs = snapshot.logs.len() as u64;
    check.after = before_id.filter(|_| asked.content && !asked.thrift.full).map(|id| id.to_string());
    keep(&mut check, &snapshot, asked.link, keeper, whole);
    Ok((check, not_checked))
}

/// What groups have committed, or why they may not be seen.
async fn groups(both: &Both, options: &LogOptions) -> paritas_connect::Result<(Vec<Group>, Option<Problem>)> {
    if options.groupless {
        return Ok((Vec::new(), None));
    }
    let cx = &both.source.cx;
    match cx.bound(both.source.logs.groups(cx, None)).await {
        Ok(groups) => Ok((groups, None)),
        // What may be seen of topics is worth keeping all the same.
        Err(error) if error.kind() == FailureKind::Denied => Ok((Vec::new(), Some(problem_of(&error)))),
        Err(error) => Err(error),
    }
}

/// Groups that may be there and could not be listed.
fn unlisted_groups(problem: &Problem) -> NotChecked {
    let hint = problem.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
    NotChecked { what: "consumer groups".to_owned(), why: format!("{}{hint}", problem.message) }
}

/// What of a topic could not be read.
fn unread(topic: &Topic, outcome: &logs::Outcome) -> Vec<NotChecked> {
    let windows =
        outcome.partitions.iter().filter_map(|window| Some((window.source.to_string(), window.problem.as_ref()?)));
    let whole = outcome.problem.as_ref().map(|problem| (topic.name.clone(), problem));
    let left_out = |(what, (origin, error)): (String, &(Origin, paritas_connect::Error))| {
        let why = sided(*origin, problem_of(error)).message;
        NotChecked { what: format!("content of {what}"), why }
    };
    windows.chain(whole).map(left_out).collect()
}

/// Keeps a snapshot; what keeps it from being kept is part of the check.
fn keep(check: &mut SnapshotCheck, snapshot: &Snapshot, link: &str, keeper: &Keeper, whole: bool) {
    let json = serde_json::to_vec(snapshot).unwrap_or_default();
    check.bytes = json.len() as u64;
    match keeper.state().map(|state| state.save_snapshot(link, keeper.id(), &json)) {
        Some(Ok(_)) => {
            check.snapshot = Some(keeper.id().to_string());
            check.verdict = if whole { Verdict::Pass } else { Verdict::Unknown };
        }
        Some(Err(error)) => {
            let hint = Some(error.hint_text().to_owned());
            let detail = error.detail_text().map(str::to_owned);
            let (code, message) =
                (error.code().to_owned(), format!("the snapshot cannot be kept: {}", error.message()));
            check.problem = Some(Problem { code, message, detail, hint });
        }
        None => {}
    }
}

/// The logs of the source that belong to the link. Their own partitions stand in for those of the replica, which is
/// not asked.
fn topics(shows: &Shows, seen: Option<&Seen>, asked: &Asked<'_>) -> Vec<Topic> {
    let mirrored: Vec<Mirrored> = seen.map(|seen| seen.mirrored(asked.wanted)).unwrap_or_default();
    let logs = shows.survey.logs.iter().filter(|log| !shows.is_own(&log.name));
    let mut topics = Vec::new();
    for log in logs.filter(|log| (asked.wanted.takes)(&log.name)) {
        let facing = log.partitions.iter().map(|state| {
            let source = Partition::new(log.name.clone(), state.index);
            Facing {
                stored: None,
                replica: source.clone(),
                syncs: Vec::new(),
                source_id: shows.id(&log.name),
                replica_id: None,
                source,
            }
        });
        // Made the way in which it will be compared.
        let policy = match (seen, mirrored.iter().find(|one| one.source == log.name)) {
            (Some(seen), Some(one)) => policy(seen, one, asked.options),
            _ => policy_of(shows, &log.name, asked.options),
        };
        topics.push(Topic { name: log.name.clone(), policy, doubt: None, facing: facing.collect() });
    }
    topics
}

fn kept(topic: &Topic, shows: &Shows, options: &LogOptions, chains: Vec<Option<KeptChain>>) -> LogKept {
    let mut chains = chains.into_iter();
    let partition = |facing: &Facing| {
        let chain = chains.next().flatten();
        let ends = shows.ends.get(&facing.source).and_then(Known::value);
        ends.map(|Ends { start, end, stable, .. }| {
            let (index, read_at, led) = (facing.source.index, Vec::new(), Led::default());
            let partition =
                PartitionKept { index, start: *start, end: *end, stable: *stable, chain: None, read_at, led };
            noted(partition, chain)
        })
    };
    let partitions = topic.facing.iter().filter_map(partition).collect();
    let cleaned = cleaned(shows, &topic.name, options).ok();
    LogKept { name: topic.name.clone(), id: shows.id(&topic.name), cleaned, partitions }
}

/// Which segments are read again in turn, by the time since the snapshot before.
fn turns(before: &Before, thrift: ThriftOptions) -> impl Fn(Vec<Turn>, usize) -> BTreeSet<(usize, u64)> + use<> {
    let now = Timestamp::now().as_second();
    let taken_at = before.as_ref().ok().and_then(|before| before.as_ref()?.taken_at.parse::<Timestamp>().ok());
    let before = taken_at.map_or(now, Timestamp::as_second);
    move |units, total| crate::snapshot::cheap::have_their_turn(units, total, (before, now), thrift.within)
}

fn kept_groups(groups: &[Group], options: &LogOptions) -> Vec<GroupKept> {
    let taken = groups.iter().filter(|group| options.takes_group(&group.name));
    let kept = taken.filter_map(|group| {
        let offsets = group.offsets.value()?;
        let offsets = offsets.iter().map(|(partition, committed)| (partition.clone(), committed.offset)).collect();
        Some(GroupKept { name: group.name.clone(), offsets })
    });
    kept.filter(|group| !group.offsets.is_empty()).collect()
}

/// Both sides of a snapshot with one context.
pub(crate) fn both(source: &crate::registry::Opened, replica: &crate::registry::Opened, cx: &Context) -> Both {
    Both { source: side(&source.store, cx), replica: side(&replica.store, cx) }
}
