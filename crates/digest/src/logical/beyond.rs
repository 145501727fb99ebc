//! Values that are well-formed and yet none of their column's slot, such as a text with three digits
//! after the point where the other side keeps two.
//!
//! They equal no value of the slot and are no NULL, so their rows differ from every row of a side
//! that has the slot's type: in the image they are a NULL whose slot holds a hash of the text, in a
//! delimited key they have a mark of their own. A kept digest may meet another file with such texts, so
//! two of them differ as well.

use super::target::{Misfit, Target};
use super::variable;
use crate::hash::{BLOCK, Lanes};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field};
use std::collections::HashMap;
use std::ops::Range;

/// Marks a field of a batch whose values are beyond the slot.
const MARK: &str = "paritas.beyond_slot";
/// First byte of such a value where it is written in full. No UTF-8 has it, so no text or number of a slot does either.
const BEYOND: u8 = 0xFE;

/// A field of a batch whose values, texts of type `Utf8View`, are all beyond their column's slot (or
/// NULL): well-formed, so that they are data, and equal to no value that the slot has. A slot of
/// texts or bytes has no values beyond it.
pub fn beyond_slot(name: &str) -> Field {
    Field::new(name, DataType::Utf8View, true).with_metadata(HashMap::from([(MARK.to_owned(), String::new())]))
}

/// Whether a field is marked so.
pub(crate) fn is_marked(field: &Field) -> bool {
    field.metadata().contains_key(MARK)
}

/// Whether a column of a batch is marked so.
pub(crate) fn marked(batch: &RecordBatch, column: usize) -> bool {
    batch.schema_ref().fields().get(column).is_some_and(|field| is_marked(field))
}

/// Fills slots with a hash of each text that ends in 0xFF, so that two texts beyond the slot differ as
/// well; their NULL bits are set by the caller. A NULL among the values stays one.
pub(crate) fn fill(
    array: &dyn Array,
    rows: Range<usize>,
    width: usize,
    lanes: &Lanes,
    target: &mut Target<'_>,
) -> Result<(), Misfit> {
    let mut message = Vec::new();
    for (place, row) in rows.enumerate() {
        message.clear();
        write_delimited(array, row, &mut message)?;
        if message.first() == Some(&variable::NULL) {
            target.zero(place);
            continue;
        }
        message.resize(message.len().next_multiple_of(BLOCK), 0);
        let mut slot = lanes.hash_one(&message);
        if let Some(last) = slot.get_mut(..width).and_then(<[u8]>::last_mut) {
            *last = 0xFF;
        }
        target.put(place, slot.get(..width).unwrap_or_default());
    }
    Ok(())
}

/// Appends a value so that it equals no value of a slot of `width` bytes, or of any variable slot.
/// `false`, and nothing appended, for NULL.
pub(crate) fn write_value(array: &dyn Array, row: usize, width: usize, out: &mut Vec<u8>) -> Result<bool, Misfit> {
    let texts = array.as_string_view_opt().ok_or(Misfit::Type)?;
    if texts.is_null(row) {
        return Ok(false);
    }
    let text = texts.value(row);
    out.push(BEYOND);
    out.extend_from_slice(text.as_bytes());
    out.resize(out.len() + (width + 1).saturating_sub(text.len() + 1), 0);
    Ok(true)
}

/// Appends a value of a key.
pub(crate) fn write_delimited(array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let texts = array.as_string_view_opt().ok_or(Misfit::Type)?;
    if texts.is_null(row) {
        out.push(variable::NULL);
        return Ok(());
    }
    let text = texts.value(row);
    out.push(BEYOND);
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
