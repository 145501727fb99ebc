//! Writing a row again and again, each time in a transaction of its own: what a probe of the recovery time does.
//!
//! The only part of a connector that writes, and only where a table was made for it.

use crate::{Context, Error, Result};
use async_trait::async_trait;
use paritas_model::{Known, Lsn};
use std::fmt::Debug;

/// Stores that can be asked at an interval whether they take writes, and be written to where a table was made for it.
#[async_trait]
pub trait Heartbeats: Debug + Send + Sync {
    /// Statements that make the table of that name and grant what this user needs. They are for a person to run.
    ///
    /// # Errors
    /// For a name that is none.
    fn setup(&self, table: &str) -> Result<String>;

    /// Whether the table is there, whole and writable for this user.
    async fn check_table(&self, cx: &Context, table: &str) -> Result<()>;

    /// A pen that asks, and writes into the table if there is one. It connects when it is first used.
    ///
    /// # Errors
    /// For a name that is none.
    fn pen(&self, table: Option<&str>) -> Result<Box<dyn Pen>>;
}

/// A connection that is used again and again, and made anew when it has ended.
#[async_trait]
pub trait Pen: Debug + Send {
    /// What the server is now, on a new connection where there is none or it was ended. Writes nothing.
    ///
    /// # Errors
    /// `store.silent` when an open connection does not answer: the server itself may be well.
    async fn look(&mut self, cx: &Context) -> Result<Look>;

    /// Whether there is a connection, as far as that is known.
    fn is_open(&self) -> bool;

    /// The row of this key, if there is one.
    async fn read(&mut self, cx: &Context, key: &str) -> Result<Option<HeartbeatRow>>;

    /// Writes the row in a transaction of its own. Only a row of the same owner, or of the one that is to be replaced, is
    /// written over, and only by a greater number.
    async fn write(&mut self, cx: &Context, beat: &Heartbeat<'_>) -> Written;
}

/// What a server is at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Whether it replays a log.
    pub in_recovery: bool,
    /// Whether sessions are read only unless they say otherwise.
    pub read_only: bool,
    /// Whether commits wait for standbys that are not there.
    pub waits: Known<bool>,
    /// The timeline that it writes, where it does.
    pub timeline: Option<u32>,
    /// How far its log has come, where it writes one.
    pub reached: Option<Lsn>,
    /// This run of the server: the end of [`crate::Standing::instance`].
    pub instance: String,
    /// What an acknowledgement is worth there: the setting that says what a commit waits for.
    pub commit: String,
}

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat<'a> {
    /// Whose row.
    pub key: &'a str,
    /// Who writes.
    pub owner: &'a str,
    /// Whose row may be written over.
    pub replaces: Option<&'a str>,
    /// The number, greater than all before.
    pub sequence: u64,
}

/// The row of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatRow {
    /// Who wrote it.
    pub owner: String,
    /// The number of the write.
    pub sequence: u64,
    /// The timeline on which it was written.
    pub timeline: u32,
    /// Seconds since, by the server's clock.
    pub age_seconds: f64,
}

/// What came of a write.
#[derive(Debug)]
pub enum Written {
    /// It was committed, and that was acknowledged.
    Acknowledged {
        /// The timeline on which it was written.
        timeline: u32,
        /// A position that the log had reached before the commit.
        reached: Lsn,
    },
    /// Nothing was written: the row belongs to somebody else, or has a greater number.
    Foreign,
    /// The server said no: nothing was written.
    Refused(Error),
    /// The connection ended, or the time was over: nobody knows.
    Unknown(Error),
}
