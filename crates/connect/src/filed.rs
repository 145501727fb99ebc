//! Rows by files, and what tells whether a file is what it was when its rows were read.

use crate::{BlockSink, Context, Result, SplitDone, Terms};
use async_trait::async_trait;
use paritas_model::Known;

/// What is known of a file without reading its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiledPart {
    /// Its path below the location. Values of its rows may follow from it, so the rows of another path are others.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows, where it says so.
    pub rows: Known<u64>,
    /// A text that is another one once the content is, or why its store gives none.
    pub identity: Known<String>,
    /// When it was last changed, in nanoseconds since 1970 by the clock of its store. Whoever writes to it again within
    /// the same tick of that clock may leave the identity as it is.
    pub changed_at: i128,
    /// Into how many pieces it is cut, each of which is read by itself; at least one.
    pub pieces: usize,
}

/// A view whose rows can be read file by file.
#[async_trait]
pub trait Filed: std::fmt::Debug + Send + Sync {
    /// The files, sorted by name. Together they hold every row of the view exactly once.
    fn files(&self) -> Vec<FiledPart>;

    /// What rows depend on beside their files and the request.
    fn terms(&self) -> Terms;

    /// Reads one piece of a file, by their numbers, and proves that the file was what the view showed before and after.
    async fn read_piece(&self, cx: &Context, place: (usize, usize), sink: &mut dyn BlockSink) -> Result<SplitDone>;
}
