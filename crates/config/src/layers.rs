//! Finding a configuration, and laying the files it extends under it.

use crate::decode;
use crate::error::{ConfigError, ConfigErrors};
use crate::packs;
use crate::reader::nearest;
use crate::source::{Sources, Span};
use crate::tree::{self, Entry, Node, Table, Value};
use crate::types::Config;
use std::path::{Path, PathBuf};

/// No configuration file is larger.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Files do not extend each other deeper than this.
const EXTENDS_DEPTH_MAX: usize = 16;

/// No configuration is made of more files.
const FILES_MAX: usize = 256;

/// The name that is looked for.
pub const FILE_NAME: &str = "paritas.toml";

/// Environment variables that win over the files: variable, section, key.
const VARIABLES: [(&str, &str, &str); 1] = [("PARITAS_STATE", "paritas", "state")];

/// What surrounds a process, so that tests can give their own.
pub struct Surroundings<'a> {
    /// The current folder.
    pub folder: PathBuf,
    /// Environment variables.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Reads the configuration of this process: `explicit` if given, otherwise `./paritas.toml`,
/// otherwise `$XDG_CONFIG_HOME/paritas/paritas.toml` (`~/.config` where that is not set).
///
/// # Errors
/// `config.missing_file` when there is none, and every mistake that was found in it.
pub fn load(explicit: Option<&Path>) -> Result<Config, ConfigErrors> {
    let folder = std::env::current_dir().unwrap_or_default();
    load_in(explicit, &Surroundings { folder, variable: &|name| std::env::var(name).ok() })
}

/// [`load`] with given surroundings.
///
/// # Errors
/// Those of [`load`].
pub fn load_in(explicit: Option<&Path>, surroundings: &Surroundings<'_>) -> Result<Config, ConfigErrors> {
    let path = find(explicit, surroundings)?;
    let shown = path.strip_prefix(&surroundings.folder).unwrap_or(&path).to_owned();
    let text = read(&path).map_err(|error| unreadable(&shown.display().to_string(), &error))?;
    assemble(&path, &shown.display().to_string(), &text, surroundings)
}

/// Reads a configuration from a text, under this name. What it extends must be built in.
///
/// # Errors
/// Every mistake that was found.
pub fn parse(name: &str, text: &str) -> Result<Config, ConfigErrors> {
    assemble(Path::new(""), name, text, &Surroundings { folder: PathBuf::new(), variable: &|_| None })
}

fn find(explicit: Option<&Path>, surroundings: &Surroundings<'_>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = explicit {
        return Ok(surroundings.folder.join(path));
    }
    let variable = |name: &str| (surroundings.variable)(name).filter(|value| !value.is_empty());
    let home = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| format!("{home}/.config")));
    let own = home.map(|home| Path::new(&home).join("paritas").join(FILE_NAME));
    let candidates: Vec<PathBuf> = std::iter::once(surroundings.folder.join(FILE_NAME)).chain(own).collect();
    // Anything that is there counts, also if it cannot be read: that is said then.
    if let Some(path) = candidates.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Ok(path.clone());
    }
    let tried = candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ");
    Err(ConfigError::new("config.missing_file", "there is no configuration file")
        .detail(format!("Looked for {tried}."))
        .hint("write one with `paritas init`, name one with --config FILE, or verify two stores directly: paritas verify SOURCE REPLICA"))
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn unreadable(shown: &str, error: &std::io::Error) -> ConfigError {
    let (code, hint) = match error.kind() {
        std::io::ErrorKind::NotFound => {
            ("config.missing_file", "write one with `paritas init`, or name another with --config FILE")
        }
        std::io::ErrorKind::PermissionDenied => ("config.denied", "make it readable by the user paritas runs as"),
        std::io::ErrorKind::InvalidData => ("config.syntax", "save it as UTF-8"),
        _ => ("config.unreadable", "name a file with --config FILE"),
    };
    ConfigError::new(code, format!("cannot read the configuration {shown}")).detail(format!("{error}.")).hint(hint)
}

fn assemble(path: &Path, shown: &str, text: &str, surroundings: &Surroundings<'_>) -> Result<Config, ConfigErrors> {
    let mut layers = Layers { sources: Sources::default(), stack: Vec::new() };
    let mut tree = layers.file(path, shown, text)?;
    for (variable, section, key) in VARIABLES {
        if let Some(value) = (surroundings.variable)(variable).filter(|value| !value.is_empty()) {
            let value = surroundings.folder.join(value).display().to_string();
            tree::lay_over(&mut tree, layers.variable(variable, section, key, value));
        }
    }
    decode::decode(path, &tree, &layers.sources).map_err(|errors| {
        let unknown = || ConfigError::new("config.value", "the configuration cannot be used").into();
        ConfigErrors::from_list(errors).unwrap_or_else(unknown)
    })
}

struct Layers {
    sources: Sources,
    /// What is being read, outermost first: a file that is met again extends itself.
    stack: Vec<(PathBuf, String)>,
}

impl Layers {
    /// The tree of a file, laid over those that it extends.
    fn file(&mut self, path: &Path, shown: &str, text: &str) -> Result<Table, ConfigError> {
        let number = self.sources.add(shown, text.strip_prefix('\u{feff}').unwrap_or(text));
        let own = tree::parse(&self.sources, number, text.strip_prefix('\u{feff}').unwrap_or(text))?;
        self.stack.push((identity(path, shown), shown.to_owned()));
        let mut base = Table::default();
        for (name, span) in self.extended(&own)? {
            let below = self.extend(path, &name, span)?;
            tree::lay_over(&mut base, below);
        }
        self.stack.pop();
        tree::lay_over(&mut base, own);
        Ok(base)
    }

    /// `extends` of `[paritas]`: a list of texts, or one text.
    fn extended(&self, own: &Table) -> Result<Vec<(String, Span)>, ConfigError> {
        let Some(Value::Table(section)) = own.get("paritas").map(|entry| &entry.node.value) else {
            return Ok(Vec::new());
        };
        let Some(entry) = section.get("extends") else { return Ok(Vec::new()) };
        let wrong = |node: &Node| {
            let message = format!("extends in [paritas] must be a list of texts, not {}", node.value.kind());
            ConfigError::new("config.type", message).at(&self.sources, node.span)
        };
        let text = |node: &Node| match &node.value {
            Value::Text(text) => Ok((text.clone(), node.span)),
            _ => Err(wrong(node)),
        };
        match &entry.node.value {
            Value::List(items) => items.iter().map(text).collect(),
            Value::Text(_) => Ok(vec![text(&entry.node)?]),
            _ => Err(wrong(&entry.node)),
        }
    }

    /// A file next to the one that names it, otherwise a built-in pack.
    fn extend(&mut self, from: &Path, name: &str, span: Span) -> Result<Table, ConfigError> {
        if self.stack.len() > EXTENDS_DEPTH_MAX || self.sources.len() >= FILES_MAX {
            let message = format!(
                "configuration files extend each other too often (at most {EXTENDS_DEPTH_MAX} deep, {FILES_MAX} files)"
            );
            return Err(ConfigError::new("config.extends", message).at(&self.sources, span));
        }
        let path = from.parent().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        let (path, shown, text) = match read(&path) {
            Ok(text) => (path.clone(), path.display().to_string(), text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => match packs::find(name) {
                Some(pack) => (PathBuf::new(), format!("built-in {}", pack.name), pack.text.to_owned()),
                None => return Err(self.no_such_pack(name, &path, span)),
            },
            Err(error) => return Err(unreadable(&path.display().to_string(), &error).at(&self.sources, span)),
        };
        let own = identity(&path, &shown);
        if let Some(at) = self.stack.iter().position(|(other, _)| *other == own) {
            let round = self.stack.iter().skip(at).map(|(_, shown)| shown.as_str()).chain([shown.as_str()]);
            let round = round.collect::<Vec<_>>().join(" -> ");
            let error = ConfigError::new("config.extends", "configuration files extend each other in a circle");
            return Err(error.detail(format!("{round}.")).at(&self.sources, span));
        }
        self.file(&path, &shown, &text)
    }

    fn no_such_pack(&self, name: &str, path: &Path, span: Span) -> ConfigError {
        let known = packs::PACKS.iter().map(|pack| pack.name);
        let hint = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("built in are {}", known.collect::<Vec<_>>().join(", ")),
        };
        ConfigError::new("config.extends", format!("there is no file {name:?} to extend"))
            .detail(format!("{} does not exist, and no built-in pack has this name.", path.display()))
            .hint(hint)
            .at(&self.sources, span)
    }

    fn variable(&mut self, variable: &str, section: &str, key: &str, value: String) -> Table {
        let number = self.sources.add_variable(variable);
        let span = Span { file: number, start: 0, end: 0 };
        let wrap = |name: &str, value: Value| Table {
            entries: vec![Entry { name: name.to_owned(), name_span: span, node: Node { value, span } }],
        };
        wrap(section, Value::Table(wrap(key, Value::Text(value))))
    }
}

/// What tells a file from every other, also if it is named in another way.
fn identity(path: &Path, shown: &str) -> PathBuf {
    if path.as_os_str().is_empty() {
        return PathBuf::from(shown);
    }
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
