//! How many differences a digest can name, and what that costs.

use crate::KeyForm;
use serde::{Deserialize, Serialize};

/// Number of buckets of every digest.
pub const BUCKETS: usize = 4_096;
/// 64-bit words of a bucket: the count and four sums.
pub(crate) const BUCKET_WORDS: usize = 5;

/// The size of a sketch: slots of each of its three sub-tables, a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Capacity(u32);

/// Mop-up slots are this much fewer than main slots.
pub(crate) const MOP_SHARE: usize = 8;

impl Capacity {
    /// The smallest sketch: 10 KiB.
    pub const MIN: Self = Self(64);
    /// The largest sketch: 81 MiB.
    pub const MAX: Self = Self(524_288);

    /// A capacity of that many slots in each sub-table; `None` unless it is a power of two between
    /// 64 and 524,288.
    pub fn from_slots(slots: u32) -> Option<Self> {
        (slots.is_power_of_two() && (Self::MIN.0..=Self::MAX.0).contains(&slots)).then_some(Self(slots))
    }

    /// The smallest capacity that names `differences` rows; the largest there is for more.
    pub fn for_differences(differences: u64) -> Self {
        let mut capacity = Self::MIN;
        while capacity < Self::MAX && capacity.differences() < differences {
            capacity = Self(capacity.0 * 2);
        }
        capacity
    }

    /// How many differing rows it names, with a probability of more than 0.9998.
    pub fn differences(self) -> u64 {
        match self.0 {
            // Small tables fail earlier, because their luck varies more.
            64 => 118,
            128 => 259,
            // A load of 0.65 of all cells; decoding fails for good at 0.73.
            slots => u64::from(slots) * 35 / 16,
        }
    }

    /// Bytes of a digest of this capacity in memory and, but for its header, in a file.
    pub fn bytes(self, form: KeyForm) -> u64 {
        let words = BUCKETS * BUCKET_WORDS + (self.main_cells() + self.mop_cells()) * form.cell_words();
        words as u64 * 8
    }

    /// Slots of each main sub-table.
    pub fn slots(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn mop_slots(self) -> usize {
        self.slots() / MOP_SHARE
    }

    pub(crate) fn main_cells(self) -> usize {
        3 * self.slots()
    }

    pub(crate) fn mop_cells(self) -> usize {
        3 * self.mop_slots()
    }

    pub(crate) fn half(self) -> Option<Self> {
        Self::from_slots(self.0 / 2)
    }
}

impl Default for Capacity {
    /// About 9,000 differences in 800 KiB.
    fn default() -> Self {
        Self(4_096)
    }
}

impl From<Capacity> for u32 {
    fn from(capacity: Capacity) -> Self {
        capacity.0
    }
}

impl TryFrom<u32> for Capacity {
    type Error = String;
    fn try_from(slots: u32) -> Result<Self, Self::Error> {
        Self::from_slots(slots).ok_or_else(|| format!("{slots} slots: expected a power of two from 64 to 524288"))
    }
}

impl KeyForm {
    /// 64-bit words of a sketch cell: count, weight sum, and a sum for each limb.
    pub(crate) fn cell_words(self) -> usize {
        match self {
            Self::Inline16 => 8,
            Self::Inline8 | Self::Fingerprint | Self::WholeRow => 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_sufficient_capacity_is_chosen() {
        assert_eq!(Capacity::for_differences(0), Capacity::MIN);
        assert_eq!(Capacity::for_differences(118), Capacity::MIN);
        assert_eq!(Capacity::for_differences(119).slots(), 128);
        assert_eq!(Capacity::for_differences(8_960), Capacity::default());
        assert_eq!(Capacity::for_differences(u64::MAX), Capacity::MAX);
    }

    #[test]
    fn only_powers_of_two_in_range_are_capacities() {
        assert!([0, 32, 63, 65, 96, 1 << 20].iter().all(|slots| Capacity::from_slots(*slots).is_none()));
        assert_eq!(Capacity::from_slots(64), Some(Capacity::MIN));
        assert_eq!(Capacity::MIN.half(), None);
    }

    #[test]
    fn the_default_digest_takes_808_kib() {
        assert_eq!(Capacity::default().bytes(KeyForm::Inline8), (160 + 576 + 72) * 1024);
    }
}
