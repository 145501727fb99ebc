//! What of a page may differ between two servers that replayed the same log.
//!
//! Follows the server's own masks for checking that replay is consistent (`bufmask.c`, `heap_mask`,
//! and those of the access methods, in [`super::index`], of versions 14 to 18), and is stricter where a
//! reader depends on more: of a heap tuple's information bits only those are masked that are set
//! without a log record. The others (who holds a lock, whether a deleter is a group) are logged.

use super::layout::{Bounds, CHECKSUM, FLAGS, HINT_FLAGS, PRUNE_XID, Pointer, put, tuple, u16_at};
use super::{index, sequence};

/// What the method of a sequence begins with; its increment follows.
pub(crate) const SEQUENCE: &str = "sequence by ";

/// How the pages of a relation are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Tables and their out-of-line values.
    Heap,
    /// B-trees.
    Btree,
    /// Hash indexes.
    Hash,
    /// Inverted indexes.
    Gin,
    /// Generalised search trees.
    Gist,
    /// Space-partitioned search trees.
    Spgist,
    /// Summaries of ranges of blocks.
    Brin,
    /// A sequence, with its increment.
    Sequence(i64),
    /// Visibility maps. They are not compared page by page: see [`super::map`].
    Map,
}

impl Layout {
    /// The layout of an access method (`pg_am.amname`), a sequence or a map, if it is known.
    pub(crate) fn of(method: &str) -> Option<Self> {
        match method {
            "heap" => Some(Self::Heap),
            "btree" => Some(Self::Btree),
            "hash" => Some(Self::Hash),
            "gin" => Some(Self::Gin),
            "gist" => Some(Self::Gist),
            "spgist" => Some(Self::Spgist),
            "brin" => Some(Self::Brin),
            "visibility map" => Some(Self::Map),
            _ => method.strip_prefix(SEQUENCE)?.parse().ok().map(Self::Sequence),
        }
    }
}

/// Takes out of a page what may differ; its version goes as well. A page whose header makes no sense
/// keeps everything but checksum and version.
pub(crate) fn mask(layout: Layout, block: u64, page: &mut [u8]) {
    put(page, 0, &[0; CHECKSUM + 2]);
    let Some(bounds) = Bounds::of(page) else { return };
    if !matches!(layout, Layout::Sequence(_)) {
        let flags = u16_at(page, FLAGS) & !HINT_FLAGS;
        put(page, FLAGS, &flags.to_le_bytes());
        put(page, PRUNE_XID, &[0; 4]);
    }
    if index::has_hole(layout, bounds, page)
        && let Some(hole) = page.get_mut(bounds.lower..bounds.upper)
    {
        hole.fill(0);
    }
    match layout {
        Layout::Heap => heap(block, bounds, page),
        Layout::Btree => index::btree(bounds, page),
        Layout::Hash => index::hash(bounds, page),
        Layout::Gin => index::gin(bounds, page),
        Layout::Gist => index::gist(bounds, page),
        Layout::Spgist => index::spgist(bounds, page),
        Layout::Brin => index::brin(bounds, page),
        Layout::Sequence(_) => sequence::mask(page),
        Layout::Map => {}
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
