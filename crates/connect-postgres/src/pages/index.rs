//! What of the pages of indexes may differ, by access method.
//!
//! After the masks of the server's own check that replay is consistent: `btree_mask`, `hash_mask`,
//! `gin_mask`, `gist_mask`, `spg_mask` and `brin_mask` of versions 14 to 18. Three things differ from
//! them, because here whole pages are compared and not one record's work:
//!
//! - Of line pointers only the difference between an entry in use and a dead one is masked. No log record
//!   stands behind it; whether a pointer is used at all is logged.
//! - In a GiST page the sequence number of the last split and the mark that the right neighbour has no
//!   parent are compared. The server masks them because it takes its image before they are set, under
//!   one lock; a reader that finds them wrong misses rows.
//! - The metapage of SP-GiST caches which pages have room, without a log record. No record replays it, so
//!   that the server never comes to compare it.

use super::layout::{Bounds, DEAD, FLAGS, HEADER, NORMAL, POINTER_FLAGS, Pointer, put, u16_at, u32_at};
use super::mask::Layout;

/// Fields at the end of a B-tree page, from the start of the special space (`nbtree.h`).
pub(crate) mod btree {
    pub(crate) const FLAGS: usize = 12;
    pub(crate) const CYCLE: usize = 14;
    pub(crate) const BYTES: usize = 16;
    pub(crate) const LEAF: u16 = 0x0001;
    pub(crate) const DELETED: u16 = 0x0004;
    /// `BTP_SPLIT_END` and `BTP_HAS_GARBAGE`.
    pub(crate) const UNLOGGED: u16 = 0x0060;
}

/// Of a hash page (`hash.h`).
pub(crate) mod hash {
    pub(crate) const FLAGS: usize = 12;
    pub(crate) const BYTES: usize = 16;
    pub(crate) const OVERFLOW: u16 = 0x0001;
    pub(crate) const BUCKET: u16 = 0x0002;
    /// `LH_PAGE_TYPE`; none of it means an unused page.
    pub(crate) const KIND: u16 = 0x000F;
    pub(crate) const DEAD_TUPLES: u16 = 0x0080;
}

/// Of a GIN page (`ginblock.h`).
pub(crate) mod gin {
    pub(crate) const FLAGS: usize = 6;
    pub(crate) const BYTES: usize = 8;
    pub(crate) const DELETED: u16 = 0x0004;
}

/// Of a GiST page (`gist.h`).
pub(crate) mod gist {
    pub(crate) const FLAGS: usize = 12;
    pub(crate) const BYTES: usize = 16;
    pub(crate) const LEAF: u16 = 0x0001;
    pub(crate) const GARBAGE: u16 = 0x0010;
}

/// Of an SP-GiST page (`spgist_private.h`).
pub(crate) mod spgist {
    pub(crate) const BYTES: usize = 8;
    pub(crate) const META: u16 = 0x0001;
    /// Bytes of the magic number at the start of the metapage; the cache follows.
    pub(crate) const MAGIC: usize = 4;
    /// The metapage and the two roots; their places are fixed.
    pub(crate) const FIXED: u64 = 3;
}

/// Of a BRIN page (`brin_page.h`).
pub(crate) mod brin {
    pub(crate) const FLAGS: usize = 4;
    pub(crate) const KIND: usize = 6;
    pub(crate) const BYTES: usize = 8;
    pub(crate) const META: u16 = 0xF091;
    pub(crate) const REGULAR: u16 = 0xF093;
    pub(crate) const EVACUATE: u16 = 0x0001;
}

/// Whether what lies between the bounds of a page is unused. Some pages keep data there.
pub(crate) fn has_hole(layout: Layout, bounds: Bounds, page: &[u8]) -> bool {
    match layout {
        Layout::Gin => bounds.lower > HEADER,
        Layout::Brin => match u16_at(page, bounds.special + brin::KIND) {
            brin::REGULAR => true,
            brin::META => bounds.lower > HEADER,
            _ => false,
        },
        Layout::Map => false,
        _ => true,
    }
}

pub(crate) fn btree(bounds: Bounds, page: &mut [u8]) {
    let end = bounds.special;
    if page.len().saturating_sub(end) < btree::BYTES {
        return;
    }
    let flags = u16_at(page, end + btree::FLAGS);
    put(page, end + btree::FLAGS, &(flags & !btree::UNLOGGED).to_le_bytes());
    put(page, end + btree::CYCLE, &[0; 2]);
    if flags & btree::DELETED != 0 {
        // Nothing in it is used any more, and replay makes the page anew.
        content(page, end);
    } else if flags & btree::LEAF != 0 {
        revive(bounds, page);
    }
}

pub(crate) fn hash(bounds: Bounds, page: &mut [u8]) {
    let end = bounds.special;
    if page.len().saturating_sub(end) < hash::BYTES {
        return;
    }
    let flags = u16_at(page, end + hash::FLAGS);
    put(page, end + hash::FLAGS, &(flags & !hash::DEAD_TUPLES).to_le_bytes());
    match flags & hash::KIND {
        // An unused page: whoever takes it makes it anew.
        0 => {
            content(page, end);
            put(page, end, &[0; hash::FLAGS]);
        }
        hash::BUCKET | hash::OVERFLOW => revive(bounds, page),
        _ => {}
    }
}

pub(crate) fn gin(bounds: Bounds, page: &mut [u8]) {
    let end = bounds.special;
    if page.len().saturating_sub(end) < gin::BYTES {
        return;
    }
    let flags = u16_at(page, end + gin::FLAGS);
    if flags & gin::DELETED != 0 {
        content(page, end);
    }
    if flags == gin::DELETED {
        // A page of the list of pending entries: replay makes it anew, the primary only changes the flags.
        // Nothing leads there, other than to deleted pages of a tree, whose links readers follow.
        put(page, end, &[0; gin::FLAGS]);
    }
}

pub(crate) fn gist(bounds: Bounds, page: &mut [u8]) {
    let end = bounds.special;
    if page.len().saturating_sub(end) < gist::BYTES {
        return;
    }
    let flags = u16_at(page, end + gist::FLAGS);
    put(page, end + gist::FLAGS, &(flags & !gist::GARBAGE).to_le_bytes());
    if flags & gist::LEAF != 0 {
        revive(bounds, page);
    }
}

pub(crate) fn spgist(bounds: Bounds, page: &mut [u8]) {
    let end = bounds.special;
    if page.len().saturating_sub(end) >= spgist::BYTES
        && u16_at(page, end) & spgist::META != 0
        && let Some(cache) = page.get_mut(HEADER + spgist::MAGIC..bounds.lower)
    {
        cache.fill(0);
    }
}

pub(crate) fn brin(bounds: Bounds, page: &mut [u8]) {
    let end = bounds.special;
    if page.len().saturating_sub(end) >= brin::BYTES {
        let flags = u16_at(page, end + brin::FLAGS) & !brin::EVACUATE;
        put(page, end + brin::FLAGS, &flags.to_le_bytes());
    }
}

/// Whether nothing but the header of a page was ever written, so that a page of zeros means the same.
/// Servers prepare a new page before the record that logs it, and an error in between leaves it so. In
/// SP-GiST any page without entries counts as one: it may be prepared again at any time without a
/// record (`allocNewBuffer`), and nothing leads to it.
pub(crate) fn is_blank(layout: Layout, block: u64, page: &[u8]) -> bool {
    let Some(bounds) = Bounds::of(page) else { return false };
    if bounds.lower > HEADER {
        return false;
    }
    let unlogged = u32_at(page, 0) == 0 && u32_at(page, 4) == 0;
    let empty = || page.get(HEADER..bounds.special).is_some_and(|content| content.iter().all(|byte| *byte == 0));
    (layout == Layout::Spgist && block >= spgist::FIXED) || (unlogged && empty())
}

/// Takes out everything between header and special space, and the bounds.
fn content(page: &mut [u8], special: usize) {
    put(page, FLAGS + 2, &[0; 4]);
    if let Some(content) = page.get_mut(HEADER..special) {
        content.fill(0);
    }
}

/// Shows dead entries as entries in use.
fn revive(bounds: Bounds, page: &mut [u8]) {
    for item in 0..bounds.items() {
        if Pointer::at(page, item).flags == DEAD {
            let at = Pointer::place(item);
            let word = u32_at(page, at) & !POINTER_FLAGS | NORMAL << POINTER_FLAGS.trailing_zeros();
            put(page, at, &word.to_le_bytes());
        }
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
