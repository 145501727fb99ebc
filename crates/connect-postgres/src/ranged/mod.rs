//! Rows by ranges of blocks: which were not written since they were read (`docs/snapshot-cost.md` has the argument).
//!
//! Versions of blocks are their log positions, read with `pageinspect`. They are read after the view was pinned: what
//! was written before the view is in them, and what was written after it does not matter.

mod mark;
mod read;
mod survey;
mod terms;

pub(crate) use mark::mark;

use crate::quote;
use crate::scan::PgScan;
use crate::session::{Session, get};
use async_trait::async_trait;
use paritas_connect::{Context, PlacedSink, Ranged, RangedPart, Result, SplitDone, Survey, Terms};
use paritas_model::Known;
use std::ops::Range;

#[async_trait]
impl Ranged for PgScan {
    async fn survey(&self, cx: &Context, blocks: u64) -> Result<Known<Survey>> {
        survey::survey(self, cx, blocks).await
    }

    async fn terms(&self, cx: &Context) -> Result<Terms> {
        terms::load(self, cx).await
    }

    async fn read_runs(
        &self,
        cx: &Context,
        part: &RangedPart,
        runs: &[Range<u64>],
        sink: &mut dyn PlacedSink,
    ) -> Result<SplitDone> {
        read::runs(self, cx, part, runs, sink).await
    }
}

/// The functions that read a page and its header, or why this user has none.
pub(crate) struct Inspector {
    raw: String,
    header: String,
}

impl Inspector {
    async fn find(session: &Session, cx: &Context) -> Result<Known<Self>> {
        if session.facts.in_recovery {
            return Ok(Known::unknown("the server replays a log, and does not write one"));
        }
        let sql = "SELECT current_setting('is_superuser') = 'on', \
                     (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
                      WHERE e.extname = 'pageinspect')";
        let row = session.query_one(cx, "look for pageinspect", sql, &[]).await?;
        if !get::<bool>(&row, 0)? {
            return Ok(Known::unknown("only a superuser may read the versions of pages, and this user is none"));
        }
        let Some(schema) = get::<Option<&str>>(&row, 1)? else {
            let why = "the extension pageinspect, which reads the versions of pages, is not installed: CREATE EXTENSION \
                       pageinspect";
            return Ok(Known::unknown(why));
        };
        let name = quote::ident(schema);
        let sql = "SELECT to_regprocedure($1) IS NOT NULL AND to_regprocedure($2) IS NOT NULL";
        let wanted = [format!("{name}.get_raw_page(text,text,bigint)"), format!("{name}.page_header(bytea)")];
        let row = session.query_one(cx, "look for pageinspect", sql, &[&wanted[0], &wanted[1]]).await?;
        if !get::<bool>(&row, 0)? {
            return Ok(Known::unknown("the extension pageinspect is too old: ALTER EXTENSION pageinspect UPDATE"));
        }
        let function = |function| quote::qualified(schema, function);
        Ok(Known::Known(Self { raw: function("get_raw_page"), header: function("page_header") }))
    }
}
