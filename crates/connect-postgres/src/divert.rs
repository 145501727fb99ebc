//! The scan's end of a tap: COPY data read from the socket into one large buffer and cut there.

use crate::tap::{COPY_DATA, HEADER, Source, body_length};
use paritas_connect::Result;
use std::future::poll_fn;
use tokio::io::ReadBuf;

/// What one read of the socket can bring.
const BUFFER_BYTES: usize = 256 << 10;

/// Messages that a server may send at any time: notices, settings, notifications.
const ANY_TIME: &[u8] = b"NSA";

/// Reads the data of one COPY.
pub(crate) struct Diversion<'a> {
    source: &'a dyn Source,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    within: Within,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Header,
    /// So many bytes of data that are too long for the buffer.
    Data(usize),
    /// So many bytes of another message.
    Other(usize),
}

impl<'a> Diversion<'a> {
    /// To be made before the COPY is sent.
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self::with_buffer(source, BUFFER_BYTES)
    }

    /// With a buffer of so many bytes, more than a header has.
    pub(crate) fn with_buffer(source: &'a dyn Source, bytes: usize) -> Self {
        source.hold();
        Self { source, buffer: vec![0; bytes], start: 0, end: 0, within: Within::Header }
    }

    /// Waits for more and hands on the data of each message; of a long one in parts. False when the
    /// COPY is over, in whatever way: the client library knows how.
    pub(crate) async fn next(&mut self, data: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let (source, kept) = (self.source, self.end);
        let mut free = ReadBuf::new(self.buffer.get_mut(kept..).unwrap_or_default());
        if !poll_fn(|cx| source.poll_take(cx, &mut free)).await {
            return Ok(false);
        }
        self.end = kept + free.filled().len();
        self.cut(data)
    }

    fn cut(&mut self, data: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        loop {
            let rest = self.buffer.get(self.start..self.end).unwrap_or_default();
            match self.within {
                Within::Data(left) | Within::Other(left) => {
                    let (part, _) = rest.split_at(left.min(rest.len()));
                    let left = left - part.len();
                    self.start += part.len();
                    let is_data = matches!(self.within, Within::Data(_));
                    self.within = match (left, is_data) {
                        (0, _) => Within::Header,
                        (left, true) => Within::Data(left),
                        (left, false) => Within::Other(left),
                    };
                    if is_data {
                        data(part)?;
                    } else {
                        self.source.pass(part);
                    }
                    if left > 0 {
                        return Ok(true);
                    }
                }
                Within::Header => {
                    let Some((header, body)) = rest.split_first_chunk::<HEADER>() else { return Ok(true) };
                    let length = body_length(header);
                    match (header.first(), length) {
                        (Some(&COPY_DATA), Some(length)) => match body.get(..length) {
                            Some(body) => {
                                self.start += HEADER + length;
                                data(body)?;
                            }
                            None if HEADER + length <= self.buffer.len() => return Ok(true),
                            None => {
                                self.start += HEADER;
                                self.within = Within::Data(length);
                            }
                        },
                        (Some(tag), Some(length)) if ANY_TIME.contains(tag) => {
                            self.within = Within::Other(HEADER + length);
                        }
                        _ => {
                            self.source.release(rest);
                            self.start = self.end;
                            return Ok(false);
                        }
                    }
                }
            }
        }
    }
}
