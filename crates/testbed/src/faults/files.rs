//! Faults in files of any kind.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::{Class, Injected};
use crate::{Error, Result};

/// Cuts a file off after this many bytes.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unfit`] when it is not longer than that.
pub fn truncate(path: &Path, keep_bytes: u64) -> Result<Injected> {
    let file = File::options().write(true).open(path).map_err(Error::io("open", path))?;
    let bytes = file.metadata().map_err(Error::io("measure", path))?.len();
    if keep_bytes >= bytes {
        let what = format!("{} has only {bytes} bytes", path.display());
        return Err(Error::Unfit { what, hint: "keep fewer bytes" });
    }
    file.set_len(keep_bytes).map_err(Error::io("truncate", path))?;
    Ok(Injected::new(Class::File, &shown(path), format!("file cut from {bytes} to {keep_bytes} bytes")))
}

/// Turns one bit (0 to 7) of the byte at an offset.
///
/// # Errors
/// [`Error::Io`], also when the offset lies beyond the end.
pub fn flip_bit(path: &Path, offset: u64, bit: u8) -> Result<Injected> {
    let flip = || {
        let mut file = File::options().read(true).write(true).open(path)?;
        let mut byte = [0];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&byte.map(|b| b ^ (1 << (bit & 7))))
    };
    flip().map_err(Error::io("flip a bit", path))?;
    Ok(Injected::new(Class::File, &shown(path), format!("bit {} of the byte at {offset} turned", bit & 7)))
}

/// Removes a file.
///
/// # Errors
/// [`Error::Io`].
pub fn delete(path: &Path) -> Result<Injected> {
    fs::remove_file(path).map_err(Error::io("remove", path))?;
    Ok(Injected::new(Class::File, &shown(path), "file removed"))
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
