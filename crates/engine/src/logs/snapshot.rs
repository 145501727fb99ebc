//! `snapshot`: what sources hold, kept for the time when they are gone.

use super::LogOptions;
use super::parity::Terms;
use super::seen::Wanted;
use super::stored::{Asked, both, take};
use super::verify::Chosen;
use crate::job::Job;
use crate::keep::Keeper;
use crate::links::{chosen_links, hide, job, with_secrets};
use crate::{Error, Monitor, Options, Result, Target};
use paritas_config::Config;
use paritas_connect::Context;
use paritas_model::Verdict;
use paritas_report::{LinkReport, NotChecked, Report, apply_privacy};

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// Whether content is read, and not only where logs end and groups are.
    pub content: bool,
}

/// Takes a snapshot of the sources of these links, or of all links.
///
/// # Errors
/// Unknown names, unusable stores, secrets that cannot be had (exit code 2).
pub async fn snapshot_links(
    cx: &Context,
    config: &Config,
    names: &[String],
    options: &Options,
    snapshot: SnapshotOptions,
    monitor: &Monitor,
) -> Result<Report> {
    let chosen = chosen_links(config, names)?;
    let options = &with_secrets(config, options)?;
    hide(options);
    let mut jobs = Vec::new();
    for link in chosen {
        let job = job(config, link, options)?;
        jobs.push(job);
    }
    let checksum = format!("blake3:{}", blake3::hash(config.canonical_text().as_bytes()).to_hex());
    let state = options.state.as_deref().or(config.state.as_deref());
    if state.is_none() {
        return Err(no_state());
    }
    let keeper = Keeper::begin(options, config.state.as_deref()).of("snapshot");
    finish(cx, jobs, options, (snapshot, monitor), &keeper, Some(checksum)).await
}

/// Takes a snapshot of a source named by URL.
///
/// # Errors
/// Usage errors (exit code 2).
pub async fn snapshot_pair(
    cx: &Context,
    source: &str,
    replica: &str,
    options: &Options,
    snapshot: SnapshotOptions,
    monitor: &Monitor,
) -> Result<Report> {
    let (ours, theirs) = (Target::parse(source)?, Target::parse(replica)?);
    hide(options);
    if options.state.is_none() {
        return Err(no_state());
    }
    let job = crate::pair::job(&ours, &theirs)?;
    let keeper = Keeper::begin(options, None).of("snapshot");
    finish(cx, vec![job], options, (snapshot, monitor), &keeper, None).await
}

fn no_state() -> Error {
    let hint = "name a folder with --state DIR, or set `state` in [paritas]";
    Error::usage("usage.state", "there is no state folder, so no snapshot can be kept", hint)
}

async fn finish(
    cx: &Context,
    jobs: Vec<Job>,
    options: &Options,
    (snapshot, monitor): (SnapshotOptions, &Monitor),
    keeper: &Keeper,
    checksum: Option<String>,
) -> Result<Report> {
    for job in &jobs {
        if of_logs(job) {
            LogOptions::of(&job.source.target, &job.replica.target)?;
        } else if !crate::snapshot::can_be_kept(job) || !snapshot.content {
            let message =
                format!("{:?}: such a snapshot of a {} store is not taken", job.name, job.source.described.kind);
            let hint = "snapshots are taken of Kafka clusters, tables, Parquet, CSV and files; only those of clusters \
                        without content";
            return Err(Error::usage("usage.kinds", message, hint));
        }
    }
    let mut links = Vec::new();
    for job in &jobs {
        links.push(if of_logs(job) {
            one(cx, job, options, snapshot, keeper).await?
        } else {
            crate::snapshot::one(cx, job, options, (monitor, checksum.is_some()), keeper).await
        });
    }
    crate::snapshot::copy_all(cx, options, keeper, &mut links).await;
    let mut report = keeper.finish(checksum, links, options.deny_warnings);
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    Ok(report)
}

/// Whether both sides hold logs of records.
fn of_logs(job: &Job) -> bool {
    job.source.store.logs().is_some() && job.replica.store.logs().is_some()
}

async fn one(
    cx: &Context,
    job: &Job,
    options: &Options,
    snapshot: SnapshotOptions,
    keeper: &Keeper,
) -> Result<LinkReport> {
    let (cx, _) = crate::job::limited(cx, options);
    let log_options = LogOptions::of(&job.source.target, &job.replica.target)?;
    let both = both(&job.source, &job.replica, &cx);
    let chosen = Chosen::of(job);
    let takes = |name: &str| chosen.takes(name);
    let wanted = Wanted { takes: &takes, told: chosen.told(), renamed: chosen.renamed() };
    let thrift = options.thrift;
    let asked = Asked { link: &job.name, options: &log_options, wanted: &wanted, content: snapshot.content, thrift };
    let watch = |_| {};
    let terms = Terms { key: &options.digest_key, settle: options.settle, items_max: 0, ledger: None, watch: &watch };
    let (check, not_checked) = take(&both, &asked, &terms, keeper).await;
    let mut not_checked: Vec<NotChecked> = not_checked;
    not_checked.extend(job.not_checked.clone());
    Ok(LinkReport {
        name: job.name.clone(),
        tier: job.tier,
        verdict: Verdict::combine([check.verdict()]),
        source: job.source.described.clone(),
        replica: job.replica.described.clone(),
        checks: vec![check],
        recovery: None,
        not_checked,
    })
}
