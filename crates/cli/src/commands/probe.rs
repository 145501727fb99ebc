//! `paritas probe`: how long nobody takes writes when the source fails.

use super::chosen::{Chosen, chosen};
use super::printed;
use crate::arguments::{Deny, ProbeArgs, UntilArg};
use crate::commands::until_interrupted;
use crate::configuration;
use crate::failure::{Failure, INTERRUPTED};
use crate::runs::{self, Options, ProbeOptions, Until};
use crate::session::Session;

/// Probes and reports; the exit code is that of the contract, or of the style asked for.
pub fn run(session: &Session, arguments: &ProbeArgs) -> Result<u8, Failure> {
    let chosen = chosen(session, &arguments.what, "probe")?;
    if arguments.print_sql {
        return print_sql(session, arguments, &chosen);
    }
    let mut options = Options {
        state: session.state.clone().or_else(|| chosen.state()),
        deny_warnings: arguments.deny == Some(Deny::Warnings),
        ..Options::default()
    };
    if let (Chosen::Pair { .. }, Some(_)) = (&chosen, &session.config) {
        options = runs::with_secrets(&configuration::load(session)?, &options)?;
    }
    let probe = ProbeOptions {
        heartbeat: arguments.heartbeat.clone(),
        every: arguments.every,
        timeout: arguments.timeout,
        run_for: arguments.run_for,
        until: match arguments.until {
            UntilArg::Interrupted => Until::Interrupted,
            UntilArg::Recovered => Until::Recovered,
        },
    };
    let (result, interrupted) = until_interrupted(async |cx| match &chosen {
        Chosen::Links { config, names } => runs::probe_link(cx, config, names, &options, &probe).await,
        Chosen::Pair { source, replica } => runs::probe_pair(cx, source, replica, &options, &probe).await,
    })?;
    let mut report = result.map_err(Failure::from)?;
    if interrupted {
        report.exit_code = INTERRUPTED;
    }
    let called = printed::called(session, &arguments.what, &report);
    let (bytes, code) = printed::rendered(session, called, arguments.deny, None, &report)?;
    Ok(session.print(&bytes, code))
}

/// The statements that a person has to run before heartbeats can be written.
fn print_sql(session: &Session, arguments: &ProbeArgs, chosen: &Chosen) -> Result<u8, Failure> {
    let table = arguments.heartbeat.as_deref().unwrap_or_default();
    let sql = match chosen {
        Chosen::Links { config, names } => runs::probe_setup(Some((config, names)), None, table)?,
        Chosen::Pair { source, replica } => runs::probe_setup(None, Some((source, replica)), table)?,
    };
    let document = serde_json::json!({"schema_version": 1, "message_type": "sql", "sql": sql});
    session.print_either(&sql, &document, 0)
}
