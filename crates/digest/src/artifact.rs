//! The digest file: see `docs/digest-format.md`.

use crate::Sums;
use crate::capacity::{BUCKET_WORDS, BUCKETS};
use crate::digest::{Digest, FORMAT, Header};
use std::io::{self, Read, Write};

/// First bytes of every digest file.
const MAGIC: [u8; 8] = *b"PARITASD";
/// Largest header that is read, in bytes.
pub const HEADER_BYTES_MAX: u32 = 4 << 20;
/// Words read or written at a time; memory grows with what is really there.
const WORDS_AT_ONCE: usize = 8_192;

/// A digest file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The file does not begin like a digest.
    #[error("this is not a Paritas digest")]
    NotADigest,
    /// The file has another format version.
    #[error("the digest has format version {found}; this program reads version {expected}")]
    Version {
        /// Version of the file.
        found: u32,
        /// Version of this program.
        expected: u32,
    },
    /// The header claims to be larger than any header is.
    #[error("the digest's header claims {found} bytes, more than {limit}")]
    HeaderSize {
        /// Bytes claimed.
        found: u32,
        /// [`HEADER_BYTES_MAX`].
        limit: u32,
    },
    /// The header cannot be understood.
    #[error("the digest's header cannot be read: {0}")]
    Header(String),
    /// The file ends too early.
    #[error("the digest ends before its {section} is complete")]
    Truncated {
        /// Part that is cut.
        section: &'static str,
    },
    /// The checksum does not match.
    #[error("the digest is damaged: its checksum does not match its content")]
    Damaged,
    /// There is more in the file than a digest.
    #[error("there are bytes after the end of the digest")]
    Trailing,
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl ArtifactError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotADigest => "name a file written by paritas snapshot or --save-digest",
            Self::Version { .. } => "use the version of Paritas that wrote the file, or take the digest anew",
            Self::HeaderSize { .. } | Self::Header(_) | Self::Damaged | Self::Trailing => {
                "use another copy of the file; this one was changed after it was written"
            }
            Self::Truncated { .. } => "copy the file again; this copy is not complete",
            Self::Io(_) => "check that the file is there and that the disk is neither full nor failing",
        }
    }
}

impl Digest {
    /// Writes the digest. The same digest always gives the same bytes.
    ///
    /// # Errors
    /// [`ArtifactError::Io`], or [`ArtifactError::HeaderSize`] when there are too many columns.
    pub fn write_to(&self, writer: impl Write) -> Result<(), ArtifactError> {
        let header = serde_json::to_vec(&self.header).map_err(|error| ArtifactError::Header(error.to_string()))?;
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        if length > HEADER_BYTES_MAX {
            return Err(ArtifactError::HeaderSize { found: length, limit: HEADER_BYTES_MAX });
        }
        let mut writer = Hashing { inner: writer, hasher: blake3::Hasher::new() };
        writer.write_all(&MAGIC)?;
        writer.write_all(&FORMAT.to_le_bytes())?;
        writer.write_all(&length.to_le_bytes())?;
        writer.write_all(&header)?;
        for words in [&self.sums.buckets, &self.sums.main, &self.sums.mop] {
            for part in words.chunks(WORDS_AT_ONCE) {
                let bytes: Vec<u8> = part.iter().flat_map(|word| word.to_le_bytes()).collect();
                writer.write_all(&bytes)?;
            }
        }
        let root = writer.hasher.finalize();
        writer.inner.write_all(root.as_bytes())?;
        writer.inner.flush()?;
        Ok(())
    }

    /// Reads a digest and checks every byte of it.
    ///
    /// # Errors
    /// [`ArtifactError`], a different one for each way in which a file can be bad.
    pub fn read_from(reader: impl Read) -> Result<Self, ArtifactError> {
        let mut reader = Hashing { inner: reader, hasher: blake3::Hasher::new() };
        if reader.bytes::<8>("first bytes").map_err(|error| match error {
            ArtifactError::Truncated { .. } => ArtifactError::NotADigest,
            other => other,
        })? != MAGIC
        {
            return Err(ArtifactError::NotADigest);
        }
        let version = u32::from_le_bytes(reader.bytes("version")?);
        if version != FORMAT {
            return Err(ArtifactError::Version { found: version, expected: FORMAT });
        }
        let header = read_header(&mut reader)?;
        let cell = header.key_form.cell_words();
        let sums = Sums {
            form: header.key_form,
            capacity: header.sub,
            blind: header.blind,
            rows: header.rows,
            buckets: reader.words(BUCKETS * BUCKET_WORDS, "buckets")?,
            main: reader.words(header.sub.main_cells() * cell, "sketch")?,
            mop: reader.words(header.sub.mop_cells() * cell, "mop-up sketch")?,
        };
        let expected = *reader.hasher.finalize().as_bytes();
        if reader.bytes::<32>("checksum")? != expected {
            return Err(ArtifactError::Damaged);
        }
        if reader.inner.read(&mut [0])? != 0 {
            return Err(ArtifactError::Trailing);
        }
        Ok(Self { header, sums, spec: None })
    }

    /// The checksum over the whole digest: the last 32 bytes of its file.
    ///
    /// # Errors
    /// As [`Digest::write_to`].
    pub fn root(&self) -> Result<[u8; 32], ArtifactError> {
        let mut last = Last([0; 32]);
        self.write_to(&mut last)?;
        Ok(last.0)
    }
}

fn read_header<R: Read>(reader: &mut Hashing<R>) -> Result<Header, ArtifactError> {
    let length = u32::from_le_bytes(reader.bytes("header")?);
    if length > HEADER_BYTES_MAX {
        return Err(ArtifactError::HeaderSize { found: length, limit: HEADER_BYTES_MAX });
    }
    let mut json = Vec::new();
    (&mut reader.inner).take(u64::from(length)).read_to_end(&mut json)?;
    if json.len() != length as usize {
        return Err(ArtifactError::Truncated { section: "header" });
    }
    reader.hasher.update(&json);
    let header: Header = serde_json::from_slice(&json).map_err(|error| ArtifactError::Header(error.to_string()))?;
    let error = |what: &str| Err(ArtifactError::Header(what.to_owned()));
    if header.format != FORMAT {
        return error("it repeats the format version wrongly");
    }
    if header.buckets as usize != BUCKETS {
        return error("it has another number of buckets");
    }
    if header.key_form != header.canon.key_form() {
        return error("its key form does not follow from its canon");
    }
    Ok(header)
}

/// Hashes what passes through.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashing<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Hashing<R> {
    fn fill(&mut self, bytes: &mut [u8], section: &'static str) -> Result<(), ArtifactError> {
        self.inner.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ArtifactError::Truncated { section },
            _ => ArtifactError::Io(error),
        })?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn bytes<const N: usize>(&mut self, section: &'static str) -> Result<[u8; N], ArtifactError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, section)?;
        Ok(bytes)
    }

    fn words(&mut self, count: usize, section: &'static str) -> Result<Vec<u64>, ArtifactError> {
        let mut words = Vec::new();
        let mut buffer = vec![0; WORDS_AT_ONCE * 8];
        while words.len() < count {
            let bytes = WORDS_AT_ONCE.min(count - words.len()) * 8;
            let Some(part) = buffer.get_mut(..bytes) else { break };
            self.fill(part, section)?;
            words.extend(part.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)));
        }
        Ok(words)
    }
}

/// Keeps the last 32 bytes written, all of which come in one piece.
struct Last([u8; 32]);

impl Write for Last {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Ok(last) = <[u8; 32]>::try_from(bytes) {
            self.0 = last;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
