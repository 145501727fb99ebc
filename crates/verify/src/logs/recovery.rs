//! What of a source is not on the replica, counted on the source: the driver of [`paritas_logs::recovery`].

use super::side::LogSide;
use crate::rows::{Failure, Origin};
use paritas_connect::logs::{Isolation, Partition, Range, RecordSink, Records, Want};
use paritas_connect::{Error, FailureKind, Result};
use paritas_logs::ages::{Count, Found};
use paritas_logs::position::MirrorLag;
use paritas_logs::recovery::{PartitionLoss, Tail, TornReport, Transactions};
use paritas_logs::sequence::FieldAt;
use std::collections::BTreeMap;

/// Everything that counting a loss needs.
#[derive(Debug, Clone)]
pub struct LossAsk<'a> {
    /// The source, which nobody writes to any more, or only up to `until`.
    pub source: &'a LogSide,
    /// Where mirrors stand, by a look at them after the failover.
    pub mirrors: &'a [MirrorLag],
    /// Where partitions of the source ended at the failover; partitions that are not named end where they
    /// end now.
    pub until: &'a BTreeMap<Partition, u64>,
    /// Which records the mirror reads.
    pub isolation: Isolation,
    /// Where records carry an identity of the transaction that they belong to, if they do.
    pub transaction: Option<&'a FieldAt>,
    /// Offsets before the end of a mirror in which records of torn transactions are looked for.
    pub transaction_reach: u64,
    /// Torn transactions that are listed.
    pub torn_max: usize,
}

/// What is lost.
#[derive(Debug)]
pub struct Loss {
    /// By partition, in the order of the mirrors.
    pub partitions: Vec<PartitionLoss>,
    /// Torn transactions, where records carry identities.
    pub torn: Option<TornReport>,
}

/// Counts the records of the source that the replica does not have.
///
/// # Errors
/// Where the source cannot be read.
pub async fn loss(ask: &LossAsk<'_>) -> Result<Loss, Failure> {
    let partitions = ask.mirrors.iter().map(|mirror| mirror.source.clone()).collect();
    let transactions = ask.transaction.map(|field| Transactions::new(field.clone(), partitions));
    let mut sink = Sink {
        source: ask.source,
        tails: ask.mirrors.iter().map(|_| (Tail::default(), 0)).collect(),
        places: Vec::new(),
        transactions,
        absent: true,
    };
    let spans: Vec<Option<Span>> = ask.mirrors.iter().map(|mirror| span(mirror, ask.until)).collect();
    let range = |at: usize, from: u64, to: u64| {
        let partition = ask.mirrors.get(at)?.source.clone();
        (from < to).then_some(Range { partition, from, to, isolation: ask.isolation })
    };
    let mut ranges = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        let Some(Span { next, start, end }) = span else { continue };
        if let Some(range) = range(at, next.low.max(*start), *end) {
            sink.places.push((at, next.high));
            ranges.push(range);
        }
    }
    read(ask.source, &ranges, &mut sink).await?;
    if sink.transactions.is_some() {
        (sink.absent, ranges) = (false, Vec::new());
        sink.places.clear();
        for (at, span) in spans.iter().enumerate() {
            let Some(Span { next, start, .. }) = span else { continue };
            let from = next.low.saturating_sub(ask.transaction_reach).max(*start);
            if let Some(range) = range(at, from, next.low) {
                sink.places.push((at, next.high));
                ranges.push(range);
            }
        }
        read(ask.source, &ranges, &mut sink).await?;
    }
    let mut partitions = Vec::with_capacity(ask.mirrors.len());
    for ((mirror, span), (tail, surely)) in ask.mirrors.iter().zip(&spans).zip(&sink.tails) {
        partitions.push(of(mirror, span.as_ref(), tail, *surely));
    }
    Ok(Loss { partitions, torn: sink.transactions.map(|transactions| transactions.finish(ask.torn_max)) })
}

/// What of a partition counts.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Where the mirror stands.
    next: Count,
    /// Where the source begins.
    start: u64,
    /// Up to where its records count.
    end: u64,
}

fn span(mirror: &MirrorLag, until: &BTreeMap<Partition, u64>) -> Option<Span> {
    let (placed, (start, end)) = (mirror.placed.as_ref()?, mirror.source_ends?);
    let end = until.get(&mirror.source).copied().map_or(end, |until| until.min(end));
    Some(Span { next: placed.next, start, end })
}

fn of(mirror: &MirrorLag, span: Option<&Span>, tail: &Tail, surely: u64) -> PartitionLoss {
    let pair = (&mirror.source, &mirror.replica);
    let (Some(Span { next, start, end }), Some(placed)) = (span, &mirror.placed) else {
        let why = mirror.reason.clone().unwrap_or_else(|| "its mirror was not found".to_owned());
        return PartitionLoss::unknown(pair, why);
    };
    let mut loss = tail.loss(pair, *next, surely, placed.method.as_str());
    let removed = start.saturating_sub(next.low).min(end.saturating_sub(next.low));
    if removed > 0 {
        // Nobody can count them any more.
        loss.records.high = loss.records.high.saturating_add(removed);
        loss.why = Some(format!("the source has removed {removed} offsets that were never mirrored"));
    }
    loss
}

async fn read(side: &LogSide, ranges: &[Range], sink: &mut Sink<'_>) -> Result<(), Failure> {
    if ranges.is_empty() {
        return Ok(());
    }
    let done = side.cx.bound(side.logs.read(&side.cx, ranges, sink)).await;
    done.map(|_| ()).map_err(|error| (Origin::Source, error))
}

/// Counts what comes.
struct Sink<'a> {
    source: &'a LogSide,
    /// Of each mirror: what it does not have, and how many of those for sure.
    tails: Vec<(Tail, u64)>,
    /// Of each range: its mirror, and the offset from which on records are missing for sure.
    places: Vec<(usize, u64)>,
    transactions: Option<Transactions>,
    /// Whether the records that come are not on the replica.
    absent: bool,
}

impl RecordSink for Sink<'_> {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        let failed = |what: &str| Error::new(FailureKind::Permanent, "log.order", what.to_owned());
        let place = self.places.get(range).copied();
        let (at, surely) = place.ok_or_else(|| failed("records of a range came that was not asked for"))?;
        let mut bytes = 0_u64;
        for index in 0..records.len() {
            let record = records.get(index).ok_or_else(|| failed("a record cannot be read"))?;
            bytes = bytes.saturating_add(record.value.map_or(0, |value| value.len() as u64));
            match (&mut self.transactions, self.absent) {
                (Some(transactions), true) => transactions.absent(at, &record),
                (Some(transactions), false) => transactions.present(at, &record),
                (None, _) => {}
            }
            if let Some((tail, sure)) = self.tails.get_mut(at).filter(|_| self.absent) {
                tail.take(Found { offset: record.offset, timestamp: record.timestamp, appended: record.appended });
                *sure += u64::from(record.offset >= surely);
            }
        }
        self.source.budget.charge(records.len() as u64, bytes)?;
        Ok(Want::More)
    }
}
