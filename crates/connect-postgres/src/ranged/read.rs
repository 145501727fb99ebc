//! Reading runs of blocks in the view, each row with the block that it is in.

use crate::copy::CopyReader;
use crate::divert::Diversion;
use crate::errors::{classify, malformed};
use crate::plan::ALIAS;
use crate::rows::Rows;
use crate::scan::PgScan;
use crate::session::Session;
use futures_util::TryStreamExt as _;
use paritas_connect::{Context, PlacedSink, RangedPart, Result, SplitDone};
use std::ops::Range;
use std::sync::PoisonError;

/// Bytes of the last field of every tuple: its length, the block, the item.
const PLACE_BYTES: usize = 10;
/// The length of the last field: a block and an item.
const PLACE_LENGTH: [u8; 4] = 6_i32.to_be_bytes();

pub(super) async fn runs(
    scan: &PgScan,
    cx: &Context,
    part: &RangedPart,
    runs: &[Range<u64>],
    sink: &mut dyn PlacedSink,
) -> Result<SplitDone> {
    if runs.is_empty() {
        return Ok(SplitDone::default());
    }
    let mut session = scan.reader(cx).await?;
    session.mark_busy();
    let result = cx.bound(stream(scan, cx, &session, &statement(scan, part, runs), sink)).await;
    if result.is_ok() {
        session.mark_idle();
        scan.ready.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
    result
}

/// One branch for each run: the server reads its blocks and no others.
fn statement(scan: &PgScan, part: &RangedPart, runs: &[Range<u64>]) -> String {
    let branches: Vec<String> = runs
        .iter()
        .map(|run| {
            format!(
                "{}, {ALIAS}.ctid FROM ONLY {} AS {ALIAS} WHERE {ALIAS}.ctid >= '({},0)'::tid AND {ALIAS}.ctid < '({},0)'::tid",
                scan.plan.select(),
                part.sql,
                run.start,
                run.end
            )
        })
        .collect();
    format!("COPY ({}) TO STDOUT (FORMAT BINARY)", branches.join(" UNION ALL "))
}

/// Rows on their way to the sink.
struct Stream<'a> {
    cx: &'a Context,
    rows: Rows,
    blocks: Vec<u64>,
    done: SplitDone,
    unreported: u64,
}

impl Stream<'_> {
    fn push(&mut self, tuple: &[u8]) -> Result<()> {
        let (fields, place) = tuple
            .len()
            .checked_sub(PLACE_BYTES)
            .and_then(|at| tuple.split_at_checked(at))
            .ok_or_else(|| malformed("a row without its place"))?;
        let block = place.strip_prefix(&PLACE_LENGTH).and_then(|place| place.first_chunk::<4>());
        let block = block.ok_or_else(|| malformed("a row without its place"))?;
        self.rows.push(fields)?;
        self.blocks.push(u64::from(u32::from_be_bytes(*block)));
        Ok(())
    }

    fn hand_on(&mut self, sink: &mut dyn PlacedSink) -> Result<()> {
        self.cx.check()?;
        let bytes = std::mem::take(&mut self.unreported);
        self.done.bytes += bytes;
        let blocks = std::mem::take(&mut self.blocks);
        let count = blocks.len() as u64;
        if let Some(block) = self.rows.take()? {
            if block.rows() as u64 != count {
                return Err(malformed("another number of rows than of places"));
            }
            sink.accept(block, &blocks)?;
        }
        self.done.rows += count;
        self.cx.count(count, bytes);
        Ok(())
    }
}

async fn stream(
    scan: &PgScan,
    cx: &Context,
    session: &Session,
    sql: &str,
    sink: &mut dyn PlacedSink,
) -> Result<SplitDone> {
    let doing = "read rows of some blocks";
    let mut data = Diversion::new(&*session.source);
    let copy = session.client.copy_out(sql).await.map_err(|error| classify(doing, error))?;
    let mut copy = std::pin::pin!(copy);
    let mut reader = CopyReader::new(scan.plan.fields(false) + 1)?;
    let rows = Rows::new(&scan.plan, false)?;
    let mut stream = Stream { cx, rows, blocks: Vec::new(), done: SplitDone::default(), unreported: 0 };
    let mut take = |data: &[u8]| {
        stream.unreported += data.len() as u64;
        reader.feed(data, &mut |tuple| stream.push(tuple))?;
        if stream.rows.is_full() { stream.hand_on(sink) } else { Ok(()) }
    };
    while data.next(&mut take).await? {
        cx.breathe().await?;
    }
    // How it ended, the client library knows.
    if copy.try_next().await.map_err(|error| classify(doing, error))?.is_some() {
        return Err(malformed("rows after the end of a COPY"));
    }
    reader.finish()?;
    stream.hand_on(sink)?;
    Ok(stream.done)
}
