//! Handing blocks to sinks.

use crate::{BlockSink, Result};
use paritas_digest::Block;

/// Hands a block to a sink from async code: the sink may block, so the runtime is told where it has
/// other threads.
///
/// # Errors
/// Those of the sink.
pub fn deliver(sink: &mut dyn BlockSink, block: Block) -> Result<()> {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| sink.accept(block)),
        _ => sink.accept(block),
    }
}
