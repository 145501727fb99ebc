//! A configuration as text again: with the origin of every value, without anything secret.

use crate::source::Sources;
use crate::tree::{Node, Table, Value, is_reference};
use paritas_connect::{is_secret_name, redact_url};

/// The column where origins begin, unless the value is longer.
const ORIGIN_COLUMN: usize = 52;

/// Sections whose tables have names of their own: `[store.pg-east]`.
const NAMED_SECTIONS: [&str; 3] = ["store", "tier", "kind"];

/// The configuration with `# from file:line` behind every value.
pub(crate) fn with_origins(table: &Table, sources: &Sources) -> String {
    write(table, Some(sources))
}

/// The configuration alone; equal for two configurations exactly when they say the same.
pub(crate) fn plain_text(table: &Table) -> String {
    write(table, None)
}

/// The order of the sections; layers may have brought them in any.
const ORDER: [&str; 7] = ["paritas", "store", "link", "schedule", "privacy", "tier", "kind"];

fn write(table: &Table, sources: Option<&Sources>) -> String {
    let mut table = table.clone();
    table.entries.sort_by_key(|entry| ORDER.iter().position(|name| *name == entry.name));
    let mut writer = Writer { text: String::new(), sources };
    writer.section(&[], &table);
    writer.text
}

struct Writer<'a> {
    text: String,
    sources: Option<&'a Sources>,
}

impl Writer<'_> {
    /// Values first, then the sections below, as TOML demands.
    fn section(&mut self, path: &[&str], table: &Table) {
        for entry in &table.entries {
            if !is_section(path, &entry.node) {
                self.value(&key(&entry.name), &entry.name, &entry.node);
            }
        }
        for entry in &table.entries {
            let mut path = path.to_vec();
            path.push(&entry.name);
            match &entry.node.value {
                Value::Table(inner) if is_section(&path[..path.len() - 1], &entry.node) => {
                    let only_names = path.len() == 1 && NAMED_SECTIONS.contains(&entry.name.as_str());
                    if !only_names {
                        self.header("[", &path, "]");
                    }
                    self.section(&path, inner);
                }
                Value::List(items) if is_section(&path[..path.len() - 1], &entry.node) => {
                    for item in items {
                        self.header("[[", &path, "]]");
                        if let Value::Table(inner) = &item.value {
                            self.section(&path, inner);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn header(&mut self, open: &str, path: &[&str], close: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let path = path.iter().map(|part| key(part)).collect::<Vec<_>>().join(".");
        self.text.push_str(&format!("{open}{path}{close}\n"));
    }

    /// One value on a line; tables become dotted keys, so that each of their values has its origin.
    fn value(&mut self, dotted: &str, name: &str, node: &Node) {
        if let Value::Table(table) = &node.value
            && !is_reference(table)
            && !table.entries.is_empty()
        {
            for entry in &table.entries {
                self.value(&format!("{dotted}.{}", key(&entry.name)), &entry.name, &entry.node);
            }
            return;
        }
        let mut line = format!("{dotted} = {}", inline(name, &node.value));
        if let Some(place) = self.sources.and_then(|sources| sources.place(node.span)) {
            let place = if place.line == 0 { place.file } else { format!("{}:{}", place.file, place.line) };
            line = format!("{line:ORIGIN_COLUMN$}  # from {place}");
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }
}

/// Whether a value is written below a header of its own.
fn is_section(path: &[&str], node: &Node) -> bool {
    match (&node.value, path) {
        (Value::Table(_), []) => true,
        (Value::Table(_), [one]) => NAMED_SECTIONS.contains(one),
        (Value::List(items), [] | ["link"]) => {
            !items.is_empty() && items.iter().all(|item| matches!(item.value, Value::Table(_)))
        }
        _ => false,
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}

/// A value on one line. Whatever stands under a secret name is replaced, except where it is kept.
fn inline(name: &str, value: &Value) -> String {
    match value {
        Value::Text(_) | Value::Integer(_) if is_secret_name(name) => quoted("***"),
        Value::Text(text) if text.contains("://") || name == "url" => quoted(&redact_url(text)),
        Value::Text(text) => quoted(text),
        Value::Integer(number) => number.map_or_else(|| "?".to_owned(), |number| number.to_string()),
        Value::Float(number) => format!("{number:?}"),
        Value::Bool(value) => value.to_string(),
        Value::Datetime(text) => text.clone(),
        Value::List(items) => {
            let items = items.iter().enumerate().map(|(i, item)| match name {
                // Arguments of a command may be secrets; the program is not.
                "command" if i > 0 => quoted("***"),
                _ => inline(name, &item.value),
            });
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => {
            let part = |entry: &crate::tree::Entry| {
                format!("{} = {}", key(&entry.name), inline(&entry.name, &entry.node.value))
            };
            let parts: Vec<String> = table.entries.iter().map(part).collect();
            if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
        }
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
