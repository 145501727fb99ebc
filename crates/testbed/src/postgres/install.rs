//! Where the PostgreSQL server programs are.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::which;
use crate::{Error, Result};

/// Names the folder with `initdb`, `postgres` and `pg_basebackup`, in place of looking for it.
pub const BIN_VARIABLE: &str = "PARITAS_PGBIN";
/// Debian keeps one folder for each major version here, none of them on the PATH.
const DEBIAN: &str = "/usr/lib/postgresql";
const HINT: &str = "run `make setup`, or `apt-get install postgresql-15`, or set PARITAS_PGBIN";

/// A PostgreSQL installation with server programs.
#[derive(Debug, Clone)]
pub struct Install {
    bin: PathBuf,
    version: String,
}

impl Install {
    /// Looks in `PARITAS_PGBIN`, then in Debian's folders (highest version), then on the PATH.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when there is none; [`Error::Program`] when it does not run.
    pub fn find() -> Result<Self> {
        if let Some(bin) = std::env::var_os(BIN_VARIABLE).filter(|v| !v.is_empty()) {
            return Self::at(Path::new(&bin));
        }
        match highest_debian().or_else(|| which("initdb")?.parent().map(Path::to_path_buf)) {
            Some(bin) => Self::at(&bin),
            None => Err(missing(format!("{BIN_VARIABLE}, {DEBIAN}/*/bin and the PATH"))),
        }
    }

    /// Takes the installation in this folder.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn at(bin: &Path) -> Result<Self> {
        // Servers start in another working folder; a link (as in /usr/bin) must lead to the share folder as well.
        let bin = bin.canonicalize().unwrap_or_else(|_| bin.to_path_buf());
        if !["initdb", "postgres", "pg_basebackup"].iter().all(|p| bin.join(p).is_file()) {
            return Err(missing(bin.display().to_string()));
        }
        let program = bin.join("postgres");
        let output = Command::new(&program).arg("--version").output();
        let output = output.map_err(Error::io("run postgres --version", &program))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let version = text.split_whitespace().nth(2).unwrap_or_default().to_owned();
        if !output.status.success() || version.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let program = program.display().to_string();
            return Err(Error::Program { program, status: output.status.to_string(), output: said });
        }
        Ok(Self { bin, version })
    }

    /// The server's version as it says it, for example `15.18`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The major version, for example 15; 0 if the version is not in the usual form.
    #[must_use]
    pub fn major(&self) -> u32 {
        let digits: String = self.version.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_default()
    }

    /// The path of one of its programs, for example `pg_waldump`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// One of its programs, ready to be given arguments, in an environment that it runs in.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        // The inherited working folder may be closed to the server's user.
        command.envs(self.env()).envs([("TZ", "UTC"), ("PGTZ", "UTC")]).current_dir("/");
        command
    }

    /// The folder above the programs.
    pub(super) fn root(&self) -> &Path {
        self.bin.parent().unwrap_or(&self.bin)
    }

    /// Environment for its programs.
    pub(super) fn env(&self) -> Vec<(&'static str, OsString)> {
        let mut env = vec![("LC_ALL", "C.UTF-8".into())];
        // An unpacked build must find its own client library, not the system's, which may be older.
        let lib = self.bin.join("../lib");
        if !self.bin.starts_with("/usr") && lib.is_dir() {
            env.push(("LD_LIBRARY_PATH", lib.into_os_string()));
        }
        env
    }
}

pub(super) fn missing(looked: String) -> Error {
    Error::NotInstalled { what: "the PostgreSQL server", looked, hint: HINT }
}

fn highest_debian() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
        path.join("bin/initdb").is_file().then_some((version, path.join("bin")))
    });
    versions.max_by_key(|(version, _)| *version).map(|(_, bin)| bin)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_without_programs_is_refused_with_the_way_to_install() {
        let error = Install::at(Path::new("/nonexistent")).unwrap_err();
        assert!(matches!(error, Error::NotInstalled { .. }));
        assert!(error.hint().unwrap().contains("make setup"));
    }

    #[test]
    fn the_version_is_read_from_the_server() {
        let install = Install::find().unwrap();
        assert!(install.major() >= 13, "{install:?}");
    }
}
