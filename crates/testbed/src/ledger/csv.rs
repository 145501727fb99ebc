//! The ledger as CSV files (RFC 4180).

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Plan, Table};
use crate::{Error, Result};

/// How the files are written.
#[derive(Debug, Clone)]
pub struct CsvOptions {
    /// Number of files, at least 1.
    pub files: usize,
    /// Between values.
    pub delimiter: char,
    /// Whether each file begins with the names of the columns.
    pub header: bool,
    /// What stands for NULL, never quoted. Text that is equal to it is quoted, so that the two differ.
    pub null: &'static str,
    /// Ends each line.
    pub line_end: &'static str,
}

impl Default for CsvOptions {
    /// One file, comma, header, nothing for NULL (and `""` for empty text, as PostgreSQL does), LF.
    fn default() -> Self {
        Self { files: 1, delimiter: ',', header: true, null: "", line_end: "\n" }
    }
}

/// Writes a table as `part-00000.csv` and so on into a folder, which is made; returns the files.
///
/// # Errors
/// [`Error::Io`] when a file cannot be written.
pub fn write_csv(table: &'static Table, plan: &Plan, folder: &Path, options: &CsvOptions) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).map_err(Error::io("create a folder", folder))?;
    let files = options.files.max(1) as u64;
    let count = table.count(plan);
    let share = count.div_ceil(files).max(1);
    let mut written = Vec::new();
    for number in 0..files {
        let path = folder.join(format!("part-{number:05}.csv"));
        let rows = (number * share).min(count)..((number + 1) * share).min(count);
        write_file(table, plan, rows, &path, options).map_err(Error::io("write a CSV file", &path))?;
        written.push(path);
    }
    Ok(written)
}

fn write_file(
    table: &Table,
    plan: &Plan,
    rows: std::ops::Range<u64>,
    path: &Path,
    options: &CsvOptions,
) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut line = String::new();
    if options.header {
        record(&mut line, table.columns.iter().map(|column| Some(column.name.to_owned())), options);
        out.write_all(line.as_bytes())?;
    }
    for number in rows {
        line.clear();
        let row = table.row(plan, number);
        record(&mut line, row.iter().zip(table.columns).map(|(value, column)| value.text(&column.kind)), options);
        out.write_all(line.as_bytes())?;
    }
    out.flush()
}

fn record(line: &mut String, values: impl Iterator<Item = Option<String>>, options: &CsvOptions) {
    for (i, value) in values.enumerate() {
        if i > 0 {
            line.push(options.delimiter);
        }
        match value {
            None => line.push_str(options.null),
            Some(text) if needs_quotes(&text, options) => {
                line.push('"');
                line.push_str(&text.replace('"', "\"\""));
                line.push('"');
            }
            Some(text) => line.push_str(&text),
        }
    }
    line.push_str(options.line_end);
}

/// Quotes keep separators, quotes, line ends, blanks at the ends, and what would otherwise read as NULL.
fn needs_quotes(text: &str, options: &CsvOptions) -> bool {
    text == options.null
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.contains(['"', '\n', '\r', options.delimiter])
}
