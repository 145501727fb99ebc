//! The source is gone: what its last snapshot holds is looked for on the replica, and its groups are placed there.

use super::super::parity::{self, Terms};
use super::super::seen::{Both, Shows, Wanted};
use super::super::stored::{LogKept, PartitionKept, Snapshot};
use super::super::{LogOptions, offsets};
use super::{Findings, Loss, groups};
use paritas_connect::logs::{Checkpoint, Log, Partition};
use paritas_logs::content::{Chain, Namer, Timestamps};
use paritas_model::Verdict;
use paritas_report::{Check, NotChecked, counted};
use paritas_verify::logs::{self, Facing, Kept, NamedPair, Topic};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A topic of the snapshot and its copy.
struct Copied<'a> {
    kept: &'a LogKept,
    copy: &'a Log,
    topic: Topic,
}

/// Holds the snapshot against the replica.
pub(super) async fn examine(
    both: &Both,
    replica: &Shows,
    snapshot: &Snapshot,
    wanted: &Wanted<'_>,
    log_options: &LogOptions,
    terms: &Terms<'_>,
    found: &mut Findings,
) -> Loss {
    let mut absent = 0_u64;
    let mut copied = Vec::new();
    for kept in snapshot.logs.iter().filter(|log| (wanted.takes)(&log.name)) {
        match copy_of(kept, snapshot, replica, wanted) {
            Some(copy) => {
                absent = absent.saturating_add(without_copy(kept, copy, found));
                copied.extend(faced(kept, copy, replica, log_options, found));
            }
            None => absent = absent.saturating_add(no_copy(kept, wanted.told, found)),
        }
    }
    let topics: Vec<Topic> = copied.iter().map(|one| one.topic.clone()).collect();
    let outcomes = logs::against(&terms.request(both, &topics)).await;
    place(both, replica, snapshot, &copied, log_options, terms, found).await;
    unplaced(snapshot, &copied, wanted, log_options, found);
    let names: Vec<String> = copied.iter().map(|one| one.copy.name.clone()).collect();
    let outcomes = topics.into_iter().zip(names).zip(outcomes);
    let outcomes = outcomes.map(|((topic, replica), outcome)| (topic, replica, outcome)).collect();
    Loss { outcomes, alive: false, taken_at: Some(snapshot.taken_at.clone()), absent, torn: None }
}

fn copy_of<'a>(kept: &LogKept, snapshot: &Snapshot, replica: &'a Shows, wanted: &Wanted<'_>) -> Option<&'a Log> {
    let given = wanted.renamed.iter().find(|(source, _)| *source == kept.name).map(|(_, replica)| replica.clone());
    let named = || snapshot.naming.as_ref().and_then(|naming| naming.on_replica(&kept.name));
    given.or_else(named).and_then(|name| replica.survey.log(&name))
}

fn records(partition: &PartitionKept) -> u64 {
    partition.chain.as_ref().map_or(0, Chain::records)
}

/// A topic that the replica has not: what somebody wrote down as part of the link is lost.
fn no_copy(kept: &LogKept, told: bool, found: &mut Findings) -> u64 {
    let lost: u64 = kept.partitions.iter().map(records).sum();
    let why = "the replica has no copy of it, or it is not known how the mirror names it".to_owned();
    found.not_checked.push(NotChecked { what: format!("topic {}", kept.name), why });
    if kept.partitions.iter().all(|partition| partition.start == partition.end) {
        return 0;
    }
    let hint = "exclude it from the link if it is not to be mirrored, or say how the mirror names topics";
    let text = format!("topic {} of the snapshot has no copy on the replica", kept.name);
    found.reason(if told { Verdict::Fail } else { Verdict::Unknown }, text, Some(hint));
    if told { lost } else { 0 }
}

/// Partitions that the replica has not: all that the snapshot holds of them is lost.
fn without_copy(kept: &LogKept, copy: &Log, found: &mut Findings) -> u64 {
    let mut lost = 0_u64;
    for partition in &kept.partitions {
        let there = copy.partitions.iter().any(|state| state.index == partition.index);
        if there || partition.start == partition.end {
            continue;
        }
        lost = lost.saturating_add(records(partition));
        let held = counted(records(partition), "record");
        let text = format!("{}/{} is not on the replica: {held} of the snapshot are lost", kept.name, partition.index);
        found.reason(Verdict::Fail, text, None);
    }
    lost
}

fn faced<'a>(
    kept: &'a LogKept,
    copy: &'a Log,
    replica: &Shows,
    log_options: &LogOptions,
    found: &mut Findings,
) -> Option<Copied<'a>> {
    let there = kept.partitions.iter().filter(|kept| copy.partitions.iter().any(|state| state.index == kept.index));
    let facing = there.map(|partition| Facing {
        source: Partition::new(kept.name.clone(), partition.index),
        replica: Partition::new(copy.name.clone(), partition.index),
        syncs: Vec::new(),
        stored: partition.chain.clone(),
        source_id: kept.id.clone(),
        replica_id: replica.id(&copy.name),
    });
    let facing: Vec<Facing> = facing.collect();
    let Some(chain) = facing.iter().find_map(|facing| facing.stored.as_ref()) else {
        let why = "the snapshot holds its positions only".to_owned();
        found.not_checked.push(NotChecked { what: format!("content of {}", kept.name), why });
        return None;
    };
    let own = parity::policy_of(replica, &copy.name, log_options);
    let policy = paritas_logs::content::Policy { timestamps: chain.terms.timestamps, ..own };
    let doubt = parity::doubt(log_options, [(replica, copy.name.as_str())]);
    Some(Copied { kept, copy, topic: Topic { name: kept.name.clone(), policy, doubt, facing } })
}

/// Groups that stood in partitions whose records the snapshot cannot place: what is said of the others is not all.
fn unplaced(
    snapshot: &Snapshot,
    copied: &[Copied<'_>],
    wanted: &Wanted<'_>,
    log_options: &LogOptions,
    found: &mut Findings,
) {
    let ordered = copied.iter().filter(|one| !one.topic.policy.compacted).flat_map(|one| &one.topic.facing);
    let placed: BTreeSet<&Partition> =
        ordered.filter(|facing| facing.stored.is_some()).map(|facing| &facing.source).collect();
    for group in snapshot.groups.iter().filter(|group| log_options.takes_group(&group.name)) {
        let own = group.offsets.iter().map(|(partition, _)| partition).filter(|one| (wanted.takes)(&one.log));
        let open = own.filter(|partition| !placed.contains(partition)).count() as u64;
        if open > 0 {
            let count = counted(open, "partition");
            let text = format!("where group {} would go on in {count} is not known from the snapshot", group.name);
            found.reason(Verdict::Unknown, text, Some("compare its position by hand before it goes on"));
        }
    }
}

/// Where the groups of the snapshot would go on.
async fn place(
    both: &Both,
    replica: &Shows,
    snapshot: &Snapshot,
    copied: &[Copied<'_>],
    log_options: &LogOptions,
    terms: &Terms<'_>,
    found: &mut Findings,
) {
    let mut pairs = Vec::new();
    let mut kept = Kept::default();
    for one in copied.iter().filter(|one| !one.topic.policy.compacted) {
        let timestamps = one.topic.policy.timestamps;
        let namer = Arc::new(Namer::new(terms.key, &one.topic.name, timestamps));
        for facing in &one.topic.facing {
            let partition = one.kept.partitions.iter().find(|partition| partition.index == facing.source.index);
            let Some((partition, chain)) = partition.and_then(|kept| Some((kept, kept.chain.as_ref()?))) else {
                continue;
            };
            // Made with another key its records have other names.
            if chain.terms != paritas_logs::content::Terms::new(terms.key, &one.topic.name, timestamps) {
                continue;
            }
            kept.partitions.insert(facing.source.clone(), (chain, partition.end));
            pairs.push(NamedPair {
                source: facing.source.clone(),
                replica: facing.replica.clone(),
                source_id: facing.source_id.clone(),
                namer: Arc::clone(&namer),
                times_kept: timestamps == Timestamps::Compare,
            });
        }
    }
    for group in &snapshot.groups {
        kept.groups.insert(group.name.clone(), group.offsets.iter().cloned().collect());
    }
    let alias = snapshot.naming.as_ref().and_then(|naming| naming.alias());
    let noted = replica.traces.checkpoints.iter();
    let noted: Vec<Checkpoint> = noted.filter(|one| alias.is_none_or(|alias| alias == one.alias)).cloned().collect();
    let certified = offsets::check_kept(&both.replica, &kept, &pairs, &noted, log_options).await;
    if let Some(Check::Offsets(check)) = certified {
        groups(&check, found);
        found.checks.push(Check::Offsets(check));
    }
}
