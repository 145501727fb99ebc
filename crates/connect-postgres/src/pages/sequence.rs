//! Sequences: one page with one row.
//!
//! `nextval` logs values ahead of those that it has handed out: the record holds the last value that it
//! may come to, and the page of the primary the one that it has reached, with the number of values in
//! between. Replay writes what the record holds. So in one version only where the log has come to is the
//! same on both sides. (`nextval_internal`, `seq_redo` and `seq_mask` of versions 14 to 18.)

use super::layout::{Pointer, put, tuple, u64_at};

/// Fields of the row, from the start of its data.
const LAST_VALUE: usize = 0;
const LOGGED_AHEAD: usize = 8;
const BYTES: usize = 17;

/// Where the data of the row begin in the page.
fn data(page: &[u8]) -> Option<usize> {
    let pointer = Pointer::at(page, 0);
    let row = pointer.tuple(page)?;
    let start = usize::from(*row.get(tuple::HOFF)?);
    (row.len() >= start.checked_add(BYTES)?).then_some(pointer.offset + start)
}

/// Takes out how far the values have come; [`reached`] is compared instead.
pub(super) fn mask(page: &mut [u8]) {
    if let Some(at) = data(page) {
        put(page, at + LAST_VALUE, &[0; 8]);
        put(page, at + LOGGED_AHEAD, &[0; 8]);
    }
}

/// The last value that the log has come to.
pub(super) fn reached(page: &[u8], increment: i64) -> Option<i128> {
    let at = data(page)?;
    let number = |field: usize| i128::from(u64_at(page, at + field).cast_signed());
    Some(number(LAST_VALUE) + number(LOGGED_AHEAD) * i128::from(increment))
}
