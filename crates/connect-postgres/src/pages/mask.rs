//! What of a page may differ between two servers that replayed the same log.
//!
//! Follows the server's own masks for checking that replay is consistent (`bufmask.c`, `heap_mask` and
//! `btree_mask` of versions 14 to 18), and is stricter in one place: of a heap tuple's information
//! bits only those are masked that are set without a log record. The others (who holds a lock,
//! whether a deleter is a group) are logged, and a reader depends on them.

use super::layout::{
    Bounds, CHECKSUM, FLAGS, HEADER, HINT_FLAGS, POINTER_FLAGS, PRUNE_XID, Pointer, btree, put, tuple, u16_at, u32_at,
};

/// How the pages of a relation are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Tables and their out-of-line values.
    Heap,
    /// B-trees.
    Btree,
}

impl Layout {
    /// The layout of an access method (`pg_am.amname`), if it is known.
    pub(crate) fn of(method: &str) -> Option<Self> {
        match method {
            "heap" => Some(Self::Heap),
            "btree" => Some(Self::Btree),
            _ => None,
        }
    }
}

/// Takes out of a page what may differ; its version goes as well. A page whose header makes no sense
/// keeps everything but checksum and version.
pub(crate) fn mask(layout: Layout, block: u64, page: &mut [u8]) {
    put(page, 0, &[0; CHECKSUM + 2]);
    let Some(bounds) = Bounds::of(page) else { return };
    let flags = u16_at(page, FLAGS) & !HINT_FLAGS;
    put(page, FLAGS, &flags.to_le_bytes());
    put(page, PRUNE_XID, &[0; 4]);
    if let Some(hole) = page.get_mut(bounds.lower..bounds.upper) {
        hole.fill(0);
    }
    match layout {
        Layout::Heap => heap(block, bounds, page),
        Layout::Btree => index(bounds, page),
    }
}

fn heap(block: u64, bounds: Bounds, page: &mut [u8]) {
    for item in 0..bounds.items() {
        let pointer = Pointer::at(page, item);
        if let Some(masked) = pointer.tuple(page).map(|tuple| u16_at(tuple, tuple::INFOMASK)).map(without_hints) {
            let at = pointer.offset;
            put(page, at + tuple::INFOMASK, &masked.to_le_bytes());
            put(page, at + tuple::COMMAND, &[0; 4]);
            if u16_at(page, at + tuple::CTID_ITEM) == tuple::SPECULATIVE {
                // Replay writes the tuple's own place where the token was.
                put(page, at + tuple::CTID, &own_place(block, item));
            }
        }
        if let Some((start, end)) = pointer.padding(page)
            && let Some(padding) = page.get_mut(start..end)
        {
            padding.fill(0);
        }
    }
}

/// A tuple's information bits without those that are set without a log record. Both bits of `xmin`
/// together mean that it is frozen, which is logged.
fn without_hints(bits: u16) -> u16 {
    let keep = if bits & tuple::XMIN_FROZEN == tuple::XMIN_FROZEN { tuple::XMIN_FROZEN } else { 0 };
    let hints = tuple::XMIN_FROZEN | tuple::XMAX_COMMITTED | tuple::XMAX_INVALID | tuple::COMBOCID;
    bits & !hints | keep
}

/// A place as it is stored: the halves of the block's number, then the item's.
fn own_place(block: u64, item: usize) -> [u8; 6] {
    let [high, low] = [(block >> 16) as u16, block as u16].map(u16::to_le_bytes);
    let item = u16::try_from(item + 1).unwrap_or(u16::MAX).to_le_bytes();
    [high[0], high[1], low[0], low[1], item[0], item[1]]
}

fn index(bounds: Bounds, page: &mut [u8]) {
    let end = bounds.special;
    if page.len().saturating_sub(end) < btree::BYTES {
        return;
    }
    let flags = u16_at(page, end + btree::FLAGS);
    put(page, end + btree::FLAGS, &(flags & !btree::UNLOGGED).to_le_bytes());
    put(page, end + btree::CYCLE, &[0; 2]);
    if flags & btree::DELETED != 0 {
        // Nothing in it is used any more, and replay makes the page anew.
        put(page, FLAGS + 2, &[0; 4]);
        if let Some(content) = page.get_mut(HEADER..end) {
            content.fill(0);
        }
    } else if flags & btree::LEAF != 0 {
        for item in 0..bounds.items() {
            let at = Pointer::place(item);
            let word = u32_at(page, at) & !POINTER_FLAGS;
            put(page, at, &word.to_le_bytes());
        }
    }
}
