//! A tap on a connection: COPY data can be taken from the socket past the client library.
//!
//! The library makes a message of its own of every row and sends it through channels, which costs
//! about as much as the server needs to make the row. So everything the server says is followed
//! message by message, and when a COPY begins, a scan that holds the tap reads on from the socket
//! into its own buffer. All that is not `CopyData` goes to the library as ever: it begins and ends
//! the COPY, and reports every error.
//!
//! Source: PostgreSQL documentation, "Message Formats": a tag, a length that counts itself, a body.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// The tag of `CopyData`.
pub(crate) const COPY_DATA: u8 = b'd';
/// The tag of `CopyOutResponse`: a COPY begins.
const COPY_OUT: u8 = b'H';
/// The tag of `BackendKeyData`: the process, and a secret.
const BACKEND_KEY: u8 = b'K';
/// Bytes of the process.
const PROCESS_BYTES: usize = 4;
/// Tag and length.
pub(crate) const HEADER: usize = 5;
/// Messages for the library that it has not taken yet, at most, before a scan waits for it.
const PASSED_BYTES_MAX: usize = 1 << 20;

/// What a scan does with the tap of its connection.
pub(crate) trait Source: Send + Sync {
    /// The process that the other end says serves this connection.
    fn backend(&self) -> Option<i32>;

    /// What comes after the beginning of the next COPY waits for [`Source::poll_take`].
    fn hold(&self);

    /// Takes what the server sent since the COPY began; until [`Source::release`], nobody else
    /// reads. False when there is no COPY or the stream has ended, which the library then reports.
    fn poll_take(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<bool>;

    /// Gives a part of a message that is not `CopyData` to the library.
    fn pass(&self, bytes: &[u8]);

    /// Gives the rest and the connection back to the library. It begins with a whole header.
    fn release(&self, rest: &[u8]);
}

/// Both ends' view of one connection.
pub(crate) struct Tap<S>(Arc<Shared<S>>);

struct Shared<S>(Mutex<State<S>>);

struct State<S> {
    stream: S,
    frames: Frames,
    mode: Mode,
    /// Read by the library, meant for the scan.
    held: Vec<u8>,
    /// Read by the scan, meant for the library.
    passed: Vec<u8>,
    failure: Option<io::Error>,
    library: Option<Waker>,
    scan: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The library reads everything.
    Library,
    /// The library reads until a COPY begins.
    Hold,
    /// The scan reads.
    Scan,
}

/// Where in a message the library is.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; HEADER],
    have: usize,
    body: usize,
    /// The process of `BackendKeyData`, as far as it has come.
    process: Vec<u8>,
}

impl Frames {
    /// Follows these bytes; with `hold`, up to the beginning of a COPY. How many the library may
    /// have, and whether a COPY begins after them.
    fn follow(&mut self, bytes: &[u8], hold: bool) -> (usize, bool) {
        let mut rest = bytes;
        let mut begins = false;
        while let (Some((first, after)), false) = (rest.split_first(), begins) {
            if self.body > 0 {
                let step = self.body.min(rest.len());
                self.body -= step;
                if self.header.first() == Some(&BACKEND_KEY) {
                    let missing = PROCESS_BYTES.saturating_sub(self.process.len()).min(step);
                    self.process.extend(rest.iter().take(missing));
                }
                rest = rest.get(step..).unwrap_or_default();
            } else {
                if let Some(slot) = self.header.get_mut(self.have) {
                    *slot = *first;
                }
                self.have += 1;
                rest = after;
                if self.have < HEADER {
                    continue;
                }
                self.have = 0;
                // A length below four is the library's to refuse.
                self.body = body_length(&self.header).unwrap_or(0);
            }
            begins = hold && self.body == 0 && self.header.first() == Some(&COPY_OUT);
        }
        (bytes.len() - rest.len(), begins)
    }
}

/// Bytes after the header; `None` if the length does not even count itself.
pub(crate) fn body_length(header: &[u8; HEADER]) -> Option<usize> {
    let [_, length @ ..] = *header;
    usize::try_from(i32::from_be_bytes(length)).ok()?.checked_sub(4)
}

impl<S> Shared<S> {
    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + Send + Unpin + 'static> Tap<S> {
    /// A tap on a stream whose first byte is the first of a message.
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Shared(Mutex::new(State {
            stream,
            frames: Frames::default(),
            mode: Mode::Library,
            held: Vec::new(),
            passed: Vec::new(),
            failure: None,
            library: None,
            scan: None,
        }))))
    }

    /// The scan's end.
    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::<Shared<S>>::clone(&self.0)
    }
}

impl<S> State<S> {
    fn wake_library(&mut self) {
        if let Some(waker) = self.library.take() {
            waker.wake();
        }
    }

    fn wake_scan(&mut self) {
        if let Some(waker) = self.scan.take() {
            waker.wake();
        }
    }
}

impl<S: AsyncRead + Unpin> State<S> {
    fn poll_library(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.passed.is_empty() {
            let count = self.passed.len().min(buf.remaining());
            // Whatever comes after a COPY began is not held: the scan has seen it.
            let bytes = self.passed.get(..count).unwrap_or_default();
            self.frames.follow(bytes, false);
            buf.put_slice(bytes);
            self.passed.drain(..count);
            self.wake_scan();
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Err(error));
        }
        if self.mode == Mode::Scan {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        let (count, begins) = self.frames.follow(new, self.mode == Mode::Hold);
        if begins {
            self.mode = Mode::Scan;
            self.held.extend_from_slice(new.get(count..).unwrap_or_default());
            buf.set_filled(before + count);
        }
        Poll::Ready(Ok(()))
    }

    /// True with bytes, false at the end of the stream.
    fn poll_scan(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<bool> {
        if self.mode != Mode::Scan {
            return Poll::Ready(false);
        }
        if !self.held.is_empty() {
            let count = self.held.len().min(buf.remaining());
            buf.put_slice(self.held.get(..count).unwrap_or_default());
            self.held.drain(..count);
            return Poll::Ready(true);
        }
        if self.passed.len() > PASSED_BYTES_MAX {
            self.scan = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let ended = match read {
            Ok(()) => buf.filled().len() == before,
            Err(error) => {
                self.failure = Some(error);
                true
            }
        };
        if ended {
            self.mode = Mode::Library;
            self.wake_library();
        }
        Poll::Ready(!ended)
    }
}

impl<S: AsyncRead + Send + Unpin> Source for Shared<S> {
    fn backend(&self) -> Option<i32> {
        let state = self.state();
        state.frames.process.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
    }

    fn hold(&self) {
        self.state().mode = Mode::Hold;
    }

    fn poll_take(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<bool> {
        self.state().poll_scan(cx, buf)
    }

    fn pass(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.passed.extend_from_slice(bytes);
        state.wake_library();
    }

    fn release(&self, rest: &[u8]) {
        let mut state = self.state();
        state.passed.extend_from_slice(rest);
        state.mode = Mode::Library;
        state.wake_library();
    }
}

impl<S> fmt::Debug for Tap<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("mode", &self.0.state().mode).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        let polled = state.poll_library(cx, buf);
        if polled.is_pending() {
            // Also when the socket knows this waker: the scan may put its own there.
            state.library = Some(cx.waker().clone());
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.state().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.state().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.state().stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Tap<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.state().stream.channel_binding()
    }
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
