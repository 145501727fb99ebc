//! Tables read page by page with `pageinspect`, for comparing a physical standby with its primary.
//!
//! `get_raw_page` reads one page under its buffer's lock, so no snapshot is needed and nothing is
//! blocked. It is a superuser's function. What a page of which access method may differ in is in
//! [`mask`]; access methods that are not known there are named and not compared.

mod compare;
mod index;
mod layout;
mod map;
mod mask;
mod reader;
mod relations;
mod rows;
mod seals;
mod sequence;
mod transactions;

#[cfg(fuzzing)]
pub(crate) use {
    compare::compare,
    index::is_blank,
    map::{claims, contradicts},
    mask::Layout,
    seals::{alike, of_page},
};

use crate::positions;
use crate::quote;
use crate::relation::{self, Relation};
use crate::session::{Session, get};
use crate::store::PostgresStore;
use async_trait::async_trait;
use paritas_connect::{Context, PageReader, PageTerms, Pages, Result};
use paritas_model::{Dataset, Known};
use reader::PgPages;
use std::sync::Arc;

/// What the last bytes of a page's header must be: its size and the number of its layout, which has
/// been 4 since version 8.3, with the low byte first.
const LAYOUT_VERSION: i32 = 4;

#[async_trait]
impl Pages for PostgresStore {
    async fn open(&self, cx: &Context, dataset: &Dataset) -> Result<Known<Box<dyn PageReader>>> {
        let inner = self.shared();
        let session = inner.session(cx).await?;
        let opened = open(&session, cx, dataset).await?;
        inner.give_back(session);
        Ok(opened.map(|opened| Box::new(PgPages::new(Arc::clone(inner), opened)) as Box<dyn PageReader>))
    }
}

/// Everything that a reader knows from the start.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) root: Relation,
    /// The function for SQL.
    pub(crate) function: String,
    pub(crate) terms: PageTerms,
    /// Whether hints are logged.
    pub(crate) hinted: bool,
    /// Whether it is a primary.
    pub(crate) writes: bool,
}

async fn open(session: &Session, cx: &Context, dataset: &Dataset) -> Result<Known<Opened>> {
    let sql = "SELECT current_setting('is_superuser') = 'on', \
                 (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
                  WHERE e.extname = 'pageinspect'), \
                 current_setting('block_size')::int4, current_setting('server_version_num')::int4 / 10000, \
                 current_setting('data_checksums') = 'on' OR current_setting('wal_log_hints') = 'on'";
    let row = session.query_one(cx, "look for pageinspect", sql, &[]).await?;
    if !get::<bool>(&row, 0)? {
        return Ok(Known::unknown("only a superuser may read pages, and this user is none"));
    }
    let Some(schema) = get::<Option<&str>>(&row, 1)? else {
        return Ok(Known::unknown(
            "the extension pageinspect is not installed: CREATE EXTENSION pageinspect on the source",
        ));
    };
    let (page_bytes, major): (i32, i32) = (get(&row, 2)?, get(&row, 3)?);
    let hints: bool = get(&row, 4)?;
    let function = quote::qualified(schema, "get_raw_page");
    if let Some(why) = unfit(session, cx, schema, &function, page_bytes).await? {
        return Ok(Known::unknown(why));
    }
    let history = match positions::history(session, cx).await? {
        Known::Known(history) => history,
        Known::Unknown { why } => return Ok(Known::unknown(why)),
    };
    let terms = PageTerms {
        lineage: history.lineage().0,
        format: format!("PostgreSQL {major}"),
        page_bytes: usize::try_from(page_bytes).unwrap_or(0),
        logging: if hints { "on" } else { "off (wal_log_hints and data checksums)" }.to_owned(),
    };
    let root = relation::resolve(session, cx, dataset).await?;
    Ok(Known::Known(Opened { root, function, terms, hinted: hints, writes: !session.facts.in_recovery }))
}

/// Why pages of this server cannot be understood, if they cannot.
async fn unfit(
    session: &Session,
    cx: &Context,
    schema: &str,
    function: &str,
    page_bytes: i32,
) -> Result<Option<String>> {
    let signature = format!("{}.get_raw_page(text,text,bigint)", quote::ident(schema));
    let sql = "SELECT to_regprocedure($1) IS NOT NULL, (SELECT max_data_alignment FROM pg_control_init())";
    let row = session.query_one(cx, "look for pageinspect", sql, &[&signature]).await?;
    if !get::<bool>(&row, 0)? {
        return Ok(Some("the extension pageinspect is too old: ALTER EXTENSION pageinspect UPDATE".to_owned()));
    }
    let alignment: i32 = get(&row, 1)?;
    // A catalog that every database has, and that is never empty.
    let sql = format!(
        "SELECT get_byte(page, 18) + 256 * get_byte(page, 19) \
         FROM {function}('pg_catalog.pg_class', 'main', 0::int8) AS page"
    );
    let row = session.query_one(cx, "read a page", &sql, &[]).await?;
    let version: i32 = get(&row, 0)?;
    let known = alignment == 8 && version == page_bytes | LAYOUT_VERSION;
    Ok((!known).then(|| "the layout of this server's pages is not known (byte order, alignment or version)".to_owned()))
}
