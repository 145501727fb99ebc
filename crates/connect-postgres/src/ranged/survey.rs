//! The state of ranges of blocks: how many blocks they have, and the oldest and newest version among them.

use super::{Inspector, terms};
use crate::errors::malformed;
use crate::quote;
use crate::relation::Piece;
use crate::scan::PgScan;
use crate::session::{Session, get};
use paritas_connect::{Context, Error, FailureKind, RangeState, RangedPart, Result, Survey};
use paritas_model::{Known, Lsn};

/// Pages whose versions are read in one statement.
const PAGES_AT_ONCE: u64 = 8_192;

/// Locks the relations, and reads the versions of all their pages.
pub(super) async fn survey(scan: &PgScan, cx: &Context, blocks: u64) -> Result<Known<Survey>> {
    if scan.plan.filter.is_some() {
        return Ok(Known::unknown("a condition chooses its rows, which may look at more than its pages"));
    }
    if scan.plan.grouping.is_some() || !scan.plan.relation.is_stored() {
        return Ok(Known::unknown("it has no pages of its own"));
    }
    let pieces = terms::pieces(scan, cx).await?;
    let session = scan.store.session(cx).await?;
    let inspector = match Inspector::find(&session, cx).await? {
        Known::Known(inspector) => inspector,
        Known::Unknown { why } => {
            scan.store.give_back(session);
            return Ok(Known::Unknown { why });
        }
    };
    if let Some(why) = lock(scan, cx, &pieces).await? {
        return Ok(Known::Unknown { why });
    }
    let mut survey = Survey::default();
    for piece in &pieces {
        let Known::Known(mut part) = described(&session, cx, piece).await? else {
            return Ok(Known::unknown(format!("{} was replaced meanwhile", piece.relation.shown())));
        };
        if let Some(why) = part.unfit {
            return Ok(Known::unknown(format!("{}: {why}", piece.relation.shown())));
        }
        part.part.ranges = ranges(&session, cx, &inspector, &part, blocks).await?;
        survey.blocks += part.pages;
        survey.parts.push(part.part);
    }
    if let Some(name) = terms::naming_the_catalog(&session, cx, &pieces).await? {
        return Ok(Known::unknown(format!(
            "a column holds names of the catalog ({name}), which change without its pages"
        )));
    }
    scan.store.give_back(session);
    Ok(Known::Known(survey))
}

/// Keeps the relations as they are for as long as the view lives. Says why where that cannot be had; the view is as good
/// as before then.
async fn lock(scan: &PgScan, cx: &Context, pieces: &[Piece]) -> Result<Option<String>> {
    if pieces.is_empty() {
        return Ok(None);
    }
    let owner = scan.exported.session().await;
    let names = quote::list(pieces.iter().map(|piece| format!("ONLY {}", piece.relation.sql())));
    owner.batch(cx, "begin to lock the table", "SAVEPOINT paritas").await?;
    match owner.batch(cx, "lock the table", &format!("LOCK TABLE {names} IN ACCESS SHARE MODE")).await {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == FailureKind::Permanent || error.kind() == FailureKind::Denied => {
            owner.batch(cx, "give up locking the table", "ROLLBACK TO SAVEPOINT paritas").await?;
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

struct Described {
    part: RangedPart,
    pages: u64,
    unfit: Option<&'static str>,
}

/// A relation as it is now; unknown when its name means another one by now.
async fn described(session: &Session, cx: &Context, piece: &Piece) -> Result<Known<Described>> {
    let sql = "SELECT c.relpersistence::text, c.relkind IN ('r', 'm') AND a.amname = 'heap', \
                 coalesce(pg_relation_filenode(c.oid), 0)::text || '/' || c.reltablespace, \
                 pg_relation_size(c.oid, 'main') / current_setting('block_size')::int8, \
                 (SELECT md5(string_agg(a.attnum || ' ' || a.xmin, ' ' ORDER BY a.attnum)) FROM pg_attribute a \
                  WHERE a.attrelid = c.oid AND a.attnum > 0), \
                 (SELECT coalesce(md5(string_agg(d.oid || ' ' || d.xmin, ' ' ORDER BY d.oid)), '') FROM pg_attrdef d \
                  WHERE d.adrelid = c.oid) \
               FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam WHERE c.oid = $1 AND c.oid = to_regclass($2)";
    let (oid, name) = (piece.relation.oid, piece.relation.sql());
    let rows = session.query(cx, "describe the storage", sql, &[&oid, &name]).await?;
    let Some(row) = rows.first() else { return Ok(Known::unknown("it is not there")) };
    let (persistence, heap): (&str, Option<bool>) = (get(row, 0)?, get(row, 1)?);
    let (file, pages): (&str, Option<i64>) = (get(row, 2)?, get(row, 3)?);
    let (columns, defaults): (Option<&str>, &str) = (get(row, 4)?, get(row, 5)?);
    let unfit = match (persistence, heap, piece.readable) {
        ("p", Some(true), true) => None,
        ("u", ..) => Some("it is unlogged, so that its pages have no versions"),
        (_, _, false) => Some("it may be read through its parent only"),
        _ => Some("what changes raise the version of its pages is not known"),
    };
    let part = RangedPart {
        name: piece.relation.shown(),
        sql: name,
        storage: format!("{oid}/{file}/{}/{defaults}", columns.unwrap_or_default()),
        ranges: Vec::new(),
    };
    Ok(Known::Known(Described { part, pages: pages.unwrap_or(0).unsigned_abs(), unfit }))
}

async fn ranges(
    session: &Session,
    cx: &Context,
    inspector: &Inspector,
    part: &Described,
    blocks: u64,
) -> Result<Vec<RangeState>> {
    let blocks = blocks.max(1);
    let mut found = vec![RangeState::default(); usize::try_from(part.pages.div_ceil(blocks)).unwrap_or(0)];
    let step = PAGES_AT_ONCE.next_multiple_of(blocks);
    let name = quote::literal(&part.part.sql);
    let mut start = 0;
    while start < part.pages {
        cx.breathe().await?;
        let end = (start + step).min(part.pages);
        let sql = format!(
            "SELECT page / {blocks}, count(*), min(lsn)::text, max(lsn)::text FROM ( \
               SELECT page, ({}({}({name}, 'main', page))).lsn FROM generate_series({start}::int8, {}::int8) AS page) AS t \
             GROUP BY 1",
            inspector.header,
            inspector.raw,
            end - 1
        );
        for row in session.query(cx, "read the versions of pages", &sql, &[]).await? {
            let (index, count): (i64, i64) = (get(&row, 0)?, get(&row, 1)?);
            let range = usize::try_from(index).ok().and_then(|index| found.get_mut(index));
            let range = range.ok_or_else(|| malformed("a page that was not asked for"))?;
            *range = RangeState {
                blocks: count.unsigned_abs(),
                oldest: version(get(&row, 2)?)?,
                newest: version(get(&row, 3)?)?,
            };
        }
        start = end;
    }
    let read: u64 = found.iter().map(|range| range.blocks).sum();
    if read != part.pages {
        let message = format!("{read} of {} pages of {} were looked at", part.pages, part.part.name);
        return Err(Error::new(FailureKind::Permanent, "data.truncated", message));
    }
    Ok(found)
}

fn version(text: &str) -> Result<u64> {
    text.parse::<Lsn>().map(|lsn| lsn.0).map_err(|_| malformed(format!("{text:?} for a page's version")))
}
