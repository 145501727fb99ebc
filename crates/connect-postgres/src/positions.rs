//! Where a server is in its write-ahead log, and waiting until a replica has applied some of it.
//!
//! On a primary the position is the insert LSN sampled *after* what it is to cover: a commit is
//! visible only after its record was inserted, so everything visible lies below. On a standby it is
//! the replay LSN sampled *before*: it moves only after a record was applied, so everything below
//! is visible to later snapshots. A logical subscriber reports the position of its publisher that
//! every subscription has applied.

use crate::errors::malformed;
use crate::session::{Session, get};
use crate::store::Inner;
use crate::{coverage, observe};
use async_trait::async_trait;
use paritas_connect::{Context, Coverage, Error, FailureKind, Observation, Positions, Result};
use paritas_model::{Known, Lineage, Lsn, Position, Stream};
use std::time::Duration;

const POLL_MIN: Duration = Duration::from_millis(5);
const POLL_MAX: Duration = Duration::from_millis(100);
/// Bytes of a page header, and of the longer one that begins a segment.
pub(crate) const PAGE_HEADER: u64 = 24;
pub(crate) const SEGMENT_HEADER: u64 = 40;

/// What tells one history from another: system identifier and timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) system: String,
    pub(crate) timeline: u32,
    /// Sizes of a page and a segment of the log.
    page: u64,
    segment: u64,
}

impl History {
    pub(crate) fn lineage(&self) -> Lineage {
        Lineage(format!("{}/{}", self.system, self.timeline))
    }

    pub(crate) fn position(&self, lsn: Lsn) -> Position {
        let lsn = self.without_header(lsn);
        Position { stream: Stream("wal".to_owned()), lineage: self.lineage(), value: lsn.0, text: lsn.to_string() }
    }

    /// The next record on a fresh page begins after the page's header, while a replica that has
    /// applied everything stands before it. Nothing lies in between.
    fn without_header(&self, lsn: Lsn) -> Lsn {
        let in_page = lsn.0 % self.page.max(1);
        let header = if lsn.0 % self.segment.max(1) == in_page { SEGMENT_HEADER } else { PAGE_HEADER };
        if in_page == header { Lsn(lsn.0 - header) } else { lsn }
    }
}

/// Reads the history; unknown where this user may not. Outside a transaction only.
pub(crate) async fn history(session: &Session, cx: &Context) -> Result<Known<History>> {
    Ok(history_and_lsn(session, cx).await?.0)
}

/// The history, and the server's own position now.
async fn history_and_lsn(session: &Session, cx: &Context) -> Result<(Known<History>, Option<Lsn>)> {
    if !session.may_identify(cx).await? {
        let user = crate::quote::ident(&session.facts.user);
        let why = format!(
            "the system identifier may not be read: GRANT EXECUTE ON FUNCTION pg_control_system(), \
             pg_control_checkpoint(), pg_control_recovery() TO {user}"
        );
        return Ok((Known::unknown(why), lsn(session, cx).await?));
    }
    // Right after a promotion the control file still names the old timeline; file names do not.
    let timeline = if session.facts.in_recovery {
        "coalesce((SELECT received_tli FROM pg_stat_wal_receiver), \
           (SELECT greatest(timeline_id, r.min_recovery_end_timeline) FROM pg_control_checkpoint(), \
             pg_control_recovery() AS r))::int8"
    } else {
        "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int8"
    };
    let sql = format!(
        "SELECT system_identifier::text, {timeline}, current_setting('wal_block_size')::int8, \
           pg_size_bytes(current_setting('wal_segment_size')), {}::text FROM pg_control_system()",
        lsn_function(session)
    );
    let row = session.query_one(cx, "identify the server", &sql, &[]).await?;
    let (system, timeline): (String, i64) = (get(&row, 0)?, get(&row, 1)?);
    let (page, segment): (i64, i64) = (get(&row, 2)?, get(&row, 3)?);
    let history = History {
        // The identifier is an unsigned number shown as a signed one.
        system: system.parse::<i64>().map_or(system, |number| number.cast_unsigned().to_string()),
        timeline: u32::try_from(timeline).map_err(|_| malformed("a timeline out of range"))?,
        page: page.unsigned_abs(),
        segment: segment.unsigned_abs(),
    };
    Ok((Known::Known(history), parsed(get(&row, 4)?)?))
}

fn lsn_function(session: &Session) -> &'static str {
    if session.facts.in_recovery { "pg_last_wal_replay_lsn()" } else { "pg_current_wal_insert_lsn()" }
}

fn parsed(lsn: Option<&str>) -> Result<Option<Lsn>> {
    lsn.map(|text| text.parse().map_err(|_| malformed(format!("{text:?} for a log position")))).transpose()
}

/// The server's own position now.
pub(crate) async fn lsn(session: &Session, cx: &Context) -> Result<Option<Lsn>> {
    let sql = format!("SELECT {}::text", lsn_function(session));
    let row = session.query_one(cx, "read the log position", &sql, &[]).await?;
    parsed(get(&row, 0)?)
}

/// Joins a history and a position.
pub(crate) fn known(history: &Known<History>, lsn: Option<Lsn>) -> Known<Position> {
    match (history, lsn) {
        (Known::Known(history), Some(lsn)) => Known::Known(history.position(lsn)),
        (Known::Known(_), None) => Known::unknown("the server has not replayed anything yet"),
        (Known::Unknown { why }, _) => Known::unknown(why.clone()),
    }
}

/// How a server follows another one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Follows {
    /// It replays the fence's own history.
    Physically,
    /// It is the server that the fence was taken on.
    Itself,
    /// It applies row changes under these subscriptions.
    Logically,
}

/// What a poll saw.
struct Seen {
    reached: Option<Lsn>,
    /// What is in the way.
    why: String,
}

#[async_trait]
impl Positions for Inner {
    async fn current(&self, cx: &Context) -> Result<Position> {
        let session = self.session(cx).await?;
        let (history, lsn) = history_and_lsn(&session, cx).await?;
        self.give_back(session);
        match known(&history, lsn) {
            Known::Known(position) => Ok(position),
            Known::Unknown { why } => {
                Err(Error::new(FailureKind::Denied, "store.denied", "the log position is unknown").detail(why))
            }
        }
    }

    async fn wait_for(&self, cx: &Context, fence: &Position) -> Result<Position> {
        let session = self.session(cx).await?;
        let follows = follows(&session, cx, fence).await?;
        let result = poll(&session, cx, fence, &follows).await;
        self.give_back(session);
        result
    }

    async fn held_commits(&self, cx: &Context) -> Result<Known<u64>> {
        let session = self.session(cx).await?;
        let held = held(&session, cx).await;
        self.give_back(session);
        held
    }

    async fn observe(&self, cx: &Context) -> Result<Observation> {
        observe::observe(self, cx).await
    }

    async fn coverage(&self, cx: &Context) -> Result<Coverage> {
        coverage::coverage(self, cx).await
    }
}

/// Commits that wait for a synchronous standby: they are in the log, and nobody sees them here.
async fn held(session: &Session, cx: &Context) -> Result<Known<u64>> {
    let sql = "SELECT current_setting('synchronous_standby_names') = '', pg_has_role('pg_read_all_stats', 'USAGE'), \
                 (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep')";
    let row = session.query_one(cx, "look for commits that wait", sql, &[]).await?;
    let (asynchronous, may_look, waiting): (bool, bool, i64) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
    Ok(match (asynchronous, may_look) {
        // Those that began to wait before the setting was changed are woken by the change.
        (true, _) if waiting == 0 => Known::Known(0),
        (_, true) => Known::Known(waiting.unsigned_abs()),
        (_, false) => {
            let user = crate::quote::ident(&session.facts.user);
            Known::unknown(format!(
                "whether commits wait for a synchronous standby may not be seen: GRANT pg_monitor TO {user}"
            ))
        }
    })
}

async fn follows(session: &Session, cx: &Context, fence: &Position) -> Result<Follows> {
    let history = history(session, cx).await?;
    let system = fence.lineage.0.split('/').next().unwrap_or_default();
    match &history {
        Known::Known(own) if own.lineage() == fence.lineage => {
            Ok(if session.facts.in_recovery { Follows::Physically } else { Follows::Itself })
        }
        Known::Known(own) if own.system == system => {
            Err(Error::new(FailureKind::Permanent, "lineage.forked", "source and replica are on different timelines")
                .detail(format!("The source is on {}, the replica on {}.", fence.lineage.0, own.lineage().0))
                .hint("one of them was promoted; run paritas failover, or rebuild the replica"))
        }
        _ => {
            let sql = "SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database \
                       WHERE datname = current_database())";
            let row = session.query_one(cx, "look for subscriptions", sql, &[]).await?;
            match (get::<i64>(&row, 0)?, &history) {
                (1.., _) => Ok(Follows::Logically),
                (_, Known::Unknown { why }) => {
                    Err(Error::new(FailureKind::Denied, "store.denied", "it is unknown what this server replicates")
                        .detail(why.clone()))
                }
                _ => Err(no_replication(fence)),
            }
        }
    }
}

fn no_replication(fence: &Position) -> Error {
    Error::new(FailureKind::Permanent, "replication.none", "no replication leads from the source to this server")
        .detail(format!("It is neither a standby of {} nor subscribed to anything in this database.", fence.lineage.0))
        .hint("compare it without a fence, or connect to the database that holds the subscription")
}

async fn poll(session: &Session, cx: &Context, fence: &Position, follows: &Follows) -> Result<Position> {
    let mut pause = POLL_MIN;
    let mut last = Seen { reached: None, why: "nothing was read yet".to_owned() };
    loop {
        let seen = match follows {
            Follows::Logically => subscriptions(session, cx).await,
            Follows::Physically | Follows::Itself => replayed(session, cx).await,
        };
        last = match seen {
            Ok(seen) => seen,
            Err(error) if error.kind() == FailureKind::Deadline => return Err(too_late(fence, &last)),
            Err(error) => return Err(error),
        };
        if let Some(reached) = last.reached.filter(|reached| reached.0 >= fence.value) {
            let text = reached.to_string();
            return Ok(Position { value: reached.0, text, ..fence.clone() });
        }
        let sleep = async {
            tokio::time::sleep(pause).await;
            Ok(())
        };
        let slept = cx.bound(sleep).await;
        match slept {
            Err(error) if error.kind() == FailureKind::Deadline => return Err(too_late(fence, &last)),
            other => other?,
        }
        pause = (pause * 2).min(POLL_MAX);
    }
}

fn too_late(fence: &Position, last: &Seen) -> Error {
    let reached = last.reached.map_or_else(|| "an unknown position".to_owned(), |lsn| lsn.to_string());
    Error::new(FailureKind::Deadline, "run.deadline", "the replica did not reach the source's position in time")
        .detail(format!("It reached {reached} and {fence} was waited for. {}", last.why))
        .hint("check that replication runs, or wait longer (--settle)")
}

async fn replayed(session: &Session, cx: &Context) -> Result<Seen> {
    let reached = lsn(session, cx).await?;
    Ok(Seen { reached, why: "Replay did not come further.".to_owned() })
}

/// The position that every subscription of this database has applied. The apply worker confirms a
/// position only after it has applied all transactions that committed before, so its confirmation
/// covers what later snapshots show; it also moves while the publisher is idle.
async fn subscriptions(session: &Session, cx: &Context) -> Result<Seen> {
    let sql = "SELECT s.subname::text, s.subenabled, st.pid IS NOT NULL, st.latest_end_lsn::text, \
                 (SELECT count(*) FROM pg_subscription_rel r WHERE r.srsubid = s.oid AND r.srsubstate <> 'r') \
               FROM pg_subscription s LEFT JOIN pg_stat_subscription st ON st.subid = s.oid AND st.relid IS NULL \
                 AND to_jsonb(st)->>'leader_pid' IS NULL \
               WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let rows = session.query(cx, "read the subscriptions", sql, &[]).await?;
    let mut reached: Option<Lsn> = None;
    for row in &rows {
        let name: &str = get(row, 0)?;
        let (enabled, running): (bool, bool) = (get(row, 1)?, get(row, 2)?);
        let (text, copying): (Option<&str>, i64) = (get(row, 3)?, get(row, 4)?);
        let lsn: Option<Lsn> = text.and_then(|text| text.parse().ok());
        let open = |why: String| Ok(Seen { reached: None, why });
        match lsn {
            _ if !enabled => return open(format!("Subscription {name} is disabled.")),
            _ if copying > 0 => return open(format!("Subscription {name} is still copying {copying} tables.")),
            Some(lsn) if running => reached = Some(reached.map_or(lsn, |least| least.min(lsn))),
            _ => return open(format!("The apply worker of subscription {name} does not run.")),
        }
    }
    Ok(Seen { reached, why: "The apply workers did not come further.".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0/3000148", "0/3000148")]
    #[case("0/3002018", "0/3002000")]
    #[case("0/3000028", "0/3000000")]
    #[case("0/3000018", "0/3000018")]
    #[case("0/3002028", "0/3002028")]
    fn a_position_after_a_page_header_is_the_page_itself(#[case] inserted: &str, #[case] expected: &str) {
        let history = History { system: "1".into(), timeline: 1, page: 8_192, segment: 16 << 20 };
        let position = inserted.parse().map(|lsn| history.position(lsn).text);
        assert_eq!(position.as_deref(), Ok(expected));
    }
}
