//! The ledger as Parquet files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::arrow::{UuidAs, batches, schema};
use super::seed::Stream;
use super::{Plan, Table};
use crate::{Error, Result};

/// Compression of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// None.
    None,
    /// Snappy, what most writers choose.
    #[default]
    Snappy,
    /// Zstandard.
    Zstd,
    /// LZ4.
    Lz4,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::UNCOMPRESSED,
            Codec::Snappy => Self::SNAPPY,
            Codec::Zstd => Self::ZSTD(ZstdLevel::default()),
            Codec::Lz4 => Self::LZ4_RAW,
        }
    }
}

/// The order of the rows over all files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As the generator numbers them.
    #[default]
    Natural,
    /// At random, from this seed.
    Shuffled(u64),
}

/// How the files are laid out. None of it changes what the data says.
#[derive(Debug, Clone)]
pub struct ParquetOptions {
    /// Number of files, at least 1.
    pub files: usize,
    /// Rows in a row group, at most.
    pub row_group_rows: usize,
    /// Compression.
    pub codec: Codec,
    /// Order of the rows.
    pub order: Order,
    /// Whether columns may be dictionary-encoded.
    pub dictionary: bool,
    /// How UUIDs are stored.
    pub uuid: UuidAs,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self {
            files: 4,
            row_group_rows: 10_000,
            codec: Codec::default(),
            order: Order::default(),
            dictionary: true,
            uuid: UuidAs::default(),
        }
    }
}

/// Writes a table as `part-00000.parquet` and so on into a folder, which is made; returns the files.
///
/// # Errors
/// [`Error::Io`] and [`Error::Lake`] when a file cannot be written.
pub fn write_parquet(
    table: &'static Table,
    plan: &Plan,
    folder: &Path,
    options: &ParquetOptions,
) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).map_err(Error::io("create a folder", folder))?;
    let count = table.count(plan);
    let order = match options.order {
        Order::Natural => (0..count).collect(),
        Order::Shuffled(seed) => Stream::of_row(seed, 0, 0).shuffled(count),
    };
    let share = order.len().div_ceil(options.files.max(1)).max(1);
    let mut written = Vec::new();
    for number in 0..options.files.max(1) {
        // The last ones may be without rows: a file with a schema only.
        let part = order.get(number * share..).unwrap_or_default();
        let part = part.get(..share).unwrap_or(part);
        let path = folder.join(format!("part-{number:05}.parquet"));
        write_file(table, plan, part, &path, options)?;
        written.push(path);
    }
    Ok(written)
}

fn write_file(
    table: &'static Table,
    plan: &Plan,
    numbers: &[u64],
    path: &Path,
    options: &ParquetOptions,
) -> Result<()> {
    let lake = || Error::lake::<ParquetError>(format!("write {}", path.display()));
    let file = File::create(path).map_err(Error::io("create a file", path))?;
    let properties = WriterProperties::builder()
        .set_compression(options.codec.into())
        .set_dictionary_enabled(options.dictionary)
        .set_max_row_group_row_count(Some(options.row_group_rows.max(1)))
        .build();
    let mut writer = ArrowWriter::try_new(file, schema(table, options.uuid), Some(properties)).map_err(lake())?;
    for batch in batches(table, plan, numbers.iter().copied(), options.uuid) {
        writer.write(&batch?).map_err(lake())?;
    }
    writer.close().map_err(lake())?;
    Ok(())
}
