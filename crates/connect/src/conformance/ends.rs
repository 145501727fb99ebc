//! Cancel, deadline, and errors of the sink end a read as they must.

use super::Suite;
use super::sinks::{CancellingSink, DigestSink, FailingSink, KeepingSink, SINK_ERROR, spec_of};
use super::store::cancelled;
use crate::{Context, Datasets, Scan, ScanRequest, Split};
use std::time::Duration;

/// Blocks that may still come after a cancel: those that were under way.
const BLOCKS_AFTER_CANCEL_MAX: u64 = 8;

pub(super) async fn check(suite: &Suite<'_>, datasets: &dyn Datasets, request: &ScanRequest, rows: u64) {
    ended_contexts(suite, datasets, request).await;
    let Some(scan) = suite.expect("open", datasets.open(&suite.cx, request).await) else { return };
    let Some(split) = fullest(suite, scan.as_ref()).await else {
        if rows > 0 {
            suite.wrong("splits", "none of them has rows");
        }
        return;
    };
    ended_reads(suite, scan.as_ref(), &split).await;
    cancelled_within(suite, scan.as_ref(), &split).await;
    failing_sink(suite, scan.as_ref(), &split, request).await;
}

/// The split with most rows. Estimates may be wrong, so all are read.
async fn fullest(suite: &Suite<'_>, scan: &dyn Scan) -> Option<Split> {
    let mut best: Option<(u64, Split)> = None;
    for split in scan.splits() {
        let mut sink = KeepingSink::default();
        suite.expect("read", scan.read(&suite.cx, split, &mut sink).await)?;
        if sink.rows > best.as_ref().map_or(0, |(rows, _)| *rows) {
            best = Some((sink.rows, split.clone()));
        }
    }
    best.map(|(_, split)| split)
}

async fn ended_contexts(suite: &Suite<'_>, datasets: &dyn Datasets, request: &ScanRequest) {
    if let Some(result) = suite.soon("cancelled open", datasets.open(&cancelled(), request)).await {
        suite.expect_code("cancelled open", "run.cancelled", result);
    }
    let late = Context::default().with_timeout(Duration::ZERO);
    if let Some(result) = suite.soon("late open", datasets.open(&late, request)).await {
        suite.expect_code("late open", "run.deadline", result);
    }
}

async fn ended_reads(suite: &Suite<'_>, scan: &dyn Scan, split: &Split) {
    let late = Context::default().with_timeout(Duration::ZERO);
    for (check, cx, code) in [("cancelled read", cancelled(), "run.cancelled"), ("late read", late, "run.deadline")] {
        let mut sink = KeepingSink::default();
        if let Some(result) = suite.soon(check, scan.read(&cx, split, &mut sink)).await {
            suite.expect_code(check, code, result);
        }
        if sink.rows > 0 {
            suite.wrong(check, format_args!("hands out {} rows", sink.rows));
        }
    }
}

/// A cancel at the first block ends the read, unless that was the last one.
async fn cancelled_within(suite: &Suite<'_>, scan: &dyn Scan, split: &Split) {
    let cx = Context::default();
    let mut sink = CancellingSink { token: cx.cancel_token().clone(), rows: 0, blocks_after: 0 };
    let Some(result) = suite.soon("read cancelled within", scan.read(&cx, split, &mut sink)).await else { return };
    match result {
        Ok(done) if done.rows == sink.rows && sink.blocks_after <= BLOCKS_AFTER_CANCEL_MAX => {}
        Ok(_) => suite.wrong("read cancelled within", "goes on to the end"),
        Err(error) if error.code() == "run.cancelled" => {}
        Err(error) => suite.wrong("read cancelled within", format_args!("gives {error}")),
    }
    if sink.blocks_after > BLOCKS_AFTER_CANCEL_MAX {
        suite.wrong("read cancelled within", format_args!("hands out {} more blocks", sink.blocks_after));
    }
}

/// An error of the sink comes out as it is, and the split can be read again.
async fn failing_sink(suite: &Suite<'_>, scan: &dyn Scan, split: &Split, request: &ScanRequest) {
    let Some(spec) = suite.expect("canon", spec_of(&request.canon)) else { return };
    let mut whole = DigestSink::new(&spec);
    suite.expect("read", scan.read(&suite.cx, split, &mut whole).await);
    let mut failing = FailingSink::default();
    if let Some(result) = suite.soon("failing sink", scan.read(&suite.cx, split, &mut failing)).await {
        suite.expect_code("failing sink", SINK_ERROR, result);
    }
    if failing.blocks > 1 {
        suite.wrong("failing sink", format_args!("is given {} more blocks", failing.blocks - 1));
    }
    let mut again = DigestSink::new(&spec);
    suite.expect("read after a failure", scan.read(&suite.cx, split, &mut again).await);
    let (whole, mut again) = (whole.finish(), again.finish());
    if again.subtract(&whole).is_err() || !again.is_zero() {
        suite.wrong("read after a failure", "gives other rows than before");
    }
}
