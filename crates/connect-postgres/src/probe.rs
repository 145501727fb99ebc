//! What a server says about itself, and what this user will not be able to do.

use crate::positions;
use crate::quote;
use crate::session::{Session, get};
use paritas_connect::{Context, ReplicaRole, Result, StoreIdentity};
use paritas_model::Known;

/// Names at most in a list of tables that cannot be read.
const NAMED_MAX: i64 = 5;

pub(crate) async fn identity(session: &Session, cx: &Context) -> Result<StoreIdentity> {
    let history = positions::history(session, cx).await?;
    let mut limits = limits(session, cx).await?;
    limits.extend(history.why().map(ToOwned::to_owned));
    let names = subscriptions(session, cx).await?;
    let role = match (session.facts.in_recovery, names.is_empty()) {
        (true, _) => ReplicaRole::PhysicalReplica,
        (false, true) => ReplicaRole::Primary,
        (false, false) => ReplicaRole::LogicalReplica { subscriptions: names },
    };
    let version = session.facts.version.split_whitespace().next().unwrap_or_default();
    let place = place(session, cx, &history).await?;
    let identity = match history {
        Known::Known(history) => Known::Known(history.system),
        Known::Unknown { why } => Known::Unknown { why },
    };
    Ok(StoreIdentity { version: format!("PostgreSQL {version}"), identity, place, role, limits })
}

/// The running server process and the database: a copy of a server starts at another time.
async fn place(session: &Session, cx: &Context, history: &Known<positions::History>) -> Result<Known<String>> {
    let sql = "SELECT extract(epoch FROM pg_postmaster_start_time())::text, current_database()::text";
    let row = session.query_one(cx, "identify the server", sql, &[]).await?;
    let (started, database): (&str, &str) = (get(&row, 0)?, get(&row, 1)?);
    let role = if session.facts.in_recovery { "standby" } else { "primary" };
    Ok(match history {
        Known::Known(history) => Known::Known(format!("{}/{role}/{started}/{database}", history.system)),
        Known::Unknown { why } => Known::unknown(why.clone()),
    })
}

async fn subscriptions(session: &Session, cx: &Context) -> Result<Vec<String>> {
    let sql = "SELECT coalesce(subslotname, subname)::text FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database \
               WHERE datname = current_database()) ORDER BY 1";
    let rows = session.query(cx, "look for subscriptions", sql, &[]).await?;
    rows.iter().map(|row| get(row, 0)).collect()
}

async fn limits(session: &Session, cx: &Context) -> Result<Vec<String>> {
    let sql = "SELECT pg_has_role('pg_read_all_stats', 'USAGE'), count(*), \
                 (array_agg(n.nspname || '.' || c.relname ORDER BY n.nspname, c.relname))[1:5], \
                 (array_agg(DISTINCT quote_ident(n.nspname)) FILTER (WHERE NOT has_schema_privilege(n.oid, 'USAGE')))[1:5] \
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' \
                 AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
                 AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'))";
    let row = session.query_one(cx, "check privileges", sql, &[]).await?;
    let user = quote::shown_ident(&session.facts.user);
    let mut limits = Vec::new();
    let unreadable: i64 = get(&row, 1)?;
    if unreadable > 0 {
        let names: Vec<String> = get(&row, 2)?;
        let more = if unreadable > NAMED_MAX { ", ..." } else { "" };
        let closed: Option<Vec<String>> = get(&row, 3)?;
        let usage = closed.map_or_else(String::new, |schemas| {
            let grant = |schema: &String| format!(", and GRANT USAGE ON SCHEMA {schema} TO {user}");
            schemas.iter().map(grant).collect()
        });
        limits.push(format!(
            "{unreadable} tables may not be read ({}{more}): GRANT pg_read_all_data TO {user}, or GRANT SELECT on them{usage}",
            names.join(", ")
        ));
    }
    if !get::<bool>(&row, 0)? {
        limits.push(format!("statistics of replication are hidden: GRANT pg_monitor TO {user}"));
    }
    limits.extend(of_a_failover(session, cx, &user).await?);
    Ok(limits)
}

/// What a failover will have to ask this server, and may not.
async fn of_a_failover(session: &Session, cx: &Context, user: &str) -> Result<Vec<String>> {
    let sql = "SELECT (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user) \
                   OR has_function_privilege('pg_read_file(text)', 'EXECUTE'), \
                 count(*), (array_agg(n.nspname || '.' || c.relname ORDER BY n.nspname, c.relname))[1:5] \
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' \
                 AND NOT (has_sequence_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'))";
    let row = session.query_one(cx, "check privileges", sql, &[]).await?;
    let mut limits = Vec::new();
    let unreadable: i64 = get(&row, 1)?;
    if unreadable > 0 {
        let names: Vec<String> = get(&row, 2)?;
        let more = if unreadable > NAMED_MAX { ", ..." } else { "" };
        limits.push(format!(
            "{unreadable} sequences may not be read ({}{more}): GRANT SELECT ON SEQUENCE {} TO {user}",
            names.join(", "),
            names.first().map_or("", String::as_str)
        ));
    }
    if get::<Option<bool>>(&row, 0)? != Some(true) {
        limits.push(format!(
            "the history of timelines may not be read, which a failover needs: ALTER ROLE {user} REPLICATION, or GRANT EXECUTE \
             ON FUNCTION pg_read_file(text) TO {user}"
        ));
    }
    Ok(limits)
}
