//! The jobs themselves, each as its own command does it, and each kept as a run of its own.

use super::due::{Cycle, Due, LinkTimes, Slice, Times};
use crate::{LagOptions, LagRun, Monitor, Options, Result, SnapshotOptions, snapshot_links, verify_links};
use jiff::Timestamp;
use paritas_config::{Config, LinkConfig};
use paritas_connect::Context;
use paritas_model::Verdict;
use paritas_report::{LinkReport, Report, TimerJob};
use paritas_state::{State, Which};
use paritas_verify::rows::Share;
use ulid::Ulid;

/// Everything that is due, under way.
pub(super) struct Jobs<'a> {
    pub(super) cx: &'a Context,
    pub(super) config: &'a Config,
    pub(super) options: &'a Options,
    pub(super) monitor: &'a Monitor,
    pub(super) state: &'a State,
    pub(super) times: Times,
    pub(super) done: Vec<TimerJob>,
}

impl Jobs<'_> {
    /// Lag first, which is quick and wanted most often; then snapshots, which nothing can replace later.
    pub(super) async fn all(&mut self, dues: &[(&LinkConfig, Due)]) {
        let of = |wanted: fn(&Due) -> bool| -> Vec<String> {
            dues.iter().filter(|(_, due)| wanted(due)).map(|(link, _)| link.name.clone()).collect()
        };
        let lagging = of(|due| due.lag);
        if !lagging.is_empty() {
            self.lag(&lagging).await;
        }
        for name in of(|due| due.snapshot) {
            self.snapshot(&name).await;
        }
        for (link, due) in dues {
            if let Some(slice) = due.verify {
                self.verify(&link.name, slice).await;
            }
        }
    }

    /// An interrupt leaves what was not done due.
    fn is_over(&mut self, job: &str, link: &str) -> bool {
        let Err(error) = self.cx.check() else { return false };
        self.note(job, link, None, (Verdict::Unknown, Some(error.message().to_owned())), None);
        true
    }

    fn note(
        &mut self,
        job: &str,
        link: &str,
        run: Option<String>,
        (verdict, why): (Verdict, Option<String>),
        slices: Option<(u32, u32)>,
    ) {
        if let Some(run) = &run {
            self.times(link).runs.insert(job.to_owned(), run.clone());
        }
        let (job, link) = (job.to_owned(), link.to_owned());
        self.done.push(TimerJob { job, link, run, verdict, slices, why });
    }

    fn times(&mut self, link: &str) -> &mut LinkTimes {
        self.times.links.entry(link.to_owned()).or_default()
    }

    fn keep(&self) {
        let kept = serde_json::to_vec(&self.times).map(|json| self.state.save_timer(&json));
        match kept {
            Ok(Ok(())) => {}
            // It is done again too early then, and nothing else.
            Ok(Err(error)) => {
                tracing::error!("cannot keep what was done: {error}; hint: {}", error.hint_text());
            }
            Err(error) => tracing::error!("cannot keep what was done: {error}"),
        }
    }

    async fn lag(&mut self, names: &[String]) {
        let begun = Timestamp::now();
        let options = Options { budget: None, ..self.options.clone() };
        let report = match LagRun::links(self.config, names, &options) {
            Ok(mut run) => Ok(run.measure(self.cx, LagOptions::default()).await),
            Err(error) => Err(error),
        };
        for name in names {
            let (run, found) = outcome(&report, name);
            if report.is_ok() && self.cx.check().is_ok() {
                self.times(name).lag = Some(begun);
            }
            self.note("lag", name, run, found, None);
        }
        self.keep();
    }

    async fn snapshot(&mut self, name: &str) {
        if self.is_over("snapshot", name) {
            return;
        }
        let begun = Timestamp::now();
        let options = Options { budget: None, ..self.options.clone() };
        let names = [name.to_owned()];
        let content = SnapshotOptions { content: true };
        let report = snapshot_links(self.cx, self.config, &names, &options, content, self.monitor).await;
        let (run, found) = outcome(&report, name);
        // One that kept nothing is due again at once.
        if found.0 != Verdict::Unknown {
            self.times(name).snapshot = Some(begun);
        }
        self.note("snapshot", name, run, found, None);
        self.keep();
    }

    /// The next slices of a link. What runs that were ended have finished of them is gone on with.
    async fn verify(&mut self, name: &str, slice: Slice) {
        if self.is_over("verify", name) {
            return;
        }
        let before = self.times(name).verify.clone().filter(|cycle| slice.run == cycle.run.parse().ok());
        let (report, cycle) = match before {
            None => self.begin(name, slice.share).await,
            Some(cycle) => match self.go_on(name, slice).await {
                // Its parts are gone, or something else is to be verified now.
                Err(error)
                    if error.problem().code.starts_with("usage.") || error.problem().code.starts_with("state.") =>
                {
                    tracing::warn!(link = name, "the verification begins anew: {}", error.problem().message);
                    self.begin(name, Share { done: 1, ..slice.share }).await
                }
                report => (report, cycle),
            },
        };
        let (run, found) = outcome(&report, name);
        let share = if cycle.done == 0 && slice.run.is_some() { Share { done: 1, ..slice.share } } else { slice.share };
        let unfinished = !report.as_ref().is_ok_and(|report| !report.links.iter().any(is_unfinished));
        let over = unfinished || self.cx.check().is_err();
        let done = if over { cycle.done } else { share.done };
        self.times(name).verify = Some(Cycle { done, ..cycle });
        self.note("verify", name, run, found, Some((done, share.of)));
        self.keep();
    }

    /// A new cycle. It is kept before anything is read, so that it can be gone on with whatever ends it.
    async fn begin(&mut self, name: &str, share: Share) -> (Result<Report>, Cycle) {
        let run = Ulid::generate();
        let cycle = Cycle { began: Timestamp::now(), run: run.to_string(), done: 0, of: share.of };
        self.times(name).verify = Some(cycle.clone());
        self.keep();
        let options = Options { run_id: Some(run), ..self.sliced(share) };
        (verify_links(self.cx, self.config, &[name.to_owned()], &options, self.monitor).await, cycle)
    }

    async fn go_on(&mut self, name: &str, slice: Slice) -> Result<Report> {
        let options = Options { resume: slice.run.map(Which::Id), ..self.sliced(slice.share) };
        verify_links(self.cx, self.config, &[name.to_owned()], &options, self.monitor).await
    }

    fn sliced(&self, share: Share) -> Options {
        Options { share: (share.of > 1).then_some(share), ..self.options.clone() }
    }
}

/// Whether a slice was ended by something that may pass. What another try would meet as well, such as a dataset that may
/// not be read, leaves the verdict unknown, and must not keep later slices from being verified. A link without any check
/// had nothing in the slice.
fn is_unfinished(link: &LinkReport) -> bool {
    let lasting = |code: &str| code.starts_with("dataset.") || code.starts_with("usage.") || code.ends_with(".denied");
    link.checks.iter().filter_map(|check| check.problem()).any(|problem| !lasting(&problem.code))
}

/// What a report says of a link, or why there is none.
fn outcome(report: &Result<Report>, link: &str) -> (Option<String>, (Verdict, Option<String>)) {
    match report {
        Ok(report) => {
            let own = report.links.iter().find(|own| own.name == link);
            let verdict = own.map_or(Verdict::Unknown, |own| own.verdict);
            let problem = own.iter().flat_map(|own| &own.checks).find_map(|check| check.problem());
            let nothing = own.is_some_and(|own| own.checks.is_empty());
            let empty = nothing.then(|| own.and_then(|own| own.not_checked.last())).flatten();
            let why = problem.map(|problem| problem.message.clone());
            (Some(report.run.id.clone()), (verdict, why.or_else(|| empty.map(|one| format!("nothing: {}", one.why)))))
        }
        Err(error) => (None, (Verdict::Unknown, Some(error.problem().message.clone()))),
    }
}
