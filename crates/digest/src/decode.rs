//! Getting the differing keys back out of a difference of sums.

use crate::capacity::{BUCKET_WORDS, BUCKETS};
use crate::sums::{FINGERPRINT_BIT, Place};
use crate::{BucketSet, KeyForm, Spec, Sums};
use paritas_model::{Class, Known};

/// A key as it comes out of a sketch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FoundKey {
    /// Canonical key bytes: the key itself.
    Inline(Vec<u8>),
    /// A hash of the key (of the row, where the whole row is the key). It is turned back into a key
    /// by [`crate::Locator`]. The second half is zero where the digest was blind.
    Fingerprint([u8; 16]),
}

/// A key whose rows differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which key.
    pub key: FoundKey,
    /// `Lost` when the source holds more rows under this key than the replica, `Extra` when it
    /// holds fewer, `Changed` when it holds as many but not the same.
    pub class: Class,
    /// How many more or fewer; 1 for `Changed`.
    pub copies: u64,
}

/// What a difference of sums says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The keys that differ, sorted.
    pub found: Vec<Found>,
    /// Whether these are all of them: the sketch was emptied and explains every dirty bucket.
    pub complete: bool,
    /// Dirty buckets that the keys found do not explain.
    pub unexplained_buckets: u32,
    /// Buckets with a difference.
    pub dirty: BucketSet,
    /// How many keys differ: exact when complete, otherwise estimated.
    pub estimate: Known<u64>,
}

/// Decodes `delta`, the source's sums minus the replica's. With a `spec`, decoded keys are also held
/// against their hashes.
pub fn decode(spec: &Spec, delta: &Sums) -> Decoded {
    decode_with(Some(spec), spec.key_form(), spec.key_width(), delta)
}

/// As [`decode`]; the form and width of keys come from the header where the spec is not known.
pub(crate) fn decode_with(spec: Option<&Spec>, form: KeyForm, width: usize, delta: &Sums) -> Decoded {
    let dirty = delta.dirty();
    let estimate = estimate(delta, &dirty);
    let rules = Rules { spec, form, width, blind: delta.blind };
    let (mut peeled, emptied, unexplained) = match form {
        KeyForm::Inline16 => peel::<8>(&rules, delta, &dirty),
        KeyForm::Inline8 | KeyForm::Fingerprint | KeyForm::WholeRow => peel::<6>(&rules, delta, &dirty),
    };
    // In the order of the keys: inline before fingerprints, each by its bytes.
    peeled.sort_unstable_by_key(|(peeled, _)| (rules.is_fingerprint(peeled), u128::from_be_bytes(rules.bytes(peeled))));
    let found: Vec<Found> = peeled.iter().map(|(peeled, count)| rules.name(peeled, *count)).collect();
    let complete = emptied && unexplained == 0;
    let estimate = match complete {
        true => Known::Known(found.len() as u64),
        false => estimate.map(|rows| rows.max(found.len() as u64)),
    };
    Decoded { found, complete, unexplained_buckets: unexplained, dirty, estimate }
}

/// What a decoded key must look like.
struct Rules<'a> {
    spec: Option<&'a Spec>,
    form: KeyForm,
    width: usize,
    blind: bool,
}

/// The limbs of a pure cell put together.
#[derive(Clone, Copy)]
struct Peeled {
    name: [u64; 2],
    place: u64,
}

/// Removes pure cells until none is left. Returns what they held, whether the tables are empty now,
/// and how many buckets remain unexplained.
fn peel<const WORDS: usize>(rules: &Rules<'_>, delta: &Sums, dirty: &BucketSet) -> (Vec<(Peeled, u64)>, bool, u32) {
    let mut tables = Tables::<WORDS>::new(delta);
    let mut books = Books::new(delta);
    let mut found = Vec::new();
    // Every cell once, then the cells of whatever was removed. A removal empties at least one cell
    // for good, so there are at most as many removals as cells.
    let cells = tables.cells.len();
    let mut queue: Vec<u32> = (0..cells as u32).rev().collect();
    let mut removals_left = cells;
    while let Some(index) = queue.pop() {
        let Some(cell) = tables.cells.get(index as usize).copied() else { continue };
        let Some(peeled) = pure(&cell) else { continue };
        let places = tables.places(peeled.place);
        if !places.contains(&(index as usize)) || !rules.allow(&peeled, cell[0]) || removals_left == 0 {
            continue;
        }
        removals_left -= 1;
        for place in places {
            if let Some(other) = tables.cells.get_mut(place) {
                for (word, gone) in other.iter_mut().zip(&cell) {
                    *word = word.wrapping_sub(*gone);
                }
                queue.push(place as u32);
            }
        }
        books.strike(Place::new(peeled.place).bucket(), cell[0], cell[1]);
        found.push((peeled, cell[0]));
    }
    let emptied = tables.cells.iter().all(|cell| cell.iter().all(|word| *word == 0));
    let unexplained = dirty.iter().filter(|bucket| !books.balanced(*bucket)).count();
    let clean_but_struck = (0..BUCKETS as u32).filter(|b| !dirty.contains(*b) && !books.balanced(*b)).count();
    (found, emptied, (unexplained + clean_but_struck) as u32)
}

/// Main and mop-up cells in one list.
struct Tables<const WORDS: usize> {
    cells: Vec<[u64; WORDS]>,
    slots: usize,
    mop_slots: usize,
}

impl<const WORDS: usize> Tables<WORDS> {
    fn new(delta: &Sums) -> Self {
        let mut cells = Vec::with_capacity(delta.capacity.main_cells() + delta.capacity.mop_cells());
        cells.extend_from_slice(delta.main.as_chunks::<WORDS>().0);
        cells.extend_from_slice(delta.mop.as_chunks::<WORDS>().0);
        Self { cells, slots: delta.capacity.slots(), mop_slots: delta.capacity.mop_slots() }
    }

    fn places(&self, place: u64) -> [usize; 6] {
        let place = Place::new(place);
        let ([a, b, c], [d, e, f]) = (place.main(self.slots), place.mop(self.mop_slots));
        let mop = 3 * self.slots;
        [a, b, c, mop + d, mop + e, mop + f]
    }
}

/// The largest power of two in a weight sum at which a cell may still be decoded. Beyond it a limb
/// would have less room than its 32 bits.
const SHIFT_MAX: u32 = 32;

/// Divides the limb sums of a cell by its weight sum. `None` unless every quotient is a limb.
fn pure<const WORDS: usize>(cell: &[u64; WORDS]) -> Option<Peeled> {
    let sum = cell[1];
    let shift = sum.trailing_zeros();
    if sum == 0 || shift > SHIFT_MAX {
        return None;
    }
    let inverse = odd_inverse(sum >> shift);
    let mask = u64::MAX >> shift;
    let mut limbs = [0; 6];
    for (limb, word) in limbs.iter_mut().zip(cell.iter().skip(2)) {
        let quotient = (word >> shift).wrapping_mul(inverse) & mask;
        if word & ((1 << shift) - 1) != 0 || quotient >> 32 != 0 {
            return None;
        }
        *limb = quotient;
    }
    let [a, b, c, d, e, f] = limbs;
    Some(match WORDS {
        8 => Peeled { name: [a | b << 32, c | d << 32], place: e | f << 32 },
        _ => Peeled { name: [a | b << 32, 0], place: c | d << 32 },
    })
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: each step doubles the number of
/// right bits, starting from the five of `3x ^ 2`.
fn odd_inverse(odd: u64) -> u64 {
    let mut inverse = odd.wrapping_mul(3) ^ 2;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

impl Rules<'_> {
    /// Whether the key could have been put in at all.
    fn allow(&self, peeled: &Peeled, count: u64) -> bool {
        let fingerprint = peeled.place & FINGERPRINT_BIT != 0;
        match self.form {
            // Rows of one row hash are equal, so a count of zero leaves nothing.
            KeyForm::WholeRow => fingerprint && count != 0,
            KeyForm::Fingerprint => fingerprint,
            KeyForm::Inline8 | KeyForm::Inline16 if self.blind => peeled.name == [0, 0],
            KeyForm::Inline8 | KeyForm::Inline16 if fingerprint => peeled.name[1] == 0,
            KeyForm::Inline8 | KeyForm::Inline16 => self.allow_inline(peeled),
        }
    }

    fn allow_inline(&self, peeled: &Peeled) -> bool {
        let bytes = name_bytes(peeled);
        let padding_is_zero = bytes.iter().skip(self.width).all(|byte| *byte == 0);
        let hash_agrees = self.spec.is_none_or(|spec| spec.inline_place(&bytes) == peeled.place);
        padding_is_zero && hash_agrees
    }

    fn is_fingerprint(&self, peeled: &Peeled) -> bool {
        let inline = matches!(self.form, KeyForm::Inline8 | KeyForm::Inline16);
        !inline || self.blind || peeled.place & FINGERPRINT_BIT != 0
    }

    fn bytes(&self, peeled: &Peeled) -> [u8; 16] {
        match self.is_fingerprint(peeled) {
            true => fingerprint(peeled.place, peeled.name[0]),
            false => name_bytes(peeled),
        }
    }

    fn name(&self, peeled: &Peeled, count: u64) -> Found {
        let bytes = self.bytes(peeled);
        let key = match self.is_fingerprint(peeled) {
            true => FoundKey::Fingerprint(bytes),
            false => FoundKey::Inline(bytes.into_iter().take(self.width).collect()),
        };
        // Counts are differences modulo 2^64; as signed numbers they are exact below 2^63 rows.
        let signed = count as i64;
        let class = match signed {
            0 => Class::Changed,
            1.. => Class::Lost,
            _ => Class::Extra,
        };
        Found { key, class, copies: signed.unsigned_abs().max(1) }
    }
}

/// The 16 bytes of a fingerprint: place and second half.
pub(crate) fn fingerprint(place: u64, rest: u64) -> [u8; 16] {
    (u128::from(place) | u128::from(rest) << 64).to_le_bytes()
}

fn name_bytes(peeled: &Peeled) -> [u8; 16] {
    let [low, high] = peeled.name;
    (u128::from(low) | u128::from(high) << 64).to_le_bytes()
}

/// Counts and weights of every bucket, from which what was decoded is struck off.
struct Books {
    left: Vec<(u64, u64)>,
    struck: BucketSet,
    dirty_before: BucketSet,
}

impl Books {
    fn new(delta: &Sums) -> Self {
        let left = delta.buckets.as_chunks::<BUCKET_WORDS>().0.iter().map(|words| (words[0], words[1])).collect();
        Self { left, struck: BucketSet::new(), dirty_before: delta.dirty() }
    }

    fn strike(&mut self, bucket: usize, count: u64, weight: u64) {
        if let Some((counts, weights)) = self.left.get_mut(bucket) {
            *counts = counts.wrapping_sub(count);
            *weights = weights.wrapping_sub(weight);
        }
        self.struck.insert(bucket as u32);
    }

    /// Whether what was decoded accounts for the bucket, and for a dirty one, that anything was.
    fn balanced(&self, bucket: u32) -> bool {
        let even = self.left.get(bucket as usize).is_some_and(|left| *left == (0, 0));
        even && self.struck.contains(bucket) == self.dirty_before.contains(bucket)
    }
}

/// Estimates the number of differing keys from how many counters they left untouched.
fn estimate(delta: &Sums, dirty: &BucketSet) -> Known<u64> {
    let slots = delta.capacity.slots();
    let (urns, hit) = if slots > BUCKETS {
        let cell = delta.form.cell_words();
        let hit = delta.main.chunks_exact(cell).filter(|cell| cell.iter().any(|word| *word != 0)).count();
        // Three tables are three samples of the same throw.
        (slots as f64, hit as f64 / 3.0)
    } else {
        (BUCKETS as f64, dirty.len() as f64)
    };
    // Every difference in counts is a difference, so their sum is a lower bound.
    let counts = delta.buckets.chunks_exact(BUCKET_WORDS).filter_map(|words| words.first());
    let at_least: u64 = counts.map(|count| (*count as i64).unsigned_abs()).fold(0, u64::saturating_add);
    if urns - hit < 0.5 {
        let why = format!("every part of the digest differs: more than about {} keys do", (urns * urns.ln()) as u64);
        return Known::unknown(why);
    }
    let thrown = (-urns * (1.0 - hit / urns).ln()).round() as u64;
    Known::Known(thrown.max(at_least))
}
