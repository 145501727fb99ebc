//! The group element: buckets and sketch, all sums modulo 2^64.

use crate::capacity::{BUCKET_WORDS, BUCKETS, MOP_SHARE};
use crate::error::HeaderDelta;
use crate::{BucketSet, Capacity, Incomparable, KeyForm};

/// Everything that a digest adds up. Adding and subtracting are those of a commutative group, so
/// the sums of splits, threads and machines add up to the sums of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    pub(crate) form: KeyForm,
    pub(crate) capacity: Capacity,
    pub(crate) blind: bool,
    pub(crate) rows: u64,
    pub(crate) buckets: Vec<u64>,
    pub(crate) main: Vec<u64>,
    pub(crate) mop: Vec<u64>,
}

/// What one row (or one decoded key) adds to the sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Item {
    /// Where the key lives; see [`Place`].
    pub(crate) place: u64,
    /// The rest of its name: inline key bytes, or the second half of the fingerprint.
    pub(crate) name: [u64; 2],
    /// The row hash as four lanes; the first is the weight.
    pub(crate) lanes: [u64; 4],
}

/// The positions that a place word stands for: bits 0..63 in three slices of 21 bits for the main
/// table, a mixed copy for mop-up table and bucket. Bit 63 tells that the name is a fingerprint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    place: u64,
    mixed: u64,
}

/// Set in the place word of a key that is known by its fingerprint only.
pub(crate) const FINGERPRINT_BIT: u64 = 1 << 63;

impl Place {
    pub(crate) fn new(place: u64) -> Self {
        // The finaliser of SplitMix64: a bijection in which every output bit depends on all input bits.
        let mut mixed = place ^ 0x9E37_79B9_7F4A_7C15;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self { place, mixed: mixed ^ (mixed >> 31) }
    }

    pub(crate) fn bucket(self) -> usize {
        (self.mixed >> 52) as usize
    }

    /// Cell numbers in the main table, one in each sub-table.
    pub(crate) fn main(self, slots: usize) -> [usize; 3] {
        let slot = |shift: u32| (self.place >> shift) as usize & (slots - 1);
        [slot(0), slots + slot(21), 2 * slots + slot(42)]
    }

    /// Cell numbers in the mop-up table.
    pub(crate) fn mop(self, slots: usize) -> [usize; 3] {
        let slot = |shift: u32| (self.mixed >> shift) as usize & (slots - 1);
        [slot(0), slots + slot(17), 2 * slots + slot(34)]
    }
}

impl Sums {
    /// The zero element.
    pub fn new(form: KeyForm, capacity: Capacity) -> Self {
        let cell = form.cell_words();
        Self {
            form,
            capacity,
            blind: false,
            rows: 0,
            buckets: vec![0; BUCKETS * BUCKET_WORDS],
            main: vec![0; capacity.main_cells() * cell],
            mop: vec![0; capacity.mop_cells() * cell],
        }
    }

    /// Number of rows (after subtracting: the difference, modulo 2^64).
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What the sketch keeps of keys.
    pub fn key_form(&self) -> KeyForm {
        self.form
    }

    /// Size of the sketch.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Whether the keys were taken out.
    pub fn is_blind(&self) -> bool {
        self.blind
    }

    /// Adds the sums of another part.
    ///
    /// # Errors
    /// [`Incomparable`] when key form, capacity or blindness differ; nothing is changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), Incomparable> {
        self.combine(other, u64::wrapping_add)
    }

    /// Subtracts the sums of another part or side.
    ///
    /// # Errors
    /// [`Incomparable`] when key form, capacity or blindness differ; nothing is changed then.
    pub fn subtract(&mut self, other: &Self) -> Result<(), Incomparable> {
        self.combine(other, u64::wrapping_sub)
    }

    fn combine(&mut self, other: &Self, op: fn(u64, u64) -> u64) -> Result<(), Incomparable> {
        let mut fields = Vec::new();
        let mut same = |field, ours: String, theirs: String| {
            if ours != theirs {
                fields.push(HeaderDelta { field, source: ours, replica: theirs });
            }
        };
        same("key_form", format!("{:?}", self.form), format!("{:?}", other.form));
        same("sub", self.capacity.slots().to_string(), other.capacity.slots().to_string());
        same("blind", self.blind.to_string(), other.blind.to_string());
        if !fields.is_empty() {
            return Err(Incomparable { fields });
        }
        self.rows = op(self.rows, other.rows);
        for (ours, theirs) in
            [(&mut self.buckets, &other.buckets), (&mut self.main, &other.main), (&mut self.mop, &other.mop)]
        {
            for (a, b) in ours.iter_mut().zip(theirs) {
                *a = op(*a, *b);
            }
        }
        Ok(())
    }

    /// Halves the sketch. Returns `false`, and changes nothing, at the smallest size.
    pub fn fold(&mut self) -> bool {
        let Some(half) = self.capacity.half() else {
            return false;
        };
        let cell = self.form.cell_words();
        self.main = folded(&self.main, half.slots() * cell);
        self.mop = folded(&self.mop, half.slots() / MOP_SHARE * cell);
        self.capacity = half;
        true
    }

    /// Takes the keys out of the sketch. What is decoded from it then is half a fingerprint, which
    /// a live side with the digest key turns back into a key. Cannot be undone.
    pub fn blind(&mut self) {
        if matches!(self.form, KeyForm::Inline8 | KeyForm::Inline16) {
            let cell = self.form.cell_words();
            for words in self.main.chunks_exact_mut(cell).chain(self.mop.chunks_exact_mut(cell)) {
                // Count, weight, key limbs, then the two limbs of the place.
                words.iter_mut().skip(2).take(cell - 4).for_each(|word| *word = 0);
            }
        }
        self.blind = true;
    }

    /// Whether everything is zero: after subtracting, that both sides hold the same rows.
    pub fn is_zero(&self) -> bool {
        let zero = |words: &[u64]| words.iter().all(|word| *word == 0);
        self.rows == 0 && zero(&self.buckets) && zero(&self.main) && zero(&self.mop)
    }

    /// Buckets that are not zero.
    pub fn dirty(&self) -> BucketSet {
        let dirty = |(bucket, words): (u32, &[u64])| words.iter().any(|word| *word != 0).then_some(bucket);
        (0..).zip(self.buckets.chunks_exact(BUCKET_WORDS)).filter_map(dirty).collect()
    }

    /// Adds rows.
    pub(crate) fn add_items(&mut self, items: &[Item]) {
        match self.form {
            KeyForm::Inline8 | KeyForm::Fingerprint | KeyForm::WholeRow => self.add_cells::<6>(items),
            KeyForm::Inline16 => self.add_cells::<8>(items),
        }
        self.rows = self.rows.wrapping_add(items.len() as u64);
    }

    fn add_cells<const WORDS: usize>(&mut self, items: &[Item]) {
        let (slots, mop_slots) = (self.capacity.slots(), self.capacity.mop_slots());
        let buckets = self.buckets.as_chunks_mut::<BUCKET_WORDS>().0;
        let main = self.main.as_chunks_mut::<WORDS>().0;
        let mop = self.mop.as_chunks_mut::<WORDS>().0;
        for group in items.chunks(TOUCHED_AHEAD) {
            if slots > TOUCH_SLOTS_MIN {
                touch(main, group, slots);
            }
            for item in group {
                let place = Place::new(item.place);
                let cell = cell_of::<WORDS>(item);
                if let Some(bucket) = buckets.get_mut(place.bucket()) {
                    let [a, b, c, d] = item.lanes;
                    add(bucket, &[1, a, b, c, d]);
                }
                for index in place.main(slots) {
                    if let Some(words) = main.get_mut(index) {
                        add(words, &cell);
                    }
                }
                for index in place.mop(mop_slots) {
                    if let Some(words) = mop.get_mut(index) {
                        add(words, &cell);
                    }
                }
            }
        }
    }
}

/// Rows whose cells are read together before any is changed.
const TOUCHED_AHEAD: usize = 16;
/// Tables up to this size stay in the second-level cache, where touching does not pay.
const TOUCH_SLOTS_MIN: usize = 8_192;

/// Reads the cells of some rows, so that their cache misses overlap instead of following each other.
/// Does what a prefetch instruction would, without unsafe code.
fn touch<const WORDS: usize>(main: &[[u64; WORDS]], items: &[Item], slots: usize) {
    let mut sum = 0_u64;
    for item in items {
        for index in Place::new(item.place).main(slots) {
            if let Some([first, .., last]) = main.get(index).map(<[u64; WORDS]>::as_slice) {
                sum = sum.wrapping_add(*first).wrapping_add(*last);
            }
        }
    }
    std::hint::black_box(sum);
}

/// The words that a row adds to each of its cells.
#[inline]
fn cell_of<const WORDS: usize>(item: &Item) -> [u64; WORDS] {
    let mut cell = [0; WORDS];
    let weight = item.lanes[0];
    let limbs = limbs_of::<WORDS>(item);
    cell[0] = 1;
    cell[1] = weight;
    for (word, limb) in cell.iter_mut().skip(2).zip(limbs) {
        *word = weight.wrapping_mul(limb);
    }
    cell
}

/// The 32-bit limbs of a key: its name in two (six words) or four limbs (eight words), its place in
/// two. Only the first `WORDS - 2` are used.
#[inline]
fn limbs_of<const WORDS: usize>(item: &Item) -> [u64; 6] {
    let low = |word: u64| word & 0xFFFF_FFFF;
    let [first, second] = item.name;
    let place = item.place;
    match WORDS {
        8 => [low(first), first >> 32, low(second), second >> 32, low(place), place >> 32],
        _ => [low(first), first >> 32, low(place), place >> 32, 0, 0],
    }
}

#[inline]
fn add<const N: usize>(words: &mut [u64; N], more: &[u64; N]) {
    for (word, more) in words.iter_mut().zip(more) {
        *word = word.wrapping_add(*more);
    }
}

/// Three sub-tables of `half` words each from three of twice that.
fn folded(words: &[u64], half: usize) -> Vec<u64> {
    let mut result = Vec::with_capacity(3 * half);
    for table in words.chunks_exact(2 * half) {
        let (low, high) = table.split_at(half);
        result.extend(low.iter().zip(high).map(|(a, b)| a.wrapping_add(*b)));
    }
    result
}
