//! What belongs to a database beside its tables: sequences with their values, extensions, collations.

use crate::errors::malformed;
use crate::quote;
use crate::relation::{self, SYSTEM};
use crate::session::{Session, get};
use paritas_connect::{Context, Counter, Result, Surrounding};
use paritas_model::{Dataset, Known};
use tokio_postgres::types::Oid;

/// Sequences in one statement.
const SEQUENCES_MAX: usize = 500;

/// Sequences (of these tables, where some are named), extensions, and the collation rules in use.
pub(crate) async fn load(session: &Session, cx: &Context, owners: Option<&[Dataset]>) -> Result<Vec<Surrounding>> {
    let mut tables: Vec<Oid> = Vec::new();
    for owner in owners.unwrap_or_default() {
        tables.push(relation::resolve(session, cx, owner).await?.oid);
    }
    let mut all = sequences(session, cx, owners.map(|_| tables.as_slice())).await?;
    if owners.is_none() {
        extensions(session, cx, &mut all).await?;
        collation(session, cx, &mut all).await?;
    }
    Ok(all)
}

/// A sequence before its value is read.
struct Found {
    sql: String,
    what: String,
    definition: String,
    step: i64,
    readable: bool,
    persistence: String,
}

async fn sequences(session: &Session, cx: &Context, tables: Option<&[Oid]>) -> Result<Vec<Surrounding>> {
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, \
           s.seqmax, s.seqcache, s.seqcycle, \
           has_sequence_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), c.relpersistence::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid \
         WHERE {SYSTEM} AND c.relpersistence <> 't' AND ($1::oid[] IS NULL OR EXISTS (SELECT FROM pg_depend d \
           WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass \
             AND d.refobjid = ANY($1) AND d.deptype IN ('a', 'i'))) ORDER BY 1, 2"
    );
    let mut found = Vec::new();
    for row in session.query(cx, "read the sequences", &sql, &[&tables]).await? {
        let (schema, name, kind): (&str, &str, &str) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
        let numbers: Result<Vec<i64>> = (3..8).map(|column| get(&row, column)).collect();
        let cycle = if get(&row, 8)? { "cycle" } else { "no cycle" };
        found.push(Found {
            sql: quote::qualified(schema, name),
            what: format!("sequence {}", quote::shown(schema, name)),
            definition: format!("{kind} (start, step, min, max, cache: {}, {cycle})", quote::list(numbers?)),
            step: get(&row, 4)?,
            readable: get(&row, 9)?,
            persistence: get(&row, 10)?,
        });
    }
    let mut all = Vec::with_capacity(found.len());
    for chunk in found.chunks(SEQUENCES_MAX) {
        values(session, cx, chunk, &mut all).await?;
    }
    Ok(all)
}

/// Reads where sequences are. The next value of one that was never used is its last one.
async fn values(session: &Session, cx: &Context, found: &[Found], all: &mut Vec<Surrounding>) -> Result<()> {
    let readable = |one: &Found| one.readable && !(one.persistence == "u" && session.facts.in_recovery);
    let parts = found.iter().enumerate().filter(|(_, one)| readable(one));
    let parts: Vec<String> =
        parts.map(|(index, one)| format!("SELECT {index}::int8, last_value, is_called FROM {}", one.sql)).collect();
    let mut next: Vec<Option<i64>> = vec![None; found.len()];
    if !parts.is_empty() {
        for row in session.query(cx, "read the values of sequences", &parts.join(" UNION ALL "), &[]).await? {
            let index = usize::try_from(get::<i64>(&row, 0)?).map_err(|_| malformed("a negative index"))?;
            let (last, called): (i64, bool) = (get(&row, 1)?, get(&row, 2)?);
            let step = found.get(index).map_or(0, |one| one.step);
            if let Some(slot) = next.get_mut(index) {
                *slot = Some(if called { last.saturating_add(step) } else { last });
            }
        }
    }
    let user = quote::ident(&session.facts.user);
    for (one, next) in found.iter().zip(next) {
        let counter = match next {
            Some(next) => Known::Known(Counter { next, step: one.step }),
            None if one.readable => Known::unknown("an unlogged sequence has no value on a standby"),
            None => {
                Known::unknown(format!("its value may not be read: GRANT SELECT ON SEQUENCE {} TO {user}", one.sql))
            }
        };
        let (what, definition) = (one.what.clone(), one.definition.clone());
        all.push(Surrounding { what, definition, counter: Some(counter), copies_only: false });
    }
    Ok(())
}

async fn extensions(session: &Session, cx: &Context, all: &mut Vec<Surrounding>) -> Result<()> {
    let sql = "SELECT extname::text, extversion FROM pg_extension ORDER BY 1";
    for row in session.query(cx, "read the extensions", sql, &[]).await? {
        let what = format!("extension {}", quote::ident(get::<&str>(&row, 0)?));
        all.push(Surrounding {
            what,
            definition: format!("version {}", get::<&str>(&row, 1)?),
            counter: None,
            copies_only: false,
        });
    }
    Ok(())
}

/// The version of the rules by which this machine sorts texts. Where those of a standby are others, its
/// copies of indexes on texts are out of order.
async fn collation(session: &Session, cx: &Context, all: &mut Vec<Surrounding>) -> Result<()> {
    // The function is new in 15.
    let sql = "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = 'pg_database_collation_actual_version')";
    if !get::<bool>(&session.query_one(cx, "look for collations", sql, &[]).await?, 0)? {
        return Ok(());
    }
    let sql = "SELECT pg_database_collation_actual_version(oid) FROM pg_database WHERE datname = current_database()";
    let version: Option<String> = get(&session.query_one(cx, "read the collation", sql, &[]).await?, 0)?;
    let definition = version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
    all.push(Surrounding {
        what: "rules of the default collation".to_owned(),
        definition,
        counter: None,
        copies_only: true,
    });
    Ok(())
}
