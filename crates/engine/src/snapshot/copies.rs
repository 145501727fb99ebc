//! Copies of snapshots in another place, so that they survive the region in which they were taken.
//!
//! A copy that fails is a warning of the run that took the snapshot: the one in the state folder is there, and is what
//! counts. `verify --against URL` takes a copy from wherever it is.

use super::Stored;
use crate::error::problem_of;
use crate::keep::Keeper;
use crate::registry::usage;
use crate::{Error, Options, Result};
use paritas_config::{CopyConfig, OptionValue};
use paritas_connect::Context;
use paritas_connect_lake::{Copies, LakeOptions, Location};
use paritas_model::Verdict;
use paritas_report::{Check, LinkReport};
use std::path::PathBuf;

/// A place under the settings of the configured one; without any those of the environment hold.
///
/// # Errors
/// A secret that cannot be had, a place or an option that cannot be (exit code 2).
fn open(url: &str, configured: Option<&CopyConfig>) -> Result<Copies> {
    let mut options = LakeOptions::default();
    for (name, value) in configured.into_iter().flat_map(|configured| &configured.options) {
        match value {
            OptionValue::Plain(text) => options.set(name, text).map_err(usage)?,
            OptionValue::Secret(secret) => {
                let secret = secret.resolve().map_err(|error| usage(error.context("snapshot_copy")))?;
                options.settings.insert(name.to_ascii_lowercase(), secret);
            }
        }
    }
    Copies::new(&Location::parse(url).map_err(usage)?, &options).map_err(usage)
}

/// Copies what was just kept of these links.
pub(crate) async fn copy_all(cx: &Context, options: &Options, keeper: &Keeper, links: &mut [LinkReport]) {
    let (Some(target), Some(state)) = (&options.snapshot_copy, keeper.state()) else { return };
    for link in links {
        let kept = link.checks.iter_mut().find_map(|check| match check {
            Check::Snapshot(check) if check.snapshot.is_some() => Some(check),
            _ => None,
        });
        let (Some(check), Some((file, folder))) = (kept, state.snapshot_file(&link.name, keeper.id())) else {
            continue;
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copied = match open(&target.url, Some(target)) {
            Ok(copies) => copies.put(cx, &[&folder, &name], &file).await.map_err(|error| problem_of(&error)),
            Err(error) => Err(error.problem().clone()),
        };
        match copied {
            Ok(shown) => check.notes.push(format!("copied to {shown}")),
            Err(problem) => {
                let detail = problem.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
                let hint = problem.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
                let message = format!("not copied to {}: {}{detail}{hint}", target.url, problem.message);
                tracing::warn!(link = link.name, "{message}");
                check.notes.push(message);
                check.verdict = check.verdict.max(Verdict::Warn);
                link.verdict = link.verdict.max(Verdict::Warn);
            }
        }
    }
}

/// A snapshot that was brought here; its folder goes with the value.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) stored: Stored,
    _folder: Option<tempfile::TempDir>,
}

/// Brings a snapshot here that is somewhere else.
///
/// # Errors
/// Exit code 2 for a place that cannot be, 3 where it cannot be read.
pub(super) async fn fetch(cx: &Context, stored: &Stored, options: &Options) -> Result<Fetched> {
    let Stored::Url(url) = stored else { return Ok(Fetched { stored: stored.clone(), _folder: None }) };
    let failed = |error: std::io::Error| {
        let hint = "make room for it, or name another folder in TMPDIR";
        Error::inconclusive(paritas_report::Problem {
            code: "snapshot.fetch".to_owned(),
            message: "there is no folder to read the snapshot into".to_owned(),
            detail: Some(error.to_string()),
            hint: Some(hint.to_owned()),
        })
    };
    let folder = tempfile::Builder::new().prefix("paritas-snapshot-").tempdir().map_err(failed)?;
    let file: PathBuf = folder.path().join("fetched.snapshot");
    let got = open(url, options.snapshot_copy.as_ref())?.get(cx, &file).await;
    got.map_err(|error| Error::inconclusive(problem_of(&error)))?;
    Ok(Fetched { stored: Stored::File(file), _folder: Some(folder) })
}
