//! The connector for files and lakes: manifests, Parquet and CSV, local or in object storage.
