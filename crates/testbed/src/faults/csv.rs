//! Faults in CSV files, by records and not by lines: a quoted value may hold line ends.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Class, Injected};
use crate::{Error, Result};

/// A CSV file (RFC 4180) with a header. Records are numbered from 0, the header not counted.
#[derive(Debug, Clone)]
pub struct Target {
    path: PathBuf,
    dataset: String,
    key: Vec<String>,
    delimiter: u8,
}

/// A file's bytes and where its records and their fields are.
struct Contents {
    bytes: Vec<u8>,
    /// The fields of each record, the header first; a record ends with its line end.
    records: Vec<(Range<usize>, Vec<Range<usize>>)>,
}

impl Target {
    /// A file, the name of the dataset it belongs to, and the key columns (none for a dataset without key).
    #[must_use]
    pub fn new(path: &Path, dataset: &str, key: &[&str]) -> Self {
        let key = key.iter().map(|&column| column.to_owned()).collect();
        Self { path: path.to_path_buf(), dataset: dataset.to_owned(), key, delimiter: b',' }
    }

    /// With another separator than the comma.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Removes a record.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unfit`] when there is no such record or the file has no such column.
    pub fn lose(&self, record: usize) -> Result<Injected> {
        let old = self.read()?;
        let (span, _) = self.record(&old, record)?;
        let key = self.key_of(&old, record)?;
        self.write(&old, span.clone(), b"")?;
        Ok(Injected::new(Class::Lost, &self.dataset, "record removed from its file").key(key))
    }

    /// Writes a record once more, right after itself.
    ///
    /// # Errors
    /// As [`Self::lose`].
    pub fn duplicate(&self, record: usize) -> Result<Injected> {
        let old = self.read()?;
        let (span, _) = self.record(&old, record)?;
        let again = old.bytes.get(span.clone()).unwrap_or_default().to_vec();
        self.write(&old, span.end..span.end, &again)?;
        Ok(Injected::new(Class::Duplicated, &self.dataset, "record written twice").key(self.key_of(&old, record)?))
    }

    /// Puts other text in the place of a value, as it is: quoted only if the text brings its quotes.
    ///
    /// # Errors
    /// As [`Self::lose`]; also when the text is the same.
    pub fn change(&self, record: usize, column: &str, to: &str) -> Result<Injected> {
        let old = self.read()?;
        let field = self.field(&old, record, column)?;
        let before = text(&old, &field);
        if before == to {
            let what = format!("{column} of record {record} is {to} already");
            return Err(Error::Unfit { what, hint: "choose another value" });
        }
        self.write(&old, field, to.as_bytes())?;
        let what = format!("{column} changed from {before} to {to}");
        let injected = Injected::new(Class::Changed, &self.dataset, what).key(self.key_of(&old, record)?);
        Ok(injected.value(column, Some(before), Some(to.to_owned())))
    }

    fn key_of(&self, old: &Contents, record: usize) -> Result<Vec<(String, String)>> {
        let all = || old.records.first().map(|(_, fields)| fields.iter().map(|f| text(old, f)).collect::<Vec<_>>());
        let columns = if self.key.is_empty() { all().unwrap_or_default() } else { self.key.clone() };
        let pair = |column: String| {
            let value = unquoted(&text(old, &self.field(old, record, &column)?));
            Ok((column, value))
        };
        columns.into_iter().map(pair).collect()
    }

    fn field(&self, old: &Contents, record: usize, column: &str) -> Result<Range<usize>> {
        let header = old.records.first().map(|(_, fields)| fields.as_slice()).unwrap_or_default();
        let at = header.iter().position(|field| unquoted(&text(old, field)) == column);
        let (_, fields) = self.record(old, record)?;
        at.and_then(|at| fields.get(at)).cloned().ok_or_else(|| Error::Unfit {
            what: format!("record {record} of {} has no column {column}", self.path.display()),
            hint: "name one of the header's columns",
        })
    }

    fn record<'c>(&self, old: &'c Contents, record: usize) -> Result<&'c (Range<usize>, Vec<Range<usize>>)> {
        old.records.get(record + 1).ok_or_else(|| Error::Unfit {
            what: format!("{} has no record {record}", self.path.display()),
            hint: "choose a smaller number",
        })
    }

    fn read(&self) -> Result<Contents> {
        let bytes = fs::read(&self.path).map_err(Error::io("read", &self.path))?;
        let records = split(&bytes, self.delimiter);
        Ok(Contents { bytes, records })
    }

    /// Written beside and moved over, so that a reader sees the old or the new file.
    fn write(&self, old: &Contents, place: Range<usize>, new: &[u8]) -> Result<()> {
        let part = |range: Range<usize>| old.bytes.get(range).unwrap_or_default();
        let bytes = [part(0..place.start), new, part(place.end..old.bytes.len())].concat();
        let beside = self.path.with_extension("tmp");
        fs::write(&beside, bytes).map_err(Error::io("write", &beside))?;
        fs::rename(&beside, &self.path).map_err(Error::io("replace", &self.path))
    }
}

fn text(contents: &Contents, field: &Range<usize>) -> String {
    String::from_utf8_lossy(contents.bytes.get(field.clone()).unwrap_or_default()).into_owned()
}

fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => text.to_owned(),
    }
}

/// Records with their fields: separators and line ends count outside quotes only.
fn split(bytes: &[u8], delimiter: u8) -> Vec<(Range<usize>, Vec<Range<usize>>)> {
    let (mut records, mut fields) = (Vec::new(), Vec::new());
    let (mut record_start, mut field_start, mut quoted) = (0, 0, false);
    for (i, &byte) in bytes.iter().enumerate() {
        match byte {
            // A doubled quote closes and opens again, which leaves the state as it was.
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                let carriage = i > field_start && bytes.get(i - 1) == Some(&b'\r');
                fields.push(field_start..i - usize::from(carriage));
                records.push((record_start..i + 1, std::mem::take(&mut fields)));
                (record_start, field_start) = (i + 1, i + 1);
            }
            other if other == delimiter && !quoted => {
                fields.push(field_start..i);
                field_start = i + 1;
            }
            _ => {}
        }
    }
    if record_start < bytes.len() {
        fields.push(field_start..bytes.len());
        records.push((record_start..bytes.len(), fields));
    }
    records
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;
    use crate::Scratch;

    const FILE: &str = "id,note\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n2,\r\n3,x";

    #[rstest]
    #[case(|t: &Target| t.lose(1), "id,note\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n3,x", "lost: record removed from its file in d (id=2)")]
    #[case(|t: &Target| t.duplicate(0), "id,note\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n2,\r\n3,x", "duplicated: record written twice in d (id=1)")]
    #[case(|t: &Target| t.change(1, "note", "\"\""), "id,note\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n2,\"\"\r\n3,x", "changed: note changed from  to \"\" in d (id=2)")]
    #[case(|t: &Target| t.change(2, "note", "y"), "id,note\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n2,\r\n3,y", "changed: note changed from x to y in d (id=3)")]
    fn records_are_changed_and_nothing_else(
        #[case] plant: fn(&Target) -> Result<Injected>,
        #[case] bytes: &str,
        #[case] words: &str,
    ) {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("f.csv");
        fs::write(&path, FILE).unwrap();
        let target = Target::new(&path, "d", &["id"]);
        assert_eq!(plant(&target).unwrap().to_string(), words);
        assert_eq!(fs::read_to_string(&path).unwrap(), bytes);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("f.csv");
        fs::write(&path, FILE).unwrap();
        let target = Target::new(&path, "d", &[]);
        assert!(target.lose(3).is_err());
        assert!(target.change(0, "absent", "x").is_err());
        assert!(target.change(2, "note", "x").is_err());
        assert_eq!(target.lose(2).unwrap().key, [("id".into(), "3".into()), ("note".into(), "x".into())]);
    }
}
