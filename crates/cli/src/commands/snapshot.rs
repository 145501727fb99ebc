//! `paritas snapshot`: what a source holds, kept for the time when it is gone.

use super::chosen::{Chosen, chosen};
use super::printed;
use crate::arguments::{self, Deny, SnapshotArgs};
use crate::commands::until_interrupted;
use crate::configuration;
use crate::failure::{Failure, INTERRUPTED};
use crate::progress::Display;
use crate::runs::{self, Manners, Monitor, Options, SnapshotOptions};
use crate::session::Session;
use paritas_digest::Capacity;

/// Takes snapshots and reports; the exit code is that of the contract, or of the style asked for.
pub fn run(session: &Session, arguments: &SnapshotArgs) -> Result<u8, Failure> {
    let chosen = chosen(session, &arguments.what, "snapshot")?;
    let defaults = Options::default();
    let mut options = Options {
        state: session.state.clone().or_else(|| chosen.state()),
        deny_warnings: arguments.deny == Some(Deny::Warnings),
        budget: arguments.budget.map(runs::Budget::Time),
        capacity: arguments.capacity.unwrap_or_else(|| Capacity::default().differences()),
        parallel: arguments.parallel.map_or(defaults.parallel, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        policies: arguments::policies(&arguments.policy),
        thrift: runs::ThriftOptions { full: arguments.full, ..defaults.thrift },
        manners: Manners {
            rate: arguments.rate.iter().copied().collect(),
            pause_lag: None,
            view_max: arguments.view_max,
        },
        ..defaults
    };
    if let (Chosen::Pair { .. }, Some(_)) = (&chosen, &session.config) {
        options = runs::with_secrets(&configuration::load(session)?, &options)?;
    }
    let snapshot = SnapshotOptions { content: !arguments.positions_only };
    let monitor = Monitor::default();
    let display = Display::start(session, &monitor);
    let ended = until_interrupted(async |cx| match &chosen {
        Chosen::Links { config, names } => runs::snapshot_links(cx, config, names, &options, snapshot, &monitor).await,
        Chosen::Pair { source, replica } => {
            runs::snapshot_pair(cx, source, replica, &options, snapshot, &monitor).await
        }
    });
    drop(display);
    let (result, interrupted) = ended?;
    let mut report = result.map_err(Failure::from)?;
    if interrupted {
        report.exit_code = INTERRUPTED;
    }
    let called = printed::called(session, &arguments.what, &report);
    let (bytes, code) = printed::rendered(session, called, arguments.deny, None, &report)?;
    Ok(session.print(&bytes, code))
}
