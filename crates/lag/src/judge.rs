//! From what the positions say, and what is known about the way between them, to a state.

use crate::Finding;
use paritas_model::LagState;
use std::time::Duration;

/// Whether new changes can reach the replica at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It receives from its source, or from somebody who does.
    Connected,
    /// It reads an archive; nobody can see whether that goes on.
    Archive,
    /// It receives from nobody.
    Cut {
        /// What is known about it.
        why: String,
    },
    /// It cannot be seen.
    Unknown {
        /// Why, with what to do about it.
        why: String,
    },
}

/// Something in the way of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Whether the replica cannot follow any more without a repair.
    pub fatal: bool,
    /// Whether it may be over in a moment: then only standing still for a while shows that it stops.
    pub passing: bool,
    /// What it is, as a sentence without a full stop.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A state and why it is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The state.
    pub state: LagState,
    /// Why; `None` where the figures say everything.
    pub reason: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// A replica that did not move for that long, with something to apply and something in its way, is stalled.
/// A single record rarely takes that long.
pub const STALLED_AFTER: Duration = Duration::from_secs(1);

/// The same where nothing is seen in its way. One that only gets no turn on a busy machine moves again before.
pub const SILENTLY_STALLED_AFTER: Duration = Duration::from_secs(4);

/// Whether a replica stands still, and not yet for long enough to say that it is stalled.
pub fn stands_still(state: LagState, stuck: Option<Duration>) -> bool {
    state == LagState::Behind && stuck.is_some_and(|stuck| (STALLED_AFTER..SILENTLY_STALLED_AFTER).contains(&stuck))
}

/// The state of a stream. `finding` is `None` where the positions could not be compared.
pub fn judge(finding: Option<&Finding>, link: &Link, obstacles: &[Obstacle]) -> Judgement {
    let of = |state, obstacle: &Obstacle| Judgement {
        state,
        reason: Some(obstacle.what.clone()),
        hint: obstacle.hint.clone(),
    };
    if let Some(fatal) = obstacles.iter().find(|obstacle| obstacle.fatal) {
        return of(LagState::Broken, fatal);
    }
    let unknown = |reason: &str| Judgement { state: LagState::Unknown, reason: Some(reason.to_owned()), hint: None };
    let Some(finding) = finding else {
        let seen = obstacles.first().map(|obstacle| of(LagState::Unknown, obstacle));
        return seen.unwrap_or_else(|| match link {
            Link::Cut { why } | Link::Unknown { why } => unknown(why),
            Link::Connected | Link::Archive => unknown("the positions could not be compared"),
        });
    };
    let stopped = obstacles.iter().any(|obstacle| !obstacle.passing);
    let patience = if obstacles.is_empty() { SILENTLY_STALLED_AFTER } else { STALLED_AFTER };
    let stuck = finding.stuck.filter(|stuck| stopped || *stuck >= patience);
    match (link, obstacles.first()) {
        (Link::Unknown { why }, _) => unknown(why),
        // Somebody stopped it on purpose or something stops it: that says more than the cut.
        (_, Some(obstacle)) if stuck.is_some() => of(LagState::Stalled, obstacle),
        (Link::Cut { why }, _) => unknown(why),
        _ if finding.caught_up => Judgement { state: LagState::CaughtUp, reason: None, hint: None },
        // Until the next segment is archived it has nothing to do; when that will be nobody can see.
        (Link::Archive, None) => Judgement {
            state: LagState::Behind,
            reason: Some("it replays an archive, segment by segment: the newest one comes when it is full".to_owned()),
            hint: None,
        },
        _ if stuck.is_some() => Judgement {
            state: LagState::Stalled,
            reason: Some("it does not move, and nothing visible is in its way".to_owned()),
            hint: Some("look into the replica's log".to_owned()),
        },
        _ => Judgement { state: LagState::Behind, reason: None, hint: None },
    }
}
