//! How transactions ended, as the server says.

use crate::errors::malformed;
use crate::relation::Relation;
use crate::session::{Session, get};
use paritas_connect::{Context, Result, TransactionEnd, TransactionSpan};
use std::collections::BTreeMap;

/// Transactions in one statement.
const ASKED_MAX: usize = 50_000;

/// The full number of a transaction of now: the one after the newest that has ended. Those that run may
/// have higher ones.
pub(super) async fn recent(session: &Session, cx: &Context) -> Result<u64> {
    let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text";
    let row = session.query_one(cx, "read the newest transaction", sql, &[]).await?;
    get::<&str>(&row, 0)?.parse().map_err(|_| malformed("no number for a transaction"))
}

/// Between which numbers the transactions lie that rows of the table, its children and their out-of-line values
/// can depend on; nothing where they have no rows, or where the numbers are beginning anew.
pub(super) async fn span(session: &Session, cx: &Context, root: &Relation) -> Result<Option<TransactionSpan>> {
    // `age` counts from the next number, and a snapshot's end is the only full number near it.
    let sql = "WITH RECURSIVE tree AS (SELECT $1::oid AS oid UNION \
                 SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid), \
               tables AS (SELECT c.oid, c.reltoastrelid AS toast FROM tree JOIN pg_class c ON c.oid = tree.oid), \
               heaps AS (SELECT c.relfrozenxid AS xid, c.relminmxid AS multi FROM pg_class c \
                 WHERE c.oid IN (SELECT oid FROM tables UNION SELECT toast FROM tables) AND c.relfrozenxid <> '0'::xid), \
               ended AS MATERIALIZED (SELECT pg_snapshot_xmax(pg_current_snapshot()) AS xid) \
               SELECT ended.xid::text::int8, age(ended.xid::xid), max(age(heaps.xid)), max(mxid_age(heaps.multi)), \
                 (array_agg(heaps.multi::text::int8 ORDER BY mxid_age(heaps.multi) DESC))[1] \
               FROM heaps, ended GROUP BY ended.xid";
    let rows = session.query(cx, "read the oldest transactions of the table", sql, &[&root.oid]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (ended, beyond): (i64, i32) = (get(row, 0)?, get(row, 1)?);
    let (age, group_age): (i32, i32) = (get(row, 2)?, get(row, 3)?);
    let group: i64 = get(row, 4)?;
    // A permanent number has no age.
    let known = [beyond, age, group_age].into_iter().all(|age| (0..i32::MAX).contains(&age));
    let numbers = (u64::try_from(ended).ok().zip(u64::try_from(beyond).ok())).map(|(ended, beyond)| ended + beyond);
    let group = u32::try_from(group).ok();
    Ok(numbers.zip(group).filter(|_| known).map(|(next, oldest_group)| TransactionSpan {
        oldest: next.saturating_sub(u64::from(age.unsigned_abs())),
        next,
        oldest_group,
        next_group: oldest_group.wrapping_add(group_age.unsigned_abs()),
    }))
}

/// How each of these ended.
pub(super) async fn ends(session: &Session, cx: &Context, numbers: &[u64]) -> Result<Vec<TransactionEnd>> {
    let sql = "SELECT coalesce(string_agg(CASE pg_xact_status(n::text::xid8) WHEN 'committed' THEN 'c' \
                 WHEN 'aborted' THEN 'a' WHEN 'in progress' THEN 'i' ELSE '?' END, '' ORDER BY place), '') \
               FROM unnest($1::int8[]) WITH ORDINALITY AS asked(n, place)";
    let mut ends = Vec::with_capacity(numbers.len());
    for part in numbers.chunks(ASKED_MAX) {
        let asked: Vec<i64> = part.iter().map(|number| i64::try_from(*number).unwrap_or(0)).collect();
        let row = session.query_one(cx, "read how transactions ended", sql, &[&asked]).await?;
        let said: &str = get(&row, 0)?;
        if said.len() != part.len() {
            return Err(malformed("another number of answers than transactions"));
        }
        ends.extend(said.bytes().map(|letter| match letter {
            b'c' => TransactionEnd::Committed,
            b'a' => TransactionEnd::Aborted,
            b'i' => TransactionEnd::Running,
            _ => TransactionEnd::Forgotten,
        }));
    }
    Ok(ends)
}

/// The members of groups: a text of all, and the numbers of those that change rows.
pub(super) async fn members(session: &Session, cx: &Context, groups: &[u32]) -> Result<Vec<(String, Vec<u32>)>> {
    let sql = "SELECT g, member.xid::text, member.mode FROM unnest($1::text[]) AS g, \
               LATERAL pg_get_multixact_members(g::xid) AS member ORDER BY 1, member.xid::text, 3";
    let mut found: BTreeMap<u32, (String, Vec<u32>)> = BTreeMap::new();
    for part in groups.chunks(ASKED_MAX) {
        let asked: Vec<String> = part.iter().map(ToString::to_string).collect();
        let rows = session.query(cx, "read the members of groups of transactions", sql, &[&asked]).await?;
        for row in &rows {
            let (group, member, mode): (&str, &str, &str) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
            let number = |text: &str| text.parse::<u32>().map_err(|_| malformed("no number for a transaction"));
            let entry = found.entry(number(group)?).or_default();
            entry.0.push_str(&format!("{member} {mode};"));
            if matches!(mode, "nokeyupd" | "upd") {
                entry.1.push(number(member)?);
            }
        }
    }
    Ok(groups.iter().map(|group| found.remove(group).unwrap_or_default()).collect())
}
