//! Faults planted in copies, each with a description of what was done, so that a test can demand exactly that.

pub mod csv;
pub mod files;
pub mod lake;
pub mod postgres;

use std::fmt;

/// What kind of difference a fault makes, seen from the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// A row that the copy no longer has.
    Lost,
    /// A row that only the copy has.
    Extra,
    /// A row with another value.
    Changed,
    /// A row that the copy has once more.
    Duplicated,
    /// A column with another type, name or place.
    Schema,
    /// A file that is damaged or gone.
    File,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Extra => "extra",
            Self::Changed => "changed",
            Self::Duplicated => "duplicated",
            Self::Schema => "schema",
            Self::File => "file",
        })
    }
}

/// One planted fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// In words, for a person.
    pub what: String,
    /// The table, or the file.
    pub dataset: String,
    /// The row's key: columns and their texts. All columns for a table without key; none where no row is meant.
    pub key: Vec<(String, String)>,
    /// The column concerned, where it is one.
    pub column: Option<String>,
    /// The value before, as text.
    pub before: Option<String>,
    /// The value after, as text.
    pub after: Option<String>,
    /// The kind of difference.
    pub class: Class,
}

impl Injected {
    fn new(class: Class, dataset: &str, what: impl Into<String>) -> Self {
        let (what, dataset) = (what.into(), dataset.to_owned());
        Self { what, dataset, key: Vec::new(), column: None, before: None, after: None, class }
    }

    fn key(mut self, key: Vec<(String, String)>) -> Self {
        self.key = key;
        self
    }

    fn value(mut self, column: &str, before: Option<String>, after: Option<String>) -> Self {
        self.column = Some(column.to_owned());
        (self.before, self.after) = (before, after);
        self
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} in {}", self.class, self.what, self.dataset)?;
        if !self.key.is_empty() {
            let parts: Vec<String> = self.key.iter().map(|(column, value)| format!("{column}={value}")).collect();
            write!(f, " ({})", parts.join(", "))?;
        }
        Ok(())
    }
}
