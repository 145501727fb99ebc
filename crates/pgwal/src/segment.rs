//! Names of segment files. Source: `access/xlog_internal.h` (`XLogFileName`, `XLogFromFileName`).

use std::fmt;

/// Digits of a file name: eight each for the timeline and the two halves of the segment number.
const NAME_DIGITS: usize = 24;
/// The smallest and largest segment `initdb --wal-segsize` can make.
const SIZE_MIN: u32 = 1 << 20;
const SIZE_MAX: u32 = 1 << 30;

/// The size of segment files in bytes: a power of two from 1 MiB to 1 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSize(u32);

impl SegmentSize {
    /// `None` when no server can have been made with this size.
    pub fn new(bytes: u32) -> Option<Self> {
        (bytes.is_power_of_two() && (SIZE_MIN..=SIZE_MAX).contains(&bytes)).then_some(Self(bytes))
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.0)
    }

    fn per_high_half(self) -> u64 {
        (1 << 32) / self.bytes()
    }
}

/// Which stretch of the log a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// The timeline in its name.
    pub timeline: u32,
    /// The number of the segment: position divided by segment size.
    pub number: u64,
}

impl Segment {
    /// Reads a file name; `None` for any other file (`.history`, `.backup`, unfinished copies) and for
    /// numbers that segments of this size do not have. The flag says whether it ends with `.partial`.
    pub fn parse(name: &str, size: SegmentSize) -> Option<(Self, bool)> {
        let (timeline, high, low, partial) = halves(name)?;
        let per_high = size.per_high_half();
        (low < per_high).then_some((Self { timeline, number: high * per_high + low }, partial))
    }

    /// The name of its file.
    pub fn name(self, size: SegmentSize) -> String {
        let per_high = size.per_high_half();
        format!("{:08X}{:08X}{:08X}", self.timeline, self.number / per_high, self.number % per_high)
    }
}

/// Timeline and the two halves of a name, before the segment size is known.
pub(crate) fn halves(name: &str) -> Option<(u32, u64, u64, bool)> {
    let (digits, partial) = match name.strip_suffix(".partial") {
        Some(digits) => (digits, true),
        None => (name, false),
    };
    let plain = digits.len() == NAME_DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    let part = |at: usize| u32::from_str_radix(digits.get(at..at + 8)?, 16).ok();
    plain.then(|| Some((part(0)?, part(8)?.into(), part(16)?.into(), partial)))?
}

impl fmt::Display for SegmentSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0 >> 20)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("000000010000000000000001", 16, 1, 1, false)]
    #[case("0000000A00000001000000FF", 16, 10, 0x1FF, false)]
    #[case("000000010000000100000000.partial", 64, 1, 64, true)]
    #[case("000000010000000100000FFF", 1, 1, 0x1FFF, false)]
    #[case("000000010000000300000003", 1024, 1, 15, false)]
    fn names_are_read(
        #[case] name: &str,
        #[case] mib: u32,
        #[case] timeline: u32,
        #[case] number: u64,
        #[case] partial: bool,
    ) {
        let size = SegmentSize::new(mib << 20).unwrap();
        assert_eq!(Segment::parse(name, size), Some((Segment { timeline, number }, partial)));
    }

    #[rstest]
    #[case("00000001000000000000000")]
    #[case("0000000100000000000000011")]
    #[case("00000001000000000000000g")]
    #[case("00000001000000000000000a")]
    #[case("000000010000000000000100")]
    #[case("00000002.history")]
    #[case("000000010000000000000001.00000028.backup")]
    #[case("000000010000000000000001.tmp")]
    #[case("archive_status")]
    #[case("é00000000000000000000000")]
    fn other_files_are_no_segments(#[case] name: &str) {
        assert_eq!(Segment::parse(name, SegmentSize::new(16 << 20).unwrap()), None);
    }

    #[rstest]
    #[case(0)]
    #[case(1 << 19)]
    #[case((16 << 20) + 1)]
    #[case(1 << 31)]
    fn impossible_sizes_are_refused(#[case] bytes: u32) {
        assert_eq!(SegmentSize::new(bytes), None);
    }

    proptest! {
        #[test]
        fn a_name_read_back_is_the_same_segment(timeline in 1_u32.., number in 0_u64..1 << 34, shift in 20_u32..31) {
            let size = SegmentSize::new(1 << shift).unwrap();
            let number = number % ((1 << 32) * size.per_high_half());
            let segment = Segment { timeline, number };
            prop_assert_eq!(Segment::parse(&segment.name(size), size), Some((segment, false)));
        }
    }
}
