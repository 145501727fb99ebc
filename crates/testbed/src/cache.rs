//! What `make setup` fetched.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The folder, where it is not the usual one.
const VARIABLE: &str = "PARITAS_CACHE";
/// Set to 1 where nothing may be left out.
pub(crate) const REQUIRE_VARIABLE: &str = "PARITAS_REQUIRE_SERVERS";

/// The folder in which `make setup` keeps what it fetches.
pub(crate) fn folder() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(VARIABLE).unwrap_or_else(|| set("HOME").unwrap_or_default().join(".cache/paritas"))
}

/// A file of a package of Debian: unpacked in the cache, or installed.
pub(crate) fn unpacked(what: &'static str, package: &str, file: &str) -> Result<PathBuf> {
    let places = [folder().join(package).join(file), Path::new("/").join(file)];
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| Error::NotInstalled {
        what,
        looked: format!("the cache of `make setup` and /{file}"),
        hint: "run `make setup`",
    })
}

/// What was found; nothing where it is missing and may be.
pub(crate) fn unless_missing<T>(found: Result<T>) -> Result<Option<T>> {
    let required = std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
    match found {
        Err(error @ Error::NotInstalled { .. }) if !required => {
            tracing::warn!(%error, "left out");
            Ok(None)
        }
        other => other.map(Some),
    }
}
