//! Running blocking readers under an async call, with the sink on the caller's side.

use crate::failure;
use arrow_array::RecordBatch;
use paritas_connect::{BlockSink, Context, Error, Result, SplitDone};
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
        sink.accept(Block::Arrow(batch))?;
        cx.count(rows, 0);
        cx.breathe().await?;
    }
    reader.await.map_err(|error| failure::internal("a reader ended early", error))?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use arrow_schema::Schema;
    use paritas_connect::FailureKind;
    use rstest::rstest;
    use std::sync::Arc;

    struct Ignore;

    impl BlockSink for Ignore {
        fn accept(&mut self, _: Block) -> Result<()> {
            Ok(())
        }
    }

    /// Work that a runtime took back before it was begun.
    async fn taken_back() -> tokio::task::JoinError {
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        task.await.unwrap_err()
    }

    #[rstest]
    #[case::before_the_first_batch(0)]
    #[case::between_batches(3)]
    #[tokio::test]
    async fn a_reader_that_panics_is_a_defect_and_no_finding(#[case] batches: usize) {
        let work = move |_: &Handle, emit: &mut Emit<'_>| {
            for _ in 0..batches {
                emit(RecordBatch::new_empty(Arc::new(Schema::empty())))?;
            }
            panic!("on purpose")
        };
        let error = drive(&Context::default(), &mut Ignore, work).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("internal.thread", FailureKind::Permanent), "{error}");
        assert!(error.detail_text().unwrap().contains("on purpose") && error.hint_text().is_some());
    }

    #[tokio::test]
    async fn a_reader_that_was_taken_back_is_an_interrupted_run() {
        let error = failure::internal("a reader ended early", taken_back().await);
        assert_eq!(error.kind(), FailureKind::Cancelled);
    }
}
