//! `paritas verify`: configured links, or two stores named by URL or path.

use crate::arguments::{self, Deny, ExitStyle, VerifyArgs};
use crate::commands::runtime;
use crate::configuration;
use crate::failure::{Failure, INCONCLUSIVE, INTERRUPTED};
use crate::interrupt::Interrupt;
use crate::progress::Display;
use crate::runs::{self, Monitor, Options};
use crate::session::{Session, Style};
use paritas_config::Config;
use paritas_connect::{Context, redact_url};
use paritas_model::Verdict;
use paritas_report::{Called, Format, Human, Nagios, RenderOptions, Report, nagios_code, shell_word};
use std::path::Path;

/// What is to be verified, or looked at otherwise.
#[derive(Debug)]
pub(super) enum Chosen {
    /// Configured links; none means all.
    Links { config: Box<Config>, names: Vec<String> },
    /// Two stores.
    Pair { source: String, replica: String },
}

/// Verifies and reports; the exit code is that of the contract, or of the style asked for.
pub fn run(session: &Session, arguments: &VerifyArgs) -> Result<u8, Failure> {
    let chosen = choose(session, arguments)?;
    let mut options = options(session, arguments, &chosen);
    // Two stores need no configuration, but the privacy and the key of one that is named hold for them.
    if let (Chosen::Pair { .. }, Some(_)) = (&chosen, &session.config) {
        options = runs::with_secrets(&configuration::load(session)?, &options)?;
    }
    let monitor = Monitor::default();
    let runtime = runtime()?;
    let display = Display::start(session, &monitor);
    let (result, interrupted) = runtime.block_on(async {
        let cx = Context::default().with_parallel(options.parallel);
        let interrupt = Interrupt::watch(cx.cancel_token().clone())
            .map_err(|error| Failure::new("internal", INCONCLUSIVE, "cannot receive signals").detail(error))?;
        let result = match &chosen {
            Chosen::Links { config, names } => runs::verify_links(&cx, config, names, &options, &monitor).await,
            Chosen::Pair { source, replica } => runs::verify_pair(&cx, source, replica, &options, &monitor).await,
        };
        Ok::<_, Failure>((result, interrupt.seen()))
    })?;
    drop(display);
    // A reader blocked in a system call must not keep the result from being printed.
    runtime.shutdown_background();
    let mut report = match result {
        Ok(report) => report,
        Err(error) => return Err(interrupted_failure(error.into(), interrupted)),
    };
    if interrupted {
        report.exit_code = INTERRUPTED;
    }
    print(session, arguments, &report, options.state.is_some())
}

fn interrupted_failure(mut failure: Failure, interrupted: bool) -> Failure {
    if interrupted {
        failure.exit_code = INTERRUPTED;
    }
    failure
}

fn print(session: &Session, arguments: &VerifyArgs, report: &Report, kept: bool) -> Result<u8, Failure> {
    let deny_warnings = arguments.deny == Some(Deny::Warnings);
    let max_items = match arguments.max_differences {
        Some(asked) => usize::try_from(asked).unwrap_or(usize::MAX),
        None => RenderOptions::MAX_ITEMS_DEFAULT,
    };
    let options = RenderOptions { max_items, ..session.render_options() };
    let (format, code): (&dyn Format, u8) = match session.style {
        Style::Human => (&Human { called: called(session, arguments, report, kept) }, report.exit_code),
        Style::Json => (&session.json(), report.exit_code),
        // An interrupted run proves nothing beyond what it found.
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
fn called(session: &Session, arguments: &VerifyArgs, report: &Report, kept: bool) -> Called {
    let word = |text: &str| shell_word(&redact_url(text)).unwrap_or_else(|| "…".to_owned());
    let mut options = Vec::new();
    if let (Some(config), Some(_)) = (&session.config, &report.run.config) {
        options.extend(["-c".to_owned(), word(&config.display().to_string())]);
    }
    for policy in &arguments.policy {
        options.extend(["--policy".to_owned(), arguments::policy_text(*policy).to_owned()]);
    }
    if let Some(capacity) = arguments.capacity {
        options.push(format!("--capacity {capacity}"));
    }
    match arguments.method {
        None | Some(runs::Method::Auto) => {}
        Some(runs::Method::Rows) => options.push("--method rows".to_owned()),
        Some(runs::Method::Pages) => options.push("--method pages".to_owned()),
    }
    let ad_hoc = report.run.config.is_none();
    let resume = kept.then(|| {
        let state = session.state.as_ref().map(|state| format!("--state {}", word(&state.display().to_string())));
        let what = arguments.what.iter().map(|name| word(name));
        let words = ["paritas verify --resume".to_owned()].into_iter().chain(state).chain(options.clone()).chain(what);
        words.collect::<Vec<String>>().join(" ")
    });
    Called { options, resume, stores: arguments.what.iter().filter(|_| ad_hoc).map(|store| word(store)).collect() }
}

fn options(session: &Session, arguments: &VerifyArgs, chosen: &Chosen) -> Options {
    let configured = match chosen {
        Chosen::Links { config, .. } => config.state.clone(),
        Chosen::Pair { .. } => None,
    };
    let defaults = Options::default();
    let size = |asked: Option<u64>, default: usize| asked.map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    Options {
        state: session.state.clone().or(configured),
        max_differences: size(arguments.max_differences, defaults.max_differences),
        budget: arguments.budget,
        parallel: size(arguments.parallel, defaults.parallel),
        capacity: arguments.capacity.unwrap_or(defaults.capacity),
        deny_warnings: arguments.deny == Some(Deny::Warnings),
        policies: arguments::policies(&arguments.policy),
        settle: arguments.settle.unwrap_or(defaults.settle),
        method: arguments.method.unwrap_or_default(),
        save_digest: arguments.save_digest.clone(),
        view_max: arguments.view_max.unwrap_or(defaults.view_max),
        quick: arguments.quick,
        pause_lag: arguments.pause_lag,
        rate: arguments::rates(&arguments.rate),
        resume: arguments.resume,
        ..defaults
    }
}

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// A configured link.
    Link,
    /// A store, by its prefix or by being a path.
    Store,
    /// Neither.
    Nothing,
}

/// A name can be spelled like a path; a configured link wins.
fn names(argument: &str, configured: &[String]) -> Names {
    if configured.iter().any(|name| name == argument) {
        Names::Link
    } else if runs::looks_like_target(argument) {
        Names::Store
    } else {
        Names::Nothing
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

/// What the arguments of a command name: links, or two stores.
pub(super) fn chosen(session: &Session, what: &[String], command: &str) -> Result<Chosen, Failure> {
    if what.is_empty() {
        let config = Box::new(configuration::load(session)?);
        return Ok(Chosen::Links { config, names: Vec::new() });
    }
    // Stores need no configuration, so a broken one must not keep them from being verified.
    let certain = what.iter().all(|argument| certainly_a_store(argument));
    let config = if certain { None } else { configuration::load_if_any(session)? };
    let configured = config.as_ref().map(configuration::link_names).unwrap_or_default();
    let kinds: Vec<Names> = what.iter().map(|argument| names(argument, &configured)).collect();
    match (what, kinds.as_slice(), config) {
        (all, kinds, Some(config)) if kinds.iter().all(|kind| *kind == Names::Link) => {
            Ok(Chosen::Links { config: Box::new(config), names: all.to_vec() })
        }
        ([source, replica], [Names::Store, Names::Store], _) => {
            Ok(Chosen::Pair { source: source.clone(), replica: replica.clone() })
        }
        (_, _, config) => Err(misnamed(what, &kinds, config.as_ref(), command)),
    }
}

/// Prefixes of stores, also of kinds that only a later version knows.
const PREFIXES: [&str; 10] =
    ["parquet:", "csv:", "digest:", "files:", "kafka:", "redis:", "rediss:", "iceberg:", "delta:", "file:"];

/// Whether an argument cannot be the name of a link, so that no configuration is needed.
fn certainly_a_store(argument: &str) -> bool {
    argument.contains("://")
        || argument.starts_with(['/', '.'])
        || PREFIXES.iter().any(|prefix| argument.starts_with(prefix))
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

/// Says what is wrong about a list of arguments that is neither links nor two stores.
fn misnamed(what: &[String], kinds: &[Names], config: Option<&Config>, command: &str) -> Failure {
    let of =
        |wanted: Names| what.iter().zip(kinds).find(|(_, kind)| **kind == wanted).map(|(word, _)| redact_url(word));
    if let Some(unknown) = of(Names::Nothing) {
        return unknown_name(&unknown, config);
    }
    if let (Some(link), Some(store)) = (of(Names::Link), of(Names::Store)) {
        let hint = if Path::new(&link).exists() {
            format!("`{link}` is a configured link; write `./{link}` for the path")
        } else {
            format!("{command} links by their names, or two stores as SOURCE REPLICA")
        };
        return Failure::usage(format!("a link and a store cannot be mixed: `{link}` and `{store}`"), hint);
    }
    let message = match what {
        [only] => format!("`{}` is one store; two are needed", redact_url(only)),
        several => format!("{} stores were named; exactly two are needed", several.len()),
    };
    Failure::usage(message, format!("write `paritas {command} SOURCE REPLICA`"))
}

fn unknown_name(unknown: &str, config: Option<&Config>) -> Failure {
    let failure = |hint: String| Failure::usage(format!("`{unknown}` is neither a configured link nor a store"), hint);
    let Some(config) = config.filter(|config| !config.links.is_empty()) else {
        let place = config.map_or_else(
            || "there is no configuration".to_owned(),
            |config| format!("{} has no links", configuration::shown_path(config)),
        );
        return failure(format!("{place}; check the path, or write a kind in front of it, such as parquet:{unknown}"));
    };
    match config.nearest_link(unknown) {
        Some(near) => failure(format!("did you mean `{near}`?")),
        None => failure(format!("configured links are {}", configuration::link_names(config).join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_link_wins_over_a_path_of_the_same_spelling() {
        let configured = ["src".to_owned(), "a/b".to_owned()];
        assert_eq!(names("src", &configured), Names::Link);
        assert_eq!(names("a/b", &configured), Names::Link);
        assert_eq!(names("src", &[]), Names::Store);
        assert_eq!(names("parquet:x", &configured), Names::Store);
        assert_eq!(names("trading", &configured), Names::Nothing);
    }
}
