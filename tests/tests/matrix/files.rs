//! Tables as Parquet and CSV files, and lies in the footers of Parquet files.

use crate::data::Table;
use arrow_array::RecordBatch;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::file::metadata::{
    FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader, ParquetMetaDataWriter,
    RowGroupMetaData,
};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::{SchemaDescriptor, Type};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the files of one side are laid out; none of it changes what the data say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Two files in the order of the rows, small row groups, Snappy, dictionaries; CSV with commas.
    Source,
    /// Three files in the reverse order, one row group each, Zstandard, no dictionaries; CSV with
    /// semicolons and CR LF.
    Replica,
    /// One file, nothing compressed or encoded: every value stands in it as it is.
    Plain,
}

impl Layout {
    /// The rows of each file.
    fn parts(self, table: &Table) -> Vec<Table> {
        let count = table.rows.len();
        let (files, reverse) = match self {
            Self::Source => (2, false),
            Self::Replica => (3, true),
            Self::Plain => (1, false),
        };
        let order: Vec<usize> = if reverse { (0..count).rev().collect() } else { (0..count).collect() };
        let share = count.div_ceil(files).max(1);
        (0..files).map(|i| table.part(order.iter().copied().skip(i * share).take(share))).collect()
    }

    fn properties(self) -> WriterProperties {
        let builder = WriterProperties::builder();
        match self {
            Self::Source => builder.set_compression(Compression::SNAPPY).set_max_row_group_row_count(Some(3)),
            Self::Replica => {
                builder.set_compression(Compression::ZSTD(ZstdLevel::default())).set_dictionary_enabled(false)
            }
            Self::Plain => builder.set_compression(Compression::UNCOMPRESSED).set_dictionary_enabled(false),
        }
        .build()
    }
}

/// The name of a part.
pub fn part(folder: &Path, number: usize, ending: &str) -> PathBuf {
    folder.join(format!("part-{number:05}.{ending}"))
}

/// Writes a table as Parquet files into a folder, which is made.
pub fn write_parquet(table: &Table, folder: &Path, layout: Layout) {
    fs::create_dir_all(folder).expect("folder");
    for (number, rows) in layout.parts(table).iter().enumerate() {
        write_batch(&rows.batch(), table, &part(folder, number, "parquet"), layout);
    }
}

/// Writes one Parquet file whose columns are annotated as the table's types say.
pub fn write_batch(batch: &RecordBatch, table: &Table, path: &Path, layout: Layout) {
    let options = ArrowWriterOptions::new().with_properties(layout.properties());
    let options = options.with_parquet_schema(annotated(batch, table));
    let file = File::create(path).expect("create a file");
    let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).expect("writer");
    writer.write(batch).expect("write rows");
    writer.close().expect("write the footer");
}

/// The writer by itself annotates neither JSON nor UUID.
fn annotated(batch: &RecordBatch, table: &Table) -> SchemaDescriptor {
    let plain = ArrowSchemaConverter::new().convert(&batch.schema()).expect("schema");
    let field = |(field, column): (&Arc<Type>, &crate::data::Column)| {
        let (physical, length, annotation) = match column.kind.as_str() {
            "json" | "jsonb" => (Physical::BYTE_ARRAY, -1, LogicalType::Json),
            "uuid" => (Physical::FIXED_LEN_BYTE_ARRAY, 16, LogicalType::Uuid),
            _ => return Arc::clone(field),
        };
        let repetition = if column.key { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let builder = Type::primitive_type_builder(&column.name, physical).with_length(length);
        Arc::new(builder.with_repetition(repetition).with_logical_type(Some(annotation)).build().expect("type"))
    };
    let fields = plain.root_schema().get_fields().iter().zip(&table.columns).map(field).collect();
    let root = Type::group_type_builder(plain.root_schema().name()).with_fields(fields).build().expect("root");
    SchemaDescriptor::new(Arc::new(root))
}

/// Writes a table as CSV files (RFC 4180) into a folder, which is made. NULL is nothing at all.
pub fn write_csv(table: &Table, folder: &Path, layout: Layout) {
    fs::create_dir_all(folder).expect("folder");
    let (delimiter, end) = if layout == Layout::Replica { (';', "\r\n") } else { (',', "\n") };
    let quoted = |text: &str| {
        let quotes = text.is_empty() || text.trim() != text || text.contains(['"', ',', ';', '\n', '\r']);
        if quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    };
    for (number, rows) in layout.parts(table).iter().enumerate() {
        let header = rows.columns.iter().map(|column| column.name.clone()).collect();
        let line =
            |row: &Vec<Option<String>>| row.iter().map(|text| text.as_deref().map_or(String::new(), quoted)).collect();
        let records = std::iter::once(header).chain(rows.rows.iter().map(line));
        let text: String = records.map(|record: Vec<String>| record.join(&delimiter.to_string()) + end).collect();
        fs::write(part(folder, number, "csv"), text).expect("write a file");
    }
}

/// The option that reads the files of a layout.
pub fn csv_options(layout: Layout) -> &'static str {
    if layout == Layout::Replica { "delimiter=;" } else { "" }
}

/// Writes the footer of a Parquet file again, changed.
pub fn forge(path: &Path, change: impl FnOnce(&ParquetMetaData) -> ParquetMetaData) {
    let bytes = fs::read(path).expect("read a file");
    let length = bytes.len();
    let footer = u32::from_le_bytes(bytes[length - 8..length - 4].try_into().expect("four bytes")) as usize;
    let old = ParquetMetaDataReader::new().parse_and_finish(&File::open(path).expect("open")).expect("footer");
    let mut file = File::create(path).expect("create");
    file.write_all(&bytes[..length - 8 - footer]).expect("write pages");
    let new = change(&old);
    // The writer counts offsets from where it begins; without page indexes it writes none.
    ParquetMetaDataWriter::new(&mut file, &new).finish().expect("write a footer");
}

/// The same footer with another number of rows in all, and with changed row groups.
pub fn with_rows(
    old: &ParquetMetaData,
    rows: i64,
    group: impl Fn(&RowGroupMetaData) -> RowGroupMetaData,
) -> ParquetMetaData {
    let meta = old.file_metadata();
    let meta = FileMetaData::new(
        meta.version(),
        rows,
        meta.created_by().map(str::to_owned),
        meta.key_value_metadata().cloned(),
        meta.schema_descr_ptr(),
        meta.column_orders().cloned(),
    );
    ParquetMetaDataBuilder::new(meta).set_row_groups(old.row_groups().iter().map(group).collect()).build()
}

/// Copies a folder with everything in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("read a folder") {
        let path = entry.expect("entry").path();
        let target = to.join(path.file_name().expect("name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copy a file");
        }
    }
}

/// The only place of some bytes in a file.
pub fn find(path: &Path, wanted: &[u8]) -> u64 {
    let bytes = fs::read(path).expect("read a file");
    let mut places = bytes.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
    let place = places.next().unwrap_or_else(|| panic!("{wanted:?} is not in {}", path.display())).0;
    place as u64
}
