//! Running blocking readers under an async call, with the sink on the caller's side.

use crate::failure;
use arrow_array::RecordBatch;
use paritas_connect::{BlockSink, Context, Error, Result, SplitDone, deliver};
use paritas_digest::Block;
use tokio::runtime::Handle;

/// Batches on their way from a reader's thread to the sink, at most.
const AHEAD_MAX: usize = 2;

/// Takes batches from a reader.
pub(crate) type Emit<'a> = dyn FnMut(RecordBatch) -> Result<()> + 'a;

/// Runs `work`, which reads and blocks, on a thread that may, and hands its batches to `sink` here.
///
/// Decoding has a thread of its own because a caller may await several splits in one task: were they
/// decoded inside of it, they would wait for each other.
pub(crate) async fn drive<W>(cx: &Context, sink: &mut dyn BlockSink, work: W) -> Result<SplitDone>
where
    W: FnOnce(&Handle, &mut Emit<'_>) -> Result<SplitDone> + Send + 'static,
{
    cx.check()?;
    let runtime = Handle::current();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(AHEAD_MAX);
    let reader = tokio::task::spawn_blocking(move || {
        // The other end is gone only when the sink failed or the call was dropped.
        let mut emit = |batch| sender.blocking_send(batch).map_err(|_| Error::cancelled());
        work(&runtime, &mut emit)
    });
    while let Some(batch) = receiver.recv().await {
        cx.check()?;
        let rows = batch.num_rows() as u64;
        deliver(sink, Block::Arrow(batch))?;
        cx.progress().add(rows, 0);
    }
    reader.await.map_err(|error| failure::internal("a reader ended early", error))?
}
