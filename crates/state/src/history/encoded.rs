//! The counts of an encoded histogram, without making the histogram: the V2 format of HdrHistogram.
//!
//! A header of 40 bytes, numbers big endian: a cookie, the length of what follows, an offset (0), significant digits, the
//! lowest and the highest value, a ratio (1.0). Then one number for each count in the order of values, in zigzag code as a
//! little endian base 128 number of at most 9 bytes. A negative number stands for as many counts of zero.

use super::aggregate::DIGITS;

const COOKIE: u32 = 0x1c84_9313;
const HEADER_BYTES: usize = 40;
/// Values below twice this many have a count each; above, each doubling has as many.
const HALF: usize = 1_024;
const HALF_BITS: u32 = HALF.trailing_zeros();
/// No histogram of 64-bit values has more counts.
const COUNTS_MAX: usize = (64 - HALF_BITS as usize + 1) * HALF;

/// Hands out every count that is not zero, with its place in the order of values. `None` where the bytes are no
/// histogram as this program writes them.
pub(super) fn counts(bytes: &[u8], mut each: impl FnMut(usize, u64)) -> Option<()> {
    let (header, mut rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let word = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_be_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let is_ours = word(0)? == COOKIE
        && usize::try_from(word(4)?).ok()? == rest.len()
        && word(8)? == 0
        && word(12)? == u32::from(DIGITS)
        && long(16)? == 1
        && long(32)? == 1.0_f64.to_bits();
    if !is_ours {
        return None;
    }
    let mut index = 0_usize;
    while !rest.is_empty() {
        let number = zigzag(&mut rest)?;
        match u64::try_from(number) {
            Ok(0) => index += 1,
            Ok(count) => {
                if index >= COUNTS_MAX {
                    return None;
                }
                each(index, count);
                index += 1;
            }
            Err(_) => index = index.checked_add(usize::try_from(number.unsigned_abs()).ok()?)?,
        }
    }
    Some(())
}

/// The lowest value that is counted at a place.
pub(super) fn value_of(index: usize) -> u64 {
    let (doubling, within) = (index / HALF, index % HALF);
    match doubling.checked_sub(1) {
        None => within as u64,
        Some(shift) => {
            u32::try_from(shift).ok().and_then(|shift| ((within + HALF) as u64).checked_shl(shift)).unwrap_or(u64::MAX)
        }
    }
}

fn zigzag(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for place in 0..9_u32 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if place == 8 {
            // The last one has no mark, and all of its bits count.
            number |= u64::from(*byte) << 56;
            break;
        }
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Serializer as _, V2Serializer};
    use proptest::prelude::*;

    fn written(histogram: &Histogram<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn what_the_library_writes_is_read_count_by_count(
            values in proptest::collection::vec((0_u32..=60, any::<u64>(), 1_u64..1 << 40), 0..40),
        ) {
            let mut histogram = Histogram::<u64>::new(DIGITS).unwrap();
            for (bits, value, count) in values {
                histogram.record_n(value & ((1 << bits) - 1), count).unwrap();
            }
            let mut again = Histogram::<u64>::new(DIGITS).unwrap();
            let mut last = None;
            counts(&written(&histogram), |index, count| {
                assert!(last < Some(index));
                last = Some(index);
                again.record_n(value_of(index), count).unwrap();
            }).unwrap();
            prop_assert_eq!(again, histogram);
        }

        #[test]
        fn other_bytes_are_no_histogram_or_one_without_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0_usize..80) {
            prop_assert!(counts(&bytes, |_, _| ()).is_none());
            let mut histogram = Histogram::<u64>::new(DIGITS).unwrap();
            histogram.record(123_456).unwrap();
            bytes = written(&histogram);
            bytes.truncate(cut.min(bytes.len() - 1));
            prop_assert!(counts(&bytes, |_, _| ()).is_none());
        }
    }
}
