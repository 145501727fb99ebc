//! `ledger --against`: a snapshot's figures in place of a source that is gone. Only the replica is asked.

use crate::job::Job;
use crate::keep::Keeper;
use crate::links::{chosen_links, hide, job, with_secrets};
use crate::snapshot::{Stored, ledgers_alone, load};
use crate::{Error, Monitor, Options, Result, Target};
use paritas_config::Config;
use paritas_connect::Context;
use paritas_report::{LinkReport, Report, apply_privacy};

/// Holds the replicas of these links, or of all that have ledgers, against the figures of their snapshots.
///
/// # Errors
/// Unknown names, links without a ledger, no usable snapshot, one of something else (exit codes 2 and 3).
pub async fn ledger_links_against(
    cx: &Context,
    config: &Config,
    names: &[String],
    options: &Options,
    monitor: &Monitor,
    stored: &Stored,
) -> Result<Report> {
    let mut chosen = chosen_links(config, names)?;
    super::with_ledgers(&mut chosen, names)?;
    let options = &with_secrets(config, options)?;
    hide(options);
    if let (Stored::File(_), true) = (stored, chosen.len() > 1) {
        let hint = "name the link that it is of: paritas ledger --against FILE LINK";
        return Err(Error::usage("usage.against", "a snapshot's file is one of a single link", hint));
    }
    let folder = options.state.as_deref().or(config.state.as_deref());
    let mut jobs = Vec::new();
    for link in chosen {
        let job = Job { figures_only: true, not_checked: Vec::new(), ..job(config, link, options)? };
        let loaded = load(stored, folder, (&job, true), &options.digest_key)?;
        jobs.push((job, Options { manners: options.manners.or(link.manners), ..options.clone() }, loaded));
    }
    let checksum = format!("blake3:{}", blake3::hash(config.canonical_text().as_bytes()).to_hex());
    let keeper = Keeper::begin(options, config.state.as_deref()).of("ledger");
    let mut links = Vec::new();
    for (job, options, loaded) in &jobs {
        links.push(ledgers_alone(cx, job, options, monitor, loaded).await);
    }
    Ok(finish(cx, &keeper, Some(checksum), links, options))
}

/// Holds a replica named by URL or path against all figures of a snapshot.
///
/// # Errors
/// Usage errors, no usable snapshot, one without figures (exit codes 2 and 3).
pub async fn ledger_pair_against(
    cx: &Context,
    (source, replica): (&str, &str),
    options: &Options,
    monitor: &Monitor,
    stored: &Stored,
) -> Result<Report> {
    let (ours, theirs) = (Target::parse(source)?, Target::parse(replica)?);
    hide(options);
    let job = Job { figures_only: true, not_checked: Vec::new(), ..crate::pair::job(&ours, &theirs)? };
    let loaded = load(stored, options.state.as_deref(), (&job, false), &options.digest_key)?;
    if loaded.document.ledgers.is_empty() {
        let message = "the snapshot has no figures: it was taken of a link without a ledger";
        let hint =
            "name a snapshot of a configured link with [[link.ledger]], or verify its rows: paritas verify --against";
        return Err(Error::usage("snapshot.ledger", message, hint));
    }
    let keeper = Keeper::begin(options, None).of("ledger");
    let link = ledgers_alone(cx, &job, options, monitor, &loaded).await;
    Ok(finish(cx, &keeper, None, vec![link], options))
}

fn finish(cx: &Context, keeper: &Keeper, config: Option<String>, links: Vec<LinkReport>, options: &Options) -> Report {
    let mut report = keeper.finish(config, links, options.deny_warnings);
    // Before anything is kept: what may not be printed may not be stored either.
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    report
}
