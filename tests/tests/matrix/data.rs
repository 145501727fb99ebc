//! Small tables whose values are given as text, so that one table is the same in every store.

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, Float32Array, Float64Array, RecordBatch, StringArray,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;

/// How NULL is written in a table literal.
pub const NULL: &str = "∅";

/// One column: a name, and a type in the words of `Column::parse`.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: String,
    pub key: bool,
}

/// Rows of texts under typed columns. The texts are what stands in a CSV file and what PostgreSQL reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// A table from `"id int64!, amount decimal(12,2)"` (an exclamation mark for key columns) and its rows.
    pub fn new(columns: &str, rows: &[&[&str]]) -> Self {
        let parse = |text: &str| {
            let (name, kind) = text.trim().split_once(' ').expect("name and type");
            let (kind, key) = kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
            Column { name: name.to_owned(), kind: kind.trim().to_owned(), key }
        };
        // A comma inside of parentheses belongs to the type.
        let mut depth = 0;
        let split = columns.split(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        });
        let columns: Vec<Column> = split.map(parse).collect();
        let mut table = Self { columns, rows: Vec::new() };
        rows.iter().for_each(|row| table.push(row));
        table
    }

    pub fn key(&self) -> String {
        let key = self.columns.iter().filter(|column| column.key).map(|column| column.name.as_str());
        key.collect::<Vec<_>>().join(",")
    }

    pub fn at(&self, column: &str) -> usize {
        self.columns.iter().position(|other| other.name == column).expect("column")
    }

    pub fn push(&mut self, row: &[&str]) {
        assert_eq!(row.len(), self.columns.len(), "{row:?}");
        self.rows.push(row.iter().map(|text| value(text)).collect());
    }

    pub fn set(&mut self, row: usize, column: &str, to: &str) {
        let at = self.at(column);
        assert_ne!(self.rows[row][at], value(to), "no change");
        self.rows[row][at] = value(to);
    }

    pub fn swap(&mut self, row: usize, other: usize, column: &str) {
        let at = self.at(column);
        let (a, b) = (self.rows[row][at].clone(), self.rows[other][at].clone());
        assert_ne!(a, b, "no change");
        (self.rows[row][at], self.rows[other][at]) = (b, a);
    }

    pub fn again(&mut self, row: usize) {
        self.rows.push(self.rows[row].clone());
    }

    /// Every value of a column through a function; NULLs stay.
    pub fn map(&mut self, column: &str, change: impl Fn(&str) -> String) {
        let at = self.at(column);
        for row in &mut self.rows {
            row[at] = row[at].as_deref().map(&change);
        }
    }

    pub fn retype(&mut self, column: &str, kind: &str) {
        let at = self.at(column);
        self.columns[at].kind = kind.to_owned();
    }

    pub fn drop(&mut self, column: &str) {
        let at = self.at(column);
        self.columns.remove(at);
        self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
    }

    pub fn add(&mut self, column: &str, kind: &str, text: &str) {
        self.columns.push(Column { name: column.to_owned(), kind: kind.to_owned(), key: false });
        self.rows.iter_mut().for_each(|row| row.push(value(text)));
    }

    pub fn rename(&mut self, column: &str, to: &str) {
        let at = self.at(column);
        to.clone_into(&mut self.columns[at].name);
    }

    pub fn reverse_columns(&mut self) {
        self.columns.reverse();
        self.rows.iter_mut().for_each(|row| row.reverse());
    }

    /// Some of its rows.
    pub fn part(&self, rows: impl Iterator<Item = usize>) -> Self {
        Self { columns: self.columns.clone(), rows: rows.map(|row| self.rows[row].clone()).collect() }
    }

    /// The table as Arrow.
    pub fn batch(&self) -> RecordBatch {
        let field = |column: &Column| {
            let field = Field::new(&column.name, column.arrow(), !column.key);
            let extension = match column.kind.as_str() {
                "uuid" => [("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())].into(),
                _ => Default::default(),
            };
            field.with_metadata(extension)
        };
        let schema = Schema::new(self.columns.iter().map(field).collect::<Vec<_>>());
        let array = |(at, column): (usize, &Column)| {
            column.array(&self.rows.iter().map(|row| row[at].as_deref()).collect::<Vec<_>>())
        };
        let arrays = self.columns.iter().enumerate().map(array).collect();
        RecordBatch::try_new(Arc::new(schema), arrays).expect("batch")
    }
}

fn value(text: &str) -> Option<String> {
    (text != NULL).then(|| text.to_owned())
}

impl Column {
    /// Two numbers in parentheses.
    fn numbers(&self) -> (u8, i8) {
        let inside = self.kind.split_once('(').and_then(|(_, rest)| rest.split_once(')')).expect("numbers").0;
        let (a, b) = inside.split_once(',').expect("two numbers");
        (a.parse().expect("precision"), b.parse().expect("scale"))
    }

    /// The type in PostgreSQL; where it is not known here, it is meant for PostgreSQL alone.
    pub fn sql(&self) -> &str {
        match self.kind.as_str() {
            "int32" => "integer",
            "int64" => "bigint",
            "float32" => "real",
            "float64" => "double precision",
            "bytes" => "bytea",
            "timestamp_ms" => "timestamp(3)",
            "timestamptz_ms" => "timestamptz(3)",
            "bool" => "boolean",
            other => other,
        }
    }

    fn arrow(&self) -> DataType {
        let zone = || Some(Arc::from("UTC"));
        match self.kind.as_str() {
            "bool" => DataType::Boolean,
            "int16" => DataType::Int16,
            "int32" => DataType::Int32,
            "int64" => DataType::Int64,
            "float32" => DataType::Float32,
            "float64" => DataType::Float64,
            "bytes" => DataType::Binary,
            "uuid" => DataType::FixedSizeBinary(16),
            "date" => DataType::Date32,
            "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, zone()),
            "timestamp_ms" => DataType::Timestamp(TimeUnit::Millisecond, None),
            "timestamptz_ms" => DataType::Timestamp(TimeUnit::Millisecond, zone()),
            "timestamptz_s" => DataType::Timestamp(TimeUnit::Second, zone()),
            decimal if decimal.starts_with("decimal") => {
                let (precision, scale) = self.numbers();
                DataType::Decimal128(precision, scale)
            }
            // text, json, varchar(10)
            _ => DataType::Utf8,
        }
    }

    fn array(&self, texts: &[Option<&str>]) -> ArrayRef {
        let some = |parse: fn(&str) -> Vec<u8>| texts.iter().map(move |text| text.map(parse));
        match self.arrow() {
            DataType::Utf8 => Arc::new(StringArray::from(texts.to_vec())),
            DataType::Binary => Arc::new(some(bytes).collect::<BinaryArray>()),
            DataType::FixedSizeBinary(16) => {
                let values = some(|text| hex(&text.replace('-', "")));
                Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 16).expect("uuid"))
            }
            DataType::Float64 => Arc::new(texts.iter().map(|text| text.map(double)).collect::<Float64Array>()),
            DataType::Float32 => {
                let single = |text: &str| text.parse::<f32>().expect("number");
                Arc::new(texts.iter().map(|text| text.map(single)).collect::<Float32Array>())
            }
            DataType::Timestamp(unit, Some(zone)) => {
                let local: Vec<_> = texts.iter().map(|text| text.map(|text| text.trim_end_matches('Z'))).collect();
                let array = cast(&local, &DataType::Timestamp(unit, None));
                match unit {
                    TimeUnit::Second => {
                        Arc::new(array.as_primitive::<TimestampSecondType>().clone().with_timezone(zone))
                    }
                    TimeUnit::Millisecond => {
                        Arc::new(array.as_primitive::<TimestampMillisecondType>().clone().with_timezone(zone))
                    }
                    _ => Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone(zone)),
                }
            }
            other => cast(texts, &other),
        }
    }
}

fn cast(texts: &[Option<&str>], to: &DataType) -> ArrayRef {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let array = cast_with_options(&StringArray::from(texts.to_vec()), to, &strict).expect("texts of the type");
    assert_eq!(array.null_count(), texts.iter().filter(|text| text.is_none()).count());
    array
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hexadecimal")).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    hex(text.strip_prefix("\\x").expect("\\x"))
}

/// A number, or its bits as `bits 7ff8000000000001`.
fn double(text: &str) -> f64 {
    match text.strip_prefix("bits ") {
        Some(bits) => f64::from_bits(u64::from_str_radix(bits, 16).expect("bits")),
        None => text.parse().expect("number"),
    }
}
