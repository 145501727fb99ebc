//! Who wrote a row: transactions of the shared history, or of this server since it was promoted.
//!
//! A promotion begins with a record of its own at the switchpoint, and then asks for a checkpoint. Where that
//! checkpoint begins right behind the record, no transaction that changed a row can have ended in between, and its next
//! transaction number is the first that this server gave out. Source: `PerformRecoveryXLogAction` in `xlog.c`.

use crate::errors::malformed;
use crate::session::{Session, get};
use crate::store::Inner;
use async_trait::async_trait;
use paritas_connect::{Authorship, Context, Horizon, Result, Writers};
use paritas_model::{Ancestry, Known, Lsn};

/// The record of a promotion takes 48 bytes at least, the shortest change of a row with its commit 96: a checkpoint that
/// begins no further behind the switchpoint has no such change before it.
const QUIET_BYTES: u64 = 128;
/// Transactions asked for in one statement.
const BATCH: usize = 1_000;

#[async_trait]
impl Writers for Inner {
    async fn authorship(&self, cx: &Context, ancestry: Option<&Ancestry>) -> Result<Authorship> {
        let session = self.session(cx).await?;
        let authorship = authorship(&session, cx, ancestry).await;
        self.give_back(session);
        authorship
    }

    async fn committed(&self, cx: &Context, transactions: &[u64]) -> Result<Known<u64>> {
        let session = self.session(cx).await?;
        let committed = committed(&session, cx, transactions).await;
        self.give_back(session);
        committed
    }

    async fn commit_times(&self, cx: &Context, writers: &[u64]) -> Result<Vec<Option<i64>>> {
        let session = self.session(cx).await?;
        let times = commit_times(&session, cx, writers).await;
        self.give_back(session);
        times
    }
}

async fn authorship(session: &Session, cx: &Context, ancestry: Option<&Ancestry>) -> Result<Authorship> {
    // Asked before what is visible now: what is given out in between belongs to this server in any case.
    let own_from = match ancestry {
        Some(ancestry) => own_from(session, cx, ancestry).await?,
        None => Known::unknown("the history of the server is unknown"),
    };
    let row = session.query_one(cx, "read the horizon", "SELECT pg_current_snapshot()::text", &[]).await?;
    let text: &str = get(&row, 0)?;
    let now = Horizon::parse(text).ok_or_else(|| malformed(format!("{text:?} for a snapshot")))?;
    Ok(Authorship { now, own_from })
}

/// The first transaction that the server gave out itself.
async fn own_from(session: &Session, cx: &Context, ancestry: &Ancestry) -> Result<Known<u64>> {
    let Some(switch) = ancestry.switches.last().filter(|_| !session.facts.in_recovery) else {
        return Ok(Known::unknown("the server was not promoted"));
    };
    if !session.may_identify(cx).await? {
        let user = crate::quote::ident(&session.facts.user);
        let why =
            format!("the last checkpoint may not be read: GRANT EXECUTE ON FUNCTION pg_control_checkpoint() TO {user}");
        return Ok(Known::unknown(why));
    }
    let sql = "SELECT redo_lsn::text, timeline_id::int8, next_xid::text, oldest_active_xid::text::int8 \
               FROM pg_control_checkpoint()";
    let row = session.query_one(cx, "read the last checkpoint", sql, &[]).await?;
    let (redo, timeline): (&str, i64) = (get(&row, 0)?, get(&row, 1)?);
    let (next, active): (&str, i64) = (get(&row, 2)?, get(&row, 3)?);
    let redo: Lsn = redo.parse().map_err(|_| malformed(format!("{redo:?} for a log position")))?;
    let next = whole(next).ok_or_else(|| malformed(format!("{next:?} for a transaction")))?;
    if timeline != i64::from(ancestry.timeline) {
        return Ok(Known::unknown(
            "the checkpoint that the promotion asked for has not ended yet: ask again when it has, before applications write",
        ));
    }
    let quiet = redo.0.checked_sub(switch.at.0).is_some_and(|gap| gap <= QUIET_BYTES);
    let idle = u64::from(next as u32) == active.unsigned_abs();
    Ok(if quiet && idle {
        Known::Known(next)
    } else {
        Known::unknown(
            "the checkpoint that the promotion asked for is not the last one any more, or began after a commit",
        )
    })
}

/// `epoch:number`.
fn whole(text: &str) -> Option<u64> {
    let (epoch, number) = text.split_once(':')?;
    Some((epoch.parse::<u64>().ok()? << 32) | u64::from(number.parse::<u32>().ok()?))
}

async fn committed(session: &Session, cx: &Context, transactions: &[u64]) -> Result<Known<u64>> {
    let mut count = 0;
    for batch in transactions.chunks(BATCH) {
        cx.check()?;
        let numbers: Vec<String> = batch.iter().map(|number| format!("'{number}'::xid8")).collect();
        // A number that nobody has given out here is an error of the function: it is no commit.
        let sql = format!(
            "SELECT count(*) FILTER (WHERE s = 'committed'), count(*) FILTER (WHERE s IS NULL) FROM ( \
               SELECT CASE WHEN x < pg_snapshot_xmax(pg_current_snapshot()) THEN pg_xact_status(x) ELSE 'none' END AS s \
               FROM unnest(ARRAY[{}]) AS x) AS t",
            numbers.join(", ")
        );
        let row = session.query_one(cx, "look for transactions", &sql, &[]).await?;
        let (found, forgotten): (i64, i64) = (get(&row, 0)?, get(&row, 1)?);
        if forgotten > 0 {
            return Ok(Known::unknown("the server does not remember how transactions ended that ran then"));
        }
        count += found.unsigned_abs();
    }
    Ok(Known::Known(count))
}

async fn commit_times(session: &Session, cx: &Context, writers: &[u64]) -> Result<Vec<Option<i64>>> {
    let row =
        session.query_one(cx, "read a setting", "SELECT current_setting('track_commit_timestamp') = 'on'", &[]).await?;
    if !get::<bool>(&row, 0)? {
        return Ok(vec![None; writers.len()]);
    }
    let mut times = Vec::with_capacity(writers.len());
    for batch in writers.chunks(BATCH) {
        cx.check()?;
        let numbers: Vec<String> = batch.iter().map(|number| format!("'{}'::xid", *number as u32)).collect();
        let sql = format!(
            "SELECT (extract(epoch FROM CASE WHEN x::text::int8 > 2 THEN pg_xact_commit_timestamp(x) END) * 1000000)::int8 \
             FROM unnest(ARRAY[{}]) WITH ORDINALITY AS t(x, n) ORDER BY n",
            numbers.join(", ")
        );
        let rows = session.query(cx, "read commit times", &sql, &[]).await?;
        for row in &rows {
            times.push(get(row, 0)?);
        }
    }
    if times.len() != writers.len() {
        return Err(malformed("another number of commit times than transactions"));
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn a_transaction_with_its_epoch_is_one_number() {
        assert_eq!(whole("0:726"), Some(726));
        assert_eq!(whole("2:3"), Some((2 << 32) + 3));
        assert_eq!(whole("726"), None);
    }
}
