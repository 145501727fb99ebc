//! `paritas config`: validate and show.

use crate::commands::runtime;
use crate::configuration::{self, shown_path};
use crate::failure::{Failure, INCONCLUSIVE};
use crate::runs::{self, StoreCheck};
use crate::session::Session;
use paritas_config::Config;
use paritas_connect::Context;
use paritas_report::{Problem, RenderOptions, SCHEMA_VERSION, counted, escape, write_problem};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// A store that does not answer keeps the others waiting no longer than this.
const CONNECT_TIME: Duration = Duration::from_secs(60);

/// The document of `config check --json`.
#[derive(Debug, Serialize)]
struct Checked {
    schema_version: u32,
    message_type: &'static str,
    path: String,
    links: Vec<String>,
    stores: Vec<StoreChecked>,
    warnings: Vec<Warning>,
    not_executed: Vec<Left>,
    exit_code: u8,
}

#[derive(Debug, Serialize)]
struct StoreChecked {
    store: String,
    kind: &'static str,
    /// Whether it was tried.
    connected: Option<bool>,
    version: Option<String>,
    limits: Vec<String>,
    problem: Option<Problem>,
}

#[derive(Debug, Serialize)]
struct Warning {
    message: String,
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct Left {
    what: String,
    why: String,
}

/// Validates; with `connect` also tries the stores.
pub fn check(session: &Session, connect: bool) -> Result<u8, Failure> {
    let config = configuration::load(session)?;
    let tried = if connect { Some(try_stores(&config)?) } else { None };
    let code = match &tried {
        Some(checks) if checks.iter().any(|check| check.result.is_err()) => INCONCLUSIVE,
        _ => 0,
    };
    let document = document(&config, tried, code);
    let text = text(&document, &session.render_options(), connect)
        .map_err(|error| Failure::new("output.failed", INCONCLUSIVE, "cannot write the result").detail(error))?;
    session.print_either(&text, &document, code)
}

fn try_stores(config: &Config) -> Result<Vec<StoreCheck>, Failure> {
    let runtime = runtime()?;
    let checks = runtime.block_on(runs::check_stores(&Context::default().with_timeout(CONNECT_TIME), config));
    runtime.shutdown_background();
    Ok(checks)
}

fn document(config: &Config, tried: Option<Vec<StoreCheck>>, exit_code: u8) -> Checked {
    let mut tried = tried.map(Vec::into_iter);
    let stores = config.stores.iter().map(|store| {
        let check = tried.as_mut().and_then(Iterator::next);
        let limits = check.as_ref().map(|check| check.limits.clone()).unwrap_or_default();
        let result = check.map(|check| check.result);
        StoreChecked {
            store: store.name.clone(),
            kind: store.kind.as_str(),
            connected: result.as_ref().map(Result::is_ok),
            version: result.as_ref().and_then(|result| result.as_ref().ok().cloned()),
            limits,
            problem: result.and_then(Result::err),
        }
    });
    Checked {
        schema_version: SCHEMA_VERSION,
        message_type: "config_check",
        path: shown_path(config),
        links: configuration::link_names(config),
        stores: stores.collect(),
        warnings: config.warnings().into_iter().map(|w| Warning { message: w.to_string(), hint: w.hint }).collect(),
        not_executed: config.not_executed(None).into_iter().map(|n| Left { what: n.what, why: n.why }).collect(),
        exit_code,
    }
}

fn text(checked: &Checked, options: &RenderOptions, connect: bool) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let (stores, links) = (checked.stores.len() as u64, checked.links.len() as u64);
    writeln!(text, "{} is valid: {}, {}", escape(&checked.path), counted(stores, "store"), counted(links, "link"))?;
    for store in &checked.stores {
        let Some(connected) = store.connected else { continue };
        let version = store.version.as_deref().map(escape).unwrap_or_default();
        let word = if connected { "ok     " } else { "FAILED " };
        writeln!(text, "  {word} {} ({}) {version}", escape(&store.store), store.kind)?;
        store.limits.iter().try_for_each(|limit| writeln!(text, "          limit: {}", escape(limit)))?;
        if let Some(problem) = &store.problem {
            let mut bytes = Vec::new();
            let narrower = RenderOptions { width: options.width.saturating_sub(10), ..*options };
            write_problem(problem, &narrower, &mut bytes).map_err(|_| std::fmt::Error)?;
            for line in String::from_utf8_lossy(&bytes).lines() {
                writeln!(text, "          {line}")?;
            }
        }
    }
    for warning in &checked.warnings {
        let hint = warning.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        writeln!(text, "  warning: {}{}", escape(&warning.message), escape(&hint))?;
    }
    for left in &checked.not_executed {
        writeln!(text, "  not carried out: {}: {}", escape(&left.what), escape(&left.why))?;
    }
    if !connect {
        writeln!(text, "next: paritas config check --connect")?;
    }
    Ok(text)
}

/// The document of `config show --json`.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    schema_version: u32,
    message_type: &'static str,
    path: String,
    toml: &'a str,
}

/// Shows every setting with its origin.
pub fn show(session: &Session) -> Result<u8, Failure> {
    let config = configuration::load(session)?;
    let path = shown_path(&config);
    let document = Shown { schema_version: SCHEMA_VERSION, message_type: "config", path, toml: config.show() };
    session.print_either(config.show(), &document, 0)
}
