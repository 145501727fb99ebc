//! `verify --against`: a snapshot in place of a source that is gone. Only the replica is asked.

use super::copies::fetch;
use super::load::{Loaded, Stored, load};
use super::{figures, files, rows, sequences};
use crate::error::problem_of;
use crate::job::{Job, sides};
use crate::keep::Keeper;
use crate::links::{chosen_links, hide, job, with_secrets};
use crate::record;
use crate::{Error, Monitor, Options, Result, Target};
use paritas_config::Config;
use paritas_connect::Context;
use paritas_model::{Ancestry, Known, Verdict};
use paritas_report::{Check, LinkReport, NotChecked, Report, apply_privacy};
use paritas_verify::Side;
use paritas_verify::rows::Origin;

/// Verifies the replicas of these links, or of all of them, against their snapshots.
///
/// # Errors
/// Unknown names, no usable snapshot, one of something else (exit codes 2 and 3).
pub async fn verify_links_against(
    cx: &Context,
    config: &Config,
    names: &[String],
    options: &Options,
    monitor: &Monitor,
    stored: &Stored,
) -> Result<Report> {
    let chosen = chosen_links(config, names)?;
    let options = &with_secrets(config, options)?;
    hide(options);
    if let (Stored::File(_) | Stored::Url(_), true) = (stored, chosen.len() > 1) {
        let hint = "name the link that it is of: paritas verify --against FILE LINK";
        return Err(Error::usage("usage.against", "a snapshot's file is one of a single link", hint));
    }
    let fetched = fetch(cx, stored, options).await?;
    let stored = &fetched.stored;
    let folder = options.state.as_deref().or(config.state.as_deref());
    let mut jobs = Vec::new();
    for link in chosen {
        let job = job(config, link, options)?;
        fits(&job)?;
        let loaded = load(stored, folder, (&job, true), &options.digest_key)?;
        faces(&job, &loaded)?;
        jobs.push((job, Options { manners: options.manners.or(link.manners), ..options.clone() }, loaded));
    }
    let checksum = format!("blake3:{}", blake3::hash(config.canonical_text().as_bytes()).to_hex());
    let keeper = Keeper::begin(options, config.state.as_deref());
    let mut links = Vec::new();
    for (job, options, loaded) in &jobs {
        links.push(verify(cx, job, options, monitor, loaded).await);
    }
    Ok(finish(cx, &keeper, Some(checksum), links, options))
}

/// Verifies a replica named by URL or path against a snapshot of a source named likewise.
///
/// # Errors
/// Usage errors, no usable snapshot, one of something else (exit codes 2 and 3).
pub async fn verify_pair_against(
    cx: &Context,
    source: &str,
    replica: &str,
    options: &Options,
    monitor: &Monitor,
    stored: &Stored,
) -> Result<Report> {
    let (ours, theirs) = (Target::parse(source)?, Target::parse(replica)?);
    hide(options);
    let job = crate::pair::job(&ours, &theirs)?;
    fits(&job)?;
    let fetched = fetch(cx, stored, options).await?;
    let loaded = load(&fetched.stored, options.state.as_deref(), (&job, false), &options.digest_key)?;
    faces(&job, &loaded)?;
    let keeper = Keeper::begin(options, None);
    let link = verify(cx, &job, options, monitor, &loaded).await;
    Ok(finish(cx, &keeper, None, vec![link], options))
}

fn finish(cx: &Context, keeper: &Keeper, config: Option<String>, links: Vec<LinkReport>, options: &Options) -> Report {
    let mut report = keeper.finish(config, links, options.deny_warnings);
    // Before anything is kept: what may not be printed may not be stored either.
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    report
}

/// Whether such stores are verified against snapshots.
fn fits(job: &Job) -> Result<()> {
    if job.source.store.logs().is_none() || job.replica.store.logs().is_none() {
        return Ok(());
    }
    let hint = "after a failover, `paritas failover` takes the newest snapshot of topics by itself";
    let message = format!("{:?}: topics are not verified against a snapshot alone", job.name);
    Err(Error::usage("usage.kinds", message, hint))
}

/// Whether the snapshot says anything about the datasets that are asked for.
fn faces(job: &Job, loaded: &Loaded) -> Result<()> {
    let document = &loaded.document;
    let has_files = document.files.is_some();
    let refused = |message: String| {
        let names: Vec<&str> = document.datasets.iter().map(|dataset| dataset.name.as_str()).take(10).collect();
        let of = if has_files { "files".to_owned() } else { names.join(", ") };
        let error = Error::usage("snapshot.dataset", message, "name what the snapshot is of, or another snapshot");
        error.detail(format!("It is one of {} ({of}).", document.source.name))
    };
    if has_files != (job.replica.store.datasets().is_none()) {
        let (holds, is) = if has_files { ("files", "rows") } else { ("rows", "files") };
        return Err(refused(format!("the snapshot holds {holds}, and the replica is read as {is}")));
    }
    let known = |name: &String| document.datasets.iter().any(|dataset| dataset.name == *name);
    match job.source.target.datasets.iter().find(|name| !known(name)) {
        Some(name) => Err(refused(format!("there is no dataset {name:?} in the snapshot"))),
        None => Ok(()),
    }
}

/// What a replica says about its own history.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) side: Side,
    pub(super) ancestry: Known<Ancestry>,
    pub(super) promoted_at: Option<i64>,
}

/// Verifies a replica against a snapshot. Whatever goes wrong is in the link's report.
pub(crate) async fn verify(
    cx: &Context,
    job: &Job,
    options: &Options,
    monitor: &Monitor,
    loaded: &Loaded,
) -> LinkReport {
    let mut link = LinkReport {
        name: job.name.clone(),
        tier: job.tier,
        verdict: Verdict::Unknown,
        source: loaded.document.source.clone(),
        replica: job.replica.described.clone(),
        checks: Vec::new(),
        recovery: None,
        not_checked: job.not_checked.clone(),
    };
    let side = sides(cx, job, options).replica;
    match side.cx.bound(side.store.probe(&side.cx)).await {
        Err(error) => {
            let problem = record::sided(Origin::Replica, problem_of(&error));
            link.checks.push(Check::Parity(record::not_begun(&job.name, problem)));
        }
        Ok(_) => {
            let replica = standing_of(side).await;
            match &loaded.document.files {
                Some(kept) => {
                    link.checks.push(files::verify(job, &replica.side, options, monitor, (loaded, kept)).await);
                }
                None => {
                    rows::verify(job, &replica, (options, monitor), loaded, &mut link).await;
                    figures::verify(job, &replica, (options, monitor), loaded, &mut link).await;
                    sequences::beside(&replica, options, loaded, &mut link).await;
                }
            }
        }
    }
    unseen(loaded, &mut link);
    link.verdict = LinkReport::combined(&link.checks);
    link
}

/// The ledgers alone. Whatever goes wrong is in the link's report.
pub(crate) async fn ledgers_alone(
    cx: &Context,
    job: &Job,
    options: &Options,
    monitor: &Monitor,
    loaded: &Loaded,
) -> LinkReport {
    let mut link = LinkReport {
        name: job.name.clone(),
        tier: job.tier,
        verdict: Verdict::Unknown,
        source: loaded.document.source.clone(),
        replica: job.replica.described.clone(),
        checks: Vec::new(),
        recovery: None,
        not_checked: Vec::new(),
    };
    let side = sides(cx, job, options).replica;
    match side.cx.bound(side.store.probe(&side.cx)).await {
        Err(error) => figures::not_begun(job, loaded, &record::sided(Origin::Replica, problem_of(&error)), &mut link),
        Ok(_) => {
            let replica = standing_of(side).await;
            figures::verify(job, &replica, (options, monitor), loaded, &mut link).await;
        }
    }
    unseen(loaded, &mut link);
    link.verdict = LinkReport::combined(&link.checks);
    link
}

/// What a replica says about its own history.
pub(crate) async fn standing_of(side: Side) -> Replica {
    let standing = match side.store.lineages() {
        None => None,
        Some(lineages) => Some(side.cx.bound(lineages.standing(&side.cx)).await),
    };
    let (ancestry, promoted_at) = match standing {
        None => (Known::unknown("its store has no history that copies share"), None),
        Some(Err(error)) => (Known::unknown(format!("the replica's history cannot be read: {error}")), None),
        Some(Ok(standing)) => (standing.ancestry, standing.promoted_at.value().copied()),
    };
    Replica { side, ancestry, promoted_at }
}

/// What no snapshot can say anything about.
fn unseen(loaded: &Loaded, link: &mut LinkReport) {
    let document = &loaded.document;
    let position = document.datasets.first().and_then(|dataset| dataset.moment.as_ref());
    let position = position.and_then(|moment| moment.covers.value()).map(|position| format!(" ({position})"));
    link.not_checked.push(NotChecked {
        what: format!(
            "what was written on the source after {}{}",
            paritas_report::to_the_second(&document.began_at),
            position.unwrap_or_default()
        ),
        why: "it is not in the snapshot; `paritas failover` counts it in the log of the old primary".to_owned(),
    });
    link.not_checked.extend(document.not_kept.iter().cloned().map(|mut one| {
        one.why = format!("not in the snapshot: {}", one.why);
        one
    }));
}
