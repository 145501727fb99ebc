//! How the pages of each relation are compared: by digests that both stores make, by one side's pages and the
//! other's digests, or by the pages of both.
//!
//! Digests are enough for what has no transactions in it. Pages of rows have: how these ended decides which
//! rows are visible. Without the pages it is unknown which they are, and all of them between the oldest that
//! the table's rows can depend on and the newest that the replica knows are compared instead, where these
//! are few beside the pages. Otherwise the source's pages are read. And a page that differs in what is not
//! logged has another digest: where that is so of many, pages are read at once.

use super::Pair;
use crate::rows::{Failure, Origin};
use paritas_connect::{PageKind, PageRelation, TransactionSpan};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Transactions that are asked for rather than reading one page: about what takes as long.
const PER_PAGE: u64 = 4;
/// So many are always asked for, and never more.
const FEW: u64 = 4_096;
const MANY: u64 = 1 << 18;
/// Pages whose digests are compared before it is judged how many of them differ.
const TRIAL: u64 = 1_024;
/// Digests pay as long as at most one in so many differs.
const ONE_IN: u64 = 4;
/// Where they do not, they are tried again for one in so many parts.
const AGAIN: u64 = 16;

/// A way of comparing pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By the digests of both sides.
    Sealed,
    /// By the source's pages and the replica's digests.
    Against,
    /// By the pages of both sides.
    Read,
}

/// The ways of all relations.
#[derive(Debug)]
pub(super) struct Ways {
    relations: Vec<(Way, Tally)>,
    /// What transactions the rows can depend on that are in pages which are not read.
    before: Option<TransactionSpan>,
}

/// How many digests of a relation were compared, and how many of them differed.
#[derive(Debug, Default)]
struct Tally {
    compared: AtomicU64,
    differing: AtomicU64,
}

impl Ways {
    /// The best ways for a dataset as it is now.
    pub(super) async fn choose(pair: &Pair<'_>) -> Result<Self, Failure> {
        let side = pair.request.source;
        let span = match pair.source.is_origin() {
            true => side.again("read transactions", || pair.source.span(&side.cx)).await,
            // What runs there need not be what the replica shows.
            false => Ok(None),
        };
        let span = span.map_err(|error| (Origin::Source, error))?;
        let room = most(&pair.relations) / 2;
        Ok(Self::new(&pair.relations, span.filter(|span| is_within(span, span.next, room))))
    }

    /// Those that need no transactions but the ones in pages.
    pub(super) fn by_pages(pair: &Pair<'_>) -> Self {
        Self::new(&pair.relations, None)
    }

    fn new(relations: &[PageRelation], before: Option<TransactionSpan>) -> Self {
        let way = |relation: &PageRelation| match relation.kind {
            PageKind::Rows | PageKind::Overflow if before.is_none() => Way::Against,
            _ => Way::Sealed,
        };
        Self { relations: relations.iter().map(|one| (way(one), Tally::default())).collect(), before }
    }

    /// How this part of a relation is compared.
    pub(super) fn of(&self, relation: usize, part: u64) -> Way {
        match self.relations.get(relation) {
            Some((way, tally)) if part.is_multiple_of(AGAIN) || tally.pays() => *way,
            _ => Way::Read,
        }
    }

    /// Notes how many digests of a part were compared and differed.
    pub(super) fn note(&self, relation: usize, compared: u64, differing: u64) {
        if let Some((_, tally)) = self.relations.get(relation) {
            tally.compared.fetch_add(compared, Ordering::Relaxed);
            tally.differing.fetch_add(differing, Ordering::Relaxed);
        }
    }

    /// After all pages were compared: the transactions (full numbers) that pages which were not read can
    /// depend on.
    ///
    /// # Errors
    /// `None` if they are not known, or too many by now; then pages must be read.
    pub(super) async fn unread(&self, pair: &Pair<'_>) -> Result<Option<Range<u64>>, Failure> {
        let Some(before) = self.before else { return Ok(Some(0..0)) };
        let (source, replica) = (pair.request.source, pair.request.replica);
        let (ours, theirs) = futures_util::future::join(
            source.again("read transactions", || pair.source.span(&source.cx)),
            replica.again("read transactions", || pair.replica.span(&replica.cx)),
        )
        .await;
        let (ours, theirs) = (ours.map_err(|e| (Origin::Source, e))?, theirs.map_err(|e| (Origin::Replica, e))?);
        Ok(ours.zip(theirs).and_then(|(ours, theirs)| {
            // Pages that were equal stand on both sides, and so does whoever wrote them.
            let next = ours.next.min(theirs.next);
            let until = TransactionSpan { next_group: ours.next_group, ..before };
            is_within(&until, next, most(&pair.relations)).then_some(before.oldest..next)
        }))
    }
}

/// Whether there are no groups, and no more transactions than so many up to `next`.
fn is_within(span: &TransactionSpan, next: u64, most: u64) -> bool {
    span.oldest_group == span.next_group && next.saturating_sub(span.oldest) <= most
}

/// How many transactions are asked for at most. At the beginning there must be room for as many again, as more
/// begin while pages are read.
fn most(relations: &[PageRelation]) -> u64 {
    let with_rows = relations.iter().filter(|one| matches!(one.kind, PageKind::Rows | PageKind::Overflow));
    let pages = with_rows.fold(0_u64, |sum, one| sum.saturating_add(one.blocks));
    pages.saturating_mul(PER_PAGE).clamp(FEW, MANY)
}

impl Tally {
    fn pays(&self) -> bool {
        let (compared, differing) = (self.compared.load(Ordering::Relaxed), self.differing.load(Ordering::Relaxed));
        compared < TRIAL || differing.saturating_mul(ONE_IN) <= compared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_model::Known;

    fn relation(kind: PageKind, blocks: u64) -> PageRelation {
        let (name, method, storage) = ("t".to_owned(), "heap".to_owned(), "1".to_owned());
        PageRelation { name, kind, method, storage, blocks, of: None, logged: true, comparable: Known::Known(()) }
    }

    const SPAN: TransactionSpan = TransactionSpan { oldest: 1_000, next: 6_000, oldest_group: 7, next_group: 7 };

    #[test]
    fn rows_are_read_unless_all_their_transactions_can_be_asked_for() {
        let relations = [relation(PageKind::Rows, 10_000), relation(PageKind::Index, 1)];
        let read = Ways::new(&relations, None);
        assert_eq!((read.of(0, 1), read.of(1, 1)), (Way::Against, Way::Sealed));
        let sealed = Ways::new(&relations, Some(SPAN));
        assert_eq!((sealed.of(0, 1), sealed.of(1, 1)), (Way::Sealed, Way::Sealed));
        assert_eq!(most(&relations), 40_000);
        assert_eq!(most(&[relation(PageKind::Overflow, 10), relation(PageKind::Index, 9_999)]), FEW);
        assert_eq!(most(&[relation(PageKind::Rows, u64::MAX)]), MANY);
        assert!(is_within(&SPAN, SPAN.next, 5_000) && !is_within(&SPAN, SPAN.next, 4_999));
        assert!(!is_within(&TransactionSpan { next_group: 8, ..SPAN }, SPAN.next, 5_000));
    }

    #[test]
    fn digests_that_often_differ_give_way_to_pages_and_are_tried_again() {
        let ways = Ways::new(&[relation(PageKind::Index, 10_000)], None);
        ways.note(0, TRIAL - 1, TRIAL - 1);
        assert_eq!(ways.of(0, 1), Way::Sealed);
        ways.note(0, 1, 0);
        assert_eq!((ways.of(0, 1), ways.of(0, AGAIN)), (Way::Read, Way::Sealed));
        ways.note(0, TRIAL * ONE_IN, 0);
        assert_eq!(ways.of(0, 1), Way::Sealed);
    }
}
