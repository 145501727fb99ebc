//! Writing results: all of it, or an exit code that says so.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;

/// Columns of standard output; `None` when it is not a terminal.
pub fn stdout_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(width.0))
}

/// Columns of standard error; `None` when it is not a terminal.
pub fn stderr_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(io::stderr())?;
    Some(usize::from(width.0))
}

/// Whether standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether standard error is a terminal, also one that does not know its width.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Writes a finished result to standard output.
///
/// # Errors
/// When not all of it could be written. A reader that has gone away is not an error: it saw what it
/// wanted.
pub fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes to standard error. Nothing can be done when that fails too.
pub fn write_stderr(bytes: &[u8]) {
    crate::progress::aside(|| {
        let mut out = io::stderr().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    });
}

/// Writes a file that is there whole or not at all: written beside, then renamed. A link stays one, and what is no
/// file, such as a pipe, is written to as it is.
///
/// # Errors
/// When not all of it could be written; a file that was there stays as it was.
pub fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // Also tells a link that leads nowhere from a name that nobody has.
    let target = if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
    match std::fs::metadata(&target) {
        Ok(about) if !about.is_file() => {
            let mut out = BufWriter::new(OpenOptions::new().write(true).open(&target)?);
            write(&mut out)?;
            return out.flush();
        }
        _ => {}
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = OsString::from(".");
    beside.push(name);
    // A name of its own for each process, and one that collectors of files do not take.
    beside.push(format!(".{}.unfinished", std::process::id()));
    let beside = folder.join(beside);
    let written = OpenOptions::new().write(true).create(true).truncate(true).open(&beside).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&beside, &target)
    });
    if written.is_err() {
        // What is left of it is worth nothing.
        let _ = std::fs::remove_file(&beside);
    }
    written
}
