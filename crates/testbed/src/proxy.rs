//! A loopback TCP proxy that disturbs the connections through it, switched at run time.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::{Error, Result};

/// Read at a time; a delay is for each of them.
const CHUNK_BYTES: usize = 16 * 1024;

/// What happens to the connections. Bytes are those from the server to the client on one connection, counted from the
/// connection's start or the switch, whichever came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Everything passes.
    #[default]
    Pass,
    /// Every chunk waits this long, in both directions.
    Delay(Duration),
    /// The connection ends (as if the peer had closed it) after so many bytes; at once for 0.
    CutAfter(u64),
    /// One bit of the byte at this place is turned, and everything passes.
    CorruptAt(u64),
    /// Nothing passes and nothing is closed: a half-open connection, also for new ones.
    Hang,
    /// Every HTTP request is answered with this status by the proxy itself, and the connection ends: an overloaded or
    /// failing service.
    Answer(u16),
    /// Connections are ended and new ones are refused, as by a host whose server is down.
    Refuse,
}

/// A proxy in front of a port on 127.0.0.1; dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    behaviour: watch::Sender<Behaviour>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    from_server: AtomicU64,
    from_client: AtomicU64,
    connections: AtomicU64,
    answers: AtomicU64,
    round_trips: AtomicU64,
}

impl Proxy {
    /// Starts a proxy to this port of 127.0.0.1.
    ///
    /// # Errors
    /// [`Error::Io`] when no port can be bound.
    pub async fn start(target: u16) -> Result<Self> {
        let port = crate::ports::free_port()?;
        let listener = listen(port).await.map_err(Error::io("listen on a port of", "127.0.0.1"))?;
        let (behaviour, watched) = watch::channel(Behaviour::default());
        let counts = Arc::new(Counts::default());
        let task = tokio::spawn(accept(listener, port, target, watched, counts.clone()));
        Ok(Self { port, behaviour, counts, task })
    }

    /// The port to connect to instead of the server's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Switches the behaviour, for open connections as well.
    pub fn set(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    /// Bytes passed on from the server so far.
    #[must_use]
    pub fn bytes_from_server(&self) -> u64 {
        self.counts.from_server.load(Ordering::Relaxed)
    }

    /// Bytes passed on from the clients so far.
    #[must_use]
    pub fn bytes_from_client(&self) -> u64 {
        self.counts.from_client.load(Ordering::Relaxed)
    }

    /// Requests answered by the proxy itself so far.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.counts.answers.load(Ordering::Relaxed)
    }

    /// Times that a client of a connection spoke first, or after the server: what a distance would cost.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.counts.round_trips.load(Ordering::Relaxed)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections belong to this task and end with it.
        self.task.abort();
    }
}

async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

async fn accept(
    first: TcpListener,
    port: u16,
    target: u16,
    mut watched: watch::Receiver<Behaviour>,
    counts: Arc<Counts>,
) {
    let mut listener = Some(first);
    let mut open = JoinSet::new();
    loop {
        if *watched.borrow_and_update() == Behaviour::Refuse {
            // A closed port refuses; an accepted and closed connection would look like a crashing server.
            listener = None;
            open.abort_all();
            if watched.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(bound) = &listener else {
            match listen(port).await {
                Ok(bound) => listener = Some(bound),
                Err(error) => {
                    tracing::error!(port, %error, "the proxy cannot listen again");
                    return;
                }
            }
            continue;
        };
        tokio::select! {
            changed = watched.changed() => if changed.is_err() { return },
            Some(_ended) = open.join_next() => {}
            accepted = bound.accept() => if let Ok((client, _)) = accepted {
                counts.connections.fetch_add(1, Ordering::Relaxed);
                open.spawn(connection(client, target, watched.clone(), counts.clone()));
            },
        }
    }
}

async fn connection(client: TcpStream, target: u16, watched: watch::Receiver<Behaviour>, counts: Arc<Counts>) {
    let now = *watched.borrow();
    if let Behaviour::Answer(status) = now {
        return answer(client, status, &counts).await;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    // Small messages shall not wait for more.
    let (_client, _server) = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let turn = Arc::new(AtomicBool::new(true));
    let up = Pump {
        from: from_client,
        to: to_server,
        watched: watched.clone(),
        down: false,
        counts: counts.clone(),
        turn: turn.clone(),
    };
    let down = Pump { from: from_server, to: to_client, watched, down: true, counts, turn };
    // The first cut ends both directions; two ordinary ends are awaited.
    let _ended = tokio::try_join!(up.run(), down.run());
}

/// Reads the head of one request and answers it as S3 does.
async fn answer(mut client: TcpStream, status: u16, counts: &Counts) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < CHUNK_BYTES {
        match client.read_buf(&mut head).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
    }
    let code = if status == 503 { "SlowDown" } else { "InternalError" };
    let body = format!("<Error><Code>{code}</Code><Message>answered by the proxy</Message></Error>");
    let head = format!("HTTP/1.1 {status} {code}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    counts.answers.fetch_add(1, Ordering::Relaxed);
    // A client that has gone wants no answer.
    let _gone = client.write_all(format!("{head}{body}").as_bytes()).await;
    let _gone = client.shutdown().await;
}

/// One direction of a connection.
struct Pump {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    watched: watch::Receiver<Behaviour>,
    /// From the server to the client.
    down: bool,
    counts: Arc<Counts>,
    /// The client has not spoken since the server did.
    turn: Arc<AtomicBool>,
}

/// The connection is to end at once.
struct Cut;

impl Pump {
    async fn run(mut self) -> std::result::Result<(), Cut> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut passed = 0;
        let mut behaviour = *self.watched.borrow_and_update();
        loop {
            match behaviour {
                Behaviour::Refuse | Behaviour::CutAfter(0) | Behaviour::Answer(_) => return Err(Cut),
                Behaviour::Hang => {
                    self.watched.changed().await.map_err(|_| Cut)?;
                    (behaviour, passed) = (*self.watched.borrow_and_update(), 0);
                    continue;
                }
                _ => {}
            }
            let read = tokio::select! {
                biased;
                changed = self.watched.changed() => {
                    changed.map_err(|_| Cut)?;
                    (behaviour, passed) = (*self.watched.borrow_and_update(), 0);
                    continue;
                }
                read = self.from.read(&mut chunk) => read.map_err(|_| Cut)?,
            };
            if read == 0 {
                // Passed on as the end of this direction; the other one may still be in use.
                return self.to.shutdown().await.map_err(|_| Cut);
            }
            self.pass(behaviour, &mut passed, chunk.get_mut(..read).unwrap_or_default()).await?;
        }
    }

    async fn pass(&mut self, behaviour: Behaviour, passed: &mut u64, chunk: &mut [u8]) -> std::result::Result<(), Cut> {
        let before = *passed;
        // The place of a byte of the stream in this chunk, if it lies in or after it.
        let place = |at: u64| at.checked_sub(before).and_then(|p| usize::try_from(p).ok());
        let mut keep = chunk.len();
        match behaviour {
            Behaviour::Delay(time) => tokio::time::sleep(time).await,
            Behaviour::CutAfter(bytes) if self.down => keep = keep.min(place(bytes).unwrap_or(0)),
            Behaviour::CorruptAt(at) if self.down => {
                if let Some(byte) = place(at).and_then(|p| chunk.get_mut(p)) {
                    *byte ^= 1;
                }
            }
            _ => {}
        }
        if self.down {
            self.turn.store(true, Ordering::Relaxed);
        } else if self.turn.swap(false, Ordering::Relaxed) {
            self.counts.round_trips.fetch_add(1, Ordering::Relaxed);
        }
        let kept = chunk.get(..keep).unwrap_or_default();
        self.to.write_all(kept).await.map_err(|_| Cut)?;
        *passed += keep as u64;
        let count = if self.down { &self.counts.from_server } else { &self.counts.from_client };
        count.fetch_add(keep as u64, Ordering::Relaxed);
        let over = matches!(behaviour, Behaviour::CutAfter(bytes) if self.down && *passed >= bytes);
        if over { Err(Cut) } else { Ok(()) }
    }
}
