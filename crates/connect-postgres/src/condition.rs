//! Whether a condition that the user wrote stays inside the brackets it is put in.

/// Whether every bracket and quote is closed, and none that was not opened. A comment may end a line:
/// what follows the condition stands on a line of its own. Other comments and semicolons are refused.
///
/// Source: PostgreSQL's documentation, "Lexical Structure".
pub(crate) fn is_one_condition(text: &str) -> bool {
    let mut rest = text;
    let (mut earlier, mut before) = (' ', ' ');
    let mut open = Vec::new();
    while let Some(char) = rest.chars().next() {
        let after = rest.get(char.len_utf8()..).unwrap_or_default();
        let skipped = match char {
            '\'' => quoted(after, '\'', matches!(before, 'e' | 'E') && !is_word(earlier)),
            '"' => quoted(after, '"', false),
            '$' if !is_word(before) => dollar_quoted(rest),
            '-' if after.starts_with('-') => {
                Some(after.find(['\n', '\r']).and_then(|end| after.get(end..)).unwrap_or_default())
            }
            '/' if after.starts_with('*') => None,
            ';' => None,
            '(' | '[' => {
                open.push(char);
                Some(after)
            }
            ')' => (open.pop() == Some('(')).then_some(after),
            ']' => (open.pop() == Some('[')).then_some(after),
            _ => Some(after),
        };
        match skipped {
            Some(further) => rest = further,
            None => return false,
        }
        (earlier, before) = (before, char);
    }
    open.is_empty()
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '$'
}

/// What follows the closing quote. A doubled quote closes and opens again, which comes to the same.
fn quoted(text: &str, quote: char, escapes: bool) -> Option<&str> {
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if escapes => escaped = true,
            // Servers may take a backslash for an escape in any string, so it must not stand at its end.
            _ if char == quote && !escapes && quote == '\'' && text.get(..at)?.ends_with('\\') => return None,
            _ if char == quote => return text.get(at + 1..),
            _ => {}
        }
    }
    None
}

/// What follows `$tag$...$tag$`, or the parameter-like `$1`, which a server refuses by itself.
fn dollar_quoted(text: &str) -> Option<&str> {
    let inner = text.get(1..)?;
    let end = inner.find('$');
    match end.and_then(|end| inner.get(..end)) {
        Some(tag) if tag.chars().all(|char| char.is_alphanumeric() || char == '_') => {
            let fence = format!("${tag}$");
            let body = text.get(fence.len()..)?;
            body.get(body.find(&fence)? + fence.len()..)
        }
        _ => Some(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("id < 100", true)]
    #[case("(a = 1 OR b = 2) AND c[1] = ')'", true)]
    #[case("name = 'it''s (' AND \"odd)\" = 1", true)]
    #[case(r"name = E'it\'s ('", true)]
    #[case("name = $q$ ) ( $q$ AND x = $$)$$", true)]
    #[case("a - b > 0 AND a / b * 2 > 1", true)]
    #[case("note = 'größer ('", true)]
    #[case("true) OR (true", false)]
    #[case("id < 100) OR (id > 200", false)]
    #[case("(a = 1", false)]
    #[case("a = 1)", false)]
    #[case("a[1) = 1]", false)]
    #[case("name = 'open", false)]
    #[case("name = $q$ open", false)]
    #[case("true -- the (rest", true)]
    #[case("(true -- the rest)", false)]
    #[case("(true -- the rest\n)", true)]
    #[case("true /* the rest", false)]
    #[case("true -- the rest\r) OR (true --", false)]
    #[case("true; DROP TABLE t", false)]
    #[case(r"x = name'\') OR (true --'", false)]
    #[case(r"name = '\') OR (true", false)]
    fn a_condition_closes_what_it_opens(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_one_condition(text), expected);
    }
}
