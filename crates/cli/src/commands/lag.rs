//! `paritas lag`: configured links, or two stores; once, for a while, or as a live view.

use super::verify::{Chosen, chosen};
use crate::arguments::{Deny, LagArgs};
use crate::commands::runtime;
use crate::configuration;
use crate::failure::{Failure, INCONCLUSIVE, INTERRUPTED};
use crate::interrupt::Interrupt;
use crate::output;
use crate::runs::{self, LagOptions, LagRun, Options};
use crate::session::{Session, Style};
use paritas_connect::{Context, redact_url};
use paritas_model::Verdict;
use paritas_report::{Called, Format, Human, Nagios, Report, nagios_code, shell_word};
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
    let runtime = runtime()?;
    let (report, interrupted) = runtime.block_on(async {
        let cx = Context::default();
        let interrupt = Interrupt::watch(cx.cancel_token().clone())
            .map_err(|error| Failure::new("internal", INCONCLUSIVE, "cannot receive signals").detail(error))?;
        let report = if arguments.watch {
            watch(session, arguments, &mut lag, &cx).await?
        } else {
            Some(lag.measure(&cx, LagOptions { run_for: arguments.run_for }).await)
        };
        Ok::<_, Failure>((report, interrupt.seen()))
    })?;
    runtime.shutdown_background();
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
    let deny_warnings = arguments.deny == Some(Deny::Warnings);
    let (format, code): (&dyn Format, u8) = match session.style {
        Style::Human => (&Human { called: called(session, arguments, report) }, report.exit_code),
        Style::Json => (&session.json(), report.exit_code),
        // An interrupted run proves nothing beyond what it found.
        Style::Nagios if report.exit_code == INTERRUPTED && report.verdict != Verdict::Fail => {
            (&Nagios { deny_warnings }, nagios_code(Verdict::Unknown, deny_warnings))
        }
        Style::Nagios => (&Nagios { deny_warnings }, nagios_code(report.verdict, deny_warnings)),
    };
    let mut bytes = Vec::new();
    format
        .write(report, &session.render_options(), &mut bytes)
        .map_err(|error| Failure::new("output.failed", INCONCLUSIVE, "cannot write the report").detail(error))?;
    Ok((bytes, code))
}

/// What the next command has to repeat. Passwords are not repeated.
fn called(session: &Session, arguments: &LagArgs, report: &Report) -> Called {
    let word = |text: &str| shell_word(&redact_url(text)).unwrap_or_else(|| "…".to_owned());
    let mut options = Vec::new();
    if let (Some(config), Some(_)) = (&session.config, &report.run.config) {
        options.extend(["-c".to_owned(), word(&config.display().to_string())]);
    }
    let ad_hoc = report.run.config.is_none();
    Called {
        options,
        stores: arguments.what.iter().filter(|_| ad_hoc).map(|store| word(store)).collect(),
        resume: None,
    }
}
