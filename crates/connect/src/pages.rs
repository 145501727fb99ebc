//! Storage page by page, for stores whose replica is a copy of their files.
//!
//! A replica that replays its source's log holds every page in some version of it. Two pages of one
//! version must be equal, apart from what is never logged; the connector knows what that is and
//! compares two pages, everything else is judged above.

use crate::{Context, FetchedRow, Result, ScanRequest, Seal, SealRange, TransactionEnd, TransactionSpan, Transactions};
use async_trait::async_trait;
use paritas_model::{Dataset, Known};
use std::fmt::Debug;
use std::ops::Range;

/// Reading datasets as pages.
#[async_trait]
pub trait Pages: Debug + Send + Sync {
    /// A reader of the pages of one dataset, or why there is none: a privilege, a missing extension,
    /// a kind of storage that is not known.
    async fn open(&self, cx: &Context, dataset: &Dataset) -> Result<Known<Box<dyn PageReader>>>;
}

/// What must be alike on both sides before pages say anything about each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageTerms {
    /// The history that both replay; pages of different histories have no common versions.
    pub lineage: String,
    /// The format of pages, such as the server's major version.
    pub format: String,
    /// Bytes of a page.
    pub page_bytes: usize,
    /// Settings that decide which changes of a page are logged.
    pub logging: String,
}

impl PageTerms {
    /// The first thing that is not alike, as a sentence.
    pub fn unlike(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (self, other);
        let pairs = [
            ("lineage", ours.lineage.clone(), theirs.lineage.clone()),
            ("page format", ours.format.clone(), theirs.format.clone()),
            ("page size", ours.page_bytes.to_string(), theirs.page_bytes.to_string()),
            ("logging of hints", ours.logging.clone(), theirs.logging.clone()),
        ];
        let differing = pairs.into_iter().find(|(_, ours, theirs)| ours != theirs);
        differing.map(|(what, ours, theirs)| format!("the {what} is {ours} on the source and {theirs} on the replica"))
    }
}

/// What the pages of a relation hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageKind {
    /// Rows of the dataset.
    Rows,
    /// Values of such rows, stored out of line.
    Overflow,
    /// A way to find rows.
    Index,
    /// Numbers that are handed out to rows.
    Sequence,
    /// What is known of the rows in the pages of another relation.
    Map,
}

impl PageKind {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "table",
            Self::Overflow => "out-of-line values",
            Self::Index => "index",
            Self::Sequence => "sequence",
            Self::Map => "visibility map",
        }
    }
}

/// Something that consists of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRelation {
    /// Its name, the same on both sides of one lineage.
    pub name: String,
    /// What its pages hold.
    pub kind: PageKind,
    /// How its pages are laid out, in the connector's words.
    pub method: String,
    /// What tells its file from every other; another one after it was rewritten.
    pub storage: String,
    /// How many pages it has now.
    pub blocks: u64,
    /// The relation whose pages it speaks of, if it is a map.
    pub of: Option<String>,
    /// Whether changes of it are in the log. What is not there is on no replica.
    pub logged: bool,
    /// Whether its pages can be compared, or why not.
    pub comparable: Known<()>,
}

/// One page as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page<'a> {
    /// There is none, or nothing has ever been written to it. Neither is logged, so one side may have
    /// the one and the other side the other.
    Empty,
    /// Its bytes.
    Bytes(&'a [u8]),
    /// The store cannot read it: what it said.
    Damaged(&'a str),
}

/// Neighbouring pages of one relation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRange {
    /// Number of the first.
    pub first: u64,
    /// How many were asked for.
    pub count: u64,
    /// Bytes of one page.
    pub page_bytes: usize,
    /// Bytes of those that exist, one after the other from the first one on.
    pub bytes: Vec<u8>,
    /// Those that the store cannot read, with what it said; their bytes are zero.
    pub damaged: Vec<(u64, String)>,
}

impl PageRange {
    /// The page of that number.
    pub fn page(&self, block: u64) -> Page<'_> {
        if let Some((_, why)) = self.damaged.iter().find(|(number, _)| *number == block) {
            return Page::Damaged(why);
        }
        let index = block.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let start = index.and_then(|index| index.checked_mul(self.page_bytes));
        let end = start.and_then(|start| start.checked_add(self.page_bytes));
        match start.zip(end).and_then(|(start, end)| self.bytes.get(start..end)) {
            Some(bytes) if bytes.iter().any(|byte| *byte != 0) => Page::Bytes(bytes),
            _ => Page::Empty,
        }
    }

    /// The numbers of the pages.
    pub fn blocks(&self) -> Range<u64> {
        self.first..self.first.saturating_add(self.count)
    }
}

/// How two pages compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// One version, and equal in all that is logged.
    Equal,
    /// Equal in all that is logged, under two versions.
    Renumbered,
    /// They differ.
    Different,
}

/// A page with both sides' bytes, and where it is.
#[derive(Debug, Clone, Copy)]
pub struct PagePair<'a> {
    /// Which relation: an index into the caller's list, for [`Transactions`].
    pub relation: usize,
    /// How it is laid out ([`PageRelation::method`]).
    pub method: &'a str,
    /// Its number.
    pub block: u64,
    /// The source's bytes.
    pub source: &'a [u8],
    /// The replica's bytes.
    pub replica: &'a [u8],
}

/// What a map says of a page of the relation that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The page of that relation.
    pub block: u64,
    /// What is said, in the connector's bits.
    pub bits: u8,
}

/// Reads pages of one dataset. Keeps connections of its own until it is dropped; holds no view: every
/// page is read as it is at that moment.
#[async_trait]
pub trait PageReader: Debug + Send + Sync {
    /// What must be alike on both sides.
    fn terms(&self) -> &PageTerms;

    /// Whether the store writes the log itself, so that its position is the log's end. Others may have
    /// replicas that are further than they are.
    fn is_origin(&self) -> bool;

    /// The relations that the dataset consists of now, sorted by name. Those without pages of their
    /// own (a partitioned table) are not among them.
    async fn relations(&self, cx: &Context) -> Result<Vec<PageRelation>>;

    /// Reads pages, also beyond the end. May be called for several ranges at once.
    async fn read(&self, cx: &Context, relation: &PageRelation, range: Range<u64>) -> Result<PageRange>;

    /// Has the store digest pages, also beyond the end, instead of handing them out. Without an answer they must
    /// be read: the store has no such way, or cannot read some of them.
    async fn seals(&self, cx: &Context, relation: &PageRelation, range: Range<u64>) -> Result<Option<SealRange>> {
        let _ = (cx, relation, range);
        Ok(None)
    }

    /// The seal that the store would make of a page.
    fn seal(&self, relation: &PageRelation, page: &[u8]) -> Option<Seal> {
        let _ = (relation, page);
        None
    }

    /// Whether seals prove that [`Self::compare`] would find their pages equal in one version, or that the
    /// replica's map says nothing that the source's does not.
    fn alike(&self, relation: &PageRelation, source: &Seal, replica: &Seal) -> bool {
        let _ = (relation, source, replica);
        false
    }

    /// Between which numbers all transactions lie that rows of the dataset depend on, if that can be said.
    async fn span(&self, cx: &Context) -> Result<Option<TransactionSpan>> {
        let _ = cx;
        Ok(None)
    }

    /// The version of a page: two pages of one lineage with one version were written by one log record.
    fn version(&self, page: &[u8]) -> u64;

    /// Compares two pages, and collects the transactions that a page depends on when they are equal.
    fn compare(&self, pair: &PagePair<'_>, transactions: &mut Transactions) -> Likeness;

    /// What the replica's page of a map says that the source's does not. Either may be without bytes, which
    /// says nothing. Without maps, there is nothing to say.
    fn claims(&self, block: u64, source: &[u8], replica: &[u8]) -> Vec<Claim> {
        let _ = (block, source, replica);
        Vec::new()
    }

    /// Whether a page, of the same server as the map, contradicts what the map says of it. Without bytes it
    /// is a page that is not there.
    fn contradicts(&self, claim: Claim, page: &[u8]) -> bool {
        let _ = (claim, page);
        false
    }

    /// The full number (64 bits) of some transaction of now, for [`Transactions::full`].
    async fn recent_transaction(&self, cx: &Context) -> Result<u64>;

    /// How these transactions (full numbers) ended, one answer for each.
    async fn ends(&self, cx: &Context, transactions: &[u64]) -> Result<Vec<TransactionEnd>>;

    /// The members of these groups of transactions: full texts that are equal exactly when the members
    /// are, and the numbers (32 bits) of those that change rows.
    async fn members(&self, cx: &Context, groups: &[u32]) -> Result<Vec<(String, Vec<u32>)>>;

    /// The rows in these pages that are visible now, in one view, each with its place as
    /// `relation (block,item)` and its version. Only for relations of kind [`PageKind::Rows`].
    async fn rows(
        &self,
        cx: &Context,
        relation: &PageRelation,
        request: &ScanRequest,
        blocks: &[u64],
    ) -> Result<Vec<FetchedRow>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_its_bytes_or_empty_where_there_is_none_or_only_zeros() {
        let bytes = [[0_u8; 4], [7; 4], [0, 0, 0, 1]].concat();
        let damaged = vec![(12, "no".to_owned())];
        let range = PageRange { first: 9, count: 6, page_bytes: 4, bytes, damaged };
        assert_eq!(range.page(9), Page::Empty);
        assert_eq!(range.page(10), Page::Bytes(&[7; 4]));
        assert_eq!(range.page(11), Page::Bytes(&[0, 0, 0, 1]));
        assert_eq!(range.page(12), Page::Damaged("no"));
        for beyond in [0, 8, 13, 14, u64::MAX] {
            assert_eq!(range.page(beyond), Page::Empty, "{beyond}");
        }
        assert_eq!(range.blocks(), 9..15);
    }
}
