//! `paritas verify`: configured links, or two stores named by URL or path.

use super::chosen::{Chosen, chosen};
use super::printed::{self, word};
use crate::arguments::{self, Deny, ExitStyle, VerifyArgs};
use crate::commands::until_interrupted;
use crate::configuration;
use crate::failure::{Failure, INTERRUPTED};
use crate::progress::Display;
use crate::runs::{self, Manners, Monitor, Options};
use crate::session::{Session, Style};
use paritas_report::{Called, Report};

/// Verifies and reports; the exit code is that of the contract, or of the style asked for.
pub fn run(session: &Session, arguments: &VerifyArgs) -> Result<u8, Failure> {
    let chosen = choose(session, arguments)?;
    let mut options = options(session, arguments, &chosen);
    // Two stores need no configuration, but the privacy and the key of one that is named hold for them.
    if let (Chosen::Pair { .. }, Some(_)) = (&chosen, &session.config) {
        options = runs::with_secrets(&configuration::load(session)?, &options)?;
    }
    let monitor = Monitor::default();
    let display = Display::start(session, &monitor);
    let ended = until_interrupted(async |cx| {
        let cx = &cx.clone().with_parallel(options.parallel);
        if let Some(stored) = &arguments.against {
            return match &chosen {
                Chosen::Links { config, names } => {
                    runs::verify_links_against(cx, config, names, &options, &monitor, stored).await
                }
                Chosen::Pair { source, replica } => {
                    runs::verify_pair_against(cx, source, replica, &options, &monitor, stored).await
                }
            };
        }
        match &chosen {
            Chosen::Links { config, names } => runs::verify_links(cx, config, names, &options, &monitor).await,
            Chosen::Pair { source, replica } => runs::verify_pair(cx, source, replica, &options, &monitor).await,
        }
    });
    drop(display);
    let (result, interrupted) = ended?;
    let mut report = match result {
        Ok(report) => report,
        Err(error) => return Err(interrupted_failure(error.into(), interrupted)),
    };
    if interrupted {
        report.exit_code = INTERRUPTED;
    }
    let called = called(session, arguments, &report, options.state.is_some());
    let (bytes, code) = printed::rendered(session, called, arguments.deny, arguments.max_differences, &report)?;
    Ok(session.print(&bytes, code))
}

fn interrupted_failure(mut failure: Failure, interrupted: bool) -> Failure {
    if interrupted {
        failure.exit_code = INTERRUPTED;
    }
    failure
}

/// What the next command has to repeat, and how to go on where what was finished is kept.
fn called(session: &Session, arguments: &VerifyArgs, report: &Report, kept: bool) -> Called {
    let mut called = printed::called(session, &arguments.what, report);
    for policy in &arguments.policy {
        called.options.extend(["--policy".to_owned(), arguments::policy_text(*policy).to_owned()]);
    }
    if let Some(stored) = &arguments.against {
        called.options.push(format!("--against {}", word(&stored.to_string())));
    }
    if let Some(capacity) = arguments.capacity {
        called.options.push(format!("--capacity {capacity}"));
    }
    match arguments.method {
        None | Some(runs::Method::Auto) => {}
        Some(runs::Method::Rows) => called.options.push("--method rows".to_owned()),
        Some(runs::Method::Pages) => called.options.push("--method pages".to_owned()),
    }
    called.resume = kept.then(|| {
        let options = called.options.iter().cloned();
        let what = arguments.what.iter().map(|name| word(name));
        let words = ["paritas verify --resume".to_owned()].into_iter().chain(options).chain(what);
        words.collect::<Vec<String>>().join(" ")
    });
    called
}

fn options(session: &Session, arguments: &VerifyArgs, chosen: &Chosen) -> Options {
    let defaults = Options::default();
    let size = |asked: Option<u64>, default: usize| asked.map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    Options {
        state: session.state.clone().or_else(|| chosen.state()),
        max_differences: size(arguments.max_differences, defaults.max_differences),
        budget: arguments.budget,
        parallel: size(arguments.parallel, defaults.parallel),
        capacity: arguments.capacity.unwrap_or(defaults.capacity),
        deny_warnings: arguments.deny == Some(Deny::Warnings),
        policies: arguments::policies(&arguments.policy),
        settle: arguments.settle.unwrap_or(defaults.settle),
        method: arguments.method.unwrap_or_default(),
        save_digest: arguments.save_digest.clone(),
        manners: Manners {
            rate: arguments.rate.iter().copied().collect(),
            pause_lag: arguments.pause_lag,
            view_max: arguments.view_max,
        },
        quick: arguments.quick,
        resume: arguments.resume,
        ..defaults
    }
}

fn choose(session: &Session, arguments: &VerifyArgs) -> Result<Chosen, Failure> {
    debug_assert!(arguments.exit_style != Some(ExitStyle::Nagios) || session.style == Style::Nagios);
    if arguments.what.is_empty() {
        no_digest_of_links(arguments)?;
    }
    let chosen = chosen(session, &arguments.what, "verify")?;
    if matches!(chosen, Chosen::Links { .. }) {
        no_digest_of_links(arguments)?;
    }
    Ok(chosen)
}

fn no_digest_of_links(arguments: &VerifyArgs) -> Result<(), Failure> {
    match arguments.save_digest {
        None => Ok(()),
        Some(_) => Err(Failure::usage(
            "`--save-digest` needs a source and a replica",
            "write `paritas verify --save-digest FILE SOURCE REPLICA`",
        )),
    }
}
