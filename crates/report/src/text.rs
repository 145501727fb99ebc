//! Text that is safe to print: escaping, width, truncation, numbers.
//!
//! Values and names come from other people's data. Nothing of them may move a cursor, change a
//! colour, start a new line, hide characters or turn the reading direction of a terminal.

use paritas_model::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands for what was left out.
const ELLIPSIS: char = '…';
/// Columns of common text kept in front of the first difference of two long values.
const CONTEXT_WIDTH: usize = 8;
/// Lines of one wrapped text; a system's message may be of any length.
const WRAPPED_LINES_MAX: usize = 20;

/// A time of RFC 3339 in UTC without the parts of its last second, as people read it.
pub fn to_the_second(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

/// Whether a character may not reach a terminal as it is.
pub(crate) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A name or a message with everything hostile written as an escape, such as `\n` or `\u{1b}`.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// A value: NULL bare, text bare where that is unambiguous and otherwise in double quotes.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Text(text) if needs_quotes(text) => quoted(text, is_hostile),
        other => other.to_string(),
    }
}

/// Whether bare text could be mistaken for something else: nothing, NULL, a quoted text.
fn needs_quotes(text: &str) -> bool {
    let outer_space = text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
    text.is_empty() || text == "NULL" || text.starts_with('"') || outer_space || text.chars().any(is_hostile)
}

/// Text in double quotes; quotes and backslashes are escaped so that it can be read only one way.
fn quoted(text: &str, escaped: impl Fn(char) -> bool) -> String {
    let mut safe = String::from("\"");
    for c in text.chars() {
        if c == '"' || c == '\\' {
            safe.push('\\');
            safe.push(c);
        } else if escaped(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe.push('"');
    safe
}

/// Two values that differ, each in at most `max` columns, so that the difference can be seen: long
/// common beginnings are left out, and combining marks are written out where both sides look
/// equally wide (composed against decomposed letters).
pub(crate) fn pair(source: &Value, replica: &Value, max: usize) -> (String, String) {
    let (mut a, mut b) = (value(source), value(replica));
    if a != b && width(&a) == width(&b) {
        let marks = |text: &str| text.chars().any(|c| c.width() == Some(0));
        if let (Value::Text(x), Value::Text(y)) = (source, replica)
            && (marks(&a) || marks(&b))
        {
            let escaped = |c: char| is_hostile(c) || c.width() == Some(0);
            (a, b) = (quoted(x, escaped), quoted(y, escaped));
        }
    }
    if width(&a) <= max && width(&b) <= max {
        return (a, b);
    }
    let common = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
    let skip = common.saturating_sub(CONTEXT_WIDTH);
    let from = |text: &str| {
        let rest: String = text.chars().skip(skip).collect();
        fit(&if skip > 1 { format!("{ELLIPSIS}{rest}") } else { text.to_owned() }, max)
    };
    (from(&a), from(&b))
}

/// Columns of a terminal that a safe text takes.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text in at most `max` columns (at least one); what is cut is replaced by an ellipsis.
pub(crate) fn fit(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > max {
            break;
        }
        kept.push(c);
    }
    kept.push(ELLIPSIS);
    kept
}

/// The text, padded with spaces to `columns`.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A message in lines of at most `columns`, broken at spaces. Its own line breaks are kept, other
/// hostile characters are escaped. Words are never cut, so a long path stays usable.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.trim_end().split('\n') {
        let paragraph = escape(paragraph.trim_end_matches('\r'));
        // What fits is kept as it is, so that a caret below a line stays in its place.
        if width(&paragraph) <= columns {
            lines.push(paragraph);
            continue;
        }
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    if lines.len() > WRAPPED_LINES_MAX {
        lines.truncate(WRAPPED_LINES_MAX);
        lines.push(ELLIPSIS.to_string());
    }
    lines
}

/// A number with commas: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A word for a POSIX shell; `None` when it holds something that cannot be shown safely.
pub fn shell_word(text: &str) -> Option<String> {
    if text.chars().any(is_hostile) {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Some(text.to_owned());
    }
    Some(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn times_are_told_to_the_second() {
        assert_eq!(to_the_second("2026-11-30T23:04:03.480993818Z"), "2026-11-30T23:04:03Z");
        assert_eq!(to_the_second("2026-11-30T23:04:03Z"), "2026-11-30T23:04:03Z");
    }

    #[rstest]
    #[case(Value::Null, "NULL")]
    #[case("NULL".into(), "\"NULL\"")]
    #[case("".into(), "\"\"")]
    #[case("plain text".into(), "plain text")]
    #[case(" edge".into(), "\" edge\"")]
    #[case("a\nb".into(), r#""a\nb""#)]
    #[case("\u{1b}[31mred".into(), r#""\u{1b}[31mred""#)]
    #[case("\u{202e}txt".into(), r#""\u{202e}txt""#)]
    #[case("a\\b".into(), r"a\b")]
    #[case("a\\\tb".into(), r#""a\\\tb""#)]
    #[case("\"q\"".into(), r#""\"q\"""#)]
    #[case("Zürich 東京".into(), "Zürich 東京")]
    fn values_are_shown_in_one_unambiguous_way(#[case] shown: Value, #[case] text: &str) {
        assert_eq!(value(&shown), text);
    }

    #[test]
    fn long_values_are_cut_so_that_the_difference_stays_visible() {
        let common = "x".repeat(100);
        let (a, b) = pair(&format!("{common}1 tail").as_str().into(), &format!("{common}2 tail").as_str().into(), 20);
        assert_eq!((a.as_str(), b.as_str()), ("…xxxxxxxx1 tail", "…xxxxxxxx2 tail"));
    }

    #[test]
    fn composed_and_decomposed_letters_are_told_apart() {
        let (a, b) = pair(&"caf\u{e9}".into(), &"cafe\u{301}".into(), 40);
        assert_eq!((a.as_str(), b.as_str()), ("\"caf\u{e9}\"", "\"cafe\\u{301}\""));
    }

    #[rstest]
    #[case("short", 10, "short")]
    #[case("longer text", 6, "longe…")]
    #[case("東京都", 5, "東京…")]
    #[case("東京都", 4, "東…")]
    fn texts_are_cut_by_columns_not_bytes(#[case] text: &str, #[case] max: usize, #[case] cut: &str) {
        assert_eq!(fit(text, max), cut);
        assert!(width(cut) <= max);
    }

    #[test]
    fn messages_are_wrapped_at_spaces_and_their_escapes_do_not_get_through() {
        assert_eq!(wrap("one two three\nfour\u{1b}[2J", 8), ["one two", "three", "four\\u{1b}[2J"]);
        assert_eq!(wrap(&"line\n".repeat(100), 80).len(), 21);
    }

    #[rstest]
    #[case("parquet:/data/a.parquet", Some("parquet:/data/a.parquet"))]
    #[case("it's", Some(r"'it'\''s'"))]
    #[case("postgres://h/db?key=id&where=x", Some("'postgres://h/db?key=id&where=x'"))]
    #[case("a\nb", None)]
    fn commands_are_quoted_for_a_shell(#[case] text: &str, #[case] word: Option<&str>) {
        assert_eq!(shell_word(text).as_deref(), word);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "row"), counted(2, "row")), ("1 row".into(), "2 rows".into()));
    }
}
