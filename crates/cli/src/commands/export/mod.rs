//! `paritas export`: units of a timer that calls `paritas run` as often as the schedule wants it, and what others need to
//! watch its metrics.

mod cronjob;
mod every;
mod grafana;
mod rules;
mod systemd;

use crate::arguments::{ExportCommand, SystemdArgs};
use crate::configuration;
use crate::failure::{Failure, USAGE};
use crate::session::Session;
use every::Every;
use paritas_config::Config;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Prints what was asked for, or writes it into a folder.
pub fn run(session: &Session, command: &ExportCommand) -> Result<u8, Failure> {
    match command {
        ExportCommand::Systemd(arguments) => {
            let config = configuration::load(session)?;
            let every = Every::of(interval(&config)?);
            let units = systemd::units(&systemd::Facts {
                program: &program(arguments)?,
                config: &absolute(&config.path)?,
                state: &absolute(&state(session, &config)?)?,
                given_state: session.state.is_some(),
                user: arguments.user.as_deref(),
                every,
            });
            match &arguments.dir {
                None => {
                    let text: Vec<String> = units.iter().map(|(name, text)| format!("# {name}\n{text}")).collect();
                    Ok(session.print(text.join("\n").as_bytes(), 0))
                }
                Some(dir) => {
                    for (name, text) in &units {
                        written(&dir.join(name), text)?;
                    }
                    let said = format!(
                        "wrote {} and {}; next: systemctl daemon-reload && systemctl enable --now paritas.timer\n",
                        dir.join("paritas.service").display(),
                        dir.join("paritas.timer").display()
                    );
                    Ok(session.print(said.as_bytes(), 0))
                }
            }
        }
        ExportCommand::Cronjob(arguments) => {
            let every = Every::of(interval(&configuration::load(session)?)?);
            let text = cronjob::manifest(&arguments.image, arguments.namespace.as_deref(), every);
            Ok(session.print(text.as_bytes(), 0))
        }
        ExportCommand::PrometheusRules(arguments) => {
            let config = configuration::load(session)?;
            let text = rules::rules(&arguments.metrics_prefix, config.schedule.as_ref());
            Ok(session.print(text.as_bytes(), 0))
        }
        ExportCommand::Grafana(arguments) => {
            Ok(session.print(grafana::dashboard(&arguments.metrics_prefix).as_bytes(), 0))
        }
    }
}

/// The shortest interval of the schedule.
fn interval(config: &Config) -> Result<Duration, Failure> {
    let schedule = config.schedule.clone().unwrap_or_default();
    let verify = schedule.verify.as_ref().map(|verify| verify.every / verify.slices.max(1));
    [schedule.lag, schedule.snapshot, verify].into_iter().flatten().min().ok_or_else(|| {
        Failure::new("config.schedule", USAGE, "nothing is scheduled")
            .hint("say in [schedule] how often: lag = \"30s\", snapshot = \"15m\", verify = \"1d\"")
    })
}

fn state(session: &Session, config: &Config) -> Result<PathBuf, Failure> {
    session.state.clone().or_else(|| config.state.clone()).ok_or_else(|| {
        Failure::new("usage.state", USAGE, "a timer needs a state folder, to know what it has done")
            .hint("name the folder with --state DIR, or set `state` in [paritas]")
    })
}

fn program(arguments: &SystemdArgs) -> Result<PathBuf, Failure> {
    match &arguments.program {
        Some(program) => absolute(program),
        None => std::env::current_exe().map_err(|error| {
            Failure::usage("the path of this program is not known", "name it with --program PATH").detail(error)
        }),
    }
}

/// A path that does not depend on where somebody stands.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        let message = format!("{} cannot be made an absolute path", path.display());
        Failure::usage(message, "write the whole path").detail(error)
    })
}

fn written(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| {
        Failure::usage(format!("cannot write {}", path.display()), "name a folder that exists and may be written to")
            .detail(error)
    })
}
