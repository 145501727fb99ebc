//! How transactions ended, as the server says.

use crate::errors::malformed;
use crate::session::{Session, get};
use paritas_connect::{Context, Result, TransactionEnd};
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
