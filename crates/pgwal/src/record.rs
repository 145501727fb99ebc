//! Records: header, block references, main data. Source: `access/xlogrecord.h`, `DecodeXLogRecord` in `xlogreader.c`.

use paritas_model::Lsn;

use crate::crc::crc32c;
use crate::fields::Fields;
use crate::page::Version;

/// Bytes of a record header.
pub(crate) const HEADER: usize = 24;
/// Bytes of the header that are summed: all but the sum.
const SUMMED: usize = 20;
/// No record is longer: `XLogRecordMaxSize`, and below what 14 and 15 can allocate.
const LENGTH_MAX: u32 = 1 << 30;
/// The highest resource manager of the server itself; extensions have theirs from 128 on, since 15.
const MANAGER_MAX: u8 = 21;
const CUSTOM_MANAGER_MIN: u8 = 128;

/// No single reference is longer: a block with a compressed image.
const REFERENCE_BYTES_MAX: usize = 27;
const BLOCK_ID_MAX: u8 = 32;
const DATA_SHORT: u8 = 255;
const DATA_LONG: u8 = 254;
const ORIGIN: u8 = 253;
const TOPLEVEL_XID: u8 = 252;

const FORK: u8 = 0x0F;
const HAS_IMAGE: u8 = 0x10;
const HAS_DATA: u8 = 0x20;
const SAME_RELATION: u8 = 0x80;

const IMAGE_HAS_HOLE: u8 = 0x01;

/// Names of the resource managers as `pg_waldump` prints them. Source: `access/rmgrlist.h`.
const MANAGERS: [&str; 22] = [
    "XLOG",
    "Transaction",
    "Storage",
    "CLOG",
    "Database",
    "Tablespace",
    "MultiXact",
    "RelMap",
    "Standby",
    "Heap2",
    "Heap",
    "Btree",
    "Hash",
    "Gin",
    "Gist",
    "Sequence",
    "SPGist",
    "BRIN",
    "CommitTs",
    "ReplicationOrigin",
    "Generic",
    "LogicalMessage",
];

/// How a full-page image is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is, without its hole.
    None,
    /// `wal_compression = pglz`, or `on`.
    Pglz,
    /// `wal_compression = lz4`.
    Lz4,
    /// `wal_compression = zstd`.
    Zstd,
}

/// A relation's files: `RelFileLocator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Relation {
    /// OID of the tablespace.
    pub tablespace: u32,
    /// OID of the database, 0 for relations shared by all.
    pub database: u32,
    /// The number in the file's name.
    pub number: u32,
}

impl Relation {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { tablespace: fields.u32()?, database: fields.u32()?, number: fields.u32()? })
    }
}

/// A page of a relation that a record changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number inside the record.
    pub id: u8,
    /// The fork: 0 main, 1 free space, 2 visibility, 3 initial.
    pub fork: u8,
    /// The relation.
    pub relation: Relation,
    /// The number of the page.
    pub number: u32,
    /// Bytes stored for it, without an image.
    pub data_bytes: u16,
    /// Bytes of the stored image, and how it is stored.
    pub image: Option<(u16, Compression)>,
}

/// One whole record whose checksum fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub lsn: Lsn,
    /// Where it ends, aligned to eight: what the server calls the end of the record.
    pub end: Lsn,
    /// Where the record before it begins.
    pub prev: Lsn,
    /// The transaction it belongs to, 0 for none.
    pub xid: u32,
    /// Its length in bytes, without the page headers inside.
    pub bytes: u32,
    /// The resource manager's number.
    pub manager: u8,
    /// Flags, and the resource manager's kind of record.
    pub info: u8,
    /// The replication origin, when the change came from elsewhere.
    pub origin: Option<u16>,
    /// The transaction around the subtransaction `xid`, in the first record of such.
    pub toplevel_xid: Option<u32>,
    /// The pages it changes.
    pub blocks: Vec<Block>,
    /// The resource manager's own data.
    pub data: Vec<u8>,
}

impl Record {
    /// The resource manager's name; numbers of extensions as `pg_waldump` prints them.
    pub fn manager_name(&self) -> String {
        match MANAGERS.get(usize::from(self.manager)) {
            Some(name) => (*name).to_owned(),
            None => format!("custom{:03}", self.manager),
        }
    }
}

/// The fixed part of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub length: u32,
    pub xid: u32,
    pub prev: u64,
    pub info: u8,
    pub manager: u8,
    pub sum: u32,
}

impl Header {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes.get(..HEADER)?);
        let (length, xid, prev) = (fields.u32()?, fields.u32()?, fields.u64()?);
        let (info, manager, _padding) = (fields.u8()?, fields.u8()?, fields.u16()?);
        Some(Self { length, xid, prev, info, manager, sum: fields.u32()? })
    }

    /// Whether a record with this header can stand at `at`, the last record before it having begun at `before`.
    /// Source: `ValidXLogRecordHeader`.
    pub(crate) fn check(&self, at: u64, before: Option<u64>, version: Version) -> Result<(), &'static str> {
        length_is_possible(self.length)?;
        let custom = self.manager >= CUSTOM_MANAGER_MIN && version >= Version::V15;
        if self.manager > MANAGER_MAX && !custom {
            return Err("there is no such resource manager");
        }
        let linked = match before {
            Some(before) => self.prev == before,
            None => self.prev < at,
        };
        if linked { Ok(()) } else { Err("it does not follow the record before it") }
    }

    /// Whether the sum in the header is that of the record: of its body, then of its header.
    pub(crate) fn sum_fits(&self, record: &[u8]) -> bool {
        match (record.get(HEADER..), record.get(..SUMMED)) {
            (Some(body), Some(head)) => crc32c(&[body, head]) == self.sum,
            _ => false,
        }
    }
}

pub(crate) fn length_is_possible(length: u32) -> Result<(), &'static str> {
    let possible = length >= HEADER as u32 && length <= LENGTH_MAX;
    if possible { Ok(()) } else { Err("its length is impossible") }
}

/// What lies behind the header.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub origin: Option<u16>,
    pub toplevel_xid: Option<u32>,
    pub blocks: Vec<Block>,
    pub data: Vec<u8>,
}

/// Whether a record's length is what its parts add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    Same,
    Another,
    /// Too little of it was read.
    Unsure,
}

impl Body {
    /// Reads the references, then skips images and block data by their lengths. `None` when lengths do not add up.
    pub(crate) fn parse(body: &[u8], version: Version) -> Option<Self> {
        let mut fields = Fields::new(body);
        let References { mut parsed, payload, main } = References::parse(&mut fields, 0, version)?;
        if fields.left() != payload {
            return None;
        }
        fields.take(payload.checked_sub(main)?)?;
        parsed.data = fields.take(main)?.to_vec();
        Some(parsed)
    }

    /// Compares what the references announce with the length of the body, of which the last bytes are missing.
    pub(crate) fn announced(body: &[u8], missing: usize, version: Version) -> Announced {
        let mut fields = Fields::new(body);
        match References::parse(&mut fields, missing, version) {
            Some(references) if references.payload == fields.left().saturating_add(missing) => Announced::Same,
            Some(_) => Announced::Another,
            None if fields.left() < REFERENCE_BYTES_MAX => Announced::Unsure,
            None => Announced::Another,
        }
    }
}

struct References {
    parsed: Body,
    /// Bytes that follow the references.
    payload: usize,
    /// How many of them are the main data.
    main: usize,
}

impl References {
    /// Reads the references of a body whose last bytes are missing.
    fn parse(fields: &mut Fields<'_>, missing: usize, version: Version) -> Option<Self> {
        let mut parsed = Body::default();
        let (mut payload, mut main) = (0_usize, 0_usize);
        // Every turn reads at least one byte. References end where what is left is what they announced.
        while fields.left().saturating_add(missing) > payload {
            match fields.u8()? {
                DATA_SHORT => main = usize::from(fields.u8()?),
                DATA_LONG => main = usize::try_from(fields.u32()?).ok()?,
                ORIGIN => {
                    parsed.origin = Some(fields.u16()?);
                    continue;
                }
                TOPLEVEL_XID => {
                    parsed.toplevel_xid = Some(fields.u32()?);
                    continue;
                }
                id if id <= BLOCK_ID_MAX => {
                    let last = parsed.blocks.last();
                    if last.is_some_and(|last| last.id >= id) {
                        return None;
                    }
                    let block = block(fields, id, last.map(|last| last.relation), version)?;
                    let image = block.image.map_or(0, |(bytes, _)| usize::from(bytes));
                    payload = payload.checked_add(usize::from(block.data_bytes))?.checked_add(image)?;
                    parsed.blocks.push(block);
                    continue;
                }
                _ => return None,
            }
            // The main data comes last, in references as in payload.
            payload = payload.checked_add(main)?;
            break;
        }
        Some(Self { parsed, payload, main })
    }
}

fn block(fields: &mut Fields<'_>, id: u8, last: Option<Relation>, version: Version) -> Option<Block> {
    let flags = fields.u8()?;
    let data_bytes = fields.u16()?;
    if (flags & HAS_DATA != 0) != (data_bytes > 0) {
        return None;
    }
    let image = if flags & HAS_IMAGE != 0 { Some(image(fields, version)?) } else { None };
    let relation = if flags & SAME_RELATION != 0 { last? } else { Relation::read(fields)? };
    Some(Block { id, fork: flags & FORK, relation, number: fields.u32()?, data_bytes, image })
}

fn image(fields: &mut Fields<'_>, version: Version) -> Option<(u16, Compression)> {
    let (bytes, _hole_offset, info) = (fields.u16()?, fields.u16()?, fields.u8()?);
    // 15 gave the bit for "compressed" to "apply" and new bits to the methods.
    let compression = match (version, info & 0x1E) {
        (Version::V14, bits) if bits & 0x02 != 0 => Compression::Pglz,
        (Version::V14, _) => Compression::None,
        (_, bits) if bits & 0x04 != 0 => Compression::Pglz,
        (_, bits) if bits & 0x08 != 0 => Compression::Lz4,
        (_, bits) if bits & 0x10 != 0 => Compression::Zstd,
        _ => Compression::None,
    };
    if compression != Compression::None && info & IMAGE_HAS_HOLE != 0 {
        let _hole_bytes = fields.u16()?;
    }
    Some((bytes, compression))
}
