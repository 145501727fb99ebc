//! Values of variable length, and single values of any slot.

use super::fixed;
use super::nested;
use super::number;
use super::target::{Misfit, Packer, Target};
use crate::{JsonPolicy, Policies, Slot};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, GenericByteArray, GenericByteViewArray};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;
use std::borrow::Cow;
use std::ops::Range;

/// Writes rows of a plain (not dictionary or run-end encoded) array. NULL rows are zeroed.
pub(crate) fn fill(
    array: &dyn Array,
    slot: &Slot,
    policies: &Policies,
    rows: Range<usize>,
    packer: &mut Packer<'_, '_>,
) -> Result<(), Misfit> {
    let raw = matches!(slot, Slot::Text | Slot::Bytes) || (*slot == Slot::Json && policies.json == JsonPolicy::Bytes);
    if raw && packer.is_compact() && fill_raw(array, slot, rows.clone(), packer)? {
        return Ok(());
    }
    for row in rows.clone() {
        if array.is_null(row) {
            packer.put_null(row - rows.start);
        } else {
            packer.put(row - rows.start, &bytes_of(array, slot, policies, row)?);
        }
    }
    Ok(())
}

/// The fast way for bytes as they are; `false` where there is none.
fn fill_raw(array: &dyn Array, slot: &Slot, rows: Range<usize>, packer: &mut Packer<'_, '_>) -> Result<bool, Misfit> {
    match (slot, array.data_type()) {
        (Slot::Text | Slot::Json, DataType::Utf8) => fill_bytes(array.as_bytes_opt::<Utf8Type>(), rows, packer),
        (Slot::Text | Slot::Json, DataType::LargeUtf8) => {
            fill_bytes(array.as_bytes_opt::<LargeUtf8Type>(), rows, packer)
        }
        (Slot::Text | Slot::Bytes, DataType::Binary) => fill_bytes(array.as_bytes_opt::<BinaryType>(), rows, packer),
        (Slot::Text | Slot::Bytes, DataType::LargeBinary) => {
            fill_bytes(array.as_bytes_opt::<LargeBinaryType>(), rows, packer)
        }
        (Slot::Text | Slot::Json, DataType::Utf8View) => {
            fill_views(array.as_byte_view_opt::<StringViewType>(), rows, packer)
        }
        (Slot::Text | Slot::Bytes, DataType::BinaryView) => {
            fill_views(array.as_byte_view_opt::<BinaryViewType>(), rows, packer)
        }
        _ => return Ok(false),
    }?;
    Ok(true)
}

fn fill_bytes<T: ByteArrayType>(
    array: Option<&GenericByteArray<T>>,
    rows: Range<usize>,
    packer: &mut Packer<'_, '_>,
) -> Result<(), Misfit> {
    let array = array.ok_or(Misfit::Type)?;
    let data = array.value_data();
    let nulls = array.nulls();
    let offsets = array.value_offsets().get(rows.start..=rows.end).unwrap_or_default();
    for ((place, row), pair) in rows.enumerate().zip(offsets.windows(2)) {
        match pair {
            _ if nulls.is_some_and(|nulls| nulls.is_null(row)) => packer.put_null(place),
            [start, end] => packer.put_at(place, data, start.as_usize(), end.as_usize()),
            _ => {}
        }
    }
    Ok(())
}

/// A view holds up to 12 bytes after its length, with zeros behind them. Source: Arrow columnar
/// format, "Variable-size Binary View Layout".
fn fill_views<T: ByteViewType>(
    array: Option<&GenericByteViewArray<T>>,
    rows: Range<usize>,
    packer: &mut Packer<'_, '_>,
) -> Result<(), Misfit> {
    const INLINE_MAX: u32 = 12;
    let array = array.ok_or(Misfit::Type)?;
    let views = array.views().get(rows.clone()).unwrap_or_default();
    let nulls = array.nulls();
    for ((place, row), view) in rows.enumerate().zip(views) {
        let length = *view as u32;
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            packer.put_null(place);
        } else if length <= INLINE_MAX {
            packer.put_short(place, view >> 32, length as usize);
        } else {
            let value: &T::Native = array.value(row);
            packer.put(place, value.as_ref());
        }
    }
    Ok(())
}

/// The bytes of a value that is not NULL, in a slot of variable length.
pub(crate) fn bytes_of<'a>(
    array: &'a dyn Array,
    slot: &Slot,
    policies: &Policies,
    row: usize,
) -> Result<Cow<'a, [u8]>, Misfit> {
    match slot {
        Slot::Text => raw(array, row).map(Cow::Borrowed).ok_or(Misfit::Type),
        Slot::Bytes if text(array, row).is_some() => Err(Misfit::Type),
        Slot::Bytes => raw(array, row).map(Cow::Borrowed).ok_or(Misfit::Type),
        Slot::Json => {
            let text = text(array, row).ok_or(Misfit::Type)?;
            match policies.json {
                JsonPolicy::Bytes => Ok(Cow::Borrowed(text.as_bytes())),
                JsonPolicy::Canonical => {
                    super::json::canonical(text).map(Cow::Owned).map_err(|why| Misfit::Row(row, why))
                }
            }
        }
        Slot::DecimalAny | Slot::DecimalExact => decimal(array, row, *slot == Slot::DecimalExact).map(Cow::Owned),
        Slot::Nested(logical) => {
            let mut out = Vec::new();
            nested::write(array, logical, policies, row, &mut out).map_err(|misfit| at_row(misfit, row))?;
            Ok(Cow::Owned(out))
        }
        _ => Err(Misfit::Type),
    }
}

/// A misfit inside a nested value is one of the row that holds it.
fn at_row(misfit: Misfit, row: usize) -> Misfit {
    match misfit {
        Misfit::Row(_, why) => Misfit::Row(row, why),
        Misfit::Type => Misfit::Type,
    }
}

fn text(array: &dyn Array, row: usize) -> Option<&str> {
    match array.data_type() {
        DataType::Utf8 => Some(array.as_bytes_opt::<Utf8Type>()?.value(row)),
        DataType::LargeUtf8 => Some(array.as_bytes_opt::<LargeUtf8Type>()?.value(row)),
        DataType::Utf8View => Some(array.as_byte_view_opt::<StringViewType>()?.value(row)),
        _ => None,
    }
}

fn raw(array: &dyn Array, row: usize) -> Option<&[u8]> {
    match array.data_type() {
        DataType::Binary => Some(array.as_bytes_opt::<BinaryType>()?.value(row)),
        DataType::LargeBinary => Some(array.as_bytes_opt::<LargeBinaryType>()?.value(row)),
        DataType::BinaryView => Some(array.as_byte_view_opt::<BinaryViewType>()?.value(row)),
        DataType::FixedSizeBinary(_) => Some(array.as_fixed_size_binary_opt()?.value(row)),
        _ => text(array, row).map(str::as_bytes),
    }
}

fn decimal(array: &dyn Array, row: usize, exact: bool) -> Result<Vec<u8>, Misfit> {
    fn unscaled<T: ArrowPrimitiveType<Native: ToString>>(array: &dyn Array, row: usize, scale: i8) -> Option<String> {
        let value = array.as_primitive_opt::<T>()?.value(row);
        Some(number::from_unscaled(&value.to_string(), scale))
    }
    let number = match *array.data_type() {
        DataType::Decimal32(_, scale) => unscaled::<Decimal32Type>(array, row, scale),
        DataType::Decimal64(_, scale) => unscaled::<Decimal64Type>(array, row, scale),
        DataType::Decimal128(_, scale) => unscaled::<Decimal128Type>(array, row, scale),
        DataType::Decimal256(_, scale) => unscaled::<Decimal256Type>(array, row, scale),
        DataType::Int8 => unscaled::<Int8Type>(array, row, 0),
        DataType::Int16 => unscaled::<Int16Type>(array, row, 0),
        DataType::Int32 => unscaled::<Int32Type>(array, row, 0),
        DataType::Int64 => unscaled::<Int64Type>(array, row, 0),
        DataType::UInt8 => unscaled::<UInt8Type>(array, row, 0),
        DataType::UInt16 => unscaled::<UInt16Type>(array, row, 0),
        DataType::UInt32 => unscaled::<UInt32Type>(array, row, 0),
        DataType::UInt64 => unscaled::<UInt64Type>(array, row, 0),
        _ => text(array, row).map(str::to_owned),
    };
    let number = number.ok_or(Misfit::Type)?;
    let normal = number::normalised(&number, exact);
    normal.map(String::into_bytes).ok_or_else(|| Misfit::Row(row, format!("{number:?} is not a number")))
}

/// Follows dictionaries and runs down to where a row's value lies; `None` for NULL.
pub(crate) fn locate(array: &dyn Array, row: usize) -> Result<Option<(&dyn Array, usize)>, Misfit> {
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let keys = dictionary.keys();
        return match key_at(keys, row) {
            None if keys.is_null(row) => Ok(None),
            None => Err(Misfit::Row(row, "its dictionary key lies outside the dictionary".to_owned())),
            Some(index) if index < dictionary.values().len() => locate(dictionary.values().as_ref(), index),
            Some(_) => Err(Misfit::Row(row, "its dictionary key lies outside the dictionary".to_owned())),
        };
    }
    if let DataType::RunEndEncoded(ends, _) = array.data_type() {
        return match ends.data_type() {
            DataType::Int16 => in_runs::<Int16Type>(array, row),
            DataType::Int32 => in_runs::<Int32Type>(array, row),
            _ => in_runs::<Int64Type>(array, row),
        };
    }
    let null = *array.data_type() == DataType::Null || array.is_null(row);
    Ok((!null).then_some((array, row)))
}

fn in_runs<T: RunEndIndexType>(array: &dyn Array, row: usize) -> Result<Option<(&dyn Array, usize)>, Misfit> {
    let runs = array.as_run_opt::<T>().ok_or(Misfit::Type)?;
    locate(runs.values().as_ref(), runs.get_physical_index(row))
}

fn key_at(keys: &dyn Array, row: usize) -> Option<usize> {
    fn get<T: ArrowPrimitiveType<Native: TryInto<usize>>>(keys: &dyn Array, row: usize) -> Option<usize> {
        keys.as_primitive_opt::<T>()?.value(row).try_into().ok()
    }
    if keys.is_null(row) {
        return None;
    }
    match keys.data_type() {
        DataType::Int8 => get::<Int8Type>(keys, row),
        DataType::Int16 => get::<Int16Type>(keys, row),
        DataType::Int32 => get::<Int32Type>(keys, row),
        DataType::Int64 => get::<Int64Type>(keys, row),
        DataType::UInt8 => get::<UInt8Type>(keys, row),
        DataType::UInt16 => get::<UInt16Type>(keys, row),
        DataType::UInt32 => get::<UInt32Type>(keys, row),
        DataType::UInt64 => get::<UInt64Type>(keys, row),
        _ => None,
    }
}

/// Whether a plain Arrow type can be written into a slot of variable length.
pub(crate) fn fits(data_type: &DataType, slot: &Slot) -> bool {
    let text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let bytes = matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    let bytes = bytes || matches!(data_type, DataType::FixedSizeBinary(_));
    match slot {
        Slot::Text => text || bytes,
        Slot::Bytes => bytes,
        Slot::Json => text,
        Slot::DecimalAny | Slot::DecimalExact => text || data_type.is_integer() || data_type.is_decimal(),
        Slot::Nested(_) => data_type.is_nested(),
        _ => false,
    }
}

/// Bytes that a slot takes in a row image; `None` for slots of variable length.
pub(crate) fn width_of(slot: &Slot) -> Option<usize> {
    match slot {
        Slot::Interval => Some(16),
        Slot::Wire { .. } => None,
        _ => slot.fixed_width().map(|width| width as usize),
    }
}

/// Appends the canonical bytes of one value of any slot, in full. `false`, and nothing appended, for
/// NULL.
pub(crate) fn write_value(
    array: &dyn Array,
    slot: &Slot,
    policies: &Policies,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<bool, Misfit> {
    let Some((array, place)) = locate(array, row)? else {
        return Ok(false);
    };
    let written = match width_of(slot) {
        Some(width) => {
            let start = out.len();
            out.resize(start + width, 0);
            let bytes = out.get_mut(start..).unwrap_or_default();
            fixed::fill(array, slot, policies, place..place + 1, &mut Target::new(bytes, width, 0, width))
        }
        None => bytes_of(array, slot, policies, place).map(|bytes| out.extend_from_slice(&bytes)),
    };
    written.map(|()| true).map_err(|misfit| at_row(misfit, row))
}

/// Appends a value so that it delimits itself: a mark, and unless NULL its length and bytes.
pub(crate) fn write_delimited(
    array: &dyn Array,
    slot: &Slot,
    policies: &Policies,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Misfit> {
    let mark = out.len();
    out.push(PRESENT);
    out.extend_from_slice(&[0; 8]);
    if !write_value(array, slot, policies, row, out)? {
        out.truncate(mark);
        out.push(NULL);
        return Ok(());
    }
    let length = (out.len() - mark - 9) as u64;
    if let Some(place) = out.get_mut(mark + 1..mark + 9) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    Ok(())
}

/// Mark in front of a value that is there.
pub(crate) const PRESENT: u8 = 0x01;
/// Mark of a NULL. No byte of an inline key of Bools looks like it.
pub(crate) const NULL: u8 = 0xFF;
