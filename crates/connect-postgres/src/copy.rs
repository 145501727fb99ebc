//! The binary COPY format: a header, tuples, a trailer. A stream without its trailer is cut off.
//!
//! Source: PostgreSQL documentation, COPY, "Binary Format".

use crate::errors::{malformed, truncated};
use paritas_connect::{Error, Result};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags and the length of the header's extension.
const HEADER: usize = SIGNATURE.len() + 8;
/// Flags from this bit on change the meaning of the data.
const CRITICAL_FLAGS: u32 = 0xFFFF_0000;

/// Cuts a stream that comes in chunks of any size into tuples.
#[derive(Debug)]
pub(crate) struct CopyReader {
    columns: i16,
    state: State,
    /// The beginning of something that has not wholly come.
    carry: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Tuples,
    Done,
}

impl CopyReader {
    /// For tuples of so many columns.
    pub(crate) fn new(columns: usize) -> Result<Self> {
        let columns = i16::try_from(columns).map_err(|_| malformed("more columns than a table can have"))?;
        Ok(Self { columns, state: State::Header, carry: Vec::new() })
    }

    /// Takes a chunk and hands each whole tuple (its fields, each with its length in front) to `row`.
    pub(crate) fn feed(&mut self, chunk: &[u8], row: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if self.carry.is_empty() {
            let used = self.parse(chunk, row)?;
            self.carry.extend_from_slice(chunk.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut carry = std::mem::take(&mut self.carry);
        carry.extend_from_slice(chunk);
        let used = self.parse(&carry, row)?;
        carry.drain(..used);
        self.carry = carry;
        Ok(())
    }

    /// Fails unless the trailer was seen.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.state {
            State::Done if self.carry.is_empty() => Ok(()),
            State::Done => Err(malformed("data after the end of a COPY stream")),
            State::Header | State::Tuples => Err(cut()),
        }
    }

    /// How many bytes were used up.
    fn parse(&mut self, data: &[u8], row: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
        let mut used = 0;
        if self.state == State::Header {
            match header(data)? {
                Some(length) => used = length,
                None => return Ok(0),
            }
            self.state = State::Tuples;
        }
        while self.state == State::Tuples {
            let rest = data.get(used..).unwrap_or_default();
            let Some((count, fields)) = rest.split_first_chunk::<2>() else { break };
            let count = i16::from_be_bytes(*count);
            if count == -1 {
                self.state = State::Done;
                used += 2;
            } else if count != self.columns {
                return Err(malformed(format!("a row of {count} columns where {} were asked for", self.columns)));
            } else if let Some(length) = tuple_length(fields, count)? {
                row(fields.get(..length).unwrap_or_default())?;
                used += 2 + length;
            } else {
                break;
            }
        }
        if self.state == State::Done && used < data.len() {
            return Err(malformed("data after the end of a COPY stream"));
        }
        Ok(used)
    }
}

fn cut() -> Error {
    truncated("the stream of rows ended early")
}

/// Length of the whole header, once it is there.
fn header(data: &[u8]) -> Result<Option<usize>> {
    let Some(header) = data.get(..HEADER) else { return Ok(None) };
    let (signature, rest) = header.split_at(SIGNATURE.len());
    let mut words = rest.chunks_exact(4).map(|word| word.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)));
    let (flags, extension) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
    if signature != SIGNATURE || flags & CRITICAL_FLAGS != 0 {
        return Err(malformed("a COPY stream in an unknown format"));
    }
    let length = HEADER + extension as usize;
    Ok((data.len() >= length).then_some(length))
}

/// Bytes of that many fields; `None` while they have not all come.
#[inline]
fn tuple_length(fields: &[u8], count: i16) -> Result<Option<usize>> {
    let mut at = 0_usize;
    for _ in 0..count {
        let Some(word) = fields.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
        let length = i32::from_be_bytes(*word);
        at += 4;
        match usize::try_from(length) {
            Ok(length) => at += length,
            Err(_) if length == -1 => {}
            Err(_) => return Err(malformed("a field with a negative length")),
        }
    }
    Ok((at <= fields.len()).then_some(at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend_from_slice(&[0; 8]);
        for row in rows {
            out.extend_from_slice(&i16::try_from(row.len()).unwrap().to_be_bytes());
            out.extend(fields(row));
        }
        out.extend_from_slice(&[0xFF, 0xFF]);
        out
    }

    fn fields(row: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut out = Vec::new();
        for field in row {
            match field {
                Some(bytes) => {
                    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
                    out.extend_from_slice(bytes);
                }
                None => out.extend_from_slice(&[0xFF; 4]),
            }
        }
        out
    }

    fn read(data: &[u8], chunks: &[usize]) -> Result<Vec<Vec<u8>>> {
        let mut reader = CopyReader::new(2)?;
        let mut rows = Vec::new();
        let mut rest = data;
        let mut sizes = chunks.iter().cycle();
        while !rest.is_empty() {
            let size = (*sizes.next().unwrap()).clamp(1, rest.len());
            let (chunk, after) = rest.split_at(size);
            reader.feed(chunk, &mut |row| {
                rows.push(row.to_vec());
                Ok(())
            })?;
            rest = after;
        }
        reader.finish()?;
        Ok(rows)
    }

    fn row() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
        prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 2)
    }

    proptest! {
        #[test]
        fn rows_come_out_whole_however_the_stream_is_cut(
            rows in prop::collection::vec(row(), 0..8),
            chunks in prop::collection::vec(1_usize..60, 1..5),
        ) {
            let expected: Vec<Vec<u8>> = rows.iter().map(|row| fields(row)).collect();
            prop_assert_eq!(read(&stream(&rows), &chunks).unwrap(), expected);
        }

        #[test]
        fn every_stream_that_ends_early_is_an_error(rows in prop::collection::vec(row(), 0..4), end in 0.0_f64..1.0) {
            let whole = stream(&rows);
            let cut = (whole.len() as f64 * end) as usize;
            let error = read(&whole[..cut], &[7]).unwrap_err();
            prop_assert_eq!(error.code(), "data.truncated");
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut data = SIGNATURE.to_vec();
            data.extend_from_slice(&[0; 8]);
            data.extend_from_slice(&bytes);
            let _ = (read(&data, &[9]), read(&bytes, &[9]));
        }
    }

    #[test]
    fn bytes_after_the_trailer_are_an_error() {
        let mut data = stream(&[]);
        data.push(0);
        assert_eq!(read(&data, &[100]).unwrap_err().code(), "data.unreadable");
        assert_eq!(read(&data, &[1]).unwrap_err().code(), "data.unreadable");
    }
}
