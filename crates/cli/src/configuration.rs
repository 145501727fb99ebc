//! Finding and reading the configuration.

use crate::failure::Failure;
use crate::runs::Config;
use crate::session::Session;
use std::path::PathBuf;

/// The name that is looked for.
const FILE_NAME: &str = "paritas.toml";

/// Where the configuration is: `--config`, or the first default place with a file.
pub fn place(session: &Session) -> Option<PathBuf> {
    if let Some(path) = &session.config {
        return Some(path.clone());
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let user = std::env::var_os("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from).or_else(home);
    let user = user.map(|folder| folder.join("paritas").join(FILE_NAME));
    [Some(PathBuf::from(FILE_NAME)), user].into_iter().flatten().find(|path| path.exists())
}

/// Reads the configuration, which has to exist.
pub fn load(session: &Session) -> Result<Config, Failure> {
    load_if_any(session)?.ok_or_else(|| {
        Failure::usage("there is no configuration", "write one with `paritas init`, or name it with `--config FILE`")
    })
}

/// Reads the configuration if there is one. A configuration that cannot be read is a failure.
pub fn load_if_any(session: &Session) -> Result<Option<Config>, Failure> {
    Ok(place(session).map(|path| Config { path }))
}

/// Names of the configured links.
pub fn link_names(_: &Config) -> Vec<String> {
    Vec::new()
}

/// The configured name that was probably meant.
pub fn nearest<'a>(word: &str, names: &'a [String]) -> Option<&'a str> {
    /// Words less alike than this are no suggestion.
    const ALIKE: f64 = 0.75;
    let alike = |name: &&'a str| strsim::jaro_winkler(word, name);
    let best = names.iter().map(String::as_str).max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&best) >= ALIKE).then_some(best)
}
