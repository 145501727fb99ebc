//! Finding the rows behind differences: by key where the store can, otherwise in a second pass.

use crate::Side;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use paritas_connect::{BlockSink, Context, FetchedRow, Result, Scan};
use paritas_digest::{Block, FoundKey, Locator, Spec};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Keys asked for in one call of a lookup.
const FETCH_BATCH: usize = 1_000;

/// The rows with these keys on one side: as they are now where the store is read by key, or in the
/// pinned view where it is read through. Every row carries its `found` key.
pub(crate) async fn rows_of(
    side: &Side,
    scan: &dyn Scan,
    spec: &Arc<Spec>,
    wanted: &[FoundKey],
) -> Result<Vec<FetchedRow>> {
    if scan.lookup().is_none() {
        return scan_for(side, scan, spec, wanted).await;
    }
    let (inline, hidden): (Vec<FoundKey>, Vec<FoundKey>) =
        wanted.iter().cloned().partition(|key| matches!(key, FoundKey::Inline(_)));
    let keys: Vec<Vec<u8>> = inline.iter().filter_map(inline_bytes).collect();
    let mut rows = fetch(side, scan, &keys).await?;
    for row in &mut rows {
        row.found = Some(FoundKey::Inline(row.key.clone()));
    }
    rows.extend(scan_for(side, scan, spec, &hidden).await?);
    Ok(rows)
}

/// Reads rows by canonical key, in batches. Rows that the store finds under a looser equality than
/// bytes (a case-insensitive key) are dropped.
pub(crate) async fn fetch(side: &Side, scan: &dyn Scan, keys: &[Vec<u8>]) -> Result<Vec<FetchedRow>> {
    let Some(lookup) = scan.lookup() else {
        return Ok(Vec::new());
    };
    let asked: std::collections::HashSet<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let mut rows = Vec::new();
    for batch in keys.chunks(FETCH_BATCH) {
        side.cx.check()?;
        let found = side.cx.bound(lookup.fetch(&side.cx, batch)).await?;
        rows.extend(found.into_iter().filter(|row| asked.contains(row.key.as_slice())));
    }
    Ok(rows)
}

/// Reads the whole view again and keeps the wanted rows.
pub(crate) async fn scan_for(
    side: &Side,
    scan: &dyn Scan,
    spec: &Arc<Spec>,
    wanted: &[FoundKey],
) -> Result<Vec<FetchedRow>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let locator = Locator::new(Arc::clone(spec), wanted);
    let runtime = Handle::current();
    let hits: Vec<Vec<FetchedRow>> = stream::iter(scan.splits())
        .map(|split| {
            let (locator, runtime) = (&locator, &runtime);
            async move {
                let fresh = || LocateSink { locator, scan, cx: &side.cx, runtime, rows: Vec::new() };
                let (sink, _) = side.read_split(scan, split, fresh).await?;
                Ok::<_, paritas_connect::Error>(sink.rows)
            }
        })
        .buffer_unordered(side.cx.parallel())
        .try_collect()
        .await?;
    Ok(hits.into_iter().flatten().collect())
}

/// The canonical key itself, where the digest holds it.
pub(crate) fn inline_bytes(key: &FoundKey) -> Option<Vec<u8>> {
    match key {
        FoundKey::Inline(bytes) => Some(bytes.clone()),
        FoundKey::Fingerprint(_) => None,
    }
}

/// Keeps the wanted rows of the blocks that come by.
struct LocateSink<'a> {
    locator: &'a Locator,
    scan: &'a dyn Scan,
    cx: &'a Context,
    runtime: &'a Handle,
    rows: Vec<FetchedRow>,
}

impl BlockSink for LocateSink<'_> {
    fn accept(&mut self, block: Block) -> Result<()> {
        let matches = self.locator.matches(&block)?;
        if matches.is_empty() {
            return Ok(());
        }
        let indices: Vec<usize> = matches.iter().map(|(row, _)| *row).collect();
        // Rendered at once, because only here the block still is whole: keeping blocks until the
        // end of the split would keep every column of every row around a hit in memory.
        let rendered = self.runtime.block_on(self.scan.render(self.cx, &block, &indices))?;
        for (mut row, (_, found)) in rendered.into_iter().zip(matches) {
            row.found = Some(found);
            self.rows.push(row);
        }
        Ok(())
    }
}
