//! Heartbeats: asks a server at an interval what it is, and writes one row of a table that was made for it.
//!
//! A write is one statement by the simple protocol: its transaction is committed before the server reports completion,
//! so what ends without an error is acknowledged (`exec_simple_query` in `postgres.c`). A connection that ends
//! meanwhile leaves the outcome open. A commit that waits for a synchronous standby is not ended by any time-out of
//! the server: the next connection ends that session, so that they cannot pile up.

mod table;

use crate::errors::{classify, malformed};
use crate::following;
use crate::lineage::{rows, text};
use crate::quote;
use crate::session::Session;
use crate::store::{Inner, PostgresStore};
use async_trait::async_trait;
use paritas_connect::{Context, Error, FailureKind, Heartbeat, HeartbeatRow, Heartbeats, Look, Pen, Result, Written};
use paritas_model::{Known, Lsn};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use table::Table;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

/// Time-out of statements where the call has none of its own.
const STATEMENT_DEFAULT: Duration = Duration::from_secs(5);
/// The timeline that a primary writes, from the name of a file of its log: the control file names the old one for a
/// while after a promotion.
const TIMELINE: &str = "('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))\
                        ::pg_catalog.bit(32)::pg_catalog.int8";

#[async_trait]
impl Heartbeats for PostgresStore {
    fn setup(&self, table: &str) -> Result<String> {
        Ok(Table::parse(table)?.setup(self.shared().user()))
    }

    async fn check_table(&self, cx: &Context, table: &str) -> Result<()> {
        let table = Table::parse(table)?;
        let session = self.shared().connect_to_any(cx).await?;
        table.check(&session, cx).await
    }

    fn pen(&self, table: Option<&str>) -> Result<Box<dyn Pen>> {
        let table = table.map(Table::parse).transpose()?;
        Ok(Box::new(PgPen { inner: Arc::clone(self.shared()), table, open: None, hung: None }))
    }
}

/// A connection for heartbeats.
struct PgPen {
    inner: Arc<Inner>,
    table: Option<Table>,
    open: Option<Open>,
    /// A session whose write was given up while the server may still be at it.
    hung: Option<Process>,
}

struct Open {
    session: Session,
    process: Process,
}

/// A process of a server: its number alone is used again.
#[derive(Clone)]
struct Process {
    pid: String,
    started: String,
}

impl fmt::Debug for PgPen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgPen").field("inner", &self.inner).field("open", &self.open.is_some()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Pen for PgPen {
    async fn look(&mut self, cx: &Context) -> Result<Look> {
        if let Some(open) = self.open.take().filter(|open| !open.session.is_closed()) {
            match self.looked(open, cx).await {
                // The connection may be half open, and the server well.
                Err(error) if error.kind() == FailureKind::Deadline => {
                    return Err(Error::new(FailureKind::Transient, "store.silent", "no answer on an open connection"));
                }
                // It was ended, which says nothing about the server: a new one does.
                Err(error) if error.is_transient() => {}
                other => return other,
            }
        }
        let open = self.connect(cx).await?;
        self.looked(open, cx).await
    }

    fn is_open(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.session.is_closed())
    }

    async fn read(&mut self, cx: &Context, key: &str) -> Result<Option<HeartbeatRow>> {
        let table = self.table.as_ref().ok_or_else(|| Error::unsupported("reading heartbeats without a table"))?;
        let mut open = self.open.take().ok_or_else(lost)?;
        open.session.mark_busy();
        let found = rows(&open.session, cx, "read the heartbeat", &table.read(key)).await?;
        open.session.mark_idle();
        self.open = Some(open);
        found.first().map(row).transpose()
    }

    async fn write(&mut self, cx: &Context, beat: &Heartbeat<'_>) -> Written {
        let Some(table) = &self.table else {
            return Written::Refused(Error::unsupported("writing heartbeats without a table"));
        };
        let Some(mut open) = self.open.take().filter(|open| !open.session.is_closed()) else {
            return Written::Refused(lost());
        };
        let sql = table.write(beat);
        open.session.mark_busy();
        let answer = cx.bound(async { Ok(open.session.client.simple_query(&sql).await) }).await;
        let written = match answer {
            Ok(Ok(messages)) => acknowledged(&messages),
            Ok(Err(error)) => failed(error),
            Err(error) => Written::Unknown(error),
        };
        if matches!(written, Written::Unknown(_)) {
            self.hung = Some(open.process.clone());
        } else {
            open.session.mark_idle();
            self.open = Some(open);
        }
        written
    }
}

impl PgPen {
    async fn looked(&mut self, mut open: Open, cx: &Context) -> Result<Look> {
        // Given up in the middle, the connection is of no use to the next call.
        open.session.mark_busy();
        let look = look(&open, cx, self.table.is_none()).await?;
        open.session.mark_idle();
        self.open = Some(open);
        Ok(look)
    }

    /// Connects; ends the session of a write that was given up, and lets this one write if there is a table.
    async fn connect(&mut self, cx: &Context) -> Result<Open> {
        let session = self.inner.connect_to_any(cx).await?;
        let limit = cx.remaining().unwrap_or(STATEMENT_DEFAULT).as_millis().max(2);
        // Whoever may write here may write: what the server or the role says by default holds again.
        let writes = if self.table.is_some() { "RESET default_transaction_read_only; " } else { "" };
        let settings = format!("{writes}SET statement_timeout = {limit}; SET lock_timeout = {}", (limit / 2).max(1));
        session.batch(cx, "begin a session", &settings).await?;
        let own = "SELECT pid::text, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let found = rows(&session, cx, "identify the session", own).await?;
        let own = found.first().ok_or_else(|| malformed("no row where one must be"))?;
        let column = |column| Ok::<_, Error>(text(own, column)?.unwrap_or_default().to_owned());
        let process = Process { pid: column(0)?, started: column(1)? };
        if let Some(hung) = &self.hung {
            let end = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = {} AND backend_start = {}",
                quote::literal(&hung.pid),
                quote::literal(&hung.started)
            );
            rows(&session, cx, "end the session of a write that was given up", &end).await?;
            self.hung = None;
        }
        Ok(Open { session, process })
    }
}

fn lost() -> Error {
    Error::new(FailureKind::Transient, "store.silent", "the connection was closed")
}

fn acknowledged(messages: &[SimpleQueryMessage]) -> Written {
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let Some(row) = row else { return Written::Foreign };
    let timeline = row.get(0).and_then(|text| text.parse().ok());
    let reached = row.get(1).and_then(|text| text.parse().ok());
    match timeline.zip(reached) {
        Some((timeline, reached)) => Written::Acknowledged { timeline, reached },
        None => Written::Unknown(malformed("no timeline where one must be")),
    }
}

/// An error that the server reports before it commits is a no; everything else is open, an end of the session too.
fn failed(error: tokio_postgres::Error) -> Written {
    let (severity, state) = match error.as_db_error() {
        Some(said) => (said.parsed_severity(), said.code().clone()),
        None => return Written::Unknown(classify("write the heartbeat", error)),
    };
    if severity != Some(Severity::Error) {
        return Written::Unknown(classify("write the heartbeat", error));
    }
    let down = |code, hint: &str| {
        let refused = Error::new(FailureKind::Transient, code, "the server takes no writes");
        refused.detail(error.as_db_error().map(|said| said.message().to_owned()).unwrap_or_default()).hint(hint)
    };
    Written::Refused(match state {
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            down("store.read_only", "it is a standby, or default_transaction_read_only is on")
        }
        SqlState::DISK_FULL => down("store.full", "its disk is full"),
        _ => classify("write the heartbeat", error),
    })
}

async fn look(open: &Open, cx: &Context, watches: bool) -> Result<Look> {
    let session = &open.session;
    let sql = format!(
        "SELECT r, CASE WHEN r THEN NULL ELSE {TIMELINE} END::text, \
           CASE WHEN r THEN NULL ELSE pg_current_wal_insert_lsn() END::text, \
           (SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only') = 'on', \
           extract(epoch FROM pg_postmaster_start_time())::text, current_setting('synchronous_commit') \
         FROM pg_is_in_recovery() AS r"
    );
    let found = rows(session, cx, "look at the server", &sql).await?;
    let row = found.first().ok_or_else(|| malformed("no row where one must be"))?;
    let in_recovery = text(row, 0)? == Some("t");
    let waits = if watches && !in_recovery {
        following::following(session, cx, false).await?.1.map(|synchrony| synchrony.lacks() && synchrony.by_default)
    } else {
        Known::unknown("a write shows it")
    };
    Ok(Look {
        in_recovery,
        timeline: text(row, 1)?.and_then(|text| text.parse().ok()),
        reached: text(row, 2)?.and_then(|text| text.parse::<Lsn>().ok()),
        read_only: text(row, 3)? == Some("t"),
        waits,
        instance: text(row, 4)?.unwrap_or_default().to_owned(),
        commit: text(row, 5)?.unwrap_or_default().to_owned(),
    })
}

fn row(row: &SimpleQueryRow) -> Result<HeartbeatRow> {
    let number = |column| -> Result<u64> {
        let found = text(row, column)?.and_then(|text| text.parse::<u64>().ok());
        found.ok_or_else(|| malformed("a heartbeat with a number below zero"))
    };
    Ok(HeartbeatRow {
        owner: text(row, 0)?.unwrap_or_default().to_owned(),
        sequence: number(1)?,
        timeline: u32::try_from(number(2)?).map_err(|_| malformed("a timeline out of range"))?,
        age_seconds: text(row, 3)?.and_then(|text| text.parse().ok()).unwrap_or_default(),
    })
}
