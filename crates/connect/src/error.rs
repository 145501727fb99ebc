//! The one error type of connectors: what failed, what the system said, what to do.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// A connector's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it was, and so what may be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// May go away by itself: a cut connection, a server starting up, a recovery conflict.
    Transient,
    /// Will not go away by trying again: a missing table, a wrong URL.
    Permanent,
    /// The store refuses us: authentication, privileges.
    Denied,
    /// What the store holds is damaged: a truncated or corrupt file. A finding, not a fault of ours.
    Damaged,
    /// The deadline passed.
    Deadline,
    /// The run was cancelled.
    Cancelled,
}

/// A failure with everything its reader needs. Secrets never enter any of its texts.
#[derive(Debug)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    code: &'static str,
    kind: FailureKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure. `code` is a stable word of the contract such as `store.unreachable`; `message`
    /// says what failed, in lower case and without a full stop.
    pub fn new(kind: FailureKind, code: &'static str, message: impl Into<String>) -> Self {
        let inner = Inner { code, kind, message: message.into(), detail: None, hint: None, source: None };
        Self { inner: Box::new(inner) }
    }

    /// Adds what the system said, in sentences.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.inner.detail = Some(detail.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Adds the error underneath; it becomes the detail unless one is set.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        if self.inner.detail.is_none() {
            self.inner.detail = Some(source.to_string());
        }
        self.inner.source = Some(source);
        self
    }

    /// Puts what was being done in front of the message: `read split 3: connection cut`.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.inner.message = format!("{doing}: {}", self.inner.message);
        self
    }

    /// The deadline of the run passed.
    pub fn deadline() -> Self {
        Self::new(FailureKind::Deadline, "run.deadline", "the deadline passed")
            .hint("raise --budget, or verify fewer datasets at a time")
    }

    /// The run was cancelled.
    pub fn cancelled() -> Self {
        Self::new(FailureKind::Cancelled, "run.cancelled", "the run was interrupted")
    }

    /// A capability that this store does not have.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(FailureKind::Permanent, "store.unsupported", format!("this store does not support {what}"))
    }

    /// Stable word for the failure.
    pub fn code(&self) -> &'static str {
        self.inner.code
    }

    /// What may be done about it.
    pub fn kind(&self) -> FailureKind {
        self.inner.kind
    }

    /// What failed.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What the system said.
    pub fn detail_text(&self) -> Option<&str> {
        self.inner.detail.as_deref()
    }

    /// What to do.
    pub fn hint_text(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        self.inner.kind == FailureKind::Transient
    }
}

/// Whether errors are displayed without their details.
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// From now on errors are displayed (in logs, notes and reasons) without what systems said about them,
/// in the whole process: a server may quote values of rows there. [`Error::detail_text`] still has it.
/// For whoever prints, when privacy settings hide values; there is no way back.
pub fn hide_details() {
    HIDDEN.store(true, Ordering::Relaxed);
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        if let Some(detail) = self.inner.detail.as_ref().filter(|_| !HIDDEN.load(Ordering::Relaxed)) {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

impl From<paritas_digest::DigestError> for Error {
    fn from(error: paritas_digest::DigestError) -> Self {
        Self::new(FailureKind::Permanent, "data.unreadable", "a row cannot be brought into canonical form")
            .because(error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_error_underneath_is_the_detail_unless_one_is_given() {
        let error = Error::new(FailureKind::Transient, "store.unreachable", "cannot connect").because("refused");
        assert_eq!(error.detail_text(), Some("refused"));
        assert_eq!(error.context("probe").to_string(), "probe: cannot connect (refused)");
        let error = Error::new(FailureKind::Permanent, "x", "a").detail("said").because("refused");
        assert_eq!(error.detail_text(), Some("said"));
    }
}
