//! As much of HTTP/1.1 as is needed to fill a server on this machine.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Error, Result};

/// Longest wait for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Longest answer read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An answer: its status, and everything after the head.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Sends one request to 127.0.0.1 over a connection of its own.
pub(crate) async fn request(method: &str, port: u16, path: &str, body: &[u8]) -> Result<Answer> {
    let name = format!("{method} http://127.0.0.1:{port}{path}");
    let failed = |answer: String| Error::Http { request: name.clone(), answer };
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let path = encoded(path);
        // HTTP/1.0: the answer ends with the connection and is never sent in chunks.
        let head =
            format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(ANSWER_LIMIT, exchange).await;
    let answer = answer.map_err(|_| failed(format!("no answer within {} s", ANSWER_LIMIT.as_secs())))?;
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    parse(&answer).ok_or_else(|| failed("not an HTTP answer".into()))
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { status, body: answer.get(end + 4..)?.to_vec() })
}

/// Percent-encodes everything that may not stand in a path.
fn encoded(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ok = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_encoded_by_bytes() {
        assert_eq!(encoded("/b/a=1/é ?.parquet"), "/b/a%3D1/%C3%A9%20%3F.parquet");
    }

    #[test]
    fn answers_are_split_into_status_and_body() {
        let answer = parse(b"HTTP/1.0 201 Created\r\nA: b\r\n\r\n{}\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (201, b"{}\r\n\r\n".as_slice()));
        assert!(parse(b"HTTP/1.0 201 Created\r\n").is_none());
    }
}
