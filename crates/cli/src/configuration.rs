//! Reading the configuration, and saying what is wrong with it.

use crate::failure::{Failure, USAGE};
use crate::session::Session;
use paritas_config::{Config, ConfigError, ConfigErrors};
use std::path::Path;

/// Code of the error that there is no configuration at all.
const MISSING: &str = "config.missing_file";

/// Reads the configuration, which has to exist.
pub fn load(session: &Session) -> Result<Config, Failure> {
    let config = paritas_config::load(session.config.as_deref()).map_err(|errors| failure(&errors))?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

/// Reads the configuration if there is one. One that was named has to exist, and one that cannot be
/// used is a failure.
pub fn load_if_any(session: &Session) -> Result<Option<Config>, Failure> {
    match load(session) {
        Ok(config) => Ok(Some(config)),
        Err(failure) if failure.problem.code == MISSING && session.config.is_none() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Names of the configured links.
pub fn link_names(config: &Config) -> Vec<String> {
    config.links.iter().map(|link| link.name.clone()).collect()
}

/// The file of a configuration, as short as it can be written.
pub fn shown_path(config: &Config) -> String {
    let folder = std::env::current_dir().unwrap_or_default();
    let path: &Path = config.path.strip_prefix(&folder).unwrap_or(&config.path);
    path.display().to_string()
}

/// The first mistake in full, the others in one line each.
fn failure(errors: &ConfigErrors) -> Failure {
    let first = errors.first();
    let mut detail: Vec<String> = first.snippet().into_iter().map(str::to_owned).collect();
    detail.extend(first.detail_text().map(str::to_owned));
    for other in errors.iter().skip(1) {
        let hint = other.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default();
        detail.push(format!("also {other}{hint}"));
    }
    if errors.left_out() > 0 {
        detail.push(format!("and {} more", errors.left_out()));
    }
    let failure = Failure::new(first.code(), USAGE, ConfigError::to_string(first));
    let failure = if detail.is_empty() { failure } else { failure.detail(detail.join("\n")) };
    match first.hint_text() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
