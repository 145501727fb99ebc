//! Where a log ends, why, and whether that proves that nothing follows.

use std::fmt;

use paritas_model::Lsn;

/// What was found where the next record, or the rest of one, should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Zeros to the end of the page, or a page of zeros: nothing was ever written there.
    NeverWritten,
    /// A page of an older stretch of the log, in a segment file that was renamed for reuse.
    Recycled {
        /// The position that this page was written for.
        holds: Lsn,
    },
    /// There is no such segment file.
    MissingSegment {
        /// Its name.
        name: String,
    },
    /// The segment file is shorter than segments are.
    ShortSegment {
        /// Its name.
        name: String,
        /// Its length.
        bytes: u64,
    },
    /// Zeros where a record should begin, and something else after them in the same page.
    ZerosBeforeBytes,
    /// A page whose header no server writes there.
    BadPage {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Bytes that cannot be a record.
    BadRecord {
        /// What is wrong with them.
        what: &'static str,
    },
    /// A whole record whose CRC-32C differs.
    Checksum,
    /// The server itself left this timeline here.
    Left,
}

/// The end of what can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Where the last whole record ends: the next one would begin here.
    pub lsn: Lsn,
    /// Where `why` was seen: here, or on a later page when the last record is not whole.
    pub at: Lsn,
    /// What was found there.
    pub why: Why,
    /// The first page after `at` that belongs to this log all the same: what lies between is a hole.
    pub beyond: Option<Lsn>,
    /// Whether the last whole record is the checkpoint of a clean shutdown.
    pub shutdown: bool,
    /// Where the last whole record begins, if one was read.
    pub last: Option<Lsn>,
    /// Whether this segment is there only as `.partial`: its server may have written more of it elsewhere.
    pub partial: bool,
    /// Whether the end was read in the first of the folders: that of the server itself, where there is one.
    pub first: bool,
}

/// Why a list of commits may not be all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The log cannot be read at `at`, but goes on at `beyond`.
    Hole {
        /// Where reading stopped.
        at: Lsn,
        /// The first page of the log behind that.
        beyond: Lsn,
    },
    /// The end may be damage rather than an end.
    End {
        /// Where reading stopped.
        at: Lsn,
        /// What was found.
        why: Why,
    },
    /// The log ends before the position that was asked for.
    EndsBefore {
        /// Where it ends.
        end: Lsn,
        /// The position.
        from: Lsn,
    },
    /// The position lies inside a record, so it is no switchpoint of this log, or this cannot be told.
    InsideRecord {
        /// Where that record begins, if it could be found.
        record: Option<Lsn>,
    },
    /// A transaction record is whole, but not of a form this crate knows.
    Unparsed {
        /// Where it begins.
        record: Lsn,
    },
}

impl End {
    /// Why commits may follow after all; `None` when the end is the end of what the server wrote.
    ///
    /// A server writes whole pages in order and never leaves a page of the log behind one that is not of the log.
    /// So zeros and recycled pages with nothing valid behind them are the end. A missing file may have been taken
    /// away, unless the log was closed by a clean shutdown; anything else may be damage.
    pub fn doubt(&self) -> Option<Doubt> {
        if let Some(beyond) = self.beyond {
            return Some(Doubt::Hole { at: self.at, beyond });
        }
        match &self.why {
            Why::NeverWritten | Why::Recycled { .. } => None,
            Why::MissingSegment { .. } if self.shutdown && self.at == self.lsn => None,
            why => Some(Doubt::End { at: self.at, why: why.clone() }),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverWritten => f.write_str("nothing was written there"),
            Self::Recycled { holds } => write!(f, "a recycled page, written for {holds}"),
            Self::MissingSegment { name } => write!(f, "segment {name} is missing"),
            Self::ShortSegment { name, bytes } => write!(f, "segment {name} has only {bytes} bytes"),
            Self::ZerosBeforeBytes => f.write_str("zeros, and behind them something that is no record of this chain"),
            Self::BadPage { what } => write!(f, "a page that does not belong there: {what}"),
            Self::BadRecord { what } => write!(f, "no record: {what}"),
            Self::Checksum => f.write_str("a record whose checksum differs"),
            Self::Left => f.write_str("the server went on with its next timeline"),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hole { at, beyond } => write!(f, "the log has a hole at {at} and goes on at {beyond}"),
            Self::End { at, why } => write!(f, "the log cannot be read at {at}: {why}"),
            Self::EndsBefore { end, from } => write!(f, "the log ends at {end}, before {from}"),
            Self::InsideRecord { record: Some(record) } => {
                write!(f, "the position lies inside the record at {record}, so it is no switchpoint of this log")
            }
            Self::InsideRecord { record: None } => {
                f.write_str("the record before the position cannot be read, so it may be no switchpoint of this log")
            }
            Self::Unparsed { record } => write!(f, "the transaction record at {record} is of an unknown form"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log ends at {}: {}", self.lsn, self.why)?;
        if self.at != self.lsn {
            write!(f, " (at {})", self.at)?;
        }
        Ok(())
    }
}
