//! Reading files of a view one by one into what their rows add to a digest.

use crate::Side;
use crate::side::{View, some_at_a_time};
use paritas_connect::{BlockSink, Error, FailureKind, Filed, FiledPart, Result, Scan, ScanRequest, SplitDone, Terms};
use paritas_digest::{Block, Capacity, PartSum, PartSummer, Spec};
use std::sync::Arc;

/// A view whose rows can be read file by file.
#[derive(Debug, Clone)]
pub struct FiledView {
    scan: View,
}

impl FiledView {
    /// Opens a view. `None` where its store has no files.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open(side: &Side, request: &ScanRequest) -> Result<Option<Self>> {
        let scan = side.open(request).await?;
        Ok(scan.filed().is_some().then_some(Self { scan }))
    }

    /// The view itself.
    pub fn scan(&self) -> &dyn Scan {
        &*self.scan
    }

    /// The files.
    ///
    /// # Errors
    /// Never for a view that [`FiledView::open`] gave.
    pub fn files(&self) -> Result<Vec<FiledPart>> {
        Ok(self.filed()?.files())
    }

    /// What rows depend on beside their files and the request.
    ///
    /// # Errors
    /// Never for a view that [`FiledView::open`] gave.
    pub fn terms(&self) -> Result<Terms> {
        Ok(self.filed()?.terms())
    }

    fn filed(&self) -> Result<&dyn Filed> {
        self.scan.filed().ok_or_else(|| Error::unsupported("rows by files"))
    }
}

/// One piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which file, by its number.
    pub file: usize,
    /// Which piece of it.
    pub piece: usize,
    /// The file's name, for messages.
    pub name: String,
}

/// The rows of a piece.
#[derive(Debug)]
pub struct PieceRead {
    /// Which file, by its number.
    pub file: usize,
    /// What its rows add.
    pub sum: PartSum,
    /// What reading it amounted to.
    pub done: SplitDone,
}

/// Reads pieces, some at a time, and hands each to `take`. Ends at the first error.
///
/// # Errors
/// Those of the store and of `take`.
pub async fn read(
    side: &Side,
    view: &FiledView,
    (spec, capacity): (&Arc<Spec>, Capacity),
    pieces: Vec<Piece>,
    take: impl FnMut(PieceRead) -> Result<()>,
) -> Result<()> {
    let waiting = pieces.into_iter().map(|piece| {
        let (side, view, spec) = (side.clone(), view.clone(), Arc::clone(spec));
        async move {
            let read = side.again("read a file", || one(&side, &view, &piece, &spec, capacity)).await;
            read.map_err(|error| error.context(&piece.name))
        }
    });
    some_at_a_time(side.cx.parallel(), waiting, take).await
}

async fn one(side: &Side, view: &FiledView, piece: &Piece, spec: &Arc<Spec>, capacity: Capacity) -> Result<PieceRead> {
    let mut sink = Sink { side, summer: PartSummer::new(Arc::clone(spec), capacity), rows: 0 };
    let done = view.filed()?.read_piece(&side.cx, (piece.file, piece.piece), &mut sink).await?;
    side.budget.charge(0, done.bytes)?;
    // Rows are counted where they are handed out and where they are digested.
    if sink.rows != done.rows {
        let message = format!("{}: {} rows were handed out and {} digested", piece.name, done.rows, sink.rows);
        return Err(Error::new(FailureKind::Permanent, "data.truncated", message));
    }
    Ok(PieceRead { file: piece.file, sum: sink.summer.finish(), done })
}

/// Takes rows into the sum of a piece.
struct Sink<'a> {
    side: &'a Side,
    summer: PartSummer,
    rows: u64,
}

impl BlockSink for Sink<'_> {
    fn accept(&mut self, block: Block) -> Result<()> {
        let rows = block.rows() as u64;
        self.side.budget.charge(rows, 0)?;
        self.rows += rows;
        self.summer.add(&block).map_err(Into::into)
    }
}
