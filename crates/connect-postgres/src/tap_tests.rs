//! What reaches the library and what reaches the scan, whatever the cuts.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::divert::Diversion;
use proptest::prelude::*;
use rstest::rstest;
use std::collections::VecDeque;
use tokio::io::AsyncReadExt as _;

/// A stream of given pieces: each is what one read brings; then its end, or an error.
struct Pieces {
    left: VecDeque<Vec<u8>>,
    fails: bool,
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.left.pop_front() else {
            let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
            return Poll::Ready(if self.fails { Err(broken()) } else { Ok(()) });
        };
        if piece.is_empty() {
            // Nothing yet; come again.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let rest = piece.split_off(piece.len().min(buf.remaining()));
        buf.put_slice(&piece);
        if !rest.is_empty() {
            self.left.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// What the server says up to the beginning of a COPY.
const BEFORE: &[u8] = b"2\0\0\0\x04N\0\0\0\x09HHHHHH\0\0\0\x07\x01\0\0";

/// The bytes cut at these lengths, in turn; a zero is a moment without any.
fn pieces(bytes: &[u8], cuts: &[usize], fails: bool) -> Pieces {
    let mut left = VecDeque::new();
    let bytes = [BEFORE, bytes].concat();
    let mut rest = &*bytes;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        left.push_back(piece.to_vec());
        rest = after;
    }
    Pieces { left, fails }
}

/// What library and scan see of a stream: the library reads on its own until the COPY begins.
async fn seen(stream: Pieces, buffer: usize) -> (Vec<u8>, Vec<u8>, io::Result<()>) {
    let mut tap = Tap::new(stream);
    let source = tap.source();
    let mut diversion = Diversion::with_buffer(&*source, buffer);
    let (began, begins) = tokio::sync::oneshot::channel();
    let library = tokio::spawn(async move {
        // The library says that the COPY begins as soon as it has read so.
        let mut all = vec![0; BEFORE.len()];
        tap.read_exact(&mut all).await.unwrap();
        began.send(()).unwrap();
        let ended = tap.read_to_end(&mut all).await;
        (all.split_off(BEFORE.len()), ended.map(|_| ()))
    });
    begins.await.unwrap();
    let mut data = Vec::new();
    let mut take = |part: &[u8]| {
        data.extend_from_slice(part);
        Ok(())
    };
    while diversion.next(&mut take).await.unwrap() {}
    let (all, ended) = library.await.unwrap();
    (all, data, ended)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn messages() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let body = prop::collection::vec(any::<u8>(), 0..60);
    prop::collection::vec((prop::sample::select(&b"dddddNSA"[..]), body), 0..12)
}

proptest! {
    #[test]
    fn data_go_to_the_scan_and_all_else_to_the_library_however_the_stream_is_cut(
        sent in messages(),
        end in prop::sample::select(vec![&b"cCZ"[..], b"EZ", b""]),
        cuts in prop::collection::vec(0_usize..40, 1..6).prop_filter("some bytes", |cuts| cuts.iter().any(|cut| *cut > 0)),
        buffer in 6_usize..100,
    ) {
        let (mut bytes, mut library, mut scan) = (Vec::new(), Vec::new(), Vec::new());
        for (tag, body) in &sent {
            bytes.extend(message(*tag, body));
            if *tag == COPY_DATA { scan.extend_from_slice(body) } else { library.extend(message(*tag, body)) }
        }
        for tag in end {
            bytes.extend(message(*tag, b"end"));
            library.extend(message(*tag, b"end"));
        }
        let (all, data, ended) = run(seen(pieces(&bytes, &cuts, false), buffer));
        prop_assert!(ended.is_ok());
        prop_assert_eq!(data, scan);
        prop_assert_eq!(all, library);
    }
}

#[rstest]
#[case::between_messages(30)]
#[case::in_a_header(33)]
#[case::in_the_data(37)]
fn a_broken_connection_is_the_librarys_to_report(#[case] length: usize) {
    let bytes = message(b'd', b"0123456789").repeat(4);
    let (all, _, ended) = run(seen(pieces(&bytes[..length], &[7], true), 64));
    assert_eq!((all.len(), ended.unwrap_err().kind()), (0, io::ErrorKind::ConnectionReset));
}

#[test]
fn a_row_longer_than_the_buffer_comes_in_parts() {
    let long: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    let bytes = [message(b'd', &long), message(b'c', b"")].concat();
    let (all, data, _) = run(seen(pieces(&bytes, &[1000, 3], false), 512));
    assert!(data == long);
    assert_eq!(all, message(b'c', b""));
}

#[tokio::test]
async fn notices_pile_up_only_so_far_while_the_library_sleeps() {
    let bytes = message(b'N', &[b'x'; 60_000]).repeat(40);
    let mut tap = Tap::new(pieces(&bytes, &[60_000], false));
    let source = tap.source();
    let mut diversion = Diversion::with_buffer(&*source, 64 << 10);
    tap.read_exact(&mut vec![0; BEFORE.len()]).await.unwrap();
    let mut take = |_: &[u8]| Ok(());
    let forever = async { while diversion.next(&mut take).await.unwrap() {} };
    assert!(futures_util::poll!(std::pin::pin!(forever)).is_pending());
    assert!(tap.0.state().passed.len() <= PASSED_BYTES_MAX + (64 << 10));
}

#[tokio::test]
async fn a_connection_copies_again_after_a_copy_and_after_one_that_never_began() {
    let copy = |data: &[u8]| [message(b'd', data), message(b'c', b""), message(b'Z', b"T")].concat();
    let refused = [message(b'E', b"no"), message(b'Z', b"T")].concat();
    let bytes = [copy(b"one"), refused.clone(), BEFORE.to_vec(), copy(b"two")].concat();
    let mut tap = Tap::new(pieces(&bytes, &[11], false));
    let source = tap.source();
    let (mut data, mut library) = (Vec::new(), Vec::new());
    let mut take = |part: &[u8]| {
        data.extend_from_slice(part);
        Ok(())
    };
    let end = [message(b'c', b""), message(b'Z', b"T")].concat();
    for before in [BEFORE.len(), end.len() + refused.len(), BEFORE.len()] {
        let mut diversion = Diversion::with_buffer(&*source, 64);
        let mut seen = vec![0; before];
        tap.read_exact(&mut seen).await.unwrap();
        library.extend(seen);
        while diversion.next(&mut take).await.unwrap() {}
    }
    tap.read_to_end(&mut library).await.unwrap();
    assert_eq!(data, b"onetwo");
    assert!(library == [BEFORE, &end, &refused, BEFORE, &end].concat());
}
