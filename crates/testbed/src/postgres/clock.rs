//! A server whose clock is wrong: a preloaded library (libfaketime) answers its questions for the time of day.
//!
//! Only the wall clock is shifted. Time-outs and waits use the monotonic clock and last as long as ever.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::server::Server;
use crate::scratch::set_mode;
use crate::{Error, Result, cache};

/// Where Debian's package `libfaketime` has the library, below the root or where it was unpacked.
const LIBRARY: &str = "usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// A clock that goes at the right speed and shows another time.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    library: PathBuf,
    seconds: i64,
}

impl Clock {
    /// What a process needs in its environment.
    pub(super) fn env(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.library.clone().into_os_string()),
            ("FAKETIME", format!("{:+}", self.seconds).into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            // Without it the library makes a semaphore for all processes of one program, which it may leave behind.
            ("FAKETIME_DISABLE_SHM", "1".into()),
        ]
    }
}

impl Server {
    /// From the next start on the server's clock is ahead by so many seconds, or behind where they are negative.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] without libfaketime.
    pub fn shift_clock(&mut self, seconds: i64) -> Result<()> {
        let library = self.scratch.path().join("libfaketime.so.1");
        if !library.is_file() {
            // The cache may be closed to the server's user.
            fs::copy(cache::unpacked("libfaketime", "faketime", LIBRARY)?, &library)
                .map_err(Error::io("copy", &library))?;
            set_mode(&library, 0o644)?;
        }
        self.clock = Some(Clock { library, seconds });
        Ok(())
    }
}
