//! The first message of a connection, with a parameter more: the client library knows no replication mode.
//!
//! Source: PostgreSQL documentation, "Message Formats": the startup message is a length that counts itself, a version,
//! and names and values that end with a zero byte each; one more zero ends it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// A session that understands replication commands beside SQL. It needs the attribute REPLICATION and no line of its
/// own in `pg_hba.conf`.
const PARAMETER: &[u8] = b"replication\0database\0";
/// Longer startup messages are refused by the server: `MAX_STARTUP_PACKET_LENGTH` in `pqcomm.h`.
const STARTUP_BYTES_MAX: usize = 10_000;
const LENGTH_BYTES: usize = 4;

/// A stream whose first message is changed on the way.
#[derive(Debug)]
pub(crate) struct Opening<S> {
    stream: S,
    first: First,
}

#[derive(Debug)]
enum First {
    /// What the library has said of it so far.
    Gathered(Vec<u8>),
    /// What is still to be sent of it.
    Sending(Vec<u8>),
    /// It is sent, or goes as it is.
    Sent,
}

impl<S> Opening<S> {
    /// With `replication`, the parameter is put into the first message; else everything goes as it is.
    pub(crate) fn new(stream: S, replication: bool) -> Self {
        Self { stream, first: if replication { First::Gathered(Vec::new()) } else { First::Sent } }
    }
}

/// The message with the parameter, once it is whole.
fn extended(message: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let Some(length) = message.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > STARTUP_BYTES_MAX - PARAMETER.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the startup message is too long"));
    }
    if message.len() < length {
        return Ok(None);
    }
    let parts = message.get(LENGTH_BYTES..length.saturating_sub(1)).zip(message.get(length.saturating_sub(1)..));
    let (parameters, end) = parts.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no startup message"))?;
    let total = u32::try_from(length + PARAMETER.len()).unwrap_or_default();
    Ok(Some([&total.to_be_bytes(), parameters, PARAMETER, end].concat()))
}

impl<S: AsyncWrite + Unpin> Opening<S> {
    /// Sends what is left of the first message.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let First::Sending(bytes) = &mut self.first {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            bytes.drain(..sent);
            if bytes.is_empty() {
                self.first = First::Sent;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let First::Gathered(gathered) = &mut self.first {
            gathered.extend_from_slice(buf);
            if let Some(message) = extended(gathered)? {
                self.first = First::Sending(message);
            }
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Opening<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PLAIN: &[u8] = b"\0\0\0\x10\0\x03\0\0user\0u\0\0";
    const WITH: &[u8] = b"\0\0\0\x25\0\x03\0\0user\0u\0replication\0database\0\0";

    #[rstest]
    #[case::as_it_is(false, PLAIN, 16)]
    #[case::at_once(true, WITH, 16)]
    #[case::byte_by_byte(true, WITH, 1)]
    #[tokio::test]
    async fn the_first_message_and_only_that_is_changed(
        #[case] replication: bool,
        #[case] expected: &[u8],
        #[case] step: usize,
    ) {
        // Smaller than the message, so that it is sent in parts.
        let (ours, mut theirs) = tokio::io::duplex(7);
        let writer = tokio::spawn(async move {
            let mut stream = Opening::new(ours, replication);
            for part in PLAIN.chunks(step) {
                stream.write_all(part).await.unwrap();
            }
            stream.flush().await.unwrap();
            stream.write_all(b"Q and what follows").await.unwrap();
        });
        let mut seen = Vec::new();
        theirs.read_to_end(&mut seen).await.unwrap();
        writer.await.unwrap();
        assert_eq!(seen, [expected, b"Q and what follows"].concat());
    }

    #[test]
    fn a_message_without_an_end_is_refused() {
        assert!(extended(&[0xFF; 4]).is_err());
        assert!(extended(&[0, 0, 0, 0]).is_err());
    }
}
