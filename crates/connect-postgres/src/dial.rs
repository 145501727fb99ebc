//! Opens connections with a tap on them, encrypted or not.
//!
//! The client library lets its caller put a stream of its own only where TLS would be. So a plain
//! stream is given as the "TLS" of a connection that begins without asking the server for any
//! (`sslnegotiation=direct`): from the first byte on, nothing but the plain protocol is spoken.

use crate::conninfo::Host;
use crate::opening::Opening;
use crate::tap::{Source, Tap};
use futures_util::future::BoxFuture;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection that works by itself, and its tap.
pub(crate) struct Line {
    pub(crate) client: Client,
    pub(crate) connection: JoinHandle<()>,
    pub(crate) source: Arc<dyn Source>,
}

/// Why there is no line.
pub(crate) enum Failed {
    Library(tokio_postgres::Error),
    /// The socket in the file system could not be opened.
    Socket(io::Error),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Library(error)
    }
}

/// Connects with TLS, or not at all.
pub(crate) async fn encrypted(
    config: &mut Config,
    tls: rustls::ClientConfig,
    replication: bool,
) -> Result<Line, Failed> {
    let tapped = Tapped::new(MakeRustlsConnect::new(tls), replication);
    let (client, connection) = config.ssl_mode(SslMode::Require).connect(tapped.clone()).await?;
    tapped.line(client, connection)
}

/// Connects without TLS.
pub(crate) async fn plain(config: &mut Config, host: &Host, replication: bool) -> Result<Line, Failed> {
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let tapped = Tapped::new(Plain, replication);
    #[cfg(unix)]
    if host.is_socket() {
        let path = std::path::Path::new(&host.host).join(format!(".s.PGSQL.{}", host.port));
        let opened = tokio::net::UnixStream::connect(path);
        let stream = match config.get_connect_timeout() {
            Some(limit) => tokio::time::timeout(*limit, opened).await.unwrap_or_else(|late| Err(late.into())),
            None => opened.await,
        };
        let stream = stream.map_err(Failed::Socket)?;
        let (client, connection) = config.connect_raw(stream, tapped.connector(Plain)).await?;
        return tapped.line(client, connection);
    }
    let (client, connection) = config.connect(tapped.clone()).await?;
    tapped.line(client, connection)
}

fn drive<S, T>(connection: Connection<S, T>) -> JoinHandle<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        // The next call on the client reports the same failure with its context.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    })
}

type Slot = Arc<Mutex<Option<Arc<dyn Source>>>>;

/// Puts a tap on whatever streams another connector makes.
#[derive(Clone)]
struct Tapped<M> {
    inner: M,
    replication: bool,
    /// The tap on the newest stream: a name can stand for several addresses.
    slot: Slot,
}

impl<M> Tapped<M> {
    fn new(inner: M, replication: bool) -> Self {
        Self { inner, replication, slot: Slot::default() }
    }

    fn connector<C>(&self, inner: C) -> TappedConnect<C> {
        TappedConnect { inner, replication: self.replication, slot: Arc::clone(&self.slot) }
    }

    fn line<S, T>(self, client: Client, connection: Connection<S, T>) -> Result<Line, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let source = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let source = source.ok_or_else(|| Failed::Socket(io::Error::other("connected past the tap")))?;
        Ok(Line { client, connection: drive(connection), source })
    }
}

impl<M> MakeTlsConnect<Socket> for Tapped<M>
where
    M: MakeTlsConnect<Socket>,
    M::Stream: Send + 'static,
    M::TlsConnect: Send + 'static,
    <M::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    type Stream = Tap<Opening<M::Stream>>;
    type TlsConnect = TappedConnect<M::TlsConnect>;
    type Error = M::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        let inner = self.inner.make_tls_connect(domain)?;
        Ok(self.connector(inner))
    }
}

struct TappedConnect<C> {
    inner: C,
    replication: bool,
    slot: Slot,
}

impl<S, C> TlsConnect<S> for TappedConnect<C>
where
    S: Send + 'static,
    C: TlsConnect<S> + Send + 'static,
    C::Stream: Send + 'static,
    C::Future: Send,
{
    type Stream = Tap<Opening<C::Stream>>;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<Self::Stream, Self::Error>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let tap = Tap::new(Opening::new(self.inner.connect(stream).await?, self.replication));
            *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(tap.source());
            Ok(tap)
        })
    }
}

/// No encryption in the place of TLS.
#[derive(Debug, Clone, Copy)]
struct Plain;

impl MakeTlsConnect<Socket> for Plain {
    type Stream = PlainStream<Socket>;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _: &str) -> io::Result<Self> {
        Ok(Self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Plain {
    type Stream = PlainStream<S>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<PlainStream<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(PlainStream(stream)))
    }
}

struct PlainStream<S>(S);

impl<S> TlsStream for PlainStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PlainStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PlainStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
