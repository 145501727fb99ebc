//! Rows of Arrow batches by value, for connectors that hand out Arrow.

use crate::arrow_value::show_arrow;
use crate::shown;
use crate::{Error, FailureKind, FetchedField, FetchedRow, Result};
use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use paritas_digest::{Canon, Encoder, Slot};
use paritas_model::Value;

/// The given rows of a batch, in the order asked for. The batch has the canon's columns in the
/// canon's order, in any Arrow types that fit its slots. `found`, `place` and `version` are left to
/// the caller.
///
/// # Errors
/// `data.unreadable` when a value does not fit its slot, or a row does not exist.
pub fn render_arrow(canon: &Canon, batch: &RecordBatch, rows: &[usize]) -> Result<Vec<FetchedRow>> {
    let encoder = Encoder::new(canon, &batch.schema())?;
    rows.iter().map(|row| render_row(canon, &encoder, batch, *row)).collect()
}

fn render_row(canon: &Canon, encoder: &Encoder, batch: &RecordBatch, row: usize) -> Result<FetchedRow> {
    if row >= batch.num_rows() {
        let error = Error::new(FailureKind::Permanent, "data.unreadable", "a row was asked for that does not exist");
        return Err(error.detail(format!("Row {row} of {}.", batch.num_rows())));
    }
    let key = if canon.key_columns == 0 { Vec::new() } else { encoder.key(batch, row)? };
    let mut fields = Vec::with_capacity(canon.columns.len());
    for (index, (column, array)) in canon.columns.iter().zip(batch.columns()).enumerate() {
        let canonical = encoder.field(batch, row, index)?;
        let shown = match (&column.slot, array.as_fixed_size_binary_opt()) {
            (Slot::Uuid, Some(bytes)) if !bytes.is_null(row) => shown::uuid(bytes.value(row)),
            _ => show_arrow(array, row).map_err(|error| error.context(format_args!("column {}", column.name)))?,
        };
        fields.push(FetchedField { canonical, shown });
    }
    Ok(FetchedRow { found: None, key, fields, place: None, version: None })
}

/// The column's value, for rows that carry their version in a column of their own.
pub(crate) fn version_of(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::Text(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) => None,
    }
}
