//! The ledger as Arrow record batches.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use super::value::uuid_text;
use super::{Column, Kind, Plan, Row, Table, Value};
use crate::{Error, Result};

/// Rows in a batch.
const BATCH_ROWS: usize = 8 * 1024;

/// How a UUID stands in Arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UuidAs {
    /// 16 bytes with the field metadata of the canonical extension type `arrow.uuid`.
    #[default]
    Bytes,
    /// Its text.
    Text,
}

/// The table's Arrow schema: decimals as `Decimal128`, instants as microseconds in `UTC`, JSON and enums as text.
#[must_use]
pub fn schema(table: &Table, uuid: UuidAs) -> SchemaRef {
    Arc::new(Schema::new(table.columns.iter().map(|column| field(column, uuid)).collect::<Vec<_>>()))
}

fn field(column: &Column, uuid: UuidAs) -> Field {
    let data_type = match column.kind {
        Kind::Bool => DataType::Boolean,
        Kind::Int32 => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Decimal { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
        Kind::Uuid if uuid == UuidAs::Bytes => DataType::FixedSizeBinary(16),
        Kind::Text | Kind::Json | Kind::Side | Kind::Uuid => DataType::Utf8,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Kind::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Date => DataType::Date32,
        Kind::Bytes => DataType::Binary,
    };
    let extension = (data_type == DataType::FixedSizeBinary(16))
        .then(|| ("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned()));
    Field::new(column.name, data_type, column.nullable).with_metadata(extension.into_iter().collect())
}

/// The rows with these numbers, in this order, in batches.
pub fn batches(
    table: &'static Table,
    plan: &Plan,
    numbers: impl IntoIterator<Item = u64>,
    uuid: UuidAs,
) -> impl Iterator<Item = Result<RecordBatch>> {
    let schema = schema(table, uuid);
    let plan = plan.clone();
    let mut numbers = numbers.into_iter();
    std::iter::from_fn(move || {
        let rows: Vec<Row> = numbers.by_ref().take(BATCH_ROWS).map(|number| table.row(&plan, number)).collect();
        (!rows.is_empty()).then(|| batch(table, &rows, &schema, uuid))
    })
}

fn batch(table: &Table, rows: &[Row], schema: &SchemaRef, uuid: UuidAs) -> Result<RecordBatch> {
    let columns = table.columns.iter().enumerate().map(|(i, column)| array(column, rows, i, uuid));
    let made =
        columns.collect::<std::result::Result<Vec<_>, _>>().and_then(|c| RecordBatch::try_new(schema.clone(), c));
    made.map_err(Error::lake(format!("make an Arrow batch of {}", table.name)))
}

fn array(column: &Column, rows: &[Row], at: usize, uuid: UuidAs) -> std::result::Result<ArrayRef, ArrowError> {
    let values = || rows.iter().map(|row| row.get(at).unwrap_or(&Value::Null));
    let wrong = |value: &Value| ArrowError::InvalidArgumentError(format!("{value:?} in column {}", column.name));
    /// Collects one kind of value; a value of another kind is an error, never a NULL.
    macro_rules! collect {
        ($variant:ident => $with:expr) => {
            values()
                .map(|value| match value {
                    Value::Null => Ok(None),
                    Value::$variant(inner) => ($with)(inner).map(Some).ok_or_else(|| wrong(value)),
                    other => Err(wrong(other)),
                })
                .collect::<std::result::Result<Vec<_>, ArrowError>>()?
        };
    }
    Ok(match column.kind {
        Kind::Bool => Arc::new(BooleanArray::from(collect!(Bool => |v: &bool| Some(*v)))),
        Kind::Int32 => Arc::new(Int32Array::from(collect!(Int => |v: &i64| i32::try_from(*v).ok()))),
        Kind::Int64 => Arc::new(Int64Array::from(collect!(Int => |v: &i64| Some(*v)))),
        Kind::Decimal { precision, scale } => {
            let values = Decimal128Array::from(collect!(Decimal => |v: &i128| Some(*v)));
            let values = values.with_precision_and_scale(precision, scale.cast_signed())?;
            values.validate_decimal_precision(precision)?;
            Arc::new(values)
        }
        Kind::Text | Kind::Json | Kind::Side => {
            Arc::new(StringArray::from(collect!(Text => |v: &String| Some(v.clone()))))
        }
        Kind::Uuid if uuid == UuidAs::Text => {
            Arc::new(StringArray::from(collect!(Uuid => |v: &[u8; 16]| Some(uuid_text(v)))))
        }
        Kind::Uuid => {
            let values = collect!(Uuid => |v: &[u8; 16]| Some(*v));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16)?)
        }
        Kind::Timestamp => Arc::new(TimestampMicrosecondArray::from(collect!(Micros => |v: &i64| Some(*v)))),
        Kind::TimestampTz => {
            Arc::new(TimestampMicrosecondArray::from(collect!(Micros => |v: &i64| Some(*v))).with_timezone("UTC"))
        }
        Kind::Date => Arc::new(Date32Array::from(collect!(Days => |v: &i32| Some(*v)))),
        Kind::Bytes => Arc::new(collect!(Bytes => |v: &Vec<u8>| Some(v.clone())).into_iter().collect::<BinaryArray>()),
    })
}
