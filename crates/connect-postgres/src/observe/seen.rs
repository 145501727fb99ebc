//! The documents that a server answers with.

use paritas_connect::Mark;
use paritas_model::Lsn;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What changes rarely: privileges and settings.
#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    pub(super) version: i32,
    /// Whether the control file may be read.
    pub(super) control: bool,
    /// Whether statistics of other sessions may be seen.
    pub(super) stats: bool,
    /// Whether progress of replication origins may be seen.
    pub(super) origin: bool,
    pub(super) page: u64,
    pub(super) segment: u64,
    pub(super) database: String,
    /// Whether the files of the log may be listed.
    pub(super) files: bool,
    /// Name without timeline of the oldest file of the log.
    #[serde(default)]
    pub(super) oldest: Option<String>,
    /// Only those that may be seen; of connection strings and commands only whether there is one.
    #[serde(default)]
    pub(super) values: Option<BTreeMap<String, String>>,
}

impl Settings {
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether something is set; `None` where that may not be seen.
    pub(super) fn is_set(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| value == "true")
    }
}

/// One sample.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    pub(super) recovery: bool,
    pub(super) clock: f64,
    pub(super) started: String,
    pub(super) system: Option<String>,
    pub(super) timeline: Option<i64>,
    pub(super) flush: Option<Lsn>,
    pub(super) insert: Option<Lsn>,
    /// `wal_writer_delay` in seconds.
    pub(super) delay: f64,
    pub(super) replay: Option<Lsn>,
    pub(super) receive: Option<Lsn>,
    /// Seconds between the last replayed commit, by its primary's clock, and now by this server's.
    pub(super) replayed_age: Option<f64>,
    pub(super) pause: Option<String>,
    pub(super) receiver: Option<Receiver>,
    pub(super) startup: Option<Wait>,
    /// The oldest transaction of a session of a standby.
    pub(super) oldest: Option<Oldest>,
    pub(super) conflicts: Option<i64>,
    #[serde(default)]
    pub(super) senders: Vec<Sender>,
    #[serde(default)]
    pub(super) slots: Vec<Slot>,
    pub(super) archiver: Option<Archiver>,
    #[serde(default)]
    pub(super) subscriptions: Vec<Subscription>,
}

impl Seen {
    /// The identifier is an unsigned number that SQL shows as a signed one.
    pub(super) fn system_text(&self) -> Option<String> {
        let text = self.system.as_ref()?;
        Some(text.parse::<i64>().map_or_else(|_| text.clone(), |number| number.cast_unsigned().to_string()))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Receiver {
    /// Hidden without the privilege to see statistics.
    pub(super) status: Option<String>,
    pub(super) slot_name: Option<String>,
    pub(super) sender_host: Option<String>,
    pub(super) sender_port: Option<i64>,
    /// Seconds since its last message.
    pub(super) age: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Wait {
    pub(super) kind: Option<String>,
    pub(super) event: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Oldest {
    pub(super) pid: i64,
    pub(super) age: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sender {
    pub(super) pid: i64,
    pub(super) application_name: Option<String>,
    pub(super) state: Option<String>,
    pub(super) sync_state: Option<String>,
    pub(super) sent_lsn: Option<Lsn>,
    pub(super) replay_lsn: Option<Lsn>,
    /// The server's own measure, in seconds; it freezes when nothing moves.
    pub(super) replay_lag: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Slot {
    pub(super) slot_name: String,
    pub(super) slot_type: String,
    pub(super) database: Option<String>,
    pub(super) temporary: bool,
    pub(super) active: bool,
    pub(super) active_pid: Option<i64>,
    pub(super) restart_lsn: Option<Lsn>,
    pub(super) confirmed_flush_lsn: Option<Lsn>,
    pub(super) wal_status: Option<String>,
    pub(super) safe_wal_size: Option<i64>,
    /// From PostgreSQL 17 on.
    pub(super) invalidation_reason: Option<String>,
    /// From PostgreSQL 17 on.
    pub(super) failover: Option<bool>,
    /// From PostgreSQL 17 on.
    pub(super) synced: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Archiver {
    pub(super) mode: String,
    pub(super) archived_count: i64,
    pub(super) failed_count: i64,
    /// Seconds since the last file was archived.
    pub(super) age: Option<f64>,
    /// Whether the last attempt failed.
    pub(super) failing: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Subscription {
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) slot: Option<String>,
    pub(super) disable_on_error: bool,
    pub(super) pid: Option<i64>,
    pub(super) received: Option<Lsn>,
    pub(super) applied: Option<Lsn>,
    /// Seconds since its last message.
    pub(super) age: Option<f64>,
    pub(super) wait: Option<Wait>,
    pub(super) blocked_by: Option<Vec<i64>>,
    /// The last commit of the source that was applied, where it may be seen.
    pub(super) origin: Option<Lsn>,
    /// Number of tables by state.
    pub(super) tables: Option<BTreeMap<String, i64>>,
    pub(super) sync_workers: i64,
    /// From PostgreSQL 15 on.
    pub(super) apply_errors: Option<i64>,
    /// From PostgreSQL 15 on.
    pub(super) sync_errors: Option<i64>,
}

impl Subscription {
    /// Tables whose first copy is not done.
    pub(super) fn not_ready(&self) -> i64 {
        let tables = self.tables.iter().flatten();
        tables.filter(|(state, _)| *state != "r").map(|(_, count)| count).sum()
    }
}

/// A position as it is reported.
pub(super) fn mark(lsn: Lsn) -> Mark {
    Mark { value: lsn.0, text: lsn.to_string() }
}
