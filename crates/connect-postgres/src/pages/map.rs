//! Visibility maps: two bits for each page of a table, all rows visible to everybody and all frozen.
//!
//! Setting bits is logged with a version for the map's page; clearing them is part of the records that
//! change the table, without one (`visibilitymap.c` of versions 14 to 18). A bit that is missing costs
//! time; one that is too many gives index-only scans rows that nobody may see, or lets vacuum pass by rows
//! that must be frozen. Bits of the replica that the source does not have are not wrong yet: a primary
//! that crashed may have forgotten some. They are wrong where the table's own page on the replica
//! contradicts them: the server sets the page's flag before the map's bit and clears it after it.

use super::layout::{ALL_VISIBLE, Bounds, FLAGS, HEADER, Pointer, tuple, u16_at, u32_at};
use paritas_connect::Claim;

/// Pages of the table in one byte of the map.
const PER_BYTE: u64 = 4;
const BITS: u8 = 3;
const VISIBLE: u8 = 1;
const FROZEN: u8 = 2;

/// The pages of which the replica's map says what the source's does not.
pub(crate) fn claims(page_bytes: usize, block: u64, source: &[u8], replica: &[u8]) -> Vec<Claim> {
    let Some(theirs) = replica.get(HEADER..page_bytes) else { return Vec::new() };
    let ours = source.get(HEADER..page_bytes).unwrap_or_default();
    let first = block * theirs.len() as u64 * PER_BYTE;
    let mut claims = Vec::new();
    for (index, theirs) in theirs.iter().enumerate() {
        let more = theirs & !ours.get(index).copied().unwrap_or(0);
        if more == 0 {
            continue;
        }
        for page in 0..PER_BYTE {
            let bits = more >> (2 * page) & BITS;
            if bits != 0 {
                claims.push(Claim { block: first + index as u64 * PER_BYTE + page, bits });
            }
        }
    }
    claims
}

/// Whether a page of the table contradicts what the map says of it. Of one that is not there the map must
/// say nothing: rows that come to stand there would be believed to be visible.
pub(crate) fn contradicts(claim: Claim, page: &[u8]) -> bool {
    let Some(bounds) = Bounds::of(page) else { return true };
    let visible = u16_at(page, FLAGS) & ALL_VISIBLE != 0;
    if claim.bits & (VISIBLE | FROZEN) != 0 && !visible {
        return true;
    }
    claim.bits & FROZEN != 0 && (0..bounds.items()).filter_map(|item| Pointer::at(page, item).tuple(page)).any(unfrozen)
}

/// Whether a row must be frozen one day (`heap_tuple_needs_eventual_freeze`).
fn unfrozen(row: &[u8]) -> bool {
    let bits = u16_at(row, tuple::INFOMASK);
    let normal = |xid: u32| xid >= super::compare::FIRST_NORMAL;
    let writer = bits & tuple::XMIN_FROZEN != tuple::XMIN_FROZEN && normal(u32_at(row, tuple::XMIN));
    let deleter = u32_at(row, tuple::XMAX);
    writer || if bits & tuple::XMAX_IS_MULTI != 0 { deleter != 0 } else { normal(deleter) }
}
