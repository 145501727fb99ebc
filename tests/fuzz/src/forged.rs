//! Digest files with any content and a right checksum.

use paritas_digest::FORMAT;
use std::io::{self, Read};

/// First bytes of a digest file, see `docs/digest-format.md`.
const MAGIC: &[u8; 8] = b"PARITASD";
/// Length of the checksum at the end.
const CHECKSUM_BYTES: usize = 32;

/// The bytes of a digest file up to its sums: the frame around a header.
pub fn digest_bytes(header: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
    [MAGIC.as_slice(), &FORMAT.to_le_bytes(), &length.to_le_bytes(), header].concat()
}

/// Words that are zero except where an input says otherwise.
pub struct Words {
    /// Places, ascending, in words after the header.
    pub set: Vec<(u64, u64)>,
}

/// Reads a frame, then words, then the checksum of all of it when exactly so many bytes are asked for.
pub struct Forged<'a> {
    head: &'a [u8],
    words: Words,
    at: u64,
    hasher: blake3::Hasher,
    ended: bool,
}

impl<'a> Forged<'a> {
    /// A file that begins with these bytes.
    pub fn new(head: &'a [u8], words: Words) -> Self {
        Self { head, words, at: 0, hasher: blake3::Hasher::new(), ended: false }
    }
}

impl Read for Forged<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        if !self.head.is_empty() {
            let count = self.head.read(buffer)?;
            self.hasher.update(&buffer[..count]);
            return Ok(count);
        }
        if buffer.len() == CHECKSUM_BYTES {
            buffer.copy_from_slice(self.hasher.finalize().as_bytes());
            self.ended = true;
            return Ok(CHECKSUM_BYTES);
        }
        buffer.fill(0);
        let first = self.at;
        let words = (buffer.len() / 8) as u64;
        for (place, word) in &self.words.set {
            if let Some(offset) = place.checked_sub(first).filter(|offset| *offset < words) {
                let start = offset as usize * 8;
                buffer[start..start + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        self.at += words;
        self.hasher.update(buffer);
        Ok(buffer.len())
    }
}
