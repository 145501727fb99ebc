//! Servers of several major versions: Debian's own, and those that `make setup` unpacks beside it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::install::{Install, missing};
use crate::process::ServerUser;
use crate::scratch::Scratch;
use crate::{Error, Result, cache};

/// The major versions that Paritas is tested with.
pub const MAJORS: &[u32] = &[14, 15, 16, 17, 18];
/// Set to 1 where a version that is not installed is a failure, and not a reason to leave a test out.
pub const REQUIRE_VARIABLE: &str = cache::REQUIRE_VARIABLE;

impl Install {
    /// The installation of one major version: Debian's, else the newest that `make setup` has unpacked.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when it is in neither place.
    pub fn of(major: u32) -> Result<Self> {
        let debian = PathBuf::from(format!("/usr/lib/postgresql/{major}"));
        let unpacked = unpacked();
        let mut roots = versions_below(&unpacked, major);
        roots.push(debian.clone());
        match roots.iter().rev().map(|root| root.join("bin")).find(|bin| bin.join("initdb").is_file()) {
            Some(bin) => Self::at(&bin),
            None => Err(missing(format!("{} and {}/{major}.*", debian.display(), unpacked.display()))),
        }
    }

    /// As [`Self::of`], and nothing where it is missing and `PARITAS_REQUIRE_SERVERS` does not ask for it.
    ///
    /// # Errors
    /// As [`Self::of`], where the variable is 1.
    pub fn unless_missing(major: u32) -> Result<Option<Self>> {
        cache::unless_missing(Self::of(major))
    }

    /// The installation where the servers' own user can read it: root's home is closed to others.
    pub(super) fn reachable(&self, scratch: &Scratch, user: Option<ServerUser>) -> Result<Self> {
        if user.is_none() || self.root().starts_with("/usr") || self.root().starts_with(scratch.path()) {
            return Ok(self.clone());
        }
        let root = scratch.path().join(format!("postgresql-{}", self.version()));
        if !root.exists() {
            copy_tree(self.root(), &root)?;
        }
        Self::at(&root.join("bin"))
    }
}

/// Runs a test on each of these major versions that is installed, and returns those that it ran on.
///
/// # Errors
/// As [`Install::unless_missing`].
pub async fn for_each_version(majors: &[u32], mut test: impl AsyncFnMut(Install)) -> Result<Vec<u32>> {
    let mut ran = Vec::new();
    for &major in majors {
        if let Some(install) = Install::unless_missing(major)? {
            test(install).await;
            ran.push(major);
        }
    }
    Ok(ran)
}

/// Where `make setup` unpacks servers, a folder for each version.
fn unpacked() -> PathBuf {
    cache::folder().join("postgres")
}

/// The folders of one major version, the newest last.
fn versions_below(folder: &Path, major: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let numbers: Option<Vec<u32>> = name.split('.').map(|part| part.parse().ok()).collect();
            numbers.filter(|numbers| numbers.first() == Some(&major)).map(|numbers| (numbers, entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Links where that is possible: a copy of a server takes time and 35 MB.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let copy = |option: &str| {
        let arguments = [OsStr::new("-a"), OsStr::new(option), from.as_os_str(), to.as_os_str()];
        let output = Command::new("cp").args(arguments).stdin(Stdio::null()).output();
        output.map_err(Error::io("copy the server", from))
    };
    if copy("--link")?.status.success() {
        return Ok(());
    }
    let _partly = fs::remove_dir_all(to);
    let output = copy("--no-target-directory")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program { program: "cp".into(), status: output.status.to_string(), output: said })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_newest_of_a_major_version_is_taken_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["14.9.0", "14.23.0", "140.1.0", "15.1.0", ".fetch-14.1", "14.x"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let names: Vec<_> = versions_below(folder.path(), 14);
        assert_eq!(names, [folder.path().join("14.9.0"), folder.path().join("14.23.0")]);
    }

    #[test]
    fn a_version_that_is_not_there_says_how_it_is_installed() {
        let error = Install::of(1).unwrap_err();
        assert!(error.hint().unwrap().contains("make setup"), "{error}");
        assert!(error.detail().unwrap().contains("/usr/lib/postgresql/1 "), "{error}");
    }
}
