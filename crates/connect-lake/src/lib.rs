//! The connector for files and lakes: manifests, Parquet and CSV, local or in object storage.
//!
//! [`FilesStore`] lists files with checksums of their content, [`ParquetStore`] and [`CsvStore`]
//! read all files below a [`Location`] as the rows of one dataset. Stores are never written to; [`Copies`] puts files of our own
//! where somebody wants them.

mod clock;
mod copies;
mod csv;
mod dataset;
mod drive;
mod failure;
mod fetch;
mod files;
mod glob;
mod hash;
mod listing;
mod location;
mod options;
mod parquet;
mod partition;
mod pinned;
mod remote;
mod rows;
mod site;
mod source;

pub use copies::Copies;
pub use csv::CsvStore;
pub use fetch::ListedFiles;
pub use files::FilesStore;
pub use location::Location;
pub use options::{CsvOptions, LakeOptions};
pub use parquet::ParquetStore;
