//! What is asked of a link beside its streams and rows: the clocks of its stores, the way to them, and how new their
//! newest rows are.

mod clock;
mod fresh;
mod quarantine;

pub(crate) use quarantine::quarantine;

use crate::job::Work;
use crate::lag::levels;
use paritas_config::{Config, LinkConfig};
use paritas_connect::{Context, Store};
use paritas_lag::{Levels, Offset};
use paritas_model::Region;
use paritas_report::{Check, LagObjective, LinkReport, NotChecked};
use std::sync::Arc;
use std::time::Duration;

/// What was promised of a link's clocks and newest rows.
#[derive(Debug, Clone)]
pub(crate) struct Vitals {
    /// How far clocks may be apart.
    pub(crate) skew: Option<Levels>,
    /// How long a round trip may take.
    pub(crate) rtt: Option<Levels>,
    /// Times further ahead than this are set apart.
    pub(crate) quarantine: Duration,
    /// Where this machine is.
    pub(crate) from: Option<Region>,
    /// How new rows have to be.
    pub(crate) fresh: Vec<Fresh>,
}

/// How new the newest row of one dataset has to be.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) replica: String,
    /// The column on either side; `None` takes the times of records.
    pub(crate) columns: Option<(String, String)>,
    pub(crate) max_age: Levels,
    pub(crate) filter: Option<String>,
}

/// What is known of both clocks: each one's distance from ours, where it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Skews {
    pub(crate) source: Option<Offset>,
    pub(crate) replica: Option<Offset>,
    /// Whether each is proven to be beyond the limit of quarantine.
    pub(crate) quarantined: [bool; 2],
}

impl Default for Vitals {
    fn default() -> Self {
        let quarantine = paritas_config::Objectives::default().quarantine();
        Self { skew: None, rtt: None, quarantine, from: None, fresh: Vec::new() }
    }
}

impl Vitals {
    /// What a configuration says of a link.
    pub(crate) fn configured(config: &Config, link: &LinkConfig) -> Self {
        let fresh = link.freshness.iter().map(|fresh| {
            let dataset = link.datasets.iter().find(|own| own.source_name == fresh.dataset);
            let rename = |column: &String| dataset.and_then(|own| own.rename.get(column)).unwrap_or(column).clone();
            let replica_name = || dataset.map(|own| own.replica_name.clone());
            Fresh {
                name: fresh.name.clone(),
                source: fresh.dataset.clone(),
                replica: fresh.replica_dataset.clone().or_else(replica_name).unwrap_or_else(|| fresh.dataset.clone()),
                columns: fresh.column.as_ref().map(|column| (column.clone(), rename(column))),
                max_age: levels(fresh.max_age),
                filter: fresh.filter.clone().or_else(|| dataset.and_then(|own| own.filter.clone())),
            }
        });
        Self {
            skew: link.objectives.clock_skew.map(levels),
            rtt: link.objectives.rtt.map(levels),
            quarantine: link.objectives.quarantine(),
            from: config.region.clone(),
            fresh: fresh.collect(),
        }
    }

    /// Whether anything is asked for.
    pub(crate) fn any(&self) -> bool {
        self.asks_clocks() || !self.fresh.is_empty()
    }

    /// The age of a row depends on the clock that dated it, so clocks are looked at for its sake as well.
    fn asks_clocks(&self) -> bool {
        self.skew.is_some() || self.rtt.is_some()
    }

    /// Carries out what is asked for. Whatever goes wrong is in what was found.
    pub(crate) async fn look(&self, cx: &Context, source: &Arc<dyn Store>, replica: &Arc<dyn Store>) -> Found {
        let mut found = Found::default();
        if !self.any() {
            return found;
        }
        let (skews, check, untold) = clock::check(cx, self, source, replica).await;
        if self.asks_clocks() {
            found.not_checked.extend(untold);
            found.checks.extend(check.map(|check| Check::Clock(Box::new(check))));
        }
        for fresh in &self.fresh {
            let check = fresh::check(cx, self, fresh, &skews, source, replica).await;
            found.checks.push(Check::Freshness(check));
        }
        found
    }
}

/// What was found of a link's clocks and newest rows.
#[derive(Debug, Default)]
pub(crate) struct Found {
    checks: Vec<Check>,
    not_checked: Vec<NotChecked>,
}

impl Found {
    /// Adds it to what is known of the link.
    pub(crate) fn add_to(self, link: &mut LinkReport) {
        if self.checks.is_empty() && self.not_checked.is_empty() {
            return;
        }
        link.not_checked.extend(self.not_checked);
        link.checks.extend(self.checks);
        link.verdict = LinkReport::combined(&link.checks);
    }
}

/// The same for a job of a verification.
pub(crate) async fn verify(work: &Work<'_>, link: &mut LinkReport) {
    let (source, replica) = (&work.sides.source, &work.sides.replica);
    work.job.vitals.look(&source.cx, &source.store, &replica.store).await.add_to(link);
}

fn objective(levels: Option<Levels>) -> Option<LagObjective> {
    levels.map(|levels| LagObjective {
        target: levels.target.map(|time| time.as_secs_f64()),
        warning: levels.warning.map(|time| time.as_secs_f64()),
        critical: levels.critical.as_secs_f64(),
    })
}
