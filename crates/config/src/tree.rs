//! A configuration before its meaning is known: values with their places, and laying one
//! configuration over another.

use crate::error::ConfigError;
use crate::source::{Sources, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    /// As written in decimal; `None` where it does not fit into 64 bits.
    Integer(Option<i64>),
    Float(f64),
    Bool(bool),
    Datetime(String),
    List(Vec<Node>),
    Table(Table),
}

impl Value {
    /// The word for its type, with an article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a boolean",
            Self::Datetime(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Named values in the order in which they were written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) node: Node,
}

impl Table {
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads the TOML text of a source.
pub(crate) fn parse(sources: &Sources, file: usize, text: &str) -> Result<Table, ConfigError> {
    match DeTable::parse(text) {
        Ok(table) => Ok(table_of(file, table.get_ref())),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let message = format!("not valid TOML: {}", error.message().lines().next().unwrap_or_default());
            Err(ConfigError::new("config.syntax", message).at(sources, Span::new(file, &span)))
        }
    }
}

fn table_of(file: usize, table: &DeTable<'_>) -> Table {
    let entry = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| Entry {
        name: name.get_ref().to_string(),
        name_span: Span::new(file, &name.span()),
        node: node_of(file, value),
    };
    let mut entries: Vec<Entry> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.name_span);
    Table { entries }
}

fn node_of(file: usize, value: &Spanned<DeValue<'_>>) -> Node {
    let plain = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(value) => Value::Datetime(value.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node_of(file, item)).collect()),
        DeValue::Table(table) => Value::Table(table_of(file, table)),
    };
    Node { value: plain, span: Span::new(file, &value.span()) }
}

/// Lists whose tables are known by name and are laid over each other one by one.
const NAMED_LISTS: [&str; 4] = ["link", "dataset", "ledger", "freshness"];

/// Lays `top` over `base`: what `top` says wins. Tables are merged, links, datasets and ledgers by
/// their names; other lists, and references to secrets, are replaced whole.
pub(crate) fn lay_over(base: &mut Table, top: Table) {
    for entry in top.entries {
        match base.get_mut(&entry.name) {
            None => base.entries.push(entry),
            Some(below) => lay_entry(below, entry),
        }
    }
}

fn lay_entry(below: &mut Entry, above: Entry) {
    match (&mut below.node.value, above.node.value) {
        (Value::Table(base), Value::Table(top)) if !is_reference(base) && !is_reference(&top) => lay_over(base, top),
        (Value::List(base), Value::List(top)) if NAMED_LISTS.contains(&above.name.as_str()) => lay_list(base, top),
        (_, value) => {
            below.name_span = above.name_span;
            below.node = Node { value, span: above.node.span };
        }
    }
}

/// Every item of `top` is laid over the item of that name in `base`, each of which is taken once, so
/// that a name that `top` gives twice stays twice and is found to be a mistake.
fn lay_list(base: &mut Vec<Node>, top: Vec<Node>) {
    let mut free = vec![true; base.len()];
    for node in top {
        let name = item_name(&node).map(str::to_owned);
        let position = base
            .iter()
            .zip(&free)
            .position(|(below, free)| *free && name.is_some() && item_name(below) == name.as_deref());
        match (position.and_then(|at| Some((base.get_mut(at)?, free.get_mut(at)?))), node.value) {
            (Some((Node { value: Value::Table(below), .. }, free)), Value::Table(top)) => {
                *free = false;
                lay_over(below, top);
            }
            (_, value) => base.push(Node { value, span: node.span }),
        }
    }
}

fn item_name(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Table(table) => table.text("name").or_else(|| table.text("source_name")),
        _ => None,
    }
}

/// `{ env = … }`, `{ file = … }`, `{ command = … }`.
pub(crate) fn is_reference(table: &Table) -> bool {
    let names: Vec<&str> = table.entries.iter().map(|entry| entry.name.as_str()).collect();
    matches!(names[..], ["env" | "file" | "command"])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::show::plain_text;

    fn tree(text: &str) -> Table {
        let mut sources = Sources::default();
        let file = sources.add("f", text);
        parse(&sources, file, text).unwrap()
    }

    #[test]
    fn what_is_laid_over_wins_value_by_value() {
        let mut base = tree(
            "[store.a]\nkind = \"postgres\"\nurl = \"u\"\npassword = { env = \"A\" }\n\
             [[link]]\nname = \"x\"\ninclude = [\"a\", \"b\"]\n[[link.dataset]]\nname = \"d\"\nkey = [\"k\"]\n",
        );
        let top = tree(
            "[store.a]\nurl = \"v\"\npassword = { file = \"F\" }\n[store.b]\nkind = \"csv\"\n\
             [[link]]\nname = \"y\"\n[[link]]\nname = \"x\"\ninclude = [\"c\"]\n[[link.dataset]]\nname = \"d\"\nwhere = \"w\"\n\
             [[link]]\nname = \"x\"\n",
        );
        lay_over(&mut base, top);
        insta::assert_snapshot!(plain_text(&base));
    }
}
