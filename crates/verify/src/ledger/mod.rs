//! Reconciling figures of groups: counts, exact sums, extremes and balances on two sides.
//!
//! Each side is read once, from figures that the store makes or from its rows, into groups that take no more
//! memory than allowed ([`table`]). On a live link the replica's view is pinned behind a fence, and groups
//! that break the rule are suspects: they are read again around fences ([`confirm`]). What never settles there
//! is left to its rows, where they have a key, and otherwise unproven.

mod amounts;
mod confirm;
mod judge;
mod kept;
mod outcome;
mod plan;
mod reading;
mod shown;
mod spill;
mod table;

pub use kept::{Against, Compared, Groups, Keeping, against, keep};
pub use outcome::{Item, Outcome, SideOutcome};
pub use plan::{Asked, LedgerPlan, SidePlan};

use crate::Side;
use crate::fence::{Fence, fence};
use crate::rows::{self, Failure, Origin, Phase};
use confirm::{Confirmed, Pair, Suspects, confirm};
use paritas_connect::Error;
use paritas_ledger::{Deviation, Figures};
use paritas_model::{Difference, Position, Proof, Value};
use reading::{Read, Reader};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

/// Groups that are read again on a live link, at most.
const SUSPECTS_MAX: usize = 100_000;

/// One reconciliation to carry out.
pub struct Request<'a> {
    /// The source.
    pub source: &'a Side,
    /// The replica.
    pub replica: &'a Side,
    /// What to read and what is asked of it.
    pub plan: &'a LedgerPlan,
    /// Whether the replica follows the source, so that positions and fences mean something.
    pub live: bool,
    /// Bytes of memory that groups of both sides may take together, roughly.
    pub memory_max: usize,
    /// Most groups to list.
    pub items_max: usize,
    /// How long to wait for fences and for groups to settle.
    pub settle: Duration,
    /// How to compare the rows behind the figures by their key, where they have one.
    pub rows: Option<&'a rows::Request<'a>>,
    /// Told about every phase.
    pub watch: &'a (dyn Fn(Phase) + Send + Sync),
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("plan", &self.plan).field("live", &self.live).finish_non_exhaustive()
    }
}

/// Reconciles. Never fails as a whole: what went wrong is part of the outcome.
pub async fn verify(request: &Request<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(failure) = run(request, &mut outcome).await {
        outcome.complete = false;
        outcome.problem = Some(failure);
    }
    outcome
}

async fn run(request: &Request<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
    (request.watch)(Phase::Digesting);
    let (source, replica, fenced) = read_both(request, outcome).await?;
    let by_store = source.rows_because.is_none() && replica.rows_because.is_none();
    let mut broken = tally(request, source, replica, outcome)?;
    outcome.complete = true;
    if !request.live {
        outcome.mismatched = broken.total;
        outcome.items_truncated = broken.total > broken.kept.len() as u64;
        list(request, broken.kept, Proof::Proven, outcome);
        return Ok(());
    }
    if broken.total == 0 {
        return Ok(());
    }
    (request.watch)(Phase::Confirming);
    let mut left = broken.total - broken.kept.len() as u64;
    if left > 0 {
        outcome.notes.push(format!("{left} more groups differ and were not read again"));
    }
    let mut confirmed = if by_store && fenced {
        let Request { source, replica, plan, settle, .. } = *request;
        let patient = request.rows.is_none();
        confirm(Pair { source, replica, plan, settle, patient }, broken.kept).await
    } else {
        let why = "these groups cannot be read again by their columns".to_owned();
        Confirmed { open: std::mem::take(&mut broken.kept), why: Some(why), ..Confirmed::default() }
    };
    outcome.arrived = confirmed.arrived;
    let mut failure = confirmed.failure.take();
    let unsettled = !confirmed.open.is_empty() || left > 0;
    let mut behind = Vec::new();
    if unsettled && failure.is_none() && fenced && !breaks_balance(request, &confirmed.open) {
        match by_rows(request, outcome).await {
            Some(Ok(found)) => {
                behind = explained(request, &mut confirmed, found.groups);
                if found.all_named {
                    outcome.arrived += confirmed.open.len() as u64 + left;
                    (left, confirmed.open) = (0, Suspects::new());
                }
            }
            Some(Err(error)) => failure = Some(error),
            None => {}
        }
    }
    report(request, confirmed, left, outcome);
    outcome.mismatched += behind.len() as u64;
    let room = request.items_max.saturating_sub(outcome.items.len());
    outcome.items_truncated |= behind.len() > room;
    behind.truncate(room);
    outcome.items.splice(0..0, behind);
    failure.map_or(Ok(()), Err)
}

/// A group by the values of its columns.
type Named = Vec<(String, Value)>;

/// Takes groups with rows that are proven to differ out of those that are open.
fn explained(request: &Request<'_>, confirmed: &mut Confirmed, groups: Vec<Named>) -> Vec<Item> {
    let Confirmed { open, proven, .. } = confirmed;
    let text = |group: &Named| group.iter().map(|(name, value)| format!("{name}={value}\u{0}")).collect::<String>();
    let mut keys: HashMap<String, Vec<u8>> =
        open.keys().map(|key| (text(&shown::group(&request.plan.groups, key)), key.clone())).collect();
    let known: HashSet<String> = proven.keys().map(|key| text(&shown::group(&request.plan.groups, key))).collect();
    let item = |group: Named| {
        // A value that is written differently there is not found; the row names it all the same.
        let figures = keys.remove(&text(&group)).and_then(|key| open.remove(&key));
        let (source, replica) = figures.unwrap_or_default();
        Item { group, proof: Proof::Proven, deviations: vec![Deviation::Behind], source, replica }
    };
    groups.into_iter().filter(|group| !known.contains(&text(group))).map(item).collect()
}

/// Puts what was confirmed into the outcome.
fn report(request: &Request<'_>, confirmed: Confirmed, left: u64, outcome: &mut Outcome) {
    if outcome.arrived > 0 {
        let arrived = outcome.arrived;
        outcome.notes.push(format!("{arrived} groups were in flight when first read and have arrived"));
    }
    outcome.mismatched = confirmed.proven.len() as u64;
    outcome.unproven = confirmed.open.len() as u64 + left;
    outcome.items_truncated = left > 0;
    list(request, confirmed.proven, Proof::Proven, outcome);
    if outcome.unproven > 0 {
        outcome.notes.extend(confirmed.why);
    }
    list(request, confirmed.open, Proof::Unproven, outcome);
}

/// Whether a group is open only because its balance was never seen to stand still. Equal rows say nothing about that.
fn breaks_balance(request: &Request<'_>, open: &Suspects) -> bool {
    let rule = &request.plan.rule;
    rule.columns.iter().any(|column| column.zero_sum)
        && open.values().any(|(a, b)| {
            let found = rule.deviations(a.as_ref(), b.as_ref());
            found.iter().any(|deviation| !deviation.is_between())
        })
}

/// Adds groups to the list, as long as there is room.
fn list(request: &Request<'_>, groups: Suspects, proof: Proof, outcome: &mut Outcome) {
    let rule = &request.plan.rule;
    for (key, (source, replica)) in groups {
        if outcome.items.len() >= request.items_max {
            outcome.items_truncated = true;
            return;
        }
        let group = shown::group(&request.plan.groups, &key);
        let deviations = rule.deviations(source.as_ref(), replica.as_ref());
        outcome.items.push(Item { group, proof, deviations, source, replica });
    }
}

/// Reads both sides at the same time; says whether the replica's view is behind a fence.
async fn read_both(request: &Request<'_>, outcome: &mut Outcome) -> Result<(Read, Read, bool), Failure> {
    let (ours, theirs) = table::spills();
    let at = |origin: Origin| move |error: Error| (origin, error);
    let reader = |side, plan, spill| Reader {
        side,
        plan,
        groups: &request.plan.groups,
        rule: &request.plan.rule,
        memory_max: request.memory_max / 2,
        spill,
        held: None,
    };
    let source = reader(request.source, &request.plan.source, ours);
    let replica = reader(request.replica, &request.plan.replica, theirs);
    let opened = source.open().await.map_err(at(Origin::Source))?;
    let reading = async { source.read(opened).await.map_err(at(Origin::Source)) };
    let following = async {
        let fenced =
            if request.live { Some(fence(request.source, request.replica, request.settle).await?) } else { None };
        let opened = replica.open().await.map_err(at(Origin::Replica))?;
        Ok((replica.read(opened).await.map_err(at(Origin::Replica))?, fenced))
    };
    // Both run to their ends even when one fails: what the other side found is not lost.
    let (ours, theirs) = futures_util::future::join(reading, following).await;
    if let Ok(read) = &ours {
        noted(&mut outcome.source, read);
    }
    if let Ok((read, fenced)) = &theirs {
        noted(&mut outcome.replica, read);
        match fenced {
            Some(Fence::Reached(position)) => outcome.fence = Some(Position::clone(position)),
            Some(Fence::Missed(why)) => outcome.notes.push(why.clone()),
            None => {}
        }
    }
    let (ours, (theirs, _)) = (ours?, theirs?);
    let fenced = outcome.fence.is_some();
    Ok((ours, theirs, fenced))
}

fn noted(side: &mut SideOutcome, read: &Read) {
    side.position = Some(read.position.clone());
    side.bytes = read.bytes;
    side.rows_because.clone_from(&read.rows_because);
}

/// Groups that break the rule: as many as there is room for, those with the smallest keys.
#[derive(Debug)]
struct Broken {
    kept: Suspects,
    kept_max: usize,
    total: u64,
}

impl Broken {
    fn add(&mut self, key: &[u8], source: Option<&Figures>, replica: Option<&Figures>) {
        self.total += 1;
        if self.kept.len() >= self.kept_max {
            match self.kept.last_key_value() {
                Some((largest, _)) if largest.as_slice() > key => drop(self.kept.pop_last()),
                _ => return,
            }
        }
        self.kept.insert(key.to_vec(), (source.cloned(), replica.cloned()));
    }
}

/// Holds the groups of both sides against each other.
fn tally(request: &Request<'_>, source: Read, replica: Read, outcome: &mut Outcome) -> Result<Broken, Failure> {
    let rule = &request.plan.rule;
    let kept_max = if request.live { SUSPECTS_MAX } else { request.items_max };
    let mut broken = Broken { kept: Suspects::new(), kept_max, total: 0 };
    let mut totals = [(Figures::of(rule), 0_u64), (Figures::of(rule), 0_u64)];
    let mut groups = 0;
    let joined = table::join(source.table, replica.table, request.memory_max, &mut |key, ours, theirs| {
        groups += 1;
        for ((total, count), figures) in totals.iter_mut().zip([ours, theirs]) {
            if let Some(figures) = figures {
                total.merge(figures);
                *count += 1;
            }
        }
        if !rule.deviations(ours, theirs).is_empty() {
            broken.add(key, ours, theirs);
        }
    });
    joined.map_err(|error| (Origin::Comparison, error))?;
    let [(ours, our_groups), (theirs, their_groups)] = totals;
    (outcome.source.total, outcome.source.groups) = (Some(ours), Some(our_groups));
    (outcome.replica.total, outcome.replica.groups) = (Some(theirs), Some(their_groups));
    outcome.groups = Some(groups);
    Ok(broken)
}

/// What the rows behind the figures say.
struct Found {
    /// Groups of rows that are proven to differ.
    groups: Vec<Named>,
    /// Whether every other row is equal, so that nothing is wrong with any other group.
    all_named: bool,
}

/// Compares the rows behind the figures, each by its key and around fences: a group that is written all the time
/// never stands still, but its rows do. `None` where they have no key.
async fn by_rows(request: &Request<'_>, outcome: &mut Outcome) -> Option<Result<Found, Failure>> {
    let compared = rows::verify(request.rows?).await;
    let settled = compared.complete && compared.counts.unsettled() == 0 && compared.problem.is_none();
    let proven: Vec<Difference> = compared.items.into_iter().filter(|item| item.proof == Proof::Proven).collect();
    let count = compared.counts.proven();
    if count == 0 && settled {
        outcome.notes.push("groups that kept changing were settled by their rows, all of which are equal".to_owned());
    } else if count > 0 {
        outcome.rows_differ = true;
        outcome.notes.push(format!("rows were compared because groups kept changing; proven to differ: {count}"));
    } else {
        outcome.notes.extend(compared.notes);
    }
    let columns = || request.plan.groups.columns.iter().map(|column| &column.name);
    let mut groups: Vec<Named> = Vec::new();
    for row in &proven {
        let value = |name: &String| row.key.iter().find(|(own, _)| own == name).cloned();
        if let Some(group) = columns().map(value).collect::<Option<Named>>()
            && !groups.contains(&group)
        {
            groups.push(group);
        }
    }
    outcome.rows.extend(proven);
    let all_named = settled && !compared.items_truncated;
    match compared.problem {
        Some(failure) if count == 0 => Some(Err(failure)),
        _ => Some(Ok(Found { groups, all_named })),
    }
}
