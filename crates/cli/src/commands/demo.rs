//! `paritas demo`: prints as it goes, unlike every other command, because it takes a while.

use crate::arguments::DemoArgs;
use crate::commands::runtime;
use crate::demo;
use crate::failure::{Failure, INCONCLUSIVE};
use crate::session::{Session, Style};
use std::io::{self, ErrorKind, Write as _};

/// Runs the demo; its exit code says whether exactly the injected faults were found.
pub fn run(session: &Session, arguments: &DemoArgs) -> Result<u8, Failure> {
    if session.style == Style::Json {
        return Err(Failure::usage("the demo has no JSON form", "leave `--json` out"));
    }
    let folder = arguments.dir.clone().unwrap_or_else(demo::default_folder);
    let mut out = io::stdout();
    let result = runtime()?.block_on(demo::run(&folder, &mut out));
    let code = match result {
        Ok(code) => out.flush().map(|()| code),
        Err(demo::Error::Io(error)) => Err(error),
        Err(error) => {
            let failure = Failure::new("demo.failed", INCONCLUSIVE, "the demo could not be carried out").detail(error);
            return Err(failure.hint("see `make setup` for what it needs"));
        }
    };
    match code {
        Ok(code) => Ok(code),
        // The reader has gone away, and with it the proof.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(INCONCLUSIVE),
        Err(error) => Err(Failure::new("demo.failed", INCONCLUSIVE, "the demo could not be carried out").detail(error)),
    }
}
