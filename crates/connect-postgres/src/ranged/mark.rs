//! A place in the log, and the first transaction number that nobody had then.
//!
//! `pg_snapshot_xmax` is no such number: it is one more than the newest transaction that has *ended*, and those that run
//! may have higher ones. The age of a transaction is counted from the next number that will be given out.

use super::Inspector;
use crate::errors::malformed;
use crate::session::{Session, get};
use paritas_connect::{Context, LogMark, Result};
use paritas_model::{Known, Lsn};
use std::time::{Duration, Instant};

/// The lowest number of a transaction.
const FIRST: u32 = 3;
const POLL_MIN: Duration = Duration::from_millis(2);
const POLL_MAX: Duration = Duration::from_millis(50);

/// Takes a mark, and waits at most `settle` until everything below its number has ended.
pub(crate) async fn mark(session: &Session, cx: &Context, settle: Duration) -> Result<Known<LogMark>> {
    if let Known::Unknown { why } = Inspector::find(session, cx).await? {
        return Ok(Known::Unknown { why });
    }
    // Two statements: the number has to be read after the place.
    let row = session.query_one(cx, "read the log position", "SELECT pg_current_wal_insert_lsn()::text", &[]).await?;
    let text: &str = get(&row, 0)?;
    let at: Lsn = text.parse().map_err(|_| malformed(format!("{text:?} for a log position")))?;
    let sql = "SELECT age('3'::xid)::int4, pg_snapshot_xmax(pg_current_snapshot())::text";
    let row = session.query_one(cx, "read the next transaction", sql, &[]).await?;
    let (age, ended): (i32, &str) = (get(&row, 0)?, get(&row, 1)?);
    let ended: u64 = ended.parse().map_err(|_| malformed(format!("{ended:?} for a transaction")))?;
    let mark = LogMark { at: at.0, next: next(age, ended) };
    wait(session, cx, mark.next, settle).await?;
    Ok(Known::Known(mark))
}

/// The whole number of the next transaction, from the age of the first one and a number that it is not below.
fn next(age: i32, least: u64) -> u64 {
    let low = u64::from(age.cast_unsigned().wrapping_add(FIRST));
    let candidate = (least & !u64::from(u32::MAX)) | low;
    if candidate < least { candidate.saturating_add(1 << 32) } else { candidate }
}

async fn wait(session: &Session, cx: &Context, next: u64, settle: Duration) -> Result<()> {
    let until = Instant::now() + settle;
    let mut pause = POLL_MIN;
    loop {
        let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text";
        let row = session.query_one(cx, "look for running transactions", sql, &[]).await?;
        let text: &str = get(&row, 0)?;
        let oldest: u64 = text.parse().map_err(|_| malformed(format!("{text:?} for a transaction")))?;
        if oldest >= next || Instant::now() + pause > until {
            return Ok(());
        }
        cx.bound(async {
            tokio::time::sleep(pause).await;
            Ok(())
        })
        .await?;
        pause = pause.saturating_mul(2).min(POLL_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn the_next_transaction_is_a_whole_number_also_where_numbers_have_gone_round() {
        assert_eq!(next(747, 750), 750);
        assert_eq!(next(760, 750), 763);
        // Just before and just after the numbers go round.
        assert_eq!(next(-4, 0xFFFF_FFF0), 0xFFFF_FFFF);
        assert_eq!(next(2, 0xFFFF_FFF0), (1 << 32) + 5);
        assert_eq!(next(2, (7 << 32) + 1), (7 << 32) + 5);
    }
}
