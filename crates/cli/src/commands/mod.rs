//! One module per command, and what several of them share: `chosen`, `printed`.

mod bench;
mod chosen;
mod completions;
mod config;
mod demo;
mod export;
mod failover;
mod history;
mod init;
mod lag;
mod ledger;
mod man;
mod printed;
mod probe;
mod report;
mod run;
mod simulate;
mod snapshot;
mod verify;

use crate::arguments::{BenchCommand, Command, ConfigCommand};
use crate::failure::{Failure, INCONCLUSIVE};
use crate::interrupt::Interrupt;
use crate::session::Session;
use paritas_connect::Context;

/// The runtime that connectors need.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Failure::new("internal", INCONCLUSIVE, "cannot start the runtime").detail(error))
}

/// Does what a command is for, until it ends or somebody interrupts it; says which it was.
fn until_interrupted<T>(work: impl AsyncFnOnce(&Context) -> T) -> Result<(T, bool), Failure> {
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let cx = Context::default();
        let interrupt = Interrupt::watch(cx.cancel_token().clone())
            .map_err(|error| Failure::new("internal", INCONCLUSIVE, "cannot receive signals").detail(error))?;
        let result = work(&cx).await;
        Ok((result, interrupt.seen()))
    });
    // A reader that is blocked in a system call must not keep the result from being printed.
    runtime.shutdown_background();
    ended
}

/// Carries out a command and returns its exit code.
pub fn dispatch(session: &Session, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Verify(arguments) => verify::run(session, &arguments),
        Command::Ledger(arguments) => ledger::run(session, &arguments),
        Command::Lag(arguments) => lag::run(session, &arguments),
        Command::Simulate(arguments) => simulate::run(session, &arguments),
        Command::History(arguments) => history::run(session, &arguments),
        Command::Failover(arguments) => failover::run(session, &arguments),
        Command::Probe(arguments) => probe::run(session, &arguments),
        Command::Snapshot(arguments) => snapshot::run(session, &arguments),
        Command::Run(arguments) => run::run(session, &arguments),
        Command::Export(command) => export::run(session, &command),
        Command::Report(arguments) => report::run(session, &arguments),
        Command::Init(arguments) => init::run(session, &arguments),
        Command::Config(ConfigCommand::Check { connect }) => config::check(session, connect),
        Command::Config(ConfigCommand::Show) => config::show(session),
        Command::Bench(BenchCommand::Hash) => bench::hash(session),
        Command::Demo(arguments) => demo::run(session, &arguments),
        Command::Completions { shell } => Ok(completions::run(session, shell)),
        Command::Man { dir } => man::run(session, dir.as_deref()),
    }
}
