//! Helpers shared by the end-to-end tests: running the binary as a user does, and reading its report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod lag;

use serde_json::Value;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The binary under test: built beside the tests, or named by `PARITAS_BIN`.
///
/// # Panics
/// When it was not built; `make test` builds it first.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("PARITAS_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("path of this test");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("folder of the profile");
    let path = profile.join("paritas");
    assert!(path.exists(), "{} is missing: run `cargo build -p paritas-cli` first, or `make test`", path.display());
    path
}

/// What one call of the binary came to.
#[derive(Debug, Clone)]
pub struct Run {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Calls the binary with these arguments, in a clean environment.
pub fn paritas<S: AsRef<OsStr>>(args: &[S]) -> Run {
    run(command(args))
}

/// The call, to be changed before it is run.
pub fn command<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).stdin(Stdio::null()).env_remove("PARITAS_CONFIG").env_remove("PARITAS_STATE");
    command
}

/// Runs a prepared call to its end.
///
/// # Panics
/// When the binary cannot be started.
pub fn run(mut command: Command) -> Run {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    ended(command.spawn().expect("start the binary"))
}

/// Waits for the end of a call that was started.
///
/// # Panics
/// When the system does not say how it ended.
pub fn ended(child: Child) -> Run {
    let output = child.wait_with_output().expect("the end of the binary");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `paritas verify --json SOURCE REPLICA` with further options.
pub fn verify(source: &str, replica: &str, more: &[&str]) -> Run {
    let mut args = vec!["verify", "--json", source, replica];
    args.extend(more);
    paritas(&args)
}

impl Run {
    /// The JSON document on standard output.
    ///
    /// # Panics
    /// When standard output is not exactly one document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON document ({error}): {self:#?}"))
    }

    /// All checks of the first link whose kind is `kind`.
    pub fn checks(&self, kind: &str) -> Vec<Value> {
        let json = self.json();
        let checks = json["links"][0]["checks"].as_array().cloned().unwrap_or_default();
        checks.into_iter().filter(|check| check["check"] == kind).collect()
    }

    /// The only parity check of the report.
    ///
    /// # Panics
    /// When there is not exactly one.
    pub fn parity(&self) -> Value {
        let mut checks = self.checks("parity");
        assert_eq!(checks.len(), 1, "{self:#?}");
        checks.remove(0)
    }

    /// Lost, extra and changed rows of a parity or files check.
    pub fn counts(check: &Value) -> (u64, u64, u64) {
        let count = |class: &str| check["differences"][class].as_u64().unwrap_or(u64::MAX);
        (count("lost"), count("extra"), count("changed"))
    }

    /// Demands that no check counts a proven difference.
    ///
    /// # Panics
    /// When one does.
    pub fn expect_no_difference(&self) {
        for check in self.json()["links"][0]["checks"].as_array().into_iter().flatten() {
            for class in ["lost", "extra", "changed"] {
                assert!(matches!(check["differences"][class].as_u64(), None | Some(0)), "{check}");
            }
        }
    }

    /// Demands an exit code, and shows everything otherwise.
    ///
    /// # Panics
    /// When the code is another one.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}
