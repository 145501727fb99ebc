//! Where a server stands in the history of its cluster: timelines and switchpoints by the replication protocol.
//!
//! `IDENTIFY_SYSTEM` names the timeline that is written or replayed, also right after a promotion, when the control
//! file still names the old one. `TIMELINE_HISTORY` hands out the history file. Source: PostgreSQL documentation,
//! "Streaming Replication Protocol"; `IdentifySystem` and `SendTimeLineHistory` in `walsender.c`.

use crate::errors::{classify, malformed};
use crate::following;
use crate::positions;
use crate::quote;
use crate::session::{Session, get};
use crate::store::Inner;
use async_trait::async_trait;
use paritas_connect::{Context, Error, FailureKind, Lineages, PreparedTransaction, Result, Slot, Standing};
use paritas_model::{Ancestry, Known, Lsn};
use std::collections::BTreeMap;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

/// How often a server that is just being promoted is asked again.
const TRIES_MAX: u32 = 5;
/// Microseconds of a second.
const MICROSECONDS: i64 = 1_000_000;
/// Prepared transactions that are listed.
const PREPARED_MAX: u32 = 1_000;

#[async_trait]
impl Lineages for Inner {
    async fn standing(&self, cx: &Context) -> Result<Standing> {
        // A session from before a promotion would remember what the server was.
        let session = self.connect_to_any(cx).await?;
        let sender = match self.connect_for_replication(cx).await {
            Err(error) if ended(&error) => return Err(error),
            other => other,
        };
        for _ in 0..TRIES_MAX {
            let before = facts(&session, cx).await?;
            let ancestry = match &sender {
                Ok(sender) => by_protocol(sender, cx, &before).await?,
                Err(error) => by_file(&session, cx, error).await?,
            };
            let after = facts(&session, cx).await?;
            if before.in_recovery == after.in_recovery {
                return finish(&session, cx, after, ancestry).await;
            }
        }
        Err(Error::new(FailureKind::Transient, "store.busy", "the server is being promoted and does not settle")
            .hint("ask again in a moment"))
    }

    async fn slots(&self, cx: &Context) -> Result<Vec<Slot>> {
        let session = self.connect_to_any(cx).await?;
        let sql = "SELECT slot_name::text, slot_type = 'logical', temporary FROM pg_replication_slots ORDER BY 1";
        let rows = session.query(cx, "look for replication slots", sql, &[]).await?;
        rows.iter().map(|row| Ok(Slot { name: get(row, 0)?, logical: get(row, 1)?, temporary: get(row, 2)? })).collect()
    }
}

/// What plain SQL says.
struct Facts {
    in_recovery: bool,
    read_only: bool,
    reached: Option<Lsn>,
    instance: String,
}

/// Runs one statement by the simple protocol, the only one that a session for replication has.
pub(crate) async fn rows(session: &Session, cx: &Context, doing: &str, sql: &str) -> Result<Vec<SimpleQueryRow>> {
    let messages =
        cx.bound(async { session.client.simple_query(sql).await.map_err(|error| classify(doing, error)) }).await?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}

/// A column; `None` for NULL.
pub(crate) fn text(row: &SimpleQueryRow, column: usize) -> Result<Option<&str>> {
    row.try_get(column).map_err(|error| classify("read a column", error))
}

fn lsn(text: Option<&str>) -> Result<Option<Lsn>> {
    text.map(|text| text.parse().map_err(|_| malformed(format!("{text:?} for a log position")))).transpose()
}

async fn facts(session: &Session, cx: &Context) -> Result<Facts> {
    // Our own session is read only in any case, so what it began with is asked for.
    let sql = "SELECT r, CASE WHEN r THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) \
                 ELSE pg_current_wal_lsn() END::text, \
                 (SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only') = 'on', \
                 extract(epoch FROM pg_postmaster_start_time())::text \
               FROM pg_is_in_recovery() AS r";
    let rows = rows(session, cx, "read the state of the server", sql).await?;
    let row = rows.first().ok_or_else(|| malformed("no row where one must be"))?;
    Ok(Facts {
        in_recovery: text(row, 0)? == Some("t"),
        reached: lsn(text(row, 1)?)?,
        read_only: text(row, 2)? == Some("t"),
        instance: text(row, 3)?.unwrap_or_default().to_owned(),
    })
}

/// The history from a session for replication, if that reached the same server.
async fn by_protocol(sender: &Session, cx: &Context, facts: &Facts) -> Result<Known<Ancestry>> {
    let there = self::facts(sender, cx).await?;
    if there.instance != facts.instance {
        return Ok(Known::unknown("the connection for replication led to another server: name a single host"));
    }
    for _ in 0..TRIES_MAX {
        let identity = rows(sender, cx, "identify the server", "IDENTIFY_SYSTEM").await?;
        let row = identity.first().ok_or_else(|| malformed("no answer to IDENTIFY_SYSTEM"))?;
        let (system, timeline) = (text(row, 0)?.unwrap_or_default(), text(row, 1)?.unwrap_or_default());
        let system: u64 = system.parse().map_err(|_| malformed(format!("{system:?} for a system identifier")))?;
        let timeline: u32 = timeline.parse().map_err(|_| malformed(format!("{timeline:?} for a timeline")))?;
        if timeline <= 1 {
            return Ok(Known::Known(Ancestry::first(system)));
        }
        let history = match rows(sender, cx, "read the history", &format!("TIMELINE_HISTORY {timeline}")).await {
            Ok(rows) => rows,
            Err(error) if ended(&error) => return Err(error),
            Err(error) => return Ok(Known::unknown(unread(timeline, &error))),
        };
        let content = history.first().map(|row| text(row, 1)).transpose()?.flatten().unwrap_or_default();
        let again = rows(sender, cx, "identify the server", "IDENTIFY_SYSTEM").await?;
        let now = again.first().map(|row| text(row, 1)).transpose()?.flatten();
        if now == Some(timeline.to_string().as_str()) {
            return Ok(parsed(system, timeline, content));
        }
    }
    Ok(Known::unknown("the timeline changes while it is read"))
}

fn unread(timeline: u32, error: &Error) -> String {
    let said = error.detail_text().unwrap_or_else(|| error.message());
    format!("the history of timeline {timeline} cannot be read: {said}")
}

fn parsed(system: u64, timeline: u32, content: &str) -> Known<Ancestry> {
    match Ancestry::parse(system, timeline, content) {
        // Every timeline but the first has a parent; an empty file is a broken one.
        Ok(ancestry) if ancestry.switches.is_empty() => {
            Known::unknown(format!("the history of timeline {timeline} is empty"))
        }
        Ok(ancestry) => Known::Known(ancestry),
        Err(error) => Known::unknown(error.to_string()),
    }
}

/// The history from its file, where a session for replication cannot be had.
async fn by_file(session: &Session, cx: &Context, refused: &Error) -> Result<Known<Ancestry>> {
    let history = match positions::history(session, cx).await? {
        Known::Known(history) => history,
        Known::Unknown { why } => return Ok(Known::Unknown { why }),
    };
    let system: u64 = history.system.parse().map_err(|_| malformed("a system identifier that is no number"))?;
    let timeline = history.timeline;
    if timeline <= 1 {
        return Ok(Known::Known(Ancestry::first(system)));
    }
    let allowed = "SELECT has_function_privilege('pg_read_file(text)', 'EXECUTE')";
    let may = rows(session, cx, "check privileges", allowed).await?;
    let user = quote::ident(&session.facts.user);
    let said = refused.detail_text().unwrap_or_else(|| refused.message());
    if may.first().map(|row| text(row, 0)).transpose()?.flatten() != Some("t") {
        return Ok(Known::unknown(format!(
            "the history of timeline {timeline} may not be read: ALTER ROLE {user} REPLICATION, or GRANT EXECUTE ON \
             FUNCTION pg_read_file(text) TO {user} (replication: {said})"
        )));
    }
    let sql = format!("SELECT pg_read_file('pg_wal/{timeline:08X}.history')");
    match rows(session, cx, "read the history", &sql).await {
        Ok(rows) => {
            let content = rows.first().map(|row| text(row, 0)).transpose()?.flatten().unwrap_or_default();
            Ok(parsed(system, timeline, content))
        }
        Err(error) if ended(&error) => Err(error),
        Err(error) => Ok(Known::unknown(unread(timeline, &error))),
    }
}

/// Whether the run is over, so that nothing else is tried.
fn ended(error: &Error) -> bool {
    matches!(error.kind(), FailureKind::Deadline | FailureKind::Cancelled)
}

async fn finish(session: &Session, cx: &Context, facts: Facts, ancestry: Known<Ancestry>) -> Result<Standing> {
    let databases =
        rows(session, cx, "list databases", "SELECT oid::int8::text, datname::text FROM pg_database").await?;
    let mut names = BTreeMap::new();
    for row in &databases {
        if let (Some(oid), Some(name)) = (text(row, 0)?.and_then(|oid| oid.parse().ok()), text(row, 1)?) {
            names.insert(oid, name.to_owned());
        }
    }
    let reached = match facts.reached {
        Some(reached) => Known::Known(reached),
        None => Known::unknown("the server has not replayed anything yet"),
    };
    let promoted_at = promoted_at(session, cx, &facts, &ancestry).await?;
    let Facts { in_recovery, read_only, instance, .. } = facts;
    let instance = match &ancestry {
        Known::Known(ancestry) => format!("{}/{instance}", ancestry.system),
        Known::Unknown { .. } => instance,
    };
    let (streams, synchrony) = following::following(session, cx, in_recovery).await?;
    Ok(Standing {
        ancestry,
        reached,
        in_recovery,
        read_only,
        promoted_at,
        databases: names,
        streams,
        synchrony,
        prepared: if in_recovery { Vec::new() } else { prepared(session, cx).await? },
        instance,
    })
}

/// Transactions that somebody has to decide. On a standby they are not shown before its promotion.
async fn prepared(session: &Session, cx: &Context) -> Result<Vec<PreparedTransaction>> {
    let sql = format!(
        "SELECT transaction::text, gid, database::text, owner::text, \
           (extract(epoch FROM prepared) * {MICROSECONDS})::int8::text \
         FROM pg_prepared_xacts ORDER BY prepared LIMIT {PREPARED_MAX}"
    );
    let found = rows(session, cx, "list prepared transactions", &sql).await?;
    let one = |row: &SimpleQueryRow| -> Result<PreparedTransaction> {
        let column = |column| Ok::<_, Error>(text(row, column)?.unwrap_or_default().to_owned());
        let bad = || malformed("a prepared transaction without a number or a time");
        Ok(PreparedTransaction {
            xid: column(0)?.parse().map_err(|_| bad())?,
            gid: column(1)?,
            database: column(2)?,
            owner: column(3)?,
            prepared_at: column(4)?.parse().map_err(|_| bad())?,
        })
    };
    found.iter().map(one).collect()
}

/// A promotion writes the history file of the timeline that it begins.
async fn promoted_at(session: &Session, cx: &Context, facts: &Facts, ancestry: &Known<Ancestry>) -> Result<Known<i64>> {
    let timeline = match ancestry {
        Known::Known(ancestry) if !facts.in_recovery && ancestry.timeline > 1 => ancestry.timeline,
        Known::Known(_) => return Ok(Known::unknown("the server was not promoted")),
        Known::Unknown { why } => return Ok(Known::unknown(why.clone())),
    };
    let allowed = "SELECT has_function_privilege('pg_ls_waldir()', 'EXECUTE')";
    let may = rows(session, cx, "check privileges", allowed).await?;
    if may.first().map(|row| text(row, 0)).transpose()?.flatten() != Some("t") {
        let user = quote::ident(&session.facts.user);
        return Ok(Known::unknown(format!("when it was promoted may not be read: GRANT pg_monitor TO {user}")));
    }
    let sql = format!(
        "SELECT extract(epoch FROM modification)::int8::text FROM pg_ls_waldir() WHERE name = '{timeline:08X}.history'"
    );
    let found = rows(session, cx, "look for the history file", &sql).await?;
    let seconds =
        found.first().map(|row| text(row, 0)).transpose()?.flatten().and_then(|text| text.parse::<i64>().ok());
    Ok(match seconds.and_then(|seconds| seconds.checked_mul(MICROSECONDS)) {
        Some(at) => Known::Known(at),
        None => Known::unknown(format!("there is no history file of timeline {timeline}")),
    })
}
