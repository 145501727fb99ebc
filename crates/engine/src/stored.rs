//! A stored digest in place of a source that may be gone.

use crate::job::limited;
use crate::record::{self, Compared, described};
use crate::registry;
use crate::{Error, Monitor, Options, Result, Target};
use paritas_connect::Context;
use paritas_digest::Digest;
use paritas_model::{Dataset, StoreKind};
use paritas_report::{Check, LinkReport, NotChecked, Problem};
use paritas_verify::rows::Origin;
use paritas_verify::stored as judge;
use paritas_verify::{Plan, Side};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Writes a digest beside its final name and renames it, so that a name always holds a whole digest.
pub(crate) fn save(path: &Path, digest: &Digest) -> io::Result<()> {
    // Renaming over a device or a pipe would replace it.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it exists and is not a regular file"));
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let write = || -> io::Result<()> {
        let mut out = BufWriter::new(File::create(&partial)?);
        digest.write_to(&mut out).map_err(|error| io::Error::other(error.to_string()))?;
        out.flush()?;
        out.get_ref().sync_all()?;
        std::fs::rename(&partial, path)
    };
    let result = write();
    if result.is_err() {
        // The reason for the failure matters more than a left-over that cannot be removed.
        let _ = std::fs::remove_file(&partial);
    }
    result
}

fn load(path: &str) -> Result<Digest> {
    let inconclusive = |code: &str, message: String, detail: String, hint: &str| {
        let (code, hint) = (code.to_owned(), Some(hint.to_owned()));
        Error::inconclusive(Problem { code, message, detail: Some(detail), hint })
    };
    let file = File::open(path).map_err(|error| {
        let hint = "write one with: paritas verify SOURCE REPLICA --save-digest FILE";
        inconclusive("digest.unreadable", format!("cannot open the digest {path}"), error.to_string(), hint)
    })?;
    Digest::read_from(BufReader::new(file)).map_err(|error| {
        let hint = "take another copy of the digest, or an older one";
        inconclusive("digest.damaged", format!("cannot use the digest {path}"), error.to_string(), hint)
    })
}

/// Names of other datasets in a report, at most.
const OTHERS_SHOWN_MAX: usize = 10;

/// Compares a stored digest with a live replica.
pub(crate) async fn verify(
    cx: &Context,
    digest: &Target,
    replica: &Target,
    options: &Options,
    monitor: &Monitor,
) -> Result<LinkReport> {
    let path = digest.location.clone();
    let stored = load(&path)?;
    let opened = registry::open(replica, registry::Secrets::default(), None)?;
    let counters = monitor.begin(&stored.header.dataset);
    let (cx, budget) = limited(cx, options);
    let mut side = Side::new(Arc::clone(&opened.store), cx.with_progress(counters.replica));
    side.budget = budget;
    let dataset = match replica.datasets.as_slice() {
        [] => only_dataset(&side).await.unwrap_or_else(|| Dataset(stored.header.dataset.clone())),
        [one] => Dataset(one.clone()),
        _ => return Err(Error::usage("usage.url", "a digest holds one dataset", "name one table with ?table=")),
    };
    let started = Instant::now();
    let request = judge::Request {
        digest: &stored,
        replica: &side,
        dataset: &dataset,
        rename: &replica.rename,
        filter: replica.filter.clone(),
        read_filter: replica.filter.clone(),
        since: None,
        key: &options.digest_key,
        items_max: options.max_differences,
        watch: &|phase| monitor.enter(phase),
    };
    let mut not_checked = Vec::new();
    let check = match judge::verify(&request).await {
        Ok(judge::Compared { plan, outcome, .. }) => {
            not_checked = beyond_digest(&side, &dataset, &plan).await;
            if replica.datasets.is_empty() {
                not_checked.extend(other_datasets(&side, &dataset).await);
            }
            let names = Compared { source_name: &stored.header.dataset, replica_name: &dataset.0 };
            record::parity(&names, &plan, outcome, started.elapsed())
        }
        Err(error) => record::not_begun_at(&stored.header.dataset, Origin::Replica, &error),
    };
    let checks = vec![Check::Parity(check)];
    Ok(LinkReport {
        name: format!("digest:{path} -> {}", opened.store.name()),
        tier: None,
        verdict: LinkReport::combined(&checks),
        source: described(&format!("digest:{path}"), StoreKind::Digest, None),
        replica: opened.described,
        checks,
        recovery: None,
        not_checked,
    })
}

/// Datasets of the replica that the digest says nothing about.
async fn other_datasets(side: &Side, dataset: &Dataset) -> Option<NotChecked> {
    let datasets = side.store.datasets()?;
    let listed = side.cx.bound(datasets.list(&side.cx)).await.ok()?;
    // Its whole name, as the list has it.
    let this = side.cx.bound(datasets.describe(&side.cx, dataset)).await.ok()?.dataset;
    let others: Vec<&str> =
        listed.iter().filter(|other| **other != this && *other != dataset).map(|other| other.0.as_str()).collect();
    let first = others.get(..others.len().min(OTHERS_SHOWN_MAX)).unwrap_or_default().join(", ");
    let more = if others.len() > OTHERS_SHOWN_MAX { ", ..." } else { "" };
    let what = format!("{} other datasets of the replica: {first}{more}", others.len());
    (!others.is_empty()).then(|| NotChecked { what, why: "not in the digest".to_owned() })
}

/// Columns of the replica that the digest says nothing about.
async fn beyond_digest(side: &Side, dataset: &Dataset, plan: &Plan) -> Vec<NotChecked> {
    let entry = |what, why: &str| NotChecked { what, why: why.to_owned() };
    let Some(datasets) = side.store.datasets() else { return Vec::new() };
    match side.cx.bound(datasets.describe(&side.cx, dataset)).await {
        Ok(description) => {
            let read = |name: &str| plan.replica.columns.iter().any(|pair| pair.own == name);
            let names = description.schema.columns.into_iter().map(|column| column.name);
            let beyond = names.filter(|name| !read(name));
            beyond.map(|name| entry(format!("column {name} of {dataset}"), "not in the digest")).collect()
        }
        Err(error) => vec![entry(format!("further columns of {dataset}"), error.message())],
    }
}

async fn only_dataset(side: &Side) -> Option<Dataset> {
    let datasets = side.store.datasets()?;
    match side.cx.bound(datasets.list(&side.cx)).await.ok()?.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}
