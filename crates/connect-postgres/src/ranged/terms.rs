//! What rows depend on beside their blocks: the server, its settings, the definitions of types.
//!
//! Definitions are told by the transactions that wrote their catalog rows, so that a change is seen that was undone.

use crate::errors::malformed;
use crate::positions;
use crate::relation::{self, Piece};
use crate::scan::PgScan;
use crate::session::{Session, get};
use paritas_connect::{Context, Error, FailureKind, Result, Terms};
use paritas_model::Known;
use tokio_postgres::types::Oid;

/// Settings that the bytes of values may depend on.
const SETTINGS: &[&str] = &[
    "server_version_num",
    "server_encoding",
    "block_size",
    "TimeZone",
    "timezone_abbreviations",
    "DateStyle",
    "IntervalStyle",
    "extra_float_digits",
    "bytea_output",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "xmlbinary",
    "xmloption",
    "quote_all_identifiers",
    "search_path",
    "array_nulls",
];

/// Types that a set of relations uses, with everything that they are made of.
const USED: &str = "WITH RECURSIVE used(oid) AS ( \
      SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped \
    UNION \
      SELECT p.oid FROM used u JOIN pg_type t ON t.oid = u.oid \
        LEFT JOIN pg_range r ON r.rngtypid = t.oid LEFT JOIN pg_range m ON m.rngmultitypid = t.oid \
        CROSS JOIN LATERAL (SELECT t.typelem UNION ALL SELECT t.typbasetype UNION ALL SELECT r.rngsubtype \
          UNION ALL SELECT m.rngtypid UNION ALL SELECT a.atttypid FROM pg_attribute a \
            WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS p(oid) \
      WHERE p.oid <> 0)";

/// The terms of now.
pub(super) async fn load(scan: &PgScan, cx: &Context) -> Result<Terms> {
    let pieces = pieces(scan, cx).await?;
    // Not in the view, which shows an older catalog.
    let session = scan.store.session(cx).await?;
    let terms = of(&session, cx, &pieces).await;
    scan.store.give_back(session);
    terms
}

/// The relations as the view shows them.
pub(super) async fn pieces(scan: &PgScan, cx: &Context) -> Result<Vec<Piece>> {
    let owner = scan.exported.session().await;
    relation::parts(&owner, cx, &scan.plan.relation).await
}

async fn of(session: &Session, cx: &Context, pieces: &[Piece]) -> Result<Terms> {
    let Known::Known(history) = positions::history(session, cx).await? else {
        return Err(Error::new(FailureKind::Denied, "store.denied", "the server cannot be identified"));
    };
    let mut terms = vec![("server".to_owned(), history.system.clone())];
    terms.push(("timeline".to_owned(), history.timeline.to_string()));
    // After a crash the log may go on before its former end, and what was committed may be undone: the checkpointer
    // is started anew then, and the postmaster is not.
    let sql = "SELECT extract(epoch FROM pg_postmaster_start_time())::text, \
                 (SELECT extract(epoch FROM backend_start)::text FROM pg_stat_activity \
                  WHERE backend_type = 'checkpointer'), \
                 (SELECT oid::int8 FROM pg_database WHERE datname = current_database())";
    let row = session.query_one(cx, "read when the server was started", sql, &[]).await?;
    let (started, checkpointer): (&str, Option<&str>) = (get(&row, 0)?, get(&row, 1)?);
    let checkpointer = checkpointer.ok_or_else(|| malformed("no checkpointer"))?;
    terms.push(("start of the server".to_owned(), format!("{started} {checkpointer}")));
    terms.push(("database".to_owned(), get::<i64>(&row, 2)?.to_string()));
    let sql = "SELECT name::text, setting FROM pg_settings WHERE name = ANY($1::text[]) ORDER BY 1";
    let names: Vec<String> = SETTINGS.iter().map(|name| (*name).to_owned()).collect();
    for row in session.query(cx, "read settings", sql, &[&names.as_slice()]).await? {
        let (name, value): (&str, &str) = (get(&row, 0)?, get(&row, 1)?);
        terms.push((format!("setting {name}"), value.to_owned()));
    }
    terms.push(("definitions of types".to_owned(), types(session, cx, pieces).await?));
    Ok(terms)
}

fn oids(pieces: &[Piece]) -> Vec<Oid> {
    pieces.iter().map(|piece| piece.relation.oid).collect()
}

async fn types(session: &Session, cx: &Context, pieces: &[Piece]) -> Result<String> {
    let sql = format!(
        "{USED}, lines AS ( \
           SELECT 'type ' || t.oid || ' ' || t.xmin AS line FROM pg_type t WHERE t.oid IN (SELECT oid FROM used) \
           UNION ALL SELECT 'label ' || e.oid || ' ' || e.xmin FROM pg_enum e \
             WHERE e.enumtypid IN (SELECT oid FROM used) \
           UNION ALL SELECT 'field ' || a.attrelid || ' ' || a.attnum || ' ' || a.xmin FROM pg_attribute a \
             JOIN pg_type t ON t.typrelid = a.attrelid \
             WHERE t.typrelid <> 0 AND a.attnum > 0 AND t.oid IN (SELECT oid FROM used) \
           UNION ALL SELECT 'function ' || p.oid || ' ' || p.xmin FROM pg_proc p \
             WHERE p.oid IN (SELECT unnest(ARRAY[t.typoutput::oid, t.typsend::oid]) FROM pg_type t \
               WHERE t.oid IN (SELECT oid FROM used))) \
         SELECT coalesce(md5(string_agg(line, ' ' ORDER BY line)), '') FROM lines"
    );
    let row = session.query_one(cx, "read the definitions of types", &sql, &[&oids(pieces).as_slice()]).await?;
    get(&row, 0)
}

/// A column whose values name things of the catalog: they change without their rows.
pub(super) async fn naming_the_catalog(session: &Session, cx: &Context, pieces: &[Piece]) -> Result<Option<String>> {
    let sql = format!(
        "{USED} SELECT t.typname::text FROM pg_type t JOIN used ON used.oid = t.oid \
         WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typname::text = ANY(ARRAY['regclass', 'regproc', \
           'regprocedure', 'regoper', 'regoperator', 'regtype', 'regrole', 'regnamespace', 'regconfig', \
           'regdictionary', 'regcollation', 'regdatabase', 'aclitem']) ORDER BY 1 LIMIT 1"
    );
    let rows = session.query(cx, "look for names of the catalog", &sql, &[&oids(pieces).as_slice()]).await?;
    rows.first().map(|row| get(row, 0)).transpose()
}
