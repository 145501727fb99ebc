//! Rows of Arrow columns as bytes.
//!
//! A row image has a fixed length for a canon: a NULL bitmap, then the slots of all columns, then
//! zeros up to whole BLAKE3 blocks. Images are written column by column into a strided buffer of
//! some hundred rows that stays in the cache.

mod beyond;
mod fixed;
mod json;
mod nested;
mod number;
mod table;
mod target;
mod variable;

pub use beyond::beyond_slot;
pub(crate) use beyond::{is_marked, marked, write_value as write_beyond};
pub use json::canonical_json;
pub(crate) use variable::write_value;

use crate::hash::{BLOCK, Lanes};
use crate::rows::{CHUNK_ROWS, Parts};
use crate::{CanonColumn, DigestError, ImagePolicy, KeyForm, Policies, Slot, Spec};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use std::ops::Range;
use table::{Packing, Table};
use target::Target;
pub(crate) use target::{LongValues, Misfit};

/// Buffers that are kept from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct ImagerScratch {
    images: Vec<u8>,
    stride: usize,
    long: LongValues,
    keys: LongValues,
}

impl ImagerScratch {
    /// The keys written by [`Imager::encode_keys`], padded, by row.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.keys.iter()
    }
}

/// A batch and how its rows become images.
pub(crate) struct Imager<'a> {
    columns: Vec<Column<'a>>,
    key: &'a [CanonColumn],
    batch: &'a RecordBatch,
    policies: &'a Policies,
    lanes: &'a Lanes,
    bitmap: usize,
    stride: usize,
    key_width: usize,
}

struct Column<'a> {
    name: &'a str,
    slot: &'a Slot,
    array: &'a dyn Array,
    table: Option<Table>,
    beyond: bool,
    offset: usize,
    width: usize,
}

impl Column<'_> {
    fn may_be_null(&self) -> bool {
        match &self.table {
            Some(table) => table.has_nulls(),
            None => self.beyond || *self.array.data_type() == DataType::Null || self.array.null_count() > 0,
        }
    }
}

impl<'a> Imager<'a> {
    pub(crate) fn new(spec: &'a Spec, batch: &'a RecordBatch, parts: Parts) -> Result<Self, DigestError> {
        let canon = spec.canon();
        if batch.num_columns() != canon.columns.len() {
            return Err(DigestError::Columns { found: batch.num_columns(), expected: canon.columns.len() });
        }
        let used = match (parts, spec.key_form()) {
            (Parts::All, _) | (Parts::Keys, KeyForm::WholeRow) => canon.columns.len(),
            (Parts::Keys, KeyForm::Inline8 | KeyForm::Inline16) => canon.key_columns,
            (Parts::Keys, KeyForm::Fingerprint) => 0,
        };
        let bitmap = used.div_ceil(8);
        let mut imager = Self {
            columns: Vec::with_capacity(used),
            key: canon.key(),
            batch,
            policies: &canon.policies,
            lanes: &spec.value_lanes,
            bitmap,
            stride: 0,
            key_width: spec.key_width(),
        };
        let mut offset = bitmap;
        for (column, array) in canon.columns.iter().zip(batch.columns()).take(used) {
            let (name, slot, array) = (column.name.as_str(), &column.slot, array.as_ref());
            let width = image_width(slot, &canon.policies);
            let beyond = marked(batch, imager.columns.len());
            let table = match beyond {
                true => None,
                false => Table::new(array, &imager.packing(slot, width)).map_err(|m| named(m, column, array))?,
            };
            imager.columns.push(Column { name, slot, array, table, beyond, offset, width });
            offset += width;
        }
        imager.stride = offset.next_multiple_of(BLOCK);
        Ok(imager)
    }

    fn packing(&self, slot: &'a Slot, width: usize) -> Packing<'a> {
        Packing { slot, policies: self.policies, lanes: self.lanes, width }
    }

    /// Writes the images of `rows`, at most [`CHUNK_ROWS`].
    pub(crate) fn encode(&self, rows: Range<usize>, scratch: &mut ImagerScratch) -> Result<(), DigestError> {
        let ImagerScratch { images, stride, long, .. } = scratch;
        if *stride != self.stride {
            images.clear();
            images.resize(self.stride * CHUNK_ROWS, 0);
            *stride = self.stride;
        }
        if self.stride == 0 {
            return Ok(());
        }
        for image in images.chunks_exact_mut(self.stride).take(rows.len()) {
            image.iter_mut().take(self.bitmap).for_each(|byte| *byte = 0);
        }
        let used = images.get_mut(..self.stride * rows.len()).unwrap_or_default();
        for (index, column) in self.columns.iter().enumerate() {
            self.encode_column(column, rows.clone(), used, long)?;
            self.mark_nulls(index, column, rows.clone(), used);
        }
        Ok(())
    }

    fn encode_column(
        &self,
        column: &Column<'a>,
        rows: Range<usize>,
        images: &mut [u8],
        long: &mut LongValues,
    ) -> Result<(), DigestError> {
        let mut target = Target::new(images, self.stride, column.offset, column.width);
        if column.beyond {
            return beyond::fill(column.array, rows, column.width, self.lanes, &mut target)
                .map_err(|misfit| misfit_error(misfit, column.name, column.slot, column.array));
        }
        if let Some(table) = &column.table {
            table.fill(rows, &mut target);
            return Ok(());
        }
        if *column.array.data_type() == DataType::Null {
            (0..rows.len()).for_each(|row| target.zero(row));
            return Ok(());
        }
        let packing = self.packing(column.slot, column.width);
        packing
            .fill(column.array, rows, &mut target, long)
            .map_err(|misfit| misfit_error(misfit, column.name, column.slot, column.array))
    }

    fn mark_nulls(&self, index: usize, column: &Column<'_>, rows: Range<usize>, images: &mut [u8]) {
        let mut mark = |is_null: &dyn Fn(usize) -> bool| {
            for (row, image) in rows.clone().zip(images.chunks_exact_mut(self.stride)) {
                if let Some(byte) = image.get_mut(index / 8).filter(|_| is_null(row)) {
                    *byte |= 1 << (index % 8);
                }
            }
        };
        match (&column.table, column.array.nulls()) {
            _ if column.beyond => mark(&|_| true),
            (Some(table), _) if !table.has_nulls() => {}
            (Some(table), _) => mark(&|row| table.is_null(row)),
            (None, _) if *column.array.data_type() == DataType::Null => mark(&|_| true),
            (None, Some(nulls)) if nulls.null_count() > 0 => mark(&|row| nulls.is_null(row)),
            (None, _) => {}
        }
    }

    /// Bytes of every image.
    pub(crate) fn image_len(&self) -> usize {
        self.stride
    }

    /// The image of a row of the chunk.
    pub(crate) fn image<'s>(&self, scratch: &'s ImagerScratch, row: usize) -> &'s [u8] {
        scratch.images.get(row * self.stride..(row + 1) * self.stride).unwrap_or_default()
    }

    /// The bytes of an inline key: key columns come first, so they follow the bitmap.
    pub(crate) fn inline_key<'s>(&self, scratch: &'s ImagerScratch, row: usize) -> &'s [u8] {
        let start = row * self.stride + self.bitmap;
        scratch.images.get(start..start + self.key_width).unwrap_or_default()
    }

    /// Rows of the chunk with a NULL in their inline key, with the key as a padded message.
    pub(crate) fn null_keys(
        &self,
        rows: Range<usize>,
        scratch: &mut ImagerScratch,
    ) -> Result<Vec<(usize, Vec<u8>)>, DigestError> {
        let mut result = Vec::new();
        if !self.columns.iter().take(self.key.len()).any(Column::may_be_null) {
            return Ok(result);
        }
        for (place, row) in rows.enumerate() {
            let image = self.image(scratch, place);
            let null = |column: &usize| image.get(column / 8).is_some_and(|byte| byte >> (column % 8) & 1 == 1);
            if (0..self.key.len()).any(|column| null(&column)) {
                let mut key = Vec::new();
                self.write_key(row, &mut key)?;
                key.resize(key.len().next_multiple_of(BLOCK), 0);
                result.push((place, key));
            }
        }
        Ok(result)
    }

    /// Writes the keys of `rows` as self-delimiting messages.
    pub(crate) fn encode_keys(&self, rows: Range<usize>, scratch: &mut ImagerScratch) -> Result<(), DigestError> {
        scratch.keys.clear();
        for (place, row) in rows.enumerate() {
            scratch.keys.push_with(place, |out| self.write_key(row, out))?;
        }
        Ok(())
    }

    fn write_key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), DigestError> {
        write_key(self.key, self.policies, self.batch, row, out)
    }
}

/// Appends the key columns of a row, each delimiting itself.
pub(crate) fn write_key(
    key: &[CanonColumn],
    policies: &Policies,
    batch: &RecordBatch,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), DigestError> {
    for (index, (column, array)) in key.iter().zip(batch.columns()).enumerate() {
        if marked(batch, index) {
            beyond::write_delimited(array.as_ref(), row, out)
                .map_err(|misfit| named(misfit, column, array.as_ref()))?;
            continue;
        }
        variable::write_delimited(array.as_ref(), &column.slot, policies, row, out)
            .map_err(|misfit| named(misfit, column, array.as_ref()))?;
    }
    Ok(())
}

/// Whether the type of an array fits a slot. Types inside nested values are looked at row by row.
pub(crate) fn check_type(array: &dyn Array, column: &CanonColumn, policies: &Policies) -> Result<(), DigestError> {
    let mut values = array;
    loop {
        match (values.as_any_dictionary_opt(), values.data_type()) {
            (Some(dictionary), _) => values = dictionary.values().as_ref(),
            (None, DataType::RunEndEncoded(..) | DataType::Null) => return Ok(()),
            (None, data_type) if variable::fits(data_type, &column.slot) => return Ok(()),
            (None, _) if variable::width_of(&column.slot).is_none() => {
                return Err(named(Misfit::Type, column, array));
            }
            (None, _) => {
                let mut target = Target::new(&mut [], 1, 0, 1);
                return fixed::fill(values, &column.slot, policies, 0..0, &mut target)
                    .map_err(|misfit| named(misfit, column, array));
            }
        }
    }
}

/// Bytes of a slot in a row image.
fn image_width(slot: &Slot, policies: &Policies) -> usize {
    variable::width_of(slot).unwrap_or(match policies.image {
        ImagePolicy::Compact => 16,
        ImagePolicy::Wide => 32,
    })
}

pub(crate) fn named(misfit: Misfit, column: &CanonColumn, array: &dyn Array) -> DigestError {
    misfit_error(misfit, &column.name, &column.slot, array)
}

fn misfit_error(misfit: Misfit, column: &str, slot: &Slot, array: &dyn Array) -> DigestError {
    let column = column.to_owned();
    match misfit {
        Misfit::Row(row, why) => DigestError::Value { column, row, why },
        Misfit::Type => {
            let slot = serde_json::to_string(slot).unwrap_or_default();
            DigestError::Type { column, found: array.data_type().to_string(), slot }
        }
    }
}
