//! Splits cover every row exactly once, however and how often they are read.

use super::Suite;
use super::sinks::{DigestSink, spec_of};
use crate::{Context, Datasets, Error, FailureKind, Progress, Result, Scan, ScanRequest, Split};
use futures_util::{StreamExt as _, stream};
use paritas_digest::{Capacity, Spec, Sums};
use std::sync::Arc;

/// Splits that are read at once.
const PARALLEL: usize = 4;

pub(super) async fn check(suite: &Suite<'_>, datasets: &dyn Datasets, request: &ScanRequest, rows: u64) {
    let Some(spec) = suite.expect("canon", spec_of(&request.canon)) else { return };
    let progress = Arc::new(Progress::default());
    let cx = suite.cx.clone().with_progress(Arc::clone(&progress)).with_parallel(PARALLEL);
    let Some(scan) = suite.expect("open", datasets.open(&cx, request).await) else { return };
    check_splits(suite, scan.as_ref());
    let Some(once) = suite.expect("read", read_all(suite, &cx, scan.as_ref(), &spec, 1).await) else { return };
    if once.rows() != rows {
        suite.wrong("read", format_args!("gives {} rows instead of {rows}", once.rows()));
    }
    if progress.rows() != once.rows() {
        suite.wrong("progress", format_args!("counts {} rows instead of {}", progress.rows(), once.rows()));
    }
    let again = suite.expect("second read", read_all(suite, &cx, scan.as_ref(), &spec, 1).await);
    same(suite, "second read of one scan", &once, again);
    let parallel = suite.expect("parallel read", read_all(suite, &cx, scan.as_ref(), &spec, PARALLEL).await);
    same(suite, "parallel read", &once, parallel);
    // The first scan is still open: two views of one dataset live side by side.
    if let Some(second) = suite.expect("second open", datasets.open(&cx, request).await) {
        let other = suite.expect("second scan", read_all(suite, &cx, second.as_ref(), &spec, PARALLEL).await);
        same(suite, "second scan", &once, other);
    }
}

fn check_splits(suite: &Suite<'_>, scan: &dyn Scan) {
    for (index, split) in scan.splits().iter().enumerate() {
        suite.saw(&split.label);
        if split.index != index {
            suite.wrong("splits", format_args!("number {index} calls itself {}", split.index));
        }
        if split.label.is_empty() {
            suite.wrong("splits", format_args!("number {index} has no label"));
        }
    }
}

fn same(suite: &Suite<'_>, check: &str, expected: &Sums, found: Option<Sums>) {
    let Some(mut found) = found else { return };
    match found.subtract(expected) {
        Ok(()) if found.is_zero() => {}
        Ok(()) => suite.wrong(check, "gives other rows than the first read"),
        Err(error) => suite.wrong(check, error),
    }
}

async fn read_all(suite: &Suite<'_>, cx: &Context, scan: &dyn Scan, spec: &Arc<Spec>, parallel: usize) -> Result<Sums> {
    let read = |split: &Split| {
        let split = split.clone();
        async move {
            let mut sink = DigestSink::new(spec);
            let done = scan.read(cx, &split, &mut sink).await?;
            if done.rows != sink.rows() {
                let what =
                    format_args!("{} claims {} rows and hands out {}", split.label, done.rows, sink.rows()).to_string();
                suite.wrong("read", what);
            }
            Ok::<_, Error>(sink.finish())
        }
    };
    let parts: Vec<Result<Sums>> = stream::iter(scan.splits()).map(read).buffer_unordered(parallel).collect().await;
    let mut total = Sums::new(spec.key_form(), Capacity::default());
    for part in parts {
        let incomparable =
            |error| Error::new(FailureKind::Permanent, "conformance.sums", "parts do not add up").because(error);
        total.merge(&part?).map_err(incomparable)?;
    }
    Ok(total)
}
