//! `paritas ledger`: figures of configured links, or of two stores named by URL or path.

use super::chosen::{Chosen, chosen};
use super::printed::{self, word};
use crate::arguments::{Deny, LedgerArgs};
use crate::commands::until_interrupted;
use crate::configuration;
use crate::failure::{Failure, INTERRUPTED};
use crate::progress::Display;
use crate::runs::{self, Manners, Monitor, Options, Reconcile};
use crate::session::Session;
use paritas_report::{Called, Report};

/// Reconciles and reports; the exit code is that of the contract, or of the style asked for.
pub fn run(session: &Session, arguments: &LedgerArgs) -> Result<u8, Failure> {
    let chosen = chosen(session, &arguments.what, "ledger")?;
    fits(arguments, &chosen)?;
    let mut options = options(session, arguments, &chosen);
    // Two stores need no configuration, but the privacy of one that is named holds for them.
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
                    runs::ledger_links_against(cx, config, names, &options, &monitor, stored).await
                }
                Chosen::Pair { source, replica } => {
                    runs::ledger_pair_against(cx, (source, replica), &options, &monitor, stored).await
                }
            };
        }
        match &chosen {
            Chosen::Links { config, names } => runs::ledger_links(cx, config, names, &options, &monitor).await,
            Chosen::Pair { source, replica } => {
                runs::ledger_pair(cx, (source, replica), &reconcile(arguments), &options, &monitor).await
            }
        }
    });
    drop(display);
    let (result, interrupted) = ended?;
    let mut report = result.map_err(|error| {
        let failure = Failure::from(error);
        let exit_code = if interrupted { INTERRUPTED } else { failure.exit_code };
        Failure { exit_code, ..failure }
    })?;
    if interrupted {
        report.exit_code = INTERRUPTED;
    }
    let called = called(session, arguments, &report);
    let (bytes, code) = printed::rendered(session, called, arguments.deny, arguments.max_differences, &report)?;
    Ok(session.print(&bytes, code))
}

fn reconcile(arguments: &LedgerArgs) -> Reconcile {
    Reconcile {
        group_by: arguments.group_by.clone(),
        count: !arguments.no_count,
        sum: arguments.sum.clone(),
        min: arguments.min.clone(),
        max: arguments.max.clone(),
        zero_sum: arguments.zero_sum.clone(),
    }
}

/// The options that say what to reconcile, each with its columns.
fn lists(arguments: &LedgerArgs) -> [(&'static str, &[String]); 5] {
    [
        ("--group-by", &arguments.group_by),
        ("--sum", &arguments.sum),
        ("--min", &arguments.min),
        ("--max", &arguments.max),
        ("--zero-sum", &arguments.zero_sum),
    ]
}

/// Whether the options go with each other and with what was named.
fn fits(arguments: &LedgerArgs, chosen: &Chosen) -> Result<(), Failure> {
    let given = lists(arguments).into_iter().find(|(_, columns)| !columns.is_empty()).map(|(option, _)| option);
    let given = given.or(arguments.no_count.then_some("--no-count"));
    if let (Chosen::Links { .. }, Some(option)) = (chosen, given) {
        let hint = "write it in [[link.ledger]] of the configuration, or name a source and a replica";
        return Err(Failure::usage(
            format!("`{option}` says what two stores are asked, and links say it themselves"),
            hint,
        ));
    }
    let [groups, amounts @ ..] = lists(arguments);
    for (option, columns) in amounts {
        if let Some(both) = columns.iter().find(|column| groups.1.contains(column)) {
            let hint = "all values of it in a group are equal: take it out of one of the two";
            return Err(Failure::usage(format!("`{both}` is named by --group-by and by {option}"), hint));
        }
    }
    for (option, columns) in lists(arguments) {
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = columns.iter().find(|column| column.is_empty() || !seen.insert(*column)) {
            let what = if twice.is_empty() { "a column without a name".to_owned() } else { format!("`{twice}` twice") };
            return Err(Failure::usage(
                format!("{option} names {what}"),
                format!("name each column once: {option} a,b"),
            ));
        }
    }
    if arguments.no_count && lists(arguments).iter().skip(1).all(|(_, columns)| columns.is_empty()) {
        let hint = "leave --no-count out, or name columns with --sum, --min, --max or --zero-sum";
        return Err(Failure::usage("nothing is reconciled", hint));
    }
    Ok(())
}

fn options(session: &Session, arguments: &LedgerArgs, chosen: &Chosen) -> Options {
    let defaults = Options::default();
    let size = |asked: Option<u64>, default: usize| asked.map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    Options {
        state: session.state.clone().or_else(|| chosen.state()),
        max_differences: size(arguments.max_differences, defaults.max_differences),
        budget: arguments.budget,
        parallel: size(arguments.parallel, defaults.parallel),
        deny_warnings: arguments.deny == Some(Deny::Warnings),
        settle: arguments.settle.unwrap_or(defaults.settle),
        manners: Manners {
            rate: arguments.rate.iter().copied().collect(),
            pause_lag: arguments.pause_lag,
            ..Manners::default()
        },
        ledger_memory: arguments.memory.unwrap_or(defaults.ledger_memory),
        ..defaults
    }
}

/// What the next command has to repeat.
fn called(session: &Session, arguments: &LedgerArgs, report: &Report) -> Called {
    let mut called = printed::called(session, &arguments.what, report);
    for (option, columns) in lists(arguments) {
        if !columns.is_empty() {
            called.options.push(format!("{option} {}", word(&columns.join(","))));
        }
    }
    if let Some(stored) = &arguments.against {
        called.options.push(format!("--against {}", word(&stored.to_string())));
    }
    if arguments.no_count {
        called.options.push("--no-count".to_owned());
    }
    called
}
