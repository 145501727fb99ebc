//! Scans of a store that fails on purpose.

use super::{Call, Fault, Script};
use crate::{BlockSink, Context, Error, FailureKind, FetchedRow, Lookup, Result, Scan, Split, SplitDone};
use async_trait::async_trait;
use paritas_digest::{Block, RowBlock};
use paritas_model::{Known, Position};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct FaultyScan {
    pub(super) inner: Box<dyn Scan>,
    pub(super) script: Arc<Script>,
}

#[async_trait]
impl Scan for FaultyScan {
    fn position(&self) -> Known<Position> {
        self.inner.position()
    }

    fn splits(&self) -> &[Split] {
        self.inner.splits()
    }

    async fn read(&self, cx: &Context, split: &Split, sink: &mut dyn BlockSink) -> Result<SplitDone> {
        let faults = self.script.begin(cx, Call::Read, Some(split.index)).await?;
        let mut sink = FaultySink { inner: sink, room: u64::MAX, cut: None, repeat: false, handed: 0 };
        let mut claims_all = true;
        for fault in faults {
            match fault {
                Fault::Cut { rows, kind } => (sink.room, sink.cut) = (rows, Some(kind)),
                Fault::EndEarly { rows } => (sink.room, claims_all) = (rows, false),
                Fault::Swallow { rows } => sink.room = rows,
                Fault::Repeat => sink.repeat = true,
                _ => {}
            }
        }
        let done = self.inner.read(cx, split, &mut sink).await?;
        match sink.cut {
            // There were fewer rows than that: the connection is cut at the very end.
            Some(kind) => Err(cut(kind)),
            None if claims_all => Ok(done),
            None => Ok(SplitDone { rows: sink.handed, ..done }),
        }
    }

    fn is_newer(&self, version: u64) -> bool {
        self.inner.is_newer(version)
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        self.inner.lookup().map(|_| self as _)
    }

    async fn render(&self, cx: &Context, block: &Block, rows: &[usize]) -> Result<Vec<FetchedRow>> {
        self.script.begin(cx, Call::Render, None).await?;
        self.inner.render(cx, block, rows).await
    }
}

#[async_trait]
impl Lookup for FaultyScan {
    async fn fetch(&self, cx: &Context, keys: &[Vec<u8>]) -> Result<Vec<FetchedRow>> {
        let faults = self.script.begin(cx, Call::Fetch, None).await?;
        if faults.iter().any(|fault| matches!(fault, Fault::FindNothing)) {
            return Ok(Vec::new());
        }
        self.inner.lookup().ok_or_else(|| Error::unsupported("access by key"))?.fetch(cx, keys).await
    }
}

fn cut(kind: FailureKind) -> Error {
    Error::new(kind, "store.unreachable", "the connection was cut as it was told to")
}

/// Passes blocks on until there is no room left.
struct FaultySink<'a> {
    inner: &'a mut dyn BlockSink,
    room: u64,
    cut: Option<FailureKind>,
    repeat: bool,
    handed: u64,
}

impl BlockSink for FaultySink<'_> {
    fn accept(&mut self, block: Block) -> Result<()> {
        if std::mem::take(&mut self.repeat) {
            self.inner.accept(block.clone())?;
        }
        let rows = block.rows() as u64;
        if rows <= self.room {
            self.room -= rows;
            self.handed += rows;
            return self.inner.accept(block);
        }
        let part = head(&block, usize::try_from(self.room).unwrap_or(usize::MAX));
        self.handed += self.room;
        if std::mem::take(&mut self.room) > 0 {
            self.inner.accept(part)?;
        }
        match self.cut.take() {
            Some(kind) => Err(cut(kind)),
            None => Ok(()),
        }
    }
}

/// The first rows of a block.
fn head(block: &Block, rows: usize) -> Block {
    match block {
        Block::Arrow(batch) => Block::Arrow(batch.slice(0, rows.min(batch.num_rows()))),
        Block::Wire(block) => {
            let mut part = RowBlock::default();
            for row in 0..rows {
                if let (Some(image), Some(key)) = (block.image(row), block.key(row)) {
                    part.push(image, key);
                }
            }
            Block::Wire(part)
        }
    }
}
