//! Groups of consumers: what they are doing, and what they have committed.

use crate::bindings::{CommitsSeen, Fault, GroupState, Operations, Request};
use crate::client::{Line, SLICE};
use crate::codes;
use crate::errors::{On, meaning};
use crate::survey;
use paritas_connect::logs::{Committed, Group};
use paritas_connect::{Context, Error, FailureKind, Result};
use paritas_model::Known;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Groups whose requests are under way at once. The library takes one group a request for what is committed.
const AT_ONCE_MAX: usize = 256;
/// Groups whose coordinator is being moved are asked again, this often in all.
const ATTEMPTS_MAX: usize = 4;
/// Where brokers keep what groups commit.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The state of a group that is not there, in the brokers' words.
const DEAD: &str = "Dead";

/// These groups, or all that may be seen, sorted by name. Blocks.
pub(crate) fn groups(line: &Line, cx: &Context, names: Option<&[String]>) -> Result<Vec<Group>> {
    let names: BTreeSet<String> = match names {
        Some(names) => names.iter().cloned().collect(),
        None => listed(line, cx)?,
    };
    let mut names: Vec<String> = names.into_iter().collect();
    let mut groups = BTreeMap::new();
    if !names.is_empty() && nobody_committed(line, cx)? {
        let now = Instant::now();
        let none = |name: String| {
            group(line, &name, Err(Fault::of(codes::GROUP_MISSING)), Err(Fault::of(codes::GROUP_MISSING)), (now, now))
        };
        return Ok(names.into_iter().map(none).collect());
    }
    for attempt in 1..=ATTEMPTS_MAX {
        let mut again = Vec::new();
        for some in names.chunks(AT_ONCE_MAX) {
            again.extend(asked(line, cx, some, attempt == ATTEMPTS_MAX, &mut groups)?);
        }
        names = again;
        if names.is_empty() {
            break;
        }
        std::thread::sleep(SLICE);
    }
    Ok(groups.into_values().collect())
}

/// Whether no group has ever been in this cluster. To ask for one would make the brokers begin to keep some.
fn nobody_committed(line: &Line, cx: &Context) -> Result<bool> {
    let topics = survey::topics(line, cx, &[OFFSETS_TOPIC.to_owned()])?;
    Ok(topics.iter().any(|topic| topic.fault.as_ref().is_some_and(|fault| fault.code == codes::UNKNOWN_TOPIC)))
}

/// The names of all groups. A broker that does not tell its groups would leave some out, and is an error; so is a user who
/// may not see the cluster, because brokers leave out what that one may not see and do not say so.
fn listed(line: &Line, cx: &Context) -> Result<BTreeSet<String>> {
    let doing = "list groups";
    if line.is_uncontrolled() && line.overview(cx)?.controller.is_none() {
        let message =
            format!("{}: whether there are groups that this user may not see is not known", survey::UNCONTROLLED);
        return Err(Error::new(FailureKind::Transient, "store.busy", message).hint("ask again when one is elected"));
    }
    let mut answers = line.ask(cx, doing, &[Request::Groups, Request::Cluster])?.into_iter();
    let mut next = || answers.next().ok_or_else(|| Fault::of(codes::NO_ENTRY));
    let failed = |fault: &Fault| line.failed(cx, doing, fault, "Describe", On::Cluster);
    let groups = next().and_then(|answer| answer.event.groups()).map_err(|fault| failed(&fault))?;
    if let Some(fault) = groups.faults.first() {
        return Err(failed(fault));
    }
    let allowed = next().and_then(|answer| answer.event.cluster_operations()).map_err(|fault| failed(&fault))?;
    if allowed.is_some_and(|allowed| allowed.allow(Operations::DESCRIBE)) {
        return Ok(groups.names.into_iter().collect());
    }
    let message = "groups that this user may not describe are not listed, so there may be more";
    Err(Error::new(FailureKind::Denied, "store.denied", message).hint(line.asker.grant("Describe", On::Cluster)))
}

/// Asks for some groups; returns those that have to be asked again.
fn asked(
    line: &Line,
    cx: &Context,
    names: &[String],
    last: bool,
    groups: &mut BTreeMap<String, Group>,
) -> Result<Vec<String>> {
    let commits = names.iter().map(|name| Request::Commits(name));
    let requests: Vec<_> = std::iter::once(Request::GroupStates(names)).chain(commits).collect();
    let asked = Instant::now();
    let mut answers = line.ask(cx, "ask for groups", &requests)?.into_iter();
    let states = answers.next().map(|answer| answer.event.group_states());
    let states = match states {
        Some(Ok(states)) => states.into_iter().map(|state| (state.group.clone(), Ok(state))).collect(),
        Some(Err(fault)) => names.iter().map(|name| (name.clone(), Err(fault.clone()))).collect(),
        None => BTreeMap::new(),
    };
    let mut again = Vec::new();
    for (name, answer) in names.iter().zip(answers) {
        let commits = answer.event.commits();
        let state = states.get(name).cloned().unwrap_or_else(|| Err(Fault::of(codes::NO_ENTRY)));
        let state = state.and_then(|state| match &state.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(state),
        });
        let busy = |fault: &Fault| meaning(fault.code).1 == "store.busy";
        if !last && (commits.as_ref().is_err_and(busy) || state.as_ref().is_err_and(busy)) {
            again.push(name.clone());
            continue;
        }
        groups.insert(name.clone(), group(line, name, state, commits, (asked, answer.at)));
    }
    Ok(again)
}

fn group(
    line: &Line,
    name: &str,
    state: Result<GroupState, Fault>,
    commits: Result<CommitsSeen, Fault>,
    (asked, answered): (Instant, Instant),
) -> Group {
    let why = |fault: &Fault| match fault.code {
        codes::GROUP_DENIED => format!("not permitted: {}", line.asker.grant("Describe", On::Group(name))),
        codes::TOPIC_DENIED => format!("not permitted ({}): the topics of the group need Describe as well", fault.said),
        _ => fault.said.clone(),
    };
    let (state, members) = match state {
        Ok(state) => (Known::Known(state.state), Known::Known(state.members)),
        Err(fault) if fault.code == codes::GROUP_MISSING => (Known::Known(DEAD.to_owned()), Known::Known(Vec::new())),
        Err(fault) => (Known::unknown(why(&fault)), Known::unknown(why(&fault))),
    };
    let offsets = match commits {
        // Partitions without a commit have a negative offset.
        Ok(seen) => Known::Known(
            seen.commits
                .into_iter()
                .filter_map(|(partition, offset, metadata)| {
                    Some((partition, Committed { offset: u64::try_from(offset).ok()?, metadata }))
                })
                .collect(),
        ),
        Err(fault) if fault.code == codes::GROUP_MISSING => Known::Known(BTreeMap::new()),
        Err(fault) => Known::unknown(why(&fault)),
    };
    Group { name: name.to_owned(), state, members, offsets, asked, answered }
}
