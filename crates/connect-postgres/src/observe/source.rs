//! A server as a source: the end of its log, who reads from it, which places it keeps for readers.

use super::seen::{Seen, Sender, Settings, Slot, mark};
use super::wal;
use crate::positions::{PAGE_HEADER, SEGMENT_HEADER};
use paritas_connect::{Cursor, Mark, Observation, Produced, Reader};
use paritas_model::{Known, Lineage, Lsn};
use std::time::Duration;

/// A commit is written at the latest after three rounds of the log's writer (PostgreSQL documentation,
/// "Asynchronous Commit"); the rest is for a busy machine.
const SETTLE_ROUNDS: f64 = 3.0;
const SETTLE_SLACK: Duration = Duration::from_millis(200);

/// Fills in what concerns a source. A standby is one for the standbys behind it.
pub(super) fn fill(observation: &mut Observation, seen: &Seen, settings: &Settings, lineage: &Known<Lineage>) {
    observation.produced.push(produced(seen, settings, lineage));
    let slot_of = |sender: &Sender| seen.slots.iter().find(|slot| slot.active_pid == Some(sender.pid));
    observation.readers = seen.senders.iter().map(|sender| reader(sender, slot_of(sender))).collect();
    observation.cursors = seen.slots.iter().filter(|slot| !slot.temporary).map(cursor).collect();
    if let Some(archiver) = &seen.archiver {
        let age = archiver.age.map_or_else(|| "never".to_owned(), |age| format!("{age:.0} s ago"));
        let failing = if archiver.failing == Some(true) { ", and the last attempt failed" } else { "" };
        let (mode, files, failed) = (&archiver.mode, archiver.archived_count, archiver.failed_count);
        let text = format!("{mode}; {files} files, the last one {age}; {failed} failures{failing}");
        observation.facts.push(("archive", text));
    }
}

fn produced(seen: &Seen, settings: &Settings, lineage: &Known<Lineage>) -> Produced {
    // What a standby shows is what it has replayed; what it can hand on is what it has received.
    let (end, written, limit) = if seen.recovery {
        (seen.replay, seen.replay, seen.receive.max(seen.replay))
    } else {
        (seen.insert, seen.flush, seen.insert)
    };
    let least = end.map(|lsn| without_header(lsn, settings));
    let hidden = || Known::unknown("the server does not say where its log ends");
    let end_value = least.map_or(0, |lsn| lsn.0);
    Produced {
        stream: wal(),
        lineage: lineage.clone(),
        end: least.map_or_else(hidden, |lsn| Known::Known(mark(lsn))),
        limit: limit.map_or(0, |lsn| lsn.0),
        written: written.map_or(0, |lsn| lsn.0).min(end_value),
        settles: settles(seen.delay),
        oldest: oldest(settings),
    }
}

fn settles(delay: f64) -> Option<Duration> {
    let rounds = Duration::try_from_secs_f64(delay * SETTLE_ROUNDS).ok()?;
    rounds.checked_add(SETTLE_SLACK)
}

/// The next record on a fresh page begins after the page's header, while a replica that has applied
/// everything stands before it. Nothing lies in between.
fn without_header(lsn: Lsn, settings: &Settings) -> Lsn {
    let in_page = lsn.0 % settings.page.max(1);
    let header = if lsn.0 % settings.segment.max(1) == in_page { SEGMENT_HEADER } else { PAGE_HEADER };
    if in_page == header { Lsn(lsn.0 - header) } else { lsn }
}

/// Where the oldest file of the log begins, from its name: eight digits each of what an LSN has before
/// and after its stroke, the latter in segments.
fn oldest(settings: &Settings) -> Known<Mark> {
    let Some(name) = &settings.oldest else {
        return Known::unknown("the files of the log may not be listed: GRANT pg_monitor");
    };
    let part = |range: std::ops::Range<usize>| name.get(range).and_then(|text| u64::from_str_radix(text, 16).ok());
    let begin =
        part(0..8).zip(part(8..16)).and_then(|(high, low)| Some(high << 32 | low.checked_mul(settings.segment)?));
    begin.map_or_else(|| Known::unknown("there is no file of the log"), |begin| Known::Known(mark(Lsn(begin))))
}

fn reader(sender: &Sender, slot: Option<&Slot>) -> Reader {
    let mut facts = Vec::new();
    if let Some(state) = &sender.state {
        facts.push(("sender", state.clone()));
    }
    if let Some(state) = sender.sync_state.as_ref().filter(|state| *state != "async") {
        facts.push(("synchronous", state.clone()));
    }
    if let Some(lag) = sender.replay_lag {
        facts.push(("replay_lag by the source (frozen when idle)", format!("{lag:.6} s")));
    }
    Reader {
        name: sender.application_name.clone().unwrap_or_default(),
        cursor: slot.map(|slot| slot.slot_name.clone()),
        sent: sender.sent_lsn.map(|lsn| lsn.0),
        applied: sender.replay_lsn.map(|lsn| lsn.0),
        copies: sender.state.as_deref() == Some("backup"),
        facts,
    }
}

fn cursor(slot: &Slot) -> Cursor {
    let logical = slot.slot_type == "logical";
    let status = slot.wal_status.as_deref();
    let reason = slot.invalidation_reason.as_deref();
    let lost = match (status, reason) {
        (_, Some(reason)) => Some(format!("slot {} was invalidated ({reason})", slot.slot_name)),
        (Some("lost"), _) => Some(format!("the log that slot {} needs was removed (wal_status lost)", slot.slot_name)),
        _ => None,
    };
    let endangered = match (status, slot.safe_wal_size) {
        (Some("unreserved"), _) => Some("its log may be removed at the next checkpoint".to_owned()),
        (Some("extended"), Some(left)) => Some(format!("its log is kept for another {} bytes", left.max(0))),
        _ => None,
    };
    Cursor {
        name: slot.slot_name.clone(),
        logical,
        scope: slot.database.clone(),
        active: slot.active,
        confirmed: if logical { slot.confirmed_flush_lsn } else { slot.restart_lsn }.map(|lsn| lsn.0),
        lost,
        endangered,
        survives: logical.then(|| slot.failover == Some(true) || slot.synced == Some(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0000000000000001", Some("0/1000000"))]
    #[case("00000012000000FF", Some("12/FF000000"))]
    #[case("", None)]
    #[case("0000001", None)]
    fn the_oldest_position_follows_from_the_name_of_its_file(#[case] name: &str, #[case] expected: Option<&str>) {
        let settings = Settings {
            version: 150_000,
            control: true,
            stats: true,
            origin: true,
            page: 8_192,
            segment: 16 << 20,
            database: "d".into(),
            files: true,
            oldest: Some(name.into()),
            values: None,
        };
        assert_eq!(oldest(&settings).value().map(|mark| mark.text.as_str()), expected);
    }

    #[test]
    fn a_commit_settles_after_three_rounds_of_the_writer() {
        assert_eq!(settles(0.2), Some(Duration::from_millis(800)));
        assert_eq!(settles(f64::NAN), None);
        assert_eq!(settles(-1.0), None);
    }
}
