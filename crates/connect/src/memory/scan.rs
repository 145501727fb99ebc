//! One view of a dataset in memory.

use super::MemoryStore;
use super::table::batch_bytes;
use crate::arrow_rows::version_of;
use crate::{
    BlockSink, Context, Error, FailureKind, FetchedRow, Lookup, Result, Scan, ScanRequest, Split, SplitDone,
    render_arrow, show_arrow,
};
use arrow_array::RecordBatch;
use async_trait::async_trait;
use paritas_digest::{Block, Encoder};
use paritas_model::{Known, Position};
use std::collections::HashSet;

/// Rows in one block.
const BLOCK_ROWS: usize = 4_096;

#[derive(Debug)]
pub(super) struct MemoryScan {
    store: MemoryStore,
    request: ScanRequest,
    position: Option<Position>,
    splits: Vec<Split>,
    pieces: Vec<Vec<RecordBatch>>,
}

impl MemoryScan {
    /// A view of these rows, which already have the columns of the request.
    pub(super) fn new(
        store: MemoryStore,
        request: ScanRequest,
        position: Option<Position>,
        batches: &[RecordBatch],
    ) -> Self {
        let pieces = cut(batches, store.split_rows);
        let split = |(index, piece): (usize, &Vec<RecordBatch>)| Split {
            index,
            label: format!("rows {}..", index * store.split_rows),
            rows_estimate: piece.iter().map(|batch| batch.num_rows() as u64).sum(),
        };
        let splits = pieces.iter().enumerate().map(split).collect();
        Self { store, request, position, splits, pieces }
    }
}

#[async_trait]
impl Scan for MemoryScan {
    fn position(&self) -> Known<Position> {
        self.position.clone().map_or_else(|| Known::unknown("rows in memory have no position"), Known::Known)
    }

    fn splits(&self) -> &[Split] {
        &self.splits
    }

    async fn read(&self, cx: &Context, split: &Split, sink: &mut dyn BlockSink) -> Result<SplitDone> {
        cx.check()?;
        let piece = self.pieces.get(split.index).ok_or_else(|| {
            Error::new(FailureKind::Permanent, "scan.split", format!("there is no split {}", split.label))
        })?;
        let mut done = SplitDone::default();
        for batch in piece {
            cx.check()?;
            let (rows, bytes) = (batch.num_rows() as u64, batch_bytes(batch));
            sink.accept(Block::Arrow(batch.clone()))?;
            cx.count(rows, bytes);
            cx.breathe().await?;
            done.rows += rows;
            done.bytes += bytes;
            tokio::task::yield_now().await;
        }
        Ok(done)
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        (self.store.by_key && self.request.canon.key_columns > 0).then_some(self as _)
    }

    async fn render(&self, cx: &Context, block: &Block, rows: &[usize]) -> Result<Vec<FetchedRow>> {
        cx.check()?;
        match block {
            Block::Arrow(batch) => render_arrow(&self.request.canon, batch, rows),
            Block::Wire(_) => Err(Error::unsupported("blocks in wire form")),
        }
    }
}

#[async_trait]
impl Lookup for MemoryScan {
    async fn fetch(&self, cx: &Context, keys: &[Vec<u8>]) -> Result<Vec<FetchedRow>> {
        cx.check()?;
        let table = self.store.table(&self.request.dataset)?;
        let wanted: HashSet<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut found = Vec::new();
        for (projected, whole) in table.project(&self.request)?.iter().zip(table.batches()) {
            cx.check()?;
            let encoder = Encoder::new(&self.request.canon, &projected.schema())?;
            let versions = table.versions(whole);
            for row in 0..projected.num_rows() {
                if !wanted.contains(encoder.key(projected, row)?.as_slice()) {
                    continue;
                }
                let version = versions.map(|column| show_arrow(column, row)).transpose()?;
                for mut fetched in render_arrow(&self.request.canon, projected, &[row])? {
                    fetched.version = version.as_ref().and_then(version_of);
                    found.push(fetched);
                }
            }
        }
        Ok(found)
    }
}

/// Cuts rows into pieces of exactly `rows_max` rows, the last one possibly shorter.
fn cut(batches: &[RecordBatch], rows_max: usize) -> Vec<Vec<RecordBatch>> {
    let mut pieces: Vec<Vec<RecordBatch>> = Vec::new();
    let mut room = 0;
    for batch in batches {
        let mut start = 0;
        while start < batch.num_rows() {
            if room == 0 {
                pieces.push(Vec::new());
                room = rows_max;
            }
            let rows = room.min(batch.num_rows() - start).min(BLOCK_ROWS);
            if let Some(piece) = pieces.last_mut() {
                piece.push(batch.slice(start, rows));
            }
            start += rows;
            room -= rows;
        }
    }
    pieces
}
