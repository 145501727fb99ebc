//! A logical subscriber: how far each subscription has applied, and what stops it.

use super::seen::{Subscription, mark};
use super::wal;
use paritas_connect::{Fact, Feed, Followed, Halt};
use paritas_model::{Known, Stream};

/// The stream that a subscription applies. Its positions are those of the publisher's log, whose
/// lineage only the publisher knows.
pub(super) fn followed(seen: &Subscription) -> Followed {
    let name = &seen.name;
    let feed = match (seen.enabled, seen.pid) {
        (false, _) => Feed::Cut { why: format!("not connected to its source: subscription {name} is disabled") },
        (true, None) => Feed::Cut { why: format!("not connected to its source: {}", ended(seen)) },
        (true, Some(_)) => Feed::Connected { from: seen.slot.clone().unwrap_or_default() },
    };
    // The worker's own figure covers everything before it; the origin's is its last commit only, and is
    // all that is left where no worker runs.
    let applied = seen.applied.or(seen.origin);
    let why = || Known::unknown(format!("the apply worker of subscription {name} does not say how far it is"));
    // Until its first copy is done a table shows something else than the worker's position.
    let applied = match seen.not_ready() {
        0 => applied.map_or_else(why, |lsn| Known::Known(mark(lsn))),
        open => Known::unknown(format!("the first copy of {open} tables of subscription {name} is not done")),
    };
    Followed {
        stream: Stream(format!("subscription/{name}")),
        of: wal(),
        physical: false,
        lineage: Known::unknown("a subscriber does not know the history of its publisher"),
        applied,
        received: seen.received.map_or_else(why, |lsn| Known::Known(mark(lsn))),
        drained: false,
        enabled: seen.enabled,
        feed,
        cursor: seen.slot.clone(),
        archive: Some(false),
        obstacles: obstacles(seen),
        facts: facts(seen),
    }
}

fn errors(seen: &Subscription) -> i64 {
    seen.apply_errors.unwrap_or(0).saturating_add(seen.sync_errors.unwrap_or(0))
}

/// A worker that fails is started again and again: between two times none runs.
fn ended(seen: &Subscription) -> String {
    let so_far = match errors(seen) {
        0 => String::new(),
        errors => format!(" ({errors} errors so far)"),
    };
    format!("the apply worker of subscription {} does not run{so_far}", seen.name)
}

fn obstacles(seen: &Subscription) -> Vec<Halt> {
    let name = &seen.name;
    let mut halts = Vec::new();
    let mut halt = |fatal: bool, what: String, hint: &str| {
        // A worker that ended is started again, and a lock is given back.
        halts.push(Halt { fatal, passing: seen.enabled && !fatal, what, hint: Some(hint.to_owned()) });
    };
    let errors = errors(seen);
    let enable = "look into the replica's log, then ALTER SUBSCRIPTION ... ENABLE";
    match (seen.enabled, seen.pid) {
        (false, _) if seen.disable_on_error && errors > 0 => {
            halt(true, format!("subscription {name} was disabled after an error ({errors} so far)"), enable);
        }
        (false, _) => halt(false, format!("subscription {name} is disabled"), "ALTER SUBSCRIPTION ... ENABLE"),
        (true, None) => {
            halt(false, ended(seen), "look into the replica's log for the error that ends it");
        }
        (true, Some(_)) => {}
    }
    let blockers: Vec<String> = seen.blocked_by.iter().flatten().map(ToString::to_string).collect();
    if !blockers.is_empty() {
        let what = format!("subscription {name} waits for a lock that process {} holds", blockers.join(", "));
        halt(false, what, "end that session on the replica");
    }
    let open = seen.not_ready();
    if open > 0 && seen.sync_workers == 0 && seen.sync_errors.unwrap_or(0) > 0 {
        let failed = seen.sync_errors.unwrap_or(0);
        let what = format!("the first copy of {open} tables of subscription {name} fails ({failed} errors so far)");
        halt(true, what, "look into the replica's log for the error that ends it");
    }
    halts
}

fn facts(seen: &Subscription) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(age) = seen.age {
        facts.push(("last message from its source", format!("{age:.1} s ago")));
    }
    if let Some(wait) = seen.wait.as_ref().and_then(|wait| wait.event.clone()) {
        facts.push(("its worker waits for", wait));
    }
    match seen.not_ready() {
        0 => {}
        open => facts.push(("tables still being copied", open.to_string())),
    }
    if let Some(errors) = seen.apply_errors.filter(|errors| *errors > 0) {
        facts.push(("apply errors so far", errors.to_string()));
    }
    facts
}
