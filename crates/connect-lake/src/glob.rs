//! Matching a name against a pattern with `*`, `?` and `[a-z]`.

/// Whether `text` has a character that means something in a pattern.
pub(crate) fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Whether the whole of `name` matches `pattern`. `*` is any number of bytes, `?` one character,
/// `[abc]`, `[a-z]` and `[!a-z]` one byte; a `[` that is never closed is an ordinary byte.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when the text after the last `*` does not fit: one byte further into the name.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if n == name.len() && p == pattern.len() {
            return true;
        }
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, n));
                p += 1;
                continue;
            }
            Some(_) => one(pattern.get(p..).unwrap_or_default(), name.get(n..).unwrap_or_default()),
            None => None,
        };
        match (step, retry) {
            (Some((in_pattern, in_name)), _) => {
                p += in_pattern;
                n += in_name;
            }
            (None, Some((star, from))) if from < name.len() => {
                retry = Some((star, from + 1));
                p = star + 1;
                n = from + 1;
            }
            _ => return false,
        }
    }
}

/// Matches one element; returns how many bytes of pattern and name it took.
fn one(pattern: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    let (&first, &byte) = (pattern.first()?, name.first()?);
    match first {
        b'?' => Some((1, character(name))),
        b'[' => match class(pattern, byte) {
            Some((length, true)) => Some((length, 1)),
            Some((_, false)) => None,
            None => (byte == b'[').then_some((1, 1)),
        },
        other => (other == byte).then_some((1, 1)),
    }
}

/// Length of the first character; 1 where the bytes are not UTF-8.
fn character(name: &[u8]) -> usize {
    let length = match name.first() {
        Some(0xC0..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF7) => 4,
        _ => 1,
    };
    if name.get(..length).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok()) { length } else { 1 }
}

/// Reads `[…]`; returns its length and whether the byte is in it, or nothing if it is never closed.
fn class(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let mut at = 1;
    let negated = matches!(pattern.get(at), Some(b'!' | b'^'));
    if negated {
        at += 1;
    }
    let start = at;
    let mut found = false;
    loop {
        let low = *pattern.get(at)?;
        if low == b']' && at > start {
            return Some((at + 1, found != negated));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                found |= (low..=high).contains(&byte);
                at += 3;
            }
            _ => {
                found |= low == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("*.parquet", "a.parquet", true)]
    #[case("*.parquet", "a.parquet.tmp", false)]
    #[case("part-*-[0-9].csv", "part-7-x-3.csv", true)]
    #[case("part-[!0-9].csv", "part-3.csv", false)]
    #[case("?", "é", true)]
    #[case("a[b", "a[b", true)]
    #[case("*a*b*c", "xxaxxbxxc", true)]
    #[case("*a*b*c", "xxaxxbxx", false)]
    #[case("", "", true)]
    #[case("*", "", true)]
    #[case("[]]", "]", true)]
    fn names_match_patterns(#[case] pattern: &str, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected);
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_between_stars(name in "[a-z.]{0,20}", pattern in "[a-z*?\\[\\]!-]{0,20}") {
            prop_assert!(matches(name.as_bytes(), name.as_bytes()));
            let starred = format!("*{name}*");
            prop_assert!(matches(starred.as_bytes(), name.as_bytes()));
            // Any pattern ends.
            let _ = matches(pattern.as_bytes(), name.as_bytes());
        }
    }
}
