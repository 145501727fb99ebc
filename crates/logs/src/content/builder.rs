//! Reducing records to a chain, one after the other.

use super::image::Namer;
use super::{CHAIN_VERSION, Chain, Id, Segment, Step, Terms, Timestamps};
use paritas_digest::DigestKey;
use std::collections::VecDeque;

/// Records of a segment, at least, unless they are large ones or the last.
const RECORDS_MIN: u64 = 256;
/// Records of a segment, at most.
pub const SEGMENT_RECORDS_MAX: u64 = 8_192;
/// Bytes of a segment from which on it is cut sooner.
const BYTES_HEAVY: u64 = 16 << 20;
/// Bytes of a segment, at most, before its last record.
const BYTES_MAX: u64 = 64 << 20;
/// One record in so many is a cut, once a segment is long enough: 1,024 records on average.
const CUT_EVERY: u64 = 768;
/// The same in a segment of many bytes.
const CUT_EVERY_HEAVY: u64 = 16;

/// Takes records in order and keeps a chain of them.
#[derive(Debug)]
pub struct Builder {
    chain: Chain,
    open: Open,
    trail: VecDeque<Step>,
    trail_max: usize,
}

/// The records behind the last cut.
#[derive(Debug, Clone, Default)]
struct Open {
    /// Names in order, 16 bytes each.
    ids: Vec<u8>,
    records: u64,
    first: u64,
    last: u64,
    bytes: u64,
    sum: u128,
    times: Option<(i64, i64)>,
}

impl Terms {
    /// Terms of this version for a log.
    pub fn new(key: &DigestKey, log: &str, timestamps: Timestamps) -> Self {
        Self { version: CHAIN_VERSION, log: log.to_owned(), timestamps, key_id: key.id() }
    }
}

impl Builder {
    /// A chain that begins at an offset. The last `trail_max` records are kept one by one.
    pub fn new(terms: Terms, from: u64, trail_max: usize) -> Self {
        Self::resume(Chain::new(terms, from), trail_max)
    }

    /// Goes on behind the last cut of a chain; what is behind that is read again.
    pub fn resume(mut chain: Chain, trail_max: usize) -> Self {
        chain.tail = None;
        chain.next = chain.segments.last().map_or(chain.from, |last| last.last.saturating_add(1));
        let mut trail: VecDeque<Step> = std::mem::take(&mut chain.trail).into();
        trail.retain(|step| step.offset < chain.next);
        Self { chain, open: Open::default(), trail, trail_max }
    }

    /// The offset at which the chain begins.
    pub fn from(&self) -> u64 {
        self.chain.from
    }

    /// The offset at which reading goes on.
    pub fn next(&self) -> u64 {
        self.chain.next
    }

    /// Takes one more record.
    pub fn push(&mut self, namer: &Namer, record: Step, bytes: u64) {
        let Step { offset, id, time } = record;
        let open = &mut self.open;
        if open.records == 0 {
            open.first = offset;
        }
        open.records += 1;
        open.last = offset;
        open.bytes = open.bytes.saturating_add(bytes);
        open.sum = open.sum.wrapping_add(id.0);
        open.ids.extend_from_slice(&id.0.to_le_bytes());
        if let Some(time) = time {
            open.times = Some(open.times.map_or((time, time), |(a, b)| (a.min(time), b.max(time))));
        }
        self.chain.next = self.chain.next.max(offset.saturating_add(1));
        if self.trail_max > 0 {
            while self.trail.len() >= self.trail_max {
                self.trail.pop_front();
            }
            self.trail.push_back(record);
        }
        if open.ends_with(id) {
            let segment = open.close(namer);
            self.chain.segments.extend(segment);
            open.clear();
        }
    }

    /// Everything before `next` was read, also where there was no record.
    pub fn read_to(&mut self, next: u64) {
        self.chain.next = self.chain.next.max(next);
    }

    /// Segments that were cut.
    pub fn finished(&self) -> &[Segment] {
        &self.chain.segments
    }

    /// The chain as far as it was read. More records may follow.
    pub fn chain(&mut self, namer: &Namer) -> &Chain {
        self.chain.tail = self.open.close(namer);
        self.chain.trail = self.trail.iter().copied().collect();
        &self.chain
    }

    /// The chain as it was when it was last asked for with [`Builder::chain`].
    pub fn closed(&self) -> &Chain {
        &self.chain
    }

    /// The chain.
    pub fn finish(mut self, namer: &Namer) -> Chain {
        self.chain(namer);
        self.chain
    }
}

impl Open {
    /// Whether a segment ends behind its newest record. Decided by the records of the segment alone.
    fn ends_with(&self, id: Id) -> bool {
        let one_in = |count: u64| id.low() < u64::MAX / count;
        self.records >= SEGMENT_RECORDS_MAX
            || self.bytes >= BYTES_MAX
            || self.bytes >= BYTES_HEAVY && one_in(CUT_EVERY_HEAVY)
            || self.records >= RECORDS_MIN && one_in(CUT_EVERY)
    }

    fn close(&self, namer: &Namer) -> Option<Segment> {
        (self.records > 0).then(|| Segment {
            records: self.records,
            first: self.first,
            last: self.last,
            bytes: self.bytes,
            ordered: namer.name_segment(&self.ids),
            sum: Id(self.sum),
            times: self.times,
        })
    }

    fn clear(&mut self) {
        let mut ids = std::mem::take(&mut self.ids);
        ids.clear();
        *self = Self { ids, ..Self::default() };
    }
}
