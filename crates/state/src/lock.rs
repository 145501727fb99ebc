//! One writing run at a time.

use crate::{Result, StateError, files};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

/// No process id is longer in digits.
const HOLDER_BYTES_MAX: u64 = 20;

/// The lock of the run that writes. The system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // The holder's id would mislead; if this fails the lock itself is free anyway.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

pub(crate) fn take(folder: &Path) -> Result<RunLock> {
    let path = folder.join("lock");
    let failed = |error| StateError::io("lock", &path, error);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held(&mut file, folder, &path)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // Only to be shown by another process, so failing to write it (a full disk) is no reason to stop.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    files::remove_unfinished(folder, files::DEPTH_MAX);
    Ok(RunLock { file })
}

fn held(file: &mut File, folder: &Path, path: &Path) -> StateError {
    let mut holder = String::new();
    let read = file.take(HOLDER_BYTES_MAX).read_to_string(&mut holder);
    let number = holder.trim().parse::<u32>().ok().filter(|_| read.is_ok());
    let who = number.map(|number| format!(" (process {number})")).unwrap_or_default();
    let hint = "wait until it has ended, or name another folder with --state DIR";
    StateError::new("state.locked", format!("another run{who} is using {}", folder.display()), path, hint)
}
