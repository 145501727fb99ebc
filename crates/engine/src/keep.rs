//! Keeping what a run found. A state that cannot be written never costs a verdict.

use crate::Options;
use jiff::Timestamp;
use paritas_connect::Context;
use paritas_digest::Digest;
use paritas_report::{NotChecked, Report, Run};
use paritas_state::{RunRecord, State, StateError};
use std::path::{Path, PathBuf};
use ulid::Ulid;

/// A run's id, and where it is kept.
#[derive(Debug)]
pub(crate) struct Keeper {
    id: Ulid,
    started: Timestamp,
    state: Option<State>,
    save_digest: Option<PathBuf>,
}

impl Keeper {
    /// Begins a run now. A state that cannot be opened is said at once, and the run goes on without.
    pub(crate) fn begin(options: &Options, configured: Option<&Path>) -> Self {
        let folder = options.state.as_deref().or(configured);
        let state = folder.and_then(|folder| match State::open(folder) {
            Ok(state) => Some(state),
            Err(error) => {
                complain("open the state folder", &error);
                None
            }
        });
        Self { id: Ulid::generate(), started: Timestamp::now(), state, save_digest: options.save_digest.clone() }
    }

    /// The run's own part of a report that ends now.
    pub(crate) fn run(&self, config: Option<String>) -> Run {
        Run {
            id: self.id.to_string(),
            command: "verify".to_owned(),
            started_at: self.started.to_string(),
            ended_at: Timestamp::now().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config,
        }
    }

    /// Whether anything becomes of digests.
    pub(crate) fn keeps_digests(&self) -> bool {
        self.state.is_some() || self.save_digest.is_some()
    }

    /// Keeps the source's digest of a dataset: in the state, and in the file that was asked for.
    pub(crate) fn digest(&self, link: &str, dataset: &str, digest: &Digest, not_checked: &mut Vec<NotChecked>) {
        if let Some(state) = &self.state
            && let Err(error) = state.save_digest(link, dataset, self.id, digest)
        {
            complain("keep a digest in the state folder", &error);
            not_checked.push(NotChecked { what: format!("stored digest of {dataset}"), why: error.to_string() });
        }
        if let Some(path) = &self.save_digest
            && let Err(error) = crate::stored::save(path, digest)
        {
            let what = format!("digest of {dataset} in {}", path.display());
            tracing::error!("cannot write the {what}: {error}");
            not_checked.push(NotChecked { what, why: error.to_string() });
        }
    }

    /// Keeps the report; that of an interrupted run apart from those that are finished.
    pub(crate) fn report(&self, cx: &Context, report: &Report) {
        let Some(state) = &self.state else { return };
        let json = match serde_json::to_vec_pretty(report) {
            Ok(json) => json,
            Err(error) => {
                tracing::error!("cannot keep the run in the state folder: {error}");
                return;
            }
        };
        let record = RunRecord { id: self.id, json };
        let interrupted = cx.cancel_token().is_cancelled();
        let kept = if interrupted { state.save_partial(&record) } else { state.save_run(&record) };
        match kept {
            Ok(path) => tracing::info!(path = %path.display(), "run kept"),
            Err(error) => complain("keep the run in the state folder", &error),
        }
    }
}

fn complain(doing: &str, error: &StateError) {
    tracing::error!("cannot {doing}: {error}; hint: {}", error.hint_text());
}
