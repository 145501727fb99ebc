//! Finding the rows behind differences: by key where the store can, otherwise in a second pass.

use crate::Side;
use crate::side::View;
use futures_util::FutureExt as _;
use paritas_connect::{BlockSink, Context, Error, FailureKind, FetchedRow, Result, Scan, Split};
use paritas_digest::{Block, FoundKey, Locator, RowBlock, Spec};
use paritas_model::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Keys asked for in one call of a lookup.
const FETCH_BATCH: usize = 1_000;

/// Keys to find, and of which of them the values are wanted for people.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) keys: Vec<FoundKey>,
    /// Rows of other keys come without values for people: they are only counted.
    pub(crate) shown: HashSet<FoundKey>,
}

/// The rows with these keys on one side: as they are now where the store is read by key, or in the
/// pinned view where it is read through. Every row carries its `found` key.
pub(crate) async fn rows_of(side: &Side, scan: &View, spec: &Arc<Spec>, wanted: &Wanted) -> Result<Vec<FetchedRow>> {
    if scan.lookup().is_none() {
        return scan_for(side, scan, spec, &wanted.keys, Some(&wanted.shown)).await;
    }
    let (inline, hidden): (Vec<FoundKey>, Vec<FoundKey>) =
        wanted.keys.iter().cloned().partition(|key| matches!(key, FoundKey::Inline(_)));
    let keys: Vec<Vec<u8>> = inline.iter().filter_map(inline_bytes).collect();
    let mut rows = Vec::new();
    for batch in keys.chunks(FETCH_BATCH) {
        for mut row in fetch(side, &**scan, batch, Way::Indexed).await? {
            let found = FoundKey::Inline(row.key.clone());
            hide_unless(&wanted.shown, &found, &mut row);
            row.found = Some(found);
            rows.push(row);
        }
    }
    rows.extend(scan_for(side, scan, spec, &hidden, Some(&wanted.shown)).await?);
    Ok(rows)
}

/// How rows are found by their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// However the store likes.
    Indexed,
    /// Without trusting an index.
    Unindexed,
}

/// Reads rows by canonical key, in batches. Rows that the store finds under a looser equality than
/// bytes (a case-insensitive key) are dropped.
pub(crate) async fn fetch(side: &Side, scan: &dyn Scan, keys: &[Vec<u8>], way: Way) -> Result<Vec<FetchedRow>> {
    let Some(lookup) = scan.lookup() else {
        return Err(Error::unsupported("reading rows by key"));
    };
    let asked: HashSet<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let mut rows = Vec::new();
    for batch in keys.chunks(FETCH_BATCH) {
        side.cx.check()?;
        let found = match way {
            Way::Indexed => side.again("read rows by key", || lookup.fetch(&side.cx, batch)).await?,
            Way::Unindexed => side.again("read rows by key", || lookup.fetch_unindexed(&side.cx, batch)).await?,
        };
        rows.extend(found.into_iter().filter(|row| asked.contains(row.key.as_slice())));
    }
    Ok(rows)
}

/// Reads the whole view again and keeps the wanted rows; with `shown`, rows of other keys without
/// their values for people.
pub(crate) async fn scan_for(
    side: &Side,
    scan: &View,
    spec: &Arc<Spec>,
    wanted: &[FoundKey],
    shown: Option<&HashSet<FoundKey>>,
) -> Result<Vec<FetchedRow>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let locator = Arc::new(Locator::new(Arc::clone(spec), wanted));
    let shown = shown.cloned().map(Arc::new);
    let work = |side: Side, scan: View, split: Split| {
        let (locator, shown) = (Arc::clone(&locator), shown.clone());
        async move {
            let (locator, shown) = (&*locator, shown.as_deref());
            let fresh =
                || LocateSink { locator, scan: &*scan, cx: &side.cx, shown, rows: Vec::new(), later: Vec::new() };
            let (sink, _) = side.read_split(&*scan, &split, fresh).await?;
            sink.finish(&side).await
        }
    };
    let mut hits = Vec::new();
    side.each_split(scan, work, |rows| {
        hits.extend(rows);
        Ok(())
    })
    .await?;
    Ok(hits)
}

/// The canonical key itself, where the digest holds it.
pub(crate) fn inline_bytes(key: &FoundKey) -> Option<Vec<u8>> {
    match key {
        FoundKey::Inline(bytes) => Some(bytes.clone()),
        FoundKey::Fingerprint(_) => None,
    }
}

/// Takes the values for people out of a row that is only counted.
fn hide_unless(shown: &HashSet<FoundKey>, found: &FoundKey, row: &mut FetchedRow) {
    if !shown.contains(found) {
        row.place = None;
        for field in &mut row.fields {
            field.shown = Value::Null;
        }
    }
}

/// Keeps the wanted rows of the blocks that come by.
struct LocateSink<'a> {
    locator: &'a Locator,
    scan: &'a dyn Scan,
    cx: &'a Context,
    shown: Option<&'a HashSet<FoundKey>>,
    rows: Vec<FetchedRow>,
    /// Rows that the store needs time to render, each list with the keys they were wanted for.
    later: Vec<(Block, Vec<(usize, FoundKey)>)>,
}

impl BlockSink for LocateSink<'_> {
    fn accept(&mut self, block: Block) -> Result<()> {
        let matches = self.locator.matches(&block)?;
        if matches.is_empty() {
            return Ok(());
        }
        if let Block::Wire(rows) = &block {
            // Their store may ask its server to render them: better once for the whole split.
            let (block, matches) = only(rows, matches);
            self.later.push((Block::Wire(block), matches));
            return Ok(());
        }
        // Rendered at once where the store has all it takes, because only here the block still is
        // whole: keeping blocks would keep every row around a hit in memory.
        let indices: Vec<usize> = matches.iter().map(|(row, _)| *row).collect();
        match self.scan.render(self.cx, &block, &indices).now_or_never() {
            Some(rendered) => self.keep(rendered?, matches),
            None => {
                self.later.push((block, matches));
                Ok(())
            }
        }
    }
}

impl LocateSink<'_> {
    async fn finish(mut self, side: &Side) -> Result<Vec<FetchedRow>> {
        for (block, matches) in std::mem::take(&mut self.later) {
            let indices: Vec<usize> = matches.iter().map(|(row, _)| *row).collect();
            let rendered = side.again("render rows", || self.scan.render(&side.cx, &block, &indices)).await?;
            self.keep(rendered, matches)?;
        }
        Ok(self.rows)
    }

    fn keep(&mut self, rendered: Vec<FetchedRow>, matches: Vec<(usize, FoundKey)>) -> Result<()> {
        if rendered.len() != matches.len() {
            let message = format!("{} rows were asked for and {} rendered", matches.len(), rendered.len());
            return Err(Error::new(FailureKind::Permanent, "data.truncated", message));
        }
        for (mut row, (_, found)) in rendered.into_iter().zip(matches) {
            if let Some(shown) = self.shown {
                hide_unless(shown, &found, &mut row);
            }
            row.found = Some(found);
            self.rows.push(row);
        }
        Ok(())
    }
}

/// The matching rows of a block as a block of their own.
fn only(rows: &RowBlock, matches: Vec<(usize, FoundKey)>) -> (RowBlock, Vec<(usize, FoundKey)>) {
    let mut block = RowBlock::default();
    let mut kept = Vec::with_capacity(matches.len());
    for (row, found) in matches {
        // Matches are rows of this very block.
        if let (Some(image), Some(key)) = (rows.image(row), rows.key(row)) {
            kept.push((block.len(), found));
            block.push(image, key);
        }
    }
    (block, kept)
}
