//! `verify` of two stores of logs: coverage, content, offsets of groups, continuity.

use super::parity::{self, Terms};
use super::seen::{Both, Seen, Wanted, look};
use super::stored::Snapshot;
use super::{LogOptions, continuity, coverage, offsets};
use crate::datasets::matches;
use crate::job::{Work, watched};
use crate::record::{not_begun, sided};
use paritas_model::Verdict;
use paritas_report::{Check, LinkReport, NotChecked, Problem};
use paritas_verify::logs;
use paritas_verify::rows::Phase;
use std::time::Instant;

/// Verifies every log of the link.
pub(crate) async fn verify(work: &Work<'_>, link: &mut LinkReport) {
    let options = match LogOptions::of(&work.job.source.target, &work.job.replica.target) {
        Ok(options) => options,
        Err(error) => {
            let problem = error.problem().clone();
            link.checks.push(Check::Parity(not_begun(&link.name, problem)));
            return;
        }
    };
    let counters = work.monitor.begin("topics");
    let source = watched(&work.sides.source, &counters.source);
    let replica = watched(&work.sides.replica, &counters.replica);
    let both = Both::new((&source.store, &source.cx), (&replica.store, &replica.cx));
    let chosen = Chosen::of(work.job);
    let takes = |name: &str| chosen.takes(name);
    let wanted = Wanted { takes: &takes, told: chosen.told, renamed: &chosen.renamed };
    let seen = match look(&both, &options, &wanted).await {
        Ok(seen) => seen,
        Err((origin, problem)) => {
            link.checks.push(Check::Parity(not_begun(&link.name, sided(origin, problem))));
            return;
        }
    };
    for note in &seen.notes {
        tracing::info!("{note}");
    }
    if chosen.named.is_empty() {
        link.checks.push(Check::Coverage(coverage::check(&seen)));
        // What belongs to the stores and the mirror itself is no data that anybody could miss.
        let left_out = seen.coverage.left_out.iter().filter(|(name, _)| !seen.source.is_own(name));
        link.not_checked.extend(left_out.map(|(what, why)| NotChecked { what: what.clone(), why: why.clone() }));
    }
    content(work, &both, &seen, &options, &chosen, link).await;
    if source.cx.check().is_ok() {
        link.checks.extend(offsets::check(&both, &seen, &wanted, &options, work.options).await);
        link.checks.extend(continuity::checks(&both, &seen, &wanted, &options, work.options).await);
    }
}

/// Which logs of a link are meant.
#[derive(Debug)]
pub(super) struct Chosen {
    include: Vec<String>,
    exclude: Vec<String>,
    /// Names on the source; empty means all that are taken.
    named: Vec<String>,
    renamed: Vec<(String, String)>,
    told: bool,
}

impl Chosen {
    /// What a job says.
    pub(super) fn of(job: &crate::job::Job) -> Self {
        let overrides = job.overrides.iter();
        let renamed = overrides.filter(|one| one.source_name != one.replica_name);
        let renamed: Vec<(String, String)> =
            renamed.map(|one| (one.source_name.clone(), one.replica_name.clone())).collect();
        Self::new(&job.include, &job.exclude, (&job.source.target.datasets, &job.replica.target.datasets), renamed)
    }

    /// Patterns, and the names that stand in the URLs of both sides: in the order in which they belong together.
    pub(super) fn new(
        include: &[String],
        exclude: &[String],
        (source, replica): (&[String], &[String]),
        mut renamed: Vec<(String, String)>,
    ) -> Self {
        renamed.extend(source.iter().cloned().zip(replica.iter().cloned()));
        let told = !include.is_empty() || !source.is_empty();
        Self { include: include.to_vec(), exclude: exclude.to_vec(), named: source.to_vec(), renamed, told }
    }

    /// Whether a log of the source is meant.
    pub(super) fn takes(&self, name: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
        let named = self.named.is_empty() || self.named.iter().any(|own| own == name);
        named && (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    /// As [`Wanted`] wants it.
    pub(super) fn renamed(&self) -> &[(String, String)] {
        &self.renamed
    }

    /// Whether somebody wrote down which logs are meant.
    pub(super) fn told(&self) -> bool {
        self.told
    }
}

/// Every record of every log.
async fn content(
    work: &Work<'_>,
    both: &Both,
    seen: &Seen,
    options: &LogOptions,
    chosen: &Chosen,
    link: &mut LinkReport,
) {
    let takes = |name: &str| chosen.takes(name);
    let wanted = Wanted { takes: &takes, told: chosen.told, renamed: &chosen.renamed };
    let mirrored = seen.mirrored(&wanted);
    for name in chosen.named.iter().filter(|name| !mirrored.iter().any(|one| one.source == **name)) {
        link.checks.push(Check::Parity(not_begun(name, absent(seen, name))));
    }
    if mirrored.is_empty() {
        if chosen.named.is_empty() && LinkReport::combined(&link.checks) != Verdict::Fail {
            link.checks.push(Check::Parity(not_begun("topics", nothing())));
        }
        return;
    }
    let before = Snapshot::newest(work.keeper.state(), &link.name);
    let mut stored = before.map(|(_, old)| old.chains(&|log| seen.source.id(log))).unwrap_or_default();
    let topics = parity::topics(seen, &mirrored, options, &mut stored);
    let ledger = work.keeper.resumption.chains(&link.name);
    let watch = |phase: logs::Phase| {
        work.monitor.enter(match phase {
            logs::Phase::Planning => Phase::Planning,
            logs::Phase::Reading => Phase::Digesting,
            logs::Phase::Settling => Phase::Confirming,
            logs::Phase::Explaining => Phase::Locating,
        });
    };
    let terms = Terms {
        key: &work.options.digest_key,
        settle: work.options.settle,
        items_max: work.options.max_differences,
        ledger: ledger.as_ref(),
        watch: &watch,
    };
    let began = Instant::now();
    let outcomes = logs::parity(&terms.request(both, &topics)).await;
    let took = began.elapsed();
    for ((topic, one), outcome) in topics.iter().zip(&mirrored).zip(outcomes) {
        let (check, left_out) = parity::check(topic, &one.replica, &outcome, took);
        link.checks.push(check);
        link.not_checked.extend(left_out);
    }
}

fn absent(seen: &Seen, name: &str) -> Problem {
    let side = if seen.source.survey.log(name).is_some() { "replica" } else { "source" };
    let copy = seen.policy.on_replica(name).unwrap_or_else(|| name.to_owned());
    let called = if side == "replica" { copy } else { name.to_owned() };
    Problem {
        code: "dataset.missing".to_owned(),
        message: format!("{side}: there is no topic {called}"),
        detail: None,
        hint: Some(
            "check its name and the privilege to describe it; name its copy with ?topic= on the replica".to_owned(),
        ),
    }
}

fn nothing() -> Problem {
    Problem {
        code: "dataset.none".to_owned(),
        message: "there is no topic whose copy can be verified".to_owned(),
        detail: None,
        hint: Some("check include and exclude of the link, and the mirror's alias and policy".to_owned()),
    }
}
