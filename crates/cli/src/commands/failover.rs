//! `paritas failover`: after a promotion, what was lost and whether to go on.

use crate::arguments::{Deny, ExitStyle, FailoverArgs};
use crate::commands::runtime;
use crate::configuration;
use crate::failure::{Failure, INCONCLUSIVE, INTERRUPTED};
use crate::interrupt::Interrupt;
use crate::runs::{self, Failover, Options};
use crate::session::{Session, Style};
use paritas_config::Config;
use paritas_connect::{Context, redact_url};
use paritas_model::Verdict;
use paritas_report::{Called, Format, Human, Nagios, RenderOptions, Report, nagios_code, shell_word};

/// What is to be looked at.
#[derive(Debug)]
enum Chosen {
    /// Configured links; none means all.
    Links { config: Box<Config>, names: Vec<String> },
    /// The old primary and the new one.
    Pair { source: String, replica: String },
}

/// Looks and reports; the exit code is that of the contract, or of the style asked for.
pub fn run(session: &Session, arguments: &FailoverArgs) -> Result<u8, Failure> {
    let chosen = choose(session, arguments)?;
    let mut options = options(session, arguments, &chosen);
    if let (Chosen::Pair { .. }, Some(_)) = (&chosen, &session.config) {
        options = runs::with_secrets(&configuration::load(session)?, &options)?;
    }
    let left =
        Failover { data_directories: arguments.data_directory.clone(), wal_archives: arguments.wal_archive.clone() };
    let runtime = runtime()?;
    let (result, interrupted) = runtime.block_on(async {
        let cx = Context::default();
        let interrupt = Interrupt::watch(cx.cancel_token().clone())
            .map_err(|error| Failure::new("internal", INCONCLUSIVE, "cannot receive signals").detail(error))?;
        let result = match &chosen {
            Chosen::Links { config, names } => runs::failover_links(&cx, config, names, &options, &left).await,
            Chosen::Pair { source, replica } => runs::failover_pair(&cx, source, replica, &options, &left).await,
        };
        Ok::<_, Failure>((result, interrupt.seen()))
    })?;
    // A reader of a log that is still at work must not keep the result from being printed.
    runtime.shutdown_background();
    let mut report = result.map_err(Failure::from)?;
    if interrupted {
        report.exit_code = INTERRUPTED;
    }
    print(session, arguments, &report)
}

fn print(session: &Session, arguments: &FailoverArgs, report: &Report) -> Result<u8, Failure> {
    let deny_warnings = arguments.deny == Some(Deny::Warnings);
    let max_items = arguments
        .max_differences
        .map_or(RenderOptions::MAX_ITEMS_DEFAULT, |asked| usize::try_from(asked).unwrap_or(usize::MAX));
    let options = RenderOptions { max_items, ..session.render_options() };
    let (format, code): (&dyn Format, u8) = match session.style {
        Style::Human => (&Human { called: called(session, arguments, report) }, report.exit_code),
        Style::Json => (&session.json(), report.exit_code),
        Style::Nagios if report.exit_code == INTERRUPTED && report.verdict != Verdict::Fail => {
            (&Nagios { deny_warnings }, nagios_code(Verdict::Unknown, deny_warnings))
        }
        Style::Nagios => (&Nagios { deny_warnings }, nagios_code(report.verdict, deny_warnings)),
    };
    let mut bytes = Vec::new();
    format
        .write(report, &options, &mut bytes)
        .map_err(|error| Failure::new("output.failed", INCONCLUSIVE, "cannot write the report").detail(error))?;
    Ok(session.print(&bytes, code))
}

/// What the next command has to repeat. Passwords are not repeated.
fn called(session: &Session, arguments: &FailoverArgs, report: &Report) -> Called {
    let word = |text: &str| shell_word(&redact_url(text)).unwrap_or_else(|| "…".to_owned());
    let mut options = Vec::new();
    if let (Some(config), Some(_)) = (&session.config, &report.run.config) {
        options.extend(["-c".to_owned(), word(&config.display().to_string())]);
    }
    let folders = [("--data-directory", &arguments.data_directory), ("--wal-archive", &arguments.wal_archive)];
    for (name, paths) in folders {
        options.extend(paths.iter().map(|path| format!("{name} {}", word(&path.display().to_string()))));
    }
    let ad_hoc = report.run.config.is_none();
    Called { options, stores: arguments.what.iter().filter(|_| ad_hoc).map(|store| word(store)).collect() }
}

fn options(session: &Session, arguments: &FailoverArgs, chosen: &Chosen) -> Options {
    let configured = match chosen {
        Chosen::Links { config, .. } => config.state.clone(),
        Chosen::Pair { .. } => None,
    };
    let defaults = Options::default();
    Options {
        state: session.state.clone().or(configured),
        max_differences: arguments
            .max_differences
            .map_or(defaults.max_differences, |asked| usize::try_from(asked).unwrap_or(usize::MAX)),
        budget: arguments.budget.map(runs::Budget::Time),
        deny_warnings: arguments.deny == Some(Deny::Warnings),
        ..defaults
    }
}

/// Two stores, or names of links.
fn choose(session: &Session, arguments: &FailoverArgs) -> Result<Chosen, Failure> {
    debug_assert!(arguments.exit_style != Some(ExitStyle::Nagios) || session.style == Style::Nagios);
    let what = &arguments.what;
    let stores = what.iter().filter(|argument| runs::looks_like_target(argument)).count();
    if stores > 0 {
        let config = if what.iter().all(|argument| argument.contains("://")) {
            None
        } else {
            configuration::load_if_any(session)?
        };
        // A configured link wins over a path of the same spelling.
        let links = config.as_ref().is_some_and(|config| what.iter().all(|name| config.link(name).is_some()));
        return match (what.as_slice(), config.filter(|_| links)) {
            (names, Some(config)) => Ok(Chosen::Links { config: Box::new(config), names: names.to_vec() }),
            ([source, replica], None) if stores == 2 => {
                Ok(Chosen::Pair { source: source.clone(), replica: replica.clone() })
            }
            _ => Err(Failure::usage(
                format!("{} arguments name neither links nor two servers", what.len()),
                "write `paritas failover SOURCE REPLICA`, the old primary first, or names of configured links",
            )),
        };
    }
    Ok(Chosen::Links { config: Box::new(configuration::load(session)?), names: what.clone() })
}
