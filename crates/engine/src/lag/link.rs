//! One link: sampling both sides in rounds, until the answer is known or the time is up.

use super::coverage;
use super::curves::Curves;
use super::sampled::{Failed, Sampled};
use super::stream::{self, Measured, Streams};
use crate::datasets::matches;
use crate::follow::{self, Pairing};
use crate::record::sided;
use paritas_connect::{Context, FailureKind, Observation, Result};
use paritas_lag::{Levels, SILENTLY_STALLED_AFTER};
use paritas_model::{LagState, Tier, Verdict};
use paritas_report::{Check, LagCheck, LagObjective, LinkReport, NotChecked, Problem};
use paritas_verify::rows::Origin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Without a wish, sampling ends after that long: enough to see whether a replica moves.
const BURST: Duration = Duration::from_millis(1_500);
/// Pauses between rounds grow from the first to the second.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// What another link has seen of a store counts for the first round if it is not older than this.
const SHARED_AGE_MAX: Duration = Duration::from_secs(1);
/// A side that does not answer that long after the time is up is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is replicated at all is looked at again after that long.
const COVERAGE_AGE_MAX: Duration = Duration::from_secs(60);
/// Rounds of one measurement, whatever the clock says.
const ROUNDS_MAX: u64 = 1_000_000;

/// A link and what is known about its streams.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) tier: Option<Tier>,
    source: Arc<Sampled>,
    replica: Arc<Sampled>,
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
    pub(super) levels: Option<Levels>,
    /// Whether somebody wrote down what is to be replicated.
    pub(super) declared: bool,
    streams: Streams,
    coverage: Option<(Instant, Option<Check>)>,
}

/// What the replica said, and then the source.
type Round = (Arc<Observation>, Arc<Observation>);

/// What a measurement came to.
struct Outcome {
    measured: Vec<Measured>,
    notes: Vec<String>,
    problem: Option<Problem>,
    samples: u64,
    curves: Curves,
}

impl Link {
    pub(super) fn new(name: String, source: Arc<Sampled>, replica: Arc<Sampled>) -> Self {
        Self {
            name,
            tier: None,
            source,
            replica,
            include: Vec::new(),
            exclude: Vec::new(),
            levels: None,
            declared: false,
            streams: Streams::new(Instant::now()),
            coverage: None,
        }
    }

    /// Whether both sides have positions.
    pub(super) fn has_stream(&self) -> bool {
        [&self.source, &self.replica].iter().all(|side| side.opened.store.positions().is_some())
    }

    /// Measures from that moment on. Whatever goes wrong is in the report.
    pub(super) async fn measure(&mut self, cx: &Context, since: Instant, run_for: Option<Duration>) -> LinkReport {
        let begun = Instant::now();
        let time = run_for.unwrap_or(BURST);
        let cx = cx.clone().with_timeout(time.saturating_add(SILENTLY_STALLED_AFTER).saturating_add(PATIENCE));
        self.coverage = self.coverage.take().filter(|(looked, _)| looked.elapsed() < COVERAGE_AGE_MAX);
        let outcome = self.sample(&cx, since, time, run_for.is_some()).await;
        let verdicts = outcome.measured.iter().map(|measured| measured.verdict(self.levels.as_ref()));
        let verdict = match &outcome.problem {
            Some(problem) if problem.code == "lineage.forked" => Verdict::Fail,
            Some(_) => Verdict::Unknown,
            None => Verdict::combine(verdicts),
        };
        let seconds = |time: Duration| time.as_secs_f64();
        let lag = LagCheck {
            verdict,
            objective: self.levels.map(|levels| LagObjective {
                target: levels.target.map(seconds),
                warning: levels.warning.map(seconds),
                critical: seconds(levels.critical),
            }),
            streams: outcome.measured.into_iter().map(|measured| measured.stream).collect(),
            samples: outcome.samples,
            curves: if run_for.is_some() { outcome.curves.finish() } else { Vec::new() },
            seconds: begun.elapsed().as_secs_f64(),
            notes: outcome.notes,
            problem: outcome.problem,
        };
        let mut checks = vec![Check::Lag(lag)];
        checks.extend(self.coverage.as_ref().and_then(|(_, check)| check.clone()));
        LinkReport {
            name: self.name.clone(),
            tier: self.tier,
            verdict: LinkReport::combined(&checks),
            source: self.source.opened.described.clone(),
            replica: self.replica.opened.described.clone(),
            checks,
            not_checked: self.not_checked(),
            recovery: None,
        }
    }

    fn not_checked(&self) -> Vec<NotChecked> {
        // Where nothing was promised nothing can be breached, and a reader should know.
        let silent = self.declared && self.levels.is_none();
        let why = "the link has no objective for lag: what is measured passes";
        silent.then(|| NotChecked { what: "lag objective".to_owned(), why: why.to_owned() }).into_iter().collect()
    }

    async fn sample(&mut self, cx: &Context, since: Instant, time: Duration, to_the_end: bool) -> Outcome {
        let mut outcome =
            Outcome { measured: Vec::new(), notes: Vec::new(), problem: None, samples: 0, curves: Curves::default() };
        let begun = Instant::now();
        let (mut pause, mut since) = (PAUSE_MIN, begun.checked_sub(SHARED_AGE_MAX).map_or(since, |own| own.max(since)));
        for round in 0..ROUNDS_MAX {
            let seen = self.round(cx, since, round == 0).await;
            match seen {
                Ok((replica, source)) => {
                    outcome.samples += 1;
                    since = source.end;
                    self.take(&replica, &source, &mut outcome);
                    outcome.curves.add(outcome.measured.iter().map(|measured| &measured.stream));
                    self.cover(cx, &replica, &source, &outcome).await;
                    if !to_the_end && self.answered(&outcome) {
                        return outcome;
                    }
                }
                // What was seen before an interrupt was seen.
                Err((_, failed)) if failed.kind == FailureKind::Cancelled && outcome.samples > 0 => {
                    outcome.notes.push("interrupted: this is what was seen last".to_owned());
                    return outcome;
                }
                Err((origin, failed)) => {
                    since = Instant::now();
                    outcome.measured.clear();
                    outcome.curves.unseen(&failed.problem.message);
                    outcome.problem = Some(sided(origin, failed.problem));
                    if !(to_the_end && failed.kind == FailureKind::Transient) {
                        return outcome;
                    }
                }
            }
            // Whether one that stands still is stalled takes longer to see.
            let doubtful = outcome.problem.is_none() && outcome.measured.iter().any(|measured| measured.stands_still);
            let time = if doubtful { time.max(BURST + SILENTLY_STALLED_AFTER) } else { time };
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() || sleep(cx, pause.min(left)).await.is_err() {
                return outcome;
            }
            pause = (pause * 2).min(PAUSE_MAX.max(time / 200));
        }
        outcome
    }

    /// The replica first, then the source. In the first round the source is asked beside the replica as
    /// well, so that both connect at the same time and the curve begins early.
    async fn round(&mut self, cx: &Context, since: Instant, first: bool) -> Result<Round, (Origin, Failed)> {
        let of_replica = |failed| (Origin::Replica, failed);
        let of_source = |failed| (Origin::Source, failed);
        let replica = if first {
            let (theirs, ours) = tokio::join!(self.replica.since(cx, since), self.source.since(cx, since));
            let theirs = theirs.map_err(of_replica)?;
            let ours = ours.map_err(of_source)?;
            self.streams.begin(&ours);
            theirs
        } else {
            self.replica.since(cx, since).await.map_err(of_replica)?
        };
        let source = self.source.since(cx, replica.end).await.map_err(of_source)?;
        Ok((replica, source))
    }

    fn take(&mut self, replica: &Observation, source: &Observation, outcome: &mut Outcome) {
        outcome.notes = limits(replica, source);
        outcome.measured.clear();
        outcome.problem = None;
        match follow::pair(source, replica) {
            Err(problem) => {
                outcome.measured.extend(stream::forked(source, replica));
                outcome.problem = Some(problem);
            }
            Ok(Pairing { streams, elsewhere }) => {
                outcome.notes.extend(elsewhere.into_iter().map(|why| format!("not from this source: {why}")));
                for paired in &streams {
                    outcome.measured.push(self.streams.measure(paired, replica, source));
                }
            }
        }
    }

    /// What is replicated at all changes rarely: it is looked at once a measurement at most.
    async fn cover(&mut self, cx: &Context, replica: &Observation, source: &Observation, outcome: &Outcome) {
        if self.coverage.is_some() || outcome.measured.is_empty() {
            return;
        }
        let named = |patterns: &[String], name: &str| {
            let bare = name.rsplit('.').next().unwrap_or(name);
            patterns.iter().any(|pattern| matches(pattern, name) || matches(pattern, bare))
        };
        let stated = &self.source.opened.target.datasets;
        let chosen = |name: &str| {
            let included = self.include.is_empty() || self.include.iter().any(|pattern| matches(pattern, name));
            let excluded = self.exclude.iter().any(|pattern| matches(pattern, name));
            included && !excluded && (stated.is_empty() || named(stated, name))
        };
        let sides = coverage::Sides { source: &self.source.opened, replica: &self.replica.opened };
        let seen = coverage::Seen { source, replica };
        let check = coverage::check(cx, &sides, &seen, &chosen, self.declared).await;
        self.coverage = Some((Instant::now(), check.map(Check::Coverage)));
    }

    /// Whether sampling again would not say more.
    fn answered(&self, outcome: &Outcome) -> bool {
        if outcome.problem.is_some() {
            return true;
        }
        outcome.measured.iter().all(|measured| match measured.stream.state {
            LagState::CaughtUp | LagState::Broken => true,
            LagState::Behind => measured.verdict(self.levels.as_ref()) <= Verdict::Pass,
            LagState::Unknown => measured.interval.is_none(),
            LagState::Stalled => false,
        })
    }
}

async fn sleep(cx: &Context, pause: Duration) -> Result<()> {
    cx.bound(async {
        tokio::time::sleep(pause).await;
        Ok(())
    })
    .await
}

fn limits(replica: &Observation, source: &Observation) -> Vec<String> {
    let of = |side: &str, observation: &Observation| {
        observation.limits.iter().map(|limit| format!("{side}: {limit}")).collect::<Vec<_>>()
    };
    let mut notes = of("source", source);
    notes.extend(of("replica", replica));
    if source.role == paritas_connect::ReplicaRole::PhysicalReplica {
        notes.push(
            "the source is a standby itself: what it lacks of its own primary is not part of this lag".to_owned(),
        );
    }
    notes
}
