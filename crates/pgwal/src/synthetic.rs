//! Logs written by the tests: small, exact, and spoilt at will.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::crc::crc32c;
use crate::segment::{Segment, SegmentSize};

pub(crate) const SEGMENT: u64 = 1 << 20;
pub(crate) const PAGE: u64 = 8192;
const MAGIC: u16 = 0xD116;

/// A record that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub lsn: u64,
    pub end: u64,
    pub xid: u32,
    pub commit: bool,
}

/// What follows the last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    Zeros,
    Recycled,
}

/// A log that begins with a segment.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub base: u64,
    pub bytes: Vec<u8>,
    pub records: Vec<Written>,
    prev: u64,
}

impl Log {
    pub(crate) fn new(base: u64) -> Self {
        assert_eq!(base % SEGMENT, 0);
        Self { base, bytes: Vec::new(), records: Vec::new(), prev: base - 8 }
    }

    pub(crate) fn position(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    fn header(&mut self, flags: u16, remaining: u32) {
        let address = self.position();
        self.bytes.extend(header(address, address, flags, remaining));
    }

    /// Adds a record, cut by page headers where it must be.
    pub(crate) fn push(&mut self, manager: u8, info: u8, xid: u32, main: &[u8]) -> Written {
        if self.position().is_multiple_of(PAGE) {
            self.header(0, 0);
        }
        let lsn = self.position();
        let record = record(self.prev, manager, info, xid, main);
        self.prev = lsn;
        self.write(&record, record.len());
        let commit = manager == 1 && info == 0;
        let written = Written { lsn, end: self.position(), xid, commit };
        self.records.push(written);
        written
    }

    /// The first bytes of a record, and what page headers they need.
    fn write(&mut self, record: &[u8], until: usize) {
        let mut done = 0;
        while done < until {
            if self.position().is_multiple_of(PAGE) {
                self.header(1, u32::try_from(record.len() - done).unwrap());
            }
            let room = usize::try_from(PAGE - self.position() % PAGE).unwrap();
            let taken = room.min(until - done);
            self.bytes.extend(&record[done..done + taken]);
            done += taken;
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    pub(crate) fn commit(&mut self, xid: u32) -> Written {
        self.push(1, 0, xid, &i64::from(xid).to_le_bytes())
    }

    /// A record of the heap with this much data.
    pub(crate) fn filler(&mut self, xid: u32, bytes: usize) -> Written {
        let data: Vec<u8> = (0..bytes).map(|i| (i * 31 + xid as usize) as u8 | 1).collect();
        self.push(10, 0, xid, &data)
    }

    /// `pg_switch_wal`: the rest of the segment is empty.
    pub(crate) fn switch(&mut self) {
        self.push(0, 0x40, 0, &[]);
        self.bytes.resize(self.bytes.len().next_multiple_of(SEGMENT as usize), 0);
    }

    /// A record whose second page was never written, and what recovery writes there instead.
    pub(crate) fn broken_then_overwritten(&mut self, says: impl Fn(u64) -> u64) {
        let page_end = self.position().next_multiple_of(PAGE);
        let room = usize::try_from(page_end - self.position()).unwrap();
        assert!(room > 24);
        let lsn = self.position();
        let broken = record(self.prev, 10, 0, 9, &vec![7; room]);
        self.write(&broken, room);
        self.header(8, 0);
        let main: Vec<u8> = [says(lsn).to_le_bytes(), 0_u64.to_le_bytes()].concat();
        self.push(0, 0xD0, 0, &main);
    }

    pub(crate) fn commits(&self) -> Vec<u32> {
        self.records.iter().filter(|record| record.commit).map(|record| record.xid).collect()
    }

    /// The bytes of whole segments.
    pub(crate) fn image(&self, tail: Tail) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
        while !bytes.len().is_multiple_of(SEGMENT as usize) {
            let address = self.base + bytes.len() as u64;
            let mut page = vec![0; PAGE as usize];
            if tail == Tail::Recycled {
                page.fill(0x5A);
                let head = header(address, address - 64 * SEGMENT, 0, 0);
                page[..head.len()].copy_from_slice(&head);
            }
            bytes.extend(page);
        }
        bytes
    }

    /// Writes the segment files of timeline 1.
    pub(crate) fn save(&self, folder: &Path, tail: Tail) {
        self.write_files(folder, &self.image(tail));
    }

    pub(crate) fn write_files(&self, folder: &Path, image: &[u8]) {
        for (index, segment) in image.chunks(SEGMENT as usize).enumerate() {
            fs::write(self.file(folder, index as u64), segment).unwrap();
        }
    }

    fn file(&self, folder: &Path, index: u64) -> std::path::PathBuf {
        let number = self.base / SEGMENT + index;
        folder.join(Segment { timeline: 1, number }.name(SegmentSize::new(SEGMENT as u32).unwrap()))
    }
}

fn header(place: u64, address: u64, flags: u16, remaining: u32) -> Vec<u8> {
    let long = place.is_multiple_of(SEGMENT);
    let flags = if long { flags | 2 } else { flags };
    let mut bytes = [MAGIC.to_le_bytes(), flags.to_le_bytes()].concat();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(address.to_le_bytes());
    bytes.extend(remaining.to_le_bytes());
    bytes.extend([0; 4]);
    if long {
        bytes.extend(0x1234_5678_9ABC_DEF0_u64.to_le_bytes());
        bytes.extend((SEGMENT as u32).to_le_bytes());
        bytes.extend((PAGE as u32).to_le_bytes());
    }
    bytes
}

fn record(prev: u64, manager: u8, info: u8, xid: u32, main: &[u8]) -> Vec<u8> {
    let mut body = match u8::try_from(main.len()) {
        Ok(0) => Vec::new(),
        Ok(short) => vec![255, short],
        Err(_) => [&[254], &u32::try_from(main.len()).unwrap().to_le_bytes()[..]].concat(),
    };
    body.extend(main);
    let mut bytes = u32::try_from(24 + body.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(xid.to_le_bytes());
    bytes.extend(prev.to_le_bytes());
    bytes.extend([info, manager, 0, 0]);
    let sum = crc32c(&[&body, &bytes]);
    bytes.extend(sum.to_le_bytes());
    bytes.extend(body);
    bytes
}
