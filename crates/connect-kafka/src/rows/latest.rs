//! Which records are the latest of their keys: one pass over a topic that keeps keys' hashes, and no values.
//!
//! The record keys decide, byte by byte, as they do when a topic is compacted. A key whose latest record has no value
//! is gone.

use super::misfit::Misfit;
use super::part::{Prefix, deletes};
use super::record::size;
use super::scan::apart;
use super::shape::Part;
use paritas_connect::logs::{Isolation, Logs, Partition, Range, RecordSink, Records, Want};
use paritas_connect::{Context, Error, FailureKind, Progress, Result};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Partitions of a topic, at most, of which the latest records can be found.
const PARTITIONS_MAX: usize = 1 << 16;
/// Keys that may be in several partitions, in the hope that all of them are gone.
const SPREAD_KEYS_MAX: usize = 100_000;
/// Offsets, at most: what a packed place has room for.
const OFFSET_END: u64 = 1 << 47;

/// The offsets of the latest records, by partition, ascending.
#[derive(Debug, Default)]
pub(super) struct Latest(Vec<Vec<u64>>);

/// How the latest records are found.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) part: &'a Part,
    pub(super) prefix: Option<&'a Prefix>,
    /// Different keys, at most.
    pub(super) keys_max: usize,
    pub(super) isolation: Isolation,
}

impl Latest {
    /// Whether a record is the latest of its key.
    pub(super) fn contains(&self, partition: usize, offset: u64) -> bool {
        self.0.get(partition).is_some_and(|offsets| offsets.binary_search(&offset).is_ok())
    }

    /// How many records of a range are.
    pub(super) fn count(&self, partition: usize, range: std::ops::Range<u64>) -> u64 {
        let Some(offsets) = self.0.get(partition) else { return 0 };
        let before = |end: u64| offsets.partition_point(|offset| *offset < end);
        before(range.end).saturating_sub(before(range.start)) as u64
    }
}

/// 128 bits of the hash of a key.
type KeyHash = [u64; 2];

/// A partition, an offset, and whether the record there has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(u64);

impl Place {
    /// Stands for a key that is in several partitions.
    const SPREAD: Self = Self(u64::MAX);

    fn new(partition: usize, offset: u64, gone: bool) -> Self {
        Self((partition as u64) << 48 | u64::from(gone) << 47 | offset)
    }

    fn partition(self) -> usize {
        (self.0 >> 48) as usize
    }

    fn gone(self) -> bool {
        self.0 >> 47 & 1 == 1
    }

    fn offset(self) -> u64 {
        self.0 & (OFFSET_END - 1)
    }
}

/// Looks at the keys of records.
pub(super) struct Keys<'a> {
    partitions: Vec<Partition>,
    terms: Terms<'a>,
    progress: Arc<Progress>,
    latest: HashMap<KeyHash, Place>,
    /// Keys that are in several partitions, with their latest place in each.
    spread: HashMap<KeyHash, BTreeMap<usize, Place>>,
}

fn hash(key: &[u8]) -> KeyHash {
    let hash = blake3::hash(key);
    let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (low, high) = hash.as_bytes().split_at(8);
    [word(low), word(high)]
}

impl RecordSink for Keys<'_> {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        let Some(partition) = self.partitions.get(range).cloned() else {
            return Err(Error::new(FailureKind::Permanent, "internal.range", format!("there is no range {range}")));
        };
        for record in (0..records.len()).filter_map(|index| records.get(index)) {
            self.progress.add(0, size(&record) as u64);
            let Some(key) = record.key else {
                return Err(Misfit::layout("it has no key").of(&partition, record.offset).hint(
                    "a topic whose latest values are compared has a key in every record; leave out latest=key to \
                     compare the records as they are",
                ));
            };
            let gone = deletes(self.terms.part, self.terms.prefix, record.value).map_err(|misfit| {
                misfit.of(&partition, record.offset).hint("look at the record with any consumer at that offset")
            })?;
            if record.offset >= OFFSET_END {
                return Err(Misfit::layout("no offset is so large").of(&partition, record.offset));
            }
            self.put(hash(key), Place::new(range, record.offset, gone), &partition)?;
        }
        Ok(Want::More)
    }
}

/// Says that a key is in two partitions.
fn ambiguous(message: String) -> Error {
    Error::new(FailureKind::Permanent, "data.ambiguous", message)
        .detail("Between partitions there is no order, so it cannot be said which record of a key is the latest.")
        .hint(
            "this happens where partitions were added or records were sent to chosen ones; compare the records as they \
             are, without latest=key",
        )
}

impl<'a> Keys<'a> {
    /// Nothing yet of these partitions.
    ///
    /// # Errors
    /// `rows.too_many_keys` where they are more than can be told apart.
    pub(super) fn new(cx: &Context, partitions: Vec<Partition>, terms: Terms<'a>) -> Result<Self> {
        if partitions.len() > PARTITIONS_MAX {
            let log = partitions.first().map_or("", |partition| partition.log.as_str());
            let message = format!("{log} has more than {PARTITIONS_MAX} partitions");
            return Err(Error::new(FailureKind::Permanent, "rows.too_many_keys", message)
                .hint("compare its records as they are, without latest=key"));
        }
        let progress = Arc::clone(cx.progress());
        Ok(Self { partitions, terms, progress, latest: HashMap::new(), spread: HashMap::new() })
    }

    /// Looks at more records: the next offsets of each partition, in the order of the partitions. True when there was
    /// a record at every offset, so that nothing can have been taken away.
    ///
    /// # Errors
    /// Those of reading; `rows.too_many_keys` beyond the limit; `data.unparsable` for a record without a key.
    pub(super) async fn read(
        &mut self,
        cx: &Context,
        logs: &dyn Logs,
        offsets: &[std::ops::Range<u64>],
    ) -> Result<bool> {
        let range = |(partition, offsets): (&Partition, &std::ops::Range<u64>)| Range {
            partition: partition.clone(),
            from: offsets.start,
            to: offsets.end,
            isolation: self.terms.isolation,
        };
        // Ranges without an offset are asked for as well, so that their numbers are those of the partitions.
        let wanted: Vec<Range> = self.partitions.iter().zip(offsets).map(range).collect();
        let read = logs.read(&apart(cx), &wanted, self).await?;
        let records: u64 = read.iter().map(|read| read.records).sum();
        Ok(records == offsets.iter().map(|offsets| offsets.end.saturating_sub(offsets.start)).sum::<u64>())
    }

    fn put(&mut self, key: KeyHash, place: Place, partition: &Partition) -> Result<()> {
        let (known, max) = (self.latest.len(), self.terms.keys_max);
        match self.latest.entry(key) {
            Entry::Vacant(_) if known >= max => {
                let message = format!("{} has more than {max} different keys", partition.log);
                return Err(Error::new(FailureKind::Permanent, "rows.too_many_keys", message)
                    .hint("raise latest_max (each key takes about 40 bytes of memory), or leave out latest=key"));
            }
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(mut entry) => {
                let before = *entry.get();
                if before != Place::SPREAD && before.partition() == place.partition() {
                    entry.insert(place);
                    return Ok(());
                }
                entry.insert(Place::SPREAD);
                let places = self.spread.entry(key).or_default();
                if before != Place::SPREAD {
                    places.insert(before.partition(), before);
                }
                places.insert(place.partition(), place);
                if self.spread.len() > SPREAD_KEYS_MAX {
                    return Err(ambiguous(format!("{} has many keys that are in several partitions", partition.log)));
                }
            }
        }
        Ok(())
    }

    /// The latest records.
    ///
    /// # Errors
    /// `data.ambiguous` where a key is in two partitions, so that nobody can say which of its records is the later one.
    pub(super) fn finish(self) -> Result<Latest> {
        for places in self.spread.values() {
            if let Some(live) = places.values().find(|place| !place.gone()) {
                let other = places.values().find(|place| place.partition() != live.partition()).unwrap_or(live);
                let (live, other) = (self.shown(*live), self.shown(*other));
                let message = format!("{live} and {other} have the same key, in two partitions");
                return Err(ambiguous(message));
            }
        }
        let mut offsets = vec![Vec::new(); self.partitions.len()];
        for place in self.latest.into_values().filter(|place| *place != Place::SPREAD && !place.gone()) {
            if let Some(offsets) = offsets.get_mut(place.partition()) {
                offsets.push(place.offset());
            }
        }
        offsets.iter_mut().for_each(|offsets| offsets.sort_unstable());
        Ok(Latest(offsets))
    }

    fn shown(&self, place: Place) -> String {
        let partition = self.partitions.get(place.partition()).map(ToString::to_string);
        format!("{} offset {}", partition.unwrap_or_default(), place.offset())
    }
}
