//! What the arguments of a command name: configured links, or two stores.

use crate::configuration;
use crate::failure::Failure;
use crate::runs;
use crate::session::Session;
use paritas_config::Config;
use paritas_connect::redact_url;
use std::path::{Path, PathBuf};

/// What is to be verified, or looked at otherwise.
#[derive(Debug)]
pub(super) enum Chosen {
    /// Configured links; none means all.
    Links { config: Box<Config>, names: Vec<String> },
    /// Two stores.
    Pair { source: String, replica: String },
}

impl Chosen {
    /// The folder for runs and digests that the configuration names.
    pub(super) fn state(&self) -> Option<PathBuf> {
        match self {
            Self::Links { config, .. } => config.state.clone(),
            Self::Pair { .. } => None,
        }
    }
}

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// A configured link.
    Link,
    /// A store, by its prefix or by being a path.
    Store,
    /// Neither.
    Nothing,
}

/// A name can be spelled like a path; a configured link wins.
fn names(argument: &str, configured: &[String]) -> Names {
    if configured.iter().any(|name| name == argument) {
        Names::Link
    } else if runs::looks_like_target(argument) {
        Names::Store
    } else {
        Names::Nothing
    }
}

/// What the arguments of a command name: links, or two stores.
pub(super) fn chosen(session: &Session, what: &[String], command: &str) -> Result<Chosen, Failure> {
    if what.is_empty() {
        let config = Box::new(configuration::load(session)?);
        return Ok(Chosen::Links { config, names: Vec::new() });
    }
    // Stores need no configuration, so a broken one must not keep them from being verified.
    let certain = what.iter().all(|argument| certainly_a_store(argument));
    let config = if certain { None } else { configuration::load_if_any(session)? };
    let configured = config.as_ref().map(configuration::link_names).unwrap_or_default();
    let kinds: Vec<Names> = what.iter().map(|argument| names(argument, &configured)).collect();
    match (what, kinds.as_slice(), config) {
        (all, kinds, Some(config)) if kinds.iter().all(|kind| *kind == Names::Link) => {
            Ok(Chosen::Links { config: Box::new(config), names: all.to_vec() })
        }
        ([source, replica], [Names::Store, Names::Store], _) => {
            Ok(Chosen::Pair { source: source.clone(), replica: replica.clone() })
        }
        (_, _, config) => Err(misnamed(what, &kinds, config.as_ref(), command)),
    }
}

/// Prefixes of stores, also of kinds that only a later version knows.
const PREFIXES: [&str; 10] =
    ["parquet:", "csv:", "digest:", "files:", "kafka:", "redis:", "rediss:", "iceberg:", "delta:", "file:"];

/// Whether an argument cannot be the name of a link, so that no configuration is needed.
fn certainly_a_store(argument: &str) -> bool {
    argument.contains("://")
        || argument.starts_with(['/', '.'])
        || PREFIXES.iter().any(|prefix| argument.starts_with(prefix))
}

/// Says what is wrong about a list of arguments that is neither links nor two stores.
fn misnamed(what: &[String], kinds: &[Names], config: Option<&Config>, command: &str) -> Failure {
    let of =
        |wanted: Names| what.iter().zip(kinds).find(|(_, kind)| **kind == wanted).map(|(word, _)| redact_url(word));
    if let Some(unknown) = of(Names::Nothing) {
        return unknown_name(&unknown, config);
    }
    if let (Some(link), Some(store)) = (of(Names::Link), of(Names::Store)) {
        let hint = if Path::new(&link).exists() {
            format!("`{link}` is a configured link; write `./{link}` for the path")
        } else {
            format!("{command} links by their names, or two stores as SOURCE REPLICA")
        };
        return Failure::usage(format!("a link and a store cannot be mixed: `{link}` and `{store}`"), hint);
    }
    let message = match what {
        [only] => format!("`{}` is one store; two are needed", redact_url(only)),
        several => format!("{} stores were named; exactly two are needed", several.len()),
    };
    Failure::usage(message, format!("write `paritas {command} SOURCE REPLICA`"))
}

fn unknown_name(unknown: &str, config: Option<&Config>) -> Failure {
    let failure = |hint: String| Failure::usage(format!("`{unknown}` is neither a configured link nor a store"), hint);
    let Some(config) = config.filter(|config| !config.links.is_empty()) else {
        let place = config.map_or_else(
            || "there is no configuration".to_owned(),
            |config| format!("{} has no links", configuration::shown_path(config)),
        );
        return failure(format!("{place}; check the path, or write a kind in front of it, such as parquet:{unknown}"));
    };
    match config.nearest_link(unknown) {
        Some(near) => failure(format!("did you mean `{near}`?")),
        None => failure(format!("configured links are {}", configuration::link_names(config).join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_link_wins_over_a_path_of_the_same_spelling() {
        let configured = ["src".to_owned(), "a/b".to_owned()];
        assert_eq!(names("src", &configured), Names::Link);
        assert_eq!(names("a/b", &configured), Names::Link);
        assert_eq!(names("src", &[]), Names::Store);
        assert_eq!(names("parquet:x", &configured), Names::Store);
        assert_eq!(names("trading", &configured), Names::Nothing);
    }
}
