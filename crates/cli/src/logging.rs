//! Logs to standard error. Only Paritas' own events are detailed: what libraries log at that level
//! may hold headers and credentials.

use crate::session::Session;
use std::io::{self, Write};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Begins logging as loudly as asked.
pub fn start(session: &Session) {
    let filter = match (session.quiet, session.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,paritas=info",
        (false, 2) => "warn,paritas=debug",
        (false, _) => "warn,paritas=trace",
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(Aside)
        .with_ansi(session.stderr_color())
        .with_target(session.verbose > 1)
        .finish();
    // Fails only if there is a subscriber already, and then there is logging.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes each line beside the progress display, not into it.
#[derive(Debug, Clone, Copy)]
struct Aside;

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        crate::output::write_stderr(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Aside {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
