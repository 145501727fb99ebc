//! What a timer has done so far: `timer.json`, one object, replaced whole.

use crate::files::read_whole;
use crate::work::write_sealed;
use crate::{Result, State, StateError, sealed};
use std::path::PathBuf;

/// No larger one is read.
const TIMER_BYTES_MAX: u64 = 64 << 20;

impl State {
    /// Keeps what was done, one JSON object, in the place of what was kept before.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn save_timer(&self, json: &[u8]) -> Result<()> {
        write_sealed(&self.timer(), json)
    }

    /// What was kept; `None` where nothing was, or where it is damaged: then everything is due.
    ///
    /// # Errors
    /// When there is something and it cannot be read.
    pub fn load_timer(&self) -> Result<Option<Vec<u8>>> {
        let path = self.timer();
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError::io("read", &path, error)),
            Ok(_) => Ok(sealed::open(read_whole(&path, TIMER_BYTES_MAX)?)),
        }
    }

    fn timer(&self) -> PathBuf {
        self.folder().join("timer.json")
    }
}
