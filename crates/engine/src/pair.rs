//! Verifying two opened stores: which checks, over which datasets.

use crate::datasets::{self, Facing, Facings};
use crate::error::problem_of;
use crate::record;
use crate::registry::{self, Opened, Secrets};
use crate::{Budget, Error, Monitor, Options, Result, Target};
use jiff::Timestamp;
use paritas_connect::{Context, Datasets, Description, ReplicaRole, StoreIdentity};
use paritas_digest::{Policies, schema_fingerprint};
use paritas_model::{Dataset, Known, Store, StoreKind, Tier};
use paritas_report::{Check, LinkReport, NotChecked, Report, Run};
use paritas_verify::rows::Origin;
use paritas_verify::{Choice, Matching, Plan, Side, compare_schemas, files, rows};
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
    /// Parts of the configuration that this version does not carry out.
    pub(crate) not_checked: Vec<NotChecked>,
}

/// What is different for one dataset of a link.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    pub(crate) source_name: String,
    pub(crate) replica_name: String,
    pub(crate) choice: Choice,
}

/// Names of the two datasets at hand.
#[derive(Debug)]
pub(crate) struct Compared<'a> {
    pub(crate) source_name: &'a str,
    pub(crate) replica_name: &'a str,
}

/// Verifies two stores named by URL or path.
///
/// # Errors
/// Usage errors (exit code 2), and stores that cannot be reached at all (exit code 3). Everything
/// after that is part of the report.
pub async fn verify_pair(
    cx: &Context,
    source: &str,
    replica: &str,
    options: &Options,
    monitor: &Monitor,
) -> Result<Report> {
    let started = Timestamp::now();
    let (ours, theirs) = (Target::parse(source)?, Target::parse(replica)?);
    if theirs.kind == StoreKind::Digest {
        let hint = "put the digest first: a stored digest stands in for a source that may be gone";
        return Err(Error::usage("usage.url", "a digest cannot be the replica", hint));
    }
    if ours.kind == StoreKind::Digest {
        let link = crate::stored::verify(cx, &ours, &theirs, options, monitor).await?;
        return Ok(Report::new(run_of(started, None), vec![link], options.deny_warnings));
    }
    if ours == theirs {
        let hint = "name two different stores: comparing a store with itself proves nothing";
        return Err(Error::usage("usage.same", "source and replica are the same", hint));
    }
    let job = Job {
        name: String::new(),
        tier: None,
        source: registry::open(&ours, Secrets::default(), None)?,
        replica: registry::open(&theirs, Secrets::default(), None)?,
        include: Vec::new(),
        exclude: Vec::new(),
        overrides: Vec::new(),
        not_checked: Vec::new(),
    };
    let job = Job { name: format!("{} -> {}", job.source.store.name(), job.replica.store.name()), ..job };
    let link = verify_job(cx, job, options, monitor).await;
    Ok(Report::new(run_of(started, None), vec![link], options.deny_warnings))
}

/// The run's own part of the report.
pub(crate) fn run_of(started: Timestamp, config: Option<String>) -> Run {
    Run {
        id: ulid::Ulid::generate().to_string(),
        command: "verify".to_owned(),
        started_at: started.to_string(),
        ended_at: Timestamp::now().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config,
    }
}

/// Both sides of a job, ready to be read.
pub(crate) struct Sides {
    pub(crate) source: Side,
    pub(crate) replica: Side,
    /// Whether the replica follows the source.
    live: bool,
}

/// Carries out one job. Whatever goes wrong is in the link's report.
pub(crate) async fn verify_job(cx: &Context, job: Job, options: &Options, monitor: &Monitor) -> LinkReport {
    let mut link = LinkReport {
        name: job.name.clone(),
        tier: job.tier,
        verdict: paritas_model::Verdict::Unknown,
        source: job.source.described.clone(),
        replica: job.replica.described.clone(),
        checks: Vec::new(),
        not_checked: job.not_checked.clone(),
    };
    let cx = match options.budget {
        Some(Budget::Time(time)) => cx.clone().with_timeout(time),
        _ => cx.clone(),
    }
    .with_parallel(options.parallel);
    let budget = Arc::new(match options.budget {
        Some(Budget::Rows(rows)) => paritas_verify::Budget::new(Some(rows), None),
        Some(Budget::Bytes(bytes)) => paritas_verify::Budget::new(None, Some(bytes)),
        _ => paritas_verify::Budget::default(),
    });
    let side = |opened: &Opened| {
        let mut side = Side::new(Arc::clone(&opened.store), cx.clone());
        side.budget = Arc::clone(&budget);
        side
    };
    let mut sides = Sides { source: side(&job.source), replica: side(&job.replica), live: false };
    match identify(&cx, &sides).await {
        Ok(live) => {
            sides.live = live;
            if sides.source.store.files().is_some() && sides.replica.store.files().is_some() && !has_rows(&sides) {
                link.checks.push(verify_files(&sides, options, monitor).await);
            } else {
                verify_datasets(&job, &sides, options, monitor, &mut link).await;
            }
        }
        Err((origin, problem)) => {
            let what = format!("{} -> {}", link.source.name, link.replica.name);
            link.checks.push(Check::Parity(record::not_begun(&what, record::sided(origin, problem))));
        }
    }
    link.verdict = LinkReport::combined(&link.checks);
    link
}

fn has_rows(sides: &Sides) -> bool {
    sides.source.store.datasets().is_some() && sides.replica.store.datasets().is_some()
}

type Failure = (Origin, paritas_report::Problem);

/// Asks both stores who they are, and whether one follows the other.
async fn identify(cx: &Context, sides: &Sides) -> Result<bool, Failure> {
    let probe = |side: &Side| {
        let side = side.clone();
        let cx = cx.clone();
        async move { cx.bound(side.store.probe(&cx)).await }
    };
    let (ours, theirs) = futures_join(probe(&sides.source), probe(&sides.replica)).await;
    let ours = ours.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let theirs = theirs.map_err(|error| (Origin::Replica, problem_of(&error)))?;
    for (side, identity) in [(&sides.source, &ours), (&sides.replica, &theirs)] {
        tracing::info!(store = side.store.name(), version = identity.version, role = ?identity.role, "connected");
        for limit in &identity.limits {
            tracing::warn!(store = side.store.name(), "{limit}");
        }
    }
    facing(sides, &ours, &theirs)
}

async fn futures_join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    tokio::join!(a, b)
}

fn facing(sides: &Sides, ours: &StoreIdentity, theirs: &StoreIdentity) -> Result<bool, Failure> {
    let streams = sides.source.store.positions().is_some() && sides.replica.store.positions().is_some();
    let one_history = matches!((&ours.identity, &theirs.identity), (Known::Known(a), Known::Known(b)) if a == b);
    if ours.role == ReplicaRole::PhysicalReplica && theirs.role == ReplicaRole::Primary && one_history {
        let problem = paritas_report::Problem {
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

async fn verify_files(sides: &Sides, options: &Options, monitor: &Monitor) -> Check {
    let counters = monitor.begin("files");
    monitor.enter(rows::Phase::Digesting);
    let started = Instant::now();
    let watched = |side: &Side, progress| {
        let mut side = side.clone();
        side.cx = side.cx.with_progress(progress);
        side
    };
    let source = watched(&sides.source, Arc::clone(&counters.source));
    let replica = watched(&sides.replica, Arc::clone(&counters.replica));
    let outcome = files::verify(&source, &replica, options.max_differences).await;
    Check::Files(record::files("files", outcome, started.elapsed()))
}

async fn verify_datasets(job: &Job, sides: &Sides, options: &Options, monitor: &Monitor, link: &mut LinkReport) {
    let facings = match face(job, sides).await {
        Ok(facings) => facings,
        Err((origin, problem)) => {
            let what = job.source.target.datasets.first().cloned().unwrap_or_else(|| "datasets".to_owned());
            link.checks.push(Check::Parity(record::not_begun(&what, record::sided(origin, problem))));
            return;
        }
    };
    let taken = |dataset: &Dataset| {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| datasets::matches(pattern, &dataset.0));
        (job.include.is_empty() || any(&job.include)) && !any(&job.exclude)
    };
    for (list, on_source) in [(&facings.source_only, true), (&facings.replica_only, false)] {
        for dataset in list.iter().filter(|dataset| taken(dataset)) {
            link.checks.push(Check::Schema(record::one_sided(&dataset.0, on_source)));
        }
    }
    for facing in &facings.pairs {
        if !taken(&facing.source) {
            let why = "left out by include and exclude of the link".to_owned();
            link.not_checked.push(NotChecked { what: facing.source.0.clone(), why });
            continue;
        }
        if let Err(error) = sides.source.cx.check() {
            let why = error.message().to_owned();
            link.checks.push(Check::Parity(record::not_begun(&facing.source.0, problem_of(&error))));
            link.not_checked.push(NotChecked { what: facing.source.0.clone(), why });
            continue;
        }
        verify_facing(job, sides, facing, options, monitor, link).await;
    }
    if link.checks.is_empty() {
        let problem = paritas_report::Problem {
            code: "dataset.none".to_owned(),
            message: "there is no dataset to verify".to_owned(),
            detail: None,
            hint: Some("check include and exclude of the link, or name a table with ?table=".to_owned()),
        };
        link.checks.push(Check::Parity(record::not_begun("datasets", problem)));
    }
}

/// Lists both sides and pairs their datasets.
async fn face(job: &Job, sides: &Sides) -> Result<Facings, Failure> {
    let list = |side: &Side| {
        let side = side.clone();
        async move {
            let datasets = side.store.datasets().ok_or_else(|| paritas_connect::Error::unsupported("rows"))?;
            side.cx.bound(datasets.list(&side.cx)).await
        }
    };
    let (ours, theirs) = tokio::join!(list(&sides.source), list(&sides.replica));
    let ours = ours.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let theirs = theirs.map_err(|error| (Origin::Replica, problem_of(&error)))?;
    let (source, replica) = (&job.source.target.datasets, &job.replica.target.datasets);
    if source.is_empty() && replica.is_empty() {
        let mut facings = datasets::all(&ours, &theirs);
        for chosen in &job.overrides {
            let renamed = |pair: &Facing| pair.source.0 == chosen.source_name;
            facings.pairs.retain(|pair| !renamed(pair));
            facings.source_only.retain(|dataset| dataset.0 != chosen.source_name);
            facings.replica_only.retain(|dataset| dataset.0 != chosen.replica_name);
            let (source, replica) = (Dataset(chosen.source_name.clone()), Dataset(chosen.replica_name.clone()));
            facings.pairs.push(Facing { source, replica });
        }
        facings.pairs.sort();
        return Ok(facings);
    }
    datasets::named(source, replica, &ours, &theirs).map_err(|message| {
        let hint = Some("name the same number of tables on both sides, in the order in which they belong".to_owned());
        let code = "usage.url".to_owned();
        (Origin::Comparison, paritas_report::Problem { code, message, detail: None, hint })
    })
}

/// The choice for a dataset: its own part of the configuration, or the options of both URLs.
fn choice_for(job: &Job, facing: &Facing, policies: Policies) -> Choice {
    if let Some(own) = job.overrides.iter().find(|own| own.source_name == facing.source.0) {
        return own.choice.clone();
    }
    let (ours, theirs) = (&job.source.target, &job.replica.target);
    let mut rename = theirs.rename.clone();
    rename.extend(ours.rename.clone());
    let back = |names: &[String]| -> Vec<String> {
        let source_name = |name: &String| rename.iter().find(|(_, r)| *r == name).map_or(name, |(s, _)| s).clone();
        names.iter().map(source_name).collect()
    };
    let either = |ours: &[String], theirs: &[String]| if ours.is_empty() { back(theirs) } else { ours.to_vec() };
    Choice {
        key: either(&ours.key, &theirs.key),
        columns: either(&ours.columns, &theirs.columns),
        rename,
        matching: Matching::default(),
        source_filter: ours.filter.clone(),
        replica_filter: theirs.filter.clone(),
        policies,
    }
}

/// Describes a dataset on both sides; one that only one side has is a difference of its own.
async fn describe(sides: &Sides, facing: &Facing, link: &mut LinkReport) -> Option<(Description, Description)> {
    let describe = |side: &Side, dataset: &Dataset| {
        let (side, dataset) = (side.clone(), dataset.clone());
        async move {
            let datasets = side.store.datasets().ok_or_else(|| paritas_connect::Error::unsupported("rows"))?;
            side.cx.bound(datasets.describe(&side.cx, &dataset)).await
        }
    };
    let (ours, theirs) =
        tokio::join!(describe(&sides.source, &facing.source), describe(&sides.replica, &facing.replica));
    let missing = |error: &paritas_connect::Error| error.code() == "dataset.missing";
    let (check, why) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => return Some((ours, theirs)),
        (Ok(_), Err(error)) if missing(&error) => {
            (Check::Schema(record::one_sided(&facing.source.0, true)), "missing on the replica".to_owned())
        }
        (Err(error), Ok(_)) if missing(&error) => {
            (Check::Schema(record::one_sided(&facing.replica.0, false)), "missing on the source".to_owned())
        }
        (Err(error), _) => {
            let problem = record::sided(Origin::Source, problem_of(&error));
            (Check::Parity(record::not_begun(&facing.source.0, problem)), error.message().to_owned())
        }
        (_, Err(error)) => {
            let problem = record::sided(Origin::Replica, problem_of(&error));
            (Check::Parity(record::not_begun(&facing.source.0, problem)), error.message().to_owned())
        }
    };
    link.checks.push(check);
    link.not_checked.push(NotChecked { what: format!("rows of {}", facing.source.0), why });
    None
}

/// Schema and rows of one pair of datasets.
async fn verify_facing(
    job: &Job,
    sides: &Sides,
    facing: &Facing,
    options: &Options,
    monitor: &Monitor,
    link: &mut LinkReport,
) {
    let counters = monitor.begin(&facing.source.0);
    let started = Instant::now();
    let Some((ours, theirs)) = describe(sides, facing, link).await else { return };
    let choice = choice_for(job, facing, options.policies);
    let (Some(source_rows), Some(replica_rows)) = (sides.source.store.datasets(), sides.replica.store.datasets())
    else {
        return;
    };
    let engine = |datasets: &dyn Datasets| datasets.wire_engine();
    let same_engine = engine(source_rows).is_some() && engine(source_rows) == engine(replica_rows);
    let same_engine = same_engine || sides.source.store.kind() == sides.replica.store.kind();
    let deltas = compare_schemas(&ours.schema, &theirs.schema, &choice, same_engine);
    link.checks.push(Check::Schema(record::schema(&facing.source.0, &deltas)));
    let plan = match Plan::new((source_rows, &ours), (replica_rows, &theirs), &choice) {
        Ok(plan) => plan,
        Err(error) => {
            let why = error.message.clone();
            let problem = paritas_report::Problem {
                code: error.code.to_owned(),
                message: error.message,
                detail: error.detail,
                hint: error.hint,
            };
            link.checks.push(Check::Parity(record::not_begun(&facing.source.0, problem)));
            link.not_checked.push(NotChecked { what: format!("rows of {}", facing.source.0), why });
            return;
        }
    };
    for (column, why) in &plan.left_out {
        let what = format!("column {column} of {}", facing.source.0);
        link.not_checked.push(NotChecked { what, why: why.clone() });
    }
    let watched = |side: &Side, progress: &Arc<paritas_connect::Progress>, description: &Description| {
        let known = |estimate: &Known<u64>| estimate.value().copied().unwrap_or(0);
        progress.expect(known(&description.rows_estimate), known(&description.bytes_estimate));
        let mut side = side.clone();
        side.cx = side.cx.with_progress(Arc::clone(progress));
        side
    };
    let source = watched(&sides.source, &counters.source, &ours);
    let replica = watched(&sides.replica, &counters.replica, &theirs);
    let outcome = rows::verify(&rows::Request {
        dataset: &facing.source.0,
        source: &source,
        replica: &replica,
        plan: &plan,
        schema: schema_fingerprint(&ours.schema),
        live: sides.live,
        key: &options.digest_key,
        capacity: options.capacity,
        items_max: options.max_differences,
        settle: options.settle,
        watch: &|phase| monitor.enter(phase),
    })
    .await;
    if let (Some(path), Some(digest)) = (&options.save_digest, &outcome.digest)
        && let Err(error) = crate::stored::save(path, digest)
    {
        link.not_checked.push(NotChecked { what: format!("digest in {}", path.display()), why: error.to_string() });
    }
    let names = Compared { source_name: &facing.source.0, replica_name: &facing.replica.0 };
    link.checks.push(Check::Parity(record::parity(&names, &plan, outcome, started.elapsed())));
}

/// The name of a store in reports.
pub(crate) fn described(name: &str, kind: StoreKind, region: Option<String>) -> Store {
    Store { name: name.to_owned(), kind, region: region.map(paritas_model::Region) }
}
