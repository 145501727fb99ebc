//! What is wrong with a configuration, and where.

use crate::source::{Place, Sources, Span};
use std::fmt;

/// More mistakes than these are not listed.
pub(crate) const ERRORS_MAX: usize = 50;

/// One mistake. Secrets never enter any of its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    inner: Box<Inner>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    code: &'static str,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    place: Option<Place>,
    snippet: Option<String>,
}

impl ConfigError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        let inner = Inner { code, message: message.into(), detail: None, hint: None, place: None, snippet: None };
        Self { inner: Box::new(inner) }
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.inner.detail = Some(detail.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(mut self, sources: &Sources, span: Span) -> Self {
        self.inner.place = sources.place(span);
        self.inner.snippet = sources.snippet(span);
        self
    }

    /// Stable word for the mistake, such as `config.unknown_key`.
    pub fn code(&self) -> &'static str {
        self.inner.code
    }

    /// What is wrong, in lower case and without a full stop.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// More about it, in sentences.
    pub fn detail_text(&self) -> Option<&str> {
        self.inner.detail.as_deref()
    }

    /// What to do.
    pub fn hint_text(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// Where it is.
    pub fn place(&self) -> Option<&Place> {
        self.inner.place.as_ref()
    }

    /// The line with a caret under the place, two lines of text.
    pub fn snippet(&self) -> Option<&str> {
        self.inner.snippet.as_deref()
    }

    /// All of it on several lines, for a terminal.
    pub fn render(&self) -> String {
        let mut text = self.inner.message.clone();
        if let Some(place) = &self.inner.place {
            text.push_str(&format!("\n  --> {place}"));
        }
        for line in self.inner.snippet.iter().flat_map(|snippet| snippet.lines()) {
            text.push_str(&format!("\n  {line}"));
        }
        for (name, part) in [("detail", &self.inner.detail), ("hint", &self.inner.hint)] {
            if let Some(part) = part {
                text.push_str(&format!("\n  {name}: {part}"));
            }
        }
        text
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner.place {
            Some(place) => write!(f, "{place}: {}", self.inner.message),
            None => f.write_str(&self.inner.message),
        }
    }
}

impl std::error::Error for ConfigError {}

/// All mistakes of a configuration, at least one, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    first: ConfigError,
    others: Vec<ConfigError>,
    left_out: usize,
}

impl ConfigErrors {
    /// `None` when there are none.
    pub(crate) fn from_list(errors: Vec<ConfigError>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let first = errors.next()?;
        let mut others: Vec<ConfigError> = errors.collect();
        let left_out = others.len().saturating_sub(ERRORS_MAX - 1);
        others.truncate(ERRORS_MAX - 1);
        Some(Self { first, others, left_out })
    }

    /// The first mistake.
    pub fn first(&self) -> &ConfigError {
        &self.first
    }

    /// The mistakes, at most 50.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// How many more there are.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// All of them on several lines, for a terminal.
    pub fn render(&self) -> String {
        let mut text = self.iter().map(ConfigError::render).collect::<Vec<_>>().join("\n");
        if self.left_out > 0 {
            text.push_str(&format!("\nand {} more", self.left_out));
        }
        text
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self { first: error, others: Vec::new(), left_out: 0 }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = self.others.len() + self.left_out;
        write!(f, "{}", self.first)?;
        if more > 0 { write!(f, " (and {more} more)") } else { Ok(()) }
    }
}

impl std::error::Error for ConfigErrors {}

/// Something unwise that does not keep the configuration from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// What, in lower case and without a full stop.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Where.
    pub place: Option<Place>,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
