//! `paritas lag`: configured links, or two stores; once, for a while, or as a live view.

use super::chosen::{Chosen, chosen};
use super::printed;
use crate::arguments::{Deny, LagArgs};
use crate::commands::until_interrupted;
use crate::configuration;
use crate::failure::{Failure, INTERRUPTED};
use crate::output;
use crate::runs::{self, LagOptions, LagRun, Options};
use crate::session::Session;
use paritas_connect::Context;
use paritas_report::Report;
use std::time::Duration;

/// Time between two looks of a live view.
const REFRESH: Duration = Duration::from_secs(1);
/// Cursor to the upper left corner, and everything gone.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

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
    let (report, interrupted) = until_interrupted(async |cx| {
        if arguments.watch {
            watch(session, arguments, &mut lag, cx).await
        } else {
            Ok(Some(lag.measure(cx, LagOptions { run_for: arguments.run_for }).await))
        }
    })?;
    let report = report?;
    let Some(mut report) = report else { return Ok(INTERRUPTED) };
    if interrupted {
        report.exit_code = INTERRUPTED;
    }
    let (bytes, code) = rendered(session, arguments, &report)?;
    Ok(session.print(&bytes, code))
}

/// Shows the lag again and again. Only an interrupt ends it, or a reader that has gone.
async fn watch(
    session: &Session,
    arguments: &LagArgs,
    lag: &mut LagRun,
    cx: &Context,
) -> Result<Option<Report>, Failure> {
    lag.keep_nothing();
    while !cx.cancel_token().is_cancelled() {
        let report = lag.measure(cx, LagOptions::default()).await;
        if cx.cancel_token().is_cancelled() {
            break;
        }
        let (bytes, _) = rendered(session, arguments, &report)?;
        let mut page = if output::stdout_is_terminal() { CLEAR.to_vec() } else { Vec::new() };
        page.extend(bytes);
        if session.print(&page, 0) != 0 {
            break;
        }
        tokio::select! {
            () = cx.cancel_token().cancelled() => {}
            () = tokio::time::sleep(REFRESH) => {}
        }
    }
    Ok(None)
}

fn rendered(session: &Session, arguments: &LagArgs, report: &Report) -> Result<(Vec<u8>, u8), Failure> {
    let called = printed::called(session, &arguments.what, report);
    printed::rendered(session, called, arguments.deny, None, report)
}
