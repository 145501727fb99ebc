//! One view of a Parquet dataset, cut into groups of row groups.

use super::View;
use super::{filed, reader};
use crate::drive::drive;
use crate::rows;
use async_trait::async_trait;
use paritas_connect::{
    BlockSink, Context, Error, FailureKind, FetchedRow, Filed, Result, Scan, ScanRequest, Split, SplitDone,
};
use paritas_digest::Block;
use paritas_model::{Known, Position};
use std::ops::Range;
use std::sync::Arc;

/// Splits have about this many rows at least, so that each is worth a digest of its own ...
pub(super) const SPLIT_ROWS_MIN: u64 = 64 << 10;
/// ... and are not larger than this unless a single row group is.
pub(super) const SPLIT_ROWS_MAX: u64 = 2 << 20;
/// There are about this many for each thread, so that none has to wait long for the last.
pub(super) const SPLITS_PER_THREAD: u64 = 4;

/// Consecutive row groups of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Which file of the view.
    pub(super) file: usize,
    /// Which of its row groups.
    pub(super) groups: Range<usize>,
}

/// A view with its splits.
#[derive(Debug)]
pub(super) struct ParquetScan {
    pub(super) inner: Arc<Inner>,
    splits: Vec<Split>,
}

/// What readers on other threads need.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) view: View,
    pub(super) request: ScanRequest,
    pub(super) parts: Vec<Vec<Part>>,
    /// Row groups of each file that are read at a time, where rows are read by files.
    pub(super) pieces: Vec<Vec<Range<usize>>>,
}

impl ParquetScan {
    pub(super) fn new(cx: &Context, view: View, request: &ScanRequest) -> Result<Self> {
        if request.filter.is_some() {
            return Err(Error::unsupported("conditions on files").hint("leave out `where`"));
        }
        for pair in &request.columns {
            if view.schema.column(&pair.own).is_none() {
                let message = format!("there is no column {:?} in {}", pair.own, request.dataset);
                return Err(Error::new(FailureKind::Permanent, "column.missing", message)
                    .hint("check `columns`, `key` and `rename` of this dataset"));
            }
        }
        let (parts, splits) = plan(&view, cx.parallel());
        let rows = splits.iter().map(|split| split.rows_estimate).sum();
        cx.progress().expect(rows, 0);
        let pieces = view.shapes.iter().map(|shape| filed::pieces(shape, cx.parallel())).collect();
        Ok(Self { inner: Arc::new(Inner { view, request: request.clone(), parts, pieces }), splits })
    }
}

/// Puts small row groups together and leaves large ones alone.
fn plan(view: &View, parallel: usize) -> (Vec<Vec<Part>>, Vec<Split>) {
    let total: u64 = view.shapes.iter().flat_map(|shape| &shape.groups).map(|group| group.rows).sum();
    let share = total / (SPLITS_PER_THREAD.saturating_mul(parallel as u64)).max(1);
    let target = share.clamp(SPLIT_ROWS_MIN, SPLIT_ROWS_MAX);
    let (mut all, mut parts, mut rows) = (Vec::new(), Vec::<Part>::new(), 0_u64);
    let mut done = |parts: &mut Vec<Part>, rows: &mut u64| {
        if !parts.is_empty() {
            all.push((std::mem::take(parts), std::mem::take(rows)));
        }
    };
    for (file, shape) in view.shapes.iter().enumerate() {
        if shape.groups.is_empty() {
            // Read as well, so that a file without rows is proven to be what it was.
            parts.push(Part { file, groups: 0..0 });
        }
        for (index, group) in shape.groups.iter().enumerate() {
            if rows > 0 && rows.saturating_add(group.rows) > target {
                done(&mut parts, &mut rows);
            }
            match parts.last_mut() {
                Some(part) if part.file == file => part.groups.end = index + 1,
                _ => parts.push(Part { file, groups: index..index + 1 }),
            }
            rows = rows.saturating_add(group.rows);
        }
    }
    done(&mut parts, &mut rows);
    let splits = all.iter().enumerate().map(|(index, (parts, rows))| Split {
        index,
        label: label(view, parts),
        rows_estimate: *rows,
    });
    let splits = splits.collect();
    (all.into_iter().map(|(parts, _)| parts).collect(), splits)
}

fn label(view: &View, parts: &[Part]) -> String {
    let name = |part: &Part| view.shapes.get(part.file).map_or("?", |shape| shape.file.name.as_str());
    match parts {
        [one] if one.groups.len() == 1 => format!("{} row group {}", name(one), one.groups.start),
        [one] => format!("{} row groups {}..{}", name(one), one.groups.start, one.groups.end),
        [first, .., last] => format!("{} to {}", name(first), name(last)),
        [] => "nothing".into(),
    }
}

#[async_trait]
impl Scan for ParquetScan {
    fn position(&self) -> Known<Position> {
        Known::unknown("plain Parquet files have no position")
    }

    fn splits(&self) -> &[Split] {
        &self.splits
    }

    fn filed(&self) -> Option<&dyn Filed> {
        Some(self)
    }

    async fn read(&self, cx: &Context, split: &Split, sink: &mut dyn BlockSink) -> Result<SplitDone> {
        let (inner, work_cx, index) = (Arc::clone(&self.inner), cx.clone(), split.index);
        drive(cx, sink, move |runtime, emit| {
            let parts = inner.parts.get(index).ok_or_else(|| {
                Error::new(FailureKind::Permanent, "internal.split", format!("there is no split {index}"))
            })?;
            let mut done = SplitDone::default();
            for part in parts {
                let read = reader::read(&work_cx, &inner, part, runtime, emit)?;
                done.rows += read.rows;
                done.bytes += read.bytes;
                work_cx.count(0, read.bytes);
            }
            Ok(done)
        })
        .await
    }

    async fn render(&self, cx: &Context, block: &Block, rows: &[usize]) -> Result<Vec<FetchedRow>> {
        cx.check()?;
        rows::render(&self.inner.request.canon, block, rows)
    }
}
