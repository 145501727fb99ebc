//! Records of RFC 4180, read strictly: what is no record is refused with its line, never mended.

use crate::CsvOptions;
use std::io::{self, Read};

/// Bytes of one record, at most.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// Fields of one record, at most.
const FIELDS_MAX: usize = 16 << 10;
/// What is read at a time.
const READ_BYTES: usize = 256 << 10;

/// One record.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// All fields without quotes, one after the other.
    data: Vec<u8>,
    fields: Vec<Field>,
    /// The line on which it begins, from 1.
    pub(super) line: u64,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    end: usize,
    quoted: bool,
}

/// Why there is no record.
#[derive(Debug)]
pub(super) enum Fault {
    /// Reading failed.
    Io(io::Error),
    /// The bytes are no CSV.
    Malformed {
        /// On which line.
        line: u64,
        /// What is wrong.
        why: &'static str,
    },
}

impl Record {
    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Bytes of all fields.
    pub(super) fn bytes(&self) -> usize {
        self.data.len()
    }

    /// A field's text and whether it was quoted; an error if it is not UTF-8.
    pub(super) fn field(&self, index: usize) -> Option<Result<(&str, bool), std::str::Utf8Error>> {
        let field = self.fields.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.fields.get(before)?.end,
            None => 0,
        };
        let bytes = self.data.get(start..field.end)?;
        Some(std::str::from_utf8(bytes).map(|text| (text, field.quoted)))
    }

    fn clear(&mut self, line: u64) {
        self.data.clear();
        self.fields.clear();
        self.line = line;
    }
}

/// Reads records from bytes.
#[derive(Debug)]
pub(super) struct Records<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    line: u64,
    delimiter: u8,
    quote: u8,
    /// Whether a byte order mark may still come.
    fresh: bool,
}

/// What ended a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Delimiter,
    Record,
}

impl<R: Read> Records<R> {
    /// Records from the start of a file.
    pub(super) fn new(input: R, options: &CsvOptions) -> Self {
        let (delimiter, quote) = (options.delimiter, options.quote);
        Self { input, buffer: vec![0; READ_BYTES], at: 0, end: 0, line: 1, delimiter, quote, fresh: true }
    }

    /// Reads the next record; false at the end of the file.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, Fault> {
        if self.fresh {
            self.skip_mark()?;
        }
        record.clear(self.line);
        if self.peek()?.is_none() {
            return Ok(false);
        }
        loop {
            let quoted = self.peek()? == Some(self.quote);
            let end = if quoted { self.quoted(record)? } else { self.plain(record)? };
            record.fields.push(Field { end: record.data.len(), quoted });
            if record.fields.len() > FIELDS_MAX {
                return Err(self.malformed("the record has more than 16,384 fields"));
            }
            if end == End::Record {
                return Ok(true);
            }
        }
    }

    /// Bytes at hand; nothing at the end of the file.
    fn chunk(&mut self) -> Result<&[u8], Fault> {
        if self.at == self.end {
            (self.at, self.end) = (0, 0);
            loop {
                match self.input.read(&mut self.buffer) {
                    Ok(read) => {
                        self.end = read.min(self.buffer.len());
                        break;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Fault::Io(error)),
                }
            }
        }
        Ok(self.buffer.get(self.at..self.end).unwrap_or_default())
    }

    fn peek(&mut self) -> Result<Option<u8>, Fault> {
        Ok(self.chunk()?.first().copied())
    }

    fn skip_mark(&mut self) -> Result<(), Fault> {
        self.fresh = false;
        // Short reads may split the mark, so it is looked at byte by byte; nothing else begins so.
        if self.peek()? != Some(0xEF) {
            return Ok(());
        }
        for expected in [0xEF, 0xBB, 0xBF] {
            if self.peek()? != Some(expected) {
                return Err(self.malformed("it begins with bytes that are not UTF-8"));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// A field without quotes, up to the delimiter or the end of the line.
    fn plain(&mut self, record: &mut Record) -> Result<End, Fault> {
        let (delimiter, quote) = (self.delimiter, self.quote);
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(End::Record);
            }
            let stop = chunk.iter().position(|b| *b == delimiter || *b == b'\n' || *b == b'\r' || *b == quote);
            let taken = stop.unwrap_or(chunk.len());
            record.data.extend_from_slice(chunk.get(..taken).unwrap_or_default());
            let found = stop.and_then(|at| chunk.get(at).copied());
            self.at += taken;
            self.limit(record)?;
            match found {
                None => {}
                Some(byte) if byte == delimiter => {
                    self.at += 1;
                    return Ok(End::Delimiter);
                }
                Some(byte) if byte == quote => {
                    return Err(self.malformed("there is a quote inside a field that is not quoted"));
                }
                Some(_) => {
                    self.line_end()?;
                    return Ok(End::Record);
                }
            }
        }
    }

    /// A field in quotes.
    fn quoted(&mut self, record: &mut Record) -> Result<End, Fault> {
        let opened = self.line;
        self.at += 1;
        loop {
            let quote = self.quote;
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Err(Fault::Malformed { line: opened, why: "a quote is opened and never closed" });
            }
            let stop = chunk.iter().position(|byte| *byte == quote);
            let part = chunk.get(..stop.unwrap_or(chunk.len())).unwrap_or_default();
            let lines = part.iter().filter(|byte| **byte == b'\n').count() as u64;
            record.data.extend_from_slice(part);
            let taken = part.len() + usize::from(stop.is_some());
            self.at += taken;
            self.line += lines;
            self.limit(record)?;
            if stop.is_none() {
                continue;
            }
            match self.peek()? {
                Some(byte) if byte == quote => {
                    record.data.push(quote);
                    self.at += 1;
                }
                Some(byte) if byte == self.delimiter => {
                    self.at += 1;
                    return Ok(End::Delimiter);
                }
                Some(b'\n' | b'\r') => {
                    self.line_end()?;
                    return Ok(End::Record);
                }
                None => return Ok(End::Record),
                Some(_) => return Err(self.malformed("there is text after a closing quote")),
            }
        }
    }

    /// LF or CRLF.
    fn line_end(&mut self) -> Result<(), Fault> {
        if self.peek()? == Some(b'\r') {
            self.at += 1;
            if self.peek()? != Some(b'\n') {
                return Err(self.malformed("there is a carriage return outside of quotes"));
            }
        }
        self.at += 1;
        self.line += 1;
        Ok(())
    }

    fn limit(&self, record: &Record) -> Result<(), Fault> {
        if record.data.len() > RECORD_BYTES_MAX {
            return Err(Fault::Malformed { line: record.line, why: "the record is longer than 64 MiB" });
        }
        Ok(())
    }

    fn malformed(&self, why: &'static str) -> Fault {
        Fault::Malformed { line: self.line, why }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// Hands out a few bytes at a time, so that every boundary is met.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(self.1).min(out.len());
            let (now, rest) = self.0.split_at(length);
            out[..length].copy_from_slice(now);
            self.0 = rest;
            Ok(length)
        }
    }

    type Rows = Vec<Vec<(String, bool)>>;

    fn read(text: &[u8], step: usize) -> Result<Rows, (u64, &'static str)> {
        let mut records = Records::new(Trickle(text, step), &CsvOptions::default());
        let (mut record, mut rows) = (Record::default(), Vec::new());
        loop {
            match records.read(&mut record) {
                Ok(true) => rows.push(
                    (0..record.len())
                        .map(|i| record.field(i).unwrap().unwrap())
                        .map(|(t, q)| (t.to_owned(), q))
                        .collect(),
                ),
                Ok(false) => return Ok(rows),
                Err(Fault::Malformed { line, why }) => return Err((line, why)),
                Err(Fault::Io(_)) => unreachable!("these bytes are in memory"),
            }
        }
    }

    /// Fields separated by `|`, quoted ones in angle brackets, records by `;`.
    fn rows(text: &str) -> Rows {
        let field = |field: &str| match field.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            Some(quoted) => (quoted.to_owned(), true),
            None => (field.to_owned(), false),
        };
        let records = text.split_terminator(';');
        records.map(|record| record.split('|').map(field).collect()).collect()
    }

    #[rstest]
    #[case("a,b\r\n1,\"x\"\"y\"\n", "a|b;1|<x\"y>;")]
    #[case("\u{feff}a\n", "a;")]
    #[case(",\"\"", "|<>;")]
    #[case("\"a\r\nb\",c", "<a\r\nb>|c;")]
    #[case("a,\n", "a|;")]
    #[case("\n\n", ";;")]
    #[case("", "")]
    fn records_keep_what_was_quoted(#[case] text: &str, #[case] expected: &str) {
        for step in [1, 2, 3, 1000] {
            assert_eq!(read(text.as_bytes(), step).unwrap(), rows(expected), "step {step}");
        }
    }

    #[rstest]
    #[case(b"a\n\"b", 2)]
    #[case(b"a\n\"b\n\n", 2)]
    #[case(b"a\nb\"c\n", 2)]
    #[case(b"a\n\"b\"c\n", 2)]
    #[case(b"a\rb\n", 1)]
    #[case(b"\xEF\xBBa", 1)]
    #[case(b"\"x\ny\"\nz\"", 3)]
    fn what_is_no_csv_is_refused_with_its_line(#[case] text: &[u8], #[case] line: u64) {
        for step in [1, 1000] {
            assert_eq!(read(text, step).unwrap_err().0, line);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_by_the_rules_reads_back(
            rows in prop::collection::vec(prop::collection::vec(("[a,\"\r\n é]{0,6}", any::<bool>()), 3..4), 0..6),
            step in 1_usize..20,
        ) {
            let mut text = String::new();
            let mut expected: Rows = Vec::new();
            for row in &rows {
                let mut fields = Vec::new();
                for (i, (value, quoted)) in row.iter().enumerate() {
                    let quoted = *quoted || value.contains([',', '"', '\r', '\n']);
                    text.push_str(if i > 0 { "," } else { "" });
                    if quoted { text.push_str(&format!("\"{}\"", value.replace('"', "\"\""))) } else { text.push_str(value) }
                    fields.push((value.clone(), quoted));
                }
                text.push('\n');
                expected.push(fields);
            }
            prop_assert_eq!(read(text.as_bytes(), step).unwrap(), expected);
        }

        #[test]
        fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(prop::sample::select(b"a,\"\r\n\xEF\xBB\xBF\xFF".to_vec()), 0..40), step in 1_usize..9) {
            let mut records = Records::new(Trickle(&bytes, step), &CsvOptions::default());
            let mut record = Record::default();
            while let Ok(true) = records.read(&mut record) {}
        }
    }
}
