//! The index of what is kept of a dataset's rows.
//!
//! ```text
//! PARITASR, version (u32)      little-endian, as all numbers
//! length of the head (u32)     JSON: facts, relations with their numbers of ranges, names of files
//! length of the digest (u64)   a whole digest file
//! ranges                       56 bytes each, relation by relation
//! BLAKE3 of everything before  32 bytes
//! ```

use super::{KeptPart, KeptRange, KeptRanges, RangePlace, files_of};
use crate::files::{WriteFailure, damaged, read_whole, write_whole};
use crate::{Result, StateError};
use paritas_digest::Digest;
use serde::{Deserialize, Serialize};
use std::path::Path;
use ulid::Ulid;

const MAGIC: [u8; 8] = *b"PARITASR";
const VERSION: u32 = 1;
/// No index is larger.
const BYTES_MAX: u64 = 1 << 31;
/// Bytes of a range.
const RANGE_BYTES: usize = 56;
const CHECKSUM_BYTES: usize = 32;
/// In the place of a file's number where there are no rows.
const NO_FILE: u32 = u32::MAX;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    facts: serde_json::Value,
    parts: Vec<PartHead>,
    files: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartHead {
    sql: String,
    storage: String,
    ranges: usize,
}

/// Writes an index whole. Returns its size.
pub(super) fn write(path: &Path, kept: &KeptRanges) -> Result<u64> {
    let mut bytes = 0;
    write_whole(path, |out| -> std::result::Result<(), WriteFailure> {
        let encoded = encode(kept)?;
        bytes = encoded.len() as u64;
        out.write_all(&encoded).map_err(WriteFailure::Io)
    })?;
    Ok(bytes)
}

fn encode(kept: &KeptRanges) -> std::result::Result<Vec<u8>, WriteFailure> {
    let files: Vec<Ulid> = files_of(kept).into_iter().collect();
    let part =
        |part: &KeptPart| PartHead { sql: part.sql.clone(), storage: part.storage.clone(), ranges: part.ranges.len() };
    let head = Head {
        facts: kept.facts.clone(),
        parts: kept.parts.iter().map(part).collect(),
        files: files.iter().map(Ulid::to_string).collect(),
    };
    let head = serde_json::to_vec(&head).map_err(|error| WriteFailure::Content(error.into()))?;
    let head_bytes = u32::try_from(head.len()).map_err(|error| WriteFailure::Content(error.into()))?;
    let mut digest = Vec::new();
    kept.digest.write_to(&mut digest).map_err(|error| WriteFailure::Content(error.into()))?;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&head_bytes.to_le_bytes());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&(digest.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&digest);
    for range in kept.parts.iter().flat_map(|part| &part.ranges) {
        let file = range.place.and_then(|place| files.binary_search(&place.file).ok());
        let file = file.and_then(|file| u32::try_from(file).ok()).unwrap_or(NO_FILE);
        let place = range.place.unwrap_or(RangePlace { file: Ulid::nil(), offset: 0, bytes: 0, checksum: [0; 16] });
        let counts = [range.blocks, range.rows].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        for number in [counts[0], counts[1], file, place.bytes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&range.at.to_le_bytes());
        bytes.extend_from_slice(&range.read_at.to_le_bytes());
        bytes.extend_from_slice(&place.offset.to_le_bytes());
        bytes.extend_from_slice(&place.checksum);
    }
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    Ok(bytes)
}

/// Reads an index, and checks every byte of it.
pub(super) fn read(path: &Path) -> Result<KeptRanges> {
    let bytes = read_whole(path, BYTES_MAX)?;
    if let Some(version) = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk::<4>())
        && u32::from_le_bytes(*version) != VERSION
    {
        let message = format!("{} is of another version", path.display());
        return Err(StateError::new("state.version", message, path, "remove it: it is written anew"));
    }
    let content = bytes
        .split_last_chunk::<CHECKSUM_BYTES>()
        .filter(|(content, checksum)| blake3::hash(content).as_bytes() == *checksum)
        .map(|(content, _)| content);
    let content = content.ok_or_else(|| damaged(path, "Its checksum does not match its content."))?;
    decode(content).ok_or_else(|| damaged(path, "It is no index of ranges."))
}

fn decode(content: &[u8]) -> Option<KeptRanges> {
    let rest = content.strip_prefix(&MAGIC)?.get(4..)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (head, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let head: Head = serde_json::from_slice(head).ok()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (digest, ranges) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let digest = Digest::read_from(digest).ok()?;
    let files: Vec<Ulid> = head.files.iter().map(|file| Ulid::from_string(file).ok()).collect::<Option<_>>()?;
    let mut records = ranges.chunks_exact(RANGE_BYTES);
    let mut parts = Vec::with_capacity(head.parts.len());
    for part in head.parts {
        let ranges = records.by_ref().take(part.ranges).map(|record| range(record, &files));
        let ranges: Vec<KeptRange> = ranges.collect::<Option<_>>()?;
        if ranges.len() != part.ranges {
            return None;
        }
        parts.push(KeptPart { sql: part.sql, storage: part.storage, ranges });
    }
    let is_whole = records.next().is_none() && records.remainder().is_empty();
    is_whole.then_some(KeptRanges { facts: head.facts, digest, parts })
}

fn range(record: &[u8], files: &[Ulid]) -> Option<KeptRange> {
    let word = |at: usize| Some(u32::from_le_bytes(*record.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u64::from_le_bytes(*record.get(at..)?.first_chunk()?));
    let place = match word(8)? {
        NO_FILE => None,
        file => Some(RangePlace {
            file: *files.get(usize::try_from(file).ok()?)?,
            offset: long(32)?,
            bytes: word(12)?,
            checksum: *record.get(40..)?.first_chunk()?,
        }),
    };
    Some(KeptRange {
        blocks: u64::from(word(0)?),
        rows: u64::from(word(4)?),
        at: long(16)?,
        read_at: long(24)?.cast_signed(),
        place,
    })
}
