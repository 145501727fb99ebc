//! `paritas run`: what a timer calls. One line, one exit code.

use crate::arguments::{Deny, RunArgs};
use crate::commands::until_interrupted;
use crate::configuration;
use crate::failure::{Failure, INCONCLUSIVE, INTERRUPTED};
use crate::output;
use crate::progress::Display;
use crate::runs::{self, Manners, Monitor, Options};
use crate::session::{Session, Style};
use paritas_config::Config;
use paritas_model::Verdict;
use paritas_report::{Metrics, nagios_code};
use std::path::Path;

/// Metrics of the last run of every job, replaced at once.
fn textfile(path: &Path, config: &Config, options: &Options) -> Result<(), Failure> {
    let reports = runs::last_runs(config, options).map_err(Failure::from)?;
    output::write_file(path, |out| Metrics::default().write_all(&reports, out)).map_err(|error| {
        Failure::new("output.failed", INCONCLUSIVE, format!("cannot write {}", path.display()))
            .detail(error)
            .hint("name a file in a folder that exists and may be written to")
    })
}

/// Does what is due and says so; the exit code is that of the contract, or of the style asked for.
pub fn run(session: &Session, arguments: &RunArgs) -> Result<u8, Failure> {
    let config = configuration::load(session)?;
    let defaults = Options::default();
    let deny_warnings = arguments.deny == Some(Deny::Warnings);
    let options = Options {
        state: session.state.clone(),
        deny_warnings,
        budget: arguments.budget,
        parallel: arguments.parallel.map_or(defaults.parallel, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        manners: Manners { rate: arguments.rate.iter().copied().collect(), ..defaults.manners },
        ..defaults
    };
    let monitor = Monitor::default();
    let display = Display::start(session, &monitor);
    let ended = until_interrupted(async |cx| runs::run_due(cx, &config, &arguments.what, &options, &monitor).await);
    drop(display);
    let (document, interrupted) = ended?;
    let mut document = document.map_err(Failure::from)?;
    if interrupted {
        document.exit_code = INTERRUPTED;
    }
    if let Some(path) = arguments.textfile.as_deref().filter(|path| !document.jobs.is_empty() || !path.exists())
        && let Err(failure) = textfile(path, &config, &options)
    {
        // What was found weighs more than that nobody can see it.
        session.complain(&failure);
        document.exit_code = if document.exit_code == 0 { INCONCLUSIVE } else { document.exit_code };
    }
    if session.style == Style::Nagios {
        // An interrupted run proves nothing beyond what it found.
        let verdict = match document.verdict {
            Verdict::Fail => Verdict::Fail,
            _ if interrupted => Verdict::Unknown,
            verdict => verdict,
        };
        let code = nagios_code(verdict, deny_warnings);
        let word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"].get(usize::from(code)).copied().unwrap_or("UNKNOWN");
        return Ok(session.print(format!("PARITAS {word} - {}", document.line()).as_bytes(), code));
    }
    session.print_either(&document.line(), &document, document.exit_code)
}
