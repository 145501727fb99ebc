//! Names of archived files, for whoever has to choose which of them to fetch.

use std::path::Path;

use crate::Result;
use crate::content::{Packing, head};
use crate::page::Layout;
use crate::segment::{Segment, SegmentSize, halves};

/// The timeline of a segment's file name, packed or not; `None` for any other file.
pub fn timeline_of(name: &str) -> Option<u32> {
    halves(&Packing::of(name).0).map(|(timeline, ..)| timeline)
}

/// Which stretch of the log such a file holds, where segments have this size.
pub fn segment_of(name: &str, size: SegmentSize) -> Option<Segment> {
    Segment::parse(&Packing::of(name).0, size).map(|(segment, _)| segment)
}

/// The size of segments that a segment's first page says; `None` when it says nothing of the kind.
///
/// # Errors
/// When the file cannot be read.
pub fn segment_size_in(path: &Path) -> Result<Option<SegmentSize>> {
    Ok(Layout::parse(&head(path)?).map(|layout| layout.segment))
}
