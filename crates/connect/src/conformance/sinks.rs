//! Sinks that look at what a connector hands out.

use crate::{BlockSink, Error, FailureKind, Result};
use paritas_digest::{Block, Capacity, DigestKey, Digester, Spec, Sums};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The code of the error that [`FailingSink`] gives.
pub(super) const SINK_ERROR: &str = "conformance.sink";

/// The key of all digests here; it need not be secret.
pub(super) fn spec_of(canon: &paritas_digest::Canon) -> Result<Arc<Spec>> {
    Ok(Spec::new(&DigestKey::unkeyed(), "conformance", canon.clone())?)
}

/// Digests one split.
pub(super) struct DigestSink {
    digester: Digester,
}

impl DigestSink {
    pub(super) fn new(spec: &Arc<Spec>) -> Self {
        Self { digester: Digester::new(Arc::clone(spec), Capacity::default()) }
    }

    pub(super) fn rows(&self) -> u64 {
        self.digester.rows()
    }

    pub(super) fn finish(self) -> Sums {
        self.digester.finish()
    }
}

impl BlockSink for DigestSink {
    fn accept(&mut self, block: Block) -> Result<()> {
        Ok(self.digester.add(&block)?)
    }
}

/// Keeps blocks until there are enough rows, then only counts.
#[derive(Default)]
pub(super) struct KeepingSink {
    pub(super) blocks: Vec<Block>,
    pub(super) rows: u64,
}

/// Rows that are kept at most.
const KEPT_ROWS_MAX: u64 = 10_000;

impl BlockSink for KeepingSink {
    fn accept(&mut self, block: Block) -> Result<()> {
        let rows = block.rows() as u64;
        if self.rows < KEPT_ROWS_MAX && rows > 0 {
            self.blocks.push(block);
        }
        self.rows += rows;
        Ok(())
    }
}

/// Fails at the first block.
#[derive(Default)]
pub(super) struct FailingSink {
    pub(super) blocks: u64,
}

impl BlockSink for FailingSink {
    fn accept(&mut self, _: Block) -> Result<()> {
        self.blocks += 1;
        Err(Error::new(FailureKind::Permanent, SINK_ERROR, "the sink fails as it was told to"))
    }
}

/// Cancels the run at the first block and counts what comes after.
pub(super) struct CancellingSink {
    pub(super) token: CancellationToken,
    pub(super) rows: u64,
    pub(super) blocks_after: u64,
}

impl BlockSink for CancellingSink {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.blocks_after += u64::from(self.token.is_cancelled());
        self.rows += block.rows() as u64;
        self.token.cancel();
        Ok(())
    }
}
