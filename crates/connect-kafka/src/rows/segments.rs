//! Topics by segments of offsets: what may be kept of their rows, and reading some offsets of a partition.

use super::record::{RowReader, size};
use super::scan::{Shown, TopicScan, apart};
use async_trait::async_trait;
use paritas_connect::logs::{self, Anchor, Partition, Range, RecordSink, Records, Want};
use paritas_connect::{
    Context, Error, FailureKind, PlacedSink, Progress, Ranged, RangedPart, Result, Segmented, SegmentedPart,
    SegmentedSurvey, SplitDone, Survey, Terms,
};
use paritas_digest::Block;
use paritas_model::Known;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The only way of cleaning that leaves the records of a segment as they are.
const DELETE: &str = "delete";
/// The setting that names it.
const CLEANUP: &str = "cleanup.policy";

/// How a partition was when the view was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Leading {
    /// Its leadership.
    pub(super) epoch: Option<i32>,
    /// Whether the view shows all of it. Otherwise what lies behind decides which of the records that it shows were
    /// committed.
    pub(super) whole: bool,
}

/// What a view knows about the partitions beside their offsets.
#[derive(Debug)]
pub(super) struct Segments {
    /// How each was when the view was opened.
    leading: Vec<Leading>,
    /// The last record of each that was read in runs.
    anchors: Mutex<Vec<Option<Anchor>>>,
}

impl Segments {
    pub(super) fn new(leading: Vec<Leading>) -> Self {
        Self { anchors: Mutex::new(vec![None; leading.len()]), leading }
    }

    fn anchors(&self) -> MutexGuard<'_, Vec<Option<Anchor>>> {
        // Each of them is put there whole.
        self.anchors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, at: usize, anchor: Option<Anchor>) {
        if let Some(slot) = self.anchors().get_mut(at)
            && anchor.map(|anchor| anchor.offset) > slot.map(|slot| slot.offset)
        {
            *slot = anchor;
        }
    }
}

impl TopicScan {
    /// Where a partition is among those of the view, by its name as a part.
    fn place(&self, key: &str) -> Result<(usize, &Partition)> {
        let is = |(partition, _): &(Partition, _)| partition.index.to_string() == key;
        let at = self.shown.iter().position(is).and_then(|at| Some((at, &self.shown.get(at)?.0)));
        at.ok_or_else(|| {
            Error::new(FailureKind::Permanent, "internal.split", format!("there is no partition {key:?} in the view"))
        })
    }

    /// Why records of the topic may be gone from between others.
    async fn cleaning(&self, cx: &Context) -> Result<std::result::Result<(), String>> {
        let name = self.request.dataset.0.clone();
        let settings = self.logs.settings(cx, std::slice::from_ref(&name)).await?.remove(&name);
        let unknown = |why: &str| Ok(Err(format!("it is not known whether the topic is compacted: {why}")));
        match settings {
            Some(Known::Known(settings)) => match settings.get(CLEANUP) {
                Some(DELETE) => Ok(Ok(())),
                Some(other) => {
                    Ok(Err(format!("{CLEANUP} of the topic is {other}: records may go from between others")))
                }
                None => unknown("its settings do not say it"),
            },
            Some(Known::Unknown { why }) => unknown(&why),
            None => unknown("its settings were not told"),
        }
    }
}

#[async_trait]
impl Ranged for TopicScan {
    async fn survey(&self, _: &Context, _: u64) -> Result<Known<Survey>> {
        Ok(Known::unknown("offsets of a topic do not say when they were written"))
    }

    async fn terms(&self, _: &Context) -> Result<Terms> {
        let layout = blake3::hash(self.shape.layout(&self.options).as_bytes()).to_hex().to_string();
        let topic = match &self.position {
            Known::Known(position) => position.lineage.0.clone(),
            Known::Unknown { why } => why.clone(),
        };
        Ok([("topic", topic), ("cleanup policy", DELETE.to_owned()), ("layout of records", layout)]
            .map(|(name, text)| (name.to_owned(), text))
            .into())
    }

    async fn read_runs(
        &self,
        cx: &Context,
        part: &RangedPart,
        runs: &[std::ops::Range<u64>],
        sink: &mut dyn PlacedSink,
    ) -> Result<SplitDone> {
        let (at, partition) = self.place(&part.sql)?;
        let reader = RowReader::new(partition.clone(), &self.shape, &self.request, &self.prefixes)?;
        let range = |run: &std::ops::Range<u64>| Range {
            partition: partition.clone(),
            from: run.start,
            to: run.end,
            isolation: self.options.isolation,
        };
        let ranges: Vec<Range> = runs.iter().map(range).collect();
        let progress = Arc::clone(cx.progress());
        let mut rows = PlacedRows { reader, sink, progress, offsets: VecDeque::new(), last: None, seen: 0, rows: 0 };
        let read = self.logs.read(&apart(cx), &ranges, &mut rows).await?;
        rows.flush()?;
        let records: u64 = read.iter().map(|read| read.records).sum();
        let whole = read.len() == ranges.len() && read.iter().zip(&ranges).all(|(read, range)| read.next >= range.to);
        if !whole || records != rows.seen || rows.rows != rows.seen {
            let message = format!("{partition} was not read to its end");
            return Err(Error::new(FailureKind::Permanent, "internal.short", message)
                .detail(format!("{records} records were announced, {} came, {} are rows.", rows.seen, rows.rows))
                .hint("this is a defect of paritas: please report it"));
        }
        self.segments.saw(at, rows.last);
        Ok(SplitDone { rows: rows.rows, bytes: read.iter().map(|read| read.bytes).sum() })
    }
}

#[async_trait]
impl Segmented for TopicScan {
    async fn logs(&self, cx: &Context) -> Result<Known<SegmentedSurvey>> {
        if self.latest.is_some() {
            return Ok(Known::unknown("with latest=key newer records decide which of the older ones are rows"));
        }
        if let Known::Unknown { why } = &self.position {
            return Ok(Known::unknown(why.clone()));
        }
        if let Err(why) = self.cleaning(cx).await? {
            return Ok(Known::unknown(why));
        }
        let part = |((partition, shown), leading): (&Shown, &Leading)| SegmentedPart {
            name: partition.to_string(),
            key: partition.index.to_string(),
            shown: shown.clone(),
            epoch: leading.epoch,
        };
        let parts = self.shown.iter().zip(&self.segments.leading).map(part).collect();
        Ok(Known::Known(SegmentedSurvey { terms: self.terms(cx).await?, parts }))
    }

    async fn epochs(&self, cx: &Context) -> Result<Vec<Option<i32>>> {
        let partitions: Vec<Partition> = self.shown.iter().map(|(partition, _)| partition.clone()).collect();
        let ends = self.logs.ends(cx, &partitions).await?;
        Ok(ends.into_iter().map(|ends| ends.value().and_then(|ends| ends.epoch)).collect())
    }

    async fn still_there(&self, cx: &Context, wanted: &[(usize, Anchor)]) -> Result<Vec<bool>> {
        let named = |(at, anchor): &(usize, Anchor)| Some((self.shown.get(*at)?.0.clone(), *anchor));
        let named: Vec<_> = wanted.iter().filter_map(named).collect();
        if named.len() != wanted.len() {
            return Err(Error::new(FailureKind::Permanent, "internal.split", "there is no such partition in the view"));
        }
        logs::still_there(&apart(cx), &*self.logs, self.options.isolation, &named).await
    }

    fn anchors(&self) -> Vec<Option<Anchor>> {
        let proves = |(((_, shown), leading), anchor): ((&Shown, &Leading), Option<Anchor>)| {
            anchor.filter(|anchor| leading.whole && anchor.offset.checked_add(1) == Some(shown.end))
        };
        self.shown.iter().zip(&self.segments.leading).zip(self.segments.anchors().clone()).map(proves).collect()
    }

    fn found(&self) -> Vec<Option<u64>> {
        [&self.prefixes.key, &self.prefixes.value].map(|prefix| prefix.as_ref()?.id()).into()
    }

    fn expect(&self, found: &[Option<u64>]) {
        for (prefix, id) in [&self.prefixes.key, &self.prefixes.value].into_iter().zip(found) {
            if let (Some(prefix), Some(id)) = (prefix, id) {
                prefix.expect(*id);
            }
        }
    }
}

/// Hands rows on with the offsets of their records.
struct PlacedRows<'a> {
    reader: RowReader,
    sink: &'a mut dyn PlacedSink,
    progress: Arc<Progress>,
    /// Offsets of the rows that are in the reader.
    offsets: VecDeque<u64>,
    last: Option<Anchor>,
    seen: u64,
    rows: u64,
}

impl PlacedRows<'_> {
    fn flush(&mut self) -> Result<()> {
        for batch in self.reader.finish()? {
            let count = batch.num_rows();
            let offsets: Vec<u64> = self.offsets.drain(..count.min(self.offsets.len())).collect();
            self.rows += count as u64;
            self.progress.add(count as u64, 0);
            self.sink.accept(Block::Arrow(batch), &offsets)?;
        }
        Ok(())
    }
}

impl RecordSink for PlacedRows<'_> {
    fn accept(&mut self, _: usize, records: &dyn Records) -> Result<Want> {
        for record in (0..records.len()).filter_map(|index| records.get(index)) {
            self.seen += 1;
            self.progress.add(0, size(&record) as u64);
            self.reader.push(&record)?;
            self.offsets.push_back(record.offset);
            if self.reader.is_full() {
                self.flush()?;
            }
        }
        let last = logs::last_of(records);
        if last.map(|last| last.offset) > self.last.map(|last| last.offset) {
            self.last = last;
        }
        Ok(Want::More)
    }
}
