//! What Arrow types mean, for connectors that hand out Arrow and have no types of their own.

use crate::arrow_value::model_unit;
use arrow_schema::DataType;
use paritas_model::{Column, Field, LogicalType, Schema};

/// What values of this Arrow type mean.
pub fn logical_type(arrow: &DataType) -> LogicalType {
    let int = |bits, signed| LogicalType::Int { bits, signed };
    match arrow {
        DataType::Null => LogicalType::Null,
        DataType::Boolean => LogicalType::Bool,
        DataType::Int8 => int(8, true),
        DataType::Int16 => int(16, true),
        DataType::Int32 => int(32, true),
        DataType::Int64 => int(64, true),
        DataType::UInt8 => int(8, false),
        DataType::UInt16 => int(16, false),
        DataType::UInt32 => int(32, false),
        DataType::UInt64 => int(64, false),
        DataType::Float16 => LogicalType::Float { bits: 16 },
        DataType::Float32 => LogicalType::Float { bits: 32 },
        DataType::Float64 => LogicalType::Float { bits: 64 },
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => LogicalType::Decimal { precision: *precision, scale: *scale },
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => LogicalType::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => LogicalType::Bytes,
        DataType::FixedSizeBinary(length) => {
            u32::try_from(*length).map_or(LogicalType::Bytes, |length| LogicalType::FixedBytes { length })
        }
        DataType::Date32 | DataType::Date64 => LogicalType::Date,
        DataType::Time32(unit) | DataType::Time64(unit) => LogicalType::Time { unit: model_unit(*unit) },
        DataType::Timestamp(unit, zone) => LogicalType::Timestamp { unit: model_unit(*unit), zoned: zone.is_some() },
        DataType::Duration(unit) => LogicalType::Duration { unit: model_unit(*unit) },
        DataType::Interval(_) => LogicalType::Interval,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => LogicalType::List(Box::new(logical_type(item.data_type()))),
        DataType::Struct(fields) => LogicalType::Struct(
            fields
                .iter()
                .map(|field| Field { name: field.name().clone(), logical: logical_type(field.data_type()) })
                .collect(),
        ),
        DataType::Map(entries, _) => map_type(entries.data_type()),
        DataType::Dictionary(_, values) => logical_type(values),
        DataType::RunEndEncoded(_, values) => logical_type(values.data_type()),
        other @ DataType::Union(..) => LogicalType::Other(other.to_string()),
    }
}

fn map_type(entries: &DataType) -> LogicalType {
    match entries {
        DataType::Struct(fields) => match &fields[..] {
            [key, value] => {
                LogicalType::Map(Box::new(logical_type(key.data_type())), Box::new(logical_type(value.data_type())))
            }
            _ => LogicalType::Other(entries.to_string()),
        },
        _ => LogicalType::Other(entries.to_string()),
    }
}

/// The schema of Arrow columns with the key columns named, in key order.
pub fn schema_of(arrow: &arrow_schema::Schema, key: &[&str]) -> Schema {
    let column = |field: &arrow_schema::FieldRef| Column {
        name: field.name().clone(),
        engine_type: field.data_type().to_string(),
        logical: logical_type(field.data_type()),
        nullable: field.is_nullable(),
    };
    Schema {
        columns: arrow.fields().iter().map(column).collect(),
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        facts: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::TimeUnit as ArrowUnit;
    use rstest::rstest;
    use std::sync::Arc;

    #[rstest]
    #[case(DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), "text")]
    #[case(DataType::UInt16, "uint16")]
    #[case(DataType::Timestamp(ArrowUnit::Millisecond, Some("UTC".into())), "timestamp(ms, UTC)")]
    #[case(DataType::Decimal256(40, -2), "decimal(40,-2)")]
    #[case(DataType::FixedSizeBinary(16), "bytes(16)")]
    #[case(DataType::new_list(DataType::Int32, true), "list<int32>")]
    fn arrow_types_have_a_meaning(#[case] arrow: DataType, #[case] logical: &str) {
        assert_eq!(logical_type(&arrow).to_string(), logical);
    }

    #[test]
    fn a_map_means_its_keys_and_values() {
        let entries = DataType::Struct(
            vec![
                arrow_schema::Field::new("keys", DataType::Utf8, false),
                arrow_schema::Field::new("values", DataType::Int8, true),
            ]
            .into(),
        );
        let map = DataType::Map(Arc::new(arrow_schema::Field::new("entries", entries, false)), false);
        assert_eq!(logical_type(&map).to_string(), "map<text, int8>");
    }
}
