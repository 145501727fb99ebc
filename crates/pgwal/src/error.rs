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
    /// The segments of this timeline are packed or encrypted in a way that is not read.
    Packed {
        /// The folder.
        folder: PathBuf,
        /// The ending of their names.
        ending: &'static str,
    },
    /// None of the segment files begins like a log of a version that can be read.
    NotALog {
        /// The folder.
        folder: PathBuf,
        /// The first two bytes of the first file, as a number.
        magic: Option<u16>,
    },
    /// The control file of a data directory is not one that can be read.
    BadControl {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A folder is of another cluster.
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The system identifier there.
        found: u64,
        /// That of the new primary.
        expected: u64,
    },
    /// A data directory has no timeline of its own: it follows the new primary, or was made from it.
    Follows {
        /// The directory.
        folder: PathBuf,
        /// Its timeline.
        timeline: u32,
    },
    /// A data directory was named as an archive.
    NotAnArchive {
        /// The directory.
        folder: PathBuf,
    },
    /// The history file of a timeline is not there, or not one.
    BadHistory {
        /// The data directory.
        folder: PathBuf,
        /// The timeline.
        timeline: u32,
        /// What is wrong.
        what: String,
    },
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Stable word for the failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "recovery.io",
            Self::NoSegment { .. } => "recovery.no_segment",
            Self::Packed { .. } => "recovery.packed",
            Self::NotALog { .. } => "recovery.not_a_log",
            Self::BadControl { .. } => "recovery.control",
            Self::Foreign { .. } => "recovery.foreign",
            Self::Follows { .. } => "recovery.follows",
            Self::NotAnArchive { .. } => "recovery.not_an_archive",
            Self::BadHistory { .. } => "recovery.history",
        }
    }

    /// What failed: lower case, without a full stop.
    pub fn primary(&self) -> String {
        match self {
            Self::Io { doing, path, .. } => format!("could not {doing}: {}", path.display()),
            Self::NoSegment { folder, timeline } => {
                format!("no write-ahead log of timeline {timeline} in {}", folder.display())
            }
            Self::Packed { folder, ending } => {
                format!("the segments in {} end with {ending}, which is not read", folder.display())
            }
            Self::NotALog { folder, .. } => {
                format!("the segments in {} are not a log that can be read", folder.display())
            }
            Self::BadControl { path, .. } => format!("the control file cannot be read: {}", path.display()),
            Self::Foreign { folder, .. } => format!("{} is of another cluster than the new primary", folder.display()),
            Self::Follows { folder, .. } => {
                format!("{} has no history of its own beside the new primary's", folder.display())
            }
            Self::NotAnArchive { folder } => format!("{} is a data directory, not an archive", folder.display()),
            Self::BadHistory { folder, timeline, .. } => {
                format!("the history of timeline {timeline} is not in {}", folder.display())
            }
        }
    }

    /// What was seen.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => Some(source.to_string()),
            Self::NoSegment { .. } | Self::Packed { .. } | Self::NotAnArchive { .. } => None,
            Self::BadControl { what, .. } | Self::BadHistory { what, .. } => Some(what.clone()),
            Self::Foreign { found, expected, .. } => {
                Some(format!("its system identifier is {found}, that of the new primary {expected}"))
            }
            Self::Follows { timeline, .. } => {
                Some(format!("it is on timeline {timeline} already: rewound, rebuilt, or never the old primary's"))
            }
            Self::NotALog { magic, .. } => magic.map(|magic| format!("the first page begins with 0x{magic:04X}")),
        }
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                "check the path: there is no such file or folder on this machine; the directory must be mounted or copied here"
            }
            Self::Io { .. } => "read as the user that the server ran as, or copy pg_wal somewhere readable",
            Self::NoSegment { .. } => "name the folder pg_wal of the data directory, or a folder of archived segments",
            Self::BadControl { .. } => {
                "name the data directory of a PostgreSQL server, version 14 to 18, not a folder in it"
            }
            Self::Foreign { .. } => "name the data directory or archive of the primary that was replaced",
            Self::Follows { .. } => "name a copy of the old primary's directory from before it was rewound or rebuilt",
            Self::NotAnArchive { .. } => {
                "name it with --data-directory if it is the old primary's; of another standby name its pg_wal"
            }
            Self::BadHistory { .. } => "copy the .history file from an archive or another server into its pg_wal",
            Self::NotALog { .. } => {
                "logs of PostgreSQL 14 to 18 from little-endian machines are read; decrypt and unpack segments that are not \
                 named .gz, .zst or .lz4"
            }
            Self::Packed { .. } => {
                "segments are read as they are, or as .gz, .zst, .lz4: decrypt or unpack these into a folder, and name that"
            }
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
