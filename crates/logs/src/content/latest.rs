//! The latest record of every key, for logs that keep no others.
//!
//! Both sides compact at times of their own, so neither the number of records nor their order says anything; what
//! has to agree is the latest record of a key. A key whose latest record has no value is deleted, and the record may be
//! gone as well: that is the same as no record at all.

use super::id::IdMap;
use super::{Class, Id, Timestamps};
use paritas_model::Proof;

/// The latest record of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Its name, whatever its time.
    pub content: Id,
    /// Its time in milliseconds since 1970.
    pub time: Option<i64>,
    /// Its offset.
    pub offset: u64,
    /// Whether it has a value.
    pub valued: bool,
}

/// The latest records of the keys of one slice of all keys.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    keys: IdMap<Newest>,
    keys_max: usize,
    slices: u64,
    slice: u64,
    fence: u64,
    before_fence: Option<u64>,
    records: u64,
    full: bool,
    resent: bool,
}

impl Latest {
    /// Slice number `slice` of so many, which may have `keys_max` keys. What counts is before the offset `fence`.
    pub fn new(slices: u64, slice: u64, keys_max: usize, fence: u64) -> Self {
        Self { keys_max, slices: slices.max(1), slice, fence, ..Self::default() }
    }

    /// Takes the next record of the log.
    pub fn take(&mut self, key: Id, newest: Newest) {
        self.records += 1;
        if newest.offset < self.fence {
            self.before_fence = Some(newest.offset);
        }
        if ((key.0 >> 64) as u64) % self.slices != self.slice || self.full {
            return;
        }
        if let Some(before) = self.keys.insert(key, newest) {
            self.resent |= before.content == newest.content && before.time == newest.time;
        } else if self.keys.len() > self.keys_max {
            self.full = true;
            self.keys = IdMap::default();
        }
    }

    /// Whether there were more keys than there may be. Nothing is known then.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Records of all slices that were taken.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The end of the last record before the fence; what is between them is none.
    pub fn fence(&self) -> u64 {
        self.before_fence.map_or(0, |last| last.saturating_add(1))
    }

    /// Keys of this slice.
    pub fn keys(&self) -> u64 {
        self.keys.len() as u64
    }
}

/// A key whose latest records differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// The key's name.
    pub key: Id,
    /// The latest record on the source, which may be one without a value.
    pub source: Option<Newest>,
    /// The same on the replica.
    pub replica: Option<Newest>,
}

impl Newest {
    /// Whether this record of the source is the other one, of the replica.
    pub fn is(&self, replica: &Self, timestamps: Timestamps) -> bool {
        // A record without a time on the source has any on the replica.
        let times = timestamps == Timestamps::Ignore || self.time.is_none() || self.time == replica.time;
        self.content == replica.content && times
    }
}

/// Keys whose latest records differ, in the order of the source's offsets.
pub fn suspects(source: &Latest, replica: &Latest, timestamps: Timestamps) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for (key, ours) in &source.keys {
        let theirs = replica.keys.get(key).copied();
        let equal = match (ours.valued, theirs.filter(|theirs| theirs.valued)) {
            (true, Some(theirs)) => ours.is(&theirs, timestamps),
            (valued, theirs) => !valued && theirs.is_none(),
        };
        if !equal {
            suspects.push(Suspect { key: *key, source: Some(*ours), replica: theirs });
        }
    }
    for (key, theirs) in replica.keys.iter().filter(|(key, theirs)| theirs.valued && !source.keys.contains_key(key)) {
        suspects.push(Suspect { key: *key, source: None, replica: Some(*theirs) });
    }
    suspects.sort_unstable_by_key(|suspect| {
        let offset = |newest: Option<Newest>| newest.map_or(u64::MAX, |newest| newest.offset);
        (offset(suspect.source), offset(suspect.replica))
    });
    suspects
}

/// What is known of how the sides stand to one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// A record of the source from which on nothing is known to be on the replica; everything before it was copied.
    /// `None` where that cannot be said.
    pub mirrored_to: Option<u64>,
    /// The first record of the source that the replica still has, where its log begins in the middle.
    pub replica_begins: Option<u64>,
    /// Records at the beginning of the source's log are gone.
    pub source_cut: bool,
    /// Records at the beginning of the replica's log are gone.
    pub replica_cut: bool,
    /// What the replica lacks behind that counts up to this offset of the source.
    pub fence: u64,
}

impl Standing {
    /// How far the replica has got, by pairs of offsets that are known to belong together and by records that both
    /// sides have.
    ///
    /// Records count only where they are compared with their times, and none is seen to have been sent twice: otherwise
    /// one that is on both sides may be an earlier one on the replica.
    pub fn see(&mut self, source: &Latest, replica: &Latest, timestamps: Timestamps, syncs: &[(u64, u64)], end: u64) {
        let told = syncs.iter().filter(|(_, downstream)| *downstream < end).map(|(upstream, _)| *upstream).max();
        self.mirrored_to = self.mirrored_to.max(told.map(|upstream| upstream.saturating_add(1)));
        if timestamps == Timestamps::Ignore || source.resent || replica.resent {
            return;
        }
        let mut pairs: Vec<(u64, u64)> = source
            .keys
            .iter()
            .filter_map(|(key, ours)| {
                let theirs = replica.keys.get(key)?;
                (ours.time.is_some() && ours.is(theirs, timestamps)).then_some((theirs.offset, ours.offset))
            })
            .collect();
        pairs.sort_unstable();
        // A mirror that works in order leaves them in one order.
        if pairs.windows(2).all(|two| matches!(two, [a, b] if a.1 < b.1)) {
            self.mirrored_to = self.mirrored_to.max(pairs.last().map(|(_, upstream)| upstream.saturating_add(1)));
            let first = pairs.first().map(|(_, upstream)| *upstream);
            self.replica_begins = self.replica_begins.into_iter().chain(first).min();
        }
    }

    /// What a suspect is. `None` where nothing is expected yet.
    pub fn judge(&self, suspect: &Suspect) -> Option<(Class, Proof)> {
        let live = suspect.replica.filter(|newest| newest.valued);
        let Some(ours) = suspect.source else {
            return Some(match (self.source_cut, self.mirrored_to) {
                (true, _) => (Class::Expired, Proof::Proven),
                (false, Some(to)) if to >= self.fence => (Class::Foreign, Proof::Proven),
                // Its deletion may not have been copied yet.
                (false, _) => (Class::Foreign, Proof::Unproven),
            });
        };
        let class = if live.is_some() { Class::Altered } else { Class::Missing };
        let old = self.replica_begins.is_none_or(|begins| ours.offset < begins);
        if suspect.replica.is_none() && self.replica_cut && old {
            return Some((Class::Expired, Proof::Proven));
        }
        match self.mirrored_to {
            Some(to) if ours.offset < to => Some((class, Proof::Proven)),
            _ if ours.offset >= self.fence => None,
            Some(_) => Some((Class::NotYetMirrored, Proof::InFlight)),
            None => Some((class, Proof::Unproven)),
        }
    }
}
