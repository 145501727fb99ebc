//! A Parquet file as its decoder reads it: pages from windows of a pinned file.

use crate::pinned::Pinned;
use bytes::{Buf as _, Bytes, BytesMut};
use paritas_connect::{Error, Result};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// What is fetched at a time around the page asked for, where reading goes over a network. Local
/// pages are read one by one: the system's own cache is the window.
const WINDOW_BYTES: u64 = 4 << 20;
/// All windows of a file together, at most, unless single pages are larger.
const WINDOWS_BYTES_MAX: u64 = 32 << 20;
/// Smallest useful window.
const WINDOW_BYTES_MIN: u64 = 64 << 10;
/// Remote column chunks that are together at most this large are fetched at once.
const PREFETCH_BYTES_MAX: u64 = 32 << 20;
/// Remote ranges with at most this between them are fetched as one.
const GAP_BYTES_MAX: u64 = 512 << 10;
/// The end of a remote file is fetched at once: it nearly always holds the whole footer.
const TAIL_BYTES: u64 = 64 << 10;
/// Buffers that are kept to be used again, at most, and the largest of them.
const BUFFERS_MAX: usize = 32;
const BUFFER_BYTES_MAX: usize = 2 << 20;
/// What a reader of page headers asks for at a time.
const HEADER_BYTES: usize = 512;

/// A Parquet file for its decoder.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pinned: Pinned,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the columns in use lie; each has a window of its own.
    chunks: Vec<Range<u64>>,
    windows: Vec<Window>,
    /// Pages of a local file that were handed out; memory of those not in use any more is used again.
    buffers: Vec<Bytes>,
    /// What went wrong when reading, as the decoder's own errors say less.
    failure: Option<Error>,
}

#[derive(Debug, Clone)]
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn slice(&self, start: u64, length: usize) -> Option<Bytes> {
        let at = usize::try_from(start.checked_sub(self.start)?).ok()?;
        let end = at.checked_add(length)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(at..end))
    }
}

impl Input {
    /// An opened file.
    pub(crate) fn new(pinned: Pinned) -> Self {
        Self { inner: Arc::new(Inner { pinned, state: Mutex::default() }) }
    }

    /// The file underneath.
    pub(crate) fn pinned(&self) -> &Pinned {
        &self.inner.pinned
    }

    /// What went wrong when reading, once.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.lock().failure.take()
    }

    /// Says which column chunks will be read next. Small remote ones are fetched at once.
    pub(crate) fn expect(&self, chunks: Vec<Range<u64>>) -> Result<()> {
        let size = self.inner.pinned.file().size;
        let total: u64 = chunks.iter().map(|chunk| chunk.end.saturating_sub(chunk.start)).sum();
        let inside = chunks.iter().all(|chunk| chunk.start <= chunk.end && chunk.end <= size);
        let mut windows = Vec::new();
        if self.inner.pinned.is_remote() && inside && total <= PREFETCH_BYTES_MAX {
            let ranges = coalesce(&chunks);
            let parts = self.inner.pinned.fetch_all(&ranges)?;
            windows = ranges.into_iter().zip(parts).map(|(r, bytes)| Window { start: r.start, bytes }).collect();
        }
        let mut state = self.lock();
        state.chunks = chunks;
        state.windows = windows;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Windows are replaced whole, so a panic elsewhere cannot leave them half written.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes from a window, which is moved if they lie outside of all.
    fn bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let pinned = &self.inner.pinned;
        let size = pinned.file().size;
        let end = start.checked_add(length as u64).filter(|end| *end <= size);
        let Some(end) = end else {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} lie beyond the end of the file at {size}"
            )));
        };
        if !pinned.is_remote() {
            return self.page(start, length).map_err(|error| self.keep(error));
        }
        let state = self.lock();
        if let Some(bytes) = state.windows.iter().find_map(|window| window.slice(start, length)) {
            return Ok(bytes);
        }
        let chunk = state.chunks.iter().position(|chunk| chunk.contains(&start));
        let wanted = match chunk.and_then(|index| state.chunks.get(index)) {
            Some(chunk) => start..end.max(chunk.end.min(start.saturating_add(window_bytes(state.chunks.len())))),
            None => start.min(size.saturating_sub(TAIL_BYTES))..end,
        };
        let wanted = wanted.start..wanted.end.min(size);
        drop(state);
        let bytes = pinned.fetch(wanted.clone()).map_err(|error| self.keep(error))?;
        let mut state = self.lock();
        let window = Window { start: wanted.start, bytes };
        let found = window.slice(start, length);
        // One window for each column chunk: the one before is not needed any more.
        let own = chunk.and_then(|index| state.chunks.get(index)).cloned();
        state.windows.retain(|old| own.as_ref().is_some_and(|own| !own.contains(&old.start)));
        state.windows.push(window);
        found.ok_or_else(|| ParquetError::EOF("a range was cut short".into()))
    }

    /// Reads a range of a local file into a buffer that its last user has let go, if there is one.
    fn page(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut free = BytesMut::new();
        {
            let mut state = self.lock();
            for index in 0..state.buffers.len() {
                let bytes = state.buffers.swap_remove(index);
                match bytes.try_into_mut() {
                    Ok(buffer) => {
                        free = buffer;
                        break;
                    }
                    Err(used) => {
                        state.buffers.push(used);
                        let last = state.buffers.len() - 1;
                        state.buffers.swap(index, last);
                    }
                }
            }
        }
        free.resize(length, 0);
        self.inner.pinned.read_at(start, &mut free)?;
        let bytes = free.freeze();
        let mut state = self.lock();
        if state.buffers.len() < BUFFERS_MAX && length <= BUFFER_BYTES_MAX {
            state.buffers.push(bytes.clone());
        }
        Ok(bytes)
    }

    /// Remembers what went wrong, for whoever gets the decoder's answer.
    fn keep(&self, error: Error) -> ParquetError {
        let text = error.to_string();
        self.lock().failure.get_or_insert(error);
        ParquetError::General(text)
    }
}

/// What one of so many windows may hold.
fn window_bytes(chunks: usize) -> u64 {
    (WINDOWS_BYTES_MAX / (chunks.max(1) as u64)).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES)
}

/// Joins ranges that nearly touch.
fn coalesce(chunks: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = chunks.to_vec();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP_BYTES_MAX) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.inner.pinned.file().size
    }
}

impl ChunkReader for Input {
    type T = HeaderReader;

    fn get_read(&self, start: u64) -> Result<HeaderReader, ParquetError> {
        Ok(HeaderReader { input: self.clone(), at: start, buffer: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.bytes(start, length)
    }
}

/// Reads on from a position, some bytes at a time.
#[derive(Debug)]
pub(crate) struct HeaderReader {
    input: Input,
    at: u64,
    buffer: Bytes,
}

impl Read for HeaderReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            let left = self.input.len().saturating_sub(self.at);
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(HEADER_BYTES.max(out.len()));
            if length == 0 {
                return Ok(0);
            }
            self.buffer = self.input.bytes(self.at, length).map_err(io::Error::other)?;
            self.at += length as u64;
        }
        let length = out.len().min(self.buffer.len());
        if let Some(part) = out.get_mut(..length) {
            self.buffer.copy_to_slice(part);
        }
        Ok(length)
    }
}
