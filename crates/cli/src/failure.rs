//! Why a command could not do what it was asked.

use paritas_report::Problem;

/// A failure of a whole command, and the exit code that goes with it.
#[derive(Debug)]
pub struct Failure {
    /// What, why, and what to do.
    pub problem: Problem,
    /// 2 for usage and configuration errors, 3 for what could not be looked at.
    pub exit_code: u8,
}

/// Exit code of usage and configuration errors.
pub const USAGE: u8 = 2;
/// Exit code when nothing can be said.
pub const INCONCLUSIVE: u8 = 3;
/// Exit code after an interrupt.
pub const INTERRUPTED: u8 = 130;

impl Failure {
    /// A mistake in how the command was called.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new("usage", USAGE, message).hint(hint)
    }

    /// Any failure.
    pub fn new(code: &str, exit_code: u8, message: impl Into<String>) -> Self {
        let problem = Problem { code: code.to_owned(), message: message.into(), detail: None, hint: None };
        Self { problem, exit_code }
    }

    /// Adds what the system said.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // errors are handed over, texts too
    pub fn detail(mut self, detail: impl ToString) -> Self {
        self.problem.detail = Some(detail.to_string());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }
}

impl From<crate::runs::Error> for Failure {
    fn from(error: crate::runs::Error) -> Self {
        Self { problem: error.problem().clone(), exit_code: error.exit_code() }
    }
}
