//! What keeps a log from being opened or read at all: what failed (primary), what was seen (detail), what to do (hint).

use std::fmt;
use std::path::PathBuf;

/// Why nothing can be said about a folder of segments.
///
/// A log that ends, in whatever way, is no error: see [`crate::End`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder operation failed.
    Io {
        /// Verb and object, for example `read the segment`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no segment file of this timeline in the folder.
    NoSegment {
        /// The folder.
        folder: PathBuf,
        /// The timeline that was asked for.
        timeline: u32,
    },
    /// None of the segment files begins like a log of a version that can be read.
    NotALog {
        /// The folder.
        folder: PathBuf,
        /// The first two bytes of the first file, as a number.
        magic: Option<u16>,
    },
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What failed: lower case, without a full stop.
    pub fn primary(&self) -> String {
        match self {
            Self::Io { doing, path, .. } => format!("could not {doing}: {}", path.display()),
            Self::NoSegment { folder, timeline } => {
                format!("no write-ahead log of timeline {timeline} in {}", folder.display())
            }
            Self::NotALog { folder, .. } => {
                format!("the segments in {} are not a log that can be read", folder.display())
            }
        }
    }

    /// What was seen.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => Some(source.to_string()),
            Self::NoSegment { .. } => None,
            Self::NotALog { magic, .. } => magic.map(|magic| format!("the first page begins with 0x{magic:04X}")),
        }
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "read as the user that the server ran as, or copy pg_wal somewhere readable",
            Self::NoSegment { .. } => "name the folder pg_wal of the data directory, or a folder of archived segments",
            Self::NotALog { .. } => "logs of PostgreSQL 14 to 18 from little-endian machines are read, not compressed",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.primary())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
