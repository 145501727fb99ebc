//! The rows that are visible in some pages.

use crate::errors::missing;
use crate::lookup::PgLookup;
use crate::plan::{ALIAS, Plan};
use crate::store::Inner;
use paritas_connect::{Context, FetchedRow, PageRelation, Result, ScanRequest};
use std::sync::Arc;

/// The smallest tuple: a line pointer and an aligned header (`MaxHeapTuplesPerPage`).
const TUPLE_BYTES_MIN: usize = 28;
/// Pages in one statement.
const BLOCKS_MAX: usize = 32;

/// All visible rows of these pages, each with its place and version.
pub(super) async fn of_blocks(
    store: &Arc<Inner>,
    cx: &Context,
    relation: &PageRelation,
    request: &ScanRequest,
    page_bytes: usize,
    blocks: &[u64],
) -> Result<Vec<FetchedRow>> {
    let session = store.session(cx).await?;
    let plan = Arc::new(Plan::new(&session, cx, request).await?);
    if !plan.relation.is_stored() {
        return Err(missing(format!("{} has no pages", plan.relation.shown())));
    }
    let lookup = PgLookup::new(Arc::clone(store), plan);
    let from = format!("ONLY {}", relation.name);
    let items_max = page_bytes / TUPLE_BYTES_MIN;
    let condition = format!(
        "{ALIAS}.ctid = ANY(ARRAY(SELECT format('(%s,%s)', block, item)::tid FROM unnest($1::int8[]) AS block, \
         generate_series(1, {items_max}) AS item))"
    );
    let sql = lookup.select(&from, &[condition]);
    let mut rows = Vec::new();
    for part in blocks.chunks(BLOCKS_MAX) {
        let asked: Vec<i64> = part.iter().map(|block| i64::try_from(*block).unwrap_or(i64::MAX)).collect();
        let found = session.query(cx, "read the rows of pages", &sql, &[&asked]).await?;
        for (mut row, place) in lookup.placed(&found)? {
            row.place = Some(format!("{} {place}", relation.name));
            rows.push(row);
        }
    }
    store.give_back(session);
    Ok(rows)
}
