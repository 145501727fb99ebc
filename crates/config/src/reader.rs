//! Reading values by name and type out of a tree, and telling what is wrong with them.

use crate::error::{ConfigError, ERRORS_MAX};
use crate::source::{Sources, Span};
use crate::tree::{Entry, Node, Table, Value};
use paritas_connect::{SecretRef, is_variable_name};
use paritas_model::{ParseQuantityError, parse_duration};
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

/// Names further apart than this are not suggested.
const SUGGESTION_SIMILARITY_MIN: f64 = 0.7;

/// Collects mistakes, so that one reading finds all of them.
#[derive(Debug)]
pub(crate) struct Mistakes<'a> {
    sources: &'a Sources,
    found: RefCell<Vec<(Span, ConfigError)>>,
}

impl<'a> Mistakes<'a> {
    pub(crate) fn new(sources: &'a Sources) -> Self {
        Self { sources, found: RefCell::default() }
    }

    pub(crate) fn add(&self, span: Span, error: ConfigError) {
        self.found.borrow_mut().push((span, error));
    }

    /// The mistakes in the order of their places.
    pub(crate) fn into_list(self) -> Vec<ConfigError> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(span, _)| *span);
        let located = |(index, (span, error)): (usize, (Span, ConfigError))| match index {
            0..ERRORS_MAX => error.at(self.sources, span),
            _ => error,
        };
        found.into_iter().enumerate().map(located).collect()
    }
}

/// The name that was probably meant.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    let score = |candidate: &'n str| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate);
    let best = known.into_iter().map(score).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SUGGESTION_SIMILARITY_MIN).then_some(best.1)
}

/// A hint with the nearest name, or all of them.
pub(crate) fn suggestion(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => "nothing may stand here".to_owned(),
        None => format!("one of {}", known.join(", ")),
    }
}

/// A hint with all words, the one that was probably meant first.
pub(crate) fn known_words(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}? Known are {}", known.join(", ")),
        None => format!("known are {}", known.join(", ")),
    }
}

/// A table that is being read. Whatever is not asked for by the end is an unknown key.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// How it is called in messages: `[store.pg-east]`.
    pub(crate) title: String,
    pub(crate) span: Span,
    table: &'a Table,
    mistakes: &'a Mistakes<'a>,
    asked: RefCell<Vec<&'static str>>,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<'a> Section<'a> {
    pub(crate) fn new(title: impl Into<String>, span: Span, table: &'a Table, mistakes: &'a Mistakes<'a>) -> Self {
        Self { title: title.into(), span, table, mistakes, asked: RefCell::default() }
    }

    pub(crate) fn mistake(&self, span: Span, error: ConfigError) {
        self.mistakes.add(span, error);
    }

    pub(crate) fn mistakes(&self) -> &'a Mistakes<'a> {
        self.mistakes
    }

    /// Reports every key that was not asked for.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for entry in &self.table.entries {
            if !asked.contains(&entry.name.as_str()) {
                let message = format!("unknown key {:?} in {}", entry.name, self.title);
                let error = ConfigError::new("config.unknown_key", message).hint(suggestion(&entry.name, &asked));
                self.mistake(entry.name_span, error);
            }
        }
    }

    /// All entries, for tables whose keys are names that the user chose.
    pub(crate) fn entries(&self) -> &'a [Entry] {
        &self.table.entries
    }

    pub(crate) fn entry(&self, name: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(name);
        self.table.get(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.get(name).is_some()
    }

    /// Reports a value of the wrong type or form.
    pub(crate) fn wrong(&self, name: &str, node: &Node, expected: &str) {
        let message = format!("{name} in {} must be {expected}, not {}", self.title, node.value.kind());
        self.mistake(node.span, ConfigError::new("config.type", message));
    }

    pub(crate) fn required<T>(&self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(name) {
            let error = ConfigError::new("config.missing", format!("{} has no {name}", self.title));
            self.mistake(self.span, error.hint(format!("add {name} = …")));
        }
        value
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &'static str) -> Option<At<String>> {
        let entry = self.entry(name)?;
        self.text_of(name, &entry.node)
    }

    pub(crate) fn text_of(&self, name: &str, node: &Node) -> Option<At<String>> {
        match &node.value {
            Value::Text(text) if text.trim().is_empty() => {
                self.mistake(node.span, ConfigError::new("config.value", format!("{name} in {} is empty", self.title)));
                None
            }
            Value::Text(text) => Some(At { value: text.clone(), span: node.span }),
            _ => {
                self.wrong(name, node, "a text");
                None
            }
        }
    }

    pub(crate) fn boolean(&self, name: &'static str) -> Option<At<bool>> {
        let entry = self.entry(name)?;
        match entry.node.value {
            Value::Bool(value) => Some(At { value, span: entry.node.span }),
            _ => {
                self.wrong(name, &entry.node, "true or false");
                None
            }
        }
    }

    /// An integer of at least `min` and at most `max`.
    pub(crate) fn integer(&self, name: &'static str, min: i64, max: i64) -> Option<At<i64>> {
        let entry = self.entry(name)?;
        match entry.node.value {
            Value::Integer(Some(value)) if (min..=max).contains(&value) => Some(At { value, span: entry.node.span }),
            Value::Integer(_) => {
                let message = format!("{name} in {} must be between {min} and {max}", self.title);
                self.mistake(entry.node.span, ConfigError::new("config.value", message));
                None
            }
            _ => {
                self.wrong(name, &entry.node, "an integer");
                None
            }
        }
    }

    /// A list of texts that are not empty. `None` where the key is absent.
    pub(crate) fn texts(&self, name: &'static str) -> Option<Vec<At<String>>> {
        let entry = self.entry(name)?;
        let Value::List(items) = &entry.node.value else {
            let message = format!("{name} in {} must be a list of texts, not {}", self.title, entry.node.value.kind());
            let mut error = ConfigError::new("config.type", message);
            if matches!(entry.node.value, Value::Text(_)) {
                error = error.hint(format!("put it in brackets: {name} = [\"…\"]"));
            }
            self.mistake(entry.node.span, error);
            return Some(Vec::new());
        };
        let item = |(i, node): (usize, &Node)| self.text_of(&format!("{name}[{i}]"), node);
        Some(items.iter().enumerate().filter_map(item).collect())
    }

    /// A duration with a unit.
    pub(crate) fn duration(&self, name: &'static str) -> Option<At<Duration>> {
        let entry = self.entry(name)?;
        self.duration_of(name, &entry.node)
    }

    pub(crate) fn duration_of(&self, name: &str, node: &Node) -> Option<At<Duration>> {
        match &node.value {
            Value::Text(text) => match parse_duration(text) {
                Ok(value) if value.is_zero() => {
                    let message = format!("{name} in {} must be more than zero", self.title);
                    self.mistake(node.span, ConfigError::new("config.value", message));
                    None
                }
                Ok(value) => Some(At { value, span: node.span }),
                Err(error) => {
                    self.quantity(name, node.span, &error);
                    None
                }
            },
            _ => {
                let message = format!("{name} in {} must be a duration, not {}", self.title, node.value.kind());
                let error = ConfigError::new("config.type", message);
                self.mistake(node.span, error.hint("write a text with a unit, such as \"30s\" or \"1h30m\""));
                None
            }
        }
    }

    pub(crate) fn quantity(&self, name: &str, span: Span, error: &ParseQuantityError) {
        let message = format!("{name} in {}: {error}", self.title);
        self.mistake(span, ConfigError::new("config.value", message).hint(error.hint));
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Option<At<T>> {
        let text = self.text(name)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(At { value: *value, span: text.span });
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("{name} in {} cannot be {:?}", self.title, text.value);
        self.mistake(text.span, ConfigError::new("config.value", message).hint(known_words(&text.value, &known)));
        None
    }

    /// A table inside this one.
    pub(crate) fn section(&self, name: &'static str, title: String) -> Option<Section<'a>> {
        let entry = self.entry(name)?;
        self.section_of(name, title, entry)
    }

    pub(crate) fn section_of(&self, name: &str, title: String, entry: &'a Entry) -> Option<Section<'a>> {
        match &entry.node.value {
            Value::Table(table) => Some(Section::new(title, entry.name_span, table, self.mistakes)),
            _ => {
                self.wrong(name, &entry.node, "a table");
                None
            }
        }
    }

    /// A list of tables: `[[link]]`. `title` gets each table's `name`.
    pub(crate) fn sections(&self, name: &'static str, title: impl Fn(&str) -> String) -> Vec<Section<'a>> {
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let Value::List(items) = &entry.node.value else {
            let message = format!("{name} must be a list of tables, not {}", entry.node.value.kind());
            let error = ConfigError::new("config.type", message);
            self.mistake(entry.name_span, error.hint(format!("write {} with two brackets on each side", title(""))));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items {
            match &item.value {
                Value::Table(table) => {
                    let own = table.get("name").or_else(|| table.get("source_name"));
                    let own = own.and_then(|entry| match &entry.node.value {
                        Value::Text(text) => Some(text.as_str()),
                        _ => None,
                    });
                    let title = title(&own.map(|own| format!(" {own:?}")).unwrap_or_default());
                    sections.push(Section::new(title, item.span, table, self.mistakes));
                }
                _ => self.wrong(name, item, "a list of tables"),
            }
        }
        sections
    }

    /// A reference to a secret. A plain value is refused and not repeated.
    pub(crate) fn secret(&self, name: &'static str) -> Option<At<SecretRef>> {
        let entry = self.entry(name)?;
        self.secret_of(name, &entry.node)
    }

    pub(crate) fn secret_of(&self, name: &str, node: &Node) -> Option<At<SecretRef>> {
        const FORMS: &str = "write { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", …] }";
        let refuse = |message: String| {
            self.mistake(node.span, ConfigError::new("config.secret", message).hint(FORMS));
            None
        };
        let Value::Table(table) = &node.value else {
            return refuse(format!("{name} in {} must be a reference to a secret, not the secret itself", self.title));
        };
        let [entry] = &table.entries[..] else {
            return refuse(format!("{name} in {} must say exactly one place of the secret", self.title));
        };
        let value = match (entry.name.as_str(), &entry.node.value) {
            ("env", Value::Text(variable)) if is_variable_name(variable) => SecretRef::Env(variable.clone()),
            ("env", Value::Text(_)) => {
                return refuse(format!("env of {name} in {} does not name an environment variable", self.title));
            }
            ("file", Value::Text(path)) if !path.is_empty() => SecretRef::File(PathBuf::from(path)),
            ("command", Value::List(items)) => match command(items) {
                Some(command) => SecretRef::Command(command),
                None => return refuse(format!("command of {name} in {} must be a list of texts", self.title)),
            },
            ("env" | "file", _) => return refuse(format!("{} of {name} in {} must be a text", entry.name, self.title)),
            ("command", _) => return refuse(format!("command of {name} in {} must be a list of texts", self.title)),
            (other, _) => return refuse(format!("unknown place {other:?} of the secret {name} in {}", self.title)),
        };
        Some(At { value, span: node.span })
    }
}

fn command(items: &[Node]) -> Option<Vec<String>> {
    let text = |node: &Node| match &node.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let texts: Option<Vec<String>> = items.iter().map(text).collect();
    texts.filter(|texts| texts.first().is_some_and(|program| !program.is_empty()))
}
