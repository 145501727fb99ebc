//! Parquet files one by one, so that those that did not change need not be read.

use super::footer::Shape;
use super::reader;
use super::scan::{Inner, ParquetScan, Part, SPLIT_ROWS_MAX, SPLIT_ROWS_MIN, SPLITS_PER_THREAD};
use crate::drive::drive;
use crate::source::part;
use async_trait::async_trait;
use paritas_connect::{BlockSink, Context, Error, FailureKind, Filed, FiledPart, Result, SplitDone, Terms};
use paritas_model::Known;
use std::ops::Range;
use std::sync::Arc;

/// Consecutive row groups of a file that are read at a time: large files by several threads, small ones at once.
pub(super) fn pieces(shape: &Shape, parallel: usize) -> Vec<Range<usize>> {
    let total: u64 = shape.groups.iter().map(|group| group.rows).sum();
    let share = total / (SPLITS_PER_THREAD.saturating_mul(parallel as u64)).max(1);
    let target = share.clamp(SPLIT_ROWS_MIN, SPLIT_ROWS_MAX);
    let (mut pieces, mut start, mut rows) = (Vec::new(), 0, 0_u64);
    for (index, group) in shape.groups.iter().enumerate() {
        if index > start && rows.saturating_add(group.rows) > target {
            pieces.push(start..index);
            (start, rows) = (index, 0);
        }
        rows = rows.saturating_add(group.rows);
    }
    // A file without rows is read as well, so that it is proven to be what it was.
    pieces.push(start..shape.groups.len());
    pieces
}

#[async_trait]
impl Filed for ParquetScan {
    fn files(&self) -> Vec<FiledPart> {
        let Inner { view, pieces, .. } = &*self.inner;
        let of = |(shape, pieces): (&Shape, &Vec<Range<usize>>)| {
            let rows = shape.groups.iter().fold(0_u64, |sum, group| sum.saturating_add(group.rows));
            part(&shape.file, Known::Known(rows), pieces.len())
        };
        view.shapes.iter().zip(pieces).map(of).collect()
    }

    fn terms(&self) -> Terms {
        vec![("location".to_owned(), self.inner.view.shown.clone()), ("kind of files".to_owned(), "Parquet".to_owned())]
    }

    async fn read_piece(&self, cx: &Context, place: (usize, usize), sink: &mut dyn BlockSink) -> Result<SplitDone> {
        let (inner, work_cx, (file, piece)) = (Arc::clone(&self.inner), cx.clone(), place);
        drive(cx, sink, move |runtime, emit| {
            let groups = inner.pieces.get(file).and_then(|pieces| pieces.get(piece)).cloned();
            let groups = groups.ok_or_else(|| {
                Error::new(
                    FailureKind::Permanent,
                    "internal.split",
                    format!("there is no piece {piece} of file {file}"),
                )
            })?;
            let done = reader::read(&work_cx, &inner, &Part { file, groups }, runtime, emit)?;
            work_cx.count(0, done.bytes);
            Ok(done)
        })
        .await
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::super::footer::Group;
    use super::*;
    use crate::source::{FoundFile, Place, Stamp};
    use proptest::prelude::*;

    fn shape(rows: &[u64]) -> Shape {
        let stamp = Stamp::Remote { tag: None, version: None, modified: None };
        let place = Place::Local("/x".into());
        let file = Arc::new(FoundFile { name: "x".into(), place, size: 1, stamp });
        Shape {
            file,
            columns: Arc::from([]),
            groups: rows.iter().map(|rows| Group { rows: *rows, bytes: 1 }).collect(),
        }
    }

    #[test]
    fn small_files_and_those_without_rows_are_one_piece_and_large_ones_several() {
        assert_eq!(pieces(&shape(&[]), 2), [0..0]);
        assert_eq!(pieces(&shape(&[10, 20, 30]), 2), [0..3]);
        assert_eq!(pieces(&shape(&[100_000; 3]), 2), [0..1, 1..2, 2..3]);
    }

    proptest! {
        #[test]
        fn every_row_group_is_in_exactly_one_piece(
            rows in prop::collection::vec(0..200_000_u64, 0..40), parallel in 1..9_usize,
        ) {
            let pieces = pieces(&shape(&rows), parallel);
            prop_assert!(!pieces.is_empty());
            let covered: Vec<usize> = pieces.into_iter().flatten().collect();
            prop_assert_eq!(covered, (0..rows.len()).collect::<Vec<_>>());
        }
    }
}
