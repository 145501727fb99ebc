//! The JSON document of the contract.

use crate::text::is_hostile;
use crate::{ErrorDocument, Format, RenderOptions, Report};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// Exactly one JSON document and a line break.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json {
    /// Indented for people; otherwise one line.
    pub pretty: bool,
}

impl Format for Json {
    fn name(&self) -> &str {
        "json"
    }

    fn write(&self, report: &Report, _: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        self.document(report, out)
    }
}

impl Json {
    /// Writes an error as the one document.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn error(self, error: &ErrorDocument, out: &mut dyn Write) -> io::Result<()> {
        self.document(error, out)
    }

    /// Writes any document of the contract.
    ///
    /// # Errors
    /// Those of `out`, and of values that have no JSON form.
    pub fn document<T: Serialize + ?Sized>(self, document: &T, out: &mut dyn Write) -> io::Result<()> {
        if self.pretty {
            document.serialize(&mut Serializer::with_formatter(&mut *out, Careful(PrettyFormatter::new())))?;
        } else {
            document.serialize(&mut Serializer::with_formatter(&mut *out, Careful(CompactFormatter)))?;
        }
        out.write_all(b"\n")
    }
}

/// Also escapes what JSON allows and a terminal does not forgive: C1 controls, bidi overrides,
/// invisible characters. Readers get the same text.
struct Careful<F>(F);

/// Hands every method but one to the formatter inside.
macro_rules! forward {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {
        $(fn $method<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $kind)*) -> io::Result<()> {
            self.0.$method(writer $(, $argument)*)
        })*
    };
}

impl<F: Formatter> Formatter for Careful<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = fragment;
        while let Some((at, hostile)) = plain.char_indices().find(|(_, c)| is_hostile(*c)) {
            let (before, rest) = plain.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in hostile.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = rest.strip_prefix(hostile).unwrap_or_default();
        }
        writer.write_all(plain.as_bytes())
    }

    forward! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hostile_characters_are_escaped_and_read_back_the_same() {
        let text = "a\u{1b}[31m\u{9b}2J\u{202e}\u{e0041}\u{7f}é東";
        for json in [Json { pretty: false }, Json { pretty: true }] {
            let mut out = Vec::new();
            json.document(&serde_json::json!({"k\u{202e}": [text]}), &mut out).unwrap();
            let written = String::from_utf8(out).unwrap();
            assert!(!written.trim_end().chars().any(|c| is_hostile(c) && c != '\n'), "{written}");
            let back: serde_json::Value = serde_json::from_str(&written).unwrap();
            assert_eq!(back["k\u{202e}"][0], text);
        }
    }
}
