//! `paritas man`: manual pages, made from the table of commands.

use crate::arguments::Cli;
use crate::failure::{Failure, INCONCLUSIVE};
use crate::session::Session;
use clap::CommandFactory as _;
use clap_mangen::Man;
use std::path::Path;

/// Prints paritas(1), or writes one page per command into a folder.
pub fn run(session: &Session, folder: Option<&Path>) -> Result<u8, Failure> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page).map_err(|error| failed("write the manual page", &error))?;
        return Ok(session.print(&page, 0));
    };
    if !folder.is_dir() {
        let message = format!("cannot write manual pages: {} is not a folder", folder.display());
        return Err(Failure::usage(message, "make the folder first"));
    }
    clap_mangen::generate_to(Cli::command(), folder)
        .map_err(|error| failed(&format!("write manual pages into {}", folder.display()), &error))?;
    Ok(0)
}

fn failed(doing: &str, error: &std::io::Error) -> Failure {
    Failure::new("output.failed", INCONCLUSIVE, format!("cannot {doing}")).detail(error)
}
