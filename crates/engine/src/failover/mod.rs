//! After a promotion: lineage, what was lost, achieved RPO and RTO, GO or NO-GO.
//!
//! Nothing is written and nothing is started. The new primary says where it left the old history; what the old primary
//! wrote after that is read from its files. Everything that was asked must be proven, or the answer is NO-GO.

mod call;
mod decide;
mod fetch;
mod kept;
mod lineage;
mod loss;
mod observed;
mod parity;
mod planned;
mod prepared;
pub(crate) mod recovered;
mod rows;
mod sampled;
pub(crate) mod steps;

pub(crate) use call::future;
pub use call::{Call, FailedAt};
pub(crate) use decide::kept_in_time;

pub(crate) use lineage::is_gone;

use crate::error::problem_of;
use crate::keep::Keeper;
use crate::links::{chosen_links, hide, open, with_secrets};
use crate::registry::{self, Opened, Secrets};
use crate::snapshot::Stored;
use crate::{Error, Options, Result, Target};
use observed::Seen;
use paritas_config::{Config, LinkConfig, StoreConfig};
use paritas_connect::{Context, Standing};
use paritas_model::{Objective, StoreKind, Tier, Verdict};
use paritas_pgwal::{Abandoned, Origin, Sources, Touched, recover, touched};
use paritas_report::{Check, LinkReport, NotChecked, Problem, Report, apply_privacy};
use paritas_state::State;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is left of old primaries, beside what the configuration says.
#[derive(Debug, Clone, Default)]
pub struct Failover {
    /// Data directories.
    pub data_directories: Vec<PathBuf>,
    /// Archived segments: folders, or URLs such as `s3://bucket/prefix`.
    pub wal_archives: Vec<PathBuf>,
    /// The URL of an old primary's server, started again where nobody else reaches it: its rows are read.
    pub old_primary: Option<String>,
    /// The name of the drill that this is, empty where it has none; `None` where it is no drill.
    pub drill: Option<String>,
    /// Whether a switch is planned: both sides are there, and must be identical.
    pub planned: bool,
    /// When the source failed, as far as somebody knows.
    pub failed_at: Option<FailedAt>,
    /// The snapshot that stands in for the source; without one, the newest that is kept, if any is.
    pub against: Option<Stored>,
    /// How the command was called.
    pub call: Call,
}

/// One link to look at.
#[derive(Debug)]
struct Job {
    name: String,
    /// Whether its servers were named by URL.
    ad_hoc: bool,
    tier: Option<Tier>,
    source: Opened,
    replica: Opened,
    left: Failover,
    /// The old primary's server, where one was named beside the source.
    old_primary: Option<Opened>,
    taken: rows::Taken,
    objective: Objective,
    not_checked: Vec<NotChecked>,
}

impl Job {
    /// What to call the source in sentences: URLs make them unreadable.
    fn source_name(&self) -> &str {
        if self.ad_hoc { "the old primary" } else { &self.source.described.name }
    }

    /// What to call the replica.
    fn replica_name(&self) -> &str {
        if self.ad_hoc { "the new primary" } else { &self.replica.described.name }
    }
}

/// What was found out about one link.
#[derive(Debug)]
struct Evidence {
    source: paritas_connect::Result<Standing>,
    replica: paritas_connect::Result<Standing>,
    abandoned: Vec<Abandoned>,
    /// What was done to rows on each of them; nothing where that could not be read.
    touched: Vec<Option<Touched>>,
    /// What could not be read of the old primaries.
    problems: Vec<Problem>,
    /// What a probe saw of this failover.
    seen: Seen,
    /// Bytes of log that stored samples show behind the switchpoint.
    sampled_bytes: u64,
    /// The recovery time from the failure on, where somebody gave its time.
    counted: Option<paritas_report::Rto>,
    /// Seconds from a snapshot that the new primary holds to the failure: nothing older is lost.
    window: Option<f64>,
    /// Whether no snapshot is kept that rows could be held against.
    rows_unasked: bool,
    /// How long both servers were asked, and how long the old one's files were read.
    asked: Duration,
    read: Duration,
}

impl Evidence {
    /// What both servers say about themselves.
    fn of(
        source: paritas_connect::Result<Standing>,
        replica: paritas_connect::Result<Standing>,
        asked: Duration,
    ) -> Self {
        Self {
            source,
            replica,
            abandoned: Vec::new(),
            touched: Vec::new(),
            problems: Vec::new(),
            seen: Seen::Nothing,
            sampled_bytes: 0,
            counted: None,
            window: None,
            rows_unasked: true,
            asked,
            read: Duration::ZERO,
        }
    }
}

/// Looks at the links of these names, or at all of them, after a failover.
///
/// # Errors
/// Unknown names, unusable stores, secrets that cannot be had (exit code 2).
pub async fn failover_links(
    cx: &Context,
    config: &Config,
    names: &[String],
    options: &Options,
    left: &Failover,
) -> Result<Report> {
    let keeper = Keeper::begin(options, config.state.as_deref()).of("failover").drilled(left.drill.clone());
    call::consistent(left.planned, left.failed_at)?;
    let chosen = chosen_links(config, names)?;
    let options = &with_secrets(config, options)?;
    hide(options);
    let mut jobs = Vec::new();
    for link in chosen {
        let folder = options.state.as_deref().or(config.state.as_deref());
        jobs.push(examined(config, link, (options, folder), left)?);
    }
    let mut links = Vec::new();
    for job in jobs {
        links.push(look(cx, job, options, (&keeper, left)).await);
    }
    let checksum = format!("blake3:{}", blake3::hash(config.canonical_text().as_bytes()).to_hex());
    let mut report = keeper.finish(Some(checksum), links, options.deny_warnings);
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    Ok(report)
}

/// A link by what it is made of.
enum Examined {
    Servers(Box<(Job, parity::Beside)>),
    Logs(Box<LogJob>),
    /// Rows or files without a history.
    Kept(Box<kept::KeptJob>),
    /// Both sides are there, and nothing has failed.
    Planned(Box<planned::PlannedJob>),
}

/// A configured link, ready to be looked at.
fn examined(
    config: &Config,
    link: &LinkConfig,
    (options, folder): (&Options, Option<&Path>),
    left: &Failover,
) -> Result<Examined> {
    let (tier, objective) = (link.tier, link.objectives.limits());
    if left.planned {
        let rows = rows_of(config, link, options)?;
        return Ok(Examined::Planned(Box::new(planned::PlannedJob { rows, tier, objective })));
    }
    if let Some(logs) = logs_of(config, link)? {
        return Ok(Examined::Logs(Box::new(logs)));
    }
    let rows = rows_of(config, link, options);
    let is_kept = rows.as_ref().is_ok_and(kept::is_kept);
    let beside = parity::find(rows, (folder, true), left.against.as_ref(), options)?;
    if is_kept {
        let rows = rows_of(config, link, options)?;
        return Ok(Examined::Kept(Box::new(kept::KeptJob { rows, beside, objective })));
    }
    Ok(Examined::Servers(Box::new((job(config, link, left)?, beside))))
}

/// The rows of a link. A verification cannot judge objectives, and says so; here they are judged. A clock that is off does
/// not make two sides differ.
fn rows_of(config: &Config, link: &LinkConfig, options: &Options) -> Result<crate::job::Job> {
    let rows = crate::links::job(config, link, options)?;
    Ok(crate::job::Job { not_checked: Vec::new(), vitals: crate::vitals::Vitals::default(), ..rows })
}

/// Looks at one link.
async fn look(cx: &Context, job: Examined, options: &Options, (keeper, left): (&Keeper, &Failover)) -> LinkReport {
    let mut link = match job {
        Examined::Servers(examined) => {
            let (job, beside) = *examined;
            let mut link = examine(cx, job, options, (keeper.state(), left.failed_at, &beside)).await;
            parity::fill(cx, beside, options, &mut link).await;
            link
        }
        Examined::Logs(logs) => examine_logs(cx, &logs, options, (keeper, left.failed_at)).await,
        Examined::Kept(job) => kept::examine(cx, *job, options, (keeper, left.failed_at)).await,
        Examined::Planned(job) => planned::examine(cx, *job, options, keeper).await,
    };
    call::finish(&mut link, &left.call);
    link
}

/// A link between stores of logs.
struct LogJob {
    name: String,
    tier: Option<Tier>,
    source: Opened,
    replica: Opened,
    include: Vec<String>,
    exclude: Vec<String>,
    objective: Objective,
}

/// The link as one between stores of logs, if it is one.
fn logs_of(config: &Config, link: &LinkConfig) -> Result<Option<LogJob>> {
    let kind = |name: &str| config.store(name).map(|store| store.kind);
    if [&link.source, &link.replica].iter().any(|name| kind(name) != Some(StoreKind::Kafka)) {
        return Ok(None);
    }
    let (Some(source), Some(replica)) = (config.store(&link.source), config.store(&link.replica)) else {
        return Ok(None);
    };
    Ok(Some(LogJob {
        name: link.name.clone(),
        tier: link.tier,
        source: open(source)?,
        replica: open(replica)?,
        include: link.include.clone(),
        exclude: link.exclude.clone(),
        objective: link.objectives.limits(),
    }))
}

async fn examine_logs(
    cx: &Context,
    job: &LogJob,
    options: &Options,
    (keeper, failed_at): (&Keeper, Option<FailedAt>),
) -> LinkReport {
    let cx = &crate::job::limited(cx, options).0;
    let examined = crate::logs::Examined {
        name: &job.name,
        tier: job.tier,
        source: &job.source,
        replica: &job.replica,
        include: &job.include,
        exclude: &job.exclude,
        objective: job.objective,
        failed_at,
    };
    crate::logs::examine(cx, &examined, options, keeper).await
}

/// Looks at two servers named by URL after a failover; the source may be gone.
///
/// # Errors
/// Usage errors (exit code 2). Everything after that is part of the report.
pub async fn failover_pair(
    cx: &Context,
    source: &str,
    replica: &str,
    options: &Options,
    left: &Failover,
) -> Result<Report> {
    let (ours, theirs) = (Target::parse(source)?, Target::parse(replica)?);
    hide(options);
    if ours == theirs {
        let hint = "name the old primary first and the new one second";
        return Err(Error::usage("usage.same", "source and replica are the same", hint));
    }
    call::consistent(left.planned, left.failed_at)?;
    let job = pair(&ours, &theirs, options, left)?;
    let keeper = Keeper::begin(options, None).of("failover").drilled(left.drill.clone());
    let link = look(cx, job, options, (&keeper, left)).await;
    let mut report = keeper.finish(None, vec![link], options.deny_warnings);
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    Ok(report)
}

/// Two stores named by URL, ready to be looked at.
fn pair(ours: &Target, theirs: &Target, options: &Options, left: &Failover) -> Result<Examined> {
    let objective = Objective::default();
    if left.planned {
        let rows = crate::pair::job(ours, theirs)?;
        return Ok(Examined::Planned(Box::new(planned::PlannedJob { rows, tier: None, objective })));
    }
    let source = registry::open(ours, Secrets::default(), None)?;
    let replica = registry::open(theirs, Secrets::default(), None)?;
    let name = format!("{} -> {}", source.store.name(), replica.store.name());
    if ours.kind == StoreKind::Kafka && theirs.kind == StoreKind::Kafka {
        let (include, exclude) = (Vec::new(), Vec::new());
        return Ok(Examined::Logs(Box::new(LogJob { name, tier: None, source, replica, include, exclude, objective })));
    }
    fetch::check(&left.wal_archives)?;
    let rows = crate::pair::job(ours, theirs)?;
    let is_kept = kept::is_kept(&rows);
    let beside = parity::find(Ok(rows), (options.state.as_deref(), false), left.against.as_ref(), options)?;
    if is_kept {
        let rows = crate::pair::job(ours, theirs)?;
        return Ok(Examined::Kept(Box::new(kept::KeptJob { rows, beside, objective })));
    }
    let old_primary = old_primary(left, None)?;
    let named = source.target.datasets.iter().chain(&replica.target.datasets).cloned().collect();
    let taken = rows::Taken { named, ..rows::Taken::default() };
    let (left, not_checked) = (left.clone(), Vec::new());
    let job = Job { name, ad_hoc: true, tier: None, source, replica, left, old_primary, taken, objective, not_checked };
    only_postgres(&job)?;
    Ok(Examined::Servers(Box::new((job, beside))))
}

fn job(config: &Config, link: &LinkConfig, given: &Failover) -> Result<Job> {
    let store = |name: &str| {
        config.store(name).ok_or_else(|| {
            let message = format!("link {:?} names a store {name:?} that does not exist", link.name);
            Error::usage("config.reference", message, "declare it as a [store.NAME] section")
        })
    };
    let old = store(&link.source)?;
    let mut left = given.clone();
    if let Some(recovery) = &old.recovery {
        left.data_directories.extend(recovery.data_directory.iter().map(PathBuf::from));
        left.wal_archives.extend(recovery.wal_archive.iter().map(PathBuf::from));
    }
    fetch::check(&left.wal_archives)?;
    let (source, replica) = (open(old)?, open(store(&link.replica)?)?);
    let named = source.target.datasets.iter().chain(&replica.target.datasets).cloned().collect();
    let job = Job {
        name: link.name.clone(),
        ad_hoc: false,
        tier: link.tier,
        source,
        replica,
        old_primary: old_primary(&left, Some(old))?,
        left,
        taken: rows::Taken { include: link.include.clone(), exclude: link.exclude.clone(), named },
        objective: link.objectives.limits(),
        not_checked: Vec::new(),
    };
    only_postgres(&job)?;
    Ok(job)
}

/// The server that `--old-primary` names; it takes the password of the source, of which it is a part.
fn old_primary(left: &Failover, source: Option<&StoreConfig>) -> Result<Option<Opened>> {
    let Some(url) = &left.old_primary else { return Ok(None) };
    let target = Target::parse(url)?;
    if target.kind != StoreKind::Postgres {
        let message = format!("the old primary cannot be a {} store", target.kind);
        return Err(Error::usage(
            "usage.kinds",
            message,
            "name its server: --old-primary postgres://user@host/database",
        ));
    }
    let password = match source.and_then(|store| store.password.as_ref()) {
        Some(secret) => Some(secret.resolve().map_err(registry::usage)?),
        None => None,
    };
    registry::open(&target, Secrets { password, ..Secrets::default() }, None).map(Some)
}

fn only_postgres(job: &Job) -> Result<()> {
    let kinds = [job.source.target.kind, job.replica.target.kind];
    match kinds.into_iter().find(|kind| *kind != StoreKind::Postgres) {
        None => Ok(()),
        Some(kind) => {
            let hint = "verify other stores with `paritas verify`, against a stored digest when the source is gone";
            let message = format!("{:?}: a failover of {kind} stores is not examined", job.name);
            Err(Error::usage("usage.kinds", message, hint))
        }
    }
}

async fn examine(
    cx: &Context,
    job: Job,
    options: &Options,
    (state, failed_at, beside): (Option<&State>, Option<FailedAt>, &parity::Beside),
) -> LinkReport {
    let cx = &crate::job::limited(cx, options).0;
    let mut evidence = gather(cx, &job, options, state).await;
    evidence.rows_unasked = beside.is_nothing();
    let ancestry = evidence.replica.as_ref().ok().and_then(|standing| standing.ancestry.value());
    evidence.window = failed_at.zip(ancestry).and_then(|(failed_at, ancestry)| beside.window(ancestry, failed_at));
    if let (Some(failed_at), Ok(standing)) = (failed_at, &evidence.replica) {
        let times = (failed_at, jiff::Timestamp::now());
        let rto = recovered::counted(cx, &*job.replica.store, standing, times, job.objective.rto).await;
        evidence.counted = Some(rto);
    }
    let servers = lineage::Servers {
        source: &evidence.source,
        replica: &evidence.replica,
        source_name: job.source_name(),
        replica_name: job.replica_name(),
        stopped: stopped(&evidence.abandoned),
    };
    let lineage = lineage::judge(&servers);
    let mut recovery = decide::decide(&job, &evidence, &lineage, options.max_differences);
    let mut not_checked = job.not_checked.clone();
    not_checked.extend(decide::not_checked(&job, &evidence));
    let began = Instant::now();
    rows::fill(cx, &job, &evidence, options, &mut recovery, &mut not_checked).await;
    recovery.steps = steps::of_servers(&job, &evidence, &lineage, &recovery, began.elapsed());
    LinkReport {
        name: job.name.clone(),
        tier: job.tier,
        verdict: Verdict::combine([lineage.verdict, recovery.verdict()]),
        source: job.source.described.clone(),
        replica: job.replica.described.clone(),
        checks: vec![Check::Lineage(lineage)],
        recovery: Some(recovery),
        not_checked,
    }
}

/// Whether a directory shows that the server that was replaced has ended.
fn stopped(abandoned: &[Abandoned]) -> bool {
    let proven = |one: &Abandoned| one.is_proven() && matches!(one.origin, Origin::Directory { .. });
    let newest = abandoned.last().map(|one| one.switch.timeline);
    newest.is_some() && abandoned.iter().filter(|one| Some(one.switch.timeline) == newest).all(proven)
}

fn ahead(source: &paritas_connect::Result<Standing>, replica: &paritas_connect::Result<Standing>) -> bool {
    let reached = |standing: &paritas_connect::Result<Standing>| {
        standing.as_ref().ok().and_then(|standing| standing.reached.value().copied())
    };
    reached(source).zip(reached(replica)).is_some_and(|(source, replica)| source > replica)
}

async fn gather(cx: &Context, job: &Job, options: &Options, state: Option<&State>) -> Evidence {
    let ask = |opened: &Opened| {
        let (store, cx) = (std::sync::Arc::clone(&opened.store), cx.clone());
        async move {
            let lineages = store.lineages().ok_or_else(|| paritas_connect::Error::unsupported("lineage"))?;
            cx.bound(lineages.standing(&cx)).await
        }
    };
    let began = Instant::now();
    let (source, mut replica) = tokio::join!(ask(&job.source), ask(&job.replica));
    if ahead(&source, &replica) {
        // Both were asked at once: only a later answer can say that a standby is ahead of its primary.
        replica = ask(&job.replica).await;
    }
    let mut evidence = Evidence::of(source, replica, began.elapsed());
    let began = Instant::now();
    let ancestry = evidence.replica.as_ref().ok().and_then(|standing| standing.ancestry.value().cloned());
    let Some(ancestry) = ancestry else { return evidence };
    evidence.seen = observed::find(state, &job.name, &ancestry);
    evidence.sampled_bytes = sampled::left_behind(state, &job.name, &ancestry);
    let timeline = evidence.source.as_ref().ok().and_then(|old| old.ancestry.value().map(|old| old.timeline));
    // The address of the old primary may lead to the new one by now.
    let timeline = timeline.filter(|timeline| ancestry.left(*timeline).is_some());
    let Failover { data_directories, wal_archives, .. } = job.left.clone();
    let from = fetch::of_interest(&ancestry, timeline, !data_directories.is_empty());
    let fetched = fetch::fetch(cx, &wal_archives, &from, options.state.as_deref()).await;
    let wal_archives = fetched.folders.clone();
    let read = tokio::task::spawn_blocking(move || {
        let (directories, archives) = (data_directories.as_slice(), wal_archives.as_slice());
        let (abandoned, mut errors) = recover(&Sources { directories, archives, ancestry: &ancestry, timeline });
        let mut rows = Vec::new();
        for one in &abandoned {
            // The same log was read to its end a moment ago.
            let read = one.commits().next().map(|_| touched(archives, one)).transpose();
            rows.push(read.unwrap_or_else(|error| {
                errors.push(error);
                None
            }));
        }
        (abandoned, rows, errors)
    });
    match cx.bound(async { Ok(read.await) }).await {
        Ok(Ok((abandoned, rows, errors))) => {
            (evidence.abandoned, evidence.touched) = (abandoned, rows);
            evidence.problems = errors.iter().map(problem).collect();
            evidence.problems.splice(0..0, fetched.problems.iter().cloned());
        }
        Ok(Err(error)) => evidence.problems.push(Problem {
            code: "internal".to_owned(),
            message: "reading the old primary's log failed".to_owned(),
            detail: Some(error.to_string()),
            hint: Some("report this as a defect".to_owned()),
        }),
        Err(error) => evidence.problems.push(problem_of(&error)),
    }
    evidence.read = began.elapsed();
    evidence
}

fn problem(error: &paritas_pgwal::Error) -> Problem {
    Problem {
        code: error.code().to_owned(),
        message: error.primary(),
        detail: error.detail(),
        hint: Some(error.hint().to_owned()),
    }
}
