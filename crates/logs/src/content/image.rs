//! The canonical image of a record: the bytes that are hashed, and nothing that the position of the record decides.
//!
//! Offset, leader epoch, batch, compression and producer are no part of it. The image delimits itself: every length
//! stands before its bytes, and what is absent differs from what is empty.

use super::{Id, Part, Timestamps};
use paritas_digest::{DigestKey, MessageHasher, Messages};

const WITH_TIME: &str = "paritas logs v1: record with its time";
const WITHOUT_TIME: &str = "paritas logs v1: record without its time";
const PARTS: &str = "paritas logs v1: part of a record";
const SEGMENTS: &str = "paritas logs v1: segment of records";

/// Bits of the first byte of an image.
const HAS_KEY: u8 = 1 << 0;
const HAS_VALUE: u8 = 1 << 1;
const HAS_HEADERS: u8 = 1 << 2;
const HAS_TIME: u8 = 1 << 3;

/// What a record holds, wherever it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content<'a> {
    /// Its time in milliseconds since 1970; `None` where it has none.
    pub time: Option<i64>,
    /// The key; `None` is not the same as an empty one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is not the same as an empty one.
    pub value: Option<&'a [u8]>,
    /// Headers in their order; names may repeat.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

impl Content<'_> {
    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> u64 {
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| bytes.len() as u64);
        let headers: u64 = self.headers.iter().map(|(name, value)| name.len() as u64 + len(*value)).sum();
        len(self.key) + len(self.value) + headers
    }

    /// Appends the image.
    pub fn write(&self, timestamps: Timestamps, image: &mut Vec<u8>) {
        let time = self.time.filter(|_| timestamps == Timestamps::Compare);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        image.push(
            flag(self.key.is_some(), HAS_KEY)
                | flag(self.value.is_some(), HAS_VALUE)
                | flag(!self.headers.is_empty(), HAS_HEADERS)
                | flag(time.is_some(), HAS_TIME),
        );
        if let Some(time) = time {
            image.extend_from_slice(&time.to_le_bytes());
        }
        // Lengths come first, so that key and value of usual records keep to as few blocks as possible.
        for bytes in [self.key, self.value].into_iter().flatten() {
            number(bytes.len() as u64, image);
        }
        if !self.headers.is_empty() {
            number(self.headers.len() as u64, image);
        }
        for bytes in [self.key, self.value].into_iter().flatten() {
            image.extend_from_slice(bytes);
        }
        for header in self.headers {
            write_header(header, image);
        }
    }

    /// Appends the image of one part alone. The time is no such part: it is kept as it is.
    fn write_part(&self, part: Part, image: &mut Vec<u8>) {
        match part {
            Part::Key => write_field(1, self.key, image),
            Part::Value => write_field(2, self.value, image),
            Part::Headers => {
                image.push(3);
                number(self.headers.len() as u64, image);
                for header in self.headers {
                    write_header(header, image);
                }
            }
            Part::Timestamp => image.push(4),
        }
    }
}

fn write_field(tag: u8, bytes: Option<&[u8]>, image: &mut Vec<u8>) {
    image.push(tag);
    match bytes {
        None => image.push(0),
        Some(bytes) => {
            image.push(1);
            number(bytes.len() as u64, image);
            image.extend_from_slice(bytes);
        }
    }
}

fn write_header((name, value): &(&str, Option<&[u8]>), image: &mut Vec<u8>) {
    number(name.len() as u64, image);
    image.extend_from_slice(name.as_bytes());
    // Zero for none, otherwise one more than the length.
    number(value.map_or(0, |bytes| bytes.len() as u64 + 1), image);
    image.extend_from_slice(value.unwrap_or_default());
}

/// Seven bits a byte, low ones first, the top bit set in all but the last.
fn number(mut number: u64, image: &mut Vec<u8>) {
    while number >= 0x80 {
        image.push(number as u8 | 0x80);
        number >>= 7;
    }
    image.push(number as u8);
}

/// Names records, their parts and segments of them.
#[derive(Debug, Clone)]
pub struct Namer {
    timestamps: Timestamps,
    records: MessageHasher,
    parts: MessageHasher,
    segments: MessageHasher,
}

/// Images that wait for their hashes.
#[derive(Debug, Clone, Default)]
pub struct Images {
    records: Messages,
    parts: Messages,
}

/// Hashes of images, in their order.
#[derive(Debug, Clone, Default)]
pub struct Names {
    records: Vec<[u8; 32]>,
    parts: Vec<[u8; 32]>,
}

/// Names of the parts of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// Of the key.
    pub key: Id,
    /// Of the value.
    pub value: Id,
    /// Of all headers.
    pub headers: Id,
}

/// Which parts of a record get names of their own.
const NAMED: [Part; 3] = [Part::Key, Part::Value, Part::Headers];

impl Namer {
    /// Names for the records of one log, by its name on the source: source, replica and stored chains must agree on it.
    pub fn new(key: &DigestKey, log: &str, timestamps: Timestamps) -> Self {
        let records = match timestamps {
            Timestamps::Compare => WITH_TIME,
            Timestamps::Ignore => WITHOUT_TIME,
        };
        let hasher = |context| MessageHasher::new(key, context, log);
        Self { timestamps, records: hasher(records), parts: hasher(PARTS), segments: hasher(SEGMENTS) }
    }

    /// Appends a record whose name is wanted.
    pub fn push(&self, content: &Content<'_>, images: &mut Images) {
        images.records.push_with(|image| content.write(self.timestamps, image));
    }

    /// Appends a record whose name is wanted, and those of its parts.
    pub fn push_parts(&self, content: &Content<'_>, images: &mut Images) {
        self.push(content, images);
        for part in NAMED {
            images.parts.push_with(|image| content.write_part(part, image));
        }
    }

    /// Appends a record whose name is wanted, and that of its key.
    pub fn push_keyed(&self, content: &Content<'_>, images: &mut Images) {
        self.push(content, images);
        images.parts.push_with(|image| content.write_part(Part::Key, image));
    }

    /// Names all records.
    pub fn name(&self, images: &Images, names: &mut Names) {
        self.records.hash(&images.records, &mut names.records);
        self.parts.hash(&images.parts, &mut names.parts);
    }

    /// Names records in their order.
    pub(crate) fn name_segment(&self, ids: &[u8]) -> Id {
        Id::of(&self.segments.hash_one(ids))
    }
}

impl Images {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all images.
    pub fn bytes(&self) -> usize {
        self.records.bytes() + self.parts.bytes()
    }

    /// Removes all records and keeps the buffers.
    pub fn clear(&mut self) {
        self.records.clear();
        self.parts.clear();
    }
}

impl Names {
    /// The name of the key of one record, where those were asked for of all.
    pub fn key(&self, record: usize) -> Option<Id> {
        self.parts.get(record).map(Id::of)
    }

    /// Names of the records.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        self.records.iter().map(Id::of)
    }

    /// Names of the parts of one record, where they were asked for of all.
    pub fn parts(&self, record: usize) -> Option<Parts> {
        let at = record.checked_mul(NAMED.len())?;
        match self.parts.get(at..at.checked_add(NAMED.len())?)? {
            [key, value, headers] => Some(Parts { key: Id::of(key), value: Id::of(value), headers: Id::of(headers) }),
            _ => None,
        }
    }
}
