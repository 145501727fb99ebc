//! Writing results: all of it, or an exit code that says so.

use std::io::{self, IsTerminal as _, Write};

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
