//! One link, from opened stores to its part of the report: who the stores are, and which checks fit.

use crate::error::problem_of;
use crate::follow;
use crate::guard;
use crate::keep::Keeper;
use crate::ledger::{self, Reconciliation};
use crate::record;
use crate::registry::Opened;
use crate::tables;
use crate::vitals::{self, Vitals};
use crate::{Budget, Monitor, Options};
use paritas_connect::{Context, Pace, Progress, ReplicaRole, StoreIdentity};
use paritas_model::{Known, Tier, Verdict};
use paritas_report::{Check, LinkReport, NotChecked, Problem};
use paritas_verify::rows::{Origin, Phase};
use paritas_verify::{Choice, Side, files};
use std::sync::Arc;
use std::time::Instant;

/// What is to be verified between two stores.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) tier: Option<Tier>,
    pub(crate) source: Opened,
    pub(crate) replica: Opened,
    /// Patterns of datasets to take; empty takes all.
    pub(crate) include: Vec<String>,
    /// Patterns of datasets to leave out.
    pub(crate) exclude: Vec<String>,
    /// Choices for single datasets, by source name.
    pub(crate) overrides: Vec<Override>,
    /// Figures to reconcile.
    pub(crate) ledgers: Vec<Reconciliation>,
    /// What is asked of clocks and newest rows.
    pub(crate) vitals: Vitals,
    /// Whether nothing but figures is asked for.
    pub(crate) figures_only: bool,
    /// Parts of the configuration that this version does not carry out.
    pub(crate) not_checked: Vec<NotChecked>,
}

/// What is different for one dataset of a link.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    pub(crate) source_name: String,
    pub(crate) replica_name: String,
    pub(crate) choice: Choice,
    pub(crate) declared: crate::target::Declared,
}

/// Both sides of a job, ready to be read.
#[derive(Debug)]
pub(crate) struct Sides {
    pub(crate) source: Side,
    pub(crate) replica: Side,
    /// Whether the replica follows the source.
    pub(crate) live: bool,
    /// Whether it does so byte by byte.
    pub(crate) physical: bool,
}

/// A job under way, with everything that its checks need.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) job: &'a Job,
    pub(crate) sides: Sides,
    pub(crate) options: &'a Options,
    pub(crate) monitor: &'a Monitor,
    pub(crate) keeper: &'a Keeper,
}

/// A failure and the side it came from.
pub(crate) type Failure = (Origin, Problem);

/// Carries out one job. Whatever goes wrong is in the link's report.
pub(crate) async fn verify_job(
    cx: &Context,
    job: Job,
    options: &Options,
    monitor: &Monitor,
    keeper: &Keeper,
) -> LinkReport {
    let mut link = LinkReport {
        name: job.name.clone(),
        tier: job.tier,
        verdict: Verdict::Unknown,
        source: job.source.described.clone(),
        replica: job.replica.described.clone(),
        checks: Vec::new(),
        recovery: None,
        not_checked: job.not_checked.clone(),
    };
    let mut work = Work { job: &job, sides: sides(cx, &job, options), options, monitor, keeper };
    match identify(work.job, &work.sides).await {
        Ok((live, physical)) => {
            (work.sides.live, work.sides.physical) = (live, physical);
            let _guard = options.manners.pause_lag.filter(|_| live).map(|limit| guard::watch(&work.sides, limit));
            let (source, replica) = (&work.sides.source.store, &work.sides.replica.store);
            if job.figures_only {
                ledger::verify(&work, &mut link).await;
                link.verdict = LinkReport::combined(&link.checks);
                return link;
            }
            let logs = source.logs().is_some() && replica.logs().is_some() && !as_rows(&job);
            let rows = !logs && source.datasets().is_some() && replica.datasets().is_some();
            match (source.datasets(), replica.datasets(), source.files(), replica.files()) {
                _ if !rows && options.share.is_some_and(|share| !share.takes(&job.name)) => {
                    let what = format!("content of {}", job.name);
                    link.not_checked.push(NotChecked { what, why: tables::LATER.to_owned() });
                }
                _ if logs => crate::logs::verify(&work, &mut link).await,
                (Some(_), Some(_), _, _) => tables::verify(&work, &mut link).await,
                (_, _, Some(_), Some(_)) => link.checks.push(verify_files(&work).await),
                _ => {
                    let logs = source.logs().is_some() || replica.logs().is_some();
                    let problem = if logs { no_layout(&job) } else { nothing_in_common(&job) };
                    link.checks.push(Check::Parity(record::not_begun(&link.name, problem)));
                }
            }
            match options.share {
                Some(share) if !share.is_whole() => ledger::left_out(&job, tables::LATER, &mut link),
                _ => ledger::verify(&work, &mut link).await,
            }
        }
        Err((origin, problem)) if job.figures_only => {
            ledger::not_begun(&work, &record::sided(origin, problem), &mut link);
        }
        Err((origin, problem)) => {
            let problem = record::sided(origin, problem);
            ledger::left_out(&job, &problem.message, &mut link);
            link.checks.push(Check::Parity(record::not_begun(&link.name, problem)));
        }
    }
    if !job.figures_only {
        vitals::verify(&work, &mut link).await;
    }
    let later = link.not_checked.iter().any(|one| one.why == tables::LATER);
    link.verdict = match link.checks.is_empty() && later {
        // All of what this run was asked for.
        true => Verdict::Pass,
        false => LinkReport::combined(&link.checks),
    };
    link
}

/// Whether records of logs are read as rows of a format, on both sides.
fn as_rows(job: &Job) -> bool {
    [&job.source, &job.replica].iter().all(|side| side.target.options.contains_key("format"))
}

/// The context and the budget with the limits of the run.
pub(crate) fn limited(cx: &Context, options: &Options) -> (Context, Arc<paritas_verify::Budget>) {
    let cx = match options.budget {
        Some(Budget::Time(time)) => cx.clone().with_timeout(time),
        _ => cx.clone(),
    };
    let cx = cx.with_parallel(options.parallel);
    let budget = Arc::new(match options.budget {
        Some(Budget::Rows(rows)) => paritas_verify::Budget::new(Some(rows), None),
        Some(Budget::Bytes(bytes)) => paritas_verify::Budget::new(None, Some(bytes)),
        _ => paritas_verify::Budget::default(),
    });
    (cx, budget)
}

/// Both sides with the limits of the run.
pub(crate) fn sides(cx: &Context, job: &Job, options: &Options) -> Sides {
    let (cx, budget) = limited(cx, options);
    let side = |opened: &Opened| {
        let pace = Arc::new(Pace::new(options.manners.rate).with_hold_max(options.manners.view_max()));
        let mut side = Side::new(Arc::clone(&opened.store), cx.clone().with_pace(pace));
        side.budget = Arc::clone(&budget);
        side
    };
    Sides { source: side(&job.source), replica: side(&job.replica), live: false, physical: false }
}

/// One side with counters that somebody watches.
pub(crate) fn watched(side: &Side, progress: &Arc<Progress>) -> Side {
    let mut side = side.clone();
    side.cx = side.cx.with_progress(Arc::clone(progress));
    side
}

pub(crate) fn nothing_in_common(job: &Job) -> Problem {
    let (ours, theirs) = (job.source.described.kind, job.replica.described.kind);
    Problem {
        code: "usage.kinds".to_owned(),
        message: format!("a {ours} store and a {theirs} store have nothing that can be compared"),
        detail: None,
        hint: Some("name files as a dataset with parquet:PATH or csv:PATH".to_owned()),
    }
}

pub(crate) fn no_layout(job: &Job) -> Problem {
    let (ours, theirs) = (job.source.described.kind, job.replica.described.kind);
    Problem {
        code: "usage.kinds".to_owned(),
        message: format!("a {ours} store and a {theirs} store cannot be compared: nobody says how topics become rows"),
        detail: None,
        hint: Some("say it in the URL of the topic: ?format=json&fields=id:int64,amount:decimal(38,10)".to_owned()),
    }
}

/// Asks both stores who they are, whether one follows the other, and whether byte by byte.
async fn identify(job: &Job, sides: &Sides) -> Result<(bool, bool), Failure> {
    let probe = |side: &Side| {
        let side = side.clone();
        async move { side.cx.bound(side.store.probe(&side.cx)).await }
    };
    let (ours, theirs) = tokio::join!(probe(&sides.source), probe(&sides.replica));
    let ours = ours.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let theirs = theirs.map_err(|error| (Origin::Replica, problem_of(&error)))?;
    for (side, identity) in [(&sides.source, &ours), (&sides.replica, &theirs)] {
        tracing::info!(store = side.store.name(), version = identity.version, role = ?identity.role, "connected");
        for limit in &identity.limits {
            // What depends on it is unknown in the report, with its reason; `config check --connect` lists them all.
            tracing::info!(store = side.store.name(), "{limit}");
        }
    }
    if one_place(job, &ours, &theirs) {
        let problem = Problem {
            code: "usage.same".to_owned(),
            message: "source and replica are the same store under two names".to_owned(),
            detail: ours.place.value().cloned(),
            hint: Some("name two different stores: comparing a store with itself proves nothing".to_owned()),
        };
        return Err((Origin::Comparison, problem));
    }
    let live = facing(sides, &ours, &theirs)?;
    let physical = theirs.role == ReplicaRole::PhysicalReplica;
    if physical && !live && ours.role != ReplicaRole::Independent {
        return Err(follow::other_cluster(&ours.identity, &theirs.identity));
    }
    if live && !physical {
        // A subscription says that it follows somebody, and only the source can say that it is this one.
        follow::stranger(sides, &ours.role).await?;
    }
    Ok((live, live && physical))
}

/// Whether both sides would read the very same rows. Two tables of one database are two datasets.
fn one_place(job: &Job, ours: &StoreIdentity, theirs: &StoreIdentity) -> bool {
    let (source, replica) = (&job.source.target, &job.replica.target);
    let same_names = |one: &Override| one.source_name == one.replica_name;
    matches!((ours.place.value(), theirs.place.value()), (Some(a), Some(b)) if a == b)
        && source.kind == replica.kind
        && (source.datasets == replica.datasets || source.datasets.is_empty() || replica.datasets.is_empty())
        && source.filter == replica.filter
        && job.overrides.iter().all(same_names)
}

fn facing(sides: &Sides, ours: &StoreIdentity, theirs: &StoreIdentity) -> Result<bool, Failure> {
    let streams = sides.source.store.positions().is_some() && sides.replica.store.positions().is_some();
    let one_history = matches!((&ours.identity, &theirs.identity), (Known::Known(a), Known::Known(b)) if a == b);
    if ours.role == ReplicaRole::PhysicalReplica && theirs.role == ReplicaRole::Primary && one_history {
        let problem = Problem {
            code: "usage.direction".to_owned(),
            message: "source and replica are the wrong way round".to_owned(),
            detail: Some("the source is a standby of the replica, which takes the writes".to_owned()),
            hint: Some("name the primary first: paritas verify PRIMARY STANDBY".to_owned()),
        };
        return Err((Origin::Comparison, problem));
    }
    Ok(streams
        && match theirs.role {
            ReplicaRole::PhysicalReplica => one_history,
            ReplicaRole::LogicalReplica { .. } => sides.source.store.kind() == sides.replica.store.kind(),
            ReplicaRole::Primary | ReplicaRole::Independent => false,
        })
}

async fn verify_files(work: &Work<'_>) -> Check {
    let counters = work.monitor.begin("files");
    work.monitor.enter(Phase::Digesting);
    let started = Instant::now();
    let source = watched(&work.sides.source, &counters.source);
    let replica = watched(&work.sides.replica, &counters.replica);
    let outcome = files::verify(&source, &replica, work.options.max_differences).await;
    Check::Files(record::files("files", &outcome, started.elapsed()))
}
