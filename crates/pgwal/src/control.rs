//! The control file of a data directory: whose it is, in what state it was left, where its last checkpoint is.
//!
//! Source: `catalog/pg_control.h` (`ControlFileData`, `CheckPoint`, `DBState`) of 14 to 18. The fields read here lie at
//! the same places in all of them; 18 put one more before the checksum.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;
use paritas_model::Lsn;

use crate::crc::crc32c;
use crate::fields::Fields;
use crate::segment::SegmentSize;
use crate::{Error, Result};

/// Bytes read: more than the structure has in any version; the file itself is longer.
const BYTES: usize = 512;
/// Where the checksum lies, by the version of the format: 14 to 16, 17, 18.
const CHECKSUMS: [(u32, usize); 3] = [(1300, 288), (1700, 288), (1800, 292)];
/// Between the copy of the checkpoint's timelines and the position of fake unlogged changes.
const AFTER_TIMELINES: usize = 128 - 56;
/// From the timeline of the minimal recovery point to the size of segments.
const AFTER_RECOVERY: usize = 228 - 148;

/// In what state a server left its data directory, or is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is starting for the first time.
    Startup,
    /// It was shut down cleanly.
    ShutDown,
    /// A standby was shut down cleanly.
    ShutDownInRecovery,
    /// It was about to shut down.
    ShuttingDown,
    /// It was replaying its own log after a crash.
    InCrashRecovery,
    /// It is or was a standby.
    InArchiveRecovery,
    /// It takes writes, or crashed while it did.
    InProduction,
}

impl State {
    /// As `pg_controldata` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "starting up",
            Self::ShutDown => "shut down",
            Self::ShutDownInRecovery => "shut down in recovery",
            Self::ShuttingDown => "shutting down",
            Self::InCrashRecovery => "in crash recovery",
            Self::InArchiveRecovery => "in archive recovery",
            Self::InProduction => "in production",
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Startup,
            1 => Self::ShutDown,
            2 => Self::ShutDownInRecovery,
            3 => Self::ShuttingDown,
            4 => Self::InCrashRecovery,
            5 => Self::InArchiveRecovery,
            6 => Self::InProduction,
            _ => return None,
        })
    }

    /// Whether the directory is that of a standby: its log is what it received, and the primary may have had more.
    pub fn is_standby(self) -> bool {
        matches!(self, Self::ShutDownInRecovery | Self::InArchiveRecovery)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a control file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The identifier of the cluster.
    pub system_identifier: u64,
    /// The state.
    pub state: State,
    /// When the file was written last.
    pub time: Timestamp,
    /// Where the record of the last checkpoint begins.
    pub checkpoint: Lsn,
    /// The timeline that the server wrote or replayed last, as far as the file knows.
    pub timeline: u32,
    /// The size of segments.
    pub segment: SegmentSize,
}

impl Control {
    /// Reads `global/pg_control` below a data directory.
    ///
    /// # Errors
    /// When the file cannot be read, is of a version that is not known, or its checksum differs.
    pub fn read(data_directory: &Path) -> Result<Self> {
        let path = data_directory.join("global/pg_control");
        let failed = |source| Error::Io { doing: "read the control file", path: path.clone(), source };
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(failed)?;
        file.take(BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(&bytes).map_err(|what| Error::BadControl { path, what })
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let short = || "it is too short".to_owned();
        let mut fields = Fields::new(bytes);
        let system_identifier = fields.u64().ok_or_else(short)?;
        let format = fields.u32().ok_or_else(short)?;
        let at = CHECKSUMS.iter().find(|(known, _)| *known == format).map(|(_, at)| *at);
        let at = at.ok_or_else(|| format!("its format {format} is not one of PostgreSQL 14 to 18"))?;
        let (body, sum) = bytes.split_at_checked(at).ok_or_else(short)?;
        if Fields::new(sum).u32() != Some(crc32c(&[body])) {
            return Err("its checksum differs".to_owned());
        }
        let mut rest = || {
            let _catalog = fields.u32()?;
            let (state, _padding) = (fields.u32()?, fields.u32()?);
            let time = Timestamp::from_second(fields.i64()?).ok()?;
            let (checkpoint, _redo) = (Lsn(fields.u64()?), fields.u64()?);
            let (timeline, _previous) = (fields.u32()?, fields.u32()?);
            fields.take(AFTER_TIMELINES)?;
            let (_unlogged, _min_recovery) = (fields.u64()?, fields.u64()?);
            // A promotion notes its timeline here at once; the first checkpoint on it comes later.
            let timeline = timeline.max(fields.u32()?);
            fields.take(AFTER_RECOVERY)?;
            Some((state, time, checkpoint, timeline, fields.u32()?))
        };
        let (state, time, checkpoint, timeline, segment) = rest().ok_or_else(short)?;
        let state = State::from_number(state).ok_or_else(|| format!("it says an unknown state, {state}"))?;
        let segment = SegmentSize::new(segment).ok_or_else(|| format!("it says segments of {segment} bytes"))?;
        Ok(Self { system_identifier, state, time, checkpoint, timeline, segment })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn file(format: u32, at: usize) -> Vec<u8> {
        let mut bytes = vec![0; BYTES];
        bytes[..8].copy_from_slice(&7_u64.to_le_bytes());
        bytes[8..12].copy_from_slice(&format.to_le_bytes());
        bytes[16..20].copy_from_slice(&6_u32.to_le_bytes());
        bytes[32..40].copy_from_slice(&0x0300_0060_u64.to_le_bytes());
        bytes[48..52].copy_from_slice(&2_u32.to_le_bytes());
        bytes[144..148].copy_from_slice(&3_u32.to_le_bytes());
        bytes[228..232].copy_from_slice(&(16_u32 << 20).to_le_bytes());
        let sum = crc32c(&[&bytes[..at]]);
        bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[rstest]
    #[case(1300, 288)]
    #[case(1700, 288)]
    #[case(1800, 292)]
    fn each_format_is_read_and_every_flipped_bit_is_noticed(#[case] format: u32, #[case] at: usize) {
        let bytes = file(format, at);
        let control = Control::parse(&bytes).unwrap();
        assert_eq!((control.system_identifier, control.timeline), (7, 3));
        assert_eq!(
            (control.state, control.checkpoint.0, control.segment.bytes()),
            (State::InProduction, 0x0300_0060, 16 << 20)
        );
        for bit in 0..(at + 4) * 8 {
            let mut spoilt = bytes.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            assert!(Control::parse(&spoilt).is_err(), "bit {bit}");
        }
        for length in 0..at + 4 {
            assert!(Control::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn another_format_is_refused_by_its_number() {
        assert!(Control::parse(&file(1201, 288)).unwrap_err().contains("1201"));
    }
}
