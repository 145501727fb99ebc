//! Reading ranges of blocks of a view into what their rows add to a digest.

use crate::Side;
use crate::side::{View, some_at_a_time};
use paritas_connect::{
    Error, FailureKind, Held, LogMark, PlacedSink, RangedPart, Result, Scan, ScanRequest, SplitDone, Survey, Terms,
};
use paritas_digest::{Block, Recorder, RowEntries, Spec};
use paritas_model::Known;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Blocks that are read in one statement, at most: their rows are held in memory until they are taken.
const UNIT_BLOCKS: u64 = 2_048;
/// Runs of blocks in one statement, at most.
const UNIT_RUNS: usize = 64;

/// The newest of some marks below which everything had ended when a view was pinned. What is read in the view stays as
/// it is for as long as no block of it has a version above that place: whoever wrote up to there had ended, and the
/// view shows how.
pub fn settled(marks: &[LogMark], oldest_running: u64) -> Option<u64> {
    marks.iter().filter(|mark| mark.next <= oldest_running).map(|mark| mark.at).max()
}

/// A view whose rows can be read by ranges of blocks.
#[derive(Debug, Clone)]
pub struct RangedView {
    scan: View,
}

impl RangedView {
    /// Opens a view of its own, or one in a shared view. `None` where its store has no ranges.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open(side: &Side, held: Option<&dyn Held>, request: &ScanRequest) -> Result<Option<Self>> {
        let scan: View = match held {
            Some(held) => Arc::from(side.again("open a scan", || held.open(&side.cx, request)).await?),
            None => side.open(request).await?,
        };
        Ok(scan.ranged().is_some().then_some(Self { scan }))
    }

    /// The view itself.
    pub fn scan(&self) -> &dyn Scan {
        &*self.scan
    }

    /// The logs that its rows are records of, where they are.
    pub fn segmented(&self) -> Option<&dyn paritas_connect::Segmented> {
        self.scan.segmented()
    }

    /// The state of all ranges of `blocks` blocks, or why it cannot be seen.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn survey(&self, side: &Side, blocks: u64) -> Result<Known<Survey>> {
        side.cx.bound(self.ranged()?.survey(&side.cx, blocks)).await
    }

    /// What the rows depend on beside their blocks, now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn terms(&self, side: &Side) -> Result<Terms> {
        side.again("read the terms", || async { self.ranged()?.terms(&side.cx).await }).await
    }

    fn ranged(&self) -> Result<&dyn paritas_connect::Ranged> {
        self.scan.ranged().ok_or_else(|| Error::unsupported("ranges of blocks"))
    }
}

/// Blocks of one relation that are read in one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Which relation, by its number.
    pub part: usize,
    /// Its blocks, ascending.
    pub runs: Vec<Range<u64>>,
}

/// The rows of a unit, range by range.
#[derive(Debug)]
pub struct UnitRead {
    /// Which relation, by its number.
    pub part: usize,
    /// Ranges by their numbers; those without rows are there as well.
    pub ranges: BTreeMap<u64, RowEntries>,
    /// What reading it amounted to.
    pub done: SplitDone,
}

/// Cuts ranges of one relation, ascending by their numbers, into units.
pub fn units(part: usize, ranges: &[u64], blocks: u64) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut size = 0;
    for range in ranges {
        let run = range.saturating_mul(blocks)..range.saturating_add(1).saturating_mul(blocks);
        let last = units.last_mut().filter(|_| size + blocks <= UNIT_BLOCKS);
        let runs = last.map(|unit| &mut unit.runs);
        match runs {
            Some(runs) if runs.last().is_some_and(|last| last.end == run.start) => {
                runs.last_mut().into_iter().for_each(|last| last.end = run.end);
            }
            Some(runs) if runs.len() < UNIT_RUNS => runs.push(run),
            _ => {
                units.push(Unit { part, runs: vec![run] });
                size = 0;
            }
        }
        size += blocks;
    }
    units
}

/// Reads units, some at a time, and hands each to `take`. Ends at the first error.
///
/// # Errors
/// Those of the store and of `take`; rows outside the blocks that were asked for.
pub async fn read(
    side: &Side,
    view: &RangedView,
    (parts, blocks): (&[RangedPart], u64),
    spec: &Arc<Spec>,
    units: Vec<Unit>,
    take: impl FnMut(UnitRead) -> Result<()>,
) -> Result<()> {
    let waiting = units.into_iter().map(|unit| {
        let (side, view, spec) = (side.clone(), view.clone(), Arc::clone(spec));
        let part = parts.get(unit.part).cloned();
        async move {
            let part = part.ok_or_else(|| Error::new(FailureKind::Permanent, "internal.ranges", "no such relation"))?;
            side.again("read ranges of blocks", || one(&side, &view, &part, &unit, blocks, &spec)).await
        }
    });
    some_at_a_time(side.cx.parallel(), waiting, take).await
}

async fn one(
    side: &Side,
    view: &RangedView,
    part: &RangedPart,
    unit: &Unit,
    blocks: u64,
    spec: &Arc<Spec>,
) -> Result<UnitRead> {
    let wanted = unit.runs.iter().flat_map(|run| run.start / blocks..run.end.div_ceil(blocks));
    let ranges = wanted.map(|range| (range, RowEntries::default())).collect();
    let mut sink = Sink { side, blocks, recorder: Recorder::new(Arc::clone(spec)), ranges, rows: 0, name: &part.name };
    let done = view.ranged()?.read_runs(&side.cx, part, &unit.runs, &mut sink).await?;
    side.budget.charge(0, done.bytes)?;
    let Sink { ranges, rows, .. } = sink;
    if rows != done.rows {
        let message = format!("{}: {} rows were handed out and {rows} digested", part.name, done.rows);
        return Err(Error::new(FailureKind::Permanent, "data.truncated", message));
    }
    Ok(UnitRead { part: unit.part, ranges, done })
}

/// Takes rows into their ranges.
struct Sink<'a> {
    side: &'a Side,
    blocks: u64,
    recorder: Recorder,
    ranges: BTreeMap<u64, RowEntries>,
    rows: u64,
    name: &'a str,
}

impl PlacedSink for Sink<'_> {
    fn accept(&mut self, rows: Block, blocks: &[u64]) -> Result<()> {
        let Self { side, blocks: size, recorder, ranges, rows: count, name } = self;
        side.budget.charge(rows.rows() as u64, 0)?;
        let mut astray = None;
        recorder.record(&rows, &mut |row, entry| {
            let block = blocks.get(row).copied().unwrap_or(u64::MAX);
            match ranges.get_mut(&(block / *size)) {
                Some(range) => range.push(entry),
                None => astray = Some(block),
            }
            *count += 1;
        })?;
        match astray {
            None => Ok(()),
            Some(block) => {
                let message = format!("{name}: a row of block {block}, which was not asked for");
                Err(Error::new(FailureKind::Permanent, "internal.ranges", message))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_newest_mark_counts_below_which_everything_had_ended() {
        let marks = [LogMark { at: 10, next: 100 }, LogMark { at: 20, next: 105 }, LogMark { at: 30, next: 106 }];
        assert_eq!(settled(&marks, 105), Some(20));
        assert_eq!(settled(&marks, 200), Some(30));
        assert_eq!(settled(&marks, 99), None);
        assert_eq!(settled(&[], 99), None);
    }

    #[test]
    fn neighbours_are_read_in_one_run() {
        assert_eq!(units(3, &[0, 1, 4], 8), [Unit { part: 3, runs: vec![0..16, 32..40] }]);
    }

    proptest! {
        #[test]
        fn units_hold_every_range_once_and_are_bounded(
            ranges in prop::collection::btree_set(0..20_000_u64, 0..600),
            blocks in 1..64_u64,
        ) {
            let ranges: Vec<u64> = ranges.into_iter().collect();
            let units = units(0, &ranges, blocks);
            let held: Vec<u64> = units.iter().flat_map(|unit| unit.runs.iter())
                .flat_map(|run| run.start / blocks..run.end / blocks).collect();
            prop_assert_eq!(held, ranges);
            for unit in &units {
                let size: u64 = unit.runs.iter().map(|run| run.end - run.start).sum();
                prop_assert!(unit.runs.len() <= UNIT_RUNS && size <= UNIT_BLOCKS);
            }
        }
    }
}
