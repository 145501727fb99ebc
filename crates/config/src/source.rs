//! Configuration texts, and places in them.

use paritas_connect::{is_secret_name, is_variable_name, redact_url};
use std::fmt;
use std::ops::Range;

/// Longest part of a line that an error shows.
const SNIPPET_CHARS_MAX: usize = 160;

/// A place in one of the configuration files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file as it was named, `built-in …` for a pack, or the name of an environment variable.
    pub file: String,
    /// Line, from 1; 0 where there are no lines (an environment variable).
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// Bytes `start..end` of text number `file` of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) file: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn new(file: usize, range: &Range<usize>) -> Self {
        Self { file, start: range.start, end: range.end }
    }
}

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    /// Where each line begins; empty where places have no lines.
    line_starts: Vec<usize>,
}

/// All texts of one configuration, in the order in which they were read.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    sources: Vec<Source>,
}

impl Sources {
    /// Adds a file and returns its number.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> usize {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        self.push(name, text, line_starts)
    }

    /// Adds an environment variable and returns its number. Its value is not kept.
    pub(crate) fn add_variable(&mut self, name: &str) -> usize {
        self.push(&format!("environment variable {name}"), "", Vec::new())
    }

    fn push(&mut self, name: &str, text: &str, line_starts: Vec<usize>) -> usize {
        self.sources.push(Source { name: name.to_owned(), text: text.to_owned(), line_starts });
        self.sources.len() - 1
    }

    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Line and column of the span's start.
    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        let source = self.sources.get(span.file)?;
        let start = floor(&source.text, span.start);
        let line = source.line_starts.partition_point(|line_start| *line_start <= start);
        let line_start = line.checked_sub(1).and_then(|index| source.line_starts.get(index)).copied().unwrap_or(0);
        let column = source.text.get(line_start..start)?.chars().count() + 1;
        Some(Place { file: source.name.clone(), line, column })
    }

    /// The line of the span's start with a caret below, without anything secret in it.
    pub(crate) fn snippet(&self, span: Span) -> Option<String> {
        let place = self.place(span)?;
        let source = self.sources.get(span.file).filter(|source| !source.line_starts.is_empty())?;
        let start = floor(&source.text, span.start);
        let line_start = *source.line_starts.get(place.line.checked_sub(1)?)?;
        let line = source.text.get(line_start..)?.lines().next()?;
        let marked = (start - line_start).min(line.len());
        let marked_end = (span.end.saturating_sub(line_start)).clamp(marked, line.len());
        let masked = mask_line(line);
        // Masking moves what follows; then only the beginning of the value can be pointed at.
        let (text, width) = match masked == line {
            true => (line.to_owned(), line.get(marked..marked_end).map_or(1, |part| part.chars().count()).max(1)),
            false => (masked, 1),
        };
        let column = line.get(..marked)?.chars().count();
        let column = if text == line { column } else { column.min(common_prefix(&text, line)) };
        Some(render(&text, place.line, column, width))
    }
}

/// The largest char boundary at or below `index`.
fn floor(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count()
}

fn render(text: &str, line: usize, column: usize, width: usize) -> String {
    // Tabs and control characters take one column each, so that the caret stands right.
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let skip = column.saturating_sub(SNIPPET_CHARS_MAX / 2);
    let shown: String = clean.chars().skip(skip).take(SNIPPET_CHARS_MAX).collect();
    let shown = shown.trim_end();
    let number = line.to_string();
    let gap = " ".repeat(number.len());
    let indent = " ".repeat(column - skip);
    let caret = "^".repeat(width.min(SNIPPET_CHARS_MAX));
    format!("{number} | {shown}\n{gap} | {indent}{caret}")
}

/// The line without secrets: where a key on it is secret or a word of it may be, everything from
/// the first value on is replaced; addresses lose their credentials. A line without any key may be
/// the inside of a longer text or list and is replaced whole.
fn mask_line(line: &str) -> String {
    if is_header(line.trim()) {
        return line.to_owned();
    }
    let Some(first) = line.find('=') else {
        return "***".to_owned();
    };
    let words = line.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')));
    // The names of references are no secrets, what they refer to may be: { command = ["…"] }.
    let secret = words.clone().any(|word| is_secret_name(word) || word == "command" || word == "digest_key");
    match secret {
        true if is_plain_reference(line) => line.to_owned(),
        true => format!("{}= ***", line.get(..first).unwrap_or_default()),
        false if line.contains("://") => mask_addresses(line),
        false => line.to_owned(),
    }
}

/// `[store.pg-east]`, `[[link]]`, or nothing but brackets.
fn is_header(line: &str) -> bool {
    let name = line.trim_start_matches('[').trim_end_matches([']', '}', ',']);
    name.len() < line.len()
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '"' | ' '))
        && (line.starts_with('[') || name.is_empty())
}

/// `password = { env = "NAME" }` and the same with `file`, on a line of its own.
fn is_plain_reference(line: &str) -> bool {
    let Some((_, value)) = line.split_once('=') else { return false };
    let inside = value.trim().strip_prefix('{').and_then(|value| value.strip_suffix('}'));
    let Some((name, value)) = inside.and_then(|inside| inside.split_once('=')) else { return false };
    let text = value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    match name.trim() {
        "env" => text.is_some_and(is_variable_name),
        "file" => text.is_some_and(|text| !text.contains('"')),
        _ => false,
    }
}

fn mask_addresses(line: &str) -> String {
    let parts = line.split_inclusive(['"', '\'']).map(|part| {
        let (body, quote) = match part.strip_suffix(['"', '\'']) {
            Some(body) => (body, part.get(body.len()..).unwrap_or_default()),
            None => (part, ""),
        };
        if body.contains("://") { format!("{}{quote}", redact_url(body)) } else { part.to_owned() }
    });
    parts.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let mut sources = Sources::default();
        let text = "a = 1\n\u{fc}ber = \"x\"\n";
        let file = sources.add("paritas.toml", text);
        let start = text.find("\"x\"").unwrap();
        let span = Span::new(file, &(start..start + 3));
        assert_eq!(sources.place(span).unwrap().to_string(), "paritas.toml:2:8");
        assert_eq!(sources.snippet(span).unwrap(), "2 | \u{fc}ber = \"x\"\n  |        ^^^");
        let variable = sources.add_variable("PARITAS_STATE");
        let span = Span::new(variable, &(0..0));
        assert_eq!(sources.place(span).unwrap().to_string(), "environment variable PARITAS_STATE");
        assert_eq!(sources.snippet(span), None);
    }

    #[rstest]
    #[case("password = \"c4n4ry\"")]
    #[case("  password=\"c4n4ry")]
    #[case("password = { env = \"A\", command = [\"c4n4ry\"] }")]
    #[case("a = { b = 1, password = 'c4n4ry' }")]
    #[case("aws_secret_access_key = \"c4n4ry\"")]
    #[case("options = { aws_session_token = \"c4n4ry\" }")]
    #[case("digest_key = \"c4n4ry\"")]
    #[case("url = \"postgres://u:c4n4ry@host/db\"")]
    #[case("url = \"postgres://u:c4n4ry@host/db")]
    #[case("url = 'https://host/?token=c4n4ry'")]
    #[case("c4n4ry")]
    #[case("\"c4n4ry\",")]
    #[case("[\"program\", \"c4n4ry\"]")]
    #[case("[{ password = 'c4n4ry' }]")]
    #[case("postgres://u:c4n4ry@host\"\"\"")]
    #[case("\"postgres://u:c4n4ry@host\",")]
    fn lines_are_shown_without_their_secrets(#[case] line: &str) {
        let mut sources = Sources::default();
        let file = sources.add("paritas.toml", line);
        for start in 0..line.len() {
            let snippet = sources.snippet(Span::new(file, &(start..line.len()))).unwrap();
            assert!(!snippet.contains("c4n4ry"), "{snippet}");
        }
    }

    #[rstest]
    #[case("password = { env = \"PG_EAST_PASSWORD\" }")]
    #[case("url = \"postgres://paritas@host/db\"")]
    #[case("[store.pg-east]")]
    #[case("replcia = \"pg-west\"")]
    fn other_lines_are_shown_as_they_are(#[case] line: &str) {
        assert_eq!(mask_line(line), line);
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let line = format!("{} = 1", "x".repeat(500));
        let mut sources = Sources::default();
        let file = sources.add("f", &line);
        let snippet = sources.snippet(Span::new(file, &(503..504))).unwrap();
        assert!(snippet.lines().all(|line| line.chars().count() < 180), "{snippet}");
    }
}
