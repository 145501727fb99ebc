//! One module per command, and what several of them share: `chosen`, `printed`.

mod bench;
mod chosen;
mod completions;
mod config;
mod demo;
mod failover;
mod init;
mod lag;
mod man;
mod printed;
mod probe;
mod verify;

use crate::arguments::{BenchCommand, Command, ConfigCommand};
use crate::failure::{Failure, INCONCLUSIVE};
use crate::session::Session;

/// The runtime that connectors need.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Failure::new("internal", INCONCLUSIVE, "cannot start the runtime").detail(error))
}

/// Carries out a command and returns its exit code.
pub fn dispatch(session: &Session, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Verify(arguments) => verify::run(session, &arguments),
        Command::Lag(arguments) => lag::run(session, &arguments),
        Command::Failover(arguments) => failover::run(session, &arguments),
        Command::Probe(arguments) => probe::run(session, &arguments),
        Command::Init(arguments) => init::run(session, &arguments),
        Command::Config(ConfigCommand::Check { connect }) => config::check(session, connect),
        Command::Config(ConfigCommand::Show) => config::show(session),
        Command::Bench(BenchCommand::Hash) => bench::hash(session),
        Command::Demo(arguments) => demo::run(session, &arguments),
        Command::Completions { shell } => Ok(completions::run(session, shell)),
        Command::Man { dir } => man::run(session, dir.as_deref()),
    }
}
