//! Connections: hosts and TLS modes in turn, pinned read-only settings, time-outs from the context.

use crate::conninfo::{ChannelBinding, ConnInfo, Host, SslMode, TargetSession};
use crate::dial::{self, Failed, Line};
use crate::errors::{classify, is_tls, malformed, refuses_connection, unreachable};
use crate::params::Param;
use crate::raw::RawParam;
use crate::tap::Source;
use crate::who::{self, Who};
use crate::{passfile, tls};
use futures_util::FutureExt as _;
use paritas_connect::{Context, Error, FailureKind, Result};
use secrecy::ExposeSecret;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Row, SimpleQueryMessage};

/// The oldest server with ctid range scans.
const VERSION_MIN: i32 = 140_000;
/// Waiting for a lock that somebody holds against readers.
const LOCK_TIMEOUT_MS: u32 = 10_000;
/// Time-outs that were set this short a while ago are not set again.
const RENEWED_FOR: Duration = Duration::from_secs(1);
/// An abandoned transaction of ours is ended by the server after this long.
const IDLE_TIMEOUT_MS_MAX: u128 = 3_600_000;
/// The server's time-out comes after our own deadline, which gives the better message.
const GRACE: Duration = Duration::from_secs(5);
/// A dead peer is noticed after about a minute even when nobody set a deadline.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// Everything that must not depend on the user's or the server's settings. Nothing is ever
/// written, text forms are fixed, and row security makes a query fail instead of hiding rows. How long
/// a snapshot is held is limited by us, as `transaction_timeout` (from PostgreSQL 17 on) would end a
/// read in the middle.
const SETTINGS: &str = "SET default_transaction_read_only = on; SET search_path = pg_catalog; \
    SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmloption = 'content'; \
    SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET row_security = off; \
    SET jit = off; SET synchronize_seqscans = off; \
    SELECT CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL \
      THEN pg_catalog.set_config('transaction_timeout', '0', false) END";

/// What a server says about itself when a session begins.
#[derive(Debug, Clone)]
pub(crate) struct ServerFacts {
    /// `server_version`, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub(crate) version: String,
    pub(crate) in_recovery: bool,
    pub(crate) user: String,
    /// The user's own search path, existing schemas only, before it was pinned.
    pub(crate) search_path: Vec<String>,
    /// Which server it is.
    pub(crate) who: Who,
}

/// One connection with pinned settings.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) facts: ServerFacts,
    /// Where a scan takes COPY data from the connection.
    pub(crate) source: Arc<dyn Source>,
    connection: JoinHandle<()>,
    busy: bool,
    /// Until when the time-outs are as good as new, and for which deadline.
    renewed: Mutex<(Instant, Option<Instant>)>,
    may_identify: OnceLock<bool>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("facts", &self.facts).field("busy", &self.busy).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // An idle connection says goodbye when its client is dropped. One in the middle of a stream
        // would first read that stream to its end.
        if self.busy {
            self.connection.abort();
        }
    }
}

/// Connects to the first server that will do.
pub(crate) async fn connect(info: &ConnInfo, cx: &Context) -> Result<Session> {
    let wanted: &[TargetSession] = match info.target {
        TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
        ref one => std::slice::from_ref(one),
    };
    let mut last = None;
    for target in wanted {
        for host in &info.hosts {
            cx.check()?;
            match cx.bound(connect_host(info, host, cx)).await {
                Ok(session) if suits(*target, &session.facts) => return Ok(session),
                Ok(session) => last = Some(unsuitable(*target, host, &session.facts)),
                Err(error) if matches!(error.kind(), FailureKind::Deadline | FailureKind::Cancelled) => {
                    return Err(error);
                }
                Err(error) => last = Some(error),
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::new(FailureKind::Permanent, "config.url", "no server is named")))
}

fn suits(target: TargetSession, facts: &ServerFacts) -> bool {
    match target {
        TargetSession::Primary => !facts.in_recovery,
        TargetSession::Standby => facts.in_recovery,
        TargetSession::Any | TargetSession::PreferStandby => true,
    }
}

fn unsuitable(target: TargetSession, host: &Host, facts: &ServerFacts) -> Error {
    let is = if facts.in_recovery { "a standby" } else { "a primary" };
    let wanted = if target == TargetSession::Primary { "a primary" } else { "a standby" };
    let message = format!("{}:{} is {is}, and {wanted} was asked for", host.host, host.port);
    Error::new(FailureKind::Transient, "store.unreachable", message).hint("check target_session_attrs")
}

/// A denial that is none of a table: the database lets this user not in.
fn may_connect(error: Error, info: &ConnInfo) -> Error {
    if error.code() != "dataset.denied" {
        return error;
    }
    let (database, user) = (crate::quote::shown_ident(&info.dbname), crate::quote::shown_ident(&info.user));
    error.hint(format!("GRANT CONNECT ON DATABASE {database} TO {user}"))
}

async fn connect_host(info: &ConnInfo, host: &Host, cx: &Context) -> Result<Session> {
    let doing = || format!("connect to {}:{} as {}", host.host, host.port, info.user);
    let (first, then) = match info.ssl_mode {
        // The server never offers TLS on a socket.
        _ if host.is_socket() => (Way::Plain, None),
        SslMode::Disable => (Way::Plain, None),
        SslMode::Allow => (Way::Plain, Some(Way::Encrypted)),
        SslMode::Prefer => (Way::Encrypted, Some(Way::Plain)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Way::Encrypted, None),
    };
    let failed = |error: Failed| match error {
        Failed::Library(error) => may_connect(classify(doing(), error), info),
        Failed::Socket(error) => unreachable(doing(), error),
    };
    let line = match attempt(info, host, first).await? {
        Ok(line) => line,
        Err(Failed::Library(error)) => match then {
            Some(second) if is_tls(&error) || refuses_connection(&error) => {
                attempt(info, host, second).await?.map_err(failed)?
            }
            _ => return Err(classify(doing(), error)),
        },
        Err(error) => return Err(failed(error)),
    };
    prepare(line, info.session_pooler, cx).await
}

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Encrypted,
}

/// One try with one way of encrypting. The outer error is about certificate files.
async fn attempt(info: &ConnInfo, host: &Host, way: Way) -> Result<Result<Line, Failed>> {
    let mut config = config(info, host);
    let tls = match way {
        Way::Plain => None,
        Way::Encrypted => Some(tls::client_config(info)?),
    };
    let dial = async {
        match tls {
            None => dial::plain(&mut config, host, info.replication).await,
            Some(tls) => dial::encrypted(&mut config, tls, info.replication).await,
        }
    };
    // The library's own limit ends with the TCP connection; a server may accept that and say nothing.
    let late = |late: tokio::time::error::Elapsed| Err(Failed::Socket(late.into()));
    Ok(tokio::time::timeout(info.connect_timeout, dial).await.unwrap_or_else(late))
}

fn config(info: &ConnInfo, host: &Host) -> Config {
    let mut config = Config::new();
    config.host(&host.host).port(host.port).user(&info.user).dbname(&info.dbname);
    config.application_name(&info.application_name).connect_timeout(info.connect_timeout);
    config.channel_binding(match info.channel_binding {
        ChannelBinding::Disable => tokio_postgres::config::ChannelBinding::Disable,
        ChannelBinding::Prefer => tokio_postgres::config::ChannelBinding::Prefer,
        ChannelBinding::Require => tokio_postgres::config::ChannelBinding::Require,
    });
    config.keepalives(info.keepalives).keepalives_idle(info.keepalives_idle.unwrap_or(KEEPALIVE_IDLE));
    config.keepalives_interval(info.keepalives_interval.unwrap_or(KEEPALIVE_INTERVAL));
    config.keepalives_retries(KEEPALIVE_RETRIES);
    if let Some(address) = host.hostaddr {
        config.hostaddr(address);
    }
    if let Some(options) = &info.options {
        config.options(options);
    }
    if let Some(timeout) = info.tcp_user_timeout {
        config.tcp_user_timeout(timeout);
    }
    if let Some(password) = passfile::password(info, host) {
        config.password(password.expose_secret());
    }
    config
}

/// The server's process is not the one that the other end named: a pooler stands between. Fails before anything
/// is set, because a setting would stay in a session that belongs to others.
fn only_process(source: &dyn Source, pooled: bool) -> String {
    match source.backend() {
        Some(process) if !pooled => {
            format!("SELECT 1 / (pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {process})::int; ")
        }
        _ => String::new(),
    }
}

fn prepared(error: tokio_postgres::Error) -> Error {
    if error.code() == Some(&SqlState::DIVISION_BY_ZERO) {
        return Error::new(FailureKind::Permanent, "store.pooler", "a connection pooler stands before the server")
            .detail("Settings and snapshots belong to sessions, and a pooler may share those with other clients.")
            .hint("connect to the server itself; a pooler that keeps a session for each client is used with ?pooler=session");
    }
    classify("begin a session", error)
}

/// Reads what the server is and pins the settings, in one round trip.
async fn prepare(line: Line, pooled: bool, cx: &Context) -> Result<Session> {
    let Line { client, connection, source } = line;
    let process = only_process(&*source, pooled);
    let begin = |system: &str| {
        format!(
            "SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('server_version'), \
             pg_catalog.pg_is_in_recovery(), current_user, pg_catalog.array_to_json(pg_catalog.current_schemas(false)), \
             {system}, {}; {process}{SETTINGS}; SET lock_timeout = {LOCK_TIMEOUT_MS}; {}",
            who::PLACE,
            timeouts(cx)
        )
    };
    let messages = match client.simple_query(&begin(who::SYSTEM)).await {
        Err(error) if who::is_hidden(&error) => client.simple_query(&begin(who::HIDDEN)).await,
        other => other,
    };
    let messages = messages.map_err(prepared)?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |column| row.and_then(|row| row.get(column)).unwrap_or_default();
    let number: i32 = text(0).parse().map_err(|_| malformed("no version number"))?;
    if number < VERSION_MIN {
        let message = format!("PostgreSQL {} is too old", text(1));
        return Err(
            Error::new(FailureKind::Permanent, "store.version", message).hint("Paritas needs PostgreSQL 14 or later")
        );
    }
    let search_path = serde_json::from_str(text(4)).map_err(|error| malformed("no search path").because(error))?;
    let in_recovery = text(2) == "t";
    let who = Who::new(row.and_then(|row| row.get(5)), text(6), text(7), in_recovery);
    let (version, user) = (text(1).to_owned(), text(3).to_owned());
    let facts = ServerFacts { version, in_recovery, user, search_path, who };
    let renewed = Mutex::new((Instant::now() + RENEWED_FOR, cx.deadline()));
    Ok(Session { client, facts, source, connection, busy: false, renewed, may_identify: OnceLock::new() })
}

/// Settings that keep the server from working for us after the run has ended.
pub(crate) fn timeouts(cx: &Context) -> String {
    let left = cx.remaining().map(|left| (left + GRACE).as_millis());
    let statement = left.unwrap_or(0);
    let idle = left.unwrap_or(IDLE_TIMEOUT_MS_MAX).min(IDLE_TIMEOUT_MS_MAX);
    format!("SET statement_timeout = {statement}; SET idle_in_transaction_session_timeout = {idle}")
}

impl Session {
    /// Starts a new use of an open connection: time-outs of this context. Calls close to each other for one
    /// deadline spare the round trip; the server then stops by itself at most [`RENEWED_FOR`] later.
    pub(crate) async fn renew(&self, cx: &Context) -> Result<()> {
        let fresh = |(until, deadline): (Instant, Option<Instant>)| Instant::now() < until && deadline == cx.deadline();
        if fresh(*self.renewed.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let until = Instant::now() + RENEWED_FOR;
        self.batch(cx, "begin a call", &timeouts(cx)).await?;
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = (until, cx.deadline());
        Ok(())
    }

    /// Whether this user may read which server this is. Asked once in a session: refused later, the reading fails.
    pub(crate) async fn may_identify(&self, cx: &Context) -> Result<bool> {
        if let Some(known) = self.may_identify.get() {
            return Ok(*known);
        }
        let sql = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE') \
                   AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE') \
                   AND has_function_privilege('pg_control_recovery()', 'EXECUTE')";
        let row = self.query_one(cx, "check privileges", sql, &[]).await?;
        let allowed = get(&row, 0)?;
        Ok(*self.may_identify.get_or_init(|| allowed))
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.busy
    }

    /// From now on the connection cannot be used again unless [`Session::idle`] says so.
    pub(crate) fn mark_busy(&mut self) {
        self.busy = true;
    }

    /// Ends the transaction that the session is in as a commit, without waiting for it. A first reader of fresh
    /// rows notes in the pages how their writers ended, and that is logged. The server writes such records out
    /// after a commit; after an abort, as when the connection just ends, they wait for the next snapshot of a quiet
    /// server, up to 15 seconds, and so does every replica that is to come so far.
    pub(crate) fn end_view(&self) {
        if !self.is_closed() {
            // What is polled once is sent; the connection waits for the answer before it says goodbye.
            let _sent = self.client.batch_execute("COMMIT").now_or_never();
        }
    }

    /// The stream was read to its end.
    pub(crate) fn mark_idle(&mut self) {
        self.busy = false;
    }

    /// Runs statements without results.
    pub(crate) async fn batch(&self, cx: &Context, doing: &str, sql: &str) -> Result<()> {
        cx.bound(async { self.client.batch_execute(sql).await.map_err(|error| classify(doing, error)) }).await
    }

    /// Runs a query.
    pub(crate) async fn query(&self, cx: &Context, doing: &str, sql: &str, params: &[&dyn Param]) -> Result<Vec<Row>> {
        let typed: Vec<_> = params.iter().map(|param| (param.value(), param.sql_type())).collect();
        cx.bound(async { self.client.query_typed(sql, &typed).await.map_err(|error| classify(doing, error)) }).await
    }

    /// Runs a query for exactly one row.
    /// The rows of one statement whose parameters are binary and get their types from its casts; one round trip.
    pub(crate) async fn query_raw(
        &self,
        cx: &Context,
        doing: &str,
        sql: &str,
        params: &[RawParam],
    ) -> Result<Vec<Row>> {
        let typed = as_the_statement_says(params);
        cx.bound(async { self.client.query_typed(sql, &typed).await.map_err(|error| classify(doing, error)) }).await
    }

    /// The same in a transaction of its own that begins with `begin`; all is sent at once, so that it is one
    /// round trip as well.
    pub(crate) async fn query_alone(
        &self,
        cx: &Context,
        doing: &str,
        begin: &str,
        sql: &str,
        params: &[RawParam],
    ) -> Result<Vec<Row>> {
        let typed = as_the_statement_says(params);
        let work = async {
            // In this order: each is sent when it is first polled. After an error the last one rolls back.
            let (begun, rows, ended) = tokio::join!(
                biased;
                self.client.batch_execute(begin),
                self.client.query_typed(sql, &typed),
                self.client.batch_execute("COMMIT")
            );
            let rows = begun.and(rows)?;
            ended.map(|()| rows)
        };
        cx.bound(async { work.await.map_err(|error| classify(doing, error)) }).await
    }

    pub(crate) async fn query_one(&self, cx: &Context, doing: &str, sql: &str, params: &[&dyn Param]) -> Result<Row> {
        let rows = self.query(cx, doing, sql, params).await?;
        rows.into_iter().next().ok_or_else(|| malformed("no row where one must be").context(doing))
    }
}

fn as_the_statement_says(params: &[RawParam]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    params.iter().map(|param| (param as &(dyn ToSql + Sync), Type::UNKNOWN)).collect()
}

/// Reads a column of a catalog row.
pub(crate) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, column: usize) -> Result<T> {
    row.try_get(column).map_err(|error| classify(format!("read column {column} of the catalog"), error))
}
