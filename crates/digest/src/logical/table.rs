//! Dictionary and run-end encoded columns: every distinct value becomes a slot once.

use super::fixed;
use super::target::{LongValues, Misfit, Packer, Target};
use super::variable::{self, locate, width_of, write_value};
use crate::hash::Lanes;
use crate::{Policies, Slot};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use std::ops::Range;

/// The slots of all values of a column and which of them every row has.
pub(crate) struct Table {
    slots: Vec<u8>,
    width: usize,
    rows: Vec<u32>,
    nulls: bool,
}

/// The row is NULL.
const NULL_ROW: u32 = u32::MAX;

/// How the slots of one column are made.
#[derive(Clone, Copy)]
pub(crate) struct Packing<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) policies: &'a Policies,
    pub(crate) lanes: &'a Lanes,
    /// Bytes of the slot.
    pub(crate) width: usize,
}

impl Packing<'_> {
    /// Writes rows of a plain array.
    pub(crate) fn fill(
        &self,
        array: &dyn Array,
        rows: Range<usize>,
        target: &mut Target<'_>,
        long: &mut LongValues,
    ) -> Result<(), Misfit> {
        if width_of(self.slot).is_some() {
            return fixed::fill(array, self.slot, self.policies, rows, target);
        }
        let mut packer = Packer::new(target, self.lanes, long);
        variable::fill(array, self.slot, self.policies, rows, &mut packer)?;
        packer.finish();
        Ok(())
    }
}

impl Table {
    /// The table of an encoded column; `None` for a plain one.
    pub(crate) fn new(array: &dyn Array, packing: &Packing<'_>) -> Result<Option<Self>, Misfit> {
        let Some((values, mut rows)) = encoded(array)? else {
            return Ok(None);
        };
        let width = packing.width;
        let mut table = Self { slots: vec![0; values.len() * width], width, rows: Vec::new(), nulls: false };
        let plain = !is_encoded(values.data_type()) && *values.data_type() != DataType::Null;
        // A dictionary may hold far more than the rows of this batch use, and what is not used need
        // not fit; then only what is used is written.
        let all_at_once = plain && values.len() <= 2 * rows.len() && {
            let mut target = Target::new(&mut table.slots, width, 0, width);
            match packing.fill(values.as_ref(), 0..values.len(), &mut target, &mut LongValues::default()) {
                Ok(()) => true,
                Err(Misfit::Row(..)) => false,
                Err(Misfit::Type) => return Err(Misfit::Type),
            }
        };
        if !all_at_once {
            table.write_used(values.as_ref(), &rows, packing)?;
        }
        // Plain values without a NULL among them, the usual case, need no look at every row.
        if !plain || values.null_count() > 0 {
            for row in &mut rows {
                if *row != NULL_ROW && locate(values.as_ref(), *row as usize)?.is_none() {
                    *row = NULL_ROW;
                }
            }
        }
        table.nulls = rows.contains(&NULL_ROW);
        table.rows = rows;
        Ok(Some(table))
    }

    fn write_used(&mut self, values: &dyn Array, rows: &[u32], packing: &Packing<'_>) -> Result<(), Misfit> {
        let mut done = vec![false; values.len()];
        let mut long = LongValues::default();
        let mut target = Target::new(&mut self.slots, self.width, 0, self.width);
        let mut packer = width_of(packing.slot).is_none().then(|| Packer::new(&mut target, packing.lanes, &mut long));
        let mut bytes = Vec::new();
        let mut fixed = Vec::new();
        for (row, index) in rows.iter().enumerate() {
            let Some(done) = done.get_mut(*index as usize).filter(|done| !**done) else { continue };
            *done = true;
            bytes.clear();
            let place = *index as usize;
            let present =
                write_value(values, packing.slot, packing.policies, place, &mut bytes).map_err(
                    |misfit| match misfit {
                        Misfit::Row(_, why) => Misfit::Row(row, why),
                        Misfit::Type => Misfit::Type,
                    },
                )?;
            match &mut packer {
                _ if !present => {}
                Some(packer) => packer.put(place, &bytes),
                None => fixed.push((place, bytes.clone())),
            }
        }
        if let Some(packer) = packer {
            packer.finish();
        }
        let mut target = Target::new(&mut self.slots, self.width, 0, self.width);
        fixed.iter().for_each(|(place, bytes)| target.put(*place, bytes));
        Ok(())
    }

    /// Writes rows of the column.
    pub(crate) fn fill(&self, rows: Range<usize>, target: &mut Target<'_>) {
        let slots = self.slots.as_chunks::<16>().0;
        if self.width == 16 {
            let rows = self.rows.get(rows).unwrap_or_default().iter();
            // No slot has the number of a NULL row.
            target.put_all(rows.map(|index| slots.get(*index as usize).copied().unwrap_or_default()));
            return;
        }
        for (place, index) in self.rows.get(rows).unwrap_or_default().iter().enumerate() {
            let start = *index as usize * self.width;
            match self.slots.get(start..start + self.width) {
                Some(slot) if *index != NULL_ROW => target.put(place, slot),
                _ => target.zero(place),
            }
        }
    }

    /// Whether any row of the column is NULL.
    pub(crate) fn has_nulls(&self) -> bool {
        self.nulls
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.rows.get(row).is_none_or(|index| *index == NULL_ROW)
    }
}

fn is_encoded(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(..) | DataType::RunEndEncoded(..))
}

/// Values and, for every row, which of them it has. `None` for plain arrays.
fn encoded(array: &dyn Array) -> Result<Option<(&ArrayRef, Vec<u32>)>, Misfit> {
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let values = dictionary.values();
        if values.is_empty() {
            // Every row is NULL, and there is nothing that keys could be normalized to.
            return Ok(Some((values, vec![NULL_ROW; array.len()])));
        }
        let keys = dictionary.normalized_keys();
        let nulls = dictionary.keys().nulls();
        let rows = keys.iter().enumerate().map(|(row, key)| match nulls {
            Some(nulls) if nulls.is_null(row) => NULL_ROW,
            _ => *key as u32,
        });
        return Ok(Some((values, rows.collect())));
    }
    if let DataType::RunEndEncoded(ends, _) = array.data_type() {
        return match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array),
            DataType::Int32 => runs::<Int32Type>(array),
            _ => runs::<Int64Type>(array),
        };
    }
    Ok(None)
}

fn runs<T: RunEndIndexType>(array: &dyn Array) -> Result<Option<(&ArrayRef, Vec<u32>)>, Misfit> {
    let runs = array.as_run_opt::<T>().ok_or(Misfit::Type)?;
    let rows = (0..array.len()).map(|row| runs.get_physical_index(row) as u32).collect();
    Ok(Some((runs.values(), rows)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use arrow_array::{DictionaryArray, StringArray};
    use std::sync::Arc;

    #[test]
    fn a_dictionary_without_values_has_only_null_rows() {
        let keys = arrow_array::Int32Array::from(vec![None, None]);
        let array = DictionaryArray::new(keys, Arc::new(StringArray::from(Vec::<&str>::new())));
        let (values, rows) = match encoded(&array) {
            Ok(Some(found)) => found,
            _ => panic!("not seen as encoded"),
        };
        assert_eq!((values.len(), rows), (0, vec![NULL_ROW, NULL_ROW]));
    }
}
