//! The tool that checks rules of Prometheus, and runs them over series that a test gives.

use crate::{Result, cache};
use std::path::PathBuf;

/// Where `promtool` is; nothing where it is missing and `PARITAS_REQUIRE_SERVERS` does not ask for it.
///
/// # Errors
/// [`crate::Error::NotInstalled`], where the variable is 1.
pub fn promtool() -> Result<Option<PathBuf>> {
    cache::unless_missing(cache::unpacked("promtool", "prometheus", "usr/bin/promtool"))
}
