//! What a format is, and how it is asked to write.

use crate::Report;
use std::io::{self, Write};

/// Writes a report. Everything is made from the report alone.
pub trait Format {
    /// The word that selects it: `human`, `json`.
    fn name(&self) -> &str;

    /// Writes the whole report.
    ///
    /// # Errors
    /// Those of `out`.
    fn write(&self, report: &Report, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()>;
}

/// How a report is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Whether ANSI colours may be used.
    pub color: bool,
    /// Columns of a line.
    pub width: usize,
    /// At most that many differing rows or files are shown per dataset.
    pub max_items: usize,
    /// Whether to show what passes in full: all datasets, positions, compared columns.
    pub verbose: bool,
}

impl RenderOptions {
    /// Lines are never made shorter than this.
    pub const WIDTH_MIN: usize = 40;
    /// Width where nobody says how wide a line may be.
    pub const WIDTH_DEFAULT: usize = 120;
    /// Rows shown per dataset unless asked otherwise.
    pub const MAX_ITEMS_DEFAULT: usize = 20;
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self { color: false, width: Self::WIDTH_DEFAULT, max_items: Self::MAX_ITEMS_DEFAULT, verbose: false }
    }
}
