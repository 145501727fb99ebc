//! Sets of buckets.

use crate::capacity::BUCKETS;
use std::fmt;

/// A set of bucket numbers, each below [`BUCKETS`].
#[derive(Clone, PartialEq, Eq)]
pub struct BucketSet {
    words: [u64; BUCKETS / 64],
}

impl BucketSet {
    /// The empty set.
    pub fn new() -> Self {
        Self { words: [0; BUCKETS / 64] }
    }

    /// Adds a bucket; numbers that are none are ignored. Returns whether it was new.
    pub fn insert(&mut self, bucket: u32) -> bool {
        let Some(word) = self.words.get_mut(bucket as usize / 64) else {
            return false;
        };
        let bit = 1 << (bucket % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether the bucket is in the set.
    pub fn contains(&self, bucket: u32) -> bool {
        self.words.get(bucket as usize / 64).is_some_and(|word| word >> (bucket % 64) & 1 == 1)
    }

    /// Number of buckets in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The buckets in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..BUCKETS as u32).filter(|bucket| self.contains(*bucket))
    }
}

impl Default for BucketSet {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<u32> for BucketSet {
    fn from_iter<I: IntoIterator<Item = u32>>(buckets: I) -> Self {
        let mut set = Self::new();
        for bucket in buckets {
            set.insert(bucket);
        }
        set
    }
}

impl fmt::Debug for BucketSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketSet({} of {BUCKETS})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: BucketSet = [0, 63, 64, 4_095, 4_096, 63].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 4_095]);
        assert_eq!((set.len(), set.is_empty(), set.contains(4_096)), (4, false, false));
        assert!(BucketSet::new().is_empty());
    }
}
