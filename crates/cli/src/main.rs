//! The command line: `paritas`. The only crate that prints or exits.

mod arguments;
mod commands;
mod configuration;
mod demo;
mod failure;
mod interrupt;
mod logging;
mod output;
mod progress;
mod runs;
mod session;
mod usage;
mod watch;

use clap::Parser as _;
use session::{Session, Style};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os().collect()))
}

/// Parses, carries out, reports; returns the exit code of the contract.
fn run(arguments: Vec<OsString>) -> u8 {
    let style = Style::foreseen(&arguments);
    match arguments::Cli::try_parse_from(arguments) {
        Err(error) => usage::report(&error, style),
        Ok(cli) => {
            let session = Session::new(&cli.common, style);
            logging::start(&session);
            commands::dispatch(&session, cli.command).unwrap_or_else(|failure| session.fail(&failure))
        }
    }
}
