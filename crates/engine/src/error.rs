//! Why a run could not take place at all.

use paritas_report::Problem;
use std::fmt;

/// A result of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure before anything was checked. Failures of single checks are part of the report.
#[derive(Debug)]
pub struct Error {
    problem: Problem,
    exit_code: u8,
}

impl Error {
    /// A usage or configuration error: exit code 2.
    pub fn usage(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let problem = Problem { code: code.to_owned(), message: message.into(), detail: None, hint: Some(hint.into()) };
        Self { problem, exit_code: 2 }
    }

    /// Something could not be looked at: exit code 3.
    pub fn inconclusive(problem: Problem) -> Self {
        Self { problem, exit_code: 3 }
    }

    /// What was asked for is not there: exit code 2.
    pub(crate) fn absent(problem: Problem) -> Self {
        Self { problem, exit_code: 2 }
    }

    /// Adds what the system said.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.problem.detail = Some(detail.into());
        self
    }

    /// Stable word for the failure.
    pub fn code(&self) -> &str {
        &self.problem.code
    }

    /// What failed.
    pub fn message(&self) -> &str {
        &self.problem.message
    }

    /// What the system said.
    pub fn detail_text(&self) -> Option<&str> {
        self.problem.detail.as_deref()
    }

    /// What to do.
    pub fn hint_text(&self) -> Option<&str> {
        self.problem.hint.as_deref()
    }

    /// The exit code of the contract.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// The failure as part of a JSON document.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Error {}

/// A failure of the state folder, where a command cannot do without it.
pub(crate) fn of_state(error: &paritas_state::StateError) -> Error {
    Error::inconclusive(Problem {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail_text().map(str::to_owned),
        hint: Some(error.hint_text().to_owned()),
    })
}

/// A connector's failure as it stands in reports.
pub(crate) fn problem_of(error: &paritas_connect::Error) -> Problem {
    Problem {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail_text().map(str::to_owned),
        hint: error.hint_text().map(str::to_owned),
    }
}
