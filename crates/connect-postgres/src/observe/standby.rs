//! A standby: how far it has replayed, where its log comes from, what stops it.

use super::seen::{Oldest, Seen, Settings, Wait, mark};
use super::wal;
use paritas_connect::{Fact, Feed, Followed, Halt};
use paritas_model::{Known, Lineage};

/// The stream that a standby replays.
pub(super) fn followed(seen: &Seen, settings: &Settings, lineage: Known<Lineage>, user: &str) -> Followed {
    let nothing = || Known::unknown("the server has not replayed anything yet");
    let timeline = seen.timeline.map_or_else(|| "?".to_owned(), |timeline| timeline.to_string());
    let feed = feed(seen, settings, user);
    // Where a receiver came to says nothing about what there is unless it is connected.
    let received = match (&feed, seen.receive) {
        (Feed::Connected { .. }, Some(lsn)) => Known::Known(mark(lsn)),
        (Feed::Connected { .. }, None) => Known::unknown("nothing was received yet"),
        _ => Known::unknown("not connected to its source"),
    };
    Followed {
        stream: paritas_model::Stream(format!("wal/{timeline}")),
        of: wal(),
        physical: true,
        lineage,
        applied: seen.replay.map_or_else(nothing, |lsn| Known::Known(mark(lsn))),
        received,
        drained: waits_for_more(seen, settings.page),
        enabled: true,
        feed,
        cursor: cursor(seen, settings),
        archive: settings.is_set("restore_command"),
        obstacles: obstacles(seen, settings),
        facts: facts(seen, settings),
    }
}

/// Whether replay waits for its receiver (PostgreSQL documentation, wait events of type Activity) to bring
/// the rest of a record. A record is torn between pages only: a server writes either all of a record or
/// whole pages (`XLogBackgroundFlush`, `AdvanceXLInsertBuffer`).
fn waits_for_more(seen: &Seen, page: u64) -> bool {
    let event = seen.startup.as_ref().and_then(|wait| wait.event.as_deref());
    let torn = seen.receive.is_some_and(|lsn| lsn.0.checked_rem(page) == Some(0));
    torn && event == Some("RecoveryWalStream") && seen.pause.as_deref() == Some("not paused")
}

fn cursor(seen: &Seen, settings: &Settings) -> Option<String> {
    let named = seen.receiver.as_ref().and_then(|receiver| receiver.slot_name.clone());
    let set = || settings.value("primary_slot_name").map(str::to_owned);
    named.or_else(set).filter(|name| !name.is_empty())
}

fn feed(seen: &Seen, settings: &Settings, user: &str) -> Feed {
    if let Some(receiver) = &seen.receiver {
        return match receiver.status.as_deref() {
            Some("streaming") => {
                let host = receiver.sender_host.as_deref().unwrap_or("an unnamed host");
                let port = receiver.sender_port.map(|port| format!(":{port}")).unwrap_or_default();
                Feed::Connected { from: format!("{host}{port}") }
            }
            Some(other) => Feed::Cut { why: format!("not connected to its source: its WAL receiver is {other}") },
            None => Feed::Unknown {
                why: format!(
                    "whether its WAL receiver is connected may not be seen: GRANT pg_monitor TO {user} on the replica"
                ),
            },
        };
    }
    match (settings.is_set("primary_conninfo"), settings.is_set("restore_command")) {
        (Some(false), Some(true)) => Feed::Archive,
        (Some(false), Some(false)) => {
            Feed::Cut { why: "it follows nobody: neither primary_conninfo nor restore_command is set".to_owned() }
        }
        (_, Some(true)) => Feed::Cut {
            why: "not connected to its source: no WAL receiver runs (it may be reading its archive)".to_owned(),
        },
        _ => Feed::Cut { why: "not connected to its source: no WAL receiver runs".to_owned() },
    }
}

fn obstacles(seen: &Seen, settings: &Settings) -> Vec<Halt> {
    let mut halts = Vec::new();
    let mut halt = |passing: bool, what: String, hint: Option<String>| {
        halts.push(Halt { fatal: false, passing, what, hint });
    };
    if matches!(seen.pause.as_deref(), Some("paused" | "pause requested")) {
        halt(false, "replay is paused".to_owned(), Some("on the replica: SELECT pg_wal_replay_resume()".to_owned()));
    }
    let wait = seen.startup.as_ref();
    let (kind, event) = wait.map_or((None, None), |Wait { kind, event }| (kind.as_deref(), event.as_deref()));
    match (kind, event) {
        (_, Some(event)) if event.starts_with("RecoveryConflict") || event == "BufferPin" => {
            let hint = "end that session, or lower max_standby_streaming_delay".to_owned();
            halt(
                true,
                format!("replay waits for a query that needs what it must remove ({event}){}", by(seen)),
                Some(hint),
            );
        }
        (Some("Lock"), Some(event)) => {
            halt(true, format!("replay waits for a lock ({event}){}", by(seen)), Some("end that session".to_owned()));
        }
        (_, Some("RecoveryApplyDelay")) => {
            let delay = settings.value("recovery_min_apply_delay").unwrap_or("set");
            halt(true, format!("replay is delayed on purpose (recovery_min_apply_delay is {delay})"), None);
        }
        _ => {}
    }
    halts
}

fn by(seen: &Seen) -> String {
    let Some(Oldest { pid, age }) = &seen.oldest else { return String::new() };
    format!(", the oldest one of process {pid} for {age:.0} s")
}

fn facts(seen: &Seen, settings: &Settings) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(age) = seen.replayed_age {
        facts.push(("last replayed commit by the servers' clocks", format!("{age:.3} s ago")));
    }
    if let Some(age) = seen.receiver.as_ref().and_then(|receiver| receiver.age) {
        facts.push(("last message from its source", format!("{age:.1} s ago")));
    }
    if let Some(conflicts) = seen.conflicts.filter(|conflicts| *conflicts > 0) {
        facts.push(("queries cancelled by replay", conflicts.to_string()));
    }
    if settings.value("hot_standby_feedback") == Some("on") {
        facts.push(("hot_standby_feedback", "on".to_owned()));
    }
    facts
}
