//! Reading suspect groups of a live link again, around fences, until each is settled or time is over.

use super::judge::{Judgement, Reading, Round, judge};
use super::plan::LedgerPlan;
use super::reading::Keys;
use crate::Side;
use crate::fence::{Fence, fence, held};
use crate::rows::{Failure, Origin};
use paritas_connect::{Error, GroupRequest, Result, figures_of};
use paritas_ledger::{Figures, Rule};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Rounds after which a group that never settles stays open.
const ROUNDS_MAX: u32 = 12;
/// Rounds that are made even when the time to settle is over: one proves nothing.
const ROUNDS_MIN: u32 = 3;
/// Rounds without a group less after which those that are left are given to their rows, where they have a key.
const ROUNDS_IDLE_MAX: u32 = 3;
/// Pause before the second round; doubled each time up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Figures of a group on both sides, by its key.
pub(super) type Suspects = BTreeMap<Vec<u8>, (Option<Figures>, Option<Figures>)>;

/// What confirming came to. Every suspect has arrived, is proven or is still open.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    /// Groups that break the rule, with the figures that prove it.
    pub(super) proven: Suspects,
    /// Groups that are not settled, as they were read last.
    pub(super) open: Suspects,
    /// Groups that turned out to be as they should: what broke the rule was in flight.
    pub(super) arrived: u64,
    /// Why groups are open, if any are.
    pub(super) why: Option<String>,
    /// What ended it early.
    pub(super) failure: Option<Failure>,
}

/// Both sides and what is asked of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) source: &'a Side,
    pub(super) replica: &'a Side,
    pub(super) plan: &'a LedgerPlan,
    pub(super) settle: Duration,
    /// Whether nothing else can settle a group that is written all the time.
    pub(super) patient: bool,
}

/// Confirms suspects. Never fails as a whole.
pub(super) async fn confirm(pair: Pair<'_>, suspects: Suspects) -> Confirmed {
    let mut confirmed = Confirmed { open: suspects, ..Confirmed::default() };
    if let Err(failure) = rounds(pair, &mut confirmed).await {
        confirmed.why = Some(failure.1.to_string());
        confirmed.failure = Some(failure);
    }
    confirmed
}

async fn rounds(pair: Pair<'_>, confirmed: &mut Confirmed) -> Result<(), Failure> {
    let started = Instant::now();
    let mut pause = PAUSE;
    let mut last: HashMap<Vec<u8>, Reading> = HashMap::new();
    let mut held_back = None;
    let mut idle = 0;
    for round in 1..=ROUNDS_MAX {
        if confirmed.open.is_empty() {
            return Ok(());
        }
        let keys: Vec<Vec<u8>> = confirmed.open.keys().cloned().collect();
        let readings = match read_round(pair, &keys).await? {
            Ok(readings) => readings,
            // The replica does not get there: what is open stays open, and that is the answer.
            Err(missed) => {
                confirmed.why = Some(missed);
                return Ok(());
            }
        };
        held_back = readings.held.clone();
        let before = confirmed.open.len();
        settle(&pair.plan.rule, readings, &mut last, confirmed);
        tracing::debug!(round, open = confirmed.open.len(), "groups still open");
        idle = if confirmed.open.len() < before { 0 } else { idle + 1 };
        let late = started.elapsed() >= pair.settle && round >= ROUNDS_MIN;
        if confirmed.open.is_empty() || round == ROUNDS_MAX || late || (idle >= ROUNDS_IDLE_MAX && !pair.patient) {
            break;
        }
        pair.source.pause(pause).await.map_err(|error| (Origin::Comparison, error))?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    if !confirmed.open.is_empty() {
        confirmed.why = held_back.or_else(|| Some("groups kept changing while they were read again".to_owned()));
    }
    Ok(())
}

/// Judges every open group by the readings of a round.
fn settle(rule: &Rule, mut readings: Readings, last: &mut HashMap<Vec<u8>, Reading>, confirmed: &mut Confirmed) {
    for (key, _) in std::mem::take(&mut confirmed.open) {
        let before = readings.before.remove(&key).unwrap_or_else(Reading::nothing);
        let replica = readings.replica.remove(&key).unwrap_or_else(Reading::nothing);
        let after = readings.after.remove(&key).unwrap_or_else(Reading::nothing);
        let earlier = last.remove(&key);
        let held = readings.held.is_some();
        let round = Round { before: &before, replica: &replica, after: &after, last: earlier.as_ref(), held };
        let judgement = judge(rule, &round);
        let known = (after.figures, replica.figures.clone());
        match judgement {
            Judgement::Arrived => confirmed.arrived += 1,
            Judgement::Proven => drop(confirmed.proven.insert(key, known)),
            Judgement::Open => {
                last.insert(key.clone(), replica);
                confirmed.open.insert(key, known);
            }
        }
    }
}

/// Groups by their keys; those without a row are absent.
type ByKey = HashMap<Vec<u8>, Reading>;

#[derive(Debug)]
struct Readings {
    before: ByKey,
    replica: ByKey,
    after: ByKey,
    /// Why the source may not show yet what the replica shows.
    held: Option<String>,
}

/// The readings of a round, or why the replica did not reach the fence.
async fn read_round(pair: Pair<'_>, keys: &[Vec<u8>]) -> Result<Result<Readings, String>, Failure> {
    let Pair { source, replica, plan, settle, .. } = pair;
    let at_source = |error| (Origin::Source, error);
    let before = now(source, plan, &plan.source.grouped, keys).await.map_err(at_source)?;
    if let Fence::Missed(why) = fence(source, replica, settle).await? {
        return Ok(Err(why));
    }
    let theirs = now(replica, plan, &plan.replica.grouped, keys).await.map_err(|error| (Origin::Replica, error))?;
    // Asked before the source is read again: a commit that is let go in between is seen by that reading.
    let held = held(source).await.map_err(at_source)?;
    let after = now(source, plan, &plan.source.grouped, keys).await.map_err(at_source)?;
    Ok(Ok(Readings { before, replica: theirs, after, held }))
}

/// Groups as they are now, in one view.
async fn now(side: &Side, plan: &LedgerPlan, request: &GroupRequest, keys: &[Vec<u8>]) -> Result<ByKey> {
    let datasets = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
    let found = side.again("read groups again", || datasets.groups_now(&side.cx, request, keys)).await?;
    let encoded = Keys::of(&plan.groups, &found.batch)?;
    let mut groups = ByKey::new();
    for (row, version) in found.versions.into_iter().enumerate() {
        let figures = figures_of(&found.batch, row, &plan.rule)?;
        let own = groups.entry(encoded.key(row)?).or_insert_with(Reading::nothing);
        match &mut own.figures {
            Some(sum) => sum.merge(&figures),
            None => own.figures = Some(figures),
        }
        // One key may stand in two batches of keys; then its version is that of both.
        own.version = own.version.take().zip(version).map(|(one, other)| format!("{one}/{other}"));
    }
    Ok(groups)
}
