//! One link between stores of logs: how far mirrors and groups of readers are behind, and whether both
//! clusters keep their promises.

use super::groups::{self, Watched};
use super::seen::{Both, Seen, Wanted, look};
use super::verify::Chosen;
use super::{LogOptions, coverage, health};
use crate::error::problem_of;
use crate::record::sided;
use crate::registry::Opened;
use crate::{Result, Target};
use paritas_connect::Context;
use paritas_connect::logs::{Isolation, Partition};
use paritas_digest::DigestKey;
use paritas_lag::{Levels, SILENTLY_STALLED_AFTER, stands_still};
use paritas_logs::health::Leaderships;
use paritas_logs::position::{MirrorLag, Mirrors};
use paritas_model::{LagState, Store, Tier, Verdict};
use paritas_report::{Check, LagCheck, LagObjective, LagStream, LinkReport, NotChecked, Problem};
use paritas_verify::logs::{LogSide, MirrorAsk, NamedPair, SeekLimits, mirrors};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Without a wish, sampling ends after that long: enough to see whether a mirror moves.
const BURST: Duration = Duration::from_millis(1_500);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// A side that does not answer that long after the time is up is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// What both sides show is asked for again after that long.
const SEEN_AGE_MAX: Duration = Duration::from_secs(60);
/// Looks of one measurement, whatever the clock says.
const LOOKS_MAX: u64 = 100_000;

/// A link, and what is remembered of it from one measurement to the next.
#[derive(Debug)]
pub(crate) struct LogLink {
    name: String,
    pub(crate) tier: Option<Tier>,
    pub(crate) levels: Option<Levels>,
    /// Whether somebody wrote down what is to be replicated.
    pub(crate) declared: bool,
    source: (Arc<dyn paritas_connect::Store>, Store),
    replica: (Arc<dyn paritas_connect::Store>, Store),
    chosen: Chosen,
    targets: (Target, Target),
    options: LogOptions,
    key: DigestKey,
    mirrors: Mirrors,
    groups: [Watched; 2],
    leaders: [Option<Leaderships>; 2],
    seen: Option<(Instant, Arc<Seen>)>,
}

impl LogLink {
    /// A link of which nothing was seen yet.
    ///
    /// # Errors
    /// Options that contradict each other (exit code 2).
    pub(crate) fn new(name: String, source: &Opened, replica: &Opened, key: &DigestKey) -> Result<Self> {
        let options = LogOptions::of(&source.target, &replica.target)?;
        let named = (source.target.datasets.as_slice(), replica.target.datasets.as_slice());
        Ok(Self {
            name,
            tier: None,
            levels: None,
            declared: false,
            chosen: Chosen::new(&[], &[], named, Vec::new()),
            source: (Arc::clone(&source.store), source.described.clone()),
            replica: (Arc::clone(&replica.store), replica.described.clone()),
            targets: (source.target.clone(), replica.target.clone()),
            groups: [Watched::new("source", &options), Watched::new("replica", &options)],
            leaders: [None, None],
            mirrors: Mirrors::new(Instant::now()),
            key: key.clone(),
            options,
            seen: None,
        })
    }

    /// Which topics are meant.
    pub(crate) fn take(&mut self, include: &[String], exclude: &[String]) {
        let named = (self.targets.0.datasets.as_slice(), self.targets.1.datasets.as_slice());
        self.chosen = Chosen::new(include, exclude, named, Vec::new());
    }

    /// Measures for a while. Whatever goes wrong is in the report.
    pub(crate) async fn measure(&mut self, cx: &Context, run_for: Option<Duration>) -> LinkReport {
        let began = Instant::now();
        let time = run_for.unwrap_or(BURST);
        let cx = cx.clone().with_timeout(time.saturating_add(SILENTLY_STALLED_AFTER).saturating_add(PATIENCE));
        let both = Both::new((&self.source.0, &cx), (&self.replica.0, &cx));
        let checks = match self.looked(&both).await {
            Ok(seen) => self.checks(&both, &seen, began, time, run_for.is_some()).await,
            Err((origin, problem)) => vec![Check::Lag(self.lag(&[], 0, began, Some(sided(origin, problem))))],
        };
        let silent = self.declared && self.levels.is_none();
        let why = "the link has no objective for lag: what is measured passes".to_owned();
        let silent = silent.then(|| NotChecked { what: "lag objective".to_owned(), why });
        LinkReport {
            name: self.name.clone(),
            tier: self.tier,
            verdict: LinkReport::combined(&checks),
            source: self.source.1.clone(),
            replica: self.replica.1.clone(),
            checks,
            not_checked: silent.into_iter().collect(),
            recovery: None,
        }
    }

    /// What both sides show, asked for again from time to time.
    async fn looked(&mut self, both: &Both) -> std::result::Result<Arc<Seen>, crate::job::Failure> {
        if let Some((at, seen)) = &self.seen
            && at.elapsed() < SEEN_AGE_MAX
        {
            return Ok(Arc::clone(seen));
        }
        let takes = |name: &str| self.chosen.takes(name);
        let wanted = Wanted { takes: &takes, told: self.chosen.told(), renamed: self.chosen.renamed() };
        let seen = Arc::new(look(both, &self.options, &wanted).await?);
        self.seen = Some((Instant::now(), Arc::clone(&seen)));
        for (watched, shows) in self.groups.iter_mut().zip([&seen.source, &seen.replica]) {
            watched.begin(shows);
        }
        Ok(seen)
    }

    async fn checks(
        &mut self,
        both: &Both,
        seen: &Seen,
        began: Instant,
        time: Duration,
        to_the_end: bool,
    ) -> Vec<Check> {
        let takes = |name: &str| self.chosen.takes(name);
        let wanted = Wanted { takes: &takes, told: self.chosen.told(), renamed: self.chosen.renamed() };
        let mirrored = seen.mirrored(&wanted);
        let pairs = seen.pairs(&mirrored, &self.options, &self.key);
        let (syncs, copied) = (newest_syncs(seen, &pairs), copied(seen, &pairs));
        let mut lags: Vec<MirrorLag> = Vec::new();
        let (mut samples, mut problem) = (0, None);
        for _ in 0..LOOKS_MAX {
            let link = self.mirrors.hear(&seen.replica.traces.heartbeats, Instant::now());
            let ask = MirrorAsk {
                source: &both.source,
                replica: &both.replica,
                pairs: &pairs,
                syncs: &syncs,
                copied: &copied,
                // What MirrorMaker 2 reads unless told otherwise.
                isolation: Isolation::Uncommitted,
                link: &link,
                limits: SeekLimits::default(),
            };
            match mirrors(&ask, &mut self.mirrors).await {
                Ok(measured) => {
                    samples += 1;
                    (lags, problem) = (measured, None);
                }
                Err((origin, error)) => problem = Some(sided(origin, problem_of(&error))),
            }
            let answered = problem.is_none() && lags.iter().all(|lag| self.is_answered(lag));
            // Whether one that stands still is stalled takes longer to see.
            let doubtful = problem.is_none() && lags.iter().any(|lag| stands_still(lag.state, lag.stuck));
            let time = if doubtful { time.max(BURST + SILENTLY_STALLED_AFTER) } else { time };
            let left = time.saturating_sub(began.elapsed());
            if (answered && !to_the_end) || left.is_zero() || pause(&both.source, left).await.is_err() {
                break;
            }
        }
        let mut checks = vec![Check::Lag(self.lag(&lags, samples, began, problem))];
        checks.push(Check::Coverage(coverage::check(seen)));
        let levels = self.levels;
        let sides = [(&both.source, &seen.source), (&both.replica, &seen.replica)];
        for (watched, (side, shows)) in self.groups.iter_mut().zip(sides) {
            checks.push(Check::Groups(watched.look(side, shows, &self.options, levels.as_ref()).await));
        }
        let names: [BTreeSet<String>; 2] = [
            mirrored.iter().map(|one| one.source.clone()).collect(),
            mirrored.iter().map(|one| one.replica.clone()).collect(),
        ];
        let sides = [("source", &seen.source), ("replica", &seen.replica)];
        for ((leaders, (side, shows)), names) in self.leaders.iter_mut().zip(sides).zip(&names) {
            checks.push(Check::Health(health::check(side, shows, Some(names), leaders.as_ref())));
            *leaders = Some(health::leaderships(shows));
        }
        checks
    }

    /// Whether looking again would not say more.
    fn is_answered(&self, lag: &MirrorLag) -> bool {
        match lag.state {
            LagState::CaughtUp | LagState::Broken => true,
            LagState::Behind => self.verdict(lag) <= Verdict::Pass,
            LagState::Unknown => lag.seconds.is_none(),
            LagState::Stalled => false,
        }
    }

    fn verdict(&self, lag: &MirrorLag) -> Verdict {
        paritas_lag::verdict(lag.state, lag.seconds.as_ref(), self.levels.as_ref())
    }

    fn lag(&self, lags: &[MirrorLag], samples: u64, began: Instant, problem: Option<Problem>) -> LagCheck {
        let seconds = |time: Duration| time.as_secs_f64();
        let unknown = (problem.is_some() || lags.is_empty()).then_some(Verdict::Unknown);
        LagCheck {
            verdict: Verdict::combine(lags.iter().map(|lag| self.verdict(lag)).chain(unknown)),
            objective: self.levels.map(|levels| LagObjective {
                target: levels.target.map(seconds),
                warning: levels.warning.map(seconds),
                critical: seconds(levels.critical),
            }),
            streams: lags.iter().map(stream).collect(),
            samples,
            curves: Vec::new(),
            seconds: began.elapsed().as_secs_f64(),
            notes: Vec::new(),
            problem,
        }
    }
}

/// The newest pair of offsets that the mirror noted of each partition.
pub(super) fn newest_syncs(seen: &Seen, pairs: &[NamedPair]) -> BTreeMap<Partition, (i64, i64)> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let newest = |pair: &NamedPair| {
        let (upstream, downstream) = seen.syncs(&pair.source).last().copied()?;
        Some((pair.source.clone(), (signed(upstream), signed(downstream))))
    };
    pairs.iter().filter_map(newest).collect()
}

/// How far the mirror says it has copied each partition.
pub(super) fn copied(seen: &Seen, pairs: &[NamedPair]) -> BTreeMap<Partition, u64> {
    let alias = seen.policy.alias();
    let noted = seen.replica.traces.copied.iter();
    let noted = noted.filter(|copied| alias.is_none_or(|alias| alias == copied.alias));
    let of_link = noted.filter(|copied| pairs.iter().any(|pair| pair.source == copied.partition));
    of_link.map(|copied| (copied.partition.clone(), copied.last)).collect()
}

async fn pause(side: &LogSide, left: Duration) -> paritas_connect::Result<()> {
    side.cx
        .bound(async {
            tokio::time::sleep(PAUSE.min(left)).await;
            Ok(())
        })
        .await
}

/// One partition of a mirrored log.
fn stream(lag: &MirrorLag) -> LagStream {
    let mut why = BTreeMap::new();
    let unseen = || lag.reason.clone().unwrap_or_else(|| "it could not be observed".to_owned());
    why.insert("bytes".to_owned(), "logs are counted in records".to_owned());
    why.insert("versions".to_owned(), "logs are counted in records".to_owned());
    let records = lag.records.and_then(|count| count.exact());
    if records.is_none() {
        let bounds = lag.records.map(|count| format!("between {} and {}", count.low, count.high));
        why.insert("records".to_owned(), bounds.unwrap_or_else(unseen));
    }
    let seconds = groups::seconds(lag.seconds);
    match &seconds {
        None => {
            why.insert("seconds".to_owned(), unseen());
        }
        Some(seconds) if seconds.high.is_none() => {
            let text = "it was behind already when sampling began, so there is no upper end yet: use --for longer than \
                        the critical level, which finds one or proves the breach";
            why.insert("seconds.high".to_owned(), text.to_owned());
        }
        Some(_) => {}
    }
    let placed = lag.placed.as_ref();
    if placed.is_none() {
        why.insert("method".to_owned(), unseen());
    }
    let mut details = BTreeMap::new();
    if let Some(placed) = placed {
        let next = match placed.next.exact() {
            Some(next) => next.to_string(),
            None => format!("{} to {}", placed.next.low, placed.next.high),
        };
        details.insert("mirrored up to".to_owned(), next);
        for (index, note) in placed.notes.iter().enumerate() {
            details.insert(format!("note {}", index + 1), note.clone());
        }
    }
    if lag.replica.log != lag.source.log {
        details.insert("called on the replica".to_owned(), lag.replica.log.clone());
    }
    let position = placed.and_then(|placed| placed.next.exact().or(placed.likely));
    if position.is_none() {
        why.insert("replica_position".to_owned(), unseen());
    }
    if lag.source_ends.is_none() {
        why.insert("source_position".to_owned(), unseen());
    }
    LagStream {
        stream: lag.source.to_string(),
        state: lag.state,
        reason: lag.reason.clone(),
        hint: lag.hint.clone(),
        bytes: None,
        records,
        versions: None,
        seconds,
        method: placed.map(|placed| placed.method.as_str().to_owned()),
        source_lineage: None,
        source_position: lag.source_ends.map(|(_, end)| end.to_string()),
        replica_position: position.map(|position| position.to_string()),
        observed_at: Some(jiff::Timestamp::now().to_string()),
        why,
        details,
    }
}
