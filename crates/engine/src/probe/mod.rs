//! `probe`: how long nobody takes writes when the source fails, measured by writes of its own or watched without any.
//!
//! Both sides are tried at an interval, each by a task of its own; what came of it goes into one observation, which is
//! stored after each attempt and says what is proven. Nothing is written unless a table was named for it.

mod clock;
mod hand;
pub(crate) mod keep;
pub(crate) mod report;
mod start;

use crate::error::problem_of;
use crate::keep::Keeper;
use crate::links::{chosen_links, hide, open, with_secrets};
use crate::registry::{self, Opened, Secrets};
use crate::{Error, Options, Result, Target};
use clock::Clock;
use hand::{Event, Hand, Shared};
use keep::Shelf;
use paritas_config::Config;
use paritas_connect::Context;
use paritas_model::{Objective, StoreKind, Tier};
use paritas_probe::{Attempt, Observation, Outcome, Side};
use paritas_report::{LinkReport, Problem, Report, apply_privacy};
use report::Ended;
use start::{Start, start};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events that wait to be noted; hands wait when there are more.
const EVENTS_MAX: usize = 64;

/// How a link is probed.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// The table to write heartbeats into; without one nothing is written.
    pub heartbeat: Option<String>,
    /// Time between two attempts on a side.
    pub every: Duration,
    /// Longest time of one attempt, connecting included.
    pub timeout: Duration,
    /// When to end, if nothing else ends it.
    pub run_for: Option<Duration>,
    /// What ends it.
    pub until: Until,
}

/// What ends a probe beside its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// Only an interrupt.
    #[default]
    Interrupted,
    /// A failover that was seen to its end.
    Recovered,
}

/// A link that is probed.
#[derive(Debug)]
struct Watched {
    name: String,
    tier: Option<Tier>,
    source: Opened,
    replica: Opened,
    objective: Objective,
}

/// Probes a configured link.
///
/// # Errors
/// Unknown names, unusable stores, secrets that cannot be had (exit code 2), another probe of the same link (3).
pub async fn probe_link(
    cx: &Context,
    config: &Config,
    names: &[String],
    options: &Options,
    probe: &ProbeOptions,
) -> Result<Report> {
    let watched = configured(config, names)?;
    let options = &with_secrets(config, options)?;
    hide(options);
    let keeper = Keeper::begin(options, config.state.as_deref()).of("probe");
    let checksum = format!("blake3:{}", blake3::hash(config.canonical_text().as_bytes()).to_hex());
    run(cx, &watched, options, probe, &keeper, Some(checksum)).await
}

/// Probes two servers named by URL.
///
/// # Errors
/// As [`probe_link`].
pub async fn probe_pair(
    cx: &Context,
    source: &str,
    replica: &str,
    options: &Options,
    probe: &ProbeOptions,
) -> Result<Report> {
    let watched = pair(source, replica)?;
    hide(options);
    let keeper = Keeper::begin(options, None).of("probe");
    run(cx, &watched, options, probe, &keeper, None).await
}

/// The statements that make the table of heartbeats for a link (or the first of two servers), for a person to run.
///
/// # Errors
/// Those of [`probe_link`], and a name that is none.
pub fn probe_setup(config: Option<(&Config, &[String])>, pair: Option<(&str, &str)>, table: &str) -> Result<String> {
    let watched = match (config, pair) {
        (_, Some((source, replica))) => self::pair(source, replica)?,
        (Some((config, names)), None) => configured(config, names)?,
        (None, None) => return Err(Error::usage("usage", "no link is named", "name a link, or two servers")),
    };
    let heartbeats = watched.source.store.heartbeats();
    let heartbeats = heartbeats.ok_or_else(|| registry::usage(paritas_connect::Error::unsupported("heartbeats")))?;
    heartbeats.setup(table).map_err(registry::usage)
}

fn configured(config: &Config, names: &[String]) -> Result<Watched> {
    let chosen = chosen_links(config, names)?;
    let [link] = chosen.as_slice() else {
        let names: Vec<&str> = chosen.iter().map(|link| link.name.as_str()).collect();
        let hint = format!("name one of {}", names.join(", "));
        return Err(Error::usage("usage.link", "a probe watches one link at a time", hint));
    };
    let store = |name: &str| {
        config.store(name).ok_or_else(|| {
            let message = format!("link {:?} names a store {name:?} that does not exist", link.name);
            Error::usage("config.reference", message, "declare it as a [store.NAME] section")
        })
    };
    let (source, replica) = (open(store(&link.source)?)?, open(store(&link.replica)?)?);
    let objective = link.objectives.limits();
    only_postgres(Watched { name: link.name.clone(), tier: link.tier, source, replica, objective })
}

fn pair(source: &str, replica: &str) -> Result<Watched> {
    let (ours, theirs) = (Target::parse(source)?, Target::parse(replica)?);
    if ours == theirs {
        let hint = "name the primary first and its standby second";
        return Err(Error::usage("usage.same", "source and replica are the same", hint));
    }
    let source = registry::open(&ours, Secrets::default(), None)?;
    let replica = registry::open(&theirs, Secrets::default(), None)?;
    let name = format!("{} -> {}", source.store.name(), replica.store.name());
    only_postgres(Watched { name, tier: None, source, replica, objective: Objective::default() })
}

fn only_postgres(watched: Watched) -> Result<Watched> {
    let kinds = [watched.source.target.kind, watched.replica.target.kind];
    match kinds.into_iter().find(|kind| *kind != StoreKind::Postgres) {
        None => Ok(watched),
        Some(kind) => {
            let message = format!("{:?}: a {kind} store is not probed", watched.name);
            Err(Error::usage("usage.kinds", message, "name a PostgreSQL primary and its standby"))
        }
    }
}

async fn run(
    cx: &Context,
    watched: &Watched,
    options: &Options,
    probe: &ProbeOptions,
    keeper: &Keeper,
    config: Option<String>,
) -> Result<Report> {
    if let Some(table) = &probe.heartbeat {
        // A name that is none is a mistake of the command line.
        let heartbeats = watched.source.store.heartbeats();
        heartbeats.map(|heartbeats| heartbeats.pen(Some(table))).transpose().map_err(registry::usage)?;
    }
    let shelf = Shelf::open(keeper.state(), &watched.name, keeper.id()).map_err(|error| {
        Error::inconclusive(Problem {
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            detail: None,
            hint: Some("stop the other probe of this link, or name another folder with --state".to_owned()),
        })
    })?;
    let link = watch(cx, watched, probe, &shelf).await;
    let mut report = keeper.finish(config, vec![link], options.deny_warnings);
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    Ok(report)
}

/// What is known beside the observation.
#[derive(Debug, Default)]
struct Aside {
    resumed: bool,
    notes: Vec<String>,
    /// Why attempts failed last, by side.
    failed: [Option<Problem>; 2],
    /// Why a history could not be read.
    unread: Option<Problem>,
    /// Why the observation could not be kept.
    unkept: Option<String>,
}

async fn watch(cx: &Context, watched: &Watched, probe: &ProbeOptions, shelf: &Shelf) -> LinkReport {
    let clock = Clock::start();
    let begun = match start(cx, watched, probe, shelf, &clock).await {
        Ok(begun) => begun,
        Err(problem) => return report::not_begun(watched, probe, problem),
    };
    let Start { mut observation, resumed, notes } = begun;
    let mut aside = Aside { resumed, notes, ..Aside::default() };
    let clock = clock.at_place(observation.clock());
    let ended = match hands(watched, probe, &observation, clock) {
        Ok((hands, events)) => attend(cx, probe, shelf, (&mut observation, &mut aside), hands, events).await,
        Err(problem) => return report::not_begun(watched, probe, problem),
    };
    report::link(watched, probe, shelf, &observation, &aside, ended)
}

/// Both hands, and what they report.
fn hands(
    watched: &Watched,
    probe: &ProbeOptions,
    observation: &Observation,
    clock: Clock,
) -> Result<([Hand; 2], mpsc::Receiver<Event>), Problem> {
    let shared = Arc::new(Shared {
        every: probe.every,
        timeout: probe.timeout,
        clock,
        sequence: AtomicU64::new(observation.next_sequence),
        key: watched.name.clone(),
        owner: observation.owner.clone(),
        replaces: observation.predecessor.clone(),
        writes: observation.writes,
        old: (observation.known.clone(), observation.lineage.timeline),
    });
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let hand = |side, opened: &Opened| {
        let heartbeats = opened.store.heartbeats();
        let heartbeats = heartbeats.ok_or_else(|| paritas_connect::Error::unsupported("heartbeats"))?;
        let pen = heartbeats.pen(observation.table.as_deref())?;
        Ok(Hand::new(side, Arc::clone(&opened.store), pen, Arc::clone(&shared), sender.clone()))
    };
    let both = hand(Side::Source, &watched.source)
        .and_then(|source| Ok([source, hand(Side::Replica, &watched.replica)?]))
        .map_err(|error| problem_of(&error))?;
    Ok((both, events))
}

/// Notes what the hands report until the probe ends.
async fn attend(
    cx: &Context,
    probe: &ProbeOptions,
    shelf: &Shelf,
    (observation, aside): (&mut Observation, &mut Aside),
    hands: [Hand; 2],
    mut events: mpsc::Receiver<Event>,
) -> Ended {
    let own = Context::default();
    let running = hands.map(|hand| tokio::spawn(hand.run(own.clone())));
    let end = probe.run_for.and_then(|time| Instant::now().checked_add(time));
    let over = async {
        match end {
            Some(end) => tokio::time::sleep_until(end.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let ended = loop {
        note(observation, aside, shelf).await;
        if probe.until == Until::Recovered && observation.findings().failover.is_some() {
            break Ended::Recovered;
        }
        let event = tokio::select! {
            biased;
            () = cx.cancel_token().cancelled() => break Ended::Interrupted,
            () = &mut over => break Ended::Time,
            event = events.recv() => event,
        };
        let Some(event) = event else { break Ended::Problem };
        take(observation, aside, event);
        while let Ok(event) = events.try_recv() {
            take(observation, aside, event);
        }
    };
    own.cancel_token().cancel();
    // What is already told is taken; attempts that were given up say nothing.
    while let Ok(event) = events.try_recv() {
        take(observation, aside, event);
    }
    events.close();
    for task in running {
        if let Err(error) = task.await {
            tracing::error!("a side of the probe ended early: {error}");
        }
    }
    note(observation, aside, shelf).await;
    ended
}

async fn note(observation: &Observation, aside: &mut Aside, shelf: &Shelf) {
    let result = shelf.save(observation).await;
    if let (Err(error), None) = (&result, &aside.unkept) {
        tracing::error!("cannot keep the observation: {error}; hint: see that the state folder can be written");
    }
    aside.unkept = result.err();
}

fn take(observation: &mut Observation, aside: &mut Aside, event: Event) {
    match event {
        Event::Tried(attempt, failed) => {
            tell(observation, &attempt, failed.as_ref());
            observation.take(&attempt);
            let place = usize::from(attempt.side == Side::Replica);
            if let Some(slot) = aside.failed.get_mut(place) {
                *slot = failed;
            }
        }
        Event::Identified { instance, timeline, history: Ok(history) } => {
            let new = observation.asks_for(&instance, timeline);
            observation.identify(&instance, timeline, &history);
            if let Some(failover) = observation.findings().failover.filter(|_| new) {
                tracing::warn!(
                    "timeline {} was left at {}; timeline {} takes writes",
                    failover.old_timeline,
                    failover.at,
                    failover.new_timeline
                );
            }
            aside.unread = None;
        }
        Event::Identified { history: Err(problem), .. } => aside.unread = Some(problem),
    }
}

/// Says on standard error when the source stops and begins to take writes.
fn tell(observation: &Observation, attempt: &Attempt, failed: Option<&Problem>) {
    if attempt.side != Side::Source {
        return;
    }
    let why = failed.map_or("", |problem| problem.message.as_str());
    match (&attempt.outcome, observation.is_missing(Side::Source)) {
        (Outcome::Took { .. }, true) => tracing::warn!("the source takes writes again"),
        (Outcome::Down | Outcome::Unknown, false) => tracing::warn!("the source takes no writes: {why}"),
        (Outcome::Void, _) => tracing::debug!("an attempt that says nothing: {why}"),
        _ => {}
    }
}
