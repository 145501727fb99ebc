//! Faults in Parquet files: the file is read, edited as Arrow data and written again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, RecordBatch, StringArray,
    UInt64Array, new_null_array,
};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::concat::{concat, concat_batches};
use arrow_select::take::take_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;

use super::{Class, Injected};
use crate::ledger::{micros_text, uuid_text};
use crate::{Error, Result};

/// A Parquet file of a dataset. Rows are numbered from 0 in the file's present order.
#[derive(Debug, Clone)]
pub struct Target {
    path: PathBuf,
    dataset: String,
    key: Vec<String>,
}

impl Target {
    /// A file, the name of the dataset it belongs to, and the key columns (none for a dataset without key).
    #[must_use]
    pub fn new(path: &Path, dataset: &str, key: &[&str]) -> Self {
        let key = key.iter().map(|&column| column.to_owned()).collect();
        Self { path: path.to_path_buf(), dataset: dataset.to_owned(), key }
    }

    /// Removes a row.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Lake`]; [`Error::Unfit`] when there is no such row.
    pub fn lose(&self, row: usize) -> Result<Injected> {
        let old = self.open(row)?;
        let rows = (0..old.data.num_rows()).filter(|other| *other != row);
        self.write(&old, &self.taken(&old.data, rows)?)?;
        Ok(Injected::new(Class::Lost, &self.dataset, "row removed from its file").key(self.key_of(&old.data, row)?))
    }

    /// Appends a copy of a row under a new key, made from the last key column.
    ///
    /// # Errors
    /// As [`Self::lose`]; also when there is no key, or none of a type that a new key can be made of.
    pub fn add(&self, row: usize) -> Result<Injected> {
        let Some(last) = self.key.last() else {
            let what = format!("{} has no key, so a new row cannot be told from the others", self.dataset);
            return Err(Error::Unfit { what, hint: "duplicate a row instead" });
        };
        let old = self.open(row)?;
        let end = old.data.num_rows();
        let longer = self.taken(&old.data, (0..end).chain([row]))?;
        let fresh = fresh(self.column(&longer, last)?.as_ref(), row, last)?;
        let new = self.replaced(&longer, end, last, &fresh)?;
        self.write(&old, &new)?;
        Ok(Injected::new(Class::Extra, &self.dataset, "row appended to a file").key(self.key_of(&new, end)?))
    }

    /// Appends an exact copy of a row.
    ///
    /// # Errors
    /// As [`Self::lose`].
    pub fn duplicate(&self, row: usize) -> Result<Injected> {
        let old = self.open(row)?;
        let new = self.taken(&old.data, (0..old.data.num_rows()).chain([row]))?;
        self.write(&old, &new)?;
        Ok(Injected::new(Class::Duplicated, &self.dataset, "row appended once more").key(self.key_of(&old.data, row)?))
    }

    /// Changes a value by the least that its type can: one cent, one microsecond, one character.
    ///
    /// # Errors
    /// As [`Self::lose`]; also for a NULL.
    pub fn change(&self, row: usize, column: &str) -> Result<Injected> {
        let old = self.open(row)?;
        let value = self.column(&old.data, column)?.slice(row, 1);
        self.put(&old, row, column, &nudged(&value, column)?)
    }

    /// Sets a value to NULL (the column becomes nullable if it was not).
    ///
    /// # Errors
    /// As [`Self::lose`]; also when it is NULL already.
    pub fn set_null(&self, row: usize, column: &str) -> Result<Injected> {
        let mut old = self.open(row)?;
        old.data = with_type(&old.data, column, None).map_err(self.failed())?;
        let null = new_null_array(self.column(&old.data, column)?.data_type(), 1);
        self.put(&old, row, column, &null)
    }

    /// Exchanges a column's values between two rows: sums and counts stay the same.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn swap(&self, row: usize, other: usize, column: &str) -> Result<[Injected; 2]> {
        let old = self.open(row.max(other))?;
        let values = self.column(&old.data, column)?;
        let (a, b) = (values.slice(row, 1), values.slice(other, 1));
        let first = self.put(&old, row, column, &b)?;
        let half = self.open(other)?;
        Ok([first, self.put(&half, other, column, &a)?])
    }

    /// Gives a column another type, with the values cast; values that do not fit are an error.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Lake`], [`Error::Unfit`].
    pub fn retype(&self, column: &str, to: &DataType) -> Result<Injected> {
        let old = self.open(0)?;
        let before = self.column(&old.data, column)?.data_type().to_string();
        let new = with_type(&old.data, column, Some(to)).map_err(self.failed())?;
        self.write(&old, &new)?;
        let what = format!("column {column} changed from {before} to {to} in one file");
        Ok(Injected::new(Class::Schema, &self.dataset, what).value(column, Some(before), Some(to.to_string())))
    }

    /// How many rows the file has.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Lake`].
    pub fn rows(&self) -> Result<usize> {
        Ok(self.read()?.data.num_rows())
    }

    fn put(&self, old: &Contents, row: usize, column: &str, value: &ArrayRef) -> Result<Injected> {
        let new = self.replaced(&old.data, row, column, value)?;
        let shown = |batch| Ok::<_, Error>(text_at(self.column(batch, column)?.as_ref(), row));
        let (before, after) = (shown(&old.data)?, shown(&new)?);
        if before == after {
            let what = format!("{column} of row {row} would not change");
            return Err(Error::Unfit { what, hint: "choose another row" });
        }
        self.write(old, &new)?;
        let words = |v: &Option<String>| v.clone().unwrap_or_else(|| "NULL".into());
        let what = format!("{column} changed from {} to {}", words(&before), words(&after));
        let key = self.key_of(&old.data, row)?;
        Ok(Injected::new(Class::Changed, &self.dataset, what).key(key).value(column, before, after))
    }

    fn replaced(&self, batch: &RecordBatch, row: usize, column: &str, value: &ArrayRef) -> Result<RecordBatch> {
        let at = batch.schema().index_of(column).map_err(self.failed())?;
        let mut columns = batch.columns().to_vec();
        if let Some(array) = columns.get_mut(at) {
            let rest = array.slice(row + 1, array.len() - row - 1);
            *array = concat(&[&array.slice(0, row), value, &rest]).map_err(self.failed())?;
        }
        RecordBatch::try_new(batch.schema(), columns).map_err(self.failed())
    }

    fn taken(&self, batch: &RecordBatch, rows: impl Iterator<Item = usize>) -> Result<RecordBatch> {
        let rows: UInt64Array = rows.map(|row| row as u64).collect();
        take_record_batch(batch, &rows).map_err(self.failed())
    }

    fn column<'b>(&self, batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef> {
        batch.column_by_name(name).ok_or_else(|| Error::Unfit {
            what: format!("{} has no column {name}", self.path.display()),
            hint: "name one of the file's columns",
        })
    }

    fn key_of(&self, batch: &RecordBatch, row: usize) -> Result<Vec<(String, String)>> {
        let schema = batch.schema();
        let all: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let columns = if self.key.is_empty() { all } else { self.key.clone() };
        let pair = |name: String| {
            let text = text_at(self.column(batch, &name)?.as_ref(), row).unwrap_or_else(|| "NULL".into());
            Ok((name, text))
        };
        columns.into_iter().map(pair).collect()
    }

    fn failed<E: std::error::Error + Send + Sync + 'static>(&self) -> impl FnOnce(E) -> Error {
        Error::lake(format!("plant a fault in {}", self.path.display()))
    }

    fn open(&self, row: usize) -> Result<Contents> {
        let old = self.read()?;
        if row < old.data.num_rows() {
            return Ok(old);
        }
        let what = format!("{} has {} rows, not row {row}", self.path.display(), old.data.num_rows());
        Err(Error::Unfit { what, hint: "choose a smaller number" })
    }

    fn read(&self) -> Result<Contents> {
        let file = File::open(&self.path).map_err(Error::io("open", &self.path))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(self.failed())?;
        // As the file was written, as far as its first row group tells.
        let group = reader.metadata().row_groups().first();
        let group_rows = group.and_then(|g| usize::try_from(g.num_rows()).ok()).unwrap_or(1).max(1);
        let mut properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows));
        if let Some(column) = group.and_then(|g| g.columns().first()) {
            properties = properties.set_compression(column.compression());
        }
        let schema = reader.schema().clone();
        let batches = reader.build().map_err(self.failed())?.collect::<std::result::Result<Vec<_>, ArrowError>>();
        let data = batches.and_then(|batches| concat_batches(&schema, &batches)).map_err(self.failed())?;
        Ok(Contents { data, properties: properties.build() })
    }

    /// Written beside and moved over, so that a reader sees the old or the new file.
    fn write(&self, old: &Contents, new: &RecordBatch) -> Result<()> {
        let beside = self.path.with_extension("tmp");
        let file = File::create(&beside).map_err(Error::io("create", &beside))?;
        let writer = ArrowWriter::try_new(file, new.schema(), Some(old.properties.clone()));
        let mut writer = writer.map_err(self.failed())?;
        writer.write(new).map_err(self.failed())?;
        writer.close().map_err(self.failed())?;
        fs::rename(&beside, &self.path).map_err(Error::io("replace", &self.path))
    }
}

/// A file's rows, and how to write it like before.
struct Contents {
    data: RecordBatch,
    properties: WriterProperties,
}

/// The same rows with one column nullable, and of another type where one is given.
fn with_type(batch: &RecordBatch, column: &str, to: Option<&DataType>) -> std::result::Result<RecordBatch, ArrowError> {
    let schema: SchemaRef = batch.schema();
    let at = schema.index_of(column)?;
    let change = |(i, field): (usize, &Arc<Field>)| match to {
        _ if i != at => field.clone(),
        Some(to) => Arc::new(Field::new(field.name(), to.clone(), field.is_nullable())),
        None => Arc::new(field.as_ref().clone().with_nullable(true)),
    };
    let fields: Vec<Arc<Field>> = schema.fields().iter().enumerate().map(change).collect();
    let strict = arrow_cast::CastOptions { safe: false, ..Default::default() };
    let mut columns = batch.columns().to_vec();
    if let (Some(to), Some(array)) = (to, columns.get_mut(at)) {
        *array = arrow_cast::cast_with_options(array, to, &strict)?;
    }
    RecordBatch::try_new(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())), columns)
}

/// A value as text, in the ledger's form; nothing for NULL.
fn text_at(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    if let Some(bytes) = array.as_fixed_size_binary_opt().filter(|uuids| uuids.value_length() == 16) {
        return Some(uuid_text(bytes.value(row)));
    }
    // The formatter knows no zone names, not even UTC.
    if let DataType::Timestamp(TimeUnit::Microsecond, zone) = array.data_type() {
        return Some(micros_text(array.as_primitive::<TimestampMicrosecondType>().value(row), zone.is_some()));
    }
    let formatted =
        ArrayFormatter::try_new(array, &FormatOptions::default()).and_then(|f| f.value(row).try_to_string());
    // A value that cannot be shown is still not NULL.
    Some(formatted.unwrap_or_else(|_| format!("a value of type {}", array.data_type())))
}

/// The least different value of the same type.
fn nudged(value: &ArrayRef, column: &str) -> Result<ArrayRef> {
    let unfit = |why: &str| Error::Unfit { what: format!("{column} {why}"), hint: "choose another row or column" };
    if value.is_null(0) {
        return Err(unfit("is NULL, which cannot be changed a little"));
    }
    Ok(match value.data_type() {
        DataType::Int16 => mapped::<Int16Type>(value, |v| v.wrapping_add(1)),
        DataType::Int32 => mapped::<Int32Type>(value, |v| v.wrapping_add(1)),
        DataType::Int64 => mapped::<Int64Type>(value, |v| v.wrapping_add(1)),
        DataType::Decimal128(_, _) => mapped::<Decimal128Type>(value, |v| v.wrapping_add(1)),
        DataType::Float64 => mapped::<Float64Type>(value, f64::next_up),
        DataType::Date32 => mapped::<Date32Type>(value, |v| v.wrapping_add(1)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            mapped::<TimestampMicrosecondType>(value, |v| v.wrapping_add(1))
        }
        DataType::Boolean => Arc::new(BooleanArray::from(vec![!value.as_boolean().value(0)])),
        DataType::Utf8 => Arc::new(StringArray::from(vec![format!("{}.", value.as_string::<i32>().value(0))])),
        DataType::Binary => {
            let bytes = [value.as_binary::<i32>().value(0), &[0]].concat();
            Arc::new(BinaryArray::from(vec![bytes.as_slice()]))
        }
        DataType::FixedSizeBinary(_) => turned(value.as_fixed_size_binary(), 0, column, 1)?,
        other => return Err(unfit(&format!("has the type {other}, which no value is made of here"))),
    })
}

/// A key that no row has.
fn fresh(keys: &dyn Array, row: usize, column: &str) -> Result<ArrayRef> {
    const CENTURY_DAYS: i32 = 36_500;
    let value = keys.slice(row, 1);
    Ok(match keys.data_type() {
        DataType::Int32 => {
            let least = keys.as_primitive::<Int32Type>().iter().flatten().min().unwrap_or(0).min(0);
            mapped::<Int32Type>(&value, |_| least.wrapping_sub(1))
        }
        DataType::Int64 => {
            let least = keys.as_primitive::<Int64Type>().iter().flatten().min().unwrap_or(0).min(0);
            mapped::<Int64Type>(&value, |_| least.wrapping_sub(1))
        }
        DataType::Utf8 => Arc::new(StringArray::from(vec![format!("{} extra", value.as_string::<i32>().value(0))])),
        DataType::FixedSizeBinary(_) => turned(value.as_fixed_size_binary(), 0, column, 0xFF)?,
        DataType::Date32 => mapped::<Date32Type>(&value, |v| v.wrapping_add(CENTURY_DAYS)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            mapped::<TimestampMicrosecondType>(&value, |v| v.wrapping_add(i64::from(CENTURY_DAYS) * 86_400_000_000))
        }
        other => {
            let what = format!("no new key can be made for {column} of type {other}");
            return Err(Error::Unfit { what, hint: "choose a dataset with another key" });
        }
    })
}

/// All values mapped; the type keeps its scale or zone.
fn mapped<T: ArrowPrimitiveType>(array: &ArrayRef, map: impl Fn(T::Native) -> T::Native) -> ArrayRef {
    let values: PrimitiveArray<T> = array.as_primitive::<T>().unary(map);
    Arc::new(values.with_data_type(array.data_type().clone()))
}

/// One value with bits of its last byte turned.
fn turned(array: &FixedSizeBinaryArray, row: usize, column: &str, mask: u8) -> Result<ArrayRef> {
    let mut bytes = array.value(row).to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= mask;
    }
    let made = FixedSizeBinaryArray::try_from_iter(std::iter::once(bytes));
    Ok(Arc::new(made.map_err(Error::lake(format!("make a value of {column}")))?))
}
