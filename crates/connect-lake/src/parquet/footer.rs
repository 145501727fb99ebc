//! The footer of one Parquet file: its columns, its row groups, and whether they fit together.

use super::input::Input;
use super::types;
use crate::failure::{self, DAMAGED_HINT};
use crate::pinned::Pinned;
use crate::source::{FoundFile, Root};
use arrow_schema::{Field, Schema};
use paritas_connect::{Context, Error, Result};
use paritas_model::Column;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{ConvertedType, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetStatisticsPolicy, RowGroupMetaData};
use parquet::schema::types::Type;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::runtime::Handle;

/// The key under which writers leave their Arrow schema.
const ARROW_SCHEMA: &str = "ARROW:schema";

/// Dictionaries that take at most this many bytes in every row group are kept as dictionaries.
const SMALL_DICTIONARY_BYTES: i64 = 16 << 10;

/// A file with its footer read.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The bytes.
    pub(crate) input: Input,
    /// The footer, and the Arrow types to read the columns as.
    pub(crate) metadata: ArrowReaderMetadata,
    /// The columns.
    pub(crate) columns: Vec<Column>,
}

/// What is kept of a footer while a view is open.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// The file.
    pub(crate) file: Arc<FoundFile>,
    /// Its columns; files that agree share them.
    pub(crate) columns: Arc<[Column]>,
    /// Rows and compressed bytes of each row group.
    pub(crate) groups: Vec<Group>,
}

/// Size of a row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    /// Rows.
    pub(crate) rows: u64,
    /// Compressed bytes of all columns.
    pub(crate) bytes: u64,
}

impl Opened {
    /// Opens a file and reads its footer.
    pub(crate) fn new(cx: &Context, root: &Root, file: &Arc<FoundFile>, runtime: &Handle) -> Result<Self> {
        cx.check()?;
        let input = Input::new(Pinned::open(cx, root, file, runtime)?);
        let metadata = guard(&input, "the footer", || load(&input))?;
        check(&input, metadata.metadata())?;
        let columns = columns(&metadata);
        let mut names = HashSet::new();
        if let Some(twice) = columns.iter().find(|column| !names.insert(column.name.as_str())) {
            return Err(failure::damaged(format!("{} has two columns {:?}", file.name, twice.name)).hint(DAMAGED_HINT));
        }
        Ok(Self { input, metadata, columns })
    }

    /// What is kept of the footer.
    pub(crate) fn shape(self, file: &Arc<FoundFile>) -> Shape {
        let groups = self.metadata.metadata().row_groups().iter().map(group).collect();
        Shape { file: Arc::clone(file), columns: self.columns.into(), groups }
    }
}

fn load(input: &Input) -> Result<ArrowReaderMetadata, ParquetError> {
    let options = || {
        ArrowReaderOptions::new()
            .with_page_index_policy(PageIndexPolicy::Skip)
            .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
    };
    let plain = ArrowReaderMetadata::load(input, options())?;
    let schema = plain.schema();
    let parquet = plain.parquet_schema().root_schema().get_fields();
    let mut changed = false;
    let fields = schema.fields().iter().enumerate().map(|(index, field)| {
        // The decoder keeps the values of any other column as bytes, whatever it is asked for.
        let text =
            |kind: &Arc<Type>| kind.is_primitive() && kind.get_basic_info().converted_type() == ConvertedType::UTF8;
        let small = parquet.get(index).is_some_and(text) && small_dictionary(&plain, index);
        match parquet.get(index).and_then(|kind| types::wanted(field, kind, small)) {
            Some(wanted) => {
                changed = true;
                Arc::new(field.as_ref().clone().with_data_type(wanted))
            }
            None => Arc::clone(field),
        }
    });
    let wanted: Vec<Arc<Field>> = fields.collect();
    if !changed {
        return Ok(plain);
    }
    let wanted = Schema::new_with_metadata(wanted, schema.metadata().clone());
    ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options().with_schema(Arc::new(wanted)))
}

/// Whether a top-level column has only small dictionaries, and no page without.
fn small_dictionary(metadata: &ArrowReaderMetadata, root: usize) -> bool {
    let parquet = metadata.parquet_schema();
    let Some(leaf) = (0..parquet.num_columns()).find(|leaf| parquet.get_column_root_idx(*leaf) == root) else {
        return false;
    };
    let groups = metadata.metadata().row_groups();
    !groups.is_empty()
        && groups.iter().all(|group| {
            let Some(chunk) = group.columns().get(leaf) else { return false };
            let small = chunk.dictionary_page_offset().is_some_and(|start| {
                let size = chunk.data_page_offset().saturating_sub(start);
                (1..=SMALL_DICTIONARY_BYTES).contains(&size)
            });
            small && only_dictionary_pages(chunk)
        })
}

fn only_dictionary_pages(chunk: &parquet::file::metadata::ColumnChunkMetaData) -> bool {
    match (chunk.page_encoding_stats_mask(), chunk.page_encoding_stats()) {
        (Some(mask), _) => mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY),
        (None, Some(pages)) => pages
            .iter()
            .filter(|page| page.page_type != parquet::basic::PageType::DICTIONARY_PAGE)
            .all(|page| matches!(page.encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY)),
        (None, None) => false,
    }
}

fn group(group: &RowGroupMetaData) -> Group {
    let size = |value: i64| u64::try_from(value).unwrap_or_default();
    let bytes = group.columns().iter().fold(0_u64, |sum, chunk| sum.saturating_add(size(chunk.compressed_size())));
    Group { rows: size(group.num_rows()), bytes }
}

/// Numbers that the footer gives twice must agree, and everything must lie inside the file.
fn check(input: &Input, metadata: &ParquetMetaData) -> Result<()> {
    let file = input.pinned().file();
    let wrong = |what: String| Err(failure::damaged(format!("{}: {what}", file.name)).hint(DAMAGED_HINT));
    let mut total = 0_i64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        if group.num_rows() < 0 {
            return wrong(format!("row group {index} has {} rows", group.num_rows()));
        }
        total = total.saturating_add(group.num_rows());
        for chunk in group.columns() {
            let name = chunk.column_path();
            let flat = chunk.column_descr().max_rep_level() == 0;
            if flat && chunk.num_values() != group.num_rows() {
                let (values, rows) = (chunk.num_values(), group.num_rows());
                return wrong(format!("row group {index} has {rows} rows, and column {name} {values} values"));
            }
            let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
            let end = start.checked_add(chunk.compressed_size());
            let inside = start >= 0 && chunk.compressed_size() >= 0;
            let inside = inside && end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end <= file.size);
            if !inside {
                return wrong(format!("row group {index}: column {name} lies outside of the file"));
            }
        }
    }
    if total != metadata.file_metadata().num_rows() {
        let said = metadata.file_metadata().num_rows();
        return wrong(format!("the footer says {said} rows, and its row groups have {total}"));
    }
    Ok(())
}

fn columns(metadata: &ArrowReaderMetadata) -> Vec<Column> {
    let declared = metadata
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .is_some_and(|pairs| pairs.iter().any(|pair| pair.key == ARROW_SCHEMA));
    let parquet = metadata.parquet_schema().root_schema().get_fields();
    let column = |(field, kind): (&Arc<Field>, &Arc<Type>)| Column {
        name: field.name().clone(),
        engine_type: types::engine_type(kind),
        logical: types::logical(field, kind, declared),
        nullable: field.is_nullable(),
    };
    metadata.schema().fields().iter().zip(parquet).map(column).collect()
}

/// Runs a piece of the decoder. Its errors, and its panics on hostile bytes, become findings that
/// name the file, unless reading failed or the file changed underneath.
pub(crate) fn guard<T>(input: &Input, what: &str, decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    let said = match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            format!("The decoder gave up: {}", text.unwrap_or("without a reason"))
        }
    };
    Err(explain(input, what, said))
}

/// Why decoding failed.
pub(crate) fn explain(input: &Input, what: &str, said: String) -> Error {
    if let Some(error) = input.take_failure() {
        return error;
    }
    if let Err(changed) = input.pinned().confirm() {
        return changed;
    }
    let name = &input.pinned().file().name;
    failure::damaged(format!("cannot decode {what} of {name}")).detail(said).hint(DAMAGED_HINT)
}
