//! `paritas lag`: configured links, or two stores; once, for a while, or as a live view.

use super::chosen::{Chosen, chosen};
use super::printed;
use crate::arguments::{Deny, LagArgs};
use crate::commands::until_interrupted;
use crate::configuration;
use crate::failure::{Failure, INTERRUPTED};
use crate::runs::{self, LagOptions, LagRun, Options};
use crate::session::Session;
use crate::watch::watch;
use paritas_report::Report;

/// Measures and reports; the exit code is that of the contract, or of the style asked for.
pub fn run(session: &Session, arguments: &LagArgs) -> Result<u8, Failure> {
    let mut options = Options {
        state: session.state.clone(),
        deny_warnings: arguments.deny == Some(Deny::Warnings),
        ..Options::default()
    };
    let mut lag = match chosen(session, &arguments.what, "lag")? {
        Chosen::Links { config, names } => LagRun::links(&config, &names, &options)?,
        Chosen::Pair { source, replica } => {
            // Two stores need no configuration, but the privacy of one that is named holds for them.
            if session.config.is_some() {
                options = runs::with_secrets(&configuration::load(session)?, &options)?;
            }
            LagRun::pair(&source, &replica, &options)?
        }
    };
    if arguments.watch {
        return until_interrupted(async |cx| watch(session, &mut lag, cx).await)?.0;
    }
    let run_for = arguments.run_for;
    let (mut report, interrupted) = until_interrupted(async |cx| lag.measure(cx, LagOptions { run_for }).await)?;
    if interrupted {
        report.exit_code = INTERRUPTED;
    }
    let (bytes, code) = rendered(session, arguments, &report)?;
    Ok(session.print(&bytes, code))
}

fn rendered(session: &Session, arguments: &LagArgs, report: &Report) -> Result<(Vec<u8>, u8), Failure> {
    let called = printed::called(session, &arguments.what, report);
    printed::rendered(session, called, arguments.deny, None, report)
}
