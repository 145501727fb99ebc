//! `lag`: how far replicas are behind, for configured links and for two stores named ad hoc.

mod coverage;
mod curves;
mod link;
mod sampled;
mod stream;

use crate::keep::Keeper;
use crate::links::{chosen_links, hide, open};
use crate::logs::LogLink;
use crate::registry::{self, Secrets};
use crate::vitals::Vitals;
use crate::{Error, Options, Result, Target};
use link::Link;
use paritas_config::{Config, Levels};
use paritas_connect::{Context, Store};
use paritas_model::StoreKind;
use paritas_report::{LinkReport, Report, apply_privacy};
use sampled::Sampled;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Links that are sampled at a time; each has a connection to either side.
const LINKS_MAX: usize = 64;

/// How lag is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LagOptions {
    /// Sample for that long; otherwise until the answer is known, for a little more than a second at most.
    pub run_for: Option<Duration>,
}

/// A link by what it is made of.
#[derive(Debug)]
enum Kind {
    /// Servers with streams of their own.
    Streams(Box<Link>),
    /// Logs, and mirrors of them.
    Logs(Box<LogLink>),
}

/// A link, and what is asked of it beside its streams.
#[derive(Debug)]
struct Asked {
    kind: Kind,
    vitals: Vitals,
    stores: (Arc<dyn Store>, Arc<dyn Store>),
}

impl Asked {
    async fn measure(&mut self, cx: &Context, since: Instant, run_for: Option<Duration>) -> LinkReport {
        let (source, replica) = &self.stores;
        let (mut report, found) =
            tokio::join!(self.kind.measure(cx, since, run_for), self.vitals.look(cx, source, replica));
        found.add_to(&mut report);
        report
    }
}

impl Kind {
    async fn measure(&mut self, cx: &Context, since: Instant, run_for: Option<Duration>) -> LinkReport {
        match self {
            Self::Streams(link) => link.measure(cx, since, run_for).await,
            Self::Logs(link) => link.measure(cx, run_for).await,
        }
    }
}

/// Links whose lag is measured, once or again and again: what was learnt about their streams is kept
/// from one measurement to the next.
#[derive(Debug)]
pub struct LagRun {
    links: Vec<Asked>,
    options: Options,
    config: Option<String>,
    state: Option<std::path::PathBuf>,
}

impl LagRun {
    /// The configured links of these names, or all of them that have a stream.
    ///
    /// # Errors
    /// Unknown names, unusable stores, secrets that cannot be had (exit code 2).
    pub fn links(config: &Config, names: &[String], options: &Options) -> Result<Self> {
        let mut links = Vec::new();
        let options = crate::links::with_secrets(config, options)?;
        hide(&options);
        let mut stores: BTreeMap<&str, Arc<Sampled>> = BTreeMap::new();
        for configured in chosen_links(config, names)? {
            for name in [&configured.source, &configured.replica] {
                if !stores.contains_key(name.as_str()) {
                    let found = config.store(name).ok_or_else(|| missing(&configured.name, name))?;
                    stores.insert(name, Sampled::new(open(found)?));
                }
            }
            let store = |name: &str| stores.get(name).cloned().ok_or_else(|| missing(&configured.name, name));
            let (source, replica) = (store(&configured.source)?, store(&configured.replica)?);
            let stores = (Arc::clone(&source.opened.store), Arc::clone(&replica.opened.store));
            let vitals = Vitals::configured(config, configured);
            if has_logs(&source) && has_logs(&replica) {
                let mut link =
                    LogLink::new(configured.name.clone(), &source.opened, &replica.opened, &options.digest_key)?;
                link.tier = configured.tier;
                link.levels = configured.objectives.lag.map(levels);
                link.declared = true;
                link.take(&configured.include, &configured.exclude);
                links.push(Asked { kind: Kind::Logs(Box::new(link)), vitals, stores });
                continue;
            }
            let mut link = Link::new(configured.name.clone(), source, replica);
            link.tier = configured.tier;
            link.include.clone_from(&configured.include);
            link.exclude.clone_from(&configured.exclude);
            link.levels = configured.objectives.lag.map(levels);
            link.declared = true;
            if names.is_empty() && !link.has_stream() {
                tracing::warn!(link = link.name, "left out: its stores have no stream that could lag");
                continue;
            }
            links.push(Asked { kind: Kind::Streams(Box::new(link)), vitals, stores });
        }
        if links.is_empty() {
            let message = "no configured link has a stream that could lag";
            return Err(Error::usage(
                "usage.kinds",
                message,
                "lag is measured between PostgreSQL servers, and between Kafka clusters",
            ));
        }
        let checksum = format!("blake3:{}", blake3::hash(config.canonical_text().as_bytes()).to_hex());
        Ok(Self { links, options, config: Some(checksum), state: config.state.clone() })
    }

    /// Two stores named by URL.
    ///
    /// # Errors
    /// Stores without positions, or that cannot be understood (exit code 2).
    pub fn pair(source: &str, replica: &str, options: &Options) -> Result<Self> {
        let (ours, theirs) = (Target::parse(source)?, Target::parse(replica)?);
        hide(options);
        if ours.kind == theirs.kind && ours.location == theirs.location {
            let hint = "name two different stores";
            return Err(Error::usage("usage.same", "source and replica are the same", hint));
        }
        for target in [&ours, &theirs] {
            if !matches!(target.kind, StoreKind::Postgres | StoreKind::Kafka) || ours.kind != theirs.kind {
                let message = match ours.kind == theirs.kind {
                    true => format!("a {} store has no stream that could lag", target.kind),
                    false => format!("a {} store does not follow a {} store", theirs.kind, ours.kind),
                };
                let hint = "name two PostgreSQL servers (postgres://host/db) or two Kafka clusters (kafka://host:9092)";
                return Err(Error::usage("usage.kinds", message, hint));
            }
        }
        let opened = |target: &Target| registry::open(target, Secrets::default(), None);
        let (source, replica) = (opened(&ours)?, opened(&theirs)?);
        let name = format!("{} -> {}", source.store.name(), replica.store.name());
        let stores = (Arc::clone(&source.store), Arc::clone(&replica.store));
        let kind = if ours.kind == StoreKind::Kafka {
            Kind::Logs(Box::new(LogLink::new(name, &source, &replica, &options.digest_key)?))
        } else {
            Kind::Streams(Box::new(Link::new(name, Sampled::new(source), Sampled::new(replica))))
        };
        let links = vec![Asked { kind, vitals: Vitals::default(), stores }];
        Ok(Self { links, options: options.clone(), config: None, state: None })
    }

    /// Measures every link now, side by side.
    pub async fn measure(&mut self, cx: &Context, lag: LagOptions) -> Report {
        let keeper = Keeper::begin(&self.options, self.state.as_deref()).of("lag");
        let at_a_time = Arc::new(Semaphore::new(LINKS_MAX));
        let mut running = JoinSet::new();
        let (count, since) = (self.links.len(), Instant::now());
        for (index, mut link) in std::mem::take(&mut self.links).into_iter().enumerate() {
            let (cx, at_a_time) = (cx.clone(), Arc::clone(&at_a_time));
            running.spawn(async move {
                // The semaphore is never closed; without a permit it would only be less polite.
                let _permit = at_a_time.acquire_owned().await;
                let report = link.measure(&cx, since, lag.run_for).await;
                (index, link, report)
            });
        }
        let mut done = Vec::with_capacity(count);
        while let Some(joined) = running.join_next().await {
            match joined {
                Ok(one) => done.push(one),
                Err(error) => tracing::error!("the measurement of a link ended early: {error}"),
            }
        }
        done.sort_by_key(|(index, ..)| *index);
        let mut reports = Vec::with_capacity(done.len());
        for (_, link, report) in done {
            self.links.push(link);
            reports.push(report);
        }
        let missing = reports.len() < count;
        let mut report = keeper.finish(self.config.clone(), reports, self.options.deny_warnings);
        if missing && report.exit_code == 0 {
            report.verdict = paritas_model::Verdict::Unknown;
            report.exit_code = report.verdict.exit_code(self.options.deny_warnings);
        }
        apply_privacy(&mut report, self.options.privacy);
        keeper.report(cx, &report);
        report
    }

    /// From now on reports are made and not kept, as for a live view.
    pub fn keep_nothing(&mut self) {
        (self.state, self.options.state) = (None, None);
    }
}

fn has_logs(side: &Sampled) -> bool {
    side.opened.store.logs().is_some()
}

fn missing(link: &str, store: &str) -> Error {
    let message = format!("link {link:?} names a store {store:?} that does not exist");
    Error::usage("config.reference", message, "declare it as a [store.NAME] section")
}

pub(crate) fn levels(levels: Levels) -> paritas_lag::Levels {
    paritas_lag::Levels { target: levels.target, warning: levels.warning, critical: levels.critical }
}
