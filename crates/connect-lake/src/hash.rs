//! BLAKE3 of whole files, several files and several parts of a file at a time.
//!
//! Files are read with `pread` into small buffers that stay in the cache, not mapped: a mapped file
//! that shrinks or whose disk fails ends the process with a signal, and here both must become an
//! ordinary answer. It costs about an eighth more CPU on one large file: `docs/benchmarks/lake.md`.

use crate::pinned::Pinned;
use blake3::hazmat::{
    ChainingValue, HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use blake3::{Hash, Hasher};
use paritas_connect::{Context, Error, Result};
use std::cell::RefCell;

/// What one local read takes: small enough for the second-level cache, and a power of two of chunks,
/// so that every part is a whole subtree of the hash.
const PART_BYTES: u64 = 256 << 10;

/// What one request to an object store takes.
const RANGE_BYTES: u64 = 8 << 20;

/// Files up to this size are hashed by one thread; others by all threads that are free.
const ALONE_BYTES: u64 = 16 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The hash of a whole file. Called on a thread of the pool that may be used.
pub(crate) fn hash(cx: &Context, pinned: &Pinned) -> Result<Hash> {
    let size = pinned.file().size;
    let hash = if pinned.is_remote() {
        in_order(cx, pinned, size, RANGE_BYTES)?
    } else if size <= ALONE_BYTES {
        in_order(cx, pinned, size, PART_BYTES)?
    } else {
        let left = left_subtree_len(size);
        let (a, b) = rayon::join(|| subtree(cx, pinned, 0, left), || subtree(cx, pinned, left, size - left));
        merge_subtrees_root(&a?, &b?, Mode::Hash)
    };
    pinned.confirm()?;
    Ok(hash)
}

/// Hashes from the first byte to the last.
fn in_order(cx: &Context, pinned: &Pinned, size: u64, step: u64) -> Result<Hash> {
    let mut hasher = Hasher::new();
    let mut at = 0;
    while at < size {
        let length = step.min(size - at);
        with_part(cx, pinned, at, length, |part| {
            hasher.update(part);
        })?;
        at += length;
    }
    Ok(hasher.finalize())
}

/// The chaining value of a subtree that is not the whole file.
fn subtree(cx: &Context, pinned: &Pinned, start: u64, length: u64) -> Result<ChainingValue> {
    if length <= PART_BYTES {
        return with_part(cx, pinned, start, length, |part| {
            Hasher::new().set_input_offset(start).update(part).finalize_non_root()
        });
    }
    let left = left_subtree_len(length);
    let (a, b) = rayon::join(|| subtree(cx, pinned, start, left), || subtree(cx, pinned, start + left, length - left));
    Ok(merge_subtrees_non_root(&a?, &b?, Mode::Hash))
}

/// Hands one part of the file to `take`.
fn with_part<T>(cx: &Context, pinned: &Pinned, start: u64, length: u64, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
    cx.check()?;
    let taken = if pinned.is_remote() {
        take(&pinned.fetch(start..start + length)?)
    } else {
        BUFFER.with_borrow_mut(|buffer| {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if buffer.len() < length {
                buffer.resize(length, 0);
            }
            let part = buffer.get_mut(..length).unwrap_or_default();
            pinned.read_at(start, part)?;
            Ok::<T, Error>(take(part))
        })?
    };
    cx.count(0, length);
    cx.breathe_blocking()?;
    Ok(taken)
}
