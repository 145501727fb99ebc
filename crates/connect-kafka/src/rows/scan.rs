//! One view of a topic: the ends that its partitions had when it was opened.

use super::batch::render;
use super::latest::Latest;
use super::options::RowOptions;
use super::record::{Prefixes, RowReader, size};
use super::segments::{Leading, Segments};
use super::shape::Shape;
use async_trait::async_trait;
use paritas_connect::logs::{Logs, Partition, Range, Record, RecordSink, Records, Want};
use paritas_connect::{
    BlockSink, Context, Error, FailureKind, FetchedRow, Progress, Ranged, Result, Scan, ScanRequest, Segmented, Split,
    SplitDone,
};
use paritas_digest::Block;
use paritas_model::{Known, Position};
use std::sync::Arc;

/// Splits have about this many offsets at least, so that each is worth a digest of its own ...
const SPLIT_OFFSETS_MIN: u64 = 64 << 10;
/// ... and at most.
const SPLIT_OFFSETS_MAX: u64 = 2 << 20;
/// There are about this many for each task, so that none has to wait long for the last.
const SPLITS_PER_TASK: u64 = 4;

/// The offsets of a partition that a view shows.
pub(super) type Shown = (Partition, std::ops::Range<u64>);

/// What a view shows.
#[derive(Debug)]
pub(super) struct View {
    /// The offsets of each partition.
    pub(super) shown: Vec<Shown>,
    /// The same for people, and for telling views apart.
    pub(super) position: Known<Position>,
    /// The prefixes of keys and values, the same in all splits.
    pub(super) prefixes: Prefixes,
    /// Which records are rows, where only the latest of each key are.
    pub(super) latest: Option<Latest>,
    /// How each partition was when the view was opened.
    pub(super) leading: Vec<Leading>,
}

/// A view with its splits.
#[derive(Debug)]
pub(super) struct TopicScan {
    pub(super) logs: Arc<dyn Logs>,
    pub(super) options: Arc<RowOptions>,
    pub(super) shape: Shape,
    pub(super) request: Arc<ScanRequest>,
    pub(super) prefixes: Prefixes,
    pub(super) shown: Vec<Shown>,
    pub(super) position: Known<Position>,
    /// Which partition of the view each split is of, and which offsets.
    parts: Vec<(usize, std::ops::Range<u64>)>,
    splits: Vec<Split>,
    /// Which records are rows, where only the latest of each key are.
    pub(super) latest: Option<Latest>,
    pub(super) segments: Segments,
}

impl TopicScan {
    pub(super) fn new(
        cx: &Context,
        logs: Arc<dyn Logs>,
        options: Arc<RowOptions>,
        shape: Shape,
        request: &ScanRequest,
        view: View,
    ) -> Self {
        let request = Arc::new(request.clone());
        let View { shown, position, prefixes, latest, leading } = view;
        let (parts, splits) = plan(&shown, cx.parallel());
        let rows: u64 = splits.iter().map(|split| split.rows_estimate).sum();
        cx.progress().expect(rows, 0);
        let segments = Segments::new(leading);
        Self { logs, options, shape, request, prefixes, shown, position, parts, splits, latest, segments }
    }
}

/// Says before anything is read what a request asks for in vain.
pub(super) fn check(request: &ScanRequest, shape: &Shape, prefixes: &Prefixes) -> Result<()> {
    if request.filter.is_some() {
        return Err(Error::unsupported("conditions on topics").hint("leave out `where`"));
    }
    let nowhere = Partition::new(request.dataset.0.clone(), 0);
    RowReader::new(nowhere, shape, &Arc::new(request.clone()), prefixes).map(drop)
}

/// Cuts partitions into splits of about equal numbers of offsets.
fn plan(shown: &[Shown], parallel: usize) -> (Vec<(usize, std::ops::Range<u64>)>, Vec<Split>) {
    let total: u64 = shown.iter().map(|(_, range)| range.end.saturating_sub(range.start)).sum();
    let share = total / SPLITS_PER_TASK.saturating_mul(parallel as u64).max(1);
    let share = share.clamp(SPLIT_OFFSETS_MIN, SPLIT_OFFSETS_MAX);
    let (mut parts, mut splits) = (Vec::new(), Vec::new());
    for (index, (partition, range)) in shown.iter().enumerate() {
        let mut from = range.start;
        while from < range.end {
            let to = from.saturating_add(share).min(range.end);
            let label = format!("{partition} offsets {from}..{to}");
            splits.push(Split { index: parts.len(), label, rows_estimate: to - from });
            parts.push((index, from..to));
            from = to;
        }
    }
    (parts, splits)
}

#[async_trait]
impl Scan for TopicScan {
    fn position(&self) -> Known<Position> {
        self.position.clone()
    }

    fn splits(&self) -> &[Split] {
        &self.splits
    }

    async fn read(&self, cx: &Context, split: &Split, sink: &mut dyn BlockSink) -> Result<SplitDone> {
        let part = self.parts.get(split.index).and_then(|(at, range)| Some((*at, self.shown.get(*at)?, range.clone())));
        let (at, (partition, _), offsets) = part.ok_or_else(|| {
            Error::new(FailureKind::Permanent, "internal.split", format!("there is no split {}", split.index))
        })?;
        let latest = self.latest.as_ref();
        let reader = RowReader::new(partition.clone(), &self.shape, &self.request, &self.prefixes)?;
        let latest_here = latest.map(|latest| (latest, at));
        let mut rows =
            RowSink { reader, latest: latest_here, sink, progress: Arc::clone(cx.progress()), seen: 0, rows: 0 };
        let range = Range {
            partition: partition.clone(),
            from: offsets.start,
            to: offsets.end,
            isolation: self.options.isolation,
        };
        let read = self.logs.read(&apart(cx), &[range], &mut rows).await?;
        rows.flush()?;
        let (seen, done) = (rows.seen, rows.rows);
        let read = read.first().copied().unwrap_or_default();
        if read.records != seen || read.next < offsets.end {
            let message = format!("{} was not read to its end", split.label);
            return Err(Error::new(FailureKind::Permanent, "internal.short", message)
                .detail(format!("{} records up to {} were announced, and {seen} came.", read.records, read.next))
                .hint("this is a defect of paritas: please report it"));
        }
        let expected = latest.map(|latest| latest.count(at, offsets.clone()));
        if expected.is_some_and(|expected| expected != done) {
            return Err(Error::new(FailureKind::Transient, "data.changed", format!("{} changed", split.label))
                .detail(format!(
                    "{} of its records were the latest of their keys, and {done} are left.",
                    expected.unwrap_or_default()
                ))
                .hint("the topic was compacted while it was read; verify again, or when fewer keys change"));
        }
        Ok(SplitDone { rows: done, bytes: read.bytes })
    }

    fn ranged(&self) -> Option<&dyn Ranged> {
        Some(self)
    }

    fn segmented(&self) -> Option<&dyn Segmented> {
        Some(self)
    }

    async fn render(&self, cx: &Context, block: &Block, rows: &[usize]) -> Result<Vec<FetchedRow>> {
        cx.check()?;
        render(&self.request.canon, block, rows)
    }
}

/// The same with counters of its own: a record that is read need not be a row.
pub(super) fn apart(cx: &Context) -> Context {
    cx.clone().with_progress(Arc::default())
}

/// Hands rows on in batches.
struct RowSink<'a> {
    reader: RowReader,
    /// Which records are rows, and the partition's place among them; without it all are.
    latest: Option<(&'a Latest, usize)>,
    sink: &'a mut dyn BlockSink,
    progress: Arc<Progress>,
    seen: u64,
    rows: u64,
}

impl RowSink<'_> {
    fn is_row(&self, record: &Record<'_>) -> bool {
        self.latest.is_none_or(|(latest, partition)| latest.contains(partition, record.offset))
    }

    fn flush(&mut self) -> Result<()> {
        for batch in self.reader.finish()? {
            let rows = batch.num_rows() as u64;
            self.rows += rows;
            self.progress.add(rows, 0);
            self.sink.accept(Block::Arrow(batch))?;
        }
        Ok(())
    }
}

impl RecordSink for RowSink<'_> {
    fn accept(&mut self, _: usize, records: &dyn Records) -> Result<Want> {
        for record in (0..records.len()).filter_map(|index| records.get(index)) {
            self.seen += 1;
            self.progress.add(0, size(&record) as u64);
            if self.is_row(&record) {
                self.reader.push(&record)?;
                if self.reader.is_full() {
                    self.flush()?;
                }
            }
        }
        Ok(Want::More)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn splits_cover_every_offset_once(ranges in prop::collection::vec((0..1_000_u64, 0..10_000_000_u64), 0..8), parallel in 1..16_usize) {
            let shown: Vec<Shown> = (0_i32..)
                .zip(&ranges)
                .map(|(index, (start, length))| (Partition::new("a", index), *start..*start + *length))
                .collect();
            let (parts, splits) = plan(&shown, parallel);
            prop_assert_eq!(parts.len(), splits.len());
            for (index, (_, range)) in shown.iter().enumerate() {
                let mut at = range.start;
                for (_, part) in parts.iter().filter(|(of, _)| *of == index) {
                    prop_assert_eq!(part.start, at);
                    prop_assert!(part.end > part.start && part.end - part.start <= SPLIT_OFFSETS_MAX);
                    at = part.end;
                }
                prop_assert_eq!(at, range.end.max(range.start));
            }
        }
    }
}
