//! JSON documents by content: keys sorted, white space removed, escapes resolved, numbers as they
//! are written. Nothing is rounded and duplicate keys stay.
//!
//! Source of the grammar: RFC 8259.

use crate::errors::malformed;
use paritas_connect::Result;

/// Nesting, at most; the server's own limit is its stack.
const DEPTH_MAX: usize = 512;

/// Appends the canonical form of a document.
pub(crate) fn canonical(text: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut parser = Parser { rest: text };
    parser.value(out, DEPTH_MAX)?;
    parser.space();
    if parser.rest.is_empty() { Ok(()) } else { Err(bad()) }
}

fn bad() -> paritas_connect::Error {
    malformed("a JSON document that cannot be read")
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn next(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or_else(bad)?;
        self.rest = rest;
        Ok(*first)
    }

    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.rest.first().copied()
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        self.space();
        if self.next()? == byte { Ok(()) } else { Err(bad()) }
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(bad)?;
        match self.peek() {
            Some(b'{') => self.object(out, depth),
            Some(b'[') => self.array(out, depth),
            Some(b'"') => self.string(out),
            Some(_) => self.word(out),
            None => Err(bad()),
        }
    }

    /// A number, `true`, `false` or `null`, as it is written.
    fn word(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let is_end = |b: &u8| b.is_ascii_whitespace() || matches!(b, b',' | b']' | b'}' | b':' | b'"');
        let end = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(bad());
        }
        out.extend_from_slice(word);
        self.rest = rest;
        Ok(())
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        self.expect(b'[')?;
        out.push(b'[');
        if self.peek() == Some(b']') {
            self.next()?;
            out.push(b']');
            return Ok(());
        }
        loop {
            self.value(out, depth)?;
            self.space();
            let separator = self.next()?;
            out.push(separator);
            match separator {
                b',' => {}
                b']' => return Ok(()),
                _ => return Err(bad()),
            }
        }
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        self.expect(b'{')?;
        let mut members: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        if self.peek() == Some(b'}') {
            self.next()?;
        } else {
            loop {
                let (mut key, mut value) = (Vec::new(), Vec::new());
                self.space();
                self.string(&mut key)?;
                self.expect(b':')?;
                self.value(&mut value, depth)?;
                members.push((key, value));
                self.space();
                match self.next()? {
                    b',' => {}
                    b'}' => break,
                    _ => return Err(bad()),
                }
            }
        }
        members.sort_by(|a, b| a.0.cmp(&b.0));
        out.push(b'{');
        for (index, (key, value)) in members.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(key);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.push(b'}');
        Ok(())
    }

    /// A string with every character written in the one shortest way.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.expect(b'"')?;
        out.push(b'"');
        loop {
            match self.next()? {
                b'"' => break,
                b'\\' => self.escape(out)?,
                byte => out.push(byte),
            }
        }
        out.push(b'"');
        Ok(())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let code = match self.next()? {
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => self.unicode()?,
            byte @ (b'"' | b'\\' | b'/') => u32::from(byte),
            _ => return Err(bad()),
        };
        match char::from_u32(code) {
            Some(c @ ('"' | '\\')) => out.extend_from_slice(&[b'\\', c as u8]),
            Some(c) if c >= ' ' => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            // Control characters and lone surrogates have no other spelling.
            _ => out.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
        }
        Ok(())
    }

    /// A code unit, joined with the next one where the two are a surrogate pair.
    fn unicode(&mut self) -> Result<u32> {
        let high = self.hex()?;
        if !(0xD800..0xDC00).contains(&high) || !self.rest.starts_with(b"\\u") {
            return Ok(high);
        }
        let before = self.rest;
        self.next()?;
        self.next()?;
        let low = self.hex()?;
        if (0xDC00..0xE000).contains(&low) {
            return Ok(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
        }
        self.rest = before;
        Ok(high)
    }

    fn hex(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            code = code << 4 | char::from(self.next()?).to_digit(16).ok_or_else(bad)?;
        }
        Ok(code)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#" { "b" : 1.0 , "a" : [ 1 , "x y" ] } "#, r#"{"a":[1,"x y"],"b":1.0}"#)]
    #[case(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#)]
    #[case(r#""\u0041\/\n\"""#, r#""A/\u000a\"""#)]
    #[case(r#""\ud83d\ude00 \ud83d""#, "\"\u{1F600} \\ud83d\"")]
    #[case("12345678901234567890.10", "12345678901234567890.10")]
    #[case("[]", "[]")]
    #[case("{}", "{}")]
    #[case("null", "null")]
    fn documents_have_one_form(#[case] text: &str, #[case] expected: &str) {
        let mut out = Vec::new();
        canonical(text.as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        let mut again = Vec::new();
        canonical(&out, &mut again).unwrap();
        assert_eq!(again, out);
    }

    #[rstest]
    #[case("")]
    #[case("{")]
    #[case("[1,]x")]
    #[case(r#"{"a" 1}"#)]
    #[case("1 2")]
    #[case(r#""\x""#)]
    fn what_is_no_document_is_refused(#[case] text: &str) {
        assert!(canonical(text.as_bytes(), &mut Vec::new()).is_err());
    }
}
