//! The one dataset that the files of a location are together.

use crate::failure;
use crate::listing::{self, Select};
use crate::site::Site;
use crate::source::{self, FoundFile, Root};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use paritas_connect::{Context, Error, FailureKind, Result};
use paritas_model::Dataset;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Beginnings or ends of files that are read at a time over a network, at most.
const REMOTE_FILES_MAX: usize = 16;

/// Errors with `dataset.missing` unless it is the one dataset of a site.
pub(crate) fn check_name(site: &Site, dataset: &Dataset) -> Result<()> {
    if dataset.0 == site.dataset() {
        return Ok(());
    }
    let message = format!("there is no dataset {dataset} in {}", site.shown());
    Err(Error::new(FailureKind::Permanent, "dataset.missing", message)
        .hint(format!("this location holds one dataset, {}", site.dataset())))
}

/// The files of a location's dataset, sorted by name.
pub(crate) async fn files(
    cx: &Context,
    site: &Site,
    endings: &[&str],
    what: &str,
) -> Result<(Root, Vec<Arc<FoundFile>>)> {
    cx.check()?;
    let (root, select) = site.resolve(cx).await?;
    let found = listing::list(cx, &root, &select).await?;
    if let Some((_, error)) = found.troubles.into_iter().find(|(name, _)| !source::is_hidden(name)) {
        // Rows may hide behind it, so the rest is not the dataset.
        return Err(error);
    }
    let ending_counts = |name: &str| {
        let chosen = match &select {
            Select::All => false,
            Select::One(_) => true,
            Select::Pattern(_) => !name.contains('/'),
        };
        let lower = name.to_ascii_lowercase();
        chosen || endings.iter().any(|ending| lower.ends_with(ending))
    };
    let single = matches!(select, Select::One(_));
    let files: Vec<_> = found
        .files
        .into_iter()
        .filter(|file| (single || !source::is_hidden(&file.name)) && ending_counts(&file.name))
        .map(Arc::new)
        .collect();
    if files.is_empty() && !site.options().allow_empty {
        return Err(site.nothing(what));
    }
    Ok((root, files))
}

/// Does something with every file on threads that may block, some at a time, and takes the results
/// in the order of the files.
pub(crate) async fn each<T: Send + 'static>(
    cx: &Context,
    root: &Root,
    files: Vec<Arc<FoundFile>>,
    work: impl Fn(&Context, &Root, &Arc<FoundFile>, &Handle) -> Result<T> + Clone + Send + 'static,
    mut take: impl FnMut(T),
) -> Result<()> {
    let at_once = match root {
        Root::Local(_) => cx.parallel(),
        Root::Remote(_) => REMOTE_FILES_MAX,
    };
    let mut results = stream::iter(files)
        .map(|file| {
            let (cx, root, runtime, work) = (cx.clone(), root.clone(), Handle::current(), work.clone());
            async move {
                let done = tokio::task::spawn_blocking(move || work(&cx, &root, &file, &runtime)).await;
                done.map_err(|error| failure::internal("cannot read a file", error))?
            }
        })
        .buffered(at_once);
    while let Some(result) = cx.bound(results.try_next()).await? {
        take(result);
    }
    Ok(())
}
