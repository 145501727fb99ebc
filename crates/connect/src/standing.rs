//! What a server says about its own history: where it came from, how far it is, whether it takes writes.

use crate::{Context, Result};
use async_trait::async_trait;
use paritas_model::{Ancestry, Known, Lsn};
use std::collections::BTreeMap;

/// A server and its place in the history of its cluster, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its timeline and those before.
    pub ancestry: Known<Ancestry>,
    /// How far it has come on its timeline: written on a primary, received or replayed on a standby.
    pub reached: Known<Lsn>,
    /// Whether it still replays a log instead of writing one.
    pub in_recovery: bool,
    /// Whether sessions are read only unless they say otherwise (`default_transaction_read_only`).
    pub read_only: bool,
    /// When its timeline began, by its own clock, in microseconds since 1970; whole seconds.
    pub promoted_at: Known<i64>,
    /// Names of its databases by their identifiers, which all copies share.
    pub databases: BTreeMap<u32, String>,
    /// On a standby: whether it receives a log from another server now.
    pub streams: Known<bool>,
    /// Whether commits are acknowledged only once other servers have them, and whether those are there.
    pub synchrony: Known<Synchrony>,
    /// Transactions that were prepared and are not decided; of very many only the oldest.
    pub prepared: Vec<PreparedTransaction>,
    /// The running server: two names for one server are told by it.
    pub instance: String,
}

/// A transaction that was prepared and is held until somebody decides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedTransaction {
    /// Its number.
    pub xid: u32,
    /// Its name.
    pub gid: String,
    /// Name of its database.
    pub database: String,
    /// Who prepared it.
    pub owner: String,
    /// When, in microseconds since 1970, by the clock of the server that did: a standby takes it over.
    pub prepared_at: i64,
}

/// How commits of a server depend on other servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synchrony {
    /// The setting that names the standbys to wait for; empty when commits wait for none.
    pub names: String,
    /// How many of them must confirm a commit.
    pub needed: u64,
    /// How many of them are connected and count.
    pub connected: u64,
    /// Commits that wait now, as each does for a moment.
    pub waiting: u64,
    /// Those of them that have waited too long for a standby that answers.
    pub stuck: u64,
    /// Whether sessions wait unless they say otherwise (`synchronous_commit`).
    pub by_default: bool,
}

impl Synchrony {
    /// Whether standbys that commits wait for are not there.
    pub fn lacks(&self) -> bool {
        !self.names.is_empty() && self.connected < self.needed
    }
}

impl Standing {
    /// Whether it takes writes from anybody who does not ask for a read-only session.
    pub fn takes_writes(&self) -> bool {
        !self.in_recovery && !self.read_only
    }
}

/// Stores whose copies share one log with timelines.
#[async_trait]
pub trait Lineages: std::fmt::Debug + Send + Sync {
    /// Where the server stands now.
    async fn standing(&self, cx: &Context) -> Result<Standing>;

    /// The places of its readers that it keeps for them.
    async fn slots(&self, cx: &Context) -> Result<Vec<Slot>> {
        let _ = cx;
        Ok(Vec::new())
    }
}

/// The place of a reader of the log, which the server keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Whether its reader gets changes of rows, and not the log itself.
    pub logical: bool,
    /// Whether it ends with its session.
    pub temporary: bool,
}
