//! Lists, structs and maps as self-delimiting bytes.

use super::target::Misfit;
use super::variable::{NULL, PRESENT, locate, write_delimited};
use crate::Policies;
use crate::negotiate::slot_of;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use paritas_model::{Field, LogicalType};

/// Appends a value of any type. Lists and maps: a mark, the number of items, the items. Structs: a
/// mark and the fields in the order of `logical`, which both sides share. Entries of maps come in
/// the order in which they are stored, so the same entries in another order are another value.
pub(crate) fn write(
    array: &dyn Array,
    logical: &LogicalType,
    policies: &Policies,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Misfit> {
    let leaf = !matches!(logical, LogicalType::List(_) | LogicalType::Struct(_) | LogicalType::Map(..));
    if leaf {
        let slot = slot_of(logical, policies).ok_or(Misfit::Type)?;
        return write_delimited(array, &slot, policies, row, out);
    }
    let Some((array, row)) = locate(array, row)? else {
        out.push(NULL);
        return Ok(());
    };
    out.push(PRESENT);
    match logical {
        LogicalType::List(item) => {
            let items = list_at(array, row).ok_or(Misfit::Type)?;
            out.extend_from_slice(&(items.len() as u64).to_le_bytes());
            (0..items.len()).try_for_each(|index| write(items.as_ref(), item, policies, index, out))
        }
        LogicalType::Struct(fields) => write_struct(array, fields, policies, row, out),
        LogicalType::Map(key, value) => {
            let entries = array.as_map_opt().ok_or(Misfit::Type)?.value(row);
            out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
            let (keys, values) = (entries.column(0), entries.column(1));
            (0..entries.len()).try_for_each(|index| {
                write(keys.as_ref(), key, policies, index, out)?;
                write(values.as_ref(), value, policies, index, out)
            })
        }
        _ => Err(Misfit::Type),
    }
}

fn write_struct(
    array: &dyn Array,
    fields: &[Field],
    policies: &Policies,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Misfit> {
    let array = array.as_struct_opt().filter(|array| array.num_columns() == fields.len()).ok_or(Misfit::Type)?;
    fields.iter().try_for_each(|field| {
        let column = array.column_by_name(&field.name).ok_or(Misfit::Type)?;
        write(column.as_ref(), &field.logical, policies, row, out)
    })
}

fn list_at(array: &dyn Array, row: usize) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::List(_) => Some(array.as_list_opt::<i32>()?.value(row)),
        DataType::LargeList(_) => Some(array.as_list_opt::<i64>()?.value(row)),
        DataType::FixedSizeList(..) => Some(array.as_fixed_size_list_opt()?.value(row)),
        DataType::ListView(_) => Some(array.as_list_view_opt::<i32>()?.value(row)),
        DataType::LargeListView(_) => Some(array.as_list_view_opt::<i64>()?.value(row)),
        _ => None,
    }
}
