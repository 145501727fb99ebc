//! The JSON document inside the page, so that nothing of it can end the element that it stands in.

use crate::text::is_hostile;
use std::io::{self, Write};

/// Takes JSON and hands it on with every character escaped that HTML or a text editor could take for something else.
/// Readers of the JSON get the same document. Only strings hold such characters, so no token is touched.
pub(super) struct Embedded<'a> {
    out: &'a mut dyn Write,
    /// A character whose bytes are not all there yet.
    cut: Vec<u8>,
}

impl<'a> Embedded<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, cut: Vec::new() }
    }

    fn pass(&mut self, text: &str) -> io::Result<()> {
        let mut plain = text;
        while let Some((at, c)) = plain.char_indices().find(|(_, c)| escaped(*c)) {
            let (before, rest) = plain.split_at(at);
            self.out.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(self.out, "\\u{unit:04x}")?;
            }
            plain = rest.strip_prefix(c).unwrap_or_default();
        }
        self.out.write_all(plain.as_bytes())
    }

    /// Says whether the document ended in the middle of a character.
    ///
    /// # Errors
    /// When it did.
    pub(super) fn end(self) -> io::Result<()> {
        if self.cut.is_empty() { Ok(()) } else { Err(no_text()) }
    }
}

fn escaped(c: char) -> bool {
    matches!(c, '<' | '>' | '&') || (is_hostile(c) && !matches!(c, '\n' | '\r' | '\t'))
}

fn no_text() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the document is not UTF-8")
}

impl Write for Embedded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let joined;
        let all = if self.cut.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.cut).as_slice(), bytes].concat();
            &joined
        };
        let whole = match std::str::from_utf8(all) {
            Ok(text) => text,
            Err(error) if error.error_len().is_some() => return Err(no_text()),
            Err(error) => {
                let (whole, cut) = all.split_at(error.valid_up_to());
                self.cut = cut.to_vec();
                std::str::from_utf8(whole).map_err(|_| no_text())?
            }
        };
        self.pass(whole)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn embedded(json: &[u8], step: usize) -> String {
        let mut out = Vec::new();
        let mut embedded = Embedded::new(&mut out);
        json.chunks(step).for_each(|part| embedded.write_all(part).unwrap());
        embedded.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_script_cannot_be_ended_from_inside_and_no_comment_begun() {
        let text = "</script><!--<script>]]>\u{2028}\u{2029}&amp;";
        let written = embedded(serde_json::to_string(text).unwrap().as_bytes(), 7);
        assert!(!written.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }

    proptest! {
        #[test]
        fn any_text_in_any_pieces_reads_back_the_same(text: String, step in 1_usize..9) {
            let json = serde_json::json!({ &text: [&text] });
            let written = embedded(json.to_string().as_bytes(), step);
            prop_assert!(!written.contains(['<', '>', '&']));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), json);
        }
    }
}
