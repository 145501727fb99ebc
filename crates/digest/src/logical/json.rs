//! JSON documents by content: members sorted by name, no white space, strings escaped one way,
//! numbers as they are written.
//!
//! Not RFC 8785, which reads numbers as doubles: 1.10 and 1.1 or two integers beyond 2^53 would
//! become equal there. Members of one name keep their order.

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 512;

/// Appends the canonical text of a JSON document: members sorted by name, no white space, strings
/// escaped one way, numbers as they are written. Bytes that are no UTF-8 stay inside strings.
///
/// # Errors
/// What is wrong with a document that is not valid JSON (RFC 8259), and at which byte, or that it is
/// nested deeper than 512 levels. What was appended by then is of no use.
pub fn canonical_json(document: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut reader = Reader { rest: document, length: document.len() };
    reader.value(out, 0)?;
    reader.space();
    if reader.rest.is_empty() { Ok(()) } else { Err(reader.error("something follows the document")) }
}

/// The canonical text of a document, or what is wrong with it.
pub(crate) fn canonical(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    canonical_json(text.as_bytes(), &mut out).map(|()| out)
}

struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl Reader<'_> {
    fn error(&self, what: &str) -> String {
        format!("not valid JSON at byte {}: {what}", self.length - self.rest.len())
    }

    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.next();
        }
        found
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        self.space();
        match self.rest.first() {
            Some(b'{') => self.object(out, depth),
            Some(b'[') => self.array(out, depth),
            Some(b'"') => self.string(out),
            Some(b'-' | b'0'..=b'9') => self.number(out),
            _ => self.word(out),
        }
    }

    fn word(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        for word in [b"true".as_slice(), b"false", b"null"] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                out.extend_from_slice(word);
                return Ok(());
            }
        }
        Err(self.error("expected a value"))
    }

    fn digits(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(count);
        if digits.is_empty() {
            return Err(self.error("expected a digit"));
        }
        out.extend_from_slice(digits);
        self.rest = rest;
        Ok(())
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        if self.take(b'-') {
            out.push(b'-');
        }
        if self.take(b'0') {
            out.push(b'0');
        } else {
            self.digits(out)?;
        }
        if self.take(b'.') {
            out.push(b'.');
            self.digits(out)?;
        }
        if let Some(mark @ (b'e' | b'E')) = self.rest.first().copied() {
            self.next();
            out.push(mark);
            if let Some(sign @ (b'+' | b'-')) = self.rest.first().copied() {
                self.next();
                out.push(sign);
            }
            self.digits(out)?;
        }
        Ok(())
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        self.next();
        out.push(b'[');
        self.space();
        if !self.take(b']') {
            loop {
                self.value(out, depth + 1)?;
                self.space();
                match self.next() {
                    Some(b',') => out.push(b','),
                    Some(b']') => break,
                    _ => return Err(self.error("expected a comma or the end of the array")),
                }
            }
        }
        out.push(b']');
        Ok(())
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        self.next();
        let mut members: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        self.space();
        if !self.take(b'}') {
            loop {
                let (mut name, mut value) = (Vec::new(), Vec::new());
                self.space();
                self.string(&mut name)?;
                self.space();
                if !self.take(b':') {
                    return Err(self.error("expected a colon"));
                }
                self.value(&mut value, depth + 1)?;
                members.push((name, value));
                self.space();
                match self.next() {
                    Some(b',') => {}
                    Some(b'}') => break,
                    _ => return Err(self.error("expected a comma or the end of the object")),
                }
            }
        }
        // Stable, so that members of one name keep their order.
        members.sort_by(|a, b| a.0.cmp(&b.0));
        out.push(b'{');
        for (i, (name, value)) in members.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.push(b'}');
        Ok(())
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        if !self.take(b'"') {
            return Err(self.error("expected a string"));
        }
        out.push(b'"');
        loop {
            match self.next() {
                Some(b'"') => break,
                Some(b'\\') => self.escape(out)?,
                Some(byte) if byte >= 0x20 => out.push(byte),
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("the string does not end")),
            }
        }
        out.push(b'"');
        Ok(())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        match self.next() {
            Some(escaped @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', escaped]),
            Some(b'/') => out.push(b'/'),
            Some(b'b') => push_char('\u{8}', out),
            Some(b'f') => push_char('\u{c}', out),
            Some(b'n') => push_char('\n', out),
            Some(b'r') => push_char('\r', out),
            Some(b't') => push_char('\t', out),
            Some(b'u') => self.unicode(out)?,
            _ => return Err(self.error("an unknown escape in a string")),
        }
        Ok(())
    }

    fn unicode(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let first = self.hex()?;
        if let Some(char) = char::from_u32(first) {
            push_char(char, out);
            return Ok(());
        }
        // The first half of a pair may be followed by its second; otherwise it stands alone, which
        // JSON allows and UTF-8 does not, so the escape stays.
        let after = self.rest;
        if (0xD800..0xDC00).contains(&first) && self.take(b'\\') && self.take(b'u') {
            let second = self.hex()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                if let Some(char) = char::from_u32(code) {
                    push_char(char, out);
                    return Ok(());
                }
            }
        }
        self.rest = after;
        out.extend_from_slice(format!("\\u{first:04x}").as_bytes());
        Ok(())
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            code = code << 4 | digit.ok_or_else(|| self.error("expected four hexadecimal digits"))?;
        }
        Ok(code)
    }
}

/// A character in a string, escaped only where it must be.
fn push_char(char: char, out: &mut Vec<u8>) {
    match char {
        '"' | '\\' => out.extend_from_slice(&[b'\\', char as u8]),
        '\0'..'\u{20}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes()),
        _ => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn text(json: &str) -> String {
        String::from_utf8(canonical(json).unwrap()).unwrap()
    }

    #[rstest]
    #[case(r#" { "b" : [ 1 , 2.50 ] , "a" : null } "#, r#"{"a":null,"b":[1,2.50]}"#)]
    #[case(r#""\u0041\/\n\u00e9""#, "\"A/\\u000a\u{e9}\"")]
    #[case(r#""\ud83d\ude00""#, "\"\u{1f600}\"")]
    #[case(r#""\ud83dx""#, r#""\ud83dx""#)]
    #[case(r#""\ud83d\u0041""#, r#""\ud83dA""#)]
    #[case(r#""\"\\""#, r#""\"\\""#)]
    #[case("[]", "[]")]
    #[case("{}", "{}")]
    #[case("-0.0e+5", "-0.0e+5")]
    #[case("12345678901234567890", "12345678901234567890")]
    #[case(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#)]
    #[case(r#"{"\u0062":1,"a":2}"#, r#"{"a":2,"b":1}"#)]
    fn documents_have_one_text(#[case] json: &str, #[case] expected: &str) {
        assert_eq!(text(json), expected);
        assert_eq!(text(expected), expected);
    }

    #[rstest]
    #[case("")]
    #[case("{")]
    #[case("[1,]")]
    #[case("01")]
    #[case("1.")]
    #[case("+1")]
    #[case("nul")]
    #[case("\"\u{1}\"")]
    #[case(r#""\x""#)]
    #[case(r#"{"a" 1}"#)]
    #[case(r#"{a:1}"#)]
    #[case("1 2")]
    #[case(r#""\u12"#)]
    fn broken_documents_are_refused(#[case] json: &str) {
        assert!(canonical(json).is_err());
    }

    #[test]
    fn deep_nesting_is_refused_without_a_crash() {
        assert!(canonical(&"[".repeat(1_000_000)).is_err());
    }

    proptest! {
        #[test]
        fn what_serde_json_reads_is_read_with_the_same_meaning(json in ".{0,60}") {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&json) {
                let back: serde_json::Value = serde_json::from_slice(&canonical(&json).unwrap()).unwrap();
                prop_assert_eq!(value, back);
            }
        }
    }
}
