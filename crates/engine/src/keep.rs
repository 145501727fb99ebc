//! Keeping what a run found. A state that cannot be written never costs a verdict.

use crate::resume::{Resumption, What};
use crate::{Options, Result, history};
use jiff::Timestamp;
use paritas_connect::Context;
use paritas_digest::Digest;
use paritas_model::Verdict;
use paritas_report::{LinkReport, NotChecked, Report, Run};
use paritas_state::history::Retention;
use paritas_state::{RunRecord, State, StateError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use ulid::Ulid;

/// A run's id, and where it is kept.
#[derive(Debug)]
pub(crate) struct Keeper {
    id: Ulid,
    command: &'static str,
    started: Timestamp,
    state: Option<State>,
    retention: Retention,
    save_digest: Option<PathBuf>,
    /// Whether something is left for later runs on purpose.
    sliced: bool,
    /// Whether a digest that was asked for could not be written.
    lost_digest: AtomicBool,
    drill: Option<String>,
    /// What is finished, for a run that goes on with this one.
    pub(crate) resumption: Resumption,
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
        let save_digest = options.save_digest.clone();
        Self {
            id: options.run_id.unwrap_or_else(Ulid::generate),
            command: "verify",
            started: Timestamp::now(),
            state,
            retention: options.retention,
            save_digest,
            sliced: options.share.is_some_and(|share| !share.is_whole()),
            lost_digest: AtomicBool::new(false),
            drill: None,
            resumption: Resumption::default(),
        }
    }

    /// The same, keeping what is finished of what the run verifies, or going on with an earlier run.
    ///
    /// # Errors
    /// When there is no such run, or it verifies something else (exit code 2).
    pub(crate) fn resumable(self, options: &Options, what: &What) -> Result<Self> {
        let resumption = Resumption::begin(self.state.as_ref(), self.id, what, options.resume)?;
        Ok(Self { resumption, ..self })
    }

    /// The same for another command than `verify`.
    pub(crate) fn of(mut self, command: &'static str) -> Self {
        self.command = command;
        self
    }

    /// The same as part of a drill of this name, if it is one.
    pub(crate) fn drilled(mut self, drill: Option<String>) -> Self {
        self.drill = drill;
        self
    }

    /// The run's own part of a report that ends now.
    fn run(&self, config: Option<String>) -> Run {
        Run {
            id: self.id.to_string(),
            command: self.command.to_owned(),
            started_at: self.started.to_string(),
            ended_at: Timestamp::now().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config,
            resumed_from: self.resumption.from().map(|id| id.to_string()),
            drill: self.drill.clone(),
        }
    }

    /// Where it is kept, if anywhere.
    pub(crate) fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// The run's id.
    pub(crate) fn id(&self) -> Ulid {
        self.id
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
            tracing::error!("cannot write the {what}: {error}; hint: name a file in a folder that can be written to");
            self.lost_digest.store(true, Ordering::Relaxed);
            not_checked.push(NotChecked { what, why: error.to_string() });
        }
    }

    /// The report of the run. Where a digest that was asked for could not be written, the run did not
    /// come to its end, whatever it found; a violation weighs more.
    pub(crate) fn finish(&self, config: Option<String>, links: Vec<LinkReport>, deny_warnings: bool) -> Report {
        let mut report = Report::new(self.run(config), links, deny_warnings);
        if self.lost_digest.load(Ordering::Relaxed) && report.exit_code == 0 {
            report.exit_code = Verdict::Unknown.exit_code(deny_warnings);
        }
        report
    }

    /// Keeps the report; that of an interrupted run apart from those that are finished.
    pub(crate) fn report(&self, cx: &Context, report: &Report) {
        let Some(state) = &self.state else { return };
        // An interrupted run, or one that was short of something, can be gone on with.
        let interrupted = cx.cancel_token().is_cancelled();
        if !interrupted && !self.sliced && !report.links.iter().any(LinkReport::is_unfinished) {
            self.resumption.end();
        }
        let json = match serde_json::to_vec_pretty(report) {
            Ok(json) => json,
            Err(error) => {
                tracing::error!("cannot keep the run in the state folder: {error}");
                return;
            }
        };
        let record = RunRecord { id: self.id, json };
        let kept = if interrupted { state.save_partial(&record) } else { state.save_run(&record) };
        match kept {
            Ok(path) => tracing::info!(path = %path.display(), "run kept"),
            Err(error) => return complain("keep the run in the state folder", &error),
        }
        // The report is there: whatever becomes of the history, the verdict is not lost.
        if !interrupted && let Err(error) = history::record(state, self.retention, &record, report) {
            complain("take the run into the history", &error);
        }
    }
}

fn complain(doing: &str, error: &StateError) {
    tracing::error!("cannot {doing}: {error}; hint: {}", error.hint_text());
}
