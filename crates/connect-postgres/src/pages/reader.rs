//! Reading ranges of pages in bulk, past pages that the server cannot read.

use super::compare::compare_under;
use super::layout::lsn;
use super::mask::Layout;
use super::{Opened, index, map, relations, rows, seals, transactions};
use crate::copy::CopyReader;
use crate::divert::Diversion;
use crate::errors::{classify, malformed};
use crate::quote;
use crate::session::Session;
use crate::store::Inner;
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use paritas_connect::{
    Claim, Context, Error, FailureKind, FetchedRow, Likeness, PageKind, PagePair, PageRange, PageReader, PageRelation,
    PageTerms, Result, ScanRequest, Seal, SealRange, TransactionEnd, TransactionSpan, Transactions,
};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Readings of a range whose relation is just being truncated, at most.
const TRUNCATED_MAX: u32 = 10;
/// Pages of one range that the server cannot read and that are named one by one.
const DAMAGED_MAX: usize = 64;
/// Bytes of the two fields in front of a page: a length and a number, and the page's own length.
const FIELD: usize = 4;

/// Reads the pages of one dataset.
pub(crate) struct PgPages {
    store: Arc<Inner>,
    opened: Opened,
    ready: Mutex<Vec<Session>>,
}

impl fmt::Debug for PgPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgPages").field("dataset", &self.opened.root.shown()).finish_non_exhaustive()
    }
}

impl PgPages {
    pub(crate) fn new(store: Arc<Inner>, opened: Opened) -> Self {
        Self { store, opened, ready: Mutex::default() }
    }

    async fn session(&self, cx: &Context) -> Result<Session> {
        loop {
            let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match ready {
                Some(session) if session.is_closed() => {}
                Some(session) => return Ok(session),
                None => return self.store.connect(cx).await,
            }
        }
    }

    fn give_back(&self, session: Session) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// Reads a range in one statement.
    async fn copy(&self, cx: &Context, relation: &PageRelation, range: &Range<u64>) -> Result<PageRange> {
        let page_bytes = self.opened.terms.page_bytes;
        let count = range.end.saturating_sub(range.start);
        let capacity = usize::try_from(count).unwrap_or(0).saturating_mul(page_bytes);
        let mut pages =
            PageRange { first: range.start, count, page_bytes, bytes: Vec::with_capacity(capacity), damaged: vec![] };
        let sql = self.pages(relation, range);
        let (mut next, what) = (range.start, format!("read pages {} of {}", shown(range), relation.name));
        self.each(cx, &what, &sql, 2, |row| {
            pages.bytes.extend_from_slice(page_of(row, next, page_bytes)?);
            next += 1;
            Ok(())
        })
        .await?;
        Ok(pages)
    }

    /// Has the server digest a range in one statement.
    async fn sealed(&self, cx: &Context, relation: &PageRelation, range: &Range<u64>) -> Result<Option<SealRange>> {
        let Some(layout) = Layout::of(&relation.method) else { return Ok(None) };
        let mut sealed = SealRange { first: range.start, ..SealRange::default() };
        let sql = seals::select(layout, self.opened.terms.page_bytes, &self.pages(relation, range));
        let (mut next, what) = (range.start, format!("digest pages {} of {}", shown(range), relation.name));
        self.each(cx, &what, &sql, 3, |row| {
            sealed.seals.push(seals::of_row(row, next)?);
            sealed.bytes += row.len() as u64;
            next += 1;
            Ok(())
        })
        .await?;
        Ok(Some(sealed))
    }

    /// The statement that gives the pages of a range, as `block` and `page`.
    fn pages(&self, relation: &PageRelation, range: &Range<u64>) -> String {
        let fork = if relation.kind == PageKind::Map { "vm" } else { "main" };
        let name = quote::literal(relation.of.as_deref().unwrap_or(&relation.name));
        let size = self.opened.terms.page_bytes;
        format!(
            "SELECT block, {}({name}, '{fork}', block) AS page FROM generate_series({}::int8, \
             least({}::int8, coalesce(pg_relation_size({name}::regclass, '{fork}'), 0) / {size}) - 1) AS block",
            self.opened.function, range.start, range.end
        )
    }

    /// Hands on each row of a statement.
    async fn each(
        &self,
        cx: &Context,
        what: &str,
        sql: &str,
        columns: usize,
        mut row: impl FnMut(&[u8]) -> Result<()> + Send,
    ) -> Result<()> {
        let mut session = self.session(cx).await?;
        session.mark_busy();
        let result = cx.bound(stream(&session, what, sql, columns, &mut row)).await;
        // A statement that the server refused leaves the connection as it was.
        if result.as_ref().is_ok() || result.as_ref().is_err_and(|error| !is_cut(error)) {
            session.mark_idle();
            self.give_back(session);
        }
        result
    }

    /// Reads a range again after the server could not read some page of it: by halves, until those
    /// pages are known. Only for ranges with damage, so its cost does not matter.
    async fn around_damage(
        &self,
        cx: &Context,
        relation: &PageRelation,
        range: Range<u64>,
        first: Error,
    ) -> Result<PageRange> {
        let page_bytes = self.opened.terms.page_bytes;
        let count = range.end.saturating_sub(range.start);
        let mut whole = PageRange { first: range.start, count, page_bytes, bytes: Vec::new(), damaged: Vec::new() };
        let mut left = vec![(range, Some(first))];
        while let Some((range, failed)) = left.pop() {
            let error = match failed {
                Some(error) => error,
                None => match self.untruncated(cx, relation, &range).await {
                    Ok(part) => {
                        // Parts come in order. One before may have been short, where pages went meanwhile.
                        let before = usize::try_from(range.start - whole.first).unwrap_or(0);
                        whole.bytes.resize(before.saturating_mul(page_bytes), 0);
                        whole.bytes.extend_from_slice(&part.bytes);
                        continue;
                    }
                    Err(error) if error.kind() == FailureKind::Damaged => error,
                    Err(error) => return Err(error),
                },
            };
            if whole.damaged.len() >= DAMAGED_MAX {
                return Err(error);
            }
            if range.end - range.start <= 1 {
                whole.damaged.push((range.start, error.detail_text().unwrap_or(error.message()).to_owned()));
                continue;
            }
            let middle = range.start + (range.end - range.start) / 2;
            left.push((middle..range.end, None));
            left.push((range.start..middle, None));
        }
        Ok(whole)
    }

    /// Reads a range of which the files have more than the server reads, and goes on doing so: a segment in
    /// the middle is shorter than it must be, so that the server stops there. What lies behind cannot be
    /// read.
    async fn up_to_the_end(
        &self,
        cx: &Context,
        relation: &PageRelation,
        range: Range<u64>,
        error: &Error,
    ) -> Result<PageRange> {
        let (page_bytes, count) = (self.opened.terms.page_bytes, range.end.saturating_sub(range.start));
        let mut whole = PageRange { first: range.start, count, page_bytes, bytes: Vec::new(), damaged: Vec::new() };
        let (mut read, mut beyond) = (range.start, range.end);
        while read < beyond {
            let middle = read + (beyond - read).div_ceil(2);
            match self.copy(cx, relation, &(read..middle)).await {
                Ok(part) => {
                    whole.bytes.extend_from_slice(&part.bytes);
                    if (part.bytes.len() as u64) < (middle - read).saturating_mul(page_bytes as u64) {
                        // It became shorter meanwhile: there is nothing behind the end.
                        return Ok(whole);
                    }
                    read = middle;
                }
                Err(error) if is_shorter(&error) => beyond = middle - 1,
                Err(error) => return Err(error),
            }
        }
        let said = error.detail_text().unwrap_or(error.message());
        let why = format!("its files hold more than the server reads, as behind a segment that was cut short: {said}");
        let end = self.end_of_files(cx, relation, read..range.end).await?;
        whole.damaged = (read..end).map(|block| (block, why.clone())).collect();
        whole.bytes.resize(usize::try_from(count).unwrap_or(0).saturating_mul(page_bytes), 0);
        Ok(whole)
    }

    /// Where the files end, if they do within a range that the server does not read.
    async fn end_of_files(&self, cx: &Context, relation: &PageRelation, range: Range<u64>) -> Result<u64> {
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.copy(cx, relation, &(middle..range.end)).await {
                // Nothing is asked for behind the end of the files.
                Ok(_) => high = middle,
                Err(error) if is_shorter(&error) => low = middle + 1,
                Err(error) => return Err(error),
            }
        }
        Ok(high)
    }

    /// Reads a range again while the relation becomes shorter between measuring and reading.
    async fn untruncated(&self, cx: &Context, relation: &PageRelation, range: &Range<u64>) -> Result<PageRange> {
        let mut attempt = 1;
        loop {
            match self.copy(cx, relation, range).await {
                Err(error) if is_shorter(&error) && attempt < TRUNCATED_MAX => attempt += 1,
                other => return other,
            }
        }
    }
}

/// Copies out what a statement gives, row by row.
async fn stream(
    session: &Session,
    what: &str,
    sql: &str,
    columns: usize,
    row: &mut (impl FnMut(&[u8]) -> Result<()> + Send),
) -> Result<()> {
    let mut data = Diversion::new(&*session.source);
    let failed = |error| classify(what.to_owned(), error);
    let copy = session.client.copy_out(format!("COPY ({sql}) TO STDOUT (FORMAT BINARY)").as_str()).await;
    let mut copy = std::pin::pin!(copy.map_err(failed)?);
    let mut reader = CopyReader::new(columns)?;
    let mut take = |data: &[u8]| reader.feed(data, row);
    while data.next(&mut take).await? {}
    if copy.try_next().await.map_err(failed)?.is_some() {
        return Err(malformed("pages after the end of a COPY"));
    }
    reader.finish()
}

fn shown(range: &Range<u64>) -> String {
    format!("{}..{}", range.start, range.end)
}

/// Makes pages that were never logged, or hold nothing, pages of zeros.
fn blank(relation: &PageRelation, pages: &mut PageRange) {
    let (Some(layout), size) = (Layout::of(&relation.method), pages.page_bytes) else { return };
    for (block, page) in (pages.first..).zip(pages.bytes.chunks_mut(size.max(1))) {
        if index::is_blank(layout, block, page) {
            page.fill(0);
        }
    }
}

/// Whether the connection may be in the middle of something.
fn is_cut(error: &Error) -> bool {
    use FailureKind::{Cancelled, Damaged, Deadline, Permanent};
    match error.kind() {
        Damaged => false,
        Permanent => error.code() != "store.refused",
        Cancelled | Deadline => true,
        _ => true,
    }
}

/// A page beyond the end: `invalid_parameter_value`.
fn is_shorter(error: &Error) -> bool {
    error.detail_text().is_some_and(|detail| detail.contains("(SQLSTATE 22023)"))
}

/// The page in a row of two fields, whose number must be the expected one.
fn page_of(row: &[u8], expected: u64, page_bytes: usize) -> Result<&[u8]> {
    let field = |at: usize| {
        let rest = row.get(at..)?;
        let (length, rest) = rest.split_first_chunk::<FIELD>()?;
        rest.get(..u32::from_be_bytes(*length) as usize)
    };
    let number = field(0).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()).map(u64::from_be_bytes);
    let page = field(FIELD + 8).filter(|page| page.len() == page_bytes);
    match (number == Some(expected), page) {
        (true, Some(page)) => Ok(page),
        _ => Err(malformed("something else than the page that was asked for")),
    }
}

#[async_trait]
impl PageReader for PgPages {
    fn terms(&self) -> &PageTerms {
        &self.opened.terms
    }

    fn is_origin(&self) -> bool {
        self.opened.writes
    }

    async fn relations(&self, cx: &Context) -> Result<Vec<PageRelation>> {
        let session = self.session(cx).await?;
        let found = relations::list(&session, cx, &self.opened.root).await;
        self.give_back(session);
        found
    }

    async fn read(&self, cx: &Context, relation: &PageRelation, range: Range<u64>) -> Result<PageRange> {
        // At the pace of rows: each range counts by its bytes, and waits while the replica is too far behind.
        cx.breathe().await?;
        let mut pages = match self.untruncated(cx, relation, &range).await {
            Err(error) if error.kind() == FailureKind::Damaged => {
                self.around_damage(cx, relation, range, error).await?
            }
            Err(error) if is_shorter(&error) => self.up_to_the_end(cx, relation, range, &error).await?,
            other => other?,
        };
        cx.count(0, pages.bytes.len() as u64);
        blank(relation, &mut pages);
        Ok(pages)
    }

    async fn seals(&self, cx: &Context, relation: &PageRelation, range: Range<u64>) -> Result<Option<SealRange>> {
        // The server reads whole pages, whatever of them it hands out.
        cx.breathe().await?;
        match self.sealed(cx, relation, &range).await {
            // Reading the pages tells which of them are damaged, or gone.
            Err(error) if error.kind() == FailureKind::Damaged || is_shorter(&error) => Ok(None),
            Err(error) => Err(error),
            Ok(sealed) => {
                let pages = sealed.as_ref().map_or(0, |sealed| sealed.seals.len());
                cx.count(0, pages.saturating_mul(self.opened.terms.page_bytes) as u64);
                Ok(sealed)
            }
        }
    }

    fn seal(&self, relation: &PageRelation, page: &[u8]) -> Option<Seal> {
        Layout::of(&relation.method).map(|layout| seals::of_page(layout, page))
    }

    fn alike(&self, relation: &PageRelation, source: &Seal, replica: &Seal) -> bool {
        let layout = Layout::of(&relation.method);
        layout.is_some_and(|layout| seals::alike(layout, self.opened.hinted, source, replica))
    }

    async fn span(&self, cx: &Context) -> Result<Option<TransactionSpan>> {
        let session = self.session(cx).await?;
        let span = transactions::span(&session, cx, &self.opened.root).await;
        self.give_back(session);
        span
    }

    fn version(&self, page: &[u8]) -> u64 {
        lsn(page)
    }

    fn compare(&self, pair: &PagePair<'_>, transactions: &mut Transactions) -> Likeness {
        match Layout::of(pair.method) {
            Some(layout) => compare_under(layout, self.opened.hinted, pair, transactions),
            None => Likeness::Different,
        }
    }

    fn claims(&self, block: u64, source: &[u8], replica: &[u8]) -> Vec<Claim> {
        map::claims(self.opened.terms.page_bytes, block, source, replica)
    }

    fn contradicts(&self, claim: Claim, page: &[u8]) -> bool {
        map::contradicts(claim, page)
    }

    async fn recent_transaction(&self, cx: &Context) -> Result<u64> {
        let session = self.session(cx).await?;
        let recent = transactions::recent(&session, cx).await;
        self.give_back(session);
        recent
    }

    async fn ends(&self, cx: &Context, numbers: &[u64]) -> Result<Vec<TransactionEnd>> {
        let session = self.session(cx).await?;
        let ends = transactions::ends(&session, cx, numbers).await;
        self.give_back(session);
        ends
    }

    async fn members(&self, cx: &Context, groups: &[u32]) -> Result<Vec<(String, Vec<u32>)>> {
        let session = self.session(cx).await?;
        let members = transactions::members(&session, cx, groups).await;
        self.give_back(session);
        members
    }

    async fn rows(
        &self,
        cx: &Context,
        relation: &PageRelation,
        request: &ScanRequest,
        blocks: &[u64],
    ) -> Result<Vec<FetchedRow>> {
        rows::of_blocks(&self.store, cx, relation, request, self.opened.terms.page_bytes, blocks).await
    }
}
