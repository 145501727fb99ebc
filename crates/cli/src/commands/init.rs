//! `paritas init`: a commented configuration to begin with.

use crate::arguments::InitArgs;
use crate::failure::{Failure, INCONCLUSIVE};
use crate::session::Session;
use paritas_report::{SCHEMA_VERSION, escape};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Written {
    schema_version: u32,
    message_type: &'static str,
    path: String,
}

/// Writes the file; one that exists only with `--force`.
pub fn run(session: &Session, arguments: &InitArgs) -> Result<u8, Failure> {
    let path = if arguments.path.is_dir() { arguments.path.join("paritas.toml") } else { arguments.path.clone() };
    write(&path, arguments.force)?;
    let shown = path.display().to_string();
    let text =
        format!("{} written; name your stores in it, then run:\n  paritas config check --connect\n", escape(&shown));
    let document = Written { schema_version: SCHEMA_VERSION, message_type: "init", path: shown };
    session.print_either(&text, &document, 0)
}

fn write(path: &Path, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| {
        file.write_all(paritas_config::init_text().as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::new("usage.exists", crate::failure::USAGE, format!("{} exists already", path.display()))
                .hint("keep it, write to another PATH, or overwrite it with `--force`")
        }
        ErrorKind::NotFound => Failure::usage(format!("cannot write {}", path.display()), "make its folder first"),
        _ => Failure::new("output.failed", INCONCLUSIVE, format!("cannot write {}", path.display())).detail(error),
    })
}
