//! What a segment file holds, also where an archive command or `pg_receivewal` packed it.
//!
//! A packed segment is unpacked into memory, up to the size of a segment and not one byte further. One that is cut off
//! or damaged gives what can be unpacked before that: it is too short then, which is no end of a log.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::page::LONG_HEADER;
use crate::{Error, Result};

/// Endings of files that are segments all the same, packed or encrypted in a way that is not read.
const FOREIGN: [&str; 12] =
    [".bz2", ".xz", ".br", ".lzo", ".lzma", ".Z", ".gpg", ".pgp", ".asc", ".age", ".enc", ".aes"];
const PARTIAL: &str = ".partial";

/// How a file is packed; told by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
    Lz4,
}

impl Packing {
    /// The name without the ending, and what that says. `pg_receivewal` puts `.partial` behind it, others before it.
    pub(crate) fn of(name: &str) -> (String, Self) {
        let (stem, partial) = name.strip_suffix(PARTIAL).map_or((name, ""), |stem| (stem, PARTIAL));
        for (ending, packing) in [(".gz", Self::Gzip), (".zst", Self::Zstd), (".lz4", Self::Lz4)] {
            if let Some(stem) = stem.strip_suffix(ending) {
                return (format!("{stem}{partial}"), packing);
            }
        }
        (name.to_owned(), Self::Plain)
    }

    fn of_path(path: &Path) -> Self {
        Self::of(&path.file_name().unwrap_or_default().to_string_lossy()).1
    }
}

/// The name without an ending that cannot be read, and the ending.
pub(crate) fn foreign(name: &str) -> Option<(&str, &'static str)> {
    let name = name.strip_suffix(PARTIAL).unwrap_or(name);
    let (stem, ending) = FOREIGN.into_iter().find_map(|ending| Some((name.strip_suffix(ending)?, ending)))?;
    // Packed first, encrypted then.
    let stem = [".gz", ".zst", ".lz4"].into_iter().find_map(|inner| stem.strip_suffix(inner)).unwrap_or(stem);
    Some((stem, ending))
}

/// The content of a segment file.
#[derive(Debug)]
pub(crate) enum Content {
    File { file: File, bytes: u64 },
    Unpacked(Vec<u8>),
}

impl Content {
    /// Opens a segment file, and unpacks at most so many bytes of it.
    pub(crate) fn open(path: &Path, limit: u64) -> Result<Self> {
        let failed = |source| Error::Io { doing: "open the segment", path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        match Packing::of_path(path) {
            Packing::Plain => {
                let bytes = file.metadata().map_err(failed)?.len();
                Ok(Self::File { file, bytes })
            }
            packing => unpack(path, file, packing, limit).map(Self::Unpacked),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::File { bytes, .. } => *bytes,
            Self::Unpacked(content) => content.len() as u64,
        }
    }

    /// Fills the buffer from this offset on.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.read_exact_at(buffer, offset),
            Self::Unpacked(content) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| content.get(offset..));
                let part = rest.and_then(|rest| rest.get(..buffer.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(part);
                Ok(())
            }
        }
    }
}

/// The first bytes of a segment file; none when it is shorter.
pub(crate) fn head(path: &Path) -> Result<Vec<u8>> {
    let content = Content::open(path, LONG_HEADER as u64)?;
    let mut bytes = vec![0; LONG_HEADER];
    match content.read_at(&mut bytes, 0) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(source) => Err(Error::Io { doing: "read the segment", path: path.to_owned(), source }),
    }
}

/// Unpacks until the end, the limit, or damage. Only a failure to read the file itself is an error.
fn unpack(path: &Path, file: File, packing: Packing, limit: u64) -> Result<Vec<u8>> {
    let failed = |source| Error::Io { doing: "read the segment", path: path.to_owned(), source };
    let mut source = Watched { file, failure: None };
    let mut content = Vec::new();
    let unpacked = match packing {
        Packing::Plain => Read::by_ref(&mut source).take(limit).read_to_end(&mut content),
        // Several members one after the other are one file.
        Packing::Gzip => flate2::read::MultiGzDecoder::new(&mut source).take(limit).read_to_end(&mut content),
        Packing::Zstd => {
            zstd::Decoder::new(&mut source).and_then(|decoder| decoder.take(limit).read_to_end(&mut content))
        }
        Packing::Lz4 => lz4_flex::frame::FrameDecoder::new(&mut source).take(limit).read_to_end(&mut content),
    };
    match (source.failure, unpacked) {
        (Some(failure), Err(error)) => Err(failed(io::Error::new(failure, error))),
        // Whatever could not be unpacked is missing at the end.
        _ => Ok(content),
    }
}

/// Tells failures of the file from damage in what it holds.
struct Watched {
    file: File,
    failure: Option<io::ErrorKind>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        if let Err(error) = &read
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failure = Some(error.kind());
        }
        read
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::io::Write;

    fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Plain => bytes.to_vec(),
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Zstd => zstd::encode_all(bytes, 1).unwrap(),
            Packing::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    const ALL: [(Packing, &str); 4] =
        [(Packing::Plain, ""), (Packing::Gzip, ".gz"), (Packing::Zstd, ".zst"), (Packing::Lz4, ".lz4")];

    fn written(ending: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("000000010000000000000001{ending}"));
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn a_packed_file_holds_what_was_packed_up_to_the_limit() {
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for (packing, ending) in ALL {
            let (_folder, path) = written(ending, &packed(packing, &bytes));
            let content = Content::open(&path, 1 << 30).unwrap();
            let mut part = [0; 8];
            content.read_at(&mut part, 400).unwrap();
            assert_eq!((content.bytes(), &part[..4]), (800_000, 100_u32.to_le_bytes().as_slice()), "{ending}");
            assert!(content.read_at(&mut part, 799_996).is_err() && content.read_at(&mut part, u64::MAX).is_err());
            assert_eq!(head(&path).unwrap(), &bytes[..LONG_HEADER], "{ending}");
            if packing != Packing::Plain {
                assert_eq!(Content::open(&path, 1_000).unwrap().bytes(), 1_000, "{ending}");
            }
        }
    }

    #[test]
    fn a_damaged_file_holds_what_comes_before_the_damage() {
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(|n| n.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect();
        for (packing, ending) in &ALL[1..] {
            let whole = packed(*packing, &bytes);
            for cut in [0, 1, 10, whole.len() / 2, whole.len() - 1] {
                let (_folder, path) = written(ending, &whole[..cut]);
                let Content::Unpacked(content) = Content::open(&path, 1 << 30).unwrap() else { unreachable!() };
                assert!(bytes.starts_with(&content), "{ending} {cut}");
                assert!(cut == whole.len() - 1 || content.len() < bytes.len(), "{ending} {cut}");
            }
            let (_folder, path) = written(ending, b"this is nothing of the kind, and long enough to be looked at");
            assert!(head(&path).unwrap().is_empty(), "{ending}");
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let zeros = vec![0; 64 << 20];
        for (packing, ending) in &ALL[1..] {
            let (_folder, path) = written(ending, &packed(*packing, &zeros));
            assert_eq!(Content::open(&path, 1 << 20).unwrap().bytes(), 1 << 20, "{ending}");
        }
    }

    #[rstest]
    #[case("000000010000000000000001", "000000010000000000000001", Packing::Plain)]
    #[case("000000010000000000000001.gz", "000000010000000000000001", Packing::Gzip)]
    #[case("000000010000000000000001.gz.partial", "000000010000000000000001.partial", Packing::Gzip)]
    #[case("000000010000000000000001.partial.lz4", "000000010000000000000001.partial", Packing::Lz4)]
    #[case("000000010000000000000001.zst", "000000010000000000000001", Packing::Zstd)]
    fn endings_tell_the_packing(#[case] name: &str, #[case] stem: &str, #[case] packing: Packing) {
        assert_eq!(Packing::of(name), (stem.to_owned(), packing));
    }

    #[rstest]
    #[case("000000010000000000000001.bz2", Some(".bz2"))]
    #[case("000000010000000000000001.gz.gpg", Some(".gpg"))]
    #[case("000000010000000000000001.gz", None)]
    #[case("000000010000000000000001.00000028.backup", None)]
    fn endings_that_are_not_read_are_known(#[case] name: &str, #[case] ending: Option<&str>) {
        assert_eq!(foreign(name), ending.map(|e| ("000000010000000000000001", e)));
    }
}
