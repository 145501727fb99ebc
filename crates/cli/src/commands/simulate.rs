//! `paritas simulate`: what a failover would lose now, or would have lost.

use super::chosen::{Chosen, chosen};
use crate::arguments::{Deny, SimulateArgs};
use crate::commands::until_interrupted;
use crate::configuration;
use crate::failure::{Failure, INCONCLUSIVE, INTERRUPTED};
use crate::runs::{self, LagOptions, LagRun, Options};
use crate::session::Session;
use paritas_report::{SimulationDocument, write_simulation};

/// Measures or looks back, and reports; the exit code is that of the contract.
pub fn run(session: &Session, arguments: &SimulateArgs) -> Result<u8, Failure> {
    let mut options = Options {
        state: session.state.clone(),
        deny_warnings: arguments.deny == Some(Deny::Warnings),
        ..Options::default()
    };
    let chosen = chosen(session, &arguments.what, "simulate")?;
    let found = match (&chosen, arguments.window) {
        (Chosen::Links { config, names }, Some(window)) => runs::simulate_window(config, names, &options, window)?,
        (Chosen::Pair { .. }, Some(_)) => {
            let hint = "name configured links, whose samples are stored under their names";
            return Err(Failure::usage("`--window` needs configured links, not two stores", hint));
        }
        (Chosen::Links { config, names }, None) => {
            let mut lag = LagRun::links(config, names, &options)?;
            let (report, interrupted) = until_interrupted(async |cx| lag.measure(cx, LagOptions::default()).await)?;
            after(runs::simulated(&report, Some(config), options.deny_warnings), interrupted)
        }
        (Chosen::Pair { source, replica }, None) => {
            if session.config.is_some() {
                options = runs::with_secrets(&configuration::load(session)?, &options)?;
            }
            let mut lag = LagRun::pair(source, replica, &options)?;
            let (report, interrupted) = until_interrupted(async |cx| lag.measure(cx, LagOptions::default()).await)?;
            after(runs::simulated(&report, None, options.deny_warnings), interrupted)
        }
    };
    let mut text = Vec::new();
    write_simulation(&found, &session.render_options(), &mut text)
        .map_err(|error| Failure::new("output.failed", INCONCLUSIVE, "cannot write the simulation").detail(error))?;
    session.print_either(&String::from_utf8_lossy(&text), &found, found.exit_code)
}

fn after(mut found: SimulationDocument, interrupted: bool) -> SimulationDocument {
    if interrupted {
        found.exit_code = INTERRUPTED;
    }
    found
}
