//! `paritas failover`: after a promotion, what was lost and whether to go on.

use super::chosen::{Chosen, chosen};
use super::printed::{self, word};
use crate::arguments::{Deny, FailoverArgs};
use crate::commands::until_interrupted;
use crate::configuration;
use crate::failure::{Failure, INTERRUPTED};
use crate::runs::{self, Call, Failover, Options};
use crate::session::Session;
use paritas_connect::redact_url;
use paritas_report::{Called, Report};

/// Looks and reports; the exit code is that of the contract, or of the style asked for.
pub fn run(session: &Session, arguments: &FailoverArgs) -> Result<u8, Failure> {
    let chosen = chosen(session, &arguments.what, "failover")?;
    let mut options = options(session, arguments, &chosen);
    if let (Chosen::Pair { .. }, Some(_)) = (&chosen, &session.config) {
        options = runs::with_secrets(&configuration::load(session)?, &options)?;
    }
    let left = Failover {
        data_directories: arguments.data_directory.clone(),
        wal_archives: arguments.wal_archive.clone(),
        old_primary: arguments.old_primary.clone(),
        drill: arguments.drill.clone(),
        planned: arguments.planned,
        failed_at: arguments.failed_at,
        against: arguments.against.clone(),
        call: call(session, arguments, matches!(chosen, Chosen::Links { .. })),
    };
    let (result, interrupted) = until_interrupted(async |cx| match &chosen {
        Chosen::Links { config, names } => runs::failover_links(cx, config, names, &options, &left).await,
        Chosen::Pair { source, replica } => runs::failover_pair(cx, source, replica, &options, &left).await,
    })?;
    let mut report = result.map_err(Failure::from)?;
    if interrupted {
        report.exit_code = INTERRUPTED;
    }
    let called = called(session, arguments, &report);
    let (bytes, code) = printed::rendered(session, called, arguments.deny, arguments.max_differences, &report)?;
    Ok(session.print(&bytes, code))
}

/// What the next command has to repeat.
fn called(session: &Session, arguments: &FailoverArgs, report: &Report) -> Called {
    let mut called = printed::called(session, &arguments.what, report);
    called.options.extend(own(arguments));
    called
}

/// The same for the commands that reasons name.
fn call(session: &Session, arguments: &FailoverArgs, configured: bool) -> Call {
    let stores = arguments.what.iter().filter(|_| !configured).map(|store| word(store)).collect();
    Call { common: printed::common(session, true), own: own(arguments), stores }
}

/// Options of this command alone.
fn own(arguments: &FailoverArgs) -> Vec<String> {
    let mut options = Vec::new();
    let folders = [("--data-directory", &arguments.data_directory), ("--wal-archive", &arguments.wal_archive)];
    for (name, paths) in folders {
        options.extend(paths.iter().map(|path| format!("{name} {}", word(&path.display().to_string()))));
    }
    options.extend(arguments.old_primary.iter().map(|url| format!("--old-primary {}", word(&redact_url(url)))));
    options.extend(arguments.failed_at.iter().map(|at| format!("--failed-at {at}")));
    options.extend(arguments.against.iter().map(|stored| format!("--against {}", word(&stored.to_string()))));
    options.extend(
        arguments
            .drill
            .iter()
            .map(|name| if name.is_empty() { "--drill".to_owned() } else { format!("--drill={}", word(name)) }),
    );
    options.extend(arguments.planned.then(|| "--planned".to_owned()));
    options
}

fn options(session: &Session, arguments: &FailoverArgs, chosen: &Chosen) -> Options {
    let defaults = Options::default();
    Options {
        state: session.state.clone().or_else(|| chosen.state()),
        max_differences: arguments
            .max_differences
            .map_or(defaults.max_differences, |asked| usize::try_from(asked).unwrap_or(usize::MAX)),
        budget: arguments.budget.map(runs::Budget::Time),
        deny_warnings: arguments.deny == Some(Deny::Warnings),
        ..defaults
    }
}
