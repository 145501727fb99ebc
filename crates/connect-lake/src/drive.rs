//! Running blocking readers under an async call, with the sink on the caller's side.

use crate::failure;
use arrow_array::RecordBatch;
use paritas_connect::{BlockSink, Context, Error, Result, SplitDone};
use paritas_digest::Block;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Batches on their way from a reader's thread to the sink, at most.
const AHEAD_MAX: usize = 2;

/// Takes batches from a reader.
pub(crate) type Emit<'a> = dyn FnMut(RecordBatch) -> Result<()> + 'a;

/// Runs `work`, which reads and blocks, and hands its batches to `sink`.
///
/// On a runtime with several threads everything happens on this thread, so that a batch is digested
/// while it is in the cache. Elsewhere the reader gets a thread of its own.
pub(crate) async fn drive<W>(cx: &Context, sink: &mut dyn BlockSink, work: W) -> Result<SplitDone>
where
    W: FnOnce(&Handle, &mut Emit<'_>) -> Result<SplitDone> + Send + 'static,
{
    cx.check()?;
    let runtime = Handle::current();
    if runtime.runtime_flavor() == RuntimeFlavor::MultiThread {
        let mut emit = |batch: RecordBatch| accept(cx, sink, batch);
        return tokio::task::block_in_place(|| work(&runtime, &mut emit));
    }
    let (sender, mut receiver) = tokio::sync::mpsc::channel(AHEAD_MAX);
    let reader = tokio::task::spawn_blocking(move || {
        // The other end is gone only when the sink failed, and its error is the one that counts.
        let mut emit = |batch| sender.blocking_send(batch).map_err(|_| Error::cancelled());
        work(&runtime, &mut emit)
    });
    while let Some(batch) = receiver.recv().await {
        accept(cx, sink, batch)?;
    }
    reader.await.map_err(|error| failure::damaged("a reader ended early").because(error))?
}

fn accept(cx: &Context, sink: &mut dyn BlockSink, batch: RecordBatch) -> Result<()> {
    cx.check()?;
    let rows = batch.num_rows() as u64;
    sink.accept(Block::Arrow(batch))?;
    cx.progress().add(rows, 0);
    Ok(())
}
