//! `paritas completions`: a completion script, made from the table of commands.

use crate::arguments::Cli;
use crate::session::Session;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

/// Prints the script for a shell.
pub fn run(session: &Session, shell: Shell) -> u8 {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "paritas", &mut script);
    session.print(&script, 0)
}
