//! What the values of a Parquet column mean.

use arrow_schema::{DataType, Field as ArrowField};
use paritas_connect::logical_type;
use paritas_model::LogicalType;
use parquet::basic::{ConvertedType, LogicalType as Annotation};
use parquet::schema::types::Type;

/// The meaning of a top-level column from its Arrow type and its Parquet type. `declared` says
/// whether the writer left its Arrow schema in the file.
pub(crate) fn logical(field: &ArrowField, parquet: &Type, declared: bool) -> LogicalType {
    let info = parquet.get_basic_info();
    match (info.logical_type_ref(), info.converted_type()) {
        (Some(Annotation::Json), _) | (None, ConvertedType::JSON) => LogicalType::Json,
        (Some(Annotation::Enum), _) | (None, ConvertedType::ENUM) => LogicalType::Text,
        (Some(Annotation::Uuid), _) => LogicalType::Uuid,
        _ if extension(field) == Some("arrow.uuid") && *field.data_type() == DataType::FixedSizeBinary(16) => {
            LogicalType::Uuid
        }
        _ if extension(field) == Some("arrow.json") && logical_type(field.data_type()) == LogicalType::Text => {
            LogicalType::Json
        }
        // Without the writer's schema the reader cannot know which parts of an interval are in use,
        // and would leave out the months.
        (_, ConvertedType::INTERVAL) if !declared => LogicalType::Other("parquet interval".into()),
        _ => logical_type(field.data_type()),
    }
}

/// The meaning that a writer's Arrow schema gives a column, where Parquet's own annotation is missing.
/// Source: Arrow's list of canonical extension types.
fn extension(field: &ArrowField) -> Option<&str> {
    field.metadata().get("ARROW:extension:name").map(String::as_str)
}

/// One type for a column that two files spell differently and mean alike; nothing if they do not.
pub(crate) fn unified(a: &LogicalType, b: &LogicalType) -> Option<LogicalType> {
    match (a, b) {
        _ if a == b => Some(a.clone()),
        (LogicalType::Null, other) | (other, LogicalType::Null) => Some(other.clone()),
        (LogicalType::Uuid, LogicalType::FixedBytes { length: 16 })
        | (LogicalType::FixedBytes { length: 16 }, LogicalType::Uuid) => Some(LogicalType::Uuid),
        _ => None,
    }
}

/// Parquet's own name of a type, such as `BYTE_ARRAY (STRING)` or `INT64 (DECIMAL(18,4))`.
pub(crate) fn engine_type(parquet: &Type) -> String {
    let info = parquet.get_basic_info();
    let physical = match parquet {
        Type::PrimitiveType { physical_type: parquet::basic::Type::FIXED_LEN_BYTE_ARRAY, type_length, .. } => {
            format!("FIXED_LEN_BYTE_ARRAY({type_length})")
        }
        Type::PrimitiveType { physical_type, .. } => physical_type.to_string(),
        Type::GroupType { .. } => "GROUP".into(),
    };
    let unit = |unit: &parquet::basic::TimeUnit| match unit {
        parquet::basic::TimeUnit::MILLIS => "MILLIS",
        parquet::basic::TimeUnit::MICROS => "MICROS",
        parquet::basic::TimeUnit::NANOS => "NANOS",
    };
    let annotation = match info.logical_type_ref() {
        Some(Annotation::Decimal { scale, precision }) => format!("DECIMAL({precision},{scale})"),
        Some(Annotation::Timestamp { is_adjusted_to_u_t_c, unit: u }) => {
            format!("TIMESTAMP({}{})", unit(u), if *is_adjusted_to_u_t_c { ",UTC" } else { "" })
        }
        Some(Annotation::Time { is_adjusted_to_u_t_c, unit: u }) => {
            format!("TIME({}{})", unit(u), if *is_adjusted_to_u_t_c { ",UTC" } else { "" })
        }
        Some(Annotation::Integer { bit_width, is_signed }) => {
            format!("{}INT{bit_width}", if *is_signed { "" } else { "U" })
        }
        Some(Annotation::String) => "STRING".into(),
        Some(Annotation::Map) => "MAP".into(),
        Some(Annotation::List) => "LIST".into(),
        Some(Annotation::Enum) => "ENUM".into(),
        Some(Annotation::Date) => "DATE".into(),
        Some(Annotation::Unknown) => "UNKNOWN".into(),
        Some(Annotation::Json) => "JSON".into(),
        Some(Annotation::Bson) => "BSON".into(),
        Some(Annotation::Uuid) => "UUID".into(),
        Some(Annotation::Float16) => "FLOAT16".into(),
        Some(_) => "OTHER".into(),
        None if info.converted_type() == ConvertedType::NONE => return physical,
        None => info.converted_type().to_string(),
    };
    format!("{physical} ({annotation})")
}

/// The Arrow type to read a top-level column as, where another than the reader's own choice is
/// faster or says more.
pub(crate) fn wanted(field: &ArrowField, parquet: &Type, small_dictionary: bool) -> Option<DataType> {
    let info = parquet.get_basic_info();
    let text = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => true,
        // Enumerations are text by definition.
        DataType::Binary => matches!(
            (info.logical_type_ref(), info.converted_type()),
            (Some(Annotation::Enum), _) | (None, ConvertedType::ENUM)
        ),
        _ => false,
    };
    match field.data_type() {
        _ if text && small_dictionary => {
            Some(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))
        }
        _ if text => Some(DataType::Utf8View),
        DataType::Binary | DataType::LargeBinary => Some(DataType::BinaryView),
        _ => None,
    }
}
