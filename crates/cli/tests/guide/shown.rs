//! Whether a command printed what a page shows of it. Words are compared, because lines are broken by their length; what
//! is another in every run (times, identifiers, positions in a log, durations, sizes) is taken as equal.

/// Whether `printed` is what the page shows. A line `...` stands for any lines, `[..]` for any word.
pub fn fits(shown: &[String], printed: &str) -> bool {
    let printed = words(printed);
    let parts: Vec<Vec<String>> = shown.split(|line| line == "...").map(|lines| words(&lines.join("\n"))).collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return true };
    if parts.len() == 1 {
        return first.len() == printed.len() && begins(first, &printed);
    }
    if !begins(first, &printed) {
        return false;
    }
    let mut at = first.len();
    for part in parts.iter().skip(1).take(parts.len() - 2) {
        let Some(found) = (at..=printed.len()).find(|from| begins(part, &printed[*from..])) else { return false };
        at = found + part.len();
    }
    let Some(from) = printed.len().checked_sub(last.len()) else { return false };
    from >= at && begins(last, &printed[from..])
}

fn begins(part: &[String], words: &[String]) -> bool {
    part.len() <= words.len() && part.iter().zip(words).all(|(shown, word)| shown == "[..]" || shown == word)
}

/// The words of a text, with what is another in every run replaced.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        if word.starts_with("rows/s")
            && let Some(number) = words.last_mut()
        {
            "(N".clone_into(number);
        }
        words.push(settled(word));
    }
    spans(&words)
}

/// An interval is one figure, whatever ends of it are known.
fn spans(words: &[String]) -> Vec<String> {
    let is = |word: Option<&String>, one: &str| word.is_some_and(|word| word == one);
    let figure = |word: Option<&String>| word.is_some_and(|word| word.trim_end_matches([',', ';']) == "FIGURE");
    let mut out = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let bound = is(words.get(at), "at") && (is(words.get(at + 1), "most") || is(words.get(at + 1), "least"));
        let both = is(words.get(at), "FIGURE") && is(words.get(at + 1), "to");
        if (bound || both) && figure(words.get(at + 2)) {
            at += 2;
        }
        out.push(words[at].clone());
        at += 1;
    }
    out
}

/// A word with its values replaced by what they are.
fn settled(word: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < word.len() {
        let boundary = !word[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let rest = &word[at..];
        let found = if boundary { VALUES.iter().find_map(|(name, size)| Some((*name, size(rest)?))) } else { None };
        if let Some((name, size)) = found {
            out.push_str(name);
            at += size;
        } else {
            let next = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..next]);
            at += next;
        }
    }
    out
}

type Size = fn(&str) -> Option<usize>;

/// Kinds of values: each says how many bytes of a text begin with one.
const VALUES: [(&str, Size); 5] = [("ID", ulid), ("TIME", time), ("CLOCK", clock), ("LSN", lsn), ("FIGURE", figure)];

fn run(text: &str, of: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| of(*byte)).count()
}

/// Nothing where the value goes on behind that size.
fn whole(text: &str, size: usize) -> Option<usize> {
    let behind = text.as_bytes().get(size);
    (!behind.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')).then_some(size)
}

fn ulid(text: &str) -> Option<usize> {
    (run(text, |byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) == 26)
        .then_some(26)
        .and_then(|size| whole(text, size))
}

fn time(text: &str) -> Option<usize> {
    let form = "0000-00-00";
    let fits = text.len() >= form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(byte, form)| if form == b'0' { byte.is_ascii_digit() } else { byte == form });
    let size = run(text, |byte| byte.is_ascii_digit() || b"-:.TZ".contains(&byte));
    let more = text[..size].bytes().rev().take_while(|byte| b":.-".contains(byte)).count();
    fits.then_some(size - more)
}

fn clock(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let fits = bytes.len() >= 5 && bytes[2] == b':' && [0, 1, 3, 4].iter().all(|at| bytes[*at].is_ascii_digit());
    let size = run(text, |byte| byte.is_ascii_digit() || byte == b':');
    fits.then_some(size - usize::from(text[..size].ends_with(':')))
}

fn lsn(text: &str) -> Option<usize> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let high = run(text, hex);
    let low = run(text.get(high..)?.strip_prefix('/')?, hex);
    (high > 0 && (5..=8).contains(&low)).then(|| whole(text, high + 1 + low)).flatten()
}

fn figure(text: &str) -> Option<usize> {
    let digits = run(text, |byte| byte.is_ascii_digit() || b",.".contains(&byte));
    let unit = text.get(digits..)?;
    let letters = run(unit, |byte| byte.is_ascii_alphabetic());
    let known = ["ns", "us", "ms", "s", "B", "KiB", "MiB", "GiB"].contains(&&unit[..letters]);
    if digits > 0 && ["m", "h", "d"].contains(&&unit[..letters]) {
        // With two units it is measured; one unit alone may be an objective.
        let rest = &unit[letters..];
        let more = run(rest, |byte| byte.is_ascii_digit());
        let second = run(&rest[more..], |byte| byte.is_ascii_alphabetic());
        return (more > 0 && second == 1).then_some(digits + letters + more + second);
    }
    (digits > 0 && known).then_some(digits + letters)
}

#[test]
fn what_is_another_in_every_run_is_taken_as_equal_and_nothing_else() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (page, printed, equal) in [
        ("took 1.5s", "took 321ms", true),
        ("took 1.5s", "took\n   2s", true),
        ("took 1.5s", "took 2 rows", false),
        ("run 01M8Q9GM6871390S87B9WKB8J2", "run 01M8Q9GM3BCZM2MJM3QMMD8F8N", true),
        ("at 0/302DFC0, 12 rows", "at 2/A02DFC0, 12 rows", true),
        ("at 0/302DFC0, 12 rows", "at 2/A02DFC0, 13 rows", false),
        ("of 2026-11-30T22:34:49.27Z: x", "of 2026-12-01T00:00:00Z: x", true),
        ("2026-11-30 22:34  lag", "2026-12-01 00:01  lag", true),
        ("(6,358 rows/s)", "(1 rows/s)", true),
        ("RPO 1m", "RPO 2m", false),
        ("RPO 1s to 2s of 1m", "RPO at most 1m30s of 1m", true),
        ("RPO 1s, objective 1m", "RPO at least 2ms, objective 1m", true),
        ("a\n...\nz", "a z", true),
        ("a\n...\nz", "a b c z", true),
        ("a\n...\nz", "a b c", false),
        ("...\nb\n...", "a b c", true),
        ("...\nb d\n...", "a b c d", false),
        ("a [..] c", "a b c", true),
        ("a", "a b", false),
    ] {
        assert_eq!(fits(&shown(page), printed), equal, "{page:?} and {printed:?}");
    }
}
