//! Which transactions a view of a store shows, and which of them wrote a row: what was written before a moment and
//! what was written after it are told apart by that, without any clock.

use crate::{Result, Scan, ScanRequest};
use async_trait::async_trait;
use paritas_model::{Ancestry, Known, Position};
use serde::{Deserialize, Serialize};

/// Running transactions in one horizon, at most; a text with more is refused.
const RUNNING_MAX: usize = 1 << 20;
/// Numbers below this are no transactions: they stand for rows from before everything.
const FIRST_NORMAL: u32 = 3;

/// Which transactions a view shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Horizon {
    /// Every transaction below has ended: it is shown if it committed.
    pub oldest: u64,
    /// No transaction from here on is shown.
    pub next: u64,
    /// Transactions in between that had not ended, as far as they are known: their parts have numbers of their own,
    /// and a server that replays a log lists none.
    pub running: Vec<u64>,
}

/// How a row's writer stands to a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The view shows what it wrote.
    Before,
    /// The view does not.
    After,
    /// It may have been part of a transaction that was running.
    Unclear,
}

impl Horizon {
    /// Reads PostgreSQL's text of a snapshot, `oldest:next:running,running`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (oldest, next) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let running = parts.next()?.split(',').filter(|part| !part.is_empty()).take(RUNNING_MAX + 1);
        let running: Vec<u64> = running.map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let ordered = oldest <= next && running.iter().all(|one| (oldest..next).contains(one));
        (parts.next().is_none() && ordered && running.len() <= RUNNING_MAX).then_some(Self { oldest, next, running })
    }

    /// Whether every transaction that had begun had also ended.
    pub fn is_settled(&self) -> bool {
        self.oldest == self.next
    }

    /// How a transaction stands to the view.
    pub fn seen(&self, writer: u64) -> Seen {
        if writer < self.oldest {
            Seen::Before
        } else if writer >= self.next || self.running.contains(&writer) {
            Seen::After
        } else {
            Seen::Unclear
        }
    }

    /// The whole number of a writer of which a row has the low 32 bits: the newest that this view can show. Rows of
    /// writers that are older than half of all numbers are frozen, and may be taken for newer ones.
    pub fn whole(&self, writer: u64) -> u64 {
        let low = writer & u64::from(u32::MAX);
        if low < u64::from(FIRST_NORMAL) {
            return low;
        }
        let candidate = (self.next & !u64::from(u32::MAX)) | low;
        if candidate < self.next { candidate } else { candidate.saturating_sub(1 << 32) }
    }
}

/// What a view shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The end of the log just before the view was pinned.
    pub from: Known<Position>,
    /// Everything the view shows lies before it.
    pub covers: Known<Position>,
    /// Which transactions it shows.
    pub horizon: Horizon,
}

/// One view of all datasets of a store. Dropping it releases the view.
#[async_trait]
pub trait Held: std::fmt::Debug + Send + Sync {
    /// What it shows.
    fn moment(&self) -> Moment;

    /// A scan of one dataset in this view.
    async fn open(&self, cx: &crate::Context, request: &ScanRequest) -> Result<Box<dyn Scan>>;

    /// A scan of the groups of one dataset in this view, as [`crate::Datasets::open_grouped`] gives it.
    async fn open_grouped(&self, cx: &crate::Context, request: &crate::GroupRequest) -> Result<Known<Box<dyn Scan>>> {
        let _ = (cx, request);
        Ok(Known::unknown("this kind of store makes no figures of groups"))
    }
}

/// What a server says about who wrote its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorship {
    /// Which transactions its readers see now.
    pub now: Horizon,
    /// The first transaction of its own, since it was promoted: everything below was replayed. Unknown on a server
    /// that was not, or where that cannot be seen any more.
    pub own_from: Known<u64>,
}

/// Stores whose rows name the transaction that wrote them ([`crate::FetchedRow::version`]).
#[async_trait]
pub trait Writers: std::fmt::Debug + Send + Sync {
    /// Who writes now. `ancestry` is the server's own.
    async fn authorship(&self, cx: &crate::Context, ancestry: Option<&Ancestry>) -> Result<Authorship>;

    /// How many of these transactions are committed here; unknown where the server does not remember.
    async fn committed(&self, cx: &crate::Context, transactions: &[u64]) -> Result<Known<u64>>;

    /// When these writers committed, in microseconds since 1970 by the clock of the server that they wrote on; `None`
    /// for those of which that was not kept.
    async fn commit_times(&self, cx: &crate::Context, writers: &[u64]) -> Result<Vec<Option<i64>>>;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("726:726:", 726, 726, &[])]
    #[case("10:20:10,14", 10, 20, &[10, 14])]
    fn snapshots_are_read(#[case] text: &str, #[case] oldest: u64, #[case] next: u64, #[case] running: &[u64]) {
        assert_eq!(Horizon::parse(text), Some(Horizon { oldest, next, running: running.to_vec() }));
    }

    #[rstest]
    #[case("")]
    #[case("1")]
    #[case("1:2")]
    #[case("3:2:")]
    #[case("1:5:9")]
    #[case("1:5:x")]
    #[case("1:5:2:3")]
    fn texts_that_are_no_snapshots_are_refused(#[case] text: &str) {
        assert_eq!(Horizon::parse(text), None);
    }

    #[test]
    fn a_writer_is_before_after_or_perhaps_part_of_a_running_one() {
        let horizon = Horizon { oldest: 10, next: 20, running: vec![10, 14] };
        let seen = [9, 10, 12, 14, 19, 20].map(|writer| horizon.seen(writer));
        assert_eq!(seen, [Seen::Before, Seen::After, Seen::Unclear, Seen::After, Seen::Unclear, Seen::After]);
        assert!(!horizon.is_settled());
    }

    #[test]
    fn numbers_that_went_round_are_made_whole_again() {
        let at = |next| Horizon { oldest: next, next, running: Vec::new() };
        assert_eq!(at(1_000).whole(999), 999);
        assert_eq!(at((1 << 32) + 10).whole(9), (1 << 32) + 9);
        assert_eq!(at((1 << 32) + 10).whole(u64::from(u32::MAX)), u64::from(u32::MAX));
        assert_eq!(at((5 << 32) + 10).whole(2), 2, "frozen rows are older than everything");
    }
}
