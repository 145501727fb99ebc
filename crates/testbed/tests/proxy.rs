//! The proxy disturbs as told, on open and on new connections.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::ErrorKind;
use std::time::Duration;

use paritas_testbed::proxy::{Behaviour, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Long enough for anything on this machine that does happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing is watched to happen.
const SILENCE: Duration = Duration::from_millis(200);

/// Sends back what it gets.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ended = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

async fn proxied() -> (Proxy, TcpStream) {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    (proxy, stream)
}

/// Sends, and reads until as much came back, the connection ended, or nothing comes any more.
async fn exchange(stream: &mut TcpStream, sent: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(sent).await.ok()?;
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let mut chunk = [0; 1024];
        match timeout(SILENCE, stream.read(&mut chunk)).await {
            Ok(Ok(0) | Err(_)) => return Some(got),
            Ok(Ok(n)) => got.extend(&chunk[..n]),
            Err(_) => return None,
        }
    }
    Some(got)
}

#[tokio::test]
async fn it_passes_counts_and_ends_with_the_client() {
    let (proxy, mut stream) = proxied().await;
    assert_eq!(exchange(&mut stream, b"hello").await.unwrap(), b"hello");
    assert_eq!((proxy.bytes_from_client(), proxy.bytes_from_server(), proxy.connections()), (5, 5, 1));
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn it_cuts_after_so_many_bytes_since_the_switch() {
    let (proxy, mut stream) = proxied().await;
    assert_eq!(exchange(&mut stream, b"hello").await.unwrap(), b"hello");
    proxy.set(Behaviour::CutAfter(3));
    assert_eq!(exchange(&mut stream, b"hello").await.unwrap(), b"hel");
    proxy.set(Behaviour::CutAfter(0));
    let mut other = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    assert_eq!(timeout(PATIENCE, other.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
}

#[tokio::test]
async fn it_corrupts_one_byte() {
    let (proxy, mut stream) = proxied().await;
    proxy.set(Behaviour::CorruptAt(4));
    assert_eq!(exchange(&mut stream, b"abc").await.unwrap(), b"abc");
    assert_eq!(exchange(&mut stream, b"abc").await.unwrap(), b"acc");
    assert_eq!(exchange(&mut stream, b"abc").await.unwrap(), b"abc");
}

#[tokio::test]
async fn it_hangs_without_closing_and_goes_on() {
    let (proxy, mut stream) = proxied().await;
    proxy.set(Behaviour::Hang);
    assert_eq!(exchange(&mut stream, b"hello").await, None);
    let mut other = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    assert_eq!(exchange(&mut other, b"x").await, None);
    proxy.set(Behaviour::Pass);
    let mut late = [0; 5];
    timeout(PATIENCE, stream.read_exact(&mut late)).await.unwrap().unwrap();
    assert_eq!(&late, b"hello");
}

#[tokio::test]
async fn it_refuses_like_a_closed_port_and_comes_back() {
    let (proxy, mut stream) = proxied().await;
    proxy.set(Behaviour::Refuse);
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.set(Behaviour::Delay(Duration::from_millis(20)));
    let again = async {
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", proxy.port())).await {
                return stream;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut stream = timeout(PATIENCE, again).await.unwrap();
    assert_eq!(exchange(&mut stream, b"back").await.unwrap(), b"back");
}

#[tokio::test]
async fn dropping_it_ends_the_connections() {
    let (proxy, mut stream) = proxied().await;
    assert_eq!(exchange(&mut stream, b"a").await.unwrap(), b"a");
    drop(proxy);
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
}

#[tokio::test]
async fn it_answers_in_place_of_the_server_and_lets_through_again() {
    let (proxy, mut open) = proxied().await;
    proxy.set(Behaviour::Answer(503));
    assert_eq!(exchange(&mut open, b"x").await.unwrap_or_default(), b"", "an open connection ends");
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 SlowDown\r\n") && answer.contains("<Code>SlowDown</Code>"), "{answer}");
    assert_eq!((proxy.answers(), proxy.bytes_from_server()), (1, 0));
    proxy.set(Behaviour::Pass);
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    assert_eq!(exchange(&mut stream, b"hello").await.unwrap(), b"hello");
}
