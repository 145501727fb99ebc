//! Why something could not be kept or found again.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A state's result.
pub type Result<T, E = StateError> = std::result::Result<T, E>;

/// A failure of the state folder. None of them changes a verdict: the caller can still print it.
#[derive(Debug)]
pub struct StateError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    code: &'static str,
    message: String,
    detail: Option<String>,
    hint: String,
    path: PathBuf,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StateError {
    pub(crate) fn new(code: &'static str, message: String, path: &Path, hint: impl Into<String>) -> Self {
        let inner = Inner { code, message, detail: None, hint: hint.into(), path: path.to_owned(), source: None };
        Self { inner: Box::new(inner) }
    }

    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        hint.clone_into(&mut self.inner.hint);
        self
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        self.inner.detail = Some(source.to_string());
        self.inner.source = Some(source);
        self
    }

    /// What the system said about a path, with what to do about it.
    pub(crate) fn io(doing: &str, path: &Path, error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let shown = path.display();
        let (code, hint) = match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
                ("state.full", format!("free space on the disk of {shown}, or name another folder with --state DIR"))
            }
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => (
                "state.denied",
                format!("make {shown} writable for the user paritas runs as, or name another folder with --state DIR"),
            ),
            Kind::NotFound => {
                ("state.missing", "see which runs and digests there are in the folders of the state".to_owned())
            }
            Kind::NotADirectory | Kind::AlreadyExists | Kind::IsADirectory => {
                ("state.place", "name a folder with --state DIR that is used for nothing else".to_owned())
            }
            _ => ("state.io", "check the disk, or name another folder with --state DIR".to_owned()),
        };
        Self::new(code, format!("cannot {doing} {shown}"), path, hint).because(error)
    }

    /// Stable word for the failure.
    pub fn code(&self) -> &'static str {
        self.inner.code
    }

    /// What failed, in lower case and without a full stop.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What the system said.
    pub fn detail_text(&self) -> Option<&str> {
        self.inner.detail.as_deref()
    }

    /// What to do.
    pub fn hint_text(&self) -> &str {
        &self.inner.hint
    }

    /// The file or folder concerned.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        match &self.inner.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}
