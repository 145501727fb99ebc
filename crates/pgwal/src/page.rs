//! Page headers. Source: `access/xlog_internal.h`, and `XLogReaderValidatePageHeader` in `xlogreader.c`.

use crate::fields::Fields;
use crate::segment::SegmentSize;

/// Bytes of the header that every page has, aligned to eight.
pub(crate) const SHORT_HEADER: usize = 24;
/// Bytes of the header of the first page of a segment.
pub(crate) const LONG_HEADER: usize = 40;
/// Page sizes a server can have been built with.
const PAGE_MIN: u32 = 1 << 10;
const PAGE_MAX: u32 = 1 << 16;

const FIRST_IS_CONTINUATION: u16 = 0x0001;
const LONG: u16 = 0x0002;
const FIRST_IS_OVERWRITE: u16 = 0x0008;
const ALL_FLAGS: u16 = 0x000F;

/// A major version of PostgreSQL whose log can be read; told by the magic number of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Version {
    V14,
    V15,
    V16,
    V17,
    V18,
}

impl Version {
    /// From `XLOG_PAGE_MAGIC`; `None` for versions this crate does not know.
    pub fn from_magic(magic: u16) -> Option<Self> {
        match magic {
            0xD10D => Some(Self::V14),
            0xD110 => Some(Self::V15),
            0xD113 => Some(Self::V16),
            0xD116 => Some(Self::V17),
            0xD118 => Some(Self::V18),
            _ => None,
        }
    }

    /// The major version as a number, such as 17.
    pub fn major(self) -> u32 {
        match self {
            Self::V14 => 14,
            Self::V15 => 15,
            Self::V16 => 16,
            Self::V17 => 17,
            Self::V18 => 18,
        }
    }
}

/// What every page begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub magic: u16,
    flags: u16,
    pub timeline: u32,
    /// The position of the page in the log.
    pub address: u64,
    /// Bytes of the record that began on an earlier page, from here on.
    pub remaining: u32,
}

impl PageHeader {
    /// `None` when there are too few bytes.
    pub(crate) fn parse(page: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(page.get(..SHORT_HEADER)?);
        Some(Self {
            magic: fields.u16()?,
            flags: fields.u16()?,
            timeline: fields.u32()?,
            address: fields.u64()?,
            remaining: fields.u32()?,
        })
    }

    pub(crate) fn is_long(self) -> bool {
        self.flags & LONG != 0
    }

    pub(crate) fn continues(self) -> bool {
        self.flags & FIRST_IS_CONTINUATION != 0
    }

    /// Whether this page begins with a record that replaces the rest of a broken one.
    pub(crate) fn overwrites(self) -> bool {
        self.flags & FIRST_IS_OVERWRITE != 0
    }

    pub(crate) fn flags_are_known(self) -> bool {
        self.flags & !ALL_FLAGS == 0
    }

    pub(crate) fn bytes(self) -> usize {
        if self.is_long() { LONG_HEADER } else { SHORT_HEADER }
    }
}

/// What the first page of a segment says about the whole log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub version: Version,
    pub system_identifier: u64,
    pub segment: SegmentSize,
    /// Bytes of a page: 8,192 unless built otherwise.
    pub page: u32,
}

impl Layout {
    /// `None` when these bytes do not begin with a long header of a version that is known.
    pub(crate) fn parse(page: &[u8]) -> Option<Self> {
        let header = PageHeader::parse(page)?;
        let version = Version::from_magic(header.magic)?;
        if !header.is_long() || !header.flags_are_known() {
            return None;
        }
        let mut fields = Fields::new(page.get(SHORT_HEADER..LONG_HEADER)?);
        let system_identifier = fields.u64()?;
        let segment = SegmentSize::new(fields.u32()?)?;
        let page = fields.u32()?;
        let possible = page.is_power_of_two() && (PAGE_MIN..=PAGE_MAX).contains(&page);
        possible.then_some(Self { version, system_identifier, segment, page })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0xD10D, Some(14))]
    #[case(0xD110, Some(15))]
    #[case(0xD113, Some(16))]
    #[case(0xD116, Some(17))]
    #[case(0xD118, Some(18))]
    #[case(0xD106, None)]
    #[case(0x0DD1, None)]
    fn the_magic_number_tells_the_version(#[case] magic: u16, #[case] major: Option<u32>) {
        assert_eq!(Version::from_magic(magic).map(Version::major), major);
    }
}
