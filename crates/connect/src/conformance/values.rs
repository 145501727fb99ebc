//! Rows by value: rendered from blocks, and fetched by key.

use super::Suite;
use super::sinks::KeepingSink;
use super::store::cancelled;
use crate::{Datasets, FetchedRow, Lookup, Result, Scan, ScanRequest};
use paritas_digest::{Block, KeyForm};
use paritas_model::Value;
use std::collections::HashSet;

pub(super) async fn check(suite: &Suite<'_>, datasets: &dyn Datasets, request: &ScanRequest, rows: u64) {
    let Some(scan) = suite.expect("open", datasets.open(&suite.cx, request).await) else { return };
    let mut sink = KeepingSink::default();
    for split in scan.splits() {
        if suite.expect("read", scan.read(&suite.cx, split, &mut sink).await).is_none() {
            return;
        }
    }
    let mut rendered = Vec::new();
    for block in &sink.blocks {
        let all: Vec<usize> = (0..block.rows()).collect();
        let part = suite.expect("render", scan.render(&suite.cx, block, &all).await);
        let Some(part) = part else { return };
        check_shape(suite, request, block, &part);
        rendered.extend(part);
    }
    if let Some(block) = sink.blocks.iter().max_by_key(|block| block.rows()) {
        check_order(suite, scan.as_ref(), block).await;
    }
    if let Some(lookup) = scan.lookup() {
        // Only where every key is known can one be told to be absent.
        let complete = rendered.len() as u64 == rows;
        check_lookup(suite, lookup, request, &rendered, complete).await;
    }
}

fn check_shape(suite: &Suite<'_>, request: &ScanRequest, block: &Block, rows: &[FetchedRow]) {
    if rows.len() != block.rows() {
        suite.wrong("render", format_args!("gives {} rows of {}", rows.len(), block.rows()));
    }
    let keyed = request.canon.key_columns > 0;
    for row in rows {
        if row.fields.len() != request.canon.columns.len() {
            suite.wrong("render", format_args!("gives {} fields of {}", row.fields.len(), request.canon.columns.len()));
            return;
        }
        if row.key.is_empty() == keyed {
            suite.wrong("render", if keyed { "gives no key" } else { "gives a key where there is none" });
            return;
        }
        // A value may be shown as NULL where it has no text form, but NULL as nothing else.
        if row.fields.iter().any(|field| field.canonical.is_none() && field.shown != Value::Null) {
            suite.wrong("render", "shows NULL as something else");
            return;
        }
    }
    if let Block::Wire(block) = block {
        let differs = rows.iter().enumerate().any(|(index, row)| keyed && block.key(index) != Some(row.key.as_slice()));
        if differs {
            suite.wrong("render", "gives other keys than the block");
        }
    }
}

/// Asked for in another order, the same rows come in that order.
async fn check_order(suite: &Suite<'_>, scan: &dyn Scan, block: &Block) {
    let forward: Vec<usize> = (0..block.rows().min(50)).collect();
    let backward: Vec<usize> = forward.iter().rev().copied().collect();
    let ahead = suite.expect("render", scan.render(&suite.cx, block, &forward).await);
    let back = suite.expect("render", scan.render(&suite.cx, block, &backward).await);
    if let (Some(ahead), Some(mut back)) = (ahead, back) {
        back.reverse();
        if ahead != back {
            suite.wrong("render", "does not keep the order asked for");
        }
    }
    match scan.render(&suite.cx, block, &[]).await {
        Ok(none) if none.is_empty() => {}
        other => suite.wrong("render", format_args!("of no rows gives {other:?}")),
    }
}

async fn check_lookup(
    suite: &Suite<'_>,
    lookup: &dyn Lookup,
    request: &ScanRequest,
    rendered: &[FetchedRow],
    complete: bool,
) {
    let known: HashSet<&[u8]> = rendered.iter().map(|row| row.key.as_slice()).collect();
    let absent = suite.fixture.absent_key.clone().or_else(|| {
        let inline = matches!(request.canon.key_form(), KeyForm::Inline8 | KeyForm::Inline16);
        rendered.first().filter(|_| inline && complete).and_then(|row| unused(&row.key, &known))
    });
    let asked: Vec<&FetchedRow> =
        [rendered.first(), rendered.get(rendered.len() / 2), rendered.last()].into_iter().flatten().collect();
    let mut keys: Vec<Vec<u8>> = asked.iter().map(|row| row.key.clone()).collect();
    keys.extend(absent.clone());
    keys.sort();
    keys.dedup();
    if let Some(found) = suite.expect("fetch", lookup.fetch(&suite.cx, &keys).await) {
        check_found(suite, &asked, &found, &keys);
    }
    for (check, keys) in [("fetch of an absent key", absent.into_iter().collect()), ("fetch of no key", Vec::new())] {
        let found: Result<Vec<FetchedRow>> = lookup.fetch(&suite.cx, &keys).await;
        if suite.expect(check, found).is_some_and(|found| !found.is_empty()) {
            suite.wrong(check, "finds rows");
        }
    }
    if let Some(result) = suite.soon("cancelled fetch", lookup.fetch(&cancelled(), &keys)).await {
        suite.expect_code("cancelled fetch", "run.cancelled", result);
    }
}

/// Every row asked for is there with the values that the scan saw. Stores may return rows of other
/// keys that they hold equal; those are the caller's to drop.
fn check_found(suite: &Suite<'_>, asked: &[&FetchedRow], found: &[FetchedRow], keys: &[Vec<u8>]) {
    for row in asked {
        let mut own = found.iter().filter(|other| other.key == row.key).peekable();
        if own.peek().is_none() {
            suite.wrong("fetch", format_args!("does not find key {:02x?} of {}", row.key, keys.len()));
        } else if !own
            .any(|other| other.fields.iter().map(|f| &f.canonical).eq(row.fields.iter().map(|f| &f.canonical)))
        {
            suite.wrong("fetch", format_args!("gives other values than the scan for key {:02x?}", row.key));
        }
    }
}

/// A key of the same length that no row has.
fn unused(key: &[u8], known: &HashSet<&[u8]>) -> Option<Vec<u8>> {
    let changed = |mask: u8| key.iter().map(|byte| byte ^ mask).collect::<Vec<u8>>();
    (1..=u8::MAX).map(changed).find(|key| !known.contains(key.as_slice()))
}
