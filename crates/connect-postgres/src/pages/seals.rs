//! Pages that the server digests itself, so that only 32 bytes of each cross the wire.
//!
//! `sha256` is built in, needs no extension, and takes about as long as copying the page to the client
//! does. What it covers is cut out in SQL: not the version and the checksum, which stand in front of the
//! flags; and of pages with a sensible header, in relations where all of these may have a hole, neither the
//! flags, which are compared by themselves, nor the hole, in which a server that replayed a whole page has
//! zeros and its source has not. Everything else of [`super::mask`] would need a look at each entry: pages that differ there have other
//! digests, and are read.

use super::layout::{ALL_VISIBLE, Bounds, FLAGS, HEADER, HINT_FLAGS, LOWER, PRUNE_XID, SPECIAL, UPPER, lsn, u16_at};
use super::mask::Layout;
use crate::errors::malformed;
use paritas_connect::{Result, SEAL_BYTES, Seal};
use sha2::{Digest as _, Sha256};

/// What is handed out as it is: version, checksum, flags.
const HEAD: usize = FLAGS + 2;
/// The number of the page, the head and the digest, each with its length in front.
const ROW: usize = 4 + 8 + 4 + HEAD + 4 + SEAL_BYTES;

/// Whether all pages of a relation may have a hole, and hints in their header, that are cut out.
fn is_cut(layout: Layout) -> bool {
    match layout {
        Layout::Heap | Layout::Btree | Layout::Hash | Layout::Gist | Layout::Spgist => true,
        Layout::Gin | Layout::Brin | Layout::Sequence(_) | Layout::Map => false,
    }
}

/// The columns of a statement that seals pages, and what stands between these and the rows `(block, page)`.
pub(super) fn select(layout: Layout, page_bytes: usize, pages: &str) -> String {
    // With the flags: what a page without a sensible header may differ in is its version and its checksum.
    let whole = format!("substr(page, {})", FLAGS + 1);
    // Without OFFSET 0 the page could be read once for each mention.
    if !is_cut(layout) {
        return format!("SELECT block, substr(page, 1, {HEAD}), sha256({whole}) FROM ({pages} OFFSET 0) AS raw");
    }
    let word = |at: usize| format!("get_byte(page, {}) + 256 * get_byte(page, {})", at, at + 1);
    let bounds = format!("lower >= {HEADER} AND lower <= upper AND upper <= special AND special <= {page_bytes}");
    let parts = format!(
        "substr(page, {}, {}) || substr(page, {}, lower - {HEADER}) || substr(page, upper + 1)",
        HEAD + 1,
        PRUNE_XID - HEAD,
        HEADER + 1
    );
    format!(
        "SELECT block, substr(page, 1, {HEAD}), sha256(CASE WHEN {bounds} THEN {parts} ELSE {whole} END) \
         FROM (SELECT block, page, {} AS lower, {} AS upper, {} AS special FROM ({pages} OFFSET 0) AS raw OFFSET 0) \
           AS bounded",
        word(LOWER),
        word(UPPER),
        word(SPECIAL)
    )
}

/// The seal in a row of that statement, whose number must be the expected one.
pub(super) fn of_row(row: &[u8], expected: u64) -> Result<Seal> {
    let read = || {
        let row: &[u8; ROW] = row.try_into().ok()?;
        let number = field::<8>(row, 0)?;
        let head = field::<HEAD>(row, 4 + 8)?;
        let digest = field::<SEAL_BYTES>(row, 4 + 8 + 4 + HEAD)?;
        (u64::from_be_bytes(*number) == expected).then(|| of_head(head, *digest))
    };
    read().ok_or_else(|| malformed("something else than the digest of the page that was asked for"))
}

/// The field of that length at a place.
fn field<const LENGTH: usize>(row: &[u8], at: usize) -> Option<&[u8; LENGTH]> {
    let (length, rest) = row.get(at..)?.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*length) as usize == LENGTH).then(|| rest.first_chunk())?
}

fn of_head(head: &[u8], digest: [u8; SEAL_BYTES]) -> Seal {
    Seal { version: lsn(head), marks: u16_at(head, FLAGS), digest }
}

/// The seal that a server makes of this page.
pub(crate) fn of_page(layout: Layout, page: &[u8]) -> Seal {
    let mut digest = Sha256::new();
    let mut put = |range: std::ops::Range<usize>| digest.update(page.get(range).unwrap_or_default());
    match Bounds::of(page).filter(|_| is_cut(layout)) {
        Some(bounds) => {
            put(HEAD..PRUNE_XID);
            put(HEADER..bounds.lower);
            put(bounds.upper..page.len());
        }
        None => put(FLAGS..page.len()),
    }
    of_head(page, digest.finalize().into())
}

/// Whether pages of these seals are equal in one version; of maps, whether they say the same. `hinted` says
/// whether the servers log hints.
pub(crate) fn alike(layout: Layout, hinted: bool, source: &Seal, replica: &Seal) -> bool {
    if source.digest != replica.digest {
        return false;
    }
    let flags = |seal: &Seal, but: u16| seal.marks & !but;
    match layout {
        // Clearing bits has no version of its own.
        Layout::Map => true,
        Layout::Sequence(_) => source.version == replica.version && source.marks == replica.marks,
        // As when pages are compared: the replica never has this flag alone.
        Layout::Heap if hinted && replica.marks & !source.marks & ALL_VISIBLE != 0 => false,
        _ => source.version == replica.version && flags(source, HINT_FLAGS) == flags(replica, HINT_FLAGS),
    }
}

#[cfg(test)]
#[path = "seals_tests.rs"]
mod tests;
