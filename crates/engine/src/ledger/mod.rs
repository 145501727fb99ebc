//! Reconciling figures: which datasets face each other, and what is asked of their groups.

mod against;
mod kept;
mod record;

pub use against::{ledger_links_against, ledger_pair_against};
pub(crate) use kept::{Facts, LedgerKept, Standing, held_against, keep, not_kept};

use crate::datasets::Facing;
use crate::error::problem_of;
use crate::job::{self, Failure, Job, Work, verify_job, watched};
use crate::keep::Keeper;
use crate::links::{chosen_links, hide, job as configured_job, not_reached, with_secrets};
use crate::pair::same_privileges;
use crate::registry::{self, Secrets};
use crate::tables::{ambiguous, faced};
use crate::{Error, Monitor, Options, Result, Target};
use paritas_config::{Config, LedgerConfig, LinkConfig};
use paritas_connect::{Context, Description};
use paritas_digest::{DecimalPolicy, Policies, schema_fingerprint};
use paritas_ledger::{ColumnRule, Rule};
use paritas_model::{Dataset, StoreKind};
use paritas_report::{Check, LinkReport, NotChecked, Problem, Report, apply_privacy};
use paritas_verify::ledger::{Asked, LedgerPlan, Outcome, Request};
use paritas_verify::rows::{self, Origin, Parting};
use paritas_verify::{Choice, Plan, PlanError, Side};
use std::time::Instant;

/// What is asked of two datasets that are named on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconcile {
    /// Columns to group by, by source name; none makes one group of everything.
    pub group_by: Vec<String>,
    /// Whether rows are counted.
    pub count: bool,
    /// Columns with equal sums.
    pub sum: Vec<String>,
    /// Columns with equal smallest values.
    pub min: Vec<String>,
    /// Columns with equal largest values.
    pub max: Vec<String>,
    /// Columns whose sum is 0 in every group.
    pub zero_sum: Vec<String>,
}

impl Reconcile {
    fn rule(&self) -> Rule {
        let mut rule = Rule { count: self.count, columns: Vec::new() };
        type Set = fn(&mut ColumnRule) -> &mut bool;
        let lists: [(&Vec<String>, Set); 4] = [
            (&self.sum, |column| &mut column.sum),
            (&self.min, |column| &mut column.min),
            (&self.max, |column| &mut column.max),
            (&self.zero_sum, |column| &mut column.zero_sum),
        ];
        for (names, set) in lists {
            for name in names {
                match rule.columns.iter_mut().find(|column| column.name == *name) {
                    Some(column) => *set(column) = true,
                    None => {
                        let mut column = ColumnRule::named(name);
                        *set(&mut column) = true;
                        rule.columns.push(column);
                    }
                }
            }
        }
        rule
    }
}

/// One reconciliation of a link.
#[derive(Debug, Clone)]
pub(crate) struct Reconciliation {
    /// Its name; empty takes that of the dataset.
    name: String,
    /// The dataset on the source; `None` takes the only one that the stores name.
    dataset: Option<String>,
    /// The dataset on the replica, where it is named.
    replica_dataset: Option<String>,
    asked: Asked,
}

impl Reconciliation {
    /// A configured one. What it leaves open is taken from the link's own words about the dataset.
    pub(crate) fn configured(ledger: &LedgerConfig, link: &LinkConfig, options: &Options) -> Self {
        let dataset = link.datasets.iter().find(|own| own.source_name == ledger.dataset);
        let reconcile = Reconcile {
            group_by: ledger.group_by.clone(),
            count: ledger.count,
            sum: ledger.sum.clone(),
            min: ledger.min.clone(),
            max: ledger.max.clone(),
            zero_sum: ledger.zero_sum.clone(),
        };
        let mut rename = dataset.map(|own| own.rename.clone()).unwrap_or_default();
        rename.extend(ledger.rename.clone());
        let filter = ledger.filter.clone().or_else(|| dataset.and_then(|own| own.filter.clone()));
        let replica_name = || dataset.map(|own| own.replica_name.clone());
        let policies = dataset.filter(|own| own.own_policies).map_or(options.policies, |own| own.policies);
        let asked = Asked {
            rule: reconcile.rule(),
            group_by: reconcile.group_by,
            rename,
            source_filter: filter.clone(),
            replica_filter: filter,
            policies,
        };
        Self {
            name: ledger.name.clone(),
            dataset: Some(ledger.dataset.clone()),
            replica_dataset: ledger.replica_dataset.clone().or_else(replica_name),
            asked,
        }
    }

    /// The dataset on the source, and that on the replica, where they are named.
    pub(crate) fn datasets(&self) -> (Option<&String>, Option<&String>) {
        (self.dataset.as_ref(), self.replica_dataset.as_ref())
    }

    pub(crate) fn named(&self) -> &str {
        match &self.dataset {
            _ if !self.name.is_empty() => &self.name,
            Some(dataset) => dataset,
            None => "ledger",
        }
    }
}

/// Reconciles the ledgers of the links of these names, or of all that have some.
///
/// # Errors
/// Unknown names, links without a ledger, unusable stores, secrets that cannot be had (exit code 2).
pub async fn ledger_links(
    cx: &Context,
    config: &Config,
    names: &[String],
    options: &Options,
    monitor: &Monitor,
) -> Result<Report> {
    let mut chosen = chosen_links(config, names)?;
    with_ledgers(&mut chosen, names)?;
    let options = &with_secrets(config, options)?;
    hide(options);
    let mut jobs = Vec::new();
    for link in chosen {
        let manners = options.manners.or(link.manners);
        let job = Job { figures_only: true, not_checked: Vec::new(), ..configured_job(config, link, options)? };
        jobs.push((job, Options { manners, ..options.clone() }));
    }
    let checksum = format!("blake3:{}", blake3::hash(config.canonical_text().as_bytes()).to_hex());
    let keeper = Keeper::begin(options, config.state.as_deref()).of("ledger");
    let mut links = Vec::new();
    for (job, options) in jobs {
        if let Err(error) = cx.check() {
            links.push(not_reached(&job, &problem_of(&error)));
            continue;
        }
        links.push(verify_job(cx, job, &options, monitor, &keeper).await);
    }
    let mut report = keeper.finish(Some(checksum), links, options.deny_warnings);
    // Before anything is kept: what may not be printed may not be stored either.
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    Ok(report)
}

/// Leaves the links that have a ledger; one that was named must have one.
fn with_ledgers(chosen: &mut Vec<&LinkConfig>, names: &[String]) -> Result<()> {
    let hint = "add [[link.ledger]] with name, dataset and what to reconcile, such as sum = [\"amount\"]";
    if let Some(link) = chosen.iter().find(|link| link.ledgers.is_empty() && !names.is_empty()) {
        return Err(Error::usage("config.ledger", format!("link {:?} has no ledger", link.name), hint));
    }
    chosen.retain(|link| !link.ledgers.is_empty());
    if chosen.is_empty() {
        return Err(Error::usage("config.ledger", "no link has a ledger", hint));
    }
    Ok(())
}

/// Reconciles two datasets named by URL or path.
///
/// # Errors
/// Usage errors (exit code 2). Everything after that is part of the report.
pub async fn ledger_pair(
    cx: &Context,
    (source, replica): (&str, &str),
    reconcile: &Reconcile,
    options: &Options,
    monitor: &Monitor,
) -> Result<Report> {
    let (ours, theirs) = (Target::parse(source)?, Target::parse(replica)?);
    hide(options);
    if ours == theirs {
        let hint = "name two different stores: figures compared with themselves prove nothing";
        return Err(Error::usage("usage.same", "source and replica are the same", hint));
    }
    let databases = ours.kind == StoreKind::Postgres && theirs.kind == StoreKind::Postgres;
    if databases && ours.filter.is_some() != theirs.filter.is_some() {
        let hint = "write where= on both sides, each in the words of its own columns";
        return Err(Error::usage("usage.where", "a condition stands on one side only", hint));
    }
    same_privileges(&ours, &theirs)?;
    let mut rename = theirs.rename.clone();
    rename.extend(ours.rename.clone());
    let asked = Asked {
        group_by: reconcile.group_by.clone(),
        rule: reconcile.rule(),
        rename,
        source_filter: ours.filter.clone(),
        replica_filter: theirs.filter.clone(),
        policies: options.policies,
    };
    let ledgers = vec![Reconciliation { name: String::new(), dataset: None, replica_dataset: None, asked }];
    let job = Job {
        name: String::new(),
        tier: None,
        source: registry::open(&ours, Secrets::default(), None)?,
        replica: registry::open(&theirs, Secrets::default(), None)?,
        include: Vec::new(),
        exclude: Vec::new(),
        overrides: Vec::new(),
        ledgers,
        vitals: crate::vitals::Vitals::default(),
        figures_only: true,
        not_checked: Vec::new(),
    };
    let job = Job { name: format!("{} -> {}", job.source.store.name(), job.replica.store.name()), ..job };
    let keeper = Keeper::begin(options, None).of("ledger");
    let link = verify_job(cx, job, options, monitor, &keeper).await;
    let mut report = keeper.finish(None, vec![link], options.deny_warnings);
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    Ok(report)
}

/// Reconciles every ledger of the link.
pub(crate) async fn verify(work: &Work<'_>, link: &mut LinkReport) {
    let Work { job, sides, .. } = work;
    if job.ledgers.is_empty() {
        return;
    }
    if sides.source.store.datasets().is_none() || sides.replica.store.datasets().is_none() {
        let logs = sides.source.store.logs().is_some() || sides.replica.store.logs().is_some();
        let problem = if logs { job::no_layout(job) } else { job::nothing_in_common(job) };
        return not_begun(work, &problem, link);
    }
    let facings = match faced(work).await {
        Ok(facings) => facings.pairs,
        Err((origin, problem)) => return not_begun(work, &crate::record::sided(origin, problem), link),
    };
    for ledger in &job.ledgers {
        let started = Instant::now();
        let facing = match facing(ledger, &facings) {
            Ok(facing) => facing,
            Err(problem) => {
                link.checks.push(unknown(ledger, problem));
                continue;
            }
        };
        let check = match sides.source.cx.check() {
            Err(error) => unknown(ledger, problem_of(&error)),
            Ok(()) => match reconcile(work, ledger, &facing).await {
                Ok((outcome, plan)) => {
                    let name = if ledger.name.is_empty() { &facing.source.0 } else { &ledger.name };
                    let names = record::Names { ledger: name, facing: &facing, asked: &ledger.asked };
                    Check::Ledger(Box::new(record::ledger(&names, &plan.rule, &outcome, started.elapsed())))
                }
                Err((origin, problem)) => unknown(ledger, crate::record::sided(origin, problem)),
            },
        };
        link.checks.push(check);
    }
}

/// Every ledger of the link, none of which could begin.
pub(crate) fn not_begun(work: &Work<'_>, problem: &Problem, link: &mut LinkReport) {
    for ledger in &work.job.ledgers {
        link.checks.push(unknown(ledger, problem.clone()));
    }
}

/// What a verification that could not begin says about the ledgers of its link.
pub(crate) fn left_out(job: &Job, why: &str, link: &mut LinkReport) {
    let what = |ledger: &Reconciliation| format!("ledger {:?}", ledger.named());
    link.not_checked.extend(job.ledgers.iter().map(|ledger| NotChecked { what: what(ledger), why: why.to_owned() }));
}

/// The check of a ledger of which only the name is known.
pub(crate) fn not_begun_as(name: &str, problem: Problem) -> Check {
    Check::Ledger(Box::new(record::not_begun(name, "", &Asked::default(), problem)))
}

fn unknown(ledger: &Reconciliation, problem: Problem) -> Check {
    let dataset = ledger.dataset.clone().unwrap_or_default();
    Check::Ledger(Box::new(record::not_begun(ledger.named(), &dataset, &ledger.asked, problem)))
}

/// The datasets that a ledger is about.
fn facing(ledger: &Reconciliation, facings: &[Facing]) -> Result<Facing, Problem> {
    let Some(dataset) = &ledger.dataset else {
        return match facings {
            [only] => Ok(only.clone()),
            all => Err(Problem {
                code: "usage.url".to_owned(),
                message: format!("{} datasets face each other, and figures are reconciled of one", all.len()),
                detail: None,
                hint: Some("name one on either side, such as ?table=public.ledger".to_owned()),
            }),
        };
    };
    let source = Dataset(dataset.clone());
    if let Some(replica) = &ledger.replica_dataset {
        return Ok(Facing { source, replica: Dataset(replica.clone()) });
    }
    let found = facings.iter().find(|pair| pair.source == source);
    // A store that names nothing itself says what a name means.
    Ok(found.cloned().unwrap_or_else(|| Facing { replica: source.clone(), source }))
}

async fn described(side: &Side, dataset: &Dataset) -> Result<Description, paritas_connect::Error> {
    let datasets = side.store.datasets().ok_or_else(|| paritas_connect::Error::unsupported("rows"))?;
    side.cx.bound(datasets.describe(&side.cx, dataset)).await
}

async fn reconcile(
    work: &Work<'_>,
    ledger: &Reconciliation,
    facing: &Facing,
) -> Result<(Outcome, LedgerPlan), Failure> {
    let counters = work.monitor.begin(ledger.named());
    let sides = &work.sides;
    let (ours, theirs) =
        tokio::join!(described(&sides.source, &facing.source), described(&sides.replica, &facing.replica));
    let ours = ours.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let theirs = theirs.map_err(|error| (Origin::Replica, problem_of(&error)))?;
    if let Some(problem) = ambiguous(facing, &ours, &theirs) {
        return Err((Origin::Comparison, problem));
    }
    let plan = LedgerPlan::new(&ours, &theirs, &ledger.asked).map_err(|error| (Origin::Comparison, refused(error)))?;
    let (source, replica) = (watched(&sides.source, &counters.source), watched(&sides.replica, &counters.replica));
    let compared = sides.live.then(|| rows_plan(sides_of(work), (&ours, &theirs), &ledger.asked)).flatten();
    let watch = |phase| work.monitor.enter(phase);
    let rows = compared.as_ref().map(|plan| rows::Request {
        dataset: &facing.source.0,
        source: &source,
        replica: &replica,
        plan,
        schema: schema_fingerprint(&ours.schema),
        live: sides.live,
        keep_digest: false,
        key: &work.options.digest_key,
        capacity: work.options.capacity,
        items_max: work.options.max_differences,
        settle: work.options.settle,
        parting: Parting {
            view_max: work.options.manners.view_max(),
            bytes: [&ours, &theirs].iter().filter_map(|side| side.bytes_estimate.value()).copied().max().unwrap_or(0),
            bytes_per_second: work.options.manners.rate.bytes,
            ledger: None,
            share: None,
        },
        watch: &watch,
    });
    let request = Request {
        source: &source,
        replica: &replica,
        plan: &plan,
        live: sides.live,
        memory_max: usize::try_from(work.options.ledger_memory).unwrap_or(usize::MAX),
        items_max: work.options.max_differences,
        settle: work.options.settle,
        rows: rows.as_ref(),
        watch: &watch,
    };
    let outcome = paritas_verify::ledger::verify(&request).await;
    Ok((outcome, plan))
}

fn sides_of<'a>(work: &'a Work<'_>) -> (&'a Side, &'a Side) {
    (&work.sides.source, &work.sides.replica)
}

/// How rows behind the figures are compared by their key: the columns of the ledger and those of the key. The columns of
/// groups are taken for a part of the key, so that a row says which group it belongs to. `None` where rows have no key on
/// both sides.
fn rows_plan(
    (source, replica): (&Side, &Side),
    (ours, theirs): (&Description, &Description),
    asked: &Asked,
) -> Option<Plan> {
    let with = |mut names: Vec<String>, more: &mut dyn Iterator<Item = &String>| {
        for name in more {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    };
    let own = |name: &String| asked.rename.get(name).unwrap_or(name).clone();
    let declared = &ours.schema.key;
    if declared.is_empty() || declared.iter().any(|name| theirs.schema.column(&own(name)).is_none()) {
        return None;
    }
    let key = with(declared.clone(), &mut asked.group_by.iter());
    let columns = with(key.clone(), &mut asked.rule.columns.iter().map(|column| &column.name));
    let choice = Choice {
        key,
        columns,
        rename: asked.rename.clone(),
        source_filter: asked.source_filter.clone(),
        replica_filter: asked.replica_filter.clone(),
        policies: Policies { decimal: DecimalPolicy::Value, ..asked.policies },
        ..Choice::default()
    };
    let plan = Plan::new((source.store.datasets()?, ours), (replica.store.datasets()?, theirs), &choice).ok()?;
    (!plan.key.is_empty()).then_some(plan)
}

fn refused(error: PlanError) -> Problem {
    let PlanError { code, message, detail, hint } = error;
    Problem { code: code.to_owned(), message, detail, hint }
}
