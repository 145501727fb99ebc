//! Replicas: physical standbys and logical subscribers, and waiting until they have caught up.

use std::time::Duration;

use tokio_postgres::types::PgLsn;

use super::install::Install;
use super::options::lines;
use super::server::{Server, shortened};
use crate::wait::{Seen, until};
use crate::{Error, Result};

/// Longest wait for a replica to catch up; the tests' tables take a few seconds at most.
pub(super) const REPLICA_LIMIT: Duration = Duration::from_secs(120);

/// Makes a physical standby with a slot of the same name, and waits until it streams. The server that it streams
/// from may be a standby itself.
///
/// # Errors
/// [`Error::Program`] when `pg_basebackup` or the server fails, [`Error::TimedOut`] when it never streams.
pub async fn standby(primary: &Server, name: &str) -> Result<Server> {
    standby_through(primary, name, primary.port()).await
}

/// As [`standby`], but it streams through another port, for example of a proxy in front of the primary.
///
/// # Errors
/// As [`standby`].
pub async fn standby_through(primary: &Server, name: &str, port: u16) -> Result<Server> {
    let mut options = primary.options.clone();
    options.clear_port();
    let mut server = Server::prepare(&primary.install, &primary.scratch, name, options)?;
    let data = server.data_dir().into_os_string();
    let host = primary.socket_dir().as_os_str().to_owned();
    let args = ["-U", "postgres", "-X", "stream", "-c", "fast", "-R", "-C", "-S", name, "--no-sync", "-p"];
    let args =
        args.iter().map(Into::into).chain([primary.port().to_string().into(), "-h".into(), host, "-D".into(), data]);
    server.run("pg_basebackup", args).await?;
    // In place of the string that pg_basebackup writes: a server with an older client library refuses its options.
    let from = upstream(name, port);
    server.write("postgresql.auto.conf", &lines([("primary_conninfo", from.as_str()), ("primary_slot_name", name)]))?;
    server.start_on_free_port().await?;
    wait_streaming(primary, name).await?;
    Ok(server)
}

/// How a standby of this name connects to the server that it streams from.
pub(super) fn upstream(name: &str, port: u16) -> String {
    format!("host=127.0.0.1 port={port} user=postgres application_name={name}")
}

/// Waits until a standby or subscription of this name streams from the primary.
///
/// # Errors
/// [`Error::TimedOut`].
pub async fn wait_streaming(primary: &Server, name: &str) -> Result<()> {
    let client = primary.client("postgres").await?;
    until(&format!("streaming of {name}"), REPLICA_LIMIT, async || {
        let sql = "SELECT state FROM pg_stat_replication WHERE application_name = $1 \
                   ORDER BY state = 'streaming' DESC LIMIT 1";
        let row = client.query_opt(sql, &[&name]).await.map_err(Error::postgres("read pg_stat_replication"))?;
        let state: String = row.map_or_else(|| "not connected".into(), |row| row.get(0));
        Ok(if state == "streaming" { Seen::Done(()) } else { Seen::NotYet(state) })
    })
    .await
}

/// Waits until the standby has replayed everything that is in the primary's log now.
///
/// # Errors
/// [`Error::TimedOut`] with the position reached.
pub async fn wait_replayed(primary: &Server, standby: &Server) -> Result<()> {
    let fence = position(primary).await?;
    let client = standby.client("postgres").await?;
    until(&format!("replay of {fence} on {}", standby.name()), REPLICA_LIMIT, async || {
        let row = client.query_one("SELECT pg_last_wal_replay_lsn()", &[]).await;
        let reached: Option<PgLsn> = row.map_err(Error::postgres("read the replay position"))?.get(0);
        Ok(match reached {
            Some(reached) if reached >= fence => Seen::Done(()),
            other => Seen::NotYet(format!("replayed up to {other:?}")),
        })
    })
    .await
}

/// Makes a running standby receive nothing more, and waits until its connection to the primary has ended. It goes on
/// answering, and keeps what it has.
///
/// # Errors
/// [`Error::Postgres`], [`Error::TimedOut`].
pub async fn cut_off(standby: &Server) -> Result<()> {
    let client = standby.client("postgres").await?;
    for sql in ["ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"] {
        client.batch_execute(sql).await.map_err(Error::postgres("take the connection string away"))?;
    }
    until(&format!("the end of streaming to {}", standby.name()), REPLICA_LIMIT, async || {
        let row = client.query_opt("SELECT status FROM pg_stat_wal_receiver WHERE pid IS NOT NULL", &[]).await;
        let row = row.map_err(Error::postgres("read pg_stat_wal_receiver"))?;
        Ok(row.map_or(Seen::Done(()), |row| Seen::NotYet(row.get::<_, Option<String>>(0).unwrap_or_default())))
    })
    .await
}

/// Ends recovery on a standby: it becomes a primary on a new timeline.
///
/// # Errors
/// [`Error::Postgres`], [`Error::TimedOut`].
pub async fn promote(standby: &Server) -> Result<()> {
    let client = standby.client("postgres").await?;
    let seconds = i32::try_from(REPLICA_LIMIT.as_secs()).unwrap_or(60);
    let row = client.query_one("SELECT pg_promote(true, $1)", &[&seconds]).await;
    if row.map_err(Error::postgres(format!("promote {}", standby.name())))?.get(0) {
        Ok(())
    } else {
        let waiting_for = format!("promotion of {}", standby.name());
        Err(Error::TimedOut { waiting_for, limit: REPLICA_LIMIT, last: standby.log_tail() })
    }
}

/// Makes a second, independent server with the same tables, subscribed to `tables` of the primary's database
/// `postgres`, and waits until they are copied and caught up.
///
/// `schema_sql` makes the tables on the new server; on the primary they must exist.
///
/// # Errors
/// As [`Server::start`] and [`subscribe`].
pub async fn logical_replica(primary: &Server, name: &str, schema_sql: &str, tables: &[&str]) -> Result<Server> {
    logical_replica_of(&primary.install, primary, name, schema_sql, tables).await
}

/// As [`logical_replica`], on a server of another version.
///
/// # Errors
/// As [`logical_replica`].
pub async fn logical_replica_of(
    install: &Install,
    primary: &Server,
    name: &str,
    schema_sql: &str,
    tables: &[&str],
) -> Result<Server> {
    let mut options = primary.options.clone();
    options.clear_port();
    let replica = Server::start(install, &primary.scratch, name, options).await?;
    replica.batch("postgres", schema_sql).await?;
    subscribe(primary, &replica, "postgres", tables).await?;
    Ok(replica)
}

/// Publishes `tables` of a database on the primary, subscribes the same database of the replica to them, and waits
/// until they are copied and caught up. Publication, subscription and slot have the replica's name.
///
/// # Errors
/// [`Error::Postgres`] when a side refuses, [`Error::TimedOut`] with the tables that were not ready.
pub async fn subscribe(primary: &Server, replica: &Server, database: &str, tables: &[&str]) -> Result<()> {
    subscribe_through(primary, replica, database, tables, primary.port()).await
}

/// As [`subscribe`], through another port, for example of a proxy in front of the primary.
///
/// # Errors
/// As [`subscribe`].
pub async fn subscribe_through(
    primary: &Server,
    replica: &Server,
    database: &str,
    tables: &[&str],
    port: u16,
) -> Result<()> {
    let name = replica.name();
    if tables.is_empty() {
        return Err(Error::Unfit {
            what: format!("subscription {name} without tables"),
            hint: "name at least one table",
        });
    }
    primary.batch(database, &format!("CREATE PUBLICATION {name} FOR TABLE {}", tables.join(", "))).await?;
    // The socket is open whatever the options say about TCP; a proxy can only be reached by TCP.
    let from = if port == primary.port() {
        format!("host={} port={port}", primary.socket_dir().display())
    } else {
        format!("host=127.0.0.1 port={port}")
    };
    let sql =
        format!("CREATE SUBSCRIPTION {name} CONNECTION '{from} user=postgres dbname={database}' PUBLICATION {name}");
    replica.batch(database, &sql).await?;
    wait_copied(replica, database).await?;
    wait_subscribed(primary, replica).await
}

/// Waits until the first copy of every table of the replica's subscriptions is done.
///
/// # Errors
/// [`Error::TimedOut`] with the tables that are not ready.
pub async fn wait_copied(replica: &Server, database: &str) -> Result<()> {
    let client = replica.client(database).await?;
    let sql =
        "SELECT srrelid::regclass::text || ' ' || srsubstate::text FROM pg_subscription_rel WHERE srsubstate <> 'r'";
    until(&format!("the first copy on {}", replica.name()), REPLICA_LIMIT, async || {
        let rows = client.query(sql, &[]).await.map_err(Error::postgres("read pg_subscription_rel"))?;
        let open: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(if open.is_empty() {
            Seen::Done(())
        } else {
            Seen::NotYet(format!("{}; log: {}", open.join(", "), shortened(&replica.log_tail())))
        })
    })
    .await
}

/// Waits until the logical replica has applied everything that is in the primary's log now.
///
/// # Errors
/// [`Error::TimedOut`] with the position reached.
pub async fn wait_subscribed(primary: &Server, replica: &Server) -> Result<()> {
    let fence = position(primary).await?;
    let name = replica.name();
    let client = primary.client("postgres").await?;
    // A subscription that looks for new tables has another connection of its name for a moment.
    let sql = "SELECT state, replay_lsn FROM pg_stat_replication WHERE application_name = $1 \
               ORDER BY state = 'streaming' DESC, replay_lsn DESC NULLS LAST LIMIT 1";
    until(&format!("apply of {fence} on {name}"), REPLICA_LIMIT, async || {
        let row = client.query_opt(sql, &[&name]).await.map_err(Error::postgres("read pg_stat_replication"))?;
        let Some(row) = row else { return Ok(Seen::NotYet("not connected".into())) };
        let (state, applied): (String, Option<PgLsn>) = (row.get(0), row.get(1));
        Ok(match applied {
            Some(applied) if applied >= fence && state == "streaming" => Seen::Done(()),
            other => Seen::NotYet(format!("{state}, applied up to {other:?}")),
        })
    })
    .await
}

/// The end of the primary's log, as written.
async fn position(primary: &Server) -> Result<PgLsn> {
    let client = primary.client("postgres").await?;
    let row = client.query_one("SELECT pg_current_wal_lsn()", &[]).await;
    Ok(row.map_err(Error::postgres(format!("read the log position of {}", primary.name())))?.get(0))
}
