//! Whether a server runs on a data directory. Source: `CreateLockFile` in `miscinit.c`: the first line of
//! `postmaster.pid` is the number of its process, negative for a single-user server; a clean stop removes the file.

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::{Error, Result};

/// Whether a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// There is no lock file: the server was stopped, or never started here.
    No,
    /// A lock file names a process that does not run on this machine: the server crashed, or runs elsewhere.
    Stale(i32),
    /// The process that the lock file names runs on this machine.
    Yes(i32),
}

/// Looks at `postmaster.pid` below a data directory.
///
/// # Errors
/// When the file is there and cannot be read, or does not begin with a number.
pub fn running(data_directory: &Path) -> Result<Running> {
    let path = data_directory.join("postmaster.pid");
    let failed = |source| Error::Io { doing: "read the lock file", path: path.clone(), source };
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Running::No),
        Err(error) => return Err(failed(error)),
    };
    let number: Option<i32> = text.lines().next().and_then(|line| line.trim().parse().ok());
    let number = number.and_then(i32::checked_abs).filter(|number| *number > 0);
    let pid = number.and_then(Pid::from_raw);
    let (Some(number), Some(pid)) = (number, pid) else {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a process number")));
    };
    // A process of another user may not be signalled, and so is there.
    let alive = !matches!(test_kill_process(pid), Err(Errno::SRCH));
    Ok(if alive && !works_elsewhere(number, data_directory) { Running::Yes(number) } else { Running::Stale(number) })
}

/// Whether the process is known to be another one, which got the number later: a server works in its data directory.
fn works_elsewhere(number: i32, data_directory: &Path) -> bool {
    let folder = fs::read_link(format!("/proc/{number}/cwd"));
    match (folder, fs::canonicalize(data_directory)) {
        (Ok(folder), Ok(own)) => folder != own,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_runs_here_and_works_there_is_a_running_server() {
        let folder = tempfile::tempdir().unwrap();
        let lock = |text: &str| fs::write(folder.path().join("postmaster.pid"), text).unwrap();
        assert_eq!(running(folder.path()).unwrap(), Running::No);
        let own = std::process::id();
        lock(&format!("{own}\n/some/where\n"));
        // This test works in another folder.
        assert_eq!(running(folder.path()).unwrap(), Running::Stale(own.cast_signed()));
        let here = std::env::current_dir().unwrap();
        assert!(works_elsewhere(own.cast_signed(), folder.path()) && !works_elsewhere(own.cast_signed(), &here));
        // The highest number that the system gives out is lower.
        lock("2147483646\n");
        assert_eq!(running(folder.path()).unwrap(), Running::Stale(2_147_483_646));
        for bad in ["", "\n", "x\n", "0\n", "99999999999\n"] {
            lock(bad);
            assert!(running(folder.path()).is_err(), "{bad:?}");
        }
    }
}
