//! The datasets of a link: which face each other, and what is said about each pair.

use crate::SideProgress;
use crate::datasets::{self, Facing, Facings, Listed};
use crate::error::problem_of;
use crate::job::{Failure, Job, Sides, Work, watched};
use crate::method;
use crate::quick;
use crate::record::{self, Compared};
use crate::registry::Opened;
use crate::settled::settled;
use crate::surroundings;
use paritas_connect::{Description, Error, FACT_UNLOGGED, Progress};
use paritas_digest::{Policies, schema_fingerprint};
use paritas_model::{Dataset, Known, StoreKind, Verdict};
use paritas_report::{Check, LinkReport, NotChecked, ParityCheck, Problem};
use paritas_verify::rows::{self, Ledger, Origin, Parting};
use paritas_verify::{Choice, Matching, Plan, PlanError, SchemaDelta, Side, Typing, compare_schemas};
use std::sync::Arc;
use std::time::Instant;

/// Why something is left out of one run of several.
pub(crate) const LATER: &str = "it belongs to a later slice";

/// Verifies every pair of datasets that the link takes.
pub(crate) async fn verify(work: &Work<'_>, link: &mut LinkReport) {
    let Work { job, sides, .. } = work;
    let facings = match every(work, work.sides.physical).await {
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
    let several = facings.pairs.iter().filter(|facing| taken(&facing.source)).count();
    if work.options.save_digest.is_some() && several > 1 {
        link.checks.push(Check::Parity(record::not_begun("datasets", one_file(several))));
        return;
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
        verify_facing(work, facing, link).await;
    }
    let named = !job.source.target.datasets.is_empty() || !job.replica.target.datasets.is_empty();
    let owners =
        named.then(|| facings.pairs.iter().map(|facing| (facing.source.clone(), facing.replica.clone())).unzip());
    surroundings::verify(work, owners, link).await;
    beside(work, link).await;
    let rows = |check: &Check| matches!(check, Check::Parity(_));
    let later = link.not_checked.iter().any(|one| one.why == LATER);
    if !later && !link.checks.iter().any(rows) && LinkReport::combined(&link.checks) != Verdict::Fail {
        let problem = Problem {
            code: "dataset.none".to_owned(),
            message: "there is no dataset whose rows can be verified".to_owned(),
            detail: None,
            hint: Some("check include and exclude of the link, or name a table with ?table=".to_owned()),
        };
        link.checks.push(Check::Parity(record::not_begun("datasets", problem)));
    }
}

/// One name that means two tables: each server looks along a search path of its own.
pub(crate) fn ambiguous(facing: &Facing, ours: &Description, theirs: &Description) -> Option<Problem> {
    let one_name = facing.source == facing.replica && !facing.source.0.contains('.');
    // Stores without schemas keep the name they are given.
    let resolved = ours.dataset != facing.source && theirs.dataset != facing.replica;
    (one_name && resolved && ours.dataset != theirs.dataset).then(|| Problem {
        code: "dataset.ambiguous".to_owned(),
        message: format!(
            "{} is {} on the source and {} on the replica",
            facing.source.0, ours.dataset.0, theirs.dataset.0
        ),
        detail: None,
        hint: Some("write the schema as well: ?table=schema.table on both sides".to_owned()),
    })
}

/// Digests of several datasets would overwrite each other.
fn one_file(datasets: usize) -> Problem {
    Problem {
        code: "usage.save-digest".to_owned(),
        message: format!("a digest file holds one dataset, and {datasets} face each other"),
        detail: None,
        hint: Some("name one with ?table=, or keep the digests of all in a state folder: --state FOLDER".to_owned()),
    }
}

/// What faces what.
pub(crate) async fn faced(work: &Work<'_>) -> Result<Facings, Failure> {
    every(work, false).await
}

/// What faces what, with what only a copy byte by byte has as well. A table that only the primary or only its
/// standby has may be on its way.
async fn every(work: &Work<'_>, copied: bool) -> Result<Facings, Failure> {
    let Work { job, sides, .. } = work;
    let (ours, theirs) = listed(sides, copied).await?;
    let first = face(job, &ours, &theirs);
    let alone = first.as_ref().is_ok_and(|faced| !faced.source_only.is_empty() || !faced.replica_only.is_empty());
    if !sides.physical || !alone {
        return first;
    }
    let (ours, theirs) =
        settled(sides, work.options.settle, |side| list_all(side, copied), |side| list_all(side, copied)).await?;
    face(job, &ours, &theirs)
}

pub(crate) async fn list(side: Side) -> Result<Vec<Dataset>, Error> {
    let datasets = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
    side.cx.bound(datasets.list(&side.cx)).await
}

async fn list_all(side: Side, copied: bool) -> Result<Vec<Dataset>, Error> {
    let datasets = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
    let mut all = list(side.clone()).await?;
    if !copied {
        return Ok(all);
    }
    all.extend(side.cx.bound(datasets.list_copied(&side.cx)).await?);
    all.sort();
    Ok(all)
}

async fn listed(sides: &Sides, copied: bool) -> Result<(Vec<Dataset>, Vec<Dataset>), Failure> {
    let (source, replica) = (sides.source.clone(), sides.replica.clone());
    let (ours, theirs) = tokio::join!(list_all(source, copied), list_all(replica, copied));
    let ours = ours.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let theirs = theirs.map_err(|error| (Origin::Replica, problem_of(&error)))?;
    Ok((ours, theirs))
}

/// Pairs the datasets of both sides.
pub(crate) fn face(job: &Job, ours: &[Dataset], theirs: &[Dataset]) -> Result<Facings, Failure> {
    let (source, replica) = (&job.source.target.datasets, &job.replica.target.datasets);
    if source.is_empty() && replica.is_empty() {
        let databases = [&job.source, &job.replica].iter().all(|side| side.described.kind == StoreKind::Postgres);
        let mut facings = if databases { datasets::matched(ours, theirs) } else { datasets::all(ours, theirs) };
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
    let listed = |named, all, opened: &Opened| {
        let database = opened.described.kind == StoreKind::Postgres;
        Listed { named, all, database }
    };
    let (source, replica) = (listed(source, ours, &job.source), listed(replica, theirs, &job.replica));
    datasets::named(source, replica).map_err(|message| {
        let hint = "write ?table= on both sides, with the same number of tables in the order in which they belong";
        let hint = Some(hint.to_owned());
        let code = "usage.url".to_owned();
        (Origin::Comparison, Problem { code, message, detail: None, hint })
    })
}

/// The choice for a dataset: its own part of the configuration, or the options of both URLs.
pub(crate) fn choice_for(job: &Job, facing: &Facing, policies: Policies) -> Choice {
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
async fn describe(
    work: &Work<'_>,
    facing: &Facing,
    compare: &impl Fn(&Description, &Description) -> Vec<SchemaDelta>,
    link: &mut LinkReport,
) -> Option<(Description, Description)> {
    let describe = |side: Side, dataset: &Dataset| {
        let dataset = dataset.clone();
        async move {
            let datasets = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
            side.cx.bound(datasets.describe(&side.cx, &dataset)).await
        }
    };
    let sides = &work.sides;
    let source = |side: Side| describe(side, &facing.source);
    let replica = |side: Side| describe(side, &facing.replica);
    let missing = |error: &Error| error.code() == "dataset.missing";
    let (mut ours, mut theirs) = tokio::join!(source(sides.source.clone()), replica(sides.replica.clone()));
    let differ = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => !compare(ours, theirs).is_empty(),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => missing(error),
        (Err(_), Err(_)) => false,
    };
    if differ && sides.physical {
        // What a primary changed a moment ago may be on its way to its standby.
        let at_rest = settled(
            sides,
            work.options.settle,
            async |side| Ok(Found::of(source(side).await)),
            async |side| Ok(Found::of(replica(side).await)),
        );
        match at_rest.await {
            Ok((one, other)) => (ours, theirs) = (one.0, other.0),
            Err((origin, problem)) => {
                let mut check = record::schema(&facing.source.0, &[]);
                let problem = record::sided(origin, problem);
                link.not_checked
                    .push(NotChecked { what: format!("rows of {}", facing.source.0), why: problem.message.clone() });
                check.verdict = Verdict::Unknown;
                check.problem = Some(problem);
                link.checks.push(Check::Schema(check));
                return None;
            }
        }
    }
    let (check, why) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => return Some((ours, theirs)),
        (Ok(_), Err(error)) if missing(&error) => {
            (Check::Schema(record::one_sided(&facing.source.0, true)), "missing on the replica".to_owned())
        }
        (Err(error), Ok(_)) if missing(&error) => {
            (Check::Schema(record::one_sided(&facing.replica.0, false)), "missing on the source".to_owned())
        }
        (Err(error), _) => {
            let check = record::not_begun_at(&facing.source.0, Origin::Source, &error);
            (Check::Parity(check), error.message().to_owned())
        }
        (_, Err(error)) => {
            let check = record::not_begun_at(&facing.source.0, Origin::Replica, &error);
            (Check::Parity(check), error.message().to_owned())
        }
    };
    link.checks.push(check);
    link.not_checked.push(NotChecked { what: format!("rows of {}", facing.source.0), why });
    None
}

/// A description, or why there is none; equal where the schema is.
struct Found(Result<Description, Error>);

impl Found {
    fn of(found: Result<Description, Error>) -> Self {
        Self(found)
    }
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Ok(one), Ok(other)) => one.schema == other.schema && one.dataset == other.dataset,
            (Err(one), Err(other)) => one.code() == other.code(),
            _ => false,
        }
    }
}

/// Schema and rows of one pair of datasets.
async fn verify_facing(work: &Work<'_>, facing: &Facing, link: &mut LinkReport) {
    let counters = work.monitor.begin(&facing.source.0);
    let started = Instant::now();
    let choice = choice_for(work.job, facing, work.options.policies);
    let (source, replica) = (&work.sides.source, &work.sides.replica);
    let (Some(source_rows), Some(replica_rows)) = (source.store.datasets(), replica.store.datasets()) else {
        return;
    };
    let typing = match source.store.kind() == replica.store.kind() {
        true if source_rows.wire_engine().is_some() => Typing::Engine,
        true => Typing::Format,
        false => Typing::Meaning,
    };
    let compare =
        |ours: &Description, theirs: &Description| compare_schemas(&ours.schema, &theirs.schema, &choice, typing);
    let Some((ours, theirs)) = describe(work, facing, &compare, link).await else { return };
    if let Some(problem) = ambiguous(facing, &ours, &theirs) {
        link.checks.push(Check::Parity(record::not_begun(&facing.source.0, problem)));
        return;
    }
    let deltas = compare(&ours, &theirs);
    link.checks.push(Check::Schema(record::schema(&facing.source.0, &deltas)));
    let unlogged = ours.schema.facts.iter().any(|fact| fact == FACT_UNLOGGED);
    if work.sides.physical && unlogged && !is_named(work.job, facing) {
        let why = "the table is unlogged: its rows are not in the log, so no standby has them".to_owned();
        link.not_checked.push(NotChecked { what: format!("rows of {}", facing.source.0), why });
        return;
    }
    let plan = match Plan::new((source_rows, &ours), (replica_rows, &theirs), &choice) {
        Ok(plan) => plan,
        Err(error) => return not_planned(facing, error, link),
    };
    for (column, why) in &plan.left_out {
        let what = format!("column {column} of {}", facing.source.0);
        link.not_checked.push(NotChecked { what, why: why.clone() });
    }
    verify_rows(work, facing, &Planned { ours, theirs, choice, plan }, (started, &counters), link).await;
}

/// Two described datasets and how they are compared.
struct Planned {
    ours: Description,
    theirs: Description,
    choice: Choice,
    plan: Plan,
}

/// The rows of one pair of datasets.
async fn verify_rows(
    work: &Work<'_>,
    facing: &Facing,
    planned: &Planned,
    (started, counters): (Instant, &SideProgress),
    link: &mut LinkReport,
) {
    let Planned { ours, theirs, choice, plan } = planned;
    let (source, replica) = (&work.sides.source, &work.sides.replica);
    let ready = |side: &Side, progress: &Arc<Progress>, description: &Description| {
        let known = |estimate: &Known<u64>| estimate.value().copied().unwrap_or(0);
        progress.expect(known(&description.rows_estimate), known(&description.bytes_estimate));
        watched(side, progress)
    };
    let ledger = work.keeper.resumption.ledger(work, &facing.source.0, plan).await;
    let request = rows::Request {
        dataset: &facing.source.0,
        source: &ready(source, &counters.source, ours),
        replica: &ready(replica, &counters.replica, theirs),
        plan,
        schema: schema_fingerprint(&ours.schema),
        live: work.sides.live,
        keep_digest: work.keeper.keeps_digests(),
        key: &work.options.digest_key,
        capacity: work.options.capacity,
        items_max: work.options.max_differences,
        settle: work.options.settle,
        parting: Parting {
            view_max: work.options.manners.view_max(),
            bytes: [ours, theirs].iter().filter_map(|side| side.bytes_estimate.value()).copied().max().unwrap_or(0),
            bytes_per_second: work.options.manners.rate.bytes,
            ledger: ledger.as_ref().map(|parts| parts as &dyn Ledger),
            share: work.options.share,
        },
        watch: &|phase| work.monitor.enter(phase),
    };
    let mut said = Vec::new();
    if work.options.quick {
        match quick::look(work, &request, started).await {
            Ok(check) => return link.checks.push(Check::Parity(check)),
            Err(why) => said.push(why),
        }
    }
    let mut outcome = method::compare(work, choice, plan, &request).await;
    if let Some(slice) = &outcome.slice {
        let rows = format!("rows of {}", facing.source.0);
        if slice.parts == 0 {
            link.not_checked.push(NotChecked { what: rows, why: LATER.to_owned() });
            return;
        }
        let left = slice.of - slice.parts;
        link.not_checked
            .push(NotChecked { what: format!("{left} of {} parts of the {rows}", slice.of), why: LATER.to_owned() });
    }
    outcome.notes.splice(0..0, said);
    if let Some(pages) = &outcome.pages {
        let left_out = pages.left_out.iter().map(|(what, why)| NotChecked { what: what.clone(), why: why.clone() });
        link.not_checked.extend(left_out);
    }
    if let Some(digest) = &outcome.digest {
        work.keeper.digest(&link.name, &facing.source.0, digest, &mut link.not_checked);
    }
    let names = Compared { source_name: &facing.source.0, replica_name: &facing.replica.0 };
    let mut check = record::parity(&names, plan, outcome, started.elapsed());
    set_apart(work, facing, &mut check);
    link.checks.push(Check::Parity(check));
}

/// Rows that say they were written in the future are neither lost nor equal.
fn set_apart(work: &Work<'_>, facing: &Facing, check: &mut ParityCheck) {
    let own = work.job.overrides.iter().find(|own| own.source_name == facing.source.0);
    let declared = own.map(|own| own.declared.clone()).unwrap_or_default().or(&work.job.source.target.declared);
    if let Some(column) = &declared.changed_at {
        crate::vitals::quarantine(check, column, work.job.vitals.quarantine, jiff::Timestamp::now());
    }
}

/// Whether the user asked for this very dataset, rather than for all.
pub(crate) fn is_named(job: &Job, facing: &Facing) -> bool {
    !job.source.target.datasets.is_empty()
        || !job.replica.target.datasets.is_empty()
        || job.include.contains(&facing.source.0)
        || job.overrides.iter().any(|own| own.source_name == facing.source.0)
}

/// What the stores hold beside their datasets. Where single tables were named, nobody expects the rest
/// of a database to be looked at.
async fn beside(work: &Work<'_>, link: &mut LinkReport) {
    let Work { job, sides, .. } = work;
    let named = !job.source.target.datasets.is_empty() || !job.replica.target.datasets.is_empty();
    for (side, name) in [(&sides.source, "source"), (&sides.replica, "replica")] {
        let Some(datasets) = side.store.datasets().filter(|datasets| !named || datasets.wire_engine().is_none()) else {
            continue;
        };
        match side.cx.bound(datasets.beside(&side.cx)).await {
            Ok(found) => {
                let left = found.into_iter().filter(|one| !is_compared(&link.checks, one.dataset.as_ref()));
                let left: Vec<_> =
                    left.map(|one| NotChecked { what: format!("{name}: {one}"), why: one.why.clone() }).collect();
                link.not_checked.extend(left);
            }
            Err(error) => {
                let what = format!("{name}: what it holds beside its datasets");
                link.not_checked.push(NotChecked { what, why: error.message().to_owned() });
            }
        }
    }
}

/// Whether rows of that dataset were compared, or why not is said there.
fn is_compared(checks: &[Check], dataset: Option<&Dataset>) -> bool {
    let of = |check: &Check, name: &str| matches!(check, Check::Parity(check) if check.dataset == name);
    dataset.is_some_and(|dataset| checks.iter().any(|check| of(check, &dataset.0)))
}

fn not_planned(facing: &Facing, error: PlanError, link: &mut LinkReport) {
    let why = error.message.clone();
    let PlanError { code, message, detail, hint } = error;
    let problem = Problem { code: code.to_owned(), message, detail, hint };
    link.checks.push(Check::Parity(record::not_begun(&facing.source.0, problem)));
    link.not_checked.push(NotChecked { what: format!("rows of {}", facing.source.0), why });
}
