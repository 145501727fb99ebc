//! Exact figures of groups of rows: counts, sums, smallest and largest values.
//!
//! Amounts are whole numbers of any size with a decimal scale ([`Decimal`]); nothing is ever rounded
//! and no binary float occurs. [`Figures`] add up in any order, so that parts of a dataset can be read
//! side by side, and [`Rule`] says what two sides' figures for one group have to agree on. Pure:
//! no input, no output, no clock.

mod decimal;
mod figures;
mod rule;
mod whole;

pub use decimal::{Amount, DIGITS_MAX, Decimal, OutOfRange};
pub use figures::{ColumnFigures, Figures};
pub use rule::{ColumnRule, Deviation, Rule};

/// Bytes that are no figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes that are no figures")
    }
}

impl std::error::Error for Malformed {}

/// Takes bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (front, rest) = bytes.split_at_checked(count).ok_or(Malformed)?;
    *bytes = rest;
    Ok(front)
}

/// Takes as many bytes as an array has.
fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Malformed> {
    take(bytes, N)?.try_into().map_err(|_| Malformed)
}
