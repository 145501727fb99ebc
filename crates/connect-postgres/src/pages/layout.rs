//! The layout of pages, as far as comparing them needs it. Bytes of a page are not trusted: what does
//! not fit is not there.
//!
//! Source: PostgreSQL documentation, "Database Page Layout"; `bufpage.h`, `itemid.h`, `htup_details.h`
//! of versions 14 to 18, which agree in all of this. Servers with
//! another byte order or alignment are refused before a page is read.

/// Bytes before the first line pointer.
pub(crate) const HEADER: usize = 24;
/// Where a tuple's alignment ends: multiples of this.
const ALIGNMENT: usize = 8;
/// Bytes of a line pointer.
const POINTER: usize = 4;

pub(crate) const CHECKSUM: usize = 8;
pub(crate) const FLAGS: usize = 10;
pub(crate) const LOWER: usize = 12;
pub(crate) const UPPER: usize = 14;
pub(crate) const SPECIAL: usize = 16;
pub(crate) const PRUNE_XID: usize = 20;

/// `PD_HAS_FREE_LINES`, `PD_PAGE_FULL`, `PD_ALL_VISIBLE`.
pub(crate) const HINT_FLAGS: u16 = 0x0007;
/// `PD_ALL_VISIBLE`.
pub(crate) const ALL_VISIBLE: u16 = 0x0004;

/// Fields of a heap tuple.
pub(crate) mod tuple {
    pub(crate) const XMIN: usize = 0;
    pub(crate) const XMAX: usize = 4;
    pub(crate) const COMMAND: usize = 8;
    pub(crate) const CTID: usize = 12;
    pub(crate) const CTID_ITEM: usize = 16;
    pub(crate) const INFOMASK: usize = 20;
    /// Where its data begin, from its start.
    pub(crate) const HOFF: usize = 22;
    /// Bytes up to the null bitmap.
    pub(crate) const HEADER: usize = 23;

    pub(crate) const XMAX_KEYSHR_LOCK: u16 = 0x0010;
    pub(crate) const COMBOCID: u16 = 0x0020;
    pub(crate) const XMAX_EXCL_LOCK: u16 = 0x0040;
    pub(crate) const XMAX_LOCK_ONLY: u16 = 0x0080;
    pub(crate) const XMIN_COMMITTED: u16 = 0x0100;
    pub(crate) const XMIN_INVALID: u16 = 0x0200;
    pub(crate) const XMIN_FROZEN: u16 = XMIN_COMMITTED | XMIN_INVALID;
    pub(crate) const XMAX_COMMITTED: u16 = 0x0400;
    pub(crate) const XMAX_INVALID: u16 = 0x0800;
    pub(crate) const XMAX_IS_MULTI: u16 = 0x1000;
    /// The item number of a tuple whose insertion is speculative.
    pub(crate) const SPECULATIVE: u16 = 0xFFFE;
}

/// Two bytes at a place, zero beyond the end.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |two| u16::from_le_bytes(*two))
}

/// Four bytes at a place, zero beyond the end.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_le_bytes(*four))
}

/// Eight bytes at a place, zero beyond the end.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at.saturating_add(4))) << 32
}

/// Writes bytes at a place, if they fit.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = at.checked_add(value.len()).and_then(|end| bytes.get_mut(at..end)) {
        slot.copy_from_slice(value);
    }
}

/// The log position of the page's newest logged change.
pub(crate) fn lsn(page: &[u8]) -> u64 {
    u64::from(u32_at(page, 0)) << 32 | u64::from(u32_at(page, 4))
}

/// Where the parts of a page begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) lower: usize,
    pub(crate) upper: usize,
    pub(crate) special: usize,
}

impl Bounds {
    /// The parts, if they make sense.
    #[inline]
    pub(crate) fn of(page: &[u8]) -> Option<Self> {
        let field = |at| usize::from(u16_at(page, at));
        let bounds = Self { lower: field(LOWER), upper: field(UPPER), special: field(SPECIAL) };
        let Self { lower, upper, special } = bounds;
        (HEADER <= lower && lower <= upper && upper <= special && special <= page.len()).then_some(bounds)
    }

    /// How many line pointers there are.
    pub(crate) fn items(self) -> usize {
        (self.lower - HEADER) / POINTER
    }
}

/// A line pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) offset: usize,
    pub(crate) length: usize,
    pub(crate) flags: u32,
}

/// The flags of a pointer to a tuple.
pub(crate) const NORMAL: u32 = 1;
/// The flags of a pointer to an entry that no reader needs any more.
pub(crate) const DEAD: u32 = 3;
const FLAGS_SHIFT: u32 = 15;
/// The bits of a pointer that say what it is.
pub(crate) const POINTER_FLAGS: u32 = 3 << FLAGS_SHIFT;

impl Pointer {
    /// Where the pointer of that number, from 0, is.
    pub(crate) fn place(index: usize) -> usize {
        HEADER + index * POINTER
    }

    #[inline]
    pub(crate) fn at(page: &[u8], index: usize) -> Self {
        let word = u32_at(page, Self::place(index));
        Self {
            offset: (word & 0x7FFF) as usize,
            flags: (word & POINTER_FLAGS) >> FLAGS_SHIFT,
            length: (word >> 17) as usize,
        }
    }

    /// Where its tuple ends, if it lies within the page.
    #[inline]
    pub(crate) fn end(self, page: &[u8]) -> Option<usize> {
        let end = self.offset + self.length;
        (self.offset >= HEADER && end <= page.len()).then_some(end)
    }

    /// The bytes after its tuple up to where the next may begin.
    pub(crate) fn padding(self, page: &[u8]) -> Option<(usize, usize)> {
        let end = self.end(page)?;
        let aligned = (self.offset + self.length.next_multiple_of(ALIGNMENT)).min(page.len());
        (self.length > 0 && end < aligned).then_some((end, aligned))
    }

    /// The heap tuple that it points to.
    #[inline]
    pub(crate) fn tuple(self, page: &[u8]) -> Option<&[u8]> {
        let end = self.end(page)?;
        let tuple = page.get(self.offset..end)?;
        (self.flags == NORMAL && tuple.len() >= tuple::HEADER).then_some(tuple)
    }
}
